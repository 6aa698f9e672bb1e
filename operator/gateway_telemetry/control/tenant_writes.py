"""Writes into TrueFoundry's control plane, each in the one order that a crash at any point leaves harmless.

What is about to be written is remembered first, in a Secret, together with what stood there before: a crash or a lost
answer leaves something that the next look completes, or the deletion takes back.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from gateway_telemetry.adapters.truefoundry_control_plane import OBJECT_TYPE, stamp_of
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.cluster.client import Client
from gateway_telemetry.cluster.errors import Conflict
from gateway_telemetry.cluster.paths import SECRETS
from gateway_telemetry.control.feed import Feed
from gateway_telemetry.control.fights import Fights
from gateway_telemetry.control.queue import Ref
from gateway_telemetry.control.writes import Writer
from gateway_telemetry.plan.control_plane import Observed, change, check_tenant, differences, digest, restoration
from gateway_telemetry.plan.options import Options
from gateway_telemetry.plan.store import Store
from gateway_telemetry.plan.targets import Refused
from gateway_telemetry.plan.tenant_access import restoring
from gateway_telemetry.plan.tenant_record import Manifest, Remembered, TenantRecord, record_object, remembered_of
from gateway_telemetry.plan.tenants import KIND, TenantWrite
from gateway_telemetry.plan.views import Key
from gateway_telemetry.truefoundry import ControlPlaneClient, Trouble

logger = logging.getLogger(__name__)


class TenantWriter:
    """Writes, and tells the feed what came of it in the cluster."""

    def __init__(
        self,
        client: Client,
        store: Store,
        feed: Feed,
        writer: Writer,
        options: Options,
        mark_later: Callable[[Ref, float], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._store = store
        self._feed = feed
        self._writer = writer
        self._options = options
        self._clock = clock
        self._fights = Fights(mark_later, clock)

    def forget(self, owner: Key) -> None:
        """Forget what was repaired for a gateway."""
        self._fights.forget(lambda _, of: of == owner)

    async def carry_out(self, write: TenantWrite) -> None:
        """Make the control plane hold what is wanted.

        Raises:
            Refused: it does not, with the reason that the sink shows.
            ApiError: the record could not be written.
        """
        tenant = write.tenant[1]
        loopback = self._options.hosts.insecure_allow_loopback
        async with ControlPlaneClient(write.access, allow_loopback=loopback) as api:
            observed = await api.read()
            written = None if write.record is None else write.record.written
            needed = change(write.exporter, observed, tenant, write.marks, written)
            if needed is None:
                if write.record != write.wanted_record():
                    await self._remember(write, observed)
                return
            fight = KIND, write.view.namespace, "/".join(reversed(write.tenant))
            state = None if observed.exporter is None else digest(observed.exporter)
            if needed.repair:
                why = self._fights.refusal(write.view, fight, "", (state, self._clock()))
                if why is not None:
                    raise why
            self._client.check_may_write(f"PUT tenant {tenant}")
            if observed.tenant is None:
                check_tenant(Observed(await _whose_key(api), None), tenant)
            await self._remember(write, observed)
            await api.apply(needed.manifest)
            if needed.repair:
                # Only now: a write that did not arrive is no fight.
                self._fights.count(fight, (state, self._clock()))
            found = await api.read()
            if observed.manifest is None and found.tenant not in (None, tenant):
                await api.delete()  # no dry run told whose key it is, and nothing was there before
            check_tenant(found, tenant)
            wrong = differences(write.exporter, found.exporter or {})
            if wrong:
                raise Trouble(
                    Reason.CONTROL_PLANE_REFUSED,
                    f"{write.tenant[0]} took the settings of tenant {tenant}, and shows others: {', '.join(wrong)}",
                )
        logger.info("GatewayTelemetry %s/%s: wrote tenant %s at %s", *write.view.key, tenant, write.tenant[0])

    async def _remember(self, write: TenantWrite, observed: Observed) -> None:
        """Write the finalizer and the record.

        Raises:
            Refused: somebody else's Secret has the record's name.
            ApiError: the API server refused it.
        """
        spec = write.view.spec
        assert spec is not None
        await self._writer.finalizer(write.view, wanted=spec.deletion_policy == "Restore")
        record = write.wanted_record()
        fresh = Remembered(_before(observed, write.marks), write.access.api_key, write.access.ca_pem)
        if write.record is None:
            try:
                self._feed.wrote(await self._client.create(SECRETS, record.namespace, record_object(record, fresh)))
            except Conflict:
                pass
            else:
                return
        live = await self._client.get(SECRETS, record.namespace, record.name)
        known = remembered_of(live)
        if known is None:
            raise Refused(
                Reason.SECRET_NAME_TAKEN,
                f"Secret {record.namespace}/{record.name} exists and is not this operator's: rename or delete it",
            )
        patch = record_object(record, replace(fresh, former=known.former))
        self._feed.wrote(await self._client.merge_patch(SECRETS, record.namespace, record.name, patch))

    async def restore(self, record: TenantRecord) -> None:
        """Take back what a record remembers, then the record.

        Raises:
            Refused: the control plane did not let us.
            ApiError: the API server did not.
        """
        live = await self._client.find(SECRETS, record.namespace, record.name)
        remembered = None if live is None else remembered_of(live)
        if remembered is not None:
            await self._restore(record, remembered)
        await self._client.delete(SECRETS, record.namespace, record.name, uid=record.uid or None)
        self._feed.removed(SECRETS.kind, record.namespace, record.name)
        logger.info("GatewayTelemetry %s/%s: restored tenant %s at %s", *record.owner, *reversed(record.tenant))

    async def _restore(self, record: TenantRecord, remembered: Remembered) -> None:
        access = restoring(record, remembered, self._store, self._options)
        marks = frozenset({record.stamp})
        loopback = self._options.hosts.insecure_allow_loopback
        async with ControlPlaneClient(access, allow_loopback=loopback) as api:
            step = restoration(await api.read(), record.tenant[1], marks, remembered.former)
            if step is None:
                return
            self._client.check_may_write(f"PUT tenant {record.tenant[1]}")
            if step.manifest is None:
                await api.delete()
            else:
                await api.apply(step.manifest)
            left = (await api.read()).exporter
        if left is not None and stamp_of(left) in marks:
            raise Trouble(
                Reason.CONTROL_PLANE_REFUSED,
                f"{record.tenant[0]} took the former settings of tenant {record.tenant[1]}, and still exports traces",
            )


async def _whose_key(api: ControlPlaneClient) -> str | None:
    """Return the tenant of a key where no object tells it, by a dry run without LangSmith's key; None if unknown."""
    try:
        return await api.apply({"type": OBJECT_TYPE}, dry_run=True)
    except Trouble as trouble:
        if trouble.reason is not Reason.CONTROL_PLANE_REFUSED:
            raise
        return None


def _before(observed: Observed, marks: frozenset[str]) -> Manifest | None:
    """Return the object as it was before the first write; of one that we wrote already, what is not ours."""
    if observed.exporter is None or stamp_of(observed.exporter) not in marks:
        return observed.manifest
    others = observed.others
    return {**others, "type": OBJECT_TYPE} if any(others.values()) else None
