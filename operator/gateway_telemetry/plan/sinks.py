"""How far each workload is, and what of that the condition Programmed tells."""

from __future__ import annotations

from dataclasses import dataclass

from gateway_telemetry.api.conditions import Finding, bad, good, unknown
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.plan.views import WORKLOAD_KINDS, Rollout, Workload
from gateway_telemetry.plan.writes import Write


@dataclass(frozen=True)
class SinkState:
    """One workload: what must be written and how far it is.

    Attributes:
        restart: a time (RFC 3339) since which its pods must have started, when they are to be restarted for that.
    """

    workload: Workload
    container: str | None
    state: str
    reason: Reason
    message: str
    write: Write | None = None
    restart: str = ""


def without_pods(kind: str, namespace: str, name: str) -> Workload:
    """Return something that has no pods of its own, in the form in which sinks are told."""
    return Workload(
        kind=kind,
        namespace=namespace,
        name=name,
        uid="",
        generation=0,
        labels={},
        containers=(),
        volumes=(),
        config_hash=None,
        record=None,
        rollout=Rollout(0, 0, 0, 0, 0, paused=False, by_hand=None, failure=None),
        deleting=False,
        owned=False,
    )


def sink(
    workload: Workload,
    state: str,
    reason: Reason,
    message: str,
    container: str | None = None,
    write: Write | None = None,
) -> SinkState:
    """Return the state of one workload."""
    return SinkState(workload, container, state, reason, message, write)


def waiting(matched: list[Workload]) -> tuple[SinkState, ...]:
    """Return the sinks of a gateway for which nothing new is written."""
    return tuple(sink(item, "Pending", Reason.PENDING, "") for item in matched)


_ORDER = ("Blocked", "Failed", "Pending", "RollingOut", "Programmed")


def by_trouble(sinks: tuple[SinkState, ...]) -> list[SinkState]:
    """Return the sinks, those with trouble first, then by kind and name."""
    return sorted(sinks, key=lambda item: (_ORDER.index(item.state), item.workload.kind, item.workload.name))


def programmed(sinks: tuple[SinkState, ...]) -> Finding:
    """Return the condition Programmed: the worst sink decides, and is named."""
    worst = by_trouble(sinks)[0]
    if worst.state == "Programmed":
        notes = sorted({item.message for item in sinks if item.message})
        things = "workloads" if all(item.workload.kind in WORKLOAD_KINDS for item in sinks) else "objects"
        return good("Programmed", Reason.PROGRAMMED, ". ".join([f"{len(sinks)} of {len(sinks)} {things}", *notes]))
    rest = sum(1 for item in sinks if item.state != "Programmed") - 1
    more = f" (and {rest} more: see status.sinks)" if rest else ""
    tell = unknown if worst.reason is Reason.AWAITING_APPROVAL else bad
    return tell("Programmed", worst.reason, f"{worst.message}{more}")
