"""Which gateway may configure a tenant, with what, and what is said where it may not."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from gateway_telemetry.api.conditions import Finding
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.endpoint import HostPolicy
from gateway_telemetry.plan.options import Options
from gateway_telemetry.plan.targets import Refused
from gateway_telemetry.plan.tenant_access import restoring
from gateway_telemetry.plan.tenant_record import Remembered, project_tenant_record, record_object, remembered_of
from gateway_telemetry.plan.tenants import TenantPlan, plan_tenant
from tests.unit.plan.build import CA_PEM, HOSTS, KEY, MARK, NS, Object, World, config_map, gateway, secret, target

TFY_KEY = f"tfy-{MARK}"
HOST = "acme.truefoundry.cloud"
OPTIONS = Options(HostPolicy((HOST,)))


def tenant(name: str = "checkout", namespace: str = NS, **spec: Any) -> Object:
    way = {
        "url": f"https://{HOST}",
        "tenant": "acme",
        "secretRef": {"name": "truefoundry", "key": "api-key"},
        **spec.pop("way", {}),
    }
    options = {"allowKeyInControlPlane": True, **spec.pop("options", {})}
    gateway_ = {"type": "truefoundry", "truefoundry": options, **spec.pop("gateway", {})}
    view = gateway(name, namespace, gateway=gateway_, **spec)
    view["spec"] |= {"install": {"controlPlane": way}}
    return view


def world(*objects: Object, **way: Any) -> World:
    found = World(target(), secret(), secret({"api-key": TFY_KEY}, "truefoundry"), tenant(**way), options=OPTIONS)
    for obj in objects:
        found.put(obj)
    return found


def planned(found: World, name: str = "checkout", namespace: str = NS) -> TenantPlan:
    view = found.store.gateways[namespace, name]
    assert view.spec is not None, view.problem
    return plan_tenant(view, found.store, OPTIONS, lambda item: found.resolve(item.name, item.namespace))


def worst(plan: TenantPlan, found: World) -> Finding:
    view = found.store.gateways[NS, "checkout"]
    whole = plan.settled(view, OPTIONS)
    trouble = next(item for item in whole.findings if item.status == "False")
    assert MARK not in str(whole.findings)
    return trouble


def test_the_export_of_a_gateway() -> None:
    plan = planned(
        world(
            project="checkout prod",
            resourceAttributes={"team": "payments"},
            capture={"content": False},
            options={"encoding": "Json", "when": [{"key": "k", "values": ["v"]}]},
        )
    )
    assert plan.write is not None
    assert plan.write.exporter == {
        "type": "http",
        "endpoint": "https://eu.api.smith.langchain.com/otel/v1/traces",
        "encoding": "json",
        "headers": {"x-api-key": KEY, "langsmith-project": "checkout prod"},
        "additional_resource_attributes": {"gatewaytelemetry.id": plan.write.stamp, "team": "payments"},
        "exclude_request_data": True,
        "when": [{"field": "spanAttributes", "key": "k", "operator": "IN", "value": ["v"]}],
    }
    assert plan.place.name == f"acme/{HOST}"
    assert MARK not in repr(plan)


def test_what_nobody_asked_for_is_not_in_it() -> None:
    plan = planned(world())
    assert plan.write is not None
    assert sorted(plan.write.exporter) == ["additional_resource_attributes", "encoding", "endpoint", "headers", "type"]


PRIVATE: Object = {"selfHosted": {"url": "https://ls.shop.svc"}, "saas": None}


@pytest.mark.parametrize(
    ("change", "objects", "type_", "reason"),
    [
        ({"way": {"url": "https://other.example.com"}}, (), "Accepted", Reason.HOST_NOT_ALLOWED),
        ({"way": {"url": "https://169.254.169.254"}}, (), "Accepted", Reason.HOST_NOT_ALLOWED),
        ({"way": {"url": "https://[fd00:ec2::254]"}}, (), "Accepted", Reason.HOST_NOT_ALLOWED),
        ({"way": {"url": "https://acme..cloud"}}, (), "Accepted", Reason.INVALID_URL),
        ({"way": {"secretRef": {"name": "absent", "key": "k"}}}, (), "ResolvedRefs", Reason.SECRET_NOT_FOUND),
        ({"way": {"secretRef": {"name": "langsmith", "key": "api-key"}}}, (), "ResolvedRefs", Reason.KEY_MALFORMED),
        ({"way": {"caBundleRef": {"kind": "ConfigMap", "name": "x"}}}, (), "ResolvedRefs", Reason.CA_BUNDLE_NOT_FOUND),
        (
            {},
            (secret({"api-key": TFY_KEY}, "truefoundry", annotations={HOSTS: "other.example.com"}),),
            "ResolvedRefs",
            Reason.KEY_NOT_FOR_HOST,
        ),
        (
            {},
            (secret(annotations={HOSTS: "eu.api.smith.langchain.com"}),),
            "ResolvedRefs",
            Reason.KEY_NOT_FOR_HOST,
        ),
        (
            {},
            (target(caBundleRef={"kind": "ConfigMap", "name": "corp-ca"}, **PRIVATE), config_map({"ca.crt": CA_PEM})),
            "Programmed",
            Reason.CA_BUNDLE_UNSUPPORTED,
        ),
        ({"project": "Zürich"}, (), "Programmed", Reason.PROJECT_UNSUPPORTED),
        ({}, (target(suspend=True),), "Programmed", Reason.TARGET_SUSPENDED),
    ],
)
def test_what_stops_a_write(change: Object, objects: tuple[Object, ...], type_: str, reason: Reason) -> None:
    found = world(*objects, **change)
    plan = planned(found)
    assert plan.write is None
    trouble = worst(plan, found)
    assert (trouble.type, trouble.reason) == (type_, reason)


def test_a_key_that_is_bound_to_both_hosts_may_leave() -> None:
    bound = secret(annotations={HOSTS: f"eu.api.smith.langchain.com, {HOST}"})
    assert planned(world(bound)).write is not None


def test_a_ca_that_the_control_plane_trusts_by_itself_is_no_obstacle() -> None:
    private = target(caBundleRef={"kind": "ConfigMap", "name": "corp-ca"}, **PRIVATE)
    plan = planned(world(private, config_map({"ca.crt": CA_PEM}), gateway={"caInstalled": True}))
    assert plan.write is not None
    assert plan.notes == (
        "ls.shop.svc is a name of a private network: traces leave from where TrueFoundry's control plane runs, which "
        "must be able to reach it",
    )


def test_the_oldest_has_a_tenant_unless_another_one_has_it_already() -> None:
    old = tenant("old")
    old["metadata"]["creationTimestamp"] = "2025-01-01T00:00:00Z"
    found = world(old)
    trouble = worst(planned(found), found)
    assert (trouble.type, trouble.reason) == ("Accepted", Reason.CONFLICTED)
    assert "GatewayTelemetry old configures it" in trouble.message
    remember(found)
    assert planned(found).write is not None
    assert planned(found, "old").write is None


def test_one_that_is_being_deleted_has_a_tenant_until_it_has_given_it_back() -> None:
    found = world(tenant("next"))
    remember(found)
    going = tenant()
    going["metadata"]["deletionTimestamp"] = "2026-01-09T00:00:00Z"
    found.put(going)
    assert planned(found, "next").write is None
    found.store.tenant_records.clear()
    assert planned(found, "next").write is not None


def test_names_of_other_namespaces_are_not_told() -> None:
    other = tenant("secret-name", "other")
    other["metadata"]["creationTimestamp"] = "2025-01-01T00:00:00Z"
    found = world(other)
    message = worst(planned(found), found).message
    assert "one of another namespace configures it" in message
    assert "secret-name" not in message


def test_other_spellings_are_the_same_tenant() -> None:
    other = tenant("other", way={"url": "https://ACME.truefoundry.cloud:443/"})
    found = world(other)
    assert planned(found).write is not None
    assert planned(found, "other").write is None


def remember(found: World, former: Any = None, **fields: Any) -> Object:
    """Store the record that writing the gateway checkout leaves."""
    view = found.store.gateways[NS, "checkout"]
    plan = plan_tenant(view, Only(found), OPTIONS, lambda item: found.resolve(item.name, item.namespace))
    assert plan.write is not None
    obj = record_object(plan.write.wanted_record(), Remembered(former, TFY_KEY, None))
    content = json.loads(base64.b64decode(obj["data"]["control-plane.json"])) | fields
    obj["data"] = {"control-plane.json": base64.b64encode(json.dumps(content).encode()).decode()}
    record = project_tenant_record(obj)
    if record is not None:
        found.store.tenant_records[record.namespace, record.name] = record
    return obj


def Only(found: World) -> Any:  # noqa: N802 reads as what it is: the store as if there were one gateway
    alone = World(*(obj for key, obj in found.objects.items() if key[0] != "GatewayTelemetry" or key[2] == "checkout"))
    return alone.store


def test_a_record_is_read_back_as_it_was_written() -> None:
    found = world()
    former = {"type": "gateway-otel-config", "otel_metrics_exporter_config": {"headers": {"a": f"b-{MARK}"}}}
    obj = remember(found, former)
    plan = planned(found)
    assert plan.write is not None
    assert plan.write.record == plan.write.wanted_record()
    assert MARK not in repr(plan.write.record)
    kept = remembered_of(obj)
    assert kept == Remembered(former, TFY_KEY, None)
    assert MARK not in repr(kept)
    assert plan.restore == ()


@pytest.mark.parametrize(
    "fields",
    [
        {"owner": {"namespace": "other", "name": "checkout"}},
        {"owner": {"namespace": NS, "name": "../x"}},
        {"host": "elsewhere.example.com"},
        {"tenant": 3},
        {"former": []},
        {"apiKey": None},
    ],
)
def test_a_record_that_is_not_as_the_operator_writes_it_is_none(fields: Object) -> None:
    obj = remember(world(), **fields)
    assert project_tenant_record(obj) is None
    assert remembered_of(obj) is None


def test_another_tenant_in_the_spec_gives_the_first_one_back() -> None:
    found = world()
    remember(found)
    found.put(tenant(way={"tenant": "umbrella"}))
    plan = planned(found)
    assert [item.tenant for item in plan.restore] == [(HOST, "acme")]
    assert plan.write is not None
    assert plan.write.record is None


def test_consent_that_ends_takes_back_and_a_missing_key_does_not() -> None:
    found = world()
    remember(found)
    found.put(secret({}, "truefoundry"))
    assert planned(found).restore == ()
    found.put(tenant(targetRef={"name": "langsmith", "namespace": "elsewhere"}))
    found.put(target(namespace="elsewhere"))
    assert [item.tenant for item in planned(found).restore] == [(HOST, "acme")]


def test_the_way_back_is_by_the_newer_key_or_the_one_that_is_remembered() -> None:
    found = world()
    obj = remember(found)
    (record,) = found.store.tenant_records.values()
    kept = remembered_of(obj)
    assert kept is not None
    found.put(secret({"api-key": "tfy-newer"}, "truefoundry"))
    assert restoring(record, kept, found.store, OPTIONS).api_key == "tfy-newer"
    del found.store.sources["Secret", NS, "truefoundry"]
    assert restoring(record, kept, found.store, OPTIONS).api_key == TFY_KEY
    found.store.drop_gateway((NS, "checkout"))
    assert restoring(record, kept, found.store, OPTIONS).api_key == TFY_KEY
    with pytest.raises(Refused) as caught:
        restoring(record, kept, found.store, Options())
    assert caught.value.reason is Reason.HOST_NOT_ALLOWED
