"""The canary: one marked trace, sent as a gateway would send it, and read back from where it should be.

A 200 from OTLP proves nothing: LangSmith builds runs later, drops spans whose parent never comes, makes a project for
every name, and drops silently what is beyond a usage limit. So the canary is a single root span, and only its run,
found in the intended project of the intended workspace with this canary's own nonce, counts. It is a billed trace.
"""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from gateway_telemetry.api.conditions import Finding, good, unknown
from gateway_telemetry.api.reasons import BY_REASON, Reason
from gateway_telemetry.langsmith import signatures
from gateway_telemetry.langsmith.failure import Failed
from gateway_telemetry.langsmith.probe import Progress, Server
from gateway_telemetry.langsmith.runs import Project, Reader, Run
from gateway_telemetry.langsmith.transport import Answer, Transport

PATIENCE = 90.0
"""Seconds that a canary may take to appear: ingest is asynchronous."""
NAME = "langsmith.gateway-telemetry.canary"
"""Name of the span; LangSmith's collector proxy lets names through that begin with ``langsmith.``."""
NONCE = "gatewaytelemetry.canary"
"""Metadata key of the nonce; dashboards leave canaries out by it."""
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 8.0
_LOOK_ELSEWHERE_AFTER = 4
_PROTOBUF = "application/x-protobuf"
_CLOCKS = timedelta(hours=1)


@dataclass(frozen=True)
class Canary:
    """One canary.

    Attributes:
        run_id: the run that LangSmith makes of the span, on the direct path and behind its collector proxy alike.
    """

    span_id: bytes
    nonce: str

    @classmethod
    def new(cls) -> Canary:
        """Return a canary that nobody has seen."""
        span_id = secrets.token_bytes(8)
        return cls(span_id if any(span_id) else b"\0" * 7 + b"\1", uuid.uuid4().hex)

    @property
    def run_id(self) -> str:
        """The span id, right-aligned in a UUID: both known mappings lead there as the trace id is this as well."""
        return str(uuid.UUID(bytes=b"\0" * 8 + self.span_id))

    @property
    def traceparent(self) -> str:
        """The W3C header of a caller whose span this is (https://www.w3.org/TR/trace-context/#traceparent-header)."""
        return f"00-{'00' * 8}{self.span_id.hex()}-{self.span_id.hex()}-01"

    def encode(self, now: datetime) -> bytes:
        """Return the OTLP request that holds the root span."""
        message = ExportTraceServiceRequest()
        resource = message.resource_spans.add()
        resource.resource.attributes.append(_text("service.name", "gateway-telemetry"))
        span = resource.scope_spans.add().spans.add()
        span.trace_id = b"\0" * 8 + self.span_id
        span.span_id = self.span_id
        span.name = NAME
        span.end_time_unix_nano = int(now.timestamp() * 1e9)
        span.start_time_unix_nano = span.end_time_unix_nano - 1_000_000
        span.attributes.append(_text("langsmith.span.kind", "chain"))
        span.attributes.append(_text("langsmith.span.tags", "gateway-telemetry-canary"))
        span.attributes.append(_text(f"langsmith.metadata.{NONCE}", self.nonce))
        result: bytes = message.SerializeToString()
        return result


@dataclass(frozen=True)
class CanaryResult:
    """What became of a canary.

    Attributes:
        finding: Ingesting.
        accepted: whether LangSmith's ingest took it, which makes it a billed trace.
        project: the intended project, where it was seen.
        run_url: page of the run in the web app, where that is known.
        retry_after: seconds that LangSmith asks to wait.
    """

    finding: Finding
    accepted: bool = False
    project: Project | None = None
    run_id: str | None = None
    run_url: str | None = None
    project_url: str | None = None
    retry_after: float | None = None


async def canary(
    transport: Transport,
    project: str,
    *,
    server: Server | None = None,
    workspace_id: str | None = None,
    patience: float = PATIENCE,
    progress: Progress = lambda _text: None,
) -> CanaryResult:
    """Send a canary into a project and read it back; never raises for what the network or the server do.

    Args:
        project: name, cleaned by ``endpoint.clean_project``.
        server: what the probe learnt.
        workspace_id: workspace that the project must be in; the destination's own by default.
        patience: seconds until NotVisible.
    """
    destination = transport.destination
    if destination.read_key is None:
        return CanaryResult(unknown("Ingesting", Reason.NO_READ_KEY))
    sent = Canary.new()
    try:
        await send(transport, sent, project, datetime.now(UTC))
    except Failed as failure:
        return CanaryResult(failure.finding("Ingesting"), retry_after=failure.retry_after)
    progress(f"the canary was accepted for project {project!r}; waiting until it can be read back")
    search = _Search(
        Reader(transport, destination.read_key, server),
        transport,
        sent,
        project,
        workspace_id or destination.workspace_id,
    )
    return await search.result(patience)


def switched_off() -> Finding:
    """Return Ingesting where the user wants no canary."""
    return unknown("Ingesting", Reason.CANARY_OFF)


async def send(transport: Transport, sent: Canary, project: str, ended: datetime) -> None:
    """Post the span as an exporter does.

    Raises:
        Failed: it was not accepted.
    """
    destination = transport.destination
    answer = await transport.request(
        "POST",
        destination.endpoints.traces,
        headers=destination.headers(destination.ingest_key, project=project),
        content=sent.encode(ended),
        content_type=_PROTOBUF,
    )
    signatures.check(answer, "ingest", destination, "POST of a trace")
    if rejected := _rejected(answer):
        raise Failed(Reason.SPANS_REJECTED, f"LangSmith answered 200 and rejected {rejected} of 1 spans")


