"""The Dockerfile's text; tests/node/test_image.py builds it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "Dockerfile").read_text()


def instructions(name: str) -> list[str]:
    lines = TEXT.replace("\\\n", " ").splitlines()
    return [line.removeprefix(name).strip() for line in lines if line.startswith(f"{name} ")]


def copied() -> Iterator[str]:
    """Return what is taken from the checkout."""
    for line in instructions("COPY"):
        if not line.startswith("--from="):
            *sources, _ = line.split()
            yield from sources


@pytest.mark.parametrize("source", list(copied()))
def test_what_is_copied_is_there_and_not_ignored(source: str) -> None:
    assert (ROOT / source).exists()
    kept = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    assert source.split("/")[0] in kept


def test_nothing_is_kept_that_is_not_copied() -> None:
    kept = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    assert kept == {source.split("/")[0] for source in copied()}


def test_the_base_image_is_an_argument_of_every_stage() -> None:
    assert re.search(r"^ARG BASE_IMAGE=\S+$", TEXT, re.MULTILINE)
    assert "\nARG BUILD_IMAGE=${BASE_IMAGE}\n" in TEXT
    assert [line.split()[0] for line in instructions("FROM")] == ["${BUILD_IMAGE}", "${BASE_IMAGE}"]


def test_it_runs_the_program_as_nobody_in_particular() -> None:
    """A numeric user, so that the kubelet can tell that it is not root."""
    assert instructions("USER") == ["65532:65532"]
    assert instructions("ENTRYPOINT") == ['["gateway-telemetry"]']
    scripts = (ROOT / "pyproject.toml").read_text()
    assert 'gateway-telemetry = "gateway_telemetry.cli:main"' in scripts


def test_dependencies_are_locked() -> None:
    (install,) = [line for line in instructions("RUN") if "requirements/runtime.lock" in line]
    assert "--require-hashes" in install
    (build,) = [line for line in instructions("RUN") if "requirements/build.lock" in line]
    assert build.count("--require-hashes") == build.count("install ")
    lock = (ROOT / "requirements" / "runtime.lock").read_text()
    assert lock.count("--hash=sha256:") > 100
    assert not re.search(r"^[^#\s].* @ ", lock, re.MULTILINE)


def test_the_build_backend_is_the_projects_and_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert (ROOT / "requirements" / "build.in").read_text().split() == project["build-system"]["requires"]
    lock = (ROOT / "requirements" / "build.lock").read_text()
    assert "hatchling==1.27.0 \\\n    --hash=sha256:" in lock
