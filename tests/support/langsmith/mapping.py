"""What LangSmith makes of a span: name, run type, inputs, outputs, usage, metadata.

The rules are those of LangSmith's page "Trace with OpenTelemetry"
(https://docs.langchain.com/langsmith/trace-with-opentelemetry) and, where it is silent, of its published
collector proxy. Attributes that no rule consumes become extra fields of the run, never metadata: only resource
attributes and ``langsmith.metadata.*`` can be found by a metadata filter.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from tests.support.langsmith.otlp import Span

RUN_TYPES: Final = frozenset({"llm", "chain", "tool", "retriever", "embedding", "prompt", "parser"})
_OPERATIONS: Final = {
    "chat": "llm",
    "completion": "llm",
    "text_completion": "llm",
    "generate_content": "llm",
    "embedding": "embedding",
    "embeddings": "embedding",
    "execute_tool": "tool",
}
_REQUEST_TYPES: Final = {"chat": "llm", "completion": "llm", "embedding": "embedding", "rerank": "retriever"}
_KINDS: Final = {"workflow": "chain", "task": "chain", "agent": "chain"}
# Attributes tried in this order; the first that is present gives the run type.
_RUN_TYPE_SOURCES: Final[tuple[tuple[str, dict[str, str]], ...]] = (
    ("langsmith.span.kind", {}),
    ("gen_ai.operation.name", _OPERATIONS),
    ("llm.request.type", _REQUEST_TYPES),
    ("openinference.span.kind", _KINDS),
    ("traceloop.span.kind", _KINDS),
)
_INPUTS: Final = ("gen_ai.input.messages", "gen_ai.prompt", "input.value", "traceloop.entity.input", "prompt")
_OUTPUTS: Final = ("gen_ai.output.messages", "gen_ai.completion", "output.value", "traceloop.entity.output")
_PROMPT_TOKENS: Final = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt")
_COMPLETION_TOKENS: Final = (
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "llm.token_count.completion",
)
_TOTAL_TOKENS: Final = ("gen_ai.usage.total_tokens", "llm.usage.total_tokens", "llm.token_count.total")
_MESSAGE_EVENT: Final = re.compile(r"^gen_ai\.(system|user|assistant|tool)\.message$")
_METADATA_PREFIX: Final = "langsmith.metadata."
_REQUEST_PREFIX: Final = "gen_ai.request."


@dataclass
class Draft:
    """A run before its place in a trace is known."""

    id: UUID
    parent_id: UUID | None
    name: str
    run_type: str
    start_time: datetime
    end_time: datetime | None
    status: str
    error: str | None
    inputs: dict[str, Any]
    outputs: dict[str, Any] | None
    extra: dict[str, Any]
    tags: list[str] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    project_name: str | None = None
    project_id: str | None = None

    @property
    def metadata(self) -> dict[str, Any]:
        """What a metadata filter can find."""
        found: dict[str, Any] = self.extra["metadata"]
        return found

    @property
    def latency_seconds(self) -> float | None:
        """Wall-clock duration; None while the run has no end."""
        return (self.end_time - self.start_time).total_seconds() if self.end_time else None


def run_id(span_id: str) -> UUID:
    """Return the run id of a span id (16 hex digits): its bytes right-aligned in 16 bytes."""
    return UUID(bytes=bytes.fromhex(span_id).rjust(16, b"\0"))


def draft(span: Span) -> Draft:
    """Return what LangSmith makes of a span."""
    attributes = span.attributes
    prompt, completion = _first_int(attributes, _PROMPT_TOKENS), _first_int(attributes, _COMPLETION_TOKENS)
    total = _first_int(attributes, _TOTAL_TOKENS)
    if total is None and prompt is not None and completion is not None:
        total = prompt + completion
    return Draft(
        id=_uuid(attributes.get("langsmith.span.id")) or run_id(span.span_id),
        parent_id=_uuid(attributes.get("langsmith.span.parent_id"))
        or (run_id(span.parent_span_id) if span.parent_span_id else None),
        name=str(attributes.get("langsmith.trace.name") or span.name),
        run_type=_run_type(attributes),
        start_time=span.start_time,
        end_time=span.end_time,
        status="error" if span.is_error else "success" if span.end_time else "pending",
        error=_error(span),
        inputs=_payload(attributes, _INPUTS, "gen_ai.prompt", "input") or _event_messages(span) or {},
        outputs=_payload(attributes, _OUTPUTS, "gen_ai.completion", "output") or _event_choices(span),
        extra=_extra(span, prompt, completion, total),
        tags=[tag.strip() for tag in str(attributes.get("langsmith.span.tags", "")).split(",") if tag.strip()],
        events=[{"name": e.name, "time": e.time.isoformat(), "kwargs": e.attributes} for e in span.events],
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=total,
        project_name=_text(attributes.get("langsmith.trace.session_name")),
        project_id=_text(attributes.get("langsmith.trace.session_id")),
    )


def _run_type(attributes: dict[str, Any]) -> str:
    for name, translation in _RUN_TYPE_SOURCES:
        if (value := _text(attributes.get(name))) is not None:
            kind = translation.get(value.lower(), value.lower())
            return kind if kind in RUN_TYPES else "chain"
    return "tool" if attributes.get("gen_ai.tool.name") else "chain"


def _error(span: Span) -> str | None:
    if not span.is_error:
        return None
    for event in span.events:
        if event.name == "exception":
            kind, message = event.attributes.get("exception.type"), event.attributes.get("exception.message")
            return ": ".join(str(part) for part in (kind, message) if part)
    return span.status_message or "error"


def _payload(attributes: dict[str, Any], sources: tuple[str, ...], indexed: str, label: str) -> dict[str, Any] | None:
    for name in sources:
        if attributes.get(name) is not None:
            return _as_object(attributes[name], label)
    messages: dict[int, dict[str, Any]] = {}
    for key, value in attributes.items():
        if match := re.fullmatch(rf"{re.escape(indexed)}\.(\d+)\.(.+)", key):
            messages.setdefault(int(match[1]), {})[match[2]] = value
    return {"messages": [messages[index] for index in sorted(messages)]} if messages else None


def _as_object(value: Any, label: str) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {label: value}
    if isinstance(value, dict):
        return value
    return {"messages": value} if isinstance(value, list) else {label: value}


def _event_messages(span: Span) -> dict[str, Any] | None:
    messages = [
        {"role": match[1], **event.attributes} for event in span.events if (match := _MESSAGE_EVENT.match(event.name))
    ]
    return {"messages": messages} if messages else None


def _event_choices(span: Span) -> dict[str, Any] | None:
    choices = [event.attributes for event in span.events if event.name == "gen_ai.choice"]
    return {"choices": choices} if choices else None


def _extra(span: Span, prompt: int | None, completion: int | None, total: int | None) -> dict[str, Any]:
    metadata: dict[str, Any] = dict(span.resource)
    parameters: dict[str, Any] = {}
    other: dict[str, Any] = {}
    for key, value in span.attributes.items():
        if key.startswith(_METADATA_PREFIX):
            metadata[key.removeprefix(_METADATA_PREFIX)] = value
        elif key.startswith(_REQUEST_PREFIX):
            parameters[key.removeprefix(_REQUEST_PREFIX)] = value
        elif not key.startswith("langsmith.") and not _is_payload(key):
            other[key] = value
    if (system := span.attributes.get("gen_ai.system")) is not None:
        metadata["ls_provider"] = system
    model = span.attributes.get("gen_ai.response.model") or span.attributes.get("gen_ai.request.model")
    if model is not None:
        metadata["ls_model_name"] = model
    usage = {"input_tokens": prompt, "output_tokens": completion, "total_tokens": total}
    if any(count is not None for count in usage.values()):
        metadata["usage_metadata"] = {name: count for name, count in usage.items() if count is not None}
    extra = {**other, "metadata": metadata}
    if parameters:
        extra["invocation_params"] = parameters
    return extra


def _is_payload(key: str) -> bool:
    return key in _INPUTS + _OUTPUTS or key.startswith(("gen_ai.prompt.", "gen_ai.completion.", "gen_ai.usage."))


def _first_int(attributes: dict[str, Any], names: tuple[str, ...]) -> int | None:
    for name in names:
        if isinstance(value := attributes.get(name), int | float | str):
            try:
                return int(value)
            except ValueError:
                continue
    return None


def _uuid(value: Any) -> UUID | None:
    try:
        return UUID(str(value)) if value else None
    except ValueError:
        return None


def _text(value: Any) -> str | None:
    return str(value) if value else None
