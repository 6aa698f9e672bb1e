"""A chart that refers to a Secret of ours: only that is written, and pods are restarted only where that is asked.

Nothing of the pod template is the operator's here, so nothing of it may change, but for the request to restart.
"""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import trustme

from tests.support import objects
from tests.support.cluster import ClusterAccess, Kubectl, available
from tests.support.kube import Kube, condition, same
from tests.support.objects import Object
from tests.support.operator import Watching, watching

TRACES = "https://eu.api.smith.langchain.com/otel/v1/traces"
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
ENV_FROM = [{"secretRef": {"name": "traces", "optional": True}}]
AUTOMATIC: Object = {"rollout": {"policy": "Automatic"}}
MANUAL: Object = {"rollout": {"policy": "Manual"}}


@pytest.fixture(scope="module")
def operator(cluster: ClusterAccess, kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watching]:
    with watching(kube, cluster.kubeconfig, tmp_path_factory.mktemp("operator"), 18) as found:
        yield found


@pytest.fixture
def shop(operator: Watching, kube: Kube) -> str:
    """A namespace with source Secret and target, and a Deployment that refers to the Secret ``traces`` and runs."""
    namespace = operator.namespace()
    kube.apply(objects.secret(namespace))
    kube.apply(objects.target(namespace))
    kube.apply(objects.deployment(namespace, envFrom=ENV_FROM))
    kube.wait("the gateway runs", lambda: available(kube, namespace, "gateway"))
    return namespace


def secret(kube: Kube, namespace: str) -> dict[str, str]:
    found = kube.get("secret", namespace, "traces")
    return {key: base64.b64decode(text).decode() for key, text in ((found or {}).get("data") or {}).items()}


def programmed(kube: Kube, namespace: str, reason: str, name: str = "gateway", status: str = "False") -> str:
    item = kube.wait_condition("gatewaytelemetry", namespace, name, "Programmed", status, reason)
    message: str = condition(item, "Programmed")["message"]
    return message


def spec(kube: Kube, namespace: str) -> Object:
    found = kube.get("deployment", namespace, "gateway")
    assert found is not None
    result: Object = found["spec"]
    return result


SECONDS = "%Y-%m-%dT%H:%M:%SZ"


def restarted_at(kube: Kube, namespace: str) -> str | None:
    annotations: dict[str, str] = spec(kube, namespace)["template"]["metadata"].get("annotations") or {}
    return annotations.get(RESTARTED_AT)


def pods(kube: Kube, namespace: str) -> set[str]:
    """Return the names of the pods, once the rollout is complete."""
    kube.wait("the rollout is complete", lambda: available(kube, namespace, "gateway"))
    found = kube.list("pod", namespace)
    return {item["metadata"]["name"] for item in found if "deletionTimestamp" not in item["metadata"]}


def test_the_secret_holds_the_variables_and_nothing_else_is_written(operator: Watching, kube: Kube, shop: str) -> None:
    before = spec(kube, shop)
    kube.apply(objects.reference(shop, **MANUAL))
    message = programmed(kube, shop, "RestartNeeded")
    assert message.endswith(f": kubectl rollout restart deployment gateway -n {shop}")
    data = secret(kube, shop)
    stamp = data.pop("OTEL_RESOURCE_ATTRIBUTES")
    assert stamp.startswith("gatewaytelemetry.id=")
    assert data == {
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": TRACES,
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS": f"x-api-key={objects.KEY},langsmith-project=checkout",
    }
    assert spec(kube, shop) == before
    live = kube.get("deployment", shop, "gateway")
    assert live is not None
    assert {entry["manager"] for entry in live["metadata"]["managedFields"]} == {"test", "kube-controller-manager"}
    assert kube.get("configmap", shop, "traces-ca") is None


def test_programmed_once_people_have_restarted(operator: Watching, kube: Kube, kubectl: Kubectl, shop: str) -> None:
    kube.apply(objects.reference(shop, **MANUAL))
    programmed(kube, shop, "RestartNeeded")
    _next_second(kube, shop)
    kubectl("rollout", "restart", "deployment", "gateway", "-n", shop)
    kube.wait_condition("gatewaytelemetry", shop, "gateway", "Ready")

    before = pods(kube, shop)
    kube.apply(objects.secret(shop, key="lsv2_sk_rotated"))
    programmed(kube, shop, "RestartNeeded")
    assert secret(kube, shop)["OTEL_EXPORTER_OTLP_TRACES_HEADERS"].startswith("x-api-key=lsv2_sk_rotated,")
    _next_second(kube, shop)
    kubectl("rollout", "restart", "deployment", "gateway", "-n", shop)
    kube.wait_condition("gatewaytelemetry", shop, "gateway", "Ready")
    assert not pods(kube, shop) & before


