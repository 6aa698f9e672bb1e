"""Other people write between two requests of the operator: each test puts one write of theirs exactly there."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import objects
from tests.support.apiproxy import Action, Answer, ApiProxy, Call, Write, on
from tests.support.cluster import ClusterAccess
from tests.support.kube import Kube, condition, same
from tests.support.objects import Object
from tests.support.operator import OperatorProcess

MANAGER = "gateway-telemetry"
COPY = "gateway-telemetry-deployment-gateway"
ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
FINALIZER, RELEASE, APPLY = "patch gatewaytelemetries", "patch deployments", "apply deployments"
STATUS = "patch gatewaytelemetries/status"
STORM_SECONDS = 10.0


@pytest.fixture
def proxy(cluster: ClusterAccess, tmp_path: Path) -> Iterator[ApiProxy]:
    with ApiProxy(cluster, tmp_path) as running:
        yield running
        running.clear_hooks()


@pytest.fixture
def shop(proxy: ApiProxy, kube: Kube, namespace: str, tmp_path: Path) -> Iterator[str]:
    """A namespace in which only the GatewayTelemetry is missing, with an operator behind the proxy."""
    kube.apply(objects.secret(namespace))
    kube.apply(objects.target(namespace))
    kube.apply(objects.deployment(namespace, replicas=0))
    with OperatorProcess(proxy.kubeconfig, tmp_path, f"--watch-namespace={namespace}"):
        kube.wait_condition("langsmithtarget", namespace, "prod", "Ready")
        kube.wait("the Deployment controller has seen it", lambda: observed(deployment(kube, namespace)))
        yield namespace


def deployment(kube: Kube, namespace: str) -> Object:
    found = kube.get("deployment", namespace, "gateway")
    assert found is not None
    return found


def observed(item: Object) -> bool:
    return bool((item.get("status") or {}).get("observedGeneration") == item["metadata"]["generation"])


def container(item: Object) -> Object:
    found: Object = item["spec"]["template"]["spec"]["containers"][0]
    return found


def env_of(item: Object) -> dict[str, Object]:
    return {entry["name"]: entry for entry in container(item).get("env") or ()}


def claimed(item: Object) -> bool:
    return any(entry["manager"] == MANAGER for entry in item["metadata"]["managedFields"])


def settled(kube: Kube, namespace: str) -> Object:
    """Wait until the gateway is Ready and nothing is claimed; return the Deployment."""
    kube.wait_condition("gatewaytelemetry", namespace, "gateway", "Ready", timeout=40)
    same(False, lambda: claimed(deployment(kube, namespace)), "the claim is given up")
    return deployment(kube, namespace)


def reports(proxy: ApiProxy, type_: str = "Programmed") -> list[tuple[str, str]]:
    """Return reason and message of a condition in each status that the operator wrote, in order."""
    found = [
        condition(json.loads(write.body), type_)
        for write in proxy.writes
        if (write.what, write.status) == (STATUS, 200)
    ]
    return [(item["reason"], item["message"]) for item in found if item]


def statuses(proxy: ApiProxy, what: str) -> list[int]:
    return [write.status for write in proxy.writes if write.what == what]


def part(namespace: str, **fields: Any) -> Object:
    """The Deployment with some fields of its container, for somebody's server-side apply."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "gateway", "namespace": namespace},
        "spec": {"template": {"spec": {"containers": [{"name": "main", **fields}]}}},
    }


def extra_variable(kube: Kube, namespace: str) -> None:
    kube.apply(part(namespace, env=[{"name": "TEAM", "value": "payments"}]), manager="team")


def progress_of_a_rollout(kube: Kube, namespace: str) -> None:
    entry = {"type": "Progressing", "status": "True", "reason": "Test", "message": "moved"}
    kube.merge_patch("deployment", namespace, "gateway", {"status": {"conditions": [entry]}}, subresource="status")


def new_image(kube: Kube, namespace: str) -> None:
    kube.apply(objects.deployment(namespace, replicas=0, image="registry.example/gateway:2"))


@pytest.mark.parametrize("theirs", [extra_variable, progress_of_a_rollout, new_image])
def test_somebody_writes_between_apply_and_release(
    proxy: ApiProxy, kube: Kube, shop: str, theirs: Callable[[Kube, str], None]
) -> None:
    proxy.before = on(RELEASE, Call(lambda: theirs(kube, shop)))
    kube.apply(objects.gateway(shop))

    live = settled(kube, shop)

    assert ENDPOINT in env_of(live)
    assert statuses(proxy, APPLY) == [200]
    assert set(statuses(proxy, RELEASE)) <= {200, 422}
    assert statuses(proxy, RELEASE)[-1] == 200
    if theirs is extra_variable:
        assert env_of(live)["TEAM"]["value"] == "payments"
    if theirs is new_image:
        assert container(live)["image"] == "registry.example/gateway:2"

    kube.delete("gatewaytelemetry", shop, "gateway")
    kube.wait_gone("gatewaytelemetry", shop, "gateway")
    left = env_of(deployment(kube, shop))
    assert list(left) == (["TEAM"] if theirs is extra_variable else [])


