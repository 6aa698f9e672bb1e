"""What docs/rollouts.md and docs/reference-mode.md tell people to type works: manifests are taken, commands answer."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support import objects
from tests.support.cluster import ClusterAccess, Kubectl, make_namespace
from tests.support.kube import Kube
from tests.support.objects import Object
from tests.support.operator import OperatorProcess

DOCS = Path(__file__).parents[2] / "docs"
REFERENCE, ROLLOUTS = DOCS / "reference-mode.md", DOCS / "rollouts.md"


def blocks(path: Path, language: str) -> list[str]:
    """Return the code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL)


def commands(path: Path) -> list[str]:
    return [line for block in blocks(path, "sh") for line in block.splitlines() if line]


COMMANDS = sorted({*commands(REFERENCE), *commands(ROLLOUTS)})


def chart_snippets() -> Object:
    """Return the pod spec of the page: its first snippet, with the CA of the second merged in."""
    first, second = blocks(REFERENCE, "yaml")[1:3]
    mounts, _, volumes = second.partition("volumes:\n")
    (container,) = yaml.safe_load(first)["containers"]
    image = {"image": "registry.example/litellm:1"}
    return {
        "containers": [{**container, **image, **yaml.safe_load(mounts)}],
        "volumes": yaml.safe_load(volumes),
    }


@pytest.fixture(scope="module")
def pages(cluster: ClusterAccess, kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A namespace with the objects of the pages, as they are written there; the target has no CA."""
    namespace = make_namespace(kube)
    kube.apply(objects.secret(namespace))
    kube.apply(objects.target(namespace, "langsmith"))
    workload = objects.deployment(namespace, "litellm")
    workload["spec"]["template"]["spec"] = chart_snippets()
    kube.apply(workload)
    view = yaml.safe_load(blocks(REFERENCE, "yaml")[0])
    view["metadata"]["namespace"] = namespace
    kube.apply(view)
    folder = tmp_path_factory.mktemp("docs")
    with OperatorProcess(cluster.kubeconfig, folder, f"--watch-namespace={namespace}"):
        kube.wait("the Secret is there", lambda: kube.get("secret", namespace, "litellm-otlp"))
        yield namespace
    kube.delete("namespace", None, namespace)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_answers(pages: str, kubectl: Kubectl, command: str) -> None:
    here = command.replace("-n shop", f"-n {pages}").replace("$(date +%s)", "1764000000")
    program, *arguments = shlex.split(here)
    assert program == "kubectl"
    assert kubectl(*arguments).stdout.strip()


def test_the_manifest_of_the_rollout_page_is_taken(pages: str, kube: Kube) -> None:
    (part,) = blocks(ROLLOUTS, "yaml")
    view = objects.gateway(pages, "rollouts")
    view["spec"] |= yaml.safe_load(part)["spec"]
    kube.create(view)
    kube.delete("gatewaytelemetry", pages, "rollouts")
