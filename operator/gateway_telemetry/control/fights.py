"""Somebody takes away what was written: it is put back after growing pauses, and then given up (ADR 0014)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.control.queue import Ref
from gateway_telemetry.plan.store import Gateway
from gateway_telemetry.plan.targets import Refused
from gateway_telemetry.plan.turns import requested
from gateway_telemetry.plan.views import Key

ObjectKey = tuple[str, str, str]
"""Kind, namespace and name."""

REPAIR_PAUSES = (0.0, 5.0, 30.0, 120.0, 600.0)
"""Seconds that must have passed since the last repair of an object before the next; then it is given up."""
FIGHT_SECONDS = 3600.0
"""How long a repair is remembered: so often within this time means that somebody fights back."""


@dataclass
class _Fight:
    """Repairs of one object.

    Attributes:
        cause: generation of the spec and request under which they were made; a new one starts afresh.
        state: of the object when the last of them was counted: planning asks several times for one repair.
    """

    owner: Key
    cause: tuple[int, str]
    repairs: deque[float] = field(default_factory=deque)
    state: Hashable = None


class Fights:
    """Counts repairs.

    Args:
        pauses: seconds that must have passed since the last repair before the next; then it is given up.
    """

    def __init__(
        self,
        mark_later: Callable[[Ref, float], None],
        clock: Callable[[], float],
        pauses: Sequence[float] = REPAIR_PAUSES,
    ) -> None:
        self._pauses = tuple(pauses)
        self._mark_later = mark_later
        self._clock = clock
        self._fights: dict[ObjectKey, _Fight] = {}

    def __len__(self) -> int:
        """Return how many objects are remembered."""
        return len(self._fights)

    def refusal(self, view: Gateway, key: ObjectKey, manager: str, state: Hashable) -> Refused | None:
        """Return why an object may not be repaired now, or None.

        Args:
            manager: field manager that changed it last; may be empty.
            state: changes with every write of the object.
        """
        cause = (view.generation, requested(view) or "")
        fight = self._fights.get(key)
        if fight is None or fight.cause != cause or fight.owner != view.key:
            fight = self._fights[key] = _Fight(view.key, cause)
        if fight.state is not None and fight.state == state:
            return None
        now = self._clock()
        while fight.repairs and fight.repairs[0] <= now - FIGHT_SECONDS:
            fight.repairs.popleft()
        count = len(fight.repairs)
        where = f"{key[0]} {key[1]}/{key[2]}"
        # Who only removes something leaves no trace in managedFields: the last one there need not be the culprit.
        who = f" (the last other field manager there: {manager!r})" if manager else ""
        again = Ref("GatewayTelemetry", *view.key)
        if count >= len(self._pauses):
            self._mark_later(again, fight.repairs[0] + FIGHT_SECONDS - now + 1)
            return Refused(
                Reason.FOUGHT_OVER,
                f"{where}: the settings were taken away {count + 1} times within the last hour{who}; they are not put "
                "back again before the spec changes, somebody sets gatewaytelemetry.dev/requestedAt, or an hour has "
                "passed",
            )
        wait = self._pauses[count] - (now - fight.repairs[-1]) if count else 0.0
        if wait > 0:
            self._mark_later(again, wait)
            return Refused(
                Reason.NOT_WRITTEN,
                f"{where}: the settings were taken away{who}; they are put back {self._pauses[count]:.0f} s after the "
                "last time that they were",
            )
        return None

    def count(self, key: ObjectKey, state: Hashable) -> None:
        """Count a repair that was not refused; once for each state."""
        fight = self._fights[key]
        if fight.state is None or fight.state != state:
            fight.repairs.append(self._clock())
            fight.state = state

    def take_back(self, key: ObjectKey, state: Hashable) -> None:
        """Uncount a repair that was not made."""
        fight = self._fights.get(key)
        if fight is not None and fight.state is not None and fight.state == state:
            fight.repairs.pop()
            fight.state = None

    def forget(self, over: Callable[[ObjectKey, Key], bool]) -> None:
        """Forget objects, told by key and by the gateway that they were repaired for."""
        for key in [key for key, fight in self._fights.items() if over(key, fight.owner)]:
            del self._fights[key]
