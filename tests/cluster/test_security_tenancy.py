"""Tenants and the one operator that serves them: nobody gets another's key, or learns what another has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import objects
from tests.support.cluster import ClusterAccess
from tests.support.kube import Kube, condition
from tests.support.langsmith import StandIn
from tests.support.listening import lan_address
from tests.support.objects import Object
from tests.support.operator import Watching, watching

WORKSPACE = "5f2c7a3e-0000-4000-8000-000000000001"
HOST = lan_address()

pytestmark = pytest.mark.skipif(HOST is None, reason="this machine has no address besides loopback")


@pytest.fixture(scope="module")
def operator(cluster: ClusterAccess, kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watching]:
    folder = tmp_path_factory.mktemp("tenancy")
    with watching(kube, cluster.kubeconfig, folder, 9, f"--allow-host={HOST}", verify=True) as found:
        yield found


@pytest.fixture
def langsmith() -> Iterator[StandIn]:
    with StandIn(keys={objects.KEY: WORKSPACE}, host=str(HOST)) as stand_in:
        yield stand_in


def target(namespace: str, url: str, name: str = "prod", **spec: object) -> Object:
    return objects.target(namespace, name, selfHosted={"url": url}, allowPlaintext=True, **spec)


def secrets(kube: Kube, namespace: str) -> list[str]:
    return sorted(item["metadata"]["name"] for item in kube.list("secret", namespace))


def told(kube: Kube, namespace: str, name: str, other: str) -> Any:
    """Return all that a GatewayTelemetry's status says, without the names in which the two cases differ."""
    found = kube.wait_condition("gt", namespace, name, "ResolvedRefs", "False", "TargetNotFound")
    status = {key: value for key, value in found["status"].items() if key != "observedGeneration"}
    for item in status["conditions"]:
        item.pop("lastTransitionTime")
    return json.loads(json.dumps(status).replace(name, "NAME").replace(other, "TARGET"))


def test_a_target_that_does_not_consent_cannot_be_told_from_one_that_is_not_there(
    operator: Watching, kube: Kube, langsmith: StandIn
) -> None:
    owner, user = operator.namespace(), operator.namespace()
    kube.apply(objects.secret(owner))
    kube.apply(target(owner, langsmith.url, "there-1"))
    kube.wait_condition("lst", owner, "there-1", "Authenticated")
    for name, ref in (("gateway-1", "there-1"), ("gateway-2", "never-1")):
        kube.apply(objects.deployment(user, name))
        kube.apply(objects.gateway(user, name, app=name, targetRef={"name": ref, "namespace": owner}))
    assert told(kube, user, "gateway-1", "there-1") == told(kube, user, "gateway-2", "never-1")
    assert secrets(kube, user) == []

    kube.apply(target(owner, langsmith.url, "there-1", allowedNamespaces={"from": "All"}))
    kube.wait_condition("gt", user, "gateway-1", "ResolvedRefs")
    assert condition(kube.get("gt", user, "gateway-2"), "ResolvedRefs")["reason"] == "TargetNotFound"


def test_a_secret_without_the_label_is_nobodys_key(operator: Watching, kube: Kube, langsmith: StandIn) -> None:
    namespace = operator.namespace()
    plain = objects.secret(namespace)
    del plain["metadata"]["labels"]
    kube.apply(plain)
    kube.apply(target(namespace, langsmith.url))
    kube.apply(objects.deployment(namespace))
    kube.apply(objects.gateway(namespace))
    found = kube.wait_condition("lst", namespace, "prod", "ResolvedRefs", "False", "SecretNotFound")
    kube.wait_condition("gt", namespace, "gateway", "ResolvedRefs", "False")
    assert "gatewaytelemetry.dev/role=source" in condition(found, "ResolvedRefs")["message"]
    assert secrets(kube, namespace) == ["langsmith"]
    assert langsmith.store.requests() == []


def test_a_key_that_is_bound_to_other_hosts_is_not_sent(operator: Watching, kube: Kube, langsmith: StandIn) -> None:
    namespace = operator.namespace()
    bound = objects.secret(namespace)
    bound["metadata"]["annotations"] = {"gatewaytelemetry.dev/hosts": "langsmith.example.com"}
    kube.apply(bound)
    kube.apply(target(namespace, langsmith.url))
    kube.wait_condition("lst", namespace, "prod", "ResolvedRefs", "False", "KeyNotForHost")
    assert langsmith.store.requests() == []


@pytest.mark.parametrize("form", ["host", "service", "reference"])
def test_hosts_that_the_administrator_did_not_allow(operator: Watching, kube: Kube, form: str) -> None:
    namespace, other = operator.namespace(), "kube-system"
    kube.apply(objects.secret(namespace))
    hosted = {
        "host": {"url": "http://langsmith.example.com"},
        "service": {"url": f"http://langsmith-frontend.{other}.svc"},
        "reference": {
            "serviceRef": {"name": "langsmith-frontend", "namespace": other, "port": 80, "scheme": "http"},
        },
    }
    kube.apply(objects.target(namespace, selfHosted=hosted[form], allowPlaintext=True))
    found = kube.wait_condition("lst", namespace, "prod", "Accepted", "False", "HostNotAllowed")
    assert "--allow-host" in condition(found, "Accepted")["message"]
    assert condition(found, "Reachable")["status"] == "Unknown"
