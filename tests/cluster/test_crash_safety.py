"""Killed before or after any single write, the operator ends where it would have ended undisturbed.

The writes are listed in full, so the points at which the process is killed are all that there are: the first test
fails as soon as the operator writes something else.
"""

from __future__ import annotations

import base64
import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import trustme

from tests.support import objects
from tests.support.account import chart_account
from tests.support.apiproxy import Action, ApiProxy, Call, Drop, Write, on
from tests.support.cluster import ClusterAccess, make_namespace
from tests.support.kube import Kube, condition, same
from tests.support.objects import Object
from tests.support.operator import OperatorProcess

FULL = bool(os.environ.get("GATEWAY_TELEMETRY_FULL"))
COPY = "gateway-telemetry-deployment-gateway"
CA_REFERENCE = {"kind": "ConfigMap", "name": "langsmith-ca", "key": "ca.crt"}
TARGET_STATUS = "patch langsmithtargets/status"
WRITES = {
    "create": [
        "patch gatewaytelemetries",  # finalizer
        "create secrets",  # the record of what will be written, and what holds the key
        "apply deployments",
        "patch deployments",  # the release of our claim
        "patch gatewaytelemetries/status",
    ],
    "change": [
        "patch secrets",
        "apply deployments",  # claims what stands there
        "apply deployments",
        "patch deployments",
        "patch gatewaytelemetries/status",
    ],
    "delete": [
        "apply deployments",  # claims what stands there
        "apply deployments",  # drops it; who manages nothing any more needs no release
        "delete secrets",
        "patch gatewaytelemetries",
    ],
}
"""All writes of an operation with a Deployment of 0 replicas, besides the status of an edited target.

When the Deployment controller is slower than the operator, one more status tells of the rollout in between.
"""
REPLICA_SETS = {"create": 2, "change": 3, "delete": 2}
"""One per pod template that there ever was: the plain one, the first and the second settings."""


@dataclass(frozen=True)
class Point:
    """A moment: before or after the nth write of a sort."""

    operation: str
    what: str
    nth: int
    side: str

    def __str__(self) -> str:
        return f"{self.operation}-{self.side}-{self.what.replace(' ', '-')}-{self.nth}"


def all_points() -> list[Point]:
    points = []
    for operation, writes in WRITES.items():
        extra = [TARGET_STATUS] if operation == "change" else []
        for index, what in enumerate([*writes, *extra]):
            nth = writes[: index + 1].count(what) or 1
            points += [Point(operation, what, nth, side) for side in ("before", "after")]
    return points


