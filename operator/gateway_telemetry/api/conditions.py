"""Conditions as Kubernetes means them: one place computes them, time moves only with status.

https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md#typical-status-properties
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway_telemetry.api.reasons import BY_REASON, Reason, Severity

MESSAGE_LIMIT = 1024
"""Characters of a condition's message: enough to act on, small enough for ``kubectl describe``."""


@dataclass(frozen=True)
class Finding:
    """What was found about one condition, before it meets what is stored."""

    type: str
    status: str
    reason: Reason
    message: str


def good(type_: str, reason: Reason, message: str = "") -> Finding:
    """Return a finding with status True."""
    return Finding(type_, "True", reason, bounded(message or BY_REASON[reason].meaning))


def bad(type_: str, reason: Reason, message: str = "") -> Finding:
    """Return a finding with status False; its message ends with what to do."""
    return Finding(type_, "False", reason, explain(reason, message))


def unknown(type_: str, reason: Reason, message: str = "") -> Finding:
    """Return a finding with status Unknown."""
    return Finding(type_, "Unknown", reason, bounded(message or BY_REASON[reason].meaning))


def explain(reason: Reason, message: str = "") -> str:
    """Return the message, or the reason's meaning, followed by what to do."""
    entry = BY_REASON[reason]
    return bounded(message or f"{entry.meaning} {entry.action}".strip())


def bounded(text: str) -> str:
    """Return the text, cut where it is longer than a message may be."""
    return text if len(text) <= MESSAGE_LIMIT else text[: MESSAGE_LIMIT - 1] + "…"


def summarise(findings: Sequence[Finding], counted: Iterable[str]) -> list[Finding]:
    """Return Ready, and Stalled or Reconciling while they hold (kstatus).

    Ready takes the reason of the first counted finding that is not True. Stalled says that
    somebody must act, Reconciling that the operator is on its way;
    https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md.

    Args:
        findings: in order of dependency, what must hold first comes first.
        counted: condition types that Ready is made of.
    """
    types = set(counted)
    for finding in findings:
        if finding.type not in types or finding.status == "True":
            continue
        severity = BY_REASON[finding.reason].severity
        result = [Finding("Ready", finding.status, finding.reason, finding.message)]
        if severity is Severity.ACTION:
            result.append(Finding("Stalled", "True", finding.reason, finding.message))
        elif severity is Severity.WAITING:
            result.append(Finding("Reconciling", "True", finding.reason, finding.message))
        return result
    return [good("Ready", Reason.READY)]


def merge(
    stored: Sequence[Mapping[str, Any]], findings: Sequence[Finding], generation: int, now: str
) -> list[dict[str, Any]]:
    """Return the conditions to store.

    A condition that is not among the findings is dropped: all of them are this operator's.

    Args:
        stored: ``status.conditions`` as read.
        generation: ``metadata.generation`` of the spec that was judged.
        now: RFC 3339 time, used only where a status changed.
    """
    before = {item["type"]: item for item in stored}
    result = []
    for finding in findings:
        old = before.get(finding.type)
        same = old is not None and old.get("status") == finding.status
        result.append(
            {
                "lastTransitionTime": old["lastTransitionTime"] if same and old is not None else now,
                "message": finding.message,
                "observedGeneration": generation,
                "reason": str(finding.reason),
                "status": finding.status,
                "type": finding.type,
            }
        )
    return result
