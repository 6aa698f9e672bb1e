"""Adapter agentgateway: variables and the static tracing block, by AgentgatewayParameters.

The variables are read only where ``config.tracing`` exists, nothing is sampled by default, and each header's value is
a CEL expression, so a bare key is no value at all: it is written as a quoted CEL string
(https://github.com/agentgateway/agentgateway/issues/2343). Headers come as a JSON object in one variable, from the
operator's Secret.

Source: crates/agentgateway/src/config.rs and controller/api/v1alpha1 of agentgateway 1.4.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import ClassVar

from gateway_telemetry.adapters import otel
from gateway_telemetry.adapters.base import HEADERS_KEY, Context, EnvVar, Forbidden, Page, Settings
from gateway_telemetry.adapters.edits import Edit, entry
from gateway_telemetry.adapters.refusals import ascii_project, no_private_ca
from gateway_telemetry.adapters.resource import Place, ResourceAdapter
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.endpoint import EndpointProblem

HEADERS = "OTLP_HEADERS"
_TRACING = ("spec", "rawConfig", "config", "tracing")
_BEFORE = ("OTLP_ENDPOINT", "OTLP_PROTOCOL", otel.TRACES_ENDPOINT, otel.TRACES_PROTOCOL, otel.ENDPOINT, otel.PROTOCOL)


class Agentgateway(ResourceAdapter):
    """One variable with the headers; endpoint, protocol and sampling in the configuration."""

    type = "agentgateway"
    controller = "agentgateway's controller"
    places: ClassVar[Mapping[str, Place]] = {"AgentgatewayParameters": Place("agentgateway", ("spec", "env"))}
    page = Page(
        title="agentgateway",
        source="https://agentgateway.dev/docs/kubernetes/latest/setup/customize/",
        restart="none by hand: its controller replaces the pods when AgentgatewayParameters change",
        ca="none for static tracing",
        content="left out unless `rawConfig.config.tracing.fields.add` of yours adds it, e.g. `gen_ai.prompt`",
        headers="JSON object of quoted CEL strings",
        notes=(
            "`randomSampling: true` is written: without it nothing is traced that has no sampled parent.",
            "Version 1.3.1 sent cleartext to https endpoints: use 1.4 or later.",
            "Fields of yours beside these in `rawConfig.config.tracing` stay.",
        ),
    )

    def settings(self, context: Context) -> Settings:
        """See Adapter.settings."""
        ascii_project(context, "agentgateway")
        no_private_ca(
            context,
            "agentgateway's static tracing",
            "use an image that trusts it and set spec.gateway.caInstalled: true",
        )
        headers = {name: cel_string(value) for name, value in context.headers.as_mapping().items()}
        stamp_only = not context.spec.resource_attributes
        env = (
            EnvVar(HEADERS, secret_key=HEADERS_KEY),
            EnvVar(otel.RESOURCE_ATTRIBUTES, raw_attributes(context), yields=stamp_only),
        )
        return Settings(env, {HEADERS_KEY: json.dumps(headers, separators=(",", ":"))})

    def forbidden(self, context: Context) -> tuple[Forbidden, ...]:
        """See Adapter.forbidden."""
        why = "goes before rawConfig.config.tracing, and would send the traces elsewhere or in another form"
        return (
            *otel.switched_off(),
            *(Forbidden(name, Reason.ENV_CONFLICT, why) for name in _BEFORE),
        )

    def edits(self, context: Context, kind: str) -> tuple[Edit, ...]:
        """See ResourceAdapter.edits."""
        return (
            entry((*_TRACING, "otlpEndpoint"), context.endpoints.traces),
            entry((*_TRACING, "otlpProtocol"), "http"),
            entry((*_TRACING, "randomSampling"), "true"),
        )


def cel_string(value: str) -> str:
    r"""Return a CEL string literal; https://github.com/google/cel-spec/blob/master/doc/langdef.md#string-and-bytes-values.

    Only ``\`` and ``"`` need an escape: header values hold no control characters.
    """
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def raw_attributes(context: Context) -> str:
    """Return the resource attributes for a parser that decodes nothing.

    Raises:
        EndpointProblem: a value holds a comma or an equals sign, which end it there.
    """
    for name, value in otel.attributes(context).items():
        found = next((char for char in ",=" if char in value), None)
        if found is not None:
            raise EndpointProblem(
                Reason.ATTRIBUTES_UNSUPPORTED,
                f"spec.resourceAttributes.{name} holds {found!r}, where agentgateway ends the value: use another",
            )
    return ",".join(f"{key}={value}" for key, value in otel.attributes(context).items())
