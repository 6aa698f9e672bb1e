"""One key at a time: plan, write what is missing, take away what is too much, report once.

Planning is pure and done twice: before the writes, and after them with what failed, so the conditions speak of the
cluster as it is and not of what was intended.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from gateway_telemetry.adapters import adapter_of
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.cluster.client import Client
from gateway_telemetry.cluster.errors import ApiError
from gateway_telemetry.cluster.paths import CONFIGURED, GATEWAY_TELEMETRIES, LANGSMITH_TARGETS
from gateway_telemetry.control import resources
from gateway_telemetry.control.control_planes import ControlPlanes
from gateway_telemetry.control.denied import Denied
from gateway_telemetry.control.feed import GATEWAY, TARGET, Feed
from gateway_telemetry.control.gate import TURN_SECONDS, Gate
from gateway_telemetry.control.lookups import (
    UNWATCHED_SECONDS,
    EnvFrom,
    Services,
    Targets,
    files,
    pods_of,
    references,
    service_key,
)
from gateway_telemetry.control.proof import Verifier
from gateway_telemetry.control.queue import Queue, Ref, Retry
from gateway_telemetry.control.restores import Restores
from gateway_telemetry.control.vantage import Vantage
from gateway_telemetry.control.writes import Writer, refusal
from gateway_telemetry.plan.gateways import (
    REFERENCE,
    GatewayPlan,
    Planner,
    WorkloadKey,
    leaving,
    left_behind,
    restorable,
)
from gateway_telemetry.plan.options import Options
from gateway_telemetry.plan.proof import GatewayProof, since
from gateway_telemetry.plan.sinks import SinkState
from gateway_telemetry.plan.status import gateway_status, target_status
from gateway_telemetry.plan.store import Gateway, Store, target_key
from gateway_telemetry.plan.targets import Refused
from gateway_telemetry.plan.views import Key, Pod, Workload
from gateway_telemetry.plan.writes import secret_name

logger = logging.getLogger(__name__)

ROLLING_SECONDS = 5.0
"""How often the pods of a rollout are looked at: a crash loop is not told by the workload's own status."""
AT_ONCE = 10
"""Runs of one gateway in a row that may ask for another one at once."""
NO_PODS_SECONDS = 2.0
"""How long a status waits for the controller of a workload without pods."""
PATIENT_SECONDS = 300.0
"""How long a deletion waits for turns; after that it restores without limit."""
RESTORE_SECONDS = 600.0
"""How long a deletion may be held up by writes that fail; after that the records wait for better times alone."""


