"""Conditions as Kubernetes means them, and the summary that tools understand."""

from __future__ import annotations

from typing import Any

import pytest

from gateway_telemetry.api.conditions import MESSAGE_LIMIT, Finding, bad, explain, good, merge, summarise, unknown
from gateway_telemetry.api.meta import Condition
from gateway_telemetry.api.reasons import BY_REASON, TABLE, Reason, Severity

THEN, NOW = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
COUNTED = ("Accepted", "ResolvedRefs")


def stored(type_: str, status: str, reason: str = "Pending", message: str = "", generation: int = 1) -> dict[str, Any]:
    return {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": generation,
        "lastTransitionTime": THEN,
    }


def test_a_first_condition_gets_the_time_of_now() -> None:
    assert merge([], [good("Accepted", Reason.ACCEPTED, "Fine.")], 3, NOW) == [
        {
            "type": "Accepted",
            "status": "True",
            "reason": "Accepted",
            "message": "Fine.",
            "observedGeneration": 3,
            "lastTransitionTime": NOW,
        }
    ]


@pytest.mark.parametrize(
    ("before", "time"),
    [
        (stored("Accepted", "True", "Accepted", "Fine.", 3), THEN),
        (stored("Accepted", "True", "Accepted", "Otherwise.", 3), THEN),
        (stored("Accepted", "True", "SomethingElse", "Fine.", 3), THEN),
        (stored("Accepted", "True", "Accepted", "Fine.", 2), THEN),
        (stored("Accepted", "False", "Accepted", "Fine.", 3), NOW),
        (stored("Accepted", "Unknown", "Accepted", "Fine.", 3), NOW),
        (stored("ResolvedRefs", "True", "Accepted", "Fine.", 3), NOW),
    ],
)
def test_the_time_moves_with_the_status_only(before: dict[str, Any], time: str) -> None:
    (result,) = merge([before], [good("Accepted", Reason.ACCEPTED, "Fine.")], 3, NOW)
    assert (result["lastTransitionTime"], result["reason"], result["message"]) == (time, "Accepted", "Fine.")


def test_every_condition_speaks_of_the_generation_that_was_judged() -> None:
    findings = [good("Accepted", Reason.ACCEPTED), unknown("ResolvedRefs", Reason.PENDING)]
    result = merge([stored("Accepted", "True", generation=1)], findings, 7, NOW)
    assert [item["observedGeneration"] for item in result] == [7, 7]


def test_the_same_findings_again_are_no_change() -> None:
    findings = [good("Accepted", Reason.ACCEPTED), bad("ResolvedRefs", Reason.SECRET_NOT_FOUND)]
    first = merge([], findings, 1, THEN)
    assert merge(first, findings, 1, NOW) == first


def test_a_condition_that_no_longer_holds_is_dropped() -> None:
    before = [stored("Accepted", "True"), stored("Stalled", "True")]
    assert [item["type"] for item in merge(before, [good("Accepted", Reason.ACCEPTED)], 1, NOW)] == ["Accepted"]


def test_what_is_stored_satisfies_the_model() -> None:
    for item in merge([], [good("Accepted", Reason.ACCEPTED), *summarise([], ())], 1, NOW):
        assert Condition.model_validate(item).last_transition_time == NOW


def test_all_true_is_ready_and_nothing_else() -> None:
    findings = [good("Accepted", Reason.ACCEPTED), good("ResolvedRefs", Reason.RESOLVED)]
    assert summarise(findings, COUNTED) == [good("Ready", Reason.READY)]


def test_what_is_not_counted_does_not_lower_ready() -> None:
    findings = [
        good("Accepted", Reason.ACCEPTED),
        good("ResolvedRefs", Reason.RESOLVED),
        unknown("Delivered", Reason.NOT_VERIFIED),
    ]
    assert summarise(findings, COUNTED) == [good("Ready", Reason.READY)]


def test_ready_takes_the_reason_of_the_first_that_is_not_true() -> None:
    findings = [
        bad("Accepted", Reason.INVALID_URL, "Write another URL."),
        bad("ResolvedRefs", Reason.SECRET_NOT_FOUND, "Create it."),
    ]
    assert summarise(findings, COUNTED) == [
        Finding("Ready", "False", Reason.INVALID_URL, "Write another URL."),
        Finding("Stalled", "True", Reason.INVALID_URL, "Write another URL."),
    ]


def test_ready_is_unknown_while_the_first_is_unknown() -> None:
    findings = [unknown("Accepted", Reason.PENDING), bad("ResolvedRefs", Reason.SECRET_NOT_FOUND)]
    assert [(item.type, item.status) for item in summarise(findings, COUNTED)] == [
        ("Ready", "Unknown"),
        ("Reconciling", "True"),
    ]


@pytest.mark.parametrize("reason", [entry.reason for entry in TABLE if entry.status != "True"], ids=str)
def test_stalled_and_reconciling_exclude_each_other(reason: Reason) -> None:
    status = BY_REASON[reason].status
    result = summarise([Finding("Accepted", status, reason, "why")], ("Accepted",))
    assert result[0] == Finding("Ready", status, reason, "why")
    expected = {Severity.ACTION: ["Stalled"], Severity.WAITING: ["Reconciling"], Severity.UNKNOWN: []}
    assert [item.type for item in result[1:]] == expected[BY_REASON[reason].severity]
    assert {item.status for item in result[1:]} <= {"True"}


@pytest.mark.parametrize("make", [good, bad, unknown])
def test_a_message_is_bounded(make: Any) -> None:
    assert make("Accepted", Reason.ACCEPTED, "x" * 1024).message == "x" * 1024
    cut = make("Accepted", Reason.ACCEPTED, "x" * 1025).message
    assert cut == "x" * 1023 + "…"
    assert len(cut) == MESSAGE_LIMIT == 1024


@pytest.mark.parametrize("reason", Reason, ids=str)
def test_a_finding_without_a_message_explains_itself(reason: Reason) -> None:
    text = explain(reason)
    assert text.startswith(BY_REASON[reason].meaning)
    assert text.endswith(BY_REASON[reason].action)
    assert 20 < len(text) <= MESSAGE_LIMIT