@pytest.mark.parametrize(
    ("status", "reason"), [(422, "Invalid"), (403, "Forbidden"), (500, "InternalError"), (409, "Conflict")]
)
def test_a_release_is_refused_some_times(proxy: ApiProxy, kube: Kube, shop: str, status: int, reason: str) -> None:
    generation = deployment(kube, shop)["metadata"]["generation"]
    proxy.before = on(RELEASE, Answer(status, reason), times=3)
    kube.apply(objects.gateway(shop))

    live = settled(kube, shop)

    assert statuses(proxy, RELEASE) == [status, status, status, 200]
    assert statuses(proxy, APPLY) == [200], "the settings are written once"
    assert live["metadata"]["generation"] == generation + 1


def test_a_release_is_refused_for_ever(proxy: ApiProxy, kube: Kube, shop: str) -> None:
    message = "frozen by the change board"
    proxy.before = on(RELEASE, Answer(403, "Forbidden", message), times=10**6)
    kube.apply(objects.gateway(shop))
    kube.wait("it has tried three times", lambda: len(statuses(proxy, RELEASE)) >= 3)
    found = kube.wait_condition("gatewaytelemetry", shop, "gateway", "Programmed", "False", "WriteFailed")
    assert message in condition(found, "Programmed")["message"]
    assert ENDPOINT in env_of(deployment(kube, shop))
    assert claimed(deployment(kube, shop))

    proxy.clear_hooks()
    settled(kube, shop)
    assert statuses(proxy, APPLY) == [200], "the settings are written once"


def test_a_name_is_taken_over_between_plan_and_apply(proxy: ApiProxy, kube: Kube, shop: str) -> None:
    theirs = [{"name": ENDPOINT, "value": "http://collector:4318/v1/traces"}]
    proxy.before = on(APPLY, Call(lambda: kube.apply(part(shop, env=theirs), manager="team")))
    kube.apply(objects.gateway(shop))

    kube.wait("the status tells", lambda: reports(proxy))
    reason, message = reports(proxy)[0]
    assert reason == "FieldOwnedByOther"
    assert "team took over" in message
    assert ENDPOINT in message
    # With the next look it is a variable like any other that was there before.
    kube.wait_condition("gatewaytelemetry", shop, "gateway", "Programmed", "False", "EnvConflict")
    live = deployment(kube, shop)
    assert container(live)["env"] == theirs
    assert "annotations" not in live["spec"]["template"]["metadata"]
    assert not claimed(live)
    assert statuses(proxy, APPLY) == [409]

    kube.delete("gatewaytelemetry", shop, "gateway")
    kube.wait_gone("gatewaytelemetry", shop, "gateway")
    assert container(deployment(kube, shop))["env"] == theirs
    assert kube.get("secret", shop, COPY) is None


def test_a_name_is_taken_over_between_claim_and_change(proxy: ApiProxy, kube: Kube, shop: str) -> None:
    kube.apply(objects.gateway(shop))
    settled(kube, shop)
    theirs = [{"name": ENDPOINT, "value": "http://collector:4318/v1/traces"}]
    # The second apply of a change; the first one of all was the creation's.
    proxy.before = on(APPLY, Call(lambda: kube.apply(part(shop, env=theirs), manager="team", force=True)), nth=2)
    kube.apply(objects.target(shop, saas={"region": "us"}))

    kube.wait("the change was tried", lambda: 409 in statuses(proxy, APPLY))
    same(False, lambda: claimed(deployment(kube, shop)), "the claim is given up")
    assert env_of(deployment(kube, shop))[ENDPOINT]["value"] == "http://collector:4318/v1/traces"
    found = kube.wait_condition("gatewaytelemetry", shop, "gateway", "Programmed", "False", "EnvConflict")
    assert ENDPOINT in condition(found, "Programmed")["message"]

    kube.delete("gatewaytelemetry", shop, "gateway")
    kube.wait_gone("gatewaytelemetry", shop, "gateway")
    assert env_of(deployment(kube, shop)) == {ENDPOINT: theirs[0]}
    assert not claimed(deployment(kube, shop))


def test_a_deployment_is_made_anew_between_plan_and_apply(proxy: ApiProxy, kube: Kube, shop: str) -> None:
    made: list[Object] = []

    def anew() -> None:
        kube.delete("deployment", shop, "gateway")
        kube.wait_gone("deployment", shop, "gateway")
        made.append(kube.apply(objects.deployment(shop, replicas=0)))

    proxy.before = on(APPLY, Call(anew))
    kube.apply(objects.gateway(shop))

    live = settled(kube, shop)

    assert statuses(proxy, APPLY)[0] == 409, "what was planned for another object is not written"
    assert live["metadata"]["uid"] == made[0]["metadata"]["uid"]
    assert ENDPOINT in env_of(live)
    same(
        made[0]["metadata"]["uid"],
        lambda: (kube.get("secret", shop, COPY) or {}).get("metadata", {}).get("ownerReferences", [{}])[0].get("uid"),
        "our Secret belongs to the new one",
    )


