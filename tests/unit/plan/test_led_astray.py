"""A key never goes to an endpoint that somebody else put beside it."""

from __future__ import annotations

from typing import Any

import pytest

from gateway_telemetry.api.reasons import Reason
from tests.unit.plan.build import NS, World, one_gateway, only_sink

THEIRS = {"name": "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "value": "http://collector:4318/v1/traces"}


def with_variable(item: dict[str, Any]) -> World:
    """A gateway that was written into, and one of whose variables somebody then set."""
    world = one_gateway()
    world.carry_out()
    obj = world.objects["Deployment", NS, "litellm"]
    [container] = obj["spec"]["template"]["spec"]["containers"]
    container["env"] = [item if one["name"] == item["name"] else one for one in container["env"]]
    world.put(obj)
    return world


def test_a_taken_over_endpoint_takes_the_settings_away() -> None:
    plan = with_variable(THEIRS).plan()
    assert (only_sink(plan).state, only_sink(plan).reason) == ("Blocked", Reason.ENV_CONFLICT)
    assert only_sink(plan).message == (
        "Deployment shop/litellm, container litellm already sets OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: remove it from "
        "the manifest or chart that sets it; what was written before is taken back, so that the key does not go there"
    )
    assert [record.workload for record in plan.restore] == [("Deployment", "litellm")]


@pytest.mark.parametrize("name", ["OTEL_RESOURCE_ATTRIBUTES", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"])
def test_another_variable_of_somebody_else_takes_nothing_away(name: str) -> None:
    plan = with_variable({"name": name, "value": "theirs"}).plan()
    assert plan.restore == ()


def test_a_variable_that_switches_tracing_off_takes_nothing_away() -> None:
    world = one_gateway()
    world.carry_out()
    obj = world.objects["Deployment", NS, "litellm"]
    obj["spec"]["template"]["spec"]["containers"][0]["env"].append({"name": "OTEL_SDK_DISABLED", "value": "true"})
    world.put(obj)
    plan = world.plan()
    assert only_sink(plan).reason is Reason.TRACING_DISABLED
    assert plan.restore == ()
