"""Pods are replaced few at a time, the oldest gateway's first, and no more after a failure; people have the last word.

Pods that fail do so by stages of kwok (``hack/kwok/fates.yaml``), with the statuses that a kubelet writes.
"""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import objects
from tests.support.cluster import ClusterAccess, Kubectl, available, make_namespace
from tests.support.kube import Kube, condition, same
from tests.support.objects import Object
from tests.support.operator import OperatorProcess, Watching, watching

REQUESTED_AT = "gatewaytelemetry.dev/requestedAt"
RECONCILE_NOW = "gatewaytelemetry.dev/reconcile-now"
HASH = "gatewaytelemetry.dev/config-hash"
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
MANAGERS = {"test", "kube-controller-manager"}


@pytest.fixture(scope="module")
def one_by_one(cluster: ClusterAccess, kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watching]:
    """An operator that replaces the pods of one workload per namespace at a time."""
    folder = tmp_path_factory.mktemp("one-by-one")
    flags = ("--max-rollouts=0", "--max-rollouts-per-namespace=1")
    with watching(kube, cluster.kubeconfig, folder, 16, *flags) as found:
        yield found


@pytest.fixture
def shop(one_by_one: Watching, kube: Kube) -> str:
    """A namespace with the source Secret and the target ``prod``."""
    namespace = one_by_one.namespace()
    kube.apply(objects.secret(namespace))
    kube.apply(objects.target(namespace))
    return namespace


def deploy(kube: Kube, namespace: str, name: str, replicas: int = 1, **more: Any) -> Object:
    """Apply a Deployment, and return it once its pods run."""
    kube.apply(objects.deployment(namespace, name, replicas=replicas, **more))
    kube.wait(f"{name} runs", lambda: available(kube, namespace, name))
    found = kube.get("deployment", namespace, name)
    assert found is not None
    return found


def connect(kube: Kube, namespace: str, name: str, rollout: Object | None = None, **spec: Any) -> None:
    """Apply the GatewayTelemetry of one Deployment."""
    item = objects.gateway(namespace, name, app=name, **spec)
    if rollout:
        item["spec"]["install"]["inject"]["rollout"] = rollout
    kube.apply(item)


def annotate(kube: Kube, namespace: str, name: str, **annotations: str) -> None:
    changes = {f"gatewaytelemetry.dev/{key.replace('_', '-')}": value for key, value in annotations.items()}
    kube.merge_patch("gatewaytelemetry", namespace, name, {"metadata": {"annotations": changes}})


def programmed(kube: Kube, namespace: str, name: str, reason: str, status: str = "False", timeout: float = 60) -> str:
    """Wait for a reason of Programmed; return the message."""
    item = kube.wait_condition("gatewaytelemetry", namespace, name, "Programmed", status, reason, timeout)
    message: str = condition(item, "Programmed")["message"]
    return message


def ready(kube: Kube, namespace: str, name: str) -> Object:
    return kube.wait_condition("gatewaytelemetry", namespace, name, "Ready", timeout=60)


def template(kube: Kube, namespace: str, name: str) -> Object:
    found = kube.get("deployment", namespace, name)
    assert found is not None
    result: Object = found["spec"]["template"]
    return result


def annotations_of(kube: Kube, namespace: str, name: str) -> dict[str, str]:
    return template(kube, namespace, name)["metadata"].get("annotations") or {}


def managers(kube: Kube, namespace: str, name: str) -> set[str]:
    found = kube.get("deployment", namespace, name)
    assert found is not None
    return {entry["manager"] for entry in found["metadata"]["managedFields"]}


def headers(kube: Kube, namespace: str, name: str) -> str:
    secret = kube.get("secret", namespace, f"gateway-telemetry-deployment-{name}")
    assert secret is not None
    return base64.b64decode(secret["data"]["otlp-headers"]).decode()


