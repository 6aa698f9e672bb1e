"""What ``render`` leaves behind when something was there before: changes, restores, contention, suspension."""

from __future__ import annotations

import base64
import copy
from pathlib import Path
from typing import Any

import pytest

from tests.support import objects
from tests.unit.cli.run import NOW, Object, Ran, render_objects

NS = "shop"
OWN = "gateway-telemetry-deployment-gateway"
CA = Path(__file__).parents[1] / "plan" / "golden" / "ca.crt"
FINALIZER = "gatewaytelemetry.dev/restore"


def settled(*found: Object, args: tuple[str, ...] = ()) -> list[Object]:
    """Return the objects after a first run, with all values shown."""
    ran = render_objects(found, "--show-secrets", *args)
    assert ran.code == 0, ran.err
    return ran.objects()


def again(found: list[Object], *args: str) -> Ran:
    return render_objects(found, "--show-secrets", *args)


def first(**gateway: Any) -> list[Object]:
    return settled(objects.secret(NS), objects.target(NS), objects.gateway(NS, **gateway), objects.deployment(NS))


def pick(found: list[Object], kind: str, name: str | None = None) -> Object:
    (one,) = [obj for obj in found if obj["kind"] == kind and name in (None, obj["metadata"]["name"])]
    return one


def env(deployment: Object) -> dict[str, Any]:
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {item["name"]: item.get("value") for item in container.get("env", [])}


def config_hash(deployment: Object) -> str:
    found: str = deployment["spec"]["template"]["metadata"]["annotations"]["gatewaytelemetry.dev/config-hash"]
    return found


def headers(found: list[Object]) -> str:
    return base64.b64decode(pick(found, "Secret", OWN)["data"]["otlp-headers"]).decode()


def test_a_change_of_the_spec_reaches_secret_and_template() -> None:
    found = first()
    before = copy.deepcopy(found)
    pick(found, "GatewayTelemetry")["spec"]["project"] = "other"
    ran = again(found)
    assert ran.code == 0
    assert headers(ran.objects()).endswith(",langsmith-project=other")
    assert config_hash(ran.find("Deployment")) != config_hash(pick(before, "Deployment"))
    assert again(ran.objects()).objects() == ran.objects()


def test_what_is_no_longer_wanted_goes_from_the_template() -> None:
    hosted = {"url": "https://langsmith.example.com"}
    allow = ("--allow-host", "langsmith.example.com")
    pem = CA.read_text()
    with_ca: Object = {"selfHosted": hosted, "caBundleRef": {"kind": "ConfigMap", "name": "langsmith-ca"}}
    plain = settled(
        objects.secret(NS),
        objects.target(NS, selfHosted=hosted),
        objects.gateway(NS),
        objects.deployment(NS),
        args=allow,
    )
    found = settled(
        objects.secret(NS),
        objects.target(NS, **with_ca),
        objects.gateway(NS),
        objects.deployment(NS),
        objects.ca_bundle(NS, pem),
        args=allow,
    )
    assert "volumes" in pick(found, "Deployment")["spec"]["template"]["spec"]
    del pick(found, "LangSmithTarget")["spec"]["caBundleRef"]
    ran = again(found, *allow)
    assert ran.code == 0
    assert ran.find("Deployment") == pick(plain, "Deployment")
    assert set(ran.find("Secret", OWN)["data"]) == {"otlp-headers", "record.json"}
    assert again(ran.objects(), *allow).objects() == ran.objects()


