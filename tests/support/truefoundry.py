"""A stand-in of TrueFoundry's control plane: the three requests that concern a tenant's OTEL config.

Every body is parsed with the types of TrueFoundry's own SDK, and refused where these would only let it pass: fields
that they do not know, values beyond their enums. ``truefoundry_sdk`` itself reads and writes it in the tests.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ValidationError
from truefoundry_sdk.types.gateway_otel_config import GatewayOtelConfig

from tests.support.langsmith.tls import ServerCert

KEY = "tfy-marked4711.eyJhbGciOiJSUzI1NiJ9.tenant-admin"
TENANT = "acme"
CONFIG = "/api/svc/v1/llm-gateway/config/gateway-otel-config"
APPLY, DELETE = "/api/svc/v1/apply", "/api/svc/v1/delete"
MASK = "********"


@dataclass(frozen=True)
class Fault:
    """An answer instead of the right one."""

    status: int
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """What came in; dry runs are marked."""

    method: str
    path: str
    key: str
    body: Any = None
    status: int = 0


class ControlPlane:
    """The stand-in as an HTTPS server in a thread of its own.

    Attributes:
        objects: the OTEL config of each tenant that has one.
        keys: which tenant an API key belongs to.
        faults: answers to the next requests; ``down`` answers all of them.
        masks: whether header values are shown masked.
        drops: whether a write is answered and forgotten.
        dry_runs: whether there are dry runs.
    """

    def __init__(self, tls: ServerCert, keys: Mapping[str, str] | None = None) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.keys = dict(keys or {KEY: TENANT})
        self.faults: deque[Fault] = deque()
        self.down: Fault | None = None
        self.masks = False
        self.drops = False
        self.dry_runs = True
        self.requests: list[Request] = []
        handler = type("Handler", (_Handler,), {"control_plane": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        # The handshake is the handler's: a client that does not end it must not hold up others.
        self._server.socket = tls.server_context().wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def host(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """Base URL."""
        return f"https://{self.host}"

    @property
    def exporter(self) -> dict[str, Any] | None:
        """The trace export of the usual tenant."""
        found: dict[str, Any] | None = self.objects.get(TENANT, {}).get("otel_traces_exporter_config")
        return found

    def writes(self) -> list[Request]:
        """Return the requests that changed something, or tried to."""
        return [item for item in self.requests if item.method != "GET" and not (item.body or {}).get("dryRun")]

    def answer(self, method: str, path: str, key: str, body: Any) -> Fault:
        """Answer one request."""
        if self.down is not None:
            return self.down
        if self.faults:
            return self.faults.popleft()
        tenant = self.keys.get(key)
        if tenant is None:
            return _said(401, {"statusCode": 401, "message": "Unauthorized"})
        if (method, path) == ("GET", CONFIG):
            found = self.objects.get(tenant)
            if found is None:
                return _said(404, {"statusCode": 404, "message": "Gateway config not found"})
            return _said(200, self._configuration(tenant, found))
        if (method, path) == ("PUT", APPLY):
            return self._apply(tenant, body)
        if (method, path) == ("POST", DELETE):
            problems = _problems(body, {"manifest"})
            if problems:
                return _said(422, {"message": problems})
            self.objects.pop(tenant, None)
            return _said(200, {})
        return _said(404, {"statusCode": 404, "message": f"Cannot {method} {path}"})

    def _apply(self, tenant: str, body: Any) -> Fault:
        problems = _problems(body, {"manifest", "dryRun", "force"})
        if problems:
            return _said(422, {"message": problems})
        if body.get("dryRun") and not self.dry_runs:
            return _said(400, {"message": "dryRun is not supported"})
        action = "UPDATE" if tenant in self.objects else "CREATE"
        manifest = body["manifest"]
        if not body.get("dryRun") and not self.drops:
            self.objects[tenant] = manifest
        return _said(200, {"action": action, "data": self._configuration(tenant, manifest)})

    def _configuration(self, tenant: str, manifest: dict[str, Any]) -> dict[str, Any]:
        shown = json.loads(json.dumps(manifest))
        if self.masks:
            for exporter in ("otel_traces_exporter_config", "otel_metrics_exporter_config"):
                headers = (shown.get(exporter) or {}).get("headers")
                if headers:
                    shown[exporter]["headers"] = dict.fromkeys(headers, MASK)
        return {
            "id": "c0ffee",
            "tenantName": tenant,
            "type": "gateway-otel-config",
            "manifest": shown,
            "createdBySubject": {"subjectId": "u1", "subjectType": "user", "subjectSlug": "admin@acme.example"},
            "createdAt": "2026-08-21T10:00:00.000Z",
            "updatedAt": "2026-08-21T10:00:00.000Z",
        }


def _said(status: int, body: Any) -> Fault:
    return Fault(status, json.dumps(body).encode())


def _problems(body: Any, fields: set[str]) -> str:
    """Return what is wrong with a body; empty if nothing is."""
    if not isinstance(body, dict) or not set(body) <= fields or not isinstance(body.get("manifest"), dict):
        return "the body is no request of this API"
    if body["manifest"].get("type") != "gateway-otel-config":
        return "unknown manifest type"
    try:
        found = GatewayOtelConfig.model_validate(body["manifest"])
    except ValidationError as error:
        return "; ".join(".".join(map(str, item["loc"])) for item in error.errors())
    return ", ".join(_unknown(found, "manifest"))


def _unknown(value: Any, path: str) -> list[str]:
    """Return what the SDK's types let pass without knowing it."""
    if isinstance(value, BaseModel):
        found = [f"{path}.{name} is not a field" for name in value.model_extra or ()]
        for name in type(value).model_fields:
            found += _unknown(getattr(value, name), f"{path}.{name}")
        return found
    if isinstance(value, list):
        return [text for index, item in enumerate(value) for text in _unknown(item, f"{path}[{index}]")]
    return [f"{path} has no such value"] if getattr(value, "name", "") == "_UNKNOWN" else []


class _Handler(BaseHTTPRequestHandler):
    control_plane: ClassVar[ControlPlane]
    protocol_version = "HTTP/1.1"
    timeout = 30

    def _serve(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        raw = self.rfile.read(length)
        body = json.loads(raw) if raw else None
        key = (self.headers.get("authorization") or "").removeprefix("Bearer ")
        said = self.control_plane.answer(self.command, self.path, key, body)
        self.control_plane.requests.append(Request(self.command, self.path, key, body, said.status))
        self.send_response(said.status)
        headers = {"content-type": "application/json", **said.headers, "content-length": str(len(said.body))}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(said.body)

    do_GET = do_PUT = do_POST = _serve  # noqa: N815 the names are http.server's

    def handle(self) -> None:
        try:
            super().handle()
        except (ssl.SSLError, ConnectionError):
            self.close_connection = True  # a client that does not trust us, or that has left

    def log_message(self, *_args: Any) -> None:
        """Say nothing: the requests are kept."""
