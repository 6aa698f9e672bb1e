"""Every reason of the table is reached, and every finding is as the table says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

import gateway_telemetry
from gateway_telemetry.api.conditions import Finding
from gateway_telemetry.api.reasons import BY_REASON, TABLE, Reason, Severity
from gateway_telemetry.control.gate import Limits
from gateway_telemetry.endpoint import EndpointProblem, Headers, HostPolicy
from gateway_telemetry.plan.gateways import leaving
from gateway_telemetry.plan.options import Options
from gateway_telemetry.plan.targets import Refused
from tests.unit.control.rollouts import Cluster
from tests.unit.langsmith.reached import VERIFICATION
from tests.unit.plan.build import (
    CA_PEM,
    HOSTS,
    KEY,
    NS,
    Object,
    World,
    behind_service,
    config_map,
    container,
    deployment,
    env,
    gateway,
    hosted,
    injecting,
    of_kind,
    one_gateway,
    pod,
    referring,
    secret,
    target,
)
from tests.unit.plan.configuration import COLLECTOR, collector, collector_config, configuring

LANGSMITH = {"type": "litellm", "litellm": {"callback": "langsmith"}}
PACKAGE = Path(gateway_telemetry.__file__).parent

CONTROL_PLANE = {
    Reason.TENANT_MISMATCH,
    Reason.CONTROL_PLANE_CONFLICT,
    Reason.CONTROL_PLANE_KEY_REJECTED,
    Reason.CONTROL_PLANE_REFUSED,
    Reason.CONTROL_PLANE_UNAVAILABLE,
}
WRITTEN_BY_THE_LOOP = {
    Reason.FIELD_OWNED_BY_OTHER,
    Reason.RBAC_DENIED,
    Reason.READ_ONLY,
    Reason.WRITE_FAILED,
}
"""Answers of an API server: tests against a cluster reach them."""


def with_ca(data: dict[str, str] | None, *more: Object) -> World:
    view = hosted("https://ls.shop.svc", caBundleRef={"kind": "ConfigMap", "name": "corp-ca"})
    return World(view, secret(), *([] if data is None else [config_map(data)]), gateway(), *(more or (deployment(),)))


def with_key(key: str | bytes) -> World:
    return World(target(), secret({"api-key": key}))


def with_url(url: str, **spec: object) -> World:
    return World(hosted(url, **spec), secret(), options=Options(HostPolicy(("*.example.com",))))


def with_env(type_: str = "litellm", **values: str) -> World:
    workload = deployment(containers=[container(env=env(**values))])
    return one_gateway(view=gateway(gateway={"type": type_}), workload=workload)


def with_pods(paused: bool = False, conditions: Iterable[Object] = ()) -> World:
    world = one_gateway()
    world.carry_out()
    workload = world.objects["Deployment", NS, "litellm"]
    workload["spec"]["paused"] = paused
    workload["status"] = {"observedGeneration": 1, "replicas": 1, "conditions": list(conditions)}
    world.put(workload)
    return world


def done() -> World:
    world = one_gateway()
    world.carry_out()
    return world


def contended() -> World:
    return one_gateway(gateway("younger", created="2026-02-01T00:00:00Z"))


def out_of_reach() -> World:
    workload = deployment(containers=[container(envFrom=[{"secretRef": {"name": "hidden"}}])])
    return one_gateway(workload=workload, env_from={("Secret", "hidden"): None})


def refers(*more: Object) -> World:
    """Return a world whose Deployment refers to the Secret of install.reference, which is written."""
    reference = [{"secretRef": {"name": "litellm-otlp"}}]
    objects = [target(), secret(), deployment(containers=[container(envFrom=reference)]), *(more or (referring(),))]
    world = World(*objects)
    world.carry_out()
    return world


def old_pods() -> World:
    world = refers()
    world.run(pod(created="2026-01-01T00:00:00Z"))
    return world


def by_hand() -> World:
    done = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 1, "availableReplicas": 2}
    obj = of_kind("StatefulSet", deployment(replicas=2), **done)
    obj["spec"]["updateStrategy"] = {"type": "OnDelete"}
    world = one_gateway(workload=obj, view=injecting(kind="StatefulSet"))
    world.carry_out()
    return world


def rolled_back() -> World:
    view = injecting(rollout={"onFailure": "Rollback"})
    world = one_gateway(view=view)
    world.carry_out()
    obj = world.objects["Deployment", NS, "litellm"]
    world.put({**obj, "status": {"observedGeneration": 1, "replicas": 2, "conditions": [DEADLINE]}})
    world.carry_out()
    world.put({**world.objects["Deployment", NS, "litellm"], "status": obj["status"]})
    return world


def two_gateways(limits: Limits) -> Cluster:
    cluster = Cluster(limits)
    cluster.add("a", 2)
    cluster.add("b", 3)
    cluster.reconcile("a")
    return cluster


def queued() -> World:
    return two_gateways(Limits(cluster=1)).world


def stopped() -> World:
    cluster = two_gateways(Limits())
    cluster.crash("a")
    cluster.reconcile("a")
    return cluster.world


def fought_over() -> World:
    cluster = two_gateways(Limits())
    for _ in range(5):
        cluster.undo("a")
        cluster.reconcile("a")
        cluster.now += 600
    cluster.undo("a")
    return cluster.world


OWNER: Object = {"kind": "OpenTelemetryCollector", "name": "main", "controller": True}


def configured(text: str | None, *, ownerReferences: list[Object] | None = None, **spec: Any) -> World:  # noqa: N803
    """Return a world with a Collector's ConfigMap, or without one."""
    objects = [] if text is None else [collector_config(text)]
    if ownerReferences is not None:
        objects[0]["metadata"]["ownerReferences"] = ownerReferences
    return one_gateway(*objects, view=configuring(**spec), workload=collector())


