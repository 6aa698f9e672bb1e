"""Every threat of docs/threat-model.md names tests, and each of them exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| (\d+) \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)
THREATS = {int(row[1]): row for row in ROW.finditer((ROOT / "docs" / "threat-model.md").read_text())}


def defined_in(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_text()))
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return {node.name for node in nodes if isinstance(node, kinds) and node.name.startswith("test_")}


def test_the_threats_are_numbered() -> None:
    assert list(THREATS) == list(range(1, len(THREATS) + 1))
    assert len(THREATS) > 20


@pytest.mark.parametrize("number", THREATS)
def test_the_tests_of_a_threat_exist(number: int) -> None:
    named = re.findall(r"`([^`]+)`", THREATS[number][4])
    assert named
    for name in named:
        file, _, test = name.partition("::")
        found = defined_in(ROOT / file)
        assert test in found, name
