"""StatefulSets and DaemonSets: their own ways to say how far a rollout is, the same settings, records and names."""

from __future__ import annotations

from typing import Any

import pytest

from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.plan.gateways import secret_name
from gateway_telemetry.plan.injection import body
from gateway_telemetry.plan.restore import restored
from gateway_telemetry.plan.rollout import in_progress, progress
from gateway_telemetry.plan.secret import secret_object
from gateway_telemetry.plan.views import project_pod, project_record, project_workload
from tests.unit.plan.build import (
    NS,
    World,
    deployment,
    gateway,
    injecting,
    of_kind,
    one_gateway,
    only_sink,
    only_write,
    pod,
    secret,
    target,
)

DONE = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
SCHEDULED = {
    "observedGeneration": 1,
    "desiredNumberScheduled": 1,
    "currentNumberScheduled": 1,
    "updatedNumberScheduled": 1,
    "numberAvailable": 1,
}
STATUS = {"Deployment": DONE, "StatefulSet": DONE, "DaemonSet": SCHEDULED}


def sts(total: int, updated: int, available: int, *, same: bool = False, seen: int = 2) -> dict[str, Any]:
    """Return a StatefulSet's status; the API server leaves zeros out."""
    counts = {"replicas": total, "updatedReplicas": updated, "availableReplicas": available}
    revisions = {"currentRevision": "litellm-1", "updateRevision": "litellm-1" if same else "litellm-2"}
    return {"observedGeneration": seen, **revisions, **{key: value for key, value in counts.items() if value}}


def ds(desired: int, current: int, updated: int, available: int, *, seen: int = 2) -> dict[str, Any]:
    names = ("desiredNumberScheduled", "currentNumberScheduled", "updatedNumberScheduled", "numberAvailable")
    return {"observedGeneration": seen, **dict(zip(names, (desired, current, updated, available), strict=True))}


ON_DELETE = {"type": "OnDelete"}


def partition(number: int) -> dict[str, Any]:
    return {"type": "RollingUpdate", "rollingUpdate": {"partition": number}}


@pytest.mark.parametrize(
    ("strategy", "status", "reason", "message"),
    [
        ({}, sts(3, 3, 3), Reason.PROGRAMMED, ""),
        ({}, sts(3, 0, 3, same=True), Reason.PROGRAMMED, ""),
        ({}, sts(0, 0, 0, same=True), Reason.ROLLOUT_IN_PROGRESS, "its pods are being replaced"),
        (
            {},
            sts(3, 1, 2),
            Reason.ROLLOUT_IN_PROGRESS,
            "its pods are being replaced",
        ),
        ({}, sts(3, 0, 3), Reason.ROLLOUT_IN_PROGRESS, "its pods are being replaced"),
        ({}, sts(3, 3, 3, seen=1), Reason.ROLLOUT_IN_PROGRESS, "its pods are being replaced"),
        (
            ON_DELETE,
            sts(3, 1, 3),
            Reason.ROLLOUT_BY_HAND,
            "StatefulSet shop/litellm: 2 of 3 pods keep the old settings, because its update strategy is OnDelete: "
            "delete them when it suits you",
        ),
        (ON_DELETE, sts(3, 3, 3), Reason.PROGRAMMED, ""),
        (
            partition(2),
            sts(3, 1, 3),
            Reason.ROLLOUT_BY_HAND,
            "StatefulSet shop/litellm: 2 of 3 pods keep the old settings, because its update strategy has partition 2: "
            "delete them when it suits you",
        ),
        (partition(0), sts(3, 1, 3), Reason.ROLLOUT_IN_PROGRESS, "its pods are being replaced"),
    ],
)
def test_a_stateful_set(strategy: dict[str, Any], status: dict[str, Any], reason: Reason, message: str) -> None:
    obj = of_kind("StatefulSet", deployment(replicas=3, generation=2), **status)
    obj["spec"]["updateStrategy"] = strategy
    found, text = progress(project_workload(obj))
    assert found is reason
    assert message in text


@pytest.mark.parametrize(
    ("strategy", "status", "reason", "message"),
    [
        ({}, ds(3, 3, 3, 3), Reason.PROGRAMMED, ""),
        ({}, ds(0, 0, 0, 0), Reason.PROGRAMMED, ""),
        ({}, ds(3, 3, 1, 2), Reason.ROLLOUT_IN_PROGRESS, "its pods are being replaced"),
        ({}, ds(3, 3, 3, 3, seen=1), Reason.ROLLOUT_IN_PROGRESS, "its pods are being replaced"),
        (
            ON_DELETE,
            ds(3, 3, 0, 3),
            Reason.ROLLOUT_BY_HAND,
            "DaemonSet shop/litellm: 3 of 3 pods keep the old settings, because its update strategy is OnDelete: "
            "delete them when it suits you",
        ),
    ],
)
def test_a_daemon_set(strategy: dict[str, Any], status: dict[str, Any], reason: Reason, message: str) -> None:
    obj = of_kind("DaemonSet", deployment(generation=2), **status)
    obj["spec"]["updateStrategy"] = strategy
    found, text = progress(project_workload(obj))
    assert found is reason
    assert message in text


def test_only_the_kind_of_the_spec_is_taken() -> None:
    objects = [deployment(), of_kind("StatefulSet", deployment(), **DONE)]
    world = World(target(), secret(), injecting(kind="StatefulSet"), *objects)
    assert [item.workload.key for item in world.plan().sinks] == [("StatefulSet", NS, "litellm")]
    world = World(target(), secret(), gateway(), *objects)
    assert [item.workload.key for item in world.plan().sinks] == [("Deployment", NS, "litellm")]


