"""A tenant's object: what is written, what is left alone, and what is given back; every answer literal."""

from __future__ import annotations

from typing import Any

import pytest

from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.plan.control_plane import (
    Observed,
    change,
    concealed,
    differences,
    digest,
    masked,
    restoration,
)
from gateway_telemetry.plan.targets import Refused

STAMP = "c6f242cb54b5"
MARKS = frozenset({STAMP})
EXPORTER: dict[str, Any] = {
    "type": "http",
    "endpoint": "https://eu.api.smith.langchain.com/otel/v1/traces",
    "encoding": "proto",
    "headers": {"x-api-key": "lsv2_sk_marked4711", "langsmith-project": "checkout"},
    "additional_resource_attributes": {"gatewaytelemetry.id": STAMP},
}
METRICS = {"type": "http", "endpoint": "https://m.example.com", "encoding": "json", "headers": {"a": "secret"}}
TYPE = {"type": "gateway-otel-config"}


def holding(exporter: Any = None, **others: Any) -> Observed:
    return Observed(
        "acme", {**TYPE, **({} if exporter is None else {"otel_traces_exporter_config": exporter}), **others}
    )


def needed(observed: Observed, written: str | None = None) -> dict[str, Any] | None:
    found = change(EXPORTER, observed, "acme", MARKS, written)
    return None if found is None else dict(found.manifest)


def refusal(observed: Observed) -> Refused:
    with pytest.raises(Refused) as caught:
        change(EXPORTER, observed, "acme", MARKS, None)
    assert "marked4711" not in caught.value.message
    return caught.value


def test_an_empty_tenant_gets_the_object() -> None:
    wanted = {**TYPE, "otel_traces_exporter_config": EXPORTER}
    assert needed(Observed(None, None)) == wanted
    assert needed(holding()) == wanted
    assert needed(Observed("acme", {**TYPE, "otel_traces_exporter_config": None})) == wanted


def test_what_else_the_object_says_stays() -> None:
    assert needed(holding(otel_metrics_exporter_config=METRICS, field_of_tomorrow={"a": [1]})) == {
        **TYPE,
        "otel_traces_exporter_config": EXPORTER,
        "otel_metrics_exporter_config": METRICS,
        "field_of_tomorrow": {"a": [1]},
    }


def test_what_is_there_is_not_written_again() -> None:
    assert needed(holding(EXPORTER)) is None
    filled = {**EXPORTER, "when": [], "exclude_request_data": None, "compression": "gzip"}
    assert needed(holding(filled)) is None


def test_fields_that_nobody_asked_for_are_left_as_they_are() -> None:
    live = {**EXPORTER, "encoding": "json", "exclude_request_data": True, "compression": "gzip"}
    assert needed(holding(live)) == {
        **TYPE,
        "otel_traces_exporter_config": {**EXPORTER, "exclude_request_data": True, "compression": "gzip"},
    }


def test_content_is_compared_only_where_it_was_asked_for() -> None:
    live = {**EXPORTER, "exclude_request_data": True}
    assert differences(EXPORTER, live) == []
    assert differences({**EXPORTER, "exclude_request_data": False}, live) == ["exclude_request_data"]
    assert differences({**EXPORTER, "exclude_request_data": False}, EXPORTER) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("type", "grpc"),
        ("endpoint", "https://elsewhere.example.com"),
        ("encoding", "json"),
        ("headers", {"x-api-key": "lsv2_sk_marked4711"}),
        ("headers", {"x-api-key": "other", "langsmith-project": "checkout"}),
        ("headers", {**EXPORTER["headers"], "more": "x"}),
        ("headers", None),
        ("additional_resource_attributes", {"gatewaytelemetry.id": STAMP, "team": "x"}),
        ("when", [{"field": "spanAttributes", "key": "a", "operator": "IN", "value": ["b"]}]),
    ],
)
def test_a_change_by_somebody_is_a_repair(field: str, value: Any) -> None:
    live = {**EXPORTER, field: value}
    assert differences(EXPORTER, live) == [field]
    found = change(EXPORTER, holding(live), "acme", MARKS, digest(EXPORTER))
    assert found is not None
    assert found.repair
    assert found.manifest["otel_traces_exporter_config"] == EXPORTER


def test_a_change_of_the_spec_is_no_repair() -> None:
    before = {**EXPORTER, "encoding": "json"}
    found = change(EXPORTER, holding(before), "acme", MARKS, digest(before))
    assert found is not None
    assert not found.repair


