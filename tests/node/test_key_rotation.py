"""A key is replaced while gateways serve: one gateway at a time restarts, and no trace is lost.

The steps are those of docs/install.md: make the new key, put it into the Secret, wait, revoke the old one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import node_install, objects
from tests.support.cluster import Kubectl, available
from tests.support.kube import Kube, condition, wait
from tests.support.langsmith import Key, StandIn, fingerprint
from tests.support.node_machine import Machine
from tests.support.node_traffic import Traffic, gateway
from tests.support.objects import Object
from tests.unit.langsmith_standin.clients import WORKSPACE

NAMESPACE = "rotation"
OLD, NEW = "lsv2_sk_" + "0" * 32 + "_old", "lsv2_sk_" + "0" * 32 + "_new"
GATEWAYS = ("blue", "green", "red")
HASH = "gatewaytelemetry.dev/config-hash"


@pytest.fixture(scope="module")
def langsmith(machine: Machine) -> Iterator[StandIn]:
    with StandIn(keys={OLD: Key((WORKSPACE,))}, host=machine.address) as stand_in:
        yield stand_in


@pytest.fixture(scope="module")
def gateways(
    machine: Machine,
    images: None,
    kube: Kube,
    kubectl: Kubectl,
    langsmith: StandIn,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[None]:
    helm = node_install.helm_of(kubectl.kubeconfig, tmp_path_factory.mktemp("helm"))
    rollouts = {"maxInCluster": 10, "maxInNamespace": 1}
    values: dict[str, Any] = {"allowedHosts": [machine.address], "rollouts": rollouts}
    with node_install.installed(helm, kube, **values):
        node_install.namespace(kube, NAMESPACE, node_install.RESTRICTED)
        reference = {"secretRef": {"name": "langsmith", "key": "api-key"}}
        kube.apply(objects.secret(NAMESPACE, key=OLD))
        kube.apply(
            objects.target(
                NAMESPACE,
                selfHosted={"url": langsmith.url},
                allowPlaintext=True,
                credentials={"ingest": reference, "read": reference},
            )
        )
        for name in GATEWAYS:
            for item in (*gateway(NAMESPACE, name), objects.gateway(NAMESPACE, name, app=name)):
                kube.apply(item)
        yield
    kube.delete("namespace", None, NAMESPACE)


def hashes(kube: Kube) -> set[str]:
    return {
        item["spec"]["template"]["metadata"].get("annotations", {}).get(HASH, "")
        for item in kube.list("deployment", NAMESPACE)
    }


def rolling(kube: Kube) -> list[str]:
    """Return the gateways whose pods are being replaced."""
    return [name for name in GATEWAYS if not available(kube, NAMESPACE, name)]


def told(kube: Kube) -> dict[str, tuple[str, str]]:
    found = {item["metadata"]["name"]: condition(item, "Programmed") for item in kube.list("gt", NAMESPACE)}
    return {name: (item.get("status", ""), item.get("reason", "")) for name, item in found.items()}


def test_a_key_is_rotated_under_load(gateways: None, kube: Kube, langsmith: StandIn, tmp_path: Path) -> None:
    for name in GATEWAYS:
        kube.wait_condition("gt", NAMESPACE, name, "Ready", timeout=120)
    wait("all pods have the settings", lambda: rolling(kube) == [], 60)
    before = hashes(kube)
    assert "" not in before

    with Traffic(kube, NAMESPACE, GATEWAYS) as traffic:
        wait("requests are answered", lambda: len(traffic.answered) > 10, 30)
        langsmith.directory.add_key(NEW, Key((WORKSPACE,)))
        kube.apply(objects.secret(NAMESPACE, key=NEW))
        seen, most = watch_until_rotated(kube, before)
        # The old pods have ended, and with them what they still had to send.
        wait("old pods are gone", lambda: len(kube.list("pod", NAMESPACE)) == len(GATEWAYS), 60)
        langsmith.directory.add_key(OLD, Key((WORKSPACE,), state="revoked"))
        answered = len(traffic.answered)
        wait("requests are answered after that", lambda: len(traffic.answered) > answered + 10, 30)
    for name in GATEWAYS:
        traffic.ask(name, flush=True)

    assert most == 1
    reasons = {reason for states in seen for _, reason in states.values()}
    assert {"RolloutInProgress", "RolloutQueued", "Programmed"} <= reasons
    count = traffic.all_arrived(langsmith)
    refusals = [item for item in langsmith.store.requests("ingest") if item.status != 200]
    assert refusals == []
    last = {item.key_fingerprint for item in langsmith.store.requests("ingest")[-len(GATEWAYS) :]}
    assert last == {fingerprint(NEW)}
    target = kube.wait_condition("langsmithtarget", NAMESPACE, "prod", "Authenticated", timeout=60)
    assert condition(target, "Ready")["status"] == "True"
    for name in GATEWAYS:
        kube.wait_condition("gt", NAMESPACE, name, "Delivered", timeout=120)
    print(f"{count} requests answered during the rotation, {count} traces; {traffic.refused} requests asked again")


def watch_until_rotated(kube: Kube, before: set[str]) -> tuple[list[dict[str, tuple[str, str]]], int]:
    """Wait until all gateways have other settings; return what their conditions said, and how many rolled at once."""
    seen: list[dict[str, tuple[str, str]]] = []
    most = 0

    def rotated() -> bool:
        nonlocal most
        now = told(kube)
        if not seen or seen[-1] != now:
            seen.append(now)
        most = max(most, len(rolling(kube)))
        done: list[Object] = kube.list("deployment", NAMESPACE)
        changed = before.isdisjoint(hashes(kube)) and len(done) == len(GATEWAYS)
        return changed and all(item == ("True", "Programmed") for item in now.values())

    wait("all gateways run with the new key", rotated, 180)
    return seen, most
