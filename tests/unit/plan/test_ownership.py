"""Who a workload belongs to when several GatewayTelemetries select it, and what is put back when one lets go."""

from __future__ import annotations

import pytest

from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.plan.gateways import claimant, restorable
from tests.unit.plan.build import (
    NS,
    Object,
    World,
    deployment,
    finding,
    gateway,
    one_gateway,
    only_sink,
    only_write,
    secret,
    target,
)

FIRST, SECOND = "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"


def owner(world: World, name: str = "litellm") -> str | None:
    found = claimant(world.store.workloads["Deployment", NS, name], world.store)
    return None if found is None else found.name


def rivals(*views: Object, workloads: list[Object] | None = None) -> World:
    return World(target(), secret(), *views, *(workloads or [deployment()]))


def test_the_oldest_takes_an_unclaimed_workload() -> None:
    assert owner(rivals(gateway("b", created=FIRST), gateway("a", created=SECOND))) == "b"


def test_of_two_of_the_same_age_the_name_decides() -> None:
    assert owner(rivals(gateway("b"), gateway("a"))) == "a"


def test_one_that_is_being_deleted_takes_nothing() -> None:
    assert owner(rivals(gateway("a", created=FIRST, deleting=True), gateway("b", created=SECOND))) == "b"


def test_one_with_a_broken_spec_takes_nothing() -> None:
    assert owner(rivals(gateway("a", created=FIRST, project=7), gateway("b", created=SECOND))) == "b"


def test_one_of_another_namespace_takes_nothing() -> None:
    assert owner(rivals(gateway("a", "other", created=FIRST))) is None


def test_the_incumbent_keeps_it_from_an_older_one() -> None:
    world = rivals(gateway("young", created=SECOND))
    world.carry_out("young")
    world.put(gateway("old", created=FIRST))
    assert owner(world) == "young"
    assert only_sink(world.plan("young")).state == "Programmed"
    plan = world.plan("old")
    accepted = finding(plan.findings, "Accepted")
    assert (accepted.status, accepted.reason) == ("False", Reason.CONFLICTED)
    assert accepted.message == (
        "Deployment shop/litellm belongs to GatewayTelemetry young: remove one of the two, or narrow a selector"
    )
    assert (plan.sinks, plan.restore) == ((), ())


def test_an_incumbent_that_no_longer_matches_gives_it_up_and_puts_it_back() -> None:
    world = rivals(gateway("young", created=SECOND))
    world.carry_out("young")
    world.put(gateway("young", created=SECOND, labels={"app": "other"}))
    plan = world.plan("young")
    assert finding(plan.findings, "Accepted").reason is Reason.NO_MATCHING_WORKLOADS
    assert [(item.workload, item.owner) for item in plan.restore] == [(("Deployment", "litellm"), (NS, "young"))]


def test_an_incumbent_that_is_being_deleted_hands_over_without_a_conflict() -> None:
    world = rivals(gateway("old", created=FIRST), gateway("young", created=SECOND))
    world.carry_out("old")
    world.put(gateway("old", created=FIRST, deleting=True))
    assert owner(world) == "young"
    write = only_write(world.plan("young"))
    assert (write.secret_stale, write.previous is not None) == (True, True)
    world.carry_out("young")
    assert restorable(world.store, (NS, "old")) == ()
    assert [item.owner for item in restorable(world.store, (NS, "young"))] == [(NS, "young")]


def test_of_several_workloads_only_the_contended_one_is_blocked() -> None:
    world = rivals(
        gateway("old", created=FIRST, labels={"app": "litellm", "tier": "a"}),
        gateway("young", created=SECOND),
        workloads=[deployment("one", labels={"app": "litellm", "tier": "a"}), deployment("two")],
    )
    plan = world.plan("young")
    assert finding(plan.findings, "Accepted").status == "True"
    assert [(sink.workload.name, sink.state, sink.reason) for sink in plan.sinks] == [
        ("one", "Blocked", Reason.CONFLICTED),
        ("two", "Pending", Reason.NOT_WRITTEN),
    ]
    programmed = finding(plan.findings, "Programmed")
    assert (programmed.status, programmed.reason) == ("False", Reason.CONFLICTED)


def test_what_a_changed_selector_leaves_is_put_back_and_the_rest_stays() -> None:
    workloads = [deployment("one"), deployment("two", labels={"app": "litellm", "tier": "b"})]
    world = rivals(gateway(), workloads=workloads)
    world.carry_out()
    world.put(gateway(labels={"tier": "b"}))
    plan = world.plan()
    assert [item.workload for item in plan.restore] == [("Deployment", "one")]
    assert [(sink.workload.name, sink.state) for sink in plan.sinks] == [("two", "Programmed")]


