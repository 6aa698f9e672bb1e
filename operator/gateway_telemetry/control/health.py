"""Liveness and readiness that mean something, and metrics: real progress, not that a port answers."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from gateway_telemetry.control.settings import Address
from gateway_telemetry.plan.proof import moment
from gateway_telemetry.plan.store import Custom, Store

logger = logging.getLogger(__name__)

Checks = Callable[[], list[str]]
"""Returns what is wrong; nothing is wrong when the list is empty."""


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Metrics:
    """All metrics of the operator, in a registry of its own."""

    def __init__(
        self, store: Store, waiting: Callable[[], int], leading: Callable[[], bool], writes: Callable[[], int]
    ) -> None:
        self.registry = CollectorRegistry()
        self.reconciles = Counter(
            "gateway_telemetry_reconciles", "Reconciled keys.", ["kind", "result"], registry=self.registry
        )
        self.seconds = Histogram(
            "gateway_telemetry_reconcile_seconds",
            "Time that one key took.",
            ["kind"],
            buckets=(0.005, 0.025, 0.1, 0.5, 2.5, 10, 60),
            registry=self.registry,
        )
        queue = Gauge("gateway_telemetry_queue_depth", "Dirty keys that wait.", registry=self.registry)
        queue.set_function(waiting)
        leads = Gauge("gateway_telemetry_leading", "1 while this replica may write.", registry=self.registry)
        leads.set_function(leading)
        self.missed = Counter(
            "gateway_telemetry_watch_missed",
            "Changes that a periodic list told before a watch did; steady growth means that watches are broken.",
            registry=self.registry,
        )
        self.resynced = Gauge(
            "gateway_telemetry_last_resync_timestamp_seconds",
            "When all objects were last listed (Unix time).",
            registry=self.registry,
        )
        self.registry.register(_Writes(writes))
        self.registry.register(_Conditions(store))
        self.registry.register(_LastTraces(store))


class _Read(Collector):
    """A metric that is read when it is asked for, and only then: neither at the start nor by whoever names others."""

    family: ClassVar[type[CounterMetricFamily | GaugeMetricFamily]] = GaugeMetricFamily
    name: ClassVar[str]
    documentation: ClassVar[str]
    labels: ClassVar[Sequence[str]]

    def describe(self) -> Iterable[Metric]:
        yield self.family(self.name, self.documentation, labels=self.labels)

    def collect(self) -> Iterable[Metric]:
        family = self.family(self.name, self.documentation, labels=self.labels)
        for labels, value in self._samples():
            family.add_metric(labels, value)
        yield family

    def _samples(self) -> Iterator[tuple[list[str], float]]:
        raise NotImplementedError


class _Writes(_Read):
    """Write requests, counted by the client that sends them."""

    family = CounterMetricFamily
    name = "gateway_telemetry_api_writes"
    documentation = "Write requests sent to the API server."
    labels = ()

    def __init__(self, writes: Callable[[], int]) -> None:
        self._writes = writes

    def _samples(self) -> Iterator[tuple[list[str], float]]:
        yield [], self._writes()


class _Conditions(_Read):
    """The conditions as they are."""

    name = "gateway_telemetry_condition"
    documentation = "Conditions of LangSmithTargets and GatewayTelemetries: 1 True, 0 False, -1 Unknown."
    labels = ("kind", "namespace", "name", "type", "reason")

    def __init__(self, store: Store) -> None:
        self._store = store

    def _samples(self) -> Iterator[tuple[list[str], float]]:
        value = {"True": 1.0, "False": 0.0}
        objects: list[tuple[str, Custom[Any]]] = [
            *(("LangSmithTarget", item) for item in self._store.targets.values()),
            *(("GatewayTelemetry", item) for item in self._store.gateways.values()),
        ]
        for kind, view in objects:
            for item in view.status.get("conditions") or ():
                labels = [kind, view.namespace, view.name, item["type"], item.get("reason") or ""]
                yield labels, value.get(item.get("status") or "", -1.0)


class _LastTraces(_Read):
    """When each gateway's newest trace began, of those whose traces were found."""

    name = "gateway_telemetry_last_trace_timestamp_seconds"
    documentation = "When the newest trace of a GatewayTelemetry that was found in LangSmith began (Unix time)."
    labels = ("namespace", "name")

    def __init__(self, store: Store) -> None:
        self._store = store

    def _samples(self) -> Iterator[tuple[list[str], float]]:
        for view in self._store.gateways.values():
            when = moment((view.status.get("evidence") or {}).get("lastTraceTime"))
            if when is not None:
                yield [view.namespace, view.name], when.timestamp()


@contextlib.asynccontextmanager
async def serving(
    health: Address | None, metrics_at: Address | None, alive: Checks, ready: Checks, metrics: Metrics
) -> AsyncIterator[None]:
    """Serve /healthz and /readyz, and /metrics, each at its address; both may share one.

    Raises:
        OSError: an address cannot be listened on.
    """
    routes: dict[Address, list[web.RouteDef]] = {}
    if health is not None:
        routes.setdefault(health, []).extend(
            [web.get("/healthz", _answering(alive)), web.get("/readyz", _answering(ready))]
        )
    if metrics_at is not None:
        routes.setdefault(metrics_at, []).append(web.get("/metrics", _metrics(metrics)))
    async with contextlib.AsyncExitStack() as stack:
        for address, handlers in routes.items():
            app = web.Application()
            app.add_routes(handlers)
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, address.host, address.port).start()
            host, port = runner.addresses[0][:2]
            logger.info("serving %s on %s:%d", ", ".join(item.path for item in handlers), host, port)
        yield


def _answering(checks: Checks) -> Answer:
    async def handle(_: web.Request) -> web.Response:
        problems = checks()
        return web.Response(status=503 if problems else 200, text="\n".join(problems or ["ok"]) + "\n")

    return handle


def _metrics(metrics: Metrics) -> Answer:
    async def handle(request: web.Request) -> web.Response:
        # As the handlers of prometheus_client have it: `?name[]=` restricts the answer.
        names = request.query.getall("name[]", [])
        asked = metrics.registry.restricted_registry(names) if names else metrics.registry
        return web.Response(body=generate_latest(asked), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    return handle
