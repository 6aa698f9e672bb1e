"""Clusters that tests may write to: started by them, or named by the user."""

from __future__ import annotations

import base64
import os
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from hack import tools
from hack.cluster import Cluster, ensure_ours, start
from hack.components import AUDIT_LOG

from tests.support import audit
from tests.support.kube import Kube, ca_pem, condition, context_of

ROOT = Path(__file__).resolve().parents[2]
CRDS = tuple(sorted((ROOT / "crds").glob("*.yaml")))
CONTEXT_VARIABLE = "GATEWAY_TELEMETRY_TEST_CONTEXT"


@dataclass(frozen=True)
class ClusterAccess:
    """How to reach a cluster as its admin.

    Attributes:
        kubeconfig: file with this one context.
        control_plane: its processes, to halt and restart; None when the user named a cluster.
    """

    kubeconfig: Path
    control_plane: Cluster | None = None

    @property
    def context(self) -> str:
        return context_of(self.kubeconfig)[0]

    @property
    def server(self) -> str:
        return str(context_of(self.kubeconfig)[1]["server"])

    @property
    def ca(self) -> str:
        """The CA of the API server, PEM."""
        return ca_pem(context_of(self.kubeconfig)[1])

    @property
    def processes(self) -> Cluster:
        """The control plane's processes; a test that asks for them is skipped on a cluster that the user named."""
        if self.control_plane is None:
            pytest.skip(f"{self.context} was not started by the tests")
        return self.control_plane


@dataclass(frozen=True)
class Kubectl:
    """The real kubectl, of the same version as the API server, as an admin of one cluster."""

    kubeconfig: Path
    cache: Path

    def __call__(
        self, *arguments: str, stdin: str | None = None, code: int = 0, timeout: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run it and return its output.

        Raises:
            AssertionError: the exit code is not the expected one; the output is in the text.
        """
        done = subprocess.run(
            [tools.build(tools.TOOLS["kubectl"]), f"--kubeconfig={self.kubeconfig}", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            # Ports are used again: what kubectl remembers of one cluster must not answer for the next.
            env={**os.environ, "KUBECACHEDIR": str(self.cache)},
        )
        assert done.returncode == code, f"kubectl {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done


def kubectl_for(access: ClusterAccess) -> Kubectl:
    return Kubectl(access.kubeconfig, access.kubeconfig.parent / "kubectl-cache")


@contextmanager
def own_cluster(state: Path, name: str = "tests", apiserver_args: Sequence[str] = ()) -> Iterator[ClusterAccess]:
    """Run a control plane that ends with the block, and with this process whatever happens to it."""
    control_plane = start(name, state=state, die_with_parent=True, apiserver_args=apiserver_args)
    try:
        ensure_ours(control_plane.kubeconfig, None, state=state)
        yield ClusterAccess(control_plane.kubeconfig, control_plane)
    finally:
        audit.keep(control_plane.folder / AUDIT_LOG)
        control_plane.stop()


def named_cluster(context: str, folder: Path) -> ClusterAccess:
    """Return the cluster of a context of the user's kubeconfig, in a file that holds nothing else.

    Raises:
        subprocess.CalledProcessError: there is no such context.
    """
    binary = str(tools.build(tools.TOOLS["kubectl"]))
    view = subprocess.run(
        [binary, "config", "view", "--minify", "--flatten", f"--context={context}"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    kubeconfig = folder / "kubeconfig"
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(view.stdout)
    return ClusterAccess(kubeconfig)


def install_crds(kube: Kube) -> None:
    """Apply the committed CRDs and wait until they are served."""
    for file in CRDS:
        kube.apply(yaml.safe_load(file.read_text()), force=True)
    for file in CRDS:
        name = yaml.safe_load(file.read_text())["metadata"]["name"]
        kube.wait_condition("crd", None, name, "Established")


def make_namespace(kube: Kube, prefix: str = "test", labels: dict[str, str] | None = None) -> str:
    """Create a namespace with a name of its own, and wait until pods can be made in it."""
    name = f"{prefix}-{uuid.uuid4().hex[:8]}"
    kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels or {}}})
    kube.wait(f"the default ServiceAccount of {name}", lambda: kube.get("sa", name, "default"))
    return name


def service_account_kubeconfig(
    cluster: ClusterAccess, namespace: str, name: str, folder: Path | None = None, seconds: int = 3600
) -> Path:
    """Write a kubeconfig (mode 0600) that holds a fresh token of a ServiceAccount, as a Pod would get it.

    Args:
        folder: where to write it; beside the cluster's own kubeconfig when left out.
        seconds: lifetime of the token; the API server takes no less than 600.
    """
    with Kube(cluster) as kube:
        token = kube.call(
            "POST",
            f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token",
            {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenRequest",
                "spec": {"expirationSeconds": seconds, "audiences": []},
            },
        )["status"]["token"]
    context = f"{namespace}-{name}"
    entry = {"server": cluster.server, "certificate-authority-data": base64.b64encode(cluster.ca.encode()).decode()}
    data = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": context, "cluster": entry}],
        "users": [{"name": context, "user": {"token": token}}],
        "contexts": [{"name": context, "context": {"cluster": context, "user": context, "namespace": namespace}}],
        "current-context": context,
    }
    path = (folder or cluster.kubeconfig.parent) / f"{context}-{uuid.uuid4().hex[:8]}.kubeconfig"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(data))
    return path


def available(kube: Kube, namespace: str, name: str) -> bool:
    """Tell whether a Deployment's newest template has rolled out."""
    item = kube.get("deployment", namespace, name)
    status = (item or {}).get("status", {})
    return bool(
        item
        and status.get("observedGeneration") == item["metadata"]["generation"]
        and condition(item, "Available").get("status") == "True"
        and status.get("updatedReplicas", 0) == status.get("replicas", 0) == item["spec"]["replicas"]
    )
