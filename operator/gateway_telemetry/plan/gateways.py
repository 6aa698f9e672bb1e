"""From a GatewayTelemetry and what is known of the cluster to writes, restores and conditions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway_telemetry.adapters import Context, adapter_for
from gateway_telemetry.api.conditions import Finding, bad, good, summarise, unknown
from gateway_telemetry.api.gateway import GatewayTelemetrySpec
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.endpoint import EndpointProblem, Headers, clean_project
from gateway_telemetry.plan import checks
from gateway_telemetry.plan.injection import Injection, covers, render, same_source
from gateway_telemetry.plan.options import Options
from gateway_telemetry.plan.rollout import progress
from gateway_telemetry.plan.store import Gateway, Store, Target, target_key
from gateway_telemetry.plan.targets import Refused, Resolved, TargetResult
from gateway_telemetry.plan.views import Container, Key, Record, Workload, digest

TargetLookup = Callable[[Target], TargetResult]
EnvFromLookup = Callable[[Workload], checks.EnvFromKeys]
WorkloadKey = tuple[str, str, str]


@dataclass(frozen=True)
class Write:
    """What one workload must carry, and how it gets there.

    Attributes:
        files: data of the operator's Secret besides the record; holds the key.
        previous: what stands there now and must be claimed first, because some of it goes away.
        secret_stale: whether the Secret must be written (content, record or owner differ).
        template_stale: whether the pod template must be written.
    """

    workload: Workload
    injection: Injection
    files: Mapping[str, str] = field(repr=False)
    secret: str
    record: Record | None
    previous: Injection | None
    secret_stale: bool
    template_stale: bool

    @property
    def due(self) -> bool:
        """Tell whether there is anything to write."""
        return self.secret_stale or self.template_stale


@dataclass(frozen=True)
class SinkState:
    """One workload: what must be written and how far it is."""

    workload: Workload
    container: str | None
    state: str
    reason: Reason
    message: str
    write: Write | None = None


@dataclass(frozen=True)
class GatewayPlan:
    """All that reconciling one GatewayTelemetry takes.

    Attributes:
        restore: records whose workloads must be put back as they were.
        endpoint: full traces URL and project, once the references are resolved.
    """

    findings: tuple[Finding, ...]
    sinks: tuple[SinkState, ...]
    restore: tuple[Record, ...]
    endpoint: tuple[str, str] | None
    advice: tuple[str, ...] = ()


def identity(view: Gateway, options: Options) -> str:
    """Return the short stable id that is stamped into the gateway's resource attributes."""
    text = "/".join((options.cluster_name, view.namespace, view.name))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def secret_name(kind: str, name: str) -> str:
    """Return the name of the operator's Secret beside a workload: stable, and at most 253 characters."""
    full = f"gateway-telemetry-{kind.lower()}-{name}"
    if len(full) <= 253:
        return full
    return f"{full[:240].rstrip('-.')}-{hashlib.sha256(full.encode()).hexdigest()[:12]}"


def claimant(workload: Workload, store: Store) -> Gateway | None:
    """Return the GatewayTelemetry that a workload belongs to.

    The one that has it keeps it while it still matches; else the oldest takes it.
    """
    candidates = [view for view in store.gateways_matching(workload) if not view.deleting and view.spec is not None]
    record = store.records.get((workload.namespace, secret_name(workload.kind, workload.name)))
    if record is not None:
        for view in candidates:
            if view.key == record.owner:
                return view
    return candidates[0] if candidates else None


