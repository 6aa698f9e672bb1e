"""An upgrade of the operator restarts no gateway: what it writes, and the hash of it, are frozen here.

Each file holds objects and the write that they led to when it was recorded. A difference means that every gateway of
that shape restarts when the operator is upgraded. If that is meant, raise ``HASH_VERSION``, add new files beside these,
and say so in the changelog.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from gateway_telemetry.plan.injection import Injection, merged
from gateway_telemetry.plan.secret import secret_object
from gateway_telemetry.plan.views import project_record
from tests.unit.plan.build import GOLDEN, World, only_sink, only_write

FILES = sorted(GOLDEN.glob("write-*.json"))


def load(path: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(path.read_text())
    return result


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_same_objects_lead_to_the_same_write(path: Path) -> None:
    golden = load(path)
    write = only_write(World(*golden["objects"]).plan())
    assert {"secret": write.secret, "files": write.files, "injection": write.injection.to_json()} == golden["write"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_workload_that_an_earlier_version_wrote_is_left_as_it_is(path: Path) -> None:
    golden = load(path)
    world = World(*golden["objects"])
    write = only_write(world.plan())
    (workload,) = [item for item in golden["objects"] if item["kind"] == "Deployment"]
    world.put(secret_object(world.store.gateways["shop", "checkout"], write))
    world.put(merged(workload, Injection.from_json(golden["write"]["injection"]), golden["write"]["secret"]))
    sink = only_sink(world.plan())
    assert sink.state == "Programmed"
    assert sink.write is not None
    assert not sink.write.due


def test_neither_order_nor_annotations_nor_an_unrelated_label_move_the_hash() -> None:
    golden = load(GOLDEN / "write-litellm-self-hosted-ca.json")
    objects = copy.deepcopy(golden["objects"])
    for item in objects:
        item["metadata"]["annotations"] = {**item["metadata"].get("annotations", {}), "note": "x"}
        item["metadata"].setdefault("labels", {})["note"] = "x"
        item["metadata"]["resourceVersion"] = "77"
        if item["kind"] == "GatewayTelemetry":
            attributes = item["spec"]["resourceAttributes"]
            item["spec"]["resourceAttributes"] = dict(reversed(attributes.items()))
    assert only_write(World(*reversed(objects)).plan()).injection.to_json() == golden["write"]["injection"]


def test_a_record_that_an_earlier_version_wrote_is_read() -> None:
    view = project_record(load(GOLDEN / "record-0.1.0.json"))
    assert view is not None
    assert (view.namespace, view.name) == ("shop", "gateway-telemetry-deployment-litellm")
    assert (view.owner, view.owner_uid) == (("shop", "checkout"), "uid-GatewayTelemetry-shop-checkout")
    assert (view.workload, view.workload_uid) == (("Deployment", "litellm"), "uid-Deployment-shop-litellm")
    assert (view.injection.container, view.injection.config_hash) == ("app", "bbf2480159ae04ba")
    assert view.previous is not None
    assert (view.previous.container, view.previous.config_hash) == ("litellm", "4fd79e2dd38ee7ed")
    assert view.previous.env[0] == {"name": "OTEL_EXPORTER_OTLP_PROTOCOL", "value": "http/protobuf"}
    assert view.orphan
