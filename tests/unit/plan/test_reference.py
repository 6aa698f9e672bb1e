"""``install.reference``: the Secret that a chart refers to, and whether pods run with what it holds now."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.plan.gateways import REFERENCE, restorable
from gateway_telemetry.plan.reference import ReferenceWrite, reference_objects, refers_to, restart_body
from gateway_telemetry.plan.store import Lost
from gateway_telemetry.plan.targets import Refused
from gateway_telemetry.plan.turns import Gate
from gateway_telemetry.plan.views import CaCopy, Record, Workload, project_ca_copy, project_record, project_workload
from tests.unit.plan.build import (
    CA_PEM,
    KEY,
    MANAGED_BY,
    NS,
    RESTARTED_AT,
    Object,
    World,
    config_map,
    container,
    deployment,
    finding,
    gateway,
    hosted,
    of_kind,
    only_sink,
    pod,
    referring,
    secret,
    target,
)

NAME = "litellm-otlp"
CHANGED = "2026-01-03T00:00:00Z"
LATER = "2026-01-03T00:00:01Z"
REFERS = [{"secretRef": {"name": NAME, "optional": True}}]
MANUAL = {"policy": "Manual"}


def workload(name: str = "litellm", **fields: Any) -> Object:
    """Return a Deployment whose chart refers to the Secret."""
    return deployment(name, containers=[container(**(fields or {"envFrom": REFERS}))])


def world(*more: Object, view: Object | None = None, **fields: Any) -> World:
    found = World(target(), secret(), view or referring(), *(more or (workload(**fields),)))
    found.env_from = {("Secret", NAME): frozenset()}
    return found


def content(found: World, name: str = NAME) -> dict[str, str]:
    data = found.objects["Secret", NS, name]["data"]
    return {key: base64.b64decode(text).decode() for key, text in data.items()}


def changed_at(found: World) -> str:
    text: str = found.objects["Secret", NS, NAME]["metadata"]["annotations"]["gatewaytelemetry.dev/changedAt"]
    return text


def state(found: World) -> tuple[str, Reason]:
    sink = only_sink(found.plan())
    return sink.state, sink.reason


def written(*pods: Object, **more: Any) -> World:
    """Return a world whose Secret was written at CHANGED, with the pods of its Deployment."""
    found = world(**more)
    found.carry_out(now=CHANGED)
    found.run(*pods)
    return found


def test_the_keys_of_the_secret_are_the_names_of_the_variables() -> None:
    found = world()
    found.carry_out()
    assert content(found) == {
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://eu.api.smith.langchain.com/otel/v1/traces",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS": f"x-api-key={KEY},langsmith-project=checkout",
        "OTEL_RESOURCE_ATTRIBUTES": "gatewaytelemetry.id=8c98633a636f,k8s.namespace.name=shop",
    }
    assert found.objects["Secret", NS, NAME]["metadata"] == {
        "name": NAME,
        "namespace": NS,
        "labels": {**MANAGED_BY, "gatewaytelemetry.dev/role": "copy"},
        "annotations": {
            "gatewaytelemetry.dev/owner": "shop/checkout",
            "gatewaytelemetry.dev/owner-uid": "uid-GatewayTelemetry-shop-checkout",
            "gatewaytelemetry.dev/changedAt": "2026-01-03T00:00:00Z",
            "gatewaytelemetry.dev/config-hash": "fccc4b4868191e49c8350d4aad00a558",
        },
    }
    assert ("ConfigMap", NS, "litellm-otlp-ca") not in found.objects


CA_VOLUME = {"name": "ca", "configMap": {"name": "litellm-otlp-ca", "optional": True}}


def with_ca(*volumes: Object) -> World:
    view = hosted("https://ls.shop.svc", caBundleRef={"kind": "ConfigMap", "name": "corp-ca"})
    found = World(view, secret(), config_map({"ca.crt": CA_PEM}), referring(), workload())
    found.put(deployment(containers=[container(envFrom=REFERS)], volumes=list(volumes)))
    found.env_from = {("Secret", NAME): frozenset()}
    return found


def test_the_ca_lies_in_a_config_map_beside_it() -> None:
    found = with_ca()
    found.carry_out()
    assert found.objects["ConfigMap", NS, "litellm-otlp-ca"] == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "litellm-otlp-ca",
            "namespace": NS,
            "labels": {**MANAGED_BY, "gatewaytelemetry.dev/role": "copy"},
            "annotations": {"gatewaytelemetry.dev/owner": "shop/checkout"},
        },
        "data": {"ca.crt": CA_PEM},
    }
    assert content(found)["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE"] == "/etc/gateway-telemetry/ca.crt"
    assert "ca.crt" not in content(found)


@pytest.mark.parametrize(
    ("volumes", "reason"),
    [
        ([], Reason.NOT_REFERENCED),
        ([{"name": "ca", "configMap": {"name": "other"}}], Reason.NOT_REFERENCED),
        ([CA_VOLUME], Reason.PROGRAMMED),
        ([{"name": "ca", "projected": {"sources": [{"configMap": {"name": "litellm-otlp-ca"}}]}}], Reason.PROGRAMMED),
    ],
)
def test_the_ca_must_be_mounted(volumes: list[Object], reason: Reason) -> None:
    found = with_ca(*volumes)
    found.carry_out()
    found.run()
    sink = only_sink(found.plan())
    assert sink.reason is reason
    if reason is Reason.NOT_REFERENCED:
        assert sink.message == (
            "Deployment shop/litellm has no volume of ConfigMap litellm-otlp-ca, which holds LangSmith's CA: let its "
            "chart mount it at /etc/gateway-telemetry with optional: true"
        )


def test_another_ca_is_another_content() -> None:
    found = with_ca()
    found.carry_out(now=CHANGED)
    found.put(config_map({"ca.crt": CA_PEM + CA_PEM}))
    found.carry_out(now=LATER)
    assert changed_at(found) == LATER


CA_COPY = NS, "litellm-otlp-ca"
WENT = datetime(2026, 1, 3, 12, tzinfo=UTC)


def lose(found: World, kind: str, *, exact: bool = True) -> None:
    """Let somebody delete the Secret, or the ConfigMap beside it, at WENT."""
    if kind == "Secret":
        gone: Record | CaCopy = found.store.records[NS, NAME]
        found.store.drop_record((NS, NAME))
    else:
        gone = found.store.ca_copies.pop(CA_COPY)
    found.store.lost[kind, gone.namespace, gone.name] = Lost(gone, WENT, exact)


def planned(found: World) -> ReferenceWrite:
    plan = found.plan()
    assert plan.reference is not None
    return plan.reference


@pytest.mark.parametrize("change", ["gone", "another CA", "no CA", "another owner"])
def test_what_becomes_of_the_ca_is_not_overlooked(change: str) -> None:
    found = with_ca(CA_VOLUME)
    found.carry_out(now=CHANGED)
    found.run(pod(created=LATER))
    assert state(found) == ("Programmed", Reason.PROGRAMMED)
    live = found.objects["ConfigMap", *CA_COPY]
    if change == "gone":
        lose(found, "ConfigMap")
    elif change == "another owner":
        annotations = {"gatewaytelemetry.dev/owner": "shop/other"}
        found.put({**live, "metadata": {**live["metadata"], "annotations": annotations}})
    else:
        found.put({**live, "data": {"ca.crt": "theirs"} if change == "another CA" else {}})
    assert state(found) == ("Pending", Reason.NOT_WRITTEN)
    assert (planned(found).due, planned(found).repair, planned(found).fresh) == (True, True, False)
    found.carry_out(now="2026-01-03T13:00:00Z")
    assert state(found) == ("Programmed", Reason.PROGRAMMED)
    assert found.objects["ConfigMap", *CA_COPY] == live


def test_a_ca_that_is_not_wanted_any_more_is_to_go() -> None:
    found = with_ca()
    found.carry_out()
    found.put(target())
    found.carry_out()
    assert planned(found).due, "the Secret was written, and the ConfigMap is still there"
    del found.store.ca_copies[CA_COPY]
    assert not planned(found).due
    theirs = project_ca_copy(
        {
            "metadata": {
                "name": CA_COPY[1],
                "namespace": NS,
                "labels": MANAGED_BY,
                "annotations": {"gatewaytelemetry.dev/owner": "shop/other"},
            }
        }
    )
    assert theirs is not None
    found.store.ca_copies[CA_COPY] = theirs
    assert not planned(found).due, "another gateway's stays"


@pytest.mark.parametrize(
    ("created", "exact", "unread"),
    [
        ("2026-01-03T11:59:54Z", True, False),
        ("2026-01-03T11:59:55Z", True, True),  # clocks differ
        ("2026-01-03T12:00:01Z", True, True),
        ("2026-01-03T11:00:00Z", False, True),
    ],
)
def test_only_pods_that_may_have_started_without_it_are_restarted(created: str, exact: bool, unread: bool) -> None:
    """``envFrom`` and volumes are optional: a pod that starts in between has no settings, or no CA, for its life."""
    found = with_ca(CA_VOLUME)
    found.carry_out(now=CHANGED)
    found.run(pod(created=created))
    lose(found, "ConfigMap", exact=exact)
    assert planned(found).ca_unread is unread
    found.carry_out()
    lose(found, "Secret", exact=exact)
    write = planned(found)
    assert (write.due, write.repair, write.fresh) == (True, True, unread)
    found.carry_out(now="2026-01-03T12:00:09Z")
    assert changed_at(found) == ("2026-01-03T12:00:09Z" if unread else CHANGED)
    assert only_sink(found.plan()).restart == ("2026-01-03T12:00:10Z" if unread else "")


def test_a_ca_that_was_there_in_another_form_was_not_read_either() -> None:
    found = with_ca(CA_VOLUME)
    found.carry_out()
    assert planned(found).ca_unread


def test_what_another_gateway_lost_is_no_business_of_this_one() -> None:
    found = written()
    lose(found, "Secret")
    lost = found.store.lost["Secret", NS, NAME]
    assert isinstance(lost.view, Record)
    found.store.lost["Secret", NS, NAME] = replace(lost, view=replace(lost.view, owner=(NS, "other")))
    assert (planned(found).repair, planned(found).fresh) == (False, True)


def test_a_deleted_secret_whose_content_is_another_by_now_is_written_as_a_change() -> None:
    found = written(pod(created=CHANGED))
    lose(found, "Secret")
    found.put(secret({"api-key": "lsv2_sk_rotated"}))
    assert (planned(found).repair, planned(found).fresh) == (False, True)


def test_the_time_of_change_moves_with_the_content_only() -> None:
    found = written()
    found.put(referring(deletionPolicy="Orphan"))
    plan = found.plan()
    assert plan.reference is not None
    assert (plan.reference.due, plan.reference.fresh) == (True, False)
    found.carry_out(now=LATER)
    assert changed_at(found) == CHANGED
    assert found.objects["Secret", NS, NAME]["metadata"]["annotations"]["gatewaytelemetry.dev/orphan"] == "true"
    found.put(secret({"api-key": "lsv2_sk_rotated"}))
    found.carry_out(now=LATER)
    assert changed_at(found) == LATER
    plan = found.plan()
    assert plan.reference is not None
    assert not plan.reference.due


def test_a_write_shows_no_key() -> None:
    plan = world().plan()
    assert KEY not in repr(plan)


@pytest.mark.parametrize(
    "fields",
    [
        {"envFrom": REFERS},
        {"envFrom": [{"configMapRef": {"name": "other"}}, {"prefix": "", "secretRef": {"name": NAME}}]},
        {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": NAME, "key": "A", "optional": True}}}]},
    ],
)
def test_a_reference_of_a_container_is_found(fields: dict[str, Any]) -> None:
    assert refers_to(project_workload(workload(**fields)), NAME)


@pytest.mark.parametrize(
    "volume",
    [
        {"name": "v", "secret": {"secretName": NAME}},
        {"name": "v", "projected": {"sources": [{"configMap": {"name": "c"}}, {"secret": {"name": NAME}}]}},
    ],
)
def test_a_reference_of_a_volume_is_found(volume: Object) -> None:
    assert refers_to(project_workload(deployment(volumes=[volume])), NAME)


@pytest.mark.parametrize(
    "fields",
    [
        {"env": []},
        {"envFrom": [{"configMapRef": {"name": NAME}}]},
        {"envFrom": [{"secretRef": {"name": "other"}}]},
        {"env": [{"name": "A", "value": NAME}]},
        {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": NAME, "key": "A"}}}]},
    ],
)
def test_what_is_no_reference(fields: dict[str, Any]) -> None:
    assert not refers_to(project_workload(workload(**fields)), NAME)


def test_without_a_reference_the_secret_is_written_and_the_workload_is_blocked() -> None:
    found = World(target(), secret(), referring(), deployment())
    plan = found.carry_out()
    sink = only_sink(plan)
    assert (sink.state, sink.reason) == ("Blocked", Reason.NOT_REFERENCED)
    assert sink.message == (
        "Deployment shop/litellm does not refer to Secret litellm-otlp: let its chart render envFrom: [{secretRef: "
        "{name: litellm-otlp, optional: true}}]"
    )
    assert ("Secret", NS, NAME) in found.objects


def test_a_variable_of_the_container_itself_goes_before_the_secret() -> None:
    found = written(envFrom=REFERS, env=[{"name": "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "value": "https://x"}])
    sink = only_sink(found.plan())
    assert (sink.state, sink.reason) == ("Blocked", Reason.ENV_CONFLICT)
    assert sink.message == (
        "Deployment shop/litellm, container litellm sets OTEL_EXPORTER_OTLP_TRACES_ENDPOINT itself, which goes before "
        "Secret litellm-otlp: remove it from the manifest or chart that sets it"
    )


def test_resource_attributes_of_the_container_give_way_to_nobody() -> None:
    found = written(envFrom=REFERS, env=[{"name": "OTEL_RESOURCE_ATTRIBUTES", "value": "a=b"}])
    assert state(found) == ("Programmed", Reason.PROGRAMMED)


@pytest.mark.parametrize("inherited", [False, True])
def test_a_variable_that_switches_tracing_off_is_told(inherited: bool) -> None:
    if inherited:
        found = written(envFrom=[*REFERS, {"configMapRef": {"name": "app"}}])
        found.env_from = {("ConfigMap", "app"): frozenset({"OTEL_SDK_DISABLED"})}
    else:
        found = written(envFrom=REFERS, env=[{"name": "OTEL_SDK_DISABLED", "value": "true"}])
    assert state(found) == ("Blocked", Reason.TRACING_DISABLED)


def test_before_the_secret_is_there_it_is_not_written() -> None:
    sink = only_sink(world().plan())
    assert (sink.state, sink.reason) == ("Pending", Reason.NOT_WRITTEN)
    assert sink.message == "Secret shop/litellm-otlp is not written yet"


@pytest.mark.parametrize(
    "one",
    [
        pod(created=LATER),
        pod(created=CHANGED, restarted_at=LATER),
        pod(created="2026-01-02T00:00:00Z", deletionTimestamp="x"),
    ],
)
def test_pods_that_started_after_the_change_are_current(one: Object) -> None:
    assert state(written(one)) == ("Programmed", Reason.PROGRAMMED)


def test_without_pods_there_is_nothing_to_restart() -> None:
    assert state(written()) == ("Programmed", Reason.PROGRAMMED)


@pytest.mark.parametrize(
    "one",
    [
        pod(created="2026-01-02T00:00:00Z"),
        pod(created=CHANGED),
        pod(created=CHANGED, restarted_at=CHANGED),
        # A user's clock in another zone: an hour before the change.
        pod(created=CHANGED, restarted_at="2026-01-03T00:00:00+01:00"),
        pod(created=CHANGED, restarted_at="by hand"),
    ],
)
def test_pods_of_the_same_second_or_older_are_old(one: Object) -> None:
    found = written(one, view=referring(rollout=MANUAL))
    sink = only_sink(found.plan())
    assert (sink.state, sink.reason, sink.restart) == ("Pending", Reason.RESTART_NEEDED, "")
    assert sink.message == (
        "Deployment shop/litellm: 1 pods started before the Secret's last change (2026-01-03T00:00:00Z): kubectl "
        "rollout restart deployment litellm -n shop"
    )


def test_pods_that_were_not_looked_at_prove_nothing() -> None:
    found = world()
    found.carry_out(now=CHANGED)
    sink = only_sink(found.plan())
    assert (sink.state, sink.reason, sink.restart) == ("Pending", Reason.RESTART_NEEDED, "")


def test_automatic_restarts_them_once_by_kubectls_annotation() -> None:
    found = written(pod(created="2026-01-02T00:00:00Z"))
    sink = only_sink(found.plan())
    assert (sink.state, sink.reason, sink.restart) == ("Pending", Reason.RESTART_NEEDED, LATER)
    assert sink.message == (
        "Deployment shop/litellm: 1 pods started before the Secret's last change (2026-01-03T00:00:00Z): they are "
        "restarted"
    )
    assert restart_body(sink.workload, sink.restart) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "litellm", "namespace": NS, "uid": "uid-Deployment-shop-litellm"},
        "spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: LATER}}}},
    }
    found.carry_out()
    live = found.objects["Deployment", NS, "litellm"]
    live["metadata"]["generation"] = 2
    found.put(live)
    assert state(found) == ("RollingOut", Reason.ROLLOUT_IN_PROGRESS)
    live["status"]["observedGeneration"] = 2
    found.put(live)
    # The new pod began in the second of the change; what its template carries tells.
    found.run(pod(created=CHANGED, restarted_at=LATER))
    assert state(found) == ("Programmed", Reason.PROGRAMMED)


def test_pods_that_no_restart_replaces_are_not_restarted_again_and_again() -> None:
    found = written(pod(created="2026-01-02T00:00:00Z"))
    found.carry_out()
    sink = only_sink(found.plan())
    assert (sink.reason, sink.restart) == (Reason.RESTART_NEEDED, "")
    assert sink.message.endswith("kubectl rollout restart deployment litellm -n shop")


def test_nothing_is_restarted_while_pods_are_being_replaced_anyway() -> None:
    found = written(pod(created="2026-01-02T00:00:00Z"))
    live = found.objects["Deployment", NS, "litellm"]
    live["metadata"]["generation"] = 2
    found.put(live)
    assert only_sink(found.plan()).restart == ""


def test_a_paused_deployment_is_not_restarted() -> None:
    found = written(pod(created="2026-01-02T00:00:00Z"))
    live = found.objects["Deployment", NS, "litellm"]
    live["spec"]["paused"] = True
    live["metadata"]["generation"] = 2
    found.put(live)
    assert only_sink(found.plan()).restart == ""


def test_new_pods_that_crash_are_a_failure() -> None:
    found = written(pod(created=LATER, restarted_at=LATER, waiting="CrashLoopBackOff"))
    live = found.objects["Deployment", NS, "litellm"]
    live["spec"]["template"]["metadata"]["annotations"] = {RESTARTED_AT: LATER}
    live["metadata"]["generation"] = 2
    found.put(live)
    sink = only_sink(found.plan())
    assert (sink.state, sink.reason) == ("Failed", Reason.ROLLOUT_FAILED)
    assert sink.message == "Deployment shop/litellm: pod litellm-1: container litellm: CrashLoopBackOff"


class Full:
    """A gate that lets nobody through."""

    def hold(self, _view: Any, workload: Workload, *, repair: bool) -> Refused | None:
        assert not repair
        return Refused(Reason.ROLLOUT_QUEUED, f"{workload.name} waits")

    def mend(self, _view: Any, record: Record, _manager: str = "", beside: str = "") -> Refused | None:
        return Refused(Reason.FOUGHT_OVER, f"{record.name} is fought over")


def test_a_restart_waits_for_its_turn() -> None:
    gate: Gate = Full()
    found = written(pod(created="2026-01-02T00:00:00Z"))
    found.gate = gate
    sink = only_sink(found.plan())
    assert (sink.state, sink.reason, sink.message, sink.restart) == (
        "Pending",
        Reason.ROLLOUT_QUEUED,
        "litellm waits",
        "",
    )


def tampered(found: World) -> None:
    """Change the Secret as somebody else does who does not know what its annotations mean."""
    obj = found.objects["Secret", NS, NAME]
    found.put({**obj, "data": {**obj["data"], "OTEL_EXPORTER_OTLP_TRACES_HEADERS": ""}})


def test_what_somebody_changed_is_put_right_and_pods_are_restarted_for_it() -> None:
    found = written(pod(created=LATER))
    tampered(found)
    plan = found.plan()
    assert plan.reference is not None
    assert (plan.reference.due, plan.reference.repair) == (True, True)
    found.carry_out(now="2026-01-03T00:01:00Z")
    assert changed_at(found) == "2026-01-03T00:01:00Z"
    assert only_sink(found.plan()).restart == "2026-01-03T00:01:01Z"


def test_a_change_of_the_operators_own_is_no_repair() -> None:
    found = written()
    found.put(secret({"api-key": "lsv2_sk_rotated"}))
    plan = found.plan()
    assert plan.reference is not None
    assert (plan.reference.due, plan.reference.repair) == (True, False)


def test_a_secret_that_is_fought_over_is_left() -> None:
    gate: Gate = Full()
    found = written()
    tampered(found)
    found.gate = gate
    plan = found.plan()
    assert plan.reference is None
    sink = only_sink(plan)
    assert (sink.state, sink.reason, sink.message) == ("Blocked", Reason.FOUGHT_OVER, "litellm-otlp is fought over")


def test_several_workloads_share_one_secret_and_a_further_one_does_not_change_it() -> None:
    found = world(workload("a"), workload("b"))
    found.carry_out(now=CHANGED)
    found.run(pod(created=LATER), name="a")
    found.run(pod(created=LATER), name="b")
    assert [(item.workload.name, item.state) for item in found.plan().sinks] == [
        ("a", "Programmed"),
        ("b", "Programmed"),
    ]
    assert list(found.store.records) == [(NS, NAME)]
    found.put(deployment("c"))
    plan = found.plan()
    assert plan.reference is not None
    assert not plan.reference.due
    assert [item.reason for item in plan.sinks] == [Reason.PROGRAMMED, Reason.PROGRAMMED, Reason.NOT_REFERENCED]


def test_other_kinds_are_restarted_by_their_own_name() -> None:
    status = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
    obj = of_kind("StatefulSet", workload(), **status)
    found = world(obj, view=referring(kind="StatefulSet", rollout=MANUAL))
    found.carry_out(now=CHANGED)
    found.run(pod(created="2026-01-02T00:00:00Z"), kind="StatefulSet")
    assert "kubectl rollout restart statefulset litellm -n shop" in only_sink(found.plan()).message


# Whose Secret is it?


def test_a_failed_write_is_told_by_every_workload() -> None:
    taken = Refused(Reason.SECRET_NAME_TAKEN, "Secret shop/litellm-otlp exists and is not this operator's")
    plan = world(workload("a"), workload("b")).plan(failures={REFERENCE: taken})
    assert [(item.state, item.reason) for item in plan.sinks] == [("Failed", Reason.SECRET_NAME_TAKEN)] * 2


def test_two_gateways_do_not_write_one_secret_in_turns() -> None:
    second = referring(name="second", labels={"app": "other"}, project="other")
    other = deployment("other", labels={"app": "other"}, containers=[container(envFrom=REFERS)])
    found = world(workload(), second, other)
    found.carry_out(now=CHANGED)
    plan = found.plan("second")
    assert plan.reference is None
    sink = only_sink(plan)
    assert (sink.state, sink.reason) == ("Blocked", Reason.SECRET_NAME_TAKEN)
    assert sink.message == (
        "Secret shop/litellm-otlp belongs to GatewayTelemetry checkout: write another name into "
        "spec.install.reference.secretName"
    )
    found.put(referring("elsewhere"))
    plan = found.plan("second")
    assert plan.reference is not None
    assert plan.reference.due


def test_the_secret_with_a_record_is_not_taken_for_another_purpose() -> None:
    name = "gateway-telemetry-deployment-other"
    injected = gateway("other", labels={"app": "other"})
    found = world(workload(), injected, deployment("other", labels={"app": "other"}), view=referring(name))
    found.carry_out("other")
    plan = found.plan()
    assert plan.reference is None
    assert only_sink(plan).message == (
        "Secret shop/gateway-telemetry-deployment-other is where the operator remembers what it wrote into Deployment "
        "other: write another name into spec.install.reference.secretName"
    )


@pytest.mark.parametrize(
    "annotations",
    [
        {"gatewaytelemetry.dev/changedAt": CHANGED},
        {"gatewaytelemetry.dev/changedAt": CHANGED, "gatewaytelemetry.dev/owner": "bank/checkout"},
        {"gatewaytelemetry.dev/changedAt": "yesterday", "gatewaytelemetry.dev/owner": "shop/checkout"},
    ],
)
def test_what_is_not_as_the_operator_writes_it_counts_as_none(annotations: dict[str, str]) -> None:
    obj = secret(name=NAME, annotations=annotations)
    obj["metadata"]["labels"] = MANAGED_BY
    assert project_record(obj) is None


def test_a_secret_without_the_operators_label_is_no_record() -> None:
    annotations = {"gatewaytelemetry.dev/changedAt": CHANGED, "gatewaytelemetry.dev/owner": "shop/checkout"}
    assert project_record(secret(name=NAME, annotations=annotations)) is None


# Changes of the way


def test_another_name_leaves_the_old_secret_to_be_taken_away() -> None:
    found = written()
    found.put(referring("other-name"))
    assert [item.name for item in found.plan().restore] == [NAME]


def test_from_reference_to_inject_the_secret_goes() -> None:
    found = written()
    found.put(gateway())
    plan = found.plan()
    assert [(item.name, item.reference) for item in plan.restore] == [(NAME, True)]
    assert only_sink(plan).reason is Reason.NOT_WRITTEN


def test_from_inject_to_reference_the_workload_is_put_back() -> None:
    found = World(target(), secret(), gateway(), workload())
    found.env_from = {("Secret", NAME): frozenset()}
    found.carry_out()
    found.put(referring())
    plan = found.plan()
    assert [(item.workload, item.reference) for item in plan.restore] == [(("Deployment", "litellm"), False)]
    assert plan.reference is not None
    assert plan.reference.due


def test_a_deleted_gateway_takes_its_secret_along_unless_it_is_orphaned() -> None:
    found = written()
    assert [item.name for item in restorable(found.store, (NS, "checkout"))] == [NAME]
    found.put(referring(deletionPolicy="Orphan"))
    found.carry_out()
    assert restorable(found.store, (NS, "checkout")) == ()


def test_a_new_gateway_takes_over_what_its_namesake_left() -> None:
    found = written(view=referring(deletionPolicy="Orphan"))
    again = referring()
    again["metadata"]["uid"] = "uid-again"
    found.put(again)
    plan = found.plan()
    assert plan.restore == ()
    assert plan.reference is not None
    assert (plan.reference.due, plan.reference.fresh) == (True, False)
    found.carry_out(now=LATER)
    assert changed_at(found) == CHANGED
    (record,) = found.store.records.values()
    assert (record.owner_uid, record.orphan) == ("uid-again", False)


def test_a_suspended_target_gets_nothing_written_and_keeps_what_runs() -> None:
    found = world()
    found.put(target(suspend=True))
    plan = found.plan()
    assert (plan.reference, only_sink(plan).reason) == (None, Reason.TARGET_SUSPENDED)
    assert only_sink(plan).message == (
        "Secret shop/litellm-otlp is not written: LangSmithTarget shop/langsmith is suspended"
    )
    found = written(pod(created=LATER))
    found.put(target(suspend=True))
    assert state(found) == ("Programmed", Reason.PROGRAMMED)


def test_a_project_that_no_header_carries_is_not_written() -> None:
    plan = world(view=referring(project="проект")).plan()
    assert plan.reference is None
    assert finding(plan.findings, "ResolvedRefs").reason is Reason.PROJECT_NOT_HEADER_SAFE


def test_two_changes_of_one_second_are_two_changes() -> None:
    found = written(pod(created="2026-01-02T00:00:00Z"))
    found.carry_out()
    found.run(pod(created=CHANGED, restarted_at=LATER))
    assert state(found) == ("Programmed", Reason.PROGRAMMED)
    found.put(secret({"api-key": "lsv2_sk_rotated"}))
    found.carry_out(now=CHANGED)
    assert changed_at(found) == LATER
    sink = only_sink(found.plan())
    assert (sink.reason, sink.restart) == (Reason.RESTART_NEEDED, "2026-01-03T00:00:02Z")


def test_the_object_without_a_record_is_dated_now() -> None:
    found = world()
    plan = found.plan()
    assert plan.reference is not None
    obj, _ = reference_objects(found.store.gateways[NS, "checkout"], plan.reference, LATER)
    assert obj["metadata"]["annotations"]["gatewaytelemetry.dev/changedAt"] == LATER