def test_a_deployment_goes_between_plan_and_apply(proxy: ApiProxy, kube: Kube, shop: str) -> None:
    def away() -> None:
        kube.delete("deployment", shop, "gateway")
        kube.wait_gone("deployment", shop, "gateway")

    proxy.before = on(APPLY, Call(away))
    kube.apply(objects.gateway(shop))
    kube.wait_condition("gatewaytelemetry", shop, "gateway", "Accepted", "False", "NoMatchingWorkloads")
    assert kube.get("deployment", shop, "gateway") is None, "an apply must not create it"
    kube.wait_gone("secret", shop, COPY)
    kube.delete("gatewaytelemetry", shop, "gateway")
    kube.wait_gone("gatewaytelemetry", shop, "gateway")


def test_an_edit_between_finalizer_and_status(proxy: ApiProxy, kube: Kube, shop: str) -> None:
    edit = {"spec": {"project": "edited"}}
    proxy.after = on(FINALIZER, Call(lambda: kube.merge_patch("gatewaytelemetry", shop, "gateway", edit)))
    kube.apply(objects.gateway(shop))

    def current() -> Object:
        found = kube.get("gatewaytelemetry", shop, "gateway") or {}
        return found if (found.get("status") or {}).get("observedGeneration") == 2 else {}

    kube.wait("the status speaks of the edit", current)
    settled(kube, shop)
    told = [json.loads(write.body)["status"] for write in proxy.writes if write.what == STATUS]
    pairs = {(item.get("observedGeneration"), item["traces"]["project"]) for item in told if "traces" in item}
    assert pairs <= {(1, "checkout"), (2, "edited")}, "no status speaks of a generation that it does not describe"
    assert current()["status"]["traces"]["project"] == "edited"


@pytest.mark.parametrize("moment", [FINALIZER, "create secrets", APPLY, RELEASE, STATUS])
def test_a_deletion_while_it_is_being_written(proxy: ApiProxy, kube: Kube, shop: str, moment: str) -> None:
    before = deployment(kube, shop)["spec"]
    proxy.before = on(moment, Call(lambda: kube.delete("gatewaytelemetry", shop, "gateway")))
    kube.apply(objects.gateway(shop))

    kube.wait("it came to that", lambda: statuses(proxy, moment))
    kube.wait_gone("gatewaytelemetry", shop, "gateway")
    same([], lambda: kube.list("secret", shop, "gatewaytelemetry.dev/role=copy"), "no copy of the key is left")
    same(before, lambda: deployment(kube, shop)["spec"], "the template is as before")
    assert not claimed(deployment(kube, shop))


def storm(write: Write) -> Action:
    """Refuse everything, as an API server that is overloaded does."""
    if write.number % 2:
        return Answer(429, "TooManyRequests", "slow down", {"Retry-After": "1"})
    return Answer(503, "ServiceUnavailable", "overloaded")


@pytest.mark.parametrize("refused", ["all", APPLY, STATUS])
def test_a_storm_is_not_answered_with_a_storm(proxy: ApiProxy, kube: Kube, shop: str, refused: str) -> None:
    """Two objects, pauses of 0.5 s and then twice as long each time: four or five tries in ten seconds."""
    before = len(proxy.writes)
    proxy.before = lambda write: storm(write) if refused in ("all", write.what) else None
    began = time.monotonic()
    kube.apply(objects.gateway(shop))
    kube.wait("the storm lasts", lambda: time.monotonic() - began >= STORM_SECONDS)
    stormy = proxy.writes[before:]
    assert len([write for write in stormy if write.by_proxy]) in range(3, 11)
    assert len(stormy) <= 20, "\n".join(map(str, stormy))

    proxy.clear_hooks()
    settled(kube, shop)
    assert deployment(kube, shop)["metadata"]["generation"] == 2, "one rollout"


def test_a_steady_state_writes_nothing(
    proxy: ApiProxy, cluster: ClusterAccess, kube: Kube, namespace: str, tmp_path: Path
) -> None:
    """Several full lists, each of which marks every object dirty."""
    for item in (objects.secret(namespace), objects.target(namespace), objects.gateway(namespace)):
        kube.apply(item)
    kube.apply(objects.deployment(namespace, replicas=0))
    flags = (f"--watch-namespace={namespace}", "--resync=1")
    with OperatorProcess(proxy.kubeconfig, tmp_path, *flags) as operator:
        settled(kube, namespace)
        kube.wait("the Deployment controller has seen it", lambda: observed(deployment(kube, namespace)))
        name = 'gateway_telemetry_reconciles_total{kind="GatewayTelemetry",result="ok"}'

        def runs() -> float:
            return operator.metrics()[name]

        kube.wait("the last event was worked on", lambda first=runs(): runs() >= first + 1)  # type: ignore[misc]
        first, before = runs(), len(proxy.writes)
        kube.wait("five more resyncs", lambda: runs() >= first + 5)
        assert [str(write) for write in proxy.writes[before:]] == []
