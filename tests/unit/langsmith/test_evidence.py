"""Evidence of many gateways against the ground truth: one shared read, turns, budgets, no verdict without a look."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from gateway_telemetry.adapters.otel import IDENTITY_ATTRIBUTE
from gateway_telemetry.langsmith import Budget, EvidenceReader, Report, Server, Transport
from gateway_telemetry.langsmith.evidence import STAMP
from tests.support.langsmith import Fault, Features, StandIn
from tests.unit.langsmith.setting import KEY, PROJECT, READ_KEY, WORKSPACE, destination, short, stand_in

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def langsmith() -> Iterator[StandIn]:
    with stand_in() as running:
        yield running


def export(
    langsmith: StandIn,
    stamp: str | None,
    *,
    project: str = PROJECT,
    count: int = 1,
    at: datetime = NOW,
    payload: int = 0,
) -> None:
    """Send root spans as a gateway with this stamp does."""
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    if stamp is not None:
        resource.resource.attributes.append(KeyValue(key=STAMP, value=AnyValue(string_value=stamp)))
    if payload:
        resource.resource.attributes.append(KeyValue(key="big", value=AnyValue(string_value="x" * payload)))
    scope = resource.scope_spans.add()
    for index in range(count):
        span = scope.spans.add(trace_id=secrets.token_bytes(16), span_id=secrets.token_bytes(8), name="chat")
        span.start_time_unix_nano = int((at + timedelta(milliseconds=index)).timestamp() * 1e9)
        span.end_time_unix_nano = span.start_time_unix_nano + 1000
    headers = {"x-api-key": KEY, "langsmith-project": project, "content-type": "application/x-protobuf"}
    answer = httpx.post(langsmith.traces_url, content=message.SerializeToString(), headers=headers, trust_env=False)
    assert answer.status_code == 200


async def rounds(
    langsmith: StandIn,
    stamps: Sequence[str],
    *,
    budget: Budget | None = None,
    times: int = 1,
    server: Server | None = None,
) -> list[Report]:
    async with Transport(destination(langsmith.url), allow_loopback=True) as transport:
        reader = EvidenceReader(transport, READ_KEY, budget or Budget(burst=1000), server)
        return [await reader.read(PROJECT, stamps, now=NOW) for _ in range(times)]


async def verdict(langsmith: StandIn, *, not_before: datetime | None = None) -> tuple[tuple[str, str, str], str]:
    (report,) = await rounds(langsmith, ["gateway-1"])
    finding = report.finding("gateway-1", project=PROJECT, not_before=not_before)
    assert finding is not None
    return short(finding), finding.message


def test_the_stamp_is_what_adapters_write() -> None:
    assert STAMP == IDENTITY_ATTRIBUTE == "gatewaytelemetry.id"


async def test_the_newest_trace_with_its_link(langsmith: StandIn) -> None:
    export(langsmith, "gateway-1", at=NOW - timedelta(hours=2))
    export(langsmith, "gateway-1", at=NOW - timedelta(hours=1))
    export(langsmith, "another", at=NOW)
    (report,) = await rounds(langsmith, ["gateway-1"])
    trace = report.seen["gateway-1"]
    run = sorted(langsmith.store.runs(WORKSPACE, project=PROJECT), key=lambda item: item.body.start_time)[1]
    assert (trace.time, trace.project, trace.run_id) == (NOW - timedelta(hours=1), PROJECT, str(run.id))
    assert trace.run_url == f"{langsmith.url}/o/{WORKSPACE}/projects/p/{run.project_id}/r/{run.id}?poll=true"
    assert short(report.finding("gateway-1", project=PROJECT)) == ("Delivered", "True", "Delivered")


async def test_no_traffic_is_not_known(langsmith: StandIn) -> None:
    assert (await verdict(langsmith))[0] == ("Delivered", "Unknown", "NoTraffic")
    export(langsmith, None)
    export(langsmith, "another")
    assert (await verdict(langsmith))[0] == ("Delivered", "Unknown", "NoTraffic")


async def test_traces_of_the_old_settings_prove_nothing(langsmith: StandIn) -> None:
    export(langsmith, "gateway-1", at=NOW - timedelta(hours=1))
    found, message = await verdict(langsmith, not_before=NOW - timedelta(minutes=30))
    assert found == ("Delivered", "Unknown", "OldConfig")
    assert message.endswith("before the present settings.")
    export(langsmith, "gateway-1", at=NOW - timedelta(minutes=29))
    assert (await verdict(langsmith, not_before=NOW - timedelta(minutes=30)))[0] == ("Delivered", "True", "Delivered")


@pytest.mark.parametrize("project", ["default", "payments"])
async def test_another_project_is_named(langsmith: StandIn, project: str) -> None:
    export(langsmith, "gateway-1", project=project)
    export(langsmith, "another")
    found, message = await verdict(langsmith)
    assert found == ("Delivered", "False", "WrongProject")
    assert message.startswith(f"Traces of this gateway are in project '{project}' instead of 'checkout'. ")
    later = NOW + timedelta(minutes=1)
    assert (await verdict(langsmith, not_before=later))[0] == ("Delivered", "Unknown", "OldConfig")


async def test_a_trace_older_than_the_window_is_none(langsmith: StandIn) -> None:
    export(langsmith, "gateway-1", at=NOW - timedelta(days=8))
    assert (await verdict(langsmith))[0] == ("Delivered", "Unknown", "NoTraffic")


@pytest.mark.parametrize("have", [(True, True), (True, False), (False, True)], ids=["both", "v1", "v2"])
@pytest.mark.parametrize("server", [None, Server("1", v2=False), Server("1", v1=False)])
async def test_either_api_shows_it(have: tuple[bool, bool], server: Server | None) -> None:
    with stand_in(features=Features(runs_v1=have[0], runs_v2=have[1])) as langsmith:
        export(langsmith, "gateway-1", at=NOW - timedelta(days=2))
        (report,) = await rounds(langsmith, ["gateway-1", "gateway-2"], server=server)
    assert report.seen.keys() == {"gateway-1"}
    assert report.absent == {"gateway-2"}


async def test_many_gateways_cost_one_read(langsmith: StandIn) -> None:
    stamps = [f"gateway-{index}" for index in range(40)]
    for stamp in stamps:
        export(langsmith, stamp)
    first, second = await rounds(langsmith, stamps, times=2)
    assert (len(first.seen), first.requests) == (40, 2)  # the project's id, then the page
    assert (len(second.seen), second.requests) == (40, 1)


async def test_quiet_gateways_beside_a_busy_one(langsmith: StandIn) -> None:
    """The busy one fills the page; the quiet ones are found by turns, and are never called silent unseen."""
    quiet = [f"quiet-{index:02}" for index in range(50)]
    for stamp in quiet:
        export(langsmith, stamp, at=NOW - timedelta(hours=1))
    export(langsmith, "busy", count=500)
    clock = [0.0]
    budget = Budget(per_minute=20, burst=20, clock=lambda: clock[0])
    seen: set[str] = set()
    async with Transport(destination(langsmith.url), allow_loopback=True) as transport:
        reader = EvidenceReader(transport, READ_KEY, budget)
        for _ in range(4):
            report = await reader.read(PROJECT, [*quiet, "busy"], now=NOW)
            assert report.absent == frozenset()
            assert report.requests <= 20
            assert all(report.finding(stamp, project=PROJECT) is None for stamp in report.unread)
            assert "busy" in report.seen
            seen |= report.seen.keys()
            clock[0] += 60
    assert seen == {*quiet, "busy"}


async def test_a_thousand_gateways_stay_within_the_budget(langsmith: StandIn) -> None:
    stamps = [f"gateway-{index}" for index in range(1000)]
    export(langsmith, "gateway-7")
    (report,) = await rounds(langsmith, stamps, budget=Budget(burst=20))
    assert report.seen.keys() == {"gateway-7"}
    assert len(langsmith.store.requests("read")) == report.requests == 20
    assert len(report.absent) + len(report.unread) == 999


async def test_intervals_of_a_thousand_gateways_by_the_count_at_langsmith(langsmith: StandIn) -> None:
    """One shared read each, and the budget; with 500 spans a second beside them, 50 quiet ones come to their turn."""
    quiet = [f"quiet-{index:02}" for index in range(50)]
    silent = [f"silent-{index:03}" for index in range(949)]
    for stamp in quiet:
        export(langsmith, stamp, at=NOW - timedelta(hours=1))
    clock = [0.0]
    budget = Budget(per_minute=60, burst=60, clock=lambda: clock[0])
    verdicts: dict[str, set[str]] = {}
    async with Transport(destination(langsmith.url), allow_loopback=True) as transport:
        reader = EvidenceReader(transport, READ_KEY, budget)
        for interval in range(4):
            # 500 a second; after the first second as many as a page holds, as no more is ever read of them.
            export(langsmith, "busy", count=60 if interval else 500, at=NOW + timedelta(seconds=interval))
            before = langsmith.store.counts()["read", "d143d556"]
            report = await reader.read(PROJECT, [*quiet, *silent, "busy"], now=NOW)
            assert langsmith.store.counts()["read", "d143d556"] - before == report.requests == 60
            for stamp in (*quiet, *silent, "busy"):
                if (finding := report.finding(stamp, project=PROJECT)) is not None:
                    verdicts.setdefault(stamp, set()).add(str(finding.reason))
            clock[0] += 60
    assert {stamp: verdicts.get(stamp) for stamp in (*quiet, "busy")} == {
        stamp: {"Delivered"} for stamp in (*quiet, "busy")
    }
    assert {reason for stamp in silent for reason in verdicts.get(stamp, ())} == {"NoTraffic"}
    # The project, then a page and the other projects in each round; what is left of the budget asks for one each.
    assert len(verdicts) == 1 + (57 + 58 * 3)
    assert langsmith.store.counts().keys() == {("ingest", "77dd0670"), ("read", "d143d556")}


async def test_gateways_on_the_shared_page_cost_one_read_whatever_their_number(langsmith: StandIn) -> None:
    stamps = [f"gateway-{index}" for index in range(50)]
    for stamp in stamps:
        export(langsmith, stamp)
    reports = await rounds(langsmith, stamps, times=5)
    assert [report.requests for report in reports] == [2, 1, 1, 1, 1]
    assert all(report.seen.keys() == set(stamps) for report in reports)


async def test_one_key_has_one_budget(langsmith: StandIn) -> None:
    budget = Budget(burst=2, clock=lambda: 0.0)
    await rounds(langsmith, ["gateway-1"], budget=budget)
    (report,) = await rounds(langsmith, ["gateway-2"], budget=budget)
    assert (report.unread, report.requests) == (frozenset({"gateway-2"}), 0)


async def test_retry_after_closes_the_budget(langsmith: StandIn) -> None:
    clock = [0.0]
    budget = Budget(burst=100, clock=lambda: clock[0])
    langsmith.faults.add(Fault(on="read", status=429, headers={"Retry-After": "60"}))
    first, second = await rounds(langsmith, ["gateway-1"], budget=budget, times=2)
    assert first.failure is not None
    assert (first.failure.reason, first.failure.retry_after) == ("RateLimited", 60.0)
    assert (second.requests, second.unread, budget.wait) == (0, frozenset({"gateway-1"}), 60.0)
    clock[0] = 61.0
    (third,) = await rounds(langsmith, ["gateway-1"], budget=budget)
    assert third.absent == {"gateway-1"}
    assert len(langsmith.store.requests("read")) == 1 + third.requests


async def test_a_failure_halfway_keeps_what_was_seen(langsmith: StandIn) -> None:
    export(langsmith, "gateway-1")
    langsmith.faults.add(Fault(on="read", times=2))  # the project and the page pass
    langsmith.faults.use("unavailable", on="read", times=None)
    (report,) = await rounds(langsmith, ["gateway-1", "gateway-2"])
    assert report.seen.keys() == {"gateway-1"}
    assert (report.absent, report.unread) == (frozenset(), frozenset({"gateway-2"}))


@pytest.mark.parametrize("have", [(True, True), (True, False), (False, True)], ids=["both", "v1", "v2"])
async def test_a_project_that_was_made_anew_is_found(langsmith: StandIn, have: tuple[bool, bool]) -> None:
    langsmith.features.runs_v1, langsmith.features.runs_v2 = have
    export(langsmith, "gateway-1")
    async with Transport(destination(langsmith.url), allow_loopback=True) as transport:
        reader = EvidenceReader(transport, READ_KEY, Budget(burst=100))
        assert (await reader.read(PROJECT, ["gateway-1"], now=NOW)).seen.keys() == {"gateway-1"}
        (old,) = langsmith.store.projects(WORKSPACE)
        langsmith.store.delete_project(old)
        export(langsmith, "gateway-1", at=NOW - timedelta(minutes=1))
        reports = [await reader.read(PROJECT, ["gateway-1"], now=NOW) for _ in range(2)]
        assert reports[1].seen["gateway-1"].time == NOW - timedelta(minutes=1)


async def test_runs_with_more_metadata_than_is_read(langsmith: StandIn) -> None:
    for _ in range(12):
        export(langsmith, "big", payload=150_000)
    export(langsmith, "small", at=NOW - timedelta(minutes=5))
    (report,) = await rounds(langsmith, ["big", "small"])
    assert report.seen.keys() == {"big", "small"}


async def test_a_stamp_is_data_not_a_filter(langsmith: StandIn) -> None:
    export(langsmith, 'a") or eq(name, "chat', at=NOW - timedelta(hours=1))
    export(langsmith, "other", count=60)
    (report,) = await rounds(langsmith, ['a") or eq(name, "chat', '") or true'])
    assert report.seen.keys() == {'a") or eq(name, "chat'}
    assert report.absent == {'") or true'}


async def test_without_gateways_nothing_is_asked(langsmith: StandIn) -> None:
    (report,) = await rounds(langsmith, [])
    assert (report.requests, langsmith.store.requests()) == (0, [])


def test_a_budget_fills_again_up_to_its_burst() -> None:
    clock = [0.0]
    budget = Budget(per_minute=60, burst=2, clock=lambda: clock[0])
    assert [budget.take() for _ in range(3)] == [True, True, False]
    clock[0] = 1.0
    assert [budget.take() for _ in range(2)] == [True, False]
    clock[0] = 100.0
    assert [budget.take() for _ in range(3)] == [True, True, False]
    budget.pause(10)
    clock[0] = 109.0
    assert (budget.take(), budget.wait) == (False, 1.0)
    clock[0] = 110.0
    assert budget.take()
