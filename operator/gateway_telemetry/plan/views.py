"""Slim, immutable views of cluster objects: all that planning needs and nothing that it does not.

Caches keep these instead of whole objects. Secret bytes are kept only for labelled source
Secrets, never shown by repr, and replaced by a digest where the operator merely compares.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway_telemetry.api import meta
from gateway_telemetry.plan.injection import Injection

RECORD_KEY = "record.json"
"""Key of the operator's Secret that remembers what was written; it never holds a key."""
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "gateway-telemetry-operator"

Key = tuple[str, str]
"""Namespace and name."""


def compact(value: Any) -> Any:
    """Return a JSON value whose strings are shared with equal ones.

    Thousands of objects carry the same keys, reasons and messages; each decoded answer brings its own copies of them.
    """
    if isinstance(value, str):
        return sys.intern(value)
    if isinstance(value, Mapping):
        return {sys.intern(key): compact(item) for key, item in value.items()}
    if isinstance(value, list):
        return [compact(item) for item in value]
    return value


@dataclass(frozen=True, slots=True)
class Container:
    """A container of a pod template."""

    name: str
    env: tuple[Mapping[str, Any], ...]
    env_from: tuple[Mapping[str, Any], ...]
    mounts: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Rollout:
    """What a workload's status says of its rollout."""

    observed_generation: int
    desired: int
    total: int
    updated: int
    available: int
    paused: bool
    failure: str | None


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment as planning sees it.

    Attributes:
        owned: whether ``metadata.managedFields`` still names this operator (a release is due).
    """

    kind: str
    namespace: str
    name: str
    uid: str
    generation: int
    labels: Mapping[str, str]
    containers: tuple[Container, ...]
    volumes: tuple[Mapping[str, Any], ...]
    config_hash: str | None
    record: str | None
    rollout: Rollout
    deleting: bool
    owned: bool

    @property
    def key(self) -> tuple[str, str, str]:
        """Return kind, namespace and name."""
        return self.kind, self.namespace, self.name

    def container(self, name: str) -> Container | None:
        """Return the container of that name."""
        return next((item for item in self.containers if item.name == name), None)


@dataclass(frozen=True, slots=True)
class Source:
    """A labelled Secret or ConfigMap that users gave to the operator."""

    kind: str
    namespace: str
    name: str
    annotations: Mapping[str, str]
    data: Mapping[str, bytes] = field(repr=False)

    def hosts(self) -> tuple[str, ...] | None:
        """Return the hosts that the key is bound to, or None when it is bound to none in particular."""
        text = self.annotations.get(meta.HOSTS_ANNOTATION)
        if text is None:
            return None
        return tuple(part.strip().lower() for part in text.split(",") if part.strip())


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


def project_workload(obj: Mapping[str, Any]) -> Workload:
    """Return the view of a Deployment as the API server sends it."""
    metadata = obj["metadata"]
    spec = obj.get("spec") or {}
    template = spec.get("template") or {}
    pod = template.get("spec") or {}
    annotations = metadata.get("annotations") or {}
    return Workload(
        kind=obj.get("kind") or "Deployment",
        namespace=metadata.get("namespace") or "default",
        name=metadata["name"],
        uid=metadata.get("uid") or "",
        generation=metadata.get("generation") or 0,
        labels=compact(metadata.get("labels") or {}),
        containers=tuple(
            Container(
                name=item.get("name") or "",
                env=tuple(compact(item.get("env") or [])),
                env_from=tuple(compact(item.get("envFrom") or [])),
                mounts=tuple(compact(item.get("volumeMounts") or [])),
            )
            for item in pod.get("containers") or ()
        ),
        volumes=tuple(compact(pod.get("volumes") or [])),
        config_hash=((template.get("metadata") or {}).get("annotations") or {}).get(meta.CONFIG_HASH_ANNOTATION),
        record=annotations.get(meta.RECORD_ANNOTATION),
        rollout=_rollout(spec, obj.get("status") or {}),
        deleting="deletionTimestamp" in metadata,
        owned=any(
            entry.get("manager") == meta.FIELD_MANAGER and entry.get("operation") == "Apply"
            for entry in metadata.get("managedFields") or ()
        ),
    )


def _rollout(spec: Mapping[str, Any], status: Mapping[str, Any]) -> Rollout:
    failure = next(
        (
            str(item.get("message") or "progress deadline exceeded")
            for item in status.get("conditions") or ()
            if item.get("type") == "Progressing" and item.get("reason") == "ProgressDeadlineExceeded"
        ),
        None,
    )
    replicas = spec.get("replicas")
    return Rollout(
        observed_generation=status.get("observedGeneration") or 0,
        desired=1 if replicas is None else replicas,
        total=status.get("replicas") or 0,
        updated=status.get("updatedReplicas") or 0,
        available=status.get("availableReplicas") or 0,
        paused=bool(spec.get("paused")),
        failure=failure,
    )


def project_source(obj: Mapping[str, Any]) -> Source:
    """Return the view of a labelled Secret or ConfigMap.

    Data that is not valid base64 is kept as an empty value, so that it is reported as such
    instead of stopping the watch.
    """
    metadata = obj["metadata"]
    kind = obj.get("kind") or "Secret"
    data: dict[str, bytes] = {}
    if kind == "Secret":
        for key, text in (obj.get("data") or {}).items():
            try:
                # Line breaks are no error to the API server either; files have them, its answers never.
                data[key] = base64.b64decode("".join((text or "").split()), validate=True)
            except (binascii.Error, ValueError):
                data[key] = b""
        for key, text in (obj.get("stringData") or {}).items():
            data[key] = str(text).encode()
    else:
        data = {key: str(text).encode() for key, text in (obj.get("data") or {}).items()}
    return Source(
        kind=kind,
        namespace=metadata.get("namespace") or "default",
        name=metadata["name"],
        annotations=dict(metadata.get("annotations") or {}),
        data=data,
    )


def digest(files: Mapping[str, str]) -> str:
    """Return a hash of the operator's Secret content other than the record."""
    canonical = json.dumps(dict(sorted(files.items())), ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def project_record(obj: Mapping[str, Any]) -> Record | None:
    """Return the view of the operator's own Secret, or None if it is not one or cannot be read.

    Anybody who may write Secrets can make one that looks like ours: a record speaks for its own namespace only, and
    what is not as the operator writes it counts as none.
    """
    metadata = obj["metadata"]
    if (metadata.get("labels") or {}).get(MANAGED_BY_LABEL) != MANAGED_BY:
        return None
    namespace = metadata.get("namespace") or "default"
    try:
        data = {key: base64.b64decode(text or "").decode() for key, text in (obj.get("data") or {}).items()}
        record = compact(json.loads(data.pop(RECORD_KEY)))
        owner, workload, previous = record["owner"], record["workload"], record.get("previous")
        if owner["namespace"] != namespace or workload["kind"] != "Deployment":
            return None
        return Record(
            namespace=namespace,
            name=metadata["name"],
            owner=(namespace, _text(owner["name"])),
            owner_uid=None if owner.get("uid") is None else _text(owner["uid"]),
            workload=(_text(workload["kind"]), _text(workload["name"])),
            workload_uid=None if workload.get("uid") is None else _text(workload["uid"]),
            injection=Injection.from_json(record["injection"]),
            previous=Injection.from_json(previous) if previous else None,
            digest=digest(data),
            orphan=bool(record.get("orphan")),
        )
    except (KeyError, TypeError, ValueError, RecursionError):
        return None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
