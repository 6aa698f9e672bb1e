"""The operator's image: the repository's Dockerfile, built by buildah without a registry, a daemon or a network.

The base images are local (`hack.image_base`), and the wheels are fetched before the build, each checked against its
hash in the lock file. The build itself runs in a network namespace with nothing in it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from hack import image_archive
from hack.image_archive import Config
from hack.image_base import Base, base, build_base
from hack.image_cache import ImageError, digest, digest_of_files, made, run
from hack.image_wheels import LOCKS, wheels

ROOT = Path(__file__).resolve().parent.parent
CONTEXT = ("Dockerfile", "pyproject.toml", "README.md", "LICENSE", "operator", "requirements")
"""What the build looks at; .dockerignore lets nothing else in."""

NAME = "gateway-telemetry.test/gateway-telemetry-operator"
_BASE, _BUILD_BASE = "gateway-telemetry.test/base:1", "gateway-telemetry.test/build-base:1"


def missing() -> str | None:
    """Return why this machine cannot build the image, in one line; None if it can."""
    if os.geteuid() != 0:
        return "building the image needs root"
    if shutil.which("apt-get") is None:
        return "building the image needs Debian or Ubuntu: its base is made of their packages"
    if shutil.which("buildah") is None:
        return "building the image needs buildah: apt-get install --no-install-recommends buildah"
    tried = subprocess.run(["unshare", "--mount", "--net", "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        return f"building the image needs Linux namespaces: {tried.stderr.strip()}"
    return None


def operator_image(tag: str) -> Path:
    """Return the docker-archive of the operator's image ``NAME:tag``, built first if need be.

    Raises:
        ImageError: it cannot be built.
    """
    why = missing()
    if why is not None:
        raise ImageError(why)
    run_base, tools_base = base(), build_base()
    sources = digest_of_files(*(ROOT / item for item in CONTEXT))
    key = digest(Path(__file__).read_bytes(), sources, run_base.key, tools_base.key, tag)

    def make(folder: Path) -> None:
        context(folder / "context", wheels(LOCKS, run_base.python))
        build(folder / "context", folder / "image.tar", f"{NAME}:{tag}", run_base, tools_base)
        shutil.rmtree(folder / "context")

    return made("operator", key, make) / "image.tar"


def context(folder: Path, wheelhouse: Path) -> None:
    """Fill a folder with what the build looks at, and the wheels."""
    folder.mkdir()
    for item in CONTEXT:
        path = ROOT / item
        if path.is_dir():
            shutil.copytree(path, folder / item, ignore=shutil.ignore_patterns("__pycache__", "wheels"))
        else:
            shutil.copy(path, folder / item)
    shutil.copytree(wheelhouse, folder / "requirements" / "wheels")
    for path in folder.rglob("*"):
        path.chmod(image_archive.mode(path.stat().st_mode))


def build(folder: Path, archive: Path, name: str, run_base: Base, tools_base: Base) -> None:
    """Build a context's Dockerfile.

    Args:
        folder: the context, with wheels.
        archive: the docker-archive to write.
        name: of the image, with its tag.
        run_base: what the image stands on.
        tools_base: what its first stage stands on.

    Raises:
        ImageError: a step failed; its output is in the text.
    """
    with TemporaryDirectory(prefix="gateway-telemetry-buildah-") as temporary:
        work = Path(temporary)
        environment = _environment(work)
        # overlay would need privileges that a container in a container does not have; the images are small.
        buildah = ["buildah", f"--root={work}/root", f"--runroot={work}/run", "--storage-driver=vfs"]
        for base_name, found in ((_BASE, run_base), (_BUILD_BASE, tools_base)):
            file = work / "base.tar"
            image_archive.archive(file, base_name, [found.layer], Config([], user="0:0"))
            run([*buildah, "pull", "--quiet", f"docker-archive:{file}"], env=environment)
            file.unlink()
        arguments = [f"BASE_IMAGE={_BASE}", f"BUILD_IMAGE={_BUILD_BASE}", "PIP_NO_INDEX=1"]
        run(
            [
                *("unshare", "--net", "--", *buildah, "build", "--isolation=chroot", "--pull-never", "--layers=false"),
                *("--timestamp=0", "--format=docker", f"--tag={name}"),
                *(f"--build-arg={argument}" for argument in arguments),
                folder,
            ],
            env=environment,
        )
        run([*buildah, "push", "--quiet", name, f"docker-archive:{archive}:{name}"], env=environment)


def _environment(work: Path) -> Mapping[str, str]:
    """Return an environment of its own for buildah: nothing of the user's settings, nothing asked of a registry."""
    files = {
        "policy.json": '{"default": [{"type": "insecureAcceptAnything"}]}',
        "registries.conf": "unqualified-search-registries = []\n",
    }
    for name, text in files.items():
        (work / name).write_text(text)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(work),
        "TMPDIR": str(work),
        "CONTAINERS_REGISTRIES_CONF": str(work / "registries.conf"),
    }
