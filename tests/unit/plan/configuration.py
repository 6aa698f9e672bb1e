"""Collectors whose configuration is a ConfigMap, and objects of other kinds, as an API server sends them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.unit.plan.build import NS, Object, container, deployment, gateway

COLLECTOR = """\
receivers:
  otlp: {protocols: {http: {}}}
exporters:
  # to the log
  debug: {}
service:
  pipelines:
    traces: {receivers: [otlp], exporters: [debug]}
"""
API_VERSIONS = {
    "OpenTelemetryCollector": "opentelemetry.io/v1beta1",
    "GatewayConfig": "aigateway.envoyproxy.io/v1beta1",
    "AgentgatewayParameters": "agentgateway.dev/v1alpha1",
}


def collector_config(text: str = COLLECTOR, name: str = "otelcol", **metadata: Any) -> Object:
    """Return the ConfigMap."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": NS, "uid": f"uid-ConfigMap-{name}", **metadata},
        "data": {"relay": text},
    }


def collector(**fields: Any) -> Object:
    """Return the Deployment that reads it."""
    volumes = [{"name": "config", "configMap": {"name": "otelcol"}}]
    return deployment("otelcol", labels={"app": "otelcol"}, containers=[container("otc")], volumes=volumes, **fields)


def configuring(
    name: str = "checkout",
    *,
    key: str = "relay",
    options: Mapping[str, Any] | None = None,
    rollout: Mapping[str, Any] | None = None,
    **spec: Any,
) -> Object:
    """Return a GatewayTelemetry that adds an exporter to the ConfigMap."""
    resource: Object = {
        "ref": {"kind": "ConfigMap", "name": "otelcol", "key": key},
        "workloads": {"selector": {"matchLabels": {"app": "otelcol"}}},
    }
    if rollout is not None:
        resource["rollout"] = dict(rollout)
    type_: Object = {"type": "otel-collector", **({"otelCollector": dict(options)} if options else {})}
    return gateway(name, gateway=type_, install={"resource": resource}, **spec)


def naming(kind: str, type_: str, **spec: Any) -> Object:
    """Return a GatewayTelemetry that adds settings to an object of a kind."""
    options = spec.pop("options", {})
    install = {"resource": {"ref": {"kind": kind, "name": "main"}}}
    return gateway(gateway={"type": type_, **options}, install=install, **spec)


def object_of(kind: str, spec: Mapping[str, Any]) -> Object:
    """Return such an object."""
    metadata = {"name": "main", "namespace": NS, "uid": f"uid-{kind}", "resourceVersion": "7"}
    return {"apiVersion": API_VERSIONS[kind], "kind": kind, "metadata": metadata, "spec": dict(spec)}
