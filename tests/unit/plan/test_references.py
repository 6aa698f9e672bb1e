"""What a GatewayTelemetry refers to: a target that admits it, and a project that the target allows."""

from __future__ import annotations

from typing import Any

import pytest

from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.plan.gateways import GatewayPlan
from tests.unit.plan.build import (
    NS,
    Object,
    World,
    deployment,
    finding,
    gateway,
    namespace_object,
    one_gateway,
    only_sink,
    only_write,
    secret,
    target,
)

TEAM = {"from": "Selector", "selector": {"matchLabels": {"team": "payments"}}}
SHARED = {"name": "shared", "namespace": "platform"}


def refused(plan: GatewayPlan, reason: Reason) -> str:
    """Return the message of ResolvedRefs, which is False; nothing is written."""
    found = finding(plan.findings, "ResolvedRefs")
    assert (found.status, found.reason) == ("False", reason)
    programmed = finding(plan.findings, "Programmed")
    assert (programmed.status, programmed.reason) == ("Unknown", Reason.PENDING)
    assert programmed.message == "Nothing new is written: the references must be resolved first."
    assert finding(plan.findings, "Ready").reason is reason
    assert [(sink.state, sink.write) for sink in plan.sinks] == [("Pending", None)]
    assert plan.endpoint is None
    return found.message


def across(consent: dict[str, Any] | None, *more: Object, **spec: Any) -> World:
    """Return a world whose gateway in shop uses a target in platform."""
    return World(
        target("shared", "platform", allowedNamespaces=consent, **spec),
        secret(namespace="platform"),
        gateway(targetRef=SHARED),
        deployment(),
        *more,
    )


def test_a_resolved_gateway_says_where_its_traces_go() -> None:
    plan = one_gateway(view=gateway(project="payments")).plan()
    assert finding(plan.findings, "ResolvedRefs").message == "Traces go to project 'payments'."
    assert plan.endpoint == ("https://eu.api.smith.langchain.com/otel/v1/traces", "payments")


def test_a_target_of_the_own_namespace_that_is_missing() -> None:
    message = refused(World(gateway(), deployment()).plan(), Reason.TARGET_NOT_FOUND)
    assert message == "spec.targetRef: LangSmithTarget shop/langsmith was not found: check the name"


@pytest.mark.parametrize(
    ("consent", "namespaces"),
    [
        ({"from": "All"}, []),
        (
            TEAM,
            [namespace_object(NS, team="payments")],
        ),
        (
            {"from": "Selector", "selector": {"matchExpressions": [{"key": "team", "operator": "Exists"}]}},
            [namespace_object(NS, team="x")],
        ),
    ],
)
def test_consent_of_the_target_s_owner_admits(consent: dict[str, Any], namespaces: list[Object]) -> None:
    plan = across(consent, *namespaces).plan()
    assert finding(plan.findings, "ResolvedRefs").status == "True"
    assert only_write(plan).due


