"""The canary against the ground truth: green exactly when its run is in the intended project."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from gateway_telemetry.langsmith import Server
from gateway_telemetry.langsmith.canary import NAME, NONCE, Canary
from tests.support.langsmith import Fault, Features, StandIn
from tests.support.langsmith.otlp import PROTOBUF, decode
from tests.unit.langsmith.servers import serving
from tests.unit.langsmith.setting import OTHER, PROJECT, WORKSPACE, destination, sent, short, stand_in

V1, V2 = Server("0.15", v2=False), Server("0.18", v1=False)


@pytest.fixture
def langsmith() -> Iterator[StandIn]:
    with stand_in() as running:
        yield running


def test_it_is_one_root_span_with_the_id_that_both_mappings_keep() -> None:
    canary = Canary.new()
    (span,) = decode(canary.encode(datetime.now(UTC)), PROTOBUF)
    assert (span.name, span.parent_span_id) == ("langsmith.gateway-telemetry.canary", "")
    assert span.trace_id == "0" * 16 + span.span_id
    assert canary.run_id == str(uuid.UUID("0" * 16 + span.span_id))
    assert canary.run_id == str(uuid.UUID(span.trace_id))
    assert span.attributes["langsmith.metadata.gatewaytelemetry.canary"] == canary.nonce
    assert Canary.new().nonce != canary.nonce


async def test_it_is_read_back_with_project_workspace_and_link(langsmith: StandIn) -> None:
    result = await sent(destination(langsmith.url))
    (run,) = langsmith.store.runs(WORKSPACE, project=PROJECT)
    assert short(result.finding) == ("Ingesting", "True", "Ingested")
    assert result.project is not None
    assert (result.project.id, result.project.workspace_id) == (str(run.project_id), WORKSPACE)
    assert result.run_id == str(run.id)
    assert result.run_url == f"{langsmith.url}/o/{WORKSPACE}/projects/p/{run.project_id}/r/{run.id}?poll=true"
    assert (run.body.name, run.body.tags) == (NAME, ["gateway-telemetry-canary"])
    assert len(run.body.metadata[NONCE]) == 32


async def test_it_goes_with_the_gateways_headers_and_is_read_with_the_other_key(langsmith: StandIn) -> None:
    await sent(destination(langsmith.url), project="Bestellungen für Köln")
    (ingest,) = langsmith.store.requests("ingest")
    assert (ingest.project_header, ingest.tenant_header) == ("Bestellungen für Köln", WORKSPACE)
    assert ingest.content_type == "application/x-protobuf"
    reads = {seen.key_fingerprint for seen in langsmith.store.requests("read")}
    assert len(reads) == 1
    assert ingest.key_fingerprint not in reads


async def test_without_a_read_key_nothing_is_sent(langsmith: StandIn) -> None:
    result = await sent(destination(langsmith.url, read_key=None))
    assert short(result.finding) == ("Ingesting", "Unknown", "NoReadKey")
    assert langsmith.store.requests() == []


@pytest.mark.parametrize("delay", [0.0, 0.6, 2.0])
async def test_it_waits_for_ingest(langsmith: StandIn, delay: float) -> None:
    langsmith.store.ingest_delay = delay
    assert short((await sent(destination(langsmith.url))).finding) == ("Ingesting", "True", "Ingested")


async def test_patience_is_bounded(langsmith: StandIn) -> None:
    langsmith.store.ingest_delay = 30
    result = await sent(destination(langsmith.url), patience=1)
    assert short(result.finding) == ("Ingesting", "False", "NotVisible")
    assert result.accepted
    assert "after 1 s it is not in project 'checkout', which was not made either" in result.finding.message


@pytest.mark.parametrize("server", [None, V1, V2])
@pytest.mark.parametrize("have", [(True, True), (True, False), (False, True)], ids=["both", "v1", "v2"])
async def test_it_is_read_by_the_api_that_there_is(server: Server | None, have: tuple[bool, bool]) -> None:
    with stand_in(features=Features(runs_v1=have[0], runs_v2=have[1])) as langsmith:
        result = await sent(destination(langsmith.url), server=server)
    assert short(result.finding) == ("Ingesting", "True", "Ingested")


async def test_with_no_api_to_read_by_nothing_is_claimed() -> None:
    with stand_in(features=Features(runs_v1=False, runs_v2=False)) as langsmith:
        result = await sent(destination(langsmith.url), patience=1)
    assert short(result.finding) == ("Ingesting", "Unknown", "ReadBackFailed")


@pytest.mark.parametrize("server", [V1, V2])
@pytest.mark.parametrize("project", ["default", "payments"])
async def test_another_project_is_found_and_named(langsmith: StandIn, server: Server, project: str) -> None:
    """The server puts what comes under the header's name elsewhere, as an attribute on the span can."""
    accept = langsmith.store.accept_spans

    def misplace(workspace: str, name: str, *rest: object) -> None:
        accept(workspace, project if name == PROJECT else name, *rest)  # type: ignore[arg-type]

    langsmith.store.accept_spans = misplace  # type: ignore[method-assign,assignment]
    result = await sent(destination(langsmith.url), patience=2, server=server)
    assert short(result.finding) == ("Ingesting", "False", "WrongProject")
    assert result.finding.message.startswith(f"The canary for project 'checkout' was found in project '{project}'.")
    assert langsmith.store.runs(WORKSPACE, project=PROJECT) == []


async def test_another_workspace_is_never_green(langsmith: StandIn) -> None:
    to = destination(langsmith.url, read_key="lsv2_sk_other", workspace_id=None)
    result = await sent(to, patience=1)
    assert short(result.finding) == ("Ingesting", "False", "NotVisible")
    langsmith.store.ensure_project(OTHER, PROJECT)
    async_result = await sent(
        destination(langsmith.url, key="lsv2_sk_other", read_key="lsv2_sk_other", workspace_id=None)
    )
    assert short(async_result.finding) == ("Ingesting", "True", "Ingested")


