"""Images of Python programs for the tests: packages of a lock file on the local base, and a few files.

They are put together from layers; no build runs. Packages stand where Debian's Python looks for what pip installed.
"""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from uv import find_uv_bin

from hack import image_archive
from hack.image_archive import Config, Layer
from hack.image_base import PACKAGES, Base, base, compile_packages
from hack.image_cache import digest, digest_of_files, made, run
from hack.image_wheels import GLIBC, for_python


def python_image(name: str, lock: str, entrypoint: Sequence[str], files: Mapping[str, Path]) -> Path:
    """Return the docker-archive of an image, made first if need be.

    Args:
        name: with its tag, such as ``example.test/app:1``.
        lock: text of a lock file with hashes; what it names is installed.
        entrypoint: program and first arguments; starts in ``/app``, which is not writable.
        files: files and folders of this machine by their path below ``/app``.

    Raises:
        ImageError: this machine cannot make it.
    """
    found = base()
    short = name.rpartition("/")[2].partition(":")[0]
    packages = _packages(short, lock, found)
    sources = [part for place in sorted(files) for part in (place, digest_of_files(files[place]))]
    key = digest(Path(__file__).read_bytes(), found.key, packages.digest, name, *entrypoint, *sources)

    def make(folder: Path) -> None:
        (folder / "app").mkdir()
        for place, path in files.items():
            _copy(path, folder / "app" / place)
        layer = image_archive.layer(folder / "app.tar", {"app": folder / "app"})
        env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        config = Config(entrypoint, env, folder="/app")
        image_archive.archive(folder / "image.tar", name, [found.layer, packages, layer], config)
        shutil.rmtree(folder / "app")

    return made(short, key, make) / "image.tar"


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def _packages(name: str, lock: str, found: Base) -> Layer:
    """Return the layer of a lock file's packages, compiled."""
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
