"""Text of YAML or JSON to JSON values, as ``kubectl`` and the API server read it.

YAML is what Kubernetes means by it (sigs.k8s.io/yaml: YAML 1.1 with the differences of Go's library: no base 60,
dates stay strings, keys become strings), and strict: a key given twice is an error. PyYAML parses; what scalars
mean is decided here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from gateway_telemetry.cli.scalars import exact, integer, scalar

DEPTH_LIMIT = 100
"""Levels of nesting; far more than any Kubernetes object has."""
NODE_LIMIT = 2_000_000
"""Values in one file after its aliases are expanded: enough for tens of thousands of objects."""

_STR = "tag:yaml.org,2002:str"
_BOOL = "tag:yaml.org,2002:bool"
_INT = "tag:yaml.org,2002:int"
_FLOAT = "tag:yaml.org,2002:float"
_NULL = "tag:yaml.org,2002:null"
_DATE = "tag:yaml.org,2002:timestamp"
_MAP = "tag:yaml.org,2002:map"
_SEQ = "tag:yaml.org,2002:seq"
_PLAIN = ""
"""Tag given to plain scalars without a tag of their own."""

_SURROGATE = re.compile("[\ud800-\udfff]")


class Malformed(Exception):
    """Text that is not what it should be; tells line and problem, never the text, which may hold a key."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"line {line}: {problem}")
        self.line = line
        self.problem = problem


@dataclass(frozen=True)
class Document:
    """One document of a stream.

    Attributes:
        line: where it begins, from 1.
    """

    line: int
    value: Any


def parse(text: str, *, json_only: bool = False) -> list[Document]:
    """Return the documents of a stream; empty ones are left out.

    Args:
        json_only: report a stream that begins like JSON as broken JSON, instead of trying YAML's flow style.

    Raises:
        Malformed: with the line.
    """
    if text.lstrip("\ufeff \t\r\n")[:1] in ("{", "["):
        try:
            return list(_json(text))
        except _DuplicateKey as error:
            list(_yaml(text))  # knows the line of the second one
            raise Malformed(error.line, f"{error.problem}, within the object that begins here") from None
        except Malformed:
            if json_only:
                raise
    return list(_yaml(text))


