"""A tiny API server on loopback: it answers as it is told, and keeps what it was asked."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from kubernetes.aio.client import Configuration

from gateway_telemetry.cluster.config import Connection, Credentials

Object = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any = None


Answer = Callable[[Asked], Awaitable[web.StreamResponse]]


def answer(body: object, status: int = 200) -> web.Response:
    return web.json_response(body, status=status)


def refusal(code: int, reason: str, message: str = "refused", **details: Any) -> web.Response:
    """A Status object as an API server sends it."""
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "details": details,
        "code": code,
    }
    return answer(body, code)


@dataclass
class Server:
    """Where it listens, and what it was asked."""

    url: str
    asked: list[Asked] = field(default_factory=list)


@contextlib.asynccontextmanager
async def serving(handle: Answer, ssl_context: Any = None) -> AsyncIterator[Server]:
    """Serve every path with one function."""
    server = Server("")

    async def take(request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        body = json.loads(raw) if raw else None
        item = Asked(request.method, request.path, dict(request.query), dict(request.headers), body)
        server.asked.append(item)
        return await handle(item)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=ssl_context).start()
        scheme = "http" if ssl_context is None else "https"
        server.url = f"{scheme}://127.0.0.1:{runner.addresses[0][1]}"
        yield server
    finally:
        await runner.cleanup()


def credentials(*tokens: str) -> Credentials:
    """Credentials that have the next token each time they are loaded; none without tokens."""
    left = list(tokens)

    async def load() -> Configuration:
        configuration = Configuration()
        if left:
            configuration.api_key["BearerToken"] = f"Bearer {left.pop(0)}"
        return configuration

    first = Configuration()
    if left:
        first.api_key["BearerToken"] = f"Bearer {left.pop(0)}"
    return Credentials(load, first)


def connection(url: str, *tokens: str, **more: Any) -> Connection:
    return Connection(server=url, ssl_context=None, credentials=credentials(*tokens), **more)


class Leases:
    """Leases with optimistic concurrency, in memory."""

    def __init__(self) -> None:
        self.version = 0
        self.stored: dict[str, Object] = {}
        self.reachable = asyncio.Event()
        self.reachable.set()
        self.before: Callable[[Asked], Awaitable[web.StreamResponse | None]] | None = None

    async def __call__(self, asked: Asked) -> web.StreamResponse:
        await self.reachable.wait()
        if self.before is not None and (given := await self.before(asked)) is not None:
            return given
        name = asked.path.rpartition("/")[2] if asked.method != "POST" else asked.body["metadata"]["name"]
        found = self.stored.get(name)
        if asked.method == "GET":
            return refusal(404, "NotFound") if found is None else answer(found)
        if asked.method == "POST" and found is not None:
            return refusal(409, "AlreadyExists")
        if asked.method == "PUT":
            if found is None:
                return refusal(404, "NotFound")
            if asked.body["metadata"]["resourceVersion"] != found["metadata"]["resourceVersion"]:
                return refusal(409, "Conflict")
        return answer(self.put(name, asked.body))

    def put(self, name: str, body: Object) -> Object:
        self.version += 1
        stored = copy.deepcopy(body)
        stored["metadata"] |= {"name": name, "resourceVersion": str(self.version)}
        self.stored[name] = stored
        return stored

    def spec(self, name: str) -> Object:
        return dict(self.stored[name]["spec"])
