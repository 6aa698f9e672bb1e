"""Other people write between two requests of the operator: each test puts one write of theirs exactly there."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.support import objects
from tests.support.account import chart_account
from tests.support.apiproxy import Action, Answer, ApiProxy, Call, Write, on
from tests.support.cluster import ClusterAccess, available, make_namespace
from tests.support.kube import Kube, condition, same
from tests.support.objects import Object
from tests.support.operator import OperatorProcess

MANAGER = "gateway-telemetry"
COPY = "gateway-telemetry-deployment-gateway"
ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
FINALIZER, RELEASE, APPLY = "patch gatewaytelemetries", "patch deployments", "apply deployments"
STATUS = "patch gatewaytelemetries/status"
STORM_SECONDS = 6.0
THEIRS = {"name": ENDPOINT, "value": "http://collector:4318/v1/traces"}


@dataclass(frozen=True)
class Shop:
    """A namespace in which only the GatewayTelemetry is missing, and an operator behind a proxy.

    Attributes:
        since: number of the last write before the test.
    """

    kube: Kube
    namespace: str
    proxy: ApiProxy
    since: int = 0

    def apply(self, **spec: Any) -> None:
        """Apply the GatewayTelemetry."""
        self.kube.apply(objects.gateway(self.namespace, **spec))

    def delete(self) -> None:
        """Delete the GatewayTelemetry and wait until it is gone."""
        self.kube.delete("gatewaytelemetry", self.namespace, "gateway")
        self.kube.wait_gone("gatewaytelemetry", self.namespace, "gateway")

    def gateway(self) -> Object:
        return self.kube.get("gatewaytelemetry", self.namespace, "gateway") or {}

    def wait_condition(self, type_: str, status: str, reason: str | None = None) -> Object:
        return self.kube.wait_condition("gatewaytelemetry", self.namespace, "gateway", type_, status, reason)

    def deployment(self) -> Object:
        found = self.kube.get("deployment", self.namespace, "gateway")
        assert found is not None
        return found

    def copies(self) -> list[Object]:
        return self.kube.list("secret", self.namespace, "gatewaytelemetry.dev/role=copy")

    def seen(self) -> bool:
        """Tell whether the Deployment controller has seen the newest template."""
        item = self.deployment()
        return bool((item.get("status") or {}).get("observedGeneration") == item["metadata"]["generation"])

    def settled(self) -> Object:
        """Wait until the gateway is Ready and nothing is claimed; return the Deployment."""
        self.wait_condition("Ready", "True")
        same(False, lambda: claimed(self.deployment()), "the claim is given up")
        return self.deployment()

    def writes(self) -> list[Write]:
        return self.proxy.writes[self.since :]

    def statuses(self, what: str) -> list[int]:
        """HTTP statuses of the answers to one sort of writes, in order."""
        return [write.status for write in self.writes() if write.what == what]

    def reports(self, type_: str = "Programmed") -> list[tuple[str, str]]:
        """Return reason and message of a condition in each status that was written, in order."""
        found = [condition(json.loads(write.body), type_) for write in self.writes() if write.what == STATUS]
        return [(item["reason"], item["message"]) for item in found if item]


@pytest.fixture(scope="module")
def shared(cluster: ClusterAccess, kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    namespace, folder = make_namespace(kube, "races"), tmp_path_factory.mktemp("races")
    with (
        ApiProxy(ClusterAccess(chart_account(cluster.kubeconfig)), folder) as proxy,
        OperatorProcess(proxy.kubeconfig, folder, f"--watch-namespace={namespace}"),
    ):
        yield Shop(kube, namespace, proxy)
        proxy.clear_hooks()
    kube.delete("namespace", None, namespace)


@pytest.fixture
def shop(shared: Shop) -> Iterator[Shop]:
    """All objects but the GatewayTelemetry, made anew."""
    kube, namespace, proxy = shared.kube, shared.namespace, shared.proxy
    proxy.clear_hooks()
    for kind, name in (("gatewaytelemetry", "gateway"), ("deployment", "gateway"), ("langsmithtarget", "prod")):
        kube.delete(kind, namespace, name)
        kube.wait_gone(kind, namespace, name)
    kube.wait_gone("secret", namespace, COPY)
    kube.apply(objects.secret(namespace))
    kube.apply(objects.ca_bundle(namespace, trustme.CA().cert_pem.bytes().decode()))
    kube.apply(objects.target(namespace))
    kube.apply(objects.deployment(namespace, replicas=0))
    kube.wait_condition("langsmithtarget", namespace, "prod", "Ready")
    kube.wait("the Deployment controller has seen it", shared.seen)
    yield replace(shared, since=len(proxy.writes))
    proxy.clear_hooks()


def container(item: Object) -> Object:
    found: Object = item["spec"]["template"]["spec"]["containers"][0]
    return found


def env_of(item: Object) -> dict[str, Object]:
    return {entry["name"]: entry for entry in container(item).get("env") or ()}


def claimed(item: Object) -> bool:
    return any(entry["manager"] == MANAGER for entry in item["metadata"]["managedFields"])


def part(namespace: str, **fields: Any) -> Object:
    """The Deployment with some fields of its container, for somebody's server-side apply."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "gateway", "namespace": namespace},
        "spec": {"template": {"spec": {"containers": [{"name": "main", **fields}]}}},
    }


