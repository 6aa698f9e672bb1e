"""The chart on a real API server: installed, upgraded and uninstalled by both helms, applied by kubectl."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hack import crdgen

from tests.support import api_cases
from tests.support.chart_values import FULL
from tests.support.cluster import Kubectl, available, install_crds, make_namespace
from tests.support.helm import (
    CHART,
    RELEASE,
    VERSIONS,
    Helm,
    Object,
    of_kind,
    rendered,
)
from tests.support.kube import Kube, KubeError

CRDS = {kind.plural: crdgen.crd(kind) for kind in crdgen.KINDS}
RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
MakeNamespace = Callable[..., str]


@pytest.fixture(scope="module")
def older_chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart as an earlier version may have been: without a field, a print column and a right of today."""
    chart = tmp_path_factory.mktemp("older") / CHART.name
    shutil.copytree(CHART, chart)
    replace(chart / "Chart.yaml", "version: 0.1.0", "version: 0.0.9")
    target = chart / "templates/crds/langsmithtargets.yaml"
    definition = copy.deepcopy(CRDS["langsmithtargets"])
    (version,) = definition["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    del spec["properties"]["workspaceId"]
    version["additionalPrinterColumns"] = version["additionalPrinterColumns"][:2]
    head, _, _ = target.read_text().partition("\nspec:\n")
    target.write_text(head + "\n" + yaml.safe_dump({"spec": definition["spec"]}) + "{{- end }}\n")
    rights = "[get, list, watch{{ if not .Values.readOnly }}, create, patch, delete{{ end }}]"
    replace(chart / "templates/_helpers.tpl", rights, "[get, list, watch]")
    return chart


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def served(kube: Kube) -> dict[str, Any]:
    """Return the specs of our CRDs as the server has them."""
    found = {name: kube.get("crd", None, f"{name}.gatewaytelemetry.dev") for name in CRDS}
    return {name: item["spec"] for name, item in found.items() if item}


def target(namespace: str, **spec: Any) -> Object:
    case = api_cases.target("kept", {})
    return {**case.manifest, "metadata": {"name": "kept", "namespace": namespace}, "spec": {**case.spec, **spec}}


def test_install_upgrade_uninstall_and_install_again(empty: tuple[Helm, Kube], older_chart: Path) -> None:
    helm, kube = empty
    flags = ("--namespace", "operators", "--wait", "--timeout", "60s")

    helm("install", RELEASE, str(older_chart), *flags, "--create-namespace")
    assert set(served(kube)) == {"langsmithtargets", "gatewaytelemetries"}
    assert served(kube)["langsmithtargets"] != CRDS["langsmithtargets"]["spec"]
    kube.wait_condition("crd", None, "langsmithtargets.gatewaytelemetry.dev", "Established")
    kube.create(target("operators"))
    with pytest.raises(KubeError, match=r"\.spec\.workspaceId: field not declared in schema"):
        kube.apply(target("operators", workspaceId="5f2c0a4e-0000-4000-8000-000000000000"))

    done = helm("upgrade", RELEASE, str(CHART), *flags, "--set", "replicas=2")
    assert "kubectl get langsmithtargets,gatewaytelemetries -A" in done.stdout
    assert served(kube) == {name: item["spec"] for name, item in CRDS.items()}
    with_workspace = target("operators", workspaceId="5f2c0a4e-0000-4000-8000-000000000000")
    uid = kube.apply(with_workspace)["metadata"]["uid"]
    assert available(kube, "operators", "gateway-telemetry-operator")
    (role,) = [
        item for item in kube.list("clusterrole") if item["metadata"]["name"] == "operators:gateway-telemetry-operator"
    ]
    (verbs,) = [rule["verbs"] for rule in role["rules"] if rule["resources"] == ["secrets"]]
    assert sorted(verbs) == ["create", "delete", "get", "list", "patch", "watch"]

    helm("upgrade", RELEASE, str(CHART), *flags, "--set", "replicas=2")
    generations = [kube.get("crd", None, f"{name}.gatewaytelemetry.dev") for name in CRDS]
    assert [item and item["metadata"]["generation"] for item in generations] == [2, 1]

    helm("uninstall", RELEASE, "--namespace", "operators", "--wait")
    assert kube.list("deployment", "operators") == []
    assert [item["metadata"]["name"] for item in kube.list("sa", "operators")] == ["default"]
    assert not [item for item in kube.list("clusterrole") if "gateway-telemetry" in item["metadata"]["name"]]
    assert set(served(kube)) == {"langsmithtargets", "gatewaytelemetries"}
    kept = kube.get("lst", "operators", "kept")
    assert kept is not None
    assert kept["metadata"]["uid"] == uid

    helm("install", RELEASE, str(CHART), *flags)
    assert kube.get("lst", "operators", "kept") == kept
    helm("uninstall", RELEASE, "--namespace", "operators", "--wait")


def test_two_releases_for_two_teams_share_the_crds(empty: tuple[Helm, Kube]) -> None:
    helm, kube = empty
    teams = [make_namespace(kube, "team") for _ in range(2)]
    for team in teams:
        values = yaml.safe_dump({"watchNamespaces": [team], "crds": {"enabled": False}})
        helm("install", RELEASE, str(CHART), "--namespace", team, "--wait", "--values", "-", stdin=values)
    for team in teams:
        assert available(kube, team, "gateway-telemetry-operator")
        helm("uninstall", RELEASE, "--namespace", team, "--wait")


def test_a_typo_is_refused_before_anything_is_written(empty: tuple[Helm, Kube]) -> None:
    helm, kube = empty
    namespace = make_namespace(kube)
    done = helm("install", RELEASE, str(CHART), "--namespace", namespace, "--set", "watchNamespace=a", code=1)
    assert "watchNamespace" in done.stderr
    assert [item["metadata"]["name"] for item in kube.list("secret", namespace)] == []
    assert kube.list("deployment", namespace) == []


@pytest.mark.parametrize(
    ("hook", "said", "unsaid"),
    [("true", "first puts every gateway back", "delete the"), ("false", "delete the", "first puts every gateway back")],
)
def test_the_notes_say_what_uninstalling_does(empty: tuple[Helm, Kube], hook: str, said: str, unsaid: str) -> None:
    helm, kube = empty
    values = f"crds.enabled=false,uninstall.enabled={hook}"
    flags = ("--namespace", make_namespace(kube), "--dry-run=server", "--set", values)
    notes = helm("install", RELEASE, str(CHART), *flags).stdout.partition("\nNOTES:\n")[2]
    assert said in notes
    assert unsaid not in notes


def test_crds_of_somebody_else_are_taken_over_only_when_asked(empty: tuple[Helm, Kube]) -> None:
    helm, kube = empty
    install_crds(kube)
    namespace = make_namespace(kube)
    done = helm("install", RELEASE, str(CHART), "--namespace", namespace, code=1)
    assert "invalid ownership metadata" in done.stderr
    helm("install", RELEASE, str(CHART), "--namespace", namespace, "--take-ownership")
    crd = kube.get("crd", None, "langsmithtargets.gatewaytelemetry.dev")
    assert crd is not None
    assert crd["metadata"]["annotations"]["meta.helm.sh/release-namespace"] == namespace
    assert crd["spec"] == CRDS["langsmithtargets"]["spec"]
    helm("uninstall", RELEASE, "--namespace", namespace, "--wait")


def clean_up(kubectl: Kubectl, text: str) -> None:
    """Delete what a test applied, but for what the session shares."""
    items = [item for item in yaml.safe_load_all(text) if item and item["kind"] != "CustomResourceDefinition"]
    kubectl("delete", "--ignore-not-found", "-f", "-", stdin=yaml.safe_dump_all(items))


def generations(kubectl: Kubectl, text: str) -> dict[tuple[str, str], int]:
    """Return how often each object that has a spec was changed."""
    items = json.loads(kubectl("get", "-f", "-", "-o", "json", stdin=text).stdout)["items"]
    found = {(item["kind"], item["metadata"]["name"]): item["metadata"].get("generation") for item in items}
    return {name: count for name, count in found.items() if count}


def at_rest(kube: Kube, namespace: str) -> bool:
    """Tell whether the controllers have no more to say about the release."""
    budgets = [item.get("status", {}) for item in kube.list("pdb", namespace)]
    return available(kube, namespace, "gateway-telemetry-operator") and all(
        status.get("currentHealthy") == status.get("expectedPods") == 2 for status in budgets
    )


@pytest.mark.parametrize("side", ["client", "server"])
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("values", [{}, FULL], ids=["defaults", "full"])
def test_kubectl_applies_what_helm_renders(
    kube: Kube,
    kubectl: Kubectl,
    new_namespace: MakeNamespace,
    tmp_path: Path,
    values: dict[str, Any],
    version: str,
    side: str,
) -> None:
    """In a namespace that admits only restricted Pods, and warns of the rest."""
    namespace = new_namespace(labels=RESTRICTED)
    text = Helm(version, tmp_path).template(values, namespace=namespace).stdout
    flags = ("--server-side", "--force-conflicts") if side == "server" else ()
    try:
        first = kubectl("apply", *flags, "-f", "-", stdin=text)
        warnings = [line for line in first.stderr.splitlines() if "last-applied-configuration" not in line]
        assert warnings == []
        kube.wait("the rollout is over", lambda: at_rest(kube, namespace))  # kubectl diff shows status, too
        kubectl("diff", *flags, "-f", "-", stdin=text)
        before = generations(kubectl, text)
        assert ("Deployment", "gateway-telemetry-operator") in before
        kubectl("apply", *flags, "-f", "-", stdin=text)
        assert generations(kubectl, text) == before
    finally:
        clean_up(kubectl, text)


@pytest.mark.parametrize("values", [{}, {**FULL, "priorityClassName": ""}], ids=["defaults", "full"])
def test_the_pod_meets_the_restricted_standard(
    kube: Kube, new_namespace: MakeNamespace, values: dict[str, Any]
) -> None:
    namespace = new_namespace(labels=RESTRICTED)
    chart = rendered(values, namespace=namespace)
    for kind in ("ServiceAccount", "Deployment"):
        for item in of_kind(chart, kind):
            kube.create(item)
    (deployment,) = of_kind(chart, "Deployment")
    wanted: int = deployment["spec"]["replicas"]

    def pods() -> bool:
        return len(kube.list("pod", namespace, "app.kubernetes.io/instance=gateway-telemetry")) == wanted

    kube.wait("the Pods are admitted", pods)
    # What the level would refuse, so that the label is known to bite.
    template = copy.deepcopy(deployment["spec"]["template"])
    template["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    pod = {"apiVersion": "v1", "kind": "Pod", "spec": template["spec"]}
    with pytest.raises(KubeError, match="violates PodSecurity") as caught:
        kube.create({**pod, "metadata": {"name": "x", "namespace": namespace}}, dry_run=True)
    assert caught.value.status == 403
