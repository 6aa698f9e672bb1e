"""Real gateways, started with exactly what the operator wrote, deliver for each form of LangSmith, or are refused.

The whole table is run with ``GATEWAY_TELEMETRY_FULL=1``, and then is the one in docs/gateways.md; otherwise one cell of
each gateway, picked by ``GATEWAY_TELEMETRY_SEED``. What was seen must be what docs/delivered.json says.
"""

from __future__ import annotations

import json
import os
import random
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from langsmith import Client

from tests.cluster.gateways.rows import ROWS, Row
from tests.support import node, objects, pod_process
from tests.support.cluster import ClusterAccess, make_namespace
from tests.support.kube import Kube, condition, wait
from tests.support.langsmith import CertificateAuthority, StandIn
from tests.support.objects import Object
from tests.support.operator import OperatorProcess
from tests.support.pod import File, Mount
from tests.support.sdk_reader import runs_of
from tests.unit.langsmith_standin.clients import KEY, WORKSPACE, sdk

pytestmark = [
    pytest.mark.timeout(900),  # the first run on a machine installs the gateways
    pytest.mark.skipif(pod_process.unavailable() is not None, reason=str(pod_process.unavailable())),
    pytest.mark.skipif(node.missing() is not None, reason=str(node.missing())),
]

FULL = bool(os.environ.get("GATEWAY_TELEMETRY_FULL"))
SEED = os.environ.get("GATEWAY_TELEMETRY_SEED", "1")
SEEN = Path(__file__).resolve().parents[3] / "docs" / "delivered.json"
SAAS_HOST = "api.smith.langchain.com"
FORMS = ("SaaS", "self-hosted", "self-hosted, basePath")
PROJECTS = ("Checkout prod", "Zahlung, größer")
DELIVERED = "delivered"
ARRIVAL_SECONDS = 40.0
HTTPS = 443
LOOPBACK = f"127.{os.getpid() % 200 + 20}.{os.getpid() % 251}.1"
"""An address of this process's own, so that several can serve the port of https."""


@dataclass(frozen=True)
class World:
    """What all cells share."""

    kube: Kube
    namespace: str
    forms: dict[str, StandIn]
    ca: CertificateAuthority
    hosts: Mount


def _may_serve_https() -> bool:
    """Tell whether this user may listen on the port that the SaaS has."""
    with socket.socket() as probe:
        try:
            probe.bind((LOOPBACK, HTTPS))
        except PermissionError:
            return False
    return True


def _servers(ca: CertificateAuthority) -> dict[str, StandIn]:
    """Return a LangSmith of each form; of the SaaS only where its port may be had."""
    keys = {KEY: WORKSPACE}
    found = {
        "self-hosted": StandIn(tls=ca.server("127.0.0.1"), keys=keys),
        "self-hosted, basePath": StandIn("langsmith/dev", tls=ca.server("127.0.0.1"), keys=keys),
    }
    if _may_serve_https():
        tls = ca.server(SAAS_HOST, LOOPBACK)
        found["SaaS"] = StandIn(form="saas", tls=tls, keys=keys, host=LOOPBACK, port=HTTPS, public_host=SAAS_HOST)
    return found


