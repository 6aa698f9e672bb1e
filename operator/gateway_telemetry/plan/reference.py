"""``install.reference``: a Secret with a name that the gateway's chart refers to, and nothing else.

Its keys are the names of the variables, so ``envFrom`` takes them as they are; the CA lies in a ConfigMap beside it,
because a PEM text is no variable. Pods read both when they start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway_telemetry.adapters import CA_DIRECTORY, CA_KEY, Forbidden, adapter_of
from gateway_telemetry.api import meta
from gateway_telemetry.api.gateway import GatewayTelemetrySpec
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.endpoint import EndpointProblem
from gateway_telemetry.plan import checks
from gateway_telemetry.plan.inject import Lookups, context_of, seen_of
from gateway_telemetry.plan.injection import Injection
from gateway_telemetry.plan.managed import managed_secret
from gateway_telemetry.plan.references import References
from gateway_telemetry.plan.rollout import progress, trouble
from gateway_telemetry.plan.sinks import SinkState, sink
from gateway_telemetry.plan.store import Gateway, Lost, Store, target_key
from gateway_telemetry.plan.targets import Refused
from gateway_telemetry.plan.views import (
    MANAGED_BY,
    MANAGED_BY_LABEL,
    TIME_FORMAT,
    CaCopy,
    Container,
    Pod,
    Record,
    Workload,
    ca_digest,
    digest,
)

CA_SUFFIX = "-ca"
"""After the Secret's name: name of the ConfigMap with the CA."""
NOTICED = timedelta(seconds=5)
"""A deletion is noticed within this time, clocks of nodes included."""
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
"""The annotation by which ``kubectl rollout restart`` restarts pods; ours is the same request."""


@dataclass(frozen=True)
class ReferenceWrite:
    """The Secret that a chart refers to.

    Attributes:
        data: its content; holds the key.
        ca: content of the ConfigMap beside it, or None if there is to be none.
        required: names of variables that nothing else on the container may set.
        forbidden: variables that would undo them.
        record: what the Secret of that name holds now.
        before: what pods may have read: `record`, or what the Secret held that somebody deleted.
        fresh: whether pods that run have not read this content, or may have started while there was none.
        ca_unread: likewise for the CA, should it turn out that it was missing.
        ca_version: changes with every write of the ConfigMap with the CA.
        repair: whether it is to be written because somebody changed or deleted what was written.
        due: whether anything is to be written.
    """

    namespace: str
    name: str
    data: Mapping[str, str] = field(repr=False)
    ca: str | None
    required: frozenset[str]
    forbidden: tuple[Forbidden, ...]
    record: Record | None
    before: Record | None
    fresh: bool
    ca_unread: bool
    ca_version: str
    repair: bool
    due: bool


def reference_write(
    view: Gateway,
    spec: GatewayTelemetrySpec,
    refers: References,
    stamp: str,
    store: Store,
    pods: Sequence[Sequence[Pod] | None] = (),
) -> ReferenceWrite:
    """Return what the Secret must hold.

    Args:
        pods: of each workload that refers to it; None where they were not read.

    Raises:
        EndpointProblem: key or project cannot be carried by this gateway.
        Refused: the operator needs the Secret of that name for something else.
    """
    assert spec.install.reference is not None
    name = spec.install.reference.secret_name
    # One Secret for all: it names none of them, or a second workload would restart the first.
    context = context_of(spec, refers, stamp, (spec.install.reference.workloads.kind, view.namespace, ""))
    adapter = adapter_of(spec.gateway)
    settings = adapter.settings(context)
    data = {
        item.name: settings.files[item.secret_key] if item.secret_key is not None else item.value or ""
        for item in settings.env
    }
    data |= {name: settings.files[name] for name in settings.documents}
    ca = settings.files.get(CA_KEY) if settings.mount_ca else None
    record = store.records.get((view.namespace, name))
    if record is not None:
        _check_free(view, record, store)
    wanted = digest(with_ca(data, ca))
    before = record or store.lost_record(view.namespace, name, view.key)
    content_stale = record is None or record.digest != wanted
    copy, lost_copy, ca_stale = _ca_state(view, name + CA_SUFFIX, ca, store)
    stale = content_stale or ca_stale
    repair = stale and before is not None and before.written == wanted and before.owner == view.key
    fresh = before is None or before.digest != wanted
    if record is None and not fresh:
        fresh = _started_without(store.lost["Secret", view.namespace, name], pods)
    due = (
        stale
        or (record is not None and record.owner != view.key)
        or (record is not None and (record.owner_uid or "") != view.uid)
        or (record is not None and record.orphan != (spec.deletion_policy == "Orphan"))
    )
    required = frozenset(item.name for item in settings.env if not item.yields)
    forbidden = adapter.forbidden(context)
    return ReferenceWrite(
        namespace=view.namespace,
        name=name,
        data=data,
        ca=ca,
        required=required,
        forbidden=forbidden,
        record=record,
        before=before,
        fresh=fresh,
        ca_unread=copy is not None or lost_copy is None or _started_without(lost_copy, pods),
        ca_version=_version(copy, lost_copy),
        repair=repair,
        due=due,
    )