def _rejected(answer: Answer) -> int:
    """Return how many spans a success rejects; its body may be in either encoding, whatever its label."""
    parsed = answer.json()
    if isinstance(parsed, dict):
        partial = parsed.get("partialSuccess") or parsed.get("partial_success")
        value = partial.get("rejectedSpans", partial.get("rejected_spans", 0)) if isinstance(partial, dict) else 0
        return int(value) if isinstance(value, int | str) and str(value).isdigit() else 0
    message = ExportTraceServiceResponse()
    try:
        message.ParseFromString(answer.body)
    except DecodeError:
        return 0  # not OTLP's answer; whether the span arrived is for the read to say
    return int(message.partial_success.rejected_spans)


class _Search:
    """Looks for one canary until it is found, or patience ends."""

    def __init__(
        self, reader: Reader, transport: Transport, sent: Canary, project: str, workspace_id: str | None
    ) -> None:
        self._reader = reader
        self._destination = transport.destination
        self._sent = sent
        self._name = project
        self._workspace = workspace_id
        self._since = datetime.now(UTC) - _CLOCKS
        self._project: Project | None = None
        self._misread: Failed | None = None

    async def result(self, patience: float) -> CanaryResult:
        started = time.monotonic()
        pause, attempt = _FIRST_PAUSE, 0
        while True:
            attempt += 1
            left = patience - (time.monotonic() - started)
            try:
                found = await self._look(everywhere=attempt % _LOOK_ELSEWHERE_AFTER == 0 or left <= 0)
            except Failed as failure:
                if not _may_pass(failure) or (failure.retry_after or 0) > left:
                    return self._unread(failure)
                self._misread = failure
                pause = max(pause, failure.retry_after or 0)
            else:
                self._misread = None
                if found is not None:
                    return found
            left = patience - (time.monotonic() - started)
            if left <= 0:
                return self._unread(self._misread) if self._misread is not None else self._not_visible(patience)
            await asyncio.sleep(min(pause, left))
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    async def _look(self, *, everywhere: bool) -> CanaryResult | None:
        """Return the verdict, or None while nothing is to be seen."""
        if self._project is None or everywhere:  # one that is deleted and made anew has another id
            self._project = await self._reader.project(self._name)
        project = self._project
        if project is not None:
            if self._workspace is not None and project.workspace_id != str(uuid.UUID(self._workspace)):
                text = f"Project {self._name!r} is in workspace {project.workspace_id}, not in {self._workspace}."
                return self._verdict(Reason.WORKSPACE_MISMATCH, text)
            run = await self._find([project.id], by_nonce=everywhere)
            if run is not None and run.project_id == project.id:
                text = f"A canary was read back from project {self._name!r}."
                return self._verdict(Reason.INGESTED, text, run)
        return await self._elsewhere() if everywhere else None

    async def _find(self, project_ids: Sequence[str], *, by_nonce: bool) -> Run | None:
        """Return the canary's run, by its id and, as ids are the server's to map, by its nonce."""
        found = await self._reader.runs(project_ids, ids=[self._sent.run_id], since=self._since)
        if not found and by_nonce:
            found = await self._reader.runs(project_ids, metadata=(NONCE, self._sent.nonce), since=self._since)
        if not found and by_nonce:  # the two read APIs can have stores of their own
            self._reader.swap()
            found = await self._reader.runs(project_ids, ids=[self._sent.run_id], since=self._since)
        return next((run for run in found if run.metadata.get(NONCE) == self._sent.nonce), None)

    async def _elsewhere(self) -> CanaryResult | None:
        """Look into ``default`` and the workspace's other projects."""
        others = {item.id: item for item in await self._reader.projects() if item.name != self._name}
        if not others:
            return None
        run = await self._find(list(others), by_nonce=True)
        if run is None or run.project_id not in others:
            return None
        name = self._destination.shown(others[run.project_id].name)
        text = f"The canary for project {self._name!r} was found in project {name!r}."
        return self._verdict(Reason.WRONG_PROJECT, text, run)

    def _verdict(self, reason: Reason, text: str, run: Run | None = None) -> CanaryResult:
        if reason is Reason.INGESTED:
            finding = good("Ingesting", reason, text)
        else:
            finding = Failed(reason, text).finding("Ingesting")
        project = self._project
        run_url = project_url = None
        if project is not None:
            project_url = self._destination.project_url(project.workspace_id, project.id)
            if run is not None:
                run_url = self._destination.run_url(project.workspace_id, run.project_id, run.id)
        return CanaryResult(finding, True, project, run.id if run is not None else None, run_url, project_url)

    def _not_visible(self, patience: float) -> CanaryResult:
        missing = "" if self._project is not None else ", which was not made either"
        text = f"LangSmith accepted a canary; after {patience:.0f} s it is not in project {self._name!r}{missing}"
        return self._verdict(Reason.NOT_VISIBLE, text)

    def _unread(self, failure: Failed) -> CanaryResult:
        """Return that nothing is known: the canary was accepted and could not be looked for."""
        if failure.reason is Reason.RATE_LIMITED:
            finding = failure.finding("Ingesting")
        else:
            text = f"The canary was accepted; reading it back failed ({failure.reason}): {failure.message}"
            finding = unknown("Ingesting", Reason.READ_BACK_FAILED, text)
        return CanaryResult(finding, True, self._project, retry_after=failure.retry_after)


def _may_pass(failure: Failed) -> bool:
    """Tell whether it is worth asking again soon."""
    return failure.reason in _PASSING


_PASSING = {
    Reason.RATE_LIMITED,
    Reason.DNS_UNAVAILABLE,
    Reason.NO_ROUTE,
    *(row.reason for row in BY_REASON.values() if row.severity == "Waiting"),
}


def _text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))