def extra_variable(shop: Shop) -> None:
    shop.kube.apply(part(shop.namespace, env=[{"name": "TEAM", "value": "payments"}]), manager="team")


def progress_of_a_rollout(shop: Shop) -> None:
    entry = {"type": "Progressing", "status": "True", "reason": "Test", "message": "moved"}
    patch = {"status": {"conditions": [entry]}}
    shop.kube.merge_patch("deployment", shop.namespace, "gateway", patch, subresource="status")


def new_image(shop: Shop) -> None:
    shop.kube.apply(objects.deployment(shop.namespace, replicas=0, image="registry.example/gateway:2"))


def take_over(shop: Shop) -> None:
    shop.kube.apply(part(shop.namespace, env=[THEIRS]), manager="team", force=True)


@pytest.mark.parametrize("theirs", [extra_variable, progress_of_a_rollout, new_image])
def test_somebody_writes_between_apply_and_release(shop: Shop, theirs: Callable[[Shop], None]) -> None:
    shop.proxy.before = on(RELEASE, Call(lambda: theirs(shop)))
    shop.apply()

    live = shop.settled()

    assert ENDPOINT in env_of(live)
    assert shop.statuses(APPLY) == [200]
    assert set(shop.statuses(RELEASE)) <= {200, 422}
    assert shop.statuses(RELEASE)[-1] == 200
    if theirs is extra_variable:
        assert env_of(live)["TEAM"]["value"] == "payments"
    if theirs is new_image:
        assert container(live)["image"] == "registry.example/gateway:2"

    shop.delete()
    left = env_of(shop.deployment())
    assert list(left) == (["TEAM"] if theirs is extra_variable else [])


@pytest.mark.parametrize(
    ("status", "reason"), [(422, "Invalid"), (403, "Forbidden"), (500, "InternalError"), (409, "Conflict")]
)
def test_a_release_is_refused_some_times(shop: Shop, status: int, reason: str) -> None:
    generation = shop.deployment()["metadata"]["generation"]
    shop.proxy.before = on(RELEASE, Answer(status, reason), times=3)
    shop.apply()

    live = shop.settled()

    assert shop.statuses(RELEASE) == [status, status, status, 200]
    assert shop.statuses(APPLY) == [200], "the settings are written once"
    assert live["metadata"]["generation"] == generation + 1


