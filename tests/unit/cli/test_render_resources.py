"""``render`` of gateways that are configured in another object: what goes in, and what comes out on deletion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.cli.run import EXAMPLES, Object, render

FILES = {
    "otel-collector.yaml": ("ConfigMap", "otelcol"),
    "other-kinds/opentelemetry-operator.yaml": ("OpenTelemetryCollector", "main"),
    "other-kinds/envoy-ai-gateway.yaml": ("GatewayConfig", "main"),
    "other-kinds/agentgateway.yaml": ("AgentgatewayParameters", "main"),
}


def of_kind(found: list[Object], kind: str) -> Object:
    (item,) = [obj for obj in found if obj["kind"] == kind]
    return item


def test_every_example_of_another_kind_is_here() -> None:
    assert {f"other-kinds/{path.name}" for path in (EXAMPLES / "other-kinds").glob("*.yaml")} < FILES.keys()


@pytest.mark.parametrize("name", FILES)
def test_the_object_gets_the_settings_and_never_the_key(name: str) -> None:
    ran = render("-f", EXAMPLES / name, "--show-secrets")
    assert (ran.code, ran.err) == (0, "")
    kind, called = FILES[name]
    text = json.dumps(of_kind(ran.objects(), kind))
    assert "https://api.smith.langchain.com/otel/v1/traces" in text
    assert "lsv2_sk" not in text
    sinks = of_kind(ran.objects(), "GatewayTelemetry")["status"]["sinks"]
    assert (kind, called, "Programmed") in [(item["kind"], item["name"], item["state"]) for item in sinks]


@pytest.mark.parametrize("name", FILES)
def test_what_was_rendered_is_left_as_it_is(name: str, tmp_path: Path) -> None:
    first = render("-f", EXAMPLES / name, "--show-secrets")
    file = tmp_path / "rendered.yaml"
    file.write_text(first.out)
    assert render("-f", file, "--show-secrets").objects() == first.objects()


@pytest.mark.parametrize("name", FILES)
def test_on_deletion_the_object_is_as_it_was(name: str, tmp_path: Path) -> None:
    kind, _ = FILES[name]
    before = [item for item in yaml.safe_load_all((EXAMPLES / name).read_text()) if item]
    rendered: list[dict[str, Any]] = render("-f", EXAMPLES / name, "--show-secrets").objects()
    of_kind(rendered, "GatewayTelemetry")["metadata"]["deletionTimestamp"] = "2026-01-09T00:00:00Z"
    file = tmp_path / "rendered.yaml"
    file.write_text(yaml.safe_dump_all(rendered))
    after = render("-f", file, "--show-secrets").objects()
    assert of_kind(after, kind)["spec" if kind != "ConfigMap" else "data"] == of_kind(before, kind).get(
        "spec", of_kind(before, kind).get("data")
    )
    assert [item["metadata"]["name"] for item in after if item["kind"] == "Secret"] == ["langsmith"]
