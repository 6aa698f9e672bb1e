"""What TrueFoundry does with a tenant's OTEL config: read it by TrueFoundry's own SDK, and export by it.

Arguments: URL of the control plane, API key, CA file of both servers, a prompt. Exits 1 when the export failed.
"""

from __future__ import annotations

import ssl
import sys

import httpx
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from truefoundry_sdk import TrueFoundry
from truefoundry_sdk.types.gateway_otel_config import GatewayOtelConfig
from truefoundry_sdk.types.otel_traces_exporter_http_config import OtelTracesExporterHttpConfig


class _Strict(OTLPSpanExporter):
    """Remembers a failed export, which the SDK only logs."""

    failed = False

    def export(self, spans):  # type: ignore[no-untyped-def]
        result = super().export(spans)
        self.failed |= result is not SpanExportResult.SUCCESS
        return result


def main() -> int:
    url, key, ca, prompt = sys.argv[1:]
    with httpx.Client(verify=ssl.create_default_context(cafile=ca)) as client:
        sdk = TrueFoundry(base_url=url, api_key=key, httpx_client=client)
        found = sdk.internal.ai_gateway.get_gateway_config("gateway-otel-config")
    config = GatewayOtelConfig.model_validate(found.manifest.model_dump(exclude_none=True)).otel_traces_exporter_config
    assert isinstance(config, OtelTracesExporterHttpConfig)
    assert config.encoding.value == "proto"
    exporter = _Strict(endpoint=config.endpoint, headers=config.headers, certificate_file=ca)
    attributes = {"service.name": "tfy-llm-gateway", **(config.additional_resource_attributes or {})}
    provider = TracerProvider(resource=Resource(attributes))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("tfy-llm-gateway").start_as_current_span("ChatCompletion") as span:
        span.set_attribute("tfy.span_type", "ChatCompletion")
        if not config.exclude_request_data:
            span.set_attribute("tfy.input", prompt)
    provider.shutdown()
    return int(exporter.failed)


if __name__ == "__main__":
    sys.exit(main())
