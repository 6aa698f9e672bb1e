"""What goes wrong in clusters: crashes, missing rights, refusals, namespaces and targets that go away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import objects
from tests.support.cluster import ClusterAccess, install_crds, service_account_kubeconfig
from tests.support.kube import Kube, condition, same
from tests.support.objects import Object
from tests.support.operator import OperatorProcess

MANAGER = "gateway-telemetry"


@pytest.fixture
def operator(cluster: ClusterAccess, namespace: str, tmp_path: Path) -> Iterator[OperatorProcess]:
    with OperatorProcess(cluster.kubeconfig, tmp_path, f"--watch-namespace={namespace}") as process:
        yield process


def good(namespace: str, **gateway: object) -> list[Object]:
    return [
        objects.secret(namespace),
        objects.target(namespace),
        objects.deployment(namespace, replicas=0),
        objects.gateway(namespace, **gateway),  # type: ignore[arg-type]
    ]


def env_names(deployment: Object | None) -> list[str]:
    assert deployment is not None
    return [item["name"] for item in deployment["spec"]["template"]["spec"]["containers"][0].get("env") or ()]


def claimed(deployment: Object | None) -> bool:
    assert deployment is not None
    return any(entry["manager"] == MANAGER for entry in deployment["metadata"]["managedFields"])


def test_killed_at_any_moment_it_goes_on_where_it_was(
    cluster: ClusterAccess, kube: Kube, namespace: str, tmp_path: Path
) -> None:
    names = [f"gateway-{number:02d}" for number in range(30)]
    kube.apply(objects.secret(namespace))
    kube.apply(objects.target(namespace))
    for name in names:
        kube.apply(objects.deployment(namespace, name, replicas=0))
        kube.apply(objects.gateway(namespace, name, app=name))
    kube.wait("the Deployment controller has seen all", lambda: all(map(_seen, kube.list("deployment", namespace))))
    before = {item["metadata"]["name"]: item["spec"] for item in kube.list("deployment", namespace)}
    process = OperatorProcess(cluster.kubeconfig, tmp_path, f"--watch-namespace={namespace}", ready=False)
    with process:
        for written in (1, 7, 15, 24):
            kube.wait(f"{written} Secrets", lambda written=written: len(copies(kube, namespace)) >= written)  # type: ignore[misc]
            process.kill()
            process.start()
        for name in names:
            kube.wait_condition("gatewaytelemetry", namespace, name, "Ready", timeout=60)
        same(
            [],
            lambda: [item["metadata"]["name"] for item in kube.list("deployment", namespace) if claimed(item)],
            "no claims",
        )

        for name in names:
            kube.delete("gatewaytelemetry", namespace, name)
        for left in (22, 9):
            kube.wait(f"{left} Secrets left", lambda left=left: len(copies(kube, namespace)) <= left)  # type: ignore[misc]
            process.kill()
            process.start()
        same([], lambda: kube.list("gatewaytelemetry", namespace), "all are gone", 40)
    assert copies(kube, namespace) == []
    for name in names:
        live = kube.get("deployment", namespace, name)
        assert live is not None
        assert live["spec"] == before[name]
        assert not claimed(live)


def copies(kube: Kube, namespace: str) -> list[Object]:
    return kube.list("secret", namespace, "gatewaytelemetry.dev/role=copy")


def _seen(deployment: Object) -> bool:
    return bool((deployment.get("status") or {}).get("observedGeneration"))


def test_a_claim_that_a_crash_left_is_given_up(
    cluster: ClusterAccess, kube: Kube, namespace: str, tmp_path: Path
) -> None:
    kube.apply(objects.deployment(namespace, replicas=0))
    leftover = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "gateway", "namespace": namespace, "annotations": {"example.com/left": "over"}},
    }
    kube.apply(leftover, manager=MANAGER)
    assert claimed(kube.get("deployment", namespace, "gateway"))
    with OperatorProcess(cluster.kubeconfig, tmp_path, f"--watch-namespace={namespace}"):
        same(False, lambda: claimed(kube.get("deployment", namespace, "gateway")), "the claim is given up")


def test_missing_rights_are_named(cluster: ClusterAccess, kube: Kube, namespace: str, tmp_path: Path) -> None:
    read = ["get", "list", "watch"]
    rules = [
        {"apiGroups": ["gatewaytelemetry.dev"], "resources": ["*"], "verbs": [*read, "patch"]},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": [*read, "create", "patch", "delete"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": read},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": read},
        {"apiGroups": ["apps"], "resources": ["statefulsets", "daemonsets"], "verbs": read},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
    ]
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "operator", "namespace": namespace},
        "rules": rules,
    }
    kube.apply(role)
    kube.apply(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "operator", "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "operator"},
            "subjects": [{"kind": "ServiceAccount", "name": "operator", "namespace": namespace}],
        }
    )
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "operator", "namespace": namespace}}
    kube.apply(account)
    kubeconfig = service_account_kubeconfig(cluster, namespace, "operator", tmp_path)
    for item in good(namespace):
        kube.apply(item)
    with OperatorProcess(kubeconfig, tmp_path, f"--watch-namespace={namespace}"):
        found = kube.wait_condition("gatewaytelemetry", namespace, "gateway", "Programmed", "False", "RBACDenied")
        message = condition(found, "Programmed")["message"]
        assert f"patch deployments.apps in namespace {namespace}" in message
        rules[3]["verbs"] = [*read, "patch"]
        kube.apply(role)
        kube.wait_condition("gatewaytelemetry", namespace, "gateway", "Ready", timeout=60)


def test_without_rights_to_list_it_says_so_and_waits(
    cluster: ClusterAccess, kube: Kube, namespace: str, tmp_path: Path
) -> None:
    kubeconfig = service_account_kubeconfig(cluster, namespace, "default", tmp_path)
    process = OperatorProcess(kubeconfig, tmp_path, f"--watch-namespace={namespace}", ready=False)
    with process:
        kube.wait(
            "it names the permission",
            lambda: (
                f"the permission is missing: list langsmithtargets.gatewaytelemetry.dev in namespace {namespace}"
                in process.log()
            ),
        )
        assert not process.ready()
        assert process.stop() == 0


def policy(name: str, namespace: str) -> list[Object]:
    """An admission policy of the cluster's owner that refuses all changes of Deployments by one manager."""
    group = "admissionregistration.k8s.io"
    allowed = f"!has(request.options.fieldManager) || request.options.fieldManager != '{MANAGER}'"
    return [
        {
            "apiVersion": f"{group}/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": {
                "matchConstraints": {
                    "resourceRules": [
                        {
                            "apiGroups": ["apps"],
                            "apiVersions": ["v1"],
                            "operations": ["UPDATE"],
                            "resources": ["deployments"],
                        }
                    ]
                },
                "validations": [{"expression": allowed, "message": "frozen by the change board"}],
            },
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {
                "policyName": name,
                "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}},
            },
        },
    ]


