"""What was written goes missing: it comes back, but never in a loop; suspended or orphaned, nothing is written."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import objects
from tests.support.cluster import ClusterAccess
from tests.support.kube import JSON_PATCH, Kube, condition, same
from tests.support.objects import Object
from tests.support.operator import OperatorProcess, Watching, watching

HASH = "gatewaytelemetry.dev/config-hash"
COPY = "gateway-telemetry-deployment-gateway"
TRACES = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
NAMES = [
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "OTEL_RESOURCE_ATTRIBUTES",
]


@pytest.fixture(scope="module")
def operator(cluster: ClusterAccess, kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watching]:
    with watching(kube, cluster.kubeconfig, tmp_path_factory.mktemp("operator"), 24) as found:
        yield found


@pytest.fixture
def shop(operator: Watching, kube: Kube) -> str:
    """A namespace with a gateway that is connected."""
    namespace = operator.namespace()
    applied(kube, namespace)
    return namespace


def applied(kube: Kube, namespace: str) -> None:
    """Connect a gateway."""
    for item in (
        objects.secret(namespace),
        objects.target(namespace),
        objects.deployment(namespace),
        objects.gateway(namespace),
    ):
        kube.apply(item)
    ready(kube, namespace)


def ready(kube: Kube, namespace: str) -> Object:
    return kube.wait_condition("gatewaytelemetry", namespace, "gateway", "Ready", timeout=60)


def deployment(kube: Kube, namespace: str) -> Object:
    found = kube.get("deployment", namespace, "gateway")
    assert found is not None
    return found


def names(kube: Kube, namespace: str) -> list[str]:
    container = deployment(kube, namespace)["spec"]["template"]["spec"]["containers"][0]
    return [item["name"] for item in container.get("env") or ()]


def headers(kube: Kube, namespace: str) -> str:
    found = kube.get("secret", namespace, COPY) or {}
    return base64.b64decode((found.get("data") or {}).get("otlp-headers", "")).decode()


def patch(kube: Kube, namespace: str, operations: list[Object], manager: str = "thief") -> None:
    answer = kube.raw(
        "PATCH",
        f"/apis/apps/v1/namespaces/{namespace}/deployments/gateway",
        operations,
        params={"fieldManager": manager},
        content_type=JSON_PATCH,
    )
    assert answer.is_success, answer.text


def take_away(kube: Kube, namespace: str) -> None:
    """Remove the variables as a tool does that renders the whole list, and leave a mark of it."""
    operations = [
        {"op": "remove", "path": "/spec/template/spec/containers/0/env"},
        {"op": "add", "path": "/metadata/labels/taken-away", "value": f"{time.monotonic():.3f}"},
    ]
    patch(kube, namespace, operations)


class Thief:
    """Takes the variables away as soon as they are there, from the moment that the block is entered."""

    def __init__(self, cluster: ClusterAccess, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.taken: list[float] = []
        """When each of the repairs, the first time that of the operator's own write, was undone."""

    def __enter__(self) -> Thief:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        with Kube(self._cluster) as kube:
            while not self._stop.wait(0.02):
                if names(kube, self._namespace):
                    take_away(kube, self._namespace)
                    self.taken.append(time.monotonic())


def message(kube: Kube, namespace: str) -> str:
    found = condition(kube.get("gatewaytelemetry", namespace, "gateway"), "Programmed")
    return str(found.get("message", ""))


def looked_at_again(operator: Watching, kube: Kube, namespace: str) -> None:
    """Have the operator look at the Deployment again, and wait until it has."""
    before = operator.reconciles()
    patch(kube, namespace, [{"op": "add", "path": "/metadata/labels/looked-at", "value": f"{before:.0f}"}])
    kube.wait("the operator has looked again", lambda: operator.reconciles() > before)


def test_what_was_removed_once_comes_back_at_once(operator: Watching, kube: Kube, shop: str) -> None:
    before = deployment(kube, shop)["spec"]
    take_away(kube, shop)
    same(NAMES, lambda: names(kube, shop), "they are put back", 4)
    ready(kube, shop)
    assert deployment(kube, shop)["spec"] == before
    same({"test", "thief", "kube-controller-manager"}, lambda: _managers(kube, shop), "nothing stays claimed")


def _managers(kube: Kube, namespace: str) -> set[str]:
    return {entry["manager"] for entry in deployment(kube, namespace)["metadata"]["managedFields"]}


