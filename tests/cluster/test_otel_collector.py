"""A Collector whose configuration is a ConfigMap of somebody else: one exporter more, and everything else as it was."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hack.cluster import free_ports

from tests.support import collector, objects, pod_process
from tests.support.account import chart_account
from tests.support.apiproxy import ApiProxy, Drop, on
from tests.support.cluster import ClusterAccess, service_account_kubeconfig
from tests.support.helm import rendered
from tests.support.kube import MERGE_PATCH, Kube, KubeError, condition, same, wait
from tests.support.langsmith import CertificateAuthority, StandIn
from tests.support.objects import Object
from tests.support.operator import PROGRAM, OperatorProcess, Watching, watching
from tests.support.sdk_reader import runs_of
from tests.unit.langsmith_standin.clients import KEY, WORKSPACE, sdk

EXPORTER = "otlp_http/gateway-telemetry"
PROJECT = "Checkout $HOME, 100% = EU"
TEXT = collector.CONFIG.format(port=4318)
REAL = pytest.mark.skipif(pod_process.unavailable() is not None, reason=str(pod_process.unavailable()))


@pytest.fixture(scope="module")
def operator(cluster: ClusterAccess, kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watching]:
    flags = ("--insecure-allow-loopback", "--cluster-name=test")
    with watching(kube, cluster.kubeconfig, tmp_path_factory.mktemp("operator"), 24, *flags) as found:
        yield found


@pytest.fixture
def shop(operator: Watching, kube: Kube) -> str:
    """A namespace with a target and a Collector."""
    namespace = operator.namespace()
    kube.apply(objects.secret(namespace))
    kube.apply(objects.target(namespace))
    kube.apply(collector.config_map(namespace, TEXT))
    kube.apply(collector.deployment(namespace))
    return namespace


def telemetry(namespace: str, name: str = "gateway", key: str = collector.KEY, **spec: Any) -> Object:
    workloads = {"selector": {"matchLabels": {"app": "otelcol"}}}
    ref = {"kind": "ConfigMap", "name": "otelcol", "key": key}
    way = {"resource": {"ref": ref, "workloads": workloads, **spec.pop("way", {})}}
    options = spec.pop("options", {})
    gateway = {"type": "otel-collector", **({"otelCollector": options} if options else {})}
    return objects.gateway(namespace, name, install=way, gateway=gateway, **spec)


def text(kube: Kube, namespace: str) -> str:
    found = kube.get("configmap", namespace, "otelcol")
    assert found is not None
    assert found["data"]["other"] == "not ours"
    result: str = found["data"][collector.KEY]
    return result


def ready(kube: Kube, namespace: str) -> Object:
    """Return the live Deployment once all is written and rolled out."""
    kube.wait_condition("gatewaytelemetry", namespace, "gateway", "Ready", timeout=60)
    live = kube.get("deployment", namespace, "otelcol")
    assert live is not None
    return live


def config_hash(live: Object) -> str | None:
    annotations: dict[str, str] = live["spec"]["template"]["metadata"].get("annotations") or {}
    return annotations.get("gatewaytelemetry.dev/config-hash")


def look_again(kube: Kube, namespace: str, value: str) -> None:
    """Ask for what an operator finds out by itself within a minute: ConfigMaps of others are not watched."""
    annotations = {"metadata": {"annotations": {"gatewaytelemetry.dev/requestedAt": value}}}
    kube.merge_patch("gatewaytelemetry", namespace, "gateway", annotations)


def refused(kube: Kube, namespace: str, reason: str) -> str:
    item = kube.wait_condition("gatewaytelemetry", namespace, "gateway", "Programmed", "False", reason)
    message: str = condition(item, "Programmed")["message"]
    return message


@REAL
@pytest.mark.timeout(600)  # the Collector is compiled when a machine needs it for the first time
def test_spans_reach_the_intended_project_once_it_is_written(operator: Watching, kube: Kube, tmp_path: Path) -> None:
    namespace = operator.namespace()
    ca = CertificateAuthority(tmp_path / "pki")
    (port,) = free_ports(1)
    kube.apply(collector.config_map(namespace, collector.CONFIG.format(port=port)))
    kube.apply(collector.deployment(namespace))
    with StandIn("langsmith/dev", tls=ca.server("127.0.0.1"), keys={KEY: WORKSPACE}) as langsmith:
        before = kube.get("deployment", namespace, "otelcol")
        assert before is not None
        with collector.running(kube, before, port, tmp_path / "before.log"):
            collector.send_span(port, "before")
        assert langsmith.store.requests("ingest") == []
        kube.apply(objects.secret(namespace, key=KEY))
        kube.apply(objects.ca_bundle(namespace, ca.bundle.read_text()))
        kube.apply(
            objects.target(
                namespace,
                selfHosted={"url": f"https://127.0.0.1:{langsmith.port}/langsmith/dev"},
                caBundleRef={"kind": "ConfigMap", "name": "langsmith-ca", "key": "ca.crt"},
                workspaceId=WORKSPACE,
                project=PROJECT,
            )
        )
        kube.apply(telemetry(namespace))
        live = ready(kube, namespace)
        with (
            collector.running(kube, live, port, tmp_path / "after.log"),
            sdk(langsmith.api_url, key=KEY, ca=ca.bundle) as client,
        ):
            collector.send_span(port, "after")
            found = wait(f"a run in {PROJECT}", lambda: runs_of(client, PROJECT), 30)
            assert [run.name for run in found] == ["after"]
            assert [project.name for project in client.list_projects()] == [PROJECT]
        seen = {(item.path, item.status) for item in langsmith.store.requests("ingest")}
        assert seen == {("/langsmith/dev/api/v1/otel/v1/traces", 200)}
    exporter = yaml.safe_load(text(kube, namespace))["exporters"][EXPORTER]
    assert exporter["tls"] == {
        "ca_file": "/etc/gateway-telemetry/ca.crt",
        "include_system_ca_certs_pool": True,
        "reload_interval": "1m",
    }
    assert KEY not in text(kube, namespace)


def test_all_else_stays_byte_by_byte_and_comes_back_on_deletion(operator: Watching, kube: Kube, shop: str) -> None:
    before = kube.get("deployment", shop, "otelcol")
    assert before is not None
    kube.apply(telemetry(shop))
    ready(kube, shop)
    lines = text(kube, shop).splitlines()
    added = [line for line in lines if line not in TEXT.splitlines()]
    assert [line for line in TEXT.splitlines() if line not in lines] == ["      exporters: [debug]   # one for now"]
    assert added[0] == f"  {EXPORTER}:"
    assert added[-1] == f"      exporters: [debug, {EXPORTER}]   # one for now"
    live = kube.get("configmap", shop, "otelcol")
    assert live is not None
    assert {entry["manager"] for entry in live["metadata"]["managedFields"]} == {"test"}
    status = kube.get("gatewaytelemetry", shop, "gateway")["status"]  # type: ignore[index]
    assert [(item["kind"], item["name"], item["state"]) for item in status["sinks"]] == [
        ("ConfigMap", "otelcol", "Programmed"),
        ("Deployment", "otelcol", "Programmed"),
    ]
    kube.delete("gatewaytelemetry", shop, "gateway")
    kube.wait_gone("gatewaytelemetry", shop, "gateway")
    assert text(kube, shop) == TEXT
    after = kube.get("deployment", shop, "otelcol")
    assert after is not None
    assert after["spec"] == before["spec"]
    assert [item["metadata"]["name"] for item in kube.list("secret", shop)] == ["langsmith"]


def test_what_others_changed_meanwhile_stays_when_ours_goes(operator: Watching, kube: Kube, shop: str) -> None:
    kube.apply(telemetry(shop))
    ready(kube, shop)
    theirs = text(kube, shop).replace('verbosity: "basic"', 'verbosity: "detailed" # for a while')
    kube.apply(collector.config_map(shop, theirs))
    kube.delete("gatewaytelemetry", shop, "gateway")
    kube.wait_gone("gatewaytelemetry", shop, "gateway")
    assert text(kube, shop) == TEXT.replace('verbosity: "basic"', 'verbosity: "detailed" # for a while')


def test_an_upgrade_that_rewrites_it_is_followed_by_another_restart(operator: Watching, kube: Kube, shop: str) -> None:
    kube.apply(telemetry(shop))
    first = config_hash(ready(kube, shop))
    newer = TEXT.replace("timeout: 100ms", "timeout: 200ms")
    kube.apply(collector.config_map(shop, newer))
    look_again(kube, shop, "1")
    kube.wait("it is put back", lambda: EXPORTER in text(kube, shop))
    kube.wait("its pods are replaced", lambda: config_hash(ready(kube, shop)) != first)
    assert "timeout: 200ms" in text(kube, shop)
    kube.delete("gatewaytelemetry", shop, "gateway")
    kube.wait_gone("gatewaytelemetry", shop, "gateway")
    assert text(kube, shop) == newer


def test_a_converged_collector_is_written_to_no_more(operator: Watching, kube: Kube, shop: str) -> None:
    kube.apply(telemetry(shop))
    live = ready(kube, shop)
    kube.apply(objects.target(shop, project="other"))
    kube.wait("the project changes", lambda: "langsmith-project: other" in text(kube, shop))
    newer = kube.wait("its pods are replaced", lambda: changed(kube, shop, config_hash(live)))
    ready(kube, shop)
    version = kube.get("configmap", shop, "otelcol")["metadata"]["resourceVersion"]  # type: ignore[index]
    seen = operator.reconciles()
    look_again(kube, shop, "2")
    kube.wait("it is looked at", lambda: operator.reconciles() > seen)
    ready(kube, shop)
    assert kube.get("configmap", shop, "otelcol")["metadata"]["resourceVersion"] == version  # type: ignore[index]
    assert changed(kube, shop, config_hash(live)) == newer


def changed(kube: Kube, namespace: str, before: str | None) -> str | None:
    live = kube.get("deployment", namespace, "otelcol")
    assert live is not None
    found = config_hash(live)
    return None if found == before else found


BAD = {
    "an exporter of that name": (
        TEXT.replace("  # everything", f"  {EXPORTER}: {{traces_endpoint: https://elsewhere}}\n  # everything"),
        "ResourceConflict",
        f"already holds exporters.{EXPORTER}, and not as the operator would write it: remove it there",
    ),
    "no such pipeline": (
        TEXT.replace("    traces:", "    traces/gateways:"),
        "ResourceInvalid",
        "key relay: service.pipelines.traces is missing",
    ),
    "no YAML": ("exporters: {", "ResourceInvalid", "key relay: it is not valid YAML at line 2, column 1"),
    "an alias": (
        TEXT.replace("exporters: [debug]   # one for now", "exporters: *all").replace(
            "metrics: {receivers: [otlp], exporters: [debug]}", "metrics: {receivers: [otlp], exporters: &all [debug]}"
        ),
        "ResourceInvalid",
        "is an alias of another part: write it out",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_there_is_never_written_over(operator: Watching, kube: Kube, shop: str, case: str) -> None:
    bad, reason, message = BAD[case]
    kube.apply(collector.config_map(shop, bad))
    kube.apply(telemetry(shop))
    assert message in refused(kube, shop, reason)
    assert text(kube, shop) == bad
    live = kube.get("deployment", shop, "otelcol")
    assert live is not None
    assert config_hash(live) is None


def test_names_that_lead_nowhere_are_told(operator: Watching, kube: Kube, shop: str) -> None:
    kube.apply(telemetry(shop, key="collector.yaml"))
    assert refused(kube, shop, "ResourceInvalid") == (
        f"ConfigMap {shop}/otelcol has no key collector.yaml: it has other, relay; set "
        "spec.install.resource.ref.key (and 1 more: see status.sinks)"
    )
    kube.delete("configmap", shop, "otelcol")
    look_again(kube, shop, "1")
    assert "does not exist" in refused(kube, shop, "ResourceNotFound")


def test_a_generated_config_map_is_refused_with_the_way_out(operator: Watching, kube: Kube, shop: str) -> None:
    made = collector.config_map(shop, TEXT)
    owner = {"apiVersion": "opentelemetry.io/v1beta1", "kind": "OpenTelemetryCollector", "name": "main", "uid": "u"}
    made["metadata"]["ownerReferences"] = [{**owner, "controller": True}]
    kube.apply(made)
    kube.apply(telemetry(shop))
    assert "write install.resource.ref: {kind: OpenTelemetryCollector, name: main}" in refused(
        kube, shop, "ResourceGenerated"
    )
    assert text(kube, shop) == TEXT


def test_the_older_of_two_has_it_and_the_other_follows(operator: Watching, kube: Kube, shop: str) -> None:
    kube.apply(telemetry(shop))
    ready(kube, shop)
    kube.apply(telemetry(shop, "second", project="second"))
    found = kube.wait_condition("gatewaytelemetry", shop, "second", "Accepted", "False", "Conflicted")
    assert "belongs to GatewayTelemetry gateway" in condition(found, "Accepted")["message"]
    kube.delete("gatewaytelemetry", shop, "gateway")
    kube.wait_gone("gatewaytelemetry", shop, "gateway")
    kube.wait_condition("gatewaytelemetry", shop, "second", "Ready", timeout=60)
    assert "langsmith-project: second" in text(kube, shop)


def test_a_failed_rollout_takes_the_exporter_out_again(operator: Watching, kube: Kube, shop: str) -> None:
    kube.apply(collector.deployment(shop, annotations={"kwok.test/fate": "crash-loop"}))
    before = kube.get("deployment", shop, "otelcol")
    assert before is not None
    kube.apply(telemetry(shop, way={"rollout": {"onFailure": "Rollback"}}))
    refused(kube, shop, "RolledBack")
    kube.wait("the exporter is gone", lambda: text(kube, shop) == TEXT)
    same(before["spec"], lambda: kube.get("deployment", shop, "otelcol")["spec"], "it is as before")  # type: ignore[index]
    kube.delete("gatewaytelemetry", shop, "gateway")
    kube.wait_gone("gatewaytelemetry", shop, "gateway")


def test_while_it_waits_for_approval_nothing_is_written(operator: Watching, kube: Kube, shop: str) -> None:
    kube.apply(telemetry(shop, way={"rollout": {"policy": "Manual"}}))
    item = kube.wait_condition("gatewaytelemetry", shop, "gateway", "Programmed", "Unknown", "AwaitingApproval")
    assert text(kube, shop) == TEXT
    wanted = condition(item, "Programmed")["message"].split("approvedHash=")[1].split()[0]
    approval = {"metadata": {"annotations": {"gatewaytelemetry.dev/approvedHash": wanted}}}
    kube.merge_patch("gatewaytelemetry", shop, "gateway", approval)
    ready(kube, shop)
    assert EXPORTER in text(kube, shop)


ORDERS = [
    ("configmap", "gatewaytelemetry"),
    ("deployment", "gatewaytelemetry"),
    ("langsmithtarget", "gatewaytelemetry"),
    ("gatewaytelemetry", "langsmithtarget"),
]
NAMES = {"configmap": "otelcol", "deployment": "otelcol", "langsmithtarget": "prod", "gatewaytelemetry": "gateway"}


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_no_order_of_deletion_leaves_anything(
    operator: Watching, kube: Kube, shop: str, order: tuple[str, ...]
) -> None:
    kube.apply(telemetry(shop))
    ready(kube, shop)
    for kind in order:
        kube.delete(kind, shop, NAMES[kind])
    kube.wait_gone("gatewaytelemetry", shop, "gateway")
    for name in ("gateway-telemetry-configmap-otelcol", "gateway-telemetry-deployment-otelcol"):
        kube.wait_gone("secret", shop, name)
    if "configmap" not in order:
        assert text(kube, shop) == TEXT
    if "deployment" not in order:
        assert config_hash(kube.get("deployment", shop, "otelcol") or {}) is None


CRASHES = [
    ("create secrets", "after"),
    ("patch configmaps", "before"),
    ("patch configmaps", "after"),
    ("apply deployments", "before"),
]


@pytest.mark.parametrize(("what", "side"), CRASHES, ids=[f"{side}-{what.replace(' ', '-')}" for what, side in CRASHES])
def test_killed_between_two_writes_it_ends_as_undisturbed(
    cluster: ClusterAccess, kube: Kube, namespace: str, tmp_path: Path, what: str, side: str
) -> None:
    kube.apply(objects.secret(namespace))
    kube.apply(objects.target(namespace))
    kube.apply(collector.config_map(namespace, TEXT))
    kube.apply(collector.deployment(namespace))
    with (
        ApiProxy(ClusterAccess(chart_account(cluster.kubeconfig)), tmp_path / "proxy") as proxy,
        OperatorProcess(proxy.kubeconfig, tmp_path, f"--watch-namespace={namespace}") as operator,
    ):
        hook = on(what, Drop(operator.kill))
        if side == "before":
            proxy.before = hook
        else:
            proxy.after = hook
        kube.apply(telemetry(namespace))
        process = operator.process
        assert process is not None
        kube.wait("the operator is killed", lambda: process.poll() is not None)
        proxy.clear_hooks()
        operator.start()
        live = ready(kube, namespace)
        kube.wait("nobody claims it", lambda: unclaimed(kube, namespace))
    assert text(kube, namespace).count(EXPORTER) == 2
    assert "gateway-telemetry" not in {entry["manager"] for entry in live["metadata"]["managedFields"]}


def unclaimed(kube: Kube, namespace: str) -> bool:
    found = kube.get("configmap", namespace, "otelcol")
    assert found is not None
    return {entry["manager"] for entry in found["metadata"]["managedFields"]} == {"test"}


def test_an_uninstall_takes_it_out(cluster: ClusterAccess, kube: Kube, namespace: str, tmp_path: Path) -> None:
    kube.apply(objects.secret(namespace))
    kube.apply(objects.target(namespace))
    kube.apply(collector.config_map(namespace, TEXT))
    kube.apply(collector.deployment(namespace))
    with OperatorProcess(cluster.kubeconfig, tmp_path, f"--watch-namespace={namespace}"):
        kube.apply(telemetry(namespace))
        ready(kube, namespace)
    command = [str(PROGRAM), "uninstall", "--kubeconfig", str(cluster.kubeconfig), "--watch-namespace", namespace]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert text(kube, namespace) == TEXT
    assert config_hash(kube.get("deployment", namespace, "otelcol") or {}) is None


CLUSTER_WIDE = ("ClusterRole", "ClusterRoleBinding", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")


@pytest.mark.parametrize("allowed", [True, False], ids=["allowed", "not-allowed"])
def test_the_admission_policy_lets_it_through_only_where_that_is_asked_for(
    cluster: ClusterAccess, kube: Kube, namespace: str, tmp_path: Path, allowed: bool
) -> None:
    values = {"admissionPolicy": {"enabled": True}, "crds": {"enabled": False}, "writes": {"configMaps": allowed}}
    made = [item for item in rendered(values, namespace=namespace) if item["kind"] != "Deployment"]
    for item in made:
        kube.create(item)
    try:
        account = service_account_kubeconfig(cluster, namespace, "gateway-telemetry-operator", tmp_path, 3600)
        kube.apply(collector.config_map(namespace, TEXT))
        with Kube(ClusterAccess(account)) as stolen:
            kube.wait(
                "the policy is in force", lambda: is_refused(stolen, namespace, {"metadata": {"labels": {"a": "b"}}})
            )
            assert is_refused(stolen, namespace, {"data": {"new": "key"}})
            # The API server goes on for a moment with the policy of a test before.
            same(
                not allowed,
                lambda: is_refused(stolen, namespace, {"data": {collector.KEY: "other"}}),
                "only what is asked for may change the text",
            )
        kube.apply(objects.secret(namespace))
        kube.apply(objects.target(namespace))
        kube.apply(collector.deployment(namespace))
        with OperatorProcess(account, tmp_path, f"--watch-namespace={namespace}"):
            kube.apply(telemetry(namespace))
            if allowed:
                ready(kube, namespace)
                assert EXPORTER in text(kube, namespace)
            else:
                assert "set its value writes.configMaps: true" in refused(kube, namespace, "RBACDenied")
            kube.delete("gatewaytelemetry", namespace, "gateway")
            kube.wait_gone("gatewaytelemetry", namespace, "gateway")
        assert text(kube, namespace) == TEXT
    finally:
        for item in made:
            if item["kind"] in CLUSTER_WIDE:
                kube.delete(item["kind"], None, item["metadata"]["name"])


def is_refused(stolen: Kube, namespace: str, patch: Object) -> bool:
    """Tell whether the policy refuses a change of the ConfigMap; nothing is changed."""
    path = stolen.resource("configmap").path(namespace, "otelcol")
    try:
        stolen.call("PATCH", path, patch, params={"dryRun": "All"}, content_type=MERGE_PATCH)
    except KubeError as error:
        return "only write and delete what carries its label" in error.message
    return False
