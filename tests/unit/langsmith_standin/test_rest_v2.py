"""The v2 read API, through the part of LangSmith's SDK that is generated from its OpenAPI document."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from langsmith.resources.runs import AsyncRunsResource
from langsmith.utils import LangSmithNotFoundError

from tests.support.langsmith import StandIn
from tests.support.langsmith.otlp import Span
from tests.unit.langsmith_standin.clients import KEY, OTHER_KEY, WORKSPACE, sdk

pytestmark = pytest.mark.filterwarnings("ignore:.* is deprecated and will be removed after Jan 31, 2027")
NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def filled(langsmith: StandIn) -> StandIn:
    second = timedelta(seconds=1)
    attributes: dict[str, Any] = {"langsmith.metadata.nonce": "n1", "langsmith.metadata.thread_id": "t1"}
    spans = [
        Span("a" * 32, f"{1:016x}", "", "root", NOW - 9 * second, NOW - 5 * second, attributes),
        Span("a" * 32, f"{2:016x}", f"{1:016x}", "child", NOW - 8 * second, NOW - 7 * second, is_error=True),
        Span("b" * 32, f"{3:016x}", "", "old", NOW - timedelta(days=2), NOW - timedelta(days=2)),
    ]
    langsmith.store.accept_spans(WORKSPACE, "p", spans)
    return langsmith


def project_id(langsmith: StandIn) -> str:
    return str(langsmith.store.projects()[0].id)


@asynccontextmanager
async def runs_resource(langsmith: StandIn) -> AsyncIterator[AsyncRunsResource]:
    """Give ``client.runs``; the SDK leaves closing its connections to us."""
    with sdk(langsmith.api_url) as client:
        try:
            yield client.runs
        finally:
            await client._get_langsmith_api().close()


async def names(langsmith: StandIn, **wanted: Any) -> list[str | None]:
    async with runs_resource(langsmith) as runs:
        pages = runs.query_v2(project_ids=[project_id(langsmith)], selects=["NAME"], **wanted)
        return [run.name async for run in pages]


async def test_the_sdk_finds_the_last_day_by_default(filled: StandIn) -> None:
    assert await names(filled) == ["child", "root"]
    assert await names(filled, min_start_time=NOW - timedelta(days=3)) == ["child", "root", "old"]


async def test_the_sdk_narrows(filled: StandIn) -> None:
    assert await names(filled, ids=[str(UUID(int=1))]) == ["root"]
    assert await names(filled, trace_id=str(UUID(int=1))) == ["child", "root"]
    assert await names(filled, is_root=True) == ["root"]
    assert await names(filled, has_error=True) == ["child"]
    assert await names(filled, run_type="TOOL") == []
    assert await names(filled, max_start_time=NOW - timedelta(seconds=8.5)) == ["root"]
    assert await names(filled, filter='and(eq(metadata_key, "nonce"), eq(metadata_value, "n1"))') == ["root"]


async def test_the_sdk_follows_the_cursor(filled: StandIn) -> None:
    assert await names(filled, page_size=1, min_start_time=NOW - timedelta(days=3)) == ["child", "root", "old"]
    assert len([seen for seen in filled.store.requests("read") if seen.path == "/api/v2/runs/query"]) == 3


async def test_the_sdk_reads_what_it_selects(filled: StandIn) -> None:
    async with runs_resource(filled) as runs:
        run = await runs.retrieve_v2(
            str(UUID(int=2)),
            project_id=project_id(filled),
            selects=["NAME", "STATUS", "PARENT_RUN_IDS", "TRACE_ID", "PROJECT_ID", "RUN_TYPE", "IS_ROOT"],
        )
        assert (run.name, run.status, run.run_type, run.is_root) == ("child", "ERROR", "CHAIN", False)
        assert (run.parent_run_ids, run.trace_id) == ([str(UUID(int=1))], str(UUID(int=1)))
        assert (run.project_id, run.metadata) == (project_id(filled), None)
        root = await runs.retrieve_v2(
            str(UUID(int=1)), project_id=project_id(filled), selects=["METADATA", "THREAD_ID", "LATENCY_SECONDS"]
        )
        assert (root.metadata, root.thread_id) == ({"nonce": "n1", "thread_id": "t1"}, "t1")
        assert root.latency_seconds == 4.0


def test_where_v1_is_gone_the_sdk_reads_by_v2(filled: StandIn) -> None:
    filled.features.runs_v1 = False
    with sdk(filled.api_url) as client:
        run = client.read_run(UUID(int=1), project_id=project_id(filled), start_time=NOW - timedelta(seconds=9))
        assert (run.name, run.metadata["nonce"], run.status) == ("root", "n1", "success")
        with pytest.raises(LangSmithNotFoundError):
            list(client.list_runs(project_id=project_id(filled)))
        client._get_langsmith_api_sync().close()


def test_where_v2_is_not_there_yet_it_is_a_404(filled: StandIn) -> None:
    filled.features.runs_v2 = False
    assert query(filled, {"project_ids": [project_id(filled)]}).status_code == 404


def query(langsmith: StandIn, body: dict[str, Any], key: str | None = KEY) -> httpx.Response:
    with httpx.Client(trust_env=False, headers={"x-api-key": key} if key else {}) as client:
        return client.post(f"{langsmith.url}/api/v2/runs/query", json=body)


def test_only_the_id_comes_back_unless_more_is_selected(filled: StandIn) -> None:
    answer = query(filled, {"project_ids": [project_id(filled)], "page_size": 1}).json()
    assert answer["items"] == [{"id": str(UUID(int=2))}]
    assert isinstance(answer["next_cursor"], str)


def test_the_runs_of_a_trace_come_oldest_first(filled: StandIn) -> None:
    with httpx.Client(trust_env=False, headers={"x-api-key": KEY}) as client:
        parameters = {"project_id": project_id(filled), "selects": "NAME"}
        answer = client.get(f"{filled.url}/v2/traces/{UUID(int=1)}/runs", params=parameters)
    assert [item["name"] for item in answer.json()["items"]] == ["root", "child"]


UNKNOWN_PROJECT = "5f2c7a3e-0000-4000-8000-00000000dead"


@pytest.mark.parametrize(
    ("body", "key", "status", "detail"),
    [
        ({}, KEY, 422, "project_ids is required"),
        ({"project_ids": ["p"]}, KEY, 422, "project_ids: 'p' is not a valid UUID"),
        ({"project_ids": [UNKNOWN_PROJECT]}, KEY, 404, f"project {UNKNOWN_PROJECT} not found"),
        ({"project_ids": [UNKNOWN_PROJECT]}, None, 401, "Unauthorized"),
        ({"project_ids": [UNKNOWN_PROJECT]}, "lsv2_sk_foreign", 403, "Forbidden"),
        ({"project_ids": ["own"], "selects": ["name"]}, KEY, 422, "selects: 'name' is not a field of a run"),
        ({"project_ids": ["own"], "page_size": 1001}, KEY, 422, "page_size must be from 1 to 1000"),
        ({"project_ids": ["own"], "filter": 'search("x")'}, KEY, 422, "filter: operator 'search' is not supported"),
        ({"project_ids": ["own"], "sem_filter": "x"}, KEY, 422, "sem_filter is not supported"),
    ],
)
def test_errors_are_problem_details(
    filled: StandIn, body: dict[str, Any], key: str | None, status: int, detail: str
) -> None:
    if body.get("project_ids") == ["own"]:
        body = {**body, "project_ids": [project_id(filled)]}
    answer = query(filled, body, key)
    assert answer.headers["content-type"].partition(";")[0] == "application/problem+json"
    assert (answer.status_code, answer.json()["status"], answer.json()["detail"]) == (status, status, detail)


def test_another_workspaces_project_is_not_there(filled: StandIn) -> None:
    assert query(filled, {"project_ids": [project_id(filled)]}, OTHER_KEY).status_code == 404