def _next_second(kube: Kube, namespace: str) -> None:
    """Wait until the second of the Secret's change is over: pods of that second count as older."""
    changed = kube.get("secret", namespace, "traces")["metadata"]["annotations"]["gatewaytelemetry.dev/changedAt"]  # type: ignore[index]
    then = dt.datetime.fromisoformat(changed) + dt.timedelta(seconds=1)
    kube.wait("the next second has begun", lambda: dt.datetime.now(dt.UTC) >= then)


def test_automatic_restarts_once_per_change(operator: Watching, kube: Kube, shop: str) -> None:
    old = pods(kube, shop)
    kube.apply(objects.reference(shop, **AUTOMATIC))
    kube.wait_condition("gatewaytelemetry", shop, "gateway", "Ready")
    first = restarted_at(kube, shop)
    assert first is not None
    newer = pods(kube, shop)
    assert not newer & old
    generation = kube.get("deployment", shop, "gateway")["metadata"]["generation"]  # type: ignore[index]

    kube.apply(objects.secret(shop, key="lsv2_sk_rotated"))
    same(True, lambda: (restarted_at(kube, shop) or "") > first, "it is restarted")
    kube.wait_condition("gatewaytelemetry", shop, "gateway", "Ready")
    assert not pods(kube, shop) & (old | newer)
    live = kube.get("deployment", shop, "gateway")
    assert live is not None
    assert live["metadata"]["generation"] == generation + 1
    assert {entry["manager"] for entry in live["metadata"]["managedFields"]} == {"test", "kube-controller-manager"}

    # A restart of the operator is no change.
    operator.process.stop()
    operator.process.start()
    kube.wait("the operator has looked", lambda: operator.reconciles() >= 1)
    assert kube.get("deployment", shop, "gateway")["metadata"]["generation"] == generation + 1  # type: ignore[index]


def test_automatic_after_people_have_restarted_by_hand(
    operator: Watching, kube: Kube, kubectl: Kubectl, shop: str
) -> None:
    """The annotation belongs to kubectl then, and the operator's restart has another value."""
    kubectl("rollout", "restart", "deployment", "gateway", "-n", shop)
    kube.wait("it runs again", lambda: available(kube, shop, "gateway"))
    kube.apply(objects.reference(shop, **AUTOMATIC))
    kube.wait_condition("gatewaytelemetry", shop, "gateway", "Ready")
    kube.apply(objects.secret(shop, key="lsv2_sk_rotated"))
    before = restarted_at(kube, shop) or ""
    same(True, lambda: (restarted_at(kube, shop) or "") > before, "it is restarted")
    kube.wait_condition("gatewaytelemetry", shop, "gateway", "Ready")
    # And people can restart it afterwards.
    mine = restarted_at(kube, shop) or ""
    kube.wait("kubectl refuses two restarts within a second", lambda: datetime.now(UTC).strftime(SECONDS) > mine)
    kubectl("rollout", "restart", "deployment", "gateway", "-n", shop)
    assert restarted_at(kube, shop) != mine


def test_a_deployment_that_does_not_refer_is_named(operator: Watching, kube: Kube, shop: str) -> None:
    other = objects.deployment(shop, "other")
    other["metadata"]["labels"] = {"app": "gateway"}
    kube.apply(other)
    kube.wait("it runs", lambda: available(kube, shop, "other"))
    before = kube.get("deployment", shop, "other")
    kube.apply(objects.reference(shop, **AUTOMATIC))
    message = programmed(kube, shop, "NotReferenced")
    assert message.startswith(f"Deployment {shop}/other does not refer to Secret traces: ")
    same("Programmed", lambda: _sinks(kube, shop).get("gateway"), "the one that refers is programmed")
    assert _sinks(kube, shop)["other"] == "Blocked"
    assert kube.get("deployment", shop, "other")["spec"] == (before or {})["spec"]  # type: ignore[index]

    # Once its chart refers to it, it starts with what is there.
    _next_second(kube, shop)
    other["spec"]["template"]["spec"]["containers"][0]["envFrom"] = ENV_FROM
    kube.apply(other)
    kube.wait_condition("gatewaytelemetry", shop, "gateway", "Ready")