@pytest.mark.parametrize(
    "operations",
    [
        [{"op": "remove", "path": "/spec/template/spec/containers/0/env/1"}],
        [{"op": "remove", "path": "/spec/template/metadata/annotations/gatewaytelemetry.dev~1config-hash"}],
        [{"op": "remove", "path": "/metadata/annotations/gatewaytelemetry.dev~1record"}],
    ],
    ids=["one-variable", "hash", "pointer"],
)
def test_any_part_comes_back(operator: Watching, kube: Kube, shop: str, operations: list[Object]) -> None:
    before = deployment(kube, shop)
    patch(kube, shop, operations)
    same(
        before["spec"]["template"]["metadata"],
        lambda: deployment(kube, shop)["spec"]["template"]["metadata"],
        "the template's annotations are back",
        4,
    )
    same(sorted(NAMES), lambda: sorted(names(kube, shop)), "all variables are there", 4)
    same(
        COPY,
        lambda: deployment(kube, shop)["metadata"]["annotations"].get("gatewaytelemetry.dev/record"),
        "the record is found again",
        4,
    )
    ready(kube, shop)


def _deleted(kube: Kube, namespace: str) -> None:
    kube.delete("secret", namespace, COPY)


def _changed(kube: Kube, namespace: str) -> None:
    other = base64.b64encode(b"x-api-key=stolen").decode()
    kube.merge_patch("secret", namespace, COPY, {"data": {"otlp-headers": other}})


def _emptied(kube: Kube, namespace: str) -> None:
    kube.merge_patch("secret", namespace, COPY, {"data": {"otlp-headers": None}})


@pytest.mark.parametrize("harm", [_deleted, _changed, _emptied])
def test_the_copy_comes_back_without_a_rollout(
    operator: Watching, kube: Kube, shop: str, harm: Callable[[Kube, str], None]
) -> None:
    before = deployment(kube, shop)["metadata"]["generation"]
    harm(kube, shop)
    same(f"x-api-key={objects.KEY},langsmith-project=checkout", lambda: headers(kube, shop), "the copy is back", 4)
    ready(kube, shop)
    assert deployment(kube, shop)["metadata"]["generation"] == before


def test_a_value_of_somebody_else_is_a_conflict_and_stays(operator: Watching, kube: Kube, shop: str) -> None:
    value = {"op": "replace", "path": "/spec/template/spec/containers/0/env/0/value", "value": "https://other.example"}
    patch(kube, shop, [value])
    found = kube.wait_condition("gatewaytelemetry", shop, "gateway", "Programmed", "False", "EnvConflict")
    assert TRACES in condition(found, "Programmed")["message"]
    looked_at_again(operator, kube, shop)
    env = deployment(kube, shop)["spec"]["template"]["spec"]["containers"][0]["env"]
    assert env[0]["value"] == "https://other.example"
    patch(kube, shop, [{"op": "remove", "path": "/spec/template/spec/containers/0/env/0"}])
    ready(kube, shop)


def test_a_copy_that_lost_its_labels_is_told_with_the_way_back(kube: Kube, shop: str) -> None:
    role, managed_by = "gatewaytelemetry.dev/role", "app.kubernetes.io/managed-by"
    kube.merge_patch("secret", shop, COPY, {"metadata": {"labels": {role: None, managed_by: None}}})
    found = kube.wait_condition("gatewaytelemetry", shop, "gateway", "Programmed", "False", "SecretNameTaken")
    assert condition(found, "Programmed")["message"].endswith(
        "rename or delete it, or, if it only lost its labels: "
        f"kubectl label secret {COPY} -n {shop} --overwrite {role}=copy {managed_by}=gateway-telemetry-operator"
    )
    labels = {role: "copy", managed_by: "gateway-telemetry-operator"}
    kube.merge_patch("secret", shop, COPY, {"metadata": {"labels": labels}})
    ready(kube, shop)


def test_annotations_of_ours_that_somebody_set_are_told_until_they_are_removed(kube: Kube, shop: str) -> None:
    """No field is ever taken by force, these neither."""
    record = "gatewaytelemetry.dev/record"
    before = deployment(kube, shop)["spec"]
    kube.merge_patch("deployment", shop, "gateway", {"metadata": {"annotations": {record: "mine"}}})
    found = kube.wait_condition("gatewaytelemetry", shop, "gateway", "Programmed", "False", "FieldOwnedByOther")
    assert condition(found, "Programmed")["message"] == (
        f"test set .metadata.annotations.{record}, which only this operator writes: remove it there, and it is written "
        "anew"
    )
    kube.merge_patch("deployment", shop, "gateway", {"metadata": {"annotations": {record: None}}})
    ready(kube, shop)
    after = deployment(kube, shop)
    assert after["metadata"]["annotations"][record] == COPY
    assert after["spec"] == before


