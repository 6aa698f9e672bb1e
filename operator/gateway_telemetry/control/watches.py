"""kopf as what it does best here: watch streams that reconnect. It decides nothing and writes nothing.

Handlers of ``on.event`` feed the store and return; no change handlers, so no annotations, no finalizers, no Events
of kopf's on anybody's object (ADR 0002).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import kopf

from gateway_telemetry.cluster.client import PAGE
from gateway_telemetry.cluster.config import Connection
from gateway_telemetry.control.feed import Feed, Watched

logger = logging.getLogger(__name__)


class _NoDiffBase(kopf.DiffBaseStorage):
    """Keeps no last-handled state anywhere: nothing here asks what has changed since."""

    def build(self, *, body: kopf.Body, extra_fields: Any = None) -> kopf.BodyEssence:
        return kopf.BodyEssence({})

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        pass


def registry(connection: Connection, feed: Feed, watched: Sequence[Watched]) -> kopf.OperatorRegistry:
    """Return kopf's handlers: a login and one ``on.event`` per kind."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return await connection.kopf()

    for item in watched:
        resource = item.resource
        kind, api_version = resource.kind, resource.api_version

        @kopf.on.event(
            resource.group, resource.version, resource.plural, registry=handlers, id=f"watch-{resource.plural}"
        )
        async def seen(event: kopf.RawEvent, _kind: str = kind, _api_version: str = api_version, **_: Any) -> None:
            # Objects of the first list come without kind and apiVersion.
            obj: dict[str, Any] = {**event["object"], "kind": _kind, "apiVersion": _api_version}
            feed.see(obj, deleted=event["type"] == "DELETED")

    return handlers


def settings(watched: Sequence[Watched]) -> kopf.OperatorSettings:
    """Return kopf's settings: silent, stateless, with selectors on the server's side."""
    result = kopf.OperatorSettings()
    result.peering.standalone = True
    result.scanning.disabled = True
    result.posting.enabled = False
    result.persistence.diffbase_storage = _NoDiffBase()
    result.watching.chunk_size = PAGE
    # The server ends streams after minutes by itself; the client's limit only catches those that it does not.
    result.watching.server_timeout = 300
    result.watching.client_timeout = 310
    result.watching.connect_timeout = 30
    # A task per object of the first list, each alive for this long, sets the process's peak of memory.
    result.queueing.idle_timeout = 0.1
    result.queueing.exit_timeout = 1.0
    for item in watched:
        if item.labels:
            resource = item.resource
            result.watching.label_selectors[resource.group, resource.version, resource.plural] = item.labels
    return result
