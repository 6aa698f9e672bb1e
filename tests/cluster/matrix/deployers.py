"""The tools that people deploy gateways with, all told the same way what to do."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import yaml

from tests.support import argocd
from tests.support.cluster import ROOT, Kubectl
from tests.support.flux import Flux
from tests.support.gitserver import GitServer
from tests.support.helm import Helm
from tests.support.kube import APPLY_PATCH, Kube, Object

CHART = ROOT / "tests" / "fixtures" / "gateway-chart"
KUSTOMIZATION = ROOT / "tests" / "fixtures" / "gateway-kustomization"
NAME = "gateway"
"""Of the release, the Deployment and everything else that a tool makes."""


class Deployer(Protocol):
    """One tool; a *version* is a file of the chart's ``changes/`` and a folder of the kustomization."""

    def deploy(self, namespace: str, version: str) -> str:
        """Install or upgrade as a person or a pipeline would.

        Returns:
            What the tool says when it fails; empty when it succeeds.
        """

    def difference(self, namespace: str, version: str) -> str:
        """Return what the tool still wants to change after it has succeeded; empty when nothing."""

    def rendered(self, namespace: str, version: str) -> list[Object]:
        """Return the objects of a version as the tool sends them."""


def refusal(run: Callable[[], object]) -> str:
    """Run a program of `Helm` or `Kubectl` that may fail, and return what it says if it does."""
    try:
        run()
    except AssertionError as error:
        return str(error)
    return ""


@dataclass(frozen=True)
class HelmDeployer:
    """``helm upgrade --install`` of the chart, by Helm 3 (three-way merge) or Helm 4 (server-side apply)."""

    helm: Helm
    kube: Kube

    def deploy(self, namespace: str, version: str) -> str:
        values = CHART / "changes" / f"{version}.yaml"
        where = ("--install", NAME, str(CHART), "--namespace", namespace, "--values", str(values))
        return refusal(lambda: self.helm("upgrade", *where))

    def difference(self, namespace: str, version: str) -> str:
        before = _deployment(self.kube, namespace)
        failed = self.deploy(namespace, version) or self.deploy(namespace, version)
        after = _deployment(self.kube, namespace)
        return failed or ("" if before == after else f"before {before}\nafter {after}")

    def rendered(self, namespace: str, version: str) -> list[Object]:
        values = CHART / "changes" / f"{version}.yaml"
        done = self.helm("template", NAME, str(CHART), "--namespace", namespace, "--values", str(values))
        return [item for item in yaml.safe_load_all(done.stdout) if item]


@dataclass(frozen=True)
class KubectlDeployer:
    """``kubectl apply -k``, on the client's side or, with a manager, on the server's side."""

    kubectl: Kubectl
    flags: tuple[str, ...] = ()

    def deploy(self, namespace: str, version: str) -> str:
        where = ("--namespace", namespace, "--kustomize", str(KUSTOMIZATION / version))
        return refusal(lambda: self.kubectl("apply", *self.flags, *where))

    def difference(self, namespace: str, version: str) -> str:
        where = ("--namespace", namespace, "--kustomize", str(KUSTOMIZATION / version))
        return self.deploy(namespace, version) or refusal(lambda: self.kubectl("diff", *self.flags, *where))

    def rendered(self, namespace: str, version: str) -> list[Object]:
        text = self.kubectl("kustomize", str(KUSTOMIZATION / version)).stdout
        return [_placed(item, namespace) for item in yaml.safe_load_all(text)]


@dataclass(frozen=True)
class ArgoDeployer:
    """What a sync of Argo CD sends, by kubectl's apply, and Argo CD's own answer whether the result is Synced.

    Attributes:
        server_side: sync option ServerSideApply=true and compare option ServerSideDiff=true; neither by default.
    """

    kubectl: Kubectl
    kube: Kube
    server_side: bool

    def _sync(self) -> KubectlDeployer:
        # Argo CD always forces a server-side apply.
        server = ("--server-side", "--force-conflicts", f"--field-manager={argocd.MANAGER}")
        return KubectlDeployer(self.kubectl, server if self.server_side else ())

    def deploy(self, namespace: str, version: str) -> str:
        return self._sync().deploy(namespace, version)

    def difference(self, namespace: str, version: str) -> str:
        return self.deploy(namespace, version) or self.comparison(namespace, version)

    def comparison(self, namespace: str, version: str) -> str:
        """Return what Argo CD would show of a version that it has not synced; empty when that is Synced."""
        found = []
        for item in self.rendered(namespace, version):
            name = item["metadata"]["name"]
            live = self.kube.get(item["kind"], namespace, name)
            assert live is not None
            predicted = self._predicted(item) if self.server_side else None
            found.append(argocd.out_of_sync(item, live, predicted))
        return "\n".join(filter(None, found))

    def _predicted(self, item: Object) -> Object:
        path = self.kube.resource(item["kind"]).path(item["metadata"]["namespace"], item["metadata"]["name"])
        params = {"fieldManager": argocd.MANAGER, "force": "true", "dryRun": "All"}
        return self.kube.call("PATCH", path, item, params=params, content_type=APPLY_PATCH)

    def rendered(self, namespace: str, version: str) -> list[Object]:
        return self._sync().rendered(namespace, version)


@dataclass(frozen=True)
class FluxDeployer:
    """A commit to a Git repository that a Kustomization of Flux follows."""

    flux: Flux
    git: GitServer
    kubectl: Kubectl
    kube: Kube

    def deploy(self, namespace: str, version: str) -> str:
        def fill(folder: Path) -> None:
            shutil.copytree(KUSTOMIZATION, folder, dirs_exist_ok=True)
            root = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": [version]}
            (folder / "kustomization.yaml").write_text(yaml.safe_dump(root))

        commit = self.git.commit(namespace, fill)
        self.flux.follow(namespace, NAME, self.git.url(namespace))
        done = self.flux.reconcile(namespace, NAME, commit)
        return "" if done.ready else done.message

    def difference(self, namespace: str, version: str) -> str:
        before = _deployment(self.kube, namespace)
        failed = self.deploy(namespace, version) or self.deploy(namespace, version)
        after = _deployment(self.kube, namespace)
        return failed or ("" if before == after else f"before {before}\nafter {after}")

    def rendered(self, namespace: str, version: str) -> list[Object]:
        return KubectlDeployer(self.kubectl).rendered(namespace, version)


def _deployment(kube: Kube, namespace: str) -> Object:
    """Return all of the Deployment that a tool could have changed."""
    found = kube.get("deployment", namespace, NAME)
    assert found is not None
    meta = found["metadata"]
    owners = sorted((item["manager"], item["operation"]) for item in meta["managedFields"])
    return {"generation": meta["generation"], "owners": owners, "spec": found["spec"]}


def _placed(item: Object, namespace: str) -> Object:
    return {**item, "metadata": {**item["metadata"], "namespace": namespace}}
