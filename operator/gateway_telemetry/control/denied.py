"""Gateways that wait for a right: one of a namespace asks often, and when it is granted all go on at once.

RBAC tells nobody when a right comes back. Were all of them to ask often, the API server would be asked in vain by
hundreds; were all to wait for their own pauses, the last would go on minutes after the right is there.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway_telemetry.control.queue import Ref

ASK_SECONDS = 15.0
"""Longest pause between two questions of one namespace."""


class Denied:
    """Remembers who was refused for want of a right.

    Args:
        mark: puts a key into the queue.
    """

    def __init__(self, mark: Callable[[Ref], None]) -> None:
        self._mark = mark
        self._waiting: dict[str, dict[Ref, None]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def refused(self, key: Ref) -> float | None:
        """Take note that a key lacks a right; return the longest pause until its next try, None for the usual one."""
        waiting = self._waiting.setdefault(key.namespace, {})
        waiting[key] = None
        return ASK_SECONDS if next(iter(waiting)) == key else None

    def passed(self, key: Ref) -> None:
        """Take note that a key lacks none, or is gone; if it did before, the others of its namespace try again now."""
        waiting = self._waiting.get(key.namespace, {})
        if key in waiting:
            del self._waiting[key.namespace]
            for other in waiting:
                if other != key:
                    self._mark(other)