DEADLINE = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}
TWICE = [{"name": "OTEL_EXPORTER_OTLP_PROTOCOL", "value": "http/protobuf"}] * 2
A_STATEFUL_SET = of_kind("StatefulSet", deployment())
A_VOLUME = [{"name": "gateway-telemetry", "emptyDir": {}}]
PRIVATE = "-----BEGIN PRIVATE KEY-----\nMC4CAQ==\n-----END PRIVATE KEY-----\n"

ROWS: dict[Reason, Callable[[], World]] = {
    Reason.ACCEPTED: one_gateway,
    Reason.RESOLVED: one_gateway,
    Reason.PROGRAMMED: done,
    Reason.READY: done,
    Reason.PENDING: lambda: World(gateway(), deployment()),
    Reason.NOT_VERIFIED: done,
    Reason.INVALID_SPEC: lambda: World(target(saas=None)),
    Reason.INVALID_URL: lambda: with_url("https://"),
    Reason.MISSING_SCHEME: lambda: with_url("ls.example.com"),
    Reason.UNSUPPORTED_SCHEME: lambda: with_url("grpc://ls.example.com"),
    Reason.INSECURE_SCHEME: lambda: with_url("http://ls.example.com"),
    Reason.USER_INFO_NOT_ALLOWED: lambda: with_url("https://me:pw@ls.example.com"),
    Reason.QUERY_NOT_ALLOWED: lambda: with_url("https://ls.example.com/#a"),
    Reason.UI_URL_NOT_API_URL: lambda: with_url("https://smith.langchain.com"),
    Reason.INVALID_BASE_PATH: lambda: with_url("https://ls.example.com/one/api", basePath="two"),
    Reason.HOST_NOT_ALLOWED: lambda: with_url("https://ls.example.net"),
    Reason.SERVICE_NOT_ALLOWED: lambda: World(behind_service(), secret()),
    Reason.SUSPENDED: lambda: World(target(suspend=True), secret()),
    Reason.SECRET_NOT_FOUND: lambda: World(target()),
    Reason.SECRET_KEY_MISSING: lambda: World(target(), secret({})),
    Reason.KEY_EMPTY: lambda: with_key(""),
    Reason.KEY_MALFORMED: lambda: with_key(b"\xff"),
    Reason.KEY_DOUBLE_ENCODED: lambda: with_key("bHN2Ml9za19tYXJrZWQ0NzEx"),
    Reason.KEY_LEGACY: lambda: with_key("ls__marked4711"),
    Reason.KEY_NOT_FOR_HOST: lambda: World(target(), secret(annotations={HOSTS: "ls.example.com"})),
    Reason.CA_BUNDLE_NOT_FOUND: lambda: with_ca(None),
    Reason.CA_BUNDLE_KEY_MISSING: lambda: with_ca({}),
    Reason.CA_BUNDLE_INVALID: lambda: with_ca({"ca.crt": "corp"}),
    Reason.CA_BUNDLE_HAS_PRIVATE_KEY: lambda: with_ca({"ca.crt": PRIVATE}),
    Reason.TARGET_NOT_FOUND: lambda: World(gateway(), deployment()),
    Reason.TARGET_NOT_READY: lambda: World(target(), gateway(), deployment()),
    Reason.PROJECT_MISSING: lambda: one_gateway(target(project=None)),
    Reason.PROJECT_NOT_ALLOWED: lambda: one_gateway(
        target(project=None, allowedProjects=["a"]), view=gateway(project="b")
    ),
    Reason.PROJECT_UNSUPPORTED: lambda: one_gateway(view=gateway(gateway={"type": "portkey"}, project="a,b")),
    Reason.CA_BUNDLE_UNSUPPORTED: lambda: with_ca({"ca.crt": CA_PEM}, deployment(), gateway(gateway=LANGSMITH)),
    Reason.CAPTURE_UNSUPPORTED: lambda: one_gateway(view=gateway(gateway=LANGSMITH, capture={"content": False})),
    Reason.COLLECTOR_REQUIRED: lambda: one_gateway(view=gateway(gateway={"type": "kgateway"})),
    Reason.GATEWAY_VERSION_UNSUPPORTED: lambda: one_gateway(view=gateway(gateway={"type": "truefoundry"})),
    Reason.PROJECT_NOT_HEADER_SAFE: lambda: one_gateway(view=gateway(project="проект")),
    Reason.NO_MATCHING_WORKLOADS: lambda: one_gateway(workload=deployment(labels={"app": "other"})),
    Reason.CONFLICTED: contended,
    Reason.CONTAINER_NOT_FOUND: lambda: one_gateway(view=gateway(container="proxy")),
    Reason.CONTAINER_AMBIGUOUS: lambda: one_gateway(workload=deployment(containers=[container("a"), container("b")])),
    Reason.ENV_CONFLICT: lambda: with_env(OTEL_EXPORTER_OTLP_PROTOCOL="grpc"),
    Reason.DUPLICATE_ENV: lambda: one_gateway(workload=deployment(containers=[container(env=TWICE)])),
    Reason.FOREIGN_HEADERS: lambda: with_env("otel-sdk", OTEL_EXPORTER_OTLP_HEADERS="a=b"),
    Reason.TRACING_DISABLED: lambda: with_env(OTEL_SDK_DISABLED="true"),
    Reason.CA_BUNDLE_OVERRIDDEN: lambda: with_ca(
        {"ca.crt": CA_PEM}, deployment(containers=[container(env=env(REQUESTS_CA_BUNDLE="/ca"))])
    ),
    Reason.ENV_FROM_UNREADABLE: out_of_reach,
    Reason.MOUNT_CONFLICT: lambda: with_ca({"ca.crt": CA_PEM}, deployment(volumes=A_VOLUME)),
    Reason.NOT_WRITTEN: one_gateway,
    Reason.TARGET_SUSPENDED: lambda: one_gateway(target(suspend=True)),
    Reason.ROLLOUT_IN_PROGRESS: with_pods,
    Reason.ROLLOUT_PAUSED: lambda: with_pods(paused=True),
    Reason.ROLLOUT_FAILED: lambda: with_pods(conditions=[DEADLINE]),
    Reason.ROLLOUT_BY_HAND: by_hand,
    Reason.ROLLOUT_QUEUED: queued,
    Reason.ROLLOUT_STOPPED: stopped,
    Reason.ROLLED_BACK: rolled_back,
    Reason.FOUGHT_OVER: fought_over,
    Reason.AWAITING_APPROVAL: lambda: one_gateway(view=injecting(rollout={"policy": "Manual"})),
    Reason.NOT_REFERENCED: lambda: one_gateway(view=referring()),
    Reason.RESTART_NEEDED: old_pods,
    Reason.RESOURCE_NOT_FOUND: lambda: configured(None),
    Reason.RESOURCE_INVALID: lambda: configured("receivers: {}"),
    Reason.RESOURCE_CONFLICT: lambda: configured(COLLECTOR.replace("debug: {}", "otlp_http/gateway-telemetry: {}")),
    Reason.RESOURCE_GENERATED: lambda: configured(COLLECTOR, ownerReferences=[OWNER]),
    Reason.ATTRIBUTES_UNSUPPORTED: lambda: configured(COLLECTOR, resourceAttributes={"team": "a"}),
    Reason.SECRET_NAME_TAKEN: lambda: refers(referring(), referring(name="second", kind="StatefulSet"), A_STATEFUL_SET),
}


