"""The operator's own Secret beside a workload: exporter settings that hold the key, and the record of what was written.

``views.project_record`` reads it back.
"""

from __future__ import annotations

from typing import Any

from gateway_telemetry.api import meta
from gateway_telemetry.plan.managed import managed_secret, record_text
from gateway_telemetry.plan.store import Gateway
from gateway_telemetry.plan.turns import requested
from gateway_telemetry.plan.views import RECORD_KEY
from gateway_telemetry.plan.writes import Write


def secret_object(view: Gateway, write: Write) -> dict[str, Any]:
    """Return the Secret that a write needs, as a whole object.

    It goes when its workload goes (owner reference).
    """
    workload = write.workload
    return managed_secret(
        workload.namespace,
        write.secret,
        {meta.OWNER_ANNOTATION: f"{view.namespace}/{view.name}"},
        {**write.files, RECORD_KEY: _record(view, write)},
        {"apiVersion": "apps/v1", "kind": workload.kind, "name": workload.name, "uid": workload.uid},
    )


PREVIOUS_PREFIX = "previous."
"""Before the names of data keys that hold what the Secret held before the last change, for a rollback."""


def _record(view: Gateway, write: Write) -> str:
    workload = write.workload
    record: dict[str, Any] = {
        "owner": {"namespace": view.namespace, "name": view.name, "uid": view.uid or None},
        "workload": {"kind": workload.kind, "name": workload.name, "uid": workload.uid or None},
        "injection": write.injection.to_json(),
        "previous": write.previous.to_json() if write.previous is not None else None,
        "orphan": view.spec is not None and view.spec.deletion_policy == "Orphan",
    }
    if (generation := _generation(write)) is not None:
        record["workload"]["generation"] = generation
    if write.rollback:
        record["failed"] = write.rollback
        record["failedRequest"] = requested(view) or ""
    return record_text(record)


def _generation(write: Write) -> int | None:
    """Return the workload's generation before its content changed; what is written otherwise is no new content."""
    if write.template_stale and (write.record is None or write.record.injection != write.injection):
        return write.workload.generation if write.workload.uid else None
    return write.record.generation if write.record is not None else None
