"""Adapter otel-sdk: any program whose OpenTelemetry SDK reads the standard variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway_telemetry.adapters import otel
from gateway_telemetry.adapters.base import Context, EnvVar, Evidence, Forbidden, Settings
from gateway_telemetry.api.reasons import Reason


class OtelSdk:
    """Traces-scoped variables of the OTLP exporter."""

    type = "otel-sdk"
    container: str | None = None
    evidence: Evidence = "Resource"

    def settings(self, context: Context) -> Settings:
        """See Adapter.settings."""
        match _style(context):
            case "Traces":
                endpoint = EnvVar(otel.TRACES_ENDPOINT, context.endpoints.traces)
            case "Base":
                endpoint = EnvVar(otel.ENDPOINT, context.endpoints.otlp)
            case _:
                endpoint = EnvVar(otel.ENDPOINT, context.endpoints.traces)
        return otel.common(context, (endpoint, EnvVar(otel.TRACES_PROTOCOL, otel.HTTP_PROTOBUF)))

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

    def advice(self, env: Mapping[str, Any]) -> list[str]:
        """See Adapter.advice."""
        notes = otel.duplicates(env)
        if env.get(otel.PROTOCOL) == "grpc":
            notes.append(
                f"{otel.PROTOCOL}=grpc is on the container; {otel.TRACES_PROTOCOL}={otel.HTTP_PROTOBUF} goes before it "
                "in SDKs that follow the specification"
            )
        return notes + _redirected(env)


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
