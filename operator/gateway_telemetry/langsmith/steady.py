"""Hysteresis: what may pass by itself must be seen twice in a row before a condition follows it."""

from __future__ import annotations

from collections.abc import Iterable

from gateway_telemetry.api.conditions import Finding
from gateway_telemetry.api.reasons import BY_REASON, Severity

_AT_ONCE = (Severity.OK, Severity.ACTION)


class Steady:
    """Keeps the last finding of each condition while a new one is only a single lost packet.

    Good states, and what somebody must change, are taken at once: they are answers, not the lack of one.

    Args:
        needed: how often in a row a passing failure, or not knowing, must be found.
        known: what was found before.
    """

    def __init__(self, needed: int = 2, known: Iterable[Finding] = ()) -> None:
        self._needed = needed
        self._last: dict[str, Finding] = {item.type: item for item in known}
        self._streak: dict[str, int] = {}

    def settle(self, finding: Finding) -> Finding:
        """Return the finding to show for its condition."""
        last = self._last.get(finding.type)
        passing = BY_REASON[finding.reason].severity not in _AT_ONCE
        streak = self._streak.get(finding.type, 0) + 1 if passing else 0
        self._streak[finding.type] = streak
        if last is not None and passing and streak < self._needed:
            return last
        self._last[finding.type] = finding
        return finding
