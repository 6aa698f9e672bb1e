"""Who waits for a right: one of a namespace asks often, and its success lets the others go on at once."""

from __future__ import annotations

from gateway_telemetry.control.denied import Denied
from gateway_telemetry.control.queue import Ref

A, B, C = (Ref("GatewayTelemetry", "shop", name) for name in "abc")
OTHER = Ref("GatewayTelemetry", "team", "a")


def test_one_of_a_namespace_asks_often_and_the_others_as_usual() -> None:
    denied = Denied(lambda _: None)
    assert [denied.refused(key) for key in (A, B, OTHER, B, A)] == [15.0, None, 15.0, None, 15.0]
    assert len(denied) == 3


def test_when_it_may_all_of_the_namespace_try_at_once() -> None:
    marked: list[Ref] = []
    denied = Denied(marked.append)
    for key in (A, B, C, OTHER):
        denied.refused(key)
    denied.passed(B)
    assert marked == [A, C]
    assert len(denied) == 1
    denied.passed(A)
    denied.passed(C)
    assert marked == [A, C]


def test_who_still_lacks_it_asks_often_from_then_on() -> None:
    denied = Denied(lambda _: None)
    denied.refused(A)
    denied.refused(B)
    denied.passed(A)
    assert denied.refused(B) == 15.0


def test_whoever_was_never_refused_wakes_nobody() -> None:
    marked: list[Ref] = []
    denied = Denied(marked.append)
    denied.refused(A)
    denied.passed(C)
    assert marked == []
    assert len(denied) == 1
