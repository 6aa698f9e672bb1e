"""Settings in an object of somebody else: when they are written, what follows, and how they come out again."""

from __future__ import annotations

import base64
import copy
import gzip
from typing import Any

import pytest
import yaml

from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.control.fights import REPAIR_PAUSES
from gateway_telemetry.control.gate import Gate, Limits
from gateway_telemetry.plan.gateways import GatewayPlan, in_order, restorable
from gateway_telemetry.plan.resource_write import patched, resource_secret, unpacked, withdrawal
from gateway_telemetry.plan.targets import Refused
from gateway_telemetry.plan.views import Record, project_record
from tests.unit.plan.build import CA_PEM, HASH, KEY, MARK, NS, Object, World, config_map, one_gateway, secret, target
from tests.unit.plan.configuration import (
    COLLECTOR,
    collector,
    collector_config,
    configuring,
    naming,
    object_of,
)

EXPORTER = "otlp_http/gateway-telemetry"
CONFIG = ("ConfigMap", NS, "otelcol")
POD = ("Deployment", NS, "otelcol")


def world(*more: Object, view: Object | None = None, workload: Object | None = None) -> World:
    return one_gateway(collector_config(), *more, view=view or configuring(), workload=workload or collector())


def states(plan: GatewayPlan) -> list[tuple[str, str, Reason]]:
    return [(item.workload.kind, item.state, item.reason) for item in plan.sinks]


def text(found: World) -> str:
    result: str = found.objects[CONFIG]["data"]["relay"]
    return result


def config_hash(found: World) -> str | None:
    annotations: dict[str, str] = found.objects[POD]["spec"]["template"]["metadata"].get("annotations", {})
    return annotations.get(HASH)


def record(found: World, kind: str = "configmap", name: str = "otelcol") -> Record:
    return found.store.records[NS, f"gateway-telemetry-{kind}-{name}"]


def original(found: World) -> str | None:
    kept = found.objects["Secret", NS, "gateway-telemetry-configmap-otelcol"]["data"].get("original")
    return None if kept is None else unpacked(base64.b64decode(kept).decode())


def restored(found: World) -> str:
    obj = found.objects[CONFIG]
    back = patched(obj, withdrawal(record(found), obj, original(found)))
    result: str = back["data"]["relay"]
    return result


def test_object_and_workload_are_written_in_one_round() -> None:
    found = world()
    assert states(found.carry_out()) == [
        ("ConfigMap", "Pending", Reason.NOT_WRITTEN),
        ("Deployment", "Pending", Reason.NOT_WRITTEN),
    ]
    after = found.plan()
    assert states(after) == [
        ("ConfigMap", "Programmed", Reason.PROGRAMMED),
        ("Deployment", "Programmed", Reason.PROGRAMMED),
    ]
    assert not after.resource_due
    assert MARK not in text(found)
    assert yaml.safe_load(text(found))["exporters"][EXPORTER]["headers"] == {
        "x-api-key": "${env:GATEWAY_TELEMETRY_API_KEY}",
        "langsmith-project": "checkout",
    }
    (variable,) = [
        item
        for item in found.objects[POD]["spec"]["template"]["spec"]["containers"][0]["env"]
        if item["name"] == "GATEWAY_TELEMETRY_API_KEY"
    ]
    reference = variable["valueFrom"]["secretKeyRef"]
    assert base64.b64decode(found.objects["Secret", NS, reference["name"]]["data"]["api-key"]).decode() == KEY
    assert reference["optional"] is True


def test_dollars_are_doubled() -> None:
    found = world(target(project="a $HOME ${env:X}"))
    found.carry_out()
    headers = yaml.safe_load(text(found))["exporters"][EXPORTER]["headers"]
    assert headers["langsmith-project"] == "a $$HOME $${env:X}"


