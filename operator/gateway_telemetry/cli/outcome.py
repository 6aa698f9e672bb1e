"""What the operator would leave behind, if the objects of some files were all that its cluster holds.

The same plan as in the operator; what differs is that writes go into a dictionary, and that nothing rolls out.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway_telemetry.adapters import adapter_of
from gateway_telemetry.api import meta
from gateway_telemetry.api.gateway import GatewayTelemetrySpec
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.cli import shapes
from gateway_telemetry.cli.documents import Id, Loaded, label
from gateway_telemetry.cluster.paths import CONFIGURED
from gateway_telemetry.plan.gateways import REFERENCE, GatewayPlan, Planner, WorkloadKey, Write, restorable
from gateway_telemetry.plan.inject import seen_of
from gateway_telemetry.plan.injection import merged
from gateway_telemetry.plan.options import Options
from gateway_telemetry.plan.reference import CA_SUFFIX, ReferenceWrite, reference_objects, takers
from gateway_telemetry.plan.resource_write import Found, ResourceWrite, patched, resource_secret, unpacked, withdrawal
from gateway_telemetry.plan.restore import restored, still_there, withdrawn
from gateway_telemetry.plan.secret import kept, secret_object
from gateway_telemetry.plan.status import gateway_status, target_status
from gateway_telemetry.plan.store import Gateway, Store, Target, project_gateway, project_target
from gateway_telemetry.plan.targets import Refused, TargetResult, resolve
from gateway_telemetry.plan.tenants import not_looked_at, plan_tenant, tenant_object
from gateway_telemetry.plan.views import (
    ORIGINAL_KEY,
    Container,
    Key,
    Record,
    Workload,
    is_managed,
    mounted_config_maps,
    project_ca_copy,
    project_record,
    project_source,
    project_workload,
)

ROUNDS = 10
"""How often all gateways get their turn; two settle all but chains of contention, whose length is bounded by this."""


@dataclass(frozen=True)
class Outcome:
    """What ``render`` tells.

    Attributes:
        objects: all objects as the operator would leave them.
        problems: one line per condition that does not hold or workload that is not written to.
        notes: one line per thing worth knowing.
    """

    objects: tuple[dict[str, Any], ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def settle(loaded: Sequence[Loaded], options: Options, now: str) -> Outcome:
    """Return what becomes of the objects.

    Args:
        now: RFC 3339 time of conditions that change.
    """
    return _World(loaded, options).settle(now)


class _World:
    """The objects, and the store that planning reads."""

    def __init__(self, loaded: Sequence[Loaded], options: Options) -> None:
        self._options = options
        self._store = Store()
        self._objects: dict[Id, dict[str, Any]] = {}
        self._places: dict[Id, str] = {}
        self._failures: dict[WorkloadKey, Refused] = {}
        self._now = ""
        self._names = _names_by_namespace(loaded)
        self._planner = Planner(
            self._store, options, self._resolve, self._env_names, files=self._files, resource=self._resource
        )
        for item in loaded:
            self._places[item.id] = item.place
            self._put(item.id, item.obj)

    def settle(self, now: str) -> Outcome:
        self._now = now
        for _ in range(ROUNDS):
            changed = False
            for view in sorted(self._store.gateways.values(), key=lambda view: view.age):
                changed |= self._act(view)
            if not changed:
                break
        problems: list[str] = []
        notes: list[str] = []
        for target in list(self._store.targets.values()):
            status = target_status(target, self._resolve(target), now)
            problems += self._report(_id(shapes.TARGET, target.key), status)
        for gateway in list(self._store.gateways.values()):
            if gateway.deleting:
                continue
            plan = self._planned(gateway)
            id_ = _id(shapes.GATEWAY, gateway.key)
            problems += self._report(id_, gateway_status(gateway, plan, now))
            if not _suspended(gateway):
                problems += self._blocked(id_, plan)
            notes += self._notes(id_, plan)
        return Outcome(tuple(self._objects.values()), tuple(problems), tuple(notes))

    def _planned(self, view: Gateway) -> GatewayPlan:
        if view.spec is None or view.spec.install.control_plane is None:
            return self._planner.plan(view, self._failures)
        planned = plan_tenant(view, self._store, self._options, self._resolve)
        return planned.settled(view, self._options, not_looked_at(planned))

    def _report(self, id_: Id, status: dict[str, Any]) -> list[str]:
        """Store a status; return what its conditions complain about."""
        self._objects[id_] = {**self._objects[id_], "status": status}
        refused = [
            item
            for item in status["conditions"]
            if item["type"] in ("Accepted", "ResolvedRefs") and item["status"] != "True"
        ]
        worst = [item for item in refused if item["status"] == "False"] or refused
        return [
            self._line(id_, f"{item['type']}={item['status']} ({item['reason']}): {item['message']}") for item in worst
        ]

    def _blocked(self, id_: Id, plan: GatewayPlan) -> list[str]:
        sinks = [item for item in plan.sinks if item.state in ("Blocked", "Failed")]
        return [self._line(id_, f"{item.state} ({item.reason}): {item.message}") for item in sinks]

    def _notes(self, id_: Id, plan: GatewayPlan) -> list[str]:
        found = [self._line(id_, text) for text in plan.advice]
        spec = self._store.gateways[id_[2], id_[3]].spec
        for sink in plan.sinks:
            container = None if sink.container is None else sink.workload.container(sink.container)
            if spec is not None and spec.install.control_plane is None:
                found += self._advice(spec, sink.workload, container)
            for entry in () if container is None else container.env_from:
                for kind, field in ((shapes.CONFIG_MAP, "configMapRef"), (shapes.SECRET, "secretRef")):
                    name = (entry.get(field) or {}).get("name")
                    if name and _id(kind, (sink.workload.namespace, name)) not in self._objects:
                        text = (
                            f"takes variables from {kind[1]} {name} (envFrom), which is not among the files: "
                            "whether it sets what would be written is not known"
                        )
                        found.append(self._line(_id(shapes.WORKLOADS[sink.workload.kind], sink.workload.key[1:]), text))
        return found

    def _advice(self, spec: GatewayTelemetrySpec, workload: Workload, container: Container | None) -> list[str]:
        adapter = adapter_of(spec.gateway)
        asked = [seen_of(workload, item, self._files) for item in _advised(spec, workload, container)]
        place = _id(shapes.WORKLOADS[workload.kind], workload.key[1:]) if asked else None
        return [self._line(place, text) for seen in asked for text in adapter.advice(seen) if place is not None]

    def _line(self, id_: Id, text: str) -> str:
        return f"{self._places[id_]}: {label(id_)}: {' '.join(text.split())}"

    def _act(self, view: Gateway) -> bool:
        """Do what the operator does for one gateway; return whether anything changed."""
        if view.deleting:
            records = restorable(self._store, view.key)
            for record in records:
                self._restore(record)
            return self._finalizer(view, wanted=False) or bool(records)
        if _suspended(view):
            return False
        if view.spec is not None and view.spec.install.control_plane is not None:
            return self._write_tenant(view)
        plan = self._planner.plan(view)
        due = [item.write for item in plan.sinks if item.write is not None and item.write.due]
        changed = bool(plan.restore)
        if plan.reference is not None and plan.reference.due:
            changed |= self._write_reference(view, plan.reference)
        for record in plan.restore:
            self._restore(record)
        if plan.resource is not None and plan.resource.due:
            try:
                self._write_resource(view, plan.resource)
                changed = True
            except Refused as refused:
                self._failures[plan.resource.kind, plan.resource.namespace, plan.resource.name] = refused
                due = []
        for write in due:
            try:
                self._write(view, write)
                changed = True
            except Refused as refused:
                self._failures[write.workload.key] = refused
        restores = view.spec is not None and view.spec.deletion_policy == "Restore"
        left = bool(self._store.records_of_owner(view.key))
        return self._finalizer(view, wanted=restores and left) or changed

    def _write_tenant(self, view: Gateway) -> bool:
        """Show the object that a control plane would be sent, as an object of its own."""
        planned = plan_tenant(view, self._store, self._options, self._resolve)
        records = self._store.records_of_owner(view.key)
        for record in records:
            self._restore(record)
        changed = bool(records)
        id_ = _id(shapes.TENANT, (view.namespace, view.name))
        if planned.write is not None and id_ not in self._objects:
            self._places[id_] = self._places[_id(shapes.GATEWAY, view.key)]
            self._objects[id_] = tenant_object(planned.write)
            changed = True
        restores = view.spec is not None and view.spec.deletion_policy == "Restore"
        return self._finalizer(view, wanted=restores and planned.write is not None) or changed

    def _write(self, view: Gateway, write: Write) -> None:
        if write.secret_stale:
            self._write_secret(view, write)
        if write.template_stale:
            id_ = _id(shapes.WORKLOADS[write.workload.kind], write.workload.key[1:])
            obj = self._objects[id_]
            if write.previous is not None:
                obj = withdrawn(obj, still_there(write.previous, write.workload))
            self._put(id_, _next_generation(merged(obj, write.injection, write.secret)))

    def _write_reference(self, view: Gateway, write: ReferenceWrite) -> bool:
        for wanted in reference_objects(view, write, self._now):
            if wanted is None:
                continue
            kind = shapes.SECRET if wanted["kind"] == "Secret" else shapes.CONFIG_MAP
            id_ = _id(kind, (write.namespace, wanted["metadata"]["name"]))
            found = self._objects.get(id_)
            if found is not None and not is_managed(found):
                self._failures[REFERENCE] = Refused(
                    Reason.SECRET_NAME_TAKEN,
                    f"{wanted['kind']} {write.namespace}/{wanted['metadata']['name']} exists and is not this "
                    "operator's: rename or delete it",
                )
                return False
            self._places.setdefault(id_, self._places[_id(shapes.GATEWAY, view.key)])
            self._put(id_, wanted)
        return True

    def _write_secret(self, view: Gateway, write: Write) -> None:
        wanted = secret_object(view, write)
        wanted["data"] |= kept(view, write, self._secret_data(write.workload.namespace, write.secret))
        self._put_copy(view, wanted)

    def _write_resource(self, view: Gateway, write: ResourceWrite) -> None:
        if write.record_stale:
            wanted = resource_secret(view, write)
            live = self._secret_data(write.namespace, write.secret)
            if ORIGINAL_KEY in live:
                wanted["data"] = {ORIGINAL_KEY: live[ORIGINAL_KEY], **wanted["data"]}
            self._put_copy(view, wanted)
        id_ = _id(_configured(write.kind), (write.namespace, write.name))
        self._put(id_, patched(self._objects[id_], write.patch))

    def _secret_data(self, namespace: str, name: str) -> Mapping[str, str]:
        found = self._objects.get(_id(shapes.SECRET, (namespace, name))) or {}
        return found.get("data") or {}

    def _put_copy(self, view: Gateway, wanted: dict[str, Any]) -> None:
        namespace, name = wanted["metadata"]["namespace"], wanted["metadata"]["name"]
        id_ = _id(shapes.SECRET, (namespace, name))
        found = self._objects.get(id_)
        if found is None:
            self._places[id_] = self._places[_id(shapes.GATEWAY, view.key)]
            self._put(id_, wanted)
            return
        if not is_managed(found):
            raise Refused(
                Reason.SECRET_NAME_TAKEN,
                f"Secret {namespace}/{name} exists and is not this operator's: rename or delete it",
            )
        metadata = {**found["metadata"], **wanted["metadata"]}
        for field in ("labels", "annotations"):
            metadata[field] = {**(found["metadata"].get(field) or {}), **wanted["metadata"][field]}
        self._put(id_, {**found, "metadata": metadata, "data": wanted["data"]})

    def _restore(self, record: Record) -> None:
        if record.reference:
            self._store.drop_record((record.namespace, record.name))
            del self._objects[_id(shapes.SECRET, (record.namespace, record.name))]
            beside = record.namespace, record.name + CA_SUFFIX
            self._store.ca_copies.pop(beside, None)
            self._objects.pop(_id(shapes.CONFIG_MAP, beside), None)
            return
        if record.added is not None:
            self._take_out(record)
            return
        id_ = _id(shapes.WORKLOADS[record.workload[0]], (record.namespace, record.workload[1]))
        live = self._store.workloads.get(record.workload_key)
        if live is not None and record.workload_uid in (None, live.uid):
            self._put(id_, _next_generation(restored(self._objects[id_], record)))
        self._store.drop_record((record.namespace, record.name))
        del self._objects[_id(shapes.SECRET, (record.namespace, record.name))]

    def _take_out(self, record: Record) -> None:
        secret = _id(shapes.SECRET, (record.namespace, record.name))
        id_ = _id(_configured(record.workload[0]), (record.namespace, record.workload[1]))
        live = self._objects.get(id_)
        if live is not None and record.workload_uid in (None, live["metadata"].get("uid")):
            text = self._secret_data(record.namespace, record.name).get(ORIGINAL_KEY)
            original = None if text is None else unpacked(base64.b64decode(text).decode())
            self._put(id_, patched(live, withdrawal(record, live, original)))
        self._store.drop_record((record.namespace, record.name))
        del self._objects[secret]

    def _finalizer(self, view: Gateway, *, wanted: bool) -> bool:
        if (meta.FINALIZER in view.finalizers) == wanted:
            return False
        id_ = _id(shapes.GATEWAY, view.key)
        metadata = {key: value for key, value in self._objects[id_]["metadata"].items() if key != "finalizers"}
        finalizers = [item for item in view.finalizers if item != meta.FINALIZER] + [meta.FINALIZER] * wanted
        if finalizers:
            metadata["finalizers"] = finalizers
        self._put(id_, {**self._objects[id_], "metadata": metadata})
        return True

    def _put(self, id_: Id, obj: dict[str, Any]) -> None:
        """Keep an object, and what planning sees of it."""
        self._objects[id_] = obj
        _, kind, namespace, name = id_
        view = _as_created(obj)
        match (obj["apiVersion"], kind):
            case shapes.TARGET:
                self._store.put_target(project_target(view))
            case shapes.GATEWAY:
                self._store.put_gateway(project_gateway(view))
            case ("apps/v1", name) if name in shapes.WORKLOADS:
                self._store.put_workload(project_workload(view))
            case shapes.NAMESPACE:
                labels = obj["metadata"].get("labels") or {}
                self._store.namespaces[name] = {**labels, "kubernetes.io/metadata.name": name}
            case shapes.SECRET | shapes.CONFIG_MAP:
                self._put_source(kind, namespace, name, obj)
        # A namespace that is used exists, and the API server labels each with its name.
        if namespace:
            self._store.namespaces.setdefault(namespace, {"kubernetes.io/metadata.name": namespace})

    def _put_source(self, kind: str, namespace: str, name: str, obj: dict[str, Any]) -> None:
        if (obj["metadata"].get("labels") or {}).get(meta.ROLE_LABEL) == meta.ROLE_SOURCE:
            self._store.sources[kind, namespace, name] = project_source(obj)
            return
        record = project_record(obj) if kind == "Secret" else None
        if record is not None:
            self._store.put_record(record)
        ca_copy = project_ca_copy(obj) if kind == "ConfigMap" else None
        if ca_copy is not None:
            self._store.ca_copies[namespace, name] = ca_copy

    def _resolve(self, target: Target) -> TargetResult:
        hosted = None if target.spec is None else target.spec.self_hosted
        service = None
        if hosted is not None and hosted.service_ref is not None:
            key = hosted.service_ref.namespace or target.namespace, hosted.service_ref.name
            service = self._objects.get(_id(shapes.SERVICE, key))
        return resolve(target, self._store, self._options, service)

    def _resource(self, view: Gateway) -> Found:
        if view.spec is None or view.spec.install.resource is None:
            return Found()
        ref = view.spec.install.resource.ref
        return Found(self._objects.get(_id(_configured(ref.kind), (view.namespace, ref.name))))

    def _files(self, workload: Workload) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for name in sorted(mounted_config_maps(workload)):
            obj = self._objects.get(_id(shapes.CONFIG_MAP, (workload.namespace, name))) or {}
            found |= {key: text for key, text in (obj.get("data") or {}).items() if isinstance(text, str)}
        return found

    def _env_names(self, workload: Workload) -> Mapping[tuple[str, str], frozenset[str] | None]:
        return self._names.get(workload.namespace, {})


def _advised(spec: GatewayTelemetrySpec, workload: Workload, container: Container | None) -> tuple[Container, ...]:
    """Return the containers whose own variables an adapter may have something to say about."""
    if spec.install.reference is not None:
        return takers(workload, spec.install.reference.secret_name)
    return () if container is None else (container,)


def _names_by_namespace(loaded: Iterable[Loaded]) -> dict[str, dict[tuple[str, str], frozenset[str] | None]]:
    """Return the names of the keys of all ConfigMaps and Secrets: what envFrom gives to containers."""
    result: dict[str, dict[tuple[str, str], frozenset[str] | None]] = {}
    for item in loaded:
        group, kind, namespace, name = item.id
        if group == "" and kind in ("ConfigMap", "Secret"):
            fields = (item.obj.get(field) or () for field in ("data", "binaryData", "stringData"))
            result.setdefault(namespace, {})[kind, name] = frozenset(key for field in fields for key in field)
    return result


def _configured(kind: str) -> tuple[str, str]:
    resource = CONFIGURED[kind]
    return resource.api_version, resource.kind


def _id(kind: tuple[str, str], key: Key) -> Id:
    return kind[0].rpartition("/")[0], kind[1], *key


def _suspended(view: Gateway) -> bool:
    return view.spec is not None and view.spec.suspend


def _as_created(obj: dict[str, Any]) -> dict[str, Any]:
    """Return the object with the generation that it gets when it is created, if it has none yet."""
    return {**obj, "metadata": {"generation": 1, **obj["metadata"]}}


def _next_generation(obj: dict[str, Any]) -> dict[str, Any]:
    """Return the workload with the generation that a change of its spec leads to, if it has one."""
    result = copy.copy(obj)
    generation = result["metadata"].get("generation")
    if generation is not None:
        result["metadata"] = {**result["metadata"], "generation": generation + 1}
    return result
