"""Which of the named namespaces may be read: a Role goes with its namespace, and the others must not go with it."""

from __future__ import annotations

import asyncio
import logging

from gateway_telemetry.cluster.client import Client
from gateway_telemetry.cluster.errors import ApiError, Forbidden
from gateway_telemetry.cluster.paths import LANGSMITH_TARGETS

logger = logging.getLogger(__name__)

LOOK_AGAIN_SECONDS = 30.0
"""How often it is asked whether a namespace that was left out may be read again."""


class Namespaces:
    """The namespaces that the operator was told to watch; all of the cluster when none is named.

    Args:
        look_again: seconds between two looks at those that were left out.

    Attributes:
        readable: those that may be read; empty when none is named.
        left_out: the others.
    """

    def __init__(self, named: tuple[str, ...], look_again: float = LOOK_AGAIN_SECONDS) -> None:
        self._look_again = look_again
        self._named = named
        self.readable = named
        self.left_out: tuple[str, ...] = ()

    async def look(self, client: Client) -> None:
        """Find out which may be read.

        Raises:
            Forbidden: none may.
            ApiError: the API server did not answer.
        """
        refused: dict[str, Forbidden] = {}
        for name in self._named:
            try:
                await client.list(LANGSMITH_TARGETS, name)
            except Forbidden as error:
                refused[name] = error
        if refused and len(refused) == len(self._named):
            raise refused[self._named[0]]
        self.left_out = tuple(refused)
        self.readable = tuple(name for name in self._named if name not in refused)
        for name, refusal in refused.items():
            why = refusal.permission or refusal.message
            logger.warning("namespace %s is left out until the operator may read it: %s", name, why)

    async def regained(self, client: Client) -> str:
        """Wait until one that was left out may be read, and return its name."""
        while True:
            await asyncio.sleep(self._look_again)
            for name in self.left_out:
                try:
                    await client.list(LANGSMITH_TARGETS, name)
                except ApiError:
                    continue
                return name
