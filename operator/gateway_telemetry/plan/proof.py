"""What was found at LangSmith becomes conditions; it never starts, stops or undoes a write.

A verdict counts only for what it was made with: each carries a hash of URL, keys, CA, workspace and project, and is
kept over a restart of the operator as long as that hash is the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from gateway_telemetry.api.conditions import Finding, good, summarise, unknown
from gateway_telemetry.api.reasons import BY_REASON, Reason
from gateway_telemetry.plan.store import Custom, Gateway, Target
from gateway_telemetry.plan.targets import UNPROVEN, Resolved, hashed
from gateway_telemetry.plan.views import Key

BY_CHOICE = frozenset(
    {
        Reason.NOT_VERIFIED,
        Reason.CANARY_OFF,
        Reason.NO_READ_KEY,
        Reason.NO_PROJECT,
        Reason.WORKSPACE_UNVERIFIED,
        Reason.INFO_NEEDS_KEY,
    }
)
"""Reasons why something stays Unknown by the user's own choice; they do not lower a target's Ready."""


@dataclass(frozen=True)
class TargetProof:
    """What is known of one target's LangSmith.

    Attributes:
        findings: Reachable, Authenticated and Ingesting.
        hash: of what they were made with; None before the first look.
        uncounted: conditions that do not lower Ready though they are False: a first failure after a success.
        server: version of LangSmith.
        project: ``status.proof.project``.
        canary: ``status.proof.canary``.
    """

    findings: tuple[Finding, ...]
    hash: str | None = None
    uncounted: frozenset[str] = frozenset()
    server: str | None = None
    project: Mapping[str, Any] | None = field(default=None, hash=False)
    canary: Mapping[str, Any] | None = field(default=None, hash=False)


@dataclass(frozen=True)
class Connection:
    """Where one gateway's traces are to be looked for.

    Attributes:
        hash: of what the gateway sends with.
        stamp: value of the resource attribute ``gatewaytelemetry.id`` on its traces; None where it can carry none.
        ca: whether the target names a CA.
    """

    target: Key
    project: str
    hash: str
    stamp: str | None
    ca: bool = False


@dataclass(frozen=True)
class Seen:
    """The newest trace of a gateway that was read back."""

    time: str
    project: str
    run_url: str | None


@dataclass(frozen=True)
class GatewayProof:
    """What is known of one gateway's traces.

    Attributes:
        reachable: LangSmith as seen from the gateway's namespace, where that is asked for.
        vantage: hash of what that look depended on, once there is a verdict.
    """

    producing: Finding
    delivered: Finding
    seen: Seen | None = None
    reachable: Finding | None = None
    vantage: str | None = None


def target_hash(view: Target, resolved: Resolved) -> str:
    """Return what changes when a target must be looked at anew."""
    spec = view.spec
    assert spec is not None
    # Keys are random and long; that of one object says nothing about the same key in another one.
    return hashed(view.uid, resolved.digest, resolved.read_key, spec.workspace_id, spec.project)


def connection_hash(view: Gateway, resolved: Resolved, workspace_id: str | None, project: str) -> str:
    """Return what changes when a gateway's earlier traces no longer speak of its settings."""
    return hashed(view.uid, resolved.digest, workspace_id, project)


def nothing_known(message: str) -> TargetProof:
    """Return that a target has not been looked at yet."""
    return TargetProof(tuple(unknown(type_, Reason.PENDING, message) for type_ in UNPROVEN))


def remembered(view: Target, hash_: str) -> TargetProof | None:
    """Return what the status holds, if that was found with the present settings."""
    stored = view.status.get("proof") or {}
    findings = tuple(_stored(view, type_) for type_ in UNPROVEN)
    found = tuple(item for item in findings if item is not None)
    if stored.get("hash") != hash_ or len(found) != len(UNPROVEN):
        return None
    server = (stored.get("server") or {}).get("version")
    return TargetProof(found, hash_, frozenset(), server, stored.get("project"), stored.get("canary"))


def _stored(view: Custom[Any], type_: str) -> Finding | None:
    for item in view.status.get("conditions") or ():
        if item.get("type") == type_ and item.get("reason") in BY_REASON:
            return Finding(type_, item["status"], Reason(item["reason"]), item.get("message") or "")
    return None


def target_findings(findings: Sequence[Finding], proof: TargetProof) -> list[Finding]:
    """Return a target's findings with those of the proof in their places, and Ready of all that counts."""
    found = [item for item in findings if item.type in ("Accepted", "ResolvedRefs")]
    found += proof.findings
    counted = [item.type for item in found if item.type not in proof.uncounted and not _by_choice(item)]
    found += summarise(found, counted)
    return [*found, *(item for item in findings if item.type == "Suspended")]


