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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gateway_telemetry.adapters.edits import Edit, Path
from gateway_telemetry.api import meta
from gateway_telemetry.api.gateway import RESOURCE_KINDS as OBJECT_KINDS
from gateway_telemetry.plan.injection import Injection

RECORD_KEY = "record.json"
"""Key of the operator's Secret that remembers what was written; it never holds a key."""
NOTHING = Injection("", (), (), (), "")
"""The injection of a record that is not about a workload."""
TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
"""How Kubernetes writes a time: RFC 3339, seconds, UTC."""
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
    """What a workload's spec and status say of its rollout, the same for all kinds.

    Attributes:
        desired: pods that there should be.
        updated: of the newest template.
        total: of any template.
        paused: whether its controller replaces no pods by order of the spec.
        by_hand: why pods are replaced only when somebody deletes them (OnDelete, a partition), or None.
        failure: why the controller has given up, or None.
        deadline: seconds that new pods may take to become ready where their controller does not count, or None.
    """

    observed_generation: int
    desired: int
    total: int
    updated: int
    available: int
    paused: bool
    by_hand: str | None
    failure: str | None
    deadline: int | None = None


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment, StatefulSet or DaemonSet as planning sees it.

    Attributes:
        pods: label selector of its pods, as the API takes it.
        last_manager: field manager that changed its spec or metadata last, other than this operator; may be empty.
        restarted_at: when a restart of its pods was last asked for (RFC 3339), as ``kubectl rollout restart`` does.
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
    pods: str = ""
    last_manager: str = ""
    restarted_at: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """Return kind, namespace and name."""
        return self.kind, self.namespace, self.name

    def container(self, name: str) -> Container | None:
        """Return the container of that name."""
        return next((item for item in self.containers if item.name == name), None)


def mounted_config_maps(workload: Workload) -> set[str]:
    """Return the names of the ConfigMaps in a workload's volumes."""
    sources = (item for volume in workload.volumes for item in (volume, *_projected(volume)))
    return {name for item in sources if (name := (item.get("configMap") or {}).get("name"))}


