"""``helm uninstall``: the hook's own command, as the installed release would run it, leaves nothing behind."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.conftest import MakeNamespace
from tests.support import objects
from tests.support.cluster import ClusterAccess, service_account_kubeconfig
from tests.support.helm import CHART, Helm, of_kind, operator_process_spec
from tests.support.kube import Kube, condition
from tests.support.objects import Object
from tests.support.operator import PROGRAM, OperatorProcess

RELEASE = "gateway-telemetry"
NAME = "gateway-telemetry-operator"


class Installed:
    """A release of the chart whose operator runs as a host process."""

    def __init__(self, helm: Helm, cluster: ClusterAccess, home: str, watched: str, folder: Path) -> None:
        values = yaml.safe_dump({"watchNamespaces": [watched], "crds": {"enabled": False}})
        flags = ("--namespace", home, "--values", "-")
        helm("install", RELEASE, str(CHART), *flags, stdin=values)
        self.manifest: list[Object] = [
            item for item in yaml.safe_load_all(helm("get", "manifest", RELEASE, "-n", home).stdout) if item
        ]
        [self.hook] = [item for item in yaml.safe_load_all(helm("get", "hooks", RELEASE, "-n", home).stdout) if item]
        [account] = of_kind(self.manifest, "ServiceAccount")
        self.kubeconfig = service_account_kubeconfig(cluster, home, account["metadata"]["name"], folder)
        self.home = home

    def operator(self, folder: Path) -> OperatorProcess:
        arguments, env = operator_process_spec(self.manifest)
        own = [item for item in arguments[1:] if not item.startswith(("--health-address", "--metrics-address"))]
        return OperatorProcess(self.kubeconfig, folder, *own, env=env)

    def uninstall(self, *more: str) -> subprocess.CompletedProcess[str]:
        """Run the command of the hook's Job."""
        [container] = self.hook["spec"]["template"]["spec"]["containers"]
        arguments = [item.replace("$(POD_NAMESPACE)", self.home) for item in container["args"]]
        command = [str(PROGRAM), *arguments, "--kubeconfig", str(self.kubeconfig), *more]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)


@pytest.fixture
def release(
    cluster: ClusterAccess, kube: Kube, new_namespace: MakeNamespace, tmp_path: Path
) -> tuple[Installed, Helm, str]:
    helm = Helm("helm4", tmp_path, cluster.kubeconfig)
    home, watched = new_namespace("home"), new_namespace("watched")
    return Installed(helm, cluster, home, watched, tmp_path), helm, watched


def applied(kube: Kube, namespace: str, *names: str) -> dict[str, Any]:
    kube.apply(objects.secret(namespace))
    kube.apply(objects.target(namespace))
    for name in names:
        kube.apply(objects.deployment(namespace, name, replicas=0))
        kube.apply(objects.gateway(namespace, name, app=name))
    for name in names:
        kube.wait_condition("gatewaytelemetry", namespace, name, "Ready", timeout=60)
    return {name: kube.get("deployment", namespace, name) for name in names}


def env_of(deployment: Object | None) -> list[Object]:
    assert deployment is not None
    found: list[Object] = deployment["spec"]["template"]["spec"]["containers"][0].get("env") or []
    return found


