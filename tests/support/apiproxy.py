"""A TLS reverse proxy between the operator and the API server that can stop the world at one chosen write.

Crashes and races between two particular writes are a matter of luck with any other means. The proxy rewrites nothing:
what it does not hold up, refuse or drop on a test's word reaches the API server byte for byte, and so do the answers.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote

import aiohttp
import trustme
import yaml
from aiohttp import web
from yarl import URL

from tests.support.kube import HasKubeconfig, _tls, ca_pem, context_of

HOLD_SECONDS = 60.0
"""Longest time that a write is held up for an event or a call, so that a failed test does not hang."""
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_APPLY = "application/apply-patch"
_HOP_BY_HOP = ("connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding")


@dataclass(frozen=True)
class Write:
    """A write request, as audit logs tell it.

    Attributes:
        number: 1 for the first write since the proxy started.
        verb: create, update, patch, apply (a patch on the server's side) or delete.
        resource: plural, e.g. ``deployments``.
        subresource: e.g. ``status``; empty for the object itself.
        manager: the query's fieldManager; empty if there is none.
        status: of the answer; 0 while there is none.
        by_proxy: the answer came from a hook, not from the API server.
    """

    number: int
    verb: str
    resource: str
    namespace: str
    name: str
    subresource: str
    manager: str
    content_type: str
    body: bytes = field(repr=False)
    status: int = 0
    by_proxy: bool = False

    @property
    def what(self) -> str:
        """Verb and resource, e.g. ``patch gatewaytelemetries/status``."""
        return f"{self.verb} {self.resource}" + (f"/{self.subresource}" if self.subresource else "")

    def __str__(self) -> str:
        return f"{self.what} {self.namespace}/{self.name} ({self.content_type}, {self.manager or 'no manager'})"


@dataclass(frozen=True)
class Answer:
    """Before a write: answer with a Kubernetes Status instead of forwarding. After it: instead of the real answer."""

    status: int
    reason: str
    message: str = "refused by the test"
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> bytes:
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": self.status}
        return json.dumps({**status, "reason": self.reason, "message": self.message}).encode()


@dataclass(frozen=True)
class Hold:
    """Go on when the event is set."""

    until: threading.Event


@dataclass(frozen=True)
class Call:
    """Call this, then go on: somebody else's write in between."""

    function: Callable[[], object]


@dataclass(frozen=True)
class Drop:
    """Call this (it kills the operator), then neither forward nor answer."""

    function: Callable[[], object]


Action = Answer | Hold | Call | Drop | None
Hook = Callable[[Write], Action]


def nothing(_: Write) -> Action:
    """Let every write pass."""
    return None


def on(what: str, action: Action, nth: int = 1, times: int = 1) -> Hook:
    """Return a hook that acts on some writes and lets the others pass.

    Args:
        what: as ``Write.what``, e.g. ``apply deployments``.
        nth: the first one of these that it acts on, from 1.
        times: on how many in a row it acts.
    """
    seen = 0

    def hook(write: Write) -> Action:
        nonlocal seen
        if write.what != what:
            return None
        seen += 1
        return action if nth <= seen < nth + times else None

    return hook


class ApiProxy:
    """Between a client and the API server of a kubeconfig, as long as the block lasts.

    A request's own bearer token is passed on; a request without one is sent with the client certificate of the
    kubeconfig.

    Attributes:
        kubeconfig: the same user's, pointing at the proxy.
        before: asked for every write before it is forwarded.
        after: asked for every write when the API server has answered, before the answer is passed on.
        watching: while it is not set, nothing that watches tell is passed on, so the client's view grows old.
        errors: what the hooks raised; empty after a good test.
    """

    def __init__(self, cluster: HasKubeconfig, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.kubeconfig = folder / "proxy.kubeconfig"
        self.before: Hook = nothing
        self.after: Hook = nothing
        self.watching = threading.Event()
        self.watching.set()
        self.errors: list[BaseException] = []
        self._upstream_config = cluster.kubeconfig
        self._writes: list[Write] = []
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._stop = asyncio.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name="api-proxy", daemon=True)
        self._tasks: set[asyncio.Task[web.StreamResponse]] = set()

    def __enter__(self) -> ApiProxy:
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear_hooks()
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        if kind is None and self.errors:
            raise self.errors[0]

    @property
    def writes(self) -> list[Write]:
        """All writes so far, in the order of their arrival."""
        return list(self._writes)

    def clear_hooks(self) -> None:
        """Let everything pass again."""
        self.before = self.after = nothing
        self.watching.set()

    def _main(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:  # whoever waits for the start must learn of it
            self._failure = error
        finally:
            self._loop.close()
            self._started.set()

    async def _serve(self) -> None:
        _, cluster, user = context_of(self._upstream_config)
        self._server = str(cluster["server"]).rstrip("/")
        self._as_admin = _tls(cluster, {key: item for key, item in user.items() if key.startswith("client-")})
        self._anonymous = ssl.create_default_context(cadata=ca_pem(cluster))
        app = web.Application(client_max_size=16 * 1024**2)
        app.router.add_route("*", "/{path:.*}", self._handle)
        # Watches end with their client, not with the next event.
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=1.0)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10.0)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, auto_decompress=False, trust_env=False
        ) as self._session:
            await runner.setup()
            try:
                authority = trustme.CA()
                tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                authority.issue_cert("127.0.0.1").configure_cert(tls)
                site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
                await site.start()
                host, port = runner.addresses[0][:2]
                self._write_kubeconfig(f"https://{host}:{port}", authority.cert_pem.bytes(), user)
                self._started.set()
                await self._stop.wait()
            finally:
                await runner.cleanup()

    def _write_kubeconfig(self, server: str, ca: bytes, user: Mapping[str, object]) -> None:
        entry = {"server": server, "certificate-authority-data": base64.b64encode(ca).decode()}
        data = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "proxy", "cluster": entry}],
            "users": [{"name": "proxy", "user": dict(user)}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
            "current-context": "proxy",
        }
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(yaml.safe_dump(data))

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.method not in _VERBS:
            return await self._read(request)
        # What is on its way when the client dies is still worked on, as by an API server.
        task = asyncio.ensure_future(self._write(request, await request.read()))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def _read(self, request: web.Request) -> web.StreamResponse:
        """Pass an answer on chunk by chunk, which is what a watch needs."""
        async with self._forward(request, None) as upstream:
            response = web.StreamResponse(status=upstream.status, headers=_end_to_end(upstream.headers))
            await response.prepare(request)
            async for chunk in upstream.content.iter_any():
                if "watch" in request.query and not self.watching.is_set():
                    await asyncio.to_thread(self.watching.wait, HOLD_SECONDS)
                await response.write(chunk)
            with contextlib.suppress(ConnectionError):
                await response.write_eof()
            return response

    async def _write(self, request: web.Request, body: bytes) -> web.StreamResponse:
        write = _parsed(request, body, len(self._writes) + 1)
        self._writes.append(write)
        instead = await self._act(self.before, write, request)
        if instead is not None:
            return instead
        async with self._forward(request, body) as upstream:
            answer = await upstream.read()
            headers = _end_to_end(upstream.headers)
        write = self._answered(write, upstream.status)
        return await self._act(self.after, write, request) or web.Response(
            status=upstream.status, headers=headers, body=answer
        )

    async def _act(self, hook: Hook, write: Write, request: web.Request) -> web.StreamResponse | None:
        """Do what a hook wants; return the answer that is to be sent in place of the API server's, if any."""
        try:
            action = hook(write)
            if isinstance(action, Answer):
                self._answered(write, action.status, by_proxy=True)
                headers = {"Content-Type": "application/json", **action.headers}
                return web.Response(status=action.status, headers=headers, body=action.body())
            if isinstance(action, Hold) and not await asyncio.to_thread(action.until.wait, HOLD_SECONDS):
                raise TimeoutError(f"nobody let go of {write} within {HOLD_SECONDS:g} s")
            if isinstance(action, Call | Drop):
                await asyncio.wait_for(asyncio.to_thread(action.function), HOLD_SECONDS)
        except Exception as error:  # a broken hook must fail the test, not the operator
            self.errors.append(error)
            raise
        if isinstance(action, Drop):
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=502)  # to nobody: the connection is gone
        return None

    def _answered(self, write: Write, status: int, *, by_proxy: bool = False) -> Write:
        write = self._writes[write.number - 1] = replace(write, status=status, by_proxy=by_proxy)
        return write

    def _forward(self, request: web.Request, body: bytes | None) -> aiohttp.client._RequestContextManager:
        return self._session.request(
            request.method,
            # As it came: a URL that is taken apart and put together again may be another one.
            URL(self._server + request.raw_path, encoded=True),
            headers=_end_to_end(request.headers),
            data=body,
            ssl=self._anonymous if "Authorization" in request.headers else self._as_admin,
            allow_redirects=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )


def _end_to_end(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in headers.items() if name.lower() not in _HOP_BY_HOP}


def _parsed(request: web.Request, body: bytes, number: int) -> Write:
    content_type = request.headers.get("Content-Type", "").partition(";")[0]
    verb = "apply" if content_type.startswith(_APPLY) else _VERBS[request.method]
    resource, namespace, name, subresource = _parts(request.raw_path)
    if not name and verb == "create":
        name = str((json.loads(body or b"{}").get("metadata") or {}).get("name") or "")
    manager = request.query.get("fieldManager", "")
    return Write(number, verb, resource, namespace, name, subresource, manager, content_type, body)


def _parts(path: str) -> tuple[str, str, str, str]:
    """Take resource, namespace, name and subresource from the path of a Kubernetes API request.

    https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris
    """
    parts = [unquote(part) for part in path.partition("?")[0].strip("/").split("/")]
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces" and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    resource, name, subresource = (*rest, "", "", "")[:3]
    return resource, namespace, name, subresource
