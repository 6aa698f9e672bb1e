"""Writes into TrueFoundry's control plane: look, write what is missing, read it back; and the way back.

Nothing tells of changes there, so it is looked at again and again, and never more often than it asks for. What is
about to be written is remembered first, in a Secret, together with what stood there before: a crash or a lost answer
at any point leaves something that the next look completes, or the deletion takes back.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from gateway_telemetry.adapters.truefoundry_control_plane import OBJECT_TYPE, stamp_of
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.cluster.client import Client
from gateway_telemetry.cluster.errors import ApiError, Conflict
from gateway_telemetry.cluster.paths import SECRETS
from gateway_telemetry.control.feed import Feed
from gateway_telemetry.control.fights import Fights
from gateway_telemetry.control.queue import Ref
from gateway_telemetry.control.writes import Writer, refusal
from gateway_telemetry.plan.control_plane import (
    Observed,
    change,
    check_tenant,
    differences,
    digest,
    restoration,
)
from gateway_telemetry.plan.gateways import GatewayPlan, WorkloadKey
from gateway_telemetry.plan.options import Options
from gateway_telemetry.plan.references import TargetLookup
from gateway_telemetry.plan.sinks import SinkState, sink
from gateway_telemetry.plan.store import Gateway, Store
from gateway_telemetry.plan.targets import Refused, TargetResult
from gateway_telemetry.plan.tenant_record import (
    Manifest,
    Remembered,
    TenantRecord,
    record_object,
    remembered_of,
)
from gateway_telemetry.plan.tenants import KIND, TenantPlan, TenantWrite, plan_tenant, restoring
from gateway_telemetry.plan.turns import requested
from gateway_telemetry.plan.views import Key
from gateway_telemetry.truefoundry import ControlPlaneClient, Trouble

logger = logging.getLogger(__name__)

LOOK_SECONDS = 120.0
"""How often a tenant's object is read; jittered, so that many tenants of one control plane do not come together."""
GRACE_SECONDS = 300.0
"""How long a control plane that fails after a success may do so before the conditions say it."""


@dataclass(frozen=True)
class _Look:
    """What the last look found.

    Attributes:
        cause: what was asked for; another one is looked at without delay.
        until: when to look again (monotonic).
        good: when it was last seen to be right (monotonic), or None.
    """

    cause: tuple[object, ...]
    record: TenantRecord | None
    state: SinkState
    until: float
    good: float | None


@dataclass(frozen=True)
class Settled:
    """What became of one gateway.

    Attributes:
        pause: seconds until the next look.
        problems: what failed and is to be tried again.
    """

    plan: GatewayPlan
    pause: float | None
    problems: dict[WorkloadKey, Refused]


