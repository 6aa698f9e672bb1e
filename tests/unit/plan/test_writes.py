"""What is written when: once, again after an edit or a crash, and never without need."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

import pytest

from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.plan.gateways import Write
from gateway_telemetry.plan.injection import Injection
from tests.unit.plan.build import (
    CA_PEM,
    HASH,
    KEY,
    NS,
    RECORD,
    Object,
    World,
    config_map,
    container,
    deployment,
    env,
    gateway,
    hosted,
    one_gateway,
    only_sink,
    only_write,
    secret,
    target,
)

LITELLM = "Deployment", NS, "litellm"
RECORD_NAME = "gateway-telemetry-deployment-litellm"


def live(world: World) -> Object:
    return world.objects[LITELLM]


def live_env(world: World) -> list[Object]:
    items: list[Object] = live(world)["spec"]["template"]["spec"]["containers"][0].get("env", [])
    return items


def with_ca() -> World:
    view = hosted("https://ls.shop.svc", caBundleRef={"kind": "ConfigMap", "name": "corp-ca"})
    return World(view, secret(), config_map({"ca.crt": CA_PEM}), gateway(), deployment())


def standing(world: World) -> Write:
    """Return the write of a world in which nothing is due."""
    write = only_write(world.plan())
    assert not write.due
    assert write.previous is None
    return write


def due(write: Write) -> tuple[bool, bool]:
    """Return whether the Secret and whether the template must be written; at least one of them."""
    assert write.due
    return write.secret_stale, write.template_stale


def test_the_first_write_is_the_secret_and_the_template() -> None:
    world = one_gateway()
    sink = only_sink(world.plan())
    assert (sink.state, sink.reason) == ("Pending", Reason.NOT_WRITTEN)
    assert sink.message == "Deployment shop/litellm does not carry them yet"
    write = only_write(world.plan())
    assert (write.secret, write.secret_stale, write.template_stale) == (RECORD_NAME, True, True)
    assert (write.record, write.previous) == (None, None)
    expected = f"x-api-key={KEY},langsmith-project=checkout"
    assert write.files == {"otlp-headers": expected}


def test_a_written_and_rolled_out_workload_is_programmed_and_nothing_is_due() -> None:
    world = one_gateway()
    world.carry_out()
    sink = only_sink(world.plan())
    assert (sink.state, sink.reason) == ("Programmed", Reason.PROGRAMMED)
    standing(world)
    annotations = live(world)["spec"]["template"]["metadata"]["annotations"]
    assert annotations == {HASH: only_write(world.plan()).injection.config_hash}
    assert live(world)["metadata"]["annotations"] == {RECORD: RECORD_NAME}


def test_live_values_equal_to_ours_without_a_record_are_adopted_without_a_restart() -> None:
    world = one_gateway()
    world.carry_out()
    before = standing(world).injection
    world.store.drop_record((NS, RECORD_NAME))
    write = only_write(world.plan())
    assert due(write) == (True, False)
    assert write.injection == before


def test_values_that_somebody_wrote_before_us_are_adopted() -> None:
    world = one_gateway()
    injection = only_write(world.plan()).injection
    workload = deployment(containers=[container(env=[dict(item) for item in injection.env])])
    write = only_write(one_gateway(workload=workload).plan())
    assert write.injection == injection
    assert due(write) == (True, True)


def test_a_mount_and_a_volume_equal_to_ours_are_adopted_as_well() -> None:
    world = with_ca()
    world.carry_out()
    world.store.drop_record((NS, RECORD_NAME))
    assert due(only_write(world.plan())) == (True, False)


def test_a_changed_value_without_a_record_is_somebody_else_s() -> None:
    world = one_gateway()
    world.carry_out()
    world.store.drop_record((NS, RECORD_NAME))
    world.put(target(saas={"region": "us"}))
    assert only_sink(world.plan()).reason is Reason.ENV_CONFLICT


EDITS: dict[str, tuple[list[Object], set[str]]] = {
    "another region": ([target(saas={"region": "us"})], set()),
    "a project of its own": ([gateway(project="payments")], set()),
    "another key": ([secret({"api-key": "lsv2_sk_marked4711_rotated"})], set()),
    "another adapter": ([gateway(gateway={"type": "otel-sdk"})], {"OTEL_EXPORTER_OTLP_PROTOCOL"}),
    "a workspace": ([target(workspaceId="5F2C0A4E-0000-4000-8000-000000000001")], set()),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_is_one_write_and_remembers_what_stands_there(name: str) -> None:
    changed, dropped = EDITS[name]
    world = one_gateway()
    world.carry_out()
    old = standing(world).injection
    for obj in changed:
        world.put(obj)
    write = only_write(world.plan())
    assert due(write) == (True, True)
    assert write.previous == old
    assert write.injection.config_hash != old.config_hash
    assert old.names() - write.injection.names() == dropped
    world.carry_out()
    standing(world)
    assert {item["name"] for item in live_env(world)} == write.injection.names()


def test_each_edit_claims_what_the_one_before_it_wrote() -> None:
    world = one_gateway()
    for project in ("a", "b", "c"):
        world.put(gateway(project=project))
        world.carry_out()
    old = standing(world).injection
    world.put(gateway(project="d"))
    assert only_write(world.plan()).previous == old


def test_a_source_that_changes_its_metadata_only_changes_nothing() -> None:
    world = one_gateway()
    world.carry_out()
    changed = secret(annotations={"note": "rotated by hand last year"})
    changed["metadata"]["labels"]["team"] = "platform"
    world.put(changed)
    view = gateway()
    view["metadata"]["annotations"] = {"x": "y"}
    world.put(view)
    standing(world)


def test_a_ca_that_comes_and_goes_takes_its_volume_along() -> None:
    world = with_ca()
    world.carry_out()
    pod = live(world)["spec"]["template"]["spec"]
    assert pod["volumes"] == [
        {
            "name": "gateway-telemetry",
            "secret": {
                "secretName": RECORD_NAME,
                "items": [{"key": "ca.crt", "path": "ca.crt"}],
                "optional": True,
            },
        }
    ]
    assert pod["containers"][0]["volumeMounts"] == [
        {"name": "gateway-telemetry", "mountPath": "/etc/gateway-telemetry", "readOnly": True}
    ]
    assert {"name": "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "value": "/etc/gateway-telemetry/ca.crt"} in live_env(
        world
    )
    assert standing(world).files["ca.crt"] == CA_PEM
    world.put(hosted("https://ls.shop.svc"))
    world.carry_out()
    standing(world)
    pod = live(world)["spec"]["template"]["spec"]
    assert "volumes" not in pod
    assert "volumeMounts" not in pod["containers"][0]


def test_the_defaults_of_the_api_server_are_no_difference() -> None:
    world = with_ca()
    world.carry_out()
    changed = copy.deepcopy(live(world))
    pod = changed["spec"]["template"]["spec"]
    pod["volumes"][0]["secret"]["defaultMode"] = 420
    pod["containers"][0]["volumeMounts"][0]["recursiveReadOnly"] = "Disabled"
    world.put(changed)
    standing(world)


def test_a_volume_of_an_earlier_version_of_ours_is_replaced_and_no_conflict() -> None:
    world = with_ca()
    world.carry_out()
    record = world.store.records[NS, RECORD_NAME]
    older = [{"name": "gateway-telemetry", "secret": {"secretName": RECORD_NAME, "optional": True}}]
    world.put(edited(live(world), volumes=older))
    written = Injection(
        record.injection.container, record.injection.env, record.injection.mounts, tuple(older), "older-hash"
    )
    secret_obj = copy.deepcopy(world.objects["Secret", NS, RECORD_NAME])
    put_record(world, secret_obj, injection=written.to_json())
    write = only_write(world.plan())
    assert (write.due, write.previous) == (True, written)


def test_a_container_that_moves_takes_its_settings_along() -> None:
    both = deployment(containers=[container("litellm"), container("app")])
    world = one_gateway(workload=both)
    world.carry_out()
    old = standing(world).injection
    world.put(gateway(container="app"))
    write = only_write(world.plan())
    assert (write.injection.container, write.previous) == ("app", old)
    world.carry_out()
    standing(world)
    first, second = live(world)["spec"]["template"]["spec"]["containers"]
    assert "env" not in first
    assert {item["name"] for item in second["env"]} == write.injection.names()


def test_what_equals_ours_in_another_container_is_somebody_else_s() -> None:
    theirs = env(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="https://eu.api.smith.langchain.com/otel/v1/traces")
    world = one_gateway(workload=deployment(containers=[container("litellm"), container("app", env=theirs)]))
    world.carry_out()
    world.put(target(saas={"region": "us"}))
    world.put(gateway(container="app"))
    assert only_sink(world.plan()).reason is Reason.ENV_CONFLICT


def test_after_a_crash_between_secret_and_template_the_old_set_is_still_claimed() -> None:
    world = one_gateway()
    world.carry_out()
    old = standing(world).injection
    world.put(gateway(project="payments"))
    world.carry_out(template=False)
    write = only_write(world.plan())
    assert due(write) == (False, True)
    assert write.previous == old


def test_a_second_edit_after_such_a_crash_still_claims_what_stands_there() -> None:
    world = one_gateway()
    world.carry_out()
    old = standing(world).injection
    world.put(gateway(gateway={"type": "otel-sdk"}))
    world.carry_out(template=False)
    world.put(gateway(gateway={"type": "otel-sdk"}, project="payments"))
    write = only_write(world.plan())
    assert write.previous == old
    world.carry_out()
    assert {item["name"] for item in live_env(world)} == write.injection.names()


def test_an_edit_taken_back_before_the_template_was_written_is_no_rollout() -> None:
    world = one_gateway()
    world.carry_out()
    world.put(gateway(project="payments"))
    world.carry_out(template=False)
    world.put(gateway())
    write = only_write(world.plan())
    assert due(write) == (True, False)


def edited(obj: Object, **pod: Any) -> Object:
    result = copy.deepcopy(obj)
    result["spec"]["template"]["spec"].update(pod)
    return result


def put_record(world: World, obj: Object, **changes: Any) -> None:
    record = json.loads(base64.b64decode(obj["data"]["record.json"]))
    record.update(changes)
    obj["data"]["record.json"] = base64.b64encode(json.dumps(record).encode()).decode()
    world.put(obj)


def test_a_variable_of_ours_that_somebody_changed_is_theirs() -> None:
    world = one_gateway()
    world.carry_out()
    items = copy.deepcopy(live_env(world))
    for item in items:
        if item["name"] == "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT":
            item["value"] = "https://other.example/v1/traces"
    world.put(edited(live(world), containers=[container(env=items)]))
    sink = only_sink(world.plan())
    assert (sink.state, sink.reason) == ("Blocked", Reason.ENV_CONFLICT)


def test_a_variable_of_ours_that_somebody_removed_is_written_again() -> None:
    world = one_gateway()
    world.carry_out()
    before = standing(world).injection
    world.put(edited(live(world), containers=[container(env=live_env(world)[1:])]))
    write = only_write(world.plan())
    assert due(write) == (False, True)
    assert write.injection == before
    assert write.previous is None


@pytest.mark.parametrize("part", ["record", "hash", "mount", "volume"])
def test_any_other_part_of_ours_that_somebody_removed_is_written_again(part: str) -> None:
    world = with_ca()
    world.carry_out()
    changed = copy.deepcopy(live(world))
    template = changed["spec"]["template"]
    match part:
        case "record":
            del changed["metadata"]["annotations"]
        case "hash":
            del template["metadata"]["annotations"]
        case "mount":
            del template["spec"]["containers"][0]["volumeMounts"]
        case "volume":
            del template["spec"]["volumes"]
    world.put(changed)
    assert due(only_write(world.plan())) == (False, True)


def test_an_apply_that_removed_all_of_ours_is_undone() -> None:
    world = one_gateway()
    world.carry_out()
    world.put(deployment())
    write = only_write(world.plan())
    assert due(write) == (False, True)


def test_a_restart_by_the_user_is_left_alone() -> None:
    world = one_gateway()
    world.carry_out()
    changed = copy.deepcopy(live(world))
    changed["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] = "2026-01-05T00:00:00Z"
    world.put(changed)
    standing(world)


def test_variables_of_others_around_ours_are_left_alone() -> None:
    world = one_gateway()
    world.carry_out()
    items = [*env(A="1"), *live_env(world), *env(Z="2")]
    world.put(edited(live(world), containers=[container(env=items), container("sidecar")]))
    standing(world)


def test_a_workload_made_anew_under_its_name_is_written_again() -> None:
    world = one_gateway()
    world.carry_out()
    world.put(deployment(uid="another-uid"))
    write = only_write(world.plan())
    assert due(write) == (True, True)


def test_another_content_of_the_copy_is_written_over_and_restarts_nothing() -> None:
    world = one_gateway()
    world.carry_out()
    changed = copy.deepcopy(world.objects["Secret", NS, RECORD_NAME])
    changed["data"]["otlp-headers"] = "eC1hcGkta2V5PW90aGVy"
    world.put(changed)
    write = only_write(world.plan())
    assert due(write) == (True, False)


def test_a_changed_deletion_policy_is_remembered_and_restarts_nothing() -> None:
    world = one_gateway()
    world.carry_out()
    world.put(gateway(deletionPolicy="Orphan"))
    write = only_write(world.plan())
    assert due(write) == (True, False)


def test_the_kubelet_expands_nothing_in_what_is_written() -> None:
    write = only_write(one_gateway(view=gateway(resourceAttributes={"cost": "$(HOME)"})).plan())
    (value,) = [item["value"] for item in write.injection.env if item["name"] == "OTEL_RESOURCE_ATTRIBUTES"]
    assert value.endswith(",cost=%24%28HOME%29")
    view = hosted("https://ls.shop.svc/$(HOME)")
    write = only_write(World(view, secret(), gateway(), deployment()).plan())
    (value,) = [item["value"] for item in write.injection.env if item["name"] == "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]
    assert value == "https://ls.shop.svc/$$(HOME)/api/v1/otel/v1/traces"
