"""The commands of docs/troubleshooting.md are ones that kubectl takes, about objects as they really are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.support import objects
from tests.support.cluster import Kubectl, make_namespace
from tests.support.kube import Kube

PAGE = Path(__file__).parents[2] / "docs" / "troubleshooting.md"
# Other programs, or a pod that has to run: their words are not kubectl's to check.
NOT_HERE = ("openssl", "curl", "gateway-telemetry", "kubectl exec")
NAMES = {
    "OPERATOR_NAMESPACE": "default",
    "OPERATOR": "default",
    "NAMESPACE": "",
    "GATEWAY": "gateway",
    "SECRET": "langsmith",
    "KEY": "api-key",
}


def commands() -> list[str]:
    text = PAGE.read_text()
    found = re.findall(r"^- \*\*Verify\*\*: `(.*)`$", text, re.MULTILINE)
    found += [
        line
        for block in re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        for line in block.splitlines()
    ]
    return sorted({item for item in found if not item.startswith(NOT_HERE)})


@pytest.fixture(scope="module")
def place(kube: Kube) -> str:
    """A namespace with one object of every kind that the page speaks of."""
    namespace = make_namespace(kube)
    kube.apply(objects.secret(namespace))
    kube.apply(objects.ca_bundle(namespace, "pem"))
    kube.apply(objects.target(namespace))
    kube.apply(objects.gateway(namespace))
    kube.apply(objects.deployment(namespace))
    return namespace


def filled(command: str, namespace: str) -> list[str]:
    """Return the command with names in its places, without what its output goes to."""
    kind = next((name for name in ("lst", "configmap") if f" {name} NAME" in command), "gateway")
    name = {"lst": "prod", "configmap": "langsmith-ca", "gateway": "gateway"}[kind]
    text = command.partition(" | ")[0].replace('"$(date -u +%FT%TZ)"', "now")
    for place, value in {**NAMES, "NAMESPACE": namespace}.items():
        text = re.sub(rf"\b{place}\b", value, text)
    return shlex.split(re.sub(r"\bNAME\b", name, text))[1:]


@pytest.mark.parametrize("command", commands())
def test_kubectl_takes_it(kubectl: Kubectl, place: str, command: str) -> None:
    arguments = filled(command, place)
    if arguments[:2] == ["rollout", "status"]:
        arguments.append("--watch=false")
    kubectl(*arguments)


def test_there_are_some() -> None:
    assert len(commands()) > 10