def findings_of(world: World) -> list[Finding]:
    """Return what is found of all objects of a world."""
    found = [
        item for view in world.store.targets.values() for item in world.resolve(view.name, view.namespace).findings
    ]
    for view in world.store.gateways.values():
        found += world.plan(view.name, view.namespace).findings
    return found


@pytest.mark.parametrize("reason", ROWS, ids=str)
def test_the_reason_is_reached(reason: Reason) -> None:
    assert reason in {item.reason for item in findings_of(ROWS[reason]())}


@pytest.mark.parametrize("reason", ROWS, ids=str)
def test_findings_are_as_the_table_says(reason: Reason) -> None:
    summaries = {"Stalled": Severity.ACTION, "Reconciling": Severity.WAITING}
    for item in findings_of(ROWS[reason]()):
        entry = BY_REASON[item.reason]
        if item.type in summaries:
            assert (item.status, entry.severity) == ("True", summaries[item.type])
        else:
            assert item.type in entry.conditions, item
            assert item.status == entry.status, item
        assert item.message, item


def test_a_deletion_that_is_held_up_says_so() -> None:
    plan = leaving(Refused(Reason.RBAC_DENIED, "the operator may not patch deployments"))
    assert [(item.type, item.status, item.reason) for item in plan.findings] == [
        ("Programmed", "False", Reason.RESTORING),
        ("Ready", "False", Reason.RESTORING),
        ("Reconciling", "True", Reason.RESTORING),
    ]
    assert plan.findings[0].message == (
        "Being deleted; what was written is still there: the operator may not patch deployments"
    )


