"""From a GatewayTelemetry to its target, the target's consent and the project."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway_telemetry.api.gateway import GatewayTelemetrySpec
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.api.target import LangSmithTargetSpec
from gateway_telemetry.endpoint import EndpointProblem, clean_project
from gateway_telemetry.plan.store import Gateway, Store, Target, target_key
from gateway_telemetry.plan.targets import Refused, Resolved, TargetResult

TargetLookup = Callable[[Target], TargetResult]


class ConsentWithdrawn(Refused):
    """The target does not admit the namespace: what was written with its key must go."""


@dataclass(frozen=True)
class References:
    """All that a GatewayTelemetry refers to.

    Attributes:
        target: spec of the target.
        advice: what is worth knowing about the project's name.
    """

    resolved: Resolved
    target: LangSmithTargetSpec
    project: str
    advice: tuple[str, ...]


def resolve_references(view: Gateway, spec: GatewayTelemetrySpec, store: Store, targets: TargetLookup) -> References:
    """Return what a GatewayTelemetry refers to.

    Raises:
        ConsentWithdrawn: the target does not admit the namespace.
        Refused: anything else that is not as it must be; what was written stays.
    """
    key = target_key(view)
    target = store.targets.get(key)
    # One text for "not there" and "not for you", so that a refusal does not tell what exists elsewhere.
    missing = (
        f"spec.targetRef: LangSmithTarget {key[0]}/{key[1]} was not found"
        + ("" if key[0] == view.namespace else f", or it does not admit namespace {view.namespace}")
        + ": check the name"
        + ("" if key[0] == view.namespace else ", and spec.allowedNamespaces of that target")
    )
    if target is None:
        raise Refused(Reason.TARGET_NOT_FOUND, missing)
    if not admits(target, view.namespace, store):
        raise ConsentWithdrawn(Reason.TARGET_NOT_FOUND, missing)
    result = targets(target)
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
    field = "spec.project" if spec.project else f"spec.project of LangSmithTarget {key[0]}/{key[1]}"
    allowed = target.spec.allowed_projects
    if allowed is not None and project not in allowed:
        raise Refused(
            Reason.PROJECT_NOT_ALLOWED,
            f"{field}: LangSmithTarget {key[0]}/{key[1]} does not allow project {project!r}: use one that its "
            "spec.allowedProjects holds",
        )
    try:
        clean, notes = clean_project(project)
    except EndpointProblem as problem:
        raise Refused(Reason(problem.reason), f"{field}: {problem.message}") from None
    return References(result.resolved, target.spec, clean, tuple(note.message for note in notes))


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
