"""Caps, order, stops and fights, with the real gate and planner; rollouts and clock are the test's."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.control.gate import Limits
from gateway_telemetry.plan.targets import Refused
from tests.unit.control.rollouts import Cluster
from tests.unit.plan import build
from tests.unit.plan.build import NS


def three(limits: Limits) -> Cluster:
    """Return a cluster with the gateways a, b and c, a the oldest."""
    cluster = Cluster(limits)
    for day, name in enumerate("abc", 2):
        cluster.add(name, day)
    return cluster


def test_without_limits_everybody_goes_at_once() -> None:
    cluster = three(Limits())
    assert [cluster.reason(name) for name in "cba"] == [Reason.ROLLOUT_IN_PROGRESS] * 3
    assert cluster.later == {}


def test_no_more_than_the_cap_are_under_way_in_the_cluster() -> None:
    cluster = three(Limits(cluster=2))
    assert [cluster.reason(name) for name in "abc"] == [
        Reason.ROLLOUT_IN_PROGRESS,
        Reason.ROLLOUT_IN_PROGRESS,
        Reason.ROLLOUT_QUEUED,
    ]
    assert cluster.message("c") == (
        "Deployment shop/c waits for its turn: 2 rollouts are under way in the cluster, as many as the operator allows"
    )
    assert cluster.writes == ["a", "b"]
    cluster.finish("a")
    cluster.reconcile("a")
    cluster.drain()
    assert cluster.writes == ["a", "b", "c"]


def test_the_cap_of_a_namespace_does_not_hold_another() -> None:
    cluster = three(Limits(cluster=10, namespace=1))
    cluster.add("d", 9, "bank")
    assert cluster.reason("a") is Reason.ROLLOUT_IN_PROGRESS
    assert cluster.message("b") == (
        "Deployment shop/b waits for its turn: 1 rollouts are under way in namespace shop, as many as the operator "
        "allows"
    )
    assert cluster.reason("d", "bank") is Reason.ROLLOUT_IN_PROGRESS


@pytest.mark.parametrize("limits", [Limits(namespace=1), Limits(cluster=3, namespace=1)])
def test_those_that_wait_for_a_full_namespace_do_not_wake_each_other(limits: Limits) -> None:
    cluster = three(limits)
    for name in "abc":
        cluster.reconcile(name)
    cluster.drain()
    assert cluster.writes == ["a"]


def test_the_oldest_goes_first_whoever_asks_first() -> None:
    cluster = three(Limits(cluster=1))
    cluster.reconcile("a")
    assert [cluster.reason(name) for name in "cb"] == [Reason.ROLLOUT_QUEUED] * 2
    cluster.finish("a")
    # c looks before anybody was told.
    assert cluster.message("c") == "Deployment shop/c waits for its turn: Deployment shop/b is before it"
    cluster.drain()
    assert cluster.writes == ["a", "b"]


def test_an_older_one_that_its_namespace_holds_does_not_hold_others() -> None:
    cluster = Cluster(Limits(cluster=2, namespace=1))
    cluster.add("a", 2)
    cluster.add("b", 3)
    cluster.add("c", 4, "bank")
    assert [cluster.reason("a"), cluster.reason("b"), cluster.reason("c", "bank")] == [
        Reason.ROLLOUT_IN_PROGRESS,
        Reason.ROLLOUT_QUEUED,
        Reason.ROLLOUT_IN_PROGRESS,
    ]


def test_a_workload_without_replicas_neither_waits_nor_counts() -> None:
    cluster = three(Limits(cluster=1))
    cluster.add("idle", 9, replicas=0)
    cluster.reconcile("a")
    cluster.reconcile("idle")
    assert cluster.writes == ["a", "idle"]
    cluster.finish("a")
    cluster.reconcile("b")
    assert cluster.writes == ["a", "idle", "b"]


def test_a_turn_counts_before_the_watch_tells_of_the_write() -> None:
    cluster = three(Limits(cluster=1))
    plan = cluster.world.plan("a")
    assert [item.state for item in plan.sinks] == ["Pending"]
    assert build.only_write(plan).due
    assert build.only_sink(cluster.world.plan("b")).reason is Reason.ROLLOUT_QUEUED


def test_a_write_that_fails_gives_its_turn_back() -> None:
    cluster = three(Limits(cluster=1))
    cluster.refused.add("a")
    assert cluster.reason("a") is Reason.RBAC_DENIED
    assert cluster.reason("b") is Reason.ROLLOUT_IN_PROGRESS


def test_a_suspended_gateway_keeps_no_turn() -> None:
    cluster = three(Limits(cluster=1))
    cluster.edit("a", suspend=True)
    cluster.reconcile("a")
    assert cluster.reason("b") is Reason.ROLLOUT_IN_PROGRESS
    assert cluster.writes == ["b"]


def test_a_change_of_what_is_rolling_takes_no_second_turn() -> None:
    cluster = three(Limits(cluster=1))
    cluster.reconcile("a")
    cluster.edit("a", project="other")
    assert cluster.reason("a") is Reason.ROLLOUT_IN_PROGRESS
    assert cluster.writes == ["a", "a"]


@pytest.mark.parametrize("leaves", ["deleted", "deselected", "workload"])
def test_one_that_leaves_while_it_waits_does_not_hold_the_younger(leaves: str) -> None:
    cluster = three(Limits(cluster=1))
    for name in "abc":
        cluster.reconcile(name)
    if leaves == "deleted":
        cluster.remove("b")
    elif leaves == "workload":
        cluster.world.store.drop_workload(("Deployment", NS, "b"))
    else:
        workloads = {"selector": {"matchLabels": {"app": "nothing"}}}
        cluster.edit("b", install={"inject": {"workloads": workloads}})
        cluster.reconcile("b")
    cluster.finish("a")
    cluster.reconcile("a")
    cluster.drain()
    assert cluster.writes == ["a", "c"]


def test_one_that_leaves_with_a_turn_gives_it_back() -> None:
    cluster = three(Limits(cluster=1))
    cluster.world.plan("a")
    cluster.remove("a")
    assert cluster.reason("b") is Reason.ROLLOUT_IN_PROGRESS


def test_what_is_restored_lets_the_next_one_go() -> None:
    cluster = three(Limits(cluster=1))
    cluster.reconcile("a")
    cluster.reconcile("b")
    cluster.remove("a")
    cluster.world.put(build.deployment("a", labels={"app": "a"}, generation=3))
    cluster.gate.gone([("Deployment", NS, "a")])
    cluster.drain()
    assert cluster.writes == ["a", "b"]


def take_out(cluster: Cluster, name: str) -> Refused | None:
    """Take the settings out of a Deployment if the gate lets one; its pods are then replaced."""
    key = "Deployment", NS, name
    refusal = cluster.gate.restore(cluster.world.store.workloads[key])
    if refusal is None:
        cluster.change(build.deployment(name, labels={"app": name}, generation=3))
        cluster.gate.gone([key])
        cluster.gate.restored(key)
    return refusal


def test_restores_count_like_rollouts_and_wait_like_them() -> None:
    cluster = three(Limits(namespace=1))
    for name in "ab":
        cluster.reconcile(name)
        cluster.finish(name)
        cluster.reconcile(name)
    assert take_out(cluster, "a") is None
    refusal = take_out(cluster, "b")
    assert refusal is not None
    assert (refusal.reason, refusal.message) == (
        Reason.ROLLOUT_QUEUED,
        "Deployment shop/b waits until what was written is taken out of it: 1 rollouts are under way in the cluster, 1 "
        "of them in its namespace, as many as the operator allows",
    )
    assert cluster.reason("c") is Reason.ROLLOUT_QUEUED
    assert cluster.later["c"] == 2.0
    cluster.finish("a")
    assert take_out(cluster, "b") is None
    cluster.finish("b")
    assert cluster.reason("c") is Reason.ROLLOUT_IN_PROGRESS


def test_a_rollout_holds_a_restore() -> None:
    cluster = three(Limits(cluster=1))
    for name in "ab":
        cluster.reconcile(name)
        cluster.finish(name)
        cluster.reconcile(name)
    cluster.reconcile("c")
    assert take_out(cluster, "a") is not None
    cluster.finish("c")
    cluster.reconcile("c")
    assert take_out(cluster, "a") is None


def test_a_restore_that_changed_nothing_or_replaces_no_pods_holds_nobody() -> None:
    cluster = Cluster(Limits(cluster=1))
    cluster.add("idle", 2, replicas=0)
    cluster.add("a", 3)
    assert take_out(cluster, "idle") is None
    key = "Deployment", NS, "a"
    assert cluster.gate.restore(cluster.world.store.workloads[key]) is None
    cluster.gate.restored(key)
    assert len(cluster.gate) == 0
    assert cluster.reason("a") is Reason.ROLLOUT_IN_PROGRESS


def test_one_that_waits_looks_again_by_itself() -> None:
    cluster = three(Limits(cluster=1))
    cluster.reconcile("a")
    cluster.reconcile("b")
    assert cluster.later == {"b": 60.0}


# Failures


def test_a_failed_rollout_stops_the_others_of_its_target() -> None:
    cluster = three(Limits())
    cluster.reconcile("a")
    cluster.crash("a")
    assert cluster.message("a") == "Deployment shop/a: pod new: container litellm: CrashLoopBackOff"
    assert cluster.message("b") == (
        "Deployment shop/b waits: the rollout of Deployment shop/a failed with settings of the same target; mend that, "
        "or go on anyway with kubectl annotate gatewaytelemetry b -n shop --overwrite "
        "gatewaytelemetry.dev/requestedAt=$(date +%s)"
    )
    assert cluster.writes == ["a"]


@pytest.mark.parametrize("first", ["a", "b"])
def test_a_restart_knows_what_had_failed(first: str) -> None:
    """Whoever is looked at first; the pods that crash are read only when it is the turn of their gateway."""
    cluster = three(Limits())
    cluster.reconcile("a")
    cluster.crash("a")
    cluster.reconcile("a")
    assert cluster.reason("b") is Reason.ROLLOUT_STOPPED
    cluster.restart()
    cluster.reconcile(first)
    assert [cluster.reason(name) for name in "bca"] == [
        Reason.ROLLOUT_STOPPED,
        Reason.ROLLOUT_STOPPED,
        Reason.ROLLOUT_FAILED,
    ]
    assert cluster.writes == ["a"]
    cluster.finish("a")
    cluster.reconcile("a")
    cluster.drain()
    assert cluster.writes == ["a", "b", "c"]


def test_a_failed_rollout_of_another_target_stops_nobody() -> None:
    cluster = three(Limits(cluster=1))
    cluster.add("d", 9, target="other")
    cluster.reconcile("a")
    cluster.crash("a")
    cluster.reconcile("a")
    # A crash loop ends by no deadline of a StatefulSet: it holds no place in the queue either.
    assert cluster.reason("d") is Reason.ROLLOUT_IN_PROGRESS


def test_what_failed_may_be_mended_and_the_others_then_go_on_by_themselves() -> None:
    cluster = three(Limits(cluster=1))
    cluster.reconcile("a")
    cluster.crash("a")
    cluster.reconcile("a")
    assert [cluster.reason(name) for name in "bc"] == [Reason.ROLLOUT_STOPPED] * 2
    cluster.edit("a", project="other")
    assert cluster.reason("a") is Reason.ROLLOUT_IN_PROGRESS
    cluster.drain()
    assert cluster.writes == ["a", "a"]
    cluster.finish("a")
    cluster.reconcile("a")
    cluster.drain()
    assert cluster.writes == ["a", "a", "b"]


@pytest.mark.parametrize("leaves", ["deleted", "workload"])
def test_a_failure_that_is_gone_stops_nobody(leaves: str) -> None:
    cluster = three(Limits())
    cluster.reconcile("a")
    cluster.crash("a")
    cluster.reconcile("a")
    assert cluster.reason("b") is Reason.ROLLOUT_STOPPED
    if leaves == "deleted":
        cluster.remove("a")
    else:
        cluster.world.store.drop_workload(("Deployment", NS, "a"))
    cluster.gate.gone([])
    cluster.drain()
    assert cluster.writes == ["a", "b"]


@pytest.mark.parametrize("deleting", ["b", "bc"])
def test_a_workload_that_is_being_deleted_keeps_no_place_in_the_queue(deleting: str) -> None:
    """Foreground deletion, or a finalizer of somebody's, can take long; nothing is ever written into it again."""
    cluster = three(Limits(cluster=1))
    cluster.add("d", 9)
    assert [cluster.reason(name) for name in "abcd"] == [Reason.ROLLOUT_IN_PROGRESS, *[Reason.ROLLOUT_QUEUED] * 3]
    for name in deleting:
        cluster.world.put(build.deployment(name, labels={"app": name}, deleting=True))
    cluster.finish("a")
    cluster.reconcile("a")
    cluster.drain()
    left = [name for name in "bcd" if name not in deleting]
    assert cluster.writes == ["a", left[0]]


