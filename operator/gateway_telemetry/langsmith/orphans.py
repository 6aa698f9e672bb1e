"""Does a gateway lose the traces of callers that are traced themselves?

A gateway that continues a caller's trace makes spans whose parent is the caller's. LangSmith answers 200 to them, keeps
them aside, and drops them unless the parent comes as well (https://docs.langchain.com/langsmith/trace-with-opentelemetry).
No status of any gateway shows that. So one request goes through the gateway with the ``traceparent`` of a caller that
nobody has heard of, and then the caller's span is sent: what becomes visible below it was an orphan until then. Where
that is not the model call, which begins a trace of its own, only the gateway's wrapping is lost.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateway_telemetry.api.conditions import Finding, good, unknown
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.langsmith.canary import Canary, send
from gateway_telemetry.langsmith.evidence import STAMP, failed_read
from gateway_telemetry.langsmith.failure import Failed
from gateway_telemetry.langsmith.probe import Progress, Server
from gateway_telemetry.langsmith.runs import Project, Reader, Run
from gateway_telemetry.langsmith.transport import Transport

Ask = Callable[[str], Awaitable[int]]
"""Sends a request through the gateway with this ``traceparent``; returns the gateway's status."""
_PAUSE = 1.0
_CLOCKS = timedelta(minutes=5)
_MANY = 20
_SETTLE = 4.0


@dataclass(frozen=True)
class Followed:
    """What became of a traced caller's request.

    Attributes:
        finding: Delivered.
        run_url: page of the gateway's run, where one was found and its page is known.
    """

    finding: Finding
    run_url: str | None = None


async def follow(
    transport: Transport,
    ask: Ask,
    project: str,
    stamp: str | None,
    *,
    server: Server | None = None,
    patience: float = 90.0,
    progress: Progress = lambda _text: None,
) -> Followed:
    """Send a request with a foreign parent through a gateway and look for the gateway's spans.

    Costs one billed trace besides the gateway's own. Never raises for what LangSmith or the network to it do.

    Args:
        ask: what it raises is passed on.
        project: that the gateway sends to.
        stamp: value of ``gatewaytelemetry.id`` on the gateway's spans; None where it has none.
        patience: seconds; half of them for traces of the gateway's own, half for what hangs below the caller's.
    """
    if transport.destination.read_key is None:
        return Followed(unknown("Delivered", Reason.NO_READ_KEY))
    caller = Canary.new()
    began = datetime.now(UTC)
    status = await ask(caller.traceparent)
    progress(f"the gateway answered {status} to a request that continues a caller's trace")
    search = _Search(transport, Reader(transport, transport.destination.read_key, server), project, began - _CLOCKS)
    try:
        own = None
        if stamp is not None:
            own = await search.until(patience / 2, lambda: search.stamped(stamp, began))
        await send(transport, caller, project, datetime.now(UTC))
        progress("the caller's own span was sent; looking for spans below it")
        below = await search.until(patience / 2, lambda: search.below(caller))
        if below is not None and not _is_model_call(below):  # the others come a moment later, if there are any
            below = await search.until(_SETTLE, lambda: search.below(caller, calls=True)) or below
    except Failed as failure:
        return Followed(failed_read(failure))
    if below is not None and own is not None and _is_model_call(own) and not _is_model_call(below):
        name = transport.destination.shown(below.name)
        text = f"Model calls are in traces of their own; the span {name!r} hangs below the caller's and is lost."
        return Followed(good("Delivered", Reason.DELIVERED, text), search.url(own))
    if below is not None:
        name = transport.destination.shown(below.name)
        text = f"The gateway's span {name!r} became visible only once its caller's was sent"
        return Followed(Failed(Reason.ORPHANS_DROPPED, text).finding("Delivered"), search.url(below))
    if not search.caller_seen:
        text = "The caller's own span was sent and did not appear, so nothing can be said about what hangs below it."
        return Followed(unknown("Delivered", Reason.READ_BACK_FAILED, text))
    if own is not None:
        text = "The gateway begins traces of its own, also for callers that are traced."
        return Followed(good("Delivered", Reason.DELIVERED, text), search.url(own))
    if stamp is None:
        text = "No span of the gateway hangs below the caller's; its own traces carry no stamp to be known by."
        return Followed(unknown("Delivered", Reason.NOT_STAMPED, text))
    text = f"No trace of the gateway came of the request, to which it answered {status}."
    return Followed(unknown("Delivered", Reason.NO_TRAFFIC, text))


class _Search:
    """Looks for runs in one project, which may come into being meanwhile."""

    def __init__(self, transport: Transport, reader: Reader, name: str, since: datetime) -> None:
        self._destination = transport.destination
        self._reader = reader
        self._name = name
        self._since = since
        self._project: Project | None = None
        self.caller_seen = False

    async def until(self, seconds: float, look: Callable[[], Awaitable[Run | None]]) -> Run | None:
        """Return what a look finds, or None when the time is over.

        Raises:
            Failed: LangSmith cannot be read.
        """
        began = time.monotonic()
        while True:
            if self._project is None:
                self._project = await self._reader.project(self._name)
            found = await look() if self._project is not None else None
            left = seconds - (time.monotonic() - began)
            if found is not None or left <= 0:
                return found
            await asyncio.sleep(min(_PAUSE, left))

    async def stamped(self, stamp: str, began: datetime) -> Run | None:
        """Return a run of the gateway that began after the request."""
        found = [run for run in await self._runs(metadata=(STAMP, stamp)) if run.start_time >= began]
        return _telling(found)

    async def below(self, caller: Canary, *, calls: bool = False) -> Run | None:
        """Return a run in the caller's trace that is not the caller's; only a model call if that is asked for."""
        found = await self._runs(trace=caller.run_id)
        self.caller_seen = self.caller_seen or any(run.id == caller.run_id for run in found)
        others = [run for run in found if run.id != caller.run_id and (_is_model_call(run) or not calls)]
        return _telling(others)

    async def _runs(self, *, metadata: tuple[str, str] | None = None, trace: str | None = None) -> list[Run]:
        assert self._project is not None
        return await self._reader.runs(
            [self._project.id], metadata=metadata, trace=trace, since=self._since, limit=_MANY
        )

    def url(self, run: Run) -> str | None:
        """Return a run's page."""
        assert self._project is not None
        return self._destination.run_url(self._project.workspace_id, self._project.id, run.id)


def _is_model_call(run: Run) -> bool:
    """Tell by LangSmith's type, or by the metadata that it makes of ``gen_ai.system`` and ``gen_ai.provider.name``."""
    return run.type == "llm" or "ls_provider" in run.metadata


def _telling(runs: Sequence[Run]) -> Run | None:
    """Return a model call if there is one, else any run."""
    return next((run for run in runs if _is_model_call(run)), runs[0] if runs else None)
