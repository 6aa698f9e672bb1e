"""Findings and plans to ``status``: literal, stable, and accepted by the models of the CRDs."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from gateway_telemetry.api.conditions import MESSAGE_LIMIT, good
from gateway_telemetry.api.gateway_status import GatewayTelemetryStatus
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.api.target import LangSmithTargetStatus
from gateway_telemetry.plan.gateways import GatewayPlan, SinkState, leaving
from gateway_telemetry.plan.status import SINK_LIMIT, gateway_status, target_status
from gateway_telemetry.plan.store import project_gateway, project_target
from gateway_telemetry.plan.targets import Refused
from gateway_telemetry.plan.views import project_workload
from tests.unit.plan.build import Object, World, deployment, gateway, one_gateway, secret, target

NOW = "2026-02-01T00:00:00Z"
LATER = "2026-02-02T00:00:00Z"
REQUEST = "gatewaytelemetry.dev/requestedAt"


def of_gateway(world: World, now: str = NOW) -> dict[str, Any]:
    status = gateway_status(world.store.gateways["shop", "checkout"], world.plan(), now)
    GatewayTelemetryStatus.model_validate(status)
    return status


def of_target(world: World, now: str = NOW) -> dict[str, Any]:
    status = target_status(world.store.targets["shop", "langsmith"], world.resolve(), now)
    LangSmithTargetStatus.model_validate(status)
    return status


def conditions(status: dict[str, Any]) -> dict[str, tuple[str, str, str]]:
    return {item["type"]: (item["status"], item["reason"], item["lastTransitionTime"]) for item in status["conditions"]}


def stored(obj: Object, status: dict[str, Any], **metadata: Any) -> Object:
    return {**copy.deepcopy(obj), "status": copy.deepcopy(status), "metadata": {**obj["metadata"], **metadata}}


def test_the_status_of_a_target() -> None:
    status = of_target(one_gateway())
    assert status["observedGeneration"] == 1
    assert status["endpoints"] == {
        "api": "https://eu.api.smith.langchain.com",
        "otlp": "https://eu.api.smith.langchain.com/otel",
        "traces": "https://eu.api.smith.langchain.com/otel/v1/traces",
    }
    assert conditions(status) == {
        "Accepted": ("True", "Accepted", NOW),
        "ResolvedRefs": ("True", "Resolved", NOW),
        "Reachable": ("Unknown", "NotVerified", NOW),
        "Authenticated": ("Unknown", "NotVerified", NOW),
        "Ingesting": ("Unknown", "NotVerified", NOW),
        "Ready": ("True", "Ready", NOW),
    }


def test_the_status_of_a_gateway() -> None:
    world = one_gateway()
    world.carry_out()
    status = of_gateway(world)
    assert status["traces"] == {"endpoint": "https://eu.api.smith.langchain.com/otel/v1/traces", "project": "checkout"}
    assert status["sinks"] == [
        {
            "kind": "Deployment",
            "name": "litellm",
            "container": "litellm",
            "state": "Programmed",
            "reason": "Programmed",
        }
    ]
    assert status["counts"] == {"matched": 1, "programmed": 1}
    assert conditions(status)["Ready"] == ("True", "Ready", NOW)
    assert "lastHandledRequest" not in status


def test_an_equal_finding_makes_an_equal_status() -> None:
    world = one_gateway()
    world.carry_out()
    for kind, name, make in (("GatewayTelemetry", "checkout", of_gateway), ("LangSmithTarget", "langsmith", of_target)):
        status = make(world)
        world.put(stored(world.objects[kind, "shop", name], status))
        assert make(world, LATER) == status


def test_time_moves_only_with_the_status_of_a_condition() -> None:
    world = one_gateway()
    first = of_gateway(world)
    assert conditions(first)["Programmed"] == ("False", "NotWritten", NOW)
    world.put(stored(world.objects["GatewayTelemetry", "shop", "checkout"], first))
    world.carry_out()
    second = conditions(of_gateway(world, LATER))
    assert second["Accepted"] == ("True", "Accepted", NOW)
    assert second["Programmed"] == ("True", "Programmed", LATER)
    assert "Reconciling" in conditions(first)
    assert "Reconciling" not in second


def test_a_target_that_is_not_accepted_has_no_endpoints() -> None:
    world = World(target(saas=None, selfHosted={"url": "https://not.allowed.example"}), secret())
    world.put(stored(world.objects["LangSmithTarget", "shop", "langsmith"], {"endpoints": {"api": "a"}}))
    status = of_target(world)
    assert "endpoints" not in status
    assert conditions(status)["Stalled"] == ("True", "HostNotAllowed", NOW)


def test_what_is_not_known_is_left_out() -> None:
    status = of_gateway(World(gateway(), deployment()))
    assert "traces" not in status
    assert [item["state"] for item in status["sinks"]] == ["Pending"]
    nothing = of_gateway(World(gateway()))
    assert "sinks" not in nothing
    assert nothing["counts"] == {"matched": 0, "programmed": 0}
    broken = of_gateway(World({**gateway(), "spec": {}}, deployment()))
    assert set(broken) == {"observedGeneration", "conditions"}


def test_a_request_is_answered_and_stays_answered() -> None:
    world = one_gateway(view=gateway())
    obj = world.objects["GatewayTelemetry", "shop", "checkout"]
    world.put(stored(obj, {}, annotations={REQUEST: "2026-02-01"}))
    status = of_gateway(world)
    assert status["lastHandledRequest"] == "2026-02-01"
    world.put(stored(obj, status, annotations={}))
    assert of_gateway(world)["lastHandledRequest"] == "2026-02-01"


@pytest.mark.parametrize("kind", ["GatewayTelemetry", "LangSmithTarget"])
def test_suspension_keeps_what_was_found_and_ends_with_it(kind: str) -> None:
    world = one_gateway()
    name, make = {"GatewayTelemetry": ("checkout", of_gateway), "LangSmithTarget": ("langsmith", of_target)}[kind]
    obj = world.objects[kind, "shop", name]
    before = make(world)
    suspended = stored(obj, before, generation=2, annotations={REQUEST: "now"})
    suspended["spec"]["suspend"] = True
    world.put(suspended)
    world.store.sources.clear()  # would be found, if anything were judged anew
    status = make(world, LATER)
    assert {**status, "conditions": status["conditions"][:-1], "observedGeneration": 1} == before
    assert status["observedGeneration"] == 2
    assert status["conditions"][-1]["observedGeneration"] == 2
    assert conditions(status)["Suspended"] == ("True", "Suspended", LATER)
    world.put({**stored(suspended, status), "spec": obj["spec"]})
    resumed = conditions(make(world, LATER))
    assert "Suspended" not in resumed
    assert resumed["ResolvedRefs"][0] == "False"


def test_the_first_status_of_a_suspended_object_is_a_whole_one() -> None:
    world = one_gateway(view=gateway(suspend=True))
    found = conditions(of_gateway(world))
    assert found["Suspended"] == ("True", "Suspended", NOW)
    assert found["Programmed"] == ("False", "NotWritten", NOW)


def test_sinks_are_bounded_and_those_with_trouble_come_first() -> None:
    sinks = [
        SinkState(
            project_workload(deployment(f"gateway-{number:03}")),
            "litellm",
            "Blocked" if number > 147 else "Programmed",
            Reason.ENV_CONFLICT if number > 147 else Reason.PROGRAMMED,
            "x" * 5000 if number > 147 else "",
        )
        for number in range(150)
    ]
    plan = GatewayPlan((good("Accepted", Reason.ACCEPTED),), tuple(sinks), (), None)
    status = gateway_status(project_gateway(gateway()), plan, NOW)
    GatewayTelemetryStatus.model_validate(status)
    assert len(status["sinks"]) == SINK_LIMIT == 100
    names = [item["name"] for item in status["sinks"]]
    assert names[:4] == ["gateway-148", "gateway-149", "gateway-000", "gateway-001"]
    assert len(status["sinks"][0]["message"]) == MESSAGE_LIMIT
    assert status["counts"] == {"matched": 150, "programmed": 148}


def test_an_object_that_goes_is_not_frozen_by_suspension() -> None:
    view = project_gateway(stored(gateway(deleting=True, suspend=True), of_gateway(one_gateway())))
    status = gateway_status(view, leaving(Refused(Reason.RBAC_DENIED, "patch is not allowed")), NOW)
    assert conditions(status)["Programmed"] == ("False", "Restoring", NOW)
    assert "Suspended" not in conditions(status)


def test_a_target_with_a_broken_spec_has_a_status() -> None:
    view = project_target({**target(), "spec": {"saas": {"region": "mars"}}})
    world = World()
    world.store.put_target(view)
    assert conditions(of_target(world))["Accepted"] == ("False", "InvalidSpec", NOW)