def _sinks(kube: Kube, namespace: str) -> dict[str, str]:
    status = (kube.get("gatewaytelemetry", namespace, "gateway") or {}).get("status") or {}
    return {item["name"]: item["state"] for item in status.get("sinks") or ()}


def test_a_foreign_secret_of_that_name_is_left_alone(operator: Watching, kube: Kube, shop: str) -> None:
    foreign: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "traces", "namespace": shop},
        "stringData": {"mine": "yes"},
    }
    kube.create(foreign)
    kube.apply(objects.reference(shop))
    message = programmed(kube, shop, "SecretNameTaken")
    assert message == f"Secret {shop}/traces exists and is not this operator's: rename or delete it"
    assert secret(kube, shop) == {"mine": "yes"}
    kube.delete("gatewaytelemetry", shop, "gateway")
    kube.wait_gone("gatewaytelemetry", shop, "gateway")
    assert secret(kube, shop) == {"mine": "yes"}


def test_two_gateways_do_not_take_turns_with_one_secret(operator: Watching, kube: Kube, shop: str) -> None:
    kube.apply(objects.deployment(shop, "other", envFrom=ENV_FROM))
    kube.apply(objects.reference(shop, **AUTOMATIC))
    kube.wait_condition("gatewaytelemetry", shop, "gateway", "Ready")
    before = secret(kube, shop)
    kube.apply(objects.reference(shop, "other", app="other"))
    message = programmed(kube, shop, "SecretNameTaken", "other")
    assert message.startswith(f"Secret {shop}/traces belongs to GatewayTelemetry gateway: ")
    assert secret(kube, shop) == before
    kube.delete("gatewaytelemetry", shop, "gateway")
    kube.wait_condition("gatewaytelemetry", shop, "other", "Ready")


def test_deletion_takes_the_secret_and_never_touches_the_template(operator: Watching, kube: Kube, shop: str) -> None:
    with_ca(kube, shop)
    config_map = kube.get("configmap", shop, "traces-ca")
    assert config_map is not None
    assert config_map["data"] == (kube.get("configmap", shop, "langsmith-ca") or {})["data"]
    before = spec(kube, shop)
    kube.delete("gatewaytelemetry", shop, "gateway")
    kube.wait_gone("gatewaytelemetry", shop, "gateway")
    assert kube.get("secret", shop, "traces") is None
    assert kube.get("configmap", shop, "traces-ca") is None
    assert spec(kube, shop) == before
    log = operator.process.log()
    assert f"GatewayTelemetry {shop}/gateway: wrote Secret traces\n" in log
    assert f"Deployment {shop}/gateway: restarted its pods, which had an older Secret\n" in log
    assert f"GatewayTelemetry {shop}/gateway: deleted Secret traces\n" in log


def with_ca(kube: Kube, namespace: str) -> None:
    """Let the gateway's chart mount the CA, and wait until its pods run with it."""
    pem = trustme.CA().cert_pem.bytes().decode()
    mounted = objects.deployment(
        namespace, envFrom=ENV_FROM, volumeMounts=[{"name": "langsmith-ca", "mountPath": "/etc/gateway-telemetry"}]
    )
    ca = {"name": "langsmith-ca", "configMap": {"name": "traces-ca", "optional": True}}
    mounted["spec"]["template"]["spec"]["volumes"] = [ca]
    kube.apply(mounted)
    kube.apply(objects.ca_bundle(namespace, pem))
    reference = {"kind": "ConfigMap", "name": "langsmith-ca", "key": "ca.crt"}
    kube.apply(objects.target(namespace, "private", caBundleRef=reference))
    item = objects.reference(namespace, **AUTOMATIC)
    item["spec"]["targetRef"] = {"name": "private"}
    kube.apply(item)
    kube.wait_condition("gatewaytelemetry", namespace, "gateway", "Ready")


@pytest.mark.parametrize(("kind", "name"), [("secret", "traces"), ("configmap", "traces-ca")])
def test_what_somebody_deletes_comes_back_and_pods_that_have_read_it_run_on(
    operator: Watching, kube: Kube, shop: str, kind: str, name: str
) -> None:
    with_ca(kube, shop)
    # Pods of the last seconds may have started without it.
    kube.wait("the pods are some seconds old", lambda: _youngest_pod(kube, shop) > 7)
    before, data = spec(kube, shop), (kube.get(kind, shop, name) or {})["data"]
    for _ in range(2):
        kube.delete(kind, shop, name)
        same(data, lambda: (kube.get(kind, shop, name) or {}).get("data"), "it is there again")
    kube.wait_condition("gatewaytelemetry", shop, "gateway", "Ready")
    assert spec(kube, shop) == before


