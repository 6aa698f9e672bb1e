"""What a row of the table holds, and the few shapes that most rows have."""

from __future__ import annotations

from dataclasses import dataclass

from gateway_telemetry.api.reasons.names import Reason, Severity

REQUESTS = ("Reachable", "Authenticated", "Ingesting")
READ_BACK = ("Ingesting", "Delivered")
UNPROVEN = ("Reachable", "Authenticated", "Ingesting", "Producing", "Delivered")


@dataclass(frozen=True)
class ReasonEntry:
    """One row of the table.

    Attributes:
        conditions: condition types that carry the reason.
        status: the status it comes with.
        meaning: one sentence, for the troubleshooting page.
        action: what to do, one sentence; empty when there is nothing to do.
    """

    reason: Reason
    conditions: tuple[str, ...]
    status: str
    severity: Severity
    meaning: str
    action: str = ""


def ok(reason: Reason, conditions: tuple[str, ...], meaning: str) -> ReasonEntry:
    """Return a row of a good state."""
    return ReasonEntry(reason, conditions, "True", Severity.OK, meaning)


def bad(reason: Reason, condition: str, meaning: str, action: str, also: tuple[str, ...] = ()) -> ReasonEntry:
    """Return a row for what somebody must change; it counts against Ready."""
    return ReasonEntry(reason, (condition, *also, "Ready"), "False", Severity.ACTION, meaning, action)


def wait(reason: Reason, condition: str, meaning: str, action: str = "") -> ReasonEntry:
    """Return a row for what solves itself; it counts against Ready."""
    return ReasonEntry(reason, (condition, "Ready"), "False", Severity.WAITING, meaning, action)


def warns(reason: Reason, condition: str, meaning: str, action: str) -> ReasonEntry:
    """Return a row of a condition that holds, and that somebody should look at all the same."""
    return ReasonEntry(reason, (condition,), "True", Severity.OK, meaning, action)


def unsure(reason: Reason, conditions: tuple[str, ...], meaning: str, action: str = "") -> ReasonEntry:
    """Return a row for what is not known; it does not count against Ready."""
    return ReasonEntry(reason, conditions, "Unknown", Severity.UNKNOWN, meaning, action)


def passing(reason: Reason, meaning: str, action: str) -> ReasonEntry:
    """Return a row for what any request to LangSmith may meet, and what often solves itself."""
    return ReasonEntry(reason, (*REQUESTS, "Ready"), "False", Severity.WAITING, meaning, action)


def wrong(reason: Reason, meaning: str, action: str) -> ReasonEntry:
    """Return a row for what any request to LangSmith may meet, and what somebody must change."""
    return ReasonEntry(reason, (*REQUESTS, "Ready"), "False", Severity.ACTION, meaning, action)
