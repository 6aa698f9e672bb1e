"""Contexts that adapters are asked with: one gateway, with and without a private CA and attributes."""

from __future__ import annotations

from typing import Any

from gateway_telemetry.adapters import Context
from gateway_telemetry.api.gateway import FILE_GATEWAYS, GatewayTelemetrySpec
from gateway_telemetry.endpoint import Endpoints, Headers, saas

KEY = "lsv2_sk_MARKED4711"
WORKSPACE = "5f2c0a4e-0000-4000-8000-000000000000"
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def context(
    type_: str,
    *,
    options: dict[str, Any] | None = None,
    endpoints: Endpoints | None = None,
    project: str = "checkout",
    workspace: str | None = WORKSPACE,
    ca_pem: str | None = None,
    attributes: dict[str, str] | None = None,
    content: bool | None = None,
    name: str = "front",
) -> Context:
    gateway = {"type": type_, **(options or {})}
    workloads = {"selector": {"matchLabels": {"app": "front"}}}
    reference = {"reference": {"secretName": "front-otlp", "workloads": workloads}}
    spec: dict[str, Any] = {
        "targetRef": {"name": "prod"},
        "gateway": gateway,
        "install": reference if type_ in FILE_GATEWAYS else {"inject": {"workloads": workloads}},
        "resourceAttributes": attributes,
        "capture": None if content is None else {"content": content},
    }
    return Context(
        spec=GatewayTelemetrySpec.model_validate(spec),
        endpoints=endpoints or saas("eu"),
        headers=Headers(KEY, project, workspace),
        ca_pem=ca_pem,
        identity="0123456789ab",
        workload=("Deployment", "team-a", name),
    )
