"""A real node for the session: what runs there are images, pods, Services and DNS, as on a user's cluster.

With ``GATEWAY_TELEMETRY_TEST_CONTEXT`` the session's cluster is that context of the user's kubeconfig, e.g. of kind;
tests that reach into the node's namespaces are skipped there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hack import image, image_operator
from hack import node as nodes

from tests.support.cluster import CONTEXT_VARIABLE, ClusterAccess, Kubectl, kubectl_for, named_cluster
from tests.support.kube import Kube
from tests.support.node_machine import BesideContext, Machine

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    why = None if os.environ.get(CONTEXT_VARIABLE) else nodes.missing() or image_operator.missing()
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.node)
            item.add_marker(pytest.mark.timeout(600))  # the first of them makes images
            if why is not None:
                item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="session")
def real_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[nodes.Node]:
    """The node itself, for tests that look into it."""
    if os.environ.get(CONTEXT_VARIABLE):
        pytest.skip("the cluster's nodes are not the tests' own")
    # A name of its own: another session on this machine has cgroups, too.
    node = nodes.Node(f"tests-{os.getpid()}", tmp_path_factory.mktemp("node"))
    node.up(die_with_parent=True)
    try:
        yield node
    finally:
        node.down()


@pytest.fixture(scope="session")
def node_access(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ClusterAccess:
    """A cluster whose pods really run."""
    context = os.environ.get(CONTEXT_VARIABLE)
    if context:
        return named_cluster(context, tmp_path_factory.mktemp("cluster"))
    node: nodes.Node = request.getfixturevalue("real_node")
    return ClusterAccess(node.kubeconfig, node.cluster)


@pytest.fixture(scope="session")
def kube(node_access: ClusterAccess) -> Iterator[Kube]:
    """An admin's client; nothing of the operator is installed."""
    with Kube(node_access) as client:
        yield client


@pytest.fixture(scope="session")
def kubectl(node_access: ClusterAccess) -> Kubectl:
    """Kubectl as an admin."""
    return kubectl_for(node_access)


@pytest.fixture(scope="session")
def machine(request: pytest.FixtureRequest) -> Machine:
    """This machine, as pods reach it and as images come from it."""
    context = os.environ.get(CONTEXT_VARIABLE)
    if context:
        return BesideContext.of(context)
    node: nodes.Node = request.getfixturevalue("real_node")
    node.load(image.pause())
    return node


@pytest.fixture(scope="session")
def images(machine: Machine) -> None:
    """The images that most tests run, on the node: the operator's, and those of a gateway and of LangSmith in small."""
    why = image_operator.missing()
    if why is not None:
        pytest.skip(why)
    machine.load(image.operator(), image.gateway(), image.langsmith())
