"""Adapters kgateway and higress: gateways that export by gRPC only, which LangSmith does not take.

They are refused by name instead of being unknown, because the answer is the same for both and not obvious: a
Collector in between, which takes gRPC and sends HTTP.
"""

from __future__ import annotations

from gateway_telemetry.adapters.base import Adapter, Context, Forbidden, Page, Settings
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.endpoint import EndpointProblem

_INSTEAD = (
    "let an OpenTelemetry Collector take its spans (receiver otlp, port 4317), and write another GatewayTelemetry with "
    "gateway.type: otel-collector for that"
)


class _GrpcOnly(Adapter):
    """A gateway whose exporter speaks gRPC only."""

    evidence = "None"
    setting: str

    def settings(self, context: Context) -> Settings:
        """See Adapter.settings.

        Raises:
            EndpointProblem: always.
        """
        raise EndpointProblem(
            Reason.COLLECTOR_REQUIRED,
            f"{self.type} exports by gRPC only ({self.setting}), and LangSmith takes OTLP over HTTP only: {_INSTEAD}",
        )

    def forbidden(self, context: Context) -> tuple[Forbidden, ...]:
        """See Adapter.forbidden."""
        return ()


def _page(title: str, source: str) -> Page:
    return Page(
        title=title,
        source=source,
        restart="none of ours: refused",
        ca="refused",
        content="refused",
        headers="refused",
        notes=("Exports by gRPC only, which LangSmith does not take: put an OpenTelemetry Collector in between.",),
    )


class KGateway(_GrpcOnly):
    """kgateway: tracing.provider.openTelemetry of an HTTPListenerPolicy requires a grpcService."""

    type = "kgateway"
    setting = "tracing.provider.openTelemetry.grpcService"
    page = _page("kgateway", "https://kgateway.dev/docs/envoy/latest/observability/")


class Higress(_GrpcOnly):
    """Higress: tracing.opentelemetry of the ConfigMap higress-config has a service and a port, and no headers."""

    type = "higress"
    setting = "tracing.opentelemetry in the ConfigMap higress-config"
    page = _page("Higress", "https://higress.cn/en/docs/latest/ops/how-tos/observability/")
