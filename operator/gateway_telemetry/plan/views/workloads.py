"""Deployments, StatefulSets and DaemonSets: what their pod templates hold, and how far a rollout is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway_telemetry.api import meta
from gateway_telemetry.plan.views.common import compact


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


WORKLOAD_KINDS = frozenset({"Deployment", "StatefulSet", "DaemonSet"})
"""Kinds with a pod template."""


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
        owned=any(meta.is_claim(entry, "Apply") for entry in metadata.get("managedFields") or ()),
        pods=_label_selector(spec.get("selector") or {}),
        last_manager=last_manager(metadata.get("managedFields") or ()),
        restarted_at=((template.get("metadata") or {}).get("annotations") or {}).get(RESTARTED_AT) or "",
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
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
