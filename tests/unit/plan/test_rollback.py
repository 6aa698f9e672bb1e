"""``onFailure: Rollback``: what stood there before comes back, once, and only after a change of the operator's own."""

from __future__ import annotations

from typing import Any

import pytest

from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.plan.restore import restored
from gateway_telemetry.plan.secret import secret_object
from gateway_telemetry.plan.views import project_record
from tests.unit.plan.build import (
    NS,
    Object,
    World,
    annotated,
    deployment,
    injecting,
    only_sink,
    only_write,
    pod,
    secret,
    target,
    written,
)

ROLLBACK = {"onFailure": "Rollback"}
COPY = "gateway-telemetry-deployment-litellm"
LATE = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}


def view(project: str = "first", request: str | None = None, on_failure: str = "Rollback", **spec: Any) -> Object:
    found = injecting(rollout={"onFailure": on_failure}, project=project, **spec)
    return found if request is None else annotated(found, requestedAt=request)


def carry_out(world: World, *, template: bool = True) -> None:
    """Do what the operator would; a written template raises the generation, and its rollout has not begun."""
    plan = world.plan()
    sink = only_sink(plan)
    write = sink.write
    assert write is not None
    if write.secret_stale:
        obj = secret_object(world.store.gateways[NS, "checkout"], write)
        old = world.objects.get(("Secret", NS, COPY), obj)["data"]
        kept = "otlp-headers", "previous.otlp-headers"
        to, from_ = kept if write.rollback else kept[::-1]
        if from_ in old:
            obj["data"][to] = old[from_]
        world.put(obj)
    if write.template_stale and template:
        obj = written(world.objects[sink.workload.key], sink.workload, write)
        obj["metadata"]["generation"] += 1
        world.put(obj)


