"""Has a workload rolled out? The rules of ``kubectl rollout status``, without waiting."""

from __future__ import annotations

from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.plan.views import Workload


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
    if behind:
        return Reason.ROLLOUT_IN_PROGRESS, f"{where}: waiting for its controller to see the change"
    return (
        Reason.ROLLOUT_IN_PROGRESS,
        f"{where}: {min(state.updated, state.desired)} of {state.desired} pods have the settings, "
        f"{state.available} available, {max(state.total - state.updated, 0)} old ones left",
    )
