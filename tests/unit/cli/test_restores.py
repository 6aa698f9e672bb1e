"""Whatever an adapter wrote is taken away again: the workload is what its user made, and nothing of ours is left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.golden import cases
from tests.unit.cli.run import render_objects

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")


def _bare(obj: dict[str, Any]) -> dict[str, Any]:
    """Return a workload without what counts its changes."""
    metadata = {key: value for key, value in obj["metadata"].items() if key not in ("generation", "uid")}
    return {**obj, "metadata": metadata}


@pytest.mark.parametrize("path", cases.files(), ids=lambda path: path.stem)
def test_a_deleted_gateway_leaves_the_workload_as_it_was(path: Path) -> None:
    left = cases.load(path)
    written = cases.cases()[path.stem]
    [before] = [item for item in written if item["kind"] in WORKLOADS]
    for item in left:
        if item["kind"] == "GatewayTelemetry":
            item["metadata"]["deletionTimestamp"] = "2026-01-09T00:00:00Z"
            item["metadata"]["finalizers"] = ["gatewaytelemetry.dev/restore"]
    ran = render_objects([*cases.sources(), *left], "--allow-host", f"ls.{cases.NAMESPACE}.svc")
    found = ran.objects()
    [after] = [item for item in found if item["kind"] in WORKLOADS]
    assert _bare(after) == _bare(before)
    managed = "app.kubernetes.io/managed-by"
    assert not [
        item["metadata"]["name"]
        for item in found
        if (item["metadata"].get("labels") or {}).get(managed) == "gateway-telemetry-operator"
    ]


def test_every_case_has_a_golden_file() -> None:
    assert {path.stem for path in cases.files()} == set(cases.cases())