def test_a_refusal_is_told_and_tried_again(operator: OperatorProcess, kube: Kube, namespace: str) -> None:
    frozen = policy(f"frozen-{namespace}", namespace)
    for item in frozen:
        kube.apply(item)
    kube.apply(objects.deployment(namespace, replicas=0))
    try:
        _until_frozen(kube, namespace)
        for item in good(namespace):
            kube.apply(item)
        found = kube.wait_condition("gatewaytelemetry", namespace, "gateway", "Programmed", "False", "WriteFailed")
        assert "frozen by the change board" in condition(found, "Programmed")["message"]
        assert condition(found, "Reconciling")["status"] == "True"
    finally:
        for item in reversed(frozen):
            kube.delete(item["kind"], None, item["metadata"]["name"])
    kube.wait_condition("gatewaytelemetry", namespace, "gateway", "Ready", timeout=60)


def _until_frozen(kube: Kube, namespace: str) -> None:
    """Wait until the policy is in force, which takes the API server a moment; dry runs show it."""
    probe = f"/apis/apps/v1/namespaces/{namespace}/deployments/gateway"
    kube.wait(
        "the policy is in force",
        lambda: (
            kube.raw(
                "PATCH",
                probe,
                {"metadata": {"annotations": {"probe": "1"}}},
                params={"fieldManager": MANAGER, "dryRun": "All"},
                content_type="application/merge-patch+json",
            ).status_code
            == 422
        ),
    )


def test_a_deletion_waits_for_the_restore(operator: OperatorProcess, kube: Kube, namespace: str) -> None:
    for item in good(namespace):
        kube.apply(item)
    kube.wait_condition("gatewaytelemetry", namespace, "gateway", "Ready", timeout=60)
    frozen = policy(f"frozen-{namespace}", namespace)
    for item in frozen:
        kube.apply(item)
    try:
        _until_frozen(kube, namespace)
        kube.delete("gatewaytelemetry", namespace, "gateway")
        found = kube.wait_condition("gatewaytelemetry", namespace, "gateway", "Programmed", "False", "Restoring")
        assert "frozen by the change board" in condition(found, "Programmed")["message"]
    finally:
        for item in reversed(frozen):
            kube.delete(item["kind"], None, item["metadata"]["name"])
    kube.wait_gone("gatewaytelemetry", namespace, "gateway", timeout=60)
    assert env_names(kube.get("deployment", namespace, "gateway")) == []