def test_named_pipelines_get_it_and_no_others() -> None:
    pipelines = """
    traces/gateways: {receivers: [otlp], exporters: [debug]}
    metrics: {receivers: [otlp], exporters: [debug]}
"""
    found = one_gateway(
        collector_config(COLLECTOR.rstrip("\n") + pipelines),
        view=configuring(options={"pipelines": ["traces/gateways"], "exporter": "otlphttp"}),
        workload=collector(),
    )
    found.carry_out()
    assert yaml.safe_load(text(found))["service"]["pipelines"] == {
        "traces": {"receivers": ["otlp"], "exporters": ["debug"]},
        "traces/gateways": {"receivers": ["otlp"], "exporters": ["debug", "otlphttp/gateway-telemetry"]},
        "metrics": {"receivers": ["otlp"], "exporters": ["debug"]},
    }


def test_the_former_bytes_come_back_when_nobody_changed_it() -> None:
    odd = COLLECTOR.replace("exporters: [debug]", "exporters:   [ debug ]")
    found = one_gateway(collector_config(odd), view=configuring(), workload=collector())
    found.carry_out()
    assert text(found) != odd
    assert restored(found) == odd


def test_only_ours_goes_when_somebody_did() -> None:
    found = world()
    found.carry_out()
    found.put(collector_config(text(found).replace("# to the log", "# to the log, for now")))
    assert restored(found) == COLLECTOR.replace("# to the log", "# to the log, for now")


def test_what_others_change_beside_ours_restarts_nothing() -> None:
    found = world()
    found.carry_out()
    found.put(collector_config(text(found).replace("# to the log", "# to the log, for now")))
    plan = found.plan()
    assert not plan.resource_due
    assert [item.state for item in plan.sinks] == ["Programmed", "Programmed"]


def test_taken_out_it_is_put_back_and_the_pods_are_replaced_once_more() -> None:
    found = world()
    found.carry_out()
    first = config_hash(found)
    newer = COLLECTOR.replace("debug: {}", "debug: {verbosity: basic}")
    found.put(collector_config(newer))
    plan = found.carry_out()
    assert plan.resource is not None
    assert plan.resource.repair
    assert EXPORTER in text(found)
    assert config_hash(found) not in (None, first)
    assert not found.plan().resource_due
    assert restored(found) == newer


def test_whoever_takes_it_out_again_and_again_is_left_to_it() -> None:
    found = world()
    seconds = [0.0]
    found.gate = Gate(found.store, Limits(), lambda *_: None, lambda: seconds[0])
    found.carry_out()
    for _ in REPAIR_PAUSES:
        seconds[0] += 600
        found.put(collector_config(managedFields=[{"manager": "argocd-controller", "operation": "Apply"}]))
        found.carry_out()
        assert EXPORTER in text(found)
    seconds[0] += 600
    found.put(collector_config(managedFields=[{"manager": "argocd-controller", "operation": "Apply"}]))
    plan = found.carry_out()
    assert states(plan) == [("ConfigMap", "Blocked", Reason.FOUGHT_OVER), ("Deployment", "Pending", Reason.PENDING)]
    assert plan.sinks[0].message.startswith(f"ConfigMap {NS}/otelcol: the settings were taken away 6 times")
    assert "the last other field manager there: 'argocd-controller'" in plan.sinks[0].message
    assert text(found) == COLLECTOR


def test_a_changed_spec_replaces_what_was_written() -> None:
    found = world()
    found.carry_out()
    first = config_hash(found)
    found.put(target(project="other"))
    found.carry_out()
    assert "langsmith-project: other" in text(found)
    assert text(found).count(EXPORTER) == 2
    assert config_hash(found) != first
    assert restored(found) == COLLECTOR


def test_another_exporter_name_leaves_nothing_of_the_old_one() -> None:
    found = world()
    found.carry_out()
    found.put(configuring(options={"exporter": "otlphttp"}))
    found.carry_out()
    assert EXPORTER not in text(found)
    assert text(found).count("otlphttp/gateway-telemetry") == 2


