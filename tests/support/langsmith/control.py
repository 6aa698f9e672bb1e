"""The stand-in's control endpoint: ground truth and faults over HTTP, for tests that run it as a process or a pod.

It listens on a port of its own, so that nothing of it can be taken for LangSmith's API::

    GET  /counts /requests /spans /runs      ground truth, JSON
    PUT  /faults      [{"name": "rate-limited", "on": "ingest", "times": null}, {"status": 418, "on": "read"}]
    PATCH /features   {"runs_v1": false}     fields of Features
    PATCH /store      {"ingest_delay": 2.5, "orphan_ttl": 1}
    PUT  /keys        {"lsv2_sk_x": {"state": "revoked"}}     fields of Key; those left out are as in a new Key
    PUT  /certificate {"kind": "expired"}    of CertificateAuthority.kinds, or null for plain HTTP
    PUT  /listening   {"on": false}          refuse connections, or take them again
"""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tests.support.langsmith.faults import CATALOGUE, Fault
from tests.support.langsmith.identity import Key
from tests.support.langsmith.server import StandIn
from tests.support.langsmith.tls import ServerCert


class Control:
    """Serves control over a stand-in while the block lasts.

    Args:
        certificates: what ``PUT /certificate`` may name.
    """

    def __init__(
        self,
        langsmith: StandIn,
        certificates: Mapping[str, ServerCert] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self._langsmith = langsmith
        self._certificates = dict(certificates or {})
        self._on = True
        self._reads: dict[str, Callable[[], Any]] = {
            "/counts": self._counts,
            "/requests": lambda: [dataclasses.asdict(item) for item in langsmith.store.requests()],
            "/spans": self._spans,
            "/runs": self._runs,
        }
        self._changes: dict[tuple[str, str], Callable[[Any], None]] = {
            ("PUT", "/faults"): self._faults,
            ("PATCH", "/features"): lambda body: _set(langsmith.features, body),
            ("PATCH", "/store"): self._store,
            ("PUT", "/keys"): self._keys,
            ("PUT", "/certificate"): self._certificate,
            ("PUT", "/listening"): self._listening,
        }
        self._server = ThreadingHTTPServer((host, port), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, name="stand-in-control", daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def answer(self, method: str, path: str, body: bytes) -> Any:
        """Return what a request asks for.

        Raises:
            KeyError, TypeError, ValueError: it asks for something that there is not.
        """
        if method == "GET":
            return self._reads[path]()
        self._changes[method, path](json.loads(body or b"null"))
        return {}

    def _counts(self) -> Any:
        counts = self._langsmith.store.counts()
        return [{"pathClass": path, "key": key, "count": count} for (path, key), count in counts.items()]

    def _spans(self) -> Any:
        return [
            {
                "fate": item.fate,
                "workspaceId": item.workspace_id,
                "project": item.project_name,
                "name": item.span.name,
                "spanId": item.span.span_id,
                "parentId": item.span.parent_span_id,
                "metadata": item.body.metadata,
            }
            for item in self._langsmith.store.spans()
        ]

    def _runs(self) -> Any:
        names = {item.id: item.name for item in self._langsmith.store.projects()}
        return [
            {
                "id": item.id,
                "name": item.body.name,
                "workspaceId": item.workspace_id,
                "project": names.get(item.project_id),
                "start": item.body.start_time,
                "metadata": item.body.metadata,
            }
            for item in self._langsmith.store.runs()
        ]

    def _faults(self, body: Any) -> None:
        wanted = [_fault(item) for item in body]
        self._langsmith.faults.clear()
        for fault in wanted:
            self._langsmith.faults.add(fault)

    def _store(self, body: Any) -> None:
        store = self._langsmith.store
        if body.keys() - {"ingest_delay", "orphan_ttl"}:
            raise ValueError("the store has ingest_delay and orphan_ttl")
        store.ingest_delay = float(body.get("ingest_delay", store.ingest_delay))
        store.orphan_ttl = float(body.get("orphan_ttl", store.orphan_ttl))

    def _keys(self, body: Any) -> None:
        for text, fields in body.items():
            made = {**fields, **({"workspaces": tuple(fields["workspaces"])} if "workspaces" in fields else {})}
            if "permissions" in fields:
                made["permissions"] = frozenset(fields["permissions"])
            self._langsmith.directory.add_key(text, Key(**made))

    def _certificate(self, body: Any) -> None:
        self._langsmith.present(None if body is None else self._certificates[body["kind"]])

    def _listening(self, body: Any) -> None:
        if self._on and not body["on"]:
            self._langsmith.stop()
        elif body["on"] and not self._on:
            self._langsmith.start()
        self._on = bool(body["on"])


def _fault(item: Mapping[str, Any]) -> Fault:
    fields = dict(item)
    base = CATALOGUE[fields.pop("name")] if "name" in fields else Fault()
    return dataclasses.replace(base, **fields)


def _set(target: object, fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        getattr(target, name)
        setattr(target, name, value)


def _handler(control: Control) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            try:
                status, found = 200, control.answer(self.command, self.path, body)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                status, found = 400, {"error": repr(error)}
            data = json.dumps(found, default=str).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PUT = do_PATCH = _serve  # noqa: N815 the base class names them so

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 the base class names it so
            """Write nothing: the process' output is for its addresses."""

    return Handler