def test_a_ca_goes_with_its_gateway_also_when_its_secret_is_gone(operator: Watching, kube: Kube, shop: str) -> None:
    with_ca(kube, shop)
    kube.merge_patch("gatewaytelemetry", shop, "gateway", {"spec": {"suspend": True}})
    kube.wait_condition("gatewaytelemetry", shop, "gateway", "Suspended")
    runs = operator.reconciles()
    kube.delete("secret", shop, "traces")
    kube.wait("it was noticed", lambda: operator.reconciles() > runs)
    kube.delete("gatewaytelemetry", shop, "gateway")
    kube.wait_gone("gatewaytelemetry", shop, "gateway")
    assert kube.get("configmap", shop, "traces-ca") is None


def _youngest_pod(kube: Kube, namespace: str) -> float:
    """Return its age in seconds."""
    created = [dt.datetime.fromisoformat(item["metadata"]["creationTimestamp"]) for item in kube.list("pod", namespace)]
    return (datetime.now(UTC) - max(created)).total_seconds()


def test_orphan_leaves_the_secret_also_when_the_operator_was_away(operator: Watching, kube: Kube, shop: str) -> None:
    item = objects.reference(shop, **AUTOMATIC)
    item["spec"]["deletionPolicy"] = "Orphan"
    kube.apply(item)
    found = kube.wait_condition("gatewaytelemetry", shop, "gateway", "Ready")
    assert "finalizers" not in found["metadata"]
    before = secret(kube, shop)
    operator.process.stop()
    kube.delete("gatewaytelemetry", shop, "gateway")
    kube.wait_gone("gatewaytelemetry", shop, "gateway")
    operator.process.start()
    # Whoever comes later takes it over, without a restart: the content is the same.
    generation = kube.get("deployment", shop, "gateway")["metadata"]["generation"]  # type: ignore[index]
    assert secret(kube, shop) == before
    kube.apply(objects.reference(shop, **AUTOMATIC))
    kube.wait_condition("gatewaytelemetry", shop, "gateway", "Ready")
    assert secret(kube, shop) == before
    assert kube.get("deployment", shop, "gateway")["metadata"]["generation"] == generation  # type: ignore[index]
    kube.delete("gatewaytelemetry", shop, "gateway")
    kube.wait_gone("gatewaytelemetry", shop, "gateway")
    assert kube.get("secret", shop, "traces") is None


def test_another_name_moves_the_secret(operator: Watching, kube: Kube, shop: str) -> None:
    kube.apply(objects.reference(shop, **AUTOMATIC))
    kube.wait_condition("gatewaytelemetry", shop, "gateway", "Ready")
    kube.apply(objects.reference(shop, **(AUTOMATIC | {"secretName": "renamed"})))
    message = programmed(kube, shop, "NotReferenced")
    assert "does not refer to Secret renamed" in message
    same(None, lambda: kube.get("secret", shop, "traces"), "the old one is gone")
    assert kube.get("secret", shop, "renamed") is not None


def test_from_inject_to_reference_and_back(operator: Watching, kube: Kube, shop: str) -> None:
    kube.apply(objects.gateway(shop))
    kube.wait_condition("gatewaytelemetry", shop, "gateway", "Ready")
    # Server-side apply of the whole object with the other way, as a chart's upgrade does it.
    kube.apply(objects.reference(shop, **AUTOMATIC))
    same(None, lambda: kube.get("secret", shop, "gateway-telemetry-deployment-gateway"), "the copy is gone")
    same(TRACES, lambda: secret(kube, shop).get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), "the Secret is written")
    kube.wait("the gateway runs", lambda: available(kube, shop, "gateway"))
    container = spec(kube, shop)["template"]["spec"]["containers"][0]
    assert "env" not in container
    same("Programmed", lambda: _sinks(kube, shop).get("gateway"), "its pods run with it")
    kube.apply(objects.gateway(shop))
    same(None, lambda: kube.get("secret", shop, "traces"), "the referenced Secret is gone")
    same("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", lambda: _first(spec(kube, shop)), "the variables are written")
    kube.wait_condition("gatewaytelemetry", shop, "gateway", "Ready")


def _first(found: Object) -> str | None:
    env = found["template"]["spec"]["containers"][0].get("env") or [{}]
    return str(env[0].get("name"))
