"""Whatever is deleted, in whatever order, nothing of the operator's is left and nobody is held up.

Many sets of objects share one namespace and one operator; each set is deleted in an order of its own.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import MakeNamespace
from tests.support import objects
from tests.support.cluster import ClusterAccess
from tests.support.kube import Kube, NotInTime, same
from tests.support.objects import Object
from tests.support.operator import OperatorProcess

FULL = bool(os.environ.get("GATEWAY_TELEMETRY_FULL"))
SAMPLE = 30
SETTLE_SECONDS = 30.0
MANAGER = "gateway-telemetry"
PARTS = ("gateway", "target", "source", "deployment", "copy")
KINDS = {
    "gateway": "gatewaytelemetry",
    "target": "langsmithtarget",
    "source": "secret",
    "deployment": "deployment",
    "copy": "secret",
}
PROPAGATIONS = ("Background", "Foreground")

Order = tuple[str, ...]


def chosen(orders: list[Order]) -> list[Order]:
    """Return all orders, or a sample that is the same every time."""
    return orders if FULL else random.Random(3).sample(orders, SAMPLE)


def orders() -> list[Order]:
    """Return each order of all parts."""
    return list(permutations(PARTS))


def beginnings() -> list[Order]:
    """Return each order of some of the parts."""
    return [item for count in range(1, len(PARTS)) for item in permutations(PARTS, count)]


LOST: list[Order] = [
    ("copy", "gateway"),
    ("gateway", "copy"),
    ("target", "copy", "gateway"),
    ("source", "copy", "gateway"),
]
"""The record is gone when the gateway is let go, and the Deployment is still there with all that was written."""
LOST_IN_BETWEEN: Order = ("source", "copy", "gateway", "target", "deployment")


@dataclass(frozen=True)
class Set:
    """One gateway with all that belongs to it."""

    namespace: str
    name: str
    order: Order
    propagation: str

    def __str__(self) -> str:
        return f"{' > '.join(self.order)} ({self.propagation})"

    def name_of(self, part: str) -> str:
        prefixes = {"source": "langsmith-", "copy": "gateway-telemetry-deployment-"}
        return prefixes.get(part, "") + self.name

    def create(self, kube: Kube) -> None:
        secret = {"secretRef": {"name": self.name_of("source"), "key": "api-key"}}
        for item in (
            objects.secret(self.namespace, self.name_of("source")),
            objects.target(self.namespace, self.name, credentials={"ingest": secret}),
            objects.deployment(self.namespace, self.name, replicas=0),
            objects.gateway(self.namespace, self.name, app=self.name, targetRef={"name": self.name}),
        ):
            kube.apply(item)

    def delete(self, kube: Kube, part: str) -> None:
        kube.delete(KINDS[part], self.namespace, self.name_of(part), self.propagation)


def make_sets(namespace: str, chosen_orders: list[Order]) -> list[Set]:
    """Give each order a set of objects; in the full run each kind of propagation one of its own."""
    found: list[Set] = []
    for index, order in enumerate(chosen_orders):
        for propagation in PROPAGATIONS if FULL else (PROPAGATIONS[index % 2],):
            found.append(Set(namespace, f"gw-{len(found):03d}", order, propagation))
    return found


class Snapshot:
    """What there is in a namespace, by kind and name."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self._items = {
            (kind, item["metadata"]["name"]): item
            for kind in sorted(set(KINDS.values()))
            for item in kube.list(kind, namespace)
        }

    def get(self, one: Set, part: str) -> Object | None:
        return self._items.get((KINDS[part], one.name_of(part)))

    def programmed(self, one: Set) -> bool:
        gateway, live = self.get(one, "gateway"), self.get(one, "deployment")
        conditions = ((gateway or {}).get("status") or {}).get("conditions") or ()
        ready = any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
        return ready and live is not None and _injected(live) and not _claimed(live)

    def problems(self, one: Set, gone: Order) -> list[str]:
        """Tell what is left that should not be, and what is missing, once these parts were deleted."""
        gateway, live, copy = (self.get(one, part) for part in ("gateway", "deployment", "copy"))
        found = [f"{part} is still there" for part in gone if part != "copy" and self.get(one, part) is not None]
        if live is not None and _claimed(live):
            found.append("something is claimed")
        if ("gateway" in gone or "deployment" in gone) and copy is not None:
            found.append("the copy of the key is still there")
        if "gateway" in gone and live is not None and (_injected(live) or "annotations" in live["metadata"]):
            found += [f"left in the Deployment: {_traces(live)}"] if _traces(live) else []
        if "gateway" not in gone and "deployment" in gone and (gateway or {}).get("metadata", {}).get("finalizers"):
            found.append("a finalizer without anything injected")
        if not {"gateway", "deployment"} & set(gone):
            if live is not None and not _injected(live):
                found.append("a running gateway lost its settings")
            if not {"target", "source"} & set(gone) and copy is None:
                found.append("the copy was not made again")
        return [f"{one}: after {' > '.join(gone)}: {text}" for text in found]


