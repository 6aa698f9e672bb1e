"""The README's quick start and uninstall, as written, with LiteLLM as a pod and LangSmith's SDK as the judge.

What is changed of the README's commands: the image's place, the key, and which LangSmith it is.
"""

from __future__ import annotations

import copy
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hack import image
from hack.image_operator import NAME as OPERATOR

from tests.support import node_install, readme
from tests.support.cluster import Kubectl, available
from tests.support.helm import CHART, Helm
from tests.support.kube import Kube, condition, same, wait
from tests.support.langsmith import StandIn
from tests.support.node_figures import memory_mib, show
from tests.support.node_machine import Machine
from tests.support.objects import Object
from tests.support.sdk_reader import arrived, calls
from tests.unit.langsmith_standin.clients import WORKSPACE, sdk

NAMESPACE = "ai"
SYSTEM = node_install.SYSTEM
EXAMPLE = readme.ROOT / "examples" / "litellm.yaml"
MASTER_KEY = "sk-" + "5" * 64
PROMPTS = [f"Question {number}" for number in range(3)]


class QuickStart:
    """A reader of the README, with a cluster, a gateway and a LangSmith."""

    def __init__(self, kube: Kube, kubectl: Kubectl, helm: Helm, langsmith: StandIn, key: str) -> None:
        self.kube, self.kubectl, self.helm, self.langsmith, self.key = kube, kubectl, helm, langsmith, key
        self.before: Object = {}
        self.began = 0.0

    def run(self, command: list[str]) -> str:
        """Run a command of the README."""
        replaced = {
            "charts/gateway-telemetry-operator": str(CHART),
            "image.repository=registry.example.com/gateway-telemetry-operator": f"image.repository={OPERATOR}",
            "--from-literal=api-key=lsv2_sk_…": f"--from-literal=api-key={self.key}",
        }
        program, *arguments = [replaced.get(word, word) for word in command]
        if program == "kubectl":
            return self.kubectl(*arguments).stdout
        assert program == "helm"
        if arguments[0] == "install":
            host = self.langsmith.url.partition("//")[2].partition(":")[0]
            arguments += ["--set", f"allowedHosts={{{host}}}", "--set", "image.pullPolicy=Never"]
        return self.helm(*arguments, timeout=150).stdout

    def manifests(self) -> list[Object]:
        """Return the README's two objects, for this LangSmith."""
        [block] = readme.blocks(readme.section("Quick start"), "yaml")
        target, gateway = yaml.safe_load_all(block)
        del target["spec"]["saas"]
        target["spec"] |= {"selfHosted": {"url": self.langsmith.url}, "allowPlaintext": True}
        return [target, gateway]

    def deployment(self) -> Object:
        found = self.kube.get("deployment", NAMESPACE, "litellm")
        assert found is not None
        return found

    def pods(self) -> list[Object]:
        return [
            pod for pod in self.kube.list("pod", NAMESPACE, "app=litellm") if "deletionTimestamp" not in pod["metadata"]
        ]

    def chat(self, prompt: str) -> str:
        """Ask LiteLLM's pod through the API server."""
        [pod] = self.pods()
        answer = self.kube.call(
            "POST",
            f"/api/v1/namespaces/{NAMESPACE}/pods/{pod['metadata']['name']}:4000/proxy/v1/chat/completions",
            {"model": "echo", "messages": [{"role": "user", "content": prompt}]},
            # The API server takes Authorization for itself.
            headers={"x-litellm-api-key": f"Bearer {MASTER_KEY}"},
        )
        return str(answer["choices"][0]["message"]["content"])


def litellm() -> list[Object]:
    """Return LiteLLM as the example has it, from the image that was made here, under restricted Pod Security."""
    text = EXAMPLE.read_text().replace("example-litellm", NAMESPACE)
    items = {item["kind"]: item for item in yaml.safe_load_all(text)}
    master = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "litellm", "namespace": NAMESPACE},
        "stringData": {"master-key": MASTER_KEY},
    }
    deployment = node_install.restricted(items["Deployment"])
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    container |= {"image": image.LITELLM, "imagePullPolicy": "Never"}
    container["readinessProbe"]["periodSeconds"] = 1
    return [master, items["ConfigMap"], deployment]


def groups(kube: Kube) -> set[str]:
    return {item["name"] for item in kube.call("GET", "/apis")["groups"]}


@pytest.fixture(scope="module")
def quick_start(
    machine: Machine, images: None, kube: Kube, kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[QuickStart]:
    machine.load(image.litellm())
    node_install.namespace(kube, NAMESPACE, node_install.RESTRICTED)
    node_install.namespace(kube, SYSTEM, node_install.RESTRICTED)
    for item in litellm():
        kube.apply(item, manager="the-gateways-chart")
    kube.wait("LiteLLM's pod is ready", lambda: available(kube, NAMESPACE, "litellm"), 120)
    key = f"lsv2_sk_{secrets.token_hex(16)}"
    helm = node_install.helm_of(kubectl.kubeconfig, tmp_path_factory.mktemp("helm"))
    with StandIn(keys={key: WORKSPACE}, host=machine.address) as langsmith:
        reader = QuickStart(kube, kubectl, helm, langsmith, key)
        reader.before = copy.deepcopy(reader.deployment())
        reader.began = time.monotonic()
        try:
            docker, install, *secret, get, _render = readme.commands(readme.section("Quick start"))
            assert docker[0] == "docker"
            assert get == ["kubectl", "get", "lst,gt", "-n", NAMESPACE]
            for command in (install, *secret):
                reader.run(command)
            kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(reader.manifests()))
            yield reader
        finally:
            helm("uninstall", node_install.RELEASE, "-n", SYSTEM, "--ignore-not-found", timeout=150)
            for name in (NAMESPACE, SYSTEM):
                kube.delete("namespace", None, name)


