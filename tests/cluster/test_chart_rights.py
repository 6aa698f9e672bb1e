"""What the chart lets the operator do: as little as its code needs, and enough for all of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway_telemetry.control.feed import WATCHED_CLUSTERWIDE
from tests.support import objects
from tests.support.cluster import ClusterAccess, Kubectl, install_crds, make_namespace
from tests.support.helm import (
    CHART,
    RELEASE,
    Helm,
    Object,
    of_kind,
    operator_process_spec,
    rendered,
    service_account_kubeconfig,
)
from tests.support.kube import Kube, same
from tests.support.operator import OperatorProcess

MakeNamespace = Callable[..., str]


def rules(role: Object) -> set[tuple[str, str]]:
    return {(verb, resource) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}


WATCHED = {
    *((verb, "langsmithtargets") for verb in ("list", "watch")),
    *((verb, "gatewaytelemetries") for verb in ("list", "watch", "patch")),
    ("patch", "langsmithtargets/status"),
    ("patch", "gatewaytelemetries/status"),
    *(
        (verb, workload)
        for workload in ("deployments", "statefulsets", "daemonsets")
        for verb in ("get", "list", "watch", "patch")
    ),
    *((verb, "secrets") for verb in ("get", "list", "watch", "create", "patch", "delete")),
    *((verb, "configmaps") for verb in ("get", "list", "watch", "create", "patch", "delete")),
    ("list", "pods"),
    ("get", "services"),
}


def test_rights_in_all_namespaces() -> None:
    chart = rendered({"rbac": {"userRoles": {"create": False}}})
    (role,) = of_kind(chart, "ClusterRole")
    assert rules(role) == WATCHED | {("list", "namespaces"), ("watch", "namespaces")}
    (lease,) = of_kind(chart, "Role")
    assert lease["metadata"]["namespace"] == "gateway-telemetry-system"
    assert rules(lease) == {
        *((verb, "leases") for verb in ("create", "get", "update", "delete")),
        ("patch", "deployments/scale"),
    }
    own = ["gateway-telemetry-operator"]
    assert [item.get("resourceNames") for item in lease["rules"]] == [None, own, own, own]


def test_rights_in_named_namespaces_only() -> None:
    chart = rendered({"watchNamespaces": ["team-a", "gateway-telemetry-system"]})
    assert not [item for item in chart if item["kind"].startswith("ClusterRole")]
    roles = {(item["metadata"]["namespace"], item["metadata"]["name"]): rules(item) for item in of_kind(chart, "Role")}
    assert roles == {
        ("team-a", "gateway-telemetry-operator"): WATCHED,
        ("gateway-telemetry-system", "gateway-telemetry-operator"): WATCHED,
        ("gateway-telemetry-system", "gateway-telemetry-operator-lease"): {
            ("patch", "deployments/scale"),
            *((verb, "leases") for verb in ("create", "get", "update", "delete")),
        },
    }
    for binding in of_kind(chart, "RoleBinding"):
        assert (binding["metadata"]["namespace"], binding["roleRef"]["name"]) in roles


def test_every_kind_that_is_watched_may_be_watched() -> None:
    needed = {(verb, item.resource.plural) for item in WATCHED_CLUSTERWIDE for verb in ("list", "watch")}
    granted = {
        right
        for role in of_kind(rendered({"rbac": {"userRoles": {"create": False}}}), "ClusterRole")
        for right in rules(role)
    }
    on_demand = {("list", "pods")}
    assert {right for right in granted if right[0] in ("list", "watch")} == needed | on_demand


def test_no_rule_holds_a_wildcard() -> None:
    for item in rendered():
        for rule in item.get("rules", ()):
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]


@pytest.mark.parametrize("everywhere", [True, False], ids=["all-namespaces", "named-namespaces"])
def test_the_rights_are_enough_for_a_whole_life(empty: tuple[Helm, Kube], tmp_path: Path, everywhere: bool) -> None:
    """Elected, written, followed, restored, and given back, with arguments and token of the installed release."""
    helm, kube = empty
    home, team = make_namespace(kube, "home"), make_namespace(kube, "team")
    install_crds(kube)
    values = {"crds": {"enabled": False}} | ({} if everywhere else {"watchNamespaces": [team]})
    flags = ("--namespace", home, "--wait", "--values", "-")
    helm("install", RELEASE, str(CHART), *flags, stdin=yaml.safe_dump(values))
    manifest = [item for item in yaml.safe_load_all(helm("get", "manifest", RELEASE, "-n", home).stdout) if item]
    args, env = operator_process_spec(manifest)
    args = [item for item in args[1:] if not item.startswith(("--health-address", "--metrics-address"))]
    assert helm.kubeconfig is not None
    account = service_account_kubeconfig(ClusterAccess(helm.kubeconfig), home, "gateway-telemetry-operator", tmp_path)
    before = kube.create(objects.deployment(team))
    with OperatorProcess(account, tmp_path, *args, env={**env, "POD_NAMESPACE": home}) as process:
        lease = kube.get("lease", home, "gateway-telemetry-operator")
        assert lease is not None
        assert lease["spec"]["holderIdentity"].startswith("gateway-telemetry-operator-host_")
        for item in (objects.secret(team), objects.target(team), objects.gateway(team)):
            kube.create(item)
        kube.wait_condition("gatewaytelemetry", team, "gateway", "Ready", timeout=60)
        kube.merge_patch("lst", team, "prod", {"spec": {"project": "moved"}})
        kube.wait(
            "the new project is in status",
            lambda: (kube.get("gt", team, "gateway") or {})["status"]["traces"]["project"] == "moved",
        )
        kube.delete("gatewaytelemetry", team, "gateway")
        kube.wait_gone("gatewaytelemetry", team, "gateway")
        same(["langsmith"], lambda: [item["metadata"]["name"] for item in kube.list("secret", team)], "copies are gone")
        after = kube.get("deployment", team, "gateway")
        assert after is not None
        assert after["spec"] == before["spec"]
        assert process.stop() == 0
        assert "forbidden" not in process.log().lower()
    released = kube.get("lease", home, "gateway-telemetry-operator")
    assert released is not None
    assert not released["spec"].get("holderIdentity")
    helm("uninstall", RELEASE, "--namespace", home, "--wait")


LST = {"group": "gatewaytelemetry.dev", "resource": "langsmithtargets"}
Right = tuple[str, str, str]
"""Verb, resource as kubectl names it, and namespace."""


def allowed(access: ClusterAccess, kube: Kube, namespace: str, folder: Path, rights: list[Right]) -> dict[Right, bool]:
    """Ask the API server what the chart's ServiceAccount may do, with a token of it."""
    file = service_account_kubeconfig(access, namespace, "gateway-telemetry-operator", folder)
    answers = {}
    with Kube(ClusterAccess(file)) as account:
        for verb, name, where in rights:
            plural, _, subresource = name.partition("/")
            found = kube.resource(plural)
            attributes = {
                "verb": verb,
                "group": found.group,
                "resource": found.plural,
                "subresource": subresource,
                "namespace": where,
            }
            review = {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": attributes},
            }
            path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
            answers[verb, name, where] = bool(account.call("POST", path, review)["status"]["allowed"])
    return answers


