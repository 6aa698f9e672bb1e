"""When a target's LangSmith is looked at: one schedule per target, whatever the number of its gateways.

Pure bookkeeping over a clock that only grows; the requests are in ``proof.py``.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gateway_telemetry.api.conditions import Finding
from gateway_telemetry.api.meta import parse_duration
from gateway_telemetry.api.target import Canary, LangSmithTargetSpec, TargetVerification
from gateway_telemetry.langsmith.canary import PATIENCE
from gateway_telemetry.plan.proof import BY_CHOICE

NEVER = math.inf


@dataclass(frozen=True)
class Pace:
    """Pauses, in seconds.

    Attributes:
        probe_retry: between a probe that found trouble and the next; doubles up to the target's interval.
        canary_patience: that a canary may take to appear.
        canary_retry: between a canary that was not read back and the next, which is billed again; doubles.
        canary_retry_longest: the longest of those pauses.
        first_read: between a change of a gateway and the first look for its traces; doubles up to the interval.
        budget_refill: until gateways that the budget left out are looked for.
        after_restart: the longest pause before the first probe of what was known before a restart.
        evidence_step: how much newer a trace must be to be worth a write of its own.
    """

    probe_retry: float = 10.0
    canary_patience: float = PATIENCE
    canary_retry: float = 60.0
    canary_retry_longest: float = 3600.0
    first_read: float = 5.0
    budget_refill: float = 20.0
    after_restart: float = 30.0
    evidence_step: float = 300.0


def probe_interval(spec: LangSmithTargetSpec) -> float:
    """Return the pause between probes that found nothing wrong, in seconds."""
    return parse_duration((spec.verification or TargetVerification()).probe_interval).total_seconds()


def canary_of(spec: LangSmithTargetSpec) -> Canary:
    """Return the canary's settings, with their defaults."""
    return (spec.verification.canary if spec.verification is not None else None) or Canary()


def jittered(seconds: float) -> float:
    """Return about as many seconds, so that many targets are not looked at together."""
    return seconds * random.uniform(0.9, 1.1)  # noqa: S311


class Backoff:
    """A pause that doubles with every failure in a row."""

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self.failures = 0

    def failed(self, at_least: float | None = None) -> float:
        """Count a failure and return the pause after it, in seconds."""
        pause = min(self._first * 2.0 ** min(self.failures, 30), self._longest)
        self.failures += 1
        return max(jittered(pause), at_least or 0.0)

    def reset(self) -> None:
        """Forget the failures."""
        self.failures = 0


def settled(findings: Iterable[Finding]) -> bool:
    """Tell whether nothing is wrong: all True, or unknown by the user's own choice."""
    return all(item.status == "True" or item.reason in BY_CHOICE for item in findings)


class Reads:
    """When each project is read for its gateways' traces.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, pace: Pace, interval: float, clock: Callable[[], float]) -> None:
        self._pace = pace
        self._interval = interval
        self._clock = clock
        self._due: dict[str, float] = {}
        self._pause: dict[str, float] = {}

    def changed(self, project: str) -> None:
        """Look soon, and then at growing pauses: something about a gateway of the project is new."""
        self._pause[project] = self._pace.first_read
        due = self._clock() + self._pace.first_read
        self._due[project] = min(self._due.get(project, NEVER), due)

    def known(self, project: str) -> None:
        """Add a project of which there is a verdict already, unless it is there."""
        if project not in self._due:
            self._pause[project] = self._interval
            self._due[project] = self._clock() + self._pace.after_restart * random.random()  # noqa: S311

    def keep(self, projects: set[str]) -> None:
        """Forget all other projects."""
        for project in [item for item in self._due if item not in projects]:
            del self._due[project], self._pause[project]

    def due(self) -> list[str]:
        """Return the projects that are to be read now, those that wait longest first."""
        now = self._clock()
        return sorted((item for item, at in self._due.items() if at <= now), key=self._due.__getitem__)

    def done(self, project: str, *, left_out: bool, wait: float) -> None:
        """Set the next time of a project that was read.

        Args:
            left_out: whether the budget left gateways out.
            wait: seconds that the server asks to wait.
        """
        if project not in self._pause:
            return  # it went meanwhile
        pause = self._pause[project]
        self._pause[project] = min(pause * 2, self._interval)
        if left_out:
            pause = min(pause, self._pace.budget_refill)
        self._due[project] = self._clock() + max(jittered(min(pause, self._interval)), wait)

    def all_now(self) -> None:
        """Look at every project now: somebody asked."""
        for project in self._due:
            self._due[project] = self._clock()

    @property
    def next(self) -> float:
        """When the next project is due, on the clock."""
        return min(self._due.values(), default=NEVER)
