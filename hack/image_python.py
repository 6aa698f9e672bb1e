"""Images of Python programs for the tests: packages of a lock file on the local base, and a few files.

They are put together from layers; no build runs.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from hack import image_archive
from hack.image_archive import Config
from hack.image_base import base, cpp_base
from hack.image_cache import digest, digest_of_files, made
from hack.image_packages import packages


def python_image(
    name: str, lock: str, entrypoint: Sequence[str], files: Mapping[str, Path], *, cpp: bool = False
) -> Path:
    """Return the docker-archive of an image, made first if need be.

    Args:
        name: with its tag, such as ``example.test/app:1``.
        lock: text of a lock file with hashes; what it names is installed.
        entrypoint: program and first arguments; starts in ``/app``, which is not writable.
        files: files and folders of this machine by their path below ``/app``.
        cpp: whether packages need C++'s runtime library.

    Raises:
        ImageError: this machine cannot make it.
    """
    found = cpp_base() if cpp else base()
    short = name.rpartition("/")[2].partition(":")[0]
    below = packages(short, lock, found)
    sources = [part for place in sorted(files) for part in (place, digest_of_files(files[place]))]
    key = digest(Path(__file__).read_bytes(), found.key, below.digest, name, *entrypoint, *sources)

    def make(folder: Path) -> None:
        (folder / "app").mkdir()
        for place, path in files.items():
            _copy(path, folder / "app" / place)
        layer = image_archive.layer(folder / "app.tar", {"app": folder / "app"})
        env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        config = Config(entrypoint, env, folder="/app")
        image_archive.archive(folder / "image.tar", name, [found.layer, below, layer], config)
        shutil.rmtree(folder / "app")

    return made(short, key, make) / "image.tar"


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
