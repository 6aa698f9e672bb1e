"""``render`` on whole files: the examples, golden output, forms, sources, masks, and the program as installed."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway_telemetry.cli.manifest import parse
from tests.support import objects
from tests.unit.cli.run import EXAMPLES, NOW, Object, render, render_objects, script

GOLDEN = Path(__file__).parent / "golden"
UPDATE = "GATEWAY_TELEMETRY_UPDATE_GOLDEN"
"""Set to 1 to write the golden files anew; read the diff before you commit it."""
MARK = "marked4711"
KEY = f"lsv2_sk_{MARK}_0123456789"
HOSTS = ("--allow-host", "langsmith.example.com", "--allow-host", "platform.example.com")

SAAS = "https://api.smith.langchain.com/otel/v1/traces"
EXPECTED: dict[str, set[str]] = {
    "saas.yaml": {SAAS},
    "eu-region.yaml": {"https://eu.api.smith.langchain.com/otel/v1/traces"},
    "self-hosted.yaml": {"https://langsmith.example.com/api/v1/otel/v1/traces"},
    "self-hosted-basepath.yaml": {"https://platform.example.com/langsmith/dev/api/v1/otel/v1/traces"},
    "in-cluster.yaml": {"http://langsmith-frontend.example-langsmith.svc/api/v1/otel/v1/traces"},
    "litellm.yaml": {SAAS},
    "otel-sdk.yaml": {SAAS},
    "cross-namespace.yaml": {SAAS},
    "reference.yaml": {SAAS},
    "truefoundry-pods.yaml": {SAAS},
}
TOLD = {
    "apisix.yaml": [
        "example-apisix/apisix: routes are traced only where the plugin opentelemetry has sampler: {name: always_on}"
    ],
}
OF_THEIR_OWN = {
    "apisix.yaml": ("GATEWAY_TELEMETRY_TRACES_ENDPOINT", SAAS),
    "bifrost.yaml": ("bifrost-otel.json", f'"collector_url": "{SAAS}"'),
    "envoy.yaml": ("envoy-tracing.yaml", f"uri: {SAAS}"),
    "kong.yaml": ("kong-opentelemetry.yaml", f"traces_endpoint: {SAAS}"),
    "litellm-langsmith.yaml": ("LANGSMITH_BASE_URL", "https://api.smith.langchain.com"),
    "otel-collector.yaml": ("relay", f"traces_endpoint: {SAAS}"),
    "portkey.yaml": ("EXPERIMENTAL_GEN_AI_OTEL_EXPORTER_OTLP_ENDPOINT", "https://api.smith.langchain.com/otel"),
    "traefik.yaml": ("TRAEFIK_TRACING_OTLP_HTTP_ENDPOINT", SAAS),
}
"""Gateways that are told the URL in their own way: name of the variable or file, and a text in it."""


def endpoints(found: list[Object]) -> set[str]:
    """Return the values of the endpoint variable on all containers, and in Secrets that charts refer to."""
    injected = {
        item["value"]
        for obj in found
        if obj["kind"] == "Deployment"
        for container in obj["spec"]["template"]["spec"]["containers"]
        for item in container.get("env", [])
        if item["name"] == "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
    }
    return injected | {
        base64.b64decode(obj["data"]["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]).decode()
        for obj in found
        if obj["kind"] == "Secret" and "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" in obj.get("data", {})
    }


def test_every_example_is_expected_here() -> None:
    assert {path.name for path in EXAMPLES.glob("*.yaml")} == {*EXPECTED, *OF_THEIR_OWN, "truefoundry.yaml"}


@pytest.mark.parametrize("name", sorted(OF_THEIR_OWN))
def test_an_example_renders_with_the_url_where_its_gateway_reads_it(name: str) -> None:
    ran = render("-f", EXAMPLES / name, "--show-secrets")
    told = [line.rpartition(": Deployment ")[2] for line in ran.err.splitlines()]
    assert (ran.code, told) == (0, TOLD.get(name, []))
    found = ran.objects()
    written = {
        key: base64.b64decode(text).decode()
        for obj in found
        if obj["kind"] == "Secret"
        for key, text in obj.get("data", {}).items()
    } | {
        item["name"]: item["value"]
        for obj in found
        if obj["kind"] == "Deployment"
        for item in obj["spec"]["template"]["spec"]["containers"][0].get("env", [])
        if "value" in item
    }
    written |= {key: text for obj in found if obj["kind"] == "ConfigMap" for key, text in obj["data"].items()}
    key, text = OF_THEIR_OWN[name]
    assert text in written[key]


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_an_example_renders_with_the_url_of_its_langsmith(name: str) -> None:
    ran = render("-f", EXAMPLES / name, *HOSTS, "--show-secrets")
    assert ran.code == 0
    assert ran.err == ""
    found = ran.objects()
    assert endpoints(found) == EXPECTED[name]
    for obj in found:
        if obj["kind"] in ("LangSmithTarget", "GatewayTelemetry"):
            conditions = {item["type"]: item["status"] for item in obj["status"]["conditions"]}
            assert (conditions["Accepted"], conditions["ResolvedRefs"]) == ("True", "True")
        if obj["kind"] == "GatewayTelemetry":
            assert {obj["status"]["traces"]["endpoint"]} == EXPECTED[name]


@pytest.mark.parametrize("name", ["litellm", "self-hosted"])
def test_the_output_is_the_golden_one(name: str) -> None:
    ran = script("render", "-f", f"examples/{name}.yaml", *HOSTS)
    assert (ran.code, ran.err) == (0, "")
    path = GOLDEN / f"{name}.yaml"
    if os.environ.get(UPDATE) == "1":
        path.write_text(ran.out)
    assert ran.out == path.read_text()


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_json_and_yaml_say_the_same(name: str) -> None:
    as_json = json.loads(render("-f", EXAMPLES / name, "-o", "json", *HOSTS).out)
    assert as_json["kind"] == "List"
    assert as_json["items"] == render("-f", EXAMPLES / name, *HOSTS).objects()


@pytest.mark.parametrize("form", ["yaml", "json"])
@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_what_was_rendered_is_left_as_it_is(name: str, form: str) -> None:
    first = render("-f", EXAMPLES / name, "--show-secrets", "-o", form, *HOSTS)
    second = render("-f", "-", "--show-secrets", "-o", form, *HOSTS, stdin=first.out)
    assert second == first


def test_a_directory_is_read_with_all_below_it_and_nothing_hidden(tmp_path: Path) -> None:
    whole = list(yaml.safe_load_all((EXAMPLES / "saas.yaml").read_text()))
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.yaml").write_text("text")
    (tmp_path / "notes.txt").write_text("text")
    (tmp_path / "a.yml").write_text(yaml.safe_dump_all(whole[:2]))
    (tmp_path / "deep" / "b.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": whole[2:4]}))
    (tmp_path / "deep" / "er" / "c.yaml").write_text(yaml.safe_dump_all(whole[4:]))
    ran = render("-f", tmp_path)
    assert ran.code == 0
    assert ran.objects() == render("-f", EXAMPLES / "saas.yaml").objects()


def test_files_and_standard_input_together_are_one_cluster() -> None:
    whole = list(yaml.safe_load_all((EXAMPLES / "saas.yaml").read_text()))
    apart = [obj for obj in whole if obj["kind"] == "Deployment"]
    rest = [obj for obj in whole if obj["kind"] != "Deployment"]
    ran = render_objects([*rest, *apart])
    assert ran.code == 0
    assert endpoints(ran.objects()) == {SAAS}
    assert render_objects(rest).code == 1


def test_a_typed_list_as_the_api_server_sends_it_is_read() -> None:
    deployments = [
        {key: value for key, value in objects.deployment("shop", name).items() if key not in ("apiVersion", "kind")}
        for name in ("a", "b")
    ]
    ran = render_objects([{"apiVersion": "apps/v1", "kind": "DeploymentList", "metadata": {}, "items": deployments}])
    assert [(obj["kind"], obj["metadata"]["name"]) for obj in ran.objects()] == [
        ("Deployment", "a"),
        ("Deployment", "b"),
    ]


def test_kinds_that_are_not_needed_pass_unchanged() -> None:
    others: list[Object] = [
        {
            "apiVersion": "serving.knative.dev/v1",
            "kind": "Service",
            "metadata": {"name": "x"},
            "spec": {"ports": "any"},
        },
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "x"}, "rules": None},
        {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "x"}, "spec": {"suspend": True}},
    ]
    ran = render_objects(others)
    assert (ran.code, ran.err) == (0, "")
    assert ran.objects() == others


def test_defaults_of_the_api_server_are_not_invented() -> None:
    plain = objects.deployment("shop")
    plain["metadata"]["creationTimestamp"] = None
    del plain["spec"]["replicas"]
    ran = render_objects([plain])
    del plain["metadata"]["creationTimestamp"]
    assert ran.objects() == [plain]


def test_a_missing_namespace_is_default_or_the_one_given() -> None:
    whole = [objects.secret("x"), objects.target("x"), objects.gateway("x"), objects.deployment("x")]
    for obj in whole:
        del obj["metadata"]["namespace"]
    for args, namespace in (((), "default"), (("-n", "shop"), "shop")):
        ran = render_objects(whole, *args)
        assert ran.code == 0
        assert {obj["metadata"]["namespace"] for obj in ran.objects()} == {namespace}
        assert f"k8s.namespace.name={namespace}," in ran.out


def strings(value: Any) -> list[str]:
    """Return all strings in a value, keys too, and what base64 strings hold."""
    if isinstance(value, dict):
        return [text for pair in value.items() for item in pair for text in strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in strings(item)]
    if not isinstance(value, str):
        return []
    try:
        return [value, base64.b64decode(value, validate=True).decode()]
    except ValueError:
        return [value]


def marked() -> list[Object]:
    """Return objects that hold the marked key wherever a user may have put one."""
    source = objects.secret("shop", key=KEY)
    source["metadata"]["annotations"] = {
        "kubectl.kubernetes.io/last-applied-configuration": json.dumps(source | {"stringData": {"api-key": KEY}})
    }
    unlabelled = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "other", "namespace": "shop"},
        "stringData": {"password": KEY},
    }
    inline = objects.target("shop", "inline", apiKey=KEY)
    return [source, unlabelled, inline, objects.target("shop"), objects.gateway("shop"), objects.deployment("shop")]


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_keys_are_shown_as_hashes(form: str) -> None:
    ran = render_objects(marked(), "-o", form)
    assert ran.code == 1
    found = parse(ran.out)
    assert not [text for document in found for text in strings(document.value) if MARK in text]
    assert MARK not in ran.err
    assert "stringData:\n  password: sha256:" in render_objects(marked()).out


def test_keys_are_shown_when_asked_for() -> None:
    ran = render_objects(marked(), "--show-secrets")
    own = ran.find("Secret", "gateway-telemetry-deployment-gateway")
    assert base64.b64decode(own["data"]["otlp-headers"]).decode() == f"x-api-key={KEY},langsmith-project=checkout"
    assert ran.find("Secret", "langsmith")["data"]["api-key"] == base64.b64encode(KEY.encode()).decode()
    assert MARK not in ran.err


def test_masked_output_is_not_taken_for_input() -> None:
    ran = render("-f", "-", stdin=render_objects([*marked()[3:], objects.secret("shop")]).out)
    assert (ran.code, ran.out) == (2, "")
    assert "was masked by an earlier render: make that output with --show-secrets" in ran.err


def test_the_time_of_conditions_can_be_fixed() -> None:
    ran = render_objects([objects.target("shop"), objects.secret("shop")])
    times = {item["lastTransitionTime"] for item in ran.find("LangSmithTarget")["status"]["conditions"]}
    assert times == {NOW}


def test_the_program_reads_standard_input_and_ends_as_told() -> None:
    text = (EXAMPLES / "saas.yaml").read_text()
    ran = script("render", "-f", "-", stdin=text)
    assert (ran.code, ran.err) == (0, "")
    assert endpoints(ran.objects()) == {SAAS}
    broken = script("render", "-f", "-", stdin=text.replace("role: source", "role: none"))
    assert broken.code == 1
    assert broken.err.startswith("<stdin>:")
    assert script("render", "-f", "-", stdin="a: [")[:2] == (2, "")


def test_the_program_tells_its_version_and_commands() -> None:
    assert script("--version") == (0, "gateway-telemetry, version 0.1.0\n", "")
    shown = script("--help")
    assert "Run the operator in the foreground." in shown.out
    assert "Show what the operator would make of files, with no cluster." in shown.out
    assert script("rendr").code == 2


def test_render_and_help_load_nothing_that_talks_to_a_cluster() -> None:
    program = (
        "import sys\n"
        "from gateway_telemetry.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as end:\n    assert end.code == 0, end.code\n"
        "loaded = {'kopf', 'aiohttp', 'kubernetes', 'httpx', 'opentelemetry'} & set(sys.modules)\n"
        "print(sorted(loaded), file=sys.stderr)\n"
    )
    for args in (["render", "-f", str(EXAMPLES / "saas.yaml")], ["--help"]):
        done = subprocess.run(
            [sys.executable, "-c", program, *args], capture_output=True, text=True, check=True, timeout=60
        )
        assert done.stderr == "[]\n"
