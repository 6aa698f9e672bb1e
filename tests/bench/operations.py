"""Figures of single operations: writes per operation, latency of edits, a steady hour, rollouts under a cap."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.figures import OK, RECONCILES, WRITES, figure, prepare, say
from tests.support import objects
from tests.support.cluster import ClusterAccess
from tests.support.kube import Kube, condition, same, wait
from tests.support.operator import OperatorProcess

EDITS = 100
RESYNCS = 12
CAP = 3
WORKLOADS = 50


def operations(access: ClusterAccess, kube: Kube, folder: Path) -> None:
    """Print all figures; each in namespaces of its own."""
    writes_per_operation(access, kube, folder)
    edit_latency(access, kube, folder)
    steady(access, kube, folder)
    under_a_cap(access, kube, folder)


def writes_per_operation(access: ClusterAccess, kube: Kube, folder: Path) -> None:
    """Count the writes of a create, a change and a delete, without pods and with one."""
    for replicas, goal in ((0, "<= 5"), (1, "<= 7")):
        namespace = f"writes-{replicas}"
        prepare(kube, namespace, 0)
        kube.apply(objects.deployment(namespace, replicas=replicas))
        wait("the Deployment is there", lambda namespace=namespace: _observed(kube, namespace))  # type: ignore[misc]
        with OperatorProcess(access.kubeconfig, folder / namespace, f"--watch-namespace={namespace}") as process:
            kube.wait_condition("langsmithtarget", namespace, "prod", "Ready")

            def counted(
                act: Callable[[], object], done: Callable[[], object], process: OperatorProcess = process
            ) -> int:
                before = process.metrics(WRITES)[WRITES]
                act()
                wait("the operation is done", done)
                _quiet(process)
                return int(process.metrics(WRITES)[WRITES] - before)

            with_pods = "with pods" if replicas else "without pods"
            create = counted(
                lambda namespace=namespace: kube.apply(objects.gateway(namespace)),  # type: ignore[misc]
                lambda namespace=namespace: _ready(kube, namespace, "checkout"),  # type: ignore[misc]
            )
            figure(f"writes-create-{replicas}", create, "writes", goal, what=with_pods)
            change = counted(
                lambda namespace=namespace: kube.apply(objects.gateway(namespace, project="other")),  # type: ignore[misc]
                lambda namespace=namespace: _ready(kube, namespace, "other"),  # type: ignore[misc]
            )
            figure(f"writes-change-{replicas}", change, "writes", "<= 5", what=with_pods)
            delete = counted(
                lambda namespace=namespace: kube.delete("gatewaytelemetry", namespace, "gateway"),  # type: ignore[misc]
                lambda namespace=namespace: kube.get("gatewaytelemetry", namespace, "gateway") is None,  # type: ignore[misc]
            )
            figure(f"writes-delete-{replicas}", delete, "writes", "<= 5", what=with_pods)


def _observed(kube: Kube, namespace: str) -> bool:
    live = kube.get("deployment", namespace, "gateway") or {}
    return bool((live.get("status") or {}).get("observedGeneration"))


def _ready(kube: Kube, namespace: str, project: str) -> bool:
    live = kube.get("gatewaytelemetry", namespace, "gateway") or {}
    told = (live.get("status") or {}).get("traces") or {}
    current = (live.get("status") or {}).get("observedGeneration") == (live.get("metadata") or {}).get("generation")
    return bool(current and told.get("project") == project and condition(live, "Ready").get("status") == "True")


def _quiet(process: OperatorProcess) -> None:
    """Wait until the number of writes no longer moves for a second."""
    last, since = -1.0, time.monotonic()
    while time.monotonic() - since < 1.0:
        now = process.metrics(WRITES)[WRITES]
        if now != last:
            last, since = now, time.monotonic()
        time.sleep(0.05)


def edit_latency(access: ClusterAccess, kube: Kube, folder: Path) -> None:
    """Measure from an edit of a GatewayTelemetry to the changed pod template."""
    namespace = "edits"
    [name] = prepare(kube, namespace, 1)
    taken = []
    with OperatorProcess(access.kubeconfig, folder / namespace, f"--watch-namespace={namespace}"):
        kube.wait_condition("gatewaytelemetry", namespace, name, "Ready")
        for number in range(EDITS):
            before = _hash(kube, namespace, name)
            kube.merge_patch("gatewaytelemetry", namespace, name, {"spec": {"project": f"edit-{number}"}})
            began = time.monotonic()
            while _hash(kube, namespace, name) == before:
                if time.monotonic() - began > 30:
                    raise SystemExit(f"edit {number} did not arrive within 30 s")
                time.sleep(0.002)
            taken.append(time.monotonic() - began)
    cuts = statistics.quantiles(taken, n=100)
    figure("edit-latency-p50", statistics.median(taken), "s", edits=EDITS)
    figure("edit-latency-p99", cuts[98], "s", edits=EDITS)


def _hash(kube: Kube, namespace: str, name: str) -> str:
    live = kube.get("deployment", namespace, name)
    assert live is not None
    annotations = live["spec"]["template"]["metadata"].get("annotations") or {}
    return str(annotations.get("gatewaytelemetry.dev/config-hash"))


def steady(access: ClusterAccess, kube: Kube, folder: Path) -> None:
    """Count writes over as many resyncs as two hours have."""
    namespace = "steady"
    names = prepare(kube, namespace, 20)
    flags = (f"--watch-namespace={namespace}", "--resync=1")
    with OperatorProcess(access.kubeconfig, folder / namespace, *flags) as process:
        for name in names:
            kube.wait_condition("gatewaytelemetry", namespace, name, "Ready")
        _quiet(process)
        before = process.metrics(RECONCILES, WRITES)
        wait(
            f"{RESYNCS} resyncs",
            lambda: process.metrics(RECONCILES)[OK] >= before[OK] + RESYNCS * len(names),
            120,
        )
        figure("steady-writes", process.metrics(WRITES)[WRITES] - before[WRITES], "writes", "0", resyncs=RESYNCS)


def under_a_cap(access: ClusterAccess, kube: Kube, folder: Path) -> None:
    """Roll many workloads out under a cap, and look all the time how many are under way."""
    namespace = "capped"
    prepare(kube, namespace, 0)
    names = [f"gateway-{number:02d}" for number in range(WORKLOADS)]
    for name in names:
        kube.create(objects.deployment(namespace, name))
        kube.create(objects.gateway(namespace, name, app=name))
    same(True, lambda: all(map(_rolled_out, kube.list("deployment", namespace))), "all have pods", 120)
    most = 0
    flags = (f"--watch-namespace={namespace}", f"--max-rollouts={CAP}", "--max-rollouts-per-namespace=0")
    began = time.monotonic()
    with OperatorProcess(access.kubeconfig, folder / namespace, *flags):

        def finished() -> bool:
            nonlocal most
            under_way = sum(not _rolled_out(item) for item in kube.list("deployment", namespace))
            most = max(most, under_way)
            live = kube.list("gatewaytelemetry", namespace)
            return all(condition(item, "Ready").get("status") == "True" for item in live)

        wait("all are Ready", finished, 300)
    figure("capped-most-under-way", most, "workloads", f"<= {CAP}", workloads=WORKLOADS)
    figure("capped", time.monotonic() - began, "s", workloads=WORKLOADS)
    say("done")


def _rolled_out(item: objects.Object) -> bool:
    status = item.get("status") or {}
    wanted = item["spec"]["replicas"]
    return bool(
        status.get("observedGeneration") == item["metadata"]["generation"]
        and status.get("updatedReplicas", 0) == wanted
        and status.get("availableReplicas", 0) == wanted
        and status.get("replicas", 0) == wanted
    )