class Planner:
    """Plans gateways against one store; holds no state of its own."""

    def __init__(self, store: Store, options: Options, targets: TargetLookup, env_from: EnvFromLookup) -> None:
        self._store = store
        self._options = options
        self._targets = targets
        self._env_from = env_from

    def plan(self, view: Gateway, failures: Mapping[WorkloadKey, Refused] | None = None) -> GatewayPlan:
        """Return the plan for one GatewayTelemetry that exists and is not being deleted.

        Args:
            failures: why writes of this round did not succeed, by workload.
        """
        records = self._store.records_of_owner(view.key)
        if view.spec is None:
            return self._give_up(bad("Accepted", Reason.INVALID_SPEC, view.problem))
        selected = self._store.workloads_matching(view)
        matched = [item for item in selected if not item.deleting]
        keys = {(item.kind, item.name) for item in selected}
        undone = tuple(item for item in records if not _left_behind(item, view))
        left = tuple(item for item in undone if item.workload not in keys)
        if not matched:
            message = (
                f"spec.install.inject.workloads.selector matches no Deployment in namespace {view.namespace}: compare "
                f"it with kubectl get deployments -n {view.namespace} --show-labels"
            )
            return self._give_up(bad("Accepted", Reason.NO_MATCHING_WORKLOADS, message), left)
        lost = {item.key: owner for item in matched if (owner := claimant(item, self._store)) and owner.key != view.key}
        if len(lost) == len(matched):
            first = matched[0]
            return self._give_up(bad("Accepted", Reason.CONFLICTED, _lost(first, lost[first.key])), left)
        accepted = good("Accepted", Reason.ACCEPTED, f"Matches {_count(matched)}.")
        try:
            resolved, project, advice = self._resolve(view, view.spec)
        except _ConsentWithdrawn as refusal:
            finding = bad("ResolvedRefs", refusal.reason, refusal.message)
            return self._stop(accepted, finding, undone, _waiting(matched))
        except Refused as refusal:
            finding = bad("ResolvedRefs", refusal.reason, refusal.message)
            return self._stop(accepted, finding, left, _waiting(matched))
        findings = [accepted, good("ResolvedRefs", Reason.RESOLVED, f"Traces go to project {project!r}.")]
        sinks = tuple(
            _sink(item, "Blocked", Reason.CONFLICTED, _lost(item, lost[item.key]))
            if item.key in lost
            else self._workload(view, view.spec, item, resolved, project, (failures or {}).get(item.key))
            for item in matched
        )
        findings.append(programmed(sinks))
        return self._finish(findings, sinks, left, (resolved.endpoints.traces, project), advice)

    def _give_up(self, accepted: Finding, restore: tuple[Record, ...] = ()) -> GatewayPlan:
        pending = unknown("ResolvedRefs", Reason.PENDING, "The spec must be accepted first.")
        return self._stop(accepted, pending, restore, ())

    def _stop(
        self, accepted: Finding, resolved: Finding, restore: tuple[Record, ...], sinks: tuple[SinkState, ...]
    ) -> GatewayPlan:
        first = "the spec must be accepted" if accepted.status != "True" else "the references must be resolved"
        waiting = unknown("Programmed", Reason.PENDING, f"Nothing new is written: {first} first.")
        return self._finish([accepted, resolved, waiting], sinks, restore, None, ())

    def _finish(
        self,
        findings: list[Finding],
        sinks: tuple[SinkState, ...],
        restore: tuple[Record, ...],
        endpoint: tuple[str, str] | None,
        advice: tuple[str, ...],
    ) -> GatewayPlan:
        findings += [unknown(type_, Reason.NOT_VERIFIED) for type_ in ("Producing", "Delivered")]
        findings += summarise(findings, ("Accepted", "ResolvedRefs", "Programmed"))
        return GatewayPlan(tuple(findings), sinks, restore, endpoint, advice)

    def _resolve(self, view: Gateway, spec: GatewayTelemetrySpec) -> tuple[Resolved, str, tuple[str, ...]]:
        key = target_key(view)
        target = self._store.targets.get(key)
        # One text for "not there" and "not for you", so that a refusal does not tell what exists elsewhere.
        missing = (
            f"spec.targetRef: LangSmithTarget {key[0]}/{key[1]} was not found"
            + ("" if key[0] == view.namespace else f", or it does not admit namespace {view.namespace}")
            + ": check the name"
            + ("" if key[0] == view.namespace else ", and spec.allowedNamespaces of that target")
        )
        if target is None:
            raise Refused(Reason.TARGET_NOT_FOUND, missing)
        if not admits(target, view.namespace, self._store):
            raise _ConsentWithdrawn(Reason.TARGET_NOT_FOUND, missing)
        result = self._targets(target)
        if result.resolved is None:
            trouble = next(item for item in result.findings if item.status == "False")
            where = f"LangSmithTarget {key[0]}/{key[1]}"
            detail = f": {trouble.message}" if key[0] == view.namespace else ""
            raise Refused(Reason.TARGET_NOT_READY, f"{where}: {trouble.type} is False ({trouble.reason}){detail}")
        assert target.spec is not None
        project = spec.project or target.spec.project
        if project is None:
            raise Refused(
                Reason.PROJECT_MISSING,
                f"neither spec.project nor LangSmithTarget {key[0]}/{key[1]} names a project, so traces would land in "
                "'default': set spec.project",
            )
        allowed = target.spec.allowed_projects
        if allowed is not None and project not in allowed:
            raise Refused(
                Reason.PROJECT_NOT_ALLOWED,
                f"spec.project: LangSmithTarget {key[0]}/{key[1]} does not allow project {project!r}: use one that its "
                "spec.allowedProjects holds",
            )
        try:
            clean, notes = clean_project(project)
        except EndpointProblem as problem:
            raise Refused(Reason(problem.reason), f"spec.project: {problem.message}") from None
        return result.resolved, clean, tuple(note.message for note in notes)

    def _workload(
        self,
        view: Gateway,
        spec: GatewayTelemetrySpec,
        workload: Workload,
        resolved: Resolved,
        project: str,
        failure: Refused | None,
    ) -> SinkState:
        where = f"{workload.kind} {workload.namespace}/{workload.name}"
        container: str | None = None
        try:
            adapter = adapter_for(spec.gateway.type)
            picked = checks.pick_container(workload, spec.install.inject.container, adapter)
            container = picked.name
            target = self._store.targets[target_key(view)]
            workspace = target.spec.workspace_id if target.spec is not None else None
            context = Context(
                spec=spec,
                endpoints=resolved.endpoints,
                headers=Headers(resolved.key, project, workspace),
                ca_pem=resolved.ca_pem,
                identity=identity(view, self._options),
                workload=workload.key,
            )
            settings = adapter.settings(context)
            from_ = checks.inherited(picked, self._env_from(workload), where)
            name = secret_name(workload.kind, workload.name)
            record = self._store.records.get((workload.namespace, name))
            mine = _written(record)
            foreign = _foreign(picked, mine)
            variables = checks.writable(settings.env, foreign, from_, name)
            injection = render(picked.name, settings, variables, name)
            checks.check_container(picked, foreign, injection, adapter.forbidden(context), from_, where)
            checks.check_mounts(_foreign_volumes(workload, mine), foreign, injection, where)
            write = _write(view, workload, injection, settings.files, name, record)
        except EndpointProblem as problem:
            return _sink(workload, "Blocked", Reason(problem.reason), f"{where}: {problem.message}", container)
        except Refused as refusal:
            return _sink(workload, "Blocked", refusal.reason, refusal.message, container)
        if failure is not None:
            return _sink(workload, "Failed", failure.reason, failure.message, container, write)
        if write.due and target.spec is not None and target.spec.suspend:
            message = f"{where} does not carry them yet: LangSmithTarget {target.namespace}/{target.name} is suspended"
            return _sink(workload, "Pending", Reason.TARGET_SUSPENDED, message, container)
        if write.due:
            return _sink(workload, "Pending", Reason.NOT_WRITTEN, f"{where} does not carry them yet", container, write)
        env = {item.get("name"): item.get("value") for item in picked.env}
        notes = adapter.advice({key: value for key, value in env.items() if key is not None})
        reason, message = progress(workload)
        if reason is Reason.PROGRAMMED:
            return _sink(workload, "Programmed", reason, ". ".join(notes), container, write)
        return _sink(workload, "RollingOut", reason, message, container, write)


