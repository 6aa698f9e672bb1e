"""The real LiteLLM proxy, as the pod of a live Deployment would run it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from hack.cluster import free_ports

from tests.support.gateway_venv import installed
from tests.support.kube import NotInTime, wait
from tests.support.pod import Mount, PodError, Reader, pod_arguments, pod_environment, pod_files
from tests.support.pod_process import PodProcess

LOCK = Path(__file__).resolve().parents[2] / "hack" / "litellm" / "requirements.txt"
START_SECONDS = 90.0
REQUEST_SECONDS = 60.0
MASTER_KEY = "LITELLM_MASTER_KEY"


class LiteLLM:
    """``litellm`` on a free port of loopback; answers when the block is entered.

    Args:
        arguments: the container's; host and port are added.
        env: the container's, whole; holds the proxy's own key as ``LITELLM_MASTER_KEY``.
        mounts: the container's.
        folder: where its log goes.
    """

    def __init__(self, arguments: Sequence[str], env: Mapping[str, str], mounts: Sequence[Mount], folder: Path) -> None:
        if MASTER_KEY not in env:
            raise PodError(f"{MASTER_KEY} is not set: without it, the proxy refuses to start")
        [port] = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        self.log_file = folder / "litellm.log"
        program = str(installed(LOCK) / "litellm")
        command = [program, *arguments, "--host", "127.0.0.1", "--port", str(port)]
        self._process = PodProcess(command, env, mounts, log=self.log_file)
        headers = {"Authorization": f"Bearer {env[MASTER_KEY]}"}
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=REQUEST_SECONDS, trust_env=False)

    @classmethod
    def of(cls, read: Reader, deployment: dict[str, Any], folder: Path, container: str = "litellm") -> LiteLLM:
        """Take everything from a live Deployment and the Secrets and ConfigMaps that it names."""
        env = pod_environment(read, deployment, container)
        return cls(pod_arguments(deployment, env, container), env, pod_files(read, deployment, container), folder)

    def __enter__(self) -> Self:
        self._process.start()
        try:
            wait("LiteLLM answers at /health/readiness", self._ready, START_SECONDS)
        except NotInTime as error:
            tail = self._process.tail()
            self._stop()
            raise NotInTime(f"{error}\n{tail}") from None
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        self._http.close()
        self._process.stop()

    def _ready(self) -> bool:
        self._process.check()
        return self._http.get("/health/readiness").status_code == httpx.codes.OK

    def chat(self, text: str, model: str = "echo") -> str:
        """Send one chat request through the proxy and return the answer's text.

        Raises:
            httpx.HTTPStatusError: the proxy refused.
        """
        body = {"model": model, "messages": [{"role": "user", "content": text}]}
        answer = self._http.post("/v1/chat/completions", json=body).raise_for_status()
        return str(answer.json()["choices"][0]["message"]["content"])

    def log(self) -> str:
        """Return all that it has printed."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""