def test_a_fight_is_slowed_down_and_its_cause_named(
    operator: Watching, cluster: ClusterAccess, kube: Kube, shop: str
) -> None:
    """The first repair comes at once, the second after 5 s, the third not before 30 s; unit tests go on from there."""
    before = operator.writes()
    with Thief(cluster, shop) as thief:
        kube.wait("two repairs were undone", lambda: len(thief.taken) >= 3, 30)
        text = (
            f"Deployment {shop}/gateway: the settings were taken away (the last other field manager there: 'thief'); "
            "they are put back 30 s after the last time that they were"
        )
        same(text, lambda: message(kube, shop), "the third is far away")
        wrote, repairs = operator.writes(), len(thief.taken)
        # News of the Deployment do not lead to writes meanwhile.
        for _ in range(5):
            looked_at_again(operator, kube, shop)
        assert names(kube, shop) == []
        assert len(thief.taken) == repairs == 3
        assert operator.writes() == wrote
    assert thief.taken[1] - thief.taken[0] < 4
    assert 4.5 < thief.taken[2] - thief.taken[1] < 10
    # Two repairs of two writes, and what the status says of them.
    assert wrote - before <= 4 + 8

    # A request starts afresh.
    patch_annotations: Object = {"metadata": {"annotations": {"gatewaytelemetry.dev/requestedAt": "now"}}}
    kube.merge_patch("gatewaytelemetry", shop, "gateway", patch_annotations)
    same(NAMES, lambda: names(kube, shop), "they are put back at once", 4)
    found = ready(kube, shop)
    assert found["status"]["lastHandledRequest"] == "now"


def test_an_endless_fight_is_given_up_and_goes_on_when_somebody_says_so(
    cluster: ClusterAccess, kube: Kube, namespace: str, tmp_path: Path
) -> None:
    flags = (f"--watch-namespace={namespace}", "--repair-pauses=0,1,1")
    with OperatorProcess(cluster.kubeconfig, tmp_path, *flags) as process:
        applied(kube, namespace)
        with Thief(cluster, namespace) as thief:
            found = kube.wait_condition("gatewaytelemetry", namespace, "gateway", "Programmed", "False", "FoughtOver")
            assert message(kube, namespace) == (
                f"Deployment {namespace}/gateway: the settings were taken away 4 times within the last hour (the last "
                "other field manager there: 'thief'); they are not put back again before the spec changes, somebody "
                "sets gatewaytelemetry.dev/requestedAt, or an hour has passed"
            )
            assert condition(found, "Stalled")["reason"] == "FoughtOver"
            assert len(thief.taken) == 4
            watching_ = Watching(process, [])
            looked_at_again(watching_, kube, namespace)
            assert names(kube, namespace) == []
        note: Object = {"metadata": {"annotations": {"gatewaytelemetry.dev/requestedAt": "now"}}}
        kube.merge_patch("gatewaytelemetry", namespace, "gateway", note)
        same(NAMES, lambda: names(kube, namespace), "they are put back", 10)
        ready(kube, namespace)


def test_a_new_spec_starts_afresh(operator: Watching, cluster: ClusterAccess, kube: Kube, shop: str) -> None:
    with Thief(cluster, shop) as thief:
        kube.wait("a repair was undone", lambda: len(thief.taken) >= 2, 30)
        kube.wait("the second is delayed", lambda: " 5 s after " in message(kube, shop))
    kube.apply(objects.gateway(shop, project="other"))
    same(NAMES, lambda: names(kube, shop), "the new settings are written at once", 4)
    ready(kube, shop)
    take_away(kube, shop)
    same(NAMES, lambda: names(kube, shop), "they are put back at once", 4)
    ready(kube, shop)


def test_what_went_missing_while_the_operator_was_away(operator: Watching, kube: Kube, shop: str) -> None:
    operator.process.stop()
    take_away(kube, shop)
    kube.delete("secret", shop, COPY)
    operator.process.start()
    same(NAMES, lambda: names(kube, shop), "they are put back")
    ready(kube, shop)
    assert headers(kube, shop) == f"x-api-key={objects.KEY},langsmith-project=checkout"


def test_suspended_nothing_is_written(operator: Watching, kube: Kube, shop: str) -> None:
    before = {item["type"]: item["status"] for item in ready(kube, shop)["status"]["conditions"]}
    kube.apply(objects.gateway(shop, suspend=True))
    kube.wait_condition("gatewaytelemetry", shop, "gateway", "Suspended")
    take_away(kube, shop)
    kube.apply(objects.secret(shop, key="lsv2_sk_rotated"))
    looked_at_again(operator, kube, shop)
    wrote = operator.writes()
    looked_at_again(operator, kube, shop)
    assert operator.writes() == wrote
    assert names(kube, shop) == []
    assert headers(kube, shop) == f"x-api-key={objects.KEY},langsmith-project=checkout"
    found = kube.get("gatewaytelemetry", shop, "gateway")
    assert found is not None
    after = {item["type"]: item["status"] for item in found["status"]["conditions"]}
    assert after == before | {"Suspended": "True"}

    # An operator that starts keeps to it.
    operator.process.stop()
    operator.process.start()
    looked_at_again(operator, kube, shop)
    assert names(kube, shop) == []

    kube.apply(objects.gateway(shop))
    same(NAMES, lambda: names(kube, shop), "they are put back")
    same(
        before,
        lambda: {
            item["type"]: item["status"]
            for item in (kube.get("gatewaytelemetry", shop, "gateway") or {})["status"]["conditions"]
        },
        "the conditions are those of before",
    )
    assert headers(kube, shop) == "x-api-key=lsv2_sk_rotated,langsmith-project=checkout"


