"""From a GatewayTelemetry and what is known of the cluster to writes, restores and conditions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from gateway_telemetry.adapters import adapter_of
from gateway_telemetry.api.conditions import Finding, bad, good, summarise, unknown
from gateway_telemetry.api.gateway import GatewayTelemetrySpec
from gateway_telemetry.api.install import ResourceRef
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.endpoint import EndpointProblem
from gateway_telemetry.plan.configured import configured, rival
from gateway_telemetry.plan.inject import EnvFromLookup, FilesLookup, Lookups, held, injected
from gateway_telemetry.plan.options import Options
from gateway_telemetry.plan.proof import Connection, connection_hash
from gateway_telemetry.plan.reference import ReferenceWrite, reference_write, referring
from gateway_telemetry.plan.references import ConsentWithdrawn, References, TargetLookup, resolve_references
from gateway_telemetry.plan.resource_write import Found, ResourceLookup, ResourceWrite
from gateway_telemetry.plan.sinks import SinkState, by_trouble, programmed, sink, waiting
from gateway_telemetry.plan.store import Gateway, Store, target_key
from gateway_telemetry.plan.targets import Refused
from gateway_telemetry.plan.turns import Gate, PodLookup, approved
from gateway_telemetry.plan.views import Key, Record, Workload
from gateway_telemetry.plan.writes import Write, led_astray, secret_name

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
    "left_behind",
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
        reference: the Secret of ``install.reference``, if that is the way.
        connection: where its traces are to be looked for, once the references are resolved.
        resource: what the object of ``install.resource`` needs, if that is the way.
    """

    findings: tuple[Finding, ...]
    sinks: tuple[SinkState, ...]
    restore: tuple[Record, ...]
    endpoint: tuple[str, str] | None
    advice: tuple[str, ...] = ()
    reference: ReferenceWrite | None = None
    connection: Connection | None = None
    resource: ResourceWrite | None = None

    @property
    def resource_due(self) -> bool:
        """Tell whether the object of ``install.resource`` is to be written."""
        return self.resource is not None and self.resource.due


REFERENCE: WorkloadKey = ("Secret", "", "")
"""Key in `failures` of the Secret of ``install.reference``."""


def identity(view: Gateway, options: Options) -> str:
    """Return the short stable id that is stamped into the gateway's resource attributes."""
    text = "/".join((options.cluster_name, view.namespace, view.name))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def connection_of(view: Gateway, spec: GatewayTelemetrySpec, found: References, options: Options) -> Connection:
    """Return where a gateway's traces are to be looked for."""
    stamped = adapter_of(spec.gateway).evidence == "Resource"
    return Connection(
        target_key(view),
        found.project,
        connection_hash(view, found.resolved, found.target.workspace_id, found.project),
        identity(view, options) if stamped else None,
        found.resolved.ca_pem is not None,
    )


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

    def __init__(
        self,
        store: Store,
        options: Options,
        targets: TargetLookup,
        env_from: EnvFromLookup,
        pods: PodLookup = lambda _: None,
        gate: Gate | None = None,
        files: FilesLookup = lambda _: {},
        resource: ResourceLookup = lambda _: Found(),
    ) -> None:
        self._store = store
        self._options = options
        self._targets = targets
        self._lookups = Lookups(env_from, pods, gate, files)
        self._resource = resource

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
        undone = tuple(item for item in records if not left_behind(item, view))
        left = tuple(item for item in undone if not _wanted(item, view.spec, keys))
        resource = view.spec.install.resource
        if resource is not None and (winner := rival(view, self._store)) is not None:
            return self._give_up(bad("Accepted", Reason.CONFLICTED, lost_to(resource.ref, view, winner)), left)
        if not matched and view.spec.install.workloads is not None:
            kind, way = view.spec.install.workloads.kind, view.spec.install.way
            message = (
                f"spec.install.{way}.workloads.selector matches no {kind} in namespace {view.namespace}: compare "
                f"it with kubectl get {kind.lower()}s -n {view.namespace} --show-labels"
            )
            return self._give_up(bad("Accepted", Reason.NO_MATCHING_WORKLOADS, message), left)
        lost = {item.key: owner for item in matched if (owner := claimant(item, self._store)) and owner.key != view.key}
        if lost and len(lost) == len(matched):
            first = matched[0]
            return self._give_up(bad("Accepted", Reason.CONFLICTED, _lost(first, lost[first.key])), left)
        names = "" if resource is None else f"Names {resource.ref.kind} {resource.ref.name}."
        matches = f"Matches {_count(matched)}." if matched else ""
        accepted = good("Accepted", Reason.ACCEPTED, " ".join(filter(None, (names, matches))))
        try:
            found = resolve_references(view, view.spec, self._store, self._targets)
        except ConsentWithdrawn as refusal:
            finding = bad("ResolvedRefs", refusal.reason, refusal.message)
            return self._stop(accepted, finding, undone, waiting(matched))
        except Refused as refusal:
            finding = bad("ResolvedRefs", refusal.reason, refusal.message)
            return self._stop(accepted, finding, left, waiting(matched))
        findings = [accepted, good("ResolvedRefs", Reason.RESOLVED, f"Traces go to project {found.project!r}.")]
        beaten = [
            sink(item, "Blocked", Reason.CONFLICTED, _lost(item, lost[item.key]))
            for item in matched
            if item.key in lost
        ]
        mine = [item for item in matched if item.key not in lost]
        reference: ReferenceWrite | None = None
        configured_: ResourceWrite | None = None
        undo: tuple[Record, ...] = ()
        if resource is None:
            reference, own = self._sinks(view, view.spec, mine, found, failures or {})
        else:
            stamp = identity(view, self._options)
            configured_, own, undo = configured(
                view, view.spec, mine, found, stamp, self._store, self._lookups, self._resource(view), failures or {}
            )
        sinks = tuple(sorted([*beaten, *own], key=lambda item: item.workload.key))
        astray = tuple(self._astray(view, sinks))
        sinks = tuple(_taken_back(item, astray) for item in sinks)
        left += (*undo, *astray)
        findings.append(programmed(sinks))
        endpoint = found.resolved.endpoints.traces, found.project
        plan = self._finish(findings, sinks, left, endpoint, found.advice, reference)
        return replace(plan, connection=connection_of(view, view.spec, found, self._options), resource=configured_)

    def _astray(self, view: Gateway, sinks: tuple[SinkState, ...]) -> Iterator[Record]:
        """Yield the records of blocked workloads that would send the key to somebody else's endpoint."""
        for item in sinks:
            name = secret_name(item.workload.kind, item.workload.name)
            record = self._store.records.get((view.namespace, name))
            ours = record is not None and record.owner == view.key
            if item.state == "Blocked" and record is not None and ours and led_astray(item.workload, record):
                yield record

    def _sinks(
        self,
        view: Gateway,
        spec: GatewayTelemetrySpec,
        mine: list[Workload],
        refers: References,
        failures: Mapping[WorkloadKey, Refused],
    ) -> tuple[ReferenceWrite | None, list[SinkState]]:
        stamp = identity(view, self._options)
        if spec.install.reference is None:
            found = tuple(
                injected(view, spec, item, refers, stamp, self._store, self._lookups, failures.get(item.key))
                for item in mine
            )
            return None, [held(view, item, self._lookups.gate, self._store) for item in approved(view, found)]
        write: ReferenceWrite | EndpointProblem | Refused
        try:
            pods = [self._lookups.pods(item) for item in mine]
            write = reference_write(view, spec, refers, stamp, self._store, pods)
        except (EndpointProblem, Refused) as problem:
            write = problem
        failure = failures.get(REFERENCE)
        gate = self._lookups.gate
        if isinstance(write, ReferenceWrite) and write.repair and gate is not None and failure is None:
            assert write.before is not None
            write = gate.mend(view, write.before, beside=write.ca_version) or write
        sinks = [
            referring(view, spec, item, write, refers, self._lookups, failure or failures.get(item.key))
            for item in mine
        ]
        if isinstance(write, EndpointProblem | Refused) or refers.target.suspend:
            return None, sinks
        return write, sinks

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
        reference: ReferenceWrite | None = None,
    ) -> GatewayPlan:
        findings += [unknown(type_, Reason.NOT_VERIFIED) for type_ in ("Producing", "Delivered")]
        findings += summarise(findings, ("Accepted", "ResolvedRefs", "Programmed"))
        return GatewayPlan(tuple(findings), sinks, in_order(restore), endpoint, advice, reference)


