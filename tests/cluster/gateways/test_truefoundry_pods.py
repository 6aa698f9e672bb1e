"""TrueFoundry's gateway of charts 0.65 to 0.79: a Deployment as the chart renders it, and a Node SDK in its place.

Its image is private, so what runs is a program with the same SDK, from exactly the environment of the live Deployment.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import node, objects, pod_process
from tests.support.kube import Kube, wait
from tests.support.langsmith import CertificateAuthority, StandIn
from tests.support.objects import Object
from tests.support.operator import OperatorProcess
from tests.support.pod import pod_environment, pod_files
from tests.support.pod_process import PodProcess
from tests.support.sdk_reader import runs_of
from tests.unit.langsmith_standin.clients import KEY, sdk

pytestmark = [
    pytest.mark.skipif(pod_process.unavailable() is not None, reason=str(pod_process.unavailable())),
    pytest.mark.skipif(node.missing() is not None, reason=str(node.missing())),
    pytest.mark.usefixtures("targeted"),
]

NAME = "ai-tfy-llm-gateway"


def rendered(namespace: str, version: str, tracing: str) -> list[Object]:
    """Return what the chart renders: variables of its values, two of them from a Secret."""
    credentials = objects.secret(namespace, "truefoundry-creds", "tfy-0123456789abcdef")
    labels = {
        "app.kubernetes.io/name": "tfy-llm-gateway",
        "app.kubernetes.io/instance": "ai",
        "app.kubernetes.io/version": version,
        "helm.sh/chart": f"tfy-llm-gateway-{version}",
    }
    plain = {"ENABLE_OTEL_TRACING": tracing, "OTEL_ATTRIBUTE_COUNT_LIMIT": "512", "TENANT_NAME": "acme"}
    reference = {"name": "truefoundry-creds", "key": "api-key", "optional": True}
    container = {
        "name": "tfy-llm-gateway",
        "image": f"tfy.jfrog.io/tfy-private-images/tfy-llm-gateway:{version}",
        "env": [
            *({"name": key, "value": value} for key, value in plain.items()),
            {"name": "TFY_API_KEY", "valueFrom": {"secretKeyRef": reference}},
        ],
        "ports": [{"name": "http", "containerPort": 8787}],
        "securityContext": {"readOnlyRootFilesystem": True, "runAsUser": 1001},
    }
    proxy = {"name": "proxy", "image": "registry.example/caddy:2"}
    workload = objects.deployment(namespace, NAME, containers=[container, proxy])
    workload["metadata"]["labels"] |= labels
    return [credentials, workload]


def apply(kube: Kube, namespace: str, version: str, tracing: str = "true") -> None:
    for item in rendered(namespace, version, tracing):
        kube.apply(item)
    kube.apply(objects.gateway(namespace, "truefoundry", "truefoundry", app=NAME))


def test_it_delivers_with_the_live_environment_alone(
    operator: OperatorProcess,
    kube: Kube,
    namespace: str,
    langsmith: StandIn,
    ca: CertificateAuthority,
    tmp_path: Path,
) -> None:
    apply(kube, namespace, "0.79.4")
    kube.wait_condition("gatewaytelemetry", namespace, "truefoundry", "Programmed", timeout=60)
    live = kube.get("deployment", namespace, NAME)
    assert live is not None
    env = pod_environment(kube, live, "tfy-llm-gateway")
    assert env["ENABLE_OTEL_TRACING"] == "true"
    assert env["OTEL_SERVICE_NAME"] == "tfy-llm-gateway"
    assert "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" not in pod_environment(kube, live, "proxy")
    log = tmp_path / "gateway.log"
    command = ["node", str(node.installed() / "export.mjs")]
    with PodProcess(command, env, pod_files(kube, live, "tfy-llm-gateway"), log=log) as process:
        assert process.wait(60) == 0, log.read_text()
    with sdk(langsmith.api_url, key=KEY, ca=ca.bundle) as client:
        [run] = wait(
            "the root run", lambda: [run for run in runs_of(client, "checkout") if run.name == "node root"], 30
        )
    assert (run.metadata or {})["k8s.deployment.name"] == NAME
    assert langsmith.store.requests("ingest")


@pytest.mark.parametrize(
    ("version", "tracing", "reason"),
    [("0.80.0", "true", "GatewayVersionUnsupported"), ("0.79.4", "false", "TracingDisabledByEnv")],
)
def test_what_would_stay_silent_is_refused_and_not_written_to(
    operator: OperatorProcess, kube: Kube, namespace: str, version: str, tracing: str, reason: str
) -> None:
    apply(kube, namespace, version, tracing)
    kube.wait_condition(
        "gatewaytelemetry", namespace, "truefoundry", "Programmed", status="False", reason=reason, timeout=60
    )
    live = kube.get("deployment", namespace, NAME)
    assert live is not None
    names = {item["name"] for item in live["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert names == {"ENABLE_OTEL_TRACING", "OTEL_ATTRIBUTE_COUNT_LIMIT", "TENANT_NAME", "TFY_API_KEY"}
    assert kube.get("secret", namespace, f"gateway-telemetry-deployment-{NAME}") is None
