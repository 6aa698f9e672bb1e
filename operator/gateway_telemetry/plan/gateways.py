"""From a GatewayTelemetry and what is known of the cluster to writes, restores and conditions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway_telemetry.adapters import Context, adapter_for
from gateway_telemetry.api.conditions import Finding, bad, good, summarise, unknown
from gateway_telemetry.api.gateway import GatewayTelemetrySpec
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.endpoint import EndpointProblem, Headers
from gateway_telemetry.plan import checks
from gateway_telemetry.plan.injection import render
from gateway_telemetry.plan.options import Options
from gateway_telemetry.plan.references import ConsentWithdrawn, References, TargetLookup, resolve_references
from gateway_telemetry.plan.rollout import progress
from gateway_telemetry.plan.sinks import SinkState, by_trouble, programmed, sink, waiting
from gateway_telemetry.plan.store import Gateway, Store, target_key
from gateway_telemetry.plan.targets import Refused
from gateway_telemetry.plan.views import Key, Record, Workload
from gateway_telemetry.plan.writes import Write, foreign, foreign_volumes, secret_name, write_for, written

EnvFromLookup = Callable[[Workload], checks.EnvFromKeys]
WorkloadKey = tuple[str, str, str]

__all__ = [
    "EnvFromLookup",
    "GatewayPlan",
    "Planner",
    "SinkState",
    "TargetLookup",
    "WorkloadKey",
    "Write",
    "by_trouble",
    "claimant",
    "identity",
    "leaving",
    "programmed",
    "restorable",
    "secret_name",
]


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


def claimant(workload: Workload, store: Store) -> Gateway | None:
    """Return the GatewayTelemetry that a workload belongs to.

    The one that has it keeps it while it still matches; else the oldest takes it.
    """
    candidates = [view for view in store.gateways_matching(workload) if not view.deleting]
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
            found = resolve_references(view, view.spec, self._store, self._targets)
        except ConsentWithdrawn as refusal:
            finding = bad("ResolvedRefs", refusal.reason, refusal.message)
            return self._stop(accepted, finding, undone, waiting(matched))
        except Refused as refusal:
            finding = bad("ResolvedRefs", refusal.reason, refusal.message)
            return self._stop(accepted, finding, left, waiting(matched))
        findings = [accepted, good("ResolvedRefs", Reason.RESOLVED, f"Traces go to project {found.project!r}.")]
        sinks = tuple(
            sink(item, "Blocked", Reason.CONFLICTED, _lost(item, lost[item.key]))
            if item.key in lost
            else self._workload(view, view.spec, item, found, (failures or {}).get(item.key))
            for item in matched
        )
        findings.append(programmed(sinks))
        return self._finish(findings, sinks, left, (found.resolved.endpoints.traces, found.project), found.advice)

    def _give_up(self, accepted: Finding, restore: tuple[Record, ...] = ()) -> GatewayPlan:
        pending = unknown("ResolvedRefs", Reason.PENDING, "The spec must be accepted first.")
        return self._stop(accepted, pending, restore, ())

    def _stop(
        self, accepted: Finding, resolved: Finding, restore: tuple[Record, ...], sinks: tuple[SinkState, ...]
    ) -> GatewayPlan:
        first = "the spec must be accepted" if accepted.status != "True" else "the references must be resolved"
        pending = unknown("Programmed", Reason.PENDING, f"Nothing new is written: {first} first.")
        return self._finish([accepted, resolved, pending], sinks, restore, None, ())

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

    def _workload(
        self,
        view: Gateway,
        spec: GatewayTelemetrySpec,
        workload: Workload,
        refers: References,
        failure: Refused | None,
    ) -> SinkState:
        where = f"{workload.kind} {workload.namespace}/{workload.name}"
        container: str | None = None
        try:
            adapter = adapter_for(spec.gateway.type)
            picked = checks.pick_container(workload, spec.install.inject.container, adapter)
            container = picked.name
            context = Context(
                spec=spec,
                endpoints=refers.resolved.endpoints,
                headers=Headers(refers.resolved.key, refers.project, refers.target.workspace_id),
                ca_pem=refers.resolved.ca_pem,
                identity=identity(view, self._options),
                workload=workload.key,
            )
            settings = adapter.settings(context)
            from_ = checks.inherited(picked, self._env_from(workload), where)
            name = secret_name(workload.kind, workload.name)
            record = self._store.records.get((workload.namespace, name))
            mine = written(record)
            others = foreign(picked, mine)
            variables = checks.writable(settings.env, others, from_, name)
            injection = render(picked.name, settings, variables, name)
            checks.check_container(picked, others, injection, adapter.forbidden(context), from_, where)
            checks.check_mounts(foreign_volumes(workload, mine), others, injection, where)
            write = write_for(view, workload, injection, settings.files, name, record)
        except EndpointProblem as problem:
            return sink(workload, "Blocked", Reason(problem.reason), f"{where}: {problem.message}", container)
        except Refused as refusal:
            return sink(workload, "Blocked", refusal.reason, refusal.message, container)
        if failure is not None:
            return sink(workload, "Failed", failure.reason, failure.message, container, write)
        if write.due and refers.target.suspend:
            target = "/".join(target_key(view))
            message = f"{where} does not carry them yet: LangSmithTarget {target} is suspended"
            return sink(workload, "Pending", Reason.TARGET_SUSPENDED, message, container)
        if write.due:
            return sink(workload, "Pending", Reason.NOT_WRITTEN, f"{where} does not carry them yet", container, write)
        env = {item.get("name"): item.get("value") for item in picked.env}
        notes = adapter.advice({key: value for key, value in env.items() if key is not None})
        reason, message = progress(workload)
        if reason is Reason.PROGRAMMED:
            return sink(workload, "Programmed", reason, ". ".join(notes), container, write)
        return sink(workload, "RollingOut", reason, message, container, write)


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


def restorable(store: Store, owner: Key) -> tuple[Record, ...]:
    """Return the records to undo when a GatewayTelemetry is gone or going."""
    return tuple(item for item in store.records_of_owner(owner) if not item.orphan)


def leaving(failure: Refused) -> GatewayPlan:
    """Return what to report of a GatewayTelemetry that is being deleted and cannot be restored yet."""
    findings = [
        bad("Programmed", Reason.RESTORING, f"Being deleted; what was written is still there: {failure.message}")
    ]
    return GatewayPlan((*findings, *summarise(findings, ("Programmed",))), (), (), None)