class _ConsentWithdrawn(Refused):
    """The target does not admit the namespace: what was written with its key must go."""


def admits(target: Target, namespace: str, store: Store) -> bool:
    """Tell whether the target's owner lets gateways of a namespace use it."""
    if target.namespace == namespace:
        return True
    if target.spec is None or target.spec.allowed_namespaces is None:
        return False
    allowed = target.spec.allowed_namespaces
    match allowed.from_:
        case "Same":
            return False
        case "All":
            return True
        case "Selector":
            labels = store.namespaces.get(namespace)
            return labels is not None and allowed.selector is not None and allowed.selector.matches(dict(labels))


def _written(record: Record | None) -> tuple[Injection, ...]:
    if record is None:
        return ()
    return tuple(item for item in (record.injection, record.previous) if item is not None)


def _foreign(container: Container, mine: tuple[Injection, ...]) -> Container:
    """Return the container without what this operator wrote there; what differs from it is somebody else's."""
    env = [item for one in mine if one.container == container.name for item in one.env]
    mounts = [item for one in mine if one.container == container.name for item in one.mounts]
    return Container(
        name=container.name,
        env=tuple(item for item in container.env if not any(same_source(item, other) for other in env)),
        env_from=container.env_from,
        mounts=tuple(item for item in container.mounts if not any(covers(item, other) for other in mounts)),
    )


