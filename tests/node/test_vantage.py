"""Looks from the gateway's own namespace: what stands in its way, though the operator's is open (C43, C74)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from hack.node import Node

from tests.support import node_install, objects
from tests.support.cluster import ClusterAccess
from tests.support.kube import Kube, condition
from tests.support.langsmith import CertificateAuthority, StandIn
from tests.support.node_policies import Enforcer
from tests.support.objects import Object

KEY, WORKSPACE = objects.KEY, "5f2c7a3e-0000-4000-8000-000000000001"
HOST = "langsmith.outside.svc.cluster.local"


class Network:
    """Two LangSmiths outside of the cluster, by address and by a name of the cluster's DNS, and an operator."""

    def __init__(self, node: Node, kube: Kube, langsmith: StandIn, ca: CertificateAuthority) -> None:
        self.node, self.kube, self.langsmith, self.ca = node, kube, langsmith, ca

    def look(self, name: str, *, ca: bool = True, policy: Object | None = None) -> tuple[Object, Object]:
        """Set up one gateway in a namespace of its own; return its condition Reachable and its target's."""
        kube = self.kube
        node_install.namespace(kube, name, node_install.RESTRICTED)
        if policy is not None:
            metadata = {"name": "policy", "namespace": name}
            kube.apply(
                {
                    "apiVersion": "networking.k8s.io/v1",
                    "kind": "NetworkPolicy",
                    "metadata": metadata,
                    "spec": {"podSelector": {"matchLabels": {"app": "gateway"}}, "policyTypes": ["Egress"], **policy},
                }
            )
        kube.apply(objects.secret(name, key=KEY))
        kube.apply(objects.ca_bundle(name, self.ca.bundle.read_text()))
        reference = {"secretRef": {"name": "langsmith", "key": "api-key"}}
        trust: dict[str, Any] = (
            {"caBundleRef": {"kind": "ConfigMap", "name": "langsmith-ca", "key": "ca.crt"}} if ca else {}
        )
        kube.apply(
            objects.target(
                name,
                selfHosted={"url": f"https://{HOST}:{self.langsmith.port}"},
                credentials={"ingest": reference, "read": reference},
                workspaceId=WORKSPACE,
                **trust,
            )
        )
        kube.apply(node_install.restricted(node_install.gateway_deployment(name)))
        kube.apply(objects.gateway(name, verification={"fromNamespace": True}))

        def verdict() -> Object | None:
            found = condition(kube.get("gatewaytelemetry", name, "gateway"), "Reachable")
            return found if found and found["reason"] != "Pending" else None

        seen = kube.wait(f"a verdict from namespace {name}", verdict, 90)
        target = kube.wait_condition("langsmithtarget", name, "prod", "Reachable", timeout=30)
        assert seen is not None
        return seen, condition(target, "Reachable")


@pytest.fixture(scope="module")
def network(
    real_node: Node, images: None, node_access: ClusterAccess, kube: Kube, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Network]:
    folder = tmp_path_factory.mktemp("vantage")
    ca = CertificateAuthority(folder / "pki")
    helm = node_install.helm_of(node_access.kubeconfig, folder)
    with ExitStack() as stack:
        langsmith = stack.enter_context(
            StandIn(tls=ca.server(HOST), keys={KEY: WORKSPACE}, host=real_node.address, public_host=HOST)
        )
        _name_in_dns(kube, real_node.address, langsmith.port)
        system = node_install.namespace(kube, node_install.SYSTEM, node_install.RESTRICTED)
        kube.apply(objects.ca_bundle(system, ca.bundle.read_text(), "extra-ca"))
        more: dict[str, Any] = {
            "allowedHosts": ["*"],
            "verification": {"jobs": {"enabled": True}},
            "extraCA": {"configMapName": "extra-ca", "key": "ca.crt"},
        }
        stack.enter_context(node_install.installed(helm, kube, **more))
        stack.enter_context(Enforcer(real_node, kube))
        yield Network(real_node, kube, langsmith, ca)


def _name_in_dns(kube: Kube, address: str, port: int) -> None:
    node_install.namespace(kube, "outside")
    metadata = {"name": "langsmith", "namespace": "outside"}
    kube.apply({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [{"port": port}]}})
    kube.apply(
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**metadata, "labels": {"kubernetes.io/service-name": "langsmith"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [address]}],
            "ports": [{"port": port}],
        }
    )


DNS = {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}


def test_the_way_is_open(network: Network) -> None:
    seen, target = network.look("open")
    assert (seen["status"], seen["reason"]) == ("True", "Reachable")
    assert seen["message"] == f"From namespace open: LangSmith 0.17.12 answers at {HOST}."
    assert target["status"] == "True"


def test_a_network_policy_that_holds_for_the_gateway(network: Network) -> None:
    seen, target = network.look("closed", policy={"egress": [DNS]})
    assert (seen["status"], seen["reason"]) == ("False", "NoRoute")
    assert seen["message"].startswith("From namespace closed: ")
    assert "look at NetworkPolicies of this namespace" in seen["message"]
    assert target["status"] == "True"


def test_a_network_policy_that_forgets_dns(network: Network) -> None:
    block = {"ipBlock": {"cidr": f"{network.node.address}/32"}}
    seen, target = network.look("no-dns", policy={"egress": [{"to": [block]}]})
    assert (seen["status"], seen["reason"]) == ("False", "DNSUnavailable")
    assert "port 53" in seen["message"]
    assert target["status"] == "True"


def test_a_ca_that_only_the_operator_trusts(network: Network) -> None:
    seen, target = network.look("no-ca", ca=False)
    assert (seen["status"], seen["reason"]) == ("False", "TLSUntrusted")
    assert "Set caBundleRef of the target" in seen["message"]
    assert target["status"] == "True"