def finish(world: World) -> None:
    obj = world.objects["Deployment", NS, "litellm"]
    done = {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
    world.put({**obj, "status": {"observedGeneration": obj["metadata"]["generation"], **done}})


def fail(world: World) -> None:
    obj = world.objects["Deployment", NS, "litellm"]
    status = {"observedGeneration": obj["metadata"]["generation"], "replicas": 2, "updatedReplicas": 1}
    world.put({**obj, "status": {**status, "conditions": [LATE]}})


def failing(on_failure: str = "Rollback") -> World:
    """Return a world whose first content ran and whose second fails."""
    world = World(target(), secret(), view(on_failure=on_failure), deployment())
    carry_out(world)
    finish(world)
    world.put(view("second", on_failure=on_failure))
    carry_out(world)
    fail(world)
    return world


def projects(world: World) -> str:
    """Return the hash of what stands in the pod template."""
    return world.store.workloads["Deployment", NS, "litellm"].config_hash or ""


def first_hash() -> str:
    return only_write(World(target(), secret(), view(), deployment()).plan()).injection.config_hash


def second_hash() -> str:
    return only_write(World(target(), secret(), view("second"), deployment()).plan()).injection.config_hash


def test_what_stood_there_before_comes_back() -> None:
    world = failing()
    assert projects(world) == second_hash()
    sink = only_sink(world.plan())
    assert (sink.state, sink.reason) == ("Failed", Reason.ROLLOUT_FAILED)
    assert sink.message == "Deployment shop/litellm: timed out"
    write = only_write(world.plan())
    assert (write.rollback, write.secret_stale, write.template_stale) == (second_hash(), True, True)
    assert (write.injection.config_hash, dict(write.files)) == (first_hash(), {})
    carry_out(world)
    assert projects(world) == first_hash()
    finish(world)
    sink = only_sink(world.plan())
    assert (sink.state, sink.reason, sink.write) == ("Failed", Reason.ROLLED_BACK, None)
    assert sink.message == (
        f"Deployment shop/litellm: the pods of content {second_hash()} failed, and what stood there before was written "
        "back: change what made them fail, then kubectl annotate gatewaytelemetry checkout -n shop --overwrite "
        "gatewaytelemetry.dev/requestedAt=$(date +%s)"
    )


@pytest.mark.parametrize("half", [False, True], ids=["not-begun", "half-done"])
def test_nothing_is_rolled_back_while_the_target_is_suspended(half: bool) -> None:
    world = failing()
    if half:
        carry_out(world, template=False)
    world.put(target(suspend=True))
    sink = only_sink(world.plan())
    assert (sink.state, sink.write) == ("Failed", None)
    assert sink.message.endswith("; nothing is rolled back while LangSmithTarget shop/langsmith is suspended")
    world.put(target())
    assert only_write(world.plan()).rollback == second_hash()


def test_without_rollback_it_stays_as_it_is() -> None:
    world = failing("Stop")
    sink = only_sink(world.plan())
    assert (sink.state, sink.reason) == ("Failed", Reason.ROLLOUT_FAILED)
    assert sink.write is not None
    assert (sink.write.rollback, sink.write.due) == ("", False)


def test_the_first_content_goes_altogether() -> None:
    before = deployment()
    world = World(target(), secret(), view(), before)
    carry_out(world)
    fail(world)
    carry_out(world)
    finish(world)
    live = world.objects["Deployment", NS, "litellm"]
    assert live["spec"]["template"]["spec"] == before["spec"]["template"]["spec"]
    assert only_sink(world.plan()).reason is Reason.ROLLED_BACK
    (record,) = world.store.records.values()
    assert restored(live, record)["spec"] == before["spec"]


def test_it_is_not_tried_again_by_itself() -> None:
    world = failing()
    carry_out(world)
    finish(world)
    for _ in range(3):
        assert only_sink(world.plan()).write is None


@pytest.mark.parametrize("handled", [None, "7"])
def test_it_is_tried_again_when_somebody_asks_also_if_the_status_has_answered_already(handled: str | None) -> None:
    world = failing()
    carry_out(world)
    finish(world)
    asking = view("second", request="7")
    asking["status"] = {} if handled is None else {"lastHandledRequest": handled}
    world.put(asking)
    sink = only_sink(world.plan())
    assert (sink.state, sink.reason) == ("Pending", Reason.NOT_WRITTEN)
    carry_out(world)
    assert projects(world) == second_hash()
    fail(world)
    carry_out(world)
    finish(world)
    assert projects(world) == first_hash()
    # The same request was answered by that.
    assert only_sink(world.plan()).reason is Reason.ROLLED_BACK
    world.put(view("second"))
    assert only_sink(world.plan()).reason is Reason.ROLLED_BACK


def test_another_content_is_written_at_once() -> None:
    world = failing()
    carry_out(world)
    finish(world)
    world.put(view("third"))
    assert only_sink(world.plan()).reason is Reason.NOT_WRITTEN
    carry_out(world)
    finish(world)
    assert only_sink(world.plan()).reason is Reason.PROGRAMMED


def test_the_content_before_is_programmed_when_the_spec_asks_for_it() -> None:
    world = failing()
    carry_out(world)
    finish(world)
    world.put(view())
    assert only_sink(world.plan()).state == "Programmed"


def test_a_crash_between_secret_and_template_ends_in_the_same_state() -> None:
    world = failing()
    carry_out(world, template=False)
    assert projects(world) == second_hash()
    write = only_write(world.plan())
    assert (write.rollback, write.secret_stale, write.template_stale) == (second_hash(), False, True)
    carry_out(world)
    finish(world)
    assert projects(world) == first_hash()
    assert only_sink(world.plan()).reason is Reason.ROLLED_BACK


def test_after_such_a_crash_another_content_finds_no_conflict_and_nothing_is_left_behind() -> None:
    world = failing()
    carry_out(world, template=False)
    world.put(view("third"))
    assert only_sink(world.plan()).reason is Reason.NOT_WRITTEN
    carry_out(world)
    (record,) = world.store.records.values()
    assert restored(world.objects["Deployment", NS, "litellm"], record)["spec"] == deployment()["spec"]


def test_after_such_a_crash_a_new_try_keeps_its_way_back() -> None:
    world = failing()
    carry_out(world, template=False)
    world.put(view("second", request="7"))
    carry_out(world)
    fail(world)
    carry_out(world)
    assert projects(world) == first_hash()


def test_an_image_of_the_users_that_fails_does_not_take_settings_back_that_ran() -> None:
    world = World(target(), secret(), view(), deployment())
    carry_out(world)
    finish(world)
    world.put(view("second"))
    carry_out(world)
    finish(world)
    live = world.objects["Deployment", NS, "litellm"]
    live["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.example.com/litellm:broken"
    live["metadata"]["generation"] += 1
    world.put(live)
    fail(world)
    sink = only_sink(world.plan())
    assert (sink.state, sink.reason) == ("Failed", Reason.ROLLOUT_FAILED)
    assert sink.write is not None
    assert (sink.write.rollback, sink.write.due) == ("", False)


@pytest.mark.parametrize("touched", ["policy", "tampered", "both"])
def test_a_record_that_is_written_anew_for_another_reason_is_no_change_of_content(touched: str) -> None:
    world = failing()
    finish(world)
    obj = world.objects["Secret", NS, COPY]
    if touched == "policy":
        world.put(view("second", deletionPolicy="Orphan"))
    else:
        world.put({**obj, "data": {**obj["data"], "otlp-headers": ""}})
    live = world.objects["Deployment", NS, "litellm"]
    if touched == "both":
        live["spec"]["template"]["spec"]["containers"][0]["env"] = []
    live["metadata"]["generation"] = 7
    world.put(live)
    carry_out(world)
    live = world.objects["Deployment", NS, "litellm"]
    live["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.example.com/litellm:broken"
    live["metadata"]["generation"] += 1
    world.put(live)
    fail(world)
    sink = only_sink(world.plan())
    assert sink.reason is Reason.ROLLOUT_FAILED
    assert sink.write is not None
    assert sink.write.rollback == ""


def test_pods_that_crash_are_a_failure_before_any_deadline() -> None:
    world = failing()
    obj = world.objects["Deployment", NS, "litellm"]
    world.put({**obj, "status": {"observedGeneration": 3, "replicas": 2, "updatedReplicas": 1}})
    assert only_sink(world.plan()).state == "RollingOut"
    world.run(pod("new", config_hash=second_hash(), waiting="ImagePullBackOff"))
    sink = only_sink(world.plan())
    assert sink.message == "Deployment shop/litellm: pod new: container litellm: ImagePullBackOff"
    assert only_write(world.plan()).rollback == second_hash()


def test_the_record_of_a_rollback_round_trips() -> None:
    world = failing()
    world.put(view("second", request="7"))
    record = project_record(secret_object(world.store.gateways[NS, "checkout"], only_write(world.plan())))
    assert record is not None
    assert (record.failed, record.failed_request) == (second_hash(), "7")
    assert record.injection.config_hash == first_hash()
    assert record.previous is not None
    assert record.previous.config_hash == second_hash()


def test_what_is_kept_for_a_rollback_does_not_count_as_content() -> None:
    world = failing()
    obj = world.objects["Secret", NS, COPY]
    bare = project_record(obj)
    kept = {**obj, "data": {**obj["data"], "previous.otlp-headers": "eA==", "previous.ca.crt": "eA=="}}
    assert project_record(kept) == bare
    assert bare is not None
    other = project_record({**obj, "data": {**obj["data"], "otlp-headers": "eA=="}})
    assert other is not None
    assert other.digest != bare.digest


def test_a_record_without_a_generation_is_read_and_rolls_nothing_back() -> None:
    world = failing()
    obj = world.objects["Secret", NS, COPY]
    record = project_record(obj)
    assert record is not None
    assert record.generation == 2
    world.store.put_record(
        type(record)(**{**{name: getattr(record, name) for name in record.__slots__}, "generation": None})
    )
    sink = only_sink(world.plan())
    assert sink.reason is Reason.ROLLOUT_FAILED
    assert sink.write is not None
    assert not sink.write.due