class Reconciler:
    """Reconciles all kinds of keys against one store."""

    def __init__(
        self,
        client: Client,
        store: Store,
        feed: Feed,
        options: Options,
        gate: Gate,
        queue: Queue,
        verifier: Verifier | None = None,
        vantage: Vantage | None = None,
        now: Callable[[], str] | None = None,
    ) -> None:
        self._store = store
        self._queue = queue
        self._services = Services(client)
        self._targets = Targets(store, options, self._services)
        self._writer = Writer(client, store, feed)
        self._client = client
        self._options = options
        self._gate = gate
        self._verifier = verifier
        self._vantage = vantage
        self._restores = Restores(store, self._writer, gate)
        self._control_planes = ControlPlanes(
            client, store, feed, self._writer, options, self._targets.resolve, queue.add_later
        )
        self._now = now or now_text
        self._denied = Denied(queue.add)
        self._deleting_since: dict[Key, float] = {}
        self._settling: dict[Key, float] = {}
        self._unwritten: set[Key] = set()
        """Gateways of which the last write into the object of ``install.resource`` failed."""
        self._immediate: dict[Key, int] = {}
        """Runs of a gateway in a row that asked for another one at once."""

    def finalizers(self, *, wanted: bool) -> None:
        """Say whether finalizers may be put on; without, those that are there are taken off."""
        self._writer.finalizers = wanted

    def forget_answers(self) -> None:
        """Ask for what is not watched anew."""
        self._services.forget()

    async def __call__(self, key: Ref) -> float | None:
        """Reconcile one key; see ``queue.Handler``.

        Raises:
            Retry: something could not be written; the conditions say what.
            ApiError: the API server refused something that conditions do not speak of.
        """
        if key.kind == TARGET:
            return await self._target((key.namespace, key.name))
        if key.kind == GATEWAY:
            view = self._store.gateways.get((key.namespace, key.name))
            if view is not None and not view.deleting and view.spec and view.spec.install.control_plane:
                return await self._tenant(view)
            return await self._gateway((key.namespace, key.name))
        released = await self._writer.release(*key)
        record = self._store.records.get((key.namespace, secret_name(key.kind, key.name)))
        if released and record is not None:
            self._queue.add(Ref(GATEWAY, *record.owner))  # what was told of the claim is no longer true
        return None

    async def _target(self, key: Key) -> float | None:
        view = self._store.targets.get(key)
        if view is None:
            self._targets.forget(key)
            if self._verifier is not None:
                self._verifier.forget_target(key)
            return None
        if await self._services.refresh(view):
            for gateway in self._store.gateways_of_target(key):
                self._queue.add(Ref(GATEWAY, *gateway))
        result = self._targets.resolve(view)
        proof = self._verifier.target(view, result) if self._verifier is not None else None
        await self._writer.status(LANGSMITH_TARGETS, view, target_status(view, result, self._now(), proof))
        return UNWATCHED_SECONDS if service_key(view) is not None else None

    async def _gateway(self, key: Key) -> float | None:
        view = self._store.gateways.get(key)
        if view is None or view.deleting:
            return await self._leave(key, view)
        pods: dict[WorkloadKey, list[Pod]] = {}
        planner = await self._planner(view, pods)
        plan, unread = await self._before_writes(view, planner, pods)
        if self._outdated(view):
            return None
        failures = {} if _suspended(view) else await self._apply(view, plan)
        if self._outdated(view):
            return None
        # The view may be newer by now: the finalizer was written.
        view = self._store.gateways[key]
        if failures is not None:
            if any(record.reference for record in plan.restore) or (view.spec and view.spec.install.resource):
                # The workload took variables from the Secret that is gone by now; the object is another one.
                planner = await self._planner(view, pods)
            if restarted := [item.workload for item in plan.sinks if item.restart]:
                # A rollout that was over before its write returned gives no further event.
                unread |= await self._read_pods(restarted, pods)
            failures |= unread
            plan = planner.plan(view, failures)
        under_way = any(item.reason is Reason.ROLLOUT_IN_PROGRESS for item in plan.sinks)
        rolling = _rolling(plan)
        if unseen := [item for item in rolling if item.key not in pods]:
            unread |= await self._read_pods(unseen, pods)
            plan = planner.plan(view, {**unread, **(failures or {})})
        if self._gives_turns(view, plan) and not failures and not _suspended(view):
            return self._at_once(key)  # what held it back was its own, and has just ended
        if self._settles(key, settling=under_way and not rolling and not failures):
            return NO_PODS_SECONDS
        pause = await self._report(view, plan, {**unread, **(failures or {})}, rolling=bool(rolling))
        return _looks_again(view, pause)

    async def _before_writes(
        self, view: Gateway, planner: Planner, pods: dict[WorkloadKey, list[Pod]]
    ) -> tuple[GatewayPlan, dict[WorkloadKey, Refused]]:
        """Return the plan of what is to be written, and the workloads whose pods could not be read."""
        unread: dict[WorkloadKey, Refused] = {}
        if view.spec is not None and view.spec.install.reference is not None:
            unread = await self._read_pods(self._store.workloads_matching(view), pods)
        plan = planner.plan(view, unread)
        if rolling := _rolling(plan):
            # Its pods may tell of a failure, and that is to be taken back in this round.
            unread |= await self._read_pods(rolling, pods)
            plan = planner.plan(view, unread)
        return plan, unread

    def _outdated(self, view: Gateway) -> bool:
        """Tell whether what was found for a view speaks of an older spec; the newer one is on its way."""
        current = self._store.gateways.get(view.key)
        if current is None or current.deleting:
            return True
        return (current.uid, current.generation) != (view.uid, view.generation)

    def _gives_turns(self, view: Gateway, plan: GatewayPlan) -> bool:
        """Tell the gate what was found, and those whose turn it now is; return whether the gateway is one of them."""
        turns, own = self._gate.seen(view, plan.sinks), Ref(GATEWAY, *view.key)
        for waiting in turns:
            if waiting != own:
                self._queue.add(waiting)
        return own in turns

    async def _tenant(self, view: Gateway) -> float | None:
        """Configure the control plane that a gateway names."""
        await self._look_up(view)
        settled = await self._control_planes.settle(view)
        problems = dict(settled.problems)
        if not _suspended(view):
            others = [item for item in self._store.records_of_owner(view.key) if not left_behind(item, view)]
            problems |= await self._restores.undo(others)
            await self._let_go_unless_kept(view.key)
        if self._outdated(view):
            return None
        pause = await self._report(self._store.gateways[view.key], settled.plan, problems, rolling=False)
        pauses = [item for item in (pause, settled.pause) if item is not None]
        return min(pauses, default=None)

    async def _former_tenants(self, view: Gateway) -> dict[WorkloadKey, Refused]:
        """Take back what was written into a control plane for a gateway whose way is another one by now."""
        return {} if view.spec is None else await self._control_planes.leave(view.key)

    async def _let_go_unless_kept(self, key: Key) -> None:
        """Put the finalizer on while something is written that is to be restored, and take it off otherwise."""
        view = self._store.gateways.get(key)
        if view is None or view.spec is None:
            return
        records = self._store.records_of_owner(key) or self._store.tenant_records_of_owner(key)
        restores = view.spec.deletion_policy == "Restore"
        await self._writer.finalizer(view, wanted=restores and bool(records))

    async def _report(
        self, view: Gateway, plan: GatewayPlan, problems: dict[WorkloadKey, Refused], *, rolling: bool
    ) -> float | None:
        now = self._now()
        proof, running_since, pause = await self._proof(view, plan, now)
        await self._writer.status(GATEWAY_TELEMETRIES, view, gateway_status(view, plan, now, proof, running_since))
        patience = self._again(view.key, problems)
        if problems:
            return min(filter(None, (patience, ROLLING_SECONDS if rolling else pause)), default=None)
        if not _suspended(view) and (plan.resource_due or any(_replaces_pods(item) for item in plan.sinks)):
            return self._at_once(view.key)  # due only now: a turn that became free, a Secret just written
        self._immediate.pop(view.key, None)
        if rolling:
            return ROLLING_SECONDS
        unwatched = UNWATCHED_SECONDS if any(_held_by_names(item) for item in plan.sinks) else None
        return min(filter(None, (unwatched, pause)), default=None)

    def _at_once(self, key: Key) -> float:
        """Ask for another run now; what is due again and again comes back with growing pauses.

        Raises:
            Retry: `AT_ONCE` runs have ended so.
        """
        self._immediate[key] = self._immediate.get(key, 0) + 1
        if self._immediate[key] > AT_ONCE:
            raise Retry("what was written is due again after each write")
        return 0.0

    async def _proof(
        self, view: Gateway, plan: GatewayPlan, now: str
    ) -> tuple[GatewayProof | None, str | None, float | None]:
        """Return what is known of a gateway's traces, since when its pods run as they are to, and when to come back."""
        if self._verifier is None or _suspended(view):
            return None, None, None
        programmed = any(item.type == "Programmed" and item.status == "True" for item in plan.findings)
        running = None if plan.connection is None else since(view, plan.connection, programmed=programmed, now=now)
        proof = self._verifier.gateway(view, plan, running)
        if self._vantage is None:
            return proof, running, None
        reachable, hash_, pause = await self._vantage.look(view, plan)
        return replace(proof, reachable=reachable, vantage=hash_), running, pause

    def _settles(self, key: Key, *, settling: bool) -> bool:
        """Tell whether to wait a moment with the status.

        Where there are no pods a workload's controller answers at once: its answer is worth a write, the moment before
        it is not.
        """
        if not settling:
            self._settling.pop(key, None)
            return False
        return time.monotonic() - self._settling.setdefault(key, time.monotonic()) < NO_PODS_SECONDS

    async def _look_up(self, view: Gateway) -> None:
        """Read the Service of the gateway's target, if that is how it is reached."""
        if view.spec is not None:
            target = self._store.targets.get(target_key(view))
            if target is not None and await self._services.refresh(target):
                self._queue.add(Ref(TARGET, *target.key))

    async def _planner(self, view: Gateway, pods: dict[WorkloadKey, list[Pod]]) -> Planner:
        """Return a planner that knows all that this gateway's plan asks for; `pods` may be filled later."""
        await self._look_up(view)
        names = EnvFrom(self._client)
        await names.read(lambda: self._store.workloads_matching(view))
        reads = view.spec is not None and adapter_of(view.spec.gateway).reads_files
        texts = await files(self._client, self._store.workloads_matching(view)) if reads else {}
        configured = replace(await resources.read(self._client, view), unwritten=view.key in self._unwritten)
        return Planner(
            self._store,
            self._options,
            self._targets.resolve,
            names.of,
            lambda workload: pods.get(workload.key),
            self._gate,
            lambda workload: texts.get(workload.key, {}),
            lambda _: configured,
        )

    async def _read_pods(
        self, workloads: list[Workload], pods: dict[WorkloadKey, list[Pod]]
    ) -> dict[WorkloadKey, Refused]:
        """Read the pods of workloads that have some; return why that was not possible."""
        unread: dict[WorkloadKey, Refused] = {}
        for workload in workloads:
            pods[workload.key] = []
            if workload.rollout.desired or workload.rollout.total:
                try:
                    pods[workload.key] = await pods_of(self._client, workload)
                except ApiError as error:
                    unread[workload.key] = refusal(error)
        return unread

    async def _apply(self, view: Gateway, plan: GatewayPlan) -> dict[WorkloadKey, Refused] | None:
        """Write what the plan asks for; return what failed, or None if there was nothing to do."""
        due = [item.write for item in plan.sinks if item.write is not None and _due(item)]
        resource = plan.resource if plan.resource is not None and plan.resource.due else None
        restarts = [item for item in plan.sinks if item.restart]
        reference = plan.reference if plan.reference is not None and plan.reference.due else None
        records = self._store.records_of_owner(view.key)
        restores = view.spec is not None and view.spec.deletion_policy == "Restore"
        lost = any(True for _ in self._restores.forgotten(view))
        remain = len(records) > len(plan.restore) or bool(due) or reference is not None or resource is not None or lost
        if (due or reference is not None or resource is not None) and restores:
            await self._writer.finalizer(view, wanted=True)
        failures = await self._restores.undo(plan.restore) | await self._restores.drop_strays(view)
        failures |= await self._former_tenants(view)
        remain = remain or bool(failures)
        if resource is not None and not failures:
            self._unwritten.add(view.key)
            try:
                await self._writer.resource(view, resource)
                self._unwritten.discard(view.key)
            except Refused as refused:
                failures[resource.kind, resource.namespace, resource.name] = refused
        if any(key[0] in CONFIGURED for key in failures):
            due = []  # what reads the object keeps the variables that it names, and is not restarted for nothing
        if reference is not None:
            try:
                await self._writer.reference(view, reference, self._now())
                logger.info("GatewayTelemetry %s/%s: wrote Secret %s", *view.key, reference.name)
            except Refused as refused:
                failures[REFERENCE] = refused
        for write in due:
            try:
                await self._writer.inject(view, write)
            except Refused as refused:
                failures[write.workload.key] = refused
        for item in restarts:
            try:
                await self._writer.restart(item.workload, item.restart)
            except Refused as refused:
                failures[item.workload.key] = refused
        current = self._store.gateways.get(view.key)
        if current is not None and not (remain and restores):
            await self._writer.finalizer(current, wanted=False)
        done = due or plan.restore or restarts or failures or reference is not None or resource is not None
        return failures if done else None

    async def _leave(self, key: Key, view: Gateway | None) -> float | None:
        """Take away what was written for an object that is gone or going; then let it go.

        Returns seconds until the next try, None if nothing waits for its turn.
        """
        if self._verifier is not None:
            self._verifier.forget_gateway(key)
        self._settling.pop(key, None)
        self._unwritten.discard(key)
        self._immediate.pop(key, None)
        records = [*restorable(self._store, key), *self._restores.forgotten(view)]
        began = self._deleting_since.setdefault(key, time.monotonic())
        hurry = time.monotonic() - began > PATIENT_SECONDS
        failures = await self._restores.undo(records, hurry=hurry) | await self._restores.drop_strays(view)
        failures |= await self._control_planes.leave(key)
        view = self._store.gateways.get(key)
        if view is not None and failures and self._waits(key):
            worst = next(iter(failures.values()))
            await self._writer.status(GATEWAY_TELEMETRIES, view, gateway_status(view, leaving(worst), self._now()))
        elif view is not None:
            await self._writer.finalizer(view, wanted=False)
        # What it waited for, or held, may be another's turn now.
        self._gate.gone(())
        patience = self._again(key, failures)
        if patience is None:
            self._deleting_since.pop(key, None)
        return patience

    def _again(self, key: Key, problems: dict[WorkloadKey, Refused]) -> float | None:
        """End a run that left something undone; return after how many seconds a turn is asked for again, if one is.

        Raises:
            Retry: it is to be tried again.
        """
        ref = Ref(GATEWAY, *key)
        longest = None
        if any(item.reason is Reason.RBAC_DENIED for item in problems.values()):
            longest = self._denied.refused(ref)
        else:
            self._denied.passed(ref)
        reasons = {item.reason for item in problems.values()}
        if reasons - {Reason.READ_ONLY, Reason.ROLLOUT_QUEUED}:
            raise Retry("; ".join(sorted({item.message for item in problems.values()})), longest)
        return TURN_SECONDS if Reason.ROLLOUT_QUEUED in reasons else None

    def _waits(self, key: Key) -> bool:
        """Tell whether a deletion may still be held up. The record outlives the object, so nothing is lost after."""
        began = self._deleting_since.setdefault(key, time.monotonic())
        return time.monotonic() - began < RESTORE_SECONDS


