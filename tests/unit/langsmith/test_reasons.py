"""Each reason of verification stands as a literal in a test here, and each row of the table fits what is said."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway_telemetry.api.conditions import unknown
from gateway_telemetry.api.reasons import BY_REASON, Reason
from gateway_telemetry.langsmith import Failed, switched_off
from gateway_telemetry.plan.proof import without_reading
from tests.unit.langsmith.reached import VERIFICATION
from tests.unit.langsmith.setting import short

TESTS = sorted(Path(__file__).parent.glob("test_*.py"))


def test_each_is_the_literal_outcome_of_a_test() -> None:
    text = "".join(path.read_text() for path in TESTS)
    outcomes = set(re.findall(r'(?:True|False|Unknown) ([A-Z][A-Za-z]+)"', text))
    outcomes |= set(re.findall(r'"(?:True|False|Unknown)", "([A-Z][A-Za-z]+)"', text))
    assert {str(reason) for reason in VERIFICATION} - outcomes == set()


def test_what_nobody_asked_for_is_not_known() -> None:
    assert short(switched_off()) == ("Ingesting", "Unknown", "CanaryOff")
    assert short(without_reading(Reason.NOT_STAMPED).delivered) == ("Delivered", "Unknown", "NotStamped")
    assert short(without_reading(Reason.NO_READ_KEY).delivered) == ("Delivered", "Unknown", "NoReadKey")
    assert short(unknown("Ingesting", Reason.NOT_PROBED)) == ("Ingesting", "Unknown", "NotProbed")


@pytest.mark.parametrize("reason", sorted(VERIFICATION), ids=str)
def test_a_failure_says_what_it_is_and_what_to_do(reason: Reason) -> None:
    entry = BY_REASON[reason]
    finding = Failed(reason, "host:443 said no").finding("Reachable")
    assert finding.message == " ".join(part for part in ("host:443 said no.", entry.action) if part)
    assert finding.status == entry.status
