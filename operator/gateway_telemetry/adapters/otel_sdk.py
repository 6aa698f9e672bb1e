"""Adapter otel-sdk: any program whose OpenTelemetry SDK reads the standard variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway_telemetry.adapters import otel
from gateway_telemetry.adapters.base import Context, EnvVar, Forbidden, Settings
from gateway_telemetry.api.reasons import Reason


class OtelSdk:
    """Traces-scoped variables of the OTLP exporter."""

    type = "otel-sdk"
    container: str | None = None

    def settings(self, context: Context) -> Settings:
        """See Adapter.settings."""
        style = context.spec.gateway.otel_sdk.endpoint_style if context.spec.gateway.otel_sdk else "Traces"
        match style:
            case "Traces":
                endpoint = EnvVar(otel.TRACES_ENDPOINT, context.endpoints.traces)
            case "Base":
                endpoint = EnvVar(otel.ENDPOINT, context.endpoints.otlp)
            case _:
                endpoint = EnvVar(otel.ENDPOINT, context.endpoints.traces)
        return otel.common(context, (endpoint, EnvVar(otel.TRACES_PROTOCOL, otel.HTTP_PROTOBUF)))

    def forbidden(self, context: Context) -> tuple[Forbidden, ...]:
        """See Adapter.forbidden."""
        return (
            *otel.switched_off(),
            *otel.ca_overridden(context),
            # JavaScript merges generic and traces-scoped headers, Python replaces them:
            # https://github.com/open-telemetry/opentelemetry-js/issues/4447
            Forbidden(
                otel.HEADERS,
                Reason.FOREIGN_HEADERS,
                "holds another backend's headers, which some SDKs would send to LangSmith as well",
            ),
        )

    def advice(self, env: Mapping[str, Any]) -> list[str]:
        """See Adapter.advice."""
        found = [name for name in otel.DUPLICATE_PATHS if name in env]
        notes = [f"{name} may send the same traces to LangSmith a second time" for name in found]
        if env.get(otel.PROTOCOL) == "grpc":
            notes.append(
                f"{otel.PROTOCOL}=grpc is on the container; {otel.TRACES_PROTOCOL}={otel.HTTP_PROTOBUF} goes before it "
                "in SDKs that follow the specification"
            )
        return notes
