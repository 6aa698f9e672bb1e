"""Evidence that gateways' own traces arrive: one shared read per project, a filtered one for who is not on its page.

Each gateway stamps its traces with a resource attribute, which LangSmith keeps as metadata of the runs. The newest
runs of a project show most gateways at once; a busy gateway fills that page, so the others are asked for one by one,
the one asked longest ago first, within the key's budget. Whom the budget leaves out keeps its last verdict: not
having looked is never taken for not having found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from gateway_telemetry.api.conditions import Finding, good, unknown
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.langsmith.budget import Budget
from gateway_telemetry.langsmith.failure import Failed
from gateway_telemetry.langsmith.probe import Server
from gateway_telemetry.langsmith.runs import Project, Reader, Run
from gateway_telemetry.langsmith.transport import Transport

STAMP = "gatewaytelemetry.id"
"""Resource attribute, and metadata key of runs, by which a gateway's traces are known."""
WINDOW = timedelta(days=7)
"""How far back a trace counts as evidence."""
_PAGE = 50
_SMALL_PAGE = 5


@dataclass(frozen=True)
class Trace:
    """The newest trace of a gateway that was seen."""

    project: str
    time: datetime
    run_id: str
    run_url: str | None


@dataclass(frozen=True)
class Report:
    """What one round of reads showed about the gateways of one project.

    Attributes:
        seen: newest trace in the intended project, by stamp.
        elsewhere: newest trace in another project, of gateways that have none in the intended one.
        absent: stamps that were asked for, and had no trace within the window anywhere that was looked at.
        unread: stamps that the budget or a failure left out; their last verdict stands.
        failure: what ended the round early.
        requests: how many were made.
    """

    seen: Mapping[str, Trace]
    elsewhere: Mapping[str, Trace]
    absent: frozenset[str]
    unread: frozenset[str]
    failure: Failed | None
    requests: int

    def finding(self, stamp: str, *, project: str, not_before: datetime | None = None) -> Finding | None:
        """Return Delivered for one gateway; None where the last verdict stands.

        Args:
            project: the intended project.
            not_before: when the gateway's present settings were in place; older traces do not speak of them.
        """
        # No times in the messages: a condition would change with every read, and each change is a write.
        if (trace := self.seen.get(stamp)) is not None:
            if not_before is not None and trace.time < not_before:
                text = f"The newest trace in project {project!r} is from before the present settings."
                return unknown("Delivered", Reason.OLD_CONFIG, text)
            return good("Delivered", Reason.DELIVERED, f"Traces of this gateway arrive in project {project!r}.")
        if (trace := self.elsewhere.get(stamp)) is not None:
            if not_before is not None and trace.time < not_before:
                text = f"The newest trace is from before the present settings, in project {trace.project!r}."
                return unknown("Delivered", Reason.OLD_CONFIG, text)
            text = f"Traces of this gateway are in project {trace.project!r} instead of {project!r}"
            return Failed(Reason.WRONG_PROJECT, text).finding("Delivered")
        if stamp in self.absent:
            return unknown("Delivered", Reason.NO_TRAFFIC)
        return None

    def trace(self, stamp: str) -> Trace | None:
        """Return the newest trace of a gateway that was seen, in the intended project if there is one."""
        return self.seen.get(stamp) or self.elsewhere.get(stamp)


def failed_read(failure: Failed) -> Finding:
    """Return Delivered for a gateway of which no earlier verdict exists, after a failure to read."""
    if failure.reason is Reason.RATE_LIMITED:
        return failure.finding("Delivered")
    text = f"Reading the project failed ({failure.reason}): {failure.message}"
    return unknown("Delivered", Reason.READ_BACK_FAILED, text)


@dataclass
class _Round:
    """The state of one round."""

    wanted: set[str]
    seen: dict[str, Trace] = field(default_factory=dict)
    elsewhere: dict[str, Trace] = field(default_factory=dict)
    absent: set[str] = field(default_factory=set)
    failure: Failed | None = None

    @property
    def open(self) -> set[str]:
        return self.wanted - self.seen.keys() - self.elsewhere.keys() - self.absent


class _Exhausted(Exception):
    """The budget has nothing left for this round."""


