"""The probe: is this LangSmith, and does it take the target's keys in the intended workspace?

Two or three requests: ``GET /info`` without a key, then an authenticated read with each key. Nothing is written and
nothing is billed.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway_telemetry.api.conditions import Finding, bounded, good, unknown
from gateway_telemetry.api.reasons import BY_REASON, Reason
from gateway_telemetry.langsmith import signatures
from gateway_telemetry.langsmith.destination import Destination
from gateway_telemetry.langsmith.failure import Failed
from gateway_telemetry.langsmith.transport import Answer, Transport

CLOCK_SKEW = timedelta(minutes=5)
Progress = Callable[[str], None]
"""Takes a sentence about a step that was passed."""


@dataclass(frozen=True)
class Server:
    """What a LangSmith says of itself.

    Attributes:
        v1, v2: whether its runs query of that version is to be tried, by ``instance_flags`` of ``/info``; a server
            that says nothing of it may have both.
    """

    version: str
    v1: bool = True
    v2: bool = True


@dataclass(frozen=True)
class ProbeResult:
    """What a probe found.

    Attributes:
        findings: Reachable and Authenticated.
        server: None unless ``/info`` was read.
        workspace_id: the workspace that the ingest key acts in, else that of the read key, where it could be read.
        retry_after: seconds that LangSmith asks to wait before the next request with these keys.
    """

    findings: tuple[Finding, ...]
    server: Server | None = None
    workspace_id: str | None = None
    retry_after: float | None = None

    @property
    def passed(self) -> bool:
        """Whether nothing stands against sending traces: no finding is False, and LangSmith was reached."""
        return self.server is not None and all(item.status != "False" for item in self.findings)


async def probe(transport: Transport, progress: Progress = lambda _text: None) -> ProbeResult:
    """Probe a destination; never raises for what the network or the server do."""
    destination = transport.destination
    try:
        server, reachable = await info(transport, progress)
    except Failed as failure:
        for step in failure.passed:
            progress(step)
        waiting = unknown("Authenticated", Reason.NOT_PROBED)
        return ProbeResult((failure.finding("Reachable"), waiting), retry_after=failure.retry_after)
    try:
        workspace_id, authenticated = await _keys(transport, progress)
    except Failed as failure:
        authenticated = failure.finding("Authenticated")
        if failure.reason is Reason.API_NOT_FOUND:
            text = "This LangSmith has no route that tells a key's workspace (GET /settings)."
            authenticated = unknown("Authenticated", Reason.WORKSPACE_UNVERIFIED, text)
        return ProbeResult((reachable, authenticated), server, retry_after=failure.retry_after)
    if server is None:  # /info wants a key that may read, and got one
        server, reachable = await _info_with_key(transport, destination.read_key or destination.ingest_key, reachable)
    return ProbeResult((reachable, authenticated), server, workspace_id)


async def info(transport: Transport, progress: Progress = lambda _text: None) -> tuple[Server | None, Finding]:
    """Ask ``GET /info`` without a key; return Reachable, and the server unless it shows itself to a key only.

    Raises:
        Failed: no LangSmith answered.
    """
    destination = transport.destination
    answer = await transport.request("GET", f"{destination.api}/info")
    _tell_way(transport, answer, progress)
    if answer.status in (401, 403) and isinstance(answer.json(), dict):
        text = f"{destination.endpoints.host} shows /info only to a key that may read, and none was accepted."
        return None, unknown("Reachable", Reason.INFO_NEEDS_KEY, text)
    return _read_info(answer, destination, progress)


async def _info_with_key(transport: Transport, key: str, unsure: Finding) -> tuple[Server | None, Finding]:
    destination = transport.destination
    try:
        answer = await transport.request("GET", f"{destination.api}/info", headers=destination.headers(key))
        if answer.status in (401, 403):
            return None, unsure
        return _read_info(answer, destination, lambda _text: None)
    except Failed as failure:
        return None, failure.finding("Reachable")


def _read_info(answer: Answer, destination: Destination, progress: Progress) -> tuple[Server, Finding]:
    signatures.check(answer, "info", destination, "GET /info")
    body = signatures.json_object(answer, destination, "GET /info")
    version = body.get("version")
    if not isinstance(version, str) or not version.strip():
        raise signatures.not_langsmith(answer, destination, "GET /info", "LangSmith's: it holds no version")
    flags = body.get("instance_flags")
    flags = flags if isinstance(flags, dict) else {}
    v1, v2 = flags.get("ch_query_enabled") is not False, flags.get("sdb_query_enabled") is not False
    server = Server(destination.shown(version), v1, v2) if v1 or v2 else Server(destination.shown(version))
    progress(f"LangSmith {server.version} answers")
    where = f"LangSmith {server.version} answers at {destination.endpoints.host}"
    return server, _with_warnings(where, answer, body, datetime.now(UTC))


def _with_warnings(where: str, answer: Answer, body: dict[str, Any], now: datetime) -> Finding:
    """Return Reachable as True; the first thing that will matter soon gives the reason, all stand in the message."""
    warnings: list[tuple[Reason, str]] = []
    if answer.certificate is not None and answer.certificate.expires_soon(now):
        text = f"its certificate ends on {answer.certificate.not_after:%Y-%m-%d %H:%M} UTC"
        warnings.append((Reason.CERTIFICATE_EXPIRES_SOON, text))
    expiry = _moment(body.get("license_expiration_time"))
    if expiry is not None and expiry < now:
        warnings.append((Reason.LICENSE_EXPIRED, f"its licence ended on {expiry:%Y-%m-%d}"))
    date = signatures.http_date(answer.headers.get("date", ""))
    if date is not None and abs(now - date) > CLOCK_SKEW:
        minutes = round(abs(now - date).total_seconds() / 60)
        side = "behind" if date < now else "ahead of"
        warnings.append((Reason.CLOCK_SKEW, f"its clock is {minutes} minutes {side} the operator's"))
    if not warnings:
        return good("Reachable", Reason.REACHABLE, f"{where}.")
    parts = [f"{text}. {BY_REASON[reason].action}" for reason, text in warnings]
    return Finding("Reachable", "True", warnings[0][0], bounded(f"{where}; {' Also, '.join(parts)}"))


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def _tell_way(transport: Transport, answer: Answer, progress: Progress) -> None:
    for step in answer.trail.passed(transport.destination.endpoints, transport.proxy):
        progress(step)
    if answer.certificate is not None:
        issuer = transport.destination.shown(answer.certificate.issuer)
        progress(f"TLS: trusted, issued by {issuer!r}, until {answer.certificate.not_after:%Y-%m-%d}")


async def _keys(transport: Transport, progress: Progress) -> tuple[str | None, Finding]:
    """Return the workspace and the finding of Authenticated.

    Raises:
        Failed: a key was refused, or acts elsewhere than meant.
    """
    destination = transport.destination
    seen: dict[str, str | None] = {"ingest": await _workspace(transport, "ingest", destination.ingest_key)}
    if destination.read_key is not None and destination.read_key != destination.ingest_key:
        seen["read"] = await _workspace(transport, "read", destination.read_key)
        if seen["read"] is None:
            raise Failed(Reason.KEY_FORBIDDEN, "The read key (spec.credentials.read) may not read")
    for name, found in seen.items():
        if found is not None and destination.workspace_id is not None and not _same(found, destination.workspace_id):
            raise Failed(
                Reason.WORKSPACE_MISMATCH,
                f"The {name} key acts in workspace {found}, spec.workspaceId is {destination.workspace_id}",
            )
    ingest, read = seen["ingest"], seen.get("read")
    if ingest is not None and read is not None and not _same(ingest, read):
        raise Failed(
            Reason.WORKSPACE_MISMATCH,
            f"The ingest key acts in workspace {ingest}, the read key in {read}: traces would never be found",
        )
    if ingest is None:
        progress("the key may send traces; it may not read, so its workspace cannot be seen")
        return read, unknown("Authenticated", Reason.WORKSPACE_UNVERIFIED)
    progress(f"the key is valid in workspace {ingest}")
    note = "" if destination.workspace_id is not None else " (spec.workspaceId names none to compare with)"
    return ingest, good("Authenticated", Reason.AUTHENTICATED, f"The key is valid in workspace {ingest}{note}.")


async def _workspace(transport: Transport, name: str, key: str) -> str | None:
    """Return the workspace that a key acts in; None for an ingest key that may send and not read.

    Raises:
        Failed: the key is refused.
    """
    try:
        return await _settings(transport, key)
    except Failed as failure:
        refusal = failure
    if refusal.reason is Reason.KEY_FORBIDDEN:
        await _explain_forbidden(transport, name, key)
        if name == "ingest" and key != transport.destination.read_key and await _may_send(transport, key):
            return None
    raise _naming(refusal, name, transport.destination)


async def _settings(transport: Transport, key: str, *, workspace: bool = True) -> str:
    """Return the id of the workspace in force, as ``GET /settings`` has it."""
    destination = transport.destination
    headers = destination.headers(key, workspace=workspace)
    answer = await transport.request("GET", f"{destination.api}/settings", headers=headers)
    signatures.check(answer, "read", destination, "GET /settings")
    found = _uuid(signatures.json_object(answer, destination, "GET /settings").get("id"))
    if found is None:
        raise signatures.not_langsmith(answer, destination, "GET /settings", "LangSmith's: it holds no workspace id")
    return found


async def _explain_forbidden(transport: Transport, name: str, key: str) -> None:
    """Tell a good key of another workspace from one that is good nowhere here.

    Raises:
        Failed: WorkspaceMismatch, with the workspaces that the key has.
    """
    destination = transport.destination
    if destination.workspace_id is None:
        return
    answer = await transport.request(
        "GET", f"{destination.api}/workspaces", headers=destination.headers(key, workspace=False)
    )
    rows = answer.json() if answer.status == 200 else None
    ids = [_uuid(row.get("id")) for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    known = [item for item in ids if item is not None]
    if known and not any(_same(item, destination.workspace_id) for item in known):
        more = f" and {len(known) - 3} more" if len(known) > 3 else ""
        raise Failed(
            Reason.WORKSPACE_MISMATCH,
            f"The {name} key may not act in workspace {destination.workspace_id}; it has {', '.join(known[:3])}{more}",
        )


async def _may_send(transport: Transport, key: str) -> bool:
    """Tell whether ingest takes the key, by an export of no spans: an empty protobuf message.

    Raises:
        Failed: ingest answers neither yes nor no.
    """
    destination = transport.destination
    answer = await transport.request(
        "POST",
        destination.endpoints.traces,
        headers=destination.headers(key),
        content=b"",
        content_type="application/x-protobuf",
    )
    if answer.status in (401, 403):
        return False
    if answer.status not in (400, 422):  # the key passed, the empty message did not
        signatures.check(answer, "ingest", destination, "POST of no traces")
    return True


def _naming(failure: Failed, name: str, destination: Destination) -> Failed:
    """Return the failure with the key's field in front, where there are two keys."""
    if destination.read_key in (None, destination.ingest_key):
        return failure
    result = Failed(failure.reason, retry_after=failure.retry_after)
    result.message = bounded(f"spec.credentials.{name}: {failure.message}")
    return result


def _same(one: str, other: str) -> bool:
    return _uuid(one) == _uuid(other)


def _uuid(value: object) -> str | None:
    try:
        return str(uuid.UUID(value)) if isinstance(value, str) else None
    except ValueError:
        return None