def test_the_quick_start_as_written(quick_start: QuickStart, kube: Kube, kubectl: Kubectl, tmp_path: Path) -> None:
    kubectl("wait", "--for=condition=Ready", "lst/prod", "-n", NAMESPACE, "--timeout=90s", timeout=100)
    kubectl("wait", "--for=condition=Ready", "gt/litellm", "-n", NAMESPACE, "--timeout=120s", timeout=130)
    assert [quick_start.chat(prompt) for prompt in PROMPTS] == ["Hello from LiteLLM"] * 3
    with sdk(quick_start.langsmith.api_url, key=quick_start.key) as client:
        runs = wait("the prompts are runs of the project", lambda: arrived(client, "checkout", PROMPTS), 60)
        seconds = time.monotonic() - quick_start.began
        assert [project.name for project in client.list_projects()] == ["checkout"]
    assert len(calls(runs)) == 3

    seen = kube.wait_condition("gatewaytelemetry", NAMESPACE, "litellm", "Delivered", timeout=120)
    assert seen["status"]["evidence"]["runUrl"].startswith(quick_start.langsmith.url)
    target = kube.get("langsmithtarget", NAMESPACE, "prod")
    told = {item["type"]: item["status"] for item in (target or {})["status"]["conditions"]}
    assert {name: told[name] for name in ("Reachable", "Authenticated", "Ingesting", "Ready")} == {
        "Reachable": "True",
        "Authenticated": "True",
        "Ingesting": "True",
        "Ready": "True",
    }
    table = quick_start.run(["kubectl", "get", "lst,gt", "-n", NAMESPACE])
    assert [line.split()[1:3] for line in table.splitlines() if ".gatewaytelemetry.dev/" in line] == [
        ["True", "Ready"],
        ["True", "Ready"],
    ]
    # One rollout, and no container that had to be started twice.
    assert quick_start.deployment()["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"
    [pod] = kube.list("pod", SYSTEM)
    statuses = [*pod["status"]["containerStatuses"], *quick_start.pods()[0]["status"]["containerStatuses"]]
    assert [item["restartCount"] for item in statuses] == [0, 0]
    assert pod["status"]["qosClass"] == "Burstable"

    memory = wait("the kubelet has measured the operator's pod", lambda: memory_mib(kube, pod), 60)
    show(
        image_mb=image.operator().stat().st_size / 1e6,
        install_to_first_trace_seconds=seconds,
        operator_memory_mib=memory,
    )
    limit = int(pod["spec"]["containers"][0]["resources"]["requests"]["memory"].removesuffix("Mi"))
    assert memory < limit


def test_helm_uninstall_puts_everything_back(quick_start: QuickStart, kube: Kube, kubectl: Kubectl) -> None:
    kube.wait_condition("gatewaytelemetry", NAMESPACE, "litellm", "Programmed", timeout=120)
    uninstall, delete_crds = readme.commands(readme.section("Uninstall"))
    quick_start.run(uninstall)

    after, before = quick_start.deployment(), quick_start.before
    assert after["spec"] == before["spec"]
    managers = [item["manager"] for item in after["metadata"]["managedFields"]]
    assert sorted(set(managers)) == ["kube-controller-manager", "the-gateways-chart"]
    assert set(after["metadata"]["annotations"]) == {"deployment.kubernetes.io/revision"}
    names = [
        (kind, item["metadata"]["name"]) for kind in ("secret", "configmap") for item in kube.list(kind, NAMESPACE)
    ]
    assert sorted(names) == [
        ("configmap", "kube-root-ca.crt"),
        ("configmap", "litellm"),
        ("secret", "langsmith"),
        ("secret", "litellm"),
    ]
    assert [item["metadata"].get("finalizers") for item in kube.list("gatewaytelemetry")] == [None]
    kinds = ("clusterrole", "clusterrolebinding", "role", "rolebinding", "networkpolicy", "service", "lease")
    left = [(kind, item["metadata"]["name"]) for kind in kinds for item in kube.list(kind)]
    assert [entry for entry in left if "gateway-telemetry" in entry[1]] == []
    same([], lambda: kube.list("pod", SYSTEM), "the operator's pods are gone")
    # The gateway as it was answers, and sends nothing.
    kube.wait("LiteLLM's pod is ready", lambda: available(kube, NAMESPACE, "litellm"), 120)
    pods = (NAMESPACE, "app=litellm")
    same(1, lambda: len(kube.list("pod", *pods)), "the pod with our settings has ended")
    spans = len(quick_start.langsmith.store.spans())
    assert quick_start.chat("Nobody reads this") == "Hello from LiteLLM"
    log = kubectl("logs", "-n", NAMESPACE, "deployment/litellm").stdout
    assert "api/v1/otel" not in log
    assert len(quick_start.langsmith.store.spans()) == spans

    quick_start.run(delete_crds)
    same(False, lambda: "gatewaytelemetry.dev" in groups(kube), "the API of both kinds is served")
    assert condition(quick_start.deployment(), "Available")["status"] == "True"