class ControlPlanes:
    """Carries out the plans of gateways with ``install.controlPlane``."""

    def __init__(
        self,
        client: Client,
        store: Store,
        feed: Feed,
        writer: Writer,
        options: Options,
        targets: TargetLookup,
        mark_later: Callable[[Ref, float], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._store = store
        self._feed = feed
        self._writer = writer
        self._options = options
        self._targets = targets
        self._clock = clock
        self._fights = Fights(mark_later, clock)
        self._looks: dict[Key, _Look] = {}
        self._quiet: dict[str, float] = {}
        """Until when (monotonic) a control plane asked to be left alone."""

    @classmethod
    def alone(cls, client: Client, store: Store, feed: Feed, options: Options) -> ControlPlanes:
        """Return one that only takes back, for an administrator: every host will do that is not forbidden to all."""
        anywhere = replace(options, hosts=replace(options.hosts, allowed=("*",)))
        nothing = TargetResult((), None, None)
        return cls(client, store, feed, Writer(client, store, feed), anywhere, lambda _: nothing, lambda *_: None)

    async def settle(self, view: Gateway) -> Settled:
        """Do what one gateway asks for, and return its conditions."""
        planned = plan_tenant(view, self._store, self._options, self._targets)
        assert view.spec is not None
        if view.spec.suspend:
            return Settled(planned.settled(view, self._options), None, {})
        problems = await self._take_back(planned.restore)
        state, pause = None, None
        if planned.write is not None:
            state, pause, problem = await self._write(planned, planned.write)
            if problem is not None:
                problems[KIND, view.namespace, planned.place.name] = problem
        else:
            self._looks.pop(view.key, None)
        return Settled(planned.settled(view, self._options, state), pause, problems)

    async def leave(self, owner: Key) -> dict[WorkloadKey, Refused]:
        """Take back all that was written for a gateway, unless it is to stay; return what failed."""
        self._looks.pop(owner, None)
        self._fights.forget(lambda _, of: of == owner)
        records = self._store.tenant_records_of_owner(owner)
        return await self._take_back(tuple(item for item in records if not item.orphan))

    async def _take_back(self, records: tuple[TenantRecord, ...]) -> dict[WorkloadKey, Refused]:
        failures: dict[WorkloadKey, Refused] = {}
        for record in records:
            try:
                await self.restore(record)
            except Refused as refused:
                failures[KIND, record.namespace, "/".join(reversed(record.tenant))] = refused
        return failures

    async def _write(self, planned: TenantPlan, write: TenantWrite) -> tuple[SinkState, float | None, Refused | None]:
        """Return the state of the sink, when to look again, and what is to be tried again sooner."""
        view, now = write.view, self._clock()
        others = frozenset(key for key, item in self._store.tenant_records.items() if item.tenant == write.tenant)
        # Whoever had the tenant before may have given it back by now.
        cause = replace(write.wanted_record(), uid=""), requested(view), others - {write.record_key}
        known = self._looks.get(view.key)
        if known is not None and (known.cause != cause or known.record != write.record):
            known = None
        if known is not None and now < known.until:
            return known.state, known.until - now, None
        quiet = self._quiet.get(write.tenant[0], now) - now
        if quiet > 0:
            state = known.state if known is not None else _asked_to_wait(planned, write)
            return state, quiet, None
        problem: Refused | None = None
        pause = LOOK_SECONDS * random.uniform(0.8, 1.2)  # noqa: S311 spreads load
        good = None
        try:
            await self._carry_out(write)
        except Refused as refused:
            state, problem = sink(planned.place, "Failed", refused.reason, refused.message), refused
        except ApiError as error:
            problem = refusal(error)
            state = sink(planned.place, "Failed", problem.reason, problem.message)
        else:
            message = f"Tenant {write.tenant[1]} at {write.tenant[0]} holds the settings, which were read back"
            state, good = sink(planned.place, "Programmed", Reason.PROGRAMMED, message), now
        fought = problem is not None and problem.reason in _FIGHT
        if isinstance(problem, Trouble) and problem.retry_after is not None:
            self._quiet[write.tenant[0]] = now + problem.retry_after
            pause, problem = problem.retry_after, None
        elif problem is not None and (fought or problem.reason in _STANDING):
            problem = None
        if state.reason is Reason.CONTROL_PLANE_UNAVAILABLE and known is not None and known.good is not None:
            good = known.good
            if now - good < LOOK_SECONDS * 1.2 + GRACE_SECONDS:
                state = known.state
        # What is tried again soon, by the queue or by the count of fights, finds no old answer.
        until = now if problem is not None or fought else now + pause
        record = self._store.tenant_records.get(write.record_key)
        self._looks[view.key] = _Look(cause, record, state, until, good)
        return state, pause, problem

    async def _carry_out(self, write: TenantWrite) -> None:
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
            Refused: the control plane or the API server did not let us.
        """
        quiet = self._quiet.get(record.tenant[0], 0.0)
        if self._clock() < quiet:
            raise Refused(Reason.CONTROL_PLANE_UNAVAILABLE, f"{record.tenant[0]} asked to wait: it is tried again")
        try:
            live = await self._client.find(SECRETS, record.namespace, record.name)
            remembered = None if live is None else remembered_of(live)
            if remembered is not None:
                await self._restore(record, remembered)
            await self._client.delete(SECRETS, record.namespace, record.name, uid=record.uid or None)
        except Trouble as trouble:
            if trouble.retry_after is not None:
                self._quiet[record.tenant[0]] = self._clock() + trouble.retry_after
            raise
        except ApiError as error:
            raise refusal(error) from None
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


_FIGHT = frozenset({Reason.FOUGHT_OVER, Reason.NOT_WRITTEN})
_STANDING = frozenset(
    {
        Reason.CONTROL_PLANE_CONFLICT,
        Reason.CONTROL_PLANE_KEY_REJECTED,
        Reason.CONTROL_PLANE_REFUSED,
        Reason.TENANT_MISMATCH,
    }
)
"""Reasons that only a change elsewhere ends: trying again soon does not help."""


def _asked_to_wait(planned: TenantPlan, write: TenantWrite) -> SinkState:
    return sink(
        planned.place,
        "Failed",
        Reason.CONTROL_PLANE_UNAVAILABLE,
        f"{write.tenant[0]} asked to wait: it is tried again",
    )


def _before(observed: Observed, marks: frozenset[str]) -> Manifest | None:
    """Return the object as it was before the first write; of one that we wrote already, what is not ours."""
    if observed.exporter is None or stamp_of(observed.exporter) not in marks:
        return observed.manifest
    others = observed.others
    return {**others, "type": OBJECT_TYPE} if any(others.values()) else None
