"""Looks at LangSmith for every target: probe, canary, and the traces of its gateways.

One task per target, beside the work queue: a look can take minutes, and nothing that writes may wait for it. What it
finds is kept here and marked in the queue; the reconciler puts it into conditions. Only the leader looks.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.control.feed import GATEWAY, TARGET
from gateway_telemetry.control.looking import Pace
from gateway_telemetry.control.queue import Ref
from gateway_telemetry.control.sight import Sight
from gateway_telemetry.langsmith import Budget, Destination, Transport
from gateway_telemetry.plan import proof as proofs
from gateway_telemetry.plan.gateways import GatewayPlan
from gateway_telemetry.plan.options import Options
from gateway_telemetry.plan.proof import GatewayProof, TargetProof
from gateway_telemetry.plan.store import Gateway, Store, Target
from gateway_telemetry.plan.targets import Resolved, TargetResult
from gateway_telemetry.plan.turns import requested
from gateway_telemetry.plan.views import Key

logger = logging.getLogger(__name__)

AT_A_TIME = 8
"""Targets that are looked at at a time."""
AFTER_A_FAULT = 60.0
"""Seconds until a target is looked at again after a fault of this program."""


class Verifier:
    """Keeps what is known of every target and gateway.

    Args:
        mark: puts into the queue what is to be reported anew.

    Attributes:
        leading: nothing is looked at while it is not set.
        lost: set when this process no longer leads.
        looks: probes, canaries and reads of a project so far.
    """

    def __init__(self, store: Store, options: Options, mark: Callable[[Ref], None], pace: Pace | None = None) -> None:
        self._store = store
        self._options = options
        self._mark = mark
        self._pace = pace or Pace()
        self._slots = asyncio.Semaphore(AT_A_TIME)
        self._sights: dict[Key, Sight] = {}
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._target_of: dict[Key, Key] = {}
        self._budgets: dict[str, Budget] = {}
        self.leading = asyncio.Event()
        self.lost = asyncio.Event()
        self.looks = 0

    async def run(self) -> None:
        """Let looks go on until cancelled, then end them; set ``leading`` and ``lost`` before."""
        try:
            while True:
                await self.lost.wait()
                self.lost.clear()
                # Another replica may look now, and what it finds is newer than what is known here.
                await self._forget_all()
                # Should this process lead again, it looks at all of them anew.
                for key in self._store.targets:
                    self._mark(Ref(TARGET, *key))
        finally:
            await self._forget_all()

    async def _forget_all(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        self._tasks.clear()
        self._sights.clear()
        self._target_of.clear()
        await asyncio.gather(*tasks, return_exceptions=True)

    def target(self, view: Target, result: TargetResult) -> TargetProof:
        """Return what is known of a target, and look at it anew if it changed."""
        resolved = result.resolved
        if resolved is None or view.spec is None:
            self.forget_target(view.key)
            return proofs.nothing_known("Accepted and ResolvedRefs must hold first.")
        hash_ = proofs.target_hash(view, resolved)
        if view.spec.suspend:
            self.forget_target(view.key)
            return proofs.remembered(view, hash_) or proofs.nothing_known("The target is suspended.")
        sight = self._sights.get(view.key)
        if sight is None or sight.hash != hash_ or sight.verification != view.spec.verification:
            sight = self._begin(view, resolved, hash_, sight)
        sight.ask(requested(view))
        return sight.proof

    def gateway(self, view: Gateway, plan: GatewayPlan, since: str | None) -> GatewayProof:
        """Return what is known of a gateway's traces, and look for them if they or it changed."""
        connection = plan.connection
        if connection is None:
            self.forget_gateway(view.key)
            return proofs.without_reading(Reason.PENDING)
        before = self._target_of.get(view.key)
        if before is not None and before != connection.target:
            self.forget_gateway(view.key)
        self._target_of[view.key] = connection.target
        sight = self._sights.get(connection.target)
        if connection.stamp is None:
            return proofs.before_reading(view, connection, since)
        target = self._store.targets.get(connection.target)
        if target is not None and target.spec is not None and not _has_read_key(target):
            return proofs.without_reading(Reason.NO_READ_KEY)
        if sight is None:  # the target comes first, and then its gateways are marked
            return proofs.before_reading(view, connection, since)
        return sight.gateway(view, connection, since)

    def forget_target(self, key: Key) -> None:
        """Stop looking at a target."""
        self._sights.pop(key, None)
        task = self._tasks.pop(key, None)
        if task is not None:
            task.cancel()

    def forget_gateway(self, key: Key) -> None:
        """Stop looking for the traces of a gateway."""
        target = self._target_of.pop(key, None)
        sight = self._sights.get(target) if target is not None else None
        if sight is not None:
            sight.drop(key)

    def _begin(self, view: Target, resolved: Resolved, hash_: str, before: Sight | None) -> Sight:
        assert view.spec is not None
        same = before is not None and before.hash == hash_
        known = before.proof if before is not None and same else proofs.remembered(view, hash_)
        self.forget_target(view.key)
        destination = Destination(
            resolved.endpoints, resolved.key, resolved.read_key, resolved.ca_pem, view.spec.workspace_id
        )
        sight = Sight(destination, view.spec, hash_, known, self._budget(resolved.read_key), self._pace)
        if before is not None and same:
            sight.take_over(before)
        else:
            for gateway in self._store.gateways_of_target(view.key):
                self._mark(Ref(GATEWAY, *gateway))
        self._sights[view.key] = sight
        self._tasks[view.key] = asyncio.create_task(self._look(view.key, sight), name=f"look-{view.namespace}")
        return sight

    def _budget(self, key: str | None) -> Budget:
        """Return the budget of a read key, which several targets may share."""
        if key is None:
            return Budget()
        name = hashlib.sha256(key.encode()).hexdigest()
        return self._budgets.setdefault(name, Budget())

    async def _look(self, key: Key, sight: Sight) -> None:
        while True:
            await self.leading.wait()
            try:
                await self._round(key, sight)
                pause = sight.pause()
            except Exception:  # a fault in looking at one target must not end the looking
                logger.exception("LangSmithTarget %s/%s: looking at LangSmith failed", *key)
                pause = AFTER_A_FAULT
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(sight.wake.wait(), pause)
            sight.wake.clear()

    async def _round(self, key: Key, sight: Sight) -> None:
        """Do all that is due."""
        if sight.probe_due:
            before = sight.proof
            async with self._connection(sight) as transport:
                await sight.probe(transport)
            self._tell(key, before, sight)
        if sight.canary_due:
            before = sight.proof
            # Outside of the slots: it mostly waits.
            async with self._transport(sight) as transport:
                await sight.canary(transport, datetime.now(UTC))
            self._tell(key, before, sight)
        for project in sight.reads.due():
            async with self._connection(sight) as transport:
                changed = await sight.read(transport, project)
            self.looks += 1
            for gateway in changed:
                self._mark(Ref(GATEWAY, *gateway))

    def _tell(self, key: Key, before: TargetProof, sight: Sight) -> None:
        self.looks += 1
        if sight.proof != before:
            self._mark(Ref(TARGET, *key))

    @contextlib.asynccontextmanager
    async def _connection(self, sight: Sight) -> AsyncIterator[Transport]:
        async with self._slots, self._transport(sight) as transport:
            yield transport

    def _transport(self, sight: Sight) -> Transport:
        # One for each look: the roots of a TLS context take a megabyte, and there may be many targets.
        return Transport(sight.destination, allow_loopback=self._options.hosts.insecure_allow_loopback)


def _has_read_key(target: Target) -> bool:
    credentials = target.spec.credentials if target.spec is not None else None
    return credentials is not None and credentials.read is not None