def looked_at_again(one_by_one: Watching, kube: Kube, namespace: str, name: str) -> None:
    """Have the operator look at a Deployment again, and wait until it has."""
    before = one_by_one.reconciles()
    kube.merge_patch("deployment", namespace, name, {"metadata": {"labels": {"looked-at": f"{before:.0f}"}}})
    kube.wait("the operator has looked again", lambda: one_by_one.reconciles() > before)


class Samples:
    """What was seen of the rollouts of several namespaces, again and again."""

    def __init__(self, kube: Kube, namespaces: list[str]) -> None:
        self._kube = kube
        self._namespaces = namespaces
        self.most = 0
        self.most_in_one = 0
        self.taken = 0
        self.hashes: dict[tuple[str, str], list[str]] = {}
        self.order: list[tuple[str, str]] = []
        self.queued: set[tuple[str, str]] = set()

    def take(self) -> None:
        items = [item for item in self._kube.list("deployment") if item["metadata"]["namespace"] in self._namespaces]
        rolling = [item["metadata"]["namespace"] for item in items if _rolling(item)]
        self.most = max(self.most, len(rolling))
        self.most_in_one = max(self.most_in_one, *(rolling.count(name) for name in self._namespaces))
        self.taken += 1
        for item in items:
            key = item["metadata"]["namespace"], item["metadata"]["name"]
            seen = self.hashes.setdefault(key, [])
            value = (item["spec"]["template"]["metadata"].get("annotations") or {}).get(HASH)
            if value is not None and value not in seen:
                seen.append(value)
                self.order.append(key)
        for item in self._kube.list("gatewaytelemetry"):
            if condition(item, "Programmed").get("reason") == "RolloutQueued":
                self.queued.add((item["metadata"]["namespace"], item["metadata"]["name"]))


def _rolling(item: Object) -> bool:
    spec, status = item["spec"], item.get("status") or {}
    if HASH not in (spec["template"]["metadata"].get("annotations") or {}):
        return False
    done = status.get("updatedReplicas", 0) == status.get("replicas", 0) == spec["replicas"]
    seen = status.get("observedGeneration") == item["metadata"]["generation"]
    return not (seen and done and status.get("availableReplicas", 0) == spec["replicas"])


def test_no_more_than_the_caps_at_a_time_and_the_oldest_first(
    cluster: ClusterAccess, kube: Kube, tmp_path: Path
) -> None:
    namespaces = sorted(make_namespace(kube, "caps") for _ in range(3))
    everything = [(namespace, f"gateway-{number}") for number in range(4) for namespace in namespaces]
    flags = (
        *(f"--watch-namespace={name}" for name in namespaces),
        "--max-rollouts=3",
        "--max-rollouts-per-namespace=2",
    )
    try:
        for namespace in namespaces:
            kube.apply(objects.secret(namespace))
            kube.apply(objects.target(namespace))
        for namespace, name in everything:
            kube.apply(objects.deployment(namespace, name, replicas=2, annotations={"kwok.test/ready-after": "400ms"}))
        kube.wait("all run", lambda: all(available(kube, *key) for key in everything))
        with OperatorProcess(cluster.kubeconfig, tmp_path, *flags):
            for namespace, name in everything:
                connect(kube, namespace, name)
            samples = Samples(kube, namespaces)
            _until_ready(kube, samples, everything, "checkout")
            for namespace in namespaces:
                assert [name for owner, name in samples.order if owner == namespace] == [
                    "gateway-0",
                    "gateway-1",
                    "gateway-2",
                    "gateway-3",
                ]
            # All carry settings by now; a new project replaces all pods once more.
            for namespace in namespaces:
                kube.merge_patch("langsmithtarget", namespace, "prod", {"spec": {"project": "other"}})
            _until_ready(kube, samples, everything, "other")
            assert sorted(samples.order) == sorted(everything * 2)
    finally:
        for namespace in namespaces:
            kube.delete("namespace", None, namespace)


