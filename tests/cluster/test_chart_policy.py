"""The chart's admission policies: what a stolen token of the operator can't do, on the real API server."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import objects
from tests.support.cluster import ClusterAccess, make_namespace, service_account_kubeconfig
from tests.support.helm import NAMESPACE, Helm, Object, of_kind, rendered
from tests.support.kube import JSON_PATCH, Kube, KubeError
from tests.support.operator import OperatorProcess

CLUSTER_WIDE = ("ClusterRole", "ClusterRoleBinding", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
VOLUME = "gateway-telemetry"

Edit = Callable[[Object], object]


@pytest.fixture(scope="module")
def account(cluster: ClusterAccess, kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig of the ServiceAccount of a release with the policies, once they bite."""
    home = make_namespace(kube, "home")
    values = {"admissionPolicy": {"enabled": True}, "crds": {"enabled": False}}
    made = [item for item in rendered(values, namespace=home) if item["kind"] != "Deployment"]
    for item in made:
        kube.create(item)
    file = service_account_kubeconfig(
        cluster, home, "gateway-telemetry-operator", tmp_path_factory.mktemp("account"), 3600
    )
    with Kube(ClusterAccess(file)) as stolen:
        kube.create(objects.deployment(home))
        for check in (lambda: refused(stolen, home, replicas), lambda: refused_secret(stolen, home)):
            kube.wait("the policies are in force", check)
    yield file
    for item in made:
        if item["kind"] in CLUSTER_WIDE:
            kube.delete(item["kind"], None, item["metadata"]["name"])
    kube.delete("namespace", None, home)


@pytest.fixture
def stolen(account: Path) -> Iterator[Kube]:
    """A client with the operator's token."""
    with Kube(ClusterAccess(account)) as client:
        yield client


def patch(stolen: Kube, namespace: str, edit: Edit) -> None:
    """Change a Deployment the way the operator could: by a patch.

    Raises:
        KubeError: the API server refused.
    """
    path = stolen.resource("deployment").path(namespace, "gateway")
    live = stolen.call("GET", path)
    del live["metadata"]["resourceVersion"]  # the rollout may write status and its own annotation meanwhile
    wanted = copy.deepcopy(live)
    edit(wanted)
    changed = [part for part in ("metadata", "spec") if wanted[part] != live[part]]
    changes = [{"op": "replace", "path": f"/{part}", "value": wanted[part]} for part in changed]
    stolen.call("PATCH", path, changes, params={"dryRun": "All"}, content_type=JSON_PATCH)


def refused(stolen: Kube, namespace: str, edit: Edit) -> str:
    """Return with which words a change is refused; empty if it is not."""
    try:
        patch(stolen, namespace, edit)
    except KubeError as error:
        return error.message
    return ""


def refused_secret(stolen: Kube, namespace: str) -> str:
    try:
        stolen.create(objects.secret(namespace, "mine"), dry_run=True)
    except KubeError as error:
        return error.message
    return ""


def pod(item: Object) -> Any:
    return item["spec"]["template"]["spec"]


def main(item: Object) -> Any:
    return pod(item)["containers"][0]


def replicas(item: Object) -> None:
    item["spec"]["replicas"] = 7


