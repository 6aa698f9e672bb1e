"""Objects of other operators' kinds, in the shape of their CRDs: settings go in, stay, and come out again.

The lists of these kinds are atomic: whoever writes one item owns the list. That nobody but the user does afterwards is
what lets a chart's upgrade go through.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import objects
from tests.support.account import chart_account
from tests.support.apiproxy import Answer, ApiProxy
from tests.support.cluster import ClusterAccess
from tests.support.helm import rendered, service_account_kubeconfig
from tests.support.kube import Kube, condition
from tests.support.objects import Object
from tests.support.operator import OperatorProcess, Watching, watching

ROOT = Path(__file__).parents[2]
CRDS = ROOT / "tests" / "fixtures" / "crds"
TRACES = "https://eu.api.smith.langchain.com/otel/v1/traces"
STORM_SECONDS = 6.0
PIPELINE = {"receivers": ["otlp"], "exporters": ["debug"]}


@dataclass(frozen=True)
class Case:
    """One kind.

    Attributes:
        type: of the gateway.
        spec: as the user wrote it.
    """

    type: str
    api_version: str
    spec: Object


CASES = {
    "OpenTelemetryCollector": Case(
        "otel-collector",
        "opentelemetry.io/v1beta1",
        {
            "mode": "deployment",
            "env": [{"name": "LOG", "value": "info"}],
            "config": {
                "receivers": {"otlp": {"protocols": {"http": {}}}},
                "exporters": {"debug": {}},
                "service": {"pipelines": {"traces": PIPELINE, "metrics": PIPELINE}},
            },
        },
    ),
    "GatewayConfig": Case("envoy-ai-gateway", "aigateway.envoyproxy.io/v1beta1", {}),
    "AgentgatewayParameters": Case(
        "agentgateway",
        "agentgateway.dev/v1alpha1",
        {"logging": {"level": "info"}, "rawConfig": {"config": {"tracing": {"fields": {"add": {"team": '"a"'}}}}}},
    ),
}


@pytest.fixture(scope="module")
def crds(kube: Kube) -> Iterator[None]:
    made = [yaml.safe_load(path.read_text()) for path in sorted(CRDS.glob("*.yaml"))]
    for item in made:
        kube.apply(item)
    for item in made:
        name = item["metadata"]["name"]
        kube.wait_condition("customresourcedefinition", None, name, "Established")
    yield
    for item in made:
        kube.delete("customresourcedefinition", None, item["metadata"]["name"])


@pytest.fixture(scope="module")
def operator(
    cluster: ClusterAccess, kube: Kube, crds: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watching]:
    with watching(kube, cluster.kubeconfig, tmp_path_factory.mktemp("operator"), 24, "--cluster-name=test") as found:
        yield found


@pytest.fixture
def shop(operator: Watching, kube: Kube) -> str:
    namespace = operator.namespace()
    kube.apply(objects.secret(namespace))
    kube.apply(objects.target(namespace))
    return namespace


def configured(namespace: str, kind: str, spec: Object | None = None) -> Object:
    case = CASES[kind]
    return {
        "apiVersion": case.api_version,
        "kind": kind,
        "metadata": objects.metadata("main", namespace),
        "spec": case.spec if spec is None else spec,
    }


def telemetry(namespace: str, kind: str, **spec: Any) -> Object:
    gateway = {"type": CASES[kind].type, **spec.pop("options", {})}
    install = {"resource": {"ref": {"kind": kind, "name": "main"}}}
    return objects.gateway(namespace, install=install, gateway=gateway, **spec)


def live(kube: Kube, namespace: str, kind: str) -> Object:
    found = kube.get(kind, namespace, "main")
    assert found is not None
    return found


def ready(kube: Kube, namespace: str, kind: str) -> Object:
    kube.wait_condition("gatewaytelemetry", namespace, "gateway", "Ready", timeout=60)
    spec: Object = live(kube, namespace, kind)["spec"]
    return spec


def look_again(kube: Kube, namespace: str, value: str) -> None:
    """Ask for what an operator finds out by itself within a minute: these kinds are not watched."""
    annotations = {"metadata": {"annotations": {"gatewaytelemetry.dev/requestedAt": value}}}
    kube.merge_patch("gatewaytelemetry", namespace, "gateway", annotations)


def copied(kube: Kube, namespace: str, kind: str, key: str) -> str:
    found = kube.get("secret", namespace, f"gateway-telemetry-{kind.lower()}-main")
    assert found is not None
    return base64.b64decode(found["data"][key]).decode()


def without_hash(env: list[Object]) -> list[Object]:
    """Return the variables without the one that replaces the pods, which must be the last."""
    assert env[-1]["name"] == "GATEWAY_TELEMETRY_CONFIG_HASH"
    assert len(env[-1]["value"]) == 16
    return env[:-1]


@pytest.mark.parametrize("kind", CASES)
def test_in_and_out_again(operator: Watching, kube: Kube, shop: str, kind: str) -> None:
    kube.apply(configured(shop, kind))
    before = live(kube, shop, kind)
    kube.apply(telemetry(shop, kind))
    assert ready(kube, shop, kind) != before["spec"]
    status = kube.get("gatewaytelemetry", shop, "gateway")["status"]  # type: ignore[index]
    assert [(item["kind"], item["name"], item["state"]) for item in status["sinks"]] == [(kind, "main", "Programmed")]
    assert {item["manager"] for item in live(kube, shop, kind)["metadata"]["managedFields"]} == {"test"}
    version = live(kube, shop, kind)["metadata"]["resourceVersion"]
    seen = operator.reconciles()
    look_again(kube, shop, "1")
    kube.wait("it is looked at again", lambda: operator.reconciles() > seen)
    assert live(kube, shop, kind)["metadata"]["resourceVersion"] == version
    kube.delete("gatewaytelemetry", shop, "gateway")
    kube.wait_gone("gatewaytelemetry", shop, "gateway")
    assert live(kube, shop, kind)["spec"] == before["spec"]
    assert [item["metadata"]["name"] for item in kube.list("secret", shop)] == ["langsmith"]


@pytest.mark.parametrize("kind", CASES)
def test_a_chart_that_writes_its_own_again_meets_no_conflict(
    operator: Watching, kube: Kube, shop: str, kind: str
) -> None:
    kube.apply(configured(shop, kind))
    kube.apply(telemetry(shop, kind))
    written = ready(kube, shop, kind)
    kube.apply(configured(shop, kind))  # server-side, as Helm 4 does: a conflict would be an error here
    look_again(kube, shop, "1")
    kube.wait("it stands there", lambda: live(kube, shop, kind)["spec"] == written)
    kube.replace({**live(kube, shop, kind), "spec": configured(shop, kind)["spec"]})  # as Helm 3 does
    look_again(kube, shop, "2")
    kube.wait("it is put back", lambda: live(kube, shop, kind)["spec"] == written)


@pytest.mark.parametrize("kind", CASES)
def test_a_new_key_replaces_the_pods(operator: Watching, kube: Kube, shop: str, kind: str) -> None:
    kube.apply(configured(shop, kind))
    kube.apply(telemetry(shop, kind))
    before = ready(kube, shop, kind)
    kube.apply(objects.secret(shop, key="lsv2_sk_rotated_0123456789abcdef"))
    kube.wait("it changes", lambda: live(kube, shop, kind)["spec"] != before)
    ready(kube, shop, kind)
    key = "api-key" if kind == "OpenTelemetryCollector" else "otlp-headers"
    assert "lsv2_sk_rotated_0123456789abcdef" in copied(kube, shop, kind, key)
    assert "lsv2_sk" not in json.dumps(live(kube, shop, kind))


def test_the_collector_object(operator: Watching, kube: Kube, shop: str) -> None:
    kind = "OpenTelemetryCollector"
    kube.apply(configured(shop, kind))
    kube.apply(telemetry(shop, kind))
    spec = ready(kube, shop, kind)
    assert spec["config"]["exporters"]["otlp_http/gateway-telemetry"]["traces_endpoint"] == TRACES
    assert spec["config"]["service"]["pipelines"] == {
        "traces": {"receivers": ["otlp"], "exporters": ["debug", "otlp_http/gateway-telemetry"]},
        "metrics": PIPELINE,
    }
    reference = {"key": "api-key", "name": "gateway-telemetry-opentelemetrycollector-main", "optional": True}
    assert without_hash(spec["env"]) == [
        {"name": "LOG", "value": "info"},
        {"name": "GATEWAY_TELEMETRY_API_KEY", "valueFrom": {"secretKeyRef": reference}},
    ]
    assert copied(kube, shop, kind, "api-key") == objects.KEY


def test_envoy_ai_gateway(operator: Watching, kube: Kube, shop: str) -> None:
    kind = "GatewayConfig"
    kube.apply(configured(shop, kind))
    kube.apply(telemetry(shop, kind, options={"envoyAiGateway": {"semconv": "gen_ai"}}, capture={"content": False}))
    env = without_hash(ready(kube, shop, kind)["extProc"]["kubernetes"]["env"])
    reference = {"key": "otlp-headers", "name": "gateway-telemetry-gatewayconfig-main", "optional": True}
    stamp = next(item["value"] for item in env if item["name"] == "OTEL_RESOURCE_ATTRIBUTES")
    assert stamp.startswith("gatewaytelemetry.id=")
    assert [item for item in env if item["name"] != "OTEL_RESOURCE_ATTRIBUTES"] == [
        {"name": "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "value": TRACES},
        {"name": "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "value": "http/protobuf"},
        {"name": "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "valueFrom": {"secretKeyRef": reference}},
        {"name": "OTEL_METRICS_EXPORTER", "value": "none"},
        {"name": "AI_GATEWAY_TRACING_SEMCONV", "value": "gen_ai"},
        {"name": "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "value": "false"},
    ]
    assert copied(kube, shop, kind, "otlp-headers") == f"x-api-key={objects.KEY},langsmith-project=checkout"


def test_pods_that_cannot_read_the_key_are_told(operator: Watching, kube: Kube, shop: str) -> None:
    kube.apply(configured(shop, "GatewayConfig"))
    kube.apply(telemetry(shop, "GatewayConfig"))
    ready(kube, shop, "GatewayConfig")

    def told() -> str:
        found = kube.get("gatewaytelemetry", shop, "gateway")
        message: str = condition(found, "Programmed")["message"]
        return message

    assert f"no pod of Envoy Gateway runs in namespace {shop}, and those of other namespaces cannot read" in told()
    labels = {"app.kubernetes.io/managed-by": "envoy-gateway", "app.kubernetes.io/component": "proxy"}
    envoy = objects.deployment(shop, "envoy")
    envoy["spec"]["template"]["metadata"]["labels"] |= labels
    kube.apply(envoy)
    kube.wait("it has a pod", lambda: kube.list("pod", shop))
    look_again(kube, shop, "1")
    kube.wait("it is told no more", lambda: told().endswith("carries them; Envoy AI Gateway replaces the pods"))


def test_metrics_that_somebody_wants_stay_on(operator: Watching, kube: Kube, shop: str) -> None:
    theirs = {"name": "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "value": "https://metrics.example.com/v1/metrics"}
    kube.apply(configured(shop, "GatewayConfig", {"extProc": {"kubernetes": {"env": [theirs]}}}))
    kube.apply(telemetry(shop, "GatewayConfig"))
    env = ready(kube, shop, "GatewayConfig")["extProc"]["kubernetes"]["env"]
    assert env[0] == theirs
    assert "OTEL_METRICS_EXPORTER" not in {item["name"] for item in env}


def test_whoever_had_only_the_list_still_has_it(operator: Watching, kube: Kube, shop: str) -> None:
    theirs = {"name": "LOG_LEVEL", "value": "info"}
    kube.apply(configured(shop, "GatewayConfig", {"extProc": {"kubernetes": {"env": [theirs]}}}))
    managers = live(kube, shop, "GatewayConfig")["metadata"]["managedFields"]
    kube.apply(telemetry(shop, "GatewayConfig"))
    assert len(ready(kube, shop, "GatewayConfig")["extProc"]["kubernetes"]["env"]) > 1
    assert live(kube, shop, "GatewayConfig")["metadata"]["managedFields"] == managers
    kube.delete("gatewaytelemetry", shop, "gateway")
    kube.wait_gone("gatewaytelemetry", shop, "gateway")
    restored = live(kube, shop, "GatewayConfig")
    assert restored["spec"] == {"extProc": {"kubernetes": {"env": [theirs]}}}
    assert restored["metadata"]["managedFields"] == managers


def test_a_claim_that_cannot_be_given_up_is_answered_with_longer_and_longer_pauses(
    cluster: ClusterAccess, crds: None, kube: Kube, namespace: str, tmp_path: Path
) -> None:
    """An admission controller that puts our entry back would do this."""
    for item in (objects.secret(namespace), objects.target(namespace), configured(namespace, "GatewayConfig")):
        kube.apply(item)
    with (
        ApiProxy(ClusterAccess(chart_account(cluster.kubeconfig)), tmp_path) as proxy,
        OperatorProcess(proxy.kubeconfig, tmp_path, f"--watch-namespace={namespace}"),
    ):

        def patches() -> int:
            return sum(write.what == "patch gatewayconfigs" for write in proxy.writes)

        # The first is the write itself; releases are said to be done, and are not.
        proxy.before = lambda write: (
            Answer(200, "Success") if write.what == "patch gatewayconfigs" and patches() > 1 else None
        )
        began = time.monotonic()
        kube.apply(telemetry(namespace, "GatewayConfig"))
        kube.wait("it goes on for a while", lambda: time.monotonic() - began >= STORM_SECONDS and patches() > 1)
        assert patches() <= 20
        proxy.clear_hooks()
        ready(kube, namespace, "GatewayConfig")
        managers = live(kube, namespace, "GatewayConfig")["metadata"].get("managedFields") or ()
        assert not [item for item in managers if item["manager"] == "gateway-telemetry"]


def test_agentgateway(operator: Watching, kube: Kube, shop: str) -> None:
    kind = "AgentgatewayParameters"
    kube.apply(configured(shop, kind))
    kube.apply(telemetry(shop, kind, project='a "quoted" one'))
    spec = ready(kube, shop, kind)
    assert spec["logging"] == {"level": "info"}
    assert spec["rawConfig"]["config"]["tracing"] == {
        "fields": {"add": {"team": '"a"'}},
        "otlpEndpoint": TRACES,
        "otlpProtocol": "http",
        "randomSampling": "true",
    }
    assert [item["name"] for item in without_hash(spec["env"])] == ["OTLP_HEADERS", "OTEL_RESOURCE_ATTRIBUTES"]
    assert json.loads(copied(kube, shop, kind, "otlp-headers")) == {
        "x-api-key": f'"{objects.KEY}"',
        "langsmith-project": '"a \\"quoted\\" one"',
    }


def test_what_is_there_is_named_and_stays(operator: Watching, kube: Kube, shop: str) -> None:
    theirs = {"name": "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "value": "https://other.example.com/v1/traces"}
    spec = {"extProc": {"kubernetes": {"env": [theirs]}}}
    kube.apply(configured(shop, "GatewayConfig", spec))
    kube.apply(telemetry(shop, "GatewayConfig"))
    item = kube.wait_condition("gatewaytelemetry", shop, "gateway", "Programmed", "False", "EnvConflict")
    assert condition(item, "Programmed")["message"] == (
        f"GatewayConfig {shop}/main, container ai-gateway-extproc already sets OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "
        "remove it from the manifest or chart that sets it; nothing was written"
    )
    assert live(kube, shop, "GatewayConfig")["spec"] == spec


@pytest.mark.parametrize("example", sorted(path.name for path in (ROOT / "examples" / "other-kinds").glob("*.yaml")))
def test_the_examples_of_these_kinds(operator: Watching, kube: Kube, example: str) -> None:
    namespace = operator.namespace()
    for item in yaml.safe_load_all((ROOT / "examples" / "other-kinds" / example).read_text()):
        if item and item["kind"] != "Namespace":
            kube.apply({**item, "metadata": {**item["metadata"], "namespace": namespace}})
    kube.wait_condition("gatewaytelemetry", namespace, "main", "Ready", timeout=60)


def test_suspended_nothing_is_written(operator: Watching, kube: Kube, shop: str) -> None:
    kube.apply(configured(shop, "GatewayConfig"))
    kube.apply(objects.target(shop, suspend=True))
    kube.apply(telemetry(shop, "GatewayConfig"))
    kube.wait_condition("gatewaytelemetry", shop, "gateway", "Programmed", "False", "TargetSuspended")
    assert live(kube, shop, "GatewayConfig")["spec"] == {}


def test_an_orphan_keeps_what_was_written(operator: Watching, kube: Kube, shop: str) -> None:
    kube.apply(configured(shop, "GatewayConfig"))
    kube.apply(telemetry(shop, "GatewayConfig", deletionPolicy="Orphan"))
    written = ready(kube, shop, "GatewayConfig")
    kube.delete("gatewaytelemetry", shop, "gateway")
    kube.wait_gone("gatewaytelemetry", shop, "gateway")
    assert live(kube, shop, "GatewayConfig")["spec"] == written


def test_another_object_gets_them_when_the_name_changes(operator: Watching, kube: Kube, shop: str) -> None:
    kube.apply(configured(shop, "GatewayConfig"))
    kube.apply(telemetry(shop, "GatewayConfig"))
    written = ready(kube, shop, "GatewayConfig")
    other = configured(shop, "GatewayConfig")
    other["metadata"]["name"] = "other"
    kube.apply(other)
    moved = telemetry(shop, "GatewayConfig")
    moved["spec"]["install"]["resource"]["ref"]["name"] = "other"
    kube.apply(moved)
    kube.wait("the first is as it was", lambda: live(kube, shop, "GatewayConfig")["spec"] == {})

    def names() -> list[str]:
        spec = (kube.get("GatewayConfig", shop, "other") or {}).get("spec") or {}
        return [item["name"] for item in spec["extProc"]["kubernetes"]["env"]] if spec else []

    kube.wait("the other has them", names)
    assert names() == [item["name"] for item in written["extProc"]["kubernetes"]["env"]]


def test_an_object_that_is_gone_holds_up_no_deletion(operator: Watching, kube: Kube, shop: str) -> None:
    kube.apply(configured(shop, "GatewayConfig"))
    kube.apply(telemetry(shop, "GatewayConfig"))
    ready(kube, shop, "GatewayConfig")
    kube.delete("GatewayConfig", shop, "main")
    kube.delete("gatewaytelemetry", shop, "gateway")
    kube.wait_gone("gatewaytelemetry", shop, "gateway")


def test_a_missing_right_is_named_with_the_value_that_grants_it(
    cluster: ClusterAccess, kube: Kube, crds: None, namespace: str, tmp_path: Path
) -> None:
    """Of a release with the chart's defaults."""
    kinds = ("ServiceAccount", "Role", "RoleBinding")
    for item in rendered({"watchNamespaces": [namespace]}, namespace=namespace):
        if item["kind"] in kinds:
            kube.apply(item)
    account = service_account_kubeconfig(cluster, namespace, "gateway-telemetry-operator")
    kube.apply(objects.secret(namespace))
    kube.apply(objects.target(namespace))
    kube.apply(configured(namespace, "GatewayConfig"))
    kube.apply(telemetry(namespace, "GatewayConfig"))
    with OperatorProcess(account, tmp_path, f"--watch-namespace={namespace}"):
        item = kube.wait_condition("gatewaytelemetry", namespace, "gateway", "Programmed", "False", "RBACDenied")
    assert condition(item, "Programmed")["message"] == (
        "the operator's ServiceAccount lacks the permission: get gatewayconfigs.aigateway.envoyproxy.io in namespace "
        f"{namespace}; set the chart's value writes.gatewayConfigs: true"
    )


def test_a_kind_that_the_cluster_does_not_know_is_named(operator: Watching, kube: Kube, shop: str) -> None:
    """The last one here: it takes the kind away."""
    kind, crd = "AgentgatewayParameters", "agentgatewayparameters.agentgateway.dev"
    kube.apply(telemetry(shop, kind))
    item = kube.wait_condition("gatewaytelemetry", shop, "gateway", "Programmed", "False", "ResourceNotFound")
    assert f"{kind} {shop}/main does not exist" in condition(item, "Programmed")["message"]
    kube.delete("customresourcedefinition", None, crd)
    kube.wait_gone("customresourcedefinition", None, crd)
    look_again(kube, shop, "1")

    def told() -> bool:
        found = kube.get("gatewaytelemetry", shop, "gateway")
        assert found is not None
        message = condition(found, "Programmed")["message"]
        return "the cluster knows no agentgatewayparameters of agentgateway.dev/v1alpha1: install the" in message

    kube.wait("it is told", told)