def test_a_workload_that_is_being_deleted_while_it_rolls_takes_no_turn_from_others() -> None:
    cluster = three(Limits(cluster=1))
    assert cluster.reason("a") is Reason.ROLLOUT_IN_PROGRESS
    assert cluster.reason("b") is Reason.ROLLOUT_QUEUED
    live = cluster.deployment("a")
    cluster.world.put({**live, "metadata": {**live["metadata"], "deletionTimestamp": "2026-01-09T00:00:00Z"}})
    assert cluster.reason("b") is Reason.ROLLOUT_IN_PROGRESS


def test_a_workload_that_another_gateway_took_over_keeps_no_place_in_the_queue() -> None:
    """It still matches the selector of the one that waited; only that one's plan shows that it has lost it."""
    cluster = three(Limits(cluster=1))
    cluster.reconcile("a")
    assert [cluster.reason(name) for name in "bc"] == [Reason.ROLLOUT_QUEUED] * 2
    cluster.edit("b", targetRef={"name": "nowhere"})
    cluster.world.put(build.gateway("older", created="2026-01-01T00:00:00Z", labels={"app": "b"}, suspend=True))
    cluster.reconcile("b")
    cluster.finish("a")
    cluster.reconcile("a")
    cluster.drain()
    assert cluster.writes == ["a", "c"]


