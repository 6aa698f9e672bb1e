"""What a span becomes: the rules that LangSmith documents, one by one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from langsmith import utils as langsmith_utils
from langsmith.integrations.otel import OtelExporter, langsmith_run_id_from_otel_span_id
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from tests.support.langsmith import StandIn, run_id
from tests.support.langsmith.mapping import Draft, draft
from tests.support.langsmith.otlp import Event, Span
from tests.unit.langsmith_standin.clients import KEY

START = datetime(2026, 1, 1, tzinfo=UTC)


def made_of(attributes: dict[str, Any], *events: tuple[str, dict[str, Any]], name: str = "span") -> Draft:
    return draft(
        Span(
            trace_id="0af7651916cd43dd8448eb211c80319c",
            span_id="b7ad6b7169203331",
            parent_span_id="",
            name=name,
            start_time=START,
            end_time=START,
            attributes=attributes,
            events=tuple(Event(event, START, values) for event, values in events),
        )
    )


@pytest.mark.parametrize(
    ("attributes", "run_type"),
    [
        ({}, "chain"),
        ({"langsmith.span.kind": "retriever", "gen_ai.operation.name": "chat"}, "retriever"),
        ({"langsmith.span.kind": "LLM"}, "llm"),
        ({"langsmith.span.kind": "nonsense"}, "chain"),
        ({"gen_ai.operation.name": "chat", "llm.request.type": "embedding"}, "llm"),
        ({"gen_ai.operation.name": "embeddings"}, "embedding"),
        ({"gen_ai.operation.name": "execute_tool"}, "tool"),
        ({"gen_ai.operation.name": "invoke_agent"}, "chain"),
        ({"llm.request.type": "completion", "openinference.span.kind": "TOOL"}, "llm"),
        ({"openinference.span.kind": "RETRIEVER"}, "retriever"),
        ({"openinference.span.kind": "AGENT"}, "chain"),
        ({"traceloop.span.kind": "workflow"}, "chain"),
        ({"gen_ai.tool.name": "search"}, "tool"),
    ],
)
def test_run_type(attributes: dict[str, Any], run_type: str) -> None:
    assert made_of(attributes).run_type == run_type


@pytest.mark.parametrize(
    ("attributes", "inputs", "outputs"),
    [
        ({}, {}, None),
        ({"gen_ai.prompt": '{"q": 1}', "gen_ai.completion": '{"a": 2}'}, {"q": 1}, {"a": 2}),
        ({"gen_ai.prompt": "text", "gen_ai.completion": "more"}, {"input": "text"}, {"output": "more"}),
        (
            {"gen_ai.input.messages": '[{"role": "user"}]', "gen_ai.output.messages": '[{"role": "assistant"}]'},
            {"messages": [{"role": "user"}]},
            {"messages": [{"role": "assistant"}]},
        ),
        (
            {f"gen_ai.prompt.{index}.role": role for index, role in ((10, "c"), (2, "b"), (0, "a"))},
            {"messages": [{"role": "a"}, {"role": "b"}, {"role": "c"}]},
            None,
        ),
        ({"input.value": "hello", "output.value": "[1]"}, {"input": "hello"}, {"messages": [1]}),
        ({"traceloop.entity.input": '{"x": 1}', "traceloop.entity.output": "3"}, {"x": 1}, {"output": 3}),
    ],
)
def test_inputs_and_outputs(attributes: dict[str, Any], inputs: dict[str, Any], outputs: dict[str, Any] | None) -> None:
    made = made_of(attributes)
    assert (made.inputs, made.outputs) == (inputs, outputs)


def test_span_events_are_messages_where_attributes_are_not() -> None:
    made = made_of({}, ("gen_ai.user.message", {"content": "hi"}), ("gen_ai.choice", {"content": "ho"}))
    assert made.inputs == {"messages": [{"role": "user", "content": "hi"}]}
    assert made.outputs == {"choices": [{"content": "ho"}]}


@pytest.mark.parametrize(
    ("attributes", "tokens"),
    [
        ({}, (None, None, None)),
        ({"gen_ai.usage.input_tokens": 1, "gen_ai.usage.output_tokens": 2}, (1, 2, 3)),
        ({"gen_ai.usage.prompt_tokens": 1, "gen_ai.usage.completion_tokens": 2}, (1, 2, 3)),
        ({"gen_ai.usage.input_tokens": 1, "gen_ai.usage.total_tokens": 9}, (1, None, 9)),
        ({"gen_ai.usage.input_tokens": "many"}, (None, None, None)),
    ],
)
def test_usage(attributes: dict[str, Any], tokens: tuple[int | None, ...]) -> None:
    made = made_of(attributes)
    assert (made.prompt_tokens, made.completion_tokens, made.total_tokens) == tokens


def test_only_documented_attributes_become_metadata() -> None:
    made = made_of({"langsmith.metadata.k": "v", "http.route": "/chat", "langsmith.trace.name": "given"}, name="span")
    assert made.name == "given"
    assert made.metadata == {"k": "v"}
    assert made.extra == {"http.route": "/chat", "metadata": {"k": "v"}}


def test_explicit_ids_win() -> None:
    own, parent = UUID(int=7), UUID(int=8)
    made = made_of({"langsmith.span.id": str(own), "langsmith.span.parent_id": str(parent)})
    assert (made.id, made.parent_id) == (own, parent)
    assert made_of({"langsmith.span.id": "nonsense"}).id == UUID("00000000-0000-0000-b7ad-6b7169203331")


def test_the_run_id_is_the_one_that_the_sdk_computes() -> None:
    expected = UUID("00000000-0000-0000-b7ad-6b7169203331")
    assert run_id("b7ad6b7169203331") == expected == langsmith_run_id_from_otel_span_id(0xB7AD6B7169203331)


def test_langsmiths_own_exporter_finds_the_traces_url(langsmith: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGSMITH_ENDPOINT", langsmith.api_url)
    langsmith_utils.get_env_var.cache_clear()  # type: ignore[attr-defined]  # an lru_cache
    try:
        exporter = OtelExporter(api_key=KEY, project="own exporter")
    finally:
        langsmith_utils.get_env_var.cache_clear()  # type: ignore[attr-defined]  # an lru_cache
    assert exporter._endpoint == langsmith.traces_url
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.get_tracer("test").start_span("root").end()
    provider.shutdown()
    assert [run.body.name for run in langsmith.store.wait_for_runs(1, project="own exporter")] == ["root"]
