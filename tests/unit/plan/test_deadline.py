"""A rollout whose deadline Kubernetes does not count: the operator counts, and only then."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway_telemetry.plan.rollout import overdue
from gateway_telemetry.plan.views import project_pod, project_workload
from tests.unit.plan.build import deployment, pod

MADE = "2026-01-03T00:00:00Z"
LATE = datetime(2026, 1, 3, 0, 0, 31, tzinfo=UTC)
NOT_COUNTED = "NewReplicaSetAvailable"


def trouble(reason: str = NOT_COUNTED, now: datetime = LATE, updated: int = 1, **of_pod: Any) -> str | None:
    obj = deployment(
        status={
            "observedGeneration": 1,
            "replicas": 2,
            "updatedReplicas": updated,
            "availableReplicas": 1,
            "conditions": [{"type": "Progressing", "status": "True", "reason": reason}],
        }
    )
    obj["spec"]["progressDeadlineSeconds"] = 30
    new = pod(created=MADE)
    new["status"].update(of_pod)
    view = project_pod(new)
    assert view is not None
    return overdue(project_workload(obj), view, now).trouble


def test_a_new_pod_that_is_not_ready_by_the_deadline() -> None:
    assert trouble() == "not ready 30 s after it was made (spec.progressDeadlineSeconds)"


@pytest.mark.parametrize(
    "case",
    [
        {"now": datetime(2026, 1, 3, 0, 0, 30, tzinfo=UTC)},  # there is time left
        {"conditions": [{"type": "Ready", "status": "True"}]},
        {"reason": "ReplicaSetUpdated"},  # Kubernetes counts
        {"updated": 2},  # no pod is being replaced: a Deployment was scaled
    ],
    ids=["in time", "ready", "counted", "scaled"],
)
def test_no_deadline(case: dict[str, Any]) -> None:
    assert trouble(**case) is None


def test_what_is_known_of_a_pod_is_more_than_that_it_is_late() -> None:
    states = [{"name": "litellm", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]
    assert trouble(containerStatuses=states) == "container litellm: CrashLoopBackOff"
