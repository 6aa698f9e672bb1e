"""Spans whose parent is not there stay invisible, and become visible when it comes in time."""

from __future__ import annotations

from datetime import UTC, datetime

from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from tests.support.langsmith import StandIn
from tests.support.langsmith.otlp import Span
from tests.support.langsmith.store import Store
from tests.unit.langsmith_standin.clients import WORKSPACE, tracing

TRACE = "0af7651916cd43dd8448eb211c80319c"
START = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    """A clock that the test turns."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def span(span_id: int, parent: int | None, name: str = "span") -> Span:
    return Span(TRACE, f"{span_id:016x}", f"{parent:016x}" if parent else "", name, START, START)


def names(store: Store) -> set[str]:
    return {run.body.name for run in store.runs()}


def test_a_gateway_that_continues_a_callers_trace_is_never_seen(langsmith: StandIn) -> None:
    caller = NonRecordingSpan(SpanContext(0xA, 0xB, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED)))
    with tracing(langsmith) as tracer:
        tracer.start_span("gateway request", context=trace.set_span_in_context(caller)).end()
    assert [seen.status for seen in langsmith.store.requests("ingest")] == [200]
    assert [record.fate for record in langsmith.store.spans()] == ["orphan"]
    assert langsmith.store.runs() == []
    assert langsmith.store.projects() == []


def test_descendants_appear_when_the_root_comes() -> None:
    store = Store(ingest_delay=0.0, orphan_ttl=60.0, clock=Clock())
    store.accept_spans(WORKSPACE, "p", [span(3, 2, "grandchild")])
    store.accept_spans(WORKSPACE, "p", [span(2, 1, "child")])
    assert names(store) == set()
    store.accept_spans(WORKSPACE, "p", [span(1, None, "root")])
    assert names(store) == {"root", "child", "grandchild"}
    grandchild = next(run for run in store.runs() if run.body.name == "grandchild")
    assert [str(parent)[-1] for parent in grandchild.parent_ids] == ["1", "2"]
    assert str(grandchild.trace_id) == "00000000-0000-0000-0000-000000000001"
    assert grandchild.dotted_order == (
        "20260101T000000000000Z00000000-0000-0000-0000-000000000001"
        ".20260101T000000000000Z00000000-0000-0000-0000-000000000002"
        ".20260101T000000000000Z00000000-0000-0000-0000-000000000003"
    )


def test_a_parent_that_comes_too_late_does_not_help() -> None:
    clock = Clock()
    store = Store(ingest_delay=0.0, orphan_ttl=60.0, clock=clock)
    store.accept_spans(WORKSPACE, "p", [span(2, 1, "child")])
    clock.now = 61.0
    assert [record.fate for record in store.spans()] == ["expired"]
    store.accept_spans(WORKSPACE, "p", [span(1, None, "root")])
    assert names(store) == {"root"}


def test_it_is_the_parents_arrival_that_counts_and_not_when_somebody_looks() -> None:
    clock = Clock()
    store = Store(ingest_delay=0.0, orphan_ttl=60.0, clock=clock)
    store.accept_spans(WORKSPACE, "p", [span(2, 1, "child")])
    clock.now = 59.0
    store.accept_spans(WORKSPACE, "p", [span(1, None, "root")])
    clock.now = 1000.0
    assert names(store) == {"root", "child"}


def test_a_parent_in_another_workspace_does_not_help() -> None:
    store = Store(ingest_delay=0.0, orphan_ttl=60.0, clock=Clock())
    store.accept_spans(WORKSPACE, "p", [span(2, 1, "child")])
    store.accept_spans("5f2c7a3e-0000-4000-8000-000000000002", "p", [span(1, None, "root")])
    assert names(store) == {"root"}


def test_children_may_be_in_another_project_than_their_root() -> None:
    store = Store(ingest_delay=0.0, orphan_ttl=60.0, clock=Clock())
    store.accept_spans(WORKSPACE, "a", [span(1, None, "root")])
    store.accept_spans(WORKSPACE, "b", [span(2, 1, "child")])
    assert [run.body.name for run in store.runs(project="b")] == ["child"]
