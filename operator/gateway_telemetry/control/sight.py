"""One target as it is looked at: what is known, what is due, and the looks themselves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from gateway_telemetry.api.conditions import Finding, unknown
from gateway_telemetry.api.meta import parse_duration
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.api.target import LangSmithTargetSpec
from gateway_telemetry.control.looking import (
    NEVER,
    Backoff,
    Pace,
    Reads,
    canary_of,
    jittered,
    probe_interval,
    settled,
)
from gateway_telemetry.endpoint import clean_project
from gateway_telemetry.langsmith import (
    Budget,
    CanaryResult,
    Destination,
    EvidenceReader,
    ProbeResult,
    Report,
    Server,
    Steady,
    Trace,
    Transport,
    canary,
    failed_read,
    probe,
    switched_off,
)
from gateway_telemetry.plan import proof as proofs
from gateway_telemetry.plan.proof import Connection, GatewayProof, Seen, TargetProof, moment, nothing_known
from gateway_telemetry.plan.store import Gateway
from gateway_telemetry.plan.turns import requested
from gateway_telemetry.plan.views import Key


@dataclass
class _Gateway:
    connection: Connection
    since: str | None
    proof: GatewayProof
    request: str | None
    looked: bool = False


class Sight:
    """What is known of one target with one set of keys, URL, CA and project.

    Args:
        known: what was found before with the same, e.g. by the operator before its restart.
        budget: of the read key.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        destination: Destination,
        spec: LangSmithTargetSpec,
        hash_: str,
        known: TargetProof | None,
        budget: Budget,
        pace: Pace,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.destination = destination
        self.hash = hash_
        self.verification = spec.verification
        self.wake = asyncio.Event()
        self._clock = clock
        self._pace = pace
        self._interval = probe_interval(spec)
        self._canary = canary_of(spec)
        self._project = None if spec.project is None else clean_project(spec.project)[0]
        self._budget = budget
        self._steady = Steady(known=known.findings if known is not None else ())
        self._server: Server | None = None
        self._workspace_id: str | None = None
        self._passed = False
        self._requested: str | None = None
        self._asked = False
        self._evidence: EvidenceReader | None = None
        self._gateways: dict[Key, _Gateway] = {}
        self.reads = Reads(pace, self._interval, clock)
        self._probe_retry = Backoff(pace.probe_retry, self._interval)
        self._canary_retry = Backoff(pace.canary_retry, pace.canary_retry_longest)
        self.proof = known or nothing_known("LangSmith has not been looked at yet.")
        ingesting = self._of("Ingesting")
        self._ingested = ingesting.reason is Reason.INGESTED
        now = clock()
        self._probe_at = now if known is None else now + min(pace.after_restart, self._interval) * 0.5
        self._canary_at = self._next_canary(moment((self.proof.canary or {}).get("time"))) if self._ingested else now
        self._show(self._without_canary() or (ingesting if self._counts(ingesting) else self._waiting()))

    def take_over(self, before: Sight) -> None:
        """Go on with what another sight of the same target knows: only the schedule changed."""
        self._gateways = before._gateways
        for item in self._gateways.values():
            self.reads.known(item.connection.project)

    def ask(self, request: str | None) -> None:
        """Look at once if somebody asks who had not asked before."""
        first, self._asked = not self._asked, True
        if request == self._requested:
            return
        self._requested = request
        if request is None or first:
            return
        now = self._clock()
        self._probe_at = self._canary_at = now
        self.reads.all_now()
        self.wake.set()

    def pause(self) -> float | None:
        """Return the seconds until something is due; None while nothing ever is."""
        due = min(self._probe_at, self._canary_at if self._may_send() else NEVER, self.reads.next)
        return None if due == NEVER else max(0.0, due - self._clock())

    @property
    def probe_due(self) -> bool:
        """Whether it is time for a probe."""
        return self._probe_at <= self._clock()

    @property
    def canary_due(self) -> bool:
        """Whether it is time for a canary, and one makes sense."""
        return self._may_send() and self._canary_at <= self._clock()

    async def probe(self, transport: Transport) -> None:
        """Look whether LangSmith is there and takes the keys."""
        result = await probe(transport)
        self._took_probe(result)

    def _took_probe(self, result: ProbeResult) -> None:
        findings = [self._steady.settle(item) for item in result.findings]
        self._passed = result.passed
        if result.server is not None:
            self._server = result.server
            self._workspace_id = result.workspace_id or self._workspace_id
        if settled([*result.findings, *findings]):
            self._probe_retry.reset()
            pause = max(jittered(self._interval), result.retry_after or 0.0)
        else:
            pause = self._probe_retry.failed(result.retry_after)
        self._probe_at = self._clock() + pause
        server = self._server.version if self._server is not None else self.proof.server
        self.proof = replace(self.proof, hash=self.hash, server=server)
        self._show(*findings)

    async def canary(self, transport: Transport, now: datetime) -> None:
        """Send a canary and look for it."""
        assert self._project is not None
        result = await canary(
            transport,
            self._project,
            server=self._server,
            workspace_id=self._workspace_id,
            patience=self._pace.canary_patience,
        )
        self._took_canary(result, now)

    def _took_canary(self, result: CanaryResult, now: datetime) -> None:
        finding = self._steady.settle(result.finding)
        uncounted: frozenset[str] = frozenset()
        if result.finding.reason is Reason.INGESTED:
            self._ingested = True
            self._canary_retry.reset()
            self._canary_at = self._next_canary()
            found = {"time": now.strftime("%Y-%m-%dT%H:%M:%SZ")}
            if result.run_url is not None:
                found["runUrl"] = result.run_url
            self.proof = replace(self.proof, canary=found)
        else:
            self._canary_at = self._clock() + self._canary_retry.failed(result.retry_after)
            if self._ingested and self._canary_retry.failures == 1:
                uncounted = frozenset({"Ingesting"})
        if result.project is not None:
            shown = {
                "id": result.project.id,
                "name": self.destination.shown(result.project.name, 512),
                "workspaceId": result.project.workspace_id,
            }
            if result.project_url is not None:
                shown["url"] = result.project_url
            self.proof = replace(self.proof, project=shown)
        self.proof = replace(self.proof, uncounted=uncounted)
        self._show(finding)

    def gateway(self, view: Gateway, connection: Connection, since: str | None) -> GatewayProof:
        """Return what is known of a gateway's traces."""
        item = self._gateways.get(view.key)
        request = requested(view)
        if item is not None and (item.connection, item.since) == (connection, since):
            if since is not None and request not in (None, item.request):
                self.reads.changed(connection.project)
                self.wake.set()
            item.request = request
            return item.proof
        known = proofs.before_reading(view, connection, since)
        self._gateways[view.key] = _Gateway(connection, since, known, request)
        if since is None:
            self._tidy()
            return known
        if known.delivered.status == "True":
            self.reads.known(connection.project)
        else:
            self.reads.changed(connection.project)
        self._tidy()
        self.wake.set()
        return known

    def drop(self, key: Key) -> None:
        """Forget a gateway."""
        if self._gateways.pop(key, None) is not None:
            self._tidy()

    def _tidy(self) -> None:
        self.reads.keep({item.connection.project for item in self._gateways.values() if item.since is not None})

    async def read(self, transport: Transport, project: str) -> list[Key]:
        """Look for the traces of all gateways of a project; return those of which something new is known."""
        wanted = {
            key: item
            for key, item in self._gateways.items()
            if item.connection.project == project and item.since is not None and item.connection.stamp is not None
        }
        if self.destination.read_key is None or not wanted:
            self.reads.done(project, left_out=False, wait=0.0)
            return []
        if self._evidence is None:
            self._evidence = EvidenceReader(transport, self.destination.read_key, self._budget, self._server)
        else:
            self._evidence.through(transport, self._server)
        stamps = [item.connection.stamp for item in wanted.values() if item.connection.stamp is not None]
        report = await self._evidence.read(project, stamps)
        self.reads.done(project, left_out=bool(report.unread), wait=self._budget.wait)
        return [key for key, item in wanted.items() if self._took(item, report)]

    def _took(self, item: _Gateway, report: Report) -> bool:
        """Take what a report says of a gateway; return whether that is worth telling."""
        connection = item.connection
        assert connection.stamp is not None
        finding = report.finding(connection.stamp, project=connection.project, not_before=moment(item.since))
        if finding is None:
            if report.failure is None or item.looked or item.proof.delivered.reason is not Reason.PENDING:
                return False
            finding = failed_read(report.failure)
        else:
            item.looked = True
        new = proofs.read(finding, self._seen(item.proof.seen, report.trace(connection.stamp)), item.proof)
        changed = new != item.proof
        item.proof = new
        return changed

    def _seen(self, shown: Seen | None, trace: Trace | None) -> Seen | None:
        """Return the newest trace as shown: a new one only in steps, or where it was found in another project."""
        if trace is None:
            return shown
        if shown is not None and shown.project == trace.project:
            at = moment(shown.time)
            if at is not None and (trace.time - at).total_seconds() < self._pace.evidence_step:
                return shown
        return Seen(trace.time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), trace.project, trace.run_url)

    def _of(self, type_: str) -> Finding:
        return next(item for item in self.proof.findings if item.type == type_)

    def _show(self, *findings: Finding) -> None:
        new = {item.type: item for item in findings}
        shown = tuple(new.get(item.type, item) for item in self.proof.findings)
        self.proof = replace(self.proof, findings=shown)

    def _may_send(self) -> bool:
        return self._passed and self._without_canary() is None

    def _without_canary(self) -> Finding | None:
        """Return Ingesting where no canary is sent, else None."""
        if self._canary.mode == "Off":
            return switched_off()
        if self.destination.read_key is None:
            return unknown("Ingesting", Reason.NO_READ_KEY)
        if self._project is None:
            return unknown("Ingesting", Reason.NO_PROJECT)
        return None

    @staticmethod
    def _counts(finding: Finding) -> bool:
        """Tell whether an earlier verdict about ingest is one that a canary gave."""
        return finding.reason not in (Reason.CANARY_OFF, Reason.NO_READ_KEY, Reason.NO_PROJECT, Reason.NOT_VERIFIED)

    @staticmethod
    def _waiting() -> Finding:
        return unknown("Ingesting", Reason.PENDING, "A canary is sent once LangSmith takes the key.")

    def _next_canary(self, last: datetime | None = None) -> float:
        """Return when the next canary is due, on the clock.

        Args:
            last: when one was read back; now when left out.
        """
        if self._canary.mode != "Periodic":
            return NEVER
        left = parse_duration(self._canary.interval).total_seconds()
        if last is not None:
            left = max(0.0, left - (datetime.now(UTC) - last).total_seconds())
        return self._clock() + jittered(left)