def test_masked_values_are_not_compared_but_a_new_key_is_written() -> None:
    live = {**EXPORTER, "headers": {"x-api-key": "********", "langsmith-project": "checkout"}}
    assert needed(holding(live), digest(EXPORTER)) is None
    old = digest({**EXPORTER, "headers": {"x-api-key": "old", "langsmith-project": "checkout"}})
    assert needed(holding(live), old) == {**TYPE, "otel_traces_exporter_config": EXPORTER}
    # Without a record nothing tells which key it is.
    assert needed(holding(live), None) == {**TYPE, "otel_traces_exporter_config": EXPORTER}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("********", True),
        ("lsv2_****4711", True),
        ("•••••", True),
        ("<redacted>", True),
        ("[REDACTED]", True),
        ("", True),
        ("lsv2_sk_0123", False),
        ("a*b", False),
        ("Bearer x", False),
        (None, False),
    ],
)
def test_masks(text: Any, expected: bool) -> None:
    assert masked(text) is expected


@pytest.mark.parametrize(
    ("attributes", "whose"),
    [
        (None, "written by hand"),
        ({"team": "x"}, "written by hand"),
        ("odd", "written by hand"),
        ({"gatewaytelemetry.id": "ffffffffffff"}, "written by another GatewayTelemetry or cluster"),
    ],
)
def test_an_export_with_another_mark_or_none_is_a_conflict(attributes: Any, whose: str) -> None:
    found = refusal(holding({**EXPORTER, "additional_resource_attributes": attributes}))
    assert found.reason is Reason.CONTROL_PLANE_CONFLICT
    assert whose in found.message


def test_masked_values_of_others_would_be_destroyed() -> None:
    found = refusal(holding(otel_metrics_exporter_config={**METRICS, "headers": {"a": "***"}}))
    assert found.reason is Reason.CONTROL_PLANE_CONFLICT
    assert "'otel_metrics_exporter_config.headers.a'" in found.message


def test_the_key_of_another_tenant_writes_nothing() -> None:
    found = refusal(Observed("umbrella\x1b[31m", {**TYPE}))
    assert found.reason is Reason.TENANT_MISMATCH
    assert "tenant 'umbrella [31m', and install.controlPlane.tenant is acme" in found.message


def back(observed: Observed, former: dict[str, Any] | None) -> Any:
    found = restoration(observed, "acme", MARKS, former)
    return "nothing" if found is None else found.manifest


def test_where_nothing_was_nothing_is_left() -> None:
    assert back(holding(EXPORTER), None) is None
    assert back(holding(EXPORTER, otel_metrics_exporter_config=None), None) is None


def test_what_was_there_comes_back_and_what_others_added_stays() -> None:
    off = {**TYPE, "otel_traces_exporter_config": None}
    assert back(holding(EXPORTER), off) == off
    assert back(holding(EXPORTER), dict(TYPE)) == TYPE
    with_metrics = {**TYPE, "otel_metrics_exporter_config": METRICS}
    assert back(holding(EXPORTER, otel_metrics_exporter_config=METRICS), None) == with_metrics
    assert back(holding(EXPORTER, otel_metrics_exporter_config=METRICS), off) == {**off, **with_metrics}


def test_what_is_somebody_elses_by_now_is_not_taken_back() -> None:
    assert back(Observed(None, None), None) == "nothing"
    assert back(holding(), None) == "nothing"
    assert back(holding({**EXPORTER, "additional_resource_attributes": {}}), None) == "nothing"


def test_nothing_is_taken_back_from_another_tenant_or_over_masked_values() -> None:
    with pytest.raises(Refused) as caught:
        back(Observed("umbrella", {**TYPE, "otel_traces_exporter_config": EXPORTER}), None)
    assert caught.value.reason is Reason.TENANT_MISMATCH
    with pytest.raises(Refused) as caught:
        back(holding(EXPORTER, otel_metrics_exporter_config={**METRICS, "headers": {"a": "***"}}), None)
    assert caught.value.reason is Reason.CONTROL_PLANE_CONFLICT


def test_people_are_not_shown_the_key() -> None:
    shown = concealed({**TYPE, "otel_traces_exporter_config": EXPORTER})
    assert shown["otel_traces_exporter_config"]["headers"] == {
        "x-api-key": "sha256:d58ea997",
        "langsmith-project": "checkout",
    }
    assert "marked4711" not in repr(change(EXPORTER, holding(), "acme", MARKS, None))
    assert "marked4711" not in repr(holding(EXPORTER))
