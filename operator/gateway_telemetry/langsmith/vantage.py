"""LangSmith as seen from somewhere else: what a pod in the gateway's namespace finds, and how it tells the operator.

The operator's network, DNS and trust are not the gateway's. A short-lived Job looks from where the gateway runs: DNS,
TCP, TLS and ``/info``, without any key. It says what it found in one line of JSON, which Kubernetes hands on as the
container's termination message. Whoever may create pods there can write such a line as well, so it is read with care.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import asdict, dataclass

from gateway_telemetry.api.conditions import bounded
from gateway_telemetry.api.reasons import BY_REASON, Reason
from gateway_telemetry.endpoint import Endpoints
from gateway_telemetry.langsmith.destination import Destination
from gateway_telemetry.langsmith.dial import Resolver, system_resolver
from gateway_telemetry.langsmith.failure import Failed
from gateway_telemetry.langsmith.probe import info
from gateway_telemetry.langsmith.transport import TIMEOUT, Transport

LIMIT = 4096
"""Bytes of a termination message that Kubernetes keeps
(https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/)."""
SETTLE = 3.0
"""Seconds after which a success must hold again: network plugins may enforce a policy a moment after a pod starts."""
PATIENCE = 20.0
"""Seconds for which a failure is looked at again: network plugins may open the way a moment after a pod starts."""
_PAUSE = 1.0
_FIELDS = {"reached", "reason", "message", "version"}
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\xa0-\uffff]+")
# An answer of LangSmith's, though not the one that was asked for: the way there is open.
_ANSWERED = {Reason.INFO_NEEDS_KEY, Reason.RATE_LIMITED}
# Reasons of Reachable while nobody has looked.
_NO_ANSWERS = {Reason.NOT_PROBED, Reason.NOT_VERIFIED, Reason.PENDING}
# What the table advises is written for the operator's own pod.
_ADVICE = {
    Reason.DNS_NOT_FOUND: "Check the host's name, and whether pods of this namespace are to resolve it by themselves.",
    Reason.DNS_UNAVAILABLE: "Let pods of this namespace reach the cluster's DNS (NetworkPolicy, egress to port 53).",
    Reason.NO_ROUTE: "Let the gateway's pods reach the host and port: look at NetworkPolicies of this namespace "
    "(egress), firewalls and routes.",
    Reason.PROXY_UNREACHABLE: "Let pods of this namespace reach the proxy; hosts that need none go into NO_PROXY.",
    Reason.TLS_UNTRUSTED: "Set caBundleRef of the target to the CA that issued it, or let the server send its "
    "intermediate certificates.",
    Reason.TLS_INTERCEPTED: "Something opens TLS between this namespace and LangSmith: exempt the host there, or set "
    "caBundleRef of the target to that CA.",
}


@dataclass(frozen=True)
class Verdict:
    """What was found from one place.

    Attributes:
        reached: whether LangSmith answered over trusted TLS.
        reason: one that Reachable may have.
        message: what was met and what to do; does not name the place.
        version: LangSmith's, where it was told.
    """

    reached: bool
    reason: Reason
    message: str
    version: str | None = None

    def to_json(self) -> str:
        """Return one line, short enough for a termination message."""
        message = self.message
        while True:
            line = json.dumps({**asdict(self), "reason": str(self.reason), "message": message}, ensure_ascii=False)
            if len(line.encode()) <= LIMIT:
                return line
            message = message[: len(message) // 2] + "…"

    @classmethod
    def from_json(cls, text: str) -> Verdict:
        """Read a line that a pod wrote.

        Raises:
            ValueError: it is no verdict; repeats nothing of it.
        """
        try:
            found = json.loads(text) if len(text) <= LIMIT else None
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or found.keys() != _FIELDS:
            raise ValueError("the message is no verdict")
        reason = next((item for item in Reason if item == found["reason"]), None)
        reached, message, version = found["reached"], found["message"], found["version"]
        if reason is None or reason in _NO_ANSWERS or "Reachable" not in BY_REASON[reason].conditions:
            raise ValueError("the verdict's reason is none that a look at LangSmith has")
        if not isinstance(reached, bool) or reached != _means_reached(reason):
            raise ValueError("the verdict contradicts its reason")
        if not isinstance(message, str) or not isinstance(version, str | None):
            raise ValueError("the verdict's message or version is no text")  # noqa: TRY004 one error for bad lines
        return cls(reached, reason, _printable(message, 1024), None if version is None else _printable(version, 80))


async def look(
    endpoints: Endpoints,
    ca_pem: str | None = None,
    *,
    allow_loopback: bool = False,
    resolver: Resolver = system_resolver,
    seconds: float = TIMEOUT,
    patience: float = PATIENCE,
    settle: float = SETTLE,
) -> Verdict:
    """Look at a LangSmith from here; never raises for what the network or a server do.

    Each look has connections of its own: one that is open already outlives a policy that forbids it.

    Args:
        seconds: that one look's request may take.
        patience: seconds for which a failure is looked at again.
        settle: seconds after which a success is looked at again.
    """
    destination = Destination(endpoints, ingest_key="", ca_pem=ca_pem)
    began = time.monotonic()
    confirmed = False
    while True:
        async with Transport(
            destination, allow_loopback=allow_loopback, resolver=resolver, timeout=seconds
        ) as transport:
            verdict = await _once(transport)
        if verdict.reached and confirmed:
            return verdict
        left = patience - (time.monotonic() - began)
        if not verdict.reached and left <= 0:
            return verdict
        confirmed = verdict.reached
        await asyncio.sleep(settle if confirmed else min(_PAUSE, left))


async def _once(transport: Transport) -> Verdict:
    try:
        server, found = await info(transport)
    except Failed as failure:
        return _failed(failure)
    if server is None:
        text = f"LangSmith answers at {transport.destination.endpoints.host}, and shows /info to no one without a key."
        return Verdict(True, found.reason, text)
    return Verdict(True, found.reason, found.message, server.version)


def _failed(failure: Failed) -> Verdict:
    entry = BY_REASON[failure.reason]
    what = failure.what or entry.meaning
    parts = (what if what.endswith((".", "…")) else f"{what}.", _ADVICE.get(failure.reason, entry.action))
    message = bounded(" ".join(part for part in parts if part))
    return Verdict(_means_reached(failure.reason), failure.reason, message)


def _means_reached(reason: Reason) -> bool:
    return BY_REASON[reason].status == "True" or reason in _ANSWERED


def _printable(text: str, longest: int) -> str:
    plain = _UNPRINTABLE.sub(" ", text).strip()
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"