def test_who_is_asked_goes_on_in_spite_of_the_failure_also_when_it_has_to_wait() -> None:
    cluster = Cluster(Limits(cluster=1))
    for day, name in enumerate("abcd", 2):
        cluster.add(name, day, target="other" if name == "d" else "langsmith")
    cluster.reconcile("a")
    cluster.crash("a")
    cluster.reconcile("a")
    cluster.reconcile("d")
    cluster.edit("b", {"requestedAt": "1"})
    assert cluster.reason("b") is Reason.ROLLOUT_QUEUED
    assert cluster.world.store.gateways[NS, "b"].status["lastHandledRequest"] == "1"
    cluster.finish("d")
    cluster.reconcile("d")
    cluster.drain()
    assert cluster.writes == ["a", "d", "b"]
    assert cluster.reason("c") is Reason.ROLLOUT_STOPPED


def test_who_was_asked_to_go_on_stops_at_the_next_failure() -> None:
    cluster = three(Limits())
    for name in "ab":
        cluster.reconcile(name)
    cluster.crash("a")
    cluster.reconcile("a")
    cluster.edit("c", {"requestedAt": "1"})
    assert cluster.reason("c") is Reason.ROLLOUT_IN_PROGRESS
    cluster.finish("c")
    cluster.crash("b")
    cluster.reconcile("b")
    cluster.edit("c", {"requestedAt": "1"}, project="other")
    assert "the rollout of Deployment shop/b failed" in cluster.message("c")


