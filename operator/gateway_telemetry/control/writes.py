"""The few writes of the operator, each in the one order that a crash at any point leaves harmless.

Finalizer, Secret with the record, workload, release; on the way back: workload, release, Secret, finalizer. What is
remembered before it is done can be undone after a crash; what is done again changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

from gateway_telemetry.adapters import CA_KEY, HEADERS_KEY
from gateway_telemetry.api import meta
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.cluster import ownership
from gateway_telemetry.cluster.client import Client
from gateway_telemetry.cluster.errors import ApiError, Conflict, Forbidden, NotFound
from gateway_telemetry.cluster.paths import GATEWAY_TELEMETRIES, SECRETS, WORKLOADS, Resource
from gateway_telemetry.control.feed import Feed
from gateway_telemetry.plan import restore
from gateway_telemetry.plan.gateways import Write
from gateway_telemetry.plan.injection import body
from gateway_telemetry.plan.secret import secret_object
from gateway_telemetry.plan.store import Custom, Gateway, Store
from gateway_telemetry.plan.targets import Refused
from gateway_telemetry.plan.views import MANAGED_BY, MANAGED_BY_LABEL, RECORD_KEY, Record, project_workload

logger = logging.getLogger(__name__)

DATA_KEYS = (HEADERS_KEY, CA_KEY, RECORD_KEY)
"""All keys that a Secret of ours can hold; those that it no longer needs are removed."""


class Writer:
    """Writes, and tells the feed what came of it."""

    def __init__(self, client: Client, store: Store, feed: Feed) -> None:
        self._client = client
        self._store = store
        self._feed = feed
        self._locks: defaultdict[tuple[str, str, str], asyncio.Lock] = defaultdict(asyncio.Lock)

    @contextlib.asynccontextmanager
    async def _alone(self, kind: str, namespace: str, name: str) -> AsyncIterator[None]:
        """Keep claim, change and release of one workload together."""
        key = kind, namespace, name
        async with self._locks[key]:
            yield
        if not self._locks[key].locked():
            self._locks.pop(key, None)

    async def finalizer(self, view: Gateway, *, wanted: bool) -> None:
        """Put our finalizer on, or take it off; other finalizers stay.

        Raises:
            Conflict: the object changed meanwhile; its newer view is on its way.
        """
        has = meta.FINALIZER in view.finalizers
        if has == wanted:
            return
        others = [item for item in view.finalizers if item != meta.FINALIZER]
        patch = {
            "metadata": {
                "finalizers": [*others, meta.FINALIZER] if wanted else others,
                "resourceVersion": self._feed.version(GATEWAY_TELEMETRIES.kind, view.namespace, view.name),
                "uid": view.uid,
            }
        }
        with contextlib.suppress(NotFound):
            live = await self._client.merge_patch(GATEWAY_TELEMETRIES, view.namespace, view.name, patch)
            self._feed.wrote(live)

    async def inject(self, view: Gateway, write: Write) -> None:
        """Write the Secret, then the workload.

        Raises:
            Refused: with the reason that the sink shows.
        """
        workload = write.workload
        try:
            async with self._alone(*workload.key):
                if write.secret_stale:
                    await self._secret(view, write)
                if write.template_stale:
                    claim = None if write.previous is None else restore.claim(write.previous, workload)
                    wanted = body(*workload.key, workload.uid, write.injection, write.secret)
                    resource = WORKLOADS[workload.kind]
                    live = await ownership.write(
                        self._client, resource, workload.namespace, workload.name, claim, wanted
                    )
                    self._feed.wrote(live)
        except ApiError as error:
            raise refusal(error) from None

    async def _secret(self, view: Gateway, write: Write) -> None:
        wanted = secret_object(view, write)
        namespace, name = write.workload.namespace, write.secret
        if write.record is None:
            try:
                self._feed.wrote(await self._client.create(SECRETS, namespace, wanted))
            except Conflict:
                found = await self._client.get(SECRETS, namespace, name)
                if (found["metadata"].get("labels") or {}).get(MANAGED_BY_LABEL) != MANAGED_BY:
                    raise Refused(
                        Reason.SECRET_NAME_TAKEN,
                        f"Secret {namespace}/{name} exists and is not this operator's: rename or delete it",
                    ) from None
            else:
                return
        data = {key: wanted["data"].get(key) for key in DATA_KEYS}
        # A merge patch: keys that are no longer needed go, labels and annotations of others stay.
        patch = {"data": data, "metadata": wanted["metadata"]}
        self._feed.wrote(await self._client.merge_patch(SECRETS, namespace, name, patch))

    async def restore(self, record: Record) -> None:
        """Take away what a record remembers, then the record.

        A workload that is gone, or was made anew, has nothing of ours.

        Raises:
            Refused: the API server did not let us.
        """
        kind, name = record.workload
        resource = WORKLOADS[kind]
        try:
            async with self._alone(kind, record.namespace, name):
                live = await self._client.find(resource, record.namespace, name)
                if live is not None and record.workload_uid in (None, live["metadata"]["uid"]):
                    await self._clear(resource, record, live)
                await self._client.delete(SECRETS, record.namespace, record.name)
        except ApiError as error:
            raise refusal(error) from None
        self._feed.removed(SECRETS.kind, record.namespace, record.name)

    async def _clear(self, resource: Resource, record: Record, live: dict[str, Any]) -> None:
        view = project_workload({**live, "kind": resource.kind})
        try:
            for claim in restore.claims(record, view):
                live = await self._client.apply(resource, view.namespace, view.name, claim)
            live = await self._client.apply(resource, view.namespace, view.name, restore.nothing(view))
        finally:
            live = await ownership.release(self._client, resource, view.namespace, view.name, live)
        self._feed.wrote(live)

    async def release(self, kind: str, namespace: str, name: str) -> None:
        """Give up a claim that a crash between two writes left behind."""
        resource = WORKLOADS[kind]
        async with self._alone(kind, namespace, name):
            view = self._store.workloads.get((kind, namespace, name))
            if view is None or not view.owned:
                return
            live = await self._client.find(resource, namespace, name)
            if live is not None:
                self._feed.wrote(await ownership.release(self._client, resource, namespace, name, live))

    async def status(self, resource: Resource, view: Custom[Any], wanted: dict[str, Any]) -> bool:
        """Write the status if it differs; return whether it was written."""
        if wanted == view.status:
            return False
        # In a merge patch null means: remove.
        patch = {"status": {**dict.fromkeys(view.status, None), **wanted}, "metadata": {"uid": view.uid}}
        with contextlib.suppress(NotFound):
            live = await self._client.merge_patch(resource, view.namespace, view.name, patch, subresource="status")
            self._feed.wrote(live)
        return True


def refusal(error: ApiError) -> Refused:
    """Return the reason that a condition shows for an error of the API server."""
    if isinstance(error, Conflict) and error.managers:
        return Refused(
            Reason.FIELD_OWNED_BY_OTHER,
            f"{', '.join(error.managers)} took over {', '.join(error.fields)} while it was being written: stop it from "
            "setting that field; nothing was written",
        )
    if isinstance(error, Forbidden) and error.permission:
        return Refused(
            Reason.RBAC_DENIED,
            f"the operator's ServiceAccount lacks the permission: {error.permission}; grant it with the chart's roles",
        )
    return Refused(Reason.WRITE_FAILED, f"the API server did not take a write: {error}; it is tried again")