class EvidenceReader:
    """Reads evidence with one read key; keeps who was asked last, so that everyone's turn comes.

    Args:
        budget: shared by all who use the same key.
    """

    def __init__(self, transport: Transport, key: str, budget: Budget, server: Server | None = None) -> None:
        self._destination = transport.destination
        self._key = key
        self._reader = Reader(transport, key, server)
        self._budget = budget
        self._projects: dict[str, Project] = {}
        self._asked: dict[tuple[str, str], int] = {}
        self._turn = 0

    def through(self, transport: Transport, server: Server | None) -> None:
        """Go on over another transport to the same destination; who was asked last is remembered."""
        self._reader = Reader(transport, self._key, server)

    async def read(self, project: str, stamps: Iterable[str], *, now: datetime | None = None) -> Report:
        """Do one round for a project; never raises for what the network or the server do.

        Args:
            project: name of the intended project.
            stamps: values of ``gatewaytelemetry.id`` of the gateways that send there.
        """
        state = _Round(set(stamps))
        before = self._reader.requests
        try:
            await self._round(state, project, (now or datetime.now(UTC)) - WINDOW)
        except _Exhausted:
            pass  # whoever is left out is unread
        except Failed as failure:
            state.failure = failure
            if failure.reason is Reason.API_NOT_FOUND:
                self._projects.pop(project, None)
            if failure.retry_after is not None:
                self._budget.pause(failure.retry_after)
        self._asked = {key: turn for key, turn in self._asked.items() if key[0] != project or key[1] in state.wanted}
        return Report(
            state.seen,
            state.elsewhere,
            frozenset(state.absent),
            frozenset(state.open),
            state.failure,
            self._reader.requests - before,
        )

    async def _round(self, state: _Round, name: str, since: datetime) -> None:
        if not state.wanted:
            return
        intended = self._projects.get(name) or await self._look_up(name)
        runs = await self._page([intended.id], since) if intended is not None else []
        if intended is not None and not runs:  # a project that was deleted and made anew has another id
            intended = await self._look_up(name)
        if intended is not None:
            self._take(state, state.seen, runs, {intended.id: intended})
        if not state.open:
            return
        self._spend()
        others = {item.id: item for item in await self._reader.projects() if item.name != name}
        for stamp in self._in_turn(name, state.open):
            if intended is not None:
                runs = await self._newest(stamp, [intended.id], since)
                self._take(state, state.seen, runs, {intended.id: intended})
            if stamp in state.open and others:
                self._take(state, state.elsewhere, await self._newest(stamp, list(others), since), others)
            if stamp in state.open:
                state.absent.add(stamp)
            self._turn += 1
            self._asked[name, stamp] = self._turn

    async def _look_up(self, name: str) -> Project | None:
        self._projects.pop(name, None)
        self._spend()
        found = await self._reader.project(name)
        if found is not None:
            self._projects[name] = found
        return found

    async def _page(self, project_ids: Sequence[str], since: datetime) -> list[Run]:
        """Return the newest runs; fewer where their metadata is too large to read."""
        self._spend()
        try:
            return await self._reader.runs(project_ids, since=since, limit=_PAGE)
        except Failed as failure:
            if failure.reason is not Reason.NOT_LANGSMITH:
                raise
        self._spend()
        return await self._reader.runs(project_ids, since=since, limit=_SMALL_PAGE)

    async def _newest(self, stamp: str, project_ids: Sequence[str], since: datetime) -> list[Run]:
        self._spend()
        return await self._reader.runs(project_ids, metadata=(STAMP, stamp), since=since, limit=1)

    def _in_turn(self, project: str, stamps: set[str]) -> list[str]:
        return sorted(stamps, key=lambda stamp: (self._asked.get((project, stamp), 0), stamp))

    def _spend(self) -> None:
        if not self._budget.take():
            raise _Exhausted

    def _take(self, state: _Round, into: dict[str, Trace], runs: list[Run], projects: Mapping[str, Project]) -> None:
        for run in runs:
            stamp, project = run.metadata.get(STAMP), projects.get(run.project_id)
            if not isinstance(stamp, str) or stamp not in state.wanted or project is None:
                continue
            if stamp in into and into[stamp].time >= run.start_time:
                continue
            url = self._destination.run_url(project.workspace_id, project.id, run.id)
            into[stamp] = Trace(self._destination.shown(project.name), run.start_time, run.id, url)