def _version(copy: CaCopy | None, lost: Lost | None) -> str:
    if copy is not None:
        return copy.version
    return "" if lost is None else lost.view.version


def _ca_state(view: Gateway, name: str, ca: str | None, store: Store) -> tuple[CaCopy | None, Lost | None, bool]:
    """Return the ConfigMap with the CA as it is, as it was before somebody deleted it, and whether it must be written.

    One that is not wanted any more counts as well; one of another gateway's does not.
    """
    copy = store.ca_copies.get((view.namespace, name))
    if ca is None:
        return copy, None, copy is not None and copy.owner == view.key
    lost = store.lost.get(("ConfigMap", view.namespace, name))
    return copy, lost, copy is None or copy.owner != view.key or copy.digest != ca_digest(ca)


def _started_without(lost: Lost, pods: Sequence[Sequence[Pod] | None]) -> bool:
    """Tell whether pods may have started while something was deleted that they read when they start."""
    if not lost.exact:
        return True
    since = (lost.at - NOTICED).strftime(TIME_FORMAT)
    return any(items is None or any(item.created >= since for item in items) for items in pods)


def _check_free(view: Gateway, record: Record, store: Store) -> None:
    where = f"Secret {record.namespace}/{record.name}"
    advice = "write another name into spec.install.reference.secretName"
    if not record.reference:
        kind, name = record.workload
        message = f"{where} is where the operator remembers what it wrote into {kind} {name}: {advice}"
        raise Refused(Reason.SECRET_NAME_TAKEN, message)
    other = store.gateways.get(record.owner)
    if record.owner == view.key or other is None or other.deleting or other.spec is None:
        return
    reference = other.spec.install.reference
    if reference is not None and reference.secret_name == record.name:
        raise Refused(Reason.SECRET_NAME_TAKEN, f"{where} belongs to GatewayTelemetry {other.name}: {advice}")


def with_ca(data: Mapping[str, str], ca: str | None) -> dict[str, str]:
    """Return the content with a mark of the CA, so that a changed CA is a changed content."""
    if ca is None:
        return dict(data)
    return {**data, meta.CA_DIGEST_KEY: ca_digest(ca)}


