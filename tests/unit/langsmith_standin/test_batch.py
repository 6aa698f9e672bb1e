"""LangSmith's own ingest format: the SDK writes with it, and LiteLLM's ``langsmith`` callback."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from tests.support.langsmith import StandIn
from tests.unit.langsmith_standin.clients import KEY, sdk

pytestmark = pytest.mark.filterwarnings("ignore:.* is deprecated and will be removed after Jan 31, 2027")
ROOT = "11111111-1111-4111-8111-111111111111"
CHILD = "22222222-2222-4222-8222-222222222222"
ORDER = f"20260101T000000000000Z{ROOT}"


def new_run(**changes: Any) -> dict[str, Any]:
    """Return a run as LiteLLM posts it."""
    run = {
        "id": ROOT,
        "trace_id": ROOT,
        "dotted_order": ORDER,
        "name": "LLMRun",
        "run_type": "llm",
        "inputs": {"messages": [{"role": "user", "content": "hi"}]},
        "outputs": {"choices": [], "usage_metadata": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}},
        "session_name": "litellm",
        "start_time": 1767225600.0,
        "end_time": 1767225601.5,
        "tags": ["t"],
        "extra": {"metadata": {"k": "v"}},
    }
    return {name: value for name, value in {**run, **changes}.items() if value is not None}


def post(langsmith: StandIn, body: Any) -> httpx.Response:
    with httpx.Client(trust_env=False, headers={"x-api-key": KEY}) as client:
        return client.post(f"{langsmith.api_url}/runs/batch", json=body)


def test_a_batch_is_read_back(langsmith: StandIn) -> None:
    child = new_run(id=CHILD, name="child", parent_run_id=ROOT, dotted_order=f"{ORDER}.20260101T000000500000Z{CHILD}")
    assert post(langsmith, {"post": [new_run(), child]}).status_code == 202
    with sdk(langsmith.api_url) as client:
        runs = {run.name: run for run in client.list_runs(project_name="litellm")}
    assert runs["LLMRun"].metadata == {"k": "v"}
    assert runs["LLMRun"].outputs is not None
    assert runs["LLMRun"].outputs["choices"] == []
    assert runs["LLMRun"].start_time == datetime(2026, 1, 1, tzinfo=UTC)
    assert (runs["LLMRun"].latency, runs["LLMRun"].total_tokens) == (1.5, 7)
    assert (runs["child"].parent_run_id, runs["child"].trace_id) == (UUID(ROOT), UUID(ROOT))


def test_a_patch_ends_a_run(langsmith: StandIn) -> None:
    post(langsmith, {"post": [new_run(end_time=None, outputs=None)]})
    assert langsmith.store.runs()[0].body.status == "pending"
    change = {"id": ROOT, "trace_id": ROOT, "dotted_order": ORDER, "end_time": "2026-01-01T00:00:02Z", "error": "boom"}
    assert post(langsmith, {"patch": [change]}).status_code == 202
    [run] = langsmith.store.runs()
    assert (run.body.status, run.body.error, run.body.latency_seconds) == ("error", "boom", 2.0)


@pytest.mark.parametrize(
    ("changes", "status", "detail"),
    [
        ({"id": None}, 422, "a run has no id"),
        ({"name": None}, 422, "a run has no name"),
        ({"id": "x"}, 422, "id: 'x' is not a valid UUID"),
        ({"run_type": "agent"}, 422, "run_type 'agent' is not one of"),
        ({"trace_id": CHILD}, 400, f"trace_id {CHILD} must match the root of dotted_order"),
        ({"id": CHILD}, 400, f"must end with the run id {CHILD}"),
        ({"parent_run_id": CHILD}, 400, f"parent_run_id {CHILD} must match dotted_order"),
        ({"dotted_order": "nonsense"}, 400, "dotted_order 'nonsense' cannot be read"),
        ({"session_id": str(uuid4())}, 400, "is not an existing project"),
        ({"start_time": "yesterday"}, 422, "'yesterday' is not an RFC 3339 time"),
    ],
)
def test_a_run_that_contradicts_itself_is_refused_with_its_whole_batch(
    langsmith: StandIn, changes: dict[str, Any], status: int, detail: str
) -> None:
    good = new_run(id=CHILD, trace_id=CHILD, dotted_order=f"20260101T000000000000Z{CHILD}")
    answer = post(langsmith, {"post": [good, new_run(**changes)]})
    assert answer.status_code == status
    assert detail in answer.json()["detail"]
    assert langsmith.store.runs() == []


@pytest.mark.parametrize(
    ("body", "status"), [([], 422), ({"post": {}}, 422), ({"post": ["x"]}, 422), ({"put": []}, 422), ({}, 202)]
)
def test_the_shape_of_a_batch(langsmith: StandIn, body: Any, status: int) -> None:
    assert post(langsmith, body).status_code == status


@pytest.mark.parametrize("batching", [False, True])
def test_the_sdk_writes(langsmith: StandIn, batching: bool) -> None:
    run_id, start = uuid4(), datetime.now(UTC)
    order = f"{start:%Y%m%dT%H%M%S%f}Z{run_id}"
    with sdk(langsmith.api_url, batching=batching) as client:
        client.create_run(
            "from the sdk", {"q": 1}, "chain", id=run_id, trace_id=run_id, dotted_order=order, project_name="sdk"
        )
        client.update_run(run_id, outputs={"a": 2}, end_time=start, trace_id=run_id, dotted_order=order)
        client.flush()
        langsmith.store.wait_for(
            lambda: bool(langsmith.store.runs()) and langsmith.store.runs()[0].body.end_time is not None
        )
        [run] = list(client.list_runs(project_name="sdk"))
    assert (run.name, run.inputs, run.outputs, run.status) == ("from the sdk", {"q": 1}, {"a": 2}, "success")
    paths = {seen.path for seen in langsmith.store.requests("batch")}
    assert paths == ({"/api/v1/runs/batch"} if batching else {"/api/v1/runs", f"/api/v1/runs/{run_id}"})
