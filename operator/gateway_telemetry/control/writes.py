"""The few writes of the operator, each in the one order that a crash at any point leaves harmless.

Finalizer, Secret with the record, workload, release; on the way back: workload, release, Secret, finalizer. What is
remembered before it is done can be undone after a crash; what is done again changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

from gateway_telemetry.adapters import CA_KEY
from gateway_telemetry.api import meta
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.cluster import ownership
from gateway_telemetry.cluster.client import Client
from gateway_telemetry.cluster.errors import ApiError, Conflict, Forbidden, NotFound, ReadOnly
from gateway_telemetry.cluster.paths import CONFIG_MAPS, GATEWAY_TELEMETRIES, SECRETS, WORKLOADS, Resource
from gateway_telemetry.control import resources
from gateway_telemetry.control.feed import Feed
from gateway_telemetry.plan import restore
from gateway_telemetry.plan.gateways import Write
from gateway_telemetry.plan.injection import body
from gateway_telemetry.plan.reference import CA_SUFFIX, ReferenceWrite, ca_config_map, reference_secret, restart_body
from gateway_telemetry.plan.resource_write import ResourceWrite, resource_secret
from gateway_telemetry.plan.secret import kept, secret_object
from gateway_telemetry.plan.store import Custom, Gateway, Store
from gateway_telemetry.plan.targets import Refused
from gateway_telemetry.plan.views import (
    MANAGED_BY,
    MANAGED_BY_LABEL,
    ORIGINAL_KEY,
    CaCopy,
    Record,
    Workload,
    is_managed,
    project_workload,
)
from gateway_telemetry.plan.writes import stands

logger = logging.getLogger(__name__)

"""Keys that a Secret beside a workload can hold, apart from the record and what is kept for a rollback."""


class Writer:
    """Writes, and tells the feed what came of it."""

    def __init__(self, client: Client, store: Store, feed: Feed) -> None:
        self._client = client
        self._store = store
        self._feed = feed
        self.finalizers = True
        """Whether finalizers may be put on; the record outlives its object and is enough to restore by."""
        self._locks: dict[tuple[str, str, str], tuple[asyncio.Lock, int]] = {}

    @contextlib.asynccontextmanager
    async def _alone(self, kind: str, namespace: str, name: str) -> AsyncIterator[None]:
        """Keep claim, change and release of one workload together."""
        key = kind, namespace, name
        lock, users = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = lock, users + 1
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks[key]
            if users == 1:
                del self._locks[key]
            else:
                self._locks[key] = lock, users - 1

    async def finalizer(self, view: Gateway, *, wanted: bool) -> None:
        """Put our finalizer on, or take it off; other finalizers stay.

        Raises:
            Conflict: the object changed meanwhile; its newer view is on its way.
            NotFound: it is gone, and the finalizer was wanted.
        """
        # List and resourceVersion must be of the same moment, or a finalizer that came in between would be dropped.
        view = self._store.gateways.get(view.key, view)
        has = meta.FINALIZER in view.finalizers
        wanted = wanted and self.finalizers
        if has == wanted or self._client.read_only:
            return
        others = [item for item in view.finalizers if item != meta.FINALIZER]
        patch = {
            "metadata": {
                "finalizers": [*others, meta.FINALIZER] if wanted else others,
                "resourceVersion": self._feed.version(GATEWAY_TELEMETRIES.kind, view.namespace, view.name),
                "uid": view.uid,
            }
        }
        try:
            live = await self._client.merge_patch(GATEWAY_TELEMETRIES, view.namespace, view.name, patch)
        except NotFound:
            if wanted:
                raise  # nothing may be written for an object that is gone
            return
        if view.deleting and not wanted and not others:
            # The last finalizer: the object is gone, though the answer shows it once more.
            self._feed.removed(GATEWAY_TELEMETRIES.kind, view.namespace, view.name)
        else:
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
                    before = None if write.previous is None else restore.still_there(write.previous, workload)
                    gone = before is not None and restore.leaves(before, write.injection)
                    claim = restore.claim(before, workload) if before is not None and gone else None
                    wanted = body(*workload.key, workload.uid, write.injection, write.secret)
                    resource = WORKLOADS[workload.kind]
                    live = await ownership.write(
                        self._client,
                        resource,
                        workload.namespace,
                        workload.name,
                        claim,
                        wanted,
                        unwritten=self._feed.see,
                    )
                    self._feed.wrote(live)
                    if not stands(project_workload({**live, "kind": resource.kind}), write.injection, write.secret):
                        raise Refused(Reason.WRITE_FAILED, _not_there(workload))
        except ApiError as error:
            raise refusal(error) from None
        done = "wrote settings to" if write.template_stale else "wrote the Secret of"
        logger.info("GatewayTelemetry %s/%s: %s %s %s", *view.key, done, workload.kind, workload.name)

    async def _secret(self, view: Gateway, write: Write) -> None:
        wanted = secret_object(view, write)
        namespace, name = write.workload.namespace, write.secret
        if write.record is None and await self._created(SECRETS, namespace, wanted):
            return
        live = await self._client.get(SECRETS, namespace, name)
        wanted["data"] |= kept(view, write, live.get("data") or {})
        # A merge patch: keys that are no longer needed or that somebody put in go, labels and annotations of others
        # stay.
        patch = {"data": {**dict.fromkeys(live.get("data") or {}), **wanted["data"]}, "metadata": wanted["metadata"]}
        self._feed.wrote(await self._client.merge_patch(SECRETS, namespace, name, patch))

    async def _created(self, resource: Resource, namespace: str, wanted: dict[str, Any]) -> bool:
        """Create an object of ours; return False if it is there already.

        Raises:
            Refused: somebody else's has its name.
        """
        name = wanted["metadata"]["name"]
        try:
            live = await self._client.create(resource, namespace, wanted)
        except Conflict:
            found = await self._client.get(resource, namespace, name)
            if not is_managed(found):
                advice = "rename or delete it"
                if meta.OWNER_ANNOTATION in (found["metadata"].get("annotations") or {}):
                    labels = f"{meta.ROLE_LABEL}={meta.ROLE_COPY} {MANAGED_BY_LABEL}={MANAGED_BY}"
                    advice += f", or, if it only lost its labels: kubectl label {resource.kind.lower()} {name} "
                    advice += f"-n {namespace} --overwrite {labels}"
                raise Refused(
                    Reason.SECRET_NAME_TAKEN,
                    f"{resource.kind} {namespace}/{name} exists and is not this operator's: {advice}",
                ) from None
            return False
        self._feed.wrote(live)
        return True

    async def reference(self, view: Gateway, write: ReferenceWrite, now: str) -> None:
        """Write the Secret that a chart refers to, and the CA beside it.

        Raises:
            Refused: with the reason that the sinks show.
        """
        config_map = ca_config_map(view, write)
        try:
            async with self._alone(SECRETS.kind, write.namespace, write.name):
                if config_map is not None and await self._ca(write, config_map) and write.ca_unread:
                    write = replace(write, fresh=True)
                secret = reference_secret(view, write, now)
                if write.record is None and await self._created(SECRETS, write.namespace, secret):
                    return
                live = await self._client.get(SECRETS, write.namespace, write.name)
                # Keys that are no longer needed go.
                data = {**dict.fromkeys(live.get("data") or {}, None), **secret["data"]}
                # A merge patch keeps what it does not name.
                annotations = {meta.ORPHAN_ANNOTATION: None, **secret["metadata"]["annotations"]}
                patch = {"data": data, "metadata": {**secret["metadata"], "annotations": annotations}}
                self._feed.wrote(await self._client.merge_patch(SECRETS, write.namespace, write.name, patch))
                if config_map is None:
                    await self._forget_ca(write.namespace, write.name + CA_SUFFIX)
        except ApiError as error:
            raise refusal(error) from None

    async def _ca(self, write: ReferenceWrite, config_map: dict[str, Any]) -> bool:
        """Write the CA beside a Secret; return whether it was missing, or another one."""
        if await self._created(CONFIG_MAPS, write.namespace, config_map):
            return True
        name = config_map["metadata"]["name"]
        found = await self._client.get(CONFIG_MAPS, write.namespace, name)
        self._feed.wrote(await self._client.merge_patch(CONFIG_MAPS, write.namespace, name, config_map))
        return bool((found.get("data") or {}).get(CA_KEY) != write.ca)

    async def drop_ca(self, copy: CaCopy) -> None:
        """Delete the ConfigMap with a CA whose Secret is gone.

        Raises:
            Refused: the API server did not let us.
        """
        try:
            async with self._alone(SECRETS.kind, copy.namespace, copy.name.removesuffix(CA_SUFFIX)):
                await self._forget_ca(copy.namespace, copy.name)
        except ApiError as error:
            raise refusal(error) from None

    async def _forget_ca(self, namespace: str, name: str) -> None:
        found = await self._client.find(CONFIG_MAPS, namespace, name)
        if found is not None and is_managed(found):
            await self._client.delete(CONFIG_MAPS, namespace, name, uid=found["metadata"]["uid"])
            self._feed.removed(CONFIG_MAPS.kind, namespace, name)

    async def restart(self, workload: Workload, since: str) -> None:
        """Restart a workload's pods as ``kubectl rollout restart`` does.

        Raises:
            Refused: the API server did not let us.
        """
        try:
            async with self._alone(*workload.key):
                resource = WORKLOADS[workload.kind]
                wanted = restart_body(workload, since)
                # kubectl is the manager of the annotation since the last restart by hand.
                live = await ownership.write(
                    self._client, resource, workload.namespace, workload.name, None, wanted, force=True
                )
                self._feed.wrote(live)
                if project_workload({**live, "kind": resource.kind}).restarted_at != since:
                    raise Refused(Reason.WRITE_FAILED, _not_there(workload))
        except ApiError as error:
            raise refusal(error) from None
        logger.info("%s %s/%s: restarted its pods, which had an older Secret", *workload.key)

    async def restore(self, record: Record) -> bool:
        """Take away what a record remembers, then the record; return False if it is another gateway's by now.

        A workload that is gone, or was made anew, has nothing of ours.

        Raises:
            Refused: the API server did not let us.
        """
        try:
            async with self._alone(*_locked_by(record)):
                # While this waited another gateway may have taken over what its own was to give up.
                current = self._store.records.get((record.namespace, record.name), record)
                if current.owner != record.owner:
                    return False
                if record.reference:
                    await self._forget_ca(record.namespace, record.name + CA_SUFFIX)
                elif record.added is not None:
                    await resources.restore(self._client, record)
                else:
                    await self._take_out(record)
                await self._client.delete(SECRETS, record.namespace, record.name, uid=record.uid or None)
        except ApiError as error:
            raise refusal(error) from None
        self._feed.removed(SECRETS.kind, record.namespace, record.name)
        done = ("deleted", "Secret", record.name) if record.reference else ("restored", *record.workload)
        logger.info("GatewayTelemetry %s/%s: %s %s %s", *record.owner, *done)
        return True

    async def _take_out(self, record: Record) -> None:
        """Take out of a workload what was put in."""
        kind, name = record.workload
        resource = WORKLOADS[kind]
        live = await self._client.find(resource, record.namespace, name)
        if live is None or record.workload_uid not in (None, live["metadata"]["uid"]):
            return
        view = project_workload({**live, "kind": resource.kind})
        try:
            for claim in restore.claims(record, view):
                live = await self._client.apply(resource, view.namespace, view.name, claim)
            live = await self._client.apply(resource, view.namespace, view.name, restore.nothing(view))
        finally:
            self._feed.wrote(await ownership.release(self._client, resource, view.namespace, view.name, live))

    async def resource(self, view: Gateway, write: ResourceWrite) -> None:
        """Write the Secret with the record, then the object.

        Raises:
            Refused: with the reason that the sink shows.
        """
        try:
            async with self._alone(write.kind, write.namespace, write.name):
                if write.record_stale:
                    await self._resource_secret(view, write)
                await resources.write(self._client, write)
        except ApiError as error:
            raise refusal(error) from None

    async def _resource_secret(self, view: Gateway, write: ResourceWrite) -> None:
        wanted = resource_secret(view, write)
        if write.record is None and await self._created(SECRETS, write.namespace, wanted):
            return
        live = await self._client.get(SECRETS, write.namespace, write.secret)
        dropped = dict.fromkeys(key for key in live.get("data") or {} if key != ORIGINAL_KEY)
        patch = {"data": {**dropped, **wanted["data"]}, "metadata": wanted["metadata"]}
        self._feed.wrote(await self._client.merge_patch(SECRETS, write.namespace, write.secret, patch))

    async def release(self, kind: str, namespace: str, name: str) -> bool:
        """Give up a claim that a crash between two writes left behind; return whether there was one."""
        if self._client.read_only:
            return False
        resource = WORKLOADS[kind]
        async with self._alone(kind, namespace, name):
            view = self._store.workloads.get((kind, namespace, name))
            if view is None or not view.owned:
                return False
            live = await self._client.find(resource, namespace, name)
            if live is None:
                return False
            self._feed.wrote(await ownership.release(self._client, resource, namespace, name, live))
            return bool(ownership.removals(live))

    async def status(self, resource: Resource, view: Custom[Any], wanted: dict[str, Any]) -> bool:
        """Write the status if it differs; return whether it was written."""
        if wanted == view.status:
            return False
        patch = {"status": replacing(view.status, wanted), "metadata": {"uid": view.uid}}
        with contextlib.suppress(NotFound):
            live = await self._client.merge_patch(resource, view.namespace, view.name, patch, subresource="status")
            self._feed.wrote(live)
        return True


def replacing(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return the merge patch that puts one object in another's place: null means remove, at every depth.

    https://www.rfc-editor.org/rfc/rfc7386
    """
    patch: dict[str, Any] = dict.fromkeys(old, None)
    for key, value in new.items():
        before = old.get(key)
        patch[key] = replacing(before, value) if isinstance(value, Mapping) and isinstance(before, Mapping) else value
    return patch