def test_a_rotated_ca_restarts_nothing_and_a_rotated_key_does() -> None:
    ca = {"kind": "ConfigMap", "name": "corp-ca", "key": "ca.crt"}
    found = world(config_map({"ca.crt": CA_PEM}), target(caBundleRef=ca))
    found.carry_out()
    first = config_hash(found)
    found.put(config_map({"ca.crt": CA_PEM + CA_PEM}))
    found.carry_out()
    copied = found.objects["Secret", NS, "gateway-telemetry-deployment-otelcol"]["data"]["ca.crt"]
    assert base64.b64decode(copied).decode().count("BEGIN CERTIFICATE") == 2 * CA_PEM.count("BEGIN CERTIFICATE")
    assert config_hash(found) == first
    found.put(secret({"api-key": KEY + "2"}))
    found.carry_out()
    assert config_hash(found) != first


def test_without_a_record_what_stands_there_is_ours() -> None:
    found = world()
    found.carry_out()
    found.store.drop_record((NS, "gateway-telemetry-configmap-otelcol"))
    plan = found.carry_out()
    assert plan.resource is not None
    assert plan.resource.patch == ()
    assert restored(found) == COLLECTOR


def test_where_no_workload_may_be_restarted_the_object_stays_as_it_is() -> None:
    found = world(view=configuring(rollout={"policy": "Manual"}))
    plan = found.carry_out()
    assert states(plan) == [
        ("ConfigMap", "Pending", Reason.AWAITING_APPROVAL),
        ("Deployment", "Pending", Reason.AWAITING_APPROVAL),
    ]
    assert text(found) == COLLECTOR


def test_a_workload_that_does_not_read_it_is_told() -> None:
    other = collector()
    other["spec"]["template"]["spec"]["volumes"] = []
    plan = world(workload=other).plan()
    assert states(plan) == [
        ("ConfigMap", "Pending", Reason.NOT_REFERENCED),
        ("Deployment", "Blocked", Reason.NOT_REFERENCED),
    ]


def test_workloads_wait_for_an_object_that_could_not_be_written() -> None:
    plan = world().plan(failures={CONFIG: Refused(Reason.WRITE_FAILED, "no")})
    assert states(plan) == [("ConfigMap", "Failed", Reason.WRITE_FAILED), ("Deployment", "Pending", Reason.PENDING)]
    assert not any(item.write for item in plan.sinks)


def test_it_is_undone_before_the_workloads_that_read_it() -> None:
    found = world()
    found.carry_out()
    records = restorable(found.store, (NS, "checkout"))
    assert [item.workload[0] for item in records] == ["ConfigMap", "Deployment"]
    assert in_order(reversed(records)) == records


def test_a_name_that_no_longer_is_in_the_spec_is_taken_out() -> None:
    found = world()
    found.carry_out()
    found.put(configuring(key="other"))
    plan = found.plan()
    assert [item.workload for item in plan.restore] == [("ConfigMap", "otelcol")]
    assert plan.resource is None


def test_a_record_of_another_namespace_or_kind_is_none() -> None:
    found = world()
    plan = found.plan()
    assert plan.resource is not None
    good = resource_secret(found.store.gateways[NS, "checkout"], plan.resource)
    assert project_record(good) is not None
    for old, new in (("ConfigMap", "ServiceAccount"), (f'"{NS}"', '"kube-system"'), ('"path"', '"road"')):
        forged = copy.deepcopy(good)
        raw = base64.b64decode(forged["data"]["record.json"]).decode()
        assert old in raw
        forged["data"]["record.json"] = base64.b64encode(raw.replace(old, new).encode()).decode()
        assert project_record(forged) is None


@pytest.mark.parametrize("forged", ["", "!", "AAAA", base64.b64encode(gzip.compress(bytes(2_000_000))).decode()])
def test_what_is_no_original_is_none(forged: str) -> None:
    assert unpacked(forged) is None


def test_an_original_that_is_too_long_is_not_kept() -> None:
    import random

    noise = "".join(f"# {random.Random(line).randbytes(40).hex()}\n" for line in range(20_000))
    found = one_gateway(collector_config(noise + COLLECTOR), view=configuring(), workload=collector())
    found.carry_out()
    assert original(found) is None
    assert restored(found) == noise + COLLECTOR


