"""One cluster for the session, namespaces for each test, and clusters of their own for tests that break things.

With ``GATEWAY_TELEMETRY_TEST_CONTEXT`` the session's cluster is that context of the user's kubeconfig; no test
ever falls back to whatever cluster the machine happens to know.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import account
from tests.support.cluster import (
    CONTEXT_VARIABLE,
    ClusterAccess,
    Kubectl,
    install_crds,
    kubectl_for,
    make_namespace,
    named_cluster,
    own_cluster,
)
from tests.support.helm import VERSIONS, Helm
from tests.support.kube import Kube
from tests.support.langsmith import CertificateAuthority, StandIn
from tests.unit.langsmith_standin.clients import KEY, WORKSPACE

HERE = Path(__file__).parent
MakeNamespace = Callable[..., str]


LONG = (
    "test_demo.py",
    "test_fault_matrix.py",
    "test_failures.py",
    "test_leader.py",
    "test_deletion_orders.py",
    "test_orphans.py",
    "test_litellm.py",
    "test_delivery.py",
    "test_control_plane.py",
    "test_uninstall.py",
    "test_security_roles.py",
)
"""Files that take a minute or more. Workers take whole files, so these go first, lest one ends long after the rest."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.cluster)
    place = {name: index for index, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path.name, len(LONG)))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterAccess]:
    """The session's cluster, without anything installed: most tests want `kube`, `namespace` or `kubectl`."""
    folder = tmp_path_factory.mktemp("cluster")
    context = os.environ.get(CONTEXT_VARIABLE)
    if context:
        yield named_cluster(context, folder)
    else:
        with own_cluster(folder) as access:
            yield access


@pytest.fixture(scope="session", autouse=True)
def no_other_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Programs that a test starts without naming a kubeconfig find none."""
    with pytest.MonkeyPatch.context() as patch:
        if not os.environ.get(CONTEXT_VARIABLE):
            patch.setenv("KUBECONFIG", str(tmp_path_factory.mktemp("none") / "no-kubeconfig"))
        yield


@pytest.fixture(scope="session")
def kube(cluster: ClusterAccess) -> Iterator[Kube]:
    """An admin's client of the session's cluster, with the CRDs established."""
    with Kube(cluster) as client:
        install_crds(client)
        yield client
        if cluster.control_plane is None:
            account.remove(client)


@pytest.fixture
def new_namespace(kube: Kube) -> Iterator[MakeNamespace]:
    """Make namespaces, ``new_namespace(prefix="test", labels=None)``; their deletion is not waited for."""
    made: list[str] = []

    def make(prefix: str = "test", labels: dict[str, str] | None = None) -> str:
        made.append(make_namespace(kube, prefix, labels))
        return made[-1]

    yield make
    for name in made:
        kube.delete("namespace", None, name)


@pytest.fixture
def namespace(new_namespace: MakeNamespace) -> str:
    """A namespace that only this test uses."""
    return new_namespace()


@pytest.fixture(scope="session")
def kubectl(cluster: ClusterAccess, kube: Kube) -> Kubectl:
    """Kubectl as an admin of the session's cluster."""
    return kubectl_for(cluster)


@pytest.fixture
def private_cluster(tmp_path: Path) -> Iterator[ClusterAccess]:
    """A cluster with the CRDs for one test that breaks it (``private_cluster.processes.halt("kube-apiserver")``)."""
    with own_cluster(tmp_path, "private") as access:
        with Kube(access) as client:
            install_crds(client)
        yield access


@pytest.fixture
def ca(tmp_path: Path) -> CertificateAuthority:
    """A private CA of the test's own."""
    return CertificateAuthority(tmp_path / "pki")


@pytest.fixture
def langsmith(ca: CertificateAuthority) -> Iterator[StandIn]:
    """A self-hosted LangSmith under a path prefix, behind the test's CA."""
    with StandIn("langsmith/dev", tls=ca.server("127.0.0.1"), keys={KEY: WORKSPACE}) as stand_in:
        yield stand_in


@pytest.fixture(params=VERSIONS)
def helm(request: pytest.FixtureRequest, tmp_path: Path) -> Helm:
    """Each of the two helms, without a cluster."""
    return Helm(request.param, tmp_path)


@pytest.fixture(scope="module", params=VERSIONS)
def empty(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Helm, Kube]]:
    """One of the two helms, and a cluster of the test module to install into, at first without the CRDs."""
    folder = tmp_path_factory.mktemp(request.param)
    with own_cluster(folder, request.param) as access, Kube(access) as kube:
        yield Helm(request.param, folder, access.kubeconfig), kube
