"""The stand-in in a process of its own, and its control endpoint from the outside.

In a test::

    with StandInProcess("--key", f"{KEY}={WORKSPACE}", certificates=("127.0.0.1",), folder=tmp_path) as langsmith:
        langsmith.traces_url, langsmith.ca_bundle
        langsmith.faults("rate-limited", on="ingest")  # until cleared; no names: none
        langsmith.certificate("expired")
        langsmith.counts()["ingest"]  # over all keys
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tests.support.langsmith.faults import PathClass

ROOT = Path(__file__).resolve().parents[3]


class Remote:
    """A stand-in that runs elsewhere, by the URL of its control endpoint."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, trust_env=False, timeout=15)

    def close(self) -> None:
        """Close the connections to it."""
        self._client.close()

    def faults(self, *names: str, on: PathClass | None = None, times: int | None = None) -> None:
        """Switch on these faults of the catalogue and no others; ``on`` is each one's own by default."""
        where = {} if on is None else {"on": on}
        self._change("PUT", "/faults", [{"name": name, "times": times, **where} for name in names])

    def features(self, **fields: Any) -> None:
        """Change fields of Features."""
        self._change("PATCH", "/features", fields)

    def store(self, **fields: float) -> None:
        """Change ``ingest_delay`` or ``orphan_ttl``, in seconds."""
        self._change("PATCH", "/store", fields)

    def key(self, text: str, **fields: Any) -> None:
        """Make or replace a key with fields of Key."""
        self._change("PUT", "/keys", {text: fields})

    def certificate(self, kind: str | None) -> None:
        """Show another certificate, or speak plain HTTP."""
        self._change("PUT", "/certificate", None if kind is None else {"kind": kind})

    def listening(self, on: bool) -> None:
        """Refuse connections, or take them again."""
        self._change("PUT", "/listening", {"on": on})

    def counts(self) -> Counter[str]:
        """Return the number of requests by path class."""
        counts: Counter[str] = Counter()
        for item in self._read("/counts"):
            counts[item["pathClass"]] += item["count"]
        return counts

    def requests(self) -> list[dict[str, Any]]:
        """Return all requests: fields of Request."""
        return self._read("/requests")

    def spans(self, *fates: str) -> list[dict[str, Any]]:
        """Return all spans that reached ingest, or those of some fates."""
        return [item for item in self._read("/spans") if not fates or item["fate"] in fates]

    def runs(self, project: str | None = None) -> list[dict[str, Any]]:
        """Return the visible runs, newest first."""
        return [item for item in self._read("/runs") if project in (None, item["project"])]

    def _read(self, path: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._client.get(path).raise_for_status().json()
        return found

    def _change(self, method: str, path: str, body: Any) -> None:
        answer = self._client.request(method, path, json=body)
        if answer.status_code != 200:
            raise ValueError(f"{method} {path}: {answer.text}")


class StandInProcess(Remote):
    """``python -m tests.support.langsmith`` while the block lasts.

    Args:
        arguments: of its command line.
        certificates: names in the certificates of a CA of its own; none is plain HTTP.
        folder: where the CA goes; needed with ``certificates``.

    Attributes:
        url, api_url, otlp_url, traces_url, port: as of StandIn.
        control_url: of its control endpoint.
        ca_bundle: the CA's certificate, with ``certificates``.
    """

    url: str
    api_url: str
    otlp_url: str
    traces_url: str
    control_url: str
    port: int

    def __init__(self, *arguments: str, certificates: Iterable[str] = (), folder: Path | None = None) -> None:
        self._arguments = list(arguments)
        names = list(certificates)
        self.ca_bundle: Path | None = None
        if names:
            assert folder is not None
            self._arguments += ["--certificates", str(folder), *(f"--certificate-name={name}" for name in names)]
            self.ca_bundle = folder / "ca.crt"
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.support.langsmith", "--control-port", "0", *self._arguments]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.stdout.close()
            raise RuntimeError(f"the stand-in ended with {self._process.wait()}")
        for name, value in json.loads(line).items():
            setattr(self, name, value)
        super().__init__(self.control_url)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        assert self._process is not None
        assert self._process.stdout is not None
        self._process.terminate()
        code = self._process.wait(15)
        self._process.stdout.close()
        if code != 0 and error is None:
            raise RuntimeError(f"the stand-in ended with {code}")