def _until_ready(kube: Kube, samples: Samples, everything: list[tuple[str, str]], project: str) -> None:
    samples.most = samples.most_in_one = samples.taken = 0
    samples.queued.clear()

    def check() -> bool:
        samples.take()
        items = [kube.get("gatewaytelemetry", *key) or {} for key in everything]
        return all(
            condition(item, "Ready").get("status") == "True" and item["status"]["traces"]["project"] == project
            for item in items
        )

    kube.wait("all are ready", check, 90)
    samples.take()  # the last ones may have rolled out between that sample and their conditions
    assert samples.most == 3
    assert samples.most_in_one == 2
    assert samples.taken >= 5
    assert len(samples.queued) >= 6


def test_what_is_taken_back_obeys_the_cap(one_by_one: Watching, kube: Kube, shop: str) -> None:
    names = ("first", "second", "third")
    for name in names:
        deploy(kube, shop, name, annotations={"kwok.test/ready-after": "400ms"})
        connect(kube, shop, name)
    for name in names:
        kube.wait_condition("gatewaytelemetry", shop, name, "Ready")
    for name in names:
        kube.delete("gatewaytelemetry", shop, name)
    most, waited = 0, set()

    def all_gone() -> bool:
        nonlocal most
        deployments = [item for item in kube.list("deployment", shop) if HASH not in _pod_annotations(item)]
        most = max(most, sum(not available(kube, shop, item["metadata"]["name"]) for item in deployments))
        for item in kube.list("gatewaytelemetry", shop):
            if "until what was written is taken out" in condition(item, "Programmed")["message"]:
                waited.add(item["metadata"]["name"])
        return kube.list("gatewaytelemetry", shop) == []

    kube.wait("all are restored", all_gone)
    assert most == 1
    assert len(waited) == 2
    assert all(HASH not in _pod_annotations(item) for item in kube.list("deployment", shop))


def _pod_annotations(item: Object) -> Object:
    found: Object = item["spec"]["template"]["metadata"].get("annotations") or {}
    return found


@pytest.mark.parametrize(("fate", "waiting"), [("crash-loop", "CrashLoopBackOff"), ("image-pull", "ImagePullBackOff")])
def test_a_failure_stops_the_target_and_no_other(
    one_by_one: Watching, kube: Kube, shop: str, fate: str, waiting: str
) -> None:
    kube.apply(objects.target(shop, "other"))
    deploy(kube, shop, "first", annotations={"kwok.test/fate": fate})
    before = {name: deploy(kube, shop, name) for name in ("second", "third", "fourth")}
    connect(kube, shop, "first")
    message = programmed(kube, shop, "first", "RolloutFailed")
    assert re.fullmatch(rf"Deployment {shop}/first: pod first-\w+-\w+: container main: {waiting}", message)

    connect(kube, shop, "second")
    connect(kube, shop, "third")
    connect(kube, shop, "fourth", targetRef={"name": "other"})

    ready(kube, shop, "fourth")
    for name in ("second", "third"):
        message = programmed(kube, shop, name, "RolloutStopped")
        assert message.startswith(
            f"Deployment {shop}/{name} waits: the rollout of Deployment {shop}/first failed with settings of the same "
            "target; "
        )
        assert template(kube, shop, name) == before[name]["spec"]["template"]

    # Going on in spite of it is for the one that was told to.
    annotate(kube, shop, "second", requestedAt="today")
    found = ready(kube, shop, "second")
    assert found["status"]["lastHandledRequest"] == "today"
    programmed(kube, shop, "third", "RolloutStopped")
    assert HASH not in annotations_of(kube, shop, "third")

    # Once the first is mended all go on by themselves.
    patch = {"spec": {"template": {"metadata": {"annotations": {"kwok.test/fate": None}}}}}
    kube.merge_patch("deployment", shop, "first", patch)
    ready(kube, shop, "first")
    ready(kube, shop, "third")


