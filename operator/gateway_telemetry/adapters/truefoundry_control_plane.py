"""TrueFoundry from chart 0.80 on: the tenant's control plane holds the trace export of all of its gateways.

One object per tenant, of type ``gateway-otel-config``; its fields are those of ``truefoundry-sdk`` (types
``GatewayOtelConfig`` and ``OtelTracesExporterHttpConfig``). It has no certificate, timeout or sampling setting.
https://www.truefoundry.com/docs/ai-gateway/export-opentelemetry-data
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway_telemetry.adapters.base import Context
from gateway_telemetry.adapters.otel import IDENTITY_ATTRIBUTE
from gateway_telemetry.adapters.refusals import ascii_project, no_private_ca
from gateway_telemetry.api.gateway_types import TrueFoundryOptions

OBJECT_TYPE = "gateway-otel-config"
TRACES = "otel_traces_exporter_config"
"""Field of the object that holds the trace export; the object's other fields are not ours."""
HEADERS = "headers"
ATTRIBUTES = "additional_resource_attributes"
EXCLUDE_CONTENT = "exclude_request_data"
STAMP = IDENTITY_ATTRIBUTE
"""The resource attribute that marks an export as written by this operator, and its traces as this gateway's."""
_LEAVES = "TrueFoundry's trace export"


def traces_exporter(context: Context) -> dict[str, Any]:
    """Return the trace export; it holds the LangSmith key.

    Raises:
        EndpointProblem: the target has a CA bundle, or the project's name is not ASCII.
    """
    no_private_ca(
        context,
        _LEAVES,
        "let TrueFoundry's control plane trust the CA by its own means (its chart: global.customCA) and set "
        "spec.gateway.caInstalled: true, or give LangSmith a certificate of a public CA",
    )
    ascii_project(context, _LEAVES)
    options = context.spec.gateway.truefoundry or TrueFoundryOptions()
    result: dict[str, Any] = {
        "type": "http",
        "endpoint": context.endpoints.traces,
        "encoding": options.encoding.lower(),
        HEADERS: context.headers.as_mapping(),
        ATTRIBUTES: {STAMP: context.identity, **dict(sorted((context.spec.resource_attributes or {}).items()))},
    }
    if context.spec.capture is not None:
        result[EXCLUDE_CONTENT] = not context.spec.capture.content
    if options.when is not None:
        result["when"] = [
            {"field": "spanAttributes", "key": item.key, "operator": "IN", "value": list(item.values)}
            for item in options.when
        ]
    return result


MANAGED = ("type", "endpoint", "encoding", HEADERS, ATTRIBUTES, "when")
"""Fields of the trace export that are as ``traces_exporter`` says or absent; others are left as they are."""


def advice(context: Context) -> list[str]:
    """Return what is worth knowing: traces leave from where the control plane runs."""
    endpoints = context.endpoints
    notes = []
    if "." not in endpoints.host or endpoints.host.endswith((".svc", ".svc.cluster.local", ".local", ".internal")):
        notes.append(
            f"{endpoints.host} is a name of a private network: traces leave from where TrueFoundry's control plane "
            "runs, which must be able to reach it"
        )
    if endpoints.plaintext:
        notes.append("http:// sends key and prompts in the clear from TrueFoundry's control plane to LangSmith")
    return notes


def stamp_of(exporter: Mapping[str, Any]) -> str | None:
    """Return the mark that an export carries; None where it was not written by this operator."""
    attributes = exporter.get(ATTRIBUTES)
    found = attributes.get(STAMP) if isinstance(attributes, Mapping) else None
    return found if isinstance(found, str) else None
