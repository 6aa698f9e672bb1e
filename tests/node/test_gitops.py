"""Operator, target and gateway from one Git repository by Flux: CRDs first, then the operator, then the objects.

Each step waits for the health of the one before it, as docs/install.md shows; what is taken out of Git is taken back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import flux, node_install, objects, readme
from tests.support.cluster import ClusterAccess, available
from tests.support.gitserver import GitServer
from tests.support.helm import of_kind, rendered
from tests.support.kube import Kube, condition, same, wait
from tests.support.langsmith import StandIn
from tests.support.node_machine import Machine
from tests.support.node_traffic import Traffic, gateway
from tests.support.objects import Object
from tests.unit.langsmith_standin.clients import KEY, WORKSPACE

NAMESPACE, SYSTEM, FLUX = "delivered-by-git", node_install.SYSTEM, "flux-system"
REPOSITORY = "platform"
STEPS = ("crds", "operator", "gateways")
NAMESPACES = {"crds": SYSTEM, "operator": SYSTEM, "gateways": NAMESPACE}
DEFAULTS = {"timeout": "3m", "retryInterval": "5s"}


def write(folder: Path, items: list[Object]) -> None:
    folder.mkdir()
    (folder / "all.yaml").write_text(yaml.safe_dump_all(items))


def fill(tree: Path, chart: list[Object], gateways: list[Object]) -> None:
    """Write the repository: one folder per step."""
    definitions = of_kind(chart, "CustomResourceDefinition")
    write(tree / "crds", definitions)
    write(tree / "operator", [item for item in chart if item not in definitions])
    write(tree / "gateways", gateways)


def kustomizations() -> dict[str, Object]:
    """Return the Kustomizations of the docs' page, by name."""
    page = readme.section("GitOps", "docs/install.md")
    items = [item for block in readme.blocks(page, "yaml") for item in yaml.safe_load_all(block)]
    return {item["metadata"]["name"]: item["spec"] for item in items if item["kind"] == "Kustomization"}


@pytest.fixture(scope="module")
def chart(machine: Machine) -> list[Object]:
    return rendered(node_install.values(allowedHosts=[machine.address]), namespace=SYSTEM)


@pytest.fixture(scope="module")
def langsmith(machine: Machine) -> Iterator[StandIn]:
    with StandIn(keys={KEY: WORKSPACE}, host=machine.address) as found:
        yield found


@pytest.fixture(scope="module")
def repository(
    machine: Machine, images: None, node_access: ClusterAccess, kube: Kube, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[GitServer, flux.Flux]]:
    flux.build()
    folder = tmp_path_factory.mktemp("flux")
    node_install.namespace(kube, SYSTEM, node_install.RESTRICTED)
    node_install.namespace(kube, NAMESPACE, node_install.RESTRICTED)
    with ExitStack() as stack:
        server = stack.enter_context(GitServer(folder / "git"))
        yield server, stack.enter_context(flux.Flux(node_access, kube, folder / "controllers"))
        # Flux takes away what it made, the last step first; the kinds are left for the next release of Helm to make.
        for step in reversed(STEPS):
            if kube.delete("kustomization", FLUX, step):
                kube.wait_gone("kustomization", FLUX, step, 90)
        for crd in kube.list("crd"):
            if crd["spec"]["group"] == "gatewaytelemetry.dev":
                kube.delete("crd", None, crd["metadata"]["name"])
    for name in (NAMESPACE, SYSTEM):
        kube.delete("namespace", None, name)


def told(kube: Kube) -> dict[str, str]:
    """Return what keeps each step from being Ready."""
    found = {name: condition(kube.get("kustomization", FLUX, name), "Ready") for name in STEPS}
    return {name: "" if item.get("status") == "True" else item.get("message", "?") for name, item in found.items()}


def test_all_from_git_and_back(
    repository: tuple[GitServer, flux.Flux], chart: list[Object], langsmith: StandIn, kube: Kube
) -> None:
    server, controllers = repository
    reference = {"secretRef": {"name": "langsmith", "key": "api-key"}}
    credentials = {"ingest": reference, "read": reference}
    more: dict[str, Any] = {"selfHosted": {"url": langsmith.url}, "allowPlaintext": True, "credentials": credentials}
    workload = gateway(NAMESPACE)
    ours = [objects.target(NAMESPACE, **more), objects.gateway(NAMESPACE)]
    # The key is no matter of Git.
    kube.apply(objects.secret(NAMESPACE, key=KEY))
    server.commit(REPOSITORY, lambda tree: fill(tree, chart, [*workload, *ours]))

    steps = kustomizations()
    assert [*steps] == [*STEPS]
    for name, spec in steps.items():
        fields = {key: value for key, value in spec.items() if key not in ("sourceRef", "interval")}
        controllers.follow(FLUX, name, server.url(REPOSITORY), targetNamespace=NAMESPACES[name], **(DEFAULTS | fields))
    same(dict.fromkeys(STEPS, ""), lambda: told(kube), "all steps are Ready", 180)

    # Flux waited: each step's objects are healthy, and ours are Ready.
    assert available(kube, SYSTEM, "gateway-telemetry-operator")
    assert condition(kube.get("lst", NAMESPACE, "prod"), "Ready")["status"] == "True"
    programmed = condition(kube.get("gt", NAMESPACE, "gateway"), "Programmed")
    assert programmed["status"] == "True"
    traffic = Traffic(kube, NAMESPACE, ["gateway"])
    wait("the gateway answers", lambda: traffic.ask("gateway", flush=True), 30)
    assert traffic.all_arrived(langsmith) == len(traffic.answered)
    # What the operator wrote is no drift: Flux applies the same commit again and nothing changes.
    live = kube.get("deployment", NAMESPACE, "gateway")
    controllers.reconcile(
        FLUX, "gateways", server.commit(REPOSITORY, lambda tree: fill(tree, chart, [*workload, *ours]))
    )
    after = kube.get("deployment", NAMESPACE, "gateway")
    assert live is not None
    assert after is not None
    assert after["spec"] == live["spec"]

    commit = server.commit(REPOSITORY, lambda tree: fill(tree, chart, workload))
    controllers.reconcile(FLUX, "gateways", commit)
    kube.wait_gone("gt", NAMESPACE, "gateway")
    pod = (kube.get("deployment", NAMESPACE, "gateway") or {})["spec"]["template"]
    assert "env" not in pod["spec"]["containers"][0]
    assert "annotations" not in pod["metadata"]
    same(["langsmith"], lambda: [item["metadata"]["name"] for item in kube.list("secret", NAMESPACE)], "our Secrets")
