"""Bad input on a real API server: each gets its own reason, and nothing is written."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import objects
from tests.support.cluster import ClusterAccess
from tests.support.kube import Kube, condition
from tests.support.objects import Object
from tests.support.operator import OperatorProcess

Change = Callable[[dict[str, Object], str], None]
"""Changes a set of good objects (by kind), given the namespace."""


@pytest.fixture(scope="module")
def namespaces(kube: Kube) -> Iterator[list[str]]:
    made = [f"bad-{number}" for number in range(len(CASES))]
    for name in made:
        kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield made
    for name in made:
        kube.delete("namespace", None, name)


@pytest.fixture(scope="module")
def operator(
    cluster: ClusterAccess, namespaces: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    flags = [f"--watch-namespace={name}" for name in namespaces]
    with OperatorProcess(cluster.kubeconfig, tmp_path_factory.mktemp("operator"), *flags) as process:
        yield process


def _key(raw: bytes) -> Change:
    def change(items: dict[str, Object], namespace: str) -> None:
        items["Secret"] = objects.secret(namespace, key=raw)

    return change


def _ca(text: str) -> Change:
    def change(items: dict[str, Object], namespace: str) -> None:
        items["ConfigMap"] = objects.ca_bundle(namespace, text)
        items["LangSmithTarget"]["spec"]["caBundleRef"] = {"kind": "ConfigMap", "name": "langsmith-ca", "key": "ca.crt"}

    return change


def _host(url: str) -> Change:
    def change(items: dict[str, Object], namespace: str) -> None:
        items["LangSmithTarget"] = objects.target(namespace, selfHosted={"url": url})

    return change


def _elsewhere(items: dict[str, Object], namespace: str) -> None:
    items["GatewayTelemetry"]["spec"]["targetRef"]["namespace"] = "kube-system"


def _env(*entries: Object) -> Change:
    def change(items: dict[str, Object], namespace: str) -> None:
        items["Deployment"] = objects.deployment(namespace, env=list(entries))

    return change


def _two_containers(items: dict[str, Object], namespace: str) -> None:
    containers = [{"name": name, "image": "registry.example/x:1"} for name in ("main", "sidecar")]
    items["Deployment"] = objects.deployment(namespace, containers=containers)


def _no_such_container(items: dict[str, Object], namespace: str) -> None:
    items["GatewayTelemetry"]["spec"]["install"]["inject"]["container"] = "proxy"


def _no_match(items: dict[str, Object], namespace: str) -> None:
    items["GatewayTelemetry"] = objects.gateway(namespace, app="nobody")


def _no_project(items: dict[str, Object], namespace: str) -> None:
    del items["LangSmithTarget"]["spec"]["project"]


def _taken(items: dict[str, Object], namespace: str) -> None:
    items["Other"] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "gateway-telemetry-deployment-gateway", "namespace": namespace},
        "stringData": {"mine": "stays"},
    }


TWICE = base64.b64encode(base64.b64encode(objects.KEY.encode()))
DUPLICATE = {"name": "OTEL_RESOURCE_ATTRIBUTES", "value": "a=b"}

CASES: dict[str, tuple[Change, str, str, str]] = {
    "empty key": (_key(b""), "ResolvedRefs", "TargetNotReady", "KeyEmpty"),
    "key of blanks": (_key(b" \n"), "ResolvedRefs", "TargetNotReady", "KeyEmpty"),
    "key encoded twice": (_key(TWICE), "ResolvedRefs", "TargetNotReady", "KeyDoubleEncoded"),
    "binary key": (_key(b"\x00\xff\xfe"), "ResolvedRefs", "TargetNotReady", "KeyMalformed"),
    "CA that is not PEM": (_ca("not a certificate"), "ResolvedRefs", "TargetNotReady", "CABundleInvalid"),
    "host that is not allowed": (
        _host("https://langsmith.example.com"),
        "ResolvedRefs",
        "TargetNotReady",
        "allowedHosts",
    ),
    "loopback": (_host("https://127.0.0.1:8443"), "ResolvedRefs", "TargetNotReady", "--insecure-allow-loopback"),
    "target in another namespace": (_elsewhere, "ResolvedRefs", "TargetNotFound", "spec.allowedNamespaces"),
    "no project": (_no_project, "ResolvedRefs", "ProjectMissing", "set spec.project"),
    "two containers": (_two_containers, "Programmed", "ContainerAmbiguous", "main, sidecar"),
    "no such container": (_no_such_container, "Programmed", "ContainerNotFound", "no container 'proxy'"),
    "no match": (_no_match, "Accepted", "NoMatchingWorkloads", "--show-labels"),
    "value of another": (
        _env({"name": "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "value": "x=y"}),
        "Programmed",
        "EnvConflict",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    ),
    "tracing switched off": (
        _env({"name": "OTEL_SDK_DISABLED", "value": "true"}),
        "Programmed",
        "TracingDisabledByEnv",
        "OTEL_SDK_DISABLED",
    ),
    "Secret of our name": (_taken, "Programmed", "SecretNameTaken", "rename or delete it"),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input(operator: OperatorProcess, kube: Kube, namespaces: list[str], name: str) -> None:
    change, type_, reason, hint = CASES[name]
    namespace = namespaces[list(CASES).index(name)]
    items = {
        "Secret": objects.secret(namespace),
        "LangSmithTarget": objects.target(namespace),
        "Deployment": objects.deployment(namespace, replicas=0),
        "GatewayTelemetry": objects.gateway(namespace),
    }
    change(items, namespace)
    for item in items.values():
        kube.apply(item)

    def refused() -> Object | None:
        live = kube.get("gatewaytelemetry", namespace, "gateway")
        told = condition(live, type_)
        expected = (told.get("status"), told.get("reason")) == ("False", reason) and hint in told["message"]
        return live if expected else None

    found = kube.wait(f"{type_}=False/{reason} that tells {hint!r}", refused)
    # Ready may have been False a second earlier, before the watch told of all objects.
    ready = {**condition(found, "Ready"), "lastTransitionTime": condition(found, type_)["lastTransitionTime"]}
    assert ready == {**condition(found, type_), "type": "Ready"}
    assert condition(found, "Stalled")["status"] == "True"
    deployment = kube.get("deployment", namespace, "gateway")
    assert deployment is not None
    assert deployment["metadata"]["generation"] == 1
    assert kube.list("secret", namespace, "gatewaytelemetry.dev/role=copy") == []
    assert objects.KEY not in operator.log()


def test_a_newline_after_the_key_is_harmless(
    cluster: ClusterAccess, kube: Kube, namespace: str, tmp_path: Path
) -> None:
    with OperatorProcess(cluster.kubeconfig, tmp_path, f"--watch-namespace={namespace}"):
        for item in (
            objects.secret(namespace, key=objects.KEY.encode() + b"\n"),
            objects.target(namespace),
            objects.deployment(namespace),
            objects.gateway(namespace),
        ):
            kube.apply(item)
        kube.wait_condition("gatewaytelemetry", namespace, "gateway", "Ready", timeout=60)
        target = kube.wait_condition("langsmithtarget", namespace, "prod", "ResolvedRefs")
        assert "newline" in condition(target, "ResolvedRefs")["message"]
        secret = kube.get("secret", namespace, "gateway-telemetry-deployment-gateway")
        assert secret is not None
        assert base64.b64decode(secret["data"]["otlp-headers"]).startswith(f"x-api-key={objects.KEY},".encode())


def test_variables_listed_twice(cluster: ClusterAccess, kube: Kube, namespace: str, tmp_path: Path) -> None:
    kube.apply(objects.secret(namespace))
    kube.apply(objects.target(namespace))
    # Server-side apply refuses duplicates; a plain create, as Helm 3 and kubectl send it, lets them in.
    kube.create(
        objects.deployment(namespace, env=[{"name": "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "value": "http://a"}] * 2)
    )
    kube.apply(objects.gateway(namespace))
    with OperatorProcess(cluster.kubeconfig, tmp_path, f"--watch-namespace={namespace}"):
        found = kube.wait_condition("gatewaytelemetry", namespace, "gateway", "Programmed", "False", "DuplicateEnv")
    assert "lists OTEL_EXPORTER_OTLP_TRACES_ENDPOINT 2 times" in condition(found, "Programmed")["message"]
    assert kube.list("secret", namespace, "gatewaytelemetry.dev/role=copy") == []
