"""Values that the chart refuses, and that each value is in schema and docs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from tests.support.cluster import ROOT
from tests.support.helm import (
    CHART,
    Helm,
)

DEFAULTS: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())


def leaves(values: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Return the dotted names of all values; a map of the user's own (labels) is one value."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value and name != "resources":
            yield from leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}"


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
