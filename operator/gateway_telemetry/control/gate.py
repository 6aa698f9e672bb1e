"""When may a workload's pods be replaced? Few at a time, the oldest first, none after a failure, no endless fights.

Kept in memory: a restart forgets who waited and who fought, and finds out again; it never forgets what was written, and
takes what had failed from the status.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.control.fights import REPAIR_PAUSES, Fights
from gateway_telemetry.control.queue import Ref
from gateway_telemetry.plan.rollout import progress
from gateway_telemetry.plan.sinks import SinkState
from gateway_telemetry.plan.store import Gateway, Store, selects, target_key
from gateway_telemetry.plan.targets import Refused
from gateway_telemetry.plan.turns import asked
from gateway_telemetry.plan.views import WORKLOAD_KINDS, Key, Record, Workload

WorkloadKey = tuple[str, str, str]

FEW = 100
"""So much may be remembered without looking whether it is still of use."""
TURN_SECONDS = 2.0
"""How often it is asked again for a turn where no event tells that one is free."""
QUEUED_SECONDS = 60.0
"""After so long a gateway that waits for its turn looks by itself, should nobody have told it."""


@dataclass(frozen=True)
class Limits:
    """How many workloads may have their pods replaced at a time; 0 is without limit."""

    cluster: int = 0
    namespace: int = 0


@dataclass(frozen=True)
class _Of:
    """What is remembered of a workload holds for the gateway that it was planned for."""

    owner: Key


Item = TypeVar("Item", bound=_Of)


@dataclass(frozen=True)
class _Begun(_Of):
    """A turn that was given.

    Attributes:
        generation: of the workload before the write; a write of its pod template raises it.
        pods: whether there are any to be replaced.
    """

    generation: int
    pods: bool


@dataclass(frozen=True)
class _Waiting(_Of):
    age: tuple[str, str, str]


@dataclass(frozen=True)
class _Failed(_Of):
    target: Key


class Gate:
    """See ``plan.turns.Gate``."""

    def __init__(
        self,
        store: Store,
        limits: Limits,
        mark_later: Callable[[Ref, float], None],
        clock: Callable[[], float] = time.monotonic,
        pauses: Sequence[float] = REPAIR_PAUSES,
    ) -> None:
        self._store = store
        self._limits = limits
        self._mark_later = mark_later
        self._fights = Fights(mark_later, clock, pauses)
        self._begun: dict[WorkloadKey, _Begun] = {}
        self._waiting: dict[WorkloadKey, _Waiting] = {}
        self._stopped: dict[WorkloadKey, _Of] = {}
        self._failed: dict[WorkloadKey, _Failed] = {}
        self._restoring: dict[WorkloadKey, int] = {}
        """Generations of workloads before something was taken out of them."""
        self._going_on: dict[Key, set[WorkloadKey]] = {}
        """Failures in spite of which a gateway was told to go on."""
        self._kept = FEW
        self._recalled = False

    def __len__(self) -> int:
        """Return how much is remembered."""
        others = len(self._fights) + len(self._going_on) + len(self._restoring)
        return sum(len(memory) for memory in self._memories()) + others

    def hold(self, view: Gateway, workload: Workload, *, repair: bool) -> Refused | None:
        """Return why the workload's pods may not be replaced now, or None; see ``plan.turns.Gate``."""
        if not self._recalled:
            self._recall()
        key = workload.key
        state = workload.uid, workload.generation
        refusal = self._fights.refusal(view, key, workload.last_manager, state) if repair else None
        if refusal is None and workload.rollout.desired > 0:
            refusal = self._stop(view, workload) or self._turn(view, workload)
        if refusal is not None:
            return refusal
        self._waiting.pop(key, None)
        self._stopped.pop(key, None)
        if repair:
            self._fights.count(key, state)
        self._begun[key] = _Begun(view.key, workload.generation, workload.rollout.desired > 0)
        return None

    def _recall(self) -> None:
        """Take the failures that an earlier process told of, until this one has looked for itself.

        All gateways are in the store before the first question is asked.
        """
        self._recalled = True
        for view in self._store.gateways.values():
            for item in view.status.get("sinks") or () if view.spec is not None else ():
                if item.get("state") == "Failed" and item.get("reason") in _FAILURES:
                    key = item["kind"], view.namespace, item["name"]
                    self._failed.setdefault(key, _Failed(view.key, target_key(view)))

    def mend(self, view: Gateway, record: Record, manager: str = "", beside: str = "") -> Refused | None:
        """Return why a Secret that somebody changed may not be put right now, or None; see ``plan.turns.Gate``."""
        key, repairs = ("Secret", record.namespace, record.name), 0
        if record.added is not None:
            key, repairs = record.workload_key, record.added.repairs
        state = record.version, record.changed_at, record.digest, repairs, beside
        refusal = self._fights.refusal(view, key, manager, state)
        if refusal is None:
            self._fights.count(key, state)
        return refusal

    def _stop(self, view: Gateway, workload: Workload) -> Refused | None:
        """Return why nothing more of this target is rolled out, or None; what failed itself may be mended."""
        _drop(self._failed, self._is_over)
        if workload.key in self._failed:
            return None
        if asked(view):
            self._going_on[view.key] = self._failures(target_key(view))
        failures = self._failures_for(view)
        if not failures:
            return None
        self._stopped[workload.key] = _Of(view.key)
        kind, namespace, name = min(failures)
        return Refused(
            Reason.ROLLOUT_STOPPED,
            f"{workload.kind} {workload.namespace}/{workload.name} waits: the rollout of {kind} {namespace}/{name} "
            "failed with settings of the same target; mend that, or go on anyway with kubectl annotate "
            f"gatewaytelemetry {view.name} -n {view.namespace} --overwrite "
            "gatewaytelemetry.dev/requestedAt=$(date +%s)",
        )

    def _failures(self, target: Key) -> set[WorkloadKey]:
        return {key for key, item in self._failed.items() if item.target == target}

    def _failures_for(self, view: Gateway) -> set[WorkloadKey]:
        """Return the failures that stop a gateway: those of its target of which it was not told to go on."""
        return self._failures(target_key(view)) - self._going_on.get(view.key, set())

    def _turn(self, view: Gateway, workload: Workload) -> Refused | None:
        if not (self._limits.cluster or self._limits.namespace):
            return None
        self._waiting[workload.key] = _Waiting(view.key, view.age)
        under_way = self._under_way()
        going = self._may_go(under_way)
        if workload.key in going:
            return None
        # Nobody looks after a workload that has just been restored, so nobody tells when its pods run.
        self._mark_later(_ref(view.key), TURN_SECONDS if self._restoring else QUEUED_SECONDS)
        where = f"{workload.kind} {workload.namespace}/{workload.name}"
        here = sum(1 for key in under_way if key[1] == workload.namespace)
        if _full(self._limits.cluster, len(under_way)):
            scope = f"{len(under_way)} rollouts are under way in the cluster, as many as the operator allows"
        elif _full(self._limits.namespace, here):
            scope = f"{here} rollouts are under way in namespace {workload.namespace}, as many as the operator allows"
        else:
            kind, namespace, name = going[0]
            scope = f"{kind} {namespace}/{name} is before it"
        return Refused(Reason.ROLLOUT_QUEUED, f"{where} waits for its turn: {scope}")

    def restore(self, workload: Workload) -> Refused | None:
        """Return why what was written may not be taken out of a workload now, or None if it may; that counts as begun.

        Nobody queues for it: whoever may not asks again (ADR 0020).
        """
        under_way = self._under_way()
        if workload.rollout.desired > 0 and workload.key not in under_way:
            here = sum(1 for key in under_way if key[1] == workload.namespace)
            if _full(self._limits.cluster, len(under_way)) or _full(self._limits.namespace, here):
                return Refused(
                    Reason.ROLLOUT_QUEUED,
                    f"{workload.kind} {workload.namespace}/{workload.name} waits until what was written is taken out "
                    f"of it: {len(under_way)} rollouts are under way in the cluster, {here} of them in its namespace, "
                    "as many as the operator allows",
                )
        if workload.rollout.desired > 0:
            self._restoring[workload.key] = workload.generation
        return None

    def restored(self, key: WorkloadKey) -> None:
        """Take note that a restore was tried; one that changed nothing replaces no pods."""
        live = self._store.workloads.get(key)
        if live is None or live.generation == self._restoring.get(key):
            self._restoring.pop(key, None)

    def _under_way(self) -> set[WorkloadKey]:
        """Return the workloads whose pods are being replaced, also those whose controller has not yet seen it.

        A rollout that has failed is not under way: its pods may stay as they are for ever.
        """
        _drop(self._failed, self._is_over)
        _drop(self._begun, self._has_ended)
        for key in [key for key, before in self._restoring.items() if self._is_restored(key, before)]:
            del self._restoring[key]
        rolling = {
            key
            for key in self._store.rolling
            if key not in self._failed and _has_pods_to_replace(self._store.workloads[key])
        }
        return rolling | self._restoring.keys() | {key for key, begun in self._begun.items() if begun.pods}

    def _is_restored(self, key: WorkloadKey, before: int) -> bool:
        live = self._store.workloads.get(key)
        return (
            live is None
            or live.deleting
            or (live.generation != before and progress(live)[0] is not Reason.ROLLOUT_IN_PROGRESS)
        )

    def _may_go(self, under_way: set[WorkloadKey]) -> list[WorkloadKey]:
        """Return the workloads that wait and may go now, those of the oldest gateway first."""
        count, by_namespace = len(under_way), Counter(key[1] for key in under_way)
        if _full(self._limits.cluster, count):
            return sorted(under_way & self._waiting.keys())
        _drop(self._waiting, self._is_over)
        going = []
        for key, _ in sorted(self._waiting.items(), key=lambda item: (item[1].age, item[0])):
            if key not in under_way:
                if _full(self._limits.cluster, count) or _full(self._limits.namespace, by_namespace[key[1]]):
                    continue
                count += 1
                by_namespace[key[1]] += 1
            going.append(key)
        return going

    def seen(self, view: Gateway, sinks: tuple[SinkState, ...]) -> list[Ref]:
        """Take what a plan found after its writes; return the gateways whose turn it may be now, the oldest first."""
        present = {item.workload.key for item in sinks}
        _drop(self._waiting, lambda key, item: item.owner == view.key and key not in present)
        _drop(self._stopped, lambda key, item: item.owner == view.key and key not in present)
        for item in sinks:
            key = item.workload.key
            if item.reason is not Reason.ROLLOUT_QUEUED:
                self._waiting.pop(key, None)
            if item.reason is not Reason.ROLLOUT_STOPPED:
                self._stopped.pop(key, None)
            if item.state == "Failed" and item.reason in _FAILURES:
                self._failed[key] = _Failed(view.key, target_key(view))
                self._begun.pop(key, None)
            else:
                self._failed.pop(key, None)
                self._settle(key)
        if len(self) > 2 * self._kept:
            self._sweep()
        return self.next_turns()

    def _settle(self, key: WorkloadKey) -> None:
        """Take back a turn that was given and not used: the write failed, or the gateway is suspended."""
        begun, live = self._begun.get(key), self._store.workloads.get(key)
        if begun is None or live is None:
            return
        unused = live.generation == begun.generation
        if unused or self._has_ended(key, begun):
            del self._begun[key]
        if unused:
            self._fights.take_back(key, (live.uid, live.generation))

    def next_turns(self) -> list[Ref]:
        """Return the gateways that wait and may go now, the oldest first."""
        owners = [self._waiting[key].owner for key in self._may_go(self._under_way())] if self._waiting else []
        _drop(self._failed, self._is_over)
        _drop(self._stopped, self._is_over)
        for key, item in list(self._stopped.items()):
            if not self._failures_for(self._store.gateways[item.owner]):
                del self._stopped[key]
                owners.append(item.owner)
        return [_ref(key) for key in sorted(set(owners), key=lambda key: self._store.gateways[key].age)]

    def gone(self, workloads: Iterable[WorkloadKey]) -> None:
        """Forget workloads that carry nothing of ours any more; whoever waited for that is looked at again."""
        gone = set(workloads)
        for memory in self._memories():
            _drop(memory, lambda key, _: key in gone)
        self._fights.forget(lambda key, _: key in gone)
        self._sweep()
        for ref in self.next_turns():
            self._mark_later(ref, 0.0)

    def _memories(self) -> tuple[dict[WorkloadKey, Any], ...]:
        return self._begun, self._waiting, self._stopped, self._failed

    def _is_over(self, key: WorkloadKey, item: _Of) -> bool:
        """Tell whether what is remembered speaks of something gone, or that the gateway has nothing to do with now."""
        workload, view = self._store.workloads.get(key), self._store.gateways.get(item.owner)
        if workload is None or workload.deleting or view is None or view.deleting or view.spec is None:
            return True
        return not selects(view, workload)

    def _has_ended(self, key: WorkloadKey, begun: _Begun) -> bool:
        live = self._store.workloads.get(key)
        if live is None or self._is_over(key, begun):
            return True
        return live.generation != begun.generation and progress(live)[0] is not Reason.ROLLOUT_IN_PROGRESS

    def _sweep(self) -> None:
        for memory in self._memories():
            _drop(memory, self._is_over)
        _drop(self._begun, self._has_ended)
        self._fights.forget(
            lambda key, owner: (
                owner not in self._store.gateways or (key[0] in WORKLOAD_KINDS and self._is_over(key, _Of(owner)))
            )
        )
        for owner, failures in list(self._going_on.items()):
            failures &= self._failed.keys()
            if not failures or owner not in self._store.gateways:
                del self._going_on[owner]
        self._kept = max(len(self), FEW)


_FAILURES = (Reason.ROLLOUT_FAILED, Reason.ROLLED_BACK)


def _has_pods_to_replace(workload: Workload) -> bool:
    return workload.rollout.desired > 0 and not workload.deleting


def _drop(memory: dict[WorkloadKey, Item], over: Callable[[WorkloadKey, Item], bool]) -> None:
    for key in [key for key, item in memory.items() if over(key, item)]:
        del memory[key]


def _ref(key: Key) -> Ref:
    return Ref("GatewayTelemetry", *key)


def _full(limit: int, count: int) -> bool:
    return 0 < limit <= count
