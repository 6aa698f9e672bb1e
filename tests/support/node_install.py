"""The operator as users install it: its image on the node, its chart by Helm, a gateway as a pod."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from hack import image
from hack.image_operator import NAME as OPERATOR
from hack.node import Node

from tests.support import objects
from tests.support.helm import CHART, Helm
from tests.support.kube import Kube
from tests.support.objects import Object

RELEASE = "gateway-telemetry"
SYSTEM = "gateway-telemetry-system"
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


def values(**more: Any) -> Object:
    """Return chart values for the image that was built here, and what else a test needs."""
    repository, tag = OPERATOR, image.VERSION
    return {"image": {"repository": repository, "tag": tag, "pullPolicy": "Never"}, **more}


@contextmanager
def installed(helm: Helm, kube: Kube, system: str = SYSTEM, **more: Any) -> Iterator[str]:
    """Install the chart and wait until the operator is ready; uninstall it when the block ends, unless the block did.

    Args:
        system: the operator's namespace; made with restricted Pod Security.
        more: values of the chart.
    """
    namespace(kube, system, RESTRICTED)
    where = ("--namespace", system, "--wait", "--timeout", "90s")
    helm("install", RELEASE, str(CHART), *where, "--values", "-", stdin=yaml.safe_dump(values(**more)))
    try:
        yield system
    finally:
        helm("uninstall", RELEASE, *where, "--ignore-not-found", timeout=150)
        kube.delete("namespace", None, system)


def namespace(kube: Kube, name: str, labels: dict[str, str] | None = None) -> str:
    """Make a namespace unless it is there, and wait until pods can be made in it."""
    found = kube.get("namespace", None, name)
    if found is not None and "deletionTimestamp" in found["metadata"]:
        kube.wait_gone("namespace", None, name)
        found = None
    if found is None:
        kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels or {}}})
    kube.wait(f"the default ServiceAccount of {name}", lambda: kube.get("sa", name, "default"))
    return name


def gateway_deployment(where: str, name: str = "gateway", **spec: Any) -> Object:
    """A real gateway in small: an OpenTelemetry SDK behind HTTP, its chart a stranger's."""
    probe = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1}
    return objects.deployment(
        where,
        name,
        containers=[{"name": "main", "image": image.GATEWAY, "imagePullPolicy": "Never", "readinessProbe": probe}],
        spec=spec,
    )


def ask(kube: Kube, node: Node, where: str, prompt: str = "What is 6 times 7?", app: str = "gateway") -> Object:
    """Send one request to each ready pod of a gateway, export included; return the last answer."""
    answer: Object = {}
    for pod in kube.list("pod", where, f"app={app}"):
        ready = any(item["type"] == "Ready" and item["status"] == "True" for item in pod["status"]["conditions"])
        if ready and "deletionTimestamp" not in pod["metadata"]:
            url = f"http://{pod['status']['podIP']}:8080/ask?flush=1&prompt={prompt.replace(' ', '+')}"
            done = node.run("curl", "--silent", "--show-error", "--max-time", "30", url)
            if done.returncode != 0:
                raise subprocess.SubprocessError(done.stderr)
            answer = json.loads(done.stdout)
    assert answer, f"no pod of {app} in {where} is ready"
    return answer


def helm_of(kubeconfig: Path, home: Path, version: str = "helm4") -> Helm:
    """Return a helm for a cluster."""
    return Helm(version, home, kubeconfig)


def restricted(deployment: Object) -> Object:
    """Return a Deployment that restricted Pod Security admits."""
    pod = deployment["spec"]["template"]["spec"]
    pod["securityContext"] = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
    for container in pod["containers"]:
        container["securityContext"] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return deployment
