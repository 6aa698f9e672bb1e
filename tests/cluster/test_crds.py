"""The CRDs and the examples on a real API server: what it refuses, what it keeps, what kubectl shows."""

from __future__ import annotations

import functools
import json
import re
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from hack import crdgen

from gateway_telemetry.api.gateway import GatewayTelemetrySpec
from gateway_telemetry.api.gateway_status import GatewayTelemetryStatus
from gateway_telemetry.api.rules import Model
from gateway_telemetry.api.target import LangSmithTargetSpec, LangSmithTargetStatus
from tests.support import api_cases
from tests.support.api_cases import Case
from tests.support.cluster import Kubectl, available, kubectl_for, make_namespace, own_cluster
from tests.support.kube import Kube

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted(path.name for path in (ROOT / "examples").glob("*.yaml"))
SPECS: dict[str, type[Model]] = {api_cases.TARGET: LangSmithTargetSpec, api_cases.GATEWAY: GatewayTelemetrySpec}
NOW = "2026-11-25T09:00:00Z"


def ids(case: Case) -> str:
    return f"{case.kind}-{case.name}"


@pytest.fixture(scope="module")
def shared(kube: Kube) -> Iterator[str]:
    """One namespace for the objects of this module: each test names its own."""
    name = make_namespace(kube, "crds")
    yield name
    kube.delete("namespace", None, name)


def dry_run(kube: Kube, namespace: str, case: Case) -> tuple[int, dict[str, Any]]:
    """Create an object with strict field validation, as kubectl does, without keeping it."""
    path = kube.resource(case.kind).path(namespace)
    answer = kube.raw("POST", path, case.manifest, params={"dryRun": "All", "fieldValidation": "Strict"})
    return answer.status_code, answer.json()


@pytest.mark.parametrize("case", api_cases.BAD, ids=ids)
def test_a_bad_object_is_refused_with_the_message(kube: Kube, shared: str, case: Case) -> None:
    status, answer = dry_run(kube, shared, case)
    assert (status, answer["reason"]) in {(422, "Invalid"), (400, "BadRequest")}, answer
    assert case.server in answer["message"]


@pytest.mark.parametrize("case", api_cases.GOOD, ids=ids)
def test_a_good_object_is_taken_and_defaulted_as_the_model_does(kube: Kube, shared: str, case: Case) -> None:
    status, answer = dry_run(kube, shared, case)
    assert status == 201, answer
    model = SPECS[case.kind].model_validate(case.spec)
    assert answer["spec"] == model.model_dump(by_alias=True, exclude_none=True, mode="json")


def test_kubectl_tells_where_a_key_belongs_and_does_not_repeat_it(kubectl: Kubectl, namespace: str) -> None:
    case = next(case for case in api_cases.BAD if case.name == "inline-key")
    done = kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(case.manifest), code=1)
    assert "put it into a Secret and name that in spec.credentials.ingest.secretRef" in done.stderr
    assert "lsv2_sk_pasted" not in done.stderr


@pytest.mark.parametrize("flags", [(), ("--server-side",)], ids=["client", "server"])
@pytest.mark.parametrize(
    ("kind", "edits", "path"),
    [
        (api_cases.TARGET, {"projekt": "checkout"}, "spec.projekt"),
        (api_cases.TARGET, {"saas.zone": "eu"}, "spec.saas.zone"),
        (api_cases.GATEWAY, {"install.inject.workload": {}}, "spec.install.inject.workload"),
    ],
)
def test_kubectl_apply_refuses_an_unknown_field(
    kubectl: Kubectl, namespace: str, kind: str, edits: dict[str, Any], path: str, flags: tuple[str, ...]
) -> None:
    manifest = json.dumps(Case("typo", kind, edits).manifest)
    done = kubectl("apply", *flags, "-n", namespace, "-f", "-", stdin=manifest, code=1)
    message = f".{path}: field not declared in schema" if flags else f'unknown field "{path}"'
    assert message in done.stderr
    assert kubectl("get", api_cases.PLURALS[kind], "-n", namespace, "-o", "name").stdout == ""


