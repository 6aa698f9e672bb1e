"""What an adapter adds for gateways that are configured in another object (``install.resource``)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from gateway_telemetry.adapters.base import Adapter, Context
from gateway_telemetry.adapters.edits import Edit, Path

CONFIG_HASH = "GATEWAY_TELEMETRY_CONFIG_HASH"
"""Variable that changes with all that was written: a variable from a Secret does not, and no pod would be replaced."""


@dataclass(frozen=True)
class Place:
    """Where an object of some kind holds what its controller puts into a container.

    Attributes:
        container: name of that container, for messages.
        env: path of the list of its variables.
        mounts: path of the list of its mounts, or None if it has none.
        volumes: path of the list of the pod's volumes.
    """

    container: str
    env: Path
    mounts: Path | None = None
    volumes: Path | None = None


class ResourceAdapter(Adapter):
    """A gateway whose settings are additions to an object.

    Attributes:
        places: by kind of the object; a ConfigMap has none, its variables are written into workloads.
        controller: who acts on the object, for messages.
    """

    places: ClassVar[Mapping[str, Place]] = {}
    controller: ClassVar[str]

    @abstractmethod
    def edits(self, context: Context, kind: str) -> tuple[Edit, ...]:
        """Return what the object gets beside variables and mounts.

        Raises:
            EndpointProblem: an option, or a field of the spec, cannot be carried by this gateway.
        """