def test_workloads_of_one_name_and_two_kinds_are_told_apart() -> None:
    objects = [deployment(), of_kind("StatefulSet", deployment(), **DONE)]
    world = World(target(), secret(), gateway(), injecting("sts", kind="StatefulSet"), *objects)
    world.carry_out()
    world.carry_out("sts")
    assert {key: record.workload for key, record in world.store.records.items()} == {
        (NS, "gateway-telemetry-deployment-litellm"): ("Deployment", "litellm"),
        (NS, "gateway-telemetry-statefulset-litellm"): ("StatefulSet", "litellm"),
    }


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("Deployment", "gateway-telemetry-deployment-litellm"),
        ("StatefulSet", "gateway-telemetry-statefulset-litellm"),
        ("DaemonSet", "gateway-telemetry-daemonset-litellm"),
    ],
)
def test_the_name_of_the_secret(kind: str, name: str) -> None:
    assert secret_name(kind, "litellm") == name


@pytest.mark.parametrize(
    ("kind", "attribute"),
    [
        ("Deployment", "k8s.deployment.name"),
        ("StatefulSet", "k8s.statefulset.name"),
        ("DaemonSet", "k8s.daemonset.name"),
    ],
)
def test_the_resource_attribute_names_the_kind(kind: str, attribute: str) -> None:
    world = World(target(), secret(), injecting(kind=kind), of_kind(kind, deployment(), **STATUS[kind]))
    values = {item["name"]: item.get("value") for item in only_write(world.plan()).injection.env}
    assert values["OTEL_RESOURCE_ATTRIBUTES"] == (
        f"gatewaytelemetry.id=8c98633a636f,k8s.namespace.name=shop,{attribute}=litellm"
    )


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_a_record_round_trips(kind: str) -> None:
    world = World(target(), secret(), injecting(kind=kind), of_kind(kind, deployment(), **STATUS[kind]))
    write = only_write(world.plan())
    obj = secret_object(world.store.gateways[NS, "checkout"], write)
    assert obj["metadata"]["ownerReferences"] == [
        {"apiVersion": "apps/v1", "kind": kind, "name": "litellm", "uid": f"uid-{kind}-shop-litellm"}
    ]
    record = project_record(obj)
    assert record is not None
    assert record.workload == (kind, "litellm")
    assert record.workload_uid == f"uid-{kind}-shop-litellm"
    assert record.generation == 1
    assert record.injection == write.injection


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_what_is_written_is_programmed_and_can_be_taken_away(kind: str) -> None:
    before = of_kind(kind, deployment(), **STATUS[kind])
    world = World(target(), secret(), injecting(kind=kind), before)
    write = only_write(world.carry_out())
    assert body(kind, NS, "litellm", "u", write.injection, write.secret)["kind"] == kind
    assert only_sink(world.plan()).state == "Programmed"
    (record,) = world.store.records.values()
    assert restored(world.objects[kind, NS, "litellm"], record) == before


def test_an_unknown_kind_in_a_record_counts_as_no_record() -> None:
    world = World(target(), secret(), gateway(), of_kind("StatefulSet", deployment(), **DONE), deployment())
    obj = secret_object(world.store.gateways[NS, "checkout"], only_write(world.plan()))
    obj["data"]["record.json"] = "eyJ3b3JrbG9hZCI6IHsia2luZCI6ICJKb2IifX0="
    assert project_record(obj) is None


@pytest.mark.parametrize(
    ("reason", "counts"),
    [("CrashLoopBackOff", True), ("ImagePullBackOff", True), ("ContainerCreating", False), ("ErrImagePull", False)],
)
def test_only_what_does_not_pass_by_itself_is_trouble(reason: str, counts: bool) -> None:
    view = project_pod(pod(waiting=reason))
    assert view is not None
    assert (view.trouble is not None) == counts


@pytest.mark.parametrize("strategy", [{}, partition(2), ON_DELETE])
def test_a_new_pod_that_crashes_is_told_whatever_the_strategy(strategy: dict[str, Any]) -> None:
    obj = of_kind("StatefulSet", deployment(replicas=3), **{**DONE, "replicas": 3, "updatedReplicas": 3})
    obj["spec"]["updateStrategy"] = strategy
    world = World(target(), secret(), injecting(kind="StatefulSet"), obj)
    write = only_write(world.carry_out())
    live = world.objects["StatefulSet", NS, "litellm"]
    world.put({**live, "status": sts(3, 1, 2, seen=1)})
    old = pod("litellm-0", config_hash="old", waiting="CrashLoopBackOff")
    world.run(old, kind="StatefulSet")
    assert only_sink(world.plan()).state == "RollingOut"
    new = pod("litellm-2", config_hash=write.injection.config_hash, waiting="CrashLoopBackOff")
    world.run(old, new, kind="StatefulSet")
    sink = only_sink(world.plan())
    assert (sink.state, sink.reason) == ("Failed", Reason.ROLLOUT_FAILED)
    assert sink.message == "StatefulSet shop/litellm: pod litellm-2: container litellm: CrashLoopBackOff"


def test_pods_from_before_a_users_restart_are_not_the_new_rollouts_trouble() -> None:
    world = one_gateway()
    write = only_write(world.carry_out())
    live = world.objects["Deployment", NS, "litellm"]
    live["metadata"]["generation"] = 2
    live["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] = "2026-01-04T00:00:00Z"
    world.put(live)
    crashing = pod(config_hash=write.injection.config_hash, waiting="CrashLoopBackOff")
    world.run(crashing)
    assert only_sink(world.plan()).state == "RollingOut"


def test_rollouts_of_workloads_without_settings_of_ours_do_not_count() -> None:
    assert not in_progress(project_workload(deployment(generation=2, status={})))
