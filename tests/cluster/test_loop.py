"""From objects to a Deployment that carries the settings, and back: the loop on a real API server."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import objects
from tests.support.cluster import ClusterAccess
from tests.support.kube import Kube, condition, same
from tests.support.objects import Object
from tests.support.operator import OperatorProcess

TRACES = "https://eu.api.smith.langchain.com/otel/v1/traces"
COPY = "gateway-telemetry-deployment-gateway"

Start = Callable[..., OperatorProcess]


@pytest.fixture
def operator(cluster: ClusterAccess, namespace: str, tmp_path: Path) -> Iterator[OperatorProcess]:
    """An operator that watches only the test's namespace."""
    with OperatorProcess(cluster.kubeconfig, tmp_path, f"--watch-namespace={namespace}") as process:
        yield process


@pytest.fixture
def applied(kube: Kube, namespace: str) -> str:
    """Secret, target, Deployment and GatewayTelemetry, all as they should be."""
    for item in (
        objects.secret(namespace),
        objects.target(namespace),
        objects.deployment(namespace),
        objects.gateway(namespace),
    ):
        kube.apply(item)
    return namespace


def env_of(deployment: Object | None, container: int = 0) -> dict[str, Object]:
    assert deployment is not None
    containers = deployment["spec"]["template"]["spec"]["containers"]
    return {item["name"]: item for item in containers[container].get("env") or ()}


def ready(kube: Kube, namespace: str, name: str = "gateway", timeout: float = 60) -> Object:
    """Wait until the status speaks of the present spec, and says Ready."""

    def seen() -> Object:
        live = kube.get("gatewaytelemetry", namespace, name) or {}
        current = (live.get("status") or {}).get("observedGeneration") == live["metadata"]["generation"]
        return live if current and condition(live, "Ready").get("status") == "True" else {}

    return kube.wait(f"GatewayTelemetry {namespace}/{name} is Ready", seen, timeout)


