"""The models as `render` uses them: the same objects as the API server sees, refused with the same words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from gateway_telemetry.api.gateway import GatewayTelemetrySpec
from gateway_telemetry.api.gateway_status import GatewayTelemetryStatus
from gateway_telemetry.api.meta import LabelSelector, parse_duration
from gateway_telemetry.api.rules import Model, matcher
from gateway_telemetry.api.target import LangSmithTargetSpec, LangSmithTargetStatus
from gateway_telemetry.plan.store import describe
from tests.support import api_cases
from tests.support.api_cases import Case

SPECS: dict[str, type[Model]] = {api_cases.TARGET: LangSmithTargetSpec, api_cases.GATEWAY: GatewayTelemetrySpec}


def ids(case: Case) -> str:
    return f"{case.kind}-{case.name}"


@pytest.mark.parametrize("case", api_cases.BAD, ids=ids)
def test_a_bad_object_is_refused_with_the_message(case: Case) -> None:
    with pytest.raises(ValidationError) as caught:
        SPECS[case.kind].model_validate(case.spec)
    assert case.model in describe(caught.value)


@pytest.mark.parametrize("case", api_cases.GOOD, ids=ids)
def test_a_good_object_is_taken_and_comes_back_as_it_was(case: Case) -> None:
    spec = SPECS[case.kind].model_validate(case.spec)
    written = {key: value for key, value in case.spec.items() if value is not None}
    assert spec.model_dump(by_alias=True, exclude_unset=True, mode="json") == written


def test_a_pasted_key_is_in_no_message_and_no_repr() -> None:
    spec = {"saas": {"region": "us"}, "apiKey": "lsv2_sk_marked_4711"}
    with pytest.raises(ValidationError) as caught:
        LangSmithTargetSpec.model_validate(spec)
    assert "4711" not in describe(caught.value)
    assert "4711" not in repr(LangSmithTargetSpec.model_construct(api_key="lsv2_sk_marked_4711"))


def test_all_broken_rules_are_told_at_once() -> None:
    with pytest.raises(ValidationError) as caught:
        LangSmithTargetSpec.model_validate({"apiKey": "lsv2_sk_pasted"})
    text = describe(caught.value)
    assert api_cases.EXACTLY_ONE_FORM in text
    assert "a key never belongs in this object" in text


def test_fields_cannot_be_changed_after_reading() -> None:
    spec = LangSmithTargetSpec.model_validate(api_cases.BASE[api_cases.TARGET])
    with pytest.raises(ValidationError, match="frozen"):
        setattr(spec, "project", "other")  # noqa: B010 the type checker knows it, too


@pytest.mark.parametrize(
    ("labels", "matches"),
    [
        ({"app": "litellm", "tier": "front"}, True),
        ({"app": "litellm", "tier": "back"}, False),
        ({"app": "litellm"}, False),
        ({"app": "gateway", "tier": "front"}, False),
        ({"app": "litellm", "tier": "front", "retired": ""}, False),
        ({"app": "litellm", "tier": "front", "env": "dev"}, False),
        ({"app": "litellm", "tier": "front", "env": "prod"}, True),
    ],
)
def test_a_selector_means_what_kubernetes_means(labels: dict[str, str], matches: bool) -> None:
    selector = LabelSelector.model_validate(
        {
            "matchLabels": {"app": "litellm"},
            "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["front", "edge"]},
                {"key": "env", "operator": "NotIn", "values": ["dev"]},
                {"key": "retired", "operator": "DoesNotExist"},
                {"key": "app", "operator": "Exists"},
            ],
        }
    )
    assert selector.matches(labels) is matches


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90.0), ("5m", 300.0), ("1h30m", 5400.0), ("0.5h", 1800.0)])
def test_a_duration_is_read_as_go_reads_it(text: str, seconds: float) -> None:
    assert parse_duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "5m\n", " 5m", "-5m", "1d", "5 m", "1.h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration such as 30s, 5m or 24h"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"^[a-z]+$", "abc", True),
        (r"^[a-z]+$", "abc\n", False),
        (r"(^|/)[.](/|$)", "a/.", True),
        (r"(^|/)[.](/|$)", "a/.\n", False),
        (r"^a[$]$", "a$", True),
        (r"^\w$", "ü", False),
        (r"b", "abc", True),
    ],
)
def test_patterns_match_as_in_cel(pattern: str, text: str, found: bool) -> None:
    assert matcher(pattern)(text) is found


def models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        pending: list[Any] = [field.annotation]
        while pending:
            item = pending.pop()
            if isinstance(item, type) and issubclass(item, BaseModel):
                yield from models(item)
            pending.extend(getattr(item, "__args__", ()))


@pytest.mark.parametrize(
    "root", [LangSmithTargetSpec, LangSmithTargetStatus, GatewayTelemetrySpec, GatewayTelemetryStatus]
)
def test_every_field_is_described_and_written_in_camel_case(root: type[BaseModel]) -> None:
    for model in models(root):
        assert model.model_config["extra"] == "forbid"
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"
            assert re.fullmatch(r"[a-z]+([A-Z][a-z0-9]*)*", field.alias or name), f"{model.__name__}.{name}"
