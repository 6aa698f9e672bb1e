"""One leader at a time, by a ``coordination.k8s.io/Lease``: the protocol of client-go, over our own client.

The rules are those of https://pkg.go.dev/k8s.io/client-go/tools/leaderelection: a candidate never compares its
clock with the holder's, it waits until the record has not changed for a whole lease duration of its *own* time. A
holder that cannot renew stops acting before others may take over. Why not the elector of the ``kubernetes``
package: ADR 0008.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gateway_telemetry.cluster.client import Client
from gateway_telemetry.cluster.errors import ApiError, Conflict, Forbidden
from gateway_telemetry.cluster.paths import LEASES

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LeaseTimes:
    """Seconds; the defaults are those of Kubernetes' own components.

    Attributes:
        duration: how long others wait after the last renewal that they saw.
        renew: after so long without a successful renewal the holder stops acting; shorter than `duration`.
        retry: pause between tries.
    """

    duration: float = 15.0
    renew: float = 10.0
    retry: float = 2.0


class Elector:
    """Holds the Lease whenever it can; `leading` is set exactly while it is safe to write."""

    def __init__(
        self, client: Client, namespace: str, name: str, identity: str, times: LeaseTimes | None = None
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._times = times or LeaseTimes()
        self._seen: tuple[str, float] = ("", 0.0)
        self._renewed = -self._times.duration
        self._gave_up_loudly = False
        self._leader = ""
        self.leading = asyncio.Event()
        self.lost = asyncio.Event()
        """Set whenever leadership was lost; whoever waits for it clears it."""
        self.answered = asyncio.Event()
        """Set once somebody leads, whoever that is: a Lease that does not exist yet tells nothing."""
        self.remove_at_end = False
        """Whether a Lease that is held is deleted at the end in place of being given back: nobody leads after this."""

    def holds(self) -> bool:
        """Tell whether a write may be sent now."""
        return self.leading.is_set() and time.monotonic() < self._renewed + self._times.renew

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run for the election in the background; give the Lease back at the end."""
        task = asyncio.create_task(self._run(), name="elector")
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await self._give_back()

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._times.renew):
                    held = await self._try()
            except (ApiError, TimeoutError) as error:
                self._complain(error)
                # No answer tells nothing: who leads goes on until its time is up.
                held = self.holds()
            except Exception:  # a candidate that ends would leave a process that never leads again
                logger.exception("Lease %s/%s: the election goes on", self._namespace, self._name)
                held = self.holds()
            self._set(held)
            await asyncio.sleep(self._times.retry * (1.0 if held else random.uniform(1.0, 1.2)))  # noqa: S311 jitter

    def _set(self, held: bool) -> None:
        if held and not self.leading.is_set():
            self.answered.set()
            logger.info("leading: %s holds Lease %s/%s", self._identity, self._namespace, self._name)
            self.leading.set()
            self._leader = self._identity
        elif not held and self.leading.is_set():
            logger.warning("no longer leading: Lease %s/%s was not renewed in time", self._namespace, self._name)
            self.leading.clear()
            self.lost.set()

    def _stand_by(self, holder: str) -> None:
        self.answered.set()
        if holder != self._leader:
            logger.info("standing by: %s holds Lease %s/%s", holder, self._namespace, self._name)
            self._leader = holder

    def _complain(self, error: Exception) -> None:
        if isinstance(error, Forbidden) and error.permission and not self._gave_up_loudly:
            self._gave_up_loudly = True
            logger.error("leader election needs the permission: %s", error.permission)
        else:
            logger.warning("Lease %s/%s: %s", self._namespace, self._name, str(error) or "no answer in time")

    async def _try(self) -> bool:
        now = time.monotonic()
        lease = await self._client.find(LEASES, self._namespace, self._name)
        try:
            if lease is None:
                await self._client.create(LEASES, self._namespace, self._body({}, now_text()))
                self._renewed = now
                return True
            spec = lease.get("spec") or {}
            holder = spec.get("holderIdentity") or ""
            version = lease["metadata"]["resourceVersion"]
            # Others may have renewed it until the very answer, however long that took.
            answered = time.monotonic()
            if version != self._seen[0]:
                self._seen = (version, answered)
            if holder not in ("", self._identity):
                duration = float(spec.get("leaseDurationSeconds") or self._times.duration)
                if answered < self._seen[1] + duration:
                    self._stand_by(holder)
                    return False
                logger.info("%s has not renewed the Lease for %.0f s: taking over", holder, duration)
            answer = await self._client.replace(LEASES, self._namespace, self._name, self._body(lease, now_text()))
            self._seen = (answer["metadata"]["resourceVersion"], now)
            self._renewed = now
        except Conflict:
            return False
        return True

    def _body(self, lease: dict[str, Any], now: str) -> dict[str, Any]:
        spec = dict(lease.get("spec") or {})
        mine = spec.get("holderIdentity") == self._identity
        if not mine:
            spec["acquireTime"] = now
            spec["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + (1 if lease else 0)
        spec |= {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": max(1, round(self._times.duration)),
            "renewTime": now,
        }
        metadata = lease.get("metadata") or {"name": self._name, "namespace": self._namespace}
        return {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": metadata, "spec": spec}

    async def _give_back(self) -> None:
        """Let the next leader start at once instead of after a lease duration; or let there be no more Lease."""
        if not self.leading.is_set():
            return
        self.leading.clear()
        try:
            async with asyncio.timeout(self._times.retry):
                lease = await self._client.find(LEASES, self._namespace, self._name)
                if lease is None or (lease.get("spec") or {}).get("holderIdentity") != self._identity:
                    return
                if self.remove_at_end:
                    await self._client.delete(LEASES, self._namespace, self._name)
                    return
                body = self._body(lease, now_text())
                body["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
                await self._client.replace(LEASES, self._namespace, self._name, body)
        except (ApiError, TimeoutError) as error:
            logger.warning("the Lease could not be given back, the next leader waits for it to run out: %s", error)


def now_text() -> str:
    """Return the current time as Kubernetes' MicroTime: RFC 3339 with microseconds, UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