@pytest.mark.parametrize(
    ("consent", "namespaces"),
    [
        (None, []),
        ({"from": "Same"}, []),
        (
            TEAM,
            [namespace_object(NS, team="search")],
        ),
        (
            TEAM,
            [namespace_object("other", team="payments")],
        ),
        ({"from": "Selector", "selector": {"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}}, []),
    ],
)
def test_a_target_that_does_not_admit_the_namespace_reads_like_one_that_is_not_there(
    consent: dict[str, Any] | None, namespaces: list[Object]
) -> None:
    there = across(consent, *namespaces).plan()
    absent = World(gateway(targetRef=SHARED), deployment(), *namespaces).plan()
    assert refused(there, Reason.TARGET_NOT_FOUND) == (
        "spec.targetRef: LangSmithTarget platform/shared was not found, or it does not admit namespace shop: check the "
        "name, and spec.allowedNamespaces of that target"
    )
    assert there == absent


def test_a_broken_target_that_does_not_admit_the_namespace_reads_like_that_as_well() -> None:
    broken = across(None, project=7).plan()
    assert broken == World(gateway(targetRef=SHARED), deployment()).plan()


def test_consent_that_is_withdrawn_takes_back_what_was_written() -> None:
    world = across({"from": "All"})
    world.carry_out()
    assert only_sink(world.plan()).state == "Programmed"
    world.put(target("shared", "platform"))
    plan = world.plan()
    refused(plan, Reason.TARGET_NOT_FOUND)
    assert [record.workload for record in plan.restore] == [("Deployment", "litellm")]


def test_consent_that_is_withdrawn_takes_back_the_key_whatever_the_deletion_policy() -> None:
    world = across({"from": "All"})
    world.put(gateway(targetRef=SHARED, deletionPolicy="Orphan"))
    world.carry_out()
    world.put(target("shared", "platform"))
    assert len(world.plan().restore) == 1


def test_a_target_that_is_gone_keeps_what_runs() -> None:
    world = one_gateway()
    world.carry_out()
    world.store.drop_target((NS, "langsmith"))
    plan = world.plan()
    refused(plan, Reason.TARGET_NOT_FOUND)
    assert plan.restore == ()


def test_a_target_that_is_not_ready_keeps_what_runs_and_says_why() -> None:
    world = one_gateway()
    world.carry_out()
    del world.store.sources["Secret", NS, "langsmith"]
    plan = world.plan()
    message = refused(plan, Reason.TARGET_NOT_READY)
    assert message.startswith(
        "LangSmithTarget shop/langsmith: ResolvedRefs is False (SecretNotFound): spec.credentials.ingest.secretRef: "
    )
    assert plan.restore == ()


def test_a_target_of_another_namespace_that_is_not_ready_tells_no_details() -> None:
    world = across({"from": "All"})
    del world.store.sources["Secret", "platform", "langsmith"]
    message = refused(world.plan(), Reason.TARGET_NOT_READY)
    assert message == "LangSmithTarget platform/shared: ResolvedRefs is False (SecretNotFound)"


def test_a_target_with_a_broken_spec_is_not_ready() -> None:
    message = refused(one_gateway(target(saas={"region": "mars"})).plan(), Reason.TARGET_NOT_READY)
    assert message.startswith("LangSmithTarget shop/langsmith: Accepted is False (InvalidSpec): spec.saas.region: ")


def test_a_suspended_target_keeps_what_runs() -> None:
    world = one_gateway()
    world.carry_out()
    world.put(target(suspend=True))
    assert only_sink(world.plan()).state == "Programmed"


def test_a_suspended_target_has_nothing_new_written() -> None:
    world = one_gateway()
    world.carry_out()
    world.put(target(suspend=True, saas={"region": "us"}))
    plan = world.plan()
    sink = only_sink(plan)
    assert (sink.state, sink.reason, sink.write) == ("Pending", Reason.TARGET_SUSPENDED, None)
    assert (
        sink.message == "Deployment shop/litellm does not carry them yet: LangSmithTarget shop/langsmith is suspended"
    )
    assert plan.restore == ()


def test_the_gateway_s_project_goes_before_the_target_s() -> None:
    assert one_gateway().plan().endpoint == ("https://eu.api.smith.langchain.com/otel/v1/traces", "checkout")
    write = only_write(one_gateway(view=gateway(project="a, b")).plan())
    assert write.files["otlp-headers"].endswith(",langsmith-project=a%2C%20b")


@pytest.mark.parametrize(
    ("on_target", "on_gateway", "reason", "text"),
    [
        ({"project": None}, None, Reason.PROJECT_MISSING, "traces would land in 'default': set spec.project"),
        (
            {"project": None, "allowedProjects": ["search"]},
            "payments",
            Reason.PROJECT_NOT_ALLOWED,
            "spec.project: LangSmithTarget shop/langsmith does not allow project 'payments'",
        ),
        ({}, "проект", Reason.PROJECT_NOT_HEADER_SAFE, "spec.project: the project's name holds 'п'"),
        (
            {"project": "проект"},
            None,
            Reason.PROJECT_NOT_HEADER_SAFE,
            "spec.project of LangSmithTarget shop/langsmith: the project's name holds 'п'",
        ),
        ({}, '"checkout"', Reason.INVALID_SPEC, "spec.project: the project's name is surrounded by quotes"),
    ],
)
def test_a_project_that_cannot_be_used(on_target: Any, on_gateway: str | None, reason: Reason, text: str) -> None:
    plan = World(target(**on_target), secret(), gateway(project=on_gateway), deployment()).plan()
    assert text in refused(plan, reason)


def test_an_allowed_project_is_used() -> None:
    world = one_gateway(target(project=None, allowedProjects=["search", "payments"]), view=gateway(project="payments"))
    assert finding(world.plan().findings, "ResolvedRefs").status == "True"


def test_a_project_beyond_ascii_is_remarked() -> None:
    plan = one_gateway(view=gateway(project="café")).plan()
    assert finding(plan.findings, "ResolvedRefs").status == "True"
    assert len(plan.advice) == 1
    assert plan.advice[0].startswith("the project's name is not ASCII")


def test_another_target_is_an_update_and_not_a_restore() -> None:
    world = one_gateway(target("other", saas={"region": "us"}))
    world.carry_out()
    world.put(gateway(targetRef={"name": "other"}))
    plan = world.plan()
    assert plan.restore == ()
    assert only_write(plan).previous is not None
