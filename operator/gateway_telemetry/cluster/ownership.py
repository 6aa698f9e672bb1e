"""Write into workloads that others own, and leave no claim behind.

Server-side apply of our items only, never forced; then our entry is taken out of ``metadata.managedFields``. The
values stay, nobody owns them, and no tool's upgrade ever meets us (ADR 0007). To drop or change items they are
claimed again first: applying the values that stand there gives us the fields, applying less removes them;
https://kubernetes.io/docs/reference/using-api/server-side-apply/#managers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway_telemetry.api.meta import FIELD_MANAGER, is_claim
from gateway_telemetry.cluster.client import Client
from gateway_telemetry.cluster.errors import Conflict, Invalid
from gateway_telemetry.cluster.paths import Resource

ATTEMPTS = 8
"""Tries of a release: each loses only to a write of somebody else that moved our entry between read and patch."""


async def write(
    client: Client,
    resource: Resource,
    namespace: str,
    name: str,
    claim: Mapping[str, Any] | None,
    body: Mapping[str, Any],
    *,
    force: bool = False,
    unwritten: Callable[[Mapping[str, Any]], object] = lambda _: None,
) -> dict[str, Any]:
    """Apply, and release; return the object as it is afterwards.

    Args:
        claim: body with what stands there and is ours to drop, or None.
        body: what shall stand there.
        force: take fields from their managers: only for a request, which says something once and is nobody's setting.
        unwritten: is given the object as it is afterwards if it was claimed, and not written.

    Raises:
        Conflict: another manager holds a field with another value; nothing was written, nothing stays claimed.
    """
    claimed = None if claim is None else await client.apply(resource, namespace, name, claim)
    written = None
    try:
        written = await client.apply(resource, namespace, name, body, force=force)
    finally:
        if written is None and claimed is not None:
            unwritten(await release(client, resource, namespace, name, claimed))
    return await release(client, resource, namespace, name, written)


async def release(
    client: Client,
    resource: Resource,
    namespace: str,
    name: str,
    live: Mapping[str, Any],
    operation: str = "Apply",
    former: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Take our entries out of ``metadata.managedFields``; return the object afterwards.

    The patch tests the entry's manager and operation, not the resourceVersion: a rollout writes the status all the
    time, and would make that fail.

    Args:
        live: the object as last seen.
        operation: of the entries: Apply, or Update for what a patch wrote.
        former: entries before the write, for an object that is left with none but ours: `removals`.

    Raises:
        Conflict: somebody wrote faster than we, `ATTEMPTS` times.
    """
    current = dict(live)
    for _ in range(ATTEMPTS):
        operations = removals(current, operation, former)
        if not operations:
            return current
        try:
            return await client.json_patch(resource, namespace, name, operations)
        except (Invalid, Conflict):
            current = await client.get(resource, namespace, name)
    raise Conflict(
        409, "Conflict", f"managedFields kept changing during {ATTEMPTS} tries to release them", request=f"PATCH {name}"
    )


def removals(
    live: Mapping[str, Any], operation: str = "Apply", former: Sequence[Mapping[str, Any]] = ()
) -> list[dict[str, Any]]:
    """Return the JSON patch that removes our entries, last one first; empty if there are none.

    An API server ignores an emptied list. Where a list that we wrote to was all that another manager had, ours is the
    only entry, and the former ones come back in its place; where they are not known, an empty entry clears the list:
    https://kubernetes.io/docs/reference/using-api/server-side-apply/#clearing-managedfields.
    """
    entries = live["metadata"].get("managedFields") or []
    ours = [index for index, entry in enumerate(entries) if is_claim(entry, operation)]
    operations: list[dict[str, Any]] = []
    for index in reversed(ours):
        path = f"/metadata/managedFields/{index}"
        operations += [
            {"op": "test", "path": f"{path}/manager", "value": FIELD_MANAGER},
            {"op": "test", "path": f"{path}/operation", "value": operation},
            {"op": "remove", "path": path},
        ]
    if ours and len(ours) == len(entries):
        theirs = [dict(entry) for entry in former if not is_claim(entry, operation)]
        operations.append({"op": "replace", "path": "/metadata/managedFields", "value": theirs or [{}]})
    return operations
