"""The operator's own Secret: literal, and read back as what was meant."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest

from gateway_telemetry.plan.injection import Injection
from gateway_telemetry.plan.secret import secret_object
from gateway_telemetry.plan.views import Record, digest, project_record
from tests.unit.plan.build import CA_PEM, KEY, MARK, config_map, deployment, gateway, hosted, one_gateway, only_write


def test_the_whole_secret() -> None:
    world = one_gateway()
    write = only_write(world.plan())
    obj = secret_object(world.store.gateways["shop", "checkout"], write)
    data = obj.pop("data")
    assert obj == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "gateway-telemetry-deployment-litellm",
            "namespace": "shop",
            "labels": {
                "app.kubernetes.io/managed-by": "gateway-telemetry-operator",
                "gatewaytelemetry.dev/role": "copy",
            },
            "annotations": {"gatewaytelemetry.dev/owner": "shop/checkout"},
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1",
                    "kind": "Deployment",
                    "name": "litellm",
                    "uid": "uid-Deployment-shop-litellm",
                }
            ],
        },
        "type": "Opaque",
    }
    assert list(data) == ["otlp-headers", "record.json"]
    assert base64.b64decode(data["otlp-headers"]).decode() == f"x-api-key={KEY},langsmith-project=checkout"
    record = base64.b64decode(data["record.json"]).decode()
    assert MARK not in record
    assert {key: value for key, value in json.loads(record).items() if key != "injection"} == {
        "owner": {"namespace": "shop", "name": "checkout", "uid": "uid-GatewayTelemetry-shop-checkout"},
        "workload": {"kind": "Deployment", "name": "litellm", "uid": "uid-Deployment-shop-litellm", "generation": 1},
        "previous": None,
        "orphan": False,
    }


@pytest.mark.parametrize("policy", ["Restore", "Orphan"])
@pytest.mark.parametrize("with_previous", [False, True])
def test_what_is_written_is_read_back(policy: str, with_previous: bool) -> None:
    target = hosted("https://langsmith.shop.svc", caBundleRef={"kind": "ConfigMap", "name": "corp-ca", "key": "ca.crt"})
    world = one_gateway(target, config_map({"ca.crt": CA_PEM}), view=gateway(deletionPolicy=policy))
    write = only_write(world.plan())
    if with_previous:
        write = replace(write, previous=Injection("old", ({"name": "A", "value": "1"},), (), (), "0123456789abcdef"))
    record = project_record(secret_object(world.store.gateways["shop", "checkout"], write))
    assert record is not None
    assert (record.namespace, record.name) == ("shop", "gateway-telemetry-deployment-litellm")
    assert (record.owner, record.owner_uid) == (("shop", "checkout"), "uid-GatewayTelemetry-shop-checkout")
    assert (record.workload, record.workload_uid) == (("Deployment", "litellm"), "uid-Deployment-shop-litellm")
    assert record.injection == write.injection
    assert record.injection.mounts
    assert record.previous == write.previous
    assert record.digest == digest(write.files)
    assert record.orphan is (policy == "Orphan")


def test_without_uids_there_is_no_owner_reference_and_none_is_claimed() -> None:
    view, workload = gateway(), deployment()
    view["metadata"]["uid"] = workload["metadata"]["uid"] = ""
    world = one_gateway(view=view, workload=workload)
    obj = secret_object(world.store.gateways["shop", "checkout"], only_write(world.plan()))
    assert "ownerReferences" not in obj["metadata"]
    record = project_record(obj)
    assert record is not None
    assert (record.owner_uid, record.workload_uid) == (None, None)


def test_an_equal_write_makes_an_equal_secret() -> None:
    one, other = one_gateway(), one_gateway()
    assert secret_object(one.store.gateways["shop", "checkout"], only_write(one.plan())) == secret_object(
        other.store.gateways["shop", "checkout"], only_write(other.plan())
    )


def forged(**changes: object) -> Record | None:
    world = one_gateway()
    obj = secret_object(world.store.gateways["shop", "checkout"], only_write(world.plan()))
    record = json.loads(base64.b64decode(obj["data"]["record.json"])) | changes
    obj["data"]["record.json"] = base64.b64encode(json.dumps(record).encode()).decode()
    return project_record(obj)


def test_a_record_speaks_for_its_own_namespace_only() -> None:
    assert forged() is not None
    assert forged(owner={"namespace": "other", "name": "checkout"}) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"owner": "shop/checkout"},
        {"owner": {"namespace": "shop", "name": 1}},
        {"workload": {"kind": "Node", "name": "litellm"}},
        {"workload": {"kind": [], "name": "litellm"}},
        {"workload": {"kind": "Deployment", "name": None}},
        {"workload": {"kind": "Deployment", "name": ""}},
        {"workload": {"kind": "Deployment", "name": "litellm/status"}},
        {"workload": {"kind": "Deployment", "name": "../secrets/langsmith"}},
        {"workload": {"kind": "Deployment", "name": "a" * 254}},
        {"owner": {"namespace": "shop", "name": "checkout/status"}},
        {"injection": []},
        {"injection": {"container": "a", "env": [{}], "mounts": [], "volumes": [], "hash": "0"}},
        {"injection": {"container": "a", "env": {}, "mounts": [], "volumes": [], "hash": "0"}},
        {"injection": {"container": "a", "env": [], "mounts": ["x"], "volumes": [], "hash": "0"}},
        {"previous": "x"},
    ],
    ids=str,
)
def test_a_secret_that_only_looks_like_ours_is_no_record(changes: dict[str, object]) -> None:
    assert forged(**changes) is None


def test_endless_nesting_is_no_record() -> None:
    world = one_gateway()
    obj = secret_object(world.store.gateways["shop", "checkout"], only_write(world.plan()))
    obj["data"]["record.json"] = base64.b64encode(b"[" * 100_000).decode()
    assert project_record(obj) is None
