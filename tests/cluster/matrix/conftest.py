"""A cluster and an operator for the whole matrix, and each tool when a test first asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cluster.matrix.cases import TOOLS
from tests.cluster.matrix.deployers import ArgoDeployer, Deployer, FluxDeployer, HelmDeployer, KubectlDeployer
from tests.cluster.matrix.page import table
from tests.support import argocd, flux
from tests.support.cluster import ClusterAccess, install_crds, kubectl_for, own_cluster
from tests.support.gitserver import GitServer
from tests.support.helm import Helm
from tests.support.kube import Kube
from tests.support.operator import OperatorProcess

GetDeployer = Callable[[str], Deployer]

SEEN = pytest.StashKey[dict[tuple[str, str], str]]()


@pytest.fixture(scope="module")
def matrix_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterAccess]:
    """A cluster of its own: Flux brings CRDs, and one operator watches all namespaces."""
    with own_cluster(tmp_path_factory.mktemp("matrix"), "matrix") as access:
        yield access


@pytest.fixture(scope="module")
def matrix_kube(matrix_cluster: ClusterAccess) -> Iterator[Kube]:
    with Kube(matrix_cluster) as kube:
        install_crds(kube)
        yield kube


@pytest.fixture(scope="module")
def operator(
    matrix_cluster: ClusterAccess, matrix_kube: Kube, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    with OperatorProcess(matrix_cluster.kubeconfig, tmp_path_factory.mktemp("operator")) as process:
        yield process


@pytest.fixture(scope="module")
def get_deployer(
    matrix_cluster: ClusterAccess, matrix_kube: Kube, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GetDeployer]:
    """Return a tool by its name, started when it is first asked for."""
    made: dict[str, Deployer] = {}
    kubectl = kubectl_for(matrix_cluster)
    with ExitStack() as stack:

        def make(name: str) -> Deployer:
            if name in ("helm3", "helm4"):
                return HelmDeployer(Helm(name, tmp_path_factory.mktemp(name), matrix_cluster.kubeconfig), matrix_kube)
            if name == "kubectl":
                return KubectlDeployer(kubectl)
            if name == "kubectl-server":
                return KubectlDeployer(kubectl, ("--server-side",))
            if name in ("argocd", "argocd-server"):
                argocd.build()
                return ArgoDeployer(kubectl, matrix_kube, server_side=name == "argocd-server")
            flux.build()
            folder: Path = tmp_path_factory.mktemp("flux")
            git = stack.enter_context(GitServer(folder / "git"))
            running = stack.enter_context(flux.Flux(matrix_cluster, matrix_kube, folder / "controllers"))
            return FluxDeployer(running, git, kubectl, matrix_kube)

        def get(name: str) -> Deployer:
            assert name in TOOLS
            if name not in made:
                made[name] = make(name)
            return made[name]

        yield get


@pytest.fixture
def seen(pytestconfig: pytest.Config) -> dict[tuple[str, str], str]:
    """What each test of the matrix saw, by tool and change, for the table at the end."""
    return pytestconfig.stash.setdefault(SEEN, {})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    found = config.stash.get(SEEN, None)
    if found:
        terminalreporter.section("what each tool met")
        terminalreporter.write_line(table(lambda tool, change: found.get((tool, change), "not run")))