def reference_objects(view: Gateway, write: ReferenceWrite, now: str) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return the Secret and the ConfigMap, whole.

    Args:
        now: RFC 3339 time: of the change, if the content changes.
    """
    return reference_secret(view, write, now), ca_config_map(view, write)


def reference_secret(view: Gateway, write: ReferenceWrite, now: str) -> dict[str, Any]:
    """Return the Secret, whole.

    Args:
        now: RFC 3339 time: of the change, if the content changes.
    """
    changed = now
    if write.before is not None:
        before = write.before.changed_at
        # Never the same second twice: pods of a restart for the change before are old for this one.
        changed = max(now, _next_second(before)) if write.fresh else before
    content = with_ca(write.data, write.ca)
    annotations = {
        meta.OWNER_ANNOTATION: f"{view.namespace}/{view.name}",
        meta.OWNER_UID_ANNOTATION: view.uid,
        meta.CHANGED_AT_ANNOTATION: changed,
        meta.CONFIG_HASH_ANNOTATION: digest(content),
    }
    if view.spec is not None and view.spec.deletion_policy == "Orphan":
        annotations[meta.ORPHAN_ANNOTATION] = "true"
    return managed_secret(write.namespace, write.name, annotations, content, {})


def ca_config_map(view: Gateway, write: ReferenceWrite) -> dict[str, Any] | None:
    """Return the ConfigMap with the CA, whole; None if there is to be none."""
    if write.ca is None:
        return None
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": write.name + CA_SUFFIX,
            "namespace": write.namespace,
            "labels": {MANAGED_BY_LABEL: MANAGED_BY, meta.ROLE_LABEL: meta.ROLE_COPY},
            "annotations": {meta.OWNER_ANNOTATION: f"{view.namespace}/{view.name}"},
        },
        "data": {CA_KEY: write.ca},
    }


def referring(
    view: Gateway,
    spec: GatewayTelemetrySpec,
    workload: Workload,
    write: ReferenceWrite | EndpointProblem | Refused,
    refers: References,
    lookups: Lookups,
    failure: Refused | None,
) -> SinkState:
    """Return how far one workload is: does it refer to the Secret, and do its pods run with the present content?"""
    where = f"{workload.kind} {workload.namespace}/{workload.name}"
    if isinstance(write, EndpointProblem):
        return sink(workload, "Blocked", Reason(write.reason), f"{where}: {write.message}")
    if isinstance(write, Refused):
        state = "Pending" if write.reason is Reason.NOT_WRITTEN else "Blocked"
        return sink(workload, state, write.reason, write.message)
    if failure is not None:
        return sink(workload, "Failed", failure.reason, failure.message)
    try:
        notes = _adapted(spec, workload, write, lookups)
        _check_reference(workload, write, lookups.env_from(workload), where)
    except EndpointProblem as problem:
        return sink(workload, "Blocked", Reason(problem.reason), f"{where}: {problem.message}")
    except Refused as refusal:
        return sink(workload, "Blocked", refusal.reason, refusal.message)
    if write.due:
        if refers.target.suspend:
            target = "/".join(target_key(view))
            message = f"Secret {write.namespace}/{write.name} is not written: LangSmithTarget {target} is suspended"
            return sink(workload, "Pending", Reason.TARGET_SUSPENDED, message)
        message = f"Secret {write.namespace}/{write.name} is not written yet"
        return sink(workload, "Pending", Reason.NOT_WRITTEN, message)
    assert write.record is not None
    found = _running(view, spec, workload, write.record.changed_at, lookups)
    return replace(found, message=notes) if found.state == "Programmed" else found


def _adapted(spec: GatewayTelemetrySpec, workload: Workload, write: ReferenceWrite, lookups: Lookups) -> str:
    """Return the adapter's warnings about the containers that take variables from the Secret.

    Raises:
        EndpointProblem: these settings are not for this workload.
    """
    adapter = adapter_of(spec.gateway)
    notes: dict[str, None] = {}
    for container in takers(workload, write.name):
        seen = seen_of(workload, container, lookups.files)
        adapter.check(seen)
        notes.update(dict.fromkeys(adapter.advice(seen)))
    return ". ".join(notes)


def _running(
    view: Gateway, spec: GatewayTelemetrySpec, workload: Workload, changed_at: str, lookups: Lookups
) -> SinkState:
    where = f"{workload.kind} {workload.namespace}/{workload.name}"
    pods = lookups.pods(workload)
    if pods is None:
        message = f"{where}: pods that started before {changed_at} must be restarted; they were not looked at"
        return sink(workload, "Pending", Reason.RESTART_NEEDED, message)
    # A pod of the same second may have read what was there before, unless a later restart made it.
    old = sorted(item.name for item in pods if item.created <= changed_at and not _after(item.restarted_at, changed_at))
    restarted = _after(workload.restarted_at, changed_at)
    reason, message = progress(workload)
    if reason is Reason.ROLLOUT_IN_PROGRESS and (why := trouble(workload, pods)) is not None:
        return sink(workload, "Failed", Reason.ROLLOUT_FAILED, f"{where}: {why}")
    if reason is Reason.ROLLOUT_FAILED:
        return sink(workload, "Failed", reason, message)
    if not old:
        if reason is Reason.PROGRAMMED:
            return sink(workload, "Programmed", reason, "")
        return sink(workload, "RollingOut", reason, message)
    if reason is Reason.ROLLOUT_IN_PROGRESS and restarted:
        return sink(workload, "RollingOut", reason, message)
    command = f"kubectl rollout restart {workload.kind.lower()} {workload.name} -n {workload.namespace}"
    needed = f"{where}: {len(old)} pods started before the Secret's last change ({changed_at})"
    if spec.install.rollout.policy == "Manual" or reason is not Reason.PROGRAMMED or restarted:
        return sink(workload, "Pending", Reason.RESTART_NEEDED, f"{needed}: {command}")
    if lookups.gate is not None:
        refusal = lookups.gate.hold(view, workload, repair=False)
        if refusal is not None:
            return sink(workload, "Pending", refusal.reason, refusal.message)
    message = f"{needed}: they are restarted"
    return SinkState(workload, None, "Pending", Reason.RESTART_NEEDED, message, None, _next_second(changed_at))


def _after(text: str, changed_at: str) -> bool:
    """Tell whether a time is later than a change; kubectl writes its user's time zone, others write anything."""
    try:
        return datetime.fromisoformat(text) > datetime.fromisoformat(changed_at)
    except (ValueError, TypeError):
        return False


