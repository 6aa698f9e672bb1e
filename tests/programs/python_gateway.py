"""A gateway in small, for pods: an OpenTelemetry SDK configured by its environment alone, behind HTTP.

``GET /ask?prompt=TEXT`` makes one trace with the prompt and answers with its id; with ``&flush=1`` it answers after
the export, with 502 where that failed. ``GET /healthz`` answers at once. Listens on port 8080 or ``$PORT``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult

FLUSH_MILLISECONDS = 30_000


class _Counting(OTLPSpanExporter):
    """Remembers how exports ended, which the SDK only logs."""

    failed = 0
    exported = 0

    def export(self, spans):  # type: ignore[no-untyped-def]
        result = super().export(spans)
        if result is SpanExportResult.SUCCESS:
            self.exported += len(spans)
        else:
            self.failed += len(spans)
        return result


class Gateway(ThreadingHTTPServer):
    """Answers requests and traces them."""

    def __init__(self, port: int) -> None:
        self.exporter = _Counting()
        self.provider = TracerProvider()
        self.provider.add_span_processor(BatchSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("python-gateway")
        self.flushing = threading.Lock()
        super().__init__(("", port), _Handler)

    def ask(self, prompt: str) -> tuple[str, str]:
        """Make one trace; return the ids of the trace and of its root span, in hexadecimal digits."""
        with self.tracer.start_as_current_span("ask") as span:
            span.set_attribute("gen_ai.operation.name", "chat")
            span.set_attribute("gen_ai.prompt.0.role", "user")
            span.set_attribute("gen_ai.prompt.0.content", prompt)
            context = span.get_span_context()
        return f"{context.trace_id:032x}", f"{context.span_id:016x}"

    def flush(self) -> bool:
        """Export what waits; tell whether all of it arrived."""
        with self.flushing:
            failed = self.exporter.failed
            return self.provider.force_flush(FLUSH_MILLISECONDS) and self.exporter.failed == failed


class _Handler(BaseHTTPRequestHandler):
    server: Gateway

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        if url.path == "/healthz":
            self._answer(HTTPStatus.OK, {"exported": self.server.exporter.exported})
        elif url.path == "/ask":
            trace_id, span_id = self.server.ask(query.get("prompt", [""])[0])
            arrived = self.server.flush() if "flush" in query else None
            status = HTTPStatus.BAD_GATEWAY if arrived is False else HTTPStatus.OK
            self._answer(status, {"traceId": trace_id, "spanId": span_id, "exported": arrived})
        else:
            self._answer(HTTPStatus.NOT_FOUND, {"error": "ask /ask or /healthz"})

    def _answer(self, status: HTTPStatus, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def main() -> int:
    gateway = Gateway(int(os.environ.get("PORT", "8080")))
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=gateway.shutdown).start())
    print(f"listening on port {gateway.server_port}", flush=True)
    gateway.serve_forever()
    gateway.provider.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
