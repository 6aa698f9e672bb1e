"""The pod templates under tests/golden are what this version writes as well.

tests/cluster/test_stable_hash.py shows the same of a running operator.
"""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from gateway_telemetry.plan.restore import restored
from gateway_telemetry.plan.views import project_record, project_workload
from tests.golden import cases
from tests.golden.cases import NAMESPACE
from tests.unit.plan.build import Object, World

FILES = cases.files()


def user_wrote(objects: list[Object]) -> list[Object]:
    """Return target, gateway and workload of a golden file without what the operator left."""
    target, gateway, workload, *mine = objects
    for item in mine:
        record = project_record(item) if item["kind"] == "Secret" else None
        if record is not None and not record.reference:
            workload = restored(workload, record)
    return [target, gateway, workload]


def without_record(obj: Object) -> Object:
    """Return an object without the record, to which a version may add; what it must understand is tested below."""
    return {**obj, "data": {key: text for key, text in obj["data"].items() if key != "record.json"}}


def test_there_is_a_file_for_each_case() -> None:
    assert [path.stem for path in FILES] == sorted(cases.cases())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_this_version_writes_the_same_pod_template(path: Path) -> None:
    golden = cases.load(path)
    written = user_wrote(copy.deepcopy(golden))
    assert cases.cases()[path.stem] == written
    found = cases.left_by_the_operator(written, path.stem)
    assert found[2] == golden[2]
    assert [without_record(item) for item in found[3:]] == [without_record(item) for item in golden[3:]]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_nothing_is_to_be_done_where_the_earlier_version_was(path: Path) -> None:
    golden = cases.load(path)
    world = World(*cases.sources(), *golden)
    plan = world.plan(path.stem, NAMESPACE)
    assert plan.restore == ()
    assert plan.reference is None or not plan.reference.due
    (sink,) = plan.sinks
    assert sink.write is None or not sink.write.due
    assert project_workload(golden[2]).containers[0].env[0] == {"name": "LOG_LEVEL", "value": "info"}