def test_a_good_object_cannot_be_made_bad(kubectl: Kubectl, namespace: str) -> None:
    apply(kubectl, namespace, api_cases.target("later-bad", {}), "later-bad")
    change = json.dumps({"spec": {"selfHosted": {"url": "https://ls.example.com"}}})
    done = kubectl("patch", "lst", "later-bad", "-n", namespace, "--type=merge", "-p", change, code=1)
    assert api_cases.EXACTLY_ONE_FORM in done.stderr


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Kubectl, Kube]]:
    """A cluster without CRDs: the session's may carry the labels of a release."""
    with own_cluster(tmp_path_factory.mktemp("fresh")) as access, Kube(access) as kube:
        yield kubectl_for(access), kube


@pytest.mark.parametrize("kind", crdgen.KINDS, ids=lambda kind: kind.kind)
def test_a_crd_file_equals_its_stored_form(fresh: tuple[Kubectl, Kube], kind: crdgen.Kind) -> None:
    path = ROOT / f"crds/gatewaytelemetry.dev_{kind.plural}.yaml"
    kubectl, kube = fresh
    kubectl("apply", "--server-side", "-f", str(path))
    # Not `kubectl wait`: it fails where a new CRD still has the conditions null.
    kube.wait_condition("crd", None, f"{kind.plural}.gatewaytelemetry.dev", "Established")
    stored = json.loads(kubectl("get", "-f", str(path), "-o", "json").stdout)
    assert stored["spec"] == yaml.safe_load(path.read_text())["spec"]
    kubectl("diff", "-f", str(path))
    kubectl("diff", "--server-side", "--force-conflicts", "-f", str(path))
    conditions = {item["type"]: item["status"] for item in stored["status"]["conditions"]}
    assert conditions["Established"] == "True"
    assert conditions["NamesAccepted"] == "True"
    # https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
    assert conditions.get("NonStructuralSchema", "False") == "False"


def settled(objects: Sequence[dict[str, Any]]) -> dict[tuple[str, str], str]:
    """Return what a write would move.

    A Deployment's resourceVersion also moves with its rollout. A Namespace of which nothing but the name is applied
    has no applied fields, so the API server itself notes a manager "before-first-apply" at the second apply.
    """
    return {
        (item["kind"], item["metadata"]["name"]): str(item["metadata"]["generation"])
        if item["kind"] == "Deployment"
        else item["metadata"]["resourceVersion"]
        for item in objects
        if item["kind"] != "Namespace"
    }


@pytest.mark.parametrize("side", ["client", "server"])
@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_applies_shows_no_difference_and_a_second_apply_writes_nothing(
    kube: Kube, kubectl: Kubectl, tmp_path: Path, example: str, side: str
) -> None:
    prefix = f"{side}-{uuid.uuid4().hex[:6]}-"
    file = tmp_path / example
    file.write_text(re.sub(r"\bexample-", prefix, (ROOT / "examples" / example).read_text()))
    flags = ("--server-side",) if side == "server" else ()
    documents = [item for item in yaml.safe_load_all(file.read_text()) if item]
    try:
        kubectl("apply", *flags, "-f", str(file))
        first = json.loads(kubectl("get", "-f", str(file), "-o", "json").stdout)["items"]
        assert [item["kind"] for item in first] == [item["kind"] for item in documents]
        for item in documents:
            if item["kind"] == "Deployment":  # kubectl diff shows status, too
                where = (item["metadata"]["namespace"], item["metadata"]["name"])
                kube.wait(f"{where} has rolled out", functools.partial(available, kube, *where))
        kubectl("diff", *flags, "-f", str(file))
        kubectl("apply", *flags, "-f", str(file))
        second = json.loads(kubectl("get", "-f", str(file), "-o", "json").stdout)["items"]
        assert settled(second) == settled(first)
    finally:
        names = [item["metadata"]["name"] for item in documents if item["kind"] == "Namespace"]
        kubectl("delete", "namespace", *names, "--wait=false", "--ignore-not-found")


def test_examples_hold_no_key_and_give_their_sources_to_the_operator() -> None:
    for example in EXAMPLES:
        kinds = set()
        sources = set()
        for item in yaml.safe_load_all((ROOT / "examples" / example).read_text()):
            kinds.add(item["kind"])
            if item["kind"] == "Secret":
                placeholder = "REPLACE_ME" if item["metadata"]["name"] == "truefoundry" else "lsv2_sk_REPLACE_ME"
                assert item["stringData"] == {"api-key": placeholder}
            if item["kind"] == "Secret" or item["metadata"]["name"] == "corp-ca":
                assert item["metadata"]["labels"]["gatewaytelemetry.dev/role"] == "source"
                sources.add(item["metadata"]["name"])
        assert {"Namespace", "Secret", "LangSmithTarget", "GatewayTelemetry"} <= kinds, example
        # What exports for TrueFoundry is no workload of the cluster.
        assert ("Deployment" in kinds) == (example != "truefoundry.yaml"), example
        assert sources, example


