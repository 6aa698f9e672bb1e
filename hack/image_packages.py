"""A layer of Python packages, where Debian's Python looks for what pip installed.

By itself, because it is large and seldom changes: what stands on it is made anew without it.
"""

from __future__ import annotations

import platform
import shutil
import sys
from pathlib import Path

from uv import find_uv_bin

from hack import image_archive
from hack.image_archive import Layer
from hack.image_base import PACKAGES, Base, compile_packages
from hack.image_cache import digest, made, run
from hack.image_wheels import GLIBC, for_python


def packages(name: str, lock: str, found: Base) -> Layer:
    """Return the layer of a lock file's packages, compiled, made first if need be.

    Args:
        name: what people see in the cache.
        lock: text of a lock file with hashes.
        found: the base below it.

    Raises:
        ImageError: the packages cannot be had.
    """
    entries = for_python(lock, found.python)
    place = PACKAGES.format(python=found.python).lstrip("/")

    def make(folder: Path) -> None:
        (folder / "lock.txt").write_text(entries)
        target, programs = folder / "packages", folder / "bin"
        run(
            [
                *(find_uv_bin(), "pip", "install", "--quiet", "--require-hashes", "--only-binary=:all:", "--no-deps"),
                *("--link-mode=copy", f"--target={target}", f"--python={sys.executable}"),
                *(f"--python-version={found.python}", f"--python-platform={platform.machine()}-manylinux_2_{GLIBC}"),
                *("-r", folder / "lock.txt"),
            ]
        )
        trees = {place: target}
        if (target / "bin").exists():
            (target / "bin").rename(programs)
            for program in programs.iterdir():
                _start_with(program, f"/usr/bin/python{found.python}")
            trees["usr/local/bin"] = programs
        compile_packages(found, target)
        image_archive.layer(folder / "layer.tar", trees)
        for tree in trees.values():
            shutil.rmtree(tree)

    key = digest(Path(__file__).read_bytes(), found.key, entries)
    return Layer.of(made(f"{name}-packages", key, make) / "layer.tar")


def _start_with(program: Path, python: str) -> None:
    """Let a script run with the image's Python: uv wrote the one that it found on this machine."""
    content = program.read_bytes()
    if content.startswith(b"#!"):
        first, _, rest = content.partition(b"\n")
        if first.startswith(b"#!/bin/sh"):
            # A long path is written as two lines of shell before the Python.
            rest = rest.split(b"\n", 2)[2]
        program.write_bytes(b"#!" + python.encode() + b"\n" + rest)