BAD: dict[str, tuple[Edit, str]] = {
    "replicas": (replicas, "may not change spec.replicas"),
    "image": (lambda item: main(item).update(image="evil"), "may not change image of a container"),
    "command": (lambda item: main(item).update(command=["sh"]), "may not change command of a container"),
    "privileged": (
        lambda item: main(item).update(securityContext={"privileged": True}),
        "may not change securityContext of a container",
    ),
    "env-from": (
        lambda item: main(item).update(envFrom=[{"secretRef": {"name": "other"}}]),
        "may not change envFrom of a container",
    ),
    "env-preload": (
        lambda item: main(item)["env"].append({"name": "LD_PRELOAD", "value": "/tmp/x.so"}),  # noqa: S108
        "only change environment variables whose names begin with OTEL_",
    ),
    "env-removed": (lambda item: main(item)["env"].pop(0), "only change environment variables"),
    "env-changed": (lambda item: main(item)["env"][0].update(value="other"), "only change environment variables"),
    "sidecar": (
        lambda item: pod(item)["containers"].append({"name": "side", "image": "evil"}),
        "may not add, remove or rename containers",
    ),
    "init-container": (
        lambda item: pod(item).update(initContainers=[{"name": "init", "image": "evil"}]),
        "may not change initContainers",
    ),
    "service-account": (lambda item: pod(item).update(serviceAccountName="admin"), "may not change serviceAccount"),
    "host-network": (lambda item: pod(item).update(hostNetwork=True), "may not change hostNetwork"),
    "host-path": (
        lambda item: pod(item).update(volumes=[{"name": VOLUME, "hostPath": {"path": "/"}}]),
        "only add a volume of its own Secret",
    ),
    "foreign-secret": (
        lambda item: pod(item).update(volumes=[{"name": VOLUME, "secret": {"secretName": "database"}}]),
        "only add a volume of its own Secret",
    ),
    "foreign-mount": (
        lambda item: (
            pod(item).update(volumes=[{"name": "x", "emptyDir": {}}]),
            main(item).update(volumeMounts=[{"name": "x", "mountPath": "/x"}]),
        ),
        "only mount its own volume",
    ),
    "label": (lambda item: item["metadata"]["labels"].update(team="evil"), "may not change metadata.labels"),
    "pod-label": (
        lambda item: item["spec"]["template"]["metadata"]["labels"].update(team="evil"),
        "may not change labels of the pod template",
    ),
    "pod-annotation": (
        lambda item: item["spec"]["template"]["metadata"].update(annotations={"sidecar.example.com/inject": "1"}),
        "only change annotations of gatewaytelemetry.dev/",
    ),
    "annotation": (
        lambda item: item["metadata"].update(annotations={"example.com/owner": "me"}),
        "only change annotations of gatewaytelemetry.dev/",
    ),
    "finalizer": (
        lambda item: item["metadata"].update(finalizers=["gatewaytelemetry.dev/x"]),
        "may not change metadata.finalizers",
    ),
}
ENV = [{"name": "MODE", "value": "prod"}]


@pytest.mark.parametrize("name", BAD)
def test_a_change_that_is_not_telemetry_is_refused(kube: Kube, stolen: Kube, namespace: str, name: str) -> None:
    kube.create(objects.deployment(namespace, env=ENV))
    edit, message = BAD[name]
    answer = refused(stolen, namespace, edit)
    assert "denied request: the operator may" in answer
    assert message in answer
    patch(kube, namespace, edit)  # anybody else is left alone


OWN = {"app.kubernetes.io/managed-by": "gateway-telemetry-operator", "gatewaytelemetry.dev/role": "copy"}


def test_secrets_and_configmaps_of_others_are_out_of_reach(kube: Kube, stolen: Kube, namespace: str) -> None:
    kube.create(objects.secret(namespace))
    kube.create(objects.ca_bundle(namespace, "PEM"))
    for kind, name in (("secret", "langsmith"), ("configmap", "langsmith-ca")):
        with pytest.raises(KubeError, match="only write and delete what carries its label"):
            stolen.delete(kind, namespace, name)
        with pytest.raises(KubeError, match="only write and delete what carries its label"):
            stolen.merge_patch(kind, namespace, name, {"metadata": {"labels": OWN}})
    assert "only write and delete what carries its label" in refused_secret(stolen, namespace)
    source = objects.secret(namespace, "new", **OWN | {"gatewaytelemetry.dev/role": "source"})
    with pytest.raises(KubeError, match="only write and delete Secrets with the label"):
        stolen.create(source, dry_run=True)