def _taken_back(item: SinkState, astray: tuple[Record, ...]) -> SinkState:
    """Return the sink; where settings are being taken back its message says that, and not that nothing happens."""
    key = item.workload.kind, item.workload.name
    if all(record.workload != key for record in astray):
        return item
    why = "what was written before is taken back, so that the key does not go there"
    return replace(item, message=f"{item.message.removesuffix('nothing was written')}{why}")


def _wanted(record: Record, spec: GatewayTelemetrySpec, selected: set[tuple[str, str]]) -> bool:
    """Tell whether what a record remembers is still asked for by the spec, whatever becomes of it."""
    if record.added is not None:
        ref = None if spec.install.resource is None else spec.install.resource.ref
        return ref is not None and (*record.workload, record.added.key) == (ref.kind, ref.name, ref.key or "")
    if spec.install.reference is not None:
        return record.reference and record.name == spec.install.reference.secret_name
    return record.workload in selected


def left_behind(record: Record, view: Gateway) -> bool:
    """Tell whether an earlier object of the same name left what it wrote on purpose (deletionPolicy Orphan)."""
    return record.orphan and record.owner_uid != view.uid


def _lost(workload: Workload, winner: Gateway) -> str:
    return (
        f"{workload.kind} {workload.namespace}/{workload.name} belongs to GatewayTelemetry {winner.name}: remove one "
        "of the two, or narrow a selector"
    )


def lost_to(ref: ResourceRef, view: Gateway, winner: Gateway) -> str:
    """Return why an object is not this gateway's."""
    return (
        f"{ref.kind} {view.namespace}/{ref.name} belongs to GatewayTelemetry {winner.name}: remove one of the two, or "
        "name another object"
    )


def _count(matched: list[Workload]) -> str:
    return matched[0].name if len(matched) == 1 else f"{len(matched)} workloads"


def restorable(store: Store, owner: Key) -> tuple[Record, ...]:
    """Return the records to undo when a GatewayTelemetry is gone or going; see ``in_order``."""
    return in_order(item for item in store.records_of_owner(owner) if not item.orphan)


def in_order(records: Iterable[Record]) -> tuple[Record, ...]:
    """Return records as they must be undone: an object before the workloads that read it.

    A configuration that names a variable or file of ours must be gone before those are.
    """
    return tuple(sorted(records, key=lambda item: item.added is None))


def leaving(failure: Refused) -> GatewayPlan:
    """Return what to report of a GatewayTelemetry that is being deleted and cannot be restored yet."""
    findings = [
        bad("Programmed", Reason.RESTORING, f"Being deleted; what was written is still there: {failure.message}")
    ]
    return GatewayPlan((*findings, *summarise(findings, ("Programmed",))), (), (), None)
