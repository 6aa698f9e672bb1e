"""Has a workload rolled out, and which of several decides what is reported?"""

from __future__ import annotations

from typing import Any

import pytest

from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.plan.gateways import by_trouble, secret_name
from gateway_telemetry.plan.rollout import progress
from gateway_telemetry.plan.targets import Refused
from gateway_telemetry.plan.views import project_workload
from tests.unit.plan.build import (
    NS,
    World,
    container,
    deployment,
    env,
    finding,
    gateway,
    one_gateway,
    only_sink,
    secret,
    target,
)

DEADLINE = {
    "type": "Progressing",
    "status": "False",
    "reason": "ProgressDeadlineExceeded",
    "message": 'ReplicaSet "litellm-5d" has timed out progressing.',
}
STUCK_IN_QUOTA = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}


def pods(total: int, updated: int, available: int, *, seen: int = 2, **more: Any) -> dict[str, Any]:
    counts = {"replicas": total, "updatedReplicas": updated, "availableReplicas": available}
    # The API server leaves zeros out.
    return {"observedGeneration": seen, **{key: value for key, value in counts.items() if value}, **more}


@pytest.mark.parametrize(
    ("replicas", "paused", "status", "reason", "text"),
    [
        (3, False, pods(3, 3, 3), Reason.PROGRAMMED, ""),
        (None, False, pods(1, 1, 1), Reason.PROGRAMMED, ""),
        (0, False, pods(0, 0, 0), Reason.PROGRAMMED, ""),
        (0, True, pods(0, 0, 0), Reason.PROGRAMMED, ""),
        (3, False, pods(3, 3, 3, seen=1), Reason.ROLLOUT_IN_PROGRESS, "its pods are being replaced"),
        (0, False, pods(0, 0, 0, seen=1), Reason.ROLLOUT_IN_PROGRESS, "its pods are being replaced"),
        (3, False, {}, Reason.ROLLOUT_IN_PROGRESS, "its pods are being replaced"),
        (3, False, pods(3, 1, 3), Reason.ROLLOUT_IN_PROGRESS, "its pods are being replaced"),
        (3, False, pods(4, 3, 3), Reason.ROLLOUT_IN_PROGRESS, "its pods are being replaced"),
        (3, False, pods(3, 3, 2), Reason.ROLLOUT_IN_PROGRESS, "its pods are being replaced"),
        (0, False, pods(1, 0, 1), Reason.ROLLOUT_IN_PROGRESS, "its pods are being replaced"),
        (1, False, pods(3, 3, 3), Reason.PROGRAMMED, ""),
        (3, True, pods(3, 0, 3), Reason.ROLLOUT_PAUSED, "kubectl rollout resume deployment litellm -n shop"),
        (3, True, pods(3, 0, 3, seen=1), Reason.ROLLOUT_PAUSED, "is paused, so its pods keep the old settings"),
        (3, False, pods(4, 1, 3, conditions=[DEADLINE]), Reason.ROLLOUT_FAILED, "has timed out progressing."),
        (
            3,
            False,
            pods(4, 1, 3, seen=1, conditions=[DEADLINE]),
            Reason.ROLLOUT_IN_PROGRESS,
            "its pods are being replaced",
        ),
        (3, False, pods(3, 3, 3, conditions=[DEADLINE]), Reason.PROGRAMMED, ""),
        (
            3,
            False,
            pods(3, 1, 3, conditions=[STUCK_IN_QUOTA]),
            Reason.ROLLOUT_IN_PROGRESS,
            "its pods are being replaced",
        ),
    ],
)
def test_the_state_of_a_rollout(
    replicas: int | None, paused: bool, status: dict[str, Any], reason: Reason, text: str
) -> None:
    obj = deployment(replicas=replicas, paused=paused, generation=2, status=status)
    found, message = progress(project_workload(obj))
    assert found is reason
    assert text in message
    assert (message == "") == (reason is Reason.PROGRAMMED)
    if message:
        assert message.startswith("Deployment shop/litellm")


def rolling(status: dict[str, Any], **more: Any) -> World:
    world = one_gateway()
    world.carry_out()
    obj = world.objects["Deployment", NS, "litellm"]
    obj["metadata"]["generation"] = 2
    obj["spec"].update(more)
    obj["status"] = status
    world.put(obj)
    return world


@pytest.mark.parametrize(
    ("world", "reason", "kstatus"),
    [
        (rolling(pods(2, 1, 1)), Reason.ROLLOUT_IN_PROGRESS, "Reconciling"),
        (rolling(pods(1, 0, 1), paused=True), Reason.ROLLOUT_PAUSED, "Reconciling"),
        (rolling(pods(2, 1, 1, conditions=[DEADLINE])), Reason.ROLLOUT_FAILED, "Stalled"),
    ],
)
def test_programmed_follows_the_rollout(world: World, reason: Reason, kstatus: str) -> None:
    plan = world.plan()
    state = "Failed" if reason is Reason.ROLLOUT_FAILED else "RollingOut"
    assert (only_sink(plan).state, only_sink(plan).reason) == (state, reason)
    assert (finding(plan.findings, "Programmed").status, finding(plan.findings, "Programmed").reason) == (
        "False",
        reason,
    )
    assert (finding(plan.findings, "Ready").status, finding(plan.findings, "Ready").reason) == ("False", reason)
    assert [item.type for item in plan.findings if item.type in ("Reconciling", "Stalled")] == [kstatus]