def test_a_workload_whose_labels_left_the_selector_is_put_back() -> None:
    world = rivals(gateway(), workloads=[deployment("one"), deployment("two")])
    world.carry_out()
    changed = world.objects["Deployment", NS, "one"]
    changed["metadata"]["labels"] = {"app": "other"}
    world.put(changed)
    assert [item.workload for item in world.plan().restore] == [("Deployment", "one")]


@pytest.mark.parametrize("policy", ["Restore", "Orphan"])
def test_the_deletion_policy_speaks_of_deletion_only(policy: str) -> None:
    world = rivals(gateway(deletionPolicy=policy))
    world.carry_out()
    world.put(gateway(deletionPolicy=policy, labels={"app": "other"}))
    assert len(world.plan().restore) == 1
    expected = [] if policy == "Orphan" else [("Deployment", "litellm")]
    assert [item.workload for item in restorable(world.store, (NS, "checkout"))] == expected


@pytest.mark.parametrize(("policy", "count"), [("Orphan", 0), ("Restore", 1)])
def test_what_an_earlier_object_of_the_same_name_left_on_purpose_is_left_alone(policy: str, count: int) -> None:
    world = rivals(gateway(deletionPolicy=policy))
    world.carry_out()
    again = gateway(labels={"app": "other"})
    again["metadata"]["uid"] = "made-anew"
    world.put(again)
    assert len(world.plan().restore) == count


def test_a_takeover_between_objects_of_files_is_one_between_names() -> None:
    world = rivals(*(without_uid(gateway(name, created=age)) for name, age in (("old", FIRST), ("young", SECOND))))
    world.carry_out("old")
    world.store.drop_gateway((NS, "old"))
    write = only_write(world.plan("young"))
    assert write.secret_stale
    world.carry_out("young")
    assert not only_write(world.plan("young")).due


def without_uid(obj: Object) -> Object:
    del obj["metadata"]["uid"]
    return obj


def test_an_object_made_anew_takes_over_what_its_predecessor_left() -> None:
    world = rivals(gateway(deletionPolicy="Orphan"))
    world.carry_out()
    again = gateway(deletionPolicy="Orphan")
    again["metadata"]["uid"] = "made-anew"
    world.put(again)
    write = only_write(world.plan())
    assert (write.secret_stale, write.template_stale) == (True, False)
    world.carry_out()
    assert world.store.records[NS, "gateway-telemetry-deployment-litellm"].owner_uid == "made-anew"


def test_a_broken_spec_changes_nothing_that_runs() -> None:
    world = one_gateway()
    world.carry_out()
    world.put(gateway(project=7))
    plan = world.plan()
    accepted = finding(plan.findings, "Accepted")
    assert (accepted.status, accepted.reason) == ("False", Reason.INVALID_SPEC)
    assert accepted.message.startswith("spec.project: ")
    assert (plan.sinks, plan.restore) == ((), ())
    assert finding(plan.findings, "Programmed").message == "Nothing new is written: the spec must be accepted first."


@pytest.mark.parametrize("selector", [{}, {"matchLabels": {}}, {"matchExpressions": []}, None])
def test_an_empty_selector_selects_nothing(selector: object) -> None:
    view = gateway()
    view["spec"]["install"]["inject"]["workloads"]["selector"] = selector
    plan = one_gateway(view=view).plan()
    assert finding(plan.findings, "Accepted").reason is Reason.INVALID_SPEC
    assert plan.sinks == ()


def test_a_selector_that_matches_nothing_says_where_it_looked() -> None:
    plan = World(target(), secret(), gateway(), deployment("app", "other")).plan()
    accepted = finding(plan.findings, "Accepted")
    assert (accepted.status, accepted.reason) == ("False", Reason.NO_MATCHING_WORKLOADS)
    assert accepted.message == (
        "spec.install.inject.workloads.selector matches no Deployment in namespace shop: compare it with kubectl get "
        "deployments -n shop --show-labels"
    )


def test_a_workload_that_is_being_deleted_is_neither_written_nor_put_back() -> None:
    world = rivals(gateway(), workloads=[deployment("one"), deployment("two")])
    world.carry_out()
    leaving = world.objects["Deployment", NS, "one"]
    leaving["metadata"]["deletionTimestamp"] = "2026-01-09T00:00:00Z"
    world.put(leaving)
    plan = world.plan()
    assert [sink.workload.name for sink in plan.sinks] == ["two"]
    assert plan.restore == ()


def test_when_only_workloads_that_are_being_deleted_match_none_matches() -> None:
    plan = one_gateway(workload=deployment(deleting=True)).plan()
    assert finding(plan.findings, "Accepted").reason is Reason.NO_MATCHING_WORKLOADS


def test_what_is_accepted_is_counted() -> None:
    assert finding(one_gateway().plan().findings, "Accepted").message == "Matches litellm."
    world = rivals(gateway(), workloads=[deployment("one"), deployment("two")])
    assert finding(world.plan().findings, "Accepted").message == "Matches 2 workloads."
