"""One lost packet flips nothing; an answer counts at once."""

from __future__ import annotations

import pytest

from gateway_telemetry.api.conditions import good
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.langsmith import Failed, Steady

OK = good("Reachable", Reason.REACHABLE)
CUT = Failed(Reason.CONNECTION_CUT).finding("Reachable")
DNS = Failed(Reason.DNS_UNAVAILABLE).finding("Reachable")
EXPIRED = Failed(Reason.TLS_EXPIRED).finding("Reachable")
KEY = Failed(Reason.KEY_REJECTED).finding("Authenticated")


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        ([OK, CUT, OK], [OK, OK, OK]),
        ([OK, CUT, CUT, OK], [OK, OK, CUT, OK]),
        ([OK, CUT, DNS, OK, DNS], [OK, OK, DNS, OK, OK]),
        ([OK, EXPIRED, OK], [OK, EXPIRED, OK]),
        ([EXPIRED, DNS, DNS], [EXPIRED, EXPIRED, DNS]),
        ([CUT, OK], [CUT, OK]),
        ([OK, CUT, KEY, CUT], [OK, OK, KEY, CUT]),
    ],
)
def test_what_is_shown(found: list[object], shown: list[object]) -> None:
    steady = Steady()
    assert [steady.settle(item) for item in found] == shown  # type: ignore[arg-type]
