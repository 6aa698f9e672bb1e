"""Runs and projects as the REST API shows them: v1 (snake case, all by name) and v2 (only what was selected)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from tests.support.langsmith.identity import Workspace
from tests.support.langsmith.store import Project, Run

# Always present in a v1 run (RunSchema of LangSmith's OpenAPI document, and what its SDK cannot do without).
V1_ALWAYS: Final = frozenset(
    {"id", "name", "run_type", "trace_id", "dotted_order", "status", "session_id", "app_path", "start_time"}
)
_V1_EMPTY: Final[dict[str, Any]] = {
    "child_run_ids": None,
    "completion_cost": None,
    "completion_cost_details": None,
    "completion_token_details": None,
    "feedback_stats": {},
    "first_token_time": None,
    "in_dataset": False,
    "inputs_preview": None,
    "manifest_id": None,
    "outputs_preview": None,
    "prompt_cost": None,
    "prompt_cost_details": None,
    "prompt_token_details": None,
    "reference_example_id": None,
    "s3_urls": None,
    "serialized": None,
    "total_cost": None,
}
_THREAD_KEYS: Final = ("session_id", "thread_id", "conversation_id")


def project(found: Project, runs: list[Run]) -> dict[str, Any]:
    """Return a project (TracerSession); ``runs`` are all runs of it."""
    starts = [run.body.start_time for run in runs]
    return {
        "id": str(found.id),
        "tenant_id": found.workspace_id,
        "name": found.name,
        "description": found.description,
        "start_time": found.start_time.isoformat(),
        "end_time": None,
        "extra": found.extra,
        "reference_dataset_id": None,
        "run_count": len(runs),
        "last_run_start_time": max(starts).isoformat() if starts else None,
    }


def workspace(found: Workspace) -> dict[str, Any]:
    """Return a workspace as ``GET /workspaces`` lists it."""
    return {
        "id": found.id,
        "display_name": found.display_name,
        "organization_id": found.organization_id,
        "tenant_handle": None,
        "is_personal": False,
        "is_deleted": False,
        "created_at": "2024-01-01T00:00:00+00:00",
    }


def app_path(run: Run) -> str:
    """Return the run's address in the UI, relative to its root."""
    return f"/o/{run.workspace_id}/projects/p/{run.project_id}/r/{run.id}?trace_id={run.trace_id}"


def run_v1(run: Run) -> dict[str, Any]:
    """Return all fields of a run in the shape of the v1 API."""
    body = run.body
    return {
        **_V1_EMPTY,
        "id": str(run.id),
        "name": body.name,
        "run_type": body.run_type,
        "status": body.status,
        "error": body.error,
        "start_time": _v1_time(body.start_time),
        "end_time": _v1_time(body.end_time),
        "inputs": body.inputs,
        "outputs": body.outputs,
        "extra": body.extra,
        "events": body.events,
        "tags": body.tags,
        "session_id": str(run.project_id),
        "trace_id": str(run.trace_id),
        "parent_run_id": str(run.parent_ids[-1]) if run.parent_ids else None,
        "parent_run_ids": [str(parent) for parent in run.parent_ids],
        "dotted_order": run.dotted_order,
        "app_path": app_path(run),
        "prompt_tokens": body.prompt_tokens or 0,
        "completion_tokens": body.completion_tokens or 0,
        "total_tokens": body.total_tokens or 0,
    }


V1_FIELDS: Final = V1_ALWAYS | _V1_EMPTY.keys() | {
    "error", "end_time", "inputs", "outputs", "extra", "events", "tags", "parent_run_id", "parent_run_ids",
    "prompt_tokens", "completion_tokens", "total_tokens",
}  # fmt: skip


# What the v2 API shows under each select name (RunSelectField of LangSmith's OpenAPI document) ...
_V2: Final[dict[str, Callable[[Run], Any]]] = {
    "ID": lambda run: str(run.id),
    "NAME": lambda run: run.body.name,
    "RUN_TYPE": lambda run: run.body.run_type.upper(),
    "STATUS": lambda run: run.body.status.upper(),
    "ERROR": lambda run: run.body.error,
    "START_TIME": lambda run: run.body.start_time.isoformat(),
    "END_TIME": lambda run: run.body.end_time.isoformat() if run.body.end_time else None,
    "LATENCY_SECONDS": lambda run: run.body.latency_seconds,
    "INPUTS": lambda run: run.body.inputs,
    "OUTPUTS": lambda run: run.body.outputs,
    "EXTRA": lambda run: run.body.extra,
    "METADATA": lambda run: run.body.metadata,
    "EVENTS": lambda run: run.body.events,
    "TAGS": lambda run: run.body.tags,
    "PROJECT_ID": lambda run: str(run.project_id),
    "TRACE_ID": lambda run: str(run.trace_id),
    "THREAD_ID": lambda run: next((str(run.body.metadata[k]) for k in _THREAD_KEYS if k in run.body.metadata), None),
    "PARENT_RUN_IDS": lambda run: [str(parent) for parent in run.parent_ids],
    "DOTTED_ORDER": lambda run: run.dotted_order,
    "IS_ROOT": lambda run: not run.parent_ids,
    "IS_IN_DATASET": lambda _run: False,
    "APP_PATH": app_path,
    "PROMPT_TOKENS": lambda run: run.body.prompt_tokens,
    "COMPLETION_TOKENS": lambda run: run.body.completion_tokens,
    "TOTAL_TOKENS": lambda run: run.body.total_tokens,
}
# ... and the ones of which the stand-in has nothing to show.
_V2_EMPTY: Final = {
    "ATTACHMENTS", "COMPLETION_COST", "COMPLETION_COST_DETAILS", "COMPLETION_TOKEN_DETAILS", "ERROR_PREVIEW",
    "FEEDBACK_STATS", "FIRST_TOKEN_TIME", "INPUTS_PREVIEW", "LAST_QUEUED_AT", "LS_USER_ID", "MANIFEST",
    "OUTPUTS_PREVIEW", "PRICE_MODEL_ID", "PROMPT_COST", "PROMPT_COST_DETAILS", "PROMPT_TOKEN_DETAILS",
    "REFERENCE_DATASET_ID", "REFERENCE_EXAMPLE_ID", "SHARE_URL", "THREAD_EVALUATION_TIME", "TOTAL_COST",
}  # fmt: skip
V2_SELECTS: Final = _V2.keys() | _V2_EMPTY


def run_v2(run: Run, selects: set[str]) -> dict[str, Any]:
    """Return the selected fields of a run, and its id, in the shape of the v2 API: lower-case select names."""
    return {name.lower(): _V2[name](run) if name in _V2 else None for name in sorted(selects | {"ID"})}


def _v1_time(moment: datetime | None) -> str | None:
    """v1 shows UTC times without an offset."""
    return moment.replace(tzinfo=None).isoformat() if moment else None
