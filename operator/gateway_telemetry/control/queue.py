"""A keyed work queue: a key waits once however often it is added, and is never worked on twice at a time.

kopf hands every event to a handler of its own, one after the other: fifty quick edits are fifty runs. Here they
are one or two (ADR 0002). The semantics are those of client-go's rate-limiting workqueue,
https://pkg.go.dev/k8s.io/client-go/util/workqueue.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import NamedTuple

logger = logging.getLogger(__name__)

FIRST_RETRY = 0.5
"""Seconds before the first retry of a key; doubles with every failure in a row."""
LAST_RETRY = 300.0
"""Longest pause between retries, in seconds."""


class Ref(NamedTuple):
    """What is to be reconciled."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


Handler = Callable[[Ref], Awaitable[float | None]]
"""Reconciles one key; returns after how many seconds it wants to be called again, or None.

An exception means: again, after a pause that grows.
"""


class Queue:
    """Dirty keys in the order in which they became dirty."""

    def __init__(self) -> None:
        self._ready: deque[Ref] = deque()
        self._waiting: set[Ref] = set()
        self._started: dict[Ref, float] = {}
        self._again: set[Ref] = set()
        self._failures: dict[Ref, int] = {}
        self._timers: dict[Ref, tuple[float, asyncio.TimerHandle]] = {}
        self._wakeup = asyncio.Event()
        self._at_rest = asyncio.Event()
        self._at_rest.set()
        self._closed = False
        self.runs = 0

    def __len__(self) -> int:
        return len(self._ready)

    def add(self, key: Ref) -> None:
        """Mark a key dirty: now, even if a later time was set for it."""
        self._cancel(key)
        if key in self._started:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.append(key)
            self._wakeup.set()

    def add_later(self, key: Ref, seconds: float) -> None:
        """Mark a key dirty after some time, unless it will be earlier anyway."""
        if key in self._waiting or key in self._again:
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        known = self._timers.get(key)
        if known is not None and known[0] <= due:
            return
        self._cancel(key)
        self._timers[key] = (due, loop.call_at(due, self.add, key))

    def _cancel(self, key: Ref) -> None:
        known = self._timers.pop(key, None)
        if known is not None:
            known[1].cancel()

    def retry_later(self, key: Ref, longest: float = LAST_RETRY) -> float:
        """Count a failure and mark the key dirty after the pause that this asks for; return the pause."""
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        # Jitter, so that what failed together is not tried together.
        pause = min(FIRST_RETRY * 2.0 ** min(count, 20), longest) * random.uniform(0.75, 1.25)  # noqa: S311
        self.add_later(key, pause)
        return pause

    def oldest_run(self) -> float:
        """Return for how many seconds the longest of the present runs has been going on; 0 if none is."""
        return max((time.monotonic() - began for began in self._started.values()), default=0.0)

    def idle(self) -> bool:
        """Tell whether nothing is dirty or being worked on; keys that wait for their time do not count."""
        return not self._ready and not self._started

    async def drain(self, seconds: float) -> None:
        """Begin nothing more, and wait for what has begun, so long at most."""
        self._closed = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._at_rest.wait(), seconds)

    async def work(self, handle: Handler, gate: asyncio.Event) -> None:
        """Work until cancelled, one key at a time; run several of these for more.

        Args:
            gate: nothing is begun while it is not set.
        """
        while True:
            await gate.wait()
            if not self._ready or self._closed:
                self._wakeup.clear()
                await self._wakeup.wait()
                continue
            key = self._ready.popleft()
            self._waiting.discard(key)
            self._started[key] = time.monotonic()
            self._at_rest.clear()
            self.runs += 1
            try:
                pause = await handle(key)
            except Exception as error:  # one key must not end the loop
                self._failed(key, error)
            else:
                self._failures.pop(key, None)
                if pause is not None:
                    self.add_later(key, pause)
            finally:
                del self._started[key]
                if not self._started:
                    self._at_rest.set()
                if key in self._again:
                    self._again.discard(key)
                    self.add(key)

    def _failed(self, key: Ref, error: Exception) -> None:
        expected = isinstance(error, Retry)
        pause = self.retry_later(key, error.longest if isinstance(error, Retry) else LAST_RETRY)
        logger.log(
            logging.INFO if expected else logging.ERROR,
            "%s: %s; again in %.1f s",
            key,
            str(error) or type(error).__name__,
            pause,
            exc_info=None if expected else error,
        )


class Retry(Exception):
    """A run that could not finish for a reason that is already told where users look; try again later.

    Attributes:
        longest: longest pause until then, in seconds.
    """

    def __init__(self, message: str, longest: float | None = None) -> None:
        self.longest = LAST_RETRY if longest is None else longest
        super().__init__(message)
