"""Reading, v2: runs by project, with upper-case selects and problem-details errors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from aiohttp import web

from tests.support.langsmith import views
from tests.support.langsmith.context import CONTEXT, InputError, as_uuid, bounded, json_response, read_object, uuids
from tests.support.langsmith.filters import FilterError, compile_filter, parse_time
from tests.support.langsmith.paging import page_after
from tests.support.langsmith.store import Run

_FIELDS = frozenset(
    {
        "cursor", "filter", "has_error", "ids", "is_root", "max_start_time", "min_start_time", "page_size",
        "project_ids", "run_type", "selects", "trace_id",
    }
)  # fmt: skip


async def query_runs(request: web.Request) -> web.Response:
    """``POST /api/v2/runs/query``."""
    workspace_id = _open(request)
    body = {name: value for name, value in (await read_object(request)).items() if value is not None}
    for name in sorted(body.keys() - _FIELDS):
        raise InputError(422, f"{name} is not supported")
    project_ids = uuids(body, "project_ids")
    if not project_ids:
        raise InputError(422, "project_ids is required")
    for project_id in project_ids:
        _check_project(request, workspace_id, project_id)
    selects = _selects(body.get("selects"))
    try:
        runs = _matching(request.app[CONTEXT].store.runs(workspace_id), body, project_ids)
    except FilterError as error:
        raise InputError(422, f"filter: {error}") from error
    page, cursor = page_after(runs, body.get("cursor"), bounded(body.get("page_size"), "page_size", 100, 1000))
    return json_response({"items": [views.run_v2(run, selects) for run in page], "next_cursor": cursor})


async def read_run(request: web.Request) -> web.Response:
    """``GET /api/v2/runs/{id}?project_id=…&selects=…``."""
    workspace_id = _open(request)
    project_id = as_uuid(request.query.get("project_id"), "project_id")
    _check_project(request, workspace_id, project_id)
    run = request.app[CONTEXT].store.run(workspace_id, as_uuid(request.match_info["id"], "run_id"))
    if run is None or run.project_id != project_id:
        raise InputError(404, "run not found")
    return json_response(views.run_v2(run, _selects(request.query.getall("selects", []))))


async def trace_runs(request: web.Request) -> web.Response:
    """``GET /v2/traces/{id}/runs?project_id=…``: all runs of a trace, oldest first."""
    workspace_id = _open(request)
    project_id = as_uuid(request.query.get("project_id"), "project_id")
    _check_project(request, workspace_id, project_id)
    trace_id = as_uuid(request.match_info["id"], "trace_id")
    selects = _selects(request.query.getall("selects", []))
    runs = [r for r in request.app[CONTEXT].store.runs(workspace_id) if r.trace_id == trace_id]
    return json_response({"items": [views.run_v2(r, selects) for r in reversed(runs) if r.project_id == project_id]})


def _matching(runs: list[Run], body: dict[str, Any], project_ids: set[UUID]) -> list[Run]:
    ids = uuids(body, "ids")
    trace = as_uuid(body["trace_id"], "trace_id") if "trace_id" in body else None
    yesterday = datetime.now(UTC) - timedelta(days=1)
    since = parse_time(body["min_start_time"]) if "min_start_time" in body else yesterday
    until = parse_time(body["max_start_time"]) if "max_start_time" in body else None
    matches = compile_filter(body["filter"]) if "filter" in body else None
    return [
        run
        for run in runs
        if run.project_id in project_ids
        and (not ids or run.id in ids)
        and (trace is None or run.trace_id == trace)
        and ("is_root" not in body or bool(body["is_root"]) is not bool(run.parent_ids))
        and ("has_error" not in body or bool(body["has_error"]) is (run.body.error is not None))
        and ("run_type" not in body or run.body.run_type.upper() == body["run_type"])
        and run.body.start_time >= since
        and (until is None or run.body.start_time <= until)
        and (matches is None or matches(run))
    ]


def _open(request: web.Request) -> str:
    context = request.app[CONTEXT]
    if not context.features.runs_v2:
        raise InputError(404, "Not Found")
    return context.workspace_of(request)


def _check_project(request: web.Request, workspace_id: str, project_id: UUID) -> None:
    if request.app[CONTEXT].store.project(workspace_id, project_id) is None:
        raise InputError(404, f"project {project_id} not found")


def _selects(value: Any) -> set[str]:
    selects = set(value or [])
    for name in sorted(selects - views.V2_SELECTS):
        raise InputError(422, f"selects: {name!r} is not a field of a run")
    return selects