async def test_a_project_of_another_workspace_is_a_mismatch(langsmith: StandIn) -> None:
    """The server takes no notice of X-Tenant-Id for this key."""
    langsmith.directory.choose_workspace = lambda key, tenant_id: OTHER  # type: ignore[method-assign]
    result = await sent(destination(langsmith.url))
    assert short(result.finding) == ("Ingesting", "False", "WorkspaceMismatch")
    assert f"Project 'checkout' is in workspace {OTHER}, not in {WORKSPACE}." in result.finding.message


async def test_ids_that_the_server_maps_otherwise_are_found_by_the_nonce(
    langsmith: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.langsmith.mapping.run_id", lambda _span_id: uuid.uuid4())
    result = await sent(destination(langsmith.url), patience=3)
    assert short(result.finding) == ("Ingesting", "True", "Ingested")


@pytest.mark.parametrize("server", [V1, V2])
async def test_a_run_of_another_canary_is_not_taken_for_it(langsmith: StandIn, server: Server) -> None:
    """What answers is a cache that shows an old canary for every query."""
    await sent(destination(langsmith.url))
    (old,) = langsmith.store.runs(WORKSPACE, project=PROJECT)
    run = {
        "id": str(old.id), "name": NAME, "start_time": "2026-01-01T00:00:00Z", "trace_id": str(old.id),
        "session_id": str(old.project_id), "project_id": str(old.project_id),
        "extra": {"metadata": {NONCE: old.body.metadata[NONCE]}}, "metadata": {NONCE: old.body.metadata[NONCE]},
    }  # fmt: skip
    project = {"id": str(old.project_id), "name": PROJECT, "tenant_id": WORKSPACE}
    answers = {b"GET": [project], b"POST": {"runs": [run], "items": [run]}}

    async def cached(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            await reader.readexactly(int(length[1]) if length else 0)
            body = json.dumps({} if b"/otel/" in head else answers[head.split()[0]]).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
            writer.write(f"Content-Length: {len(body)}\r\n\r\n".encode() + body)

    async with serving(cached) as port:
        result = await sent(destination(f"http://127.0.0.1:{port}"), patience=1, server=server)
    assert short(result.finding) == ("Ingesting", "False", "NotVisible")


async def test_retry_after_beyond_its_patience_ends_it(langsmith: StandIn) -> None:
    langsmith.faults.add(Fault(on="read", times=None, status=429, headers={"Retry-After": "60"}))
    result = await sent(destination(langsmith.url), patience=2)
    assert short(result.finding) == ("Ingesting", "Unknown", "RateLimited")
    assert result.retry_after == 60
    assert len(langsmith.store.requests("read")) == 1


async def test_it_polls_with_growing_pauses(langsmith: StandIn) -> None:
    langsmith.store.ingest_delay = 60
    await sent(destination(langsmith.url), patience=3)
    lookups = [seen for seen in langsmith.store.requests("read") if "name=checkout" in seen.query]
    assert 3 <= len(lookups) <= 6


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        ('{"partialSuccess":{"rejectedSpans":"1"}}', "application/x-protobuf", ("False", "SpansRejected")),
        ('{"partialSuccess":{"rejectedSpans":1}}', "application/json", ("False", "SpansRejected")),
        ('{"partialSuccess":{}}', "application/json", ("False", "NotVisible")),
        ("{}", "application/x-protobuf", ("False", "NotVisible")),
        ("\n\x02\x08\x01", "application/json", ("False", "SpansRejected")),
        ("accepted", "text/plain", ("False", "NotVisible")),
    ],
)
async def test_a_success_is_read_in_either_encoding(
    langsmith: StandIn, body: str, content_type: str, expected: tuple[str, str]
) -> None:
    langsmith.faults.add(Fault(on="ingest", status=200, body=body, content_type=content_type))
    result = await sent(destination(langsmith.url), patience=0.6)
    assert short(result.finding) == ("Ingesting", *expected)


@pytest.mark.parametrize(
    ("key", "workspace_id", "expected"),
    [
        ("lsv2_sk_revoked", WORKSPACE, ("False", "KeyRejected")),
        ("lsv2_sk_foreign", WORKSPACE, ("False", "KeyRejected")),
        ("lsv2_sk_readonly", WORKSPACE, ("False", "KeyForbidden")),
        ("lsv2_sk_other", WORKSPACE, ("False", "KeyForbidden")),
        ("lsv2_sk_org", None, ("False", "WorkspaceRequired")),
        ("lsv2_sk_legacy", WORKSPACE, ("False", "KeyLegacy")),
    ],
)
async def test_ingest_refuses_the_key(
    langsmith: StandIn, key: str, workspace_id: str | None, expected: tuple[str, str]
) -> None:
    result = await sent(destination(langsmith.url, key=key, workspace_id=workspace_id))
    assert short(result.finding) == ("Ingesting", *expected)
    assert not result.accepted


async def test_the_project_is_deleted_meanwhile(langsmith: StandIn) -> None:
    langsmith.store.ingest_delay = 0.7
    project, _ = langsmith.store.ensure_project(WORKSPACE, PROJECT)
    timer = threading.Timer(0.3, langsmith.store.delete_project, [project])
    timer.start()
    result = await sent(destination(langsmith.url), patience=3)
    timer.join()
    (run,) = langsmith.store.runs(WORKSPACE, project=PROJECT)
    assert short(result.finding) == ("Ingesting", "True", "Ingested")
    assert result.project is not None
    assert result.project.id == str(run.project_id)
