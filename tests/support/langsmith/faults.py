"""Failure modes on demand, as data.

A fault names the class of paths it hits, how many requests it lasts for, and what happens instead of (or before) the
normal answer. ``CATALOGUE`` has the failure signatures seen in the field under the names that tests use.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import Final, Literal

PathClass = Literal["any", "ingest", "batch", "info", "read", "ui"]

NGINX: Final = (
    "<html>\r\n<head><title>{0}</title></head>\r\n<body>\r\n<center><h1>{0}</h1></center>\r\n"
    "<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)
SPA: Final = (
    '<!doctype html><html lang="en"><head><title>LangSmith</title></head><body><div id="root"></div></body></html>'
)
ELSEWHERE: Final = "5f2c7a3e-0000-4000-8000-0000000000ee"
"""A workspace that no key is for."""


@dataclass(frozen=True)
class Fault:
    """One failure mode.

    Attributes:
        on: the class of paths it applies to.
        times: how many requests it lasts for; None is until cleared.
        status: answer this status with ``body`` and ``headers``; None leaves the normal answer, with ``headers``.
        delay: seconds to wait first.
        drop: ingest answers 200 and the spans are lost (usage limit reached).
        project: ingest answers 200 and the spans go to this project instead.
        workspace: ingest answers 200 and the spans go to this workspace instead.
        reject_spans: ingest answers 200 with this many spans rejected (``partialSuccess``).
        abort: cut the connection instead of answering.
        truncate: begin an answer of status 200 and cut the connection in the middle of its body.
        drip: answer status 200 and one byte each so many seconds, without end (slow loris).
    """

    on: PathClass = "any"
    times: int | None = 1
    status: int | None = None
    body: str = ""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    drop: bool = False
    project: str | None = None
    workspace: str | None = None
    reject_spans: int = 0
    abort: bool = False
    truncate: bool = False
    drip: float = 0.0


def _html(status: int, title: str) -> Fault:
    return Fault(status=status, body=NGINX.format(title), content_type="text/html")


CATALOGUE: Final[dict[str, Fault]] = {
    "unauthorized": Fault(status=401, body='{"error":"Unauthorized"}'),
    "forbidden": Fault(status=403, body='{"error":"Forbidden"}'),
    "spend-cap": Fault(status=402, body='{"error":"Payment Required"}'),
    "not-found": Fault(status=404, body='{"detail":"Not Found"}'),
    "method-not-allowed": _html(405, "405 Not Allowed"),
    "too-large": _html(413, "413 Request Entity Too Large"),
    "unsupported-media-type": Fault(status=415, body='{"error":"Unsupported Media Type"}'),
    "rate-limited": Fault(status=429, body='{"detail":"Rate limit exceeded"}', headers={"Retry-After": "1"}),
    "server-error": Fault(status=500, body='{"detail":"Internal Server Error"}'),
    "bad-gateway": _html(502, "502 Bad Gateway"),
    "unavailable": _html(503, "503 Service Temporarily Unavailable"),
    "gateway-timeout": _html(504, "504 Gateway Time-out"),
    "html": Fault(status=200, body=SPA, content_type="text/html"),
    "empty": Fault(status=200),
    "redirect": replace(
        _html(301, "301 Moved Permanently"), headers={"Location": "https://langsmith.example.com:8443/"}
    ),
    "login-redirect": replace(_html(302, "302 Found"), headers={"Location": "https://sso.example.com/login"}),
    "quota": Fault(on="ingest", drop=True),
    "partial-success": Fault(on="ingest", reject_spans=1),
    "default-project": Fault(on="ingest", project="default"),
    "wrong-project": Fault(on="ingest", project="somebody-elses"),
    "wrong-workspace": Fault(on="ingest", workspace=ELSEWHERE),
    "slow": Fault(delay=1.0),
    "slow-loris": Fault(drip=0.1),
    "reset": Fault(abort=True),
    "reset-mid-body": Fault(truncate=True),
}


class Faults:
    """The faults now switched on; may be changed from any thread while the server runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Switch a fault on, behind those that already are."""
        with self._lock:
            self._active.append(fault)

    def use(self, name: str, *, on: PathClass | None = None, times: int | None = 1) -> None:
        """Switch a fault of the catalogue on, for the next ``times`` requests of a path class.

        Raises:
            KeyError: the catalogue has no such name.
        """
        fault = CATALOGUE[name]
        self.add(replace(fault, on=on or fault.on, times=times))

    def clear(self) -> None:
        """Switch all faults off."""
        with self._lock:
            self._active.clear()

    def active(self) -> list[Fault]:
        """Return the faults that are on."""
        with self._lock:
            return list(self._active)

    def take(self, path_class: str) -> Fault | None:
        """Return the fault that hits a request of this path class, and count it."""
        with self._lock:
            for index, fault in enumerate(self._active):
                if fault.on in ("any", path_class):
                    if fault.times is not None:
                        self._active[index] = replace(fault, times=fault.times - 1)
                        if fault.times <= 1:
                            del self._active[index]
                    return fault
        return None
