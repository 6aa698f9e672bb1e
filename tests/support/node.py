"""Node programs of the tests: their packages are installed once per lock file, outside the checkout.

A real Node exporter is needed because Node's OpenTelemetry SDK differs from Python's where the operator's settings are
read: header decoding, certificates, JSON encoding.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

NODE_EXPORTER = Path(__file__).resolve().parent.parent / "node_exporter"
_INSTALL_TIMEOUT = 240.0


def missing() -> str | None:
    """Return why Node programs cannot run here, or None if they can."""
    absent = [name for name in ("node", "npm") if shutil.which(name) is None]
    return f"{' and '.join(absent)} not installed" if absent else None


def cache_directory() -> Path:
    """Return where installed packages are kept: below ``GATEWAY_TELEMETRY_CACHE`` or the user's cache directory."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gateway-telemetry-operator"
    return Path(os.environ.get("GATEWAY_TELEMETRY_CACHE") or default) / "node"


def installed(project: Path = NODE_EXPORTER) -> Path:
    """Return a directory with the project's scripts and its packages, exactly as its lock file says.

    Raises:
        RuntimeError: ``npm ci`` failed; the message ends with its output.
    """
    lock = hashlib.sha256((project / "package-lock.json").read_bytes()).hexdigest()[:16]
    directory = cache_directory() / f"{project.name}-{lock}"
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not (directory / ".complete").exists():
            for name in ("package.json", "package-lock.json"):
                shutil.copyfile(project / name, directory / name)
            _npm_ci(directory)
            (directory / ".complete").touch()
        for script in project.glob("*.mjs"):
            shutil.copyfile(script, directory / script.name)
    return directory


def _npm_ci(directory: Path) -> None:
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    result = subprocess.run(
        command, cwd=directory, capture_output=True, text=True, timeout=_INSTALL_TIMEOUT, check=False
    )
    if result.returncode != 0:
        raise RuntimeError(f"npm ci in {directory} failed:\n{result.stdout}{result.stderr}")
