"""What Argo CD shows of our objects: health.lua against its fixtures, in the Lua that Argo CD has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from lupa import lua51  # type: ignore[import-untyped]

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "argocd"
CASES = {
    item["inputPath"]: item["healthStatus"]
    for item in yaml.safe_load((FOLDER / "health_test.yaml").read_text())["tests"]
}


def health(manifest: dict[str, Any]) -> dict[str, str]:
    """Run health.lua as Argo CD does: the object is the global ``obj``, the answer what the script returns."""
    lua = lua51.LuaRuntime(register_eval=False, register_builtins=False)
    lua.globals()["obj"] = lua.table_from(manifest, recursive=True)
    return dict(lua.execute((FOLDER / "health.lua").read_text()))


@pytest.mark.parametrize("path", CASES)
def test_the_fixtures(path: str) -> None:
    assert health(yaml.safe_load((FOLDER / path).read_text())) == CASES[path]


def test_no_fixture_is_left_out() -> None:
    assert {f"testdata/{file.name}" for file in (FOLDER / "testdata").iterdir()} == set(CASES)
    assert {item["status"] for item in CASES.values()} == {"Progressing", "Healthy", "Degraded", "Suspended"}
