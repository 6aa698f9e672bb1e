#!/usr/bin/env python3
"""Known vulnerabilities of the locked runtime dependencies, as pip-audit finds them.

Exit status: 0 if there are none, or if the advisories cannot be reached from here (one line says so); 1 otherwise. A
package that has no entry among the advisories counts as not looked at, never as clean.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements" / "runtime.lock"


def run(lock: Path = LOCK) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip", "--progress-spinner=off"]
    return subprocess.run(
        [*command, "--format=json", f"--requirement={lock}"], check=False, capture_output=True, text=True
    )


def verdict(output: str, errors: str) -> tuple[int, str]:
    """Return exit status and report for what pip-audit said."""
    try:
        found: list[dict[str, Any]] = json.loads(output)["dependencies"]
    except (ValueError, KeyError):
        if "ConnectionError" in errors or "Could not connect" in errors or "Max retries exceeded" in errors:
            return 0, "skipped: the advisories of pypi.org cannot be reached from this machine"
        return 1, f"pip-audit failed:\n{errors}"
    unknown = [item for item in found if "skip_reason" in item]
    if len(unknown) == len(found):
        return 0, "skipped: the package index of this machine serves no advisories"
    lines = [f"{item['name']}: not looked at: {item['skip_reason']}" for item in unknown]
    for item in found:
        for hole in item.get("vulns", ()):
            fixed = ", ".join(hole["fix_versions"]) or "no version"
            lines.append(f"{item['name']} {item['version']}: {hole['id']}, fixed in {fixed}")
    if lines:
        return 1, "\n".join(lines)
    return 0, f"no known vulnerability in {len(found)} packages"


def main() -> int:
    done = run()
    code, report = verdict(done.stdout, done.stderr)
    print("\n".join(f"[audit] {line}" for line in report.splitlines()))
    return code


if __name__ == "__main__":
    sys.exit(main())
