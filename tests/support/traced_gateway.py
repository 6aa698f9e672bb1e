"""A gateway with OpenTelemetry's SDK that continues its callers' traces, or begins its own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator


@dataclass
class Gateway:
    """What a running gateway shows.

    Attributes:
        asked: method, authorization and model of each request.
    """

    url: str
    asked: list[tuple[str, str | None, str | None]] = field(default_factory=list)


@contextmanager
def traced_gateway(
    traces_url: str,
    key: str,
    project: str,
    stamp: str | None,
    *,
    continues: bool = True,
    calls: bool = False,
    traces: bool = True,
    status: int = 200,
    ca: Path | None = None,
) -> Iterator[Gateway]:
    """Serve on loopback while the block lasts.

    Args:
        continues: whether a caller's ``traceparent`` is the parent of its span.
        calls: whether the model call has a span of its own, in a trace of its own.
        traces: whether it makes a span at all.
        status: what it answers.
        ca: that LangSmith's certificate is from.
    """
    exporter = OTLPSpanExporter(
        endpoint=traces_url,
        headers={"x-api-key": key, "Langsmith-Project": project},
        timeout=5,
        certificate_file=str(ca) if ca else None,
    )
    provider = TracerProvider(resource=Resource({"gatewaytelemetry.id": stamp} if stamp else {}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("gateway")
    gateway = Gateway("")

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            model = json.loads(body)["model"] if body else None
            gateway.asked.append((self.command, self.headers.get("authorization"), model))
            if traces:
                carrier = {name.lower(): value for name, value in self.headers.items()} if continues else {}
                with tracer.start_as_current_span("chat", context=TraceContextTextMapPropagator().extract(carrier)):
                    pass
                if calls:
                    with tracer.start_as_current_span("call", attributes={"gen_ai.operation.name": "chat"}):
                        pass
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_GET = do_POST = _serve  # noqa: N815 the base class names them so

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base class names it so
            """Write nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    gateway.url = f"http://127.0.0.1:{server.server_address[1]}/v1/chat/completions"
    try:
        yield gateway
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
        provider.shutdown()