def _foreign_volumes(workload: Workload, mine: tuple[Injection, ...]) -> tuple[Mapping[str, Any], ...]:
    ours = [item for one in mine for item in one.volumes]
    return tuple(item for item in workload.volumes if not any(covers(item, other) for other in ours))


def _write(
    view: Gateway, workload: Workload, injection: Injection, files: Mapping[str, str], name: str, record: Record | None
) -> Write:
    live = workload.container(injection.container)
    assert live is not None
    standing = (
        workload.config_hash == injection.config_hash
        and workload.record == name
        and _all_there(live.env, injection.env)
        and _all_there(live.mounts, injection.mounts)
        and _all_there(workload.volumes, injection.volumes)
    )
    previous = None
    if record is not None and record.injection != injection:
        # A change that was remembered and never written leaves the set before it in place.
        older = record.previous is not None and workload.config_hash == record.previous.config_hash
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


def _all_there(live: tuple[Mapping[str, object], ...], wanted: tuple[Mapping[str, object], ...]) -> bool:
    return all(any(covers(item, want) for item in live) for want in wanted)


def _sink(
    workload: Workload,
    state: str,
    reason: Reason,
    message: str,
    container: str | None = None,
    write: Write | None = None,
) -> SinkState:
    return SinkState(workload, container, state, reason, message, write)


def _waiting(matched: list[Workload]) -> tuple[SinkState, ...]:
    return tuple(_sink(item, "Pending", Reason.PENDING, "") for item in matched)


def _left_behind(record: Record, view: Gateway) -> bool:
    """Tell whether an earlier object of the same name left what it wrote on purpose (deletionPolicy Orphan)."""
    return record.orphan and record.owner_uid != view.uid


def _lost(workload: Workload, winner: Gateway) -> str:
    return (
        f"{workload.kind} {workload.namespace}/{workload.name} belongs to GatewayTelemetry {winner.name}: remove one "
        "of the two, or narrow a selector"
    )


def _count(matched: list[Workload]) -> str:
    return matched[0].name if len(matched) == 1 else f"{len(matched)} workloads"


_ORDER = ("Blocked", "Failed", "Pending", "RollingOut", "Programmed")


def by_trouble(sinks: tuple[SinkState, ...]) -> list[SinkState]:
    """Return the sinks, those with trouble first, then by kind and name."""
    return sorted(sinks, key=lambda item: (_ORDER.index(item.state), item.workload.kind, item.workload.name))


def programmed(sinks: tuple[SinkState, ...]) -> Finding:
    """Return the condition Programmed: the worst sink decides, and is named."""
    worst = by_trouble(sinks)[0]
    if worst.state == "Programmed":
        notes = sorted({item.message for item in sinks if item.message})
        return good("Programmed", Reason.PROGRAMMED, ". ".join([f"{len(sinks)} of {len(sinks)} workloads", *notes]))
    rest = sum(1 for item in sinks if item.state != "Programmed") - 1
    more = f" (and {rest} more: see status.sinks)" if rest else ""
    return bad("Programmed", worst.reason, f"{worst.message}{more}")


def restorable(store: Store, owner: Key) -> tuple[Record, ...]:
    """Return the records to undo when a GatewayTelemetry is gone or going."""
    return tuple(item for item in store.records_of_owner(owner) if not item.orphan)


def leaving(failure: Refused) -> GatewayPlan:
    """Return what to report of a GatewayTelemetry that is being deleted and cannot be restored yet."""
    findings = [
        bad("Programmed", Reason.RESTORING, f"Being deleted; what was written is still there: {failure.message}")
    ]
    return GatewayPlan((*findings, *summarise(findings, ("Programmed",))), (), (), None)
