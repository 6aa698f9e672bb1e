"""Behind a proxy that alone knows LangSmith's name: probe, canary and reads go through it; the API server does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import objects
from tests.support.cluster import ClusterAccess
from tests.support.connect_proxy import proxy_to
from tests.support.kube import Kube, condition
from tests.support.langsmith import CertificateAuthority, StandIn
from tests.support.objects import Object
from tests.support.operator import OperatorProcess
from tests.unit.langsmith_standin.clients import KEY, WORKSPACE

NAME = "langsmith.example.com"


@pytest.fixture
def langsmith(ca: CertificateAuthority) -> Iterator[StandIn]:
    with StandIn(tls=ca.server(NAME), keys={KEY: WORKSPACE}, public_host=NAME) as stand_in:
        yield stand_in


def target(namespace: str, langsmith: StandIn) -> Object:
    reference = {"secretRef": {"name": "langsmith", "key": "api-key"}}
    return objects.target(
        namespace,
        selfHosted={"url": langsmith.url},
        credentials={"ingest": reference, "read": reference},
        caBundleRef={"kind": "ConfigMap", "name": "langsmith-ca", "key": "ca.crt"},
        workspaceId=WORKSPACE,
        verification={"probeInterval": "30s"},
    )


def test_all_looks_go_through_the_proxy_and_the_list_of_hosts_decides(
    cluster: ClusterAccess, kube: Kube, namespace: str, langsmith: StandIn, ca: CertificateAuthority, tmp_path: Path
) -> None:
    kube.apply(objects.secret(namespace, key=KEY))
    kube.apply(objects.ca_bundle(namespace, ca.bundle.read_text()))
    kube.apply(target(namespace, langsmith))
    kube.apply({**target(namespace, langsmith), "metadata": objects.metadata("forbidden", namespace)})
    kube.merge_patch(
        "langsmithtarget", namespace, "forbidden", {"spec": {"selfHosted": {"url": "https://other.example.com"}}}
    )
    with proxy_to(langsmith.port) as (proxy, port):
        env = {"HTTPS_PROXY": f"http://user:hidden-password@127.0.0.1:{port}", "NO_PROXY": ""}
        flags = (f"--watch-namespace={namespace}", f"--allow-host={NAME}", "--log-level=debug")
        with OperatorProcess(cluster.kubeconfig, tmp_path / "operator", *flags, env=env, verify=True) as process:
            kube.wait_condition("langsmithtarget", namespace, "prod", "Ingesting")
            seen = kube.wait_condition("langsmithtarget", namespace, "forbidden", "Accepted", "False", "HostNotAllowed")
            log = process.log()
    assert {item.path_class for item in langsmith.store.requests()} == {"info", "read", "ingest"}
    assert set(proxy.asked) == {f"{NAME}:{langsmith.port}"}
    assert condition(seen, "Reachable")["status"] == "Unknown"
    assert "hidden-password" not in log
    assert KEY not in log


def test_a_proxy_that_is_gone_says_nothing_about_langsmith(
    cluster: ClusterAccess, kube: Kube, namespace: str, langsmith: StandIn, ca: CertificateAuthority, tmp_path: Path
) -> None:
    kube.apply(objects.secret(namespace, key=KEY))
    kube.apply(objects.ca_bundle(namespace, ca.bundle.read_text()))
    kube.apply(target(namespace, langsmith))
    with proxy_to(langsmith.port) as (_, port):
        pass
    flags = (f"--watch-namespace={namespace}", f"--allow-host={NAME}")
    env = {"HTTPS_PROXY": f"http://127.0.0.1:{port}"}
    with OperatorProcess(cluster.kubeconfig, tmp_path / "operator", *flags, env=env, verify=True):
        seen = kube.wait_condition("langsmithtarget", namespace, "prod", "Reachable", "Unknown", "ProxyUnreachable")
    assert condition(seen, "Ready")["status"] == "Unknown"
    assert langsmith.store.requests() == []
