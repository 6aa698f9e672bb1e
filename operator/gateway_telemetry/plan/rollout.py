"""Has a workload rolled out, and if not, why? The rules of ``kubectl rollout status``, without waiting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.plan.views import Pod, Workload


def progress(workload: Workload) -> tuple[Reason, str]:
    """Return PROGRAMMED, or the reason why the rollout is not complete, with a message.

    https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status
    """
    state = workload.rollout
    where = f"{workload.kind} {workload.namespace}/{workload.name}"
    behind = state.observed_generation < workload.generation
    finished = state.updated >= state.desired and state.total <= state.updated and state.available >= state.desired
    if not behind and finished:
        return Reason.PROGRAMMED, ""
    if state.paused:
        return (
            Reason.ROLLOUT_PAUSED,
            f"{where} is paused, so its pods keep the old settings: kubectl rollout resume "
            f"{workload.kind.lower()} {workload.name} -n {workload.namespace}",
        )
    if not behind and state.failure is not None:
        return Reason.ROLLOUT_FAILED, f"{where}: {state.failure}"
    if not behind and state.by_hand is not None:
        old = max(state.total - state.updated, 0)
        return (
            Reason.ROLLOUT_BY_HAND,
            f"{where}: {old} of {state.total} pods keep the old settings, because {state.by_hand}: delete them when it "
            "suits you",
        )
    # No counts: each pod would be a write of the status.
    return (
        Reason.ROLLOUT_IN_PROGRESS,
        f"{where}: its pods are being replaced: kubectl rollout status {workload.kind.lower()} {workload.name} "
        f"-n {workload.namespace}",
    )


def in_progress(workload: Workload) -> bool:
    """Tell whether pods that carry our settings are being replaced right now: what the caps count."""
    return workload.config_hash is not None and progress(workload)[0] is Reason.ROLLOUT_IN_PROGRESS


def trouble(workload: Workload, pods: Sequence[Pod]) -> str | None:
    """Return why the pods of the present settings cannot run, or None.

    Only pods of the present template count: what fails with older settings is not this rollout's fault.
    """
    for pod in sorted(pods, key=lambda item: item.name):
        current = pod.config_hash == workload.config_hash and pod.restarted_at == workload.restarted_at
        if pod.trouble is not None and current:
            return f"pod {pod.name}: {pod.trouble}"
    return None


def overdue(workload: Workload, pod: Pod, now: datetime) -> Pod:
    """Return the pod, in trouble if it is of a rollout under way and not ready by the workload's own deadline.

    Only where the workload's controller does not count: where it does, its verdict is enough.
    """
    state = workload.rollout
    if state.deadline is None or state.total <= state.updated or pod.ready or pod.trouble is not None:
        return pod
    try:
        created = datetime.fromisoformat(pod.created)
    except ValueError:
        return pod
    if created.tzinfo is None or (now - created).total_seconds() <= state.deadline:
        return pod
    return replace(pod, trouble=f"not ready {state.deadline} s after it was made (spec.progressDeadlineSeconds)")