# Fights


def fight(cluster: Cluster, name: str = "a") -> Reason:
    """Take the settings away and return what the operator makes of it."""
    cluster.undo(name)
    return cluster.reason(name)


def settled(limits: Limits | None = None) -> Cluster:
    """Return a cluster in which all have their settings."""
    cluster = three(limits or Limits())
    for name in "abc":
        cluster.reconcile(name)
        cluster.finish(name)
        cluster.reconcile(name)
    cluster.drain()
    cluster.writes.clear()
    return cluster


def test_repairs_come_after_growing_pauses_and_end_with_the_opponent_named() -> None:
    cluster = settled()
    for pause in (5.0, 30.0, 120.0, 600.0):
        assert fight(cluster) is Reason.ROLLOUT_IN_PROGRESS
        assert fight(cluster) is Reason.NOT_WRITTEN
        assert cluster.later["a"] == pause
        assert cluster.message("a") == (
            "Deployment shop/a: the settings were taken away (the last other field manager there: 'flux'); they are "
            f"put back {pause:.0f} s after the last time that they were"
        )
        cluster.now += pause - 1
        assert cluster.reason("a") is Reason.NOT_WRITTEN
        cluster.now += 1
    assert fight(cluster) is Reason.ROLLOUT_IN_PROGRESS
    assert cluster.writes == ["a"] * 5
    cluster.now += 900
    assert fight(cluster) is Reason.FOUGHT_OVER
    assert cluster.later["a"] == 3600 - 755 - 900 + 1
    sink = build.only_sink(cluster.reconcile("a"))
    assert sink.state == "Blocked"
    assert sink.message == (
        "Deployment shop/a: the settings were taken away 6 times within the last hour (the last other field manager "
        "there: 'flux'); they are not put back again before the spec changes, somebody sets "
        "gatewaytelemetry.dev/requestedAt, or an hour has passed"
    )
    cluster.now = 3600.0
    assert cluster.reason("a") is Reason.ROLLOUT_IN_PROGRESS


