"""A program as users write it: an OpenTelemetry SDK that is configured by its environment alone.

Run as a file in the pod of a Deployment. Writes one trace with a prompt, prints the id of its root span, and exits 1
when the export failed.
"""

from __future__ import annotations

import sys

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult


class _Strict(OTLPSpanExporter):
    """Remembers a failed export, which the SDK only logs."""

    failed = False

    def export(self, spans):  # type: ignore[no-untyped-def]
        result = super().export(spans)
        self.failed |= result is not SpanExportResult.SUCCESS
        return result


def main() -> int:
    exporter: SpanExporter = _Strict()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("sdk-program")
    with tracer.start_as_current_span("ask") as span:
        span.set_attribute("gen_ai.operation.name", "chat")
        span.set_attribute("gen_ai.prompt.0.role", "user")
        span.set_attribute("gen_ai.prompt.0.content", sys.argv[1])
        span_id = span.get_span_context().span_id
    provider.shutdown()
    print(f"{span_id:016x}", flush=True)
    return int(getattr(exporter, "failed", True))


if __name__ == "__main__":
    sys.exit(main())
