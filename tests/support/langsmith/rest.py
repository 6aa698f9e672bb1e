"""Reading, v1: info, workspaces, projects ("sessions") and runs."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from tests.support.langsmith import views
from tests.support.langsmith.context import CONTEXT, InputError, as_uuid, bounded, json_response, read_object, uuids
from tests.support.langsmith.filters import FilterError, compile_filter, parse_time
from tests.support.langsmith.identity import ORGANIZATION
from tests.support.langsmith.paging import page_after
from tests.support.langsmith.store import Project, Run

V1_PAGE = 100
_RUN_QUERY_FIELDS = frozenset(
    {
        "cursor", "end_time", "error", "filter", "id", "is_root", "limit", "order", "parent_run", "run_type", "select",
        "session", "start_time", "trace",
    }
)  # fmt: skip


async def info(request: web.Request) -> web.Response:
    """``GET /info``: open unless the installation wants a key for it."""
    context = request.app[CONTEXT]
    features = context.features
    if features.info_requires_key:
        context.authenticate(request, "read")
    return json_response(
        {
            "version": features.version,
            "git_sha": "0000000",
            "license_expiration_time": features.license_expiration_time,
            "batch_ingest_config": {
                "use_multipart_endpoint": False,
                "scale_up_qsize_trigger": 1000,
                "scale_up_nthreads_limit": 16,
                "scale_down_nempty_trigger": 4,
                "size_limit": 100,
                "size_limit_bytes": 20_971_520,
            },
            "instance_flags": {
                "ch_query_enabled": features.runs_v1,
                "sdb_query_enabled": features.runs_v2,
            },
            "customer_info": None,
        }
    )


async def ok(_request: web.Request) -> web.Response:
    """``GET /ok``."""
    return json_response({"ok": True})


async def health(_request: web.Request) -> web.Response:
    """``GET /info/health``."""
    return json_response({"clickhouse_disk_free_pct": 75.0})


async def workspaces(request: web.Request) -> web.Response:
    """``GET /workspaces``: those the key may use; needs no ``X-Tenant-Id``."""
    context = request.app[CONTEXT]
    key = context.authenticate(request, "read")
    return json_response([views.workspace(context.directory.workspaces[w]) for w in key.workspaces])


async def settings(request: web.Request) -> web.Response:
    """``GET /settings``: the workspace in force."""
    context = request.app[CONTEXT]
    found = context.directory.workspaces[context.workspace_of(request)]
    shown = views.workspace(found)
    return json_response({name: shown[name] for name in ("id", "display_name", "created_at", "tenant_handle")})


async def organization(request: web.Request) -> web.Response:
    """``GET /orgs/current/info``."""
    request.app[CONTEXT].authenticate(request, "read")
    return json_response({"id": ORGANIZATION, "display_name": "Organization"})


async def list_projects(request: web.Request) -> web.Response:
    """``GET /sessions``: by exact name, part of a name, or ids."""
    context, query = request.app[CONTEXT], request.query
    found = context.store.projects(context.workspace_of(request))
    if "name" in query:
        found = [project for project in found if project.name == query["name"]]
    if "name_contains" in query:
        found = [project for project in found if query["name_contains"].lower() in project.name.lower()]
    if "id" in query:
        wanted = {as_uuid(value, "id") for value in query.getall("id")}
        found = [project for project in found if project.id in wanted]
    limit = bounded(query.get("limit"), "limit", V1_PAGE, V1_PAGE)
    offset = int(query.get("offset", "0"))
    return json_response([_show(request, project) for project in found[offset : offset + limit]])


async def read_project(request: web.Request) -> web.Response:
    """``GET /sessions/{id}``."""
    return json_response(_show(request, _project(request)))


async def create_project(request: web.Request) -> web.Response:
    """``POST /sessions``; with ``upsert=true`` an existing one is answered, else it is a conflict."""
    context = request.app[CONTEXT]
    workspace_id = context.workspace_of(request, "ingest")
    body = await read_object(request)
    if not body.get("name"):
        raise InputError(422, "name is missing")
    project_id = as_uuid(body["id"], "id") if body.get("id") else None
    project, made = context.store.ensure_project(workspace_id, str(body["name"]), project_id=project_id)
    if not made and request.query.get("upsert", "").lower() != "true":
        raise InputError(409, "a project of that name exists")
    project.description, project.extra = body.get("description"), body.get("extra")
    return json_response(_show(request, project))


async def delete_project(request: web.Request) -> web.Response:
    """``DELETE /sessions/{id}``."""
    request.app[CONTEXT].store.delete_project(_project(request))
    return json_response({"message": "Session deleted"}, 202)


async def read_run(request: web.Request) -> web.Response:
    """``GET /runs/{id}``: 404 until it is ingested."""
    context = request.app[CONTEXT]
    _v1(request)
    run = context.store.run(context.workspace_of(request), as_uuid(request.match_info["id"], "id"))
    if run is None:
        raise InputError(404, "Run not found")
    return json_response(views.run_v1(run))


async def query_runs(request: web.Request) -> web.Response:
    """``POST /runs/query``."""
    context = request.app[CONTEXT]
    _v1(request)
    workspace_id = context.workspace_of(request)
    body = {name: value for name, value in (await read_object(request)).items() if value is not None}
    for name in sorted(body.keys() - _RUN_QUERY_FIELDS):
        raise InputError(422, f"{name} is not supported")
    if not body.keys() & {"session", "id", "parent_run", "trace"}:
        raise InputError(400, "At least one of 'session', 'id', 'parent_run' or 'trace' must be specified")
    try:
        runs = _matching(context.store.runs(workspace_id), body)
    except FilterError as error:
        raise InputError(422, f"filter: {error}") from error
    if body.get("order", "desc") == "asc":
        runs.reverse()
    limit = bounded(body.get("limit"), "limit", V1_PAGE, V1_PAGE)
    page, cursor = page_after(runs, body.get("cursor"), limit)
    select = set(body.get("select") or views.V1_FIELDS)
    for name in sorted(select - views.V1_FIELDS):
        raise InputError(422, f"select: {name!r} is not a field of a run")
    shown = [{k: v for k, v in views.run_v1(run).items() if k in select | views.V1_ALWAYS} for run in page]
    return json_response({"runs": shown, "cursors": {"next": cursor, "prev": None}, "search_cursors": None})


def _matching(runs: list[Run], body: dict[str, Any]) -> list[Run]:
    sessions, ids = uuids(body, "session"), uuids(body, "id")
    trace = as_uuid(body["trace"], "trace") if "trace" in body else None
    parent = as_uuid(body["parent_run"], "parent_run") if "parent_run" in body else None
    since = parse_time(body["start_time"]) if "start_time" in body else None
    until = parse_time(body["end_time"]) if "end_time" in body else None
    matches = compile_filter(body["filter"]) if "filter" in body else None
    return [
        run
        for run in runs
        if (not sessions or run.project_id in sessions)
        and (not ids or run.id in ids)
        and (trace is None or run.trace_id == trace)
        and (parent is None or (bool(run.parent_ids) and run.parent_ids[-1] == parent))
        and ("is_root" not in body or bool(body["is_root"]) is not bool(run.parent_ids))
        and ("run_type" not in body or run.body.run_type == body["run_type"])
        and ("error" not in body or bool(body["error"]) is (run.body.error is not None))
        and (since is None or run.body.start_time >= since)
        and (until is None or run.body.start_time <= until)
        and (matches is None or matches(run))
    ]


def _v1(request: web.Request) -> None:
    if not request.app[CONTEXT].features.runs_v1:
        raise InputError(404, "Not Found")


def _project(request: web.Request) -> Project:
    context = request.app[CONTEXT]
    permission = "read" if request.method == "GET" else "ingest"
    workspace_id = context.workspace_of(request, "read" if permission == "read" else "ingest")
    project = context.store.project(workspace_id, as_uuid(request.match_info["id"], "id"))
    if project is None:
        raise InputError(404, "Session not found")
    return project


def _show(request: web.Request, project: Project) -> dict[str, Any]:
    runs = request.app[CONTEXT].store.runs(project.workspace_id)
    return views.project(project, [run for run in runs if run.project_id == project.id])