def test_an_hour_of_fights_has_at_most_five_writes() -> None:
    cluster = settled()
    for _ in range(3600):
        if not cluster.world.store.workloads["Deployment", NS, "a"].config_hash:
            cluster.reconcile("a")
        else:
            fight(cluster)
        cluster.now += 1
    assert cluster.writes == ["a"] * 5
    assert fight(cluster, "b") is Reason.ROLLOUT_IN_PROGRESS


def test_somebody_who_also_edits_the_secret_is_a_fighter_all_the_same() -> None:
    cluster = settled()
    for _ in range(20):
        spoilt = dict(cluster.world.objects["Secret", NS, "gateway-telemetry-deployment-a"])
        spoilt["data"] = {**spoilt["data"], "otlp-headers": ""}
        cluster.world.put(spoilt)
        fight(cluster)
    assert cluster.writes == ["a"]


def test_a_write_that_fails_is_no_repair() -> None:
    cluster = settled()
    cluster.refused.add("a")
    for _ in range(20):
        assert fight(cluster) is Reason.RBAC_DENIED
    cluster.refused.clear()
    assert fight(cluster) is Reason.ROLLOUT_IN_PROGRESS


def test_a_fight_is_not_made_shorter_by_looking_more_often() -> None:
    cluster = settled()
    cluster.undo("a")
    for _ in range(20):
        cluster.world.plan("a")
    cluster.reconcile("a")
    cluster.undo("a")
    cluster.now += 5
    assert cluster.reason("a") is Reason.ROLLOUT_IN_PROGRESS


@pytest.mark.parametrize("afresh", ["spec", "request"])
def test_a_new_spec_or_a_request_starts_afresh(afresh: str) -> None:
    cluster = settled()
    for _ in range(5):
        fight(cluster)
        cluster.now += 600
    assert fight(cluster) is Reason.FOUGHT_OVER
    if afresh == "spec":
        cluster.edit("a", deletionPolicy="Orphan")
    else:
        cluster.edit("a", {"requestedAt": "1"})
    assert cluster.reason("a") is Reason.ROLLOUT_IN_PROGRESS
    assert fight(cluster) is Reason.NOT_WRITTEN