def _template(live: Object) -> Any:
    return live["spec"]["template"]


def _injected(live: Object) -> bool:
    return "env" in _template(live)["spec"]["containers"][0]


def _traces(live: Object) -> list[str]:
    """Return what stands in a Deployment that was not there before."""
    names = [item["name"] for item in _template(live)["spec"]["containers"][0].get("env") or ()]
    annotations = {**live["metadata"].get("annotations", {}), **_template(live)["metadata"].get("annotations", {})}
    return [*names, *(key for key in annotations if key != "deployment.kubernetes.io/revision")]


def _claimed(live: Object) -> bool:
    return any(entry["manager"] == MANAGER for entry in live["metadata"]["managedFields"])


def created(kube: Kube, sets: list[Set]) -> None:
    for one in sets:
        one.create(kube)

    def missing() -> list[str]:
        now = Snapshot(kube, sets[0].namespace)
        return [one.name for one in sets if not now.programmed(one)]

    same([], missing, "all are programmed", 60)


def settled(kube: Kube, sets: list[Set], operator: OperatorProcess, steps: int | None = None) -> None:
    """Wait until nothing is wrong with any set after so many steps of its order, all of them if left out."""

    def problems() -> list[str]:
        now = Snapshot(kube, sets[0].namespace)
        return [text for one in sets for text in now.problems(one, one.order[:steps])]

    try:
        same([], problems, "each set is as it should be", SETTLE_SECONDS)
    except NotInTime as error:
        raise NotInTime(f"{error}\n{operator.log()[-8000:]}") from None


@pytest.fixture
def operator(cluster: ClusterAccess, namespace: str, tmp_path: Path) -> Iterator[OperatorProcess]:
    with OperatorProcess(cluster.kubeconfig, tmp_path, f"--watch-namespace={namespace}") as process:
        yield process


def test_one_after_the_other(operator: OperatorProcess, kube: Kube, namespace: str) -> None:
    """The operator has done what there is to do before the next thing is deleted."""
    step_by_step(operator, kube, make_sets(namespace, chosen(orders())))


def step_by_step(operator: OperatorProcess, kube: Kube, sets: list[Set]) -> None:
    created(kube, sets)
    for step in range(len(PARTS)):
        for one in sets:
            one.delete(kube, one.order[step])
        settled(kube, sets, operator, step + 1)


def test_the_record_is_lost_while_the_operator_looks_on(operator: OperatorProcess, kube: Kube, namespace: str) -> None:
    step_by_step(operator, kube, [Set(namespace, "gw", LOST_IN_BETWEEN, "Background")])


def test_all_at_once(operator: OperatorProcess, kube: Kube, namespace: str) -> None:
    sets = make_sets(namespace, chosen(beginnings()))
    created(kube, sets)
    for one in sets:
        for part in one.order:
            one.delete(kube, part)
    settled(kube, sets, operator)


def test_while_the_operator_is_away(operator: OperatorProcess, kube: Kube, namespace: str) -> None:
    away(operator, kube, make_sets(namespace, chosen(beginnings())))


def away(operator: OperatorProcess, kube: Kube, sets: list[Set]) -> None:
    created(kube, sets)
    operator.stop()
    for one in sets:
        for part in one.order:
            one.delete(kube, part)
    operator.start()
    settled(kube, sets, operator)


def test_our_own_secret_is_gone_when_the_gateway_goes(operator: OperatorProcess, kube: Kube, namespace: str) -> None:
    away(operator, kube, make_sets(namespace, LOST))


NAMESPACE_ORDERS: list[Order] = [(), *((part,) for part in PARTS), ("target", "source"), ("copy", "deployment")]
"""What is deleted right before the namespace."""


@pytest.mark.parametrize("operator_is", ["there", "away"])
def test_the_namespace_goes(
    cluster: ClusterAccess, kube: Kube, new_namespace: MakeNamespace, tmp_path: Path, operator_is: str
) -> None:
    sets = [
        Set(new_namespace("goes"), "gw", order, PROPAGATIONS[index % 2]) for index, order in enumerate(NAMESPACE_ORDERS)
    ]
    flags = [f"--watch-namespace={one.namespace}" for one in sets]
    with OperatorProcess(cluster.kubeconfig, tmp_path, *flags) as operator:
        for one in sets:
            created(kube, [one])
        if operator_is == "away":
            operator.stop()
        for one in sets:
            for part in one.order:
                one.delete(kube, part)
            kube.delete("namespace", None, one.namespace, one.propagation)
        if operator_is == "away":
            kube.wait("the namespaces go", lambda: all(_terminating(kube, one) for one in sets))
            operator.start()
        same([], lambda: [str(one) for one in sets if kube.get("namespace", None, one.namespace)], "all are gone", 60)


def _terminating(kube: Kube, one: Set) -> bool:
    found = kube.get("namespace", None, one.namespace)
    return found is None or found["status"]["phase"] == "Terminating"
