"""The Kubernetes API as plain JSON over aiohttp: few verbs, one error tree, no models.

Typed clients parse every answer into objects that planning would only take apart again, at three times the CPU
(ADR 0003). Every write names our field manager. There are no hidden retries: the queue backs off and tries again
with fresh knowledge, which a retry of the same request never has. The one exception is a 401, after which the
credentials are read anew once.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import aiohttp

from gateway_telemetry import __version__
from gateway_telemetry.api.meta import FIELD_MANAGER
from gateway_telemetry.cluster.config import Connection
from gateway_telemetry.cluster.errors import (
    ConfigError,
    Conflict,
    Expired,
    NotFound,
    NotLeading,
    ReadOnly,
    Unavailable,
    from_status,
)
from gateway_telemetry.cluster.paths import LEASES, Resource, ResourcePath

logger = logging.getLogger(__name__)

CONNECTIONS = 32
"""Open connections at most; workers bound the requests in flight well below."""
REQUEST_SECONDS = 30.0
"""Longest time for one request and its answer; the API server itself gives up after 60 s."""
PAGE = 200
"""Objects per page of a list: a page is held twice, as text and decoded, and client-go's 500 is felt in memory."""

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"  # JSON is YAML; older servers know only this name


@dataclass(frozen=True)
class Listing:
    """All objects of a list, and the resourceVersion that it speaks of."""

    items: list[dict[str, Any]]
    resource_version: str


