"""Base images from Debian's own packages, for machines that reach no image registry.

Two trees, each made of whole packages of the machine's Debian release, unpacked without running their scripts:

- the base: Python with the libraries it needs, public CA certificates, time zones. No shell, no package manager,
  nothing with set-user-id; like Google's distroless images, it lists its packages in ``/var/lib/dpkg/status.d``, where
  scanners look.
- the build base: the same, with a shell, core utilities and ``venv``, for the first stage of the Dockerfile.

apt checks each package against the release's signature. Versions are those that apt knows of: after ``apt-get update``
has brought newer ones, the base is made anew.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from hack import image_archive
from hack.image_archive import Layer
from hack.image_cache import ImageError, digest, made, run
from hack.tools import CACHE

LEFT_OUT = {
    *("awk", "debconf", "debconf-2.0", "debianutils", "dpkg", "install-info", "openssl", "readline-common"),
    "python3.11-distutils",
}
"""Packages that others need for their scripts only, which are not run, and a part of Python that venv does without."""

PACKAGES = "/usr/local/lib/python{python}/dist-packages"
"""Where Debian's Python looks for what was not installed by apt."""

USR_MERGED = ("bin", "lib", "lib64", "sbin")
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n",
    "etc/group": "root:x:0:\nnonroot:x:65532:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}
UNUSED = ("usr/share/man", "usr/share/locale", "usr/share/lintian", "usr/share/bug", "usr/share/info", "usr/share/menu")


@dataclass(frozen=True)
class Package:
    """A Debian package, as apt would install it."""

    name: str
    version: str
    sha256: str
    needs: tuple[tuple[str, ...], ...]
    """What it depends on; each is a list of alternatives, best first."""

    @property
    def identity(self) -> str:
        return f"{self.name}={self.version} {self.sha256}"


@dataclass(frozen=True)
class Base:
    """A file system to build images on.

    Attributes:
        root: its files, for ``chroot``.
        layer: the same as a layer.
        packages: what it is made of.
        python: version of its Python, such as ``3.11``.
        key: changes with everything that it is made of.
    """

    root: Path
    layer: Layer
    packages: tuple[Package, ...]
    python: str
    key: str


@cache
def base() -> Base:
    """Return the base, made first if need be.

    Raises:
        ImageError: this machine has no apt, or a package cannot be had.
    """
    python = python_version()
    return _made("base", python, closure(_names(python)))


@cache
def cpp_base() -> Base:
    """Return the base with C++'s runtime library, which wheels of numerical packages take from the system.

    Raises:
        ImageError: as for `base`.
    """
    python = python_version()
    return _made("cpp-base", python, closure((*_names(python), "libstdc++6")))


def _names(python: str) -> tuple[str, ...]:
    return (f"python{python}", "python3-minimal", "ca-certificates", "tzdata", "netbase", "base-files")


@cache
def build_base() -> Base:
    """Return the base of the build stage, made first if need be.

    Raises:
        ImageError: as for `base`.
    """
    python = python_version()
    names = (f"python{python}-venv", "python3-minimal", "ca-certificates", "base-files", "dash", "coreutils")
    return _made("build-base", python, closure(names))


def python_version() -> str:
    """Return the version of Python of the machine's Debian release, such as ``3.11``."""
    version = known({"python3"})["python3"].version
    found = re.match(r"\d+\.\d+", version)
    if found is None:
        raise ImageError(f"Debian's package python3 has the version {version!r}, which is not understood")
    return found.group()


def known(names: set[str]) -> dict[str, Package]:
    """Return what apt would install, by name.

    Raises:
        ImageError: there is no apt, or it does not know a name.
    """
    if shutil.which("apt-cache") is None:
        raise ImageError("base images are made of Debian packages: this needs Debian or Ubuntu, with apt")
    # apt's own cache of what it parsed is switched off in Debian's container images, and parsing takes seconds.
    own = [f"--option=Dir::Cache::{item}={CACHE / 'apt'}/{item}.bin" for item in ("pkgcache", "srcpkgcache")]
    (CACHE / "apt").mkdir(parents=True, exist_ok=True)
    command = ["apt-cache", *own, "show", "--no-all-versions", *sorted(names)]
    text = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    found = {item.name: item for item in map(_package, filter(str.strip, text.split("\n\n")))}
    if missing := names - found.keys():
        raise ImageError(f"apt does not know {', '.join(sorted(missing))}: run 'apt-get update'")
    return found


