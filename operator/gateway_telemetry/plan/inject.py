"""One workload of ``install.inject``: what its pod template must carry, and how far that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from gateway_telemetry.adapters import Adapter, Context, Seen, adapter_of
from gateway_telemetry.api.gateway import GatewayTelemetrySpec
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.endpoint import EndpointProblem, Headers
from gateway_telemetry.plan import checks
from gateway_telemetry.plan.injection import render
from gateway_telemetry.plan.references import References
from gateway_telemetry.plan.rollout import progress, trouble
from gateway_telemetry.plan.sinks import SinkState, sink
from gateway_telemetry.plan.store import Gateway, Store, target_key
from gateway_telemetry.plan.targets import Refused
from gateway_telemetry.plan.turns import Gate, PodLookup, requested
from gateway_telemetry.plan.views import Container, Workload, digest
from gateway_telemetry.plan.writes import (
    Write,
    foreign,
    foreign_volumes,
    rolling_back,
    secret_name,
    stands,
    write_for,
    written,
)

EnvFromLookup = Callable[[Workload], checks.EnvFromKeys]
FilesLookup = Callable[[Workload], Mapping[str, str]]


@dataclass(frozen=True)
class Lookups:
    """What planning asks for beyond the store.

    Attributes:
        env_from: names that envFrom gives a container.
        pods: pods of a workload.
        gate: whose turn it is; everybody's when None.
        files: texts of the ConfigMaps that a workload's pods mount, where its adapter reads them.
    """

    env_from: EnvFromLookup
    pods: PodLookup
    gate: Gate | None = None
    files: FilesLookup = lambda _: {}


def injected(
    view: Gateway,
    spec: GatewayTelemetrySpec,
    workload: Workload,
    refers: References,
    stamp: str,
    store: Store,
    lookups: Lookups,
    failure: Refused | None,
    salt: str = "",
) -> SinkState:
    """Return how far one workload is, with the write that it needs.

    Args:
        stamp: identity of the GatewayTelemetry in resource attributes.
        failure: why the write of this round did not succeed.
        salt: what else its pods must be restarted for.
    """
    where = f"{workload.kind} {workload.namespace}/{workload.name}"
    container: str | None = None
    try:
        adapter = adapter_of(spec.gateway)
        picked = checks.pick_container(workload, spec.install.container, adapter, spec.install.way)
        container = picked.name
        seen = seen_of(workload, picked, lookups.files)
        adapter.check(seen)
        context = context_of(spec, refers, stamp, workload.key)
        write = _write(view, workload, picked, adapter, context, store, lookups, salt)
    except EndpointProblem as problem:
        return sink(workload, "Blocked", Reason(problem.reason), f"{where}: {problem.message}", container)
    except Refused as refusal:
        return sink(workload, "Blocked", refusal.reason, refusal.message, container)
    if failure is not None:
        return sink(workload, "Failed", failure.reason, failure.message, container, write)
    if (undone := _rolled_back(view, write)) is not None:
        return _not_while_suspended(view, undone, refers)
    if write.due and refers.target.suspend:
        target = "/".join(target_key(view))
        message = f"{where} does not carry them yet: LangSmithTarget {target} is suspended"
        return sink(workload, "Pending", Reason.TARGET_SUSPENDED, message, container)
    if write.due:
        return sink(workload, "Pending", Reason.NOT_WRITTEN, f"{where} does not carry them yet", container, write)
    if workload.owned:
        message = f"{where} carries them, but the operator's claim on its fields is not given up yet; it is tried again"
        return sink(workload, "Failed", Reason.WRITE_FAILED, message, container, write)
    return _not_while_suspended(view, _rolling_out(spec, write, ". ".join(adapter.advice(seen)), lookups), refers)


def _not_while_suspended(view: Gateway, item: SinkState, refers: References) -> SinkState:
    """Return the sink; nothing is rolled back while the target is suspended."""
    if item.write is None or not item.write.rollback or not refers.target.suspend:
        return item
    target = "/".join(target_key(view))
    message = f"{item.message}; nothing is rolled back while LangSmithTarget {target} is suspended"
    return replace(item, message=message, write=None)


def seen_of(workload: Workload, container: Container, files: FilesLookup) -> Seen:
    """Return what an adapter may see of a workload."""
    env = {item["name"]: item.get("value") for item in container.env if item.get("name") is not None}
    return Seen(env, workload.labels, files(workload))


def context_of(spec: GatewayTelemetrySpec, refers: References, stamp: str, workload: tuple[str, str, str]) -> Context:
    """Return what an adapter may look at."""
    return Context(
        spec=spec,
        endpoints=refers.resolved.endpoints,
        headers=Headers(refers.resolved.key, refers.project, refers.target.workspace_id),
        ca_pem=None if spec.gateway.ca_installed else refers.resolved.ca_pem,
        identity=stamp,
        workload=workload,
    )


def _write(
    view: Gateway,
    workload: Workload,
    picked: Container,
    adapter: Adapter,
    context: Context,
    store: Store,
    lookups: Lookups,
    salt: str,
) -> Write:
    where = f"{workload.kind} {workload.namespace}/{workload.name}"
    settings = adapter.settings(context)
    from_ = checks.inherited(picked, lookups.env_from(workload), where)
    name = secret_name(workload.kind, workload.name)
    record = store.records.get((workload.namespace, name))
    mine = written(record)
    others = foreign(picked, mine)
    variables = checks.writable(settings.env, others, from_, name)
    injection = render(picked.name, settings, variables, name)
    if salt:
        injection = replace(injection, config_hash=digest({"pods": injection.config_hash, "salt": salt})[:16])
    checks.check_container(picked, others, injection, adapter.forbidden(context), from_, where)
    checks.check_mounts(foreign_volumes(workload, mine), others, injection, where)
    return write_for(view, workload, injection, settings.files, name, record)


def _rolled_back(view: Gateway, write: Write) -> SinkState | None:
    """Return the state of a workload whose last rollout of exactly this content was rolled back, else None."""
    record = write.record
    if record is None or not record.failed or record.failed != write.injection.config_hash:
        return None
    if requested(view) not in (None, record.failed_request):
        return None  # somebody asked to try again
    workload = write.workload
    where = f"{workload.kind} {workload.namespace}/{workload.name}"
    message = (
        f"{where}: the pods of content {record.failed} failed, and what stood there before was written back: change "
        f"what made them fail, then kubectl annotate gatewaytelemetry {view.name} -n {view.namespace} --overwrite "
        "gatewaytelemetry.dev/requestedAt=$(date +%s)"
    )
    container = write.injection.container
    if stands(workload, record.injection, write.secret):
        return sink(workload, "Failed", Reason.ROLLED_BACK, message + _left_by_failure(workload), container)
    back = Write(
        workload,
        record.injection,
        {},
        write.secret,
        record,
        write.injection,
        secret_stale=False,
        template_stale=True,
        rollback=record.failed,
    )
    return sink(workload, "Failed", Reason.ROLLED_BACK, message, container, back)


def _left_by_failure(workload: Workload) -> str:
    """Return what is left to do after a rollback.

    https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#forced-rollback
    """
    if workload.kind != "StatefulSet" or progress(workload)[0] is not Reason.ROLLOUT_IN_PROGRESS:
        return ""
    return (
        "; a StatefulSet never replaces a pod that did not become ready, so delete those: kubectl get pods -n "
        f"{workload.namespace} -l '{workload.pods}'"
    )


def _rolling_out(spec: GatewayTelemetrySpec, write: Write, notes: str, lookups: Lookups) -> SinkState:
    workload, container = write.workload, write.injection.container
    reason, message = progress(workload)
    if reason is Reason.PROGRAMMED:
        return sink(workload, "Programmed", reason, notes, container, write)
    moving = reason in (Reason.ROLLOUT_IN_PROGRESS, Reason.ROLLOUT_BY_HAND)
    if moving and (why := trouble(workload, lookups.pods(workload) or ())) is not None:
        reason, message = Reason.ROLLOUT_FAILED, f"{workload.kind} {workload.namespace}/{workload.name}: {why}"
    if reason is Reason.ROLLOUT_FAILED:
        back = spec.install.rollout.on_failure == "Rollback" and _began_it(write)
        return sink(workload, "Failed", reason, message, container, rolling_back(write) if back else write)
    return sink(workload, "RollingOut", reason, message, container, write)


def _began_it(write: Write) -> bool:
    """Tell whether the rollout is of the operator's last change and of nothing else.

    Settings that ran before are not what a new image fails with, and what stood there before them may be long out of
    date: only a template that nobody changed since is put back.
    """
    record = write.record
    if record is None or record.generation is None or record.failed:
        return False
    return write.workload.generation <= record.generation + 1


def held(view: Gateway, item: SinkState, gate: Gate | None, store: Store) -> SinkState:
    """Return the sink; one that would replace pods waits if it is not its turn."""
    write = item.write
    if gate is None or write is None or write.rollback or item.state == "Failed":
        return item
    record = write.record or store.lost_record(view.namespace, write.secret, view.key)
    # Made anew, it is not the workload that carried them.
    same = record is not None and record.workload_uid in (None, item.workload.uid)
    repair = record is not None and same and record.injection == write.injection
    refusal = None
    if write.template_stale:
        refusal = gate.hold(view, item.workload, repair=repair)
    elif repair and record is not None and (write.record is None or record.digest != digest(write.files)):
        refusal = gate.mend(view, record)  # somebody changed or deleted the Secret; no pod is replaced
    if refusal is None:
        return item
    state = "Blocked" if refusal.reason is Reason.FOUGHT_OVER else "Pending"
    return sink(item.workload, state, refusal.reason, refusal.message, item.container)
