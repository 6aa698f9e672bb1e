"""The operator's image, really built from the repository's Dockerfile, and run as the chart runs it.

It runs here without a cluster: as user 65532, in a file system that is read-only but for /tmp, without a network.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hack import image, image_archive, image_operator, image_wheels
from hack.image_base import base, build_base
from hack.image_cache import ImageError

MAX_BYTES = 240_000_000
MAX_COMPRESSED_BYTES = 60_000_000
SHELLS = {"sh", "bash", "dash", "ash", "busybox", "zsh"}
_RUN = """
mount --bind "$1" "$1" && mount --options remount,bind,ro "$1" && mount -t tmpfs tmpfs "$1/tmp"
root=$1; shift
exec env -i PATH=/opt/gateway-telemetry/bin:/usr/bin:/usr/sbin:/bin PYTHONDONTWRITEBYTECODE=1 \
  chroot --userspec=65532:65532 --groups= "$root" "$@"
"""


@pytest.fixture(scope="module", autouse=True)
def _possible() -> None:
    why = image_operator.missing()
    if why is not None:
        pytest.skip(why)


@pytest.fixture(scope="module")
def archive() -> Path:
    return image.operator()


@pytest.fixture(scope="module")
def root(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The image's file system."""
    folder = tmp_path_factory.mktemp("image")
    image_archive.unpack(archive, folder)
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def run(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the image."""
    path = f"{os.environ['PATH']}:/usr/sbin"
    isolated = ["unshare", "--mount", "--net", "--pid", "--fork", "sh", "-ec", _RUN, "sh", str(root), *command]
    return subprocess.run(isolated, capture_output=True, text=True, check=False, env={"PATH": path})


def test_it_says_who_it_runs_as_and_what(archive: Path) -> None:
    config = image_archive.image_config(archive)["config"]
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["gateway-telemetry"]
    assert config["WorkingDir"] == "/tmp"  # noqa: S108
    assert config["Labels"]["org.opencontainers.image.title"] == "gateway-telemetry-operator"


def test_nothing_in_it_gives_rights_or_runs_commands(root: Path) -> None:
    files = [path for path in root.rglob("*") if not path.is_symlink()]
    assert len(files) > 5000
    modes = {path: path.stat() for path in files}
    privileged = [path for path in files if path.is_file() and modes[path].st_mode & (stat.S_ISUID | stat.S_ISGID)]
    assert privileged == []
    writable = {path.relative_to(root).as_posix() for path in files if modes[path].st_mode & stat.S_IWOTH}
    assert writable == {"tmp", "var/lock", "var/tmp"}  # with the sticky bit; read-only where the chart runs it
    assert {item.st_uid for item in modes.values()} == {0}
    programs = {path.name for folder in ("usr/bin", "usr/sbin", "usr/local/bin") for path in (root / folder).glob("*")}
    assert programs & (SHELLS | {"apt", "dpkg", "pip", "pip3", "perl"}) == set()
    assert not list((root / "opt/gateway-telemetry").rglob("pip"))


def test_it_starts_each_of_its_programs(root: Path) -> None:
    version = run(root, "gateway-telemetry", "--version")
    assert (version.stdout, version.stderr) == (f"gateway-telemetry, version {image.VERSION}\n", "")
    operator = run(root, "gateway-telemetry", "operator", "--kubeconfig", "/nowhere")
    assert operator.returncode == 1
    assert "kubeconfig /nowhere is not usable: no such file" in operator.stderr
    url = "https://langsmith.example.com/api/v1/otel/v1/traces"
    probe = run(root, "gateway-telemetry", "probe-job", f"--url={url}", "--patience=0", "--settle=0", "--timeout=1")
    assert probe.returncode == 0, probe.stderr
    assert '"reason": "DNSUnavailable"' in probe.stdout


def test_it_trusts_public_cas_and_knows_time_zones(root: Path) -> None:
    program = "import ssl, zoneinfo; print(len(ssl.create_default_context().get_ca_certs()) > 100)"
    done = run(root, "python3", "-c", f"{program}; print(zoneinfo.ZoneInfo('Europe/Berlin'))")
    assert done.stdout == "True\nEurope/Berlin\n", done.stderr


def test_it_runs_as_nobody_and_writes_nothing_but_tmp(root: Path) -> None:
    program = "import os; print(os.getuid(), os.getgid(), os.getgroups()); open('/tmp/x', 'w'); open('/opt/x', 'w')"
    done = run(root, "python3", "-c", program)
    assert done.stdout == "65532 65532 []\n"
    assert "Read-only file system: '/opt/x'" in done.stderr


def test_it_is_small(archive: Path) -> None:
    compressed = image.compressed_size(archive)
    print(f"operator's image: {archive.stat().st_size / 1e6:.0f} MB, {compressed / 1e6:.0f} MB compressed")
    assert archive.stat().st_size < MAX_BYTES
    assert compressed < MAX_COMPRESSED_BYTES


def test_a_wheel_that_is_not_the_locked_one_fails_the_build(tmp_path: Path) -> None:
    folder = tmp_path / "context"
    image_operator.context(folder, image_wheels.wheels(image_wheels.LOCKS, base().python))
    (wheel,) = (folder / "requirements" / "wheels").glob("idna-*.whl")
    wheel.write_bytes(wheel.read_bytes() + b"\n")
    with pytest.raises(ImageError, match="THESE PACKAGES DO NOT MATCH THE HASHES"):
        image_operator.build(folder, tmp_path / "image.tar", "example.test/tampered:1", base(), build_base())


@pytest.mark.skipif("GATEWAY_TELEMETRY_FULL" not in os.environ, reason="builds once more: make test-full")
def test_the_same_sources_make_the_same_layers(archive: Path, tmp_path: Path) -> None:
    folder = tmp_path / "context"
    image_operator.context(folder, image_wheels.wheels(image_wheels.LOCKS, base().python))
    image_operator.build(folder, tmp_path / "image.tar", "example.test/again:1", base(), build_base())
    found = [image_archive.image_config(path)["rootfs"] for path in (archive, tmp_path / "image.tar")]
    assert found[0] == found[1]
