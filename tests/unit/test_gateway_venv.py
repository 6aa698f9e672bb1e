"""Environments of real gateways: made once, made again when they are not complete."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.gateway_venv import VenvError, installed, location


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lock file that names no package, and a cache of the test's own."""
    monkeypatch.setenv("GATEWAY_TELEMETRY_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "gateway" / "requirements.txt"
    file.parent.mkdir()
    file.write_text("# nothing\n")
    return file


def test_it_is_made_once_and_outside_the_checkout(
    lock: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    programs = installed(lock)
    assert programs.is_relative_to(tmp_path / "cache" / "venv")
    code = "import sys; print(sys.prefix)"
    done = subprocess.run([programs / "python", "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(programs.parent)
    assert "[venv] gateway: installing requirements.txt (once per machine" in capfd.readouterr().err

    (programs / "mark").touch()
    assert installed(lock) == programs
    assert (programs / "mark").exists()
    assert capfd.readouterr().err == ""


def test_another_lock_file_is_another_environment(lock: Path) -> None:
    before = location(lock)
    lock.write_text("# something else\n")
    assert location(lock) != before


def test_what_an_interrupted_run_left_is_thrown_away(lock: Path) -> None:
    programs = installed(lock)
    (programs / "half-installed").touch()
    (location(lock) / ".complete").unlink()
    assert installed(lock) == programs
    assert not (programs / "half-installed").exists()


def test_a_package_without_a_hash_is_refused_and_nothing_counts_as_installed(lock: Path) -> None:
    lock.write_text("some-package==1.0\n")
    for _ in range(2):
        with pytest.raises(VenvError, match=r"failed with exit code [0-9]+:\n.*must have a hash"):
            installed(lock)