class _Loader(yaml.CBaseLoader):
    """Composes nodes; plain scalars get no tag, so that ``scalar`` decides what they mean."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        if kind is yaml.ScalarNode:
            return _PLAIN if implicit[0] else _STR
        return _MAP if kind is yaml.MappingNode else _SEQ


def _yaml(text: str) -> Iterator[Document]:
    try:
        loader = _Loader(text)
        values = _Values()
        while loader.check_node():
            node = loader.get_node()
            assert node is not None
            value = values.of(node, 0)
            if value is not None:
                yield Document(node.start_mark.line + 1, value)
    except yaml.reader.ReaderError as error:
        line = text.encode("utf-8", "surrogatepass")[: error.position].count(b"\n") + 1
        raise Malformed(line, str(error.reason)) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        context = f"{error.context}: " if error.context else ""
        raise Malformed(1 if mark is None else mark.line + 1, f"{context}{error.problem}") from None


class _Values:
    """Turns nodes into values; aliases become copies, as they are in JSON."""

    def __init__(self) -> None:
        self._count = 0

    def of(self, node: yaml.Node, depth: int) -> Any:
        """Return the value of a node."""
        self._count += 1
        if self._count > NODE_LIMIT:
            raise _at(node, f"more than {NODE_LIMIT} values once its aliases are expanded")
        if depth > DEPTH_LIMIT:
            raise _at(node, f"nested more than {DEPTH_LIMIT} levels deep, or an alias holds itself")
        if isinstance(node, yaml.ScalarNode):
            return _scalar_of(node)
        if isinstance(node, yaml.SequenceNode) and node.tag == _SEQ:
            return [self.of(item, depth + 1) for item in node.value]
        if isinstance(node, yaml.MappingNode) and node.tag == _MAP:
            return self._mapping(node, depth)
        raise _at(node, f"the tag {node.tag} means nothing in Kubernetes manifests")

    def _mapping(self, node: yaml.MappingNode, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _PLAIN and key_node.value == "<<":
                merged = {**self._merge(value_node, depth), **merged}
                continue
            key = self._key(key_node, depth)
            if key in result:
                raise _at(key_node, f"key {key!r} is given twice in one mapping")
            result[key] = self.of(value_node, depth + 1)
        return {**merged, **result}

    def _merge(self, node: yaml.Node, depth: int) -> dict[str, Any]:
        value = self.of(node, depth + 1)
        parts = value if isinstance(value, list) else [value]
        result: dict[str, Any] = {}
        for part in parts:
            if not isinstance(part, dict):
                raise _at(node, "<< takes a mapping or a list of mappings")
            result = {**part, **result}
        return result

    def _key(self, node: yaml.Node, depth: int) -> str:
        value = self.of(node, depth + 1)
        match value:
            case bool():
                return "true" if value else "false"
            case str():
                return value
            case int():
                return str(value)
            case float():
                return format(value, "g")
            case _:
                raise _at(node, "a key must be a string")


def _scalar_of(node: yaml.ScalarNode) -> Any:
    text: str = node.value
    try:
        match node.tag:
            case t if t in (_STR, _DATE):
                return text
            case t if t == _PLAIN:
                return scalar(text)
            case t if t == _FLOAT:
                return _typed(scalar(text), (int, float), "float")
            case t if t == _INT:
                return _typed(scalar(text), (int,), "int")
            case t if t == _BOOL:
                return _typed(scalar(text), (bool,), "bool")
            case t if t == _NULL:
                return _typed(scalar(text), (type(None),), "null")
    except ValueError as error:
        raise _at(node, str(error)) from None
    raise _at(node, f"the tag {node.tag} means nothing in Kubernetes manifests")


def _typed(value: Any, types: tuple[type, ...], name: str) -> Any:
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise ValueError(f"the value is not what its tag !!{name} says")
    return value


def _at(node: yaml.Node, problem: str) -> Malformed:
    return Malformed(node.start_mark.line + 1, problem)


class _DuplicateKey(Malformed):
    """A key given twice in a JSON object; JSON's parser does not tell where."""


def _json(text: str) -> Iterator[Document]:
    decoder = json.JSONDecoder(
        object_pairs_hook=_object, parse_int=_json_int, parse_float=_json_float, parse_constant=_constant
    )
    text = text.removeprefix("\ufeff")
    position = _skip(text, 0)
    while position < len(text):
        line = text.count("\n", 0, position) + 1
        try:
            value, position = decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            raise Malformed(error.lineno, f"not JSON: {error.msg}") from None
        except RecursionError:
            raise Malformed(line, f"nested more than {DEPTH_LIMIT} levels deep") from None
        except _Twice as error:
            raise _DuplicateKey(line, f"key {error.args[0]!r} is given twice") from None
        except ValueError as error:
            raise Malformed(line, str(error)) from None
        _check(value, line, 0)
        yield Document(line, value)
        position = _skip(text, position)


class _Twice(ValueError):
    """A key given twice."""


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    return position


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        raise _Twice(next(name for name in names if names.count(name) > 1))
    return result


def _json_int(text: str) -> int | float:
    number = integer(text)
    return _json_float(text) if number is None else number


def _json_float(text: str) -> int | float:
    try:
        return exact(float(text))
    except OverflowError:
        raise ValueError("a number is too large") from None


def _constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


def _check(value: Any, line: int, depth: int) -> None:
    if depth > DEPTH_LIMIT:
        raise Malformed(line, f"nested more than {DEPTH_LIMIT} levels deep")
    if isinstance(value, str) and _SURROGATE.search(value):
        raise Malformed(line, "a string holds half of a surrogate pair, which is not a character")
    if isinstance(value, dict):
        for key, item in value.items():
            _check(key, line, depth + 1)
            _check(item, line, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check(item, line, depth + 1)