@pytest.mark.parametrize("annotations", [None, {"team": "payments"}], ids=["bare", "annotated"])
def test_a_workload_that_is_no_longer_selected_is_as_it_was(annotations: dict[str, str] | None) -> None:
    plain = objects.deployment(NS)
    if annotations is not None:
        plain["metadata"]["annotations"] = annotations
    other = objects.deployment(NS, "other")
    found = settled(objects.secret(NS), objects.target(NS), objects.gateway(NS), plain, other)
    selector = pick(found, "GatewayTelemetry")["spec"]["install"]["inject"]["workloads"]["selector"]
    selector["matchLabels"]["app"] = "other"
    ran = again(found)
    assert ran.code == 0
    assert ran.find("Deployment", "gateway") == plain
    assert "env" in ran.find("Deployment", "other")["spec"]["template"]["spec"]["containers"][0]
    assert [obj["metadata"]["name"] for obj in ran.objects() if obj["kind"] == "Secret"] == [
        "langsmith",
        "gateway-telemetry-deployment-other",
    ]
    assert ran.find("GatewayTelemetry")["metadata"]["finalizers"] == [FINALIZER]


def test_a_gateway_that_is_being_deleted_is_restored_and_let_go() -> None:
    plain = objects.deployment(NS)
    found = first()
    gateway = pick(found, "GatewayTelemetry")
    gateway["metadata"]["deletionTimestamp"] = NOW
    gateway["metadata"]["finalizers"].append("example.com/other")
    ran = again(found)
    assert ran.code == 0
    assert ran.find("Deployment") == plain
    assert [obj["metadata"]["name"] for obj in ran.objects() if obj["kind"] == "Secret"] == ["langsmith"]
    assert ran.find("GatewayTelemetry")["metadata"]["finalizers"] == ["example.com/other"]


def test_a_withdrawn_consent_takes_the_copy_of_the_key_away() -> None:
    plain = objects.deployment(NS)
    found = settled(
        objects.secret("platform"),
        objects.target("platform", allowedNamespaces={"from": "All"}),
        objects.gateway(NS, targetRef={"name": "prod", "namespace": "platform"}),
        plain,
    )
    pick(found, "LangSmithTarget")["spec"]["allowedNamespaces"] = {"from": "Same"}
    ran = again(found)
    assert ran.code == 1
    assert ran.find("Deployment") == plain
    assert [obj["metadata"]["namespace"] for obj in ran.objects() if obj["kind"] == "Secret"] == ["platform"]
    assert "finalizers" not in ran.find("GatewayTelemetry")["metadata"]


def test_a_target_that_stops_working_takes_nothing_away() -> None:
    found = first()
    source = pick(found, "Secret", "langsmith")
    source["metadata"]["labels"]["gatewaytelemetry.dev/role"] = "none"
    ran = again(found)
    assert ran.code == 1
    assert ran.find("Deployment") == pick(found, "Deployment")
    assert ran.find("Secret", OWN) == pick(found, "Secret", OWN)


def test_a_record_whose_gateway_is_not_among_the_files_is_left_alone() -> None:
    found = [obj for obj in first() if obj["kind"] != "GatewayTelemetry"]
    ran = again(found)
    assert (ran.code, ran.objects()) == (0, found)


def test_orphan_keeps_no_finalizer() -> None:
    found = first(deletionPolicy="Orphan")
    assert "finalizers" not in pick(found, "GatewayTelemetry")["metadata"]
    assert "env" in pick(found, "Deployment")["spec"]["template"]["spec"]["containers"][0]


def test_a_suspended_gateway_writes_nothing_and_says_so() -> None:
    plain = objects.deployment(NS)
    ran = render_objects([objects.secret(NS), objects.target(NS), objects.gateway(NS, suspend=True), plain])
    assert ran.code == 0
    assert ran.find("Deployment") == plain
    conditions = ran.conditions("GatewayTelemetry")
    assert conditions["Suspended"] == ("True", "Suspended")
    assert conditions["Programmed"] == ("False", "NotWritten")