def _locked_by(record: Record) -> tuple[str, str, str]:
    """Return what is locked while something is written that a record remembers."""
    return (SECRETS.kind, record.namespace, record.name) if record.reference else record.workload_key


def _not_there(workload: Workload) -> str:
    where = f"{workload.kind} {workload.namespace}/{workload.name}"
    return (
        f"{where}: the API server took the write, and what was written is not there: look for an admission webhook or "
        "policy that takes it out; it is tried again"
    )


def refusal(error: ApiError) -> Refused:
    """Return the reason that a condition shows for an error of the API server."""
    if isinstance(error, Conflict) and error.managers:
        managers, fields = ", ".join(error.managers), ", ".join(error.fields)
        if all(f".annotations.{meta.GROUP}/" in item for item in error.fields):
            return Refused(
                Reason.FIELD_OWNED_BY_OTHER,
                f"{managers} set {fields}, which only this operator writes: remove it there, and it is written anew",
            )
        return Refused(
            Reason.FIELD_OWNED_BY_OTHER,
            f"{managers} took over {fields} while it was being written: stop it from "
            "setting that field; nothing was written",
        )
    if isinstance(error, Forbidden) and error.permission:
        return Refused(
            Reason.RBAC_DENIED,
            f"the operator's ServiceAccount lacks the permission: {error.permission}; grant it with the chart's roles",
        )
    if isinstance(error, ReadOnly):
        return Refused(
            Reason.READ_ONLY,
            f"not written ({error.request}): the operator was started with --read-only (chart value readOnly), so it "
            "only reports",
        )
    return Refused(Reason.WRITE_FAILED, f"the API server did not take a write: {error}; it is tried again")
