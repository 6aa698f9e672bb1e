"""Input that cannot be used ends with 2: every problem is named with file and line, and nothing is printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import objects
from tests.unit.cli.run import Object, render, render_objects

NS = "shop"


def good() -> list[Object]:
    return [objects.secret(NS), objects.target(NS), objects.gateway(NS), objects.deployment(NS)]


def changed(obj: Object, path: str, value: Any) -> Object:
    """Return the object with the value at a dotted path."""
    *parents, last = path.split(".")
    owner: Any = obj
    for part in parents:
        owner = owner[int(part)] if isinstance(owner, list) else owner.setdefault(part, {})
    owner[last] = value
    return obj


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    ran = render("-f", tmp_path / "no.yaml")
    assert ran == (2, "", f"{tmp_path}/no.yaml: No such file or directory\n")


def test_a_file_that_may_not_be_read_or_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"a: 1\nb: \xff\xfe\n")
    ran = render("-f", tmp_path / "binary.yaml")
    assert ran == (2, "", f"{tmp_path}/binary.yaml:2: not UTF-8 text\n")


def test_a_directory_without_manifests_is_named(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# no manifest")
    ran = render("-f", tmp_path)
    assert ran == (2, "", f"{tmp_path}: no .yaml, .yml, .json file below this directory\n")


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n---\n", "null\n"])
def test_input_without_an_object_is_refused(text: str) -> None:
    ran = render("-f", "-", stdin=text)
    assert ran == (2, "", "there is no object in the input: name files with Kubernetes objects after -f\n")


def test_yaml_that_does_not_parse_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("apiVersion: v1\nkind: Secret\nmetadata: {name: a\n")
    ran = render("-f", path)
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.startswith(f"{path}:4: ")
    assert "did not find expected" in ran.err


def test_json_that_does_not_parse_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text('{"apiVersion": "v1",\n "kind": }')
    assert render("-f", path) == (2, "", f"{path}:2: not JSON: Expecting value\n")


def test_a_key_given_twice_is_named_with_its_line() -> None:
    ran = render("-f", "-", stdin="apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\nkind: Secret\n")
    assert ran == (2, "", "<stdin>:4: key 'kind' is given twice in one mapping\n")


def test_two_objects_of_one_name_are_named_with_both_places(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text(yaml.safe_dump_all(good()))
    second.write_text("# again\n" + yaml.safe_dump(objects.target(NS)))
    line = first.read_text().split("---")[0].count("\n") + 2
    ran = render("-f", first, "-f", second)
    assert ran == (
        2,
        "",
        f"{second}:2: LangSmithTarget shop/prod is in {first}:{line} already: remove one of the two\n",
    )


def test_the_default_namespace_counts_when_names_are_compared() -> None:
    one, other = objects.target("default"), objects.target("default")
    del other["metadata"]["namespace"]
    ran = render_objects([one, other])
    assert ran.code == 2
    assert "LangSmithTarget default/prod is in <stdin>:1 already" in ran.err


def test_equal_names_of_other_kinds_or_namespaces_are_no_conflict() -> None:
    more = [objects.secret("other"), objects.ca_bundle(NS, "x", name="langsmith")]
    assert render_objects([*good(), *more]).code == 0


NOT_OBJECTS: list[tuple[str, str]] = [
    ("just text\n", "not a Kubernetes object: it must be a mapping with apiVersion, kind and metadata"),
    ("[1, 2]\n", "not a Kubernetes object: it must be a mapping"),
    ("resources: [a.yaml]\n", "not a Kubernetes object: apiVersion is missing (files of Helm and Kustomize are"),
    ("apiVersion: v1\nmetadata: {name: a}\n", "not a Kubernetes object: kind is missing"),
    ("apiVersion: 1\nkind: Secret\n", "not a Kubernetes object: apiVersion is missing"),
    ("apiVersion: v1\nkind: Secret\n", "Secret: metadata is missing"),
    ("apiVersion: v1\nkind: Secret\nmetadata: {}\n", "Secret: metadata.name is missing"),
    ("apiVersion: v1\nkind: Secret\nmetadata: {generateName: a-}\n", "generateName does not do"),
    ("apiVersion: v1\nkind: Secret\nmetadata: {name: 1}\n", "Secret: metadata.name is missing"),
    ("apiVersion: v1\nkind: Secret\nmetadata: {name: A_b}\n", "metadata.name: must be the name of a Kubernetes object"),
    ("apiVersion: v1\nkind: Secret\nmetadata: {name: a, namespace: a.b}\n", "must be the name of a namespace"),
    ("apiVersion: v1\nkind: List\nitems: [{kind: Secret}]\n", "(items[0]): not a Kubernetes object: apiVersion is"),
    ("apiVersion: v1\nkind: List\nitems: [null]\n", "(items[0]): not a Kubernetes object"),
    ("apiVersion: v1\nkind: List\nitems: x\n", "List: metadata is missing"),
]


@pytest.mark.parametrize(("text", "problem"), NOT_OBJECTS, ids=range(len(NOT_OBJECTS)))
def test_what_is_no_object_is_refused(text: str, problem: str) -> None:
    ran = render("-f", "-", stdin=text)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("<stdin>:1")
    assert problem in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    ("api_version", "kind"),
    [("gatewaytelemetry.dev/v1alpha1", "LangSmithTargets"), ("gatewaytelemetry.dev/v1", "LangSmithTarget")],
)
def test_an_unknown_kind_of_our_group_is_refused(api_version: str, kind: str) -> None:
    ran = render_objects([{"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}}])
    assert ran == (
        2,
        "",
        f"<stdin>:1: there is no kind {kind} in {api_version}: this version knows LangSmithTarget and "
        "GatewayTelemetry in gatewaytelemetry.dev/v1alpha1\n",
    )


FIELDS: list[tuple[str, str, Any, str]] = [
    ("LangSmithTarget", "spec.regoin", "eu", "spec.regoin: is not a field of this kind"),
    ("LangSmithTarget", "spec.saas.zone", "eu", "spec.saas.zone: is not a field of this kind"),
    ("LangSmithTarget", "spec", True, "spec: must be a mapping"),
    ("GatewayTelemetry", "spec", [], "spec: must be a mapping"),
    ("LangSmithTarget", "specs", {}, "specs: is not a field of this kind"),
    ("LangSmithTarget", "metadata.label", {}, "metadata.label: is not a field of this kind"),
    ("LangSmithTarget", "metadata.labels", {"a": 1}, "metadata.labels.a: must be a string: put it in quotes"),
    ("LangSmithTarget", "status", [], "status: must be a mapping"),
    ("LangSmithTarget", "status", {"conditions": [{"type": "Ready"}]}, "status.conditions[0].status: is required"),
    ("GatewayTelemetry", "spec.install.inject.workload", {}, "spec.install.inject.workload: is not a field"),
    ("GatewayTelemetry", "spec.gateway.litelm", {}, "spec.gateway.litelm: is not a field of this kind"),
    ("GatewayTelemetry", "status", {"phase": "x"}, "status.phase: is not a field of this kind"),
    ("Deployment", "metadata.labels", {"app": True}, "metadata.labels.app: must be a string: put it in quotes"),
    ("Deployment", "metadata.annotations", [], "metadata.annotations: must be a mapping"),
    ("Deployment", "metadata.generation", "1", "metadata.generation: must be an integer"),
    ("Deployment", "spec", None, "spec: must be a mapping"),
    ("Deployment", "spec.replicas", "2", "spec.replicas: must be an integer"),
    ("Deployment", "spec.paused", "no", "spec.paused: must be true or false"),
    ("Deployment", "spec.template", {}, "spec.template.spec: is required"),
    ("Deployment", "spec.template.spec.containers", "x", "spec.template.spec.containers: must be a list"),
    ("Deployment", "spec.template.spec.containers", [{}], "spec.template.spec.containers[0].name: is required"),
    ("Deployment", "spec.template.spec.containers", [], "spec.template.spec.containers: List should have at least 1"),
    (
        "Deployment",
        "spec.template.spec.containers.0.env",
        [{"name": "A", "value": 1}],
        "env[0].value: must be a string",
    ),
    ("Deployment", "spec.template.spec.containers.0.env", [{"value": "A"}], "env[0].name: is required"),
    ("Deployment", "spec.template.spec.containers.0.envFrom", ["a"], "envFrom[0]: must be a mapping"),
    ("Deployment", "spec.template.spec.containers.0.volumeMounts", [{"name": "a"}], "volumeMounts[0].mountPath: is"),
    ("Deployment", "spec.template.spec.volumes", [{}], "spec.template.spec.volumes[0].name: is required"),
    ("Deployment", "status", {"replicas": "1"}, "status.replicas: must be an integer"),
    ("Secret", "data", {"api-key": 5}, "data.api-key: must be a string: put it in quotes"),
    ("Secret", "data", {"api-key": "lsv2_sk_plain"}, "data.api-key: is not base64: plain text belongs in stringData"),
    ("Secret", "data", {"api-key": "sha256:01234567"}, "data.api-key: was masked by an earlier render"),
    ("Secret", "stringData", {"api-key": "sha256:01234567"}, "stringData.api-key: was masked by an earlier render"),
    ("Secret", "stringData", {"api-key": None}, "stringData.api-key: must be a string"),
]


@pytest.mark.parametrize(("kind", "path", "value", "problem"), FIELDS, ids=range(len(FIELDS)))
def test_a_field_that_the_api_server_would_not_take_is_named(kind: str, path: str, value: Any, problem: str) -> None:
    found = [changed(obj, path, value) if obj["kind"] == kind else obj for obj in good()]
    ran = render_objects(found)
    assert (ran.code, ran.out) == (2, "")
    assert problem in ran.err
    name = next(obj["metadata"]["name"] for obj in found if obj["kind"] == kind)
    assert f": {kind} shop/{name}: " in ran.err
    assert "lsv2_sk_plain" not in ran.err


def test_all_problems_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: [\n")
    (tmp_path / "b.json").write_text(json.dumps(changed(objects.target(NS), "spec.regoin", "eu")))
    (tmp_path / "c.yml").write_text("text\n")
    ran = render("-f", tmp_path, "-f", tmp_path / "none")
    assert (ran.code, ran.out) == (2, "")
    lines = ran.err.splitlines()
    assert [line.split(":")[0].rpartition("/")[2] for line in lines] == ["a.yaml", "b.json", "c.yml", "none"]


USAGE: list[tuple[list[str], str]] = [
    ([], "Missing option '-f' / '--filename'"),
    (["-f", "-", "-f", "-"], "standard input can be read only once"),
    (["-f", ""], "the name of a file or directory is empty"),
    (["-f", "-", "-o", "xml"], "'xml' is not one of 'yaml', 'json'"),
    (["-f", "-", "-n", "A b"], "--namespace: 'A b' is not the name of a namespace"),
    (["-f", "-", "--allow-host", "https://x"], "--allow-host: "),
    (["-f", "-", "--what"], "No such option '--what'"),
    (["-f", "-", "more.yaml"], "unexpected extra argument"),
]


@pytest.mark.parametrize(("args", "problem"), USAGE, ids=range(len(USAGE)))
def test_wrong_usage_is_told(args: list[str], problem: str) -> None:
    ran = render(*args)
    assert (ran.code, ran.out) == (2, "")
    assert problem in ran.err
