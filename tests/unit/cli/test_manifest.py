"""YAML and JSON as Kubernetes reads them: expected values are those of sigs.k8s.io/yaml."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_telemetry.cli import output
from gateway_telemetry.cli.manifest import Malformed, parse

SCALARS: list[tuple[str, Any]] = [
    ("text", "text"),
    ("yes", True),
    ("Off", False),
    ("y", True),
    ("N", False),
    ("yEs", "yEs"),
    ("~", None),
    ("Null", None),
    ("'no'", "no"),
    ('"1"', "1"),
    ("!!str 1", "1"),
    ("!!int '3'", 3),
    ("!!float 3", 3),
    ("0777", 511),
    ("0o17", 15),
    ("0x1F", 31),
    ("-0b11", -3),
    ("08", 8),
    ("1_000", 1000),
    ("+5", 5),
    ("1e3", 1000),
    (".5", 0.5),
    ("1.50", 1.5),
    ("1:30", "1:30"),
    ("2001-01-01", "2001-01-01"),
    ("!!timestamp 2001-01-01", "2001-01-01"),
    ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
    ("9223372036854775808", 2**63),
    ("18446744073709551616", 18446744073709551616.0),
    ("1e999", "1e999"),
    ("1.2.3", "1.2.3"),
    ("0x", "0x"),
    ("<<", "<<"),
]


@pytest.mark.parametrize(("text", "value"), SCALARS, ids=[text for text, _ in SCALARS])
def test_a_scalar_means_what_the_api_server_takes_it_for(text: str, value: Any) -> None:
    (document,) = parse(f"a: 0\nb:\n  {text}\n")
    assert document.value["b"] == value
    assert type(document.value["b"]) is type(value)


def test_keys_become_strings() -> None:
    (document,) = parse("1: a\nyes: b\n1.5: c\nn: d\n'null': e\n")
    assert document.value == {"1": "a", "true": "b", "1.5": "c", "false": "d", "null": "e"}


def test_documents_tell_where_they_begin_and_empty_ones_are_left_out() -> None:
    found = parse("# nothing\n---\n\n---\na: 1\n---\n# more\nb: 2\n...\n")
    assert [(item.line, item.value) for item in found] == [(5, {"a": 1}), (8, {"b": 2})]


def test_aliases_are_copies_and_merge_keys_give_way() -> None:
    (document,) = parse("base: &b {x: 1, y: 2}\nlist: [*b, *b]\nmore: {<<: *b, x: 3}\nboth: {<<: [{x: 9}, *b]}\n")
    assert document.value["list"] == [{"x": 1, "true": 2}, {"x": 1, "true": 2}]
    assert document.value["list"][0] is not document.value["list"][1]
    assert document.value["more"] == {"x": 3, "true": 2}
    assert document.value["both"] == {"x": 9, "true": 2}


def test_json_streams_are_read_as_json() -> None:
    found = parse('{"a": "\\ud83d\\ude00", "b": 1e3}\n\n{"a":\t2}')
    assert [(item.line, item.value) for item in found] == [(1, {"a": "\U0001f600", "b": 1000}), (3, {"a": 2})]


def test_flow_style_that_is_not_json_is_yaml() -> None:
    assert parse("{a: 1, b: [x]}")[0].value == {"a": 1, "b": ["x"]}


BROKEN = [
    ("a: 1\nb: 2\na: 3\n", 3, "key 'a' is given twice in one mapping"),
    ("yes: 1\ny: 2\n", 2, "key 'true' is given twice in one mapping"),
    ('{"a": 1,\n "b": {"c": 1,\n "c": 2}}', 3, "key 'c' is given twice in one mapping"),
    ("a: b: c\n", 1, "mapping values are not allowed in this context"),
    ("a:\n\t- b\n", 2, "found character that cannot start any token"),
    ("a: [1\n", 2, "did not find expected"),
    ("a: 1\nb: *nobody\n", 2, "found undefined alias"),
    ("a: &x [*x]\n", 1, "an alias holds itself"),
    ("a: " + "[" * 200 + "]" * 200, 1, "nested more than 100 levels deep"),
    ("a: " + "[" * 5000 + "]" * 5000, 1, "exceeded maximum nesting depth"),
    ("a: 1\nb: .inf\n", 2, "infinity and NaN are not numbers in JSON"),
    ("a: !Ref b\n", 1, "the tag !Ref means nothing in Kubernetes manifests"),
    ("a: !Ref {b: 1}\n", 1, "the tag !Ref means nothing in Kubernetes manifests"),
    ("a: !!binary aGk=\n", 1, "means nothing in Kubernetes manifests"),
    ("a: !!int b\n", 1, "not what its tag !!int says"),
    ("a: 1\n? [b]\n: c\n", 2, "a key must be a string"),
    ("a: 1\nb: \x01\n", 2, "control characters are not allowed"),
    ("a: {<<: [1]}\n", 1, "<< takes a mapping"),
]


@pytest.mark.parametrize(("text", "line", "problem"), BROKEN, ids=range(len(BROKEN)))
def test_a_broken_stream_is_refused_with_its_line(text: str, line: int, problem: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse(text)
    assert caught.value.line == line
    assert problem in caught.value.problem


BROKEN_JSON = [
    ('{"a": 1,\n}', 2, "not JSON"),
    ('{"a": NaN}', 1, "NaN is not JSON"),
    ('{"a": 1e999}', 1, "a number is too large"),
    ('{"a": "\\ud800"}', 1, "half of a surrogate pair"),
    ("[" * 100_000, 1, "nested more than 100 levels deep"),
    ("[" * 150 + "]" * 150, 1, "nested more than 100 levels deep"),
]


@pytest.mark.parametrize(("text", "line", "problem"), BROKEN_JSON, ids=range(len(BROKEN_JSON)))
def test_broken_json_is_refused_as_json(text: str, line: int, problem: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse(text, json_only=True)
    assert caught.value.line == line
    assert problem in caught.value.problem


def test_aliases_cannot_make_a_file_endless() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(Malformed, match="more than 2000000 values once its aliases are expanded"):
        parse("\n".join(lines))


def test_no_message_holds_the_text() -> None:
    for text in ("key: lsv2_sk_marked_4711: x", "key: [lsv2_sk_marked_4711", "k: !!int lsv2_sk_marked_4711"):
        with pytest.raises(Malformed) as caught:
            parse(text)
        assert "4711" not in str(caught.value)


_TEXT = st.text(st.characters(codec="utf-8")) | st.sampled_from(
    ["y", "no", "1e3", "0o7", "0777", "1_0", "~", "", "<<", "null", "on", "2001-01-01", "1:30", " x", "x ", "a\n", "\n"]
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(st.dictionaries(_TEXT, _VALUES, min_size=1, max_size=4), min_size=1, max_size=3))
def test_what_is_printed_is_read_back_as_it_was(objects: list[dict[str, Any]]) -> None:
    assert [item.value for item in parse(output.to_yaml(objects))] == objects
    assert parse(output.to_json(objects))[0].value["items"] == objects
    assert json.loads(output.to_json(objects))["items"] == objects


@given(st.text(st.characters(codec="utf-8"), max_size=60) | st.text("{}[]:,&*!-?|>'\"#\n\t a1", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    refusal: Malformed | None = None
    try:
        parse(text)
    except Malformed as error:
        refusal = error
    assert refusal is None or (refusal.line >= 1 and refusal.problem)