def _by_choice(finding: Finding) -> bool:
    return finding.status == "Unknown" and finding.reason in BY_CHOICE


def target_proof_status(proof: TargetProof) -> dict[str, Any] | None:
    """Return ``status.proof``; None before the first look."""
    if proof.hash is None:
        return None
    result: dict[str, Any] = {"hash": proof.hash}
    if proof.server is not None:
        result["server"] = {"version": proof.server}
    if proof.project is not None:
        result["project"] = dict(proof.project)
    if proof.canary is not None:
        result["canary"] = dict(proof.canary)
    return result


def gateway_findings(findings: Sequence[Finding], proof: GatewayProof) -> list[Finding]:
    """Return a gateway's findings with those of the proof in their places, and Ready of all that counts.

    Delivered lowers Ready only where it is False: no traffic is no fault.
    """
    if not any(item.type == "Delivered" for item in findings):
        return list(findings)
    found = [item for item in findings if item.type in ("Accepted", "ResolvedRefs", "Programmed")]
    counted = [item.type for item in found]
    if proof.reachable is not None:
        found.append(proof.reachable)
        # Traces that arrive are more than a look from beside the gateway.
        if proof.reachable.status == "False" and proof.delivered.status != "True":
            counted.append("Reachable")
    found += [proof.producing, proof.delivered]
    if proof.delivered.status == "False":
        counted.append("Delivered")
    found += summarise(found, counted)
    return [*found, *(item for item in findings if item.type == "Suspended")]


def since(view: Gateway, connection: Connection, *, programmed: bool, now: str) -> str | None:
    """Return since when all pods run with the present connection; None while they do not yet."""
    stored = view.status.get("traces") or {}
    if stored.get("hash") == connection.hash and stored.get("since"):
        return str(stored["since"])
    return now if programmed else None


def moment(text: str | None) -> datetime | None:
    """Return a time of a status; None where there is none that can be read."""
    try:
        found = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None


def before_reading(view: Gateway, connection: Connection, running_since: str | None) -> GatewayProof:
    """Return what is known of a gateway whose traces were not looked for since the operator started."""
    stored = view.status.get("evidence") or {}
    seen = None
    if stored.get("lastTraceTime") and stored.get("project"):
        seen = Seen(stored["lastTraceTime"], stored["project"], stored.get("runUrl"))
    if connection.stamp is None:
        return _unread(unknown("Delivered", Reason.NOT_STAMPED))
    if running_since is None:
        if seen is None:
            return _unread(unknown("Delivered", Reason.PENDING, "Programmed must hold first."))
        text = "Not all pods run with the present settings yet; earlier traces do not speak of them."
        return replace(_unread(unknown("Delivered", Reason.OLD_CONFIG, text)), seen=seen)
    delivered, producing = _stored(view, "Delivered"), _stored(view, "Producing")
    same = (view.status.get("traces") or {}).get("hash") == connection.hash
    if same and delivered is not None and producing is not None and delivered.reason not in _SAID_BEFORE:
        return GatewayProof(producing, delivered, seen)
    return replace(_unread(unknown("Delivered", Reason.PENDING, "The traces have not been looked for yet.")), seen=seen)


_SAID_BEFORE = (Reason.NOT_VERIFIED, Reason.NO_READ_KEY, Reason.NOT_STAMPED, Reason.PENDING)
"""Verdicts that were given without looking, and so are worth nothing once there is a look."""


def _unread(delivered: Finding) -> GatewayProof:
    return GatewayProof(unknown("Producing", Reason.NO_SIGNAL), delivered)


def without_reading(reason: Reason) -> GatewayProof:
    """Return what is known of a gateway whose target gives nothing to read with."""
    return _unread(unknown("Delivered", reason))


def read(delivered: Finding, seen: Seen | None, before: GatewayProof) -> GatewayProof:
    """Return what a read of traces showed of a gateway.

    Args:
        before: what was known; a failed read or an old trace leaves Producing as it was.
    """
    producing = before.producing
    if delivered.reason in (Reason.DELIVERED, Reason.WRONG_PROJECT):
        producing = good("Producing", Reason.TRACES_SEEN)
    elif delivered.reason is Reason.NO_TRAFFIC:
        producing = unknown("Producing", Reason.NO_SIGNAL)
    return GatewayProof(producing, delivered, seen or before.seen)
