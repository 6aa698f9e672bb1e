"""Whose turn is it to replace pods? Approval by people is decided here; caps and fights by the operator's gate."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from gateway_telemetry.api import meta
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.plan.sinks import SinkState
from gateway_telemetry.plan.store import Custom, Gateway
from gateway_telemetry.plan.targets import Refused
from gateway_telemetry.plan.views import Pod, Record, Workload

PodLookup = Callable[[Workload], Sequence[Pod] | None]
"""Returns a workload's pods, or None where they were not read."""


class Gate(Protocol):
    """What the operator remembers between plans: rollouts under way, failures, fights."""

    def hold(self, view: Gateway, workload: Workload, *, repair: bool) -> Refused | None:
        """Return why the workload's pods may not be replaced now, or None if they may; that counts as begun.

        Args:
            repair: whether what we wrote has been taken away again.
        """
        ...

    def mend(self, view: Gateway, record: Record, manager: str = "", beside: str = "") -> Refused | None:
        """Return why a Secret, or what it remembers, that somebody changed may not be put right now; None if it may.

        Args:
            record: of the Secret; as it was, where somebody deleted it.
            manager: field manager that changed it last; may be empty.
            beside: resourceVersion of the ConfigMap that goes with it; may be empty.
        """
        ...


def requested(view: Custom[Any]) -> str | None:
    """Return the value of the annotation that asks for a new look, if there is one; of both, joined by a comma."""
    names = (meta.REQUESTED_AT_ANNOTATION, meta.RECONCILE_NOW_ANNOTATION)
    return ",".join(value for name in names if (value := view.annotations.get(name))) or None


def asked(view: Custom[Any]) -> bool:
    """Tell whether somebody asked for a new look and got no answer yet."""
    value = requested(view)
    return value is not None and value != view.status.get("lastHandledRequest")


def approval_hash(sinks: Sequence[SinkState]) -> str:
    """Return the hash that stands for what all workloads of a gateway would carry."""
    parts = sorted(
        f"{item.workload.kind}/{item.workload.name}={item.write.injection.config_hash}"
        for item in sinks
        if item.write is not None
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def approved(view: Gateway, sinks: tuple[SinkState, ...]) -> tuple[SinkState, ...]:
    """Return the sinks; with rollout.policy Manual those that would replace pods wait until their hash is approved."""
    if view.spec is None or view.spec.install.rollout.policy != "Manual":
        return sinks
    wanted = approval_hash(sinks)
    if view.annotations.get(meta.APPROVED_HASH_ANNOTATION) == wanted:
        return sinks
    command = (
        f"kubectl annotate gatewaytelemetry {view.name} -n {view.namespace} --overwrite "
        f"{meta.APPROVED_HASH_ANNOTATION}={wanted}"
    )

    def wait(item: SinkState) -> SinkState:
        if item.write is None or not item.write.template_stale or item.write.rollback or item.state == "Failed":
            return item
        where = f"{item.workload.kind} {item.workload.namespace}/{item.workload.name}"
        message = f"{where} waits for approval: {command}"
        return replace(item, state="Pending", reason=Reason.AWAITING_APPROVAL, message=message, write=None)

    return tuple(wait(item) for item in sinks)
