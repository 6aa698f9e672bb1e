"""``install.controlPlane``: which gateway may configure a tenant, with what, and what its conditions say of that.

One object of the control plane serves all gateways of a tenant, so one GatewayTelemetry may own it: the one that has
it keeps it, else the oldest takes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gateway_telemetry.adapters.truefoundry_control_plane import OBJECT_TYPE, TRACES, advice, traces_exporter
from gateway_telemetry.api.conditions import Finding, bad, good, summarise, unknown
from gateway_telemetry.api.gateway import GatewayTelemetrySpec
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.endpoint import EndpointProblem
from gateway_telemetry.plan.control_plane import digest
from gateway_telemetry.plan.gateways import GatewayPlan, connection_of, identity
from gateway_telemetry.plan.inject import context_of
from gateway_telemetry.plan.options import Options
from gateway_telemetry.plan.references import ConsentWithdrawn, References, TargetLookup, resolve_references
from gateway_telemetry.plan.sinks import SinkState, sink, without_pods
from gateway_telemetry.plan.store import Gateway, Store, target_key
from gateway_telemetry.plan.targets import Refused
from gateway_telemetry.plan.tenant_access import Access, access_of, allowed, check_key_may_leave
from gateway_telemetry.plan.tenant_record import TenantKey, TenantRecord, access_digest, record_name
from gateway_telemetry.plan.views import Key, Workload

KIND = "ControlPlane"
"""Kind of the entry in ``status.sinks``."""
TENANT_API = "truefoundry.com"
"""API of the object that ``render`` shows: no cluster has it."""


@dataclass(frozen=True)
class TenantWrite:
    """What one gateway asks of its tenant's control plane.

    Attributes:
        exporter: the wanted trace export; holds the LangSmith key.
        stamp: the mark that it carries.
        record: what was written before, if anything.
    """

    view: Gateway
    access: Access
    tenant: TenantKey
    exporter: Mapping[str, Any] = field(repr=False)
    stamp: str
    record: TenantRecord | None

    @property
    def marks(self) -> frozenset[str]:
        """Stamps of exports that are this gateway's to change."""
        return frozenset({self.stamp} if self.record is None else {self.stamp, self.record.stamp})

    @property
    def record_key(self) -> Key:
        """Namespace and name of the record."""
        return self.view.namespace, record_name(self.tenant)

    def wanted_record(self) -> TenantRecord:
        """Return the record of this write."""
        spec = self.view.spec
        assert spec is not None
        return TenantRecord(
            namespace=self.view.namespace,
            name=record_name(self.tenant),
            tenant=self.tenant,
            owner=self.view.key,
            owner_uid=self.view.uid or None,
            url=self.access.endpoints.api,
            stamp=self.stamp,
            written=digest(self.exporter),
            orphan=spec.deletion_policy == "Orphan",
            access=access_digest(self.access.api_key, self.access.ca_pem),
            uid="" if self.record is None else self.record.uid,
        )


@dataclass(frozen=True)
class TenantPlan:
    """How far planning came.

    Attributes:
        findings: Accepted, and ResolvedRefs.
        place: the sink as it is named.
        sink: state of the sink where nothing can be written; None with ``write``.
        restore: records of tenants that are not to be configured any more.
    """

    findings: tuple[Finding, ...]
    place: Workload
    sink: SinkState | None
    write: TenantWrite | None
    references: References | None
    restore: tuple[TenantRecord, ...]
    notes: tuple[str, ...] = ()

    def settled(self, view: Gateway, options: Options, state: SinkState | None = None) -> GatewayPlan:
        """Return the conditions and sinks, once it is known what became of the write.

        Args:
            state: of the sink, after the write.
        """
        shown = state or self.sink
        findings = list(self.findings)
        if shown is None:
            findings.append(unknown("Programmed", Reason.PENDING, "Nothing new is written yet."))
        elif shown.state == "Programmed":
            findings.append(good("Programmed", Reason.PROGRAMMED, ". ".join([shown.message, *self.notes])))
        else:
            findings.append(bad("Programmed", shown.reason, shown.message))
        findings += [unknown(type_, Reason.NOT_VERIFIED) for type_ in ("Producing", "Delivered")]
        findings += summarise(findings, ("Accepted", "ResolvedRefs", "Programmed"))
        plan = GatewayPlan(tuple(findings), () if shown is None else (shown,), (), None, self.notes)
        found = self.references
        if found is None:
            return plan
        assert view.spec is not None
        return replace(
            plan,
            endpoint=(found.resolved.endpoints.traces, found.project),
            connection=connection_of(view, view.spec, found, options),
        )


def holder(tenant: TenantKey, store: Store) -> Gateway | None:
    """Return the gateway that may configure a tenant."""
    candidates = store.gateways_of_tenant(tenant)
    for view in candidates:
        record = store.tenant_records.get((view.namespace, record_name(tenant)))
        # One that is being deleted has it until it has given it back.
        if record is not None and record.owner == view.key and not (view.deleting and record.orphan):
            return view
    return next((view for view in candidates if not view.deleting), None)


