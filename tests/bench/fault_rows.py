"""The faults of the matrix as data: what is wrong, and what target and gateway must say of it.

Each row breaks one thing between a gateway, the operator and a LangSmith of its own. The words are those that people
use when they describe it; the catalogue of failure signatures is ``tests/support/langsmith/faults.py``.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from tests.support.langsmith import Fault, Key, ServerCert, StandIn

WORKSPACE: Final = "5f2c7a3e-0000-4000-8000-000000000001"
OTHER: Final = "5f2c7a3e-0000-4000-8000-000000000002"


@dataclass
class Setting:
    """One row's LangSmith and the target that leads to it.

    Attributes:
        key: of this row alone: what is read with one key shares one budget.
        spec: of the LangSmithTarget, besides credentials.
        foreign_parent: whether the gateway's callers are traced elsewhere.
    """

    langsmith: StandIn
    key: str
    certificates: dict[str, ServerCert]
    spec: dict[str, Any] = field(default_factory=dict)
    foreign_parent: bool = False

    def use(self, name: str, on: Any) -> None:
        """Switch a fault of the catalogue on until it is healed."""
        self.langsmith.faults.use(name, on=on, times=None)

    def allow(self, **fields: Any) -> None:
        """Change what the key may do."""
        self.langsmith.directory.add_key(self.key, Key(**{"workspaces": (WORKSPACE,), **fields}))

    def whole(self) -> None:
        """Make all as it should be, but for the spec."""
        self.langsmith.faults.clear()
        self.allow()
        self.langsmith.present(self.certificates["good"])
        self.langsmith.features.info_requires_key = False
        self.langsmith.store.ingest_delay = 0.0
        self.foreign_parent = False


Begin = Callable[[Setting], None]


@dataclass(frozen=True)
class Row:
    """One fault.

    Attributes:
        target: type, status and reason by which the target says it.
        gateway: status and reason of Delivered.
        begin: makes it so; the spec is written after that.
        heals: whether LangSmith can be made whole again under the same spec.
        slow: whether a canary's whole patience passes before it is known.
        later: whether the probe finds it, if it begins once all was well.
    """

    fault: str
    target: str
    gateway: str
    begin: Begin
    heals: bool = True
    slow: bool = False
    later: bool = False


def _answers(name: str, on: str = "any") -> Begin:
    return lambda setting: setting.use(name, on)


def _shows(kind: str) -> Begin:
    return lambda setting: setting.langsmith.present(setting.certificates[kind])


def _leads_to(url: Callable[[Setting], str], **more: Any) -> Begin:
    def begin(setting: Setting) -> None:
        setting.spec.update(selfHosted={"url": url(setting)}, **more)

    return begin


def _refused(_setting: Setting) -> str:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return f"https://127.0.0.1:{bound.getsockname()[1]}"


def _without_workspace(setting: Setting) -> None:
    setting.allow(workspaces=(WORKSPACE, OTHER), scope="org")
    del setting.spec["workspaceId"]


def _clock(setting: Setting) -> None:
    date = "Thu, 01 Jan 2026 00:00:00 GMT"
    setting.langsmith.faults.add(Fault(on="info", times=None, headers={"Date": date}))


def _set(**features: Any) -> Begin:
    def begin(setting: Setting) -> None:
        for name, value in features.items():
            setattr(setting.langsmith.features, name, value)

    return begin


def _delay(setting: Setting) -> None:
    setting.langsmith.store.ingest_delay = 12.0


def _orphans(setting: Setting) -> None:
    setting.foreign_parent = True


_UNREAD = "Unknown ReadBackFailed"
_NOTHING = "Unknown NoTraffic"
_HERE = "True Delivered"

ROWS: Final[dict[str, Row]] = {
    # the way there
    "dns": Row("DNS: no such name", "Reachable False DNSNotFound", _UNREAD,
               _leads_to(lambda _: "https://langsmith.invalid"), heals=False),
    "refused": Row("nothing listens", "Reachable False ConnectionRefused", _UNREAD, _leads_to(_refused), heals=False),
    "expired": Row("certificate expired", "Reachable False TLSCertificateExpired", _UNREAD, _shows("expired"),
                   later=True),
    "wrong-name": Row("certificate for another name", "Reachable False TLSWrongHost", _UNREAD, _shows("wrong-name"),
                      later=True),
    "no-intermediate": Row("intermediate certificate missing", "Reachable False TLSUntrusted", _UNREAD,
                           _shows("missing-intermediate"), later=True),
    "unknown-ca": Row("certificate of another CA", "Reachable False TLSUntrusted", _UNREAD, _shows("unknown-ca"),
                      later=True),
    "plain": Row("https:// to a port of http", "Reachable False TLSNotSpoken", _UNREAD,
                 lambda setting: setting.langsmith.present(None), later=True),
    "tls": Row("http:// to a port of https", "Reachable False TLSExpected", _UNREAD,
               _leads_to(lambda s: s.langsmith.url.replace("https:", "http:"), allowPlaintext=True), heals=False),
    "reset": Row("connection reset", "Reachable False ConnectionCut", _UNREAD, _answers("reset"), later=True),
    "reset-mid-body": Row("reset in the middle of the answer", "Reachable False ConnectionCut", _UNREAD,
                          _answers("reset-mid-body"), later=True),
    "slow-loris": Row("answer that never ends", "Reachable False AnswerTimeout", _UNREAD, _answers("slow-loris")),
    "expires-soon": Row("certificate ends in three days", "Reachable True CertificateExpiresSoon", _HERE,
                        _shows("expires-soon")),
    "clock": Row("clocks differ", "Reachable True ClockSkew", _HERE, _clock),
    # what answers
    "prefix": Row("path prefix missing", "Reachable False APINotFound", _UNREAD,
                  _leads_to(lambda s: f"https://127.0.0.1:{s.langsmith.port}"), heals=False),
    "ui": Row("the web app answers", "Reachable False AnsweredByUI", _UNREAD, _answers("html"), later=True),
    "405": Row("405 from nginx", "Reachable False MethodNotAllowed", _UNREAD, _answers("method-not-allowed")),
    "301": Row("redirect to port 8443", "Reachable False Redirected", _UNREAD, _answers("redirect"), later=True),
    "login": Row("redirect to a login page", "Reachable False Redirected", _UNREAD, _answers("login-redirect")),
    "empty": Row("empty 200", "Reachable False EmptyAnswer", _UNREAD, _answers("empty")),
    "503": Row("503 from nginx", "Reachable False ServerError", _UNREAD, _answers("unavailable"), later=True),
    "429": Row("429 on everything", "Reachable Unknown RateLimited", "Unknown RateLimited", _answers("rate-limited")),
    "info-key": Row("/info wants a key", "Ingesting True Ingested", _HERE, _set(info_requires_key=True)),
    # the key
    "revoked": Row("key revoked", "Authenticated False KeyRejected", _UNREAD, lambda s: s.allow(state="revoked"),
                   later=True),
    "foreign": Row("key of another region", "Authenticated False KeyForbidden", _UNREAD,
                   lambda s: s.allow(state="foreign"), later=True),
    "legacy": Row("key of the old kind", "Authenticated False KeyLegacy", _UNREAD, lambda s: s.allow(state="legacy")),
    "org": Row("organization's key, no workspace", "Authenticated False WorkspaceRequired", _UNREAD,
               _without_workspace),
    "workspace": Row("key of another workspace", "Authenticated False WorkspaceMismatch", _UNREAD,
                     lambda s: s.allow(workspaces=(OTHER,)), later=True),
    # ingest
    "404": Row("404 on ingest", "Ingesting False OTLPRouteMissing", _NOTHING, _answers("not-found", "ingest")),
    "413": Row("413 on ingest", "Ingesting False BodyTooLarge", _NOTHING, _answers("too-large", "ingest")),
    "415": Row("415 on ingest", "Ingesting False EncodingRefused", _NOTHING,
               _answers("unsupported-media-type", "ingest")),
    "402": Row("spend cap on ingest", "Ingesting False SpendCap", _NOTHING, _answers("spend-cap", "ingest")),
    "429-ingest": Row("429 on ingest", "Ingesting Unknown RateLimited", _NOTHING, _answers("rate-limited", "ingest")),
    "503-ingest": Row("503 on ingest", "Ingesting False ServerError", _NOTHING, _answers("unavailable", "ingest")),
    "partial": Row("200 that rejects spans", "Ingesting False SpansRejected", _NOTHING,
                   _answers("partial-success", "ingest")),
    "quota": Row("usage limit: accepted and dropped", "Ingesting False NotVisible", _NOTHING,
                 _answers("quota", "ingest"), slow=True),
    "default": Row("traces land in default", "Ingesting False WrongProject", "False WrongProject",
                   _answers("default-project", "ingest")),
    "project": Row("traces land in another project", "Ingesting False WrongProject", "False WrongProject",
                   _answers("wrong-project", "ingest")),
    "elsewhere": Row("traces land in another workspace", "Ingesting False NotVisible", _NOTHING,
                     _answers("wrong-workspace", "ingest"), slow=True),
    "delay": Row("ingest is 12 s behind", "Ingesting True Ingested", _HERE, _delay),
    "orphans": Row("the gateway's callers are traced elsewhere", "Ingesting True Ingested", _NOTHING, _orphans),
    # reading back
    "v1": Row("only the first runs query", "Ingesting True Ingested", _HERE, _set(runs_v2=False)),
    "v2": Row("only the second runs query", "Ingesting True Ingested", _HERE, _set(runs_v1=False)),
}  # fmt: skip
