"""Manual rollouts: nothing replaces a pod before somebody approves exactly that."""

from __future__ import annotations

from typing import Any

import pytest

from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.plan.sinks import SinkState
from gateway_telemetry.plan.store import project_gateway
from gateway_telemetry.plan.turns import approval_hash, asked
from tests.unit.plan.build import (
    NS,
    Object,
    World,
    annotated,
    container,
    deployment,
    env,
    finding,
    gateway,
    injecting,
    one_gateway,
    only_sink,
    secret,
    target,
)

MANUAL = {"policy": "Manual"}


def world(*workloads: Object, approved: str | None = None, **spec: Any) -> World:
    view = injecting(rollout=MANUAL, **spec)
    if approved is not None:
        view = annotated(view, approvedHash=approved)
    return World(target(), secret(), view, *(workloads or (deployment(),)))


def hash_of(sinks: tuple[SinkState, ...]) -> str:
    """Return the hash that a message asks to approve."""
    (found,) = {item.message.rpartition("=")[2] for item in sinks if item.reason is Reason.AWAITING_APPROVAL}
    return found


def approve(found: World, value: str, **spec: Any) -> None:
    found.put(annotated(injecting(rollout=MANUAL, **spec), approvedHash=value))


def states(found: World) -> list[tuple[str, str, Reason]]:
    return [(item.workload.name, item.state, item.reason) for item in found.plan().sinks]


def test_nothing_is_written_before_it_is_approved() -> None:
    plan = world().plan()
    sink = only_sink(plan)
    assert (sink.state, sink.write) == ("Pending", None)
    assert sink.message == (
        "Deployment shop/litellm waits for approval: kubectl annotate gatewaytelemetry checkout -n shop --overwrite "
        "gatewaytelemetry.dev/approvedHash=bb446ea3af0e82bf"
    )
    programmed = finding(plan.findings, "Programmed")
    assert (programmed.status, programmed.reason) == ("Unknown", Reason.AWAITING_APPROVAL)


def test_the_hash_of_the_message_is_the_one_that_is_compared() -> None:
    automatic = one_gateway().plan()
    assert hash_of(world().plan().sinks) == approval_hash(automatic.sinks)


def test_what_is_approved_is_written() -> None:
    found = world()
    approve(found, hash_of(found.plan().sinks))
    assert states(found) == [("litellm", "Pending", Reason.NOT_WRITTEN)]
    found.carry_out()
    assert states(found) == [("litellm", "Programmed", Reason.PROGRAMMED)]


@pytest.mark.parametrize("other", ["", "yes", "0123456789abcdef"])
def test_the_approval_of_another_hash_does_nothing(other: str) -> None:
    assert states(world(approved=other)) == [("litellm", "Pending", Reason.AWAITING_APPROVAL)]


def test_an_approval_does_not_hold_for_the_next_change() -> None:
    found = world()
    first = hash_of(found.plan().sinks)
    approve(found, first)
    found.carry_out()
    approve(found, first, project="other")
    (sink,) = found.plan().sinks
    assert (sink.state, sink.reason, sink.write) == ("Pending", Reason.AWAITING_APPROVAL, None)
    assert hash_of((sink,)) != first
    found.put(secret({"api-key": "lsv2_sk_rotated"}))
    approve(found, first)
    assert states(found) == [("litellm", "Pending", Reason.AWAITING_APPROVAL)]


def test_a_new_workload_needs_an_approval_and_leaves_the_others_alone() -> None:
    found = world()
    approve(found, hash_of(found.plan().sinks))
    found.carry_out()
    found.put(deployment("second"))
    assert states(found) == [
        ("litellm", "Programmed", Reason.PROGRAMMED),
        ("second", "Pending", Reason.AWAITING_APPROVAL),
    ]
    approve(found, hash_of(found.plan().sinks))
    assert states(found)[1] == ("second", "Pending", Reason.NOT_WRITTEN)


def test_all_workloads_are_approved_by_one_hash_that_depends_on_each() -> None:
    both = world(deployment("a"), deployment("b")).plan().sinks
    reverse = world(deployment("b"), deployment("a")).plan().sinks
    assert hash_of(both) == hash_of(reverse)
    assert hash_of(both) != hash_of(world(deployment("a")).plan().sinks)


def test_a_repair_of_what_was_approved_asks_nobody_again() -> None:
    found = world()
    approve(found, hash_of(found.plan().sinks))
    found.carry_out()
    found.put(deployment())
    assert states(found) == [("litellm", "Pending", Reason.NOT_WRITTEN)]


def test_a_conflict_is_told_before_any_approval() -> None:
    taken = deployment(containers=[container(env=env(OTEL_EXPORTER_OTLP_PROTOCOL="grpc"))])
    assert states(world(taken)) == [("litellm", "Blocked", Reason.ENV_CONFLICT)]


def test_a_rollback_asks_nobody() -> None:
    rollout = {"policy": "Manual", "onFailure": "Rollback"}
    found = World(target(), secret(), injecting(rollout=rollout), deployment())
    found.put(annotated(injecting(rollout=rollout), approvedHash=hash_of(found.plan().sinks)))
    found.carry_out()
    live = found.objects["Deployment", NS, "litellm"]
    live["metadata"]["generation"] = 2
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}
    live["status"] = {"observedGeneration": 2, "replicas": 1, "conditions": [late]}
    found.put(live)
    sink = only_sink(found.plan())
    assert (sink.state, sink.reason) == ("Failed", Reason.ROLLOUT_FAILED)
    assert sink.write is not None
    assert sink.write.rollback
    assert sink.write.due


@pytest.mark.parametrize(
    ("annotations", "handled", "expected"),
    [
        ({}, None, False),
        ({}, "1", False),
        ({"requestedAt": "1"}, None, True),
        ({"requestedAt": "1"}, "1", False),
        ({"requestedAt": "2"}, "1", True),
        ({"reconcile-now": "1"}, None, True),
        ({"reconcile-now": "1"}, "1", False),
        ({"requestedAt": "1", "reconcile-now": "2"}, "1", True),
        ({"requestedAt": "1", "reconcile-now": "2"}, "1,2", False),
    ],
)
def test_a_request_is_open_until_the_status_answers_it(
    annotations: dict[str, str], handled: str | None, expected: bool
) -> None:
    view = annotated(gateway(), **annotations)
    view["status"] = {} if handled is None else {"lastHandledRequest": handled}
    assert asked(project_gateway(view)) is expected