def test_a_namespace_with_everything_in_it_can_be_deleted(
    cluster: ClusterAccess, kube: Kube, namespace: str, tmp_path: Path
) -> None:
    with OperatorProcess(cluster.kubeconfig, tmp_path, f"--watch-namespace={namespace}"):
        for item in good(namespace):
            kube.apply(item)
        kube.wait_condition("gatewaytelemetry", namespace, "gateway", "Ready", timeout=60)
        kube.delete("namespace", None, namespace)
        kube.wait_gone("namespace", None, namespace, timeout=60)


def test_orphan_leaves_what_was_written(operator: OperatorProcess, kube: Kube, namespace: str) -> None:
    for item in good(namespace, deletionPolicy="Orphan"):
        kube.apply(item)
    found = kube.wait_condition("gatewaytelemetry", namespace, "gateway", "Ready", timeout=60)
    assert "finalizers" not in found["metadata"]
    before = env_names(kube.get("deployment", namespace, "gateway"))
    kube.delete("gatewaytelemetry", namespace, "gateway")
    kube.wait_gone("gatewaytelemetry", namespace, "gateway")
    assert env_names(kube.get("deployment", namespace, "gateway")) == before
    assert len(copies(kube, namespace)) == 1

    # One that comes later takes it over.
    kube.apply(objects.gateway(namespace, "second"))
    kube.wait_condition("gatewaytelemetry", namespace, "second", "Ready", timeout=60)
    kube.delete("gatewaytelemetry", namespace, "second")
    kube.wait_gone("gatewaytelemetry", namespace, "second")
    assert env_names(kube.get("deployment", namespace, "gateway")) == []
    assert copies(kube, namespace) == []


def test_consent_withdrawn_takes_the_key_away(
    cluster: ClusterAccess, kube: Kube, new_namespace: object, tmp_path: Path
) -> None:
    assert callable(new_namespace)
    owner, user = new_namespace("owner"), new_namespace("user")
    flags = (f"--watch-namespace={owner}", f"--watch-namespace={user}")
    with OperatorProcess(cluster.kubeconfig, tmp_path, *flags):
        kube.apply(objects.secret(owner))
        kube.apply(objects.target(owner, allowedNamespaces={"from": "All"}))
        kube.apply(objects.deployment(user, replicas=0))
        kube.apply(objects.gateway(user, targetRef={"name": "prod", "namespace": owner}))
        kube.wait_condition("gatewaytelemetry", user, "gateway", "Ready", timeout=60)
        assert len(copies(kube, user)) == 1

        kube.apply(objects.target(owner))

        found = kube.wait_condition("gatewaytelemetry", user, "gateway", "ResolvedRefs", "False", "TargetNotFound")
        same([], lambda: copies(kube, user), "the copy of the key is gone")
        assert env_names(kube.get("deployment", user, "gateway")) == []
        assert owner in condition(found, "ResolvedRefs")["message"]


def test_two_claimants_the_older_keeps_it_until_it_goes(operator: OperatorProcess, kube: Kube, namespace: str) -> None:
    for item in good(namespace):
        kube.apply(item)
    kube.wait_condition("gatewaytelemetry", namespace, "gateway", "Ready", timeout=60)
    kube.apply(objects.gateway(namespace, "second", project="other"))
    found = kube.wait_condition("gatewaytelemetry", namespace, "second", "Accepted", "False", "Conflicted")
    assert "belongs to GatewayTelemetry gateway" in condition(found, "Accepted")["message"]
    kube.delete("gatewaytelemetry", namespace, "gateway")
    kube.wait_condition("gatewaytelemetry", namespace, "second", "Ready", timeout=60)
    assert copies(kube, namespace)[0]["metadata"]["annotations"]["gatewaytelemetry.dev/owner"] == f"{namespace}/second"