def test_a_workload_that_is_made_anew_is_no_fight() -> None:
    cluster = settled()
    for number in range(10):
        cluster.world.put(build.deployment("a", labels={"app": "a"}, uid=f"uid-{number}"))
        assert cluster.reason("a") is Reason.ROLLOUT_IN_PROGRESS


def test_a_repair_waits_for_its_turn_like_any_other_change() -> None:
    cluster = settled(Limits(cluster=1))
    cluster.undo("a")
    cluster.undo("b")
    assert cluster.reason("a") is Reason.ROLLOUT_IN_PROGRESS
    assert cluster.reason("b") is Reason.ROLLOUT_QUEUED


def test_an_hour_of_fights_over_the_operators_own_secret_has_at_most_five_writes() -> None:
    cluster = settled()
    name = "gateway-telemetry-deployment-a"
    right = cluster.world.objects["Secret", NS, name]["data"]["otlp-headers"]
    writes = 0
    for second in range(3599):
        obj = cluster.world.objects["Secret", NS, name]
        metadata = {**obj["metadata"], "resourceVersion": str(second)}
        cluster.world.put({**obj, "metadata": metadata, "data": {**obj["data"], "otlp-headers": ""}})
        cluster.reconcile("a")
        writes += cluster.world.objects["Secret", NS, name]["data"]["otlp-headers"] == right
        cluster.now += 1
    assert writes == 5
    assert cluster.writes == []
    sink = build.only_sink(cluster.reconcile("a"))
    assert (sink.state, sink.reason) == ("Blocked", Reason.FOUGHT_OVER)
    assert sink.message.startswith("Secret shop/gateway-telemetry-deployment-a: the settings were taken away 6 times")


def test_an_hour_of_deletions_of_the_operators_own_secret_has_at_most_five_writes() -> None:
    cluster = settled()
    store, key = cluster.world.store, (NS, "gateway-telemetry-deployment-a")
    writes = 0
    for second in range(3599):
        if key in store.records:
            cluster.delete_secret(key[1], second)
        cluster.reconcile("a")
        writes += key in store.records
        cluster.now += 1
    assert writes == 5
    assert cluster.writes == []
    sink = build.only_sink(cluster.reconcile("a"))
    assert (sink.state, sink.reason) == ("Blocked", Reason.FOUGHT_OVER)


@pytest.mark.parametrize("kind", ["Secret", "ConfigMap"])
def test_an_hour_of_deletions_of_what_a_chart_refers_to_has_at_most_five_writes(kind: str) -> None:
    cluster = Cluster(Limits())
    takes = [{"secretRef": {"name": "litellm-otlp"}}]
    mounts = [{"name": "ca", "configMap": {"name": "litellm-otlp-ca"}}]
    world, store = cluster.world, cluster.world.store
    there: Mapping[tuple[str, str], object]
    world.put(build.hosted("https://ls.shop.svc", caBundleRef={"kind": "ConfigMap", "name": "corp-ca"}))
    world.put(build.config_map({"ca.crt": build.CA_PEM}))
    world.put(build.deployment(containers=[build.container(envFrom=takes)], volumes=mounts))
    world.put(build.referring())
    world.run(build.pod())
    world.carry_out()
    there, key, delete = store.records, (NS, "litellm-otlp"), cluster.delete_secret
    if kind == "ConfigMap":
        there, key, delete = store.ca_copies, (NS, "litellm-otlp-ca"), cluster.delete_ca
    writes = 0
    for second in range(3599):
        if key in there:
            delete(key[1], second)
        for _ in range(2):
            world.plan()
        world.carry_out()
        writes += key in there
        cluster.now += 1
    assert writes == 5
    assert build.only_sink(world.plan()).reason is Reason.FOUGHT_OVER


