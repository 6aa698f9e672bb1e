"""What every handler shares: the installation's state, its features, and the helpers for answers."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, Literal
from uuid import UUID

from aiohttp import web

from tests.support.langsmith.faults import NGINX, SPA, Fault, Faults
from tests.support.langsmith.identity import Directory, Key, Permission
from tests.support.langsmith.store import Store

Form = Literal["selfhosted", "saas", "ui"]
MAX_BODY_BYTES: Final = 25 * 1024 * 1024  # frontend.maxBodySize of the self-hosted chart


@dataclass
class Features:
    """What differs between LangSmith versions and installations; may be changed while the server runs."""

    version: str = "0.17.12"
    license_expiration_time: str | None = "2030-01-01T00:00:00Z"
    info_requires_key: bool = False
    runs_v1: bool = True
    runs_v2: bool = True


@dataclass
class Context:
    """The state of one stand-in."""

    form: Form
    directory: Directory
    store: Store
    faults: Faults
    features: Features = field(default_factory=Features)
    internal_errors: list[Exception] = field(default_factory=list)

    def authenticate(self, request: web.Request, permission: Permission, *, otlp: bool = False) -> Key:
        """Return the key of a request.

        Raises:
            AuthError: it is refused.
        """
        return self.directory.authenticate(request.headers.get("x-api-key"), otlp=otlp, permission=permission)

    def workspace_of(self, request: web.Request, permission: Permission = "read", *, otlp: bool = False) -> str:
        """Return the workspace a request acts in.

        Raises:
            AuthError: the key is refused, or may not act there.
        """
        key = self.authenticate(request, permission, otlp=otlp)
        workspace = self.directory.choose_workspace(key, request.headers.get("X-Tenant-Id"))
        request[NOTES].workspace_id = workspace
        return workspace


@dataclass
class Notes:
    """What is learnt about a request on its way."""

    path_class: str = "other"
    workspace_id: str | None = None
    fault: Fault | None = None
    aborted: bool = False


CONTEXT: Final = web.AppKey("context", Context)
NOTES: Final = web.RequestKey("notes", Notes)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class InputError(Exception):
    """A request that cannot be served, with its status and what is wrong."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def json_response(data: Any, status: int = 200, *, content_type: str = "application/json") -> web.Response:
    """Return a JSON answer."""
    return web.Response(body=json.dumps(data).encode(), status=status, content_type=content_type)


def problem(status: int, detail: str) -> web.Response:
    """Return a problem-details answer (RFC 9457), as the v2 API does."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return json_response(body, status, content_type="application/problem+json")


def nginx(status: int, title: str) -> web.Response:
    """Return an error page as nginx writes it."""
    return web.Response(status=status, text=NGINX.format(f"{status} {title}"), content_type="text/html")


def spa() -> web.Response:
    """Return the UI's page, which nginx serves for every unknown path."""
    return web.Response(text=SPA, content_type="text/html")


async def read_object(request: web.Request) -> dict[str, Any]:
    """Return a JSON object body.

    Raises:
        InputError: the body is something else.
    """
    try:
        body = json.loads(await request.read())
    except ValueError as error:
        raise InputError(400, "the body is not JSON") from error
    if not isinstance(body, dict):
        raise InputError(422, "the body is not an object")
    return body


def as_uuid(value: Any, name: str) -> UUID:
    """Return a UUID.

    Raises:
        InputError: it is not one (422, as LangSmith answers).
    """
    try:
        return UUID(str(value))
    except ValueError as error:
        raise InputError(422, f"{name}: {value!r} is not a valid UUID") from error


def uuids(body: Mapping[str, Any], name: str) -> set[UUID]:
    """Return a list of UUIDs from a body; absent is empty.

    Raises:
        InputError: it is not a list of UUIDs.
    """
    value = [] if body.get(name) is None else body[name]
    if not isinstance(value, list):
        raise InputError(422, f"{name} is not a list")
    return {as_uuid(item, name) for item in value}


def bounded(value: Any, name: str, default: int, top: int) -> int:
    """Return an integer from 1 to ``top``.

    Raises:
        InputError: it is not one.
    """
    if value is None:
        return default
    try:
        number = int(value)
    except (TypeError, ValueError) as error:
        raise InputError(422, f"{name}: {value!r} is not an integer") from error
    if not 1 <= number <= top:
        raise InputError(422, f"{name} must be from 1 to {top}")
    return number
