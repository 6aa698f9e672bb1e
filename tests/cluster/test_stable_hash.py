"""An upgrade of the operator changes no pod template: over what the golden files hold, it writes statuses only."""

from __future__ import annotations

import base64
import copy
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.golden import cases
from tests.golden.cases import NAMESPACE
from tests.support.cluster import ClusterAccess
from tests.support.kube import Kube
from tests.support.objects import Object
from tests.support.operator import OperatorProcess

FILES = cases.files()
FINALIZER = "gatewaytelemetry.dev/restore"


@pytest.fixture
def golden_namespace(kube: Kube) -> Iterator[str]:
    """The namespace of the golden files: its name is in what they hold."""
    kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    kube.wait("its default ServiceAccount", lambda: kube.get("sa", NAMESPACE, "default"))
    yield NAMESPACE
    kube.delete("namespace", None, NAMESPACE)


def stripped(obj: Object) -> Object:
    """Return an object without what only a server gives."""
    result = copy.deepcopy(obj)
    for field in ("uid", "generation", "creationTimestamp"):
        result["metadata"].pop(field, None)
    return result


def put_back(kube: Kube, path: Path) -> None:
    """Create the objects of a golden file as the earlier version left them, with the uids of this cluster."""
    target, gateway, workload, *mine = cases.load(path)
    kube.create(stripped(target))
    live = kube.create(stripped(workload))
    owner = stripped(gateway)
    owner["metadata"]["finalizers"] = [FINALIZER]
    uids = {
        workload["metadata"]["uid"]: live["metadata"]["uid"],
        gateway["metadata"]["uid"]: kube.create(owner)["metadata"]["uid"],
    }
    for item in mine:
        kube.create(with_uids(stripped(item), uids))


def with_uids(obj: Object, uids: dict[str, str]) -> Object:
    """Return an object of the operator with placeholders replaced, the longer first: one begins with the other."""

    def replaced(text: str) -> str:
        for placeholder in sorted(uids, key=len, reverse=True):
            text = text.replace(f'"{placeholder}"', f'"{uids[placeholder]}"')
        return text

    record = (obj.get("data") or {}).get("record.json")
    if record is not None:
        obj["data"]["record.json"] = base64.b64encode(replaced(base64.b64decode(record).decode()).encode()).decode()
    metadata = obj["metadata"]
    for reference in metadata.get("ownerReferences") or ():
        reference["uid"] = uids[reference["uid"]]
    annotations = metadata["annotations"]
    if "gatewaytelemetry.dev/owner-uid" in annotations:
        annotations["gatewaytelemetry.dev/owner-uid"] = uids[annotations["gatewaytelemetry.dev/owner-uid"]]
    return obj


def seen(kube: Kube) -> dict[tuple[str, str], Object]:
    """Return what an upgrade must not touch: specs of workloads with their managers, and the operator's own objects."""
    found: dict[tuple[str, str], Object] = {}
    for kind in ("deployment", "statefulset", "daemonset"):
        for item in kube.list(kind, NAMESPACE):
            metadata = item["metadata"]
            managers = sorted(entry["manager"] for entry in metadata["managedFields"])
            found[kind, metadata["name"]] = {
                "spec": item["spec"],
                "generation": metadata["generation"],
                "managers": managers,
                "annotations": metadata.get("annotations"),
            }
    for kind in ("secret", "configmap"):
        for item in kube.list(kind, NAMESPACE):
            found[kind, item["metadata"]["name"]] = {"version": item["metadata"]["resourceVersion"]}
    return found


def test_an_upgrade_changes_no_pod_template(
    cluster: ClusterAccess, kube: Kube, golden_namespace: str, tmp_path: Path
) -> None:
    for source in cases.sources():
        kube.create(stripped(source))
    for path in FILES:
        put_back(kube, path)
    for path in FILES:
        workload = cases.load(path)[2]
        kube.wait(f"{path.stem} has rolled out", lambda workload=workload: rolled_out(kube, workload), timeout=60)  # type: ignore[misc]
    before = seen(kube)

    with OperatorProcess(cluster.kubeconfig, tmp_path, f"--watch-namespace={golden_namespace}") as operator:
        for path in FILES:
            kube.wait_condition("gatewaytelemetry", golden_namespace, path.stem, "Ready", timeout=60)
        writes = operator.metrics()["gateway_telemetry_api_writes_total"]

    assert seen(kube) == before
    # One status of each target and of each gateway, since the golden files hold none.
    assert writes == 2 * len(FILES)


def rolled_out(kube: Kube, workload: Object) -> bool:
    found = kube.get(workload["kind"].lower(), NAMESPACE, workload["metadata"]["name"])
    assert found is not None
    status = found.get("status") or {}
    ready = status.get("numberAvailable") or status.get("availableReplicas") or 0
    return bool(status.get("observedGeneration") == found["metadata"]["generation"] and ready)
