"""One leader: two real processes and one Lease, with a clean end, a crash and a pause."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.support import objects
from tests.support.cluster import ClusterAccess
from tests.support.kube import Kube
from tests.support.operator import OperatorProcess

LEASE = "gateway-telemetry-operator"
TAKE_OVER_SECONDS = 40.0
"""A lease duration of 15 s, a retry of 2 s, and a slow machine."""


def pair(cluster: ClusterAccess, namespace: str, folder: Path) -> tuple[OperatorProcess, OperatorProcess]:
    flags = (f"--watch-namespace={namespace}", f"--lease-namespace={namespace}")
    first, second = (
        OperatorProcess(cluster.kubeconfig, folder / name, *flags, env={"POD_NAME": name}) for name in ("one", "two")
    )
    return first, second


def holder(kube: Kube, namespace: str) -> str:
    lease = kube.get("lease", namespace, LEASE)
    return "" if lease is None else str(lease["spec"].get("holderIdentity") or "").split("_")[0]


def leading(process: OperatorProcess) -> bool:
    return process.metrics()["gateway_telemetry_leading"] == 1


def applied(kube: Kube, namespace: str) -> None:
    for item in (
        objects.secret(namespace),
        objects.target(namespace),
        objects.deployment(namespace, replicas=0),
        objects.gateway(namespace),
    ):
        kube.apply(item)


def project(kube: Kube, namespace: str) -> str:
    found = kube.get("gatewaytelemetry", namespace, "gateway") or {}
    return str(((found.get("status") or {}).get("traces") or {}).get("project"))


def test_a_clean_end_hands_over_at_once(cluster: ClusterAccess, kube: Kube, namespace: str, tmp_path: Path) -> None:
    first, second = pair(cluster, namespace, tmp_path)
    with first:
        kube.wait("the first leads", lambda: leading(first) and holder(kube, namespace) == "one")
        with second:
            assert not leading(second)
            applied(kube, namespace)
            kube.wait_condition("gatewaytelemetry", namespace, "gateway", "Ready")
            assert second.metrics()["gateway_telemetry_api_writes_total"] == 0
            assert first.stop() == 0
            # Sooner than the lease would have run out.
            kube.wait("the second leads", lambda: holder(kube, namespace) == "two", 12)
            kube.apply(objects.gateway(namespace, project="second"))
            kube.wait("the second works", lambda: project(kube, namespace) == "second")
            lease = kube.get("lease", namespace, LEASE)
            assert lease is not None
            assert lease["spec"]["leaseDurationSeconds"] == 15
            assert lease["spec"]["leaseTransitions"] == 1


def test_a_crash_is_waited_out(cluster: ClusterAccess, kube: Kube, namespace: str, tmp_path: Path) -> None:
    first, second = pair(cluster, namespace, tmp_path)
    with first:
        kube.wait("the first leads", lambda: leading(first) and holder(kube, namespace) == "one")
        with second:
            first.kill()
            applied(kube, namespace)
            kube.wait("the second leads", lambda: holder(kube, namespace) == "two", TAKE_OVER_SECONDS)
            kube.wait_condition("gatewaytelemetry", namespace, "gateway", "Ready")


def test_a_leader_that_was_paused_writes_nothing_afterwards(
    cluster: ClusterAccess, kube: Kube, namespace: str, tmp_path: Path
) -> None:
    first, second = pair(cluster, namespace, tmp_path)
    with first:
        kube.wait("the first leads", lambda: leading(first) and holder(kube, namespace) == "one")
        with second:
            applied(kube, namespace)
            kube.wait_condition("gatewaytelemetry", namespace, "gateway", "Ready")
            assert first.process is not None
            first.process.send_signal(signal.SIGSTOP)
            kube.wait("the second leads", lambda: holder(kube, namespace) == "two", TAKE_OVER_SECONDS)
            kube.apply(objects.gateway(namespace, project="second"))
            kube.wait("the second works", lambda: project(kube, namespace) == "second")
            first.process.send_signal(signal.SIGCONT)
            kube.wait("the first sees that it no longer leads", lambda: "no longer leading" in first.log())
            before = first.metrics()["gateway_telemetry_api_writes_total"]
            kube.apply(objects.gateway(namespace, project="third"))
            kube.wait("the second still works", lambda: project(kube, namespace) == "third")
            assert first.metrics()["gateway_telemetry_api_writes_total"] == before
            assert holder(kube, namespace) == "two"