def test_a_restart_that_is_over_before_its_write_returns(shop: Shop) -> None:
    kube, namespace = shop.kube, shop.namespace

    def rolled_out() -> bool:
        return available(kube, namespace, "gateway")

    takes = [{"secretRef": {"name": "traces", "optional": True}}]
    kube.apply(objects.deployment(namespace, envFrom=takes))
    kube.wait("its pod runs", rolled_out)

    def over() -> None:
        shop.proxy.watching.clear()  # what the operator hears of the rollout is older than the answer to its write
        kube.wait("the new pod has replaced it", rolled_out)

    def reported() -> bool:
        made = [write.what for write in shop.writes()]
        return RELEASE in made and STATUS in made[made.index(RELEASE) :]

    shop.proxy.before = on(RELEASE, Call(over))
    kube.apply(objects.reference(namespace, rollout={"policy": "Automatic"}))
    kube.wait("the operator has reported after its write", reported)
    shop.proxy.watching.set()
    shop.wait_condition("Programmed", "True")
    assert not [message for _, message in shop.reports() if "kubectl rollout restart" in message]


def refused_for_ever(shop: Shop) -> None:
    """Bring it about that the settings are written and the claim on them cannot be given up."""
    shop.proxy.before = on(RELEASE, Answer(403, "Forbidden", "frozen by the change board"), times=10**6)
    shop.apply()
    shop.kube.wait("it has tried four times", lambda: len(shop.statuses(RELEASE)) >= 4)
    assert ENDPOINT in env_of(shop.deployment())
    assert claimed(shop.deployment())


def test_a_release_is_refused_for_long(shop: Shop) -> None:
    refused_for_ever(shop)
    reason, message = shop.reports()[0]
    assert reason == "WriteFailed"
    assert "frozen by the change board" in message

    shop.proxy.clear_hooks()
    shop.settled()
    assert shop.statuses(APPLY) == [200], "the settings are written once"


def test_a_claim_that_cannot_be_given_up_is_told_as_long_as_it_is_held(shop: Shop) -> None:
    refused_for_ever(shop)
    found = condition(shop.gateway(), "Programmed")
    assert (found["status"], found["reason"]) == ("False", "WriteFailed")


def test_a_name_is_taken_over_between_plan_and_apply(shop: Shop) -> None:
    def unnoticed() -> None:
        shop.proxy.watching.clear()
        take_over(shop)

    shop.proxy.before = on(APPLY, Call(unnoticed))
    shop.apply()

    shop.kube.wait("the status tells", shop.reports)
    reason, message = shop.reports()[0]
    assert reason == "FieldOwnedByOther"
    assert "team took over" in message
    assert ENDPOINT in message
    # As soon as the watch tells it is a variable like any other that was there before.
    shop.proxy.clear_hooks()
    shop.wait_condition("Programmed", "False", "EnvConflict")
    live = shop.deployment()
    assert container(live)["env"] == [THEIRS]
    assert "annotations" not in live["spec"]["template"]["metadata"]
    assert not claimed(live)
    applied = [write for write in shop.writes() if write.what == APPLY]
    assert applied[0].status == 409
    assert not [write for write in applied if write.status == 200 and b"OTEL_" in write.body]
    same([], shop.copies, "the key does not stay where it is not used")

    shop.delete()
    assert container(shop.deployment())["env"] == [THEIRS]
    assert shop.copies() == []


def test_a_name_is_taken_over_between_claim_and_change(shop: Shop) -> None:
    """A CA is added and removed again: names are dropped, which needs a claim before the change."""
    reference = {"kind": "ConfigMap", "name": "langsmith-ca", "key": "ca.crt"}
    shop.kube.apply(objects.target(shop.namespace, caBundleRef=reference))
    shop.apply()
    shop.settled()
    shop.proxy.before = on(APPLY, Call(lambda: take_over(shop)), nth=2)
    shop.kube.apply(objects.target(shop.namespace, saas={"region": "us"}))

    shop.kube.wait("the change was tried", lambda: 409 in shop.statuses(APPLY))
    found = shop.wait_condition("Programmed", "False", "EnvConflict")
    assert ENDPOINT in condition(found, "Programmed")["message"]
    same(False, lambda: claimed(shop.deployment()), "the claim is given up")
    assert env_of(shop.deployment())[ENDPOINT] == THEIRS

    shop.delete()
    assert env_of(shop.deployment()) == {ENDPOINT: THEIRS}
    assert "volumes" not in shop.deployment()["spec"]["template"]["spec"]
    assert not claimed(shop.deployment())