def test_suspension_keeps_the_last_conditions() -> None:
    found = first()
    before = pick(found, "GatewayTelemetry")["status"]["conditions"]
    pick(found, "GatewayTelemetry")["spec"].update(suspend=True, project="other")
    ran = again(found)
    assert ran.code == 0
    after = ran.find("GatewayTelemetry")["status"]["conditions"]
    assert after[:-1] == before
    assert (after[-1]["type"], after[-1]["lastTransitionTime"]) == ("Suspended", NOW)
    assert headers(ran.objects()).endswith("langsmith-project=checkout")
    assert again(ran.objects()).objects() == ran.objects()


def test_a_secret_of_the_operators_name_that_is_not_its_own_is_not_touched() -> None:
    foreign = objects.secret(NS, OWN)
    found = [objects.secret(NS), objects.target(NS), objects.gateway(NS), objects.deployment(NS), foreign]
    ran = again(found)
    assert ran.code == 1
    assert ran.find("Deployment") == objects.deployment(NS)
    assert ran.find("Secret", OWN) == foreign
    assert ran.conditions("GatewayTelemetry")["Programmed"] == ("False", "SecretNameTaken")
    assert f"Failed (SecretNameTaken): Secret shop/{OWN} exists and is not this operator's" in ran.err


def test_labels_that_others_gave_to_the_own_secret_stay_and_data_goes() -> None:
    found = first()
    own = pick(found, "Secret", OWN)
    own["metadata"]["labels"]["team"] = "payments"
    own["metadata"]["annotations"]["note"] = "x"
    own["data"]["more"] = base64.b64encode(b"x").decode()
    pick(found, "GatewayTelemetry")["spec"]["project"] = "other"
    after = again(found).find("Secret", OWN)
    assert after["metadata"]["labels"] == own["metadata"]["labels"]
    assert after["metadata"]["annotations"] == own["metadata"]["annotations"]
    assert set(after["data"]) == {"otlp-headers", "record.json"}


def test_a_secret_keeps_what_a_rollback_needs() -> None:
    found = first()
    headers = pick(found, "Secret", OWN)["data"]["otlp-headers"]
    spec = pick(found, "GatewayTelemetry")["spec"]
    spec["project"] = "other"
    spec["install"]["inject"]["rollout"] = {"onFailure": "Rollback"}
    after = again(found).find("Secret", OWN)
    assert set(after["data"]) == {"otlp-headers", "previous.otlp-headers", "record.json"}
    assert after["data"]["previous.otlp-headers"] == headers != after["data"]["otlp-headers"]


def from_config_map(name: str) -> Object:
    return objects.deployment(NS, envFrom=[{"configMapRef": {"name": name}, "prefix": "OTEL_"}])


def test_names_inside_a_config_map_are_compared() -> None:
    inherited = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "env", "namespace": NS},
        "data": {"EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318"},
    }
    found = [objects.secret(NS), objects.target(NS), objects.gateway(NS), from_config_map("env"), inherited]
    ran = again(found)
    assert ran.code == 1
    assert "already gets OTEL_EXPORTER_OTLP_TRACES_ENDPOINT from ConfigMap env (envFrom)" in ran.err
    assert ran.find("Deployment") == from_config_map("env")


def test_a_config_map_that_is_not_among_the_files_is_said_to_be_unknown() -> None:
    found = [objects.secret(NS), objects.target(NS), objects.gateway(NS), from_config_map("env")]
    ran = again(found)
    assert ran.code == 0
    assert ran.err == (
        "note: <stdin>:43: Deployment shop/gateway: takes variables from ConfigMap env (envFrom), which is not among "
        "the files: whether it sets what would be written is not known\n"
    )


def created(obj: Object, when: str, name: str) -> Object:
    obj["metadata"].update(creationTimestamp=when, name=name)
    return obj


