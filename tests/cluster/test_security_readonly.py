"""The chart's readOnly: conditions say what would be written, and neither the operator nor its roles can write it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.support import objects
from tests.support.cluster import ClusterAccess
from tests.support.helm import of_kind, operator_process_spec, rendered, service_account_kubeconfig
from tests.support.kube import Kube, condition
from tests.support.operator import OperatorProcess

MakeNamespace = Callable[..., str]
VALUES = {"readOnly": True, "crds": {"enabled": False}}


def test_a_read_only_release_may_write_status_and_its_lease_and_nothing_else() -> None:
    chart = rendered(VALUES)
    writes = {
        (verb, resource)
        for role in [*of_kind(chart, "ClusterRole"), *of_kind(chart, "Role")]
        if not role["metadata"]["name"].endswith((":view", ":edit"))
        for rule in role["rules"]
        for verb in rule["verbs"]
        for resource in rule["resources"]
        if verb not in ("get", "list", "watch")
    }
    assert writes == {
        ("patch", "langsmithtargets/status"),
        ("patch", "gatewaytelemetries/status"),
        ("create", "leases"),
        ("update", "leases"),
    }


def test_it_reports_and_touches_nothing(
    cluster: ClusterAccess, kube: Kube, new_namespace: MakeNamespace, tmp_path: Path
) -> None:
    home, team = new_namespace("home"), new_namespace("team")
    chart = rendered({**VALUES, "watchNamespaces": [team]}, namespace=home)
    for item in chart:
        if item["kind"] != "Deployment":
            kube.create(item)
    args, env = operator_process_spec(chart)
    assert "--read-only" in args
    args = [item for item in args[1:] if not item.startswith(("--health-address", "--metrics-address"))]
    account = service_account_kubeconfig(cluster, home, "gateway-telemetry-operator", tmp_path)
    for item in (
        objects.secret(team),
        objects.target(team),
        objects.deployment(team),
        objects.deployment(team, "other"),
        objects.reference(team, "refers", app="other"),
    ):
        kube.apply(item)
    before = kube.get("deployment", team, "gateway")
    assert before is not None
    with OperatorProcess(account, tmp_path, *args, env={**env, "POD_NAMESPACE": home}) as process:
        kube.apply(objects.gateway(team))
        kube.wait_condition("lst", team, "prod", "ResolvedRefs")
        found = kube.wait_condition("gt", team, "gateway", "Programmed", "False", "ReadOnly")
        assert condition(found, "Programmed")["message"] == (
            f"not written (POST secrets {team}): the operator was started with --read-only (chart value readOnly), "
            "so it only reports"
        )
        assert condition(found, "Stalled")["reason"] == "ReadOnly"
        assert "finalizers" not in found["metadata"]
        assert found["status"]["traces"]["endpoint"] == "https://eu.api.smith.langchain.com/otel/v1/traces"
        kube.wait_condition("gt", team, "refers", "Programmed", "False", "ReadOnly")
        after = kube.get("deployment", team, "gateway")
        assert after is not None
        assert (after["spec"], after["metadata"].get("annotations")) == (
            before["spec"],
            {"deployment.kubernetes.io/revision": "1"},
        )
        assert [item["metadata"]["name"] for item in kube.list("secret", team)] == ["langsmith"]
        kube.delete("gt", team, "gateway")
        kube.wait_gone("gt", team, "gateway")
        assert process.stop() == 0
        assert "forbidden" not in process.log().lower()
        assert "permission" not in process.log().lower()