def install_rbac(kube: Kube, namespace: str, values: Mapping[str, Any]) -> list[Object]:
    chart = rendered({**values, "crds": {"enabled": False}}, namespace=namespace)
    made = [item for item in chart if item["kind"] != "Deployment"]
    for item in made:
        kube.create(item)
    return made


@pytest.mark.parametrize("everywhere", [True, False], ids=["all-namespaces", "named-namespaces"])
def test_what_the_service_account_may_do(
    cluster: ClusterAccess, kube: Kube, new_namespace: MakeNamespace, tmp_path: Path, everywhere: bool
) -> None:
    home, watched, other = (new_namespace(prefix) for prefix in ("home", "watched", "other"))
    made = install_rbac(kube, home, {} if everywhere else {"watchNamespaces": [watched]})
    expected: dict[Right, bool] = {
        ("list", "secrets", watched): True,
        ("delete", "secrets", watched): True,
        ("patch", "deployments", watched): True,
        ("update", "deployments", watched): False,
        ("create", "deployments", watched): False,
        ("delete", "deployments", watched): False,
        ("patch", "deployments/scale", watched): False,
        ("patch", "gatewaytelemetries", watched): True,
        ("patch", "gatewaytelemetries/status", watched): True,
        ("patch", "langsmithtargets", watched): False,
        ("patch", "langsmithtargets/status", watched): True,
        ("delete", "gatewaytelemetries", watched): False,
        ("patch", "configmaps", watched): True,
        ("patch", "configmaps", other): everywhere,
        ("list", "services", watched): False,
        ("list", "pods", watched): True,
        ("get", "pods", watched): False,
        ("create", "pods/exec", watched): False,
        ("patch", "statefulsets", watched): True,
        ("delete", "daemonsets", watched): False,
        ("create", "serviceaccounts/token", watched): False,
        ("create", "rolebindings", watched): False,
        ("list", "secrets", other): everywhere,
        ("list", "secrets", ""): everywhere,
        ("watch", "gatewaytelemetries", ""): everywhere,
        ("list", "namespaces", ""): everywhere,
        ("get", "namespaces", ""): False,
        ("create", "leases", home): True,
        ("patch", "deployments/scale", home): False,  # only the operator's own Deployment, by name
        ("list", "leases", home): False,
        ("create", "leases", watched): False,
        ("list", "customresourcedefinitions", ""): False,
    }
    try:
        assert allowed(cluster, kube, home, tmp_path, list(expected)) == expected
    finally:
        for item in made:
            if item["kind"].startswith("ClusterRole"):
                kube.delete(item["kind"], None, item["metadata"]["name"])


