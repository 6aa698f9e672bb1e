"""Every reason that a condition can carry, as data.

Code, the reference page, the troubleshooting page and Argo CD's health script read this one
table, so a reason cannot exist without a meaning and an answer to "what do I do now?".
"""

from __future__ import annotations

from gateway_telemetry.api.reasons import cluster, delivery, langsmith, spec, workloads
from gateway_telemetry.api.reasons.names import Reason, Severity
from gateway_telemetry.api.reasons.rows import ReasonEntry

__all__ = ["BY_REASON", "TABLE", "Reason", "ReasonEntry", "Severity"]

TABLE: tuple[ReasonEntry, ...] = (
    *spec.ROWS,
    *workloads.ROWS,
    *langsmith.ROWS,
    *delivery.ROWS,
    *cluster.ROWS,
)
BY_REASON: dict[Reason, ReasonEntry] = {entry.reason: entry for entry in TABLE}
