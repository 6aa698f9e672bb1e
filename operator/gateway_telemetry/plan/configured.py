"""How far the object of ``install.resource`` is, and the workloads that read it, where the operator restarts those.

The object goes first and its workloads follow, so that a pod that starts anew finds what it was started for. Where no
workload may be restarted now, the object is left as it is: its readers would meet the change at some restart of
their own, without the key.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway_telemetry.adapters import ResourceAdapter, adapter_of
from gateway_telemetry.api.gateway import GatewayTelemetrySpec
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.endpoint import EndpointProblem
from gateway_telemetry.plan.inject import Lookups, held, injected
from gateway_telemetry.plan.reference import mounted
from gateway_telemetry.plan.references import References
from gateway_telemetry.plan.resource import resource_write
from gateway_telemetry.plan.resource_write import Found, ResourceWrite
from gateway_telemetry.plan.sinks import SinkState, sink, without_pods
from gateway_telemetry.plan.store import Gateway, Store, target_key
from gateway_telemetry.plan.targets import Refused
from gateway_telemetry.plan.turns import approved
from gateway_telemetry.plan.views import Record, Workload
from gateway_telemetry.plan.writes import secret_name

Failures = Mapping[tuple[str, str, str], Refused]


def rival(view: Gateway, store: Store) -> Gateway | None:
    """Return the GatewayTelemetry that the object belongs to, if another: who has it keeps it, else the oldest."""
    assert view.spec is not None
    assert view.spec.install.resource is not None
    ref = view.spec.install.resource.ref
    keys = store.gateways_referring(view.namespace, f"{ref.kind}/{ref.name}")
    candidates = [store.gateways[key] for key in keys if not store.gateways[key].deleting]
    record = store.records.get((view.namespace, secret_name(ref.kind, ref.name)))
    owner = next((item for item in candidates if record is not None and item.key == record.owner), None)
    winner = owner or min(candidates, key=lambda item: item.age, default=None)
    return None if winner is None or winner.key == view.key else winner


def configured(
    view: Gateway,
    spec: GatewayTelemetrySpec,
    mine: list[Workload],
    refers: References,
    stamp: str,
    store: Store,
    lookups: Lookups,
    found: Found,
    failures: Failures,
) -> tuple[ResourceWrite | None, list[SinkState], tuple[Record, ...]]:
    """Return the write that the object needs, how far all is, and what is to be taken back after a failed rollout."""
    assert spec.install.resource is not None
    ref = spec.install.resource.ref
    place = without_pods(ref.kind, view.namespace, ref.name)
    where = f"{ref.kind} {view.namespace}/{ref.name}"
    try:
        write = resource_write(view, spec, refers, stamp, store, found)
        _check_turn(view, write, lookups)
    except EndpointProblem as problem:
        return _not_now(place, mine, "Blocked", Reason(problem.reason), f"{where}: {problem.message}")
    except Refused as refusal:
        state = "Pending" if refusal.reason is Reason.NOT_WRITTEN else "Blocked"
        return _not_now(place, mine, state, refusal.reason, refusal.message)
    if (failure := failures.get(place.key)) is not None:
        return _not_now(place, mine, "Failed", failure.reason, failure.message)
    if write.due and refers.target.suspend:
        target = "/".join(target_key(view))
        message = f"{where} does not carry them yet: LangSmithTarget {target} is suspended"
        return _not_now(place, mine, "Pending", Reason.TARGET_SUSPENDED, message)
    own = [
        _reading(item, ref.name)
        or injected(view, spec, item, refers, stamp, store, lookups, failures.get(item.key), write.salt)
        for item in mine
    ]
    own = [held(view, item, lookups.gate, store) for item in approved(view, tuple(own))]
    undone = next((item for item in own if item.reason is Reason.ROLLED_BACK or _rolls_back(item)), None)
    if undone is not None:
        back = () if write.record is None else (write.record,)
        return None, [sink(place, "Failed", Reason.ROLLED_BACK, undone.message), *own], back
    if write.patch and own and not any(_may_go(item) for item in own):
        first = own[0]
        return None, [sink(place, "Pending", first.reason, first.message), *own], ()
    if write.due:
        return write, [sink(place, "Pending", Reason.NOT_WRITTEN, f"{where} does not carry them yet"), *own], ()
    return write, [sink(place, "Programmed", Reason.PROGRAMMED, _note(spec, where, found.note)), *own], ()


def _check_turn(view: Gateway, write: ResourceWrite, lookups: Lookups) -> None:
    """Refuse to put back now what somebody has taken out, if that was done too often.

    Raises:
        Refused: it is not time yet, or given up.
    """
    if not write.repair or lookups.gate is None:
        return
    assert write.record is not None
    refusal = lookups.gate.mend(view, write.record, write.manager)
    if refusal is not None:
        raise refusal


def _not_now(
    place: Workload, mine: list[Workload], state: str, reason: Reason, message: str
) -> tuple[None, list[SinkState], tuple[Record, ...]]:
    """Return the sinks while nothing is written; the workloads follow the object."""
    waiting = [sink(item, "Pending", Reason.PENDING, f"waits for {place.kind} {place.name}") for item in mine]
    return None, [sink(place, state, reason, message), *waiting], ()


def _reading(workload: Workload, config_map: str) -> SinkState | None:
    """Return the state of a workload that does not read the ConfigMap, or None if it does."""
    names: set[str | None] = {name for volume in workload.volumes for name in mounted(volume, "configMap", "name")}
    variables = (item.get("valueFrom") or {} for container in workload.containers for item in container.env)
    names |= {(source.get("configMapKeyRef") or {}).get("name") for source in variables}
    if config_map in names:
        return None
    where = f"{workload.kind} {workload.namespace}/{workload.name}"
    message = f"{where} has no volume of ConfigMap {config_map}: select the Collector that reads it"
    return sink(workload, "Blocked", Reason.NOT_REFERENCED, message)


def _rolls_back(item: SinkState) -> bool:
    return item.write is not None and bool(item.write.rollback)


def _may_go(item: SinkState) -> bool:
    """Tell whether a workload is to be written to now, or has what it needs."""
    if item.state in ("Programmed", "RollingOut"):
        return True
    return item.state == "Pending" and item.write is not None and item.write.due


def _note(spec: GatewayTelemetrySpec, where: str, pods: str) -> str:
    """Return what is known of the pods: nothing, where another controller makes them."""
    adapter = adapter_of(spec.gateway)
    if spec.install.workloads is not None or not isinstance(adapter, ResourceAdapter):
        return ""
    return f"{where} carries them; {pods or f'{adapter.controller} replaces the pods'}"
