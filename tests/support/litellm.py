"""The real LiteLLM proxy, as the pod of a live Deployment would run it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
from hack.cluster import free_ports

from tests.support.gateway_process import GatewayProcess
from tests.support.gateway_venv import installed
from tests.support.pod import Mount, PodError, Reader, pod_arguments, pod_environment, pod_files
from tests.support.pod_process import PodProcess

LOCK = Path(__file__).resolve().parents[2] / "hack" / "litellm" / "requirements.txt"
START_SECONDS = 90.0
REQUEST_SECONDS = 60.0
MASTER_KEY = "LITELLM_MASTER_KEY"


class LiteLLM(GatewayProcess):
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
        log = folder / "litellm.log"
        program = str(installed(LOCK) / "litellm")
        command = [program, *arguments, "--host", "127.0.0.1", "--port", str(port)]
        process = PodProcess(command, env, mounts, log=log)
        headers = {"Authorization": f"Bearer {env[MASTER_KEY]}"}
        http = httpx.Client(base_url=self.url, headers=headers, timeout=REQUEST_SECONDS, trust_env=False)
        super().__init__("LiteLLM", process, http, ready="/health/readiness", start_seconds=START_SECONDS, log=log)

    @classmethod
    def of(cls, read: Reader, deployment: dict[str, Any], folder: Path, container: str = "litellm") -> LiteLLM:
        """Take everything from a live Deployment and the Secrets and ConfigMaps that it names."""
        env = pod_environment(read, deployment, container)
        return cls(pod_arguments(deployment, env, container), env, pod_files(read, deployment, container), folder)

    def chat(self, text: str, model: str = "echo") -> str:
        """Send one chat request through the proxy and return the answer's text.

        Raises:
            httpx.HTTPStatusError: the proxy refused.
        """
        body = {"model": model, "messages": [{"role": "user", "content": text}]}
        answer = self._http.post("/v1/chat/completions", json=body).raise_for_status()
        return str(answer.json()["choices"][0]["message"]["content"])