@pytest.fixture(scope="module")
def world(cluster: ClusterAccess, kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One operator, one namespace and one LangSmith of each form; pods resolve the SaaS host to the last."""
    folder = tmp_path_factory.mktemp("gateways")
    ca = CertificateAuthority(folder / "pki")
    namespace = make_namespace(kube, "gateways")
    hosts = Mount("/etc/hosts", {"": File(f"127.0.0.1 localhost\n{LOOPBACK} {SAAS_HOST}\n".encode())}, read_only=True)
    flags = (f"--watch-namespace={namespace}", "--insecure-allow-loopback")
    with ExitStack() as stack:
        servers = _servers(ca)
        for server in servers.values():
            stack.enter_context(server)
        stack.enter_context(OperatorProcess(cluster.kubeconfig, folder, *flags))
        kube.apply(objects.secret(namespace, key=KEY))
        kube.apply(objects.ca_bundle(namespace, ca.bundle.read_text()))
        yield World(kube, namespace, servers, ca, hosts)
    kube.delete("namespace", None, namespace)


def target(world: World, name: str, form: str, project: str) -> Object:
    server = world.forms[form]
    where: Object = {"saas": {"region": "us"}} if form == "SaaS" else {"selfHosted": {"url": server.url}}
    return objects.target(
        world.namespace,
        name,
        caBundleRef={"kind": "ConfigMap", "name": "langsmith-ca", "key": "ca.crt"},
        workspaceId=WORKSPACE,
        project=project,
        **where,
    )


def reader(world: World, form: str) -> AbstractContextManager[Client]:
    server = world.forms[form]
    return sdk(server.api_url.replace(SAAS_HOST, LOOPBACK), key=KEY, ca=world.ca.bundle)


def outcome(world: World, row: Row, form: str, project: str, folder: Path) -> str:
    """Return what became of one gateway: delivered, or the reason of the refusal."""
    kube, namespace = world.kube, world.namespace
    name = f"{row.slug}-{FORMS.index(form)}-{PROJECTS.index(project)}"
    mark = f"mark-{name}"
    kube.apply(target(world, name, form, project))
    for item in row.manifests(namespace, name):
        kube.apply(item)
    before = kube.get("deployment", namespace, name)
    spec = {"gateway": row.gateway, "targetRef": {"name": name}, **row.spec(name)}
    kube.apply(objects.gateway(namespace, name, app=name, **spec))
    view = wait(
        f"{name} is Programmed or refused",
        lambda: _settled(kube.get("gatewaytelemetry", namespace, name)),
        60,
    )
    live = kube.get("deployment", namespace, name)
    assert live is not None
    assert before is not None
    programmed = condition(view, "Programmed")
    if programmed["status"] == "False":
        assert live["spec"]["template"] == before["spec"]["template"]
        assert kube.get("secret", namespace, f"{name}-traces") is None
        assert kube.get("secret", namespace, f"gateway-telemetry-deployment-{name}") is None
        return f"refused: {programmed['reason']}"
    with row.send(kube, live, [world.hosts], folder, mark), reader(world, form) as client:
        found = wait(
            f"a run with {mark} in project {project!r}",
            lambda: [run for run in runs_of(client, project) if mark in _text(run)],
            ARRIVAL_SECONDS,
        )
        assert [item.name for item in client.list_projects()] == [project] or len(
            world.forms[form].store.requests()
        ) > 1
    stamps = {(run.metadata or {}).get("gatewaytelemetry.id") for run in found}
    assert len(stamps) == 1
    assert (stamps != {None}) is row.stamped
    return DELIVERED


def _settled(view: Object | None) -> Object | None:
    if view is None or not view.get("status"):
        return None
    found = condition(view, "Programmed")
    waiting = {"Pending", "NotWritten", "RolloutInProgress", "RolloutQueued", "RestartNeeded", None}
    return view if found.get("status") == "True" or found.get("reason") not in waiting else None


def _text(run: object) -> str:
    return json.dumps([getattr(run, name) for name in ("name", "inputs", "outputs", "extra", "tags")], default=str)


@pytest.fixture(scope="module")
def seen() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = json.loads(SEEN.read_text())
    return found


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.slug)
def test_a_real_gateway_delivers_or_is_refused(
    row: Row, world: World, seen: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    cells = [(form, project) for form in FORMS if form in world.forms for project in PROJECTS]
    if not FULL:
        cells = random.Random(f"{SEED} {row.slug}").sample(cells, 1)
    found = {}
    for number, (form, project) in enumerate(cells):
        folder = tmp_path / str(number)
        folder.mkdir()
        found[f"{form} | {project}"] = outcome(world, row, form, project, folder)
    print(f"\n{row.title}: {json.dumps(found, ensure_ascii=False)}")
    assert found == {key: seen[row.title][key] for key in found}
