"""One key at a time: plan, write what is missing, take away what is too much, report once.

Planning is pure and done twice: before the writes, and after them with what failed, so the conditions speak of the
cluster as it is and not of what was intended.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from gateway_telemetry.cluster.client import Client
from gateway_telemetry.cluster.paths import DEPLOYMENTS, GATEWAY_TELEMETRIES, LANGSMITH_TARGETS
from gateway_telemetry.control.feed import GATEWAY, TARGET, Feed
from gateway_telemetry.control.lookups import EnvFrom, Services, Targets
from gateway_telemetry.control.queue import Ref, Retry
from gateway_telemetry.control.writes import Writer
from gateway_telemetry.plan.gateways import GatewayPlan, Planner, WorkloadKey, leaving, restorable
from gateway_telemetry.plan.options import Options
from gateway_telemetry.plan.status import gateway_status, target_status
from gateway_telemetry.plan.store import Gateway, Store, target_key
from gateway_telemetry.plan.targets import Refused
from gateway_telemetry.plan.views import Key, Record

logger = logging.getLogger(__name__)

RESTORE_SECONDS = 600.0
"""How long a deletion may be held up by writes that fail; after that the records wait for better times alone."""


class Reconciler:
    """Reconciles all kinds of keys against one store."""

    def __init__(
        self, client: Client, store: Store, feed: Feed, options: Options, now: Callable[[], str] | None = None
    ) -> None:
        self._store = store
        self._services = Services(client)
        self._targets = Targets(store, options, self._services)
        self._env_from = EnvFrom(client)
        self._writer = Writer(client, store, feed)
        self._planner = Planner(store, options, self._targets.resolve, self._env_from.names)
        self._now = now or now_text
        self._deleting_since: dict[Key, float] = {}

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
            await self._target((key.namespace, key.name))
        elif key.kind == GATEWAY:
            await self._gateway((key.namespace, key.name))
        else:
            await self._writer.release(DEPLOYMENTS.kind, key.namespace, key.name)
        return None

    async def _target(self, key: Key) -> None:
        view = self._store.targets.get(key)
        if view is None:
            self._targets.forget(key)
            return
        await self._services.refresh(view)
        result = self._targets.resolve(view)
        await self._writer.status(LANGSMITH_TARGETS, view, target_status(view, result, self._now()))

    async def _gateway(self, key: Key) -> None:
        view = self._store.gateways.get(key)
        if view is None or view.deleting:
            await self._leave(key, view)
            return
        if view.spec is not None:
            target = self._store.targets.get(target_key(view))
            if target is not None:
                await self._services.refresh(target)
        await self._env_from.refresh(self._store.workloads_matching(view))
        plan = self._planner.plan(view)
        failures = {} if _suspended(view) else await self._apply(view, plan)
        # The view may be newer by now: the finalizer was written.
        view = self._store.gateways.get(key)
        if view is None or view.deleting:
            return
        if failures is not None:
            plan = self._planner.plan(view, failures)
        await self._writer.status(GATEWAY_TELEMETRIES, view, gateway_status(view, plan, self._now()))
        if failures:
            raise Retry("; ".join(sorted({str(item.message) for item in failures.values()})))

    async def _apply(self, view: Gateway, plan: GatewayPlan) -> dict[WorkloadKey, Refused] | None:
        """Write what the plan asks for; return what failed, or None if there was nothing to do."""
        due = [item.write for item in plan.sinks if item.write is not None and item.write.due]
        records = self._store.records_of_owner(view.key)
        restores = view.spec is not None and view.spec.deletion_policy == "Restore"
        remain = len(records) > len(plan.restore) or bool(due)
        if due and restores:
            await self._writer.finalizer(view, wanted=True)
        failures: dict[WorkloadKey, Refused] = {}
        for record in plan.restore:
            try:
                await self._writer.restore(record)
            except Refused as refused:
                failures[_workload_of(record)] = refused
                remain = True
        for write in due:
            try:
                await self._writer.inject(view, write)
            except Refused as refused:
                failures[write.workload.key] = refused
        current = self._store.gateways.get(view.key)
        if current is not None and not (remain and restores):
            await self._writer.finalizer(current, wanted=False)
        return failures if due or plan.restore else None

    async def _leave(self, key: Key, view: Gateway | None) -> None:
        """Take away what was written for an object that is gone or going; then let it go."""
        records = restorable(self._store, key)
        failures: dict[WorkloadKey, Refused] = {}
        for record in records:
            try:
                await self._writer.restore(record)
                logger.info("restored %s %s/%s", record.workload[0], record.namespace, record.workload[1])
            except Refused as refused:
                failures[_workload_of(record)] = refused
        view = self._store.gateways.get(key)
        if view is not None and failures and self._waits(key):
            worst = next(iter(failures.values()))
            await self._writer.status(GATEWAY_TELEMETRIES, view, gateway_status(view, leaving(worst), self._now()))
        elif view is not None:
            await self._writer.finalizer(view, wanted=False)
        if failures:
            raise Retry("; ".join(sorted({item.message for item in failures.values()})))
        self._deleting_since.pop(key, None)

    def _waits(self, key: Key) -> bool:
        """Tell whether a deletion may still be held up. The record outlives the object, so nothing is lost after."""
        began = self._deleting_since.setdefault(key, time.monotonic())
        return time.monotonic() - began < RESTORE_SECONDS


def _suspended(view: Gateway) -> bool:
    return view.spec is not None and view.spec.suspend


def _workload_of(record: Record) -> WorkloadKey:
    return record.workload[0], record.namespace, record.workload[1]


def now_text() -> str:
    """Return the current time as Kubernetes writes it: RFC 3339, seconds, UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