def chosen_points() -> list[Point]:
    """Return all points, or a third of each operation's that is the same every time."""
    if FULL:
        return all_points()
    order = random.Random(5)
    found: list[Point] = []
    for operation in WRITES:
        points = [item for item in all_points() if item.operation == operation]
        found += order.sample(points, (len(points) + 2) // 3)
    return found


class World:
    """One namespace whose objects are made anew for each test, and an operator behind a proxy."""

    def __init__(self, kube: Kube, namespace: str, proxy: ApiProxy, operator: OperatorProcess) -> None:
        self.kube = kube
        self.namespace = namespace
        self.proxy = proxy
        self.operator = operator
        self.pem = trustme.CA().cert_pem.bytes().decode()

    def reset(self) -> None:
        """Everything but the GatewayTelemetry, as if for the first time."""
        kube, namespace = self.kube, self.namespace
        self.proxy.clear_hooks()
        self.have_operator()
        for kind, name in (("gatewaytelemetry", "gateway"), ("deployment", "gateway"), ("langsmithtarget", "prod")):
            kube.delete(kind, namespace, name)
            kube.wait_gone(kind, namespace, name)
        kube.wait_gone("secret", namespace, COPY)
        kube.apply(objects.secret(namespace))
        kube.apply(objects.ca_bundle(namespace, self.pem))
        kube.apply(objects.target(namespace, caBundleRef=CA_REFERENCE))
        kube.apply(objects.deployment(namespace, replicas=0))
        kube.wait_condition("langsmithtarget", namespace, "prod", "Ready")
        same(1, self.replica_sets, "the first ReplicaSet is there")

    def have_operator(self) -> None:
        """Have it running, if need be in a new life."""
        if self.dead():
            self.operator.start()
        self.kube.wait("the operator is ready", self.operator.ready)

    def dead(self) -> bool:
        return self.operator.process is None or self.operator.process.poll() is not None

    def begin(self, operation: str) -> None:
        kube, namespace = self.kube, self.namespace
        if operation == "create":
            kube.apply(objects.gateway(namespace))
        elif operation == "change":
            kube.apply(objects.target(namespace, project="second"))
        else:
            kube.delete("gatewaytelemetry", namespace, "gateway")

    def done(self, operation: str) -> None:
        """Wait until an operation has come to its end."""
        kube, namespace = self.kube, self.namespace
        if operation == "delete":
            kube.wait_gone("gatewaytelemetry", namespace, "gateway")
        else:
            project = "checkout" if operation == "create" else "second"
            kube.wait("the settings are written", lambda: self._is_ready(project))
        same(REPLICA_SETS[operation], self.replica_sets, "each pod template has a ReplicaSet")
        self.barrier()

    def _is_ready(self, project: str) -> bool:
        gateway = self.kube.get("gatewaytelemetry", self.namespace, "gateway") or {}
        traces = (gateway.get("status") or {}).get("traces") or {}
        return condition(gateway, "Ready").get("status") == "True" and traces.get("project") == project

    def barrier(self) -> None:
        """Wait until the operator has worked on something that came later."""
        self.kube.apply(objects.gateway(self.namespace, "barrier", app="nothing"))
        self.kube.wait_condition(
            "gatewaytelemetry", self.namespace, "barrier", "Accepted", "False", "NoMatchingWorkloads"
        )
        self.kube.delete("gatewaytelemetry", self.namespace, "barrier")
        self.kube.wait_gone("gatewaytelemetry", self.namespace, "barrier")

    def deployment(self) -> Object:
        found = self.kube.get("deployment", self.namespace, "gateway")
        assert found is not None
        return found

    def generation(self) -> int:
        return int(self.deployment()["metadata"]["generation"])

    def controller_is_done(self) -> None:
        self.kube.wait("the Deployment controller has seen it", self.replica_sets)

    def replica_sets(self) -> int:
        """Number of the Deployment's ReplicaSets, 0 while its controller has not seen the newest generation."""
        live = self.deployment()
        if (live.get("status") or {}).get("observedGeneration") != live["metadata"]["generation"]:
            return 0
        uid = live["metadata"]["uid"]
        owners = [item["metadata"]["ownerReferences"][0] for item in self.kube.list("replicaset", self.namespace)]
        return sum(1 for item in owners if item["uid"] == uid)

    def state(self) -> Object:
        """All that the operator is answerable for, without times and uids."""
        kube, namespace = self.kube, self.namespace
        live = self.deployment()
        gateway = kube.get("gatewaytelemetry", namespace, "gateway")
        annotations = live["metadata"].get("annotations") or {}
        managed = [
            item["metadata"]["name"]
            for kind in ("secret", "configmap")
            for item in kube.list(kind, namespace, "app.kubernetes.io/managed-by=gateway-telemetry-operator")
        ]
        found = {
            "deployment": {
                "spec": live["spec"],
                "annotations": {key: annotations[key] for key in annotations if not key.endswith("/revision")},
                "managers": sorted({entry["manager"] for entry in live["metadata"]["managedFields"]}),
            },
            "secret": _secret(kube.get("secret", namespace, COPY)),
            "managed": managed,
            "gateway": gateway
            and {
                "finalizers": gateway["metadata"].get("finalizers"),
                "status": _timeless(gateway.get("status")),
            },
            "target": _timeless((kube.get("langsmithtarget", namespace, "prod") or {}).get("status")),
        }
        text = json.dumps(found, sort_keys=True)
        for item in (live, gateway):
            if item is not None:
                text = text.replace(item["metadata"]["uid"], "a uid")
        result: Object = json.loads(text)
        return result


def _secret(item: Object | None) -> Object | None:
    if item is None:
        return None
    metadata = item["metadata"]
    return {
        "data": {key: base64.b64decode(text).decode() for key, text in item["data"].items()},
        **{key: metadata.get(key) for key in ("labels", "annotations", "ownerReferences")},
    }


def _timeless(status: Any) -> Any:
    """Drop the times of a status."""
    if isinstance(status, dict):
        return {key: _timeless(value) for key, value in status.items() if key != "lastTransitionTime"}
    return [_timeless(item) for item in status] if isinstance(status, list) else status


@pytest.fixture(scope="module")
def world(cluster: ClusterAccess, kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    namespace = make_namespace(kube, "crash")
    folder = tmp_path_factory.mktemp("crash")
    with (
        ApiProxy(ClusterAccess(chart_account(cluster.kubeconfig)), folder) as proxy,
        OperatorProcess(proxy.kubeconfig, folder, f"--watch-namespace={namespace}", ready=False) as operator,
    ):
        yield World(kube, namespace, proxy, operator)
        proxy.clear_hooks()
    kube.delete("namespace", None, namespace)


@dataclass(frozen=True)
class Undisturbed:
    """What an operation leads to when nothing goes wrong."""

    writes: list[Write]
    state: Object
    generations: int


@pytest.fixture(scope="module")
def undisturbed(world: World) -> dict[str, Undisturbed]:
    found = {}
    for operation in ("create", "change", "delete"):
        prepare(world, operation)
        earlier, generation = len(world.proxy.writes), world.generation()
        # The controller is quick: else the number of statuses would be a matter of luck.
        world.proxy.before = on("patch deployments", Call(world.controller_is_done))
        world.begin(operation)
        world.done(operation)
        world.proxy.clear_hooks()
        writes = [item for item in world.proxy.writes[earlier:] if item.name != "barrier"]
        found[operation] = Undisturbed(writes, world.state(), world.generation() - generation)
    return found


@pytest.mark.parametrize("operation", ["create", "change", "delete"])
def test_the_writes_are_these(undisturbed: dict[str, Undisturbed], operation: str) -> None:
    found = undisturbed[operation]
    print(f"\n{operation}: {len(found.writes)} writes")
    for write in found.writes:
        print(f"  {write} -> {write.status}")
    assert len([item for item in found.writes if item.what != TARGET_STATUS]) <= 5
    done = [item.what for item in found.writes if item.status < 300]
    assert done.count(TARGET_STATUS) == (1 if operation == "change" else 0)
    assert [item for item in done if item != TARGET_STATUS] == WRITES[operation]
    assert {item.manager for item in found.writes if item.verb != "delete"} == {"gateway-telemetry"}
    assert found.generations == 1


@pytest.mark.parametrize(
    "operation",
    [
        "create",
        "change",
        "delete",
    ],
)
def test_no_write_is_in_vain(undisturbed: dict[str, Undisturbed], operation: str) -> None:
    assert [str(item) for item in undisturbed[operation].writes if item.status >= 300] == []


def test_the_end_states_are_what_users_expect(undisturbed: dict[str, Undisturbed]) -> None:
    """What the crashes are compared with is not taken on trust."""
    created, changed, deleted = (undisturbed[item].state for item in ("create", "change", "delete"))

    def names(state: Object) -> list[str]:
        container = state["deployment"]["spec"]["template"]["spec"]["containers"][0]
        return [item["name"] for item in container.get("env") or ()]

    assert "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE" in names(created)
    assert "ca.crt" in created["secret"]["data"]
    assert "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" in names(changed)
    assert "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE" not in names(changed)
    assert "volumes" not in changed["deployment"]["spec"]["template"]["spec"]
    assert changed["secret"]["data"]["otlp-headers"] == f"x-api-key={objects.KEY},langsmith-project=second"
    assert "ca.crt" not in changed["secret"]["data"]
    assert names(deleted) == []
    assert (deleted["secret"], deleted["gateway"], deleted["managed"]) == (None, None, [])
    for state in (created, changed, deleted):
        assert state["deployment"]["managers"] == ["kube-controller-manager", "test"]
    for state in (created, changed):
        assert state["gateway"]["finalizers"] == ["gatewaytelemetry.dev/restore"]
        assert state["managed"] == [COPY]


@pytest.mark.slow
@pytest.mark.parametrize("point", chosen_points(), ids=str)
def test_killed_at_one_write(world: World, undisturbed: dict[str, Undisturbed], point: Point) -> None:
    expected = undisturbed[point.operation]
    prepare(world, point.operation)
    generation = world.generation()
    hook = on(point.what, Drop(world.operator.kill), point.nth)
    if point.side == "before":
        world.proxy.before = hook
    else:
        world.proxy.after = hook

    world.begin(point.operation)
    world.kube.wait("the operator is killed", world.dead)
    world.proxy.clear_hooks()
    world.have_operator()

    ends_like(world, point.operation, expected, generation)


def prepare(world: World, operation: str) -> None:
    world.reset()
    if operation != "create":
        world.begin("create")
        world.done("create")


def ends_like(world: World, operation: str, expected: Undisturbed, generation: int) -> None:
    same(expected.state, world.state, "the same end as undisturbed")
    world.done(operation)
    assert world.state() == expected.state
    assert world.generation() - generation == expected.generations, "one rollout"


@pytest.mark.parametrize("operation", ["create", "change", "delete"])
def test_three_writes_per_life(world: World, undisturbed: dict[str, Undisturbed], operation: str) -> None:
    """In a crash loop that leaves it three writes each time it still gets there.

    Three are what a change needs that was broken off: the release of the old claim, a new claim, the new settings.
    """
    expected = undisturbed[operation]
    prepare(world, operation)
    generation = world.generation()

    def third(write: Write) -> Action:
        return Drop(world.operator.kill) if (write.number - first) % 3 == 2 else None

    first = len(world.proxy.writes) + 1
    world.proxy.after = third
    world.begin(operation)
    for _ in range(6):
        world.kube.wait("it is killed, or done", lambda: world.dead() or world.state() == expected.state)
        if not world.dead():
            break
        first = len(world.proxy.writes) + 1
        world.operator.start()
    world.proxy.clear_hooks()
    world.have_operator()
    ends_like(world, operation, expected, generation)
