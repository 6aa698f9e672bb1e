"""The operator's own Secret that remembers what it wrote into a control plane, and what stood there before.

It holds secrets: the object of before, whose headers may carry somebody's keys, and a copy of the control plane's
key, so that what was written can be taken back when the user's Secret goes at the same time.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway_telemetry.api import meta
from gateway_telemetry.plan.managed import managed_secret, record_text
from gateway_telemetry.plan.views import Key, is_managed

Manifest = Mapping[str, Any]
"""The object of a control plane that holds a tenant's exports, as its API takes and gives it."""
TenantKey = tuple[str, str]
"""Host of a control plane, with its port where that is not 443, and the name of a tenant."""
DATA_KEY = "control-plane.json"
"""Key of the Secret's data."""


@dataclass(frozen=True, slots=True)
class TenantRecord:
    """What the Secret says, without what is secret in it.

    Attributes:
        owner: namespace and name of the GatewayTelemetry that it was written for.
        url: of the control plane.
        stamp: mark of the export that was written.
        written: digest of the export that was last written, or was about to be.
        orphan: whether the owner's deletionPolicy was Orphan.
        access: digest of what the Secret remembers of the way to the control plane.
        version: resourceVersion of the Secret; two records that differ in it alone are equal.
    """

    namespace: str
    name: str
    tenant: TenantKey
    owner: Key
    owner_uid: str | None
    url: str
    stamp: str
    written: str
    orphan: bool
    access: str
    uid: str = ""
    version: str = field(default="", compare=False)


@dataclass(frozen=True)
class Remembered:
    """What is secret in the Secret.

    Attributes:
        former: the object before the first write; None if there was none.
    """

    former: Manifest | None = field(repr=False)
    api_key: str = field(repr=False)
    ca_pem: str | None


def record_name(tenant: TenantKey) -> str:
    """Return the name of the Secret for a tenant."""
    return f"gateway-telemetry-tenant-{hashlib.sha256('/'.join(tenant).encode()).hexdigest()[:16]}"


def access_digest(api_key: str, ca_pem: str | None) -> str:
    """Return a hash of the way to a control plane; keys are random and long, so it tells nothing of them."""
    return hashlib.sha256(f"{api_key}\0{ca_pem or ''}".encode()).hexdigest()[:16]


def record_object(record: TenantRecord, remembered: Remembered) -> dict[str, Any]:
    """Return the Secret, whole."""
    content = {
        "owner": {"namespace": record.owner[0], "name": record.owner[1], "uid": record.owner_uid or None},
        "url": record.url,
        "host": record.tenant[0],
        "tenant": record.tenant[1],
        "stamp": record.stamp,
        "written": record.written,
        "orphan": record.orphan,
        "former": remembered.former,
        "apiKey": remembered.api_key,
        "ca": remembered.ca_pem,
    }
    owner = {meta.OWNER_ANNOTATION: f"{record.owner[0]}/{record.owner[1]}"}
    return managed_secret(record.namespace, record.name, owner, {DATA_KEY: record_text(content)}, {})


def project_tenant_record(obj: Mapping[str, Any]) -> TenantRecord | None:
    """Return the view of such a Secret, or None if it is not one or cannot be read.

    Anybody who may write Secrets can make one that looks like ours: a record speaks for its own namespace only.
    """
    found = _read(obj)
    return None if found is None else found[0]


def remembered_of(obj: Mapping[str, Any]) -> Remembered | None:
    """Return what is secret in such a Secret, or None if it is not one or cannot be read."""
    found = _read(obj)
    return None if found is None else found[1]


def _read(obj: Mapping[str, Any]) -> tuple[TenantRecord, Remembered] | None:
    metadata = obj["metadata"]
    data = obj.get("data") or {}
    if not is_managed(obj) or DATA_KEY not in data:
        return None
    namespace = metadata.get("namespace") or "default"
    try:
        content = json.loads(base64.b64decode(data[DATA_KEY] or "", validate=True))
        owner, former, ca_pem = content["owner"], content["former"], content["ca"]
        api_key, tenant = _text(content["apiKey"]), (_text(content["host"]), _text(content["tenant"]))
        if owner["namespace"] != namespace or not meta.is_object_name(_text(owner["name"])):
            return None
        if metadata["name"] != record_name(tenant) or not isinstance(former, dict | None):
            return None
        record = TenantRecord(
            namespace=namespace,
            name=metadata["name"],
            tenant=tenant,
            owner=(namespace, owner["name"]),
            owner_uid=None if owner.get("uid") is None else _text(owner["uid"]),
            url=_text(content["url"]),
            stamp=_text(content["stamp"]),
            written=_text(content["written"]),
            orphan=bool(content["orphan"]),
            access=access_digest(api_key, ca_pem),
            uid=metadata.get("uid") or "",
            version=metadata.get("resourceVersion") or "",
        )
        return record, Remembered(former, api_key, None if ca_pem is None else _text(ca_pem))
    except (binascii.Error, KeyError, TypeError, ValueError, RecursionError):
        return None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