class Client:
    """One API server. Use as ``async with Client(await load()) as client``."""

    def __init__(self, connection: Connection, *, request_seconds: float = REQUEST_SECONDS) -> None:
        self._connection = connection
        self._timeout = aiohttp.ClientTimeout(total=request_seconds, sock_connect=min(10.0, request_seconds))
        self._session: aiohttp.ClientSession | None = None
        self.guard: Callable[[], bool] | None = None
        """Asked before every write; a write is not sent when it says no."""
        self.read_only = False
        """Whether nothing is written but status and Leases."""
        self.writes = 0
        """Write requests sent so far; a converged operator sends none."""

    async def __aenter__(self) -> Client:
        connector = aiohttp.TCPConnector(limit=CONNECTIONS, ssl=self._connection.ssl_context or True)
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=self._timeout,
            headers={"User-Agent": f"gateway-telemetry-operator/{__version__}", "Accept": "application/json"},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any]:
        """Return an object.

        Raises:
            NotFound: it does not exist.
            ApiError: any other refusal.
        """
        return await self._request("GET", resource.item(namespace, name))

    async def find(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any] | None:
        """Return an object, or None if it does not exist."""
        try:
            return await self.get(resource, namespace, name)
        except NotFound:
            return None

    async def list(self, resource: Resource, namespace: str | None = None, labels: str = "") -> Listing:
        """Return all objects, page by page; starts again when a page's token has expired in between.

        Args:
            labels: label selector as the API takes it.

        Raises:
            ApiError: it was refused, or the answer is no list.
        """
        for _ in range(3):
            try:
                return await self._pages(resource, namespace, labels)
            except Expired:
                continue
        return await self._pages(resource, namespace, labels, size=0)

    async def _pages(self, resource: Resource, namespace: str | None, labels: str, size: int = PAGE) -> Listing:
        items: list[dict[str, Any]] = []
        token = ""
        while True:
            query = {"labelSelector": labels, "limit": str(size or ""), "continue": token}
            path = resource.collection(namespace)
            answer = await self._request("GET", path, query=query)
            metadata, page = answer.get("metadata"), answer.get("items") or []
            if not isinstance(metadata, dict) or not isinstance(page, list) or not metadata.get("resourceVersion"):
                raise from_status(200, None, verb="GET", path=ResourcePath.parse(path))
            for item in page:
                # Items of a list come without them.
                item["apiVersion"], item["kind"] = resource.api_version, resource.kind
                items.append(item)
            token = metadata.get("continue") or ""
            if not token:
                return Listing(items, metadata["resourceVersion"])

    async def create(self, resource: Resource, namespace: str | None, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object.

        Raises:
            Conflict: one of that name exists.
        """
        return await self._write("POST", resource.collection(namespace), body, "application/json")

    async def replace(
        self, resource: Resource, namespace: str | None, name: str, body: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Replace an object whose resourceVersion is still the body's.

        Raises:
            Conflict: it changed meanwhile.
        """
        return await self._write("PUT", resource.item(namespace, name), body, "application/json")

    async def apply(
        self, resource: Resource, namespace: str | None, name: str, body: Mapping[str, Any], *, force: bool = False
    ) -> dict[str, Any]:
        """Apply a body on the server's side.

        Args:
            force: take fields from their managers.

        Raises:
            Conflict: another manager holds a field with another value, or the uid is another one.
        """
        query = {"force": "true"} if force else {}
        return await self._write("PATCH", resource.item(namespace, name), body, APPLY_PATCH, query)

    async def json_patch(
        self, resource: Resource, namespace: str | None, name: str, operations: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        """Apply a JSON patch (RFC 6902).

        Raises:
            Invalid: a ``test`` failed.
        """
        return await self._write("PATCH", resource.item(namespace, name), operations, JSON_PATCH)

    async def merge_patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: Mapping[str, Any],
        *,
        subresource: str | None = None,
    ) -> dict[str, Any]:
        """Apply a JSON merge patch (RFC 7386)."""
        return await self._write("PATCH", resource.item(namespace, name, subresource), body, MERGE_PATCH)

    async def delete(self, resource: Resource, namespace: str | None, name: str, *, uid: str | None = None) -> bool:
        """Delete an object; return False if it was not there, or another one bears its name now.

        Args:
            uid: delete only the object with this uid.
        """
        body = {"preconditions": {"uid": uid}} if uid else {}
        try:
            await self._write("DELETE", resource.item(namespace, name), body, "application/json")
        except NotFound:
            return False
        except Conflict:
            if uid is None:
                raise
            return False
        return True

    def check_may_write(self, request: str, *, reports: bool = False) -> None:
        """Refuse a write that this process must not send, be it to another server than this one.

        Args:
            request: what is to be written, for messages.
            reports: whether it only tells something.

        Raises:
            NotLeading: another replica may be leading by now.
            ReadOnly: this operator only reports.
        """
        if self.guard is not None and not self.guard():
            raise NotLeading("not leading any more: nothing was written")
        if self.read_only and not reports:
            raise ReadOnly(0, "ReadOnly", "this operator only reports", request=request)

    async def _write(
        self, method: str, path: str, body: object, content_type: str, query: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        where = ResourcePath.parse(path)
        reports = where.subresource == "status" or where.resource == LEASES.plural
        self.check_may_write(f"{method} {where}", reports=reports)
        self.writes += 1
        logger.debug("%s %s %s", method, path, content_type)
        named = {"fieldManager": FIELD_MANAGER} if method != "DELETE" else {}
        return await self._request(method, path, body=body, content_type=content_type, query={**named, **(query or {})})

    async def _request(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        content_type: str = "",
        query: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        params = {key: value for key, value in (query or {}).items() if value}
        header = await self._authorization(method, path)
        status, answer = await self._send(method, path, params, data, content_type, header)
        by_certificate = header is None and self._connection.credentials.configuration.cert_file is not None
        if status == 401 and (header is not None or by_certificate):
            header = await self._authorization(method, path, rejected=header, renew=by_certificate)
            status, answer = await self._send(method, path, params, data, content_type, header)
        if status >= 300 or not isinstance(answer, dict):
            raise from_status(status, answer, verb=method, path=ResourcePath.parse(path))
        return answer

    async def _authorization(
        self, method: str, path: str, *, rejected: str | None = None, renew: bool = False
    ) -> str | None:
        try:
            if renew:
                await self._connection.credentials.renewed()
            return await self._connection.credentials.authorization(rejected=rejected)
        except ConfigError as error:
            # A token file or a plugin that fails now may work at the next try, like a server that does not answer.
            request = f"{method} {ResourcePath.parse(path)}"
            raise Unavailable(0, "NoCredentials", str(error), request=request) from None

    async def _send(
        self,
        method: str,
        path: str,
        params: Mapping[str, str],
        data: bytes | None,
        content_type: str,
        authorization: str | None,
    ) -> tuple[int, object]:
        if self._session is None:
            raise RuntimeError("use the client within `async with`")
        headers = {"Content-Type": content_type} if data is not None else {}
        if authorization is not None:
            headers["Authorization"] = authorization
        try:
            async with self._session.request(
                method,
                self._connection.server + path,
                params=params,
                data=data,
                headers=headers,
                proxy=self._connection.proxy_url,
                server_hostname=self._connection.tls_server_name,
                allow_redirects=False,
            ) as response:
                raw = await response.read()
                status = response.status
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            reason = "Timeout" if isinstance(error, TimeoutError) else type(error).__name__
            request = f"{method} {ResourcePath.parse(path)}"
            raise Unavailable(0, reason, _text(error) or reason, request=request) from None
        try:
            return status, json.loads(raw)
        except ValueError:
            return status, None


def _text(error: Exception) -> str:
    """Return an error's text: hosts and system errors, never headers or bodies, nor a proxy's URL with its password."""
    if isinstance(error, aiohttp.InvalidURL):
        return "the kubeconfig's server or proxy-url is not a URL"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"{error.status} {error.message}"
    return str(error)
