"""Keys with a mark go every way that there is; afterwards the mark is found in Secrets and nowhere else.

The API server of this cluster logs whole bodies. The operator runs with debug logs, and the servers it talks to repeat
the keys back at it in every part of an answer.
"""

from __future__ import annotations

import base64
import contextlib
import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml
from hack.components import AUDIT_LOG

from gateway_telemetry.adapters import adapters
from tests.support import objects
from tests.support.cluster import ROOT, ClusterAccess, install_crds, kubectl_for, make_namespace, own_cluster
from tests.support.kube import Kube, KubeError, condition
from tests.support.langsmith import CATALOGUE, Fault, StandIn
from tests.support.objects import Object
from tests.support.operator import PROGRAM, OperatorProcess

WORKSPACE = "5f2c7a3e-0000-4000-8000-000000000001"
MARKS = ("0marked0ingest0key0", "0marked0read0key0")
INGEST, READ = (f"lsv2_sk_{mark}_7d1f93ab" for mark in MARKS)
ECHO = f"{INGEST} {READ}"
BODIES = """
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
    resources: [{group: "", resources: [secrets]}, {group: "", resources: [serviceaccounts/token]}]
  - level: RequestResponse
"""
ANSWERS = {
    "echo-ok": Fault(status=200, body=json.dumps(dict.fromkeys(("version", "id", "runs", "name"), ECHO))),
    "echo-list": Fault(status=200, body=json.dumps([{"id": ECHO, "name": ECHO, "tenant_id": ECHO}])),
    "echo-refusal": Fault(status=401, body=json.dumps({"detail": f"Invalid token {ECHO}"})),
    "echo-scope": Fault(status=403, body=json.dumps({"error": f"org_scoped_key_requires_workspace {ECHO}"})),
    "echo-redirect": Fault(status=302, headers={"Location": f"https://{READ}.{INGEST}:8443/{quote(ECHO)}"}),
    "echo-headers": Fault(status=500, body=ECHO, headers={"X-Echo": ECHO, "Date": ECHO, "Retry-After": ECHO}),
    "echo-html": Fault(status=200, body=f"<html>{ECHO}</html>", content_type="text/html"),
    **{name: fault for name, fault in CATALOGUE.items() if not (fault.delay or fault.drip)},
}
REFUSED_KEYS: dict[str, str | bytes] = {
    "newline": f"{INGEST}\nX-Evil: 1",
    "comma": f"{INGEST},{READ}",
    "unicode": f"{INGEST}\u20ac",
    "assignment": f"LANGSMITH_API_KEY={INGEST}",
    "quoted": f'"{INGEST}"',
    "json": json.dumps({"key": INGEST}),
    "not-utf-8": INGEST.encode() + b"\xff",
}


def forms(mark: str) -> set[bytes]:
    """Return how a text may be written: as it is, and within base64 at each of its three alignments."""
    raw = mark.encode()
    inner = {base64.b64encode(bytes(shift) + raw)[4 if shift else 0 : -4] for shift in range(3)}
    return {raw, *inner, raw.hex().encode()}


NEEDLES = {needle for mark in MARKS for needle in forms(mark)}


def marked(text: str | bytes) -> bool:
    found = text if isinstance(text, bytes) else text.encode()
    return any(needle in found for needle in NEEDLES)


def secret(namespace: str, name: str, ingest: str | bytes, read: str) -> Object:
    found = objects.secret(namespace, name, ingest)
    found["data"]["read"] = base64.b64encode(read.encode()).decode()
    return found


def target(namespace: str, name: str, url: str, source: str = "langsmith") -> Object:
    keys = {"ingest": "api-key", "read": "read"}
    credentials = {who: {"secretRef": {"name": source, "key": key}} for who, key in keys.items()}
    return objects.target(namespace, name, selfHosted={"url": url}, allowPlaintext=True, credentials=credentials)


@dataclass(frozen=True)
class World:
    kube: Kube
    access: ClusterAccess
    namespace: str
    operator: OperatorProcess
    langsmith: StandIn
    names: tuple[str, ...]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("keys")
    policy = folder / "policy.yaml"
    policy.write_text(BODIES)
    with ExitStack() as stack:
        access = stack.enter_context(own_cluster(folder, "keys", (f"--audit-policy-file={policy}",)))
        kube = stack.enter_context(Kube(access))
        install_crds(kube)
        namespace = make_namespace(kube)
        keys = {INGEST: WORKSPACE, READ: WORKSPACE}
        langsmith = stack.enter_context(StandIn(keys=keys))
        kube.apply(secret(namespace, "langsmith", INGEST, READ))
        kube.apply(target(namespace, "prod", langsmith.url))
        names = []
        for name, fault in ANSWERS.items():
            server = stack.enter_context(StandIn(keys=keys))
            server.faults.add(Fault(**{**vars(fault), "on": "any", "times": None}))
            kube.apply(target(namespace, name, server.url))
            names.append(name)
        for name, key in REFUSED_KEYS.items():
            kube.apply(secret(namespace, f"key-{name}", key, READ))
            kube.apply(target(namespace, f"key-{name}", langsmith.url, f"key-{name}"))
        connect(kube, namespace)
        flags = ("--insecure-allow-loopback", "--log-level=debug", "--log-format=json")
        env = {"PYTHONFAULTHANDLER": "1", "PYTHONASYNCIODEBUG": "1"}
        operator = OperatorProcess(access.kubeconfig, folder, *flags, env=env, verify=True)
        yield World(kube, access, namespace, stack.enter_context(operator), langsmith, tuple(names))


