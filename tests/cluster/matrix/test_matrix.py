"""Each tool brings each change to a gateway that the operator has written to.

Nothing may break for either: the tool's upgrade goes through or is refused with nothing changed, the settings are right
or the condition tells why not, nobody writes again without need, and in the end nothing of ours is left.
"""

from __future__ import annotations

import itertools
import json
import os
from typing import Any

import pytest

from tests.cluster.matrix.cases import CHANGES, TOOLS, Change, Outcome, results
from tests.cluster.matrix.conftest import GetDeployer
from tests.cluster.matrix.deployers import NAME, ArgoDeployer, Deployer
from tests.cluster.matrix.page import PAGE, cell, page
from tests.support import objects
from tests.support.cluster import make_namespace
from tests.support.kube import Kube, condition, same
from tests.support.operator import OperatorProcess

Object = dict[str, Any]

FULL = bool(os.environ.get("GATEWAY_TELEMETRY_FULL"))
WHOLE = ("helm4", "kubectl")
"""Tools whose changes are all run in CI; of the others one each, so that all of them are met."""
SAMPLE = {
    "helm3": "renamed",
    "kubectl-server": "renamed",
    "flux": "renamed",
    "argocd": "image",
    "argocd-server": "no-env",
}
SLOW = (pytest.mark.slow,)
# The program is compiled if this machine has not done so yet.
COMPILED = dict.fromkeys(("flux", "argocd", "argocd-server"), (pytest.mark.timeout(1200),))
COPY = "gateway-telemetry-deployment-gateway"
OURS: dict[str, Object] = {
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": {"value": "https://eu.api.smith.langchain.com/otel/v1/traces"},
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": {"value": "http/protobuf"},
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS": {
        "valueFrom": {"secretKeyRef": {"name": COPY, "key": "otlp-headers", "optional": True}}
    },
}
THEIRS: Object = {"value": "http://collector.monitoring:4318/v1/traces"}
ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
HEADERS = "OTEL_EXPORTER_OTLP_TRACES_HEADERS"


def combinations() -> list[Any]:
    """Return what this run is to do: all, or the part for CI."""
    return [
        pytest.param(tool, change, id=f"{tool}-{change}", marks=[*COMPILED.get(tool, ()), *(() if whole else SLOW)])
        for tool in TOOLS
        for change in CHANGES
        for whole in [tool in WHOLE or SAMPLE[tool] == change]
        if whole or FULL
    ]


@pytest.mark.parametrize(("tool", "name"), combinations())
def test_a_change(
    tool: str,
    name: str,
    operator: OperatorProcess,
    matrix_kube: Kube,
    get_deployer: GetDeployer,
    seen: dict[tuple[str, str], str],
) -> None:
    expected = results()[tool][name]
    change = CHANGES[name]
    gateway = Gateway(matrix_kube, make_namespace(matrix_kube, f"{tool}-{name}"), get_deployer(tool), change)
    seen[tool, name] = "FAILED"

    gateway.install()
    gateway.inject()
    upgrade = gateway.upgrade()
    gateway.comes_to(expected, upgrade)
    if not upgrade:
        assert gateway.deployer.difference(gateway.namespace, change.after) == ""
    gateway.comes_to(expected, upgrade)
    assert gateway.rollouts() == expected.rollouts
    gateway.remove()
    if upgrade:
        assert gateway.deployer.deploy(gateway.namespace, change.after) == ""
    if expected.removal == "next-run":
        assert gateway.variables() == {"LOG_LEVEL": {"value": "info"}}
        assert gateway.deployer.deploy(gateway.namespace, change.after) == ""
    gateway.is_as_the_tool_alone_makes_it()
    seen[tool, name] = cell(expected)


