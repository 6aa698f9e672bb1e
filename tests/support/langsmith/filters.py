"""The part of LangSmith's filter language that this project and LangSmith's SDK use.

Grammar: ``operator(argument, …)``, nested (https://docs.langchain.com/langsmith/trace-query-syntax). What is not
understood is refused by name, never ignored: a filter that silently matches everything would prove nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from tests.support.langsmith.store import Run

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<string>\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')|(?P<number>-?\d+(?:\.\d+)?)(?![\w.])"
    r"|(?P<word>[A-Za-z_][\w.]*)|(?P<mark>[(),]))"
)
_COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "eq": lambda a, b: bool(a == b),
    "neq": lambda a, b: bool(a != b),
    "gt": lambda a, b: a is not None and bool(a > b),
    "gte": lambda a, b: a is not None and bool(a >= b),
    "lt": lambda a, b: a is not None and bool(a < b),
    "lte": lambda a, b: a is not None and bool(a <= b),
}
_TIMES: Final = frozenset({"start_time", "end_time"})
_FIELDS: Final[dict[str, Callable[[Run], Any]]] = {
    "id": lambda run: str(run.id),
    "name": lambda run: run.body.name,
    "run_type": lambda run: run.body.run_type,
    "status": lambda run: run.body.status,
    "error": lambda run: run.body.error,
    "trace_id": lambda run: str(run.trace_id),
    "is_root": lambda run: not run.parent_ids,
    "start_time": lambda run: run.body.start_time,
    "end_time": lambda run: run.body.end_time,
    "latency": lambda run: run.body.latency_seconds,
    "total_tokens": lambda run: run.body.total_tokens,
}
_NUMBERS: Final = frozenset({"latency", "total_tokens"})
_METADATA: Final = frozenset({"metadata_key", "metadata_value"})
_ABSENT: Final = object()
_WORDS: Final = {"true": True, "false": False, "null": None}

Predicate = Callable[[Run], bool]


class FilterError(Exception):
    """The filter cannot be parsed or uses what is not supported; the message names it."""


@dataclass(frozen=True)
class _Call:
    operator: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class _Field:
    name: str


def compile_filter(text: str) -> Predicate:
    """Return a predicate for a filter expression.

    Raises:
        FilterError: the expression does not parse, or names an operator or field that is not supported.
    """
    tokens = _tokens(text)
    node, rest = _parse(tokens)
    if rest:
        raise FilterError(f"unexpected {rest[0][1]!r} after the filter")
    return _predicate(node)


def metadata_text(value: Any) -> str:
    """Return a metadata value as filters compare it: a string as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, position = [], 0
    text = text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise FilterError(f"cannot read the filter at {text[position : position + 20].strip()!r}")
        tokens.append((match.lastgroup, match[match.lastgroup]))
        position = match.end()
    return tokens


def _parse(tokens: list[tuple[str, str]]) -> tuple[Any, list[tuple[str, str]]]:
    if not tokens:
        raise FilterError("the filter ends too early")
    (kind, text), rest = tokens[0], tokens[1:]
    if kind == "string":
        return _unquote(text), rest
    if kind == "number":
        return (float(text) if "." in text else int(text)), rest
    if kind == "mark":
        raise FilterError(f"unexpected {text!r} in the filter")
    if not rest or rest[0][1] != "(":
        return (_WORDS[text] if text in _WORDS else _Field(text)), rest
    rest, arguments = rest[1:], []
    while True:
        argument, rest = _parse(rest)
        arguments.append(argument)
        if not rest or rest[0][1] not in (",", ")"):
            raise FilterError(f"{text}(…) is not closed")
        closing, rest = rest[0][1], rest[1:]
        if closing == ")":
            return _Call(text, tuple(arguments)), rest


def _unquote(text: str) -> str:
    if text.startswith("'"):
        return text[1:-1].replace("\\'", "'").replace("\\\\", "\\")
    try:
        return str(json.loads(text))
    except ValueError as error:
        raise FilterError(f"{text} is not a string") from error


