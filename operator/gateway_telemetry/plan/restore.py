"""What may be taken away again: only what still is as the operator wrote it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from gateway_telemetry.adapters import CA_DIRECTORY, CA_KEY, VOLUME, adapters, otel
from gateway_telemetry.api import meta
from gateway_telemetry.plan.injection import Injection, Item, body, covers, same_form, same_source
from gateway_telemetry.plan.store import Gateway
from gateway_telemetry.plan.views import Record, Workload, project_workload
from gateway_telemetry.plan.writes import secret_name


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
    last = still_there(record.injection, live)
    before = None if record.previous is None else still_there(record.previous, live)
    if before is None or not leaves(before, last):
        return [claim(record.injection, live)]
    return [claim(before, live), claim(record.injection, live)]


def forgotten(view: Gateway, live: Workload) -> Record | None:
    """Return a record in place of a lost one, from what in the workload is recognisably ours; None if nothing is.

    The annotation names our Secret, and the header variable takes from it: then the variables beside it that an adapter
    writes are ours as well, since somebody else's would have been a conflict.
    """
    secret = secret_name(live.kind, live.name)
    if view.spec is None or live.record != secret:
        return None
    for container in live.containers:
        if not any(_takes_from(item, secret) for item in container.env):
            continue
        names = {item.get("name") for item in container.env}
        literal = {otel.TRACES_ENDPOINT, otel.TRACES_PROTOCOL}
        # Also those of the type's other adapters: the spec may have changed since.
        literal |= {name for item in adapters() if item.type == view.spec.gateway.type for name in item.literals}
        if otel.TRACES_ENDPOINT not in names:
            literal.add(otel.ENDPOINT)
        ours = Injection(
            container=container.name,
            env=tuple(item for item in container.env if _takes_from(item, secret) or _written_by_us(item, literal)),
            mounts=tuple(item for item in container.mounts if item.get("name") == VOLUME),
            volumes=tuple(item for item in live.volumes if (item.get("secret") or {}).get("secretName") == secret),
            config_hash=live.config_hash or "",
        )
        workload = live.kind, live.name
        return Record(live.namespace, secret, view.key, view.uid, workload, live.uid, ours, None, "", orphan=False)
    return None


def _takes_from(item: Item, secret: str) -> bool:
    return (((item.get("valueFrom") or {}).get("secretKeyRef") or {}).get("name")) == secret


def _written_by_us(item: Item, literal: set[str]) -> bool:
    name, value = item.get("name"), str(item.get("value") or "")
    if name == otel.RESOURCE_ATTRIBUTES:
        return value.startswith(f"{otel.IDENTITY_ATTRIBUTE}=")
    return name in literal or (name == otel.TRACES_CERTIFICATE and value == f"{CA_DIRECTORY}/{CA_KEY}")


def leaves(before: Injection, after: Injection) -> bool:
    """Tell whether something of one set is not in the other: it must be claimed to be taken away.

    A name that is in both and keeps its form (value or reference) is simply written over: nobody owns it.
    """
    kept = {item["name"]: item for item in after.env}
    if any(name["name"] not in kept or not same_form(name, kept[name["name"]]) for name in before.env):
        return True
    if before.env and before.container != after.container:
        return True
    mounts = {item["mountPath"] for item in after.mounts}
    volumes = {item["name"] for item in after.volumes}
    return any(item["mountPath"] not in mounts for item in before.mounts) or any(
        item["name"] not in volumes for item in before.volumes
    )


def nothing(live: Workload) -> dict[str, Any]:
    """Return the apply body that takes away all that is claimed."""
    return body(live.kind, live.namespace, live.name, live.uid, None, "")


def withdrawn(obj: Mapping[str, Any], gone: Injection) -> dict[str, Any]:
    """Return the workload without the items of an injection: what the API server's merge does, for ``render``.

    Lists and mappings that this leaves empty go as well, so that nothing shows that something was there.
    """
    result: dict[str, Any] = copy.deepcopy(dict(obj))
    pod = result["spec"]["template"]["spec"]
    for container in pod["containers"]:
        if container.get("name") == gone.container:
            _drop(container, "env", gone.env, "name")
            _drop(container, "volumeMounts", gone.mounts, "mountPath")
    _drop(pod, "volumes", gone.volumes, "name")
    return result


def restored(obj: Mapping[str, Any], record: Record) -> dict[str, Any]:
    """Return the workload as it is when all that a record remembers was taken away."""
    result = copy.deepcopy(dict(obj))
    for written in (record.previous, record.injection):
        if written is not None:
            result = withdrawn(result, still_there(written, project_workload(result)))
    _drop_annotation(result["metadata"], meta.RECORD_ANNOTATION)
    template = result["spec"]["template"]
    _drop_annotation(template.get("metadata"), meta.CONFIG_HASH_ANNOTATION)
    if template.get("metadata") == {}:
        del template["metadata"]
    return result


def _drop(owner: dict[str, Any], field: str, items: tuple[Item, ...], key: str) -> None:
    names = {item[key] for item in items}
    if not names:
        return
    kept = [item for item in owner.get(field) or () if item.get(key) not in names]
    if kept:
        owner[field] = kept
    else:
        owner.pop(field, None)


def _drop_annotation(metadata: dict[str, Any] | None, name: str) -> None:
    annotations = (metadata or {}).get("annotations")
    if metadata is None or not annotations or name not in annotations:
        return
    del annotations[name]
    if not annotations:
        del metadata["annotations"]
