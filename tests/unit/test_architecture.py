"""What import-linter cannot see: what a command loads when it runs, and what shadows what."""

from __future__ import annotations

import json
import operator
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ADRS = ROOT / "docs" / "adr"
CLUSTER_LIBRARIES = {"aiohttp", "httpx", "kopf", "kubernetes", "opentelemetry", "prometheus_client"}

_RUN = """
import json, sys
from gateway_telemetry.cli import main
try:
    main(sys.argv[1:])
except SystemExit as done:
    print(json.dumps([done.code, sorted({name.partition(".")[0] for name in sys.modules})]), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["render", "--help"], ["render", "-f", "examples/saas.yaml"]]
)
def test_a_command_without_a_cluster_loads_nothing_that_talks_to_one(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _RUN, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    code, loaded = json.loads(done.stderr.splitlines()[-1])
    assert code == 0, done.stderr
    assert "gateway_telemetry" in loaded
    assert CLUSTER_LIBRARIES & set(loaded) == set()


def test_the_source_root_shadows_no_module_of_the_standard_library() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()
    assert operator.itemgetter(1)("ab") == "b"


def decisions() -> list[Path]:
    return sorted(ADRS.glob("[0-9]*.md"))


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [path.name[:4] for path in decisions()] == [f"{number:04}" for number in range(1, len(decisions()) + 1)]


def test_the_index_names_every_decision_by_its_title() -> None:
    index = (ADRS / "README.md").read_text()
    listed = re.findall(r"^[|] \[(\d{4})\]\(([^)]+)\) [|] (.+?) [|] .+ [|]$", index, re.MULTILINE)
    expected = []
    for path in decisions():
        number, title = re.match(r"# (\d{4}): (.+)\n", path.read_text()).groups()  # type: ignore[union-attr]
        expected.append((number, path.name, title))
    assert listed == expected


@pytest.mark.parametrize("path", decisions(), ids=lambda path: path.stem)
def test_a_decision_has_context_decision_and_consequences(path: Path) -> None:
    headings = re.findall(r"^## (.+)$", path.read_text(), re.MULTILINE)
    assert headings == ["Context", "Decision", "Consequences"]


def test_every_decision_that_code_names_exists() -> None:
    numbers = {path.name[:4] for path in decisions()}
    sources = [*ROOT.glob("operator/**/*.py"), *ROOT.glob("tests/**/*.py"), *ROOT.glob("hack/*.py")]
    named = {number for path in sources for number in re.findall(r"ADR (\d{4})", path.read_text())}
    assert named <= numbers
    assert named
