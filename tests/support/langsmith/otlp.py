"""OTLP/HTTP trace bodies: decoding requests and encoding answers.

Both encodings of the OTLP specification (https://opentelemetry.io/docs/specs/otlp/#otlphttp) are read. JSON needs care:
ids are hex there, where protobuf's own JSON mapping has base64, and unknown fields are to be ignored.
Compression and chunking are already undone by aiohttp when a body gets here.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from google.protobuf import json_format  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"
CONTENT_TYPES: Final = frozenset({PROTOBUF, JSON})
_ID_FIELDS: Final = frozenset({"traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"})
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class BadBodyError(Exception):
    """The body is not an OTLP trace export request."""


@dataclass(frozen=True)
class Event:
    """A span event."""

    name: str
    time: datetime
    attributes: dict[str, Any]


@dataclass(frozen=True)
class Span:
    """One received span; ids are lower-case hex, ``parent_span_id`` is empty for a root."""

    trace_id: str
    span_id: str
    parent_span_id: str
    name: str
    start_time: datetime
    end_time: datetime | None
    attributes: dict[str, Any] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    is_error: bool = False
    status_message: str = ""
    resource: dict[str, Any] = field(default_factory=dict)
    scope: str = ""


def decode(body: bytes, content_type: str) -> list[Span]:
    """Return the spans of an export request.

    Raises:
        BadBodyError: the body does not parse in the encoding its content type names.
    """
    message = ExportTraceServiceRequest()
    try:
        if content_type == JSON:
            data = json.loads(body)
            if not isinstance(data, dict):
                raise BadBodyError("not an OTLP trace request: the body is not a JSON object")
            json_format.ParseDict(_ids_to_base64(data), message, ignore_unknown_fields=True)
        else:
            message.ParseFromString(body)
    except (DecodeError, json_format.ParseError, ValueError, TypeError) as error:
        raise BadBodyError(f"not an OTLP trace request ({content_type}): {type(error).__name__}") from error
    return [
        _span(span, _attributes(resource_spans.resource.attributes), scope_spans.scope.name)
        for resource_spans in message.resource_spans
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    ]


def encode_response(content_type: str, *, rejected_spans: int = 0, error_message: str = "") -> bytes:
    """Return an export response in the request's own encoding; in protobuf, complete success is an empty body."""
    message = ExportTraceServiceResponse()
    if rejected_spans or error_message:
        message.partial_success.rejected_spans = rejected_spans
        message.partial_success.error_message = error_message
    if content_type == JSON:
        return json.dumps(json_format.MessageToDict(message)).encode()
    return bytes(message.SerializeToString())


def _ids_to_base64(value: Any) -> Any:
    if isinstance(value, list):
        return [_ids_to_base64(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _hex_to_base64(item) if key in _ID_FIELDS and isinstance(item, str) else _ids_to_base64(item)
        for key, item in value.items()
    }


def _hex_to_base64(text: str) -> str:
    return base64.b64encode(bytes.fromhex(text)).decode()


def _span(span: trace_pb2.Span, resource: dict[str, Any], scope: str) -> Span:
    if len(span.trace_id) != 16 or len(span.span_id) != 8 or not any(span.trace_id) or not any(span.span_id):
        raise BadBodyError("a span has no valid trace id (16 bytes) and span id (8 bytes)")
    return Span(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_span_id=span.parent_span_id.hex() if any(span.parent_span_id) else "",
        name=span.name,
        start_time=_time(span.start_time_unix_nano),
        end_time=_time(span.end_time_unix_nano) if span.end_time_unix_nano else None,
        attributes=_attributes(span.attributes),
        events=tuple(Event(e.name, _time(e.time_unix_nano), _attributes(e.attributes)) for e in span.events),
        is_error=span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        status_message=span.status.message,
        resource=resource,
        scope=scope,
    )


def _time(unix_nano: int) -> datetime:
    return _EPOCH + timedelta(microseconds=unix_nano // 1000)


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    match value.WhichOneof("value"):
        case None:
            return None
        case "array_value":
            return [_value(item) for item in value.array_value.values]
        case "kvlist_value":
            return _attributes(value.kvlist_value.values)
        case "bytes_value":
            return base64.b64encode(value.bytes_value).decode()
        case kind:
            return getattr(value, kind)
