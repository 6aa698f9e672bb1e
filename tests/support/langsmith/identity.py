"""Workspaces, keys and which of them a request may use.

LangSmith chooses the workspace by the key, or by ``X-Tenant-Id`` where the key may use several. A key that is good but
belongs elsewhere gives no error at all, which is why the stand-in has to get this part exactly right.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from uuid import UUID

DEFAULT_WORKSPACE: Final = "5f2c7a3e-0000-4000-8000-000000000001"
ORGANIZATION: Final = "5f2c7a3e-0000-4000-8000-0000000000aa"

Scope = Literal["workspace", "org", "personal"]
State = Literal["active", "revoked", "foreign", "legacy", "invalid"]
Permission = Literal["ingest", "read"]


@dataclass(frozen=True)
class Workspace:
    """A workspace (LangSmith's API calls it a tenant)."""

    id: str
    display_name: str = "Workspace"
    organization_id: str = ORGANIZATION

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", str(UUID(self.id)))


@dataclass(frozen=True)
class Key:
    """What an API key may do; its text is the key of the mapping given to the stand-in, and is not kept in here.

    Scope: a ``workspace`` key has exactly one workspace; an ``org`` key must be told which by ``X-Tenant-Id``; a
    ``personal`` key uses its first workspace when the header is absent.
    State: ``foreign`` is a key of another region, ``invalid`` is a bad key as an older backend answers it.
    """

    workspaces: tuple[str, ...] = (DEFAULT_WORKSPACE,)
    scope: Scope = "workspace"
    state: State = "active"
    permissions: frozenset[Permission] = frozenset({"ingest", "read"})

    def __post_init__(self) -> None:
        object.__setattr__(self, "workspaces", tuple(str(UUID(w)) for w in self.workspaces))
        if not self.workspaces or (self.scope == "workspace" and len(self.workspaces) != 1):
            raise ValueError(f"a key of scope {self.scope!r} cannot have {len(self.workspaces)} workspaces")


class AuthError(Exception):
    """A refusal, with the status and JSON body that LangSmith answers."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"{status}")
        self.status = status
        self.body = body


UNAUTHORIZED: Final = (401, {"error": "Unauthorized"})
FORBIDDEN: Final = (403, {"error": "Forbidden"})
ORG_KEY_NEEDS_WORKSPACE: Final = (403, {"error": "org_scoped_key_requires_workspace"})
LEGACY_KEY: Final = (401, {"detail": "Using legacy API key. Please generate a new API key."})
INVALID_TOKEN: Final = (401, {"detail": "Invalid token"})

# What a key in each state is answered: on OTLP ingest, and on everything else.
REFUSALS: Final[dict[str, tuple[tuple[int, dict[str, str]], tuple[int, dict[str, str]]]]] = {
    "missing": (UNAUTHORIZED, UNAUTHORIZED),
    "unknown": (UNAUTHORIZED, UNAUTHORIZED),
    "revoked": (UNAUTHORIZED, UNAUTHORIZED),
    "foreign": (UNAUTHORIZED, FORBIDDEN),
    "legacy": (LEGACY_KEY, LEGACY_KEY),
    "invalid": (INVALID_TOKEN, INVALID_TOKEN),
}


def fingerprint(key: str) -> str:
    """Return the first eight hex digits of the key's SHA-256: tells keys apart without showing them."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:8]


def is_uuid(text: str) -> bool:
    """Tell whether the text is a UUID."""
    try:
        UUID(text)
    except ValueError:
        return False
    return True


@dataclass
class Directory:
    """The keys and workspaces of one LangSmith installation."""

    keys: dict[str, Key] = field(default_factory=dict, repr=False)
    workspaces: dict[str, Workspace] = field(default_factory=dict)

    def add_key(self, text: str, key: Key | str) -> None:
        """Add or replace a key; a plain string is the id of its one workspace."""
        key = key if isinstance(key, Key) else Key(workspaces=(key,))
        for workspace in key.workspaces:
            self.workspaces.setdefault(workspace, Workspace(workspace))
        self.keys[text] = key

    def authenticate(self, text: str | None, *, otlp: bool, permission: Permission) -> Key:
        """Return the active key behind ``x-api-key``.

        Raises:
            AuthError: the key is missing, not good, or lacks the permission.
        """
        key = self.keys.get(text) if text else None
        state = "missing" if not text else key.state if key else "unknown"
        if key is None or state != "active":
            raise AuthError(*REFUSALS[state][0 if otlp else 1])
        if permission not in key.permissions:
            raise AuthError(*FORBIDDEN)
        return key

    def choose_workspace(self, key: Key, tenant_id: str | None) -> str:
        """Return the workspace that a request with this key and ``X-Tenant-Id`` acts in.

        Raises:
            AuthError: the key needs the header and it is absent, or may not use that workspace.
        """
        if not tenant_id:
            if key.scope == "org":
                raise AuthError(*ORG_KEY_NEEDS_WORKSPACE)
            return key.workspaces[0]
        if not is_uuid(tenant_id) or str(UUID(tenant_id)) not in key.workspaces:
            raise AuthError(*FORBIDDEN)
        return str(UUID(tenant_id))
