"""The Job that looks from a gateway's namespace: no key, no token, the gateway's labels, once per change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway_telemetry.api.conditions import good, unknown
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.plan import proof as proofs
from gateway_telemetry.plan import vantage
from gateway_telemetry.plan.proof import GatewayProof
from gateway_telemetry.plan.status import gateway_status
from gateway_telemetry.plan.vantage import Look, Program
from tests.unit.plan.build import CA_PEM, KEY, NS, World, config_map, deployment, gateway, referring, secret, target

PROGRAM = Program("registry.example/operator@sha256:0")
NOW = "2026-01-03T00:00:00Z"


def look(world: World, program: Program = PROGRAM) -> Look:
    found = vantage.look_of(world.store.gateways[NS, "checkout"], world.plan(), program)
    assert found is not None
    return found


def asking(**spec: Any) -> World:
    world = World(target(), secret(), gateway(verification={"fromNamespace": True}, **spec), deployment())
    world.carry_out()
    return world


def container(found: Look) -> dict[str, Any]:
    (only,) = found.job["spec"]["template"]["spec"]["containers"]
    return dict(only)


def test_the_job_is_harmless() -> None:
    found = look(asking())
    pod = found.job["spec"]["template"]
    assert KEY not in str(found.job)
    assert pod["metadata"]["labels"]["pod"] == "litellm"
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["spec"]["readinessGates"] == [{"conditionType": "gatewaytelemetry.dev/never-ready"}]
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert container(found)["args"] == [
        "probe-job",
        "--url=https://eu.api.smith.langchain.com/otel/v1/traces",
        "--termination-log=/dev/termination-log",
    ]
    assert found.job["spec"]["backoffLimit"] == 0
    assert found.job["metadata"]["ownerReferences"][0]["name"] == "checkout"


def test_only_the_ca_is_taken_out_of_the_copy() -> None:
    reference = {"kind": "ConfigMap", "name": "corp-ca", "key": "ca.crt"}
    world = World(target(caBundleRef=reference), secret(), config_map({"ca.crt": CA_PEM}), gateway(), deployment())
    world.carry_out()
    found = look(world)
    assert "--ca=/etc/gateway-telemetry-ca/ca.crt" in container(found)["args"]
    (volume,) = found.job["spec"]["template"]["spec"]["volumes"]
    (source,) = volume["projected"]["sources"]
    assert source["secret"]["items"] == [{"key": "ca.crt", "path": "ca.crt"}]
    assert source["secret"]["optional"] is True


def test_one_look_per_change() -> None:
    first = look(asking())
    assert look(asking()) == first
    assert look(asking(project="another")).name != first.name
    assert look(asking(), replace(PROGRAM, image="registry.example/operator:2")).name != first.name


def test_nothing_is_looked_at_before_something_carries_the_settings() -> None:
    world = World(target(), secret(), gateway(), deployment())
    assert vantage.look_of(world.store.gateways[NS, "checkout"], world.plan(), PROGRAM) is None


@pytest.mark.parametrize(
    ("selector", "labels"),
    [("app=a,tier=b", {"app": "a", "tier": "b"}), ("app=a,tier in (x,y),!old,b!=c", {"app": "a"}), ("", {})],
)
def test_labels_that_are_asked_for(selector: str, labels: dict[str, str]) -> None:
    assert vantage._selected(selector) == labels


def status(delivered: Reason) -> dict[str, tuple[str, str]]:
    world = asking()
    view = world.store.gateways[NS, "checkout"]
    reachable = vantage.seen(NS, Reason.NO_ROUTE, "Nothing.", reached=False)
    told = good("Delivered", delivered) if delivered is Reason.DELIVERED else unknown("Delivered", delivered)
    proof = GatewayProof(unknown("Producing", Reason.NO_SIGNAL), told, None, reachable, "abc")
    found = gateway_status(view, world.plan(), NOW, proof)
    assert found["vantage"] == {"hash": "abc"}
    return {item["type"]: (item["status"], item["reason"]) for item in found["conditions"]}


def test_a_gateway_that_cannot_reach_langsmith_is_not_ready_unless_its_traces_arrive() -> None:
    quiet = status(Reason.NO_TRAFFIC)
    assert quiet["Reachable"] == ("False", "NoRoute")
    assert quiet["Ready"] == ("False", "NoRoute")
    assert status(Reason.DELIVERED)["Ready"] == ("True", "Ready")


def test_a_verdict_is_remembered_with_its_hash() -> None:
    world = asking()
    view = world.store.gateways[NS, "checkout"]
    finding = vantage.seen(NS, Reason.REACHABLE, "LangSmith answers.", reached=True)
    found = gateway_status(
        view, world.plan(), NOW, replace(proofs.without_reading(Reason.PENDING), reachable=finding, vantage="abc")
    )
    again = replace(view, status=found)
    assert vantage.remembered(again, "abc") == finding
    assert vantage.remembered(again, "def") is None


def test_without_a_program_nothing_is_claimed() -> None:
    assert (vantage.switched_off().status, vantage.switched_off().reason) == ("Unknown", Reason.VANTAGE_OFF)
    assert vantage.failed(NS, "gave no verdict (DeadlineExceeded)").reason is Reason.VANTAGE_FAILED


def test_reference_mode_takes_the_ca_from_its_config_map() -> None:
    world = World(target(), secret(), referring(), deployment())
    view = world.store.gateways[NS, "checkout"]
    (workload,) = world.store.workloads_matching(view)
    (source,) = vantage._ca_sources(view, workload)
    assert source["configMap"]["name"].endswith("-ca")