def apply(kubectl: Kubectl, namespace: str, case: Case, name: str) -> dict[str, Any]:
    manifest = {**case.manifest, "metadata": {"name": name, "namespace": namespace}}
    done = kubectl("apply", "-f", "-", "-o", "json", stdin=json.dumps(manifest))
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def condition(type_: str, status: str, reason: str) -> dict[str, Any]:
    return {
        "lastTransitionTime": NOW,
        "message": f"{reason}, and what to do: Über nothing.",
        "observedGeneration": 1,
        "reason": reason,
        "status": status,
        "type": type_,
    }


CONDITIONS = [
    condition("Accepted", "True", "Accepted"),
    condition("Delivered", "True", "Delivered"),
    condition("Ready", "False", "SecretNotFound"),
]
STATUSES: dict[str, tuple[type[Model], dict[str, Any]]] = {
    api_cases.TARGET: (
        LangSmithTargetStatus,
        {
            "observedGeneration": 1,
            "lastHandledRequest": "2026-11-25",
            "endpoints": {
                "api": "https://api.smith.langchain.com",
                "otlp": "https://api.smith.langchain.com/otel",
                "traces": "https://api.smith.langchain.com/otel/v1/traces",
            },
            "proof": {
                "hash": "0123456789ab",
                "server": {"version": "0.17.12"},
                "project": {
                    "id": "5f2c7a3e-0000-4000-8000-00000000000a",
                    "name": "checkout",
                    "workspaceId": "5f2c7a3e-0000-4000-8000-000000000001",
                    "url": "https://smith.langchain.com/o/1/projects/p/2",
                },
                "canary": {
                    "time": "2026-01-03T00:00:00Z",
                    "runUrl": "https://smith.langchain.com/o/1/projects/p/2/r/3",
                },
            },
            "conditions": CONDITIONS,
        },
    ),
    api_cases.GATEWAY: (
        GatewayTelemetryStatus,
        {
            "observedGeneration": 1,
            "lastHandledRequest": "2026-11-25",
            "traces": {
                "endpoint": "https://api.smith.langchain.com/otel/v1/traces",
                "project": "checkout",
                "hash": "0123456789ab",
                "since": "2026-01-03T00:00:00Z",
            },
            "evidence": {
                "lastTraceTime": "2026-01-03T00:00:00Z",
                "project": "checkout",
                "runUrl": "https://smith.langchain.com/o/1/projects/p/2/r/3",
            },
            "vantage": {"hash": "0123456789ab"},
            "sinks": [
                {
                    "kind": "Deployment",
                    "name": "litellm",
                    "container": "litellm",
                    "state": "Blocked",
                    "reason": "EnvConflict",
                    "message": "OTEL_EXPORTER_OTLP_ENDPOINT is already on the container",
                }
            ],
            "counts": {"matched": 1, "programmed": 0},
            "conditions": CONDITIONS,
        },
    ),
}


def unset(schema: dict[str, Any], value: Any, path: str) -> list[str]:
    """Return the paths of a schema that a value does not hold."""
    if "items" in schema:
        return unset(schema["items"], value[0], f"{path}[]")
    missing = []
    for name, inner in schema.get("properties", {}).items():
        missing += unset(inner, value[name], f"{path}.{name}") if name in value else [f"{path}.{name}"]
    return missing


