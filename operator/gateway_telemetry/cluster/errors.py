"""What the API server refuses, as one small error tree that the loop can decide on.

Messages are bounded and never hold what was sent: the API server quotes values of the request in some
refusals ("expected string, got &value{…}"), so for Secrets only texts that are known to name fields and
people are passed on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from gateway_telemetry.cluster.paths import ResourcePath

MAX_MESSAGE = 600
"""Longest message that is kept, in characters; conditions and Events have limits of their own."""

_MANAGER = re.compile(r'conflict with "((?:[^"\\]|\\.)*)"')
_RBAC = re.compile(
    r'cannot (?P<verb>\w+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)" '
    r'(?:in the namespace "(?P<namespace>[^"]+)"|at the cluster scope)'
)
_ADMISSION = re.compile(r"admission webhook \"[^\"]+\" denied|ValidatingAdmissionPolicy '[^']+' with binding '[^']+'")


class ClusterError(Exception):
    """Root of everything that this package raises on purpose."""


class ConfigError(ClusterError):
    """No usable way to reach a cluster: the kubeconfig or the Pod's service account is missing or wrong."""


class NotLeading(ClusterError):
    """A write was not sent, because another replica may be leading by now."""


class ApiError(ClusterError):
    """A request that the API server refused, or that it never answered.

    Attributes:
        status: HTTP status; 0 when there was no answer.
        reason: the Status object's CamelCase reason, e.g. ``Conflict``, ``AlreadyExists``, ``Expired``.
        message: why, bounded to `MAX_MESSAGE` characters.
        details: the Status object's ``details`` (name, kind, causes, retryAfterSeconds).
    """

    def __init__(
        self, status: int, reason: str, message: str, details: Mapping[str, Any] | None = None, *, request: str = ""
    ) -> None:
        self.status = status
        self.reason = reason
        self.message = _bounded(message)
        self.details: Mapping[str, Any] = details or {}
        self.request = request
        super().__init__(f"{request}: {status or 'no answer'} {reason}: {self.message}".removeprefix(": "))

    @property
    def causes(self) -> Sequence[Mapping[str, Any]]:
        """The Status object's causes: ``reason``, ``message`` and ``field`` each."""
        return _causes(self.details)


class ReadOnly(ApiError):
    """A write was not sent, because this operator only reports."""


class Unauthorized(ApiError):
    """401: the credentials were refused, also after they were read again."""


class NotFound(ApiError):
    """404: the object, its namespace, or its kind (CRD not installed) does not exist."""


class Expired(ApiError):
    """410: the continue token or resourceVersion is too old; list again from the start."""


class Conflict(ApiError):
    """409: another manager owns a field, the object changed or exists already, or a precondition failed.

    Attributes:
        managers: field managers named by a server-side apply conflict, each once, in order.
        fields: the fields that they own, e.g. ``.spec.template.spec.containers[name="litellm"].image``.
    """

    @property
    def managers(self) -> tuple[str, ...]:
        """Field managers that hold what we would write."""
        found = (_MANAGER.search(cause.get("message") or "") for cause in self._owned())
        return tuple(dict.fromkeys(match.group(1) for match in found if match))

    @property
    def fields(self) -> tuple[str, ...]:
        """Paths of the fields that they hold."""
        return tuple(dict.fromkeys(cause["field"] for cause in self._owned() if cause.get("field")))

    def _owned(self) -> list[Mapping[str, Any]]:
        return [cause for cause in self.causes if cause.get("reason") == "FieldManagerConflict"]


class Invalid(ApiError):
    """422: the object or the patch breaks a rule of its kind; also a failed ``test`` of a JSON patch.

    Attributes:
        fields: the fields that the server names, e.g. ``spec.template.spec.containers[0].image``.
    """

    @property
    def fields(self) -> tuple[str, ...]:
        """Paths of the fields that break a rule."""
        return tuple(dict.fromkeys(cause["field"] for cause in self.causes if cause.get("field")))


class Forbidden(ApiError):
    """403: RBAC, an admission policy, a quota, or a namespace that is being deleted.

    `verb`, `resource`, `group` and `namespace` are what RBAC denied, and empty when it was not RBAC;
    `namespace` is also empty when the permission is missing cluster-wide.
    """

    def __init__(
        self, status: int, reason: str, message: str, details: Mapping[str, Any] | None = None, *, request: str = ""
    ) -> None:
        super().__init__(status, reason, message, details, request=request)
        match = _RBAC.search(message)
        found: dict[str, str | None] = match.groupdict() if match else {}
        self.verb = found.get("verb") or ""
        self.resource = found.get("resource") or ""
        self.group = found.get("group") or ""
        self.namespace = found.get("namespace") or ""

    @property
    def permission(self) -> str:
        """The missing permission for people, e.g. ``patch deployments.apps in namespace team-a``; empty if not RBAC."""
        if not self.verb:
            return ""
        resource = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {resource} " + (f"in namespace {self.namespace}" if self.namespace else "cluster-wide")

    @property
    def namespace_terminating(self) -> bool:
        """Tell whether the namespace is being deleted: nothing can be created there, and nothing needs to be."""
        return any(cause.get("reason") == "NamespaceTerminating" for cause in self.causes)


class Unavailable(ApiError):
    """No answer, or 429 or 5xx: the outcome of a write may be unknown; try again later."""


_BY_STATUS: dict[int, type[ApiError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Expired,
    422: Invalid,
    429: Unavailable,
}


def from_status(status: int, body: object, *, verb: str, path: ResourcePath) -> ApiError:
    """Return the error for an HTTP status and its parsed body (a Status object, or anything else a proxy sent)."""
    answer: Mapping[str, Any] = body if isinstance(body, dict) and body.get("kind") == "Status" else {}
    message = str(answer.get("message") or "the answer is not a Kubernetes Status object (is a proxy in between?)")
    details = answer.get("details")
    details = details if isinstance(details, dict) else {}
    if path.resource == "secrets" and answer:
        message, details = _without_values(status, message, details)
    kind = _BY_STATUS.get(status) or (Unavailable if status >= 500 else ApiError)
    return kind(status, str(answer.get("reason") or "Unknown"), message, details, request=f"{verb} {path}")


def _without_values(status: int, message: str, details: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Drop texts that may quote what a Secret holds: keep who and which field, not what."""
    if status in (401, 404, 409, 410, 429):
        return message, details
    if status == 403 and (denied := _RBAC.search(message)):
        return denied[0], {}
    causes = [{key: cause[key] for key in ("reason", "field") if key in cause} for cause in _causes(details)]
    known = _ADMISSION.search(message)
    named = [f"{cause.get('field', '?')}: {cause.get('reason', '?')}" for cause in causes]
    kept = "; ".join([*([known[0]] if known else []), *named])
    return f"{kept or 'refused'} (text withheld: it may quote the Secret)", {**details, "causes": causes}


def _causes(details: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [cause for cause in details.get("causes") or () if isinstance(cause, Mapping)]


def _bounded(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= MAX_MESSAGE else flat[: MAX_MESSAGE - 1] + "…"
