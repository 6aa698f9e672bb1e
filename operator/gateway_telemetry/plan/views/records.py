"""The operator's own Secrets: what was written, and for whom."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gateway_telemetry.adapters.edits import Edit, Path
from gateway_telemetry.api import meta
from gateway_telemetry.api.gateway import RESOURCE_KINDS as OBJECT_KINDS
from gateway_telemetry.plan.injection import Injection
from gateway_telemetry.plan.views.common import TIME_FORMAT, Key, compact, digest
from gateway_telemetry.plan.views.workloads import WORKLOAD_KINDS

RECORD_KEY = "record.json"
"""Key of the operator's Secret that remembers what was written; it never holds a key."""
NOTHING = Injection("", (), (), (), "")
"""The injection of a record that is not about a workload."""
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "gateway-telemetry-operator"


@dataclass(frozen=True, slots=True)
class Added:
    """What was put into an object of ``install.resource``.

    Attributes:
        key: of a ConfigMap.
        edits: what was last put in, or was about to be.
        previous: what stood there before that change.
        made: paths of mappings and lists that were made for it.
        after: digest of a ConfigMap's text with it; empty for other kinds.
        repairs: how often it was put in again after somebody had taken it out.
    """

    key: str
    edits: tuple[Edit, ...]
    previous: tuple[Edit, ...]
    made: tuple[Path, ...]
    after: str
    repairs: int

    @property
    def all(self) -> tuple[Edit, ...]:
        """All that may stand there."""
        return (*self.edits, *self.previous)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON form for the record."""
        return {
            "key": self.key,
            "edits": [item.to_json() for item in self.edits],
            "previous": [item.to_json() for item in self.previous],
            "made": [list(path) for path in self.made],
            "after": self.after,
            "repairs": self.repairs,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Added:
        """Return what ``to_json`` wrote.

        Raises:
            KeyError: a part is missing.
            TypeError: a part is not what it should be.
        """
        made = value["made"]
        if not all(isinstance(part, str) for path in made for part in path) or not isinstance(value["repairs"], int):
            raise TypeError
        return cls(
            key=_text(value["key"]),
            edits=tuple(Edit.from_json(item) for item in value["edits"]),
            previous=tuple(Edit.from_json(item) for item in value["previous"]),
            made=tuple(tuple(path) for path in made),
            after=_text(value["after"]),
            repairs=value["repairs"],
        )


RESOURCE_KINDS = frozenset(kind for kinds in OBJECT_KINDS.values() for kind in kinds)
"""Kinds of objects that settings are put into."""
ORIGINAL_KEY = "original"
"""Key of the operator's Secret that holds a ConfigMap's text without our additions, compressed."""


@dataclass(frozen=True, slots=True)
class Record:
    """The operator's own Secret beside a workload: what was written, for whom.

    Attributes:
        owner: namespace and name of the GatewayTelemetry that it was written for.
        owner_uid: its uid; None when written by ``render``.
        workload: kind and name of the workload.
        injection: what was last written, or was about to be.
        previous: what stood there before that change.
        digest: hash of the other data keys, to compare content without keeping it.
        orphan: whether the owner's deletionPolicy was Orphan.
        failed: hash of content whose rollout failed and was rolled back; it is not written again.
        failed_request: the request (``turns.requested``) that was there then; another one tries again.
        generation: of the workload before the write; None where that was not remembered.
        reference: whether the Secret is one that the chart refers to (install.reference).
        added: what was put into the object that ``workload`` names, if it is one of ``install.resource``.
        uid: of the Secret.
        version: its resourceVersion; two records that differ in it alone are equal.
        written: digest of the content that the operator wrote into a referred Secret; empty where that is not known.
        changed_at: when the content of a referred Secret last changed (RFC 3339); empty otherwise.
    """

    namespace: str
    name: str
    owner: Key
    owner_uid: str | None
    workload: tuple[str, str]
    workload_uid: str | None
    injection: Injection
    previous: Injection | None
    digest: str
    orphan: bool
    failed: str = ""
    failed_request: str = ""
    generation: int | None = None
    reference: bool = False
    written: str = ""
    changed_at: str = ""
    added: Added | None = None
    uid: str = ""
    version: str = field(default="", compare=False)

    @property
    def workload_key(self) -> tuple[str, str, str]:
        """Return kind, namespace and name of the workload."""
        kind, name = self.workload
        return kind, self.namespace, name


def is_managed(obj: Mapping[str, Any]) -> bool:
    """Tell whether an object says of itself that it is this operator's."""
    return bool((obj["metadata"].get("labels") or {}).get(MANAGED_BY_LABEL) == MANAGED_BY)


