"""What ships is what is locked: hashes, the bill of materials, and how known vulnerabilities are told."""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from hack import audit, sbom

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("runtime.lock", "dev.lock")


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_package_has_its_hashes(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text()
    entries = re.split(r"\n(?=[a-z0-9])", text.strip(), flags=re.IGNORECASE)
    assert len(entries) > 40
    for entry in entries:
        assert re.match(r"[A-Za-z0-9._-]+==[^ ]+( ; [^\\]+)? \\\n    --hash=sha256:[0-9a-f]{64}", entry), entry[:80]


def test_the_lock_is_what_is_installed() -> None:
    locked = sbom.locked()
    assert {"kopf", "aiohttp", "pydantic", "cryptography"} < locked.keys()
    assert {name: importlib.metadata.version(name) for name in locked} == locked


def test_a_bill_of_another_environment_is_refused_with_the_difference() -> None:
    with pytest.raises(sbom.SbomError, match=r"differs from requirements/runtime\.lock: .*pytest "):
        sbom.bill(Path(sys.executable))


def dependency(name: str, *vulns: dict[str, Any], skip: str = "") -> dict[str, Any]:
    if skip:
        return {"name": name, "skip_reason": skip}
    return {"name": name, "version": "1.0", "vulns": list(vulns)}


HOLE = {"id": "PYSEC-2026-1", "fix_versions": ["1.1", "2.0"]}


@pytest.mark.parametrize(
    ("found", "code", "report"),
    [
        ([dependency("a"), dependency("b")], 0, "no known vulnerability in 2 packages"),
        ([dependency("a", HOLE), dependency("b")], 1, "a 1.0: PYSEC-2026-1, fixed in 1.1, 2.0"),
        ([dependency("a"), dependency("b", skip="not found")], 1, "b: not looked at: not found"),
        ([dependency("a", skip="x")], 0, "skipped: the package index of this machine serves no advisories"),
    ],
)
def test_what_is_not_looked_at_is_never_clean(found: list[dict[str, Any]], code: int, report: str) -> None:
    assert audit.verdict(json.dumps({"dependencies": found}), "") == (code, report)


def test_without_a_network_it_is_skipped_and_any_other_failure_is_one() -> None:
    offline = "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='pypi.org')"
    assert audit.verdict("", offline) == (
        0,
        "skipped: the advisories of pypi.org cannot be reached from this machine",
    )
    assert audit.verdict("", "no such file") == (1, "pip-audit failed:\nno such file")
