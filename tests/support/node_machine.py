"""This machine beside a cluster whose pods really run: the tests' own node, or one that the user names by its context.

For a context, two variables say what a test cannot know; for kind's own contexts they may be left out:

- ``GATEWAY_TELEMETRY_TEST_ADDRESS``: this machine's address as pods reach it (kind: the gateway of Docker's network).
- ``GATEWAY_TELEMETRY_TEST_LOAD``: a command that brings docker-archives, given as further arguments, onto the nodes.
"""

from __future__ import annotations

import io
import json
import os
import shlex
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

ADDRESS_VARIABLE = "GATEWAY_TELEMETRY_TEST_ADDRESS"
LOAD_VARIABLE = "GATEWAY_TELEMETRY_TEST_LOAD"
_KIND = "kind-"


class Machine(Protocol):
    """What stories need of the machine that they run on."""

    @property
    def address(self) -> str:
        """Its address as pods reach it."""

    def load(self, *archives: Path) -> None:
        """Bring images onto the cluster's nodes."""


@dataclass(frozen=True)
class BesideContext:
    """This machine beside the cluster of a context."""

    address: str
    loader: tuple[str, ...]

    @classmethod
    def of(cls, context: str) -> BesideContext:
        """Read the variables, or ask kind and Docker.

        Raises:
            LookupError: a variable is missing; its name is in the text.
            subprocess.CalledProcessError: Docker does not know kind's network.
        """
        address, loader = os.environ.get(ADDRESS_VARIABLE), os.environ.get(LOAD_VARIABLE)
        if context.startswith(_KIND):
            loader = loader or f"kind load image-archive --name {shlex.quote(context.removeprefix(_KIND))}"
            address = address or _gateway_of_kind()
        for name, value in ((ADDRESS_VARIABLE, address), (LOAD_VARIABLE, loader)):
            if not value:
                raise LookupError(f"{name} is not set: docs/install.md says what it is for")
        return cls(str(address), tuple(shlex.split(str(loader))))

    def load(self, *archives: Path) -> None:
        """See Machine.load."""
        for archive in archives:
            subprocess.run([*self.loader, str(archive)], check=True, timeout=300)


def retagged(archive: Path, name: str, copy: Path) -> Path:
    """Write a docker-archive's one image under another name, as a later version of it."""
    with tarfile.open(archive) as source, tarfile.open(copy, "w") as target:
        for member in source:
            content = source.extractfile(member)
            if member.name == "manifest.json":
                assert content is not None
                [entry] = json.load(content)
                data = json.dumps([{**entry, "RepoTags": [name]}]).encode()
                member.size, content = len(data), io.BytesIO(data)
            target.addfile(member, content)
    return copy


def _gateway_of_kind() -> str:
    show = "{{range .IPAM.Config}}{{.Gateway}} {{end}}"
    command = ["docker", "network", "inspect", "kind", "--format", show]
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    return next(item for item in found if "." in item)
