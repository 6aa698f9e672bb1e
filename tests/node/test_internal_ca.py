"""LangSmith behind an internal CA: from a ConfigMap or a Secret, exchanged while gateways serve, and wrong in each way.

The gateway's calls to its model provider, whose certificate is of yet another CA that only the gateway knows, go on.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import node_install, objects
from tests.support.cluster import Kubectl
from tests.support.kube import Kube, condition, wait
from tests.support.langsmith import CertificateAuthority, StandIn
from tests.support.node_machine import Machine
from tests.support.node_traffic import Traffic, gateway
from tests.support.objects import Object
from tests.unit.langsmith_standin.clients import KEY, WORKSPACE

NAMESPACE = "internal-ca"
KINDS = {"from-configmap": "ConfigMap", "from-secret": "Secret"}
PROVIDER_CA = "/etc/provider/ca.crt"
HASH = "gatewaytelemetry.dev/config-hash"
CALL = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=10).status)"


@dataclass
class World:
    """Gateways whose targets take the CA from either kind, and those who issue certificates."""

    kube: Kube
    address: str
    langsmith: StandIn
    provider: StandIn
    authorities: list[CertificateAuthority]

    def trust(self, *authorities: CertificateAuthority) -> None:
        """Store a bundle in the ConfigMap and in the Secret, as an administrator."""
        pem = "".join(item.bundle.read_text() for item in authorities)
        self.kube.apply(objects.ca_bundle(NAMESPACE, pem, "langsmith-ca"))
        secret = objects.secret(NAMESPACE, "langsmith-ca")
        secret["data"] = {"ca.crt": base64.b64encode(pem.encode()).decode()}
        self.kube.apply(secret)

    def target(self, name: str, langsmith: StandIn, kind: str = "ConfigMap") -> Object:
        reference = {"secretRef": {"name": "langsmith", "key": "api-key"}}
        return objects.target(
            NAMESPACE,
            name,
            selfHosted={"url": langsmith.url},
            credentials={"ingest": reference, "read": reference},
            caBundleRef={"kind": kind, "name": "langsmith-ca", "key": "ca.crt"},
        )

    def hashes(self) -> dict[str, str]:
        """Return what marks the settings of each gateway."""
        return {
            item["metadata"]["name"]: item["spec"]["template"]["metadata"].get("annotations", {}).get(HASH, "")
            for item in self.kube.list("deployment", NAMESPACE)
        }

    def rolled_out(self, before: dict[str, str]) -> None:
        """Wait until each gateway runs with other settings than before, and its old pods have ended."""

        def done() -> bool:
            now = self.hashes()
            told = [condition(item, "Programmed").get("status") for item in self.kube.list("gt", NAMESPACE)]
            pods = self.kube.list("pod", NAMESPACE)
            return all(now[name] != before[name] for name in KINDS) and told == ["True"] * 2 and len(pods) == 2

        wait("the gateways run with other settings", done, 120)


@pytest.fixture(scope="module")
def world(
    machine: Machine, images: None, kube: Kube, kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("internal-ca")
    authorities = [CertificateAuthority(folder, name) for name in ("first", "second")]
    providers = CertificateAuthority(folder, "provider")
    address = machine.address
    with ExitStack() as stack:
        provider = stack.enter_context(StandIn(tls=providers.server(address), host=address))
        langsmith = StandIn(tls=authorities[0].server(address), keys={KEY: WORKSPACE}, host=address)
        stack.enter_context(langsmith)
        helm = node_install.helm_of(kubectl.kubeconfig, folder)
        stack.enter_context(node_install.installed(helm, kube, allowedHosts=[address]))
        node_install.namespace(kube, NAMESPACE, node_install.RESTRICTED)
        found = World(kube, address, langsmith, provider, authorities)
        kube.apply(objects.secret(NAMESPACE, key=KEY))
        found.trust(authorities[0])
        kube.apply(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": objects.metadata("provider-ca", NAMESPACE),
                "data": {"ca.crt": providers.bundle.read_text()},
            }
        )
        for name, kind in KINDS.items():
            deployment, service = gateway(NAMESPACE, name)
            trusting(deployment)
            kube.apply(deployment)
            kube.apply(service)
            kube.apply(found.target(name, langsmith, kind))
            kube.apply(objects.gateway(NAMESPACE, name, app=name, targetRef={"name": name}))
        yield found
        kube.delete("namespace", None, NAMESPACE)


def trusting(deployment: Object) -> None:
    """Let a gateway trust its model provider's CA, as its chart does: by the process-wide variable."""
    pod = deployment["spec"]["template"]["spec"]
    pod["volumes"] = [{"name": "provider-ca", "configMap": {"name": "provider-ca"}}]
    [container] = pod["containers"]
    container["env"] = [{"name": "SSL_CERT_FILE", "value": PROVIDER_CA}]
    container["volumeMounts"] = [{"name": "provider-ca", "mountPath": "/etc/provider", "readOnly": True}]


def calls_its_provider(world: World, kubectl: Kubectl) -> None:
    for name in KINDS:
        command = ("exec", "-n", NAMESPACE, f"deployment/{name}", "--", "python3", "-c", CALL)
        assert kubectl(*command, f"{world.provider.url}/api/v1/info").stdout == "200\n"


def test_the_ca_is_exchanged_under_load(world: World, kube: Kube, kubectl: Kubectl) -> None:
    for name in KINDS:
        kube.wait_condition("gt", NAMESPACE, name, "Ready", timeout=120)
    wait("pods without the settings are gone", lambda: len(kube.list("pod", NAMESPACE)) == 2, 60)
    calls_its_provider(world, kubectl)
    first, second = world.authorities
    with Traffic(kube, NAMESPACE, [*KINDS]) as traffic:
        before = world.hashes()
        world.trust(first, second)
        world.rolled_out(before)
        world.langsmith.present(second.server(world.address))
        before = world.hashes()
        world.trust(second)
        world.rolled_out(before)
        answered = len(traffic.answered)
        wait("requests are answered after that", lambda: len(traffic.answered) > answered + 10, 30)
    for name in KINDS:
        traffic.ask(name, flush=True)
    count = traffic.all_arrived(world.langsmith)
    print(f"{count} requests answered while the CA was exchanged, {count} traces")
    for name in KINDS:
        kube.wait_condition("lst", NAMESPACE, name, "Ready", timeout=60)
        kube.wait_condition("gt", NAMESPACE, name, "Delivered", timeout=60)
    calls_its_provider(world, kubectl)


def test_certificates_that_are_wrong(world: World, kube: Kube, tmp_path: Path) -> None:
    reasons = {
        "unknown-ca": "TLSUntrusted",
        "missing-intermediate": "TLSUntrusted",
        "expired": "TLSCertificateExpired",
        "wrong-name": "TLSWrongHost",
    }
    certificates = world.authorities[1].kinds(world.address)
    with ExitStack() as stack:
        for name in reasons:
            langsmith = StandIn(tls=certificates[name], keys={KEY: WORKSPACE}, host=world.address)
            kube.apply(world.target(name, stack.enter_context(langsmith)))
        for name, reason in reasons.items():
            found = kube.wait_condition("lst", NAMESPACE, name, "Reachable", "False", reason, timeout=60)
            assert condition(found, "Ready")["status"] == "False"
