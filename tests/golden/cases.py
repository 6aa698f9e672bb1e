"""Golden files: what a version of the operator left in a cluster, one gateway for each adapter and option that matters.

Each file holds what the user wrote, and the workload and Secret as the operator left them. A later version must find
nothing to do: a changed pod template restarts every gateway of that shape. Uids are placeholders.

    python -m tests.golden.cases

writes the files that do not exist; it changes none. A difference that is meant needs a new ``HASH_VERSION``, new files
beside the old ones, and a line in the changelog.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.unit.plan import build
from tests.unit.plan.build import CA_PEM, Object, World

FOLDER = Path(__file__).parent
NAMESPACE = "gateway-telemetry-golden"
CHANGED_AT = "2026-01-03T00:00:00Z"
OPERATORS = ("ConfigMap", "Secret")
PLAIN_ENV = [{"name": "LOG_LEVEL", "value": "info"}]


def _workload(name: str, **fields: Any) -> Object:
    """Return a workload as a chart renders it; only what the user wrote."""
    container = {"name": "main", "image": "registry.example/gateway:1", "env": PLAIN_ENV, **fields}
    pod: Object = {"containers": [container]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE, "uid": f"uid-of-{name}", "labels": {"app": name}},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
        },
    }


def _gateway(name: str, type_: str, install: Mapping[str, Any] | None = None, **spec: Any) -> Object:
    way = install or {"inject": {"workloads": {"kind": "Deployment", "selector": {"matchLabels": {"app": name}}}}}
    gateway = {"type": type_, **spec.pop("options", {})}
    found = build.gateway(name, NAMESPACE, gateway=gateway, targetRef={"name": name}, install=way, **spec)
    return {**found, "metadata": {**found["metadata"], "uid": f"uid-of-{name}-telemetry"}}


def _kind(name: str, kind: str) -> list[Object]:
    workload = {**_workload(name), "kind": kind}
    if kind == "StatefulSet":
        workload["spec"]["serviceName"] = name
    else:
        del workload["spec"]["replicas"]
    install = {"inject": {"workloads": {"kind": kind, "selector": {"matchLabels": {"app": name}}}}}
    return [build.target(name, NAMESPACE), _gateway(name, "otel-sdk", install), workload]


def _self_hosted(name: str, install: Mapping[str, Any] | None = None, **fields: Any) -> list[Object]:
    hosted = {"url": f"https://ls.{NAMESPACE}.svc:8443", "basePath": "langsmith/dev"}
    target = build.target(
        name,
        NAMESPACE,
        saas=None,
        selfHosted=hosted,
        caBundleRef={"kind": "ConfigMap", "name": "corp-ca"},
        workspaceId="5F2C0A4E-0000-4000-8000-000000000001",
        project="checkout prod, Euro",
    )
    attributes = {"team": "pay ments", "deployment.environment.name": "prod"}
    return [target, _gateway(name, "litellm", install, resourceAttributes=attributes), _workload(name, **fields)]


def _style(name: str, style: str) -> list[Object]:
    options = {"otelSdk": {"endpointStyle": style}}
    return [build.target(name, NAMESPACE), _gateway(name, "otel-sdk", options=options), _workload(name)]


def _reference(name: str) -> list[Object]:
    workloads = {"kind": "Deployment", "selector": {"matchLabels": {"app": name}}}
    reference = {"reference": {"secretName": f"{name}-otlp", "workloads": workloads}}
    takes = [{"secretRef": {"name": f"{name}-otlp", "optional": True}}]
    mount = [{"name": "ca", "mountPath": "/etc/gateway-telemetry", "readOnly": True}]
    found = _self_hosted(name, reference, envFrom=takes, volumeMounts=mount)
    volume = {"name": "ca", "configMap": {"name": f"{name}-otlp-ca", "optional": True}}
    found[-1]["spec"]["template"]["spec"]["volumes"] = [volume]
    return found


def _labelled(name: str, type_: str, labels: Mapping[str, str], **spec: Any) -> list[Object]:
    """Return a SaaS target, a gateway that is written into, and its workload with more labels."""
    workload = _workload(name)
    workload["metadata"]["labels"] |= labels
    return [build.target(name, NAMESPACE), _gateway(name, type_, **spec), workload]


def _file(name: str, type_: str, *, ca: bool = False, **spec: Any) -> list[Object]:
    """Return a gateway that reads files or variables of a Secret, at a self-hosted LangSmith."""
    hosted = {"url": f"https://ls.{NAMESPACE}.svc:8443", "basePath": "langsmith"}
    bundle = {"kind": "ConfigMap", "name": "corp-ca"} if ca else None
    target = build.target(
        name, NAMESPACE, saas=None, selfHosted=hosted, caBundleRef=bundle, project="Checkout 100% = EU"
    )
    workloads = {"kind": "Deployment", "selector": {"matchLabels": {"app": name}}}
    install = {"reference": {"secretName": f"{name}-otlp", "workloads": workloads}}
    takes = [{"secretRef": {"name": f"{name}-otlp", "optional": True}}]
    workload = _workload(name, envFrom=takes)
    workload["spec"]["template"]["spec"]["volumes"] = [
        {"name": "files", "secret": {"secretName": f"{name}-otlp", "optional": True}},
        *([{"name": "ca", "configMap": {"name": f"{name}-otlp-ca", "optional": True}}] if ca else []),
    ]
    return [target, _gateway(name, type_, install, **spec), workload]


def cases() -> dict[str, list[Object]]:
    """Return, by name, what users wrote: target, GatewayTelemetry, workload."""
    litellm = _gateway("litellm-saas", "litellm")
    return {
        "litellm-saas": [build.target("litellm-saas", NAMESPACE), litellm, _workload("litellm-saas")],
        "litellm-self-hosted-ca": _self_hosted("litellm-self-hosted-ca"),
        "litellm-reference": _reference("litellm-reference"),
        "otel-sdk-traces": _style("otel-sdk-traces", "Traces"),
        "otel-sdk-base": _style("otel-sdk-base", "Base"),
        "otel-sdk-full": _style("otel-sdk-full", "Full"),
        "otel-sdk-statefulset": _kind("otel-sdk-statefulset", "StatefulSet"),
        "otel-sdk-daemonset": _kind("otel-sdk-daemonset", "DaemonSet"),
        "otel-sdk-no-content": _labelled("otel-sdk-no-content", "otel-sdk", {}, capture={"content": False}),
        "litellm-content": _labelled("litellm-content", "litellm", {}, capture={"content": True}),
        "litellm-langsmith": _labelled(
            "litellm-langsmith", "litellm", {}, options={"litellm": {"callback": "langsmith"}}
        ),
        "truefoundry": _labelled("truefoundry", "truefoundry", {"helm.sh/chart": "tfy-llm-gateway-0.79.4"}),
        "portkey": _labelled("portkey", "portkey", {}),
        "apisix": _file("apisix", "apisix"),
        "bifrost": _file("bifrost", "bifrost", ca=True, capture={"content": False}),
        "envoy": _file("envoy", "envoy", ca=True, resourceAttributes={"team": "pay, ments"}),
        "kong": _file("kong", "kong"),
        "traefik": _file("traefik", "traefik", ca=True),
    }


def sources() -> list[Object]:
    """Return what all cases share: the key and the CA."""
    return [build.secret(namespace=NAMESPACE), build.config_map({"ca.crt": CA_PEM}, namespace=NAMESPACE)]


def left_by_the_operator(written: list[Object], name: str) -> list[Object]:
    """Return the objects of a case after the operator has done its work: user's, workload, Secret, ConfigMap."""
    target, gateway, workload = written
    world = World(*sources(), target, gateway, workload)
    world.carry_out(name, NAMESPACE, now=CHANGED_AT)
    mine = [
        item
        for key, item in sorted(world.objects.items())
        if key[0] in OPERATORS and build.MANAGED_BY.items() <= item["metadata"]["labels"].items()
    ]
    return [target, gateway, world.objects[workload["kind"], NAMESPACE, name], *mine]


def load(path: Path) -> list[Object]:
    """Return the objects of a golden file."""
    return list(yaml.safe_load_all(path.read_text()))


def files() -> list[Path]:
    """Return all golden files."""
    return sorted(FOLDER.glob("*.yaml"))


def _new() -> Iterator[Path]:
    for name, written in cases().items():
        path = FOLDER / f"{name}.yaml"
        if not path.exists():
            left = left_by_the_operator(written, name)
            path.write_text(yaml.safe_dump_all(left, sort_keys=False, allow_unicode=True, width=120))
            yield path


if __name__ == "__main__":
    for new in _new():
        print(new)