def test_a_header_list_that_is_not_decoded_cannot_carry_every_project() -> None:
    with pytest.raises(EndpointProblem) as caught:
        Headers(KEY, "a,b").raw_list()
    assert caught.value.reason == Reason.PROJECT_UNSUPPORTED


def test_every_reason_is_reached_by_a_plan_or_by_the_loop() -> None:
    elsewhere = {
        Reason.RESTORING,
        Reason.UNINSTALLED,  # tests/cluster/test_uninstall.py
        *VERIFICATION,  # tests/unit/langsmith/test_reasons.py
        Reason.TRACES_SEEN,  # test_proof.py
        Reason.NO_SIGNAL,  # test_proof.py
        Reason.NO_PROJECT,  # test_proof.py
        *CONTROL_PLANE,  # test_tenants.py, tests/unit/truefoundry/test_client.py
        Reason.VANTAGE_OFF,  # test_vantage.py
        Reason.VANTAGE_FAILED,  # test_vantage.py
    }
    assert set(Reason) - set(ROWS) - elsewhere == WRITTEN_BY_THE_LOOP
    loop = "".join(path.read_text() for path in sorted((PACKAGE / "control").glob("*.py")))
    assert {reason for reason in WRITTEN_BY_THE_LOOP if f"Reason.{reason.name}" not in loop} == set()


def test_the_table_has_one_row_for_each_reason() -> None:
    assert sorted(entry.reason for entry in TABLE) == sorted(Reason)


def test_whatever_asks_somebody_to_act_says_what_to_do() -> None:
    assert [entry.reason for entry in TABLE if entry.severity is Severity.ACTION and not entry.action] == []


def test_the_endpoint_layer_names_only_reasons_of_the_table() -> None:
    sources = [path.read_text() for path in sorted((PACKAGE / "endpoint").glob("*.py"))]
    # The first argument of EndpointProblem, or of a pair that holds it; advice has topics of its own.
    named = {name for text in sources for name in re.findall(r'(?<!Advice)[(]\s*"([A-Z][A-Za-z]+)",', text)}
    assert {"InvalidURL", "KeyEmpty", "HostNotAllowed"} <= named
    assert named - {str(reason) for reason in Reason} == set()
