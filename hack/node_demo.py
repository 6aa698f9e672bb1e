#!/usr/bin/env python3
"""The main job as users have it, on a real node: ``make demo`` where the machine can.

The operator's image from the Dockerfile, the chart by Helm, LiteLLM as a pod, a LangSmith stand-in under a path prefix
and behind a private CA. Each step is checked; the first that fails ends the demo with exit code 1.
"""

from __future__ import annotations

import argparse
import copy
import secrets
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import yaml
from tests.support import node_install
from tests.support.cluster import ClusterAccess, Kubectl, available, kubectl_for
from tests.support.kube import Kube, KubeError, wait
from tests.support.langsmith import CertificateAuthority, StandIn
from tests.support.sdk_reader import arrived
from tests.unit.langsmith_standin.clients import sdk

from hack import cluster, image, image_operator, tools
from hack import node as nodes
from hack.demo import (
    BASE_PATH,
    EXAMPLE,
    REQUESTS,
    WORKSPACE,
    Object,
    concluded,
    difference,
    live,
    manifests,
    shown,
)
from hack.demo_tell import NAMESPACE, PROJECT, DemoError, Narrator, prove
from hack.image_cache import ImageError

STEPS = 9
START_SECONDS = 180.0


def missing() -> str | None:
    """Return why this machine cannot run the demo on a node, in one line; None if it can."""
    return nodes.missing() or image_operator.missing()


def as_pod(items: Sequence[Object]) -> list[Object]:
    """Let the example's Deployment run the image that was made here, under restricted Pod Security."""
    for item in items:
        if item["kind"] == "Deployment":
            [container] = node_install.restricted(item)["spec"]["template"]["spec"]["containers"]
            container |= {"image": image.LITELLM, "imagePullPolicy": "Never"}
    return list(items)


def chat(kube: Kube, master_key: str, prompt: str) -> str:
    """Ask the one running pod of LiteLLM through the API server."""
    [pod] = [item for item in kube.list("pod", NAMESPACE, "app=litellm") if "deletionTimestamp" not in item["metadata"]]
    answer = kube.call(
        "POST",
        f"/api/v1/namespaces/{NAMESPACE}/pods/{pod['metadata']['name']}:4000/proxy/v1/chat/completions",
        {"model": "echo", "messages": [{"role": "user", "content": prompt}]},
        headers={"x-litellm-api-key": f"Bearer {master_key}"},  # the API server takes Authorization for itself
    )
    return str(answer["choices"][0]["message"]["content"])


def apply(kubectl: Kubectl, items: Sequence[Object]) -> None:
    kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(items))


def deliver(
    tell: Narrator, kubectl: Kubectl, kube: Kube, langsmith: StandIn, ca: CertificateAuthority, key: str, master: str
) -> None:
    """Send requests through LiteLLM's pod; look for them as LangSmith's users do, and as the operator does."""
    tell.step("asking LiteLLM's pod, and reading the project with LangSmith's SDK")
    prompts = [f"Question {number} ({secrets.token_hex(4)})" for number in range(1, REQUESTS + 1)]
    for prompt in prompts:
        tell.say(f"{prompt} -> {chat(kube, master, prompt)}")
    with sdk(langsmith.api_url, key=key, ca=ca.bundle) as client:
        runs = wait(f"the requests are runs of project {PROJECT!r}", lambda: arrived(client, PROJECT, prompts), 60)
        shown(tell, client, runs)
        prove(tell, kubectl, kube, client)


def demonstrate(folder: Path) -> None:
    """Do all steps.

    Raises:
        DemoError: a result is not as it must be.
    """
    tell = Narrator(STEPS)
    with ExitStack() as stack:
        tell.step("a node: kubelet, containerd, a bridge network, kube-proxy, CoreDNS, beside a control plane")
        node = nodes.Node("demo")
        node.up(die_with_parent=True)
        stack.callback(node.down)
        access = ClusterAccess(node.kubeconfig, node.cluster)
        kubectl, kube = kubectl_for(access), stack.enter_context(Kube(access))
        tell.say(f"{access.context} at {access.server}")

        tell.step("images, made without a registry: the operator's from the Dockerfile, LiteLLM's from its wheels")
        node.load(image.pause(), image.operator(), image.litellm())

        ca = CertificateAuthority(folder / "pki")
        key = f"lsv2_sk_{secrets.token_hex(16)}"
        langsmith = StandIn(BASE_PATH, tls=ca.server(node.address), keys={key: WORKSPACE}, host=node.address)
        stack.enter_context(langsmith)
        tell.step(f"LangSmith stand-in under {langsmith.api_url}, behind a private CA")

        tell.step("helm install")
        helm = node_install.helm_of(node.kubeconfig, folder)
        stack.enter_context(node_install.installed(helm, kube, allowedHosts=[node.address]))
        tell.run(kubectl, "get", "pods", "-n", node_install.SYSTEM)

        tell.step(f"applying {EXAMPLE.parent.name}/{EXAMPLE.name}, pointed at the stand-in")
        node_install.namespace(kube, NAMESPACE, node_install.RESTRICTED)
        items = as_pod(manifests(langsmith, ca, key))
        first = [item for item in items if item["kind"] not in ("GatewayTelemetry", "Namespace")]
        apply(kubectl, first)
        wait("LiteLLM's pod is ready", lambda: available(kube, NAMESPACE, "litellm"), START_SECONDS)
        before = copy.deepcopy(live(kube))
        two = [item for item in items if item["kind"] in ("LangSmithTarget", "GatewayTelemetry")]
        apply(kubectl, two)
        tell.say(yaml.safe_dump_all(two, sort_keys=False))

        tell.step("waiting until it is Ready")
        tell.run(kubectl, "wait", "--for=condition=Ready", "gatewaytelemetry/litellm", "--timeout=100s")
        tell.run(kubectl, "get", "langsmithtargets,gatewaytelemetries")
        tell.say("the Deployment differs by")
        tell.say(difference(before["spec"]["template"], live(kube)["spec"]["template"]))

        master = next(item for item in items if item["metadata"]["name"] == "litellm" and item["kind"] == "Secret")
        wait("one pod of LiteLLM is left", lambda: len(kube.list("pod", NAMESPACE, "app=litellm")) == 1, 60)
        deliver(tell, kubectl, kube, langsmith, ca, key, master["stringData"]["master-key"])

        tell.step("helm uninstall")
        helm("uninstall", node_install.RELEASE, "--namespace", node_install.SYSTEM, "--wait", timeout=150)
        if left := difference(before["spec"], live(kube)["spec"]):
            raise DemoError(f"the Deployment is not as it was\n{left}")
        tell.say("the Deployment's spec is as it was before")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; 0 if all was as it must be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", nargs="?", choices=["run", "possible"], default="run")
    why = missing()
    if parser.parse_args(arguments).command == "possible" or why is not None:
        if why is not None:
            print(f"[demo] not on a node: {why}", file=sys.stderr)
        return 0 if why is None else 1
    failures = (ImageError, KubeError, cluster.ClusterError, tools.BuildError, subprocess.SubprocessError)
    return concluded(demonstrate, failures)


if __name__ == "__main__":
    sys.exit(main())
