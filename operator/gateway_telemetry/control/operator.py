"""The running operator: list, elect, watch, work, list again; until told to stop.

The order at the start matters: everything is listed before anything is decided, so a restart on a converged cluster
writes nothing, and an object that is not listed is known not to exist.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import random
import signal
import time

import kopf

from gateway_telemetry.api.meta import GROUP
from gateway_telemetry.cluster.client import Client
from gateway_telemetry.cluster.config import Connection, load
from gateway_telemetry.cluster.errors import ApiError, Forbidden, NotFound, NotLeading
from gateway_telemetry.cluster.lease import Elector
from gateway_telemetry.control import watches
from gateway_telemetry.control.feed import GATEWAY, TARGET, WATCHED, WATCHED_CLUSTERWIDE, Feed
from gateway_telemetry.control.gate import Gate
from gateway_telemetry.control.health import Metrics, serving
from gateway_telemetry.control.lookups import list_kind
from gateway_telemetry.control.namespaces import Namespaces
from gateway_telemetry.control.proof import Verifier
from gateway_telemetry.control.queue import Handler, Queue, Ref, Retry
from gateway_telemetry.control.reconcile import Reconciler
from gateway_telemetry.control.settings import Settings
from gateway_telemetry.control.vantage import Vantage
from gateway_telemetry.plan.store import Store

logger = logging.getLogger(__name__)

STUCK_SECONDS = 300.0
"""A key that takes longer than this is stuck: no request takes longer than 30 s."""
LIST_RETRY_SECONDS = 5.0
COLLECT_AFTER = (20_000, 50, 50)
"""Allocations before a collection, and younger collections before an older one: decoded JSON is full of containers and
free of cycles, so that Python's own thresholds (700, 10, 10) cost a sixth of the processor time and find nothing."""
DRAIN_SECONDS = 8.0
"""How long a stop waits for runs that have begun, so that none ends between a write and its release."""


class WatchesEnded(Exception):
    """A watch met what it cannot go on after, such as a kind or a right that is gone; a new start waits for it."""


