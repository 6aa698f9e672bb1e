"""The real LiteLLM proxy, started as the pod of a Deployment that the operator wrote into, delivers its traces."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import objects, pod_process
from tests.support.cluster import ClusterAccess
from tests.support.gateway_venv import installed
from tests.support.kube import Kube, wait
from tests.support.langsmith import CertificateAuthority, StandIn
from tests.support.litellm import LOCK, LiteLLM
from tests.support.objects import Object
from tests.support.operator import OperatorProcess
from tests.support.pod import File, Mount
from tests.support.sdk_reader import arrived, calls, prompt, runs_of
from tests.unit.langsmith_standin.clients import KEY, OTHER_KEY, OTHER_WORKSPACE, WORKSPACE, sdk

pytestmark = [
    pytest.mark.timeout(900),  # the first run on a machine installs LiteLLM
    pytest.mark.skipif(pod_process.unavailable() is not None, reason=str(pod_process.unavailable())),
]

PROJECT = "Checkout 100% = EU"
ARRIVAL_SECONDS = 40.0
CONFIG = """
model_list:
  - model_name: echo
    litellm_params: {model: openai/echo, api_key: none, mock_response: Hello from LiteLLM}
litellm_settings:
  callbacks: [otel]
"""
OFFLINE = {"NO_DOCS": "True", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}


@pytest.fixture(scope="module", autouse=True)
def _litellm_is_installed() -> None:
    installed(LOCK)


@pytest.fixture
def langsmith(ca: CertificateAuthority) -> Iterator[StandIn]:
    keys = {KEY: WORKSPACE, OTHER_KEY: OTHER_WORKSPACE}
    with StandIn("langsmith/dev", tls=ca.server("127.0.0.1"), keys=keys) as stand_in:
        yield stand_in


@pytest.fixture
def operator(cluster: ClusterAccess, namespace: str, tmp_path: Path) -> Iterator[OperatorProcess]:
    """An operator of the test's namespace alone, which may send to loopback."""
    flags = (f"--watch-namespace={namespace}", "--insecure-allow-loopback")
    with OperatorProcess(cluster.kubeconfig, tmp_path, *flags) as process:
        yield process


def litellm(namespace: str) -> list[Object]:
    """A Deployment of LiteLLM as a careful user writes it: settings and keys from several objects."""
    master = objects.secret(namespace, "litellm", "sk-0123456789abcdef")
    settings: Object = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": objects.metadata("litellm", namespace),
        "data": {"config.yaml": CONFIG, **OFFLINE},
    }
    container = {
        "name": "litellm",
        "image": "registry.example/litellm:1",
        "args": ["--config", "$(CONFIG_DIRECTORY)/config.yaml", "--port", "4000"],
        "envFrom": [{"configMapRef": {"name": "litellm"}}],
        "env": [
            {"name": "CONFIG_DIRECTORY", "value": "/app/settings"},
            {"name": "LITELLM_MASTER_KEY", "valueFrom": {"secretKeyRef": {"name": "litellm", "key": "api-key"}}},
            {"name": "OTEL_BSP_SCHEDULE_DELAY", "value": "200"},
        ],
        "volumeMounts": [{"name": "config", "mountPath": "/app/settings/config.yaml", "subPath": "config.yaml"}],
    }
    workload = objects.deployment(namespace, "litellm", containers=[container])
    workload["spec"]["template"]["spec"]["volumes"] = [{"name": "config", "configMap": {"name": "litellm"}}]
    return [master, settings, workload]


@pytest.fixture
def programmed(
    operator: OperatorProcess, kube: Kube, namespace: str, langsmith: StandIn, ca: CertificateAuthority
) -> Object:
    """The live Deployment once its GatewayTelemetry is Ready."""
    target = objects.target(
        namespace,
        selfHosted={"url": f"https://127.0.0.1:{langsmith.port}", "basePath": "langsmith/dev"},
        caBundleRef={"kind": "ConfigMap", "name": "langsmith-ca", "key": "ca.crt"},
        workspaceId=WORKSPACE,
        project=PROJECT,
    )
    sources = [objects.secret(namespace, key=KEY), objects.ca_bundle(namespace, ca.bundle.read_text()), target]
    for item in (*sources, *litellm(namespace)):
        kube.apply(item)
    kube.apply(
        objects.gateway(namespace, "litellm", "litellm", app="litellm", resourceAttributes={"team": "pay ments"})
    )
    kube.wait_condition("gatewaytelemetry", namespace, "litellm", "Ready", timeout=60)
    live = kube.get("deployment", namespace, "litellm")
    assert live is not None
    return live


