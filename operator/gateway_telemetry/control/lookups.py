"""What planning asks for beyond the watched objects: Services of targets, names inside envFrom.

Both are read by name when they are needed, so the operator neither watches nor keeps them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from gateway_telemetry.cluster.client import Client
from gateway_telemetry.cluster.errors import Forbidden
from gateway_telemetry.cluster.paths import CONFIG_MAPS, SECRETS, SERVICES
from gateway_telemetry.plan.options import Options
from gateway_telemetry.plan.store import Store, Target, sources_of
from gateway_telemetry.plan.targets import TargetResult, resolve
from gateway_telemetry.plan.views import Workload

FRESH_SECONDS = 30.0
"""How long an answer is used again; a resync asks anew."""

EnvFromNames = dict[tuple[str, str], frozenset[str] | None]


class Services:
    """Services that targets refer to."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[tuple[str, str], tuple[float, Mapping[str, Any] | None]] = {}

    async def refresh(self, target: Target) -> None:
        """Read the target's Service unless that was just done.

        Raises:
            ApiError: it could not be read; that it does not exist is an answer.
        """
        key = service_key(target)
        if key is None:
            return
        known = self._known.get(key)
        if known is None or time.monotonic() - known[0] >= FRESH_SECONDS:
            service = await self._client.find(SERVICES, *key)
            # Only what planning looks at, so that an unchanged Service compares equal.
            kept = None if service is None else {"spec": service.get("spec") or {}}
            self._known[key] = (time.monotonic(), kept)

    def of(self, target: Target) -> Mapping[str, Any] | None:
        """Return the Service as last read."""
        key = service_key(target)
        return None if key is None or key not in self._known else self._known[key][1]

    def forget(self) -> None:
        """Ask anew from now on."""
        self._known = {key: (0.0, value) for key, (_, value) in self._known.items()}


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
    """Names of the keys of Secrets and ConfigMaps that containers take variables from; never their values."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[tuple[str, str, str], tuple[float, frozenset[str] | None]] = {}

    async def refresh(self, workloads: Iterable[Workload]) -> None:
        """Read the names for these workloads.

        Raises:
            ApiError: an object could not be read, other than for lack of permission.
        """
        now = time.monotonic()
        self._known = {key: value for key, value in self._known.items() if now - value[0] < FRESH_SECONDS}
        for workload in workloads:
            for kind, name in references(workload):
                key = kind, workload.namespace, name
                if key not in self._known:
                    self._known[key] = (now, await self._names(*key))

    async def _names(self, kind: str, namespace: str, name: str) -> frozenset[str] | None:
        try:
            found = await self._client.find(SECRETS if kind == "Secret" else CONFIG_MAPS, namespace, name)
        except Forbidden:
            return None
        return frozenset({**((found or {}).get("data") or {}), **((found or {}).get("binaryData") or {})})

    def names(self, workload: Workload) -> EnvFromNames:
        """Return the names by kind and name; None where they may not be read."""
        return {
            (kind, name): self._known[kind, workload.namespace, name][1]
            for kind, name in references(workload)
            if (kind, workload.namespace, name) in self._known
        }


def references(workload: Workload) -> set[tuple[str, str]]:
    """Return kind and name of all objects that the workload's containers take variables from."""
    found = set()
    for container in workload.containers:
        for entry in container.env_from:
            for kind, field in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
                if entry.get(field):
                    found.add((kind, entry[field].get("name") or ""))
    return found
