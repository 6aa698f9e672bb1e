"""Gateways with ``install.controlPlane`` in the loop: when to look at a control plane, and what to say of it.

Nothing tells of changes there, so it is looked at again and again, and never more often than it asks for.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.cluster.client import Client
from gateway_telemetry.cluster.errors import ApiError
from gateway_telemetry.control.feed import Feed
from gateway_telemetry.control.queue import Ref
from gateway_telemetry.control.tenant_writes import TenantWriter
from gateway_telemetry.control.writes import Writer, refusal
from gateway_telemetry.plan.gateways import GatewayPlan, WorkloadKey
from gateway_telemetry.plan.options import Options
from gateway_telemetry.plan.references import TargetLookup
from gateway_telemetry.plan.sinks import SinkState, sink
from gateway_telemetry.plan.store import Gateway, Store
from gateway_telemetry.plan.targets import Refused, TargetResult
from gateway_telemetry.plan.tenant_record import TenantRecord
from gateway_telemetry.plan.tenants import KIND, TenantPlan, TenantWrite, plan_tenant
from gateway_telemetry.plan.turns import requested
from gateway_telemetry.plan.views import Key
from gateway_telemetry.truefoundry import Trouble

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
        self._store = store
        self._options = options
        self._targets = targets
        self._clock = clock
        self._tenants = TenantWriter(client, store, feed, writer, options, mark_later, clock)
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
        self._tenants.forget(owner)
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
            await self._tenants.carry_out(write)
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

    async def restore(self, record: TenantRecord) -> None:
        """Take back what a record remembers, then the record.

        Raises:
            Refused: the control plane or the API server did not let us, or the former asked to wait.
        """
        host = record.tenant[0]
        if self._clock() < self._quiet.get(host, 0.0):
            raise Refused(Reason.CONTROL_PLANE_UNAVAILABLE, f"{host} asked to wait: it is tried again")
        try:
            await self._tenants.restore(record)
        except Trouble as trouble:
            if trouble.retry_after is not None:
                self._quiet[host] = self._clock() + trouble.retry_after
            raise
        except ApiError as error:
            raise refusal(error) from None


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
