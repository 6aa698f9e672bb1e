"""StatefulSets and DaemonSets: injected, rolled out by their own strategy and never against it, and put back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import objects
from tests.support.cluster import ClusterAccess
from tests.support.kube import Kube, condition, same
from tests.support.objects import Object
from tests.support.operator import Watching, watching

HASH = "gatewaytelemetry.dev/config-hash"
MANAGERS = {"test", "kube-controller-manager"}
NAMES = [
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "OTEL_RESOURCE_ATTRIBUTES",
]
ON_DELETE: Object = {"updateStrategy": {"type": "OnDelete"}}
PARTITION: Object = {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}}


@pytest.fixture(scope="module")
def operator(cluster: ClusterAccess, kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watching]:
    with watching(kube, cluster.kubeconfig, tmp_path_factory.mktemp("operator"), 10) as found:
        yield found


@pytest.fixture
def shop(operator: Watching, kube: Kube) -> str:
    """A namespace with source Secret and target."""
    namespace = operator.namespace()
    kube.apply(objects.secret(namespace))
    kube.apply(objects.target(namespace))
    return namespace


def make(kube: Kube, namespace: str, kind: str, **spec: Any) -> Object:
    """Apply a workload, and return it once its pods run."""
    if kind == "StatefulSet":
        kube.apply(objects.stateful_set(namespace, replicas=2, spec=spec))
    else:
        kube.apply(objects.daemon_set(namespace, spec=spec))
    kube.wait("its pods run", lambda: running(kube, namespace, kind))
    return workload(kube, namespace, kind)


def workload(kube: Kube, namespace: str, kind: str) -> Object:
    found = kube.get(kind, namespace, "gateway")
    assert found is not None
    return found


def running(kube: Kube, namespace: str, kind: str) -> bool:
    item = workload(kube, namespace, kind)
    status = item.get("status") or {}
    if status.get("observedGeneration") != item["metadata"]["generation"]:
        return False
    if kind == "StatefulSet":
        return bool(status.get("availableReplicas") == item["spec"]["replicas"])
    return bool(status.get("numberAvailable", 0) == status["desiredNumberScheduled"] > 0)


def connect(kube: Kube, namespace: str, kind: str) -> None:
    item = objects.gateway(namespace)
    item["spec"]["install"]["inject"]["workloads"]["kind"] = kind
    kube.apply(item)


def hashes(kube: Kube, namespace: str) -> list[str | None]:
    """Return the hashes that the pods carry, by the pods' names."""
    pods = [item for item in kube.list("pod", namespace) if "deletionTimestamp" not in item["metadata"]]
    ordered = sorted(pods, key=lambda item: str(item["metadata"]["name"]))
    return [(item["metadata"].get("annotations") or {}).get(HASH) for item in ordered]


def programmed(kube: Kube, namespace: str, reason: str) -> str:
    item = kube.wait_condition("gatewaytelemetry", namespace, "gateway", "Programmed", "False", reason)
    message: str = condition(item, "Programmed")["message"]
    return message


def taken_back(kube: Kube, namespace: str, kind: str, before: Object) -> None:
    """Delete the GatewayTelemetry, and see that the workload is as it was."""
    kube.delete("gatewaytelemetry", namespace, "gateway")
    kube.wait_gone("gatewaytelemetry", namespace, "gateway")
    after = workload(kube, namespace, kind)
    assert after["spec"] == before["spec"]
    assert _annotations(after) == _annotations(before)
    assert {entry["manager"] for entry in after["metadata"]["managedFields"]} <= MANAGERS
    assert kube.get("secret", namespace, f"gateway-telemetry-{kind.lower()}-gateway") is None


def _annotations(item: Object) -> dict[str, str]:
    """Return the annotations but for the API server's own count of a DaemonSet's templates."""
    found: dict[str, str] = item["metadata"].get("annotations") or {}
    return {key: value for key, value in found.items() if key != "deprecated.daemonset.template.generation"}


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
def test_injected_rolled_out_and_put_back(operator: Watching, kube: Kube, shop: str, kind: str) -> None:
    before = make(kube, shop, kind)
    connect(kube, shop, kind)
    found = kube.wait_condition("gatewaytelemetry", shop, "gateway", "Ready")
    assert found["status"]["sinks"] == [
        {"kind": kind, "name": "gateway", "state": "Programmed", "reason": "Programmed", "container": "main"}
    ]
    live = workload(kube, shop, kind)
    template = live["spec"]["template"]
    env = template["spec"]["containers"][0]["env"]
    assert [item["name"] for item in env] == NAMES
    copy = f"gateway-telemetry-{kind.lower()}-gateway"
    assert env[2]["valueFrom"]["secretKeyRef"] == {"name": copy, "key": "otlp-headers", "optional": True}
    owner = kube.get("secret", shop, copy)["metadata"]["ownerReferences"][0]  # type: ignore[index]
    assert (owner["kind"], owner["uid"]) == (kind, live["metadata"]["uid"])
    # Programmed means that the pods run with it.
    assert hashes(kube, shop) == [template["metadata"]["annotations"][HASH]] * 2
    assert {entry["manager"] for entry in live["metadata"]["managedFields"]} <= MANAGERS

    kube.apply(objects.target(shop, project="other"))
    same(True, lambda: workload(kube, shop, kind)["spec"]["template"] != template, "another project, another template")
    kube.wait("its pods run", lambda: running(kube, shop, kind))
    taken_back(kube, shop, kind, before)


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
def test_on_delete_is_told_and_nothing_is_forced(operator: Watching, kube: Kube, shop: str, kind: str) -> None:
    before = make(kube, shop, kind, **ON_DELETE)
    connect(kube, shop, kind)
    message = programmed(kube, shop, "RolloutByHand")
    assert message == (
        f"{kind} {shop}/gateway: 2 of 2 pods keep the old settings, because its update strategy is OnDelete: delete "
        "them when it suits you"
    )
    assert hashes(kube, shop) == [None, None]
    assert workload(kube, shop, kind)["spec"]["updateStrategy"]["type"] == "OnDelete"

    for pod in kube.list("pod", shop):
        kube.delete("pod", shop, pod["metadata"]["name"])
    kube.wait_condition("gatewaytelemetry", shop, "gateway", "Ready")
    assert hashes(kube, shop).count(None) == 0
    taken_back(kube, shop, kind, before)