def test_a_new_spec_goes_on(one_by_one: Watching, kube: Kube, shop: str) -> None:
    deploy(kube, shop, "first", annotations={"kwok.test/fate": "crash-loop", "kwok.test/with": "team=bad"})
    deploy(kube, shop, "second")
    connect(kube, shop, "first", resourceAttributes={"team": "bad"})
    programmed(kube, shop, "first", "RolloutFailed")
    connect(kube, shop, "second")
    programmed(kube, shop, "second", "RolloutStopped")
    connect(kube, shop, "first", resourceAttributes={"team": "good"})
    ready(kube, shop, "first")
    ready(kube, shop, "second")


@pytest.mark.parametrize("leaves", ["gatewaytelemetry", "deployment"])
def test_a_failed_one_that_goes_stops_nobody(one_by_one: Watching, kube: Kube, shop: str, leaves: str) -> None:
    before = deploy(kube, shop, "first", annotations={"kwok.test/fate": "crash-loop"})
    deploy(kube, shop, "second")
    connect(kube, shop, "first")
    programmed(kube, shop, "first", "RolloutFailed")
    connect(kube, shop, "second")
    programmed(kube, shop, "second", "RolloutStopped")
    kube.delete(leaves, shop, "first")
    ready(kube, shop, "second")
    if leaves == "gatewaytelemetry":
        kube.wait_gone(leaves, shop, "first")
        assert template(kube, shop, "first") == before["spec"]["template"]


def test_reconcile_now_goes_on_as_well(one_by_one: Watching, kube: Kube, shop: str) -> None:
    deploy(kube, shop, "first", annotations={"kwok.test/fate": "crash-loop"})
    deploy(kube, shop, "second")
    connect(kube, shop, "first")
    programmed(kube, shop, "first", "RolloutFailed")
    connect(kube, shop, "second")
    programmed(kube, shop, "second", "RolloutStopped")
    annotate(kube, shop, "second", reconcile_now="1764072000")
    found = ready(kube, shop, "second")
    assert found["status"]["lastHandledRequest"] == "1764072000"


def test_a_failure_is_known_again_after_a_restart(one_by_one: Watching, kube: Kube, shop: str) -> None:
    deploy(kube, shop, "first", annotations={"kwok.test/fate": "crash-loop"})
    before = deploy(kube, shop, "second")
    connect(kube, shop, "first")
    programmed(kube, shop, "first", "RolloutFailed")
    connect(kube, shop, "second")
    programmed(kube, shop, "second", "RolloutStopped")
    one_by_one.process.kill()
    one_by_one.process.start()
    kube.wait("the operator has looked at both", lambda: one_by_one.reconciles() >= 2)
    looked_at_again(one_by_one, kube, shop, "second")
    assert programmed(kube, shop, "first", "RolloutFailed")
    assert programmed(kube, shop, "second", "RolloutStopped")
    assert template(kube, shop, "second") == before["spec"]["template"]


def test_the_progress_deadline(one_by_one: Watching, kube: Kube, shop: str) -> None:
    deploy(kube, shop, "first", annotations={"kwok.test/fate": "never-ready"}, spec={"progressDeadlineSeconds": 3})
    connect(kube, shop, "first")
    message = programmed(kube, shop, "first", "RolloutFailed")
    # Kubernetes keeps Progressing=NewReplicaSetAvailable, and so counts no deadline, if two writes of the Deployment
    # come close together: then the operator counts.
    by_kubernetes = r'ReplicaSet "first-\w+" has timed out progressing\.'
    by_us = r"pod first-\w+-\w+: not ready 3 s after it was made \(spec\.progressDeadlineSeconds\)"
    assert re.fullmatch(rf"Deployment {shop}/first: ({by_kubernetes}|{by_us})", message)


