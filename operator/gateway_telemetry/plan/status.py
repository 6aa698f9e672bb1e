"""What was found becomes ``status``: one place, so the operator and ``render`` can never disagree.

Pure, and stable: the same findings lead to an equal status, so nothing is written when nothing changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway_telemetry.api.conditions import Finding, bounded, good, merge, unknown
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.plan.gateways import GatewayPlan
from gateway_telemetry.plan.proof import (
    GatewayProof,
    TargetProof,
    gateway_findings,
    target_findings,
    target_proof_status,
)
from gateway_telemetry.plan.sinks import SinkState, by_trouble
from gateway_telemetry.plan.store import Custom, Gateway, Target
from gateway_telemetry.plan.targets import TargetResult
from gateway_telemetry.plan.turns import requested

SINK_LIMIT = 100
"""Length of ``status.sinks``, as in the CRD: an object must stay far below etcd's limit."""


def target_status(view: Target, result: TargetResult, now: str, proof: TargetProof | None = None) -> dict[str, Any]:
    """Return the whole status of a LangSmithTarget.

    Args:
        result: what resolving it found.
        proof: what looking at LangSmith found; None where nothing is verified.
        now: RFC 3339 time, used only where a condition's status changed.
    """
    if _frozen(view, view.spec is not None and view.spec.suspend):
        return _suspended(view, now)
    findings = result.findings if proof is None else target_findings(result.findings, proof)
    status = _common(view, findings, now)
    if proof is not None and (shown := target_proof_status(proof)) is not None:
        status["proof"] = shown
    if result.endpoints is not None:
        status["endpoints"] = {
            "api": result.endpoints.api,
            "otlp": result.endpoints.otlp,
            "traces": result.endpoints.traces,
        }
    return status


def gateway_status(
    view: Gateway, plan: GatewayPlan, now: str, proof: GatewayProof | None = None, since: str | None = None
) -> dict[str, Any]:
    """Return the whole status of a GatewayTelemetry.

    Args:
        plan: made after the writes, so that it speaks of the cluster as it is.
        proof: what looking for its traces found; None where nothing is verified.
        since: since when all pods run with the present connection (RFC 3339), if they do.
        now: RFC 3339 time, used only where a condition's status changed.
    """
    suspended = view.spec is not None and view.spec.suspend and not view.deleting
    if _frozen(view, suspended):
        return _suspended(view, now)
    findings = plan.findings if proof is None else tuple(gateway_findings(plan.findings, proof))
    if suspended:
        findings = (*findings, good("Suspended", Reason.SUSPENDED))
    status = _common(view, findings, now)
    if plan.endpoint is not None:
        endpoint, project = plan.endpoint
        status["traces"] = {"endpoint": endpoint, "project": project}
        if plan.connection is not None and since is not None:
            status["traces"] |= {"hash": plan.connection.hash, "since": since}
    if proof is not None and proof.vantage is not None:
        status["vantage"] = {"hash": proof.vantage}
    if proof is not None and proof.seen is not None:
        status["evidence"] = {"lastTraceTime": proof.seen.time, "project": proof.seen.project}
        if proof.seen.run_url is not None:
            status["evidence"]["runUrl"] = proof.seen.run_url
    if plan.sinks:
        status["sinks"] = [_sink(item) for item in by_trouble(plan.sinks)[:SINK_LIMIT]]
    if plan.sinks or any(item.reason is Reason.NO_MATCHING_WORKLOADS for item in plan.findings):
        status["counts"] = {
            "matched": len(plan.sinks),
            "programmed": sum(item.state == "Programmed" for item in plan.sinks),
        }
    return status


def uninstalled_status(view: Custom[Any], now: str) -> dict[str, Any]:
    """Return the status of an object that no operator looks after any more: nothing is claimed.

    Args:
        now: RFC 3339 time, used only where a condition's status changed.
    """
    return _common(view, [unknown("Ready", Reason.UNINSTALLED)], now)


def _common(view: Custom[Any], findings: Sequence[Finding], now: str) -> dict[str, Any]:
    status: dict[str, Any] = {"observedGeneration": view.generation}
    # A request stays answered when its annotation goes.
    request = requested(view) or view.status.get("lastHandledRequest")
    if request is not None:
        status["lastHandledRequest"] = request
    status["conditions"] = merge(view.status.get("conditions") or (), findings, view.generation, now)
    return status


def _sink(item: SinkState) -> dict[str, Any]:
    sink: dict[str, Any] = {
        "kind": item.workload.kind,
        "name": item.workload.name,
        "state": item.state,
        "reason": str(item.reason),
    }
    if item.container is not None:
        sink["container"] = item.container
    if item.message:
        sink["message"] = bounded(item.message)
    return sink


def _frozen(view: Custom[Any], suspended: bool) -> bool:
    """Tell whether the last conditions stay: suspended, and there are some."""
    return suspended and bool(_other_conditions(view.status))


def _suspended(view: Custom[Any], now: str) -> dict[str, Any]:
    """Return the last status with Suspended added: what was found before still stands, nothing is judged anew."""
    stored = view.status.get("conditions") or ()
    added = merge(stored, [good("Suspended", Reason.SUSPENDED)], view.generation, now)
    return {
        **view.status,
        "observedGeneration": view.generation,
        "conditions": [*_other_conditions(view.status), *added],
    }


def _other_conditions(status: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [item for item in status.get("conditions") or () if item.get("type") != "Suspended"]