def test_an_hour_of_fights_over_a_referenced_secret_has_at_most_five_writes_and_no_memory_afterwards() -> None:
    cluster = Cluster(Limits())
    takes = [{"secretRef": {"name": "litellm-otlp"}}]
    cluster.world.put(build.deployment(containers=[build.container(envFrom=takes)]))
    cluster.world.put(build.referring())
    cluster.world.carry_out()
    times = set()
    for second in range(3599):
        obj = cluster.world.objects["Secret", NS, "litellm-otlp"]
        cluster.world.put({**obj, "data": {**obj["data"], "OTEL_EXPORTER_OTLP_PROTOCOL": ""}})
        for _ in range(2):
            cluster.world.plan()
        cluster.world.carry_out(now=f"2026-01-04T00:{second // 60:02}:{second % 60:02}Z")
        times.add(cluster.world.store.records[NS, "litellm-otlp"].changed_at)
        cluster.now += 1
    assert sorted(time[11:19] for time in times) == ["00:00:00", "00:00:05", "00:00:35", "00:02:35", "00:12:35"]
    sink = build.only_sink(cluster.world.plan())
    assert (sink.state, sink.reason) == ("Blocked", Reason.FOUGHT_OVER)
    assert sink.message.startswith(
        "Secret shop/litellm-otlp: the settings were taken away 6 times within the last hour; they are not put back"
    )
    cluster.remove("checkout")
    cluster.gate.gone([])
    assert len(cluster.gate) == 0


# Memory


def test_nothing_is_remembered_of_what_is_gone() -> None:
    cluster = three(Limits(cluster=1))
    for name in "abc":
        cluster.reconcile(name)
    cluster.crash("a")
    cluster.reconcile("a")
    cluster.edit("b", {"requestedAt": "1"})
    cluster.reconcile("b")
    assert len(cluster.gate) > 0
    for name in "abc":
        cluster.remove(name)
    cluster.gate.gone([])
    assert len(cluster.gate) == 0


def test_nothing_is_remembered_of_a_quiet_cluster() -> None:
    assert len(settled(Limits(cluster=1)).gate) == 0


def test_memory_does_not_grow_with_what_comes_and_goes() -> None:
    cluster = Cluster(Limits(cluster=2))
    for number in range(400):
        name = f"job-{number}"
        cluster.add(name)
        cluster.reconcile(name)
        cluster.undo(name)
        cluster.reconcile(name)
        cluster.remove(name)
        cluster.world.store.drop_workload(("Deployment", NS, name))
        cluster.world.store.drop_record((NS, f"gateway-telemetry-deployment-{name}"))
    assert len(cluster.gate) <= 201


# Any schedule


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 3),
    st.integers(0, 2),
    st.lists(st.tuples(st.integers(1, 28), st.sampled_from([NS, "bank"]), st.integers(0, 2)), min_size=1, max_size=7),
    st.randoms(use_true_random=False),
)
def test_any_schedule_keeps_the_caps_and_comes_to_its_end(
    cluster_cap: int, namespace_cap: int, gateways: list[tuple[int, str, int]], random: object
) -> None:
    choose = random.choice  # type: ignore[attr-defined]
    cluster = Cluster(Limits(cluster_cap, namespace_cap))
    names = {}
    for number, (day, namespace, replicas) in enumerate(gateways):
        names[f"g{number}"] = namespace
        cluster.add(f"g{number}", day, namespace, replicas)
    todo = list(names)
    for _ in range(400):
        live = cluster.world.store.workloads
        rolling = [key for key in sorted(live) if live[key].rollout.observed_generation < live[key].generation]
        moves = [*(["look"] if todo else []), *(["woken"] if cluster.woken else []), *(["finish"] if rolling else [])]
        if not moves:
            break
        move = choose(moves)
        if move == "look":
            name = choose(todo)
            todo.remove(name)
            cluster.reconcile(name, names[name])
        elif move == "woken":
            ref = cluster.woken.popleft()
            cluster.reconcile(ref.name, ref.namespace)
        else:
            _, namespace, name = choose(rolling)
            cluster.finish(name, namespace)
            cluster.reconcile(name, namespace)
        busy = [key for key in cluster.world.store.rolling if live[key].rollout.desired]
        assert len(busy) <= cluster_cap
        if namespace_cap:
            assert max((sum(key[1] == one for key in busy) for one in (NS, "bank")), default=0) <= namespace_cap
    assert sorted(cluster.writes) == sorted(names)