@pytest.mark.parametrize(
    ("kind", "type_", "spec"),
    [
        ("GatewayConfig", "envoy-ai-gateway", {}),
        ("AgentgatewayParameters", "agentgateway", {"logging": {"level": "info"}}),
        (
            "OpenTelemetryCollector",
            "otel-collector",
            {"config": {"exporters": {}, "service": {"pipelines": {"traces": {"receivers": [], "exporters": []}}}}},
        ),
    ],
)
def test_objects_of_other_kinds_hold_no_key_and_come_back(kind: str, type_: str, spec: dict[str, Any]) -> None:
    found = World(target(), secret(), naming(kind, type_), object_of(kind, spec))
    found.carry_out()
    live = found.objects[kind, NS, "main"]
    assert MARK not in str(live)
    assert found.plan().sinks[0].state == "Programmed"
    back = patched(live, withdrawal(record(found, kind.lower(), "main"), live, None))
    assert back["spec"] == spec


def test_a_patch_tests_what_it_was_planned_for() -> None:
    found = World(target(), secret(), naming("GatewayConfig", "envoy-ai-gateway"), object_of("GatewayConfig", {}))
    plan = found.plan()
    assert plan.resource is not None
    assert plan.resource.patch[0] == {"op": "test", "path": "/metadata/resourceVersion", "value": "7"}
    plan = world().plan()
    assert plan.resource is not None
    assert plan.resource.patch[0] == {"op": "test", "path": "/data/relay", "value": COLLECTOR}


REFUSED: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "a private CA of Envoy AI Gateway": ("GatewayConfig", "envoy-ai-gateway", {}, "CABundleUnsupportedByAdapter"),
    "a private CA of agentgateway": ("AgentgatewayParameters", "agentgateway", {}, "CABundleUnsupportedByAdapter"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_gateway_cannot_do_is_refused(case: str) -> None:
    kind, type_, spec, reason = REFUSED[case]
    ca = {"kind": "ConfigMap", "name": "corp-ca", "key": "ca.crt"}
    found = World(
        target(caBundleRef=ca), config_map({"ca.crt": CA_PEM}), secret(), naming(kind, type_), object_of(kind, spec)
    )
    assert [(item.state, item.reason) for item in found.plan().sinks] == [("Blocked", reason)]


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"capture": {"content": False}}, Reason.CAPTURE_UNSUPPORTED),
        ({"resourceAttributes": {"team": "a"}}, Reason.ATTRIBUTES_UNSUPPORTED),
        ({"project": "größer"}, Reason.PROJECT_UNSUPPORTED),
    ],
)
def test_a_collector_refuses_what_it_cannot_carry(spec: dict[str, Any], reason: Reason) -> None:
    plan = world(view=configuring(**spec)).plan()
    assert states(plan)[0] == ("ConfigMap", "Blocked", reason)


def test_an_attribute_that_agentgateway_would_cut_is_refused() -> None:
    view = naming("AgentgatewayParameters", "agentgateway", resourceAttributes={"team": "a,b"})
    found = World(target(), secret(), view, object_of("AgentgatewayParameters", {}))
    (sink,) = found.plan().sinks
    assert sink.message.endswith(
        "spec.resourceAttributes.team holds ',', where agentgateway ends the value: use another"
    )


def test_a_variable_that_agentgateway_reads_first_is_named() -> None:
    spec = {"env": [{"name": "OTLP_ENDPOINT", "value": "http://elsewhere:4318"}]}
    found = World(
        target(), secret(), naming("AgentgatewayParameters", "agentgateway"), object_of("AgentgatewayParameters", spec)
    )
    (sink,) = found.plan().sinks
    assert (sink.state, sink.reason) == ("Blocked", Reason.ENV_CONFLICT)
    assert "sets OTLP_ENDPOINT, which goes before rawConfig.config.tracing" in sink.message