def connect(kube: Kube, namespace: str) -> None:
    """Make a workload and a GatewayTelemetry for every adapter, and the gateways of the repository's examples."""
    for number, adapter in enumerate(adapters()):
        name = f"adapter-{number}"
        kube.apply(objects.deployment(namespace, name, app=name))
        reference = objects.reference(namespace, name, app=name, secretName=f"traces-{name}")
        reference["spec"]["gateway"] = {"type": adapter.type}
        for item in (objects.gateway(namespace, name, type_=adapter.type, app=name), reference):
            # Each adapter has ways of its own; the examples hold the others.
            with contextlib.suppress(KubeError):
                kube.apply(item)
    kube.apply(objects.deployment(namespace, "injected", app="injected"))
    kube.apply(objects.gateway(namespace, "injected", app="injected"))
    takes = [{"secretRef": {"name": "traces", "optional": True}}]
    kube.apply(objects.deployment(namespace, "refers", app="refers", envFrom=takes))
    # Its pod is older than the Secret.
    kube.apply(objects.reference(namespace, "reference", app="refers", rollout={"policy": "Automatic"}))
    for file in sorted((ROOT / "examples").glob("*.yaml")):
        for item in yaml.safe_load_all(file.read_text()):
            if item and item["kind"] == "GatewayTelemetry":
                item["metadata"] = {"name": f"example-{file.stem}", "namespace": namespace}
                item["spec"]["targetRef"] = {"name": "prod"}
                kube.apply(item)


def told(world: World, kind: str, name: str, type_: str) -> bool:
    return condition(world.kube.get(kind, world.namespace, name), type_).get("reason") not in (None, "Pending")


def looked_at(world: World, kind: str, name: str, type_: str) -> None:
    world.kube.wait(f"{kind} {name} was looked at", lambda: told(world, kind, name, type_), 60)


def everything_but_secrets(access: ClusterAccess) -> Iterator[tuple[str, str]]:
    """Yield every object of the cluster, events included, with what it is called."""
    kubectl = kubectl_for(access)
    kinds = kubectl("api-resources", "--verbs=list", "--output=name").stdout.split()
    kinds.remove("secrets")
    for item in json.loads(kubectl("get", ",".join(kinds), "--all-namespaces", "--output=json").stdout)["items"]:
        yield f"{item['kind']} {item['metadata'].get('namespace')}/{item['metadata']['name']}", json.dumps(item)


def check(world: World, name: str) -> str:
    command = [str(PROGRAM), "check", f"lst/{name}", f"-n{world.namespace}", f"--kubeconfig={world.access.kubeconfig}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    return done.stdout + done.stderr


def test_marked_keys_are_in_secrets_and_nowhere_else(world: World) -> None:
    kube, namespace = world.kube, world.namespace
    kube.wait_condition("lst", namespace, "prod", "Ingesting")
    for name in ("injected", "reference"):
        kube.wait_condition("gt", namespace, name, "Programmed")
    for name in world.names:
        looked_at(world, "lst", name, "Reachable")
    for name in REFUSED_KEYS:
        kube.wait_condition("lst", namespace, f"key-{name}", "ResolvedRefs", "False", timeout=60)
    for item in kube.list("gt", namespace):
        looked_at(world, "gt", item["metadata"]["name"], "Ready")
    texts = {
        "metrics": json.dumps(world.operator.metrics()),
        "check": check(world, "prod"),
        "check of a server that repeats keys": check(world, "echo-refusal"),
    }
    process = world.operator.process
    assert process is not None
    for name in ("cmdline", "environ"):
        texts[name] = Path(f"/proc/{process.pid}/{name}").read_text()
    crash(world)
    texts["log"] = world.operator.log()
    texts["audit log"] = (world.access.processes.folder / AUDIT_LOG).read_text()
    texts |= dict(everything_but_secrets(world.access))
    assert [name for name, text in texts.items() if marked(text)] == []

    # What was searched is what it was meant to be, and the search finds what there is.
    assert "Fatal Python error: Aborted" in texts["log"]
    assert '"level": "debug"' in texts["log"]
    assert texts["check"]
    assert "langsmithtargets" in texts["audit log"]
    assert '"requestObject"' in texts["audit log"]
    holders = {item["metadata"]["name"] for item in kube.list("secret", namespace) if marked(json.dumps(item))}
    assert {"langsmith", "traces"} < holders
    assert [name for name in holders if name.startswith("gateway-telemetry-")]


def crash(world: World) -> None:
    """Let it end in the middle of its work, with the traces of all its threads."""
    process = world.operator.process
    assert process is not None
    process.send_signal(signal.SIGABRT)
    assert process.wait(20) == -signal.SIGABRT
