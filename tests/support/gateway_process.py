"""A real gateway as a process in a pod's place: started, waited for until it answers, ended with its block."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from tests.support.kube import NotInTime, wait
from tests.support.pod_process import PodProcess


class GatewayProcess:
    """A gateway that answers over HTTP.

    Args:
        name: as people know it.
        ready: path that answers 200 once it serves.
        start_seconds: how long it may take until then.
    """

    def __init__(
        self, name: str, process: PodProcess, http: httpx.Client, *, ready: str, start_seconds: float, log: Path
    ) -> None:
        self._name = name
        self._process = process
        self._http = http
        self._ready_path = ready
        self._start_seconds = start_seconds
        self.log_file = log

    def log(self) -> str:
        """Return all that it has printed."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def __enter__(self) -> Self:
        self._process.start()
        try:
            wait(f"{self._name} answers at {self._ready_path}", self._ready, self._start_seconds)
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
        return self._http.get(self._ready_path).status_code == httpx.codes.OK
