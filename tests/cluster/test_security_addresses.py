"""Targets that name the machine's own addresses: the running operator connects to none of them, whatever it is told.

Its administrator allows every host, so only the rules that nobody can switch off stand in the way. Listeners count who
comes, and the process's own audit hook writes down where it goes, also where nobody listens.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import objects, pod_process
from tests.support.cluster import ClusterAccess, make_namespace
from tests.support.kube import Kube, KubeError, condition
from tests.support.langsmith import Fault, StandIn
from tests.support.listening import Counting, lan_address
from tests.support.objects import Object
from tests.support.operator import OperatorProcess

pytestmark = pytest.mark.skipif(pod_process.unavailable() is not None, reason=str(pod_process.unavailable()))

CONNECTS = Path(__file__).resolve().parents[1] / "support" / "connects"
WORKSPACE = "5f2c7a3e-0000-4000-8000-000000000001"
LITERALS = (
    "127.0.0.1",
    "127.1",
    "127.8.9.10",
    "2130706433",
    "0x7f000001",
    "017700000001",
    "0177.0.0.1",
    "0.0.0.0",  # noqa: S104 a host to refuse
    "0",
    "localhost",
    "localhost.",
    "anything.localhost",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::1]",
    "[2001:0:0:0:0:0:80ff:fffe]",
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "[::ffff:169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]",
    "[fd00:ec2::254]",
    "100.100.100.200",
    "169.254.0.1",
    "[fe80::1]",
    "[ff02::1]",
    "metadata.google.internal",
    "kubernetes.default.svc",
)
DISGUISED = (
    "http://langsmith.example.com@127.0.0.1:{}",
    "http://127.0.0.1:{}#langsmith.example.com",
    "http://127.0.0.1:{}?langsmith.example.com",
)
"""Parts of URLs that some parsers take for the host; the schema refuses them."""
RESOLVED = (
    "127.0.0.1",
    "127.9.9.9",
    "::1",
    "::ffff:127.0.0.1",
    "169.254.169.254",
    "fe80::1",
    "fd00:ec2::254",
    "0.0.0.0",  # noqa: S104
)


@dataclass(frozen=True)
class World:
    kube: Kube
    namespace: str
    hosts: Path
    connects: Path
    api_port: int
    listener: Counting

    def name(self, *entries: str) -> None:
        """Let names resolve as these lines of /etc/hosts say; the file is changed in place, under its mount."""
        self.hosts.write_text("\n".join(("127.0.0.1 localhost", *entries, "")))

    def went_to(self) -> set[tuple[str, int]]:
        """Return where the operator connected to, without its API server."""
        lines = (json.loads(line) for line in self.connects.read_text().splitlines())
        return {(str(host), int(port)) for host, port in lines} - {("127.0.0.1", self.api_port)}


@pytest.fixture(scope="module")
def world(cluster: ClusterAccess, kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("addresses")
    namespace = make_namespace(kube)
    listener = Counting()
    port = int(cluster.server.rpartition(":")[2])
    world = World(kube, namespace, folder / "hosts", folder / "connects", port, listener)
    world.name()
    mount = 'mount --bind "$0" /etc/hosts && exec "$@"'
    within = ("unshare", "--mount", "--propagation=private", "sh", "-c", mount, str(world.hosts))
    env = {
        "PYTHONPATH": str(CONNECTS),
        "CONNECTS_LOG": str(world.connects),
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"), ""),
    }
    flags = (f"--watch-namespace={namespace}", "--allow-host=*")
    try:
        with OperatorProcess(cluster.kubeconfig, folder, *flags, env=env, verify=True, within=within):
            kube.apply(objects.secret(namespace))
            yield world
    finally:
        listener.close()
        kube.delete("namespace", None, namespace)


def target(namespace: str, name: str, url: str) -> Object:
    return objects.target(namespace, name, selfHosted={"url": url}, allowPlaintext=True)


def test_addresses_as_people_write_them(world: World) -> None:
    names = {}
    for number, host in enumerate(LITERALS):
        url = f"http://{host}:{world.listener.port}"
        names[f"literal-{number}"] = url
        world.kube.apply(target(world.namespace, f"literal-{number}", url))
    for url in DISGUISED:
        with pytest.raises(KubeError, match="url must not hold"):
            world.kube.apply(target(world.namespace, "disguised", url.format(world.listener.port)))
    for name, url in names.items():
        found = world.kube.wait_condition("langsmithtarget", world.namespace, name, "Accepted", "False")
        assert condition(found, "Accepted")["reason"] in ("HostNotAllowed", "InvalidSpec"), url
        assert condition(found, "Reachable")["status"] == "Unknown", url
    assert world.listener.count == 0
    assert world.went_to() == set()


def test_names_that_resolve_to_them(world: World) -> None:
    hosts = [f"n{number}.langsmith.example.com" for number in range(len(RESOLVED))]
    world.name(*(f"{address} {host}" for address, host in zip(RESOLVED, hosts, strict=True)))
    for number, host in enumerate(hosts):
        url = f"http://{host}:{world.listener.port}"
        world.kube.apply(target(world.namespace, f"resolved-{number}", url))
    for number in range(len(RESOLVED)):
        name = f"resolved-{number}"
        world.kube.wait_condition("lst", world.namespace, name, "Reachable", "False", "AddressNotAllowed")
    assert world.listener.count == 0
    assert world.went_to() == set()


@pytest.fixture
def langsmith() -> Iterator[StandIn]:
    address = lan_address()
    if address is None:
        pytest.skip("this machine has no address besides loopback for an allowed server")
    with StandIn(keys={objects.KEY: WORKSPACE}, host=address) as stand_in:
        yield stand_in


def test_a_name_that_resolves_elsewhere_the_next_time(world: World, langsmith: StandIn) -> None:
    """DNS rebinding: an allowed answer first, then the machine itself, at the same port."""
    host = langsmith.url.removeprefix("http://").rpartition(":")[0]
    with socket.create_server(("127.0.0.1", langsmith.port)) as inside:
        inside.setblocking(False)
        world.name(f"{host} rebind.example.com")
        url = f"http://rebind.example.com:{langsmith.port}"
        world.kube.apply(target(world.namespace, "rebind", url))
        world.kube.wait_condition("lst", world.namespace, "rebind", "Authenticated")
        before = world.went_to()
        assert before == {(host, langsmith.port)}
        world.name("127.0.0.1 rebind.example.com")
        note = {"metadata": {"annotations": {"gatewaytelemetry.dev/requestedAt": "now"}}}
        world.kube.merge_patch("lst", world.namespace, "rebind", note)
        world.kube.wait_condition("lst", world.namespace, "rebind", "Reachable", "False", "AddressNotAllowed")
        with pytest.raises(BlockingIOError):
            inside.accept()
    assert world.went_to() == before


def test_redirects_are_not_followed(world: World, langsmith: StandIn) -> None:
    inside = f"http://127.0.0.1:{world.listener.port}/latest/meta-data"
    langsmith.faults.add(Fault(on="any", times=None, status=302, headers={"Location": inside}))
    world.kube.apply(target(world.namespace, "redirect", langsmith.url))
    world.kube.wait_condition("lst", world.namespace, "redirect", "Reachable", "False")
    assert world.listener.count == 0
    assert ("127.0.0.1", world.listener.port) not in world.went_to()
