"""Images and their parts are made once per machine, outside the checkout, under the hash of what they are made of."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from hack.tools import CACHE

HEARTBEAT_SECONDS = 15.0
KEEP_SECONDS = 2 * 3600.0
_STAMP = ".complete"


class ImageError(Exception):
    """An image could not be made; the text is for the person at the terminal."""


def say(text: str) -> None:
    print(f"[image] {text}", file=sys.stderr, flush=True)


def digest(*parts: str | bytes) -> str:
    """Return a short name for what something is made of; the order of the parts counts."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part.encode() if isinstance(part, str) else part).digest())
    return whole.hexdigest()[:16]


def digest_of_files(*paths: Path) -> str:
    """Return a short name for files and folders: what is in them, and each file's path below its folder."""
    parts: list[str | bytes] = []
    for path in paths:
        files = sorted(item for item in path.rglob("*") if item.is_file()) if path.is_dir() else [path]
        for file in files:
            if "__pycache__" not in file.parts:
                parts += [file.relative_to(path.parent).as_posix(), file.read_bytes()]
    return digest(*parts)


def made(name: str, key: str, make: Callable[[Path], None]) -> Path:
    """Return a folder of the cache, filled by ``make`` unless it is complete.

    One process at a time fills it; what an interrupted run left is thrown away.

    Args:
        name: what people see in the cache.
        key: from `digest`.
        make: fills the empty folder that it is given. What it raises leaves the folder incomplete.
    """
    folder = CACHE / "image" / f"{name}-{key}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{name}: another process is making it; waiting")
            fcntl.flock(guard, fcntl.LOCK_EX)
        if not (folder / _STAMP).exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            say(f"{name}: making it (once per machine; kept in {folder})")
            with progress(name):
                make(folder)
            _forget_old(folder)
        (folder / _STAMP).touch()
    return folder


def _forget_old(folder: Path) -> None:
    """Remove what had the same name, was made of other things, and was not asked for lately."""
    name = folder.name.rpartition("-")[0]
    for stamp in folder.parent.glob(f"{name}-*/{_STAMP}"):
        if stamp.parent.name.rpartition("-")[0] == name and time.time() - stamp.stat().st_mtime > KEEP_SECONDS:
            shutil.rmtree(stamp.parent)


@contextlib.contextmanager
def progress(what: str) -> Iterator[None]:
    """Say every few seconds that something is still under way, and at its end how long it took."""
    began = time.monotonic()
    done = threading.Event()

    def heartbeat() -> None:
        while not done.wait(HEARTBEAT_SECONDS):
            say(f"{what}: {time.monotonic() - began:.0f} s")

    beat = threading.Thread(target=heartbeat, daemon=True)
    beat.start()
    try:
        yield
    finally:
        done.set()
        beat.join()
    say(f"{what}: done in {time.monotonic() - began:.1f} s")


def run(
    command: Sequence[str | Path], *, cwd: Path | None = None, env: Mapping[str, str] | None = None, keep: int = 4000
) -> str:
    """Run a program and return what it printed to standard output.

    Raises:
        ImageError: it is not installed, or failed; the text ends with its last output.
    """
    try:
        done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise ImageError(f"{command[0]} is not installed, or its folder (such as /usr/sbin) is not in PATH") from error
    if done.returncode != 0:
        output = (done.stdout + done.stderr)[-keep:]
        raise ImageError(f"{' '.join(map(str, command))} failed with exit code {done.returncode}:\n{output}")
    return done.stdout
