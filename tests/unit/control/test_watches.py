"""kopf's part: the kinds and selectors that it watches, and what becomes of an event."""

from __future__ import annotations

from typing import Any

import kopf
import pytest

from gateway_telemetry.control import watches
from gateway_telemetry.control.feed import ROLES, WATCHED, WATCHED_CLUSTERWIDE, Feed
from gateway_telemetry.control.queue import Ref
from gateway_telemetry.plan.store import Store
from tests.unit.cluster.server import connection
from tests.unit.plan import build


def test_settings_leave_nothing_on_anybody_s_object() -> None:
    settings = watches.settings(WATCHED_CLUSTERWIDE)
    assert settings.peering.standalone
    assert settings.scanning.disabled
    assert not settings.posting.enabled
    storage = settings.persistence.diffbase_storage
    raw: Any = build.deployment()
    body = kopf.Body(raw)
    assert storage.fetch(body=body) is None
    assert dict(storage.build(body=body)) == {}
    patch = kopf.Patch()
    storage.store(body=body, patch=patch, essence=kopf.BodyEssence({}))
    assert dict(patch) == {}


def test_only_labelled_secrets_and_config_maps_ever_reach_this_process() -> None:
    selectors: Any = watches.settings(WATCHED_CLUSTERWIDE).watching.label_selectors
    assert {(item.group, item.version, item.any_name): text for item, text in selectors.items()} == {
        ("", "v1", "secrets"): ROLES,
        ("", "v1", "configmaps"): ROLES,
    }
    assert ROLES == "gatewaytelemetry.dev/role in (copy, source)"


def test_namespaces_are_watched_only_where_all_are() -> None:
    kinds = [item.resource.kind for item in WATCHED]
    assert kinds == [
        "LangSmithTarget",
        "GatewayTelemetry",
        "Deployment",
        "StatefulSet",
        "DaemonSet",
        "Secret",
        "ConfigMap",
    ]
    assert [item.resource.kind for item in WATCHED_CLUSTERWIDE] == [*kinds, "Namespace"]


class Watching:
    """kopf's handlers over a feed."""

    def __init__(self) -> None:
        self.store = Store()
        self.marked: list[Ref] = []
        feed = Feed(self.store, self.marked.append)
        self.registry = watches.registry(connection("http://127.0.0.1:1", "token"), feed, WATCHED_CLUSTERWIDE)

    async def event(self, plural: str, type_: str | None, obj: dict[str, Any]) -> None:
        (handler,) = (item for item in self.registry._watching.get_all_handlers() if item.id == f"watch-{plural}")
        raw = {key: value for key, value in obj.items() if key not in ("kind", "apiVersion")}
        raw["metadata"] = {"resourceVersion": "5", **raw["metadata"]}
        handle: Any = handler.fn
        await handle(event={"type": type_, "object": raw})


@pytest.mark.parametrize("type_", [None, "ADDED", "MODIFIED"])
async def test_each_kind_has_its_handler_and_objects_of_lists_get_their_kind(type_: str | None) -> None:
    watching = Watching()
    await watching.event("gatewaytelemetries", type_, build.gateway())
    await watching.event("deployments", type_, build.deployment())
    await watching.event("statefulsets", type_, {**build.deployment("stateful"), "status": {}})
    await watching.event("secrets", type_, build.secret())
    await watching.event("namespaces", type_, build.namespace_object("shop", team="a"))
    assert list(watching.store.gateways) == [("shop", "checkout")]
    assert sorted(watching.store.workloads) == [
        ("Deployment", "shop", "litellm"),
        ("StatefulSet", "shop", "stateful"),
    ]
    assert list(watching.store.sources) == [("Secret", "shop", "langsmith")]
    assert watching.store.namespaces == {"shop": {"team": "a"}}


async def test_a_deletion_is_one() -> None:
    watching = Watching()
    await watching.event("gatewaytelemetries", "ADDED", build.gateway())
    gone = build.gateway()
    gone["metadata"]["resourceVersion"] = "6"
    await watching.event("gatewaytelemetries", "DELETED", gone)
    assert watching.store.gateways == {}
    assert watching.marked == [Ref("GatewayTelemetry", "shop", "checkout")] * 2


def test_there_are_no_handlers_that_write() -> None:
    registry = Watching().registry
    assert len(list(registry._watching.get_all_handlers())) == len(WATCHED_CLUSTERWIDE)
    for other in (registry._changing, registry._spawning, registry._indexing, registry._webhooks):
        assert list(other.get_all_handlers()) == []