def annotated_owner(obj: Mapping[str, Any]) -> Key | None:
    """Return the gateway that an object was written for by its annotation; None if there is none in its namespace."""
    metadata = obj["metadata"]
    namespace, _, name = str((metadata.get("annotations") or {}).get(meta.OWNER_ANNOTATION) or "").partition("/")
    return (namespace, name) if name and namespace == (metadata.get("namespace") or "default") else None


def project_record(obj: Mapping[str, Any]) -> Record | None:
    """Return the view of the operator's own Secret, or None if it is not one or cannot be read.

    Anybody who may write Secrets can make one that looks like ours: a record speaks for its own namespace only, and
    what is not as the operator writes it counts as none.
    """
    metadata = obj["metadata"]
    if not is_managed(obj):
        return None
    namespace = metadata.get("namespace") or "default"
    if (metadata.get("annotations") or {}).get(meta.CHANGED_AT_ANNOTATION):
        return _project_reference(obj, namespace)
    try:
        data = {key: base64.b64decode(text or "").decode() for key, text in (obj.get("data") or {}).items()}
        record = compact(json.loads(data.pop(RECORD_KEY)))
        data = {key: text for key, text in data.items() if not key.startswith("previous.") and key != ORIGINAL_KEY}
        owner, workload, previous = record["owner"], record["workload"], record.get("previous")
        added = None if "added" not in record else Added.from_json(record["added"])
        known = WORKLOAD_KINDS if added is None else RESOURCE_KINDS
        if owner["namespace"] != namespace or workload["kind"] not in known:
            return None
        return Record(
            namespace=namespace,
            name=metadata["name"],
            owner=(namespace, _name(owner["name"])),
            owner_uid=None if owner.get("uid") is None else _text(owner["uid"]),
            workload=(_text(workload["kind"]), _name(workload["name"])),
            workload_uid=None if workload.get("uid") is None else _text(workload["uid"]),
            injection=NOTHING if added is not None else Injection.from_json(record["injection"]),
            previous=Injection.from_json(previous) if previous else None,
            digest=digest(data),
            orphan=bool(record.get("orphan")),
            failed=_text(record.get("failed") or ""),
            failed_request=_text(record.get("failedRequest") or ""),
            generation=_number(workload.get("generation")),
            added=added,
            uid=metadata.get("uid") or "",
            version=metadata.get("resourceVersion") or "",
        )
    except (KeyError, TypeError, ValueError, RecursionError):
        return None


def _project_reference(obj: Mapping[str, Any], namespace: str) -> Record | None:
    """Return the record of a Secret that a chart refers to: it holds no record of its own, pods see all its keys."""
    metadata = obj["metadata"]
    annotations = metadata["annotations"]
    owner = annotated_owner(obj)
    if owner is None:
        return None
    changed_at = annotations[meta.CHANGED_AT_ANNOTATION]
    try:
        datetime.strptime(changed_at, TIME_FORMAT).replace(tzinfo=UTC)
        data = {key: base64.b64decode(text or "").decode() for key, text in (obj.get("data") or {}).items()}
    except ValueError:
        return None
    return Record(
        namespace=namespace,
        name=metadata["name"],
        owner=owner,
        owner_uid=annotations.get(meta.OWNER_UID_ANNOTATION) or None,
        workload=("", ""),
        workload_uid=None,
        injection=NOTHING,
        previous=None,
        digest=digest(data),
        orphan=annotations.get(meta.ORPHAN_ANNOTATION) == "true",
        reference=True,
        written=annotations.get(meta.CONFIG_HASH_ANNOTATION) or "",
        changed_at=changed_at,
        uid=metadata.get("uid") or "",
        version=metadata.get("resourceVersion") or "",
    )


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _name(value: Any) -> str:
    """Return the name of an object; `gw/status` or `../x` would become other paths of the API server."""
    if not meta.is_object_name(_text(value)):
        raise ValueError
    return _text(value)