def _rolling(plan: GatewayPlan) -> list[Workload]:
    """Return the workloads that have pods and are rolling out."""
    under_way = (item.workload for item in plan.sinks if item.reason is Reason.ROLLOUT_IN_PROGRESS)
    return [item for item in under_way if item.rollout.desired or item.rollout.total]


def _due(item: SinkState) -> bool:
    """Tell whether a sink's write is to be done: it is due, and nothing holds it back."""
    if item.write is None or not item.write.due:
        return False
    return item.state == "Pending" or bool(item.write.rollback)


def _held_by_names(item: SinkState) -> bool:
    """Tell whether a sink is blocked by what may be the content of an object that is not watched."""
    return item.state == "Blocked" and bool(references(item.workload))


def _replaces_pods(item: SinkState) -> bool:
    """Tell whether a sink's pods are to be replaced by a write that is due, or by a restart."""
    return bool(item.restart) or (item.write is not None and item.write.template_stale and _due(item))


def _looks_again(view: Gateway, pause: float | None) -> float | None:
    """Return the pause, bounded for a gateway whose object is not watched."""
    if view.spec is None or view.spec.install.resource is None:
        return pause
    return UNWATCHED_SECONDS if pause is None else min(pause, UNWATCHED_SECONDS)


def _suspended(view: Gateway) -> bool:
    return view.spec is not None and view.spec.suspend


def now_text() -> str:
    """Return the current time as Kubernetes writes it: RFC 3339, seconds, UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