def _package(text: str) -> Package:
    fields = dict(re.findall(r"^([A-Za-z0-9-]+): (.*)$", text, re.MULTILINE))
    needs = [need for key in ("Pre-Depends", "Depends") for need in fields.get(key, "").split(",") if need.strip()]
    alternatives = (tuple(re.sub(r"[\s(:].*", "", item.strip()) for item in need.split("|")) for need in needs)
    return Package(fields["Package"], fields["Version"], fields["SHA256"], tuple(alternatives))


def closure(names: tuple[str, ...]) -> tuple[Package, ...]:
    """Return the packages and all that they need, by name, without those left out and what only they need."""
    found: dict[str, Package] = {}
    wanted = set(names)
    while wanted:
        found |= (news := known(wanted))
        settled = LEFT_OUT | found.keys()
        needs = [need for package in news.values() for need in package.needs]
        wanted = {need[0] for need in needs if settled.isdisjoint(need)}
    return tuple(found[name] for name in sorted(found))


def _made(name: str, python: str, packages: tuple[Package, ...]) -> Base:
    key = digest(Path(__file__).read_bytes(), *(package.identity for package in packages))

    def make(folder: Path) -> None:
        root = folder / "root"
        root.mkdir()
        _unpack(root, packages)
        _finish(root, python)
        image_archive.layer(folder / "layer.tar", {"": root})

    folder = made(name, key, make)
    return Base(folder / "root", Layer.of(folder / "layer.tar"), packages, python, key)


def _unpack(root: Path, packages: tuple[Package, ...]) -> None:
    for item in USR_MERGED:
        (root / "usr" / item).mkdir(parents=True)
        (root / item).symlink_to(f"usr/{item}")
    status = root / "var/lib/dpkg/status.d"
    status.mkdir(parents=True)
    with TemporaryDirectory(prefix="gateway-telemetry-debs-") as downloads:
        Path(downloads).chmod(0o755)
        run(["apt-get", "download", "-q", *(f"{item.name}={item.version}" for item in packages)], cwd=Path(downloads))
        for file in sorted(Path(downloads).glob("*.deb")):
            (status / file.name.split("_")[0]).write_text(run(["dpkg-deb", "--field", file]))
            with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", file], stdout=subprocess.PIPE) as content:
                # A package that still ships /lib must not replace the link to usr/lib.
                extract = ["tar", "--extract", "--keep-directory-symlink", f"--directory={root}"]
                subprocess.run(extract, stdin=content.stdout, check=True)


def _finish(root: Path, python: str) -> None:
    """Do what the packages' scripts would have done, and drop what no program reads."""
    for place, text in FILES.items():
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_text(text)
    roots = sorted((root / "usr/share/ca-certificates/mozilla").glob("*.crt"))
    (root / CERTIFICATES).parent.mkdir(parents=True, exist_ok=True)
    (root / CERTIFICATES).write_text("".join(item.read_text() for item in roots))
    # Where OpenSSL looks; the package openssl has these links.
    (root / "usr/lib/ssl").mkdir(parents=True, exist_ok=True)
    (root / "usr/lib/ssl/certs").symlink_to("/etc/ssl/certs")
    (root / "usr/lib/ssl/cert.pem").symlink_to("/etc/ssl/certs/ca-certificates.crt")
    if (root / "usr/bin/dash").exists() and not (root / "usr/bin/sh").exists():
        (root / "usr/bin/sh").symlink_to("dash")
    for item in UNUSED:
        shutil.rmtree(root / item, ignore_errors=True)
    for path in (root / "usr/share/doc").rglob("*"):
        if path.is_file() and path.name != "copyright":
            path.unlink()
    for item in ("tmp", "home/nonroot", "proc", "sys", "dev", PACKAGES.format(python=python).lstrip("/")):
        (root / item).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    run(["chroot", root, *_compile(python, f"/usr/lib/python{python}")])


def compile_packages(found: Base, folder: Path) -> None:
    """Compile packages with the base's Python, as if they were installed in it.

    Args:
        found: the base; it stays as it is.
        folder: what will be in its folder of packages.
    """
    place = PACKAGES.format(python=found.python)
    script = 'mount --bind "$1" "$2" && shift 2 && exec chroot "$@"'
    command = ["unshare", "--mount", "sh", "-ec", script, "sh", str(folder), f"{found.root}{place}"]
    run([*command, found.root, *_compile(found.python, place)])


def _compile(python: str, place: str) -> list[str | Path]:
    """Return the command that compiles a folder.

    Where files are read-only, no process can compile for the next. Layers have no dates that could be compared.
    """
    return [f"/usr/bin/python{python}", "-m", "compileall", "-q", "--invalidation-mode=unchecked-hash", place]