def _next_second(changed_at: str) -> str:
    """Return the first time that is after a change, as Kubernetes writes it.

    A restart of the same second could have been asked for just before the change.
    """
    return (datetime.strptime(changed_at, TIME_FORMAT).replace(tzinfo=UTC) + timedelta(seconds=1)).strftime(TIME_FORMAT)


def _check_reference(workload: Workload, write: ReferenceWrite, env_from: checks.EnvFromKeys, where: str) -> None:
    """Refuse when the pods would not see what the Secret holds.

    Raises:
        Refused: there is no reference, or something on the container goes before it.
    """
    if not refers_to(workload, write.name):
        raise Refused(
            Reason.NOT_REFERENCED,
            f"{where} does not refer to Secret {write.name}: let its chart render envFrom: [{{secretRef: {{name: "
            f"{write.name}, optional: true}}}}]",
        )
    ca = write.name + CA_SUFFIX
    if write.ca is not None and not any(ca in mounted(volume, "configMap", "name") for volume in workload.volumes):
        raise Refused(
            Reason.NOT_REFERENCED,
            f"{where} has no volume of ConfigMap {ca}, which holds LangSmith's CA: let its chart mount it at "
            f"{CA_DIRECTORY} with optional: true",
        )
    # Names that cannot be read are not known to be in the way.
    others = {key: names or frozenset() for key, names in env_from.items() if key != ("Secret", write.name)}
    for container in workload.containers:
        if not _takes_from(container, write.name):
            continue
        nothing = Injection(container.name, (), (), (), "")
        inherited = checks.inherited(container, others, where)
        checks.check_container(container, container, nothing, write.forbidden, inherited, where)
        for item in container.env:
            if item.get("name") in write.required and _secret_of(item) != write.name:
                raise Refused(
                    Reason.ENV_CONFLICT,
                    f"{where}, container {container.name} sets {item['name']} itself, which goes before Secret "
                    f"{write.name}: remove it from the manifest or chart that sets it",
                )


def takers(workload: Workload, secret: str) -> tuple[Container, ...]:
    """Return the containers that take variables from the Secret; the first one if it is only mounted."""
    return tuple(item for item in workload.containers if _takes_from(item, secret)) or workload.containers[:1]


def refers_to(workload: Workload, secret: str) -> bool:
    """Tell whether a container takes a variable from the Secret, in either form, or mounts it."""
    if any(_takes_from(container, secret) for container in workload.containers):
        return True
    return any(secret in mounted(volume, "secret", "secretName") for volume in workload.volumes)


def _takes_from(container: Container, secret: str) -> bool:
    if any((entry.get("secretRef") or {}).get("name") == secret for entry in container.env_from):
        return True
    return any(_secret_of(item) == secret for item in container.env)


def _secret_of(variable: Mapping[str, Any]) -> str | None:
    name: str | None = ((variable.get("valueFrom") or {}).get("secretKeyRef") or {}).get("name")
    return name


def mounted(volume: Mapping[str, Any], kind: str, field: str) -> list[str]:
    """Return the names of the Secrets or ConfigMaps of a volume."""
    sources = (volume.get("projected") or {}).get("sources") or ()
    found = [(volume.get(kind) or {}).get(field), *((item.get(kind) or {}).get("name") for item in sources)]
    return [name for name in found if name]


def restart_body(workload: Workload, since: str) -> dict[str, Any]:
    """Return the apply body that restarts a workload's pods."""
    metadata: dict[str, Any] = {"name": workload.name, "namespace": workload.namespace}
    if workload.uid:
        metadata["uid"] = workload.uid
    template = {"metadata": {"annotations": {RESTARTED_AT: since}}}
    return {"apiVersion": "apps/v1", "kind": workload.kind, "metadata": metadata, "spec": {"template": template}}