def test_a_key_that_somebody_adds_to_the_operators_secret_is_taken_out(
    operator: Watching, kube: Kube, shop: str
) -> None:
    generation = deployment(kube, shop)["metadata"]["generation"]
    kube.merge_patch("secret", shop, COPY, {"stringData": {"extra": "theirs"}})
    same(True, lambda: "extra" not in (kube.get("secret", shop, COPY) or {})["data"], "the key is gone")
    ready(kube, shop)
    assert headers(kube, shop) == f"x-api-key={objects.KEY},langsmith-project=checkout"
    assert deployment(kube, shop)["metadata"]["generation"] == generation


def test_suspended_it_can_be_deleted(operator: Watching, kube: Kube, shop: str) -> None:
    kube.apply(objects.gateway(shop, suspend=True))
    kube.wait_condition("gatewaytelemetry", shop, "gateway", "Suspended")
    kube.delete("gatewaytelemetry", shop, "gateway")
    kube.wait_gone("gatewaytelemetry", shop, "gateway")
    assert names(kube, shop) == []
    assert kube.get("secret", shop, COPY) is None


def test_a_suspended_target_writes_nothing_new(operator: Watching, kube: Kube, shop: str) -> None:
    kube.apply(objects.target(shop, suspend=True))
    kube.wait_condition("langsmithtarget", shop, "prod", "Suspended")
    before = deployment(kube, shop)["spec"]
    kube.apply(objects.gateway(shop, project="other"))
    kube.wait_condition("gatewaytelemetry", shop, "gateway", "Programmed", "False", "TargetSuspended")
    assert deployment(kube, shop)["spec"] == before
    assert headers(kube, shop) == f"x-api-key={objects.KEY},langsmith-project=checkout"
    kube.apply(objects.target(shop))
    same(f"x-api-key={objects.KEY},langsmith-project=other", lambda: headers(kube, shop), "it goes on")
    ready(kube, shop)


@pytest.mark.parametrize("annotation", ["requestedAt", "reconcile-now"])
def test_a_request_is_answered_and_writes_nothing_else(
    operator: Watching, kube: Kube, shop: str, annotation: str
) -> None:
    before = untouched(kube, shop)
    wrote = operator.writes()
    change: Object = {"metadata": {"annotations": {f"gatewaytelemetry.dev/{annotation}": "2026-11-25T12:00:00Z"}}}
    kube.merge_patch("gatewaytelemetry", shop, "gateway", change)
    same("2026-11-25T12:00:00Z", lambda: _answer(kube, shop), "it is answered")
    assert operator.writes() == wrote + 1
    assert untouched(kube, shop) == before


def untouched(kube: Kube, namespace: str) -> Object:
    """Return the metadata without what changes when the Deployment's controller writes its status."""
    metadata = deployment(kube, namespace)["metadata"]
    entries = [item for item in metadata["managedFields"] if item.get("subresource") != "status"]
    return {**{key: value for key, value in metadata.items() if key != "resourceVersion"}, "managedFields": entries}


def _answer(kube: Kube, namespace: str) -> Any:
    return (kube.get("gatewaytelemetry", namespace, "gateway") or {})["status"].get("lastHandledRequest")


def test_orphaned_while_the_operator_was_away(operator: Watching, kube: Kube, shop: str) -> None:
    kube.apply(objects.gateway(shop, deletionPolicy="Orphan"))
    same(None, lambda: _finalizers(kube, shop), "the finalizer is gone")
    ready(kube, shop)
    before = deployment(kube, shop)
    operator.process.stop()
    kube.delete("gatewaytelemetry", shop, "gateway")
    kube.wait_gone("gatewaytelemetry", shop, "gateway")
    operator.process.start()
    # What is another namespace's is looked at after the start: then this one would have been, too.
    other = operator.namespace()
    for item in (objects.secret(other), objects.target(other), objects.deployment(other), objects.gateway(other)):
        kube.apply(item)
    ready(kube, other)
    assert deployment(kube, shop)["spec"] == before["spec"]
    assert headers(kube, shop) == f"x-api-key={objects.KEY},langsmith-project=checkout"


def _finalizers(kube: Kube, namespace: str) -> Any:
    return (kube.get("gatewaytelemetry", namespace, "gateway") or {})["metadata"].get("finalizers")
