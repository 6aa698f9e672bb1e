"""A LangSmith over TLS of a private CA, and an operator of the test's namespace, for real gateways."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import objects
from tests.support.cluster import ClusterAccess
from tests.support.gateway_venv import installed
from tests.support.kube import Kube
from tests.support.langsmith import CertificateAuthority, StandIn
from tests.support.litellm import LOCK
from tests.support.operator import OperatorProcess
from tests.unit.langsmith_standin.clients import KEY, WORKSPACE


@pytest.fixture
def litellm_is_installed() -> None:
    installed(LOCK)


@pytest.fixture
def operator(cluster: ClusterAccess, namespace: str, tmp_path: Path) -> Iterator[OperatorProcess]:
    flags = (f"--watch-namespace={namespace}", "--insecure-allow-loopback")
    with OperatorProcess(cluster.kubeconfig, tmp_path, *flags) as process:
        yield process


@pytest.fixture
def targeted(kube: Kube, namespace: str, langsmith: StandIn, ca: CertificateAuthority) -> None:
    """A target of the LangSmith, with its key and CA."""
    kube.apply(objects.secret(namespace, key=KEY))
    kube.apply(objects.ca_bundle(namespace, ca.bundle.read_text()))
    kube.apply(
        objects.target(
            namespace,
            selfHosted={"url": langsmith.url},
            caBundleRef={"kind": "ConfigMap", "name": "langsmith-ca", "key": "ca.crt"},
            workspaceId=WORKSPACE,
            project="checkout",
        )
    )
