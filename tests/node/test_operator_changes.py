"""The operator is upgraded, rolled back, scaled, moved off its node: no gateway restarts, and leadership moves on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hack import image
from hack.image_operator import NAME as OPERATOR

from tests.support import node_install, objects
from tests.support.cluster import Kubectl, available
from tests.support.helm import CHART, Helm
from tests.support.kube import Kube, condition, same, wait
from tests.support.langsmith import StandIn
from tests.support.node_figures import seconds_since_start, show
from tests.support.node_machine import Machine, retagged
from tests.support.node_traffic import gateway
from tests.support.objects import Object
from tests.unit.langsmith_standin.clients import KEY, WORKSPACE

NAMESPACE = "steady"
SYSTEM = node_install.SYSTEM
NEXT = f"{image.VERSION}-next"
LEASE_SECONDS = 15
"""spec.leaseDurationSeconds: after so long without a renewal, another replica may lead."""


@dataclass
class World:
    """An installed operator with one gateway; ``pods`` is what must not change."""

    kube: Kube
    helm: Helm
    values: Object

    def upgrade(self, **changes: object) -> None:
        self.values |= changes
        command = ("upgrade", node_install.RELEASE, str(CHART), "-n", SYSTEM, "--wait", "--timeout", "90s")
        self.helm(*command, "--values", "-", stdin=yaml.safe_dump(self.values))

    def gateways(self) -> list[tuple[str, int]]:
        """Return each gateway's pod and how often its container was started again."""
        pods = self.kube.list("pod", NAMESPACE)
        return sorted((pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"]) for pod in pods)

    def operators(self) -> list[Object]:
        found = self.kube.list("pod", SYSTEM, "app.kubernetes.io/name=gateway-telemetry-operator")
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def leader(self) -> str:
        [lease] = [item for item in self.kube.list("lease", SYSTEM) if "gateway-telemetry" in item["metadata"]["name"]]
        return str(lease["spec"].get("holderIdentity") or "")

    def leads_among(self, pods: list[Object]) -> bool:
        return any(self.leader().startswith(pod["metadata"]["name"]) for pod in pods)

    def ask_operator(self) -> None:
        """Ask for a reconcile and wait until it is done, so that what a new operator would write is written."""
        now = str(time.time_ns())
        patch = {"metadata": {"annotations": {"gatewaytelemetry.dev/requestedAt": now}}}
        self.kube.merge_patch("gt", NAMESPACE, "gateway", patch)
        wait("the operator has seen the request", lambda: self.handled(now), 60)

    def handled(self, request: str) -> bool:
        return bool((self.kube.get("gt", NAMESPACE, "gateway") or {})["status"].get("lastHandledRequest") == request)


@pytest.fixture(scope="module")
def world(
    machine: Machine, images: None, kube: Kube, kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    helm = node_install.helm_of(kubectl.kubeconfig, tmp_path_factory.mktemp("helm"))
    values: dict[str, Any] = {"allowedHosts": [machine.address]}
    with (
        StandIn(keys={KEY: WORKSPACE}, host=machine.address) as langsmith,
        node_install.installed(helm, kube, **values),
    ):
        node_install.namespace(kube, NAMESPACE, node_install.RESTRICTED)
        kube.apply(objects.secret(NAMESPACE, key=KEY))
        kube.apply(objects.target(NAMESPACE, selfHosted={"url": langsmith.url}, allowPlaintext=True))
        for item in (*gateway(NAMESPACE), objects.gateway(NAMESPACE)):
            kube.apply(item)
        kube.wait_condition("gt", NAMESPACE, "gateway", "Ready", timeout=120)
        found = World(kube, helm, node_install.values(**values))
        same(1, lambda: len(kube.list("pod", NAMESPACE)), "the pod without settings is gone")
        yield found
    kube.delete("namespace", None, NAMESPACE)


def test_upgrade_and_rollback(world: World, kube: Kube, machine: Machine, tmp_path: Path) -> None:
    machine.load(retagged(image.operator(), f"{OPERATOR}:{NEXT}", tmp_path / "next.tar"))
    before = world.gateways()
    world.upgrade(image={"repository": OPERATOR, "tag": NEXT, "pullPolicy": "Never"})
    wait("the new operator leads", lambda: world.leads_among(world.operators()), 60)
    [pod] = world.operators()
    assert pod["spec"]["containers"][0]["image"] == f"{OPERATOR}:{NEXT}"
    world.ask_operator()
    world.helm("rollback", node_install.RELEASE, "1", "-n", SYSTEM, "--wait", "--timeout", "90s")
    same(
        [f"{OPERATOR}:{image.VERSION}"],
        lambda: [item["spec"]["containers"][0]["image"] for item in world.operators()],
        "the old operator runs",
    )
    wait("the old operator leads", lambda: world.leads_among(world.operators()), 60)
    world.ask_operator()
    assert world.gateways() == before
    assert condition(kube.get("gt", NAMESPACE, "gateway"), "Ready")["status"] == "True"


def test_two_replicas_and_a_leader_that_is_deleted(world: World, kube: Kube) -> None:
    before = world.gateways()
    world.upgrade(image=node_install.values()["image"], replicas=2)
    same(2, lambda: len(world.operators()), "two replicas")
    [budget] = kube.list("pdb", SYSTEM)
    assert budget["spec"] | {"selector": None} == {"maxUnavailable": 1, "selector": None}
    wait("one of them leads", lambda: world.leads_among(world.operators()), 60)
    [leader] = [pod for pod in world.operators() if world.leads_among([pod])]
    # It gives the Lease back; a leader that cannot is tests/cluster/test_leader.py's.
    kube.delete("pod", SYSTEM, leader["metadata"]["name"])
    deleted = time.monotonic()
    wait("another one leads", lambda: not world.leads_among([leader]) and world.leads_among(world.operators()), 60)
    moved = time.monotonic() - deleted
    world.ask_operator()
    show(leader_deleted_to_next_leader_seconds=moved)
    assert moved < LEASE_SECONDS
    assert world.gateways() == before


def test_a_node_is_drained(world: World, kube: Kube, kubectl: Kubectl) -> None:
    """One node only: what is evicted comes back when the node takes pods again."""
    before = world.gateways()
    world.upgrade(replicas=1)
    same(1, lambda: len(world.operators()), "one replica")
    [pod] = world.operators()
    node = pod["spec"]["nodeName"]
    kubectl(
        "drain",
        node,
        f"--pod-selector=app.kubernetes.io/instance={node_install.RELEASE}",
        "--delete-emptydir-data",
        "--timeout=60s",
    )
    try:
        waiting = wait(
            "its successor waits for a node",
            lambda: [item for item in world.operators() if "nodeName" not in item["spec"]],
            30,
        )
        same("", world.leader, "the Lease is given back")
        assert world.gateways() == before
        now = str(time.time_ns())
        kube.merge_patch(
            "gt", NAMESPACE, "gateway", {"metadata": {"annotations": {"gatewaytelemetry.dev/requestedAt": now}}}
        )
    finally:
        kubectl("uncordon", node)
    name = waiting[0]["metadata"]["name"]
    seconds = seconds_since_start(kube, lambda: kube.get("pod", SYSTEM, name), lambda: world.handled(now))
    show(start_to_first_reconcile_seconds=seconds)
    assert available(kube, NAMESPACE, "gateway")
    assert world.gateways() == before
    transition = condition(kube.get("gt", NAMESPACE, "gateway"), "Programmed")["lastTransitionTime"]
    created = (kube.get("pod", SYSTEM, name) or {})["metadata"]["creationTimestamp"]
    assert datetime.fromisoformat(transition) < datetime.fromisoformat(created)
