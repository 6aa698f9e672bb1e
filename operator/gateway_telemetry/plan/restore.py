"""What may be taken away again: only what still is as the operator wrote it."""

from __future__ import annotations

from typing import Any

from gateway_telemetry.plan.injection import Injection, body, covers, same_source
from gateway_telemetry.plan.views import Record, Workload


def still_there(written: Injection, live: Workload) -> Injection:
    """Return the items of an earlier write that stand in the workload unchanged; what differs is somebody else's."""
    container = live.container(written.container)
    env = container.env if container is not None else ()
    mounts = container.mounts if container is not None else ()
    return Injection(
        container=written.container,
        env=tuple(item for item in written.env if any(same_source(found, item) for found in env)),
        mounts=tuple(item for item in written.mounts if any(covers(found, item) for found in mounts)),
        volumes=tuple(item for item in written.volumes if any(covers(found, item) for found in live.volumes)),
        config_hash=live.config_hash or "",
    )


def claim(written: Injection, live: Workload) -> dict[str, Any]:
    """Return the apply body that makes the operator the manager of what it once wrote, and changes nothing."""
    return body(live.kind, live.namespace, live.name, live.uid, still_there(written, live), live.record or "")


def claims(record: Record, live: Workload) -> list[dict[str, Any]]:
    """Return the claims for all that a record remembers, in the order in which they must be applied."""
    written = [item for item in (record.previous, record.injection) if item is not None]
    return [claim(item, live) for item in written]


def nothing(live: Workload) -> dict[str, Any]:
    """Return the apply body that takes away all that is claimed."""
    return body(live.kind, live.namespace, live.name, live.uid, None, "")