@pytest.mark.parametrize("asked", [False, True], ids=["by-default", "asked-for"])
def test_whoever_may_view_sees_both_kinds_and_whoever_may_edit_writes_them_where_that_was_asked_for(
    kube: Kube, kubectl: Kubectl, new_namespace: MakeNamespace, asked: bool
) -> None:
    home, team = new_namespace("home"), new_namespace("team")
    made = install_rbac(kube, home, {"rbac": {"userRoles": {"aggregateToEdit": asked}}})
    own = f"{home}:gateway-telemetry-operator:edit"
    try:
        for account, role in (("viewer", "view"), ("editor", "edit"), ("chosen", own)):
            kubectl("create", "serviceaccount", account, "-n", team)
            subject = f"--serviceaccount={team}:{account}"
            kubectl("create", "rolebinding", account, f"--clusterrole={role}", subject, "-n", team)

        def may(account: str, verb: str) -> bool:
            review = {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SubjectAccessReview",
                "spec": {
                    "user": f"system:serviceaccount:{team}:{account}",
                    "resourceAttributes": {**LST, "namespace": team, "verb": verb},
                },
            }
            path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
            return bool(kube.call("POST", path, review)["status"].get("allowed", False))

        kube.wait("the ClusterRole view has taken the kinds in", lambda: may("viewer", "list"))
        if asked:
            kube.wait("the ClusterRole edit has taken the kinds in", lambda: may("editor", "create"))
        assert {verb: may("editor", verb) for verb in ("list", "create", "patch", "delete")} == {
            "list": True,
            "create": asked,
            "patch": asked,
            "delete": asked,
        }
        assert may("chosen", "create")
        assert not may("viewer", "create")
        editor = kube.get("clusterrole", None, "edit")
        assert "gatewaytelemetries/status" not in json.dumps(editor)
    finally:
        for item in made:
            if item["kind"].startswith("ClusterRole"):
                kube.delete(item["kind"], None, item["metadata"]["name"])