def test_a_rollback_puts_the_previous_content_back(one_by_one: Watching, kube: Kube, shop: str) -> None:
    rollback = {"onFailure": "Rollback"}
    deploy(kube, shop, "first", annotations={"kwok.test/fate": "crash-loop", "kwok.test/with": "team=bad"})
    connect(kube, shop, "first", rollback, project="one", resourceAttributes={"team": "good"})
    ready(kube, shop, "first")
    good, key = template(kube, shop, "first"), headers(kube, shop, "first")
    assert key == f"x-api-key={objects.KEY},langsmith-project=one"

    connect(kube, shop, "first", rollback, project="two", resourceAttributes={"team": "bad"})
    message = programmed(kube, shop, "first", "RolledBack")
    same(good, lambda: template(kube, shop, "first"), "the template is as before")
    same(key, lambda: headers(kube, shop, "first"), "the Secret is as before")
    assert managers(kube, shop, "first") == MANAGERS
    kube.wait("the pods of before run", lambda: available(kube, shop, "first"))
    assert f"kubectl annotate gatewaytelemetry first -n {shop} --overwrite {REQUESTED_AT}=" in message

    # It is not tried again, also by an operator that was not there.
    generation = kube.get("deployment", shop, "first")["metadata"]["generation"]  # type: ignore[index]
    looked_at_again(one_by_one, kube, shop, "first")
    one_by_one.process.kill()
    one_by_one.process.start()
    looked_at_again(one_by_one, kube, shop, "first")
    assert programmed(kube, shop, "first", "RolledBack")
    assert kube.get("deployment", shop, "first")["metadata"]["generation"] == generation  # type: ignore[index]

    # A request tries again: it is written, fails, and is put back, which makes two generations.
    annotate(kube, shop, "first", requestedAt="again")
    kube.wait(
        "written and put back again",
        lambda: kube.get("deployment", shop, "first")["metadata"]["generation"] == generation + 2,  # type: ignore[index]
    )
    found = kube.wait_condition("gatewaytelemetry", shop, "first", "Programmed", "False", "RolledBack", timeout=60)
    assert found["status"]["lastHandledRequest"] == "again"
    assert template(kube, shop, "first") == good

    connect(kube, shop, "first", rollback, project="three", resourceAttributes={"team": "good"})
    ready(kube, shop, "first")
    assert headers(kube, shop, "first") == f"x-api-key={objects.KEY},langsmith-project=three"


def test_a_rollback_of_the_first_content(one_by_one: Watching, kube: Kube, shop: str) -> None:
    before = deploy(kube, shop, "first", annotations={"kwok.test/fate": "image-pull"})
    connect(kube, shop, "first", {"onFailure": "Rollback"})
    programmed(kube, shop, "first", "RolledBack")
    same(before["spec"], lambda: kube.get("deployment", shop, "first")["spec"], "it is as before")  # type: ignore[index]
    assert managers(kube, shop, "first") == MANAGERS
    kube.wait("the pods of before run", lambda: available(kube, shop, "first"))
    kube.delete("gatewaytelemetry", shop, "first")
    kube.wait_gone("gatewaytelemetry", shop, "first")
    after = kube.get("deployment", shop, "first")
    assert after is not None
    assert after["spec"] == before["spec"]
    assert "gatewaytelemetry.dev/record" not in after["metadata"]["annotations"]
    assert kube.get("secret", shop, "gateway-telemetry-deployment-first") is None


def test_a_failure_while_suspended_is_left_alone(one_by_one: Watching, kube: Kube, shop: str) -> None:
    deploy(kube, shop, "first", annotations={"kwok.test/fate": "crash-loop", "kwok.test/with": "team=bad"})
    connect(kube, shop, "first", {"onFailure": "Rollback"}, resourceAttributes={"team": "bad"}, suspend=True)
    kube.wait_condition("gatewaytelemetry", shop, "first", "Suspended")
    connect(kube, shop, "first", {"onFailure": "Stop"}, resourceAttributes={"team": "bad"})
    programmed(kube, shop, "first", "RolloutFailed")
    failing = template(kube, shop, "first")
    connect(kube, shop, "first", {"onFailure": "Rollback"}, resourceAttributes={"team": "bad"}, suspend=True)
    kube.wait_condition("gatewaytelemetry", shop, "first", "Suspended")
    before = one_by_one.reconciles()
    looked_at_again(one_by_one, kube, shop, "first")
    assert template(kube, shop, "first") == failing
    assert one_by_one.reconciles() - before < 20
    connect(kube, shop, "first", {"onFailure": "Rollback"}, resourceAttributes={"team": "bad"})
    programmed(kube, shop, "first", "RolledBack")


