"""The real parts that judge the stand-in: OpenTelemetry's Python exporter and LangSmith's SDK."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from langsmith import Client
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Tracer

from tests.support.langsmith import StandIn

KEY = "lsv2_sk_good"
OTHER_KEY = "lsv2_sk_other_workspace"
ORG_KEY = "lsv2_sk_org"
PERSONAL_KEY = "lsv2_pt_personal"
WORKSPACE = "5f2c7a3e-0000-4000-8000-000000000001"
OTHER_WORKSPACE = "5f2c7a3e-0000-4000-8000-000000000002"
FOREIGN_WORKSPACE = "5f2c7a3e-0000-4000-8000-000000000003"


@contextmanager
def tracing(
    langsmith: StandIn,
    *,
    key: str = KEY,
    project: str | None = "checkout",
    workspace: str | None = None,
    ca: Path | None = None,
    compression: Compression = Compression.NoCompression,
    resource: dict[str, str] | None = None,
) -> Iterator[Tracer]:
    """Give a tracer whose spans have been exported when the block ends."""
    headers = {"x-api-key": key}
    if project is not None:
        headers["Langsmith-Project"] = project
    if workspace is not None:
        headers["X-Tenant-Id"] = workspace
    exporter = OTLPSpanExporter(
        endpoint=langsmith.traces_url,
        headers=headers,
        certificate_file=str(ca) if ca else None,
        compression=compression,
        timeout=5,
    )
    provider = TracerProvider(resource=Resource(resource or {}))
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=50))
    try:
        yield provider.get_tracer("test")
    finally:
        provider.shutdown()


@contextmanager
def sdk(
    api_url: str, *, key: str = KEY, workspace: str | None = None, ca: Path | None = None, batching: bool = False
) -> Iterator[Client]:
    """Give LangSmith's own client for an address of this machine, so that no test asks the real LangSmith."""
    if not ip_address(str(urlsplit(api_url).hostname)).is_private:
        raise ValueError(f"{api_url} is not on this machine")
    with requests.Session() as session:
        session.verify = str(ca) if ca else True
        client = Client(
            api_url=api_url, api_key=key, workspace_id=workspace, session=session, auto_batch_tracing=batching
        )
        try:
            yield client
        finally:
            client.close()


def span_body() -> dict[str, Any]:
    """Return an OTLP/JSON body with one root span of name "root"."""
    span = {
        "traceId": "0" * 16 + "1" * 16,
        "spanId": "1" * 16,
        "name": "root",
        "startTimeUnixNano": "1700000000000000000",
    }
    return {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