class Operator:
    """One process of the operator."""

    def __init__(self, settings: Settings, connection: Connection) -> None:
        self._settings = settings
        self._connection = connection
        self._store = Store()
        self._queue = Queue()
        self._feed = Feed(self._store, self._queue.add)
        self._metrics = Metrics(self._store, self._queue.__len__, self._leads, self._count_writes)
        self._watched = WATCHED if settings.namespaces else WATCHED_CLUSTERWIDE
        self._namespaces = Namespaces(settings.namespaces)
        self._first_listed = False
        self._listed = time.monotonic()
        self._watching = asyncio.Event()
        self._elector: Elector | None = None
        self._client: Client | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Run until stopped.

        Raises:
            OSError: an address of health or metrics cannot be listened on.
            WatchesEnded: the watches ended by themselves.
        """
        settings = self._settings
        async with (
            Client(self._connection) as client,
            Client(self._connection, request_seconds=settings.lease_times.renew) as lease_client,
            serving(settings.health, settings.metrics, self._alive, self._ready, self._metrics),
        ):
            self._client = client
            client.read_only = settings.read_only
            gate = asyncio.Event()
            turns = Gate(self._store, settings.limits, self._queue.add_later, pauses=settings.repair_pauses)
            verifier = Verifier(self._store, settings.options, self._queue.add) if settings.verify else None
            vantage = Vantage(client, None if settings.read_only else settings.probe) if settings.verify else None
            reconciler = Reconciler(
                client, self._store, self._feed, settings.options, turns, self._queue, verifier, vantage
            )
            reconciler.finalizers(wanted=settings.finalizers)
            if not await self._first_list(client, stop):
                return
            async with contextlib.AsyncExitStack() as stack:
                if settings.lease is None:
                    gate.set()
                else:
                    self._elector = Elector(lease_client, *settings.lease, settings.identity, settings.lease_times)
                    gate = self._elector.leading
                    client.guard = self._elector.holds
                    await stack.enter_async_context(self._elector.running())
                async with asyncio.TaskGroup() as tasks:
                    background = [
                        tasks.create_task(self._queue.work(self._counted(reconciler), gate), name=f"worker-{n}")
                        for n in range(settings.workers)
                    ]
                    background.append(tasks.create_task(self._resync(client, reconciler), name="resync"))
                    if verifier is not None:
                        verifier.leading = gate
                        if self._elector is not None:
                            verifier.lost = self._elector.lost
                        background.append(tasks.create_task(verifier.run(), name="verifier"))
                    try:
                        failure = await self._watch(client, stop)
                    finally:
                        for task in background:
                            task.cancel()
                if failure is not None:
                    # By now other tasks may have gone down with the watches: only a new process is whole again.
                    raise WatchesEnded(f"the watches ended: {failure}; start it again")

    async def _watch(self, client: Client, stop: asyncio.Event) -> Exception | str | None:
        """Watch until stopped, then finish what has begun; return what ended the watches if it was not that."""
        namespaces = self._namespaces.readable
        watching = asyncio.create_task(
            kopf.operator(
                registry=watches.registry(self._connection, self._feed, self._watched),
                settings=watches.settings(self._watched),
                standalone=True,
                clusterwide=not namespaces,
                namespaces=namespaces,
                ready_flag=self._watching,
            ),
            name="kopf",
        )
        started = asyncio.create_task(self._watching.wait(), name="kopf-ready")
        stopped = asyncio.create_task(stop.wait(), name="stop")
        regained = asyncio.create_task(self._namespaces.regained(client), name="regained")
        await asyncio.wait({watching, started, stopped}, return_when=asyncio.FIRST_COMPLETED)
        # kopf has put its own handlers in place. Its way to stop ends every task of the loop that is younger than
        # itself, ours included, after a pause of five seconds.
        stop_on_signals(stop)
        await asyncio.wait({watching, stopped, regained}, return_when=asyncio.FIRST_COMPLETED)
        await self._queue.drain(DRAIN_SECONDS)
        for task in (watching, started, stopped, regained):
            task.cancel()
        await asyncio.wait({watching, regained})
        if not regained.cancelled() and not stop.is_set():
            return f"namespace {regained.result()} may be read now"
        error = None if watching.cancelled() else watching.exception()
        if error is not None and not isinstance(error, Exception):
            raise error
        logger.debug("the watches ended", exc_info=error)
        return error

    async def _first_list(self, client: Client, stop: asyncio.Event) -> bool:
        """List until it succeeds; return False if stopped before that."""
        while not stop.is_set():
            try:
                await self._namespaces.look(client)
                await self._list(client)
            except ApiError as error:
                logger.warning("cannot start yet: %s; again in %.0f s", advice(error), LIST_RETRY_SECONDS)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), LIST_RETRY_SECONDS)
            else:
                store = self._store
                logger.info(
                    "found %d LangSmithTargets, %d GatewayTelemetries, %d workloads",
                    len(store.targets),
                    len(store.gateways),
                    len(store.workloads),
                )
                return True
        return False

    async def _list(self, client: Client) -> int:
        """Put all that exists into the store, and mark everything of ours dirty; return what watches missed."""
        missed = 0
        for item in self._watched:
            missed += await list_kind(client, self._feed, item, self._namespaces.readable)
        for key in self._store.targets:
            self._queue.add(Ref(TARGET, *key))
        owners = {record.owner for record in self._store.records.values() if not record.orphan}
        owners |= {record.owner for record in self._store.tenant_records.values() if not record.orphan}
        for key in {*self._store.gateways, *owners}:
            self._queue.add(Ref(GATEWAY, *key))
        for workload in self._store.workloads.values():
            if workload.owned:
                self._queue.add(Ref(workload.kind, workload.namespace, workload.name))
        self._first_listed = True
        self._listed = time.monotonic()
        self._metrics.resynced.set(time.time())
        return missed

    async def _resync(self, client: Client, reconciler: Reconciler) -> None:
        while True:
            # Jitter, so that many operators do not list at the same time.
            await asyncio.sleep(self._settings.resync_seconds * random.uniform(0.8, 1.2))  # noqa: S311
            reconciler.forget_answers()
            try:
                missed = await self._list(client)
            except ApiError as error:
                logger.warning("the periodic list failed: %s", advice(error))
                continue
            if missed:
                self._metrics.missed.inc(missed)
                logger.info("the periodic list found %d changes that no watch had told", missed)

    def _counted(self, reconciler: Reconciler) -> Handler:
        async def handle(key: Ref) -> float | None:
            began = time.monotonic()
            result = "error"
            try:
                pause = await reconciler(key)
                result = "ok"
            except (NotLeading, ApiError) as error:
                # An API server that is away, or an object that changed meanwhile: no fault of this program.
                result = "retry"
                raise Retry(str(error)) from None
            except Retry:
                result = "retry"
                raise
            finally:
                self._metrics.reconciles.labels(key.kind, result).inc()
                self._metrics.seconds.labels(key.kind).observe(time.monotonic() - began)
            return pause

        return handle

    def _leads(self) -> bool:
        return self._settings.lease is None or (self._elector is not None and self._elector.holds())

    def _count_writes(self) -> int:
        return 0 if self._client is None else self._client.writes

    def _alive(self) -> list[str]:
        """Return what only a restart can mend."""
        problems = []
        if (stuck := self._queue.oldest_run()) > STUCK_SECONDS:
            problems.append(f"a key has been worked on for {stuck:.0f} s")
        if (silent := time.monotonic() - self._listed) > 3 * self._settings.resync_seconds + STUCK_SECONDS:
            # A restart mends what only a start reads, such as a new CA of the API server.
            problems.append(f"no full list has succeeded for {silent:.0f} s")
        return problems

    def _ready(self) -> list[str]:
        problems = []
        if not self._first_listed:
            problems.append("the first list has not succeeded")
        elif not self._watching.is_set():
            problems.append("the watches have not started")
        if self._settings.lease is not None and (self._elector is None or not self._elector.answered.is_set()):
            problems.append("it is not known who leads")
        return problems


def stop_on_signals(stop: asyncio.Event) -> None:
    """Set the event on SIGTERM and SIGINT."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


async def run(settings: Settings) -> None:
    """Run the operator until SIGTERM or SIGINT.

    Raises:
        ConfigError: there is no usable kubeconfig or service account.
        OSError: an address of health or metrics cannot be listened on.
        WatchesEnded: the watches ended by themselves.
    """
    gc.collect()
    gc.freeze()  # modules live as long as the process
    gc.set_threshold(*COLLECT_AFTER)
    stop = asyncio.Event()
    stop_on_signals(stop)
    connection = await load(settings.kubeconfig, settings.context)
    logger.info("API server %s, as %s", connection.server, settings.identity)
    await Operator(settings, connection).run(stop)


def advice(error: ApiError) -> str:
    """Return what a person must do about an error of the lists."""
    if isinstance(error, Forbidden) and error.permission:
        return f"the permission is missing: {error.permission}"
    if isinstance(error, NotFound) and GROUP in str(error):
        return f"the CustomResourceDefinitions are not installed ({error.request}): apply crds/, or the chart"
    return str(error)
