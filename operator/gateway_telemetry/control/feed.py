"""What the API server tells goes into the store; what that concerns goes into the queue.

Three mouths feed it: watches, lists (at start and then periodically, for what a watch missed), and the answers to
our own writes. The last are why a converged cluster stays quiet: when the watch repeats them, they are old news.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway_telemetry.api import meta
from gateway_telemetry.api.gateway import GatewayTelemetrySpec
from gateway_telemetry.cluster.paths import (
    CONFIG_MAPS,
    DAEMON_SETS,
    DEPLOYMENTS,
    GATEWAY_TELEMETRIES,
    LANGSMITH_TARGETS,
    NAMESPACES,
    SECRETS,
    STATEFUL_SETS,
    WORKLOADS,
    Resource,
)
from gateway_telemetry.control.fights import FIGHT_SECONDS
from gateway_telemetry.control.queue import Ref
from gateway_telemetry.plan.gateways import secret_name
from gateway_telemetry.plan.store import Custom, Lost, Store, project_gateway, project_target, tenant_of
from gateway_telemetry.plan.tenant_record import TenantRecord, project_tenant_record
from gateway_telemetry.plan.views import (
    CaCopy,
    Key,
    Record,
    Source,
    Workload,
    project_ca_copy,
    project_record,
    project_source,
    project_workload,
)

logger = logging.getLogger(__name__)

ROLES = f"{meta.ROLE_LABEL} in ({meta.ROLE_COPY}, {meta.ROLE_SOURCE})"
"""Label selector of the Secrets and ConfigMaps that are watched at all; others never reach this process."""

TARGET, GATEWAY = "LangSmithTarget", "GatewayTelemetry"
"""Kinds of keys in the queue, besides the kinds of workloads: one that still carries our claim on its fields."""


@dataclass(frozen=True)
class Watched:
    """A kind that is listed and watched, and with which label selector."""

    resource: Resource
    labels: str = ""


WATCHED = (
    Watched(LANGSMITH_TARGETS),
    Watched(GATEWAY_TELEMETRIES),
    Watched(DEPLOYMENTS),
    Watched(STATEFUL_SETS),
    Watched(DAEMON_SETS),
    Watched(SECRETS, ROLES),
    Watched(CONFIG_MAPS, ROLES),
)
WATCHED_CLUSTERWIDE = (*WATCHED, Watched(NAMESPACES))

LOST_TIME = timedelta(seconds=FIGHT_SECONDS)
"""How long it is remembered what somebody deleted."""

Id = tuple[str, str, str]
"""Kind, namespace and name of an object."""


class Feed:
    """The only writer of the store."""

    def __init__(
        self, store: Store, mark: Callable[[Ref], None], now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._store = store
        self._mark = mark
        self._now = now
        self._versions: dict[Id, int] = {}
        self._gone: dict[Id, int] = {}
        self._listed: dict[tuple[str, str | None], int] = {}
        self.events = 0
        self.dismissed = 0

    def version(self, kind: str, namespace: str, name: str) -> str:
        """Return the resourceVersion of the object as it is in the store; empty if it is not there."""
        found = self._versions.get((kind, namespace, name))
        return "" if found is None else str(found)

    def see(self, obj: Mapping[str, Any], *, deleted: bool = False) -> None:
        """Take an object from a watch, or its deletion."""
        self.events += 1
        id_ = _id(obj)
        version = _version(obj)
        if deleted:
            if version >= self._known(id_):
                self._forget(id_, version, exact=True)
            return
        if version <= self._known(id_):
            self.dismissed += 1
            return
        self._keep(id_, version, obj, mark=True)

    def wrote(self, obj: Mapping[str, Any]) -> None:
        """Take the answer to a write of our own: it concerns only who wrote it.

        Unless it brings what somebody else changed just before: the watch's own news of that will be dismissed as old.
        """
        id_ = _id(obj)
        version = _version(obj)
        if version > self._known(id_):
            self._keep(id_, version, obj, mark=False)

    def removed(self, kind: str, namespace: str, name: str) -> None:
        """Forget an object that we deleted; its version stays known until the watch tells of the deletion."""
        view = self._drop((kind, namespace, name))
        if isinstance(view, Record):
            # Whoever waited for the workload may have it now.
            workload = self._store.workloads.get(view.workload_key)
            if workload is not None:
                self._mark_rivals(workload)
            self._mark_sharers(namespace, view.name)
        elif isinstance(view, TenantRecord):
            self._mark_tenant(view)

    def replace(self, resource: Resource, namespace: str | None, items: Iterable[Mapping[str, Any]], at: str) -> int:
        """Take a whole list; return how many changes the watch had not told.

        Args:
            namespace: the list's namespace, None for the whole cluster.
            at: resourceVersion of the list; objects that are newer in the store are not missed.
        """
        listed = int(at or 0)
        if listed < self._listed.get((resource.kind, namespace), 0):
            self._restart(resource.kind, namespace)
        seen: set[Id] = set()
        missed = 0
        for obj in items:
            id_ = _id(obj)
            seen.add(id_)
            version = _version(obj)
            if version > self._known(id_):
                missed += 1
                self._keep(id_, version, obj, mark=True)
        for id_ in [
            item
            for item, version in self._versions.items()
            if item[0] == resource.kind
            and (namespace is None or item[1] == namespace)
            and item not in seen
            and version <= listed
        ]:
            missed += 1
            self._forget(id_, listed, exact=False)
        self._bury(resource.kind, namespace, listed)
        return missed

    def _known(self, id_: Id) -> int:
        """Return the version up to which news of an object are old: its own, its deletion's, or a list's without it."""
        kind, namespace, _ = id_
        return self._versions.get(id_) or max(
            self._gone.get(id_, 0), self._listed.get((kind, None), 0), self._listed.get((kind, namespace), 0)
        )

    def _bury(self, kind: str, namespace: str | None, listed: int) -> None:
        """Remember the list; what is gone since before that needs no memory of its own."""
        self._listed[kind, namespace] = listed
        lost, long_ago = self._store.lost, self._now() - LOST_TIME
        for id_ in [
            key for key, item in lost.items() if item.at < long_ago or item.view.owner not in self._store.gateways
        ]:
            del lost[id_]
        for id_ in [item for item, version in self._gone.items() if item[0] == kind and version <= listed]:
            if namespace in (None, id_[1]):
                del self._gone[id_]

    def _restart(self, kind: str, namespace: str | None) -> None:
        """Count versions afresh: the cluster came back from a backup, so that new ones are lower than those known."""
        self._listed.pop((kind, namespace), None)
        for id_ in [item for item in {**self._gone, **self._versions} if item[0] == kind]:
            if namespace in (None, id_[1]):
                self._gone.pop(id_, None)
                if id_ in self._versions:
                    self._versions[id_] = 0

    def _forget(self, id_: Id, version: int, *, exact: bool) -> None:
        """Drop an object; what is older than its deletion, such as a list under way, must not bring it back.

        Args:
            exact: whether it was deleted just now.
        """
        self._versions.pop(id_, None)
        self._gone[id_] = version
        old = self._drop(id_)
        if isinstance(old, Record | CaCopy) and old.owner in self._store.gateways:
            # What we delete ourselves has left the store before the watch tells of it.
            self._store.lost[id_] = Lost(old, self._now(), exact)
        if old is not None:
            self._affected(id_, old)

    def _keep(self, id_: Id, version: int, obj: Mapping[str, Any], *, mark: bool) -> None:
        self._versions[id_] = version
        self._gone.pop(id_, None)
        old = self._drop(id_)
        new = self._put(id_, obj)
        if new == old or not (mark or _others_changed(old, new)):
            return
        if isinstance(old, Workload) and isinstance(new, Workload) and replace(old, owned=new.owned) == new:
            # A claim of ours that comes or goes says nothing to those that write: it must not shorten their pauses.
            self._mark_claim(new)
            return
        if old is not None:
            self._affected(id_, old)
        if new is not None:
            self._affected(id_, new)

    def _put(self, id_: Id, obj: Mapping[str, Any]) -> object:
        kind, _, name = id_
        store = self._store
        labels = obj["metadata"].get("labels") or {}
        if kind == LANGSMITH_TARGETS.kind:
            target = project_target(obj)
            store.put_target(target)
            return target
        if kind == GATEWAY_TELEMETRIES.kind:
            gateway = project_gateway(obj)
            store.put_gateway(gateway)
            return gateway
        if kind in WORKLOADS:
            workload = project_workload(obj)
            store.put_workload(workload)
            return workload
        if kind == NAMESPACES.kind:
            store.namespaces[name] = dict(labels)
            return name, dict(labels)
        if labels.get(meta.ROLE_LABEL) == meta.ROLE_SOURCE:
            source = project_source(obj)
            store.sources[id_] = source
            return source
        if kind != SECRETS.kind:
            ca_copy = project_ca_copy(obj)
            if ca_copy is not None:
                store.ca_copies[ca_copy.namespace, name] = ca_copy
                store.lost.pop(id_, None)
            return ca_copy
        record = project_record(obj)
        if record is not None:
            store.lost.pop(id_, None)
            store.put_record(record)
            return record
        tenant = project_tenant_record(obj)
        if tenant is not None:
            store.tenant_records[tenant.namespace, name] = tenant
        return tenant

    def _drop(self, id_: Id) -> object:
        kind, namespace, name = id_
        store = self._store
        old: object
        if kind == LANGSMITH_TARGETS.kind:
            old = store.targets.get((namespace, name))
            store.drop_target((namespace, name))
        elif kind == GATEWAY_TELEMETRIES.kind:
            old = store.gateways.get((namespace, name))
            store.drop_gateway((namespace, name))
        elif kind in WORKLOADS:
            old = store.workloads.get(id_)
            store.drop_workload(id_)
        elif kind == NAMESPACES.kind:
            labels = store.namespaces.pop(name, None)
            old = None if labels is None else (name, labels)
        else:
            # The role label may have changed sides.
            old = store.sources.pop(id_, None)
            if kind == SECRETS.kind:
                old = old or store.records.get((namespace, name)) or store.tenant_records.pop((namespace, name), None)
                store.drop_record((namespace, name))
            else:
                old = old or store.ca_copies.pop((namespace, name), None)
        return old

    def _affected(self, id_: Id, view: object) -> None:
        """Mark what must be looked at again; called for the view before and the view after a change."""
        kind, namespace, name = id_
        if kind == LANGSMITH_TARGETS.kind:
            self._mark_target((namespace, name))
        elif kind == GATEWAY_TELEMETRIES.kind:
            self._mark_gateway(view)
        elif kind == NAMESPACES.kind:
            for key in self._store.gateways:
                if key[0] == name:
                    self._mark(Ref(GATEWAY, *key))
        elif isinstance(view, Workload):
            self._mark_workload(view)
        elif isinstance(view, Source):
            for key in self._store.targets_of_source(*id_):
                self._mark_target(key)
            for key in self._store.gateways_of_source(*id_):
                self._mark(Ref(GATEWAY, *key))
        elif isinstance(view, Record | CaCopy):
            self._mark(Ref(GATEWAY, *view.owner))
        elif isinstance(view, TenantRecord):
            self._mark_tenant(view)

    def _mark_target(self, key: Key) -> None:
        self._mark(Ref(TARGET, *key))
        for gateway in self._store.gateways_of_target(key):
            self._mark(Ref(GATEWAY, *gateway))

    def _mark_workload(self, view: Workload) -> None:
        self._mark_claim(view)
        record = self._store.records.get((view.namespace, secret_name(view.kind, view.name)))
        if record is not None:
            self._mark(Ref(GATEWAY, *record.owner))
        self._mark_rivals(view)

    def _mark_claim(self, view: Workload) -> None:
        if view.owned:
            self._mark(Ref(view.kind, view.namespace, view.name))

    def _mark_gateway(self, view: object) -> None:
        """Mark a gateway and those that contend with it for a workload: who wins may have changed."""
        if not isinstance(view, Custom):
            return
        self._mark(Ref(GATEWAY, *view.key))
        for workload in self._store.workloads_matching(view):
            self._mark_rivals(workload)
        if view.spec is not None and isinstance(view.spec, GatewayTelemetrySpec):
            reference = view.spec.install.reference
            if reference is not None:
                self._mark_sharers(view.namespace, reference.secret_name)
            if (tenant := tenant_of(view)) is not None:
                for rival in self._store.gateways_of_tenant(tenant):
                    self._mark(Ref(GATEWAY, *rival.key))

    def _mark_tenant(self, record: TenantRecord) -> None:
        """Mark the gateway that a control plane was written for, and those that want it."""
        self._mark(Ref(GATEWAY, *record.owner))
        for rival in self._store.gateways_of_tenant(record.tenant):
            self._mark(Ref(GATEWAY, *rival.key))

    def _mark_sharers(self, namespace: str, secret: str) -> None:
        """Mark the gateways that want the same referenced Secret: it can be only one's."""
        for gateway in self._store.gateways_referring(namespace, secret):
            self._mark(Ref(GATEWAY, *gateway))

    def _mark_rivals(self, workload: Workload) -> None:
        for gateway in self._store.gateways_matching(workload):
            self._mark(Ref(GATEWAY, *gateway.key))


def _others_changed(old: object, new: object) -> bool:
    """Tell whether an object shows more changes after a write of ours than that write can have made."""
    if isinstance(old, Custom) and isinstance(new, Custom):
        # We write the status and our finalizer.
        return replace(old, status=new.status, finalizers=new.finalizers) != new
    if isinstance(old, Workload) and isinstance(new, Workload):
        # We change the pod template once, which is one generation, and no labels.
        same = (old.uid, old.labels, old.deleting) == (new.uid, new.labels, new.deleting)
        return not same or new.generation > old.generation + 1
    return False


def _id(obj: Mapping[str, Any]) -> Id:
    metadata = obj["metadata"]
    return obj["kind"], metadata.get("namespace") or "", metadata["name"]


def _version(obj: Mapping[str, Any]) -> int:
    """Return the resourceVersion as a number: since Kubernetes 1.35 they may be compared (KEP-5504)."""
    return int(obj["metadata"]["resourceVersion"])
