"""When may a workload's pods be replaced? Few at a time, the oldest first, none after a failure, no endless fights.

Kept in memory: a restart forgets who waited and who fought, and finds out again; it never forgets what was written.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.control.queue import Ref
from gateway_telemetry.plan.rollout import progress
from gateway_telemetry.plan.sinks import SinkState
from gateway_telemetry.plan.store import Gateway, Store, target_key
from gateway_telemetry.plan.targets import Refused
from gateway_telemetry.plan.turns import asked, requested
from gateway_telemetry.plan.views import Key, Workload

WorkloadKey = tuple[str, str, str]

REPAIR_PAUSES = (0.0, 5.0, 30.0, 120.0, 600.0)
"""Seconds that must have passed since the last repair of a workload before the next; then it is given up."""
FIGHT_SECONDS = 3600.0
"""How long a repair is remembered: so often within this time means that somebody fights back."""


@dataclass(frozen=True)
class Limits:
    """How many workloads may have their pods replaced at a time; 0 is without limit."""

    cluster: int = 0
    namespace: int = 0


@dataclass
class _Fight:
    """Repairs of one workload.

    Attributes:
        cause: generation of the spec and request under which they were made; a new one starts afresh.
    """

    cause: tuple[int, str]
    repairs: deque[float] = field(default_factory=deque)


class Gate:
    """See ``plan.turns.Gate``."""

    def __init__(
        self,
        store: Store,
        limits: Limits,
        mark_later: Callable[[Ref, float], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._limits = limits
        self._mark_later = mark_later
        self._clock = clock
        self._begun: dict[WorkloadKey, tuple[str | None, str]] = {}
        self._waiting: dict[WorkloadKey, tuple[tuple[str, str, str], Ref]] = {}
        self._failed: dict[WorkloadKey, Key] = {}
        self._fights: dict[WorkloadKey, _Fight] = {}

    def hold(self, view: Gateway, workload: Workload, *, repair: bool) -> Refused | None:
        """Return why the workload's pods may not be replaced now, or None; see ``plan.turns.Gate``."""
        refusal = self._fought_over(view, workload) if repair else None
        if refusal is None and workload.rollout.desired > 0 and workload.key not in self._failed:
            refusal = self._turn(view, workload)
        if refusal is None:
            self._waiting.pop(workload.key, None)
            if workload.rollout.desired > 0:
                self._begun[workload.key] = _mark(workload)
            if repair:
                self._fights[workload.key].repairs.append(self._clock())
        return refusal

    def _fought_over(self, view: Gateway, workload: Workload) -> Refused | None:
        cause = (view.generation, requested(view) or "")
        fight = self._fights.get(workload.key)
        if fight is None or fight.cause != cause:
            fight = self._fights[workload.key] = _Fight(cause)
        now = self._clock()
        while fight.repairs and fight.repairs[0] <= now - FIGHT_SECONDS:
            fight.repairs.popleft()
        count = len(fight.repairs)
        where = f"{workload.kind} {workload.namespace}/{workload.name}"
        who = f"field manager {workload.last_manager!r}" if workload.last_manager else "somebody"
        again = Ref("GatewayTelemetry", view.namespace, view.name)
        if count >= len(REPAIR_PAUSES):
            self._mark_later(again, fight.repairs[0] + FIGHT_SECONDS - now + 1)
            return Refused(
                Reason.FOUGHT_OVER,
                f"{where}: the settings were taken away {count + 1} times within the last hour, last by {who}; they "
                "are not put back again before the spec changes, somebody sets gatewaytelemetry.dev/requestedAt, or "
                "an hour has passed",
            )
        wait = REPAIR_PAUSES[count] - (now - fight.repairs[-1]) if count else 0.0
        if wait > 0:
            self._mark_later(again, wait)
            return Refused(
                Reason.NOT_WRITTEN,
                f"{where}: the settings were taken away by {who}; they are put back in {wait:.0f} s",
            )
        return None

    def _turn(self, view: Gateway, workload: Workload) -> Refused | None:
        where = f"{workload.kind} {workload.namespace}/{workload.name}"
        target = target_key(view)
        failed = next((key for key, other in sorted(self._failed.items()) if other == target), None)
        if failed is not None and not asked(view):
            kind, namespace, name = failed
            return Refused(
                Reason.ROLLOUT_STOPPED,
                f"{where} waits: the rollout of {kind} {namespace}/{name} failed with settings of the same target; "
                f"mend that, or go on anyway with kubectl annotate gatewaytelemetry {view.name} -n {view.namespace} "
                "--overwrite gatewaytelemetry.dev/requestedAt=$(date +%s)",
            )
        under_way = self._under_way() - {workload.key}
        here = sum(1 for key in under_way if key[1] == workload.namespace)
        full = _full(self._limits.cluster, len(under_way)), _full(self._limits.namespace, here)
        older = self._older_waiting(view, workload)
        if not any(full) and not older:
            return None
        self._waiting[workload.key] = (view.age, Ref("GatewayTelemetry", view.namespace, view.name))
        scope = "in the cluster" if full[0] else f"in namespace {workload.namespace}"
        count = len(under_way) if full[0] else here
        return Refused(
            Reason.ROLLOUT_QUEUED,
            f"{where} waits for its turn: {count} rollouts are under way {scope}, as many as the operator allows"
            if any(full)
            else f"{where} waits for its turn: GatewayTelemetry {older} is older",
        )

    def _under_way(self) -> set[WorkloadKey]:
        """Return the workloads whose pods are being replaced, also those whose controller has not yet seen it."""
        for key, before in list(self._begun.items()):
            live = self._store.workloads.get(key)
            if live is None or (_mark(live) != before and progress(live)[0] is not Reason.ROLLOUT_IN_PROGRESS):
                del self._begun[key]
        return self._store.rolling | set(self._begun)

    def _older_waiting(self, view: Gateway, workload: Workload) -> str:
        """Return the name of an older gateway that waits and could go now; the free turn is its own."""
        if not (self._limits.cluster or self._limits.namespace):
            return ""
        for key, (age, ref) in self._waiting.items():
            if key == workload.key or age >= view.age:
                continue
            under_way = self._under_way() - {key}
            here = sum(1 for item in under_way if item[1] == key[1])
            if not _full(self._limits.namespace, here):
                return f"{ref.namespace}/{ref.name}"
        return ""

    def seen(self, view: Gateway, sinks: tuple[SinkState, ...]) -> list[Ref]:
        """Take what a plan found after its writes; return the gateways whose turn it may be now, the oldest first."""
        for item in sinks:
            key = item.workload.key
            if item.state != "Pending" or item.reason is not Reason.ROLLOUT_QUEUED:
                self._waiting.pop(key, None)
            if item.state == "Failed" and item.reason in (Reason.ROLLOUT_FAILED, Reason.ROLLED_BACK):
                self._failed[key] = target_key(view)
            else:
                self._failed.pop(key, None)
            live = self._store.workloads.get(key)
            if live is not None and self._begun.get(key) == _mark(live):
                del self._begun[key]  # the turn was given, and the write failed
        return self.next_turns()

    def next_turns(self) -> list[Ref]:
        """Return the gateways that wait and may go now, the oldest first."""
        for key in [item for item in self._waiting if item not in self._store.workloads]:
            del self._waiting[key]
        if not self._waiting:
            return []
        free = self._limits.cluster - len(self._under_way()) if self._limits.cluster else len(self._waiting)
        return [ref for _, ref in sorted(set(self._waiting.values()))[: max(free, 0)]]

    def gone(self, workloads: list[WorkloadKey]) -> None:
        """Forget workloads that carry nothing of ours any more."""
        for key in workloads:
            for memory in (self._begun, self._waiting, self._failed, self._fights):
                memory.pop(key, None)


def _mark(workload: Workload) -> tuple[str | None, str]:
    """Return what a write of ours changes in a pod template."""
    return workload.config_hash, workload.restarted_at


def _full(limit: int, count: int) -> bool:
    return 0 < limit <= count
