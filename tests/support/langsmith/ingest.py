"""Writing: OTLP traces, and LangSmith's own batch format (LiteLLM's ``langsmith`` callback, the SDK)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from aiohttp import web

from tests.support.langsmith import otlp
from tests.support.langsmith.context import CONTEXT, NOTES, Context, InputError, as_uuid, json_response, read_object
from tests.support.langsmith.filters import FilterError, parse_time
from tests.support.langsmith.mapping import RUN_TYPES, Draft
from tests.support.langsmith.store import Run

DEFAULT_PROJECT: Final = "default"


def header_text(value: str | None) -> str | None:
    """Return a header value as its sender meant it: UTF-8 if it is that, else Latin-1 (what HTTP libraries send)."""
    if value is None:
        return None
    raw = value.encode("utf-8", "surrogateescape")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


async def traces(request: web.Request) -> web.Response:
    """``POST …/otel/v1/traces``."""
    context = request.app[CONTEXT]
    workspace_id = context.workspace_of(request, "ingest", otlp=True)
    if request.content_type not in otlp.CONTENT_TYPES:
        raise InputError(415, "use application/x-protobuf or application/json")
    try:
        spans = otlp.decode(await request.read(), request.content_type)
    except otlp.BadBodyError as error:
        raise InputError(400, str(error)) from error
    project = header_text(request.headers.get("Langsmith-Project")) or DEFAULT_PROJECT
    fault = request[NOTES].fault
    if fault is not None:
        workspace_id, project = fault.workspace or workspace_id, fault.project or project
    rejected = min(fault.reject_spans, len(spans)) if fault else 0
    kept, refused = spans[: len(spans) - rejected], spans[len(spans) - rejected :]
    context.store.accept_spans(workspace_id, project, kept, "dropped" if fault and fault.drop else "pending")
    context.store.accept_spans(workspace_id, project, refused, "rejected")
    body = otlp.encode_response(
        request.content_type, rejected_spans=rejected, error_message="spans were rejected" if rejected else ""
    )
    return web.Response(body=body, content_type=request.content_type)


async def batch(request: web.Request) -> web.Response:
    """``POST …/runs/batch``: ``{"post": [run, …], "patch": [run, …]}``."""
    context = request.app[CONTEXT]
    workspace_id = context.workspace_of(request, "ingest")
    body = await read_object(request)
    for name in body.keys() - {"post", "patch"}:
        raise InputError(422, f"unknown field {name!r}")
    posts = [_new_run(context, workspace_id, item) for item in _objects(body, "post")]
    patches = [(as_uuid(item.get("id"), "id"), item) for item in _objects(body, "patch")]
    for run in posts:
        context.store.put_run(run)
    for run_id, changes in patches:
        _patch(context, workspace_id, run_id, changes)
    return json_response({"message": "Runs batch ingested"}, 202)


async def create_run(request: web.Request) -> web.Response:
    """``POST …/runs``: one run, as the SDK sends it without batching."""
    context = request.app[CONTEXT]
    workspace_id = context.workspace_of(request, "ingest")
    context.store.put_run(_new_run(context, workspace_id, await read_object(request)))
    return json_response({"message": "Run created"}, 202)


async def update_run(request: web.Request) -> web.Response:
    """``PATCH …/runs/{id}``."""
    context = request.app[CONTEXT]
    workspace_id = context.workspace_of(request, "ingest")
    _patch(context, workspace_id, as_uuid(request.match_info["id"], "id"), await read_object(request))
    return json_response({"message": "Run updated"}, 202)


def _objects(body: dict[str, Any], name: str) -> list[dict[str, Any]]:
    items = [] if body.get(name) is None else body[name]
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise InputError(422, f"{name} is not a list of runs")
    return items


def _new_run(context: Context, workspace_id: str, item: dict[str, Any]) -> Run:
    for name in ("id", "name", "run_type"):
        if not item.get(name):
            raise InputError(422, f"a run has no {name}")
    run_id = as_uuid(item["id"], "id")
    if item["run_type"] not in RUN_TYPES:
        raise InputError(422, f"run_type {item['run_type']!r} is not one of {sorted(RUN_TYPES)}")
    start = _time(item.get("start_time")) or datetime.now(UTC)
    end = _time(item.get("end_time"))
    trace_id, ancestors, dotted_order = _place(item, run_id, start)
    project_id = _project(context, workspace_id, item)
    extra = dict(item.get("extra") or {})
    extra["metadata"] = dict(extra.get("metadata") or {})
    error = item.get("error")
    usage = (item.get("outputs") or {}).get("usage_metadata") or {}
    body = Draft(
        id=run_id,
        parent_id=ancestors[-1] if ancestors else None,
        name=str(item["name"]),
        run_type=item["run_type"],
        start_time=start,
        end_time=end,
        status="error" if error else "success" if end else "pending",
        error=error,
        inputs=item.get("inputs") or {},
        outputs=item.get("outputs"),
        extra=extra,
        tags=list(item.get("tags") or []),
        events=list(item.get("events") or []),
        prompt_tokens=usage.get("input_tokens"),
        completion_tokens=usage.get("output_tokens"),
        total_tokens=usage.get("total_tokens"),
    )
    return Run(body, workspace_id, project_id, trace_id, ancestors, dotted_order)


def _place(item: dict[str, Any], run_id: UUID, start: datetime) -> tuple[UUID, tuple[UUID, ...], str]:
    """Return trace id, ancestors and dotted order, which must agree with each other and with the run's id."""
    trace_id = as_uuid(item.get("trace_id") or run_id, "trace_id")
    parent_id = as_uuid(item["parent_run_id"], "parent_run_id") if item.get("parent_run_id") else None
    order = str(item.get("dotted_order") or f"{start:%Y%m%dT%H%M%S%f}Z{run_id}")
    try:
        chain = [UUID(part.partition("Z")[2]) for part in order.split(".")]
    except ValueError as error:
        raise InputError(400, f"dotted_order {order!r} cannot be read") from error
    if chain[0] != trace_id:
        raise InputError(400, f"trace_id {trace_id} must match the root of dotted_order {order}")
    if chain[-1] != run_id:
        raise InputError(400, f"dotted_order {order} must end with the run id {run_id}")
    if parent_id != (chain[-2] if len(chain) > 1 else None):
        raise InputError(400, f"parent_run_id {parent_id} must match dotted_order {order}")
    return trace_id, tuple(chain[:-1]), order


