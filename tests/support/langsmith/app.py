"""The web application: which path is served by what, and what every request passes through.

Paths follow the nginx configuration of LangSmith's self-hosted chart, or the SaaS API host. Outside the API the
self-hosted form is a single-page application: it answers 200 with HTML to any GET and 405 to any POST, which is how a
wrong URL looks like a right one.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import ContentEncodingError

from tests.support.langsmith import ingest, rest, rest_v2
from tests.support.langsmith.context import (
    CONTEXT,
    MAX_BODY_BYTES,
    NOTES,
    Context,
    Handler,
    InputError,
    Notes,
    json_response,
    nginx,
    problem,
    spa,
)
from tests.support.langsmith.faults import Fault
from tests.support.langsmith.identity import AuthError, fingerprint
from tests.support.langsmith.store import Request

# (method, path below the API prefix, path class, handler)
V1: Final[tuple[tuple[str, str, str, Handler], ...]] = (
    ("GET", "/info", "info", rest.info),
    ("GET", "/info/health", "info", rest.health),
    ("GET", "/ok", "info", rest.ok),
    ("GET", "/workspaces", "read", rest.workspaces),
    ("GET", "/settings", "read", rest.settings),
    ("GET", "/orgs/current/info", "read", rest.organization),
    ("GET", "/sessions", "read", rest.list_projects),
    ("POST", "/sessions", "read", rest.create_project),
    ("GET", "/sessions/{id}", "read", rest.read_project),
    ("DELETE", "/sessions/{id}", "read", rest.delete_project),
    ("POST", "/runs/query", "read", rest.query_runs),
    ("POST", "/runs/batch", "batch", ingest.batch),
    ("POST", "/runs", "batch", ingest.create_run),
    ("GET", "/runs/{id}", "read", rest.read_run),
    ("PATCH", "/runs/{id}", "batch", ingest.update_run),
)
V2: Final[tuple[tuple[str, str, str, Handler], ...]] = (
    ("POST", "/runs/query", "read", rest_v2.query_runs),
    ("GET", "/runs/{id}", "read", rest_v2.read_run),
    ("GET", "/traces/{id}/runs", "read", rest_v2.trace_runs),
)
TRACES: Final = "/otel/v1/traces"


def build(context: Context, base_path: str) -> web.Application:
    """Return the application for one form of LangSmith; ``base_path`` is "" or starts with a slash."""
    app = web.Application(middlewares=[_observe], client_max_size=MAX_BODY_BYTES)
    app[CONTEXT] = context
    if context.form == "saas":
        _add(app, "", V1)
        _add(app, "/api/v1", V1)
        _add(app, "", (("POST", TRACES, "ingest", ingest.traces),))
        _add(app, "/api/v2", V2)
        _add(app, "/v2", V2)
        _fallback(app, "", _api_fallback)
    elif context.form == "selfhosted":
        _add(app, f"{base_path}/api/v1", (("POST", TRACES, "ingest", ingest.traces), *V1))
        _add(app, f"{base_path}/api/v2", V2)
        _add(app, f"{base_path}/v2", V2)
        _add(app, f"{base_path}/api", V1)  # deprecated, still routed
        _add(app, "", (("GET", "/health", "ui", rest.ok),))
        _fallback(app, f"{base_path}/api", _api_fallback)
        _fallback(app, base_path, _ui)
        if base_path:
            _fallback(app, "", _outside)
    else:
        _fallback(app, "", _ui)
    return app


def _add(app: web.Application, prefix: str, routes: tuple[tuple[str, str, str, Handler], ...]) -> None:
    for method, path, path_class, handler in routes:
        app.router.add_route(method, prefix + path, _classified(path_class, handler))
    for path, path_class in {path: path_class for _, path, path_class, _ in routes}.items():
        app.router.add_route("*", prefix + path, _classified(path_class, _wrong_method))


def _fallback(app: web.Application, prefix: str, handler: Handler) -> None:
    if prefix:
        app.router.add_route("*", prefix, handler)
    app.router.add_route("*", prefix + "/{tail:.*}", handler)


def _classified(path_class: str, handler: Handler) -> Handler:
    async def classified(request: web.Request) -> web.StreamResponse:
        request[NOTES].path_class = path_class
        return await _with_fault(request, path_class, handler)

    return classified


async def _with_fault(request: web.Request, path_class: str, handler: Handler) -> web.StreamResponse:
    fault = request.app[CONTEXT].faults.take(path_class)
    if fault is None:
        return await handler(request)
    request[NOTES].fault = fault
    if fault.delay:
        await asyncio.sleep(fault.delay)
    if fault.abort:
        _cut(request)
        return web.Response(status=500)
    if fault.truncate or fault.drip:
        return await _unfinished(request, fault)
    if fault.status is None:
        response = await handler(request)
        response.headers.update(fault.headers)
        return response
    return _faulty(fault)


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
    request[NOTES].aborted = True


async def _unfinished(request: web.Request, fault: Fault) -> web.StreamResponse:
    """Begin an answer that never comes to its end."""
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "1000000"})
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        await response.write(b"{")
        while fault.drip:
            await asyncio.sleep(fault.drip)
            await response.write(b" ")
    _cut(request)
    return response


def _faulty(fault: Fault) -> web.Response:
    return web.Response(
        status=fault.status or 500, text=fault.body, content_type=fault.content_type, headers=fault.headers
    )


async def _wrong_method(_request: web.Request) -> web.StreamResponse:
    return json_response({"detail": "Method Not Allowed"}, 405)


async def _api_fallback(request: web.Request) -> web.StreamResponse:
    async def not_found(_request: web.Request) -> web.StreamResponse:
        return json_response({"detail": "Not Found"}, 404)

    request[NOTES].path_class = "other"
    return await _with_fault(request, "other", not_found)


async def _ui(request: web.Request) -> web.StreamResponse:
    async def page(request: web.Request) -> web.StreamResponse:
        return spa() if request.method in ("GET", "HEAD") else nginx(405, "Not Allowed")

    request[NOTES].path_class = "ui"
    return await _with_fault(request, "ui", page)


async def _outside(request: web.Request) -> web.StreamResponse:
    request[NOTES].path_class = "other"
    return nginx(404, "Not Found")


@web.middleware
async def _observe(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn errors into LangSmith's answers and record what was seen."""
    request[NOTES] = Notes()
    response = await _answer(request, handler)
    request.app[CONTEXT].store.log(_seen(request, 0 if request[NOTES].aborted else response.status))
    return response


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    v2 = "/v2/" in request.path
    try:
        return await handler(request)
    except AuthError as error:
        detail = next(iter(error.body.values()))
        return problem(error.status, detail) if v2 else json_response(error.body, error.status)
    except InputError as error:
        if v2:
            return problem(error.status, error.detail)
        name = "error" if request[NOTES].path_class == "ingest" else "detail"
        return json_response({name: error.detail}, error.status)
    except web.HTTPRequestEntityTooLarge:
        return nginx(413, "Request Entity Too Large")
    except (web.RequestPayloadError, ContentEncodingError):
        return nginx(400, "Bad Request")
    except (asyncio.CancelledError, ConnectionError):
        raise
    except Exception as error:
        request.app[CONTEXT].internal_errors.append(error)
        return nginx(500, "Internal Server Error")


def _seen(request: web.Request, status: int) -> Request:
    headers = request.headers
    key = headers.get("x-api-key")
    return Request(
        method=request.method,
        path=request.path,
        query=request.query_string,
        path_class=request[NOTES].path_class,
        status=status,
        header_names=tuple(name.decode("latin-1") for name, _ in request.raw_headers),
        content_type=request.content_type if "Content-Type" in headers else "",
        content_encoding=headers.get("Content-Encoding", ""),
        chunked=headers.get("Transfer-Encoding", "").lower() == "chunked",
        user_agent=headers.get("User-Agent", ""),
        project_header=ingest.header_text(headers.get("Langsmith-Project")),
        tenant_header=headers.get("X-Tenant-Id"),
        key_fingerprint=fingerprint(key) if key else None,
        workspace_id=request[NOTES].workspace_id,
        at=datetime.now(UTC),
    )
