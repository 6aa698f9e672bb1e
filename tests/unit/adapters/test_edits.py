"""Additions to an object: in, compared, and out again; whatever else is there stays."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from gateway_telemetry.adapters.edits import Edit, WrongShape, entry, item, member, put, stands, strangers, take

ENV = ("spec", "env")
OURS = item(ENV, {"name": "A", "value": "1"})


def test_an_item_is_told_apart_by_its_name() -> None:
    tree: dict[str, Any] = {"spec": {"env": [{"name": "B", "value": "x"}]}}
    before = copy.deepcopy(tree)
    assert put(tree, [OURS]) == ()
    assert tree["spec"]["env"] == [{"name": "B", "value": "x"}, {"name": "A", "value": "1"}]
    assert stands(tree, [OURS])
    assert take(tree, [OURS], ())
    assert tree == before


def test_what_was_made_for_it_goes_with_it_once_it_is_empty() -> None:
    tree: dict[str, Any] = {}
    made = put(tree, [OURS])
    assert made == (("spec",), ("spec", "env"))
    other = copy.deepcopy(tree)
    take(tree, [OURS], made)
    assert tree == {}
    other["spec"]["env"].append({"name": "B", "value": "x"})
    take(other, [OURS], made)
    assert other == {"spec": {"env": [{"name": "B", "value": "x"}]}}


@pytest.mark.parametrize(
    ("there", "taken"),
    [
        ({"name": "A", "value": "1"}, False),
        ({"name": "A", "value": "2"}, True),
        ({"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}, True),
        ({"name": "B", "value": "2"}, False),
    ],
)
def test_a_name_of_somebody_else_is_a_conflict(there: dict[str, Any], taken: bool) -> None:
    assert bool(strangers({"spec": {"env": [there]}}, [OURS], [])) == taken


def test_a_value_of_an_earlier_write_is_ours() -> None:
    newer = item(ENV, {"name": "A", "value": "2"})
    tree = {"spec": {"env": [{"name": "A", "value": "1"}]}}
    assert strangers(tree, [newer], [OURS]) == []
    put(tree, [newer])
    assert tree["spec"]["env"] == [{"name": "A", "value": "2"}]


def test_a_name_that_is_there_twice_is_a_conflict_and_no_match() -> None:
    tree = {"spec": {"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "1"}]}}
    assert strangers(tree, [OURS], [OURS]) == [OURS]
    assert not stands(tree, [OURS])


def test_defaults_that_the_api_server_adds_are_no_difference() -> None:
    volume = item(("spec", "volumes"), {"name": "v", "secret": {"secretName": "s"}})
    assert stands({"spec": {"volumes": [{"name": "v", "secret": {"secretName": "s", "defaultMode": 420}}]}}, [volume])


def test_an_entry_is_all_of_its_value() -> None:
    one = entry(("exporters", "x"), {"a": 1})
    assert not stands({"exporters": {"x": {"a": 1, "b": 2}}}, [one])
    assert not stands({"exporters": {"x": {"a": True}}}, [entry(("exporters", "x"), True)])


def test_a_member_needs_its_owner() -> None:
    with pytest.raises(WrongShape, match=r"^service.pipelines.traces is missing$"):
        put({"service": {"pipelines": {}}}, [member(("service", "pipelines", "traces", "exporters"), "x")])


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"spec": []}, "spec is not a mapping"),
        ({"spec": {"env": "text"}}, "spec.env is not a list"),
    ],
)
def test_another_shape_is_refused(tree: dict[str, Any], message: str) -> None:
    with pytest.raises(WrongShape) as caught:
        put(tree, [OURS])
    assert str(caught.value) == message


@pytest.mark.parametrize("edit", [OURS, entry(("a", "b"), {"c": [1]}), member(("a",), "x")])
def test_the_record_gives_back_what_it_was_given(edit: Edit) -> None:
    assert Edit.from_json(edit.to_json()) == edit


@pytest.mark.parametrize(
    "forged",
    [
        {"form": "Other", "path": ["a"], "value": 1, "key": "name"},
        {"form": "Entry", "path": [], "value": 1, "key": "name"},
        {"form": "Entry", "path": "ab", "value": 1, "key": "name"},
        {"form": "Item", "path": ["a"], "value": {"name": 1}, "key": "name"},
        {"form": "Entry", "path": ["a"], "value": 1, "key": 1},
    ],
)
def test_what_is_not_as_it_writes_it_is_no_edit(forged: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        Edit.from_json(forged)
