"""Wheels for an image: those of a lock file, each checked against its hash, for the image's own Python."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from tempfile import NamedTemporaryFile

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from hack.image_cache import digest, made, run

ROOT = Path(__file__).resolve().parent.parent
LOCKS = (ROOT / "requirements" / "runtime.lock", ROOT / "requirements" / "build.lock")
GLIBC = 36
"""Minor version of Debian 12's C library: what the oldest base that is made here can run."""


def platforms() -> list[str]:
    """Return the wheel platforms that the base can run, best first."""
    machine = platform.machine()
    return [f"manylinux_2_{minor}_{machine}" for minor in range(GLIBC, 4, -1)] + [f"manylinux2014_{machine}"]


def wheels(locks: Sequence[Path], python: str) -> Path:
    """Return a folder with the wheels of lock files, fetched first if need be.

    Args:
        locks: with hashes; only what they name is fetched.
        python: version of the image's Python, such as ``3.11``.

    Raises:
        ImageError: the package index cannot be reached, or a wheel is not the locked one.
    """

    def make(folder: Path) -> None:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--only-binary=:all:", "--require-hashes", f"--python-version={python}", f"--dest={folder}"]
        command += [f"--platform={item}" for item in platforms()]
        for lock in locks:
            with NamedTemporaryFile("w", suffix=".txt") as list_:
                list_.write(for_python(lock.read_text(), python))
                list_.flush()
                run([*command, f"--requirement={list_.name}"])

    key = digest(Path(__file__).read_bytes(), python, *(lock.read_bytes() for lock in locks))
    return made("wheels", key, make)


def for_python(lock: str, python: str) -> str:
    """Return the entries of a lock file that belong onto Linux with a version of Python, without their conditions.

    pip would judge the conditions by the Python that it runs on itself.
    """
    kept: list[str] = []
    for entry in _entries(lock):
        parsed = Requirement(_requirement(entry))
        # Which patch release it is may decide; a wheel too many does no harm.
        if parsed.marker is None or any(_holds(parsed.marker, f"{python}.{patch}") for patch in (0, 99)):
            kept.append(re.sub(r" *;[^\\\n]*", " ", entry, count=1))
    return "".join(f"{entry}\n" for entry in kept)


def subset(lock: Path, roots: Sequence[str]) -> str:
    """Return the entries of a lock file that some packages need, themselves included, hashes and all.

    What needs what is read from this environment, where all of the lock file is installed.

    Raises:
        KeyError: the lock file lacks one of them.
    """
    entries = {canonicalize_name(Requirement(_requirement(entry)).name): entry for entry in _entries(lock.read_text())}
    found: set[NormalizedName] = set()
    queue = [canonicalize_name(root) for root in roots]
    while queue:
        name = queue.pop()
        if name not in found:
            found.add(name)
            queue += _needs(name)
    return "".join(f"{entries[name]}\n" for name in sorted(found))


def _entries(lock: str) -> list[str]:
    return [entry for entry in re.split(r"\n(?=\S)", lock.strip()) if not entry.startswith("#")]


def _requirement(entry: str) -> str:
    return entry.splitlines()[0].removesuffix("\\").strip()


def _needs(name: NormalizedName) -> list[NormalizedName]:
    version = platform.python_version()
    parsed = map(Requirement, metadata.requires(name) or [])
    return [canonicalize_name(item.name) for item in parsed if item.marker is None or _holds(item.marker, version)]


def _holds(marker: Marker, python: str) -> bool:
    minor = ".".join(python.split(".")[:2])
    return marker.evaluate({"extra": "", "python_full_version": python, "python_version": minor})