def _project(context: Context, workspace_id: str, item: dict[str, Any]) -> UUID:
    if item.get("session_id"):
        project_id = as_uuid(item["session_id"], "session_id")
        if context.store.project(workspace_id, project_id) is None:
            raise InputError(400, f"session_id {project_id} is not an existing project")
        return project_id
    name = str(item.get("session_name") or DEFAULT_PROJECT)
    return context.store.ensure_project(workspace_id, name)[0].id


def _patch(context: Context, workspace_id: str, run_id: UUID, changes: dict[str, Any]) -> None:
    run = context.store.run(workspace_id, run_id)
    if run is None:
        raise InputError(404, f"run {run_id} not found")
    body = run.body
    body.end_time = _time(changes.get("end_time")) or body.end_time
    body.outputs = changes.get("outputs") or body.outputs
    body.inputs = changes.get("inputs") or body.inputs
    body.error = changes.get("error") or body.error
    body.tags = list(changes.get("tags") or body.tags)
    extra = changes.get("extra") or {}
    body.extra = {**body.extra, **extra, "metadata": {**body.metadata, **(extra.get("metadata") or {})}}
    body.status = "error" if body.error else "success" if body.end_time else "pending"


def _time(value: Any) -> datetime | None:
    if not value:
        return None
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value / 1000 if value > 1e11 else value, UTC)
    try:
        return parse_time(value)
    except FilterError as error:
        raise InputError(422, str(error)) from error