def plan_tenant(view: Gateway, store: Store, options: Options, targets: TargetLookup) -> TenantPlan:
    """Return the plan of a gateway with ``install.controlPlane`` that exists and is not being deleted."""
    spec = view.spec
    assert spec is not None
    way = spec.install.control_plane
    assert way is not None
    owned = tuple(
        item for item in store.tenant_records_of_owner(view.key) if not (item.orphan and item.owner_uid != view.uid)
    )
    place = without_pods(KIND, view.namespace, f"{way.tenant}/{way.url.removeprefix('https://').rstrip('/')}")
    pending = unknown("ResolvedRefs", Reason.PENDING, "The spec must be accepted first.")
    try:
        endpoints = allowed(way.url, view.namespace, options.hosts, options.cluster_domain)
        tenant = endpoints.api.removeprefix("https://"), way.tenant
    except Refused as refusal:
        return TenantPlan((bad("Accepted", refusal.reason, refusal.message), pending), place, None, None, None, ())
    place = without_pods(KIND, view.namespace, f"{tenant[1]}/{tenant[0]}")
    left = tuple(item for item in owned if item.tenant != tenant)
    winner = holder(tenant, store)
    if winner is not None and winner.key != view.key:
        lost = bad("Accepted", Reason.CONFLICTED, _lost(view, winner, tenant))
        return TenantPlan((lost, pending), place, None, None, None, left)
    accepted = good("Accepted", Reason.ACCEPTED, f"Configures tenant {tenant[1]} at {tenant[0]}, for all its gateways.")
    waits = sink(place, "Pending", Reason.PENDING, "Nothing new is written: the references must be resolved first.")
    try:
        found = resolve_references(view, spec, store, targets)
        access, notes = access_of(view, way, endpoints, store)
        check_key_may_leave(view, found, endpoints, store)
    except Refused as refusal:
        finding = bad("ResolvedRefs", refusal.reason, refusal.message)
        gone = owned if isinstance(refusal, ConsentWithdrawn) else left
        return TenantPlan((accepted, finding), place, waits, None, None, gone)
    resolved = good("ResolvedRefs", Reason.RESOLVED, f"Traces go to project {found.project!r}.")
    plan = TenantPlan((accepted, resolved), place, None, None, found, left, notes + found.advice)
    return _written(view, spec, plan, access, tenant, store, options)


def _written(
    view: Gateway,
    spec: GatewayTelemetrySpec,
    plan: TenantPlan,
    access: Access,
    tenant: TenantKey,
    store: Store,
    options: Options,
) -> TenantPlan:
    found = plan.references
    assert found is not None
    stamp = identity(view, options)
    context = context_of(spec, found, stamp, (KIND, view.namespace, ""))
    try:
        exporter = traces_exporter(context)
    except EndpointProblem as problem:
        where = f"tenant {tenant[1]} at {tenant[0]}"
        return replace(
            plan,
            sink=sink(plan.place, "Blocked", Reason(problem.reason), f"{where}: {problem.message}"),
            references=None,
        )
    record = store.tenant_records.get((view.namespace, record_name(tenant)))
    write = TenantWrite(view, access, tenant, exporter, stamp, record)
    plan = replace(plan, write=write, notes=(*plan.notes, *advice(context)))
    if found.target.suspend:
        target = "/".join(target_key(view))
        message = f"tenant {tenant[1]} at {tenant[0]} is not written: LangSmithTarget {target} is suspended"
        return replace(plan, write=None, sink=sink(plan.place, "Pending", Reason.TARGET_SUSPENDED, message))
    return plan


def _lost(view: Gateway, winner: Gateway, tenant: TenantKey) -> str:
    # Names of other namespaces are not this user's to know.
    whose = f"GatewayTelemetry {winner.name}" if winner.namespace == view.namespace else "one of another namespace"
    return (
        f"tenant {tenant[1]} at {tenant[0]} has one trace export for all its gateways, and {whose} configures it: "
        "remove one of the two"
    )


def not_looked_at(planned: TenantPlan) -> SinkState | None:
    """Return the state of the sink where nobody looks at the control plane."""
    if planned.write is None:
        return planned.sink
    tenant = planned.write.tenant
    message = f"tenant {tenant[1]} at {tenant[0]} is not written: no control plane was looked at"
    return sink(planned.place, "Pending", Reason.NOT_WRITTEN, message)


def tenant_object(write: TenantWrite) -> dict[str, Any]:
    """Return what a control plane without a config is sent, in the form of an object, for people to read."""
    return {
        "apiVersion": TENANT_API,
        "kind": KIND,
        "metadata": {"name": write.view.name, "namespace": write.view.namespace},
        "url": write.access.endpoints.api,
        "tenant": write.tenant[1],
        "manifest": {"type": OBJECT_TYPE, TRACES: dict(write.exporter)},
    }
