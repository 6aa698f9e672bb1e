"""Operators under test run as the chart's ServiceAccount: with the rights that users grant it, and no others.

What they ask for stands in the API server's audit log, and what they may ask for in the chart's roles: the two are
compared when the cluster tier has run (tests/rights).
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from pathlib import Path

from tests.support.audit import HOME
from tests.support.cluster import ClusterAccess
from tests.support.helm import Object, rendered, service_account_kubeconfig
from tests.support.kube import Kube, context_of

NAME = "gateway-telemetry-operator"
TOKEN_SECONDS = 24 * 3600


@functools.cache
def rbac(namespace: str = HOME) -> tuple[Object, ...]:
    """Return ServiceAccount, roles and bindings of the chart, with all rights that are granted apart."""
    kinds = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
    writes = dict.fromkeys(("openTelemetryCollectors", "gatewayConfigs", "agentgatewayParameters"), True)
    values = {
        "rbac": {"userRoles": {"create": False}},
        "verification": {"jobs": {"enabled": True}},
        "writes": writes,
    }
    chart = rendered(values, namespace=namespace)
    return tuple(item for item in chart if item["kind"] in kinds)


@functools.cache
def chart_account(kubeconfig: Path) -> Path:
    """Return a kubeconfig of the chart's ServiceAccount in the same cluster; made there when first asked for.

    A kubeconfig that holds a token is some ServiceAccount's already, and is returned as it is.
    """
    if "token" in context_of(kubeconfig)[2]:
        return kubeconfig
    cluster = ClusterAccess(kubeconfig)
    with Kube(cluster) as kube:
        if kube.get("namespace", None, HOME) is None:
            kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOME}})
        for item in rbac():
            kube.apply(item)
        account = service_account_kubeconfig(cluster, HOME, NAME, seconds=TOKEN_SECONDS)
        _wait_for(kube, account, "list", "gatewaytelemetry.dev", "gatewaytelemetries")
    return account


def grant_lease(kubeconfig: Path, flags: Sequence[str]) -> None:
    """Grant the account the Lease that the operator's flags name, as the chart does in the operator's own namespace."""
    named = dict(item.partition("=")[::2] for item in flags)
    namespace = named.get("--lease-namespace")
    if namespace is None or "token" in context_of(kubeconfig)[2]:
        return
    with Kube(ClusterAccess(kubeconfig)) as kube:
        for item in rbac():
            if item["metadata"]["name"] == f"{NAME}-lease":
                mine = copy.deepcopy(item)
                mine["metadata"]["namespace"] = namespace
                kube.apply(mine)
        _wait_for(kube, chart_account(kubeconfig), "create", "coordination.k8s.io", "leases", namespace)


def remove(kube: Kube) -> None:
    """Take away what was made in a cluster that outlives the tests."""
    for item in rbac():
        if item["kind"].startswith("ClusterRole"):
            kube.delete(item["kind"], None, item["metadata"]["name"])
    kube.delete("namespace", None, HOME)


def _wait_for(kube: Kube, account: Path, verb: str, group: str, resource: str, namespace: str = "") -> None:
    """Wait until the API server's authorizer knows of a right that was just granted."""
    attributes = {"verb": verb, "group": group, "resource": resource, "namespace": namespace}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": f"system:serviceaccount:{HOME}:{NAME}", "resourceAttributes": attributes},
    }
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    kube.wait(
        f"{account.name} may {verb} {resource}", lambda: kube.call("POST", path, review)["status"].get("allowed", False)
    )