def test_the_older_of_two_gateways_has_the_workload_and_the_other_gets_it_after() -> None:
    older = created(objects.gateway(NS), "2026-01-01T00:00:00Z", "older")
    younger = created(objects.gateway(NS, project="other"), "2026-01-02T00:00:00Z", "younger")
    ran = again([objects.secret(NS), objects.target(NS), younger, older, objects.deployment(NS)])
    assert ran.code == 1
    found = ran.objects()
    assert headers(found).endswith("=checkout")
    accepted = pick(found, "GatewayTelemetry", "younger")["status"]["conditions"][0]
    assert (accepted["status"], accepted["reason"]) == ("False", "Conflicted")
    assert "belongs to GatewayTelemetry older" in ran.err
    pick(found, "GatewayTelemetry", "older")["metadata"]["deletionTimestamp"] = NOW
    after = again(found)
    assert after.code == 0
    assert headers(after.objects()).endswith("=other")


def test_a_generation_moves_as_the_api_server_moves_it() -> None:
    deployment = objects.deployment(NS)
    deployment["metadata"].update(generation=4, uid="f0c0ffee")
    deployment["status"] = {"observedGeneration": 4, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
    gateway = objects.gateway(NS)
    gateway["metadata"].update(generation=7, annotations={"gatewaytelemetry.dev/requestedAt": "now"})
    ran = again([objects.secret(NS), objects.target(NS), gateway, deployment])
    found = ran.objects()
    assert pick(found, "Deployment")["metadata"]["generation"] == 5
    assert pick(found, "Secret", OWN)["metadata"]["ownerReferences"] == [
        {"apiVersion": "apps/v1", "kind": "Deployment", "name": "gateway", "uid": "f0c0ffee"}
    ]
    status = pick(found, "GatewayTelemetry")["status"]
    assert (status["observedGeneration"], status["lastHandledRequest"]) == (7, "now")
    assert ran.conditions("GatewayTelemetry")["Programmed"] == ("False", "RolloutInProgress")
    pick(found, "Deployment")["status"]["observedGeneration"] = 5
    rolled = again(found)
    assert rolled.conditions("GatewayTelemetry")["Programmed"] == ("True", "Programmed")
    assert rolled.conditions("GatewayTelemetry")["Ready"] == ("True", "Ready")


def test_a_service_in_the_files_is_judged_and_one_that_is_not_is_taken_on_trust() -> None:
    target = objects.target(NS, selfHosted={"serviceRef": {"name": "frontend", "port": 443, "scheme": "https"}})
    found = [objects.secret(NS), target, objects.gateway(NS), objects.deployment(NS)]
    assert render_objects(found).code == 0
    service: Object = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "frontend", "namespace": NS},
        "spec": {"type": "ExternalName", "externalName": "x.example"},
    }
    ran = render_objects([*found, service])
    assert ran.code == 1
    assert ran.conditions("LangSmithTarget")["Accepted"] == ("False", "ServiceNotAllowed")


def test_the_cluster_name_is_part_of_the_identity() -> None:
    found = [objects.secret(NS), objects.target(NS), objects.gateway(NS), objects.deployment(NS)]
    stamps = {
        env(render_objects(found, *args).find("Deployment"))["OTEL_RESOURCE_ATTRIBUTES"].partition(",")[0]
        for args in ((), ("--cluster-name", "prod"))
    }
    assert len(stamps) == 2


def test_what_an_adapter_warns_of_is_a_note() -> None:
    config = {"config.yaml": "litellm_settings: {callbacks: [prometheus]}"}
    metadata = objects.metadata("config", NS)
    mounted = objects.deployment(NS)
    mounted["spec"]["template"]["spec"]["volumes"] = [{"name": "config", "configMap": {"name": "config"}}]
    found = [
        objects.secret(NS),
        objects.target(NS),
        objects.gateway(NS, type_="litellm"),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": config},
        mounted,
    ]
    ran = render_objects(found)
    assert ran.code == 0
    assert ran.err == (
        "note: <stdin>:51: Deployment shop/gateway: config.yaml does not enable the callback that exports, so LiteLLM "
        "sends nothing: add litellm_settings: {callbacks: [otel]}\n"
    )