def test_no_token_of_another_account_can_be_asked_for(stolen: Kube, namespace: str) -> None:
    """The API server would fill a Secret of that type with a token of the ServiceAccount that it names."""
    item = {**objects.secret(namespace, "token", **OWN), "type": "kubernetes.io/service-account-token"}
    item["metadata"]["annotations"] = {"kubernetes.io/service-account.name": "default"}
    with pytest.raises(KubeError, match="own Secrets are Opaque"):
        stolen.create(item, dry_run=True)


def test_what_is_its_own_it_may_write_and_delete(stolen: Kube, namespace: str) -> None:
    stolen.create(objects.secret(namespace, "any-name", **OWN))
    stolen.merge_patch("secret", namespace, "any-name", {"data": {"api-key": None}})
    assert stolen.delete("secret", namespace, "any-name")


def test_pods_may_be_restarted(kube: Kube, stolen: Kube, namespace: str) -> None:
    kube.create(objects.deployment(namespace))
    now = {"kubectl.kubernetes.io/restartedAt": "2026-11-25T09:00:00Z"}
    patch(stolen, namespace, lambda item: item["spec"]["template"]["metadata"].update(annotations=now))


@pytest.mark.parametrize("type_", ["otel-sdk", "litellm"])
def test_the_operator_lives_with_the_policies(
    account: Path, kube: Kube, namespace: str, tmp_path: Path, type_: str
) -> None:
    """Write, change, and take back, with a CA, so that all that an adapter can write is written."""
    before = kube.create(objects.deployment(namespace, env=ENV))
    with OperatorProcess(account, tmp_path, f"--watch-namespace={namespace}", "--allow-host=*") as process:
        kube.create(objects.ca_bundle(namespace, ClusterAccess(account).ca))
        kube.create(objects.secret(namespace))
        reference = {"kind": "ConfigMap", "name": "langsmith-ca", "key": "ca.crt"}
        hosted = {"url": "https://langsmith.example.com"}
        kube.create(objects.target(namespace, selfHosted=hosted, caBundleRef=reference))
        kube.create(objects.gateway(namespace, type_=type_))
        kube.wait_condition("gatewaytelemetry", namespace, "gateway", "Ready", timeout=60)
        live = kube.get("deployment", namespace, "gateway")
        assert live is not None
        assert [item["name"] for item in pod(live)["volumes"]] == [VOLUME]
        kube.merge_patch("lst", namespace, "prod", {"spec": {"caBundleRef": None}})

        def dropped() -> bool:
            found = kube.get("deployment", namespace, "gateway")
            return found is not None and "volumes" not in pod(found)

        kube.wait("the volume goes with the CA", dropped)
        kube.delete("gatewaytelemetry", namespace, "gateway")
        kube.wait_gone("gatewaytelemetry", namespace, "gateway")
        assert "denied request" not in process.log()
    after = kube.get("deployment", namespace, "gateway")
    assert after is not None
    assert after["spec"] == before["spec"]


def test_an_old_cluster_is_told(helm: Helm) -> None:
    values = {"admissionPolicy": {"enabled": True}}
    done = helm.template(values, "--kube-version", "v1.29.0", code=1)
    assert "admissionPolicy.enabled needs Kubernetes 1.30 or later" in done.stderr


def test_there_are_no_policies_unless_asked_for() -> None:
    assert not [item for item in rendered() if item["kind"].startswith("Validating")]
    chart = rendered({"admissionPolicy": {"enabled": True}, "watchNamespaces": ["team-a"]})
    (first, second) = of_kind(chart, "ValidatingAdmissionPolicy")
    user = f"system:serviceaccount:{NAMESPACE}:gateway-telemetry-operator"
    for item in (first, second):
        assert item["spec"]["failurePolicy"] == "Fail"
        (condition,) = item["spec"]["matchConditions"]
        assert condition["expression"] == f'request.userInfo.username == "{user}"'
    bindings = of_kind(chart, "ValidatingAdmissionPolicyBinding")
    assert [item["spec"]["policyName"] for item in bindings] == [item["metadata"]["name"] for item in (first, second)]
