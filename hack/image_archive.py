"""Image archives, without a registry and the same bytes for the same contents.

A docker-archive is a tar file of layers, which are tar files themselves, a configuration and a manifest
(https://github.com/moby/docker-image-spec/blob/main/spec.md). ``ctr images import``, ``docker load``, ``kind load
image-archive`` and ``buildah pull docker-archive:`` read it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

EPOCH = "1970-01-01T00:00:00Z"
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Layer:
    """A tar file of what an image adds to the layers before it.

    Attributes:
        path: the file, not compressed.
        digest: its SHA-256, in hexadecimal digits.
    """

    path: Path
    digest: str

    @classmethod
    def of(cls, path: Path) -> Layer:
        """Read a layer that was made before."""
        with path.open("rb") as file:
            return cls(path, hashlib.file_digest(file, "sha256").hexdigest())


@dataclass(frozen=True)
class Config:
    """What an image runs.

    Attributes:
        entrypoint: program and first arguments; a container's ``args`` follow.
        env: variables that every container of the image has.
        user: ``UID:GID``. Numbers, because Kubernetes' ``runAsNonRoot`` cannot judge a name.
        folder: where it starts.
    """

    entrypoint: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    user: str = "65532:65532"
    folder: str = "/"


def architecture() -> str:
    """Return the machine's architecture as images name it; Debian and Go use the same names."""
    known = {"x86_64": "amd64", "aarch64": "arm64"}
    machine = os.uname().machine
    return known.get(machine, machine)


def layer(path: Path, trees: Mapping[str, Path]) -> Layer:
    """Write a layer: all is root's, readable by everyone, without dates or rights of its own, and in order.

    Args:
        path: the tar file to write.
        trees: a folder or file on this machine for each place in the image, such as ``opt/app``; ``""`` is its root.
    """
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        _parents(tar, trees)
        for place in sorted(trees):
            _add(tar, trees[place], place)
    return Layer.of(path)


def _parents(tar: tarfile.TarFile, trees: Mapping[str, Path]) -> None:
    parents = {str(parent) for place in trees for parent in Path(place).parents if str(parent) != "."}
    for place in sorted(parents):
        info = tarfile.TarInfo(place)
        info.type, info.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(info)


def _add(tar: tarfile.TarFile, path: Path, place: str) -> None:
    details = path.lstat()
    info = tarfile.TarInfo(place)
    info.mode = mode(details.st_mode)
    if path.is_symlink():
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, str(path.readlink()), 0o777
        tar.addfile(info)
    elif path.is_dir():
        if place:
            info.type = tarfile.DIRTYPE
            tar.addfile(info)
        for item in sorted(path.iterdir()):
            _add(tar, item, f"{place}/{item.name}" if place else item.name)
    elif path.is_file():
        info.size = details.st_size
        with path.open("rb") as file:
            tar.addfile(info, file)


def mode(found: int) -> int:
    """Return the mode of a file or folder in an image, which must not depend on the umask of whoever made it."""
    if stat.S_ISDIR(found):
        return 0o1777 if found & stat.S_ISVTX else 0o755
    return 0o755 if found & stat.S_IXUSR else 0o644


def archive(path: Path, name: str, layers: Sequence[Layer], config: Config) -> None:
    """Write an image.

    Args:
        path: the docker-archive to write.
        name: with its tag, such as ``example.test/app:1``. With a host: without one, tools add a registry's.
        layers: in order; each is copied into the archive.
        config: what the image runs.
    """
    document = json.dumps(_document(layers, config), sort_keys=True).encode()
    config_name = f"{hashlib.sha256(document).hexdigest()}.json"
    names = [f"{item.digest}.tar" for item in layers]
    manifest = json.dumps([{"Config": config_name, "Layers": names, "RepoTags": [name]}]).encode()
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for item_name, content in (("manifest.json", manifest), (config_name, document)):
            info = tarfile.TarInfo(item_name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for item in dict.fromkeys(layers):
            info = tarfile.TarInfo(f"{item.digest}.tar")
            info.size = item.path.stat().st_size
            with item.path.open("rb") as file:
                tar.addfile(info, file)


def _document(layers: Sequence[Layer], config: Config) -> dict[str, Any]:
    return {
        "architecture": architecture(),
        "os": "linux",
        "created": EPOCH,
        "config": {
            "User": config.user,
            "Env": [f"{name}={value}" for name, value in sorted(config.env.items())],
            "Entrypoint": list(config.entrypoint),
            "WorkingDir": config.folder,
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{item.digest}" for item in layers]},
        "history": [{"created": EPOCH, "created_by": "hack/image.py"} for _ in layers],
    }


def image_config(path: Path) -> dict[str, Any]:
    """Return the configuration of the one image in an archive, as the image specification writes it."""
    with tarfile.open(path) as tar:
        document: dict[str, Any] = json.loads(_member(tar, _manifest(tar)["Config"]))
    return document


def unpack(path: Path, folder: Path) -> None:
    """Unpack the file system of the one image in an archive, as a container would see it.

    Raises:
        subprocess.CalledProcessError: tar refused a layer.
    """
    with tarfile.open(path) as tar:
        for name in _manifest(tar)["Layers"]:
            member = tar.extractfile(name)
            assert member is not None
            with subprocess.Popen(
                ["tar", "--extract", "--numeric-owner", f"--directory={folder}"], stdin=subprocess.PIPE
            ) as process:
                assert process.stdin is not None
                while chunk := member.read(CHUNK_BYTES):
                    process.stdin.write(chunk)
            if process.returncode != 0:
                raise subprocess.CalledProcessError(process.returncode, process.args)


def _manifest(tar: tarfile.TarFile) -> dict[str, Any]:
    [entry] = json.loads(_member(tar, "manifest.json"))
    found: dict[str, Any] = entry
    return found


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    member = tar.extractfile(name)
    assert member is not None
    return member.read()