def test_what_no_watch_told_is_found_by_the_list(
    cluster: ClusterAccess, kube: Kube, namespace: str, tmp_path: Path
) -> None:
    """A Service is not watched; the periodic list asks for it anew."""
    with OperatorProcess(cluster.kubeconfig, tmp_path, f"--watch-namespace={namespace}", "--resync=1"):
        kube.apply(objects.secret(namespace))
        reference = {"name": "langsmith-frontend", "port": 443, "scheme": "https"}
        kube.apply(objects.target(namespace, selfHosted={"serviceRef": reference}))
        kube.wait_condition("langsmithtarget", namespace, "prod", "Accepted", "False", "ServiceNotAllowed")
        kube.apply(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "langsmith-frontend", "namespace": namespace},
                "spec": {"selector": {"app": "langsmith"}, "ports": [{"port": 443}]},
            }
        )
        found = kube.wait_condition("langsmithtarget", namespace, "prod", "Ready", timeout=60)
    host = f"https://langsmith-frontend.{namespace}.svc"
    assert found["status"]["endpoints"]["traces"] == f"{host}/api/v1/otel/v1/traces"


def test_the_api_server_goes_away_and_comes_back(private_cluster: ClusterAccess, tmp_path: Path) -> None:
    with Kube(private_cluster) as kube, OperatorProcess(private_cluster.kubeconfig, tmp_path) as process:
        kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
        for item in good("shop"):
            kube.apply(item)
        kube.wait_condition("gatewaytelemetry", "shop", "gateway", "Ready", timeout=60)
        private_cluster.processes.halt("kube-apiserver", kill=True)
        private_cluster.processes.restart("kube-apiserver")
        kube.wait("the API server is ready", lambda: kube.raw("GET", "/readyz").status_code == 200, 60)
        kube.apply(objects.gateway("shop", project="after"))
        kube.wait(
            "it follows edits again",
            lambda: (kube.get("gatewaytelemetry", "shop", "gateway") or {})["status"]["traces"]["project"] == "after",
            90,
        )
        assert process.ready()


def test_crds_that_go_end_the_process_with_a_message_and_the_next_waits_for_them(
    private_cluster: ClusterAccess, tmp_path: Path
) -> None:
    with Kube(private_cluster) as kube, OperatorProcess(private_cluster.kubeconfig, tmp_path) as process:
        kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
        for item in good("shop"):
            kube.apply(item)
        kube.wait_condition("gatewaytelemetry", "shop", "gateway", "Ready", timeout=60)
        first = process.process
        assert first is not None
        for name in ("gatewaytelemetries", "langsmithtargets"):
            kube.delete("crd", None, f"{name}.gatewaytelemetry.dev")
        kube.wait("the process ends", lambda: first.poll() is not None, 60)
        assert first.returncode == 1
        assert "gateway-telemetry operator: the watches ended: 404 page not found; start it again" in process.log()
        assert "Traceback" not in process.log()
        assert "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" not in env_names(kube.get("deployment", "shop", "gateway"))

        process.log_file.unlink()
        waiting = OperatorProcess(private_cluster.kubeconfig, tmp_path, ready=False)
        with waiting:
            kube.wait("it waits", lambda: "cannot start yet: the CustomResourceDefinitions" in waiting.log(), 30)
            install_crds(kube)
            for item in good("shop"):
                kube.apply(item)
            kube.wait_condition("gatewaytelemetry", "shop", "gateway", "Ready", timeout=60)


def test_consent_by_labels_of_the_namespace(private_cluster: ClusterAccess, tmp_path: Path) -> None:
    with Kube(private_cluster) as kube, OperatorProcess(private_cluster.kubeconfig, tmp_path):
        for name in ("owner", "user"):
            kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        kube.apply(objects.secret("owner"))
        selector = {"from": "Selector", "selector": {"matchLabels": {"team": "payments"}}}
        kube.apply(objects.target("owner", allowedNamespaces=selector))
        kube.apply(objects.deployment("user", replicas=0))
        kube.apply(objects.gateway("user", targetRef={"name": "prod", "namespace": "owner"}))
        kube.wait_condition("gatewaytelemetry", "user", "gateway", "ResolvedRefs", "False", "TargetNotFound")
        kube.merge_patch("namespace", None, "user", {"metadata": {"labels": {"team": "payments"}}})
        kube.wait_condition("gatewaytelemetry", "user", "gateway", "Ready", timeout=60)
        kube.merge_patch("namespace", None, "user", {"metadata": {"labels": {"team": None}}})
        kube.wait_condition("gatewaytelemetry", "user", "gateway", "ResolvedRefs", "False", "TargetNotFound")
        same([], lambda: copies(kube, "user"), "the copy of the key is gone")