class Gateway:
    """A gateway in a namespace of its own, and how it fares."""

    def __init__(self, kube: Kube, namespace: str, deployer: Deployer, change: Change) -> None:
        self.kube = kube
        self.namespace = namespace
        self.deployer = deployer
        self.change = change
        self._template: Object = {}
        self._version = ""

    def deployment(self) -> Object:
        found = self.kube.get("deployment", self.namespace, NAME)
        assert found is not None
        return found

    def install(self) -> None:
        self.kube.apply(objects.secret(self.namespace))
        self.kube.apply(objects.target(self.namespace))
        assert self.deployer.deploy(self.namespace, self.change.before) == ""
        if self.change.before == "autoscaled":
            same(2, lambda: self.deployment()["spec"].get("replicas"), "the HPA has set the replicas", 60)
        self._settled()

    def inject(self) -> None:
        self.kube.apply(objects.gateway(self.namespace))
        self.kube.wait_condition("gatewaytelemetry", self.namespace, "gateway", "Ready")
        assert self._settings() == "all"
        same(set(), self._managers, "what was written is released")

    def upgrade(self) -> str:
        """Bring the change, and return what the tool says if it fails."""
        self._settled()
        before = self.deployment()
        self._template, self._version = before["spec"]["template"], before["metadata"]["resourceVersion"]
        if self.change.recreate:
            self.kube.delete("deployment", self.namespace, NAME, "Foreground")
            self.kube.wait_gone("deployment", self.namespace, NAME)
        return self.deployer.deploy(self.namespace, self.change.after)

    def comes_to(self, expected: Outcome, upgrade: str) -> None:
        """Wait for the expected outcome, and for its rollout to end."""
        assert expected.upgrade == ("refused" if upgrade else "accepted"), upgrade
        if upgrade:
            assert "may not be specified when `value` is not empty" in upgrade
        wanted = (expected.ready, expected.settings)
        same(wanted, lambda: (self._ready()["reason"], self._settings()), f"the outcome of {self.change.title}")
        self._settled()
        same(wanted, lambda: (self._ready()["reason"], self._settings()), f"the outcome of {self.change.title}")
        if expected.ready == "EnvConflict":
            assert f"container {NAME} already sets {ENDPOINT}" in self._ready()["message"]
        if self.change.before == "autoscaled":
            assert self.deployment()["spec"]["replicas"] == 2
        same(set(), self._managers, "what was written is released")

    def rollouts(self) -> int:
        """Return how many times the pod template has changed since before the upgrade."""
        path = self.kube.resource("deployment").path(self.namespace)
        params = {"watch": "true", "resourceVersion": self._version, "timeoutSeconds": "1"}
        events = [json.loads(line) for line in self.kube.raw("GET", path, params=params).text.splitlines()]
        assert {event["type"] for event in events} <= {"ADDED", "MODIFIED", "DELETED"}
        templates = [self._template]
        templates += [event["object"]["spec"]["template"] for event in events if event["type"] != "DELETED"]
        return sum(one != other for one, other in itertools.pairwise(templates))

    def _ready(self) -> Object:
        return condition(self.kube.get("gatewaytelemetry", self.namespace, "gateway"), "Ready")

    def variables(self) -> dict[str, Object]:
        """Return the only container's variables by name."""
        (container,) = self.deployment()["spec"]["template"]["spec"]["containers"]
        return {
            item["name"]: {key: value for key, value in item.items() if key != "name"}
            for item in container.get("env") or ()
        }

    def _settings(self) -> str:
        live = {name: value for name, value in self.variables().items() if name in OURS}
        if live == OURS:
            return "all"
        return "theirs" if live == {ENDPOINT: THEIRS} else repr(live)

    def _managers(self) -> set[str]:
        """Return what of ours stands in managedFields."""
        entries = self.deployment()["metadata"]["managedFields"]
        return {item["manager"] for item in entries if "gateway-telemetry" in item["manager"]}

    def _settled(self) -> None:
        """Wait until the Deployment's controller has done all that the spec asks for."""

        def done() -> bool:
            found = self.deployment()
            status = found.get("status") or {}
            return bool(
                status.get("observedGeneration") == found["metadata"]["generation"]
                and status.get("updatedReplicas") == status.get("availableReplicas") == found["spec"]["replicas"]
                and status.get("replicas") == found["spec"]["replicas"]
            )

        self.kube.wait(f"{self.namespace}: the rollout is done", done)

    def remove(self) -> None:
        self.kube.delete("gatewaytelemetry", self.namespace, "gateway")
        self.kube.wait_gone("gatewaytelemetry", self.namespace, "gateway")

    def is_as_the_tool_alone_makes_it(self) -> None:
        """Compare with what the API server makes of the tool's manifest, in a dry run."""
        (manifest,) = (
            item for item in self.deployer.rendered(self.namespace, self.change.after) if item["kind"] == "Deployment"
        )
        twin = {**manifest, "metadata": {"name": "twin", "namespace": self.namespace}}
        expected = self.kube.create(twin, dry_run=True)["spec"]
        found = self.deployment()["spec"]
        assert found["template"] == expected["template"]
        assert {**found, "replicas": None} == {**expected, "replicas": None}
        assert self._managers() == set()
        assert self.kube.list("secret", self.namespace, "gatewaytelemetry.dev/role in (copy, record)") == []


def test_the_key_does_not_stay_beside_an_endpoint_of_the_tool(
    operator: OperatorProcess, matrix_kube: Kube, get_deployer: GetDeployer
) -> None:
    deployer = get_deployer("kubectl-server")
    gateway = Gateway(matrix_kube, make_namespace(matrix_kube, "taken"), deployer, CHANGES["other-value"])
    gateway.install()
    gateway.inject()
    gateway.upgrade()
    matrix_kube.wait_condition("gatewaytelemetry", gateway.namespace, "gateway", "Programmed", "False", "EnvConflict")
    assert gateway.variables()[ENDPOINT] == THEIRS
    same(False, lambda: HEADERS in gateway.variables(), "the exporter no longer sends the key")


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("tool", ["argocd", "argocd-server"])
def test_argo_cd_sees_a_change(tool: str, matrix_kube: Kube, get_deployer: GetDeployer) -> None:
    deployer = get_deployer(tool)
    assert isinstance(deployer, ArgoDeployer)
    namespace = make_namespace(matrix_kube, tool)
    assert deployer.deploy(namespace, "base") == ""
    assert deployer.comparison(namespace, "base") == ""
    assert "registry.example/gateway:2" in deployer.comparison(namespace, "image")


def test_chart_and_kustomization_make_the_same_objects(get_deployer: GetDeployer) -> None:
    for change in CHANGES.values():
        for version in (change.before, change.after):
            chart, kustomization = (
                {item["kind"]: item["spec"] for item in get_deployer(tool).rendered("any", version)}
                for tool in ("helm4", "kubectl")
            )
            assert chart == kustomization, version


def test_the_page_tells_the_results() -> None:
    text = PAGE.read_text()
    assert text == page(text)
