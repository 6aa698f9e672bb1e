"""Adapter otel-sdk: any program whose OpenTelemetry SDK reads the standard variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway_telemetry.adapters import otel
from gateway_telemetry.adapters.base import Adapter, Context, EnvVar, Forbidden, Page, Seen, Settings
from gateway_telemetry.api.reasons import Reason

_NO_CONTENT = (
    EnvVar(otel.CAPTURE_CONTENT, "no_content"),
    EnvVar("OPENINFERENCE_HIDE_INPUTS", "true"),
    EnvVar("OPENINFERENCE_HIDE_OUTPUTS", "true"),
    EnvVar("TRACELOOP_TRACE_CONTENT", "false"),
)
"""Each family of instrumentations reads its own and ignores the others'."""


class OtelSdk(Adapter):
    """Traces-scoped variables of the OTLP exporter."""

    type = "otel-sdk"
    literals = frozenset(item.name for item in _NO_CONTENT)
    page = Page(
        title="Any program with an OpenTelemetry SDK",
        source="https://opentelemetry.io/docs/specs/otel/protocol/exporter/",
        restart="restart of its pods",
        ca=f"`{otel.TRACES_CERTIFICATE}`",
        content="variables of OpenTelemetry's, OpenInference's and OpenLLMetry's instrumentations; spans that the "
        "program writes itself are its own affair",
        headers="percent-encoded",
        notes=(
            "Seen with the SDKs for Python, Node and Go. A program that sets its exporter up in code ignores "
            "variables.",
            "An SDK drops the attributes of a span beyond 128, the last ones: `OTEL_ATTRIBUTE_COUNT_LIMIT` raises "
            "that for long conversations.",
            "`OTEL_SERVICE_NAME` is left alone, because metrics and logs carry it too; the attribute "
            "`k8s.deployment.name` names the gateway. `resourceAttributes: {service.name: …}` sets it where the "
            "program has none.",
        ),
    )

    def settings(self, context: Context) -> Settings:
        """See Adapter.settings."""
        match _style(context):
            case "Traces":
                endpoint = EnvVar(otel.TRACES_ENDPOINT, context.endpoints.traces)
            case "Base":
                endpoint = EnvVar(otel.ENDPOINT, context.endpoints.otlp)
            case _:
                endpoint = EnvVar(otel.ENDPOINT, context.endpoints.traces)
        content = _NO_CONTENT if otel.no_content(context) else ()
        return otel.common(context, (endpoint, EnvVar(otel.TRACES_PROTOCOL, otel.HTTP_PROTOBUF)), content)

    def forbidden(self, context: Context) -> tuple[Forbidden, ...]:
        """See Adapter.forbidden."""
        rules = [
            *otel.switched_off(),
            *otel.ca_overridden(context),
            # JavaScript merges generic and traces-scoped headers, Python replaces them:
            # https://github.com/open-telemetry/opentelemetry-js/issues/4447
            Forbidden(
                otel.HEADERS,
                Reason.FOREIGN_HEADERS,
                "holds another backend's headers, which some SDKs would send to LangSmith as well",
            ),
        ]
        style = _style(context)
        if style != "Traces":
            why = f"goes before {otel.ENDPOINT}, which endpointStyle {style} writes"
            rules.append(Forbidden(otel.TRACES_ENDPOINT, Reason.ENV_CONFLICT, why))
        return tuple(rules)

    def advice(self, seen: Seen) -> list[str]:
        """See Adapter.advice."""
        notes = otel.advice(seen)
        if seen.env.get(otel.PROTOCOL) == "grpc":
            notes.append(
                f"{otel.PROTOCOL}=grpc is on the container; {otel.TRACES_PROTOCOL}={otel.HTTP_PROTOBUF} goes before it "
                "in SDKs that follow the specification"
            )
        return notes + _redirected(seen.env)


def _style(context: Context) -> str:
    options = context.spec.gateway.otel_sdk
    return "Traces" if options is None else options.endpoint_style


def _redirected(env: Mapping[str, Any]) -> list[str]:
    """Return warnings about signals that follow the generic endpoint to LangSmith, which takes traces only."""
    if otel.ENDPOINT not in env or otel.TRACES_ENDPOINT in env:
        return []
    return [
        f"{signal.lower()} of this program, if it exports any, follow {otel.ENDPOINT} to LangSmith, which takes none: "
        f"set OTEL_{signal}_EXPORTER=none or OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"
        for signal in ("METRICS", "LOGS")
        if env.get(f"OTEL_{signal}_EXPORTER", "otlp") == "otlp" and f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT" not in env
    ]
