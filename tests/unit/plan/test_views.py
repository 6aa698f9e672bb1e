"""Views of what an API server, a file or a vandal's editor sends: complete, slim, and never a crash."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

import pytest

from gateway_telemetry.plan.injection import Injection, body, covers, merged
from gateway_telemetry.plan.restore import claims, nothing, restored, still_there
from gateway_telemetry.plan.views import project_record, project_source, project_workload
from tests.unit.plan.build import (
    GOLDEN,
    HASH,
    HOSTS,
    KEY,
    NS,
    RECORD,
    World,
    config_map,
    container,
    deployment,
    env,
    gateway,
    one_gateway,
    only_write,
    secret,
)

RECORD_OBJECT: dict[str, Any] = json.loads((GOLDEN / "record-0.1.0.json").read_text())


def with_record(text: str) -> dict[str, Any]:
    obj = copy.deepcopy(RECORD_OBJECT)
    obj["data"]["record.json"] = base64.b64encode(text.encode()).decode()
    return obj


def test_a_workload_as_small_as_an_api_server_may_send_it() -> None:
    view = project_workload({"metadata": {"name": "x", "namespace": NS}})
    assert view.key == ("Deployment", NS, "x")
    assert (view.containers, view.volumes, view.config_hash, view.record) == ((), (), None, None)
    assert (view.rollout.desired, view.rollout.paused, view.deleting, view.owned) == (1, False, False, False)


@pytest.mark.parametrize(
    ("entries", "owned"),
    [
        ([{"manager": "gateway-telemetry", "operation": "Apply"}], True),
        ([{"manager": "helm", "operation": "Apply"}], False),
        ([{"manager": "gateway-telemetry", "operation": "Update"}], False),
        ([{"manager": "helm", "operation": "Update"}, {"manager": "gateway-telemetry", "operation": "Apply"}], True),
        ([], False),
    ],
)
def test_a_claim_that_was_not_released_is_seen(entries: list[dict[str, str]], owned: bool) -> None:
    obj = deployment()
    obj["metadata"]["managedFields"] = entries
    assert project_workload(obj).owned is owned


def test_the_data_of_a_secret_is_decoded() -> None:
    view = project_source(secret({"api-key": KEY, "bin": b"\x00\xff"}))
    assert view.data == {"api-key": KEY.encode(), "bin": b"\x00\xff"}


def test_base64_of_a_file_may_have_line_breaks() -> None:
    obj = secret()
    text = obj["data"]["api-key"]
    obj["data"]["api-key"] = f"{text[:10]}\n  {text[10:]}\n"
    assert project_source(obj).data == {"api-key": KEY.encode()}


@pytest.mark.parametrize("text", ["%%%", "abc", "ümlaut"])
def test_data_that_is_not_base64_counts_as_empty(text: str) -> None:
    obj = secret()
    obj["data"]["api-key"] = text
    assert project_source(obj).data == {"api-key": b""}


def test_string_data_of_a_file_goes_before_data() -> None:
    obj = {**secret({"api-key": "old"}), "stringData": {"api-key": KEY}}
    assert project_source(obj).data == {"api-key": KEY.encode()}


def test_a_config_map_is_text() -> None:
    view = project_source(config_map({"ca.crt": "PEM"}))
    assert (view.kind, view.data) == ("ConfigMap", {"ca.crt": b"PEM"})


@pytest.mark.parametrize(
    ("text", "hosts"), [(None, None), ("", ()), ("A.example", ("a.example",)), ("a, b ,,", ("a", "b"))]
)
def test_the_hosts_that_a_key_is_bound_to(text: str | None, hosts: tuple[str, ...] | None) -> None:
    assert project_source(secret(annotations={} if text is None else {HOSTS: text})).hosts() == hosts


@pytest.mark.parametrize(
    "text", ["", "{", "null", "[]", "7", '"x"', "{}", '{"owner": "x"}', '{"owner": {"namespace": "a"}}']
)
def test_a_record_that_cannot_be_read_is_none_and_no_crash(text: str) -> None:
    assert project_record(with_record(text)) is None


@pytest.mark.parametrize("part", ["owner", "workload", "injection"])
@pytest.mark.parametrize("value", [None, 7, "x", [], {}])
def test_a_record_with_a_broken_part_is_none(part: str, value: object) -> None:
    record = json.loads(base64.b64decode(RECORD_OBJECT["data"]["record.json"]))
    assert project_record(with_record(json.dumps(record))) is not None
    record[part] = value
    assert project_record(with_record(json.dumps(record))) is None


def test_a_secret_without_our_label_is_not_a_record() -> None:
    obj = copy.deepcopy(RECORD_OBJECT)
    del obj["metadata"]["labels"]["app.kubernetes.io/managed-by"]
    assert project_record(obj) is None


@pytest.mark.parametrize(
    ("live", "wanted", "expected"),
    [
        ({"a": 1, "default": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": {"b": 1, "default": 2}}, {"a": {"b": 1}}, True),
        ({"a": [{"b": 1, "default": 2}]}, {"a": [{"b": 1}]}, True),
        ({"a": [{"b": 1}, {"c": 1}]}, {"a": [{"b": 1}]}, False),
        ({"a": "1"}, {"a": 1}, False),
        ({"a": None}, {"a": {}}, False),
        ([], {}, False),
        ("a", "a", True),
    ],
)
def test_what_the_api_server_added_is_no_difference(live: object, wanted: object, expected: bool) -> None:
    assert covers(live, wanted) is expected


def test_the_body_of_an_apply_holds_only_our_items() -> None:
    write = only_write(one_gateway().plan())
    found = body("Deployment", NS, "litellm", "u1", write.injection, write.secret)
    assert found == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "litellm", "namespace": NS, "uid": "u1", "annotations": {RECORD: write.secret}},
        "spec": {
            "template": {
                "metadata": {"annotations": {HASH: write.injection.config_hash}},
                "spec": {"containers": [{"name": "litellm", "env": list(write.injection.env)}]},
            }
        },
    }


def test_the_body_that_drops_everything_names_the_object_only() -> None:
    assert nothing(project_workload(deployment())) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "litellm", "namespace": NS, "uid": "uid-Deployment-shop-litellm"},
    }


def test_a_container_of_which_nothing_is_ours_is_not_named() -> None:
    gone = Injection("left", ({"name": "A", "value": "1"},), (), (), "h")
    claim = body("Deployment", NS, "x", "", still_there(gone, project_workload(deployment())), "")
    assert claim == {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x", "namespace": NS}}


def test_only_what_is_still_as_written_is_claimed() -> None:
    written = Injection("litellm", tuple(env(A="1", B="2", C="3")), (), (), "h")
    live = deployment(containers=[container(env=env(A="1", B="changed"))])
    assert still_there(written, project_workload(live)).env == ({"name": "A", "value": "1"},)


def test_a_value_that_became_a_reference_is_somebody_else_s() -> None:
    written = Injection("litellm", ({"name": "A", "value": ""},), (), (), "h")
    item = {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    live = deployment(containers=[container(env=[item])])
    assert still_there(written, project_workload(live)).env == ()


def settled_and_edited() -> World:
    world = one_gateway()
    world.carry_out()
    world.put(gateway(gateway={"type": "otel-sdk"}))
    world.carry_out(template=False)
    return world


def test_after_a_crash_both_sets_are_claimed_the_older_one_first() -> None:
    world = settled_and_edited()
    (record,) = world.store.records_of_owner((NS, "checkout"))
    older, newer = claims(record, world.store.workloads["Deployment", NS, "litellm"])
    names = [
        [item["name"] for item in claim["spec"]["template"]["spec"]["containers"][0]["env"]] for claim in (older, newer)
    ]
    assert "OTEL_EXPORTER_OTLP_PROTOCOL" in names[0]
    assert "OTEL_EXPORTER_OTLP_PROTOCOL" not in names[1]


ORIGINALS = {
    "plain": deployment(),
    "with variables": deployment(containers=[container(env=env(A="1", Z="2")), container("sidecar")]),
}


@pytest.mark.parametrize("name", ORIGINALS)
def test_what_is_put_back_equals_the_original(name: str) -> None:
    world = one_gateway(workload=ORIGINALS[name])
    world.carry_out()
    (record,) = world.store.records_of_owner((NS, "checkout"))
    live = world.objects["Deployment", NS, "litellm"]
    assert live != ORIGINALS[name]
    assert restored(live, record) == ORIGINALS[name]


@pytest.mark.parametrize("where", ["metadata", "template", "annotations"])
def test_null_in_hand_written_yaml_is_no_obstacle(where: str) -> None:
    obj = deployment()
    if where == "metadata":
        obj["metadata"]["annotations"] = None
    elif where == "template":
        obj["spec"]["template"]["metadata"] = None
    else:
        obj["spec"]["template"]["metadata"]["annotations"] = None
    write = only_write(one_gateway(workload=obj).plan())
    result = merged(obj, write.injection, write.secret)
    assert result["metadata"]["annotations"] == {RECORD: write.secret}
    assert result["spec"]["template"]["metadata"]["annotations"] == {HASH: write.injection.config_hash}


def test_a_merge_changes_the_given_object_in_no_way() -> None:
    obj = deployment()
    before = copy.deepcopy(obj)
    write = only_write(one_gateway(workload=obj).plan())
    merged(obj, write.injection, write.secret)
    assert obj == before