def test_manual_waits_for_the_approval_of_exactly_this_content(
    one_by_one: Watching, kube: Kube, kubectl: Kubectl, shop: str
) -> None:
    before = deploy(kube, shop, "first")
    connect(kube, shop, "first", {"policy": "Manual"})
    message = programmed(kube, shop, "first", "AwaitingApproval", "Unknown")
    found = kube.get("gatewaytelemetry", shop, "first")
    assert condition(found, "Ready")["status"] == "Unknown"
    annotate(kube, shop, "first", approvedHash="0123456789abcdef")
    looked_at_again(one_by_one, kube, shop, "first")
    assert template(kube, shop, "first") == before["spec"]["template"]
    assert kube.list("secret", shop, "gatewaytelemetry.dev/role=copy") == []

    approve(kubectl, message)
    ready(kube, shop, "first")
    approved = template(kube, shop, "first")

    kube.apply(objects.target(shop, project="other"))
    second = programmed(kube, shop, "first", "AwaitingApproval", "Unknown")
    assert second != message
    looked_at_again(one_by_one, kube, shop, "first")
    assert template(kube, shop, "first") == approved
    assert headers(kube, shop, "first") == f"x-api-key={objects.KEY},langsmith-project=checkout"
    approve(kubectl, second)
    ready(kube, shop, "first")
    assert headers(kube, shop, "first") == f"x-api-key={objects.KEY},langsmith-project=other"


def approve(kubectl: Kubectl, message: str) -> None:
    """Run the command that a message tells people to run."""
    _, _, command = message.partition("waits for approval: ")
    program, *arguments = shlex.split(command)
    assert program == "kubectl"
    kubectl(*arguments)


def test_paused_deployments_wait_and_hold_nobody_up(one_by_one: Watching, kube: Kube, shop: str) -> None:
    deploy(kube, shop, "first")
    deploy(kube, shop, "second")
    kube.merge_patch("deployment", shop, "first", {"spec": {"paused": True}})
    connect(kube, shop, "first")
    message = programmed(kube, shop, "first", "RolloutPaused")
    assert f"kubectl rollout resume deployment first -n {shop}" in message
    connect(kube, shop, "second")
    ready(kube, shop, "second")
    assert kube.get("deployment", shop, "first")["spec"]["paused"] is True  # type: ignore[index]
    kube.merge_patch("deployment", shop, "first", {"spec": {"paused": None}})
    ready(kube, shop, "first")


def test_an_autoscaler_and_restarts_by_people_are_never_undone(
    one_by_one: Watching, kube: Kube, kubectl: Kubectl, shop: str
) -> None:
    deploy(kube, shop, "first")
    connect(kube, shop, "first")
    ready(kube, shop, "first")
    kube.apply(objects.autoscaler(shop, "first", low=3))
    same(3, lambda: kube.get("deployment", shop, "first")["spec"]["replicas"], "the autoscaler scales")  # type: ignore[index]
    kubectl("rollout", "restart", "deployment", "first", "-n", shop)
    restarted = annotations_of(kube, shop, "first")[RESTARTED_AT]

    kube.apply(objects.target(shop, project="other"))
    same(f"x-api-key={objects.KEY},langsmith-project=other", lambda: headers(kube, shop, "first"), "the new project")
    kube.wait(
        "it is ready with the new project",
        lambda: (
            condition(kube.get("gatewaytelemetry", shop, "first"), "Ready").get("status") == "True"
            and available(kube, shop, "first")
        ),
    )
    kube.delete("gatewaytelemetry", shop, "first")
    kube.wait_gone("gatewaytelemetry", shop, "first")
    after = kube.get("deployment", shop, "first")
    assert after is not None
    assert after["spec"]["replicas"] == 3
    assert annotations_of(kube, shop, "first") == {RESTARTED_AT: restarted}
