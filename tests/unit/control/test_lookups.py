"""Look-ups by name: how long an answer is used, and what is kept of it."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.cluster.client import Client
from gateway_telemetry.cluster.errors import ApiError, Unavailable
from gateway_telemetry.control.lookups import EnvFrom, Services, Targets, pods_of
from gateway_telemetry.control.queue import Retry
from gateway_telemetry.plan.options import Options
from gateway_telemetry.plan.store import Store, Target, project_target
from gateway_telemetry.plan.views import project_source, project_workload
from tests.unit.cluster.server import Asked, Object, Server, answer, connection, refusal, serving
from tests.unit.plan import build
from tests.unit.plan.build import NS


class Objects:
    """Objects by path; a status instead of an object is a refusal."""

    def __init__(self, **found: Object | int) -> None:
        self.found = found

    async def __call__(self, asked: Asked) -> web.StreamResponse:
        item = self.found.get(asked.path.rpartition("/")[2].replace("-", "_"), 404)
        if isinstance(item, int):
            return refusal(item, "Any", 'cannot get resource "secrets" in API group "" in the namespace "shop"')
        return answer(item)


def paths(server: Server) -> list[str]:
    return [item.path for item in server.asked]


def behind(name: str = "langsmith-frontend", namespace: str | None = None) -> Target:
    reference: dict[str, Any] = {"name": name, "port": 443, "scheme": "https"}
    if namespace is not None:
        reference["namespace"] = namespace
    return project_target(build.target(saas=None, selfHosted={"serviceRef": reference}))


async def test_a_service_is_read_once_until_it_is_to_be_asked_anew() -> None:
    objects = Objects(langsmith_frontend=build.service())
    async with serving(objects) as server, Client(connection(server.url)) as client:
        services = Services(client)
        assert services.of(behind()) is None
        for _ in range(3):
            await services.refresh(behind())
        assert paths(server) == ["/api/v1/namespaces/shop/services/langsmith-frontend"]
        assert services.of(behind()) == {"spec": build.service()["spec"]}
        objects.found = {}
        services.forget()
        # Who is in the middle of a plan still finds it.
        assert services.of(behind()) is not None
        await services.refresh(behind())
        assert services.of(behind()) is None
        assert len(server.asked) == 2


async def test_the_age_of_the_machine_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 3.0)
    async with serving(Objects(langsmith_frontend=build.service())) as server, Client(connection(server.url)) as client:
        services = Services(client)
        await services.refresh(behind())
        services.forget()
        await services.refresh(behind())
        assert len(server.asked) == 2


async def test_services_that_nobody_asks_for_any_more_are_not_kept() -> None:
    async with serving(Objects()) as server, Client(connection(server.url)) as client:
        services = Services(client)
        for number in range(5):
            await services.refresh(behind(f"s{number}"))
        services.forget()
        await services.refresh(behind("s0"))
        services.forget()
        assert list(services._known) == [(NS, "s0")]


async def test_a_service_of_another_namespace_and_a_target_without_one() -> None:
    async with serving(Objects()) as server, Client(connection(server.url)) as client:
        services = Services(client)
        await services.refresh(behind(namespace="tools"))
        await services.refresh(project_target(build.target()))
        await services.refresh(project_target(build.target(saas=None)))
    assert paths(server) == ["/api/v1/namespaces/tools/services/langsmith-frontend"]
    assert services.of(project_target(build.target())) is None


async def test_a_service_that_cannot_be_read_is_not_taken_for_missing() -> None:
    objects = Objects(langsmith_frontend=build.service())
    async with serving(objects) as server, Client(connection(server.url)) as client:
        services = Services(client)
        await services.refresh(behind())
        services.forget()
        objects.found = {"langsmith_frontend": 503}
        with pytest.raises(Unavailable):
            await services.refresh(behind())
        assert services.of(behind()) is not None


async def test_a_service_that_may_not_be_read_is_told_and_is_no_news_each_time() -> None:
    objects = Objects(langsmith_frontend=403)
    view = behind()
    async with serving(objects) as server, Client(connection(server.url)) as client:
        services = Services(client)
        await services.refresh(view)
        services.forget()
        assert not await services.refresh(view)
        accepted = Targets(Store(), Options(), services).resolve(view).findings[0]
        assert (accepted.type, accepted.status, accepted.reason) == ("Accepted", "False", Reason.RBAC_DENIED)
        assert accepted.message.startswith(
            "spec.selfHosted.serviceRef: Service shop/langsmith-frontend may not be read: the operator's "
            "ServiceAccount lacks the permission: "
        )
        objects.found = {"langsmith_frontend": build.service()}
        services.forget()
        assert await services.refresh(view)
        assert Targets(Store(), Options(), services).resolve(view).findings[0].status == "True"


async def test_a_target_is_resolved_again_when_what_it_reads_changes() -> None:
    store = Store()
    async with serving(Objects()) as server, Client(connection(server.url)) as client:
        targets = Targets(store, Options(), Services(client))
        view = project_target(build.target())
        missing = targets.resolve(view)
        assert targets.resolve(view) is missing
        assert [(item.type, item.status) for item in missing.findings][:2] == [
            ("Accepted", "True"),
            ("ResolvedRefs", "False"),
        ]
        store.sources["Secret", NS, "langsmith"] = project_source(build.secret())
        found = targets.resolve(view)
        assert found is not missing
        assert [(item.type, item.status) for item in found.findings][:2] == [
            ("Accepted", "True"),
            ("ResolvedRefs", "True"),
        ]
        # A view that differs in its status only is the same question.
        assert targets.resolve(project_target({**build.target(), "status": {"observedGeneration": 1}})) is found
        store.sources["Secret", NS, "langsmith"] = project_source(build.secret({"api-key": "other"}))
        assert targets.resolve(view) is not found
        targets.forget(view.key)
        assert targets._results == {}


def reading(*entries: Object) -> Object:
    return build.deployment(containers=[build.container(envFrom=list(entries))])


async def test_names_that_env_from_brings() -> None:
    objects = Objects(
        settings=build.config_map({"A": "1", "B": "2"}),
        keys={**build.secret({"C": "secret"}), "binaryData": {"D": "eA=="}},
        hidden=403,
    )
    one = project_workload(
        reading(
            {"configMapRef": {"name": "settings"}},
            {"secretRef": {"name": "keys"}, "prefix": "P_"},
            {"secretRef": {"name": "hidden"}},
            {"configMapRef": {"name": "gone", "optional": True}},
        )
    )
    other = project_workload(build.deployment("other"))
    async with serving(objects) as server, Client(connection(server.url)) as client:
        names = EnvFrom(client)
        await names.read(lambda: [one, other])
    assert names.of(one) == {
        ("ConfigMap", "settings"): frozenset({"A", "B"}),
        ("Secret", "keys"): frozenset({"C", "D"}),
        ("Secret", "hidden"): None,
        ("ConfigMap", "gone"): frozenset(),
    }
    assert names.of(other) == {}
    assert len(server.asked) == 4


async def test_a_workload_that_comes_while_names_are_read_is_read_too() -> None:
    objects = Objects(settings=build.config_map({"A": "1"}), late=build.config_map({"B": "2"}))
    workloads = [project_workload(reading({"configMapRef": {"name": "settings"}}))]
    late = project_workload(reading({"configMapRef": {"name": "late"}}))

    async def handle(asked: Asked) -> web.StreamResponse:
        workloads[1:] = [late]
        return await objects(asked)

    async with serving(handle) as server, Client(connection(server.url)) as client:
        names = EnvFrom(client)
        await names.read(lambda: workloads)
        assert names.of(late) == {("ConfigMap", "late"): frozenset({"B"})}
        later = project_workload(reading({"secretRef": {"name": "never-read"}}))
        with pytest.raises(Retry, match="Deployment shop/litellm has changed meanwhile"):
            names.of(later)


async def test_names_that_cannot_be_read_for_another_reason_are_an_error() -> None:
    workload = project_workload(reading({"secretRef": {"name": "keys"}}))
    async with serving(Objects(keys=500)) as server, Client(connection(server.url)) as client:
        with pytest.raises(ApiError):
            await EnvFrom(client).read(lambda: [workload])


async def test_pods_are_those_of_the_workload_s_selector() -> None:
    async def handle(asked: Asked) -> web.StreamResponse:
        assert (asked.path, asked.query["labelSelector"]) == ("/api/v1/namespaces/shop/pods", "pod=litellm")
        own = {"ownerReferences": [{"kind": "ReplicaSet", "name": "litellm-5d4f8c7b9", "uid": "r"}]}
        others = {"ownerReferences": [{"kind": "ReplicaSet", "name": "litellm-canary-5d4f8c7b9", "uid": "c"}]}
        items = [
            {"metadata": {"name": "one", **own}},
            {"metadata": {"name": "going", "deletionTimestamp": "2026-01-01T00:00:00Z", **own}},
            {"metadata": {"name": "of a Deployment whose labels overlap", **others}},
            {"metadata": {"name": "of nobody"}},
        ]
        return answer({"metadata": {"resourceVersion": "1"}, "items": items})

    async with serving(handle) as server, Client(connection(server.url)) as client:
        found = await pods_of(client, project_workload(build.deployment()))
    assert [item.name for item in found] == ["one"]
