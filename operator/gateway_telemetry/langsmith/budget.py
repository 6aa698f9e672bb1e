"""How many reads a key may be used for: LangSmith limits requests per key, whoever makes them."""

from __future__ import annotations

import time
from collections.abc import Callable


class Budget:
    """A token bucket for one key, which also keeps away until a Retry-After has passed.

    LangSmith allows 2,000 requests a minute and key for most routes and less for some
    (https://docs.langchain.com/langsmith/usage-and-billing); gateways use the ingest key's share, so the operator
    takes a small part of it.

    Args:
        per_minute: requests a minute in the long run.
        burst: requests at once.
        clock: seconds that only grow.
    """

    def __init__(self, per_minute: float = 60, burst: int = 20, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = per_minute / 60
        self._burst = float(burst)
        self._clock = clock
        self._left = float(burst)
        self._at = clock()
        self._closed_until = 0.0

    def take(self, count: int = 1) -> bool:
        """Take requests if that many are left now."""
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if now < self._closed_until or self._left < count:
            return False
        self._left -= count
        return True

    def pause(self, seconds: float) -> None:
        """Allow nothing for that long: the server has said so."""
        self._closed_until = max(self._closed_until, self._clock() + seconds)

    @property
    def wait(self) -> float:
        """Seconds until the server's Retry-After has passed; 0 if none holds."""
        return max(0.0, self._closed_until - self._clock())
