"""Generated files: up to date, complete, and in the form that the API server keeps."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hack import crdgen, docgen, generate

from gateway_telemetry.api.reasons import TABLE, Reason

CRDS = {kind.kind: crdgen.crd(kind) for kind in crdgen.KINDS}


def schema(kind: str) -> dict[str, Any]:
    (version,) = CRDS[kind]["spec"]["versions"]
    result: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return result


def below(value: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, value
    for name, inner in value.get("properties", {}).items():
        yield from below(inner, f"{path}.{name}")
    for part in ("items", "additionalProperties"):
        if part in value:
            yield from below(value[part], f"{path}[]")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name, _ in generate.OUTPUTS:
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(generate.ROOT / name, target)
    return tmp_path


def test_the_committed_files_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--check"]) == 0, capsys.readouterr().err


def test_check_names_each_file_that_differs_and_writes_nothing(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout / "docs/reasons.md").write_text("edited by hand\n")
    (checkout / "crds/gatewaytelemetry.dev_langsmithtargets.yaml").unlink()
    assert generate.main(["--check"], checkout) == 1
    assert capsys.readouterr().err.splitlines() == [
        "crds/gatewaytelemetry.dev_langsmithtargets.yaml differs from its source: run make generate, and commit it",
        "docs/reasons.md differs from its source: run make generate, and commit it",
    ]
    assert (checkout / "docs/reasons.md").read_text() == "edited by hand\n"
    assert not (checkout / "crds/gatewaytelemetry.dev_langsmithtargets.yaml").exists()


def test_generate_repairs_what_differs_and_leaves_the_rest(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (checkout / "docs/argocd/health.lua").write_text("")
    assert generate.main([], checkout) == 0
    assert capsys.readouterr().out == "wrote docs/argocd/health.lua\n"
    assert generate.main(["--check"], checkout) == 0


def test_every_generated_file_says_so() -> None:
    for name, _ in generate.OUTPUTS:
        first = (generate.ROOT / name).read_text().splitlines()[0]
        assert re.search(r"Generated .*by `make generate`. Do not edit\.", first), name


def test_no_crd_lies_there_that_nothing_generates() -> None:
    generated = {Path(name).name for name, _ in generate.OUTPUTS if name.startswith("crds/")}
    assert {path.name for path in (generate.ROOT / "crds").iterdir()} == generated


@pytest.mark.parametrize(
    ("kind", "plural", "singular", "short", "columns"),
    [
        (
            "LangSmithTarget",
            "langsmithtargets",
            "langsmithtarget",
            "lst",
            ["Ready", "Reason", "Traces", "Project", "Workspace", "Message", "Age"],
        ),
        (
            "GatewayTelemetry",
            "gatewaytelemetries",
            "gatewaytelemetry",
            "gt",
            [
                *("Ready", "Reason", "Gateway", "Target", "Project", "Delivered", "Last-Trace"),
                *("Matched", "Programmed", "Message", "Age"),
            ],
        ),
    ],
)
def test_names_and_columns(kind: str, plural: str, singular: str, short: str, columns: list[str]) -> None:
    crd = yaml.safe_load((generate.ROOT / f"crds/gatewaytelemetry.dev_{plural}.yaml").read_text())
    assert crd["metadata"] == {"name": f"{plural}.gatewaytelemetry.dev"}
    assert crd["spec"]["group"] == "gatewaytelemetry.dev"
    assert crd["spec"]["scope"] == "Namespaced"
    assert crd["spec"]["names"] == {
        "categories": ["gateway-telemetry"],
        "kind": kind,
        "listKind": f"{kind}List",
        "plural": plural,
        "shortNames": [short],
        "singular": singular,
    }
    (version,) = crd["spec"]["versions"]
    assert version["name"] == "v1alpha1"
    assert version["subresources"] == {"status": {}}
    assert [column["name"] for column in version["additionalPrinterColumns"]] == columns
    assert "status" not in crd


@pytest.mark.parametrize("kind", CRDS)
def test_schemas_are_structural(kind: str) -> None:
    """https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema."""
    for path, value in below(schema(kind), kind):
        assert "type" in value, path
        assert not {"$ref", "anyOf", "allOf", "oneOf", "title", "const", "nullable"} & set(value), path
        assert value.get("default", "") is not None, path
        assert not ("properties" in value and "additionalProperties" in value), path


@pytest.mark.parametrize("kind", CRDS)
def test_conditions_merge_by_type(kind: str) -> None:
    conditions = schema(kind)["properties"]["status"]["properties"]["conditions"]
    assert conditions["x-kubernetes-list-type"] == "map"
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]


@pytest.mark.parametrize("kind", CRDS)
def test_every_list_says_how_it_merges_and_every_field_what_it_means(kind: str) -> None:
    for part in ("spec", "status"):
        for path, value in below(schema(kind)["properties"][part], part):
            if value["type"] == "array":
                assert value["x-kubernetes-list-type"] in {"map", "set", "atomic"}, path
            if not path.endswith("[]"):
                assert value.get("description"), path


@pytest.mark.parametrize("kind", CRDS)
def test_every_rule_has_a_message_that_fits_on_a_terminal(kind: str) -> None:
    rules = [rule for _, value in below(schema(kind), kind) for rule in value.get("x-kubernetes-validations", ())]
    assert rules
    for rule in rules:
        assert set(rule) == {"rule", "message"}
        assert 10 < len(rule["message"]) < 240
        assert "\n" not in rule["message"]


def test_the_reference_names_every_field_of_both_kinds() -> None:
    text = docgen.reference()
    for kind in CRDS:
        for part in ("spec", "status"):
            for path, _ in below(schema(kind)["properties"][part], part):
                if path != part and not path.endswith("[]"):
                    assert f"| `{path}` |" in text, f"{kind} {path}"


@pytest.mark.parametrize(
    "row",
    [
        "| `spec.saas.region` | `us` \\| `eu` \\| `apac` \\| `aws` | required |  | Region of the organization: "
        "us, eu, apac or aws (US on AWS). A key is valid in its region only. |",
        "| `spec.verification.canary.mode` | `Off` \\| `OnChange` \\| `Periodic` |  | `OnChange` | When canaries are "
        "sent: never, after a change, or also every interval. |",
        "| `spec.allowPlaintext` | boolean |  | `false` | Consent to http://. |",
        "| `spec.selfHosted.serviceRef.port` | integer, 1 to 65535 | required |  | Port of the Service. |",
        "| `spec.allowedProjects` | list of strings, 1 to 64 items, no duplicates |  |  | Projects that gateways may "
        "name; any when left out. |",
        "| `spec.selfHosted` | write exactly one of selfHosted.url and selfHosted.serviceRef |",
    ],
)
def test_rows_of_the_reference(row: str) -> None:
    assert row in docgen.reference().splitlines()


def test_the_reasons_page_has_a_row_for_every_reason() -> None:
    rows = [line.split("|")[1].strip() for line in docgen.reasons().splitlines() if line.startswith("| `")]
    assert sorted(rows) == sorted(f"`{entry.reason}`" for entry in TABLE)
    assert {entry.reason for entry in TABLE} == set(Reason)


def test_tables_are_whole() -> None:
    """A stray bar or newline in a description would break a table without anybody seeing it."""
    for page in (docgen.reference(), docgen.reasons()):
        width = 0
        for line in page.splitlines():
            bars = line.replace("\\|", "").count("|")
            if line.startswith("|"):
                width = width or bars
                assert bars == width, line
            else:
                assert bars == 0, line
                width = 0
