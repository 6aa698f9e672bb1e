"""Adapter envoy-ai-gateway: variables of the external processor, by a GatewayConfig.

Envoy Gateway owns the pods, and Envoy AI Gateway puts its container into them by a webhook, so pods are never written
to; a changed GatewayConfig replaces them by itself. The container's OpenTelemetry SDK reads the standard variables.

Source: api/v1beta1/gateway_config.go, internal/tracing and internal/metrics of envoyproxy/ai-gateway.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from gateway_telemetry.adapters import otel
from gateway_telemetry.adapters.base import Context, EnvVar, Forbidden, Page, Seen, Settings
from gateway_telemetry.adapters.edits import Edit
from gateway_telemetry.adapters.refusals import no_private_ca
from gateway_telemetry.adapters.resource import Place, ResourceAdapter
from gateway_telemetry.api.gateway_types import EnvoyAiGatewayOptions
from gateway_telemetry.api.reasons import Reason

METRICS_EXPORTER = "OTEL_METRICS_EXPORTER"
SEMCONV = "AI_GATEWAY_TRACING_SEMCONV"
_SEMCONVS = frozenset({"openinference", "gen_ai"})
_HIDE = ("OPENINFERENCE_HIDE_INPUTS", "OPENINFERENCE_HIDE_OUTPUTS")
_CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"


class EnvoyAiGateway(ResourceAdapter):
    """The traces-scoped variables, without metrics."""

    type = "envoy-ai-gateway"
    controller = "Envoy AI Gateway"
    places: ClassVar[Mapping[str, Place]] = {
        "GatewayConfig": Place("ai-gateway-extproc", ("spec", "extProc", "kubernetes", "env"))
    }
    page = Page(
        title="Envoy AI Gateway",
        source="https://aigateway.envoyproxy.io/docs/capabilities/observability/tracing",
        restart="none by hand: its controller replaces the pods when the GatewayConfig changes",
        ca="none: a GatewayConfig has mounts, and no volumes for them",
        content="`OPENINFERENCE_HIDE_INPUTS` and `_OUTPUTS`; with semconv `gen_ai` content is left out by default",
        headers="percent-encoded list",
        notes=(
            "The Gateway refers to the GatewayConfig by its annotation `aigateway.envoyproxy.io/gateway-config`.",
            "The pods read the operator's Secret, so they must run in the GatewayConfig's namespace: Envoy Gateway "
            "with `provider.kubernetes.deploy.type: GatewayNamespace`, or all of these objects in Envoy Gateway's own "
            "namespace.",
            f"`{METRICS_EXPORTER}=none` is written unless the object sets something about metrics itself; "
            "Prometheus metrics stay.",
        ),
    )

    def settings(self, context: Context) -> Settings:
        """See Adapter.settings."""
        no_private_ca(
            context,
            "Envoy AI Gateway",
            "let an EnvoyProxy mount it and set OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE in the GatewayConfig yourself, "
            "then set spec.gateway.caInstalled: true",
        )
        return otel.common(
            context,
            (
                EnvVar(otel.TRACES_ENDPOINT, context.endpoints.traces),
                EnvVar(otel.TRACES_PROTOCOL, otel.HTTP_PROTOBUF),
            ),
            _content(context),
        )

    def forbidden(self, context: Context) -> tuple[Forbidden, ...]:
        """See Adapter.forbidden."""
        return (
            *otel.switched_off(),
            Forbidden(
                SEMCONV,
                Reason.TRACING_DISABLED,
                "names no convention that the container starts with",
                harmless=_SEMCONVS,
            ),
        )

    def edits(self, context: Context, kind: str) -> tuple[Edit, ...]:
        """See ResourceAdapter.edits."""
        return ()

    def advice(self, seen: Seen) -> list[str]:
        """See Adapter.advice."""
        return otel.advice(seen)


def _content(context: Context) -> tuple[EnvVar, ...]:
    semconv = (context.spec.gateway.envoy_ai_gateway or EnvoyAiGatewayOptions()).semconv
    env = [EnvVar(METRICS_EXPORTER, "none", yields=True)]
    if semconv is not None:
        env.append(EnvVar(SEMCONV, semconv))
    capture = context.spec.capture
    if capture is not None and semconv == "gen_ai":
        env.append(EnvVar(_CAPTURE, "true" if capture.content else "false"))
    elif capture is not None:
        env += [EnvVar(name, "false" if capture.content else "true") for name in _HIDE]
    return tuple(env)
