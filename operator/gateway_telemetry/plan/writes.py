"""What one workload must carry, what of it is ours already, and what is somebody else's."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway_telemetry.plan.injection import Injection, covers, same_source
from gateway_telemetry.plan.store import Gateway
from gateway_telemetry.plan.views import Container, Record, Workload, digest


@dataclass(frozen=True)
class Write:
    """What one workload must carry, and how it gets there.

    Attributes:
        files: data of the operator's Secret besides the record; holds the key.
        previous: what stands there now and must be claimed first, because some of it goes away.
        secret_stale: whether the Secret must be written (content, record or owner differ).
        template_stale: whether the pod template must be written.
        rollback: hash of content whose rollout failed: `injection` is what stood there before, and the Secret gets
            back what it kept of that; `files` is empty then. Empty for any other write.
    """

    workload: Workload
    injection: Injection
    files: Mapping[str, str] = field(repr=False)
    secret: str
    record: Record | None
    previous: Injection | None
    secret_stale: bool
    template_stale: bool
    rollback: str = ""

    @property
    def due(self) -> bool:
        """Tell whether there is anything to write."""
        return self.secret_stale or self.template_stale


def secret_name(kind: str, name: str) -> str:
    """Return the name of the operator's Secret beside a workload: stable, and at most 253 characters."""
    full = f"gateway-telemetry-{kind.lower()}-{name}"
    if len(full) <= 253:
        return full
    return f"{full[:240].rstrip('-.')}-{hashlib.sha256(full.encode()).hexdigest()[:12]}"


def written(record: Record | None) -> tuple[Injection, ...]:
    """Return all that a record remembers to have been written, the newest first."""
    if record is None:
        return ()
    return tuple(item for item in (record.injection, record.previous) if item is not None)


def led_astray(workload: Workload, record: Record) -> bool:
    """Tell whether somebody took an endpoint variable over, so that our headers, and the key, would go elsewhere."""
    for one in written(record):
        container = workload.container(one.container)
        if container is None:
            continue
        ours = [item for each in written(record) for item in each.env]
        for item in container.env:
            if item.get("name") not in one.names() or not str(item.get("name")).endswith("_ENDPOINT"):
                continue
            if not any(same_source(item, other) for other in ours):
                return True
    return False


def foreign(container: Container, mine: tuple[Injection, ...]) -> Container:
    """Return the container without what this operator wrote there; what differs from it is somebody else's."""
    env = [item for one in mine if one.container == container.name for item in one.env]
    mounts = [item for one in mine if one.container == container.name for item in one.mounts]
    return Container(
        name=container.name,
        env=tuple(item for item in container.env if not any(same_source(item, other) for other in env)),
        env_from=container.env_from,
        mounts=tuple(item for item in container.mounts if not any(covers(item, other) for other in mounts)),
    )


def foreign_volumes(workload: Workload, mine: tuple[Injection, ...]) -> tuple[Mapping[str, Any], ...]:
    """Return the volumes of the pod template without those that this operator wrote."""
    ours = [item for one in mine for item in one.volumes]
    return tuple(item for item in workload.volumes if not any(covers(item, other) for other in ours))


def write_for(
    view: Gateway, workload: Workload, injection: Injection, files: Mapping[str, str], name: str, record: Record | None
) -> Write:
    """Return the write that makes a workload carry an injection; nothing is due where all of it stands there.

    Args:
        files: data of the operator's Secret besides the record.
        name: name of that Secret.
        record: what that Secret remembers, None if there is none.
    """
    standing = stands(workload, injection, name)
    previous = None
    if record is not None and record.injection != injection:
        # A change that was remembered and never written leaves the set before it in place.
        older = record.previous is not None and workload.config_hash == record.previous.config_hash
        # One whose rollback was remembered and never written, and that is to be tried again, keeps its way back.
        older = older and record.failed != injection.config_hash
        previous = record.previous if older else record.injection
    elif record is not None and not standing:
        previous = record.previous
    secret_stale = (
        record is None
        or record.injection != injection
        or record.digest != digest(files)
        or record.owner != view.key
        or (view.uid != "" and record.owner_uid != view.uid)
        or (workload.uid != "" and record.workload_uid != workload.uid)
        or record.orphan != (view.spec is not None and view.spec.deletion_policy == "Orphan")
    )
    return Write(workload, injection, files, name, record, previous, secret_stale, template_stale=not standing)


def stands(workload: Workload, injection: Injection, name: str) -> bool:
    """Tell whether all of an injection is in the pod template.

    Args:
        name: of the operator's Secret, to which the workload must point.
    """
    live = workload.container(injection.container)
    env, mounts = (live.env, live.mounts) if live is not None else ((), ())
    return (
        (workload.config_hash or "") == injection.config_hash
        and workload.record == name
        and _all_there(env, injection.env)
        and _all_there(mounts, injection.mounts)
        and _all_there(workload.volumes, injection.volumes)
    )


def rolling_back(failed: Write) -> Write:
    """Return the write that puts back what stood there before a write whose rollout failed."""
    before = failed.record.previous if failed.record is not None else None
    if before is None:
        before = Injection(failed.injection.container, (), (), (), "")
    return Write(
        failed.workload,
        before,
        {},
        failed.secret,
        failed.record,
        failed.injection,
        secret_stale=True,
        template_stale=not stands(failed.workload, before, failed.secret),
        rollback=failed.injection.config_hash,
    )


def _all_there(live: tuple[Mapping[str, object], ...], wanted: tuple[Mapping[str, object], ...]) -> bool:
    return all(any(covers(item, want) for item in live) for want in wanted)