def test_a_change_that_another_owner_refuses_each_time_is_no_storm(shop: Shop) -> None:
    """The claim before the change succeeds each time and is given up each time: neither may call the next try."""
    reference = {"kind": "ConfigMap", "name": "langsmith-ca", "key": "ca.crt"}
    shop.kube.apply(objects.target(shop.namespace, caBundleRef=reference))
    shop.apply()
    ours = env_of(shop.settled())[ENDPOINT]
    shop.kube.apply(part(shop.namespace, env=[ours]), manager="team")
    before = len(shop.writes())
    shop.kube.apply(objects.target(shop.namespace, saas={"region": "us"}))

    found = shop.wait_condition("Programmed", "False", "FieldOwnedByOther")
    assert "team" in condition(found, "Programmed")["message"]
    began = time.monotonic()
    shop.kube.wait("it goes on trying", lambda: time.monotonic() - began >= STORM_SECONDS)
    tries = [write.status for write in shop.writes()[before:] if write.what == APPLY]
    assert tries == [200, 409] * (len(tries) // 2)
    assert len(tries) // 2 in range(3, 8), "pauses grow, from about 0.5 s"
    same(False, lambda: claimed(shop.deployment()), "nothing stays claimed between the tries")


def test_a_deployment_is_made_anew_between_plan_and_apply(shop: Shop) -> None:
    made: list[Object] = []

    def anew() -> None:
        shop.kube.delete("deployment", shop.namespace, "gateway")
        shop.kube.wait_gone("deployment", shop.namespace, "gateway")
        made.append(shop.kube.apply(objects.deployment(shop.namespace, replicas=0)))

    shop.proxy.before = on(APPLY, Call(anew))
    shop.apply()

    live = shop.settled()

    assert shop.statuses(APPLY) == [422, 200], "what was planned for another object is not written"
    assert live["metadata"]["uid"] == made[0]["metadata"]["uid"]
    assert ENDPOINT in env_of(live)
    same([made[0]["metadata"]["uid"]], lambda: owners(shop), "our Secret belongs to the new one")


def owners(shop: Shop) -> list[str]:
    return [item["metadata"]["ownerReferences"][0]["uid"] for item in shop.copies()]


def test_a_deployment_goes_between_plan_and_apply(shop: Shop) -> None:
    def away() -> None:
        shop.kube.delete("deployment", shop.namespace, "gateway")
        shop.kube.wait_gone("deployment", shop.namespace, "gateway")

    shop.proxy.before = on(APPLY, Call(away))
    shop.apply()
    shop.wait_condition("Accepted", "False", "NoMatchingWorkloads")
    assert shop.kube.get("deployment", shop.namespace, "gateway") is None, "an apply must not create it"
    shop.kube.wait_gone("secret", shop.namespace, COPY)
    shop.delete()


def test_an_edit_between_finalizer_and_status(shop: Shop) -> None:
    edit = {"spec": {"project": "edited"}}
    write = Call(lambda: shop.kube.merge_patch("gatewaytelemetry", shop.namespace, "gateway", edit))
    shop.proxy.after = on(FINALIZER, write)
    shop.apply()

    def current() -> Object:
        found = shop.gateway()
        return found if (found.get("status") or {}).get("observedGeneration") == 2 else {}

    shop.kube.wait("the status speaks of the edit", current)
    shop.settled()
    told = [json.loads(write.body)["status"] for write in shop.writes() if write.what == STATUS]
    pairs = {(item.get("observedGeneration"), item["traces"]["project"]) for item in told if "traces" in item}
    assert pairs <= {(1, "checkout"), (2, "edited")}, "no status speaks of a generation that it does not describe"
    assert current()["status"]["traces"]["project"] == "edited"


@pytest.mark.parametrize("moment", [FINALIZER, "create secrets", APPLY, RELEASE, STATUS])
def test_a_deletion_while_it_is_being_written(shop: Shop, moment: str) -> None:
    before = shop.deployment()["spec"]
    shop.proxy.before = on(moment, Call(lambda: shop.kube.delete("gatewaytelemetry", shop.namespace, "gateway")))
    shop.apply()

    shop.kube.wait("it came to that", lambda: shop.statuses(moment))
    shop.kube.wait_gone("gatewaytelemetry", shop.namespace, "gateway")
    same([], shop.copies, "no copy of the key is left")
    same(before, lambda: shop.deployment()["spec"], "the template is as before")
    assert not claimed(shop.deployment())


def test_a_gateway_that_went_before_its_finalizer_is_not_written_for(shop: Shop) -> None:
    generation = shop.deployment()["metadata"]["generation"]
    shop.proxy.before = on(FINALIZER, Call(lambda: shop.kube.delete("gatewaytelemetry", shop.namespace, "gateway")))
    shop.apply()
    shop.kube.wait("its finalizer was refused", lambda: 404 in shop.statuses(FINALIZER))
    # What comes later has been worked on.
    shop.kube.apply(objects.gateway(shop.namespace, "later", app="nothing"))
    shop.kube.wait_condition("gatewaytelemetry", shop.namespace, "later", "Accepted", "False")
    shop.kube.delete("gatewaytelemetry", shop.namespace, "later")
    same([], shop.copies, "no copy of the key is left")
    assert shop.statuses(APPLY) == []
    assert shop.deployment()["metadata"]["generation"] == generation


def storm(write: Write) -> Action:
    """Refuse everything, as an API server that is overloaded does."""
    if write.number % 2:
        return Answer(429, "TooManyRequests", "slow down", {"Retry-After": "1"})
    return Answer(503, "ServiceUnavailable", "overloaded")


@pytest.mark.parametrize("refused", ["all", APPLY, STATUS])
def test_a_storm_is_not_answered_with_a_storm(shop: Shop, refused: str) -> None:
    """Pauses of about 0.5 s and then twice as long each time: four or five tries in this time, not hundreds."""
    shop.proxy.before = lambda write: storm(write) if refused in ("all", write.what) else None
    began = time.monotonic()
    shop.apply()
    shop.kube.wait("the storm lasts", lambda: time.monotonic() - began >= STORM_SECONDS)
    stormy = shop.writes()
    assert len([write for write in stormy if write.by_proxy]) in range(3, 8)
    assert len(stormy) <= 16, "\n".join(map(str, stormy))

    shop.proxy.clear_hooks()
    shop.settled()
    assert shop.deployment()["metadata"]["generation"] == 2, "one rollout"


def test_a_steady_state_writes_nothing(cluster: ClusterAccess, kube: Kube, namespace: str, tmp_path: Path) -> None:
    """Several full lists, each of which marks every object dirty."""
    for item in (objects.secret(namespace), objects.target(namespace), objects.gateway(namespace)):
        kube.apply(item)
    kube.apply(objects.deployment(namespace, replicas=0))
    with (
        ApiProxy(ClusterAccess(chart_account(cluster.kubeconfig)), tmp_path) as proxy,
        OperatorProcess(proxy.kubeconfig, tmp_path, f"--watch-namespace={namespace}", "--resync=1") as operator,
    ):
        shop = Shop(kube, namespace, proxy)
        shop.settled()
        kube.wait("the Deployment controller has seen it", shop.seen)
        name = 'gateway_telemetry_reconciles_total{kind="GatewayTelemetry",result="ok"}'

        def runs_after(count: float) -> float:
            """Return how often the gateway was looked at, once that is more often than this."""
            return kube.wait("another run", lambda: max(operator.metrics()[name] - count, 0.0)) + count

        first = runs_after(runs_after(0))
        before = len(proxy.writes)
        kube.wait("four more resyncs", lambda: operator.metrics()[name] >= first + 4)
        assert [str(write) for write in proxy.writes[before:]] == []
