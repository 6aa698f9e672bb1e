"""One run of one key against an API server that answers as it is told: what changes meanwhile, when to look again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web

from gateway_telemetry.cluster.client import Client
from gateway_telemetry.control.feed import Feed
from gateway_telemetry.control.gate import Gate, Limits
from gateway_telemetry.control.lookups import UNWATCHED_SECONDS
from gateway_telemetry.control.proof import Verifier
from gateway_telemetry.control.queue import Queue, Ref, Retry
from gateway_telemetry.control.reconcile import Reconciler
from gateway_telemetry.control.writes import Writer
from gateway_telemetry.plan.options import Options
from gateway_telemetry.plan.store import Store
from gateway_telemetry.plan.views import project_record
from tests.unit.cluster.server import Asked, Object, answer, connection, refusal, serving
from tests.unit.control.test_feed import CHECKOUT, OURS, TARGET, record
from tests.unit.plan import build
from tests.unit.plan.build import NS

DEPLOYMENT = Ref("Deployment", NS, "litellm")
SETTINGS = {"configMapRef": {"name": "settings"}}
_PLURALS = {
    "gatewaytelemetries": "GatewayTelemetry",
    "langsmithtargets": "LangSmithTarget",
    "deployments": "Deployment",
    "secrets": "Secret",
    "configmaps": "ConfigMap",
    "services": "Service",
}


class Api:
    """Objects by kind and name, which a watch has told of; patches are taken, and change nothing but the version.

    Attributes:
        forbidden: kinds that may not be read or written.
        meanwhile: is called once, with the next request.
    """

    def __init__(self, client: Client, url: str) -> None:
        self.client = client
        self.url = url
        self.store = Store()
        self.queue = Queue()
        self.feed = Feed(self.store, self.queue.add)
        self.gate = Gate(self.store, Limits(), self.queue.add_later)
        self.reconcile = Reconciler(client, self.store, self.feed, Options(), self.gate, self.queue)
        self.objects: dict[tuple[str, str], Object] = {}
        self.asked: list[Asked] = []
        self.forbidden: set[str] = set()
        self.meanwhile: Callable[[], object] | None = None
        self._version = 0

    def put(self, obj: Object, *, told: bool = True, **metadata: Any) -> None:
        """Store an object; `told` says whether a watch tells of it, as of the kinds that are watched."""
        self._version += 1
        metadata = {**obj["metadata"], **metadata, "resourceVersion": str(self._version)}
        live = self.objects[obj["kind"], metadata["name"]] = {**obj, "metadata": metadata}
        if told:
            self.feed.see(live)

    def marked(self) -> list[Ref]:
        """Return what was put into the queue since the last time, in this order."""
        found = list(self.queue._ready)
        self.queue._ready.clear()
        self.queue._waiting.clear()
        return found

    def writes(self) -> list[str]:
        """Return method and plural of the writes so far."""
        return [f"{item.method} {_names(item)[0]}" for item in self.asked if item.method != "GET"]

    async def handle(self, asked: Asked) -> web.StreamResponse:
        self.asked.append(asked)
        if self.meanwhile is not None:
            now, self.meanwhile = self.meanwhile, None
            now()
        plural, name = _names(asked)
        if _PLURALS[plural] in self.forbidden:
            return refusal(403, "Forbidden", f'cannot {asked.method} resource "{plural}"')
        if asked.method == "POST":
            self.put({"kind": _PLURALS[plural], **asked.body}, told=False)
            name = asked.body["metadata"]["name"]
        live = self.objects.get((_PLURALS[plural], name))
        if live is None:
            return refusal(404, "NotFound", name=name)
        if asked.method == "PATCH":
            self.put(live, told=False, managedFields=[])
            live = self.objects[_PLURALS[plural], name]
        return answer(live)


def _names(asked: Asked) -> tuple[str, str]:
    parts = asked.path.partition("/namespaces/")[2].split("/")
    return parts[1], parts[2] if len(parts) > 2 else ""


@contextlib.asynccontextmanager
async def api(*objects: Object) -> AsyncIterator[Api]:
    """Yield an API server whose objects the operator has seen."""
    made: list[Api] = []

    async def handle(asked: Asked) -> web.StreamResponse:
        return await made[0].handle(asked)

    async with serving(handle) as server, Client(connection(server.url)) as client:
        made.append(Api(client, server.url))
        for obj in objects:
            made[0].put(obj)
        made[0].marked()
        yield made[0]


def reading() -> Object:
    """Return a Deployment that takes variables from a ConfigMap."""
    return build.deployment(containers=[build.container(envFrom=[SETTINGS])])


async def test_what_was_planned_for_an_older_spec_is_neither_written_nor_told() -> None:
    async with api(build.target(), build.secret(), build.gateway(), reading()) as found:
        found.meanwhile = lambda: found.put(build.gateway(suspend=True), generation=2)
        assert await found.reconcile(CHECKOUT) is None
        assert found.writes() == []
        assert found.marked() == [CHECKOUT]


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_SDK_DISABLED", "unreadable"])
async def test_what_names_of_an_unwatched_object_block_is_looked_at_again(name: str) -> None:
    async with api(build.target(), build.secret(), build.gateway(), reading()) as found:
        found.put(build.config_map({name: "x"}, "settings"), told=False)
        found.forbidden = {"ConfigMap"} if name == "unreadable" else set()
        assert await found.reconcile(CHECKOUT) == UNWATCHED_SECONDS
        assert found.writes() == ["PATCH gatewaytelemetries"]


async def test_a_conflict_in_the_pod_template_waits_for_the_watch() -> None:
    env = build.env(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="x")
    workload = build.deployment(containers=[build.container(env=env)])
    async with api(build.target(), build.secret(), build.gateway(), workload) as found:
        assert await found.reconcile(CHECKOUT) is None
        assert found.writes() == ["PATCH gatewaytelemetries"]


async def test_a_service_is_looked_at_again_and_its_change_concerns_the_gateways() -> None:
    async with api(build.behind_service(), build.secret(), build.gateway()) as found:
        found.put(build.service(), told=False)
        assert await found.reconcile(TARGET) == UNWATCHED_SECONDS
        assert found.marked() == []
        found.put(build.service(ports=[{"port": 80}]), told=False)
        found.reconcile.forget_answers()
        assert await found.reconcile(TARGET) == UNWATCHED_SECONDS
        assert found.marked() == [CHECKOUT]


async def test_a_target_with_a_url_is_not_looked_at_again() -> None:
    async with api(build.target(), build.secret()) as found:
        assert await found.reconcile(TARGET) is None


async def test_only_a_claim_that_was_given_up_here_is_news_to_its_gateway() -> None:
    async with api(build.gateway(), record()) as found:
        found.put(build.deployment(), managedFields=OURS)
        found.marked()
        assert await found.reconcile(DEPLOYMENT) is None
        assert found.writes() == ["PATCH deployments"]
        assert found.marked() == [CHECKOUT]
        # As the watch tells of a claim of which the store knows already that it is gone.
        assert await found.reconcile(DEPLOYMENT) is None
        assert found.marked() == []


async def test_a_gateway_whose_own_failure_stopped_it_goes_on_when_that_is_over() -> None:
    """A restart of the operator remembers the failure from the status, and finds it mended."""
    told = [{"kind": "Deployment", "name": "first", "state": "Failed", "reason": "RolloutFailed"}]
    labels = {"team": "ml"}
    world = build.World(
        build.target(), build.secret(), build.gateway(labels=labels), build.deployment("first", labels=labels)
    )
    world.carry_out()
    async with api(*world.objects.values()) as found:
        found.put({**world.objects["GatewayTelemetry", NS, "checkout"], "status": {"sinks": told}})
        found.put(build.deployment("second", labels=labels))
        assert await found.reconcile(CHECKOUT) == 0.0
        assert found.writes() == []
        with pytest.raises(Retry, match="what was written is not there"):
            await found.reconcile(CHECKOUT)
        assert "PATCH deployments" in found.writes()


async def test_what_another_gateway_took_over_is_not_taken_away_from_it() -> None:
    async with api(build.gateway(), build.gateway("second"), build.deployment(), record("second")) as found:
        mine = project_record(record())
        assert mine is not None
        assert not await Writer(found.client, found.store, found.feed).restore(mine)
        assert found.asked == []
        assert found.store.records_of_owner((NS, "second")) != []


async def test_who_leads_again_looks_at_every_target_anew() -> None:
    marked: asyncio.Queue[Ref] = asyncio.Queue()
    async with api(build.target()) as found:
        verifier = Verifier(found.store, Options(), marked.put_nowait)
        verifier.lost.set()
        task = asyncio.create_task(verifier.run())
        assert await asyncio.wait_for(marked.get(), 10) == TARGET
        task.cancel()
        await asyncio.wait([task])
