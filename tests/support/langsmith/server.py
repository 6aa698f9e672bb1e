"""The stand-in as a server in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from aiohttp import web

from tests.support.langsmith.app import TRACES, build
from tests.support.langsmith.context import Context, Features, Form
from tests.support.langsmith.faults import Faults
from tests.support.langsmith.identity import Directory, Key
from tests.support.langsmith.listener import Listener, bind
from tests.support.langsmith.store import Store
from tests.support.langsmith.tls import ServerCert

_START_TIMEOUT = 10.0


class StandIn:
    """A LangSmith stand-in on a real socket; see the package's docstring for its use.

    Args:
        base_path: the self-hosted chart's ``config.basePath``, such as ``langsmith/dev``; empty for none.
        form: ``selfhosted`` (API below ``/api/v1``, UI beside it), ``saas`` (the API host) or ``ui`` (the UI host).
        tls: the server's certificate; None is plain HTTP.
        keys: what each API key may do; a plain string is the id of its one workspace.
        host: address to listen on. Anything but loopback is the caller's decision.
        port: 0 picks a free one.
        public_host: host name that ``url`` shows, where it differs from ``host`` (a name in the certificate).
        ingest_delay: seconds until accepted spans become visible.
        orphan_ttl: seconds a span waits for its parent before it is lost.
    """

    def __init__(
        self,
        base_path: str = "",
        form: Form = "selfhosted",
        tls: ServerCert | None = None,
        keys: Mapping[str, Key | str] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        public_host: str | None = None,
        ingest_delay: float = 0.0,
        orphan_ttl: float = 6 * 3600.0,
        features: Features | None = None,
    ) -> None:
        if base_path and form != "selfhosted":
            raise ValueError("only the self-hosted form has a base path")
        self._base_path = "/" + base_path.strip("/") if base_path.strip("/") else ""
        self._form = form
        self._tls = tls
        self._host = host
        self._port = port
        self._public_host = public_host or host
        self.store = Store(ingest_delay=ingest_delay, orphan_ttl=orphan_ttl)
        self.faults = Faults()
        self.features = features or Features()
        self.directory = Directory()
        for text, key in (keys or {}).items():
            self.directory.add_key(text, key)
        self._context = Context(form, self.directory, self.store, self.faults, self.features)
        self._front: Listener | None = None
        self._server: web.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread: threading.Thread | None = None

    # -- addresses ---------------------------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def url(self) -> str:
        """Root of the installation: scheme, host, port and base path, without a trailing slash."""
        scheme = "https" if self._tls else "http"
        host = f"[{self._public_host}]" if ":" in self._public_host else self._public_host
        return f"{scheme}://{host}:{self._port}{self._base_path}"

    @property
    def api_url(self) -> str:
        """Base of the REST API, as ``LANGSMITH_ENDPOINT`` wants it."""
        return self.url if self._form == "saas" else f"{self.url}/api/v1"

    @property
    def otlp_url(self) -> str:
        """Base of OTLP, as ``OTEL_EXPORTER_OTLP_ENDPOINT`` wants it."""
        return f"{self.api_url}/otel"

    @property
    def traces_url(self) -> str:
        """Full OTLP traces URL, as ``OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`` wants it."""
        return f"{self.api_url}{TRACES}"

    @property
    def base_path(self) -> str:
        """The base path as given, without slashes at its ends."""
        return self._base_path.strip("/")

    # -- life --------------------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Start serving; returns when the socket listens.

        Raises:
            OSError: the port cannot be bound.
            TimeoutError: the server does not come up.
        """
        listener = bind(self._host, self._port)
        self._port = int(listener.getsockname()[1])

        async def serve() -> None:
            runner = web.AppRunner(build(self._context, self._base_path), access_log=None, shutdown_timeout=0.5)
            try:
                await runner.setup()
                if runner.server is None:
                    raise RuntimeError("aiohttp made no server")
                front = Listener(listener, runner.server, self._tls.server_context() if self._tls else None)
                self._front, self._server = front, runner.server
                self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
                front.start()
                self._ready.set()
                await self._stop.wait()
                await front.close()
                _cut(runner.server)
                # A goodbye over TLS would wait for the other side, which may be gone; aborting takes a turn.
                await asyncio.sleep(0)
            finally:
                listener.close()
                await runner.cleanup()

        def run() -> None:
            try:
                asyncio.run(serve())
            except BaseException as error:  # handed to the thread that waits in start()
                self._failure = error
                self._ready.set()

        self._thread = threading.Thread(target=run, name="langsmith-stand-in", daemon=True)
        self._thread.start()
        if not self._ready.wait(_START_TIMEOUT):
            raise TimeoutError("the LangSmith stand-in did not come up")
        if self._failure is not None:
            raise self._failure
        return self

    def present(self, tls: ServerCert | None) -> None:
        """Show another certificate, or speak plain HTTP, from now on; connections that are open are cut."""
        self._tls = tls
        if self._loop is None:
            return
        context = tls.server_context() if tls else None
        changed = threading.Event()

        def change() -> None:
            assert self._front is not None
            assert self._server is not None
            self._front.tls = context
            _cut(self._server)
            changed.set()

        self._loop.call_soon_threadsafe(change)
        if not changed.wait(_START_TIMEOUT):
            raise TimeoutError("the LangSmith stand-in does not answer")

    def stop(self) -> None:
        """Stop serving and wait for the thread.

        Raises:
            RuntimeError: a request met a mistake in the stand-in itself; what it answered cannot be relied on.
        """
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread is not None:
            self._thread.join(_START_TIMEOUT)
        self._loop = None
        self._ready.clear()
        if self._failure is not None:
            raise self._failure
        if self._context.internal_errors:
            raise RuntimeError("the stand-in itself failed on a request") from self._context.internal_errors[0]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _cut(server: web.Server) -> None:
    """Cut all connections."""
    for connection in server.connections:
        if connection.transport is not None:
            connection.transport.abort()
