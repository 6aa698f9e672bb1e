#!/usr/bin/env python3
"""The bill of materials of what the image runs: every locked dependency, as CycloneDX JSON.

It is read from an installed environment, so versions and licenses are those of the packages themselves, and compared
with ``requirements/runtime.lock``: a package too many or too few is an error.

    python -m hack.sbom -o sbom.json                    an environment of its own, from the lock
    python -m hack.sbom --python PYTHON -o sbom.json    one that exists, such as the image's
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements" / "runtime.lock"
OWN = "gateway-telemetry-operator"
INSTALLERS = {"pip", "setuptools", "wheel"}
"""What an environment brings along; the image may hold it or not."""


class SbomError(Exception):
    """The environment is not what the lock says; the text names the difference."""


def locked(lock: Path = LOCK) -> dict[str, str]:
    """Return name and version of every locked package that belongs onto this platform."""
    lines = (line.removesuffix("\\").strip() for line in lock.read_text().splitlines() if line[:1].isalnum())
    found: dict[str, str] = {}
    for requirement in map(Requirement, lines):
        if requirement.marker is None or requirement.marker.evaluate():
            (pin,) = requirement.specifier
            found[canonicalize_name(requirement.name)] = pin.version
    return found


def bill(python: Path) -> dict[str, Any]:
    """Return the bill of an environment.

    Args:
        python: its interpreter.

    Raises:
        SbomError: it holds something else than the lock.
        subprocess.CalledProcessError: it cannot be read.
    """
    command = [sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible", "--spec-version=1.6"]
    command += [f"--pyproject={ROOT / 'pyproject.toml'}", "--mc-type=application", str(python)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, Any] = json.loads(text)
    versions = {canonicalize_name(item["name"]): item["version"] for item in found["components"]}
    versions = {name: version for name, version in versions.items() if name not in INSTALLERS | {OWN}}
    if versions != locked():
        differences = sorted(set(versions.items()) ^ set(locked().items()))
        names = ", ".join(f"{name} {version}" for name, version in differences)
        raise SbomError(f"{python} differs from {LOCK.relative_to(ROOT)}: {names}")
    return found


def environment(folder: Path) -> Path:
    """Make an environment that holds what is locked, and return its interpreter."""
    uv = [str(Path(sys.executable).with_name("uv")), "--quiet"]
    subprocess.run([*uv, "venv", "--python", sys.executable, str(folder)], check=True)
    python = folder / "bin" / "python"
    subprocess.run([*uv, "pip", "install", "--require-hashes", f"--python={python}", "-r", str(LOCK)], check=True)
    return python


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, help="interpreter of the environment")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="sbom-") as folder:
        try:
            found = bill(options.python or environment(Path(folder) / "venv"))
        except SbomError as error:
            print(f"[sbom] error: {error}", file=sys.stderr)
            return 1
    options.output.write_text(json.dumps(found, indent=2) + "\n")
    print(f"[sbom] {options.output}: {len(found['components'])} components")
    return 0


if __name__ == "__main__":
    sys.exit(main())
