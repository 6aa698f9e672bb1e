"""Run ``render`` in this process or as the installed program, and read what it prints."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from click.testing import CliRunner

from gateway_telemetry.cli import main
from gateway_telemetry.cli.manifest import parse

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples"
EPOCH = "1767225600"
NOW = "2026-01-01T00:00:00Z"

Object = dict[str, Any]


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    def objects(self) -> list[Object]:
        """Return the objects of YAML output."""
        return [document.value for document in parse(self.out)]

    def find(self, kind: str, name: str | None = None) -> Object:
        """Return the one object of a kind (and name)."""
        (found,) = [obj for obj in self.objects() if obj["kind"] == kind and name in (None, obj["metadata"]["name"])]
        return found

    def conditions(self, kind: str) -> dict[str, tuple[str, str]]:
        """Return status and reason of the conditions of the one object of a kind."""
        return {item["type"]: (item["status"], item["reason"]) for item in self.find(kind)["status"]["conditions"]}


def render(*args: str | Path, stdin: str | bytes = "") -> Ran:
    """Run ``render`` in this process; the time is fixed."""
    result = CliRunner(env={"SOURCE_DATE_EPOCH": EPOCH}).invoke(main, ["render", *map(str, args)], input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)


def render_objects(objects: Iterable[Object], *args: str) -> Ran:
    """Run ``render`` on objects, by standard input."""
    return render("-f", "-", *args, stdin=yaml.safe_dump_all(objects))


def script(*args: str | Path, stdin: str = "") -> Ran:
    """Run the installed program."""
    program = Path(sys.executable).with_name("gateway-telemetry")
    done = subprocess.run(
        [program, *args],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "SOURCE_DATE_EPOCH": EPOCH},
    )
    return Ran(done.returncode, done.stdout, done.stderr)