def test_a_partition_is_told_and_nothing_is_forced(operator: Watching, kube: Kube, shop: str) -> None:
    before = make(kube, shop, "StatefulSet", **PARTITION)
    connect(kube, shop, "StatefulSet")
    message = (
        f"StatefulSet {shop}/gateway: 1 of 2 pods keep the old settings, because its update strategy has partition 1"
    )
    same(
        f"{message}: delete them when it suits you",
        lambda: condition(kube.get("gatewaytelemetry", shop, "gateway"), "Programmed").get("message"),
        "the partition is told",
    )
    current = workload(kube, shop, "StatefulSet")["spec"]["template"]["metadata"]["annotations"][HASH]
    same([None, current], lambda: hashes(kube, shop), "the pod above the partition is new")
    assert workload(kube, shop, "StatefulSet")["spec"]["updateStrategy"] == before["spec"]["updateStrategy"]
    kube.merge_patch("statefulset", shop, "gateway", {"spec": {"updateStrategy": {"rollingUpdate": {"partition": 0}}}})
    kube.wait_condition("gatewaytelemetry", shop, "gateway", "Ready")
    assert hashes(kube, shop) == [current, current]


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
def test_pods_that_crash_are_told(operator: Watching, kube: Kube, shop: str, kind: str) -> None:
    """These kinds know no progress deadline: only their pods tell."""
    item = objects.stateful_set(shop) if kind == "StatefulSet" else objects.daemon_set(shop)
    item["spec"]["template"]["metadata"]["annotations"] = {"kwok.test/fate": "crash-loop"}
    kube.apply(item)
    kube.wait("its pods run", lambda: running(kube, shop, kind))
    before = workload(kube, shop, kind)
    connect(kube, shop, kind)
    message = programmed(kube, shop, "RolloutFailed")
    assert message.startswith(f"{kind} {shop}/gateway: pod gateway-")
    assert message.endswith(": container main: CrashLoopBackOff")
    rollback = {"onFailure": "Rollback"}
    kube.merge_patch("gatewaytelemetry", shop, "gateway", {"spec": {"install": {"inject": {"rollout": rollback}}}})
    programmed(kube, shop, "RolledBack")
    assert workload(kube, shop, kind)["spec"] == before["spec"]
    if kind == "StatefulSet":
        # Its controller waits for the failed pod for ever, so people are told.
        advice = f"so delete those: kubectl get pods -n {shop} -l 'app=gateway'"
        kube.wait("that is told", lambda: advice in _message(kube, shop))
        kube.delete("pod", shop, "gateway-0")
    kube.wait("the pods of before run", lambda: running(kube, shop, kind) and set(hashes(kube, shop)) == {None})
    kube.wait("nothing is left to be told", lambda: "delete" not in _message(kube, shop))


def _message(kube: Kube, namespace: str) -> str:
    found = condition(kube.get("gatewaytelemetry", namespace, "gateway"), "Programmed")
    return str(found["message"])


def test_kinds_do_not_mix(operator: Watching, kube: Kube, shop: str) -> None:
    """The database beside the gateway carries the same labels."""
    deployment = objects.deployment(shop, replicas=0)
    database = make(kube, shop, "StatefulSet")
    kube.apply(deployment)
    connect(kube, shop, "Deployment")
    kube.wait_condition("gatewaytelemetry", shop, "gateway", "Ready")
    assert workload(kube, shop, "StatefulSet")["spec"] == database["spec"]

    # Another kind in the spec: the first is put back, the other injected.
    connect(kube, shop, "StatefulSet")
    same(NAMES, lambda: _names(workload(kube, shop, "StatefulSet")), "the StatefulSet is injected")
    same([], lambda: _names(workload(kube, shop, "Deployment")), "the Deployment is put back")
    kube.wait_condition("gatewaytelemetry", shop, "gateway", "Ready")


def _names(item: Object) -> list[str]:
    return [entry["name"] for entry in item["spec"]["template"]["spec"]["containers"][0].get("env") or ()]