@pytest.mark.parametrize("kind", STATUSES)
def test_a_full_status_is_read_back_as_written(kubectl: Kubectl, namespace: str, kind: str) -> None:
    """A field that the schema lacks is dropped in silence, so every field is written once."""
    model, status = STATUSES[kind]
    assert unset(crdgen.openapi(model, ""), status, "status") == []
    plural = api_cases.PLURALS[kind]
    before = apply(kubectl, namespace, Case("status", kind, {}), "full-status")
    where = (plural, "full-status", "-n", namespace)
    kubectl("patch", *where, "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))
    after = json.loads(kubectl("get", *where, "-o", "json").stdout)
    assert after["status"] == status
    assert after["status"] == model.model_validate(status).model_dump(by_alias=True, exclude_none=True, mode="json")
    assert after["spec"] == before["spec"]
    assert after["metadata"]["generation"] == 1
    # The spec's own endpoint leaves status alone: that is what the subresource is for.
    kubectl(
        "patch", *where, "--type=merge", "-p", json.dumps({"spec": {"suspend": True}, "status": {"conditions": []}})
    )
    changed = json.loads(kubectl("get", *where, "-o", "json").stdout)
    assert changed["status"] == status
    assert changed["metadata"]["generation"] == 2


def test_conditions_are_keyed_by_type(kubectl: Kubectl, namespace: str) -> None:
    apply(kubectl, namespace, api_cases.target("keyed", {}), "keyed")
    twice = json.dumps({"status": {"conditions": [CONDITIONS[0], CONDITIONS[0]]}})
    where = ("lst", "keyed", "-n", namespace, "--subresource=status")
    done = kubectl("patch", *where, "--type=merge", "-p", twice, code=1)
    assert 'status.conditions[1]: Duplicate value: {"type":"Accepted"}' in done.stderr
    for index, manager in enumerate(("one", "two")):
        manifest = {
            "apiVersion": api_cases.API_VERSION,
            "kind": api_cases.TARGET,
            "metadata": {"name": "keyed", "namespace": namespace},
            "status": {"conditions": [CONDITIONS[index]]},
        }
        flags = ("--server-side", f"--field-manager={manager}", "--subresource=status")
        kubectl("apply", *flags, "-f", "-", stdin=json.dumps(manifest))
    stored = json.loads(kubectl("get", "lst", "keyed", "-n", namespace, "-o", "json").stdout)
    assert [item["type"] for item in stored["status"]["conditions"]] == ["Accepted", "Delivered"]


@pytest.mark.parametrize(
    ("kind", "header", "cells"),
    [
        (
            api_cases.TARGET,
            "NAME READY REASON TRACES PROJECT AGE",
            "shown False SecretNotFound https://api.smith.langchain.com/otel/v1/traces checkout",
        ),
        (
            api_cases.GATEWAY,
            "NAME READY REASON GATEWAY TARGET PROJECT DELIVERED LAST-TRACE AGE",
            "shown False SecretNotFound litellm langsmith checkout True",
        ),
    ],
)
def test_kubectl_get_shows_what_matters(kubectl: Kubectl, namespace: str, kind: str, header: str, cells: str) -> None:
    apply(kubectl, namespace, Case("shown", kind, {}), "shown")
    short = {api_cases.TARGET: "lst", api_cases.GATEWAY: "gt"}[kind]
    patch = json.dumps({"status": STATUSES[kind][1]})
    kubectl("patch", short, "shown", "-n", namespace, "--subresource=status", "--type=merge", "-p", patch)
    first, second = kubectl("get", short, "shown", "-n", namespace).stdout.splitlines()
    assert first.split() == header.split()
    assert second.split()[: len(cells.split())] == cells.split()
    assert len(second.split()) == len(header.split())  # the others are ages
    wide, _ = kubectl("get", short, "shown", "-n", namespace, "-o", "wide").stdout.splitlines()
    assert "MESSAGE" in wide


def test_both_kinds_are_found_by_short_names_and_category(kubectl: Kubectl, namespace: str) -> None:
    apply(kubectl, namespace, api_cases.target("found", {}), "found")
    apply(kubectl, namespace, api_cases.gateway("found", {}), "found")
    for what in ("lst,gt", "gateway-telemetry"):
        names = kubectl("get", what, "-n", namespace, "-o", "name").stdout.splitlines()
        assert "langsmithtarget.gatewaytelemetry.dev/found" in names
        assert "gatewaytelemetry.gatewaytelemetry.dev/found" in names


@pytest.mark.parametrize(
    ("path", "texts"),
    [
        (
            "langsmithtarget.spec.saas",
            ["region", "-required-", "enum: us, eu, apac, aws", "Region of the organization"],
        ),
        ("langsmithtarget.spec.credentials.ingest", ["secretRef", "gatewaytelemetry.dev/role=source"]),
        ("gt.spec.install.inject", ["workloads", "container", "conflictPolicy"]),
        ("lst.status.conditions", ["lastTransitionTime", "observedGeneration"]),
    ],
)
def test_kubectl_explain_tells_what_a_field_means(kubectl: Kubectl, path: str, texts: list[str]) -> None:
    shown = re.sub(r"\s+", " ", kubectl("explain", path).stdout)
    for text in texts:
        assert text in shown
