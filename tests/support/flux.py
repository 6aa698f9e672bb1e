"""Flux's source-controller and kustomize-controller as processes of this machine, and what they are told.

Both are the released modules, built from source; the kubeconfig takes the place of their ServiceAccounts.
"""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import yaml
from hack import tools
from hack.cluster import free_ports

from tests.support.cluster import ClusterAccess
from tests.support.kube import Kube, NotInTime, Object, condition, wait

CONTROLLERS = ("source-controller", "kustomize-controller")
_CRDS = {
    "source-controller": ("gitrepositories", "buckets", "externalartifacts", "helmcharts", "helmrepositories",
                          "ocirepositories"),
    "kustomize-controller": ("kustomizations",),
}  # fmt: skip
_GROUPS = {
    "source-controller": "source.toolkit.fluxcd.io",
    "kustomize-controller": "kustomize.toolkit.fluxcd.io",
}
_SYSTEM = "flux-system"
_NEVER = "24h"  # every run is asked for
_REQUEST = "reconcile.fluxcd.io/requestedAt"
START_SECONDS = 60.0


def build() -> None:
    """Build both controllers unless this machine has them; minutes, the first time.

    Raises:
        tools.BuildError: the Go compiler failed.
    """
    for name in CONTROLLERS:
        tools.build(tools.TOOLS[name])


def _crds(controller: str) -> list[Object]:
    """Return the CRDs that lie in the controller's own module, at the version that is built."""
    module = tools.TOOLS[controller].version_of
    done = subprocess.run(
        ["go", "mod", "download", "-json", module],
        cwd=tools.ROOT / controller,
        env={**os.environ, "GOWORK": "off"},
        capture_output=True,
        text=True,
        check=True,
    )
    folder = Path(json.loads(done.stdout)["Dir"]) / "config" / "crd" / "bases"
    group = _GROUPS[controller]
    return [yaml.safe_load((folder / f"{group}_{name}.yaml").read_text()) for name in _CRDS[controller]]


@dataclass(frozen=True)
class Applied:
    """How a run of a Kustomization ended.

    Attributes:
        ready: whether it is Ready.
        message: of the condition Ready.
    """

    ready: bool
    message: str


class Flux:
    """Both controllers against one cluster, ready when the block is entered."""

    def __init__(self, cluster: ClusterAccess, kube: Kube, folder: Path) -> None:
        self._cluster = cluster
        self._kube = kube
        self._folder = folder
        self._stack = ExitStack()

    def __enter__(self) -> Flux:
        self._folder.mkdir(parents=True, exist_ok=True)
        for controller in CONTROLLERS:
            for crd in _crds(controller):
                self._kube.apply(crd, force=True)
                self._kube.wait_condition("crd", None, crd["metadata"]["name"], "Established")
        system = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _SYSTEM}}
        self._kube.apply(system)
        ports = free_ports(5)
        artifacts = f"127.0.0.1:{ports[4]}"
        storage = self._folder / "artifacts"
        storage.mkdir()
        try:
            self._start(
                "source-controller",
                ports[0:2],
                f"--storage-path={storage}",
                f"--storage-addr={artifacts}",
                f"--storage-adv-addr={artifacts}",
            )
            self._start("kustomize-controller", ports[2:4], "--requeue-dependency=1s")
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start(self, name: str, ports: list[int], *arguments: str) -> None:
        home = self._folder / name
        home.mkdir()
        log = home / "log"
        env = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        env |= {
            "KUBECONFIG": str(self._cluster.kubeconfig),
            "RUNTIME_NAMESPACE": _SYSTEM,
            "HOME": str(home),
            "TMPDIR": str(home),
        }
        health, metrics = ports
        command = [
            str(tools.build(tools.TOOLS[name])),
            f"--health-addr=127.0.0.1:{health}",
            f"--metrics-addr=127.0.0.1:{metrics}",
            "--interval-jitter-percentage=0",
            "--log-level=info",
            *arguments,
        ]
        with log.open("ab") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out, env=env, cwd=home)
        self._stack.callback(_end, process)

        def ready() -> bool:
            assert process.poll() is None, f"{name} ended with {process.returncode}:\n{log.read_text()[-3000:]}"
            answer = httpx.get(f"http://127.0.0.1:{health}/readyz", timeout=2, trust_env=False)
            return answer.status_code == httpx.codes.OK

        try:
            wait(f"{name} is ready", ready, START_SECONDS)
        except NotInTime as error:
            raise NotInTime(f"{error}\n{log.read_text()[-3000:]}") from None

    def follow(self, namespace: str, name: str, url: str, path: str = "./", **spec: Any) -> None:
        """Have a path of a Git repository applied into a namespace; first with the next `reconcile`.

        Args:
            spec: further fields of the Kustomization's spec, or others than here.
        """
        meta = {"name": name, "namespace": namespace}
        self._kube.apply(
            {
                "apiVersion": "source.toolkit.fluxcd.io/v1",
                "kind": "GitRepository",
                "metadata": meta,
                "spec": {"url": url, "ref": {"branch": "main"}, "interval": _NEVER, "timeout": "20s"},
            }
        )
        self._kube.apply(
            {
                "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
                "kind": "Kustomization",
                "metadata": meta,
                "spec": {
                    "sourceRef": {"kind": "GitRepository", "name": name},
                    "path": path,
                    "targetNamespace": namespace,
                    "interval": _NEVER,
                    "retryInterval": _NEVER,
                    "timeout": "20s",
                    "prune": True,
                    **spec,
                },
            }
        )

    def reconcile(self, namespace: str, name: str, commit: str) -> Applied:
        """Do what ``flux reconcile kustomization NAME --with-source`` does, and say how it ended."""

        def fetched() -> bool:
            item = self._kube.get("gitrepository", namespace, name) or {}
            artifact = (item.get("status") or {}).get("artifact") or {}
            return str(artifact.get("revision", "")).endswith(commit)

        self._ask("gitrepository", namespace, name)
        wait(f"commit {commit} is fetched into {namespace}", fetched)
        token = self._ask("kustomization", namespace, name)
        seen: Object = {}

        def done() -> bool:
            seen.update(self._kube.get("kustomization", namespace, name) or {})
            status = seen.get("status") or {}
            found = condition(seen, "Ready")
            return (
                status.get("lastHandledReconcileAt") == token
                and str(status.get("lastAttemptedRevision", "")).endswith(commit)
                and found.get("status") in ("True", "False")
                and found.get("observedGeneration") == seen["metadata"]["generation"]
            )

        wait(f"kustomization {namespace}/{name} is applied or refused", done)
        found = condition(seen, "Ready")
        return Applied(found["status"] == "True", found["message"])

    def _ask(self, kind: str, namespace: str, name: str) -> str:
        token = uuid.uuid4().hex
        self._kube.merge_patch(kind, namespace, name, {"metadata": {"annotations": {_REQUEST: token}}})
        return token


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
