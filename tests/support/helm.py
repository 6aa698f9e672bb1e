"""The real helm, and what the chart says about how the operator is started.

kwok's pods run nothing, so the operator under test is a process of this machine: started with the arguments and
environment of the rendered Deployment, and a token of the chart's ServiceAccount.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hack import tools

from tests.support.cluster import ROOT, service_account_kubeconfig

__all__ = [
    "CHART",
    "NAMESPACE",
    "RELEASE",
    "VERSIONS",
    "Helm",
    "of_kind",
    "operator_process_spec",
    "rendered",
    "service_account_kubeconfig",
]

CHART = ROOT / "charts" / "gateway-telemetry-operator"
RELEASE = "gateway-telemetry"
NAMESPACE = "gateway-telemetry-system"
VERSIONS = ("helm3", "helm4")

Object = dict[str, Any]


@dataclass(frozen=True)
class Helm:
    """One of the two helms, with a home of its own.

    Attributes:
        version: ``helm3`` or ``helm4``.
        home: where it keeps what it would keep in the user's home.
        kubeconfig: of the cluster; None for commands that need none.
    """

    version: str
    home: Path
    kubeconfig: Path | None = None

    def __call__(
        self, *arguments: str, stdin: str | None = None, code: int = 0, timeout: float = 100.0
    ) -> subprocess.CompletedProcess[str]:
        """Run it and return its output.

        Raises:
            AssertionError: the exit code is not the expected one; the output is in the text.
        """
        env = {
            **os.environ,
            "KUBECONFIG": str(self.kubeconfig or self.home / "no-kubeconfig"),
            "KUBECACHEDIR": str(self.home / "kube-cache"),
            "HELM_CACHE_HOME": str(self.home / "cache"),
            "HELM_CONFIG_HOME": str(self.home / "config"),
            "HELM_DATA_HOME": str(self.home / "data"),
        }
        done = subprocess.run(
            [tools.build(tools.TOOLS[self.version]), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            env=env,
            cwd=self.home,
        )
        assert done.returncode == code, f"{self.version} {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done

    def template(
        self,
        values: Mapping[str, Any] | None = None,
        *flags: str,
        release: str = RELEASE,
        namespace: str = NAMESPACE,
        chart: Path = CHART,
        code: int = 0,
    ) -> subprocess.CompletedProcess[str]:
        """Run ``helm template`` as for a cluster of the version that the tests have."""
        kubernetes = tools.pinned_version(tools.TOOLS["kube-apiserver"])
        where = (release, str(chart), "--namespace", namespace, "--kube-version", kubernetes)
        return self("template", *where, "--values", "-", *flags, stdin=yaml.safe_dump(dict(values or {})), code=code)


def rendered(
    values: Mapping[str, Any] | None = None,
    *,
    version: str = "helm4",
    release: str = RELEASE,
    namespace: str = NAMESPACE,
) -> list[Object]:
    """Return the objects of the chart as helm renders them with these values.

    Raises:
        AssertionError: helm refused the values; its output is in the text.
    """
    with tempfile.TemporaryDirectory(prefix="helm-") as home:
        text = Helm(version, Path(home)).template(values, release=release, namespace=namespace).stdout
    return [item for item in yaml.safe_load_all(text) if item]


def of_kind(objects: Iterable[Object], kind: str) -> list[Object]:
    return [item for item in objects if item["kind"] == kind]


def operator_process_spec(objects: Iterable[Object]) -> tuple[list[str], dict[str, str]]:
    """Return arguments (from ``operator`` on) and environment of the operator's container.

    ``fieldRef`` is answered as a kubelet would for a Pod of the Deployment, ``$(NAME)`` in arguments is expanded as
    the kubelet does.

    Raises:
        ValueError: a variable comes from a ConfigMap or Secret, which rendering does not have.
    """
    (deployment,) = of_kind(objects, "Deployment")
    template = deployment["spec"]["template"]
    (container,) = template["spec"]["containers"]
    assert "command" not in container  # the image's entrypoint is the program itself
    fields = {
        "metadata.name": f"{deployment['metadata']['name']}-host",
        "metadata.namespace": deployment["metadata"]["namespace"],
        "spec.serviceAccountName": template["spec"]["serviceAccountName"],
    }
    env: dict[str, str] = {}
    for entry in container.get("env", ()):
        source = entry.get("valueFrom")
        if source is None:
            env[entry["name"]] = entry.get("value", "")
        elif "fieldRef" in source:
            env[entry["name"]] = fields[source["fieldRef"]["fieldPath"]]
        else:
            raise ValueError(f"env {entry['name']}: {next(iter(source))} needs a cluster")
    args = [re.sub(r"\$\((\w+)\)", lambda match: env[match[1]], item) for item in container["args"]]
    return args, env
