"""What planning asks for beyond the watched objects: Services of targets, names inside envFrom.

Both are read by name when they are needed, so the operator neither watches nor keeps them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.cluster.client import Client
from gateway_telemetry.cluster.errors import Forbidden
from gateway_telemetry.cluster.paths import CONFIG_MAPS, PODS, SECRETS, SERVICES
from gateway_telemetry.control.feed import Feed, Watched
from gateway_telemetry.control.queue import Retry
from gateway_telemetry.plan.options import Options
from gateway_telemetry.plan.rollout import overdue
from gateway_telemetry.plan.store import Store, Target, sources_of
from gateway_telemetry.plan.targets import Refused, ServiceFound, TargetResult, resolve
from gateway_telemetry.plan.views import Pod, Workload, mounted_config_maps, project_pod

FRESH_SECONDS = 30.0
"""How long an answer is used again; a resync asks anew."""

UNWATCHED_SECONDS = 60.0
"""How often what is not watched is looked at again: no event tells of its change."""

LONG_AGO = float("-inf")

EnvFromNames = dict[tuple[str, str], frozenset[str] | None]
WorkloadKey = tuple[str, str, str]


class Services:
    """Services that targets refer to."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[tuple[str, str], tuple[float, ServiceFound]] = {}

    async def refresh(self, target: Target) -> bool:
        """Read the target's Service unless that was just done; return whether it is another than before.

        Raises:
            ApiError: it could not be read; that it does not exist, or may not be read, is an answer.
        """
        key = service_key(target)
        if key is None:
            return False
        known = self._known.get(key)
        if known is None or time.monotonic() - known[0] >= FRESH_SECONDS:
            before = None if known is None else known[1]
            kept = await self._read(*key)
            if isinstance(kept, Refused) and isinstance(before, Refused) and kept.message == before.message:
                kept = before
            self._known[key] = (time.monotonic(), kept)
            return known is not None and before != kept
        return False

    async def _read(self, namespace: str, name: str) -> ServiceFound:
        try:
            service = await self._client.find(SERVICES, namespace, name)
        except Forbidden as error:
            where = f"spec.selfHosted.serviceRef: Service {namespace}/{name}"
            lacks = f"the operator's ServiceAccount lacks the permission: {error.permission or error}"
            return Refused(Reason.RBAC_DENIED, f"{where} may not be read: {lacks}; grant it with the chart's roles")
        # Only what planning looks at, so that an unchanged Service compares equal.
        return None if service is None else {"spec": service.get("spec") or {}}

    def of(self, target: Target) -> ServiceFound:
        """Return the Service as last read, or why it may not be."""
        key = service_key(target)
        return None if key is None or key not in self._known else self._known[key][1]

    def forget(self) -> None:
        """Ask anew from now on; what nobody has asked for since the last time goes."""
        self._known = {key: (LONG_AGO, value) for key, (at, value) in self._known.items() if at != LONG_AGO}


def service_key(target: Target) -> tuple[str, str] | None:
    """Return namespace and name of the Service that a target refers to, if it does."""
    hosted = None if target.spec is None else target.spec.self_hosted
    if hosted is None or hosted.service_ref is None:
        return None
    return hosted.service_ref.namespace or target.namespace, hosted.service_ref.name


class Targets:
    """Resolves each target once for all of its gateways, and again when something that it reads has changed."""

    def __init__(self, store: Store, options: Options, services: Services) -> None:
        self._store = store
        self._options = options
        self._services = services
        self._results: dict[tuple[str, str], tuple[tuple[object, ...], TargetResult]] = {}

    def resolve(self, target: Target) -> TargetResult:
        """Return what resolving the target finds."""
        sources = (self._store.sources.get(item) for item in sources_of(target))
        inputs = (target.spec, target.problem, self._services.of(target), *sources)
        known = self._results.get(target.key)
        if known is not None and known[0] == inputs:
            return known[1]
        result = resolve(target, self._store, self._options, self._services.of(target))
        self._results[target.key] = (inputs, result)
        return result

    def forget(self, key: tuple[str, str]) -> None:
        """Drop what is kept of a target that is gone."""
        self._results.pop(key, None)


