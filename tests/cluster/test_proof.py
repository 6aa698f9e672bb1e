"""Proof of delivery in the loop: conditions that follow what LangSmith really shows, and nothing else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.programs import python_sdk
from tests.support import objects, pod_process
from tests.support.cluster import ClusterAccess
from tests.support.kube import Kube, condition
from tests.support.langsmith import CertificateAuthority, StandIn
from tests.support.objects import Object
from tests.support.operator import Watching, watching
from tests.support.pod import pod_environment, pod_files
from tests.support.pod_process import PodProcess
from tests.unit.langsmith_standin.clients import KEY, WORKSPACE

FLAGS = ("--insecure-allow-loopback", "--cluster-name=test", "--probe-image=registry.example/operator:1")

needs_pods = pytest.mark.skipif(pod_process.unavailable() is not None, reason=str(pod_process.unavailable()))


@pytest.fixture(scope="module")
def operator(cluster: ClusterAccess, kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watching]:
    with watching(kube, cluster.kubeconfig, tmp_path_factory.mktemp("proof"), 10, *FLAGS, verify=True) as found:
        yield found


@pytest.fixture
def shop(operator: Watching) -> str:
    return operator.namespace()


def target(namespace: str, langsmith: StandIn, *, read: bool = True, **spec: Any) -> Object:
    reference = {"secretRef": {"name": "langsmith", "key": "api-key"}}
    base: Object = {
        "selfHosted": {"url": langsmith.url},
        "credentials": {"ingest": reference} | ({"read": reference} if read else {}),
        "caBundleRef": {"kind": "ConfigMap", "name": "langsmith-ca", "key": "ca.crt"},
        "workspaceId": WORKSPACE,
        "verification": {"probeInterval": "30s"},
    }
    return objects.target(namespace, **{**base, **spec})


def connect(kube: Kube, namespace: str, ca: CertificateAuthority, target_: Object) -> None:
    kube.apply(objects.secret(namespace, key=KEY))
    kube.apply(objects.ca_bundle(namespace, ca.bundle.read_text()))
    kube.apply(target_)
    kube.apply(objects.deployment(namespace))
    kube.apply(objects.gateway(namespace))


def send(kube: Kube, namespace: str, log: Path) -> None:
    """Let the gateway serve one request: the program exports one trace with what the operator wrote."""
    live = kube.get("deployment", namespace, "gateway")
    assert live is not None
    command = [sys.executable, python_sdk.__file__, "What is 6 times 7?"]
    with PodProcess(command, pod_environment(kube, live), pod_files(kube, live), log=log) as process:
        assert process.wait(60) == 0, log.read_text()


def told(kube: Kube, kind: str, namespace: str, name: str, type_: str) -> tuple[str, str]:
    found = condition(kube.get(kind, namespace, name), type_)
    return found["status"], found["reason"]


@needs_pods
def test_traces_arrive_and_the_conditions_say_so(
    operator: Watching, kube: Kube, shop: str, langsmith: StandIn, ca: CertificateAuthority, tmp_path: Path
) -> None:
    connect(kube, shop, ca, target(shop, langsmith))
    seen = kube.wait_condition("langsmithtarget", shop, "prod", "Ready")
    (project,) = langsmith.store.projects()
    proof = seen["status"]["proof"]
    assert proof["server"] == {"version": "0.17.12"}
    assert proof["project"]["id"] == str(project.id)
    assert proof["project"]["name"] == "checkout"
    assert proof["project"]["workspaceId"] == WORKSPACE
    assert proof["project"]["url"] == f"{langsmith.url}/o/{WORKSPACE}/projects/p/{project.id}"
    assert proof["canary"]["runUrl"].startswith(proof["project"]["url"] + "/r/")
    assert told(kube, "langsmithtarget", shop, "prod", "Reachable") == ("True", "Reachable")
    assert told(kube, "langsmithtarget", shop, "prod", "Authenticated") == ("True", "Authenticated")
    assert told(kube, "langsmithtarget", shop, "prod", "Ingesting") == ("True", "Ingested")

    kube.wait_condition("gatewaytelemetry", shop, "gateway", "Delivered", "Unknown", "NoTraffic")
    assert told(kube, "gatewaytelemetry", shop, "gateway", "Ready") == ("True", "Ready")
    assert told(kube, "gatewaytelemetry", shop, "gateway", "Producing") == ("Unknown", "NoSignal")
    send(kube, shop, tmp_path / "log")
    seen = kube.wait_condition("gatewaytelemetry", shop, "gateway", "Delivered")
    assert condition(seen, "Delivered")["message"] == "Traces of this gateway arrive in project 'checkout'."
    assert told(kube, "gatewaytelemetry", shop, "gateway", "Producing") == ("True", "TracesSeen")
    runs = [item for item in langsmith.store.runs() if item.body.name == "ask"]
    assert [seen["status"]["evidence"]["runUrl"]] == [
        f"{proof['project']['url']}/r/{item.id}?poll=true" for item in runs
    ]

    before = kube.get("gatewaytelemetry", shop, "gateway"), kube.get("langsmithtarget", shop, "prod")
    canaries = len([item for item in langsmith.store.runs() if "canary" in item.body.name])
    operator.process.kill()
    operator.process.start()
    reads = len(langsmith.store.requests("read"))
    kube.wait("it has looked again", lambda: len(langsmith.store.requests("read")) > reads + 2, 60)
    assert (kube.get("gatewaytelemetry", shop, "gateway"), kube.get("langsmithtarget", shop, "prod")) == before
    assert len([item for item in langsmith.store.runs() if "canary" in item.body.name]) == canaries == 1


def ended(kube: Kube, pod: Object, message: str) -> None:
    """Say what a kubelet says of a pod that has ended."""
    (container,) = pod["spec"]["containers"]
    terminated = {"exitCode": 0, "reason": "Completed", "message": message}
    status = {
        "phase": "Succeeded",
        "containerStatuses": [
            {
                "name": container["name"],
                "image": container["image"],
                "imageID": "",
                "ready": False,
                "restartCount": 0,
                "state": {"terminated": terminated},
            }
        ],
    }
    metadata = pod["metadata"]
    kube.merge_patch("pod", metadata["namespace"], metadata["name"], {"status": status}, subresource="status")


@needs_pods
def test_a_look_from_the_gateways_namespace(
    operator: Watching, kube: Kube, shop: str, langsmith: StandIn, ca: CertificateAuthority, tmp_path: Path
) -> None:
    connect(kube, shop, ca, target(shop, langsmith))
    kube.apply(objects.gateway(shop, verification={"fromNamespace": True}))

    def pods() -> list[Object]:
        return [item for item in kube.list("pod", shop) if item["spec"]["containers"][0]["name"] == "probe"]

    kube.wait("the Job has a pod that runs", lambda: any(item["status"].get("phase") == "Running" for item in pods()))
    (pod,) = pods()
    assert pod["metadata"]["labels"]["app"] == "gateway"  # so the same NetworkPolicies hold for it
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert KEY not in str(pod)
    (container,) = pod["spec"]["containers"]
    log = tmp_path / "log"
    program = Path(sys.executable).with_name("gateway-telemetry")
    arguments = [item for item in container["args"] if not item.startswith("--termination-log")]
    with PodProcess(
        [str(program), *arguments], {}, pod_files(kube, {**pod, "spec": {"template": pod}}), log=log
    ) as process:
        assert process.wait(60) == 0, log.read_text()
    ended(kube, pod, log.read_text())
    seen = kube.wait_condition("gatewaytelemetry", shop, "gateway", "Reachable")
    assert condition(seen, "Reachable")["message"] == (
        f"From namespace {shop}: LangSmith 0.17.12 answers at 127.0.0.1."
    )
    assert told(kube, "gatewaytelemetry", shop, "gateway", "Ready") == ("True", "Ready")

    asked = {"metadata": {"annotations": {"gatewaytelemetry.dev/requestedAt": "1"}}}
    kube.merge_patch("gatewaytelemetry", shop, "gateway", asked)
    kube.wait("another look", lambda: len(pods()) == 2)
    (again,) = [item for item in pods() if item["metadata"]["name"] != pod["metadata"]["name"]]
    kube.wait_condition("gatewaytelemetry", shop, "gateway", "Reachable", "Unknown", "Pending")
    ended(kube, again, '{"reached": false, "reason": "NoRoute", "message": "Nothing.", "version": null}')
    seen = kube.wait_condition("gatewaytelemetry", shop, "gateway", "Reachable", "False", "NoRoute")
    assert condition(seen, "Reachable")["message"] == f"From namespace {shop}: Nothing."

    kube.merge_patch(
        "gatewaytelemetry", shop, "gateway", {"metadata": {"annotations": {"gatewaytelemetry.dev/requestedAt": "2"}}}
    )
    names = {pod["metadata"]["name"], again["metadata"]["name"]}
    third = kube.wait("a third", lambda: [item for item in pods() if item["metadata"]["name"] not in names])
    ended(kube, third[0], '{"reached": true, "reason": "Accepted", "message": "all is well", "version": null}')
    seen = kube.wait_condition("gatewaytelemetry", shop, "gateway", "Reachable", "Unknown", "VantageFailed")
    assert condition(seen, "Reachable")["message"].startswith(
        f"The Job in namespace {shop} said nothing that can be used: the verdict's reason is none that a look at "
        "LangSmith has. Look at it: kubectl describe job"
    )