def test_helm_uninstall_leaves_nothing_behind(release: tuple[Installed, Helm, str], kube: Kube, tmp_path: Path) -> None:
    installed, helm, watched = release
    with installed.operator(tmp_path) as operator:
        applied(kube, watched, "one", "two")
        operator.stop()  # as the kubelet does when the hook scales the Deployment down
    done = installed.uninstall()
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert f"scaling Deployment {installed.home}/{NAME} to 0" in done.stdout
    for name in ("one", "two"):
        assert f"Deployment {watched}/{name} is as it was" in done.stdout
        assert env_of(kube.get("deployment", watched, name)) == []
        gateway = kube.get("gatewaytelemetry", watched, name)
        assert gateway is not None
        assert "finalizers" not in gateway["metadata"]
        assert [(item["type"], item["status"], item["reason"]) for item in gateway["status"]["conditions"]] == [
            ("Ready", "Unknown", "Uninstalled")
        ]
    assert condition(kube.get("langsmithtarget", watched, "prod"), "Ready")["reason"] == "Uninstalled"
    assert kube.list("secret", watched, "gatewaytelemetry.dev/role=copy") == []
    assert done.stdout.splitlines()[-1] == "nothing of the operator's is left"
    assert kube.list("lease", installed.home) == []
    again = installed.uninstall()
    assert again.returncode == 0
    helm("uninstall", RELEASE, "-n", installed.home, "--wait")
    # What the user made is still there, and can be deleted with no operator at hand.
    kube.delete("gatewaytelemetry", watched, "one")
    kube.wait_gone("gatewaytelemetry", watched, "one")


def test_an_operator_that_still_leads_is_told_and_nothing_is_touched(
    release: tuple[Installed, Helm, str], kube: Kube, tmp_path: Path
) -> None:
    installed, helm, watched = release
    with installed.operator(tmp_path):
        before = applied(kube, watched, "one")
        done = installed.uninstall("--timeout=3")
        assert done.returncode == 1
        assert "still holds it, so nothing was taken back" in done.stderr
        live = kube.get("deployment", watched, "one")
        assert live is not None
        assert live["spec"] == before["one"]["spec"]
    helm("uninstall", RELEASE, "-n", installed.home, "--no-hooks")


def test_an_operator_that_nobody_stopped_is_noticed(
    cluster: ClusterAccess, kube: Kube, namespace: str, tmp_path: Path
) -> None:
    """Without a Lease nothing tells whether one still runs, but what it writes does."""
    command = [str(PROGRAM), "uninstall", "--kubeconfig", str(cluster.kubeconfig), "--watch-namespace", namespace]
    with OperatorProcess(cluster.kubeconfig, tmp_path, f"--watch-namespace={namespace}"):
        applied(kube, namespace, "litellm")
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 1
        assert (
            f"Secret {namespace}/gateway-telemetry-deployment-litellm: an operator has written it again: stop the"
            in done.stderr
        )
        assert "nothing of the operator's is left" not in done.stdout
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "nothing of the operator's is left"


def test_what_cannot_be_taken_back_is_named(release: tuple[Installed, Helm, str], kube: Kube, tmp_path: Path) -> None:
    installed, helm, watched = release
    with installed.operator(tmp_path):
        applied(kube, watched, "one")
    role = kube.get("role", watched, NAME)
    assert role is not None
    for rule in role["rules"]:
        if rule["resources"][0] == "deployments":
            rule["verbs"].remove("patch")
    kube.replace(role)
    done = installed.uninstall("--timeout=3")
    assert done.returncode == 1
    assert f"Deployment {watched}/one: the operator's ServiceAccount lacks the permission: patch deployments.apps" in (
        done.stderr
    )
    gateway = kube.get("gatewaytelemetry", watched, "one")
    assert gateway is not None
    assert "finalizers" not in gateway["metadata"]  # none in named namespaces: what is remembered is the record
    assert len(kube.list("secret", watched, "gatewaytelemetry.dev/role=copy")) == 1
    helm("upgrade", RELEASE, str(CHART), "-n", installed.home, "--reuse-values", "--force-conflicts")
    assert installed.uninstall().returncode == 0
    assert env_of(kube.get("deployment", watched, "one")) == []
    helm("uninstall", RELEASE, "-n", installed.home, "--wait")


def test_a_template_that_kubectl_applies_holds_no_uninstall(tmp_path: Path) -> None:
    text = Helm("helm4", tmp_path).template().stdout
    assert "Deployment" in {item["kind"] for item in yaml.safe_load_all(text) if item}
    assert "Job" not in {item["kind"] for item in yaml.safe_load_all(text) if item}