def test_a_deployment_gets_the_settings(operator: OperatorProcess, kube: Kube, applied: str) -> None:
    found = ready(kube, applied)

    env = env_of(kube.get("deployment", applied, "gateway"))
    assert list(env) == [
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
        "OTEL_RESOURCE_ATTRIBUTES",
    ]
    assert env["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]["value"] == TRACES
    assert env["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"]["value"] == "http/protobuf"
    assert env["OTEL_EXPORTER_OTLP_TRACES_HEADERS"]["valueFrom"] == {
        "secretKeyRef": {"name": COPY, "key": "otlp-headers", "optional": True}
    }
    secret = kube.get("secret", applied, COPY)
    assert secret is not None
    assert base64.b64decode(secret["data"]["otlp-headers"]).decode() == (
        f"x-api-key={objects.KEY},langsmith-project=checkout"
    )
    assert found["status"]["traces"] == {"endpoint": TRACES, "project": "checkout"}
    assert found["status"]["counts"] == {"matched": 1, "programmed": 1}
    assert found["status"]["observedGeneration"] == found["metadata"]["generation"]
    assert {item["type"]: (item["status"], item["reason"]) for item in found["status"]["conditions"]} == {
        "Accepted": ("True", "Accepted"),
        "ResolvedRefs": ("True", "Resolved"),
        "Programmed": ("True", "Programmed"),
        "Producing": ("Unknown", "NotVerified"),
        "Delivered": ("Unknown", "NotVerified"),
        "Ready": ("True", "Ready"),
    }
    target = kube.wait_condition("langsmithtarget", applied, "prod", "Ready")
    assert target["status"]["endpoints"] == {
        "api": "https://eu.api.smith.langchain.com",
        "otlp": "https://eu.api.smith.langchain.com/otel",
        "traces": TRACES,
    }


def test_nothing_is_left_claimed(operator: OperatorProcess, kube: Kube, applied: str) -> None:
    ready(kube, applied)
    deployment = kube.get("deployment", applied, "gateway")
    assert deployment is not None
    managers = {entry["manager"] for entry in deployment["metadata"]["managedFields"]}
    assert managers == {"test", "kube-controller-manager"}


def test_deletion_puts_the_deployment_back(operator: OperatorProcess, kube: Kube, namespace: str) -> None:
    kube.apply(objects.secret(namespace))
    kube.apply(objects.target(namespace))
    kube.apply(objects.deployment(namespace))
    before = kube.wait(
        "its controller has seen it",
        lambda: _observed(kube.get("deployment", namespace, "gateway")),
    )
    kube.apply(objects.gateway(namespace))
    found = ready(kube, namespace)
    assert found["metadata"]["finalizers"] == ["gatewaytelemetry.dev/restore"]

    kube.delete("gatewaytelemetry", namespace, "gateway")

    kube.wait_gone("gatewaytelemetry", namespace, "gateway")
    after = kube.get("deployment", namespace, "gateway")
    assert after is not None
    assert after["spec"] == before["spec"]
    assert _without_revision(after["metadata"]["annotations"]) == _without_revision(before["metadata"]["annotations"])
    assert {entry["manager"] for entry in after["metadata"]["managedFields"]} == {"test", "kube-controller-manager"}
    assert kube.get("secret", namespace, COPY) is None
    told = [line.partition("writes: ")[2] for line in operator.log().splitlines() if "control.writes: " in line]
    assert told == [
        f"GatewayTelemetry {namespace}/gateway: wrote settings to Deployment gateway",
        f"GatewayTelemetry {namespace}/gateway: restored Deployment gateway",
    ]


def _observed(deployment: Object | None) -> Object:
    """Return the Deployment once its controller has seen it; an empty object before that."""
    found = deployment or {}
    return found if (found.get("status") or {}).get("observedGeneration") else {}


def _without_revision(annotations: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in annotations.items() if key != "deployment.kubernetes.io/revision"}


def test_deletion_while_the_operator_is_away(cluster: ClusterAccess, kube: Kube, applied: str, tmp_path: Path) -> None:
    process = OperatorProcess(cluster.kubeconfig, tmp_path, f"--watch-namespace={applied}")
    with process:
        ready(kube, applied)
        assert process.stop() == 0
        kube.delete("gatewaytelemetry", applied, "gateway")
        assert kube.get("gatewaytelemetry", applied, "gateway") is not None
        process.start()
        kube.wait_gone("gatewaytelemetry", applied, "gateway")
    assert env_of(kube.get("deployment", applied, "gateway")) == {}


def test_a_restart_writes_nothing(cluster: ClusterAccess, kube: Kube, applied: str, tmp_path: Path) -> None:
    process = OperatorProcess(cluster.kubeconfig, tmp_path, f"--watch-namespace={applied}")
    with process:
        ready(kube, applied)
        process.stop()
        process.start()
        kube.wait(
            "both objects were looked at",
            lambda: (
                sum(
                    value
                    for name, value in process.metrics().items()
                    if name.startswith("gateway_telemetry_reconciles_total")
                )
                >= 2
            ),
        )
        assert process.metrics()["gateway_telemetry_api_writes_total"] == 0


def test_an_edit_of_the_target_reaches_the_deployment(operator: OperatorProcess, kube: Kube, applied: str) -> None:
    ready(kube, applied)
    kube.apply(objects.target(applied, saas={"region": "us"}))
    same(
        "https://api.smith.langchain.com/otel/v1/traces",
        lambda: env_of(kube.get("deployment", applied, "gateway"))["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"].get("value"),
        "the endpoint follows the region",
    )
    ready(kube, applied)


def test_a_new_key_reaches_the_copy(operator: OperatorProcess, kube: Kube, applied: str) -> None:
    ready(kube, applied)
    before = kube.get("deployment", applied, "gateway")
    kube.apply(objects.secret(applied, key="lsv2_sk_rotated"))

    def copied() -> str:
        secret = kube.get("secret", applied, COPY)
        assert secret is not None
        return base64.b64decode(secret["data"]["otlp-headers"]).decode()

    same("x-api-key=lsv2_sk_rotated,langsmith-project=checkout", copied, "the copy follows the key")
    after = kube.wait_condition("gatewaytelemetry", applied, "gateway", "Ready")
    assert after["status"]["counts"] == {"matched": 1, "programmed": 1}
    same(
        True,
        lambda: _hash(kube.get("deployment", applied, "gateway")) != _hash(before),
        "a new key rolls the pods, which read it only when they start",
    )


def _hash(deployment: Object | None) -> str:
    assert deployment is not None
    text: str = deployment["spec"]["template"]["metadata"]["annotations"]["gatewaytelemetry.dev/config-hash"]
    return text


def test_many_edits_lead_to_few_runs(operator: OperatorProcess, kube: Kube, applied: str) -> None:
    ready(kube, applied)
    name = 'gateway_telemetry_reconciles_total{kind="GatewayTelemetry",result="ok"}'
    before = operator.metrics()[name]
    for number in range(50):
        kube.merge_patch("gatewaytelemetry", applied, "gateway", {"spec": {"project": f"p-{number}"}})

    def headers() -> str:
        secret = kube.get("secret", applied, COPY)
        return base64.b64decode((secret or {})["data"]["otlp-headers"]).decode()

    same(f"x-api-key={objects.KEY},langsmith-project=p-49", headers, "the last edit wins")
    found = ready(kube, applied)
    kube.wait("the status speaks of the last edit", lambda: _current(kube.get("gatewaytelemetry", applied, "gateway")))
    assert found["metadata"]["generation"] >= 51
    assert operator.metrics()[name] - before < 50


def _current(item: Object | None) -> bool:
    assert item is not None
    return bool(item["status"]["observedGeneration"] == item["metadata"]["generation"])


def test_a_missing_target_is_told_and_harms_nothing(operator: OperatorProcess, kube: Kube, applied: str) -> None:
    ready(kube, applied)
    before = copy.deepcopy(kube.get("deployment", applied, "gateway"))
    assert before is not None
    kube.delete("langsmithtarget", applied, "prod")
    found = kube.wait_condition(
        "gatewaytelemetry", applied, "gateway", "ResolvedRefs", status="False", reason="TargetNotFound"
    )
    assert condition(found, "Ready")["reason"] == "TargetNotFound"
    assert condition(found, "Stalled")["status"] == "True"
    after = kube.get("deployment", applied, "gateway")
    assert after is not None
    assert after["spec"] == before["spec"]

    kube.apply(objects.target(applied))
    ready(kube, applied)


def test_a_missing_secret_is_told_and_harms_nothing(operator: OperatorProcess, kube: Kube, applied: str) -> None:
    ready(kube, applied)
    kube.delete("secret", applied, "langsmith")
    target = kube.wait_condition(
        "langsmithtarget", applied, "prod", "ResolvedRefs", status="False", reason="SecretNotFound"
    )
    assert (
        f"kubectl label secret langsmith -n {applied} gatewaytelemetry.dev/role=source"
        in (condition(target, "ResolvedRefs")["message"])
    )
    kube.wait_condition("gatewaytelemetry", applied, "gateway", "ResolvedRefs", "False", "TargetNotReady")
    assert kube.get("secret", applied, COPY) is not None
    assert "OTEL_EXPORTER_OTLP_TRACES_HEADERS" in env_of(kube.get("deployment", applied, "gateway"))


def test_an_unlabelled_secret_reads_like_a_missing_one(operator: OperatorProcess, kube: Kube, namespace: str) -> None:
    item = objects.secret(namespace)
    del item["metadata"]["labels"]
    kube.apply(item)
    kube.apply(objects.target(namespace))
    kube.wait_condition("langsmithtarget", namespace, "prod", "ResolvedRefs", "False", "SecretNotFound")
    kube.apply(objects.secret(namespace))
    kube.wait_condition("langsmithtarget", namespace, "prod", "ResolvedRefs", "True")


def test_a_foreign_variable_is_named_and_kept(operator: OperatorProcess, kube: Kube, namespace: str) -> None:
    kube.apply(objects.secret(namespace))
    kube.apply(objects.target(namespace))
    mine = [{"name": "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "value": "http://collector:4318/v1/traces"}]
    kube.apply(objects.deployment(namespace, env=mine))
    kube.apply(objects.gateway(namespace))
    found = kube.wait_condition("gatewaytelemetry", namespace, "gateway", "Programmed", "False", "EnvConflict")
    message = condition(found, "Programmed")["message"]
    assert "container main already sets OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" in message
    assert kube.get("secret", namespace, COPY) is None
    assert list(env_of(kube.get("deployment", namespace, "gateway")).values()) == mine
    assert "finalizers" not in found["metadata"]

    kube.apply(objects.deployment(namespace))
    ready(kube, namespace)


def test_a_paused_rollout_is_told(operator: OperatorProcess, kube: Kube, applied: str) -> None:
    ready(kube, applied)
    kube.merge_patch("deployment", applied, "gateway", {"spec": {"paused": True}})
    kube.apply(objects.gateway(applied, project="other"))
    found = kube.wait_condition("gatewaytelemetry", applied, "gateway", "Programmed", "False", "RolloutPaused")
    assert f"kubectl rollout resume deployment gateway -n {applied}" in condition(found, "Programmed")["message"]
    kube.merge_patch("deployment", applied, "gateway", {"spec": {"paused": False}})
    ready(kube, applied)


def test_a_changed_selector_restores_what_it_left(operator: OperatorProcess, kube: Kube, applied: str) -> None:
    kube.apply(objects.deployment(applied, "other"))
    ready(kube, applied)
    kube.apply(objects.gateway(applied, app="other"))
    same({}, lambda: env_of(kube.get("deployment", applied, "gateway")), "what it left is as it was")
    kube.wait_gone("secret", applied, COPY)
    ready(kube, applied)
    assert "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" in env_of(kube.get("deployment", applied, "other"))


def test_suspend_writes_nothing(operator: OperatorProcess, kube: Kube, applied: str) -> None:
    ready(kube, applied)
    before = _hash(kube.get("deployment", applied, "gateway"))
    kube.apply(objects.gateway(applied, project="other", suspend=True))
    found = kube.wait_condition("gatewaytelemetry", applied, "gateway", "Suspended")
    assert condition(found, "Ready")["status"] == "True"
    assert _hash(kube.get("deployment", applied, "gateway")) == before
    kube.apply(objects.gateway(applied, project="other"))
    kube.wait(
        "it goes on",
        lambda: _hash(kube.get("deployment", applied, "gateway")) != before,
    )


def test_no_key_outside_secrets(operator: OperatorProcess, kube: Kube, applied: str) -> None:
    ready(kube, applied)
    for kind in ("langsmithtarget", "gatewaytelemetry", "deployment", "configmap", "event", "replicaset", "pod"):
        assert objects.KEY not in json.dumps(kube.list(kind, applied)), kind
    assert objects.KEY not in operator.log()
    assert objects.KEY not in json.dumps(list(operator.metrics()))


def test_kopf_leaves_no_trace(operator: OperatorProcess, kube: Kube, applied: str) -> None:
    ready(kube, applied)
    for kind in ("langsmithtarget", "gatewaytelemetry", "deployment", "secret", "configmap", "event", "replicaset"):
        for item in kube.list(kind, applied):
            text = json.dumps({**item, "data": None})
            assert "kopf" not in text.lower(), text
    for item in kube.list("langsmithtarget", applied):
        assert "finalizers" not in item["metadata"]
