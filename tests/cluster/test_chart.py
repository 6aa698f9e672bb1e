"""The chart as helm 3 and helm 4 render it: what values do, which are refused, and how little the operator may do."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hack import crdgen

from gateway_telemetry.cli.operator import operator
from gateway_telemetry.control.settings import Address
from tests.support.cluster import ROOT
from tests.support.helm import CHART, VERSIONS, Helm, Object, of_kind, operator_process_spec, rendered

DEFAULTS: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
DIGEST = "sha256:" + "0123456789abcdef" * 4
FULL: dict[str, Any] = {
    "image": {"repository": "registry.example.com/team/operator", "digest": DIGEST, "pullPolicy": "Always"},
    "imagePullSecrets": [{"name": "registry"}],
    "replicas": 2,
    "allowedHosts": ["langsmith.example.com", "*.corp.example.com", "10.1.2.3", "2001:db8::10"],
    "insecureAllowLoopback": True,
    "clusterDomain": "k8s.example.com",
    "clusterName": "prod: eu #1",
    "workers": 16,
    "logFormat": "text",
    "logLevel": "debug",
    "serviceAccount": {"name": "telemetry", "annotations": {"example.com/role": "reader"}},
    "extraCA": {"configMapName": "corp-ca", "key": "bundle.pem"},
    "metrics": {
        "service": {"enabled": True, "labels": {"scrape": "yes"}, "annotations": {"prometheus.io/scrape": "true"}}
    },
    "networkPolicy": {
        "enabled": True,
        "metricsFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
        "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 443, "protocol": "TCP"}]}, {}],
    },
    "resources": {"requests": {"cpu": 1, "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
    "commonLabels": {"team": "platform", "app.kubernetes.io/name": "not-mine"},
    "podLabels": {"sidecar": "no"},
    "podAnnotations": {"example.com/note": "1"},
    "extraEnv": [
        {"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"},
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
    ],
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "infra", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 1, "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname", "labelSelector": {}}}
            ]
        }
    },
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"}
    ],
    "priorityClassName": "system-cluster-critical",
}
"""Every value that has an effect, with a value other than its default; the API server takes them, too."""


@pytest.fixture(params=VERSIONS)
def helm(request: pytest.FixtureRequest, tmp_path: Path) -> Helm:
    return Helm(request.param, tmp_path)


def container_of(objects: list[Object]) -> Object:
    (deployment,) = of_kind(objects, "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    result: Object = container
    return result


def leaves(values: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Return the dotted names of all values; a map of the user's own (labels) is one value."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value and name != "resources":
            yield from leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}"


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
    ]
    assert env == {"POD_NAME": "gateway-telemetry-operator-host", "POD_NAMESPACE": "gateway-telemetry-system"}


def test_the_operator_understands_every_argument() -> None:
    values = {name: value for name, value in FULL.items() if name != "extraEnv"} | {"watchNamespaces": ["team-a", "7"]}
    args, _ = operator_process_spec(rendered(values))
    with operator.make_context(args[0], args[1:]) as context:
        assert context.params == {
            "kubeconfig": None,
            "context": None,
            "resync": 600.0,
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
    assert not {"Service", "NetworkPolicy", "PodDisruptionBudget"} & kinds
    off = rendered(
        {
            "metrics": {"enabled": False, "service": {"enabled": True}},
            "networkPolicy": {"enabled": True},
            "serviceAccount": {"create": False},
            "rbac": {"create": False},
            "crds": {"enabled": False},
        }
    )
    assert sorted(item["kind"] for item in off) == ["Deployment", "NetworkPolicy"]
    (policy,) = of_kind(off, "NetworkPolicy")
    assert policy["spec"]["policyTypes"] == ["Ingress"]
    assert policy["spec"]["ingress"] == []
    container = container_of(off)
    assert [item["name"] for item in container["ports"]] == ["health"]
    assert not [item for item in container["args"] if "metrics" in item]
    assert of_kind(off, "Deployment")[0]["spec"]["template"]["spec"]["serviceAccountName"] == "default"


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


def rules(role: Object) -> set[tuple[str, str]]:
    return {(verb, resource) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}


WATCHED = {
    *((verb, "langsmithtargets") for verb in ("get", "list", "watch")),
    *((verb, "gatewaytelemetries") for verb in ("get", "list", "watch", "patch")),
    ("patch", "langsmithtargets/status"),
    ("patch", "gatewaytelemetries/status"),
    *((verb, "deployments") for verb in ("get", "list", "watch", "patch")),
    *((verb, "secrets") for verb in ("get", "list", "watch", "create", "patch", "delete")),
    *((verb, "configmaps") for verb in ("get", "list", "watch")),
    ("get", "services"),
}


def test_rights_in_all_namespaces() -> None:
    objects = rendered({"rbac": {"aggregate": False}})
    (role,) = of_kind(objects, "ClusterRole")
    assert rules(role) == WATCHED | {("list", "namespaces"), ("watch", "namespaces")}
    (lease,) = of_kind(objects, "Role")
    assert lease["metadata"]["namespace"] == "gateway-telemetry-system"
    assert rules(lease) == {(verb, "leases") for verb in ("create", "get", "update")}
    assert [item.get("resourceNames") for item in lease["rules"]] == [None, ["gateway-telemetry-operator"]]


def test_rights_in_named_namespaces_only() -> None:
    objects = rendered({"watchNamespaces": ["team-a", "gateway-telemetry-system"]})
    assert not [item for item in objects if item["kind"].startswith("ClusterRole")]
    roles = {
        (item["metadata"]["namespace"], item["metadata"]["name"]): rules(item) for item in of_kind(objects, "Role")
    }
    assert roles == {
        ("team-a", "gateway-telemetry-operator"): WATCHED,
        ("gateway-telemetry-system", "gateway-telemetry-operator"): WATCHED,
        ("gateway-telemetry-system", "gateway-telemetry-operator-lease"): {
            (verb, "leases") for verb in ("create", "get", "update")
        },
    }
    for binding in of_kind(objects, "RoleBinding"):
        assert (binding["metadata"]["namespace"], binding["roleRef"]["name"]) in roles


def test_no_rule_holds_a_wildcard() -> None:
    for item in rendered():
        for rule in item.get("rules", ()):
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"replica": 2}, "replica"),
        ({"image": {"repo": "x"}}, "repo"),
        ({"metrics": {"service": {"enable": True}}}, "enable"),
        ({"replicas": "2"}, "replicas"),
        ({"replicas": -1}, "replicas"),
        ({"logLevel": "verbose"}, "logLevel"),
        ({"watchNamespaces": "team-a"}, "watchNamespaces"),
        ({"watchNamespaces": ["team-a", "team-a"]}, "watchNamespaces"),
        ({"watchNamespaces": ["Team-A"]}, "watchNamespaces"),
        ({"allowedHosts": ["https://langsmith.example.com"]}, "allowedHosts"),
        ({"allowedHosts": ["langsmith.example.com:443"]}, "allowedHosts"),
        ({"allowedHosts": ["langsmith*"]}, "allowedHosts"),
        ({"image": {"digest": "sha256:abc"}}, "digest"),
        ({"podLabels": {"version": 1}}, "podLabels"),
        ({"podAnnotations": {"on": True}}, "podAnnotations"),
        ({"nodeSelector": {"gpu": True}}, "nodeSelector"),
        ({"resources": {"memory": "1Gi"}}, "memory"),
        ({"tolerations": [{"keys": "infra"}]}, "keys"),
        ({"affinity": {"antiAffinity": {}}}, "antiAffinity"),
        ({"extraEnv": [{"name": "POD_NAMESPACE", "value": "x"}]}, "extraEnv"),
        ({"extraEnv": [{"name": "PROXY", "valueFrom": {}}]}, "extraEnv"),
        ({"extraEnv": {"HTTPS_PROXY": "x"}}, "extraEnv"),
        ({"serviceAccount": {"annotations": None, "names": "x"}}, "names"),
        ({"networkPolicy": {"metricsFrom": [{"pods": {}}]}}, "pods"),
    ],
    ids=str,
)
def test_the_schema_refuses(helm: Helm, values: dict[str, Any], message: str) -> None:
    done = helm.template(values, code=1)
    assert "values don't meet the specifications of the schema" in done.stderr
    assert message in done.stderr
    assert done.stdout == ""


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


def objects_of(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield path, schema
        for name, inner in schema.items():
            yield from objects_of(inner, f"{path}/{name}")


def test_the_schema_is_strict_everywhere() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    loose = {path for path, item in objects_of(schema) if "additionalProperties" not in item}
    assert loose == {"/properties/global"}


def test_every_value_has_a_schema_and_a_row_in_the_docs() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert set(schema["properties"]) == {*DEFAULTS, "global"}
    for path in leaves(DEFAULTS):
        inner = schema
        for name in path.split("."):
            inner = inner["properties"][name]
    _, page = (ROOT / "docs" / "chart.md").read_text().split("\n## Values\n")
    rows = re.findall(r"^\| `([A-Za-z.]+)` \|", page, re.MULTILINE)
    assert sorted(rows) == sorted(leaves(DEFAULTS))
