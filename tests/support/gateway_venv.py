"""Real gateways of the Python package index, each in a virtual environment of its own.

A gateway's packages must neither meet the operator's nor follow its lock file. An environment is made once per lock
file and interpreter, outside the checkout: a clean clone installs nothing that this machine has installed before.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

from uv import find_uv_bin

HEARTBEAT_SECONDS = 10.0
_STAMP = ".complete"


class VenvError(Exception):
    """The environment could not be made; the text is for the person at the terminal."""


def cache_directory() -> Path:
    """Return where environments are kept: below ``GATEWAY_TELEMETRY_CACHE`` or the user's cache directory."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gateway-telemetry-operator"
    return Path(os.environ.get("GATEWAY_TELEMETRY_CACHE") or default) / "venv"


def location(lock: Path) -> Path:
    """Return where the environment of a lock file is, or will be: the name covers all that it is made from."""
    interpreter = Path(sys.executable).resolve()
    parts = (lock.read_bytes(), platform.python_version().encode(), os.fsencode(interpreter))
    digest = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts))
    return cache_directory() / f"{lock.parent.name}-{digest.hexdigest()[:16]}"


def installed(lock: Path) -> Path:
    """Return the folder of programs (``bin``) of the lock file's environment, made first if need be.

    A virtual environment holds its own path, so it is made in place: a stamp says that it is complete, and a lock
    lets one process at a time make it. What an interrupted run left is thrown away.

    Raises:
        VenvError: the installation failed; the text ends with the installer's output.
    """
    folder = location(lock)
    folder.mkdir(parents=True, exist_ok=True)
    venv = folder / "venv"
    with (folder / ".lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not (folder / _STAMP).exists():
            shutil.rmtree(venv, ignore_errors=True)
            _make(venv, lock)
            (folder / _STAMP).touch()
    return venv / "bin"


def _make(venv: Path, lock: Path) -> None:
    began = time.monotonic()
    say(f"{lock.parent.name}: installing {lock.name} (once per machine; kept in {venv.parent})")
    done = threading.Event()

    def heartbeat() -> None:
        while not done.wait(HEARTBEAT_SECONDS):
            say(f"{lock.parent.name}: {time.monotonic() - began:.0f} s")

    beat = threading.Thread(target=heartbeat, daemon=True)
    beat.start()
    uv = find_uv_bin()
    python = Path(sys.executable).resolve()
    try:
        _run(uv, "venv", "--quiet", "--python", str(python), str(venv))
        _run(uv, "pip", "install", "--quiet", "--require-hashes", "--python", str(venv / "bin/python"), "-r", str(lock))
    finally:
        done.set()
        beat.join()
    say(f"{lock.parent.name}: installed in {time.monotonic() - began:.0f} s")


def _run(*command: str) -> None:
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if result.returncode != 0:
        raise VenvError(f"{' '.join(command)} failed with exit code {result.returncode}:\n{result.stdout[-4000:]}")


def say(text: str) -> None:
    print(f"[venv] {text}", file=sys.stderr, flush=True)