def test_traces_reach_the_intended_project_with_the_live_settings_alone(
    programmed: Object, kube: Kube, namespace: str, langsmith: StandIn, ca: CertificateAuthority, tmp_path: Path
) -> None:
    prompts = ["What is 6 times 7?", "And 7 times 6?"]
    with LiteLLM.of(kube, programmed, tmp_path) as proxy, sdk(langsmith.api_url, key=KEY, ca=ca.bundle) as client:
        assert [proxy.chat(text) for text in prompts] == ["Hello from LiteLLM"] * 2
        runs = wait("both prompts are runs", lambda: arrived(client, PROJECT, prompts), ARRIVAL_SECONDS)
        found = calls(runs)
        assert [prompt(call) for call in found] == prompts
        for call in found:
            assert call.outputs is not None
            assert call.outputs["messages"][0]["parts"] == [{"type": "text", "content": "Hello from LiteLLM"}]
            expected = {"k8s.namespace.name": namespace, "k8s.deployment.name": "litellm", "team": "pay ments"}
            assert expected.items() <= (call.metadata or {}).items()
        assert [project.name for project in client.list_projects()] == [PROJECT]
    with sdk(langsmith.api_url, key=OTHER_KEY, ca=ca.bundle) as other:
        assert list(other.list_projects()) == []
    ingests = langsmith.store.requests("ingest")
    assert {(seen.path, seen.status) for seen in ingests} == {("/langsmith/dev/api/v1/otel/v1/traces", 200)}
    assert "What is 6 times 7?" not in proxy.log()
    assert KEY not in proxy.log()
    assert not Path("/etc/gateway-telemetry").exists()


def test_the_gateway_starts_and_serves_without_what_the_operator_wrote(
    programmed: Object, operator: OperatorProcess, kube: Kube, namespace: str, langsmith: StandIn, tmp_path: Path
) -> None:
    assert operator.stop() == 0
    for item in kube.list("secret", namespace, "gatewaytelemetry.dev/role=copy"):
        assert kube.delete("secret", namespace, item["metadata"]["name"])
    with LiteLLM.of(kube, programmed, tmp_path) as proxy:
        assert proxy.chat("Are you there?") == "Hello from LiteLLM"
        wait(
            "its exporter has tried",
            lambda: "invalid path: /etc/gateway-telemetry/ca.crt" in proxy.log(),
            ARRIVAL_SECONDS,
        )
        assert proxy.chat("Still there?") == "Hello from LiteLLM"
    assert langsmith.store.requests("ingest") == []


def test_without_the_generic_protocol_it_prints_prompts_and_sends_nothing(
    langsmith: StandIn, ca: CertificateAuthority, tmp_path: Path
) -> None:
    """Why the adapter writes ``OTEL_EXPORTER_OTLP_PROTOCOL``: https://github.com/BerriAI/litellm/pull/41209."""
    env = {
        **OFFLINE,
        "LITELLM_MASTER_KEY": "sk-0123456789abcdef",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": langsmith.traces_url,
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS": f"x-api-key={KEY},Langsmith-Project=checkout",
        "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE": "/etc/gateway-telemetry/ca.crt",
    }
    mounts = [
        Mount("/etc/gateway-telemetry", {"ca.crt": File(ca.bundle.read_bytes())}, read_only=True),
        Mount("/app/config.yaml", {"": File(CONFIG.encode())}, read_only=True),
    ]
    arguments = ["--config", "/app/config.yaml"]
    with LiteLLM(arguments, env, mounts, tmp_path) as proxy:
        proxy.chat("Is this private?")
        wait("the prompt is in the log", lambda: "Is this private?" in proxy.log(), ARRIVAL_SECONDS)
    assert langsmith.store.requests("ingest") == []

    whole = {**env, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
    folder = tmp_path / "whole"
    folder.mkdir()
    with LiteLLM(arguments, whole, mounts, folder) as proxy, sdk(langsmith.api_url, key=KEY, ca=ca.bundle) as client:
        proxy.chat("Is this private?")
        wait("the prompt is a run", lambda: arrived(client, "checkout", ["Is this private?"]), ARRIVAL_SECONDS)
        assert runs_of(client, "default") == []
    assert "Is this private?" not in proxy.log()
