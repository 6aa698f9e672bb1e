"""The chart as helm 3 and helm 4 render it: where each value goes, and what is not there."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from hack import crdgen

from gateway_telemetry.cli.operator import operator
from gateway_telemetry.control.settings import Address
from tests.support.chart_values import DIGEST, FULL
from tests.support.cluster import ROOT
from tests.support.helm import (
    CHART,
    VERSIONS,
    Helm,
    Object,
    of_kind,
    operator_process_spec,
    rendered,
)


def container_of(objects: list[Object]) -> Object:
    (deployment,) = of_kind(objects, "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    result: Object = container
    return result


@pytest.mark.parametrize("values", [{}, FULL, {"watchNamespaces": ["a", "b"]}], ids=["defaults", "full", "namespaced"])
def test_lint_finds_nothing(helm: Helm, values: dict[str, Any]) -> None:
    done = helm("lint", "--strict", str(CHART), "--values", "-", stdin=yaml.safe_dump(values))
    assert "1 chart(s) linted, 0 chart(s) failed" in done.stdout
    assert "[WARNING]" not in done.stdout
    assert "[ERROR]" not in done.stdout


@pytest.mark.parametrize("values", [{}, FULL], ids=["defaults", "full"])
def test_both_helms_render_the_same_twice(tmp_path: Path, values: dict[str, Any]) -> None:
    """GitOps tools render again and again: nothing may be random or looked up."""
    texts = [Helm(version, tmp_path).template(values).stdout for version in VERSIONS for _ in range(2)]
    assert texts[0] == texts[1]
    objects = [[item for item in yaml.safe_load_all(text) if item] for text in texts]
    assert objects[0] == objects[2] == objects[3]


def test_versions_are_those_of_the_package() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert chart["version"] == chart["appVersion"] == project["version"]


def test_the_operators_command_line() -> None:
    args, env = operator_process_spec(rendered())
    assert args == [
        "operator",
        "--cluster-domain=cluster.local",
        "--health-address=0.0.0.0:8080",
        "--metrics-address=0.0.0.0:9090",
        "--lease-namespace=gateway-telemetry-system",
        "--lease-name=gateway-telemetry-operator",
        "--log-format=json",
        "--log-level=info",
        "--workers=8",
        "--max-rollouts=10",
        "--max-rollouts-per-namespace=3",
    ]
    assert env == {"POD_NAME": "gateway-telemetry-operator-host", "POD_NAMESPACE": "gateway-telemetry-system"}


def test_the_operator_understands_every_argument() -> None:
    values = {name: value for name, value in FULL.items() if name != "extraEnv"} | {"watchNamespaces": ["team-a", "7"]}
    args, _ = operator_process_spec(rendered(values))
    expected = {
        "namespaces": ("team-a", "7"),
        "allowed": ("langsmith.example.com", "*.corp.example.com", "10.1.2.3", "2001:db8::10"),
        "insecure_allow_loopback": True,
        "cluster_domain": "k8s.example.com",
        "cluster_name": "prod: eu #1",
        "health": Address("0.0.0.0", 8080),  # noqa: S104
        "metrics": Address("0.0.0.0", 9090),  # noqa: S104
        "lease_namespace": "gateway-telemetry-system",
        "lease_name": "gateway-telemetry-operator",
        "workers": 16,
        "log_format": "text",
        "log_level": "debug",
    }
    with operator.make_context(args[0], args[1:]) as context:
        assert {name: context.params[name] for name in expected} == expected


def test_every_value_reaches_its_place() -> None:
    objects = rendered(FULL)
    (deployment,) = of_kind(objects, "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    container = container_of(objects)
    assert deployment["spec"]["replicas"] == 2
    assert container["image"] == f"registry.example.com/team/operator@{DIGEST}"
    assert container["imagePullPolicy"] == "Always"
    assert container["resources"] == FULL["resources"]
    for name in ("imagePullSecrets", "nodeSelector", "tolerations", "affinity"):
        assert pod[name] == FULL[name], name
    selector = deployment["spec"]["selector"]
    assert pod["topologySpreadConstraints"] == [{**FULL["topologySpreadConstraints"][0], "labelSelector": selector}]
    assert pod["priorityClassName"] == "system-cluster-critical"
    assert pod["serviceAccountName"] == "telemetry"
    (account,) = of_kind(objects, "ServiceAccount")
    assert account["metadata"]["name"] == "telemetry"
    assert account["metadata"]["annotations"] == {"example.com/role": "reader"}
    for kind in ("RoleBinding", "ClusterRoleBinding"):
        for binding in of_kind(objects, kind):
            names = [(item["name"], item["namespace"]) for item in binding["subjects"]]
            assert names == [("telemetry", "gateway-telemetry-system")]
    assert (
        container["env"][2:]
        == [{"name": "SSL_CERT_FILE", "value": "/etc/gateway-telemetry/ca/bundle.pem"}] + FULL["extraEnv"]
    )
    assert {"name": "extra-ca", "mountPath": "/etc/gateway-telemetry/ca", "readOnly": True} in container["volumeMounts"]
    items = [{"key": "bundle.pem", "path": "bundle.pem"}]
    assert {"name": "extra-ca", "configMap": {"name": "corp-ca", "items": items}} in pod["volumes"]
    assert deployment["spec"]["template"]["metadata"] == {
        "labels": {
            "app.kubernetes.io/name": "gateway-telemetry-operator",
            "app.kubernetes.io/instance": "gateway-telemetry",
            "sidecar": "no",
            "team": "platform",
        },
        "annotations": {"example.com/note": "1"},
    }
    for item in objects:
        assert item["metadata"]["labels"]["team"] == "platform", item["kind"]
        assert item["metadata"]["labels"]["app.kubernetes.io/name"] == "gateway-telemetry-operator"


def test_metrics_service_and_policy() -> None:
    objects = rendered(FULL)
    (service,) = of_kind(objects, "Service")
    assert service["spec"]["ports"] == [{"name": "metrics", "port": 9090, "targetPort": "metrics"}]
    assert service["metadata"]["labels"]["scrape"] == "yes"
    assert service["metadata"]["annotations"] == {"prometheus.io/scrape": "true"}
    (policy,) = of_kind(objects, "NetworkPolicy")
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert policy["spec"]["ingress"] == [
        {"ports": [{"port": "metrics", "protocol": "TCP"}], "from": FULL["networkPolicy"]["metricsFrom"]}
    ]
    assert policy["spec"]["egress"] == FULL["networkPolicy"]["egress"]
    (budget,) = of_kind(objects, "PodDisruptionBudget")
    (deployment,) = of_kind(objects, "Deployment")
    selector = deployment["spec"]["selector"]
    assert budget["spec"]["selector"] == selector
    assert policy["spec"]["podSelector"] == selector
    assert service["spec"]["selector"] == selector["matchLabels"]


def test_what_is_off_by_default_or_turned_off_is_not_there() -> None:
    kinds = {item["kind"] for item in rendered()}
    assert not {"Service", "PodDisruptionBudget"} & kinds
    assert "NetworkPolicy" in kinds
    off = rendered(
        {
            "metrics": {"enabled": False, "service": {"enabled": True}},
            "networkPolicy": {"enabled": False},
            "serviceAccount": {"create": False},
            "rbac": {"create": False},
            "crds": {"enabled": False},
        }
    )
    assert [item["kind"] for item in off] == ["Deployment"]
    container = container_of(off)
    assert [item["name"] for item in container["ports"]] == ["health"]
    assert not [item for item in container["args"] if "metrics" in item]
    assert of_kind(off, "Deployment")[0]["spec"]["template"]["spec"]["serviceAccountName"] == "default"


def test_by_default_the_operator_is_cut_off_from_metadata_services_and_callers() -> None:
    (policy,) = of_kind(rendered({"metrics": {"enabled": False}}), "NetworkPolicy")
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert policy["spec"]["ingress"] == []
    dns, tls, pods, others = policy["spec"]["egress"]
    assert dns == {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}
    assert tls == {"ports": [{"port": 443, "protocol": "TCP"}, {"port": 6443, "protocol": "TCP"}]}
    assert pods == {"to": [{"namespaceSelector": {}}], "ports": [{"protocol": "TCP"}]}
    assert others["ports"] == [{"protocol": "TCP"}]
    closed = {item["ipBlock"]["cidr"]: item["ipBlock"]["except"] for item in others["to"]}
    assert closed == {
        "0.0.0.0/0": ["169.254.0.0/16", "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32"],
        "::/0": ["fe80::/10", "fd00:ec2::/32", "fd20:ce::254/128", "fd00:c1::a9fe:a9fe/128"],
    }


def test_names_follow_the_release() -> None:
    def names(release: str, values: dict[str, Any]) -> set[str]:
        return {item["metadata"]["name"] for item in of_kind(rendered(values, release=release), "Deployment")}

    assert names("gateway-telemetry", {}) == {"gateway-telemetry-operator"}
    assert names("prod", {}) == {"prod-gateway-telemetry-operator"}
    assert names("7", {"nameOverride": "8"}) == {"7-8"}
    assert names("prod", {"fullnameOverride": "telemetry"}) == {"telemetry"}
    assert all(len(name) <= 63 for name in names("r" * 53, {}))


@pytest.mark.parametrize("keep", [True, False])
def test_crds_of_the_chart_are_the_generated_ones(helm: Helm, keep: bool) -> None:
    text = helm.template({"crds": {"keep": keep}}).stdout
    found = of_kind([item for item in yaml.safe_load_all(text) if item], "CustomResourceDefinition")
    wanted = {item["metadata"]["name"]: item["spec"] for item in map(crdgen.crd, crdgen.KINDS)}
    assert {item["metadata"]["name"]: item["spec"] for item in found} == wanted
    for item in found:
        annotations = item["metadata"].get("annotations", {})
        assert annotations == ({"helm.sh/resource-policy": "keep"} if keep else {})


def test_the_chart_can_be_part_of_another(helm: Helm, tmp_path: Path) -> None:
    """Helm adds ``global`` to the values of every subchart."""
    parent = tmp_path / "parent"
    (parent / "charts").mkdir(parents=True)
    (parent / "charts" / CHART.name).symlink_to(CHART)
    (parent / "Chart.yaml").write_text("apiVersion: v2\nname: parent\nversion: 1.0.0\n")
    text = helm.template({"global": {"x": 1}, CHART.name: {"replicas": 3}}, chart=parent).stdout
    (deployment,) = of_kind([item for item in yaml.safe_load_all(text) if item], "Deployment")
    assert deployment["spec"]["replicas"] == 3


def test_an_old_cluster_is_refused(helm: Helm) -> None:
    done = helm("template", "x", str(CHART), "--kube-version", "v1.28.0", code=1)
    assert "chart requires kubeVersion: >=1.29.0-0" in done.stderr