class EnvFrom:
    """Names of the keys of Secrets and ConfigMaps that containers take variables from, for one run of one gateway.

    One named GET for each, reduced to key names at once; None where they may not be read.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._names: dict[tuple[str, str, str], frozenset[str] | None] = {}

    async def read(self, workloads: Callable[[], Iterable[Workload]]) -> None:
        """Read what workloads take variables from, and what those do that come or change while it is read.

        Raises:
            ApiError: an object could not be read, other than for lack of permission.
        """
        while (
            unread := {(item.namespace, *reference) for item in workloads() for reference in references(item)}
            - self._names.keys()
        ):
            for namespace, kind, name in sorted(unread):
                self._names[namespace, kind, name] = await _names(self._client, kind, namespace, name)

    def of(self, workload: Workload) -> EnvFromNames:
        """Return the names by kind and name of the object.

        Raises:
            Retry: the workload has changed since it was read, and takes variables from something else.
        """
        found: EnvFromNames = {}
        for kind, name in references(workload):
            key = workload.namespace, kind, name
            if key not in self._names:
                raise Retry(f"{workload.kind} {workload.namespace}/{workload.name} has changed meanwhile")
            found[kind, name] = self._names[key]
        return found


async def files(client: Client, workloads: Iterable[Workload]) -> dict[WorkloadKey, dict[str, str]]:
    """Return, by workload, the texts of the ConfigMaps that its pods mount; what may not be read is left out.

    Raises:
        ApiError: an object could not be read, other than for lack of permission.
    """
    found: dict[WorkloadKey, dict[str, str]] = {}
    for workload in workloads:
        texts: dict[str, str] = {}
        for name in sorted(mounted_config_maps(workload)):
            try:
                texts |= ((await client.find(CONFIG_MAPS, workload.namespace, name)) or {}).get("data") or {}
            except Forbidden:
                continue
        found[workload.key] = texts
    return found


async def _names(client: Client, kind: str, namespace: str, name: str) -> frozenset[str] | None:
    try:
        found = await client.find(SECRETS if kind == "Secret" else CONFIG_MAPS, namespace, name)
    except Forbidden:
        return None
    return frozenset({**((found or {}).get("data") or {}), **((found or {}).get("binaryData") or {})})


async def list_kind(client: Client, feed: Feed, item: Watched, namespaces: Sequence[str]) -> int:
    """Put all objects of a kind into the store; return how many changes the watch had not told.

    Args:
        namespaces: all when empty.

    Raises:
        ApiError: they could not be listed.
    """
    missed = 0
    for namespace in namespaces or (None,):
        listing = await client.list(item.resource, namespace, item.labels)
        missed += feed.replace(item.resource, namespace, listing.items, listing.resource_version)
    return missed


async def pods_of(client: Client, workload: Workload) -> list[Pod]:
    """Return a workload's pods that have not ended.

    Raises:
        ApiError: they could not be listed.
    """
    listing = await client.list(PODS, workload.namespace, workload.pods)
    own = (item for item in listing.items if belongs_to(item, workload))
    now = datetime.now(UTC)
    return [overdue(workload, view, now) for item in own if (view := project_pod(item)) is not None]


def belongs_to(pod: Mapping[str, Any], workload: Workload) -> bool:
    """Tell whether a pod is a workload's: labels may overlap, owners do not.

    A Deployment's pods belong to ReplicaSets, named after it and a hash without dashes.
    """
    for owner in pod["metadata"].get("ownerReferences") or ():
        if owner.get("uid") == workload.uid:
            return True
        if workload.kind == "Deployment" and owner.get("kind") == "ReplicaSet":
            return str(owner.get("name")).rpartition("-")[0] == workload.name
    return False


def references(workload: Workload) -> set[tuple[str, str]]:
    """Return kind and name of all objects that the workload's containers take variables from."""
    found = set()
    for container in workload.containers:
        for entry in container.env_from:
            for kind, field in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
                if entry.get(field):
                    found.add((kind, entry[field].get("name") or ""))
    return found
