"""Real SDK processes, started with exactly what the operator wrote, deliver into the intended project."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langsmith.schemas import Run

from tests.programs import python_sdk
from tests.support import node, objects, pod_process
from tests.support.cluster import ClusterAccess
from tests.support.kube import Kube, wait
from tests.support.langsmith import CertificateAuthority, StandIn
from tests.support.objects import Object
from tests.support.operator import OperatorProcess
from tests.support.pod import pod_environment, pod_files
from tests.support.pod_process import PodProcess
from tests.support.sdk_reader import runs_of
from tests.unit.langsmith_standin.clients import KEY, WORKSPACE, sdk

pytestmark = pytest.mark.skipif(pod_process.unavailable() is not None, reason=str(pod_process.unavailable()))

PROJECT = "Checkout, 100% = EU; größer"


@pytest.fixture
def operator(cluster: ClusterAccess, namespace: str, tmp_path: Path) -> Iterator[OperatorProcess]:
    flags = (f"--watch-namespace={namespace}", "--insecure-allow-loopback", "--cluster-name=test")
    with OperatorProcess(cluster.kubeconfig, tmp_path, *flags) as process:
        yield process


def programmed(
    kube: Kube, namespace: str, langsmith: StandIn, ca: CertificateAuthority, pasted: str, **gateway: Any
) -> Object:
    """Apply everything, with a URL as somebody pasted it; return the live Deployment once it is Ready."""
    kube.apply(objects.secret(namespace, key=KEY))
    kube.apply(objects.ca_bundle(namespace, ca.bundle.read_text()))
    kube.apply(
        objects.target(
            namespace,
            selfHosted={"url": pasted.format(port=langsmith.port)},
            caBundleRef={"kind": "ConfigMap", "name": "langsmith-ca", "key": "ca.crt"},
            workspaceId=WORKSPACE,
            project=PROJECT,
        )
    )
    kube.apply(objects.deployment(namespace))
    kube.apply(objects.gateway(namespace, **gateway))
    kube.wait_condition("gatewaytelemetry", namespace, "gateway", "Ready", timeout=60)
    live = kube.get("deployment", namespace, "gateway")
    assert live is not None
    return live


def run(kube: Kube, live: Object, command: list[str], log: Path) -> None:
    """Run a program to its end in the Deployment's pod; its exit code must be 0."""
    with PodProcess(command, pod_environment(kube, live), pod_files(kube, live), log=log) as process:
        assert process.wait(60) == 0, log.read_text()


def delivered(langsmith: StandIn, ca: CertificateAuthority, name: str) -> Run:
    """Return the root run of that name, as LangSmith's SDK reads it from the project."""
    with sdk(langsmith.api_url, key=KEY, ca=ca.bundle) as client:
        found = wait(
            f"a run {name} in {PROJECT}",
            lambda: [item for item in runs_of(client, PROJECT) if item.name == name],
            30,
        )
        assert [project.name for project in client.list_projects()] == [PROJECT]
    assert len(found) == 1
    return found[0]


PASTED = (
    "https://127.0.0.1:{port}/langsmith/dev",
    "https://127.0.0.1:{port}/langsmith/dev/api/v1/",
    "https://127.0.0.1:{port}//langsmith/dev/api/v1/otel/v1/traces",
)


@pytest.mark.parametrize("pasted", PASTED)
def test_a_python_process_delivers(
    operator: OperatorProcess,
    kube: Kube,
    namespace: str,
    langsmith: StandIn,
    ca: CertificateAuthority,
    tmp_path: Path,
    pasted: str,
) -> None:
    live = programmed(kube, namespace, langsmith, ca, pasted, resourceAttributes={"team": "pay, ments"})
    log = tmp_path / "program.log"
    run(kube, live, [sys.executable, python_sdk.__file__, "What is 6 times 7?"], log)
    found = delivered(langsmith, ca, "ask")
    assert found.id.hex[-16:] == log.read_text().split()[-1]
    metadata = found.metadata or {}
    assert metadata["k8s.deployment.name"] == "gateway"
    assert metadata["k8s.namespace.name"] == namespace
    assert metadata["team"] == "pay, ments"
    assert len(metadata["gatewaytelemetry.id"]) == 12
    seen = {(item.path, item.status) for item in langsmith.store.requests("ingest")}
    assert seen == {("/langsmith/dev/api/v1/otel/v1/traces", 200)}


@pytest.mark.parametrize("style", ["Base", "Full"])
def test_other_endpoint_styles(
    operator: OperatorProcess,
    kube: Kube,
    namespace: str,
    langsmith: StandIn,
    ca: CertificateAuthority,
    style: str,
) -> None:
    live = programmed(
        kube, namespace, langsmith, ca, PASTED[0], gateway={"type": "otel-sdk", "otelSdk": {"endpointStyle": style}}
    )
    env = pod_environment(kube, live)
    assert "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" not in env
    tail = {"Base": "/api/v1/otel", "Full": "/api/v1/otel/v1/traces"}[style]
    assert env["OTEL_EXPORTER_OTLP_ENDPOINT"] == f"https://127.0.0.1:{langsmith.port}/langsmith/dev{tail}"


def test_the_base_style_delivers(
    operator: OperatorProcess,
    kube: Kube,
    namespace: str,
    langsmith: StandIn,
    ca: CertificateAuthority,
    tmp_path: Path,
) -> None:
    live = programmed(
        kube, namespace, langsmith, ca, PASTED[0], gateway={"type": "otel-sdk", "otelSdk": {"endpointStyle": "Base"}}
    )
    run(kube, live, [sys.executable, python_sdk.__file__, "Hello"], tmp_path / "program.log")
    delivered(langsmith, ca, "ask")


@pytest.mark.skipif(node.missing() is not None, reason=str(node.missing()))
def test_a_node_process_delivers(
    operator: OperatorProcess,
    kube: Kube,
    namespace: str,
    langsmith: StandIn,
    ca: CertificateAuthority,
    tmp_path: Path,
) -> None:
    live = programmed(kube, namespace, langsmith, ca, PASTED[0])
    program = node.installed() / "export.mjs"
    run(kube, live, ["node", str(program)], tmp_path / "program.log")
    found = delivered(langsmith, ca, "node root")
    assert (found.metadata or {})["k8s.deployment.name"] == "gateway"
