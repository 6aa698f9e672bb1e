"""A tenant's trace export in TrueFoundry's control plane: what must be written there, and what may be taken back.

The object carries a mark, the evidence stamp among its resource attributes: what carries another mark, or none, is
somebody else's and is never overwritten. A control plane may show header values masked; such a value is not compared,
and an object that holds others' masked values is not written back, since that would destroy them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway_telemetry.adapters.truefoundry_control_plane import (
    ATTRIBUTES,
    EXCLUDE_CONTENT,
    HEADERS,
    MANAGED,
    OBJECT_TYPE,
    TRACES,
    stamp_of,
)
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.endpoint.headers import API_KEY
from gateway_telemetry.plan.targets import Refused
from gateway_telemetry.plan.tenant_record import Manifest

_MASKED = re.compile(r".{0,12}[*•●]{3,}.{0,12}|[<\[(]?(redacted|hidden|masked)[>\])]?|", re.IGNORECASE)
_SWITCH_OFF = (
    "look at AI Gateway > Controls > Settings > OTEL Config, switch the trace export off there, and it is written at "
    "the next look"
)


@dataclass(frozen=True)
class Observed:
    """What a control plane holds.

    Attributes:
        tenant: name of the key's tenant, where there is an object to tell it.
        manifest: the object; None if there is none.
    """

    tenant: str | None
    manifest: Manifest | None = field(repr=False)

    @property
    def exporter(self) -> Manifest | None:
        """The trace export; None where it is off."""
        found = (self.manifest or {}).get(TRACES)
        return found if isinstance(found, Mapping) and found else None

    @property
    def others(self) -> Manifest:
        """What else the object says."""
        return {key: value for key, value in (self.manifest or {}).items() if key not in ("type", TRACES)}


@dataclass(frozen=True)
class Change:
    """What must be written.

    Attributes:
        manifest: the whole object, with the key.
        repair: whether that is because somebody changed what was written.
    """

    manifest: Manifest = field(repr=False)
    repair: bool


def change(
    exporter: Manifest, observed: Observed, tenant: str, marks: frozenset[str], written: str | None
) -> Change | None:
    """Return what must be written, or None if the control plane holds it.

    Args:
        exporter: the wanted trace export.
        tenant: name of the tenant that is meant.
        marks: stamps of exports that are this gateway's to change.
        written: digest of the export that was last written; None where that is not known.

    Raises:
        Refused: TenantMismatch or ControlPlaneConflict.
    """
    check_tenant(observed, tenant)
    live = observed.exporter
    if live is not None and stamp_of(live) not in marks:
        whose = "another GatewayTelemetry or cluster" if stamp_of(live) else "hand"
        raise Refused(
            Reason.CONTROL_PLANE_CONFLICT,
            f"the OTEL config of tenant {tenant} already exports traces, written by {whose}: {_SWITCH_OFF}",
        )
    wanted = digest(exporter)
    if live is not None and not differences(exporter, live):
        known = not any(map(masked, _texts(live.get(HEADERS))))
        if known or written == wanted:
            return None
    _check_whole(observed, tenant)
    kept = {key: value for key, value in (live or {}).items() if key not in MANAGED}
    manifest = {**observed.others, "type": OBJECT_TYPE, TRACES: {**kept, **exporter}}
    return Change(manifest, repair=written == wanted)


def check_tenant(observed: Observed, tenant: str) -> None:
    """Refuse a key of another tenant.

    Raises:
        Refused: TenantMismatch.
    """
    if observed.tenant is not None and observed.tenant != tenant:
        raise Refused(
            Reason.TENANT_MISMATCH,
            f"the control plane's key belongs to tenant {_shown(observed.tenant)}, and install.controlPlane.tenant is "
            f"{tenant}: put a key of that tenant into the Secret, or correct the name",
        )


@dataclass(frozen=True)
class Restoration:
    """How an object becomes what it was.

    Attributes:
        manifest: the whole object; None to delete it.
    """

    manifest: Manifest | None = field(repr=False)


def restoration(observed: Observed, tenant: str, marks: frozenset[str], former: Manifest | None) -> Restoration | None:
    """Return how to take the trace export back, or None if there is none of ours.

    What others changed meanwhile in the rest of the object stays.

    Args:
        former: the object before the first write; None if there was none.

    Raises:
        Refused: TenantMismatch or ControlPlaneConflict.
    """
    check_tenant(observed, tenant)
    live = observed.exporter
    if live is None or stamp_of(live) not in marks:
        return None
    others = observed.others
    if former is None and not any(others.values()):
        return Restoration(None)
    _check_whole(observed, tenant)
    before = {TRACES: former[TRACES]} if former is not None and TRACES in former else {}
    return Restoration({**others, "type": OBJECT_TYPE, **before})


def _check_whole(observed: Observed, tenant: str) -> None:
    hidden = next((path for path, text in _leaves(observed.others) if masked(text) and text), None)
    if hidden is not None:
        raise Refused(
            Reason.CONTROL_PLANE_CONFLICT,
            f"the OTEL config of tenant {tenant} holds {_shown(hidden)}, whose value the control plane does not show: "
            "writing the object would destroy it; take that part out of the object, or configure traces there by hand",
        )


def differences(exporter: Manifest, live: Manifest) -> list[str]:
    """Return the names of the managed fields that are not as wanted; masked header values count as right."""
    names = [*MANAGED, *([EXCLUDE_CONTENT] if EXCLUDE_CONTENT in exporter else [])]
    return [name for name in names if not _same(name, exporter.get(name), live.get(name))]


def _same(name: str, wanted: Any, found: Any) -> bool:
    if name == HEADERS:
        return _same_headers(wanted, found)
    if name == ATTRIBUTES or not wanted:
        return (wanted or None) == (found or None)
    return bool(wanted == found)


def _same_headers(wanted: Mapping[str, str], found: Any) -> bool:
    if not isinstance(found, Mapping) or set(wanted) != set(found):
        return False
    return all(found[name] == value or masked(found[name]) for name, value in wanted.items())


def masked(value: Any) -> bool:
    """Tell whether a text stands for another one that is not shown."""
    return isinstance(value, str) and _MASKED.fullmatch(value) is not None


def digest(exporter: Manifest) -> str:
    """Return a hash of a trace export; keys are random and long, so it tells nothing of them."""
    return hashlib.sha256(json.dumps(exporter, sort_keys=True).encode()).hexdigest()[:32]


def concealed(value: Any) -> Any:
    """Return an object, or a part of it, with the LangSmith key replaced by a short hash, for people to read."""
    if isinstance(value, Mapping):
        return {
            name: f"sha256:{hashlib.sha256(item.encode()).hexdigest()[:8]}"
            if name == API_KEY and isinstance(item, str)
            else concealed(item)
            for name, item in value.items()
        }
    return [concealed(item) for item in value] if isinstance(value, list) else value


def _texts(found: Any) -> list[Any]:
    return list(found.values()) if isinstance(found, Mapping) else []


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item, f"{path}[]")
    elif isinstance(value, str):
        yield path, value


def _shown(text: str) -> str:
    """Return a text that a control plane chose, fit for a message."""
    plain = re.sub(r"[^\x20-\x7e]+", " ", text).strip()
    return repr(plain if len(plain) <= 80 else plain[:79] + "…")