def _predicate(node: Any) -> Predicate:
    if not isinstance(node, _Call):
        raise FilterError(f"{node!r} is not a condition")
    if node.operator in ("and", "or"):
        return _combined(node)
    if node.operator == "has":
        return _has(node)
    if node.operator not in _COMPARISONS:
        raise FilterError(f"operator {node.operator!r} is not supported")
    name, value = _field_and_value(node)
    if name in _METADATA:
        return _metadata_pair([(name, node.operator, value)])
    if name not in _FIELDS:
        raise FilterError(f"field {name!r} is not supported")
    get, compare = _FIELDS[name], _COMPARISONS[node.operator]
    wanted = parse_time(value) if name in _TIMES else value
    if (
        node.operator not in ("eq", "neq")
        and name not in _TIMES
        and (name not in _NUMBERS or not isinstance(wanted, int | float))
    ):
        raise FilterError(f"{node.operator}({name}, {json.dumps(value)}) is not supported")
    return lambda run: compare(get(run), wanted)


def _combined(node: _Call) -> Predicate:
    """Metadata conditions beside each other in one ``and`` speak of the same key and value."""
    pair = [
        (*_field_and_value(argument), argument.operator)
        for argument in node.arguments
        if node.operator == "and" and _is_metadata_condition(argument)
    ]
    parts = [_predicate(a) for a in node.arguments if node.operator == "or" or not _is_metadata_condition(a)]
    if pair:
        parts.append(_metadata_pair([(name, operator, value) for name, value, operator in pair]))
    if node.operator == "or":
        return lambda run: any(part(run) for part in parts)
    return lambda run: all(part(run) for part in parts)


def _is_metadata_condition(node: Any) -> bool:
    return (
        isinstance(node, _Call)
        and node.operator in _COMPARISONS
        and isinstance(node.arguments[0], _Field)
        and node.arguments[0].name in _METADATA
    )


def _metadata_pair(conditions: list[tuple[str, str, Any]]) -> Predicate:
    if any(operator != "eq" for _, operator, _ in conditions):
        raise FilterError("metadata_key and metadata_value support eq only")
    names = [name for name, _, _ in conditions]
    if len(set(names)) != len(names):
        raise FilterError("one and(…) may hold one metadata_key and one metadata_value; nest an and(…) for each pair")
    wanted = {name: metadata_text(value) for name, _, value in conditions}

    def matches(run: Run) -> bool:
        return any(
            wanted.get("metadata_key", key) == key
            and wanted.get("metadata_value", metadata_text(value)) == metadata_text(value)
            for key, value in run.body.metadata.items()
        )

    return matches


def _has(node: _Call) -> Predicate:
    name, value = _field_and_value(node)
    if name == "tags":
        return lambda run: value in run.body.tags
    if name == "metadata":
        try:
            wanted = json.loads(value)
        except (TypeError, ValueError) as error:
            raise FilterError("has(metadata, …) takes a JSON object in a string") from error
        if not isinstance(wanted, dict):
            raise FilterError("has(metadata, …) takes a JSON object in a string")
        return lambda run: all(run.body.metadata.get(key, _ABSENT) == item for key, item in wanted.items())
    raise FilterError(f"has({name}, …) is not supported")


def _field_and_value(node: _Call) -> tuple[str, Any]:
    if len(node.arguments) != 2 or not isinstance(node.arguments[0], _Field):
        raise FilterError(f"{node.operator}(…) takes a field and a value")
    value = node.arguments[1]
    if isinstance(value, _Field | _Call):
        raise FilterError(f"{node.operator}({node.arguments[0].name}, …): the value must be a literal")
    return node.arguments[0].name, value


def parse_time(value: Any) -> datetime:
    """Return an RFC 3339 time; without an offset it is UTC.

    Raises:
        FilterError: it is not a time.
    """
    try:
        parsed = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise FilterError(f"{value!r} is not an RFC 3339 time") from error
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
