"""The OTLP endpoint byte by byte: encodings, compression, chunks, limits and refusals."""

from __future__ import annotations

import gzip
import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.support.langsmith import StandIn
from tests.unit.langsmith_standin.clients import KEY, span_body

PROTOBUF = "application/x-protobuf"
JSON = "application/json"


def protobuf_body() -> bytes:
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    span.trace_id, span.span_id, span.name = b"\1" * 16, b"\1" * 8, "root"
    span.start_time_unix_nano = 1_700_000_000_000_000_000
    return bytes(request.SerializeToString())


def post(
    langsmith: StandIn, body: bytes | Iterator[bytes], content_type: str | None, **headers: str
) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", langsmith.port, timeout=10)
    sent = {"X-Api-Key": KEY, **({"Content-Type": content_type} if content_type else {})}
    sent.update({name.replace("_", "-"): value for name, value in headers.items()})
    try:
        connection.request("POST", "/api/v1/otel/v1/traces", body, sent, encode_chunked=not isinstance(body, bytes))
        answer = connection.getresponse()
        return answer.status, answer.headers.get_content_type(), answer.read()
    finally:
        connection.close()


def test_protobuf_is_answered_in_protobuf(langsmith: StandIn) -> None:
    status, content_type, body = post(langsmith, protobuf_body(), PROTOBUF)
    assert (status, content_type) == (200, PROTOBUF)
    assert not ExportTraceServiceResponse.FromString(body).HasField("partial_success")
    assert [run.body.name for run in langsmith.store.runs()] == ["root"]


def test_json_is_answered_in_json(langsmith: StandIn) -> None:
    assert post(langsmith, json.dumps(span_body()).encode(), JSON) == (200, JSON, b"{}")
    assert str(langsmith.store.runs()[0].id) == "00000000-0000-0000-1111-111111111111"


def test_json_with_a_charset_and_unknown_fields_is_read(langsmith: StandIn) -> None:
    body = json.dumps({**span_body(), "later": {"field": 1}}).encode()
    assert post(langsmith, body, "application/json; charset=utf-8")[0] == 200
    assert len(langsmith.store.runs()) == 1


def test_json_values_of_every_kind_are_read(langsmith: StandIn) -> None:
    body = span_body()
    values: dict[str, Any] = {
        "text": {"stringValue": "x"},
        "flag": {"boolValue": True},
        "int": {"intValue": "9007199254740993"},
        "float": {"doubleValue": 0.5},
        "list": {"arrayValue": {"values": [{"intValue": "1"}, {"stringValue": "b"}]}},
        "map": {"kvlistValue": {"values": [{"key": "k", "value": {"stringValue": "v"}}]}},
        "bytes": {"bytesValue": "AQI="},
        "none": {},
    }
    body["resourceSpans"][0]["resource"] = {"attributes": [{"key": k, "value": v} for k, v in values.items()]}
    assert post(langsmith, json.dumps(body).encode(), JSON)[0] == 200
    assert langsmith.store.runs()[0].body.metadata == {
        "text": "x",
        "flag": True,
        "int": 9007199254740993,
        "float": 0.5,
        "list": [1, "b"],
        "map": {"k": "v"},
        "bytes": "AQI=",
        "none": None,
    }


@pytest.mark.parametrize("encoding", ["gzip", "GZIP"])
def test_gzip(langsmith: StandIn, encoding: str) -> None:
    assert post(langsmith, gzip.compress(protobuf_body(), mtime=0), PROTOBUF, Content_Encoding=encoding)[0] == 200
    assert len(langsmith.store.runs()) == 1


def test_chunks_without_a_content_length(langsmith: StandIn) -> None:
    body = protobuf_body()
    status, _, _ = post(langsmith, iter([body[:10], body[10:]]), PROTOBUF, Transfer_Encoding="chunked")
    assert status == 200
    [seen] = langsmith.store.requests("ingest")
    assert seen.chunked
    assert "Content-Length" not in seen.header_names
    assert len(langsmith.store.runs()) == 1


def test_a_body_sent_twice_makes_one_run(langsmith: StandIn) -> None:
    for _ in range(2):
        post(langsmith, protobuf_body(), PROTOBUF)
    assert len(langsmith.store.spans()) == 2
    assert len(langsmith.store.runs()) == 1


@pytest.mark.parametrize("content_type", ["text/plain", "application/grpc", "application/protobuf+x", None])
def test_other_content_types_are_refused(langsmith: StandIn, content_type: str | None) -> None:
    status, _, body = post(langsmith, protobuf_body(), content_type)
    assert status == 415
    assert json.loads(body) == {"error": "use application/x-protobuf or application/json"}
    assert langsmith.store.spans() == []


@pytest.mark.parametrize(
    ("body", "content_type", "headers"),
    [
        (b"\xff\xff\xff", PROTOBUF, {}),
        (b"{", JSON, {}),
        (b"[]", JSON, {}),
        (b'"text"', JSON, {}),
        (b'{"resourceSpans": 1}', JSON, {}),
        (json.dumps(span_body()).replace("1" * 16, "zz").encode(), JSON, {}),
        (json.dumps(span_body()).replace('"spanId"', '"unknown"').encode(), JSON, {}),
        (b"not gzip", PROTOBUF, {"Content_Encoding": "gzip"}),
        (gzip.compress(b"\0" * 100, mtime=0)[:-10], PROTOBUF, {"Content_Encoding": "gzip"}),
    ],
)
def test_bodies_that_cannot_be_read_are_refused(
    langsmith: StandIn, body: bytes, content_type: str, headers: dict[str, str]
) -> None:
    assert post(langsmith, body, content_type, **headers)[0] == 400
    assert langsmith.store.spans() == []


def test_an_empty_request_is_accepted(langsmith: StandIn) -> None:
    assert post(langsmith, b"", PROTOBUF)[0] == 200
    assert post(langsmith, b"{}", JSON)[0] == 200


@pytest.mark.parametrize("compressed", [False, True])
def test_more_than_25_mb_is_refused(langsmith: StandIn, compressed: bool) -> None:
    body = b"\0" * (25 * 1024 * 1024 + 1)
    if compressed:
        status, _, page = post(langsmith, gzip.compress(body, 1, mtime=0), PROTOBUF, Content_Encoding="gzip")
    else:
        status, _, page = post(langsmith, body, PROTOBUF)
    assert status == 413
    assert b"413 Request Entity Too Large" in page


def test_header_names_are_case_insensitive_and_recorded_as_sent(langsmith: StandIn) -> None:
    assert post(langsmith, protobuf_body(), PROTOBUF, **{"LANGSMITH-PROJECT": "p"})[0] == 200
    assert [project.name for project in langsmith.store.projects()] == ["p"]
    assert "LANGSMITH-PROJECT" in langsmith.store.requests("ingest")[0].header_names


def test_a_latin_1_project_header_is_read(langsmith: StandIn) -> None:
    assert post(langsmith, protobuf_body(), PROTOBUF, Langsmith_Project="caf\xe9")[0] == 200
    assert [project.name for project in langsmith.store.projects()] == ["café"]
    [seen] = langsmith.store.requests("ingest")
    assert seen.project_header == "café"
