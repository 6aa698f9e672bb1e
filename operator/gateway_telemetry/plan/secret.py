"""The operator's own Secret beside a workload: exporter settings that hold the key, and the record of what was written.

``views.project_record`` reads it back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway_telemetry.adapters import COPY_KEYS
from gateway_telemetry.api import meta
from gateway_telemetry.plan.managed import managed_secret, record_text
from gateway_telemetry.plan.store import Gateway
from gateway_telemetry.plan.turns import requested
from gateway_telemetry.plan.views import RECORD_KEY
from gateway_telemetry.plan.writes import Write

PREVIOUS_PREFIX = "previous."
"""Before the names of data keys that hold what the Secret held before the last change, for a rollback."""

FILE_KEYS = tuple(sorted(COPY_KEYS))


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


def kept(view: Gateway, write: Write, live: Mapping[str, str]) -> dict[str, str]:
    """Return data that a write leaves in the Secret, or puts back, beside its own: what a rollback needs.

    All other data of the Secret goes.

    Args:
        live: the Secret's data as it is.
    """
    if write.rollback:
        return {key: live[PREVIOUS_PREFIX + key] for key in FILE_KEYS if PREVIOUS_PREFIX + key in live}
    if write.record is None or view.spec is None or view.spec.install.rollout.on_failure != "Rollback":
        return {}
    if write.record.injection == write.injection:
        return {key: text for key, text in live.items() if key.startswith(PREVIOUS_PREFIX)}
    return {PREVIOUS_PREFIX + key: live[key] for key in FILE_KEYS if key in live}


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