def _projected(volume: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return (volume.get("projected") or {}).get("sources") or ()


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod as far as rollouts are concerned.

    Attributes:
        created: RFC 3339.
        config_hash: of its template.
        restarted_at: when the restart was asked for that its template carries (RFC 3339); may be empty.
        trouble: why it does not run and will not without somebody's help, or None.
    """

    name: str
    created: str
    config_hash: str | None
    trouble: str | None
    restarted_at: str = ""
    ready: bool = False


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


WORKLOAD_KINDS = frozenset({"Deployment", "StatefulSet", "DaemonSet"})
"""Kinds with a pod template."""
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


def project_workload(obj: Mapping[str, Any]) -> Workload:
    """Return the view of a Deployment, StatefulSet or DaemonSet as the API server sends it."""
    metadata = obj["metadata"]
    spec = obj.get("spec") or {}
    template = spec.get("template") or {}
    pod = template.get("spec") or {}
    annotations = metadata.get("annotations") or {}
    kind = obj.get("kind") or "Deployment"
    return Workload(
        kind=kind,
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
        rollout=_ROLLOUTS[kind](spec, obj.get("status") or {}),
        deleting="deletionTimestamp" in metadata,
        owned=any(
            entry.get("manager") == meta.FIELD_MANAGER and entry.get("operation") == "Apply"
            for entry in metadata.get("managedFields") or ()
        ),
        pods=_label_selector(spec.get("selector") or {}),
        last_manager=last_manager(metadata.get("managedFields") or ()),
        restarted_at=((template.get("metadata") or {}).get("annotations") or {}).get(_RESTARTED_AT) or "",
    )


def _label_selector(selector: Mapping[str, Any]) -> str:
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for item in selector.get("matchExpressions") or ():
        key, values = item["key"], ",".join(item.get("values") or ())
        word = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "DoesNotExist": f"!{key}"}
        parts.append(word.get(item["operator"], key))
    return ",".join(parts)


def last_manager(entries: Sequence[Mapping[str, Any]]) -> str:
    """Return the field manager that changed an object last, other than this operator; may be empty."""
    others = [
        (item.get("time") or "", item.get("manager") or "")
        for item in entries
        if item.get("manager") != meta.FIELD_MANAGER and not item.get("subresource")
    ]
    return max(others, default=("", ""))[1]


def _replicas(spec: Mapping[str, Any]) -> int:
    replicas = spec.get("replicas")
    return 1 if replicas is None else int(replicas)


def _deployment(spec: Mapping[str, Any], status: Mapping[str, Any]) -> Rollout:
    progressing: Mapping[str, Any] = next(
        (item for item in status.get("conditions") or () if item.get("type") == "Progressing"), {}
    )
    failure = deadline = None
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        failure = str(progressing.get("message") or "progress deadline exceeded")
    elif progressing.get("reason") == "NewReplicaSetAvailable":
        # The condition of the rollout before. It stays, and no deadline counts, if the write that tells of the new
        # ReplicaSet meets a conflict, as with two writes of a Deployment in a row:
        # https://github.com/kubernetes/kubernetes/blob/v1.34.0/pkg/controller/deployment/sync.go (getNewReplicaSet)
        deadline = spec.get("progressDeadlineSeconds")
    return Rollout(
        observed_generation=status.get("observedGeneration") or 0,
        desired=_replicas(spec),
        total=status.get("replicas") or 0,
        updated=status.get("updatedReplicas") or 0,
        available=status.get("availableReplicas") or 0,
        paused=bool(spec.get("paused")),
        by_hand=None,
        failure=failure,
        deadline=deadline,
    )


def _stateful_set(spec: Mapping[str, Any], status: Mapping[str, Any]) -> Rollout:
    strategy = spec.get("updateStrategy") or {}
    partition = (strategy.get("rollingUpdate") or {}).get("partition") or 0
    by_hand = None
    if strategy.get("type") == "OnDelete":
        by_hand = "its update strategy is OnDelete"
    elif partition:
        by_hand = f"its update strategy has partition {partition}"
    # updatedReplicas is left out of the status once the update is complete and the revisions are equal.
    done = status.get("currentRevision") == status.get("updateRevision")
    return Rollout(
        observed_generation=status.get("observedGeneration") or 0,
        desired=_replicas(spec),
        total=status.get("replicas") or 0,
        updated=status.get("updatedReplicas") or ((status.get("replicas") or 0) if done else 0),
        available=status.get("availableReplicas") or 0,
        paused=False,
        by_hand=by_hand,
        failure=None,
    )


def _daemon_set(spec: Mapping[str, Any], status: Mapping[str, Any]) -> Rollout:
    strategy = spec.get("updateStrategy") or {}
    return Rollout(
        observed_generation=status.get("observedGeneration") or 0,
        desired=status.get("desiredNumberScheduled") or 0,
        total=status.get("currentNumberScheduled") or 0,
        updated=status.get("updatedNumberScheduled") or 0,
        available=status.get("numberAvailable") or 0,
        paused=False,
        by_hand="its update strategy is OnDelete" if strategy.get("type") == "OnDelete" else None,
        failure=None,
    )


_ROLLOUTS = {"Deployment": _deployment, "StatefulSet": _stateful_set, "DaemonSet": _daemon_set}


_RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
HOPELESS = frozenset(
    {
        "CrashLoopBackOff",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
    }
)
"""Reasons of waiting containers that do not pass by themselves within seconds; ErrImagePull may."""


def project_pod(obj: Mapping[str, Any]) -> Pod | None:
    """Return the view of a pod, or None if it has ended or is going away."""
    metadata, status = obj["metadata"], obj.get("status") or {}
    if "deletionTimestamp" in metadata or status.get("phase") in ("Succeeded", "Failed"):
        return None
    states = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    found = None
    for item in states:
        waiting = (item.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in HOPELESS:
            found = f"container {item.get('name')}: {waiting['reason']}"
            break
    annotations = metadata.get("annotations") or {}
    return Pod(
        name=metadata["name"],
        created=metadata.get("creationTimestamp") or "",
        config_hash=annotations.get(meta.CONFIG_HASH_ANNOTATION),
        trouble=found,
        restarted_at=annotations.get(_RESTARTED_AT) or "",
        ready=any(
            item.get("type") == "Ready" and item.get("status") == "True" for item in status.get("conditions") or ()
        ),
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
    if (metadata.get("annotations") or {}).get(meta.CHANGED_AT_ANNOTATION):
        return _project_reference(obj, namespace)
    try:
        data = {key: base64.b64decode(text or "").decode() for key, text in (obj.get("data") or {}).items()}
        record = compact(json.loads(data.pop(RECORD_KEY)))
        data = {key: text for key, text in data.items() if not key.startswith("previous.") and key != ORIGINAL_KEY}
        owner, workload, previous = record["owner"], record["workload"], record.get("previous")
        added = None if "added" not in record else Added.from_json(record["added"])
        known = _ROLLOUTS if added is None else RESOURCE_KINDS
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
    owner_namespace, _, owner = str(annotations.get(meta.OWNER_ANNOTATION) or "").partition("/")
    if owner_namespace != namespace or not owner:
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
        owner=(namespace, owner),
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