def test_a_programmed_gateway_is_ready_and_claims_no_delivery() -> None:
    world = one_gateway()
    world.carry_out()
    assert [(item.type, item.status, item.reason) for item in world.plan().findings] == [
        ("Accepted", "True", Reason.ACCEPTED),
        ("ResolvedRefs", "True", Reason.RESOLVED),
        ("Programmed", "True", Reason.PROGRAMMED),
        ("Producing", "Unknown", Reason.NOT_VERIFIED),
        ("Delivered", "Unknown", Reason.NOT_VERIFIED),
        ("Ready", "True", Reason.READY),
    ]


def test_advice_of_the_adapter_is_told_when_all_is_programmed() -> None:
    world = one_gateway(workload=deployment(containers=[container(env=env(LANGSMITH_TRACING="true"))]))
    world.carry_out()
    assert finding(world.plan().findings, "Programmed").message == (
        "1 of 1 workloads. LANGSMITH_TRACING may send the same traces to LangSmith a second time"
    )


def test_without_advice_only_the_count_is_told() -> None:
    world = World(target(), secret(), gateway(), deployment("a"), deployment("b"))
    world.carry_out()
    assert finding(world.plan().findings, "Programmed").message == "2 of 2 workloads"


def five_workloads() -> World:
    """Return a world with one sink of each state; their names sort the other way round."""
    world = World(target(), secret(), gateway(), deployment("d-rolling"), deployment("e-programmed"))
    world.carry_out()
    obj = world.objects["Deployment", NS, "d-rolling"]
    obj["metadata"]["generation"] = 2
    world.put(obj)
    world.put(deployment("a-blocked", containers=[container("a"), container("b")]))
    world.put(deployment("b-failed"))
    world.put(deployment("c-pending"))
    return world


def test_sinks_are_listed_by_trouble_and_the_worst_one_is_named() -> None:
    failed = Refused(Reason.RBAC_DENIED, "patch deployments.apps in namespace shop is not allowed")
    plan = five_workloads().plan(failures={("Deployment", NS, "b-failed"): failed})
    assert [(item.workload.name, item.state, item.reason) for item in by_trouble(plan.sinks)] == [
        ("a-blocked", "Blocked", Reason.CONTAINER_AMBIGUOUS),
        ("b-failed", "Failed", Reason.RBAC_DENIED),
        ("c-pending", "Pending", Reason.NOT_WRITTEN),
        ("d-rolling", "RollingOut", Reason.ROLLOUT_IN_PROGRESS),
        ("e-programmed", "Programmed", Reason.PROGRAMMED),
    ]
    programmed = finding(plan.findings, "Programmed")
    assert programmed.reason is Reason.CONTAINER_AMBIGUOUS
    assert programmed.message == (
        "Deployment shop/a-blocked has the containers a, b: set spec.install.inject.container to the one that exports "
        "traces (and 3 more: see status.sinks)"
    )


def test_sinks_of_one_state_are_listed_by_name() -> None:
    names = ["c", "a", "b"]
    plan = World(target(), secret(), gateway(), *(deployment(name) for name in names)).plan()
    assert [item.workload.name for item in by_trouble(tuple(reversed(plan.sinks)))] == ["a", "b", "c"]


def test_a_failed_write_is_reported_and_tried_again() -> None:
    failed = Refused(Reason.WRITE_FAILED, "the API server answered 500")
    sink = only_sink(one_gateway().plan(failures={("Deployment", NS, "litellm"): failed}))
    assert (sink.state, sink.reason, sink.message) == ("Failed", Reason.WRITE_FAILED, "the API server answered 500")
    assert sink.write is not None
    assert sink.write.due


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("litellm", "gateway-telemetry-deployment-litellm"),
        ("a" * 224, "gateway-telemetry-deployment-" + "a" * 224),
        ("a" * 225, "gateway-telemetry-deployment-" + "a" * 211 + "-e4302c578e00"),
        ("a" * 210 + "." + "b" * 42, "gateway-telemetry-deployment-" + "a" * 210 + "-3f06ebccd1ef"),
    ],
)
def test_the_name_of_the_secret_is_a_valid_object_name(name: str, expected: str) -> None:
    found = secret_name("Deployment", name)
    assert found == expected
    assert len(found) <= 253
    assert ".-" not in found
    assert "-." not in found


def test_long_names_do_not_share_a_secret() -> None:
    assert secret_name("Deployment", "a" * 252 + "b") != secret_name("Deployment", "a" * 252 + "c")
