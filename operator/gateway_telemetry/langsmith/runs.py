"""Projects and runs by LangSmith's read API, in the version that the server has.

LangSmith takes its first runs query away (SaaS in 2027, self-hosted from 0.18) and has the second from 0.16 on;
``/info`` tells which is on, and a 404 from one is a reason to ask the other.
https://docs.langchain.com/langsmith/smithdb-sdk-migration
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.langsmith import signatures
from gateway_telemetry.langsmith.failure import Failed
from gateway_telemetry.langsmith.probe import Server
from gateway_telemetry.langsmith.transport import Transport

_V1_SELECT = ["id", "name", "run_type", "start_time", "trace_id", "session_id", "extra"]
_V2_SELECT = ["ID", "NAME", "RUN_TYPE", "START_TIME", "TRACE_ID", "PROJECT_ID", "METADATA"]


@dataclass(frozen=True)
class Project:
    """A LangSmith project (its API calls it a session)."""

    id: str
    name: str
    workspace_id: str


@dataclass(frozen=True)
class Run:
    """A run as far as proof of delivery needs it.

    Attributes:
        type: ``llm``, ``chain``, …, in lower case.
    """

    id: str
    name: str
    type: str
    project_id: str
    start_time: datetime
    metadata: Mapping[str, Any]


class Reader:
    """Reads with one key; without a read key there is no reader.

    Args:
        server: what the probe learnt; None if nothing.
    """

    def __init__(self, transport: Transport, key: str, server: Server | None = None) -> None:
        self._transport = transport
        self._headers = transport.destination.headers(key)
        versions = server or Server("")
        self._order = [2, 1] if versions.v2 else [1, 2]
        if not versions.v1:
            self._order = [2, 1]
        self.requests = 0

    def swap(self) -> None:
        """Ask the other version of the runs query first from now on."""
        self._order.reverse()

    async def project(self, name: str) -> Project | None:
        """Return the project of that name; None while LangSmith has none: the first trace makes it.

        Raises:
            Failed: it cannot be read.
        """
        found = await self._projects({"name": name, "limit": "1"})
        return next((item for item in found if item.name == name), None)

    async def projects(self) -> list[Project]:
        """Return the workspace's projects, a hundred at most.

        Raises:
            Failed: they cannot be read.
        """
        return await self._projects({"limit": "100"})

    async def _projects(self, params: Mapping[str, str]) -> list[Project]:
        destination = self._transport.destination
        self.requests += 1
        answer = await self._transport.request(
            "GET", f"{destination.api}/sessions", headers=self._headers, params=params
        )
        signatures.check(answer, "read", destination, "GET /sessions")
        rows = signatures.json_array(answer, destination, "GET /sessions")
        try:
            return [Project(_id(row["id"]), str(row["name"]), _id(row["tenant_id"])) for row in rows]
        except (KeyError, TypeError, ValueError):
            pass
        raise signatures.not_langsmith(answer, destination, "GET /sessions", "a list of projects")

    async def runs(
        self,
        project_ids: Sequence[str],
        *,
        ids: Sequence[str] = (),
        metadata: tuple[str, str] | None = None,
        trace: str | None = None,
        since: datetime | None = None,
        limit: int = 1,
    ) -> list[Run]:
        """Return runs of projects, newest first.

        Args:
            ids: only runs of these ids.
            metadata: only runs with this key and value.
            trace: only runs of the trace whose root run has this id.
            since: only runs that began then or later.
            limit: how many at most, up to 100.

        Raises:
            Failed: they cannot be read.
        """
        missing: Failed | None = None
        for version in tuple(self._order):
            try:
                found = await self._query(version, project_ids, ids, metadata, trace, since, limit)
            except Failed as failure:
                if failure.reason not in (Reason.API_NOT_FOUND, Reason.METHOD_NOT_ALLOWED):
                    raise
                missing = missing or failure
                continue
            self._order = [version, *(item for item in self._order if item != version)]
            return found
        assert missing is not None
        raise missing

    async def _query(
        self,
        version: int,
        project_ids: Sequence[str],
        ids: Sequence[str],
        metadata: tuple[str, str] | None,
        trace: str | None,
        since: datetime | None,
        limit: int,
    ) -> list[Run]:
        destination = self._transport.destination
        body: dict[str, Any]
        if version == 1:
            url = f"{destination.api}/runs/query"
            body = {"session": list(project_ids), "select": _V1_SELECT, "limit": limit}
            names = ("id", "start_time", "trace")
        else:
            url = f"{destination.api_v2}/runs/query"
            body = {"project_ids": list(project_ids), "selects": _V2_SELECT, "page_size": limit}
            names = ("ids", "min_start_time", "trace_id")
        if ids:
            body[names[0]] = list(ids)
        if trace is not None:
            body[names[2]] = trace
        if since is not None:
            body[names[1]] = since.astimezone(UTC).isoformat()
        if metadata is not None:
            key, value = (json.dumps(text) for text in metadata)
            body["filter"] = f"and(eq(metadata_key, {key}), eq(metadata_value, {value}))"
        self.requests += 1
        what = f"POST /runs/query (v{version})"
        answer = await self._transport.request(
            "POST", url, headers=self._headers, content=json.dumps(body).encode(), content_type="application/json"
        )
        signatures.check(answer, "read", destination, what)
        parsed = signatures.json_object(answer, destination, what)
        try:
            return [_run(row, version) for row in parsed["runs" if version == 1 else "items"]]
        except (KeyError, TypeError, ValueError, AttributeError):
            pass
        raise signatures.not_langsmith(answer, destination, what, "a list of runs")


def _id(value: object) -> str:
    """Return a UUID in its usual form, so that ids can be compared and put into links.

    Raises:
        ValueError: it is none.
    """
    return str(uuid.UUID(str(value)))


def _run(row: Mapping[str, Any], version: int) -> Run:
    if version == 1:
        project, metadata = row["session_id"], (row.get("extra") or {}).get("metadata")
    else:
        project, metadata = row["project_id"], row.get("metadata")
    start = datetime.fromisoformat(row["start_time"])
    return Run(
        _id(row["id"]),
        str(row["name"]),
        str(row.get("run_type") or "").lower(),
        _id(project),
        start if start.tzinfo else start.replace(tzinfo=UTC),
        metadata if isinstance(metadata, dict) else {},
    )
