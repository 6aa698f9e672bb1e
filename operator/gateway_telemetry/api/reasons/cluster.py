"""What the cluster allows the operator, and the end of its work."""

from __future__ import annotations

from gateway_telemetry.api.reasons.names import Reason, Severity
from gateway_telemetry.api.reasons.rows import ReasonEntry, bad, wait

ROWS: tuple[ReasonEntry, ...] = (
    bad(
        Reason.RBAC_DENIED,
        "Programmed",
        "The operator's ServiceAccount may not do what is needed.",
        "Grant it: the message names verb, resource and namespace.",
    ),
    bad(
        Reason.READ_ONLY,
        "Programmed",
        "The operator only reports: it was started with --read-only (chart value readOnly).",
        "Look at what it would write, then set the chart's readOnly to false.",
    ),
    wait(
        Reason.WRITE_FAILED,
        "Programmed",
        "The API server did not take a write; the operator tries again with growing pauses.",
        "If it stays, look at the message and the operator's log.",
    ),
    ReasonEntry(
        Reason.UNINSTALLED,
        ("Ready",),
        "Unknown",
        Severity.UNKNOWN,
        "The operator was uninstalled; what it had written was taken away, and nobody looks after this object.",
        "Install the operator again to go on.",
    ),
    wait(
        Reason.RESTORING,
        "Programmed",
        "The object is being deleted; what was written is being taken away.",
    ),
)
