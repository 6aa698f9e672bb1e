"""Role-only mode: what becomes of the others when one of the watched namespaces, and the Role in it, goes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.support import objects
from tests.support.cluster import ClusterAccess, make_namespace
from tests.support.helm import operator_process_spec, rendered, service_account_kubeconfig
from tests.support.kube import Kube, same
from tests.support.operator import OperatorProcess

MakeNamespace = Callable[..., str]


def test_a_watched_namespace_that_goes_takes_nothing_from_the_others(
    cluster: ClusterAccess, kube: Kube, new_namespace: MakeNamespace, tmp_path: Path
) -> None:
    home, stays, goes = new_namespace("home"), new_namespace("stays"), make_namespace(kube, "goes")
    chart = rendered({"watchNamespaces": [stays, goes], "crds": {"enabled": False}}, namespace=home)
    for item in chart:
        if item["kind"] != "Deployment":
            kube.create(item)
    args, env = operator_process_spec(chart)
    args = [item for item in args[1:] if not item.startswith(("--health-address", "--metrics-address"))]
    account = service_account_kubeconfig(cluster, home, "gateway-telemetry-operator", tmp_path)
    with OperatorProcess(account, tmp_path, *args, env={**env, "POD_NAMESPACE": home}) as process:
        for namespace in (stays, goes):
            for item in (
                objects.secret(namespace),
                objects.target(namespace),
                objects.deployment(namespace),
                objects.gateway(namespace),
            ):
                kube.apply(item)
            kube.wait_condition("gt", namespace, "gateway", "Programmed", timeout=60)
        kube.delete("namespace", None, goes)
        kube.wait_gone("namespace", None, goes, timeout=60)
        followed(kube, stays, "after")
        assert process.ready()
        process.kill()
        process.start()
        assert f"namespace {goes} is left out until the operator may read it" in process.log()
        followed(kube, stays, "again")
        kube.delete("gt", stays, "gateway")
        same(["langsmith"], lambda: secrets(kube, stays), "what was written is taken back")


def followed(kube: Kube, namespace: str, project: str) -> None:
    kube.apply(objects.gateway(namespace, project=project))
    kube.wait(
        f"traces go to {project}",
        lambda: (kube.get("gt", namespace, "gateway") or {})["status"]["traces"]["project"] == project,
        30,
    )


def secrets(kube: Kube, namespace: str) -> list[str]:
    return [item["metadata"]["name"] for item in kube.list("secret", namespace)]
