"""Pods, as far as rollouts are concerned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway_telemetry.api import meta
from gateway_telemetry.plan.views.workloads import RESTARTED_AT


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
        restarted_at=annotations.get(RESTARTED_AT) or "",
        ready=any(
            item.get("type") == "Ready" and item.get("status") == "True" for item in status.get("conditions") or ()
        ),
    )
