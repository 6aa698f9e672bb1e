"""The v1 read API, through LangSmith's SDK where it has a call for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from langsmith.utils import LangSmithConflictError, LangSmithNotFoundError

from tests.support.langsmith import StandIn
from tests.support.langsmith.otlp import Span
from tests.unit.langsmith_standin.clients import KEY, OTHER_KEY, WORKSPACE, sdk

pytestmark = pytest.mark.filterwarnings("ignore:.* is deprecated and will be removed after Jan 31, 2027")
START = datetime(2026, 1, 1, tzinfo=UTC)


def span(number: int, name: str, attributes: dict[str, Any] | None = None, *, parent: int = 0) -> Span:
    """Return a span that starts ``number`` seconds after START."""
    start = START + timedelta(seconds=number)
    parent_id = f"{parent:016x}" if parent else ""
    return Span("a" * 32, f"{number:016x}", parent_id, name, start, start + timedelta(seconds=2), attributes or {})


def run_id(number: int) -> UUID:
    return UUID(int=number)


@pytest.fixture
def filled(langsmith: StandIn) -> StandIn:
    spans = [
        span(1, "one", {"langsmith.metadata.env": "prod", "langsmith.span.tags": "red,blue"}),
        span(2, "two", {"langsmith.metadata.env": "dev", "langsmith.metadata.other": "prod"}),
        span(3, "three", {"langsmith.span.kind": "tool", "langsmith.metadata.n": 3}, parent=1),
    ]
    langsmith.store.accept_spans(WORKSPACE, "p", spans)
    return langsmith


def query(langsmith: StandIn, body: dict[str, Any], key: str = KEY) -> httpx.Response:
    with httpx.Client(trust_env=False, headers={"x-api-key": key}) as client:
        return client.post(f"{langsmith.api_url}/runs/query", json=body)


def session(langsmith: StandIn) -> str:
    return str(langsmith.store.projects()[0].id)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('eq(name, "one")', {"one"}),
        ("eq(name, 'one')", {"one"}),
        ('neq(name, "one")', {"two", "three"}),
        ('eq(run_type, "tool")', {"three"}),
        ("eq(is_root, true)", {"one", "two"}),
        ("eq(error, null)", {"one", "two", "three"}),
        ('has(tags, "red")', {"one"}),
        ('eq(metadata_key, "other")', {"two"}),
        ('eq(metadata_value, "prod")', {"one", "two"}),
        ('and(eq(metadata_key, "env"), eq(metadata_value, "prod"))', {"one"}),
        ('and(eq(metadata_key, "n"), eq(metadata_value, 3))', {"three"}),
        ('and(eq(metadata_key, "n"), eq(metadata_value, "3"))', {"three"}),
        (
            'and(and(eq(metadata_key, "env"), eq(metadata_value, "dev")), '
            'and(eq(metadata_key, "other"), eq(metadata_value, "prod")))',
            {"two"},
        ),
        ('has(metadata, "{\\"env\\": \\"prod\\"}")', {"one"}),
        ('or(eq(name, "one"), eq(name, "three"))', {"one", "three"}),
        ('gt(start_time, "2026-01-01T00:00:02Z")', {"three"}),
        ('gte(start_time, "2026-01-01T00:00:02")', {"two", "three"}),
        ('and(lt(start_time, "2026-01-01T00:00:03Z"), gt(start_time, "2026-01-01T01:00:01+01:00"))', {"two"}),
        ("gt(latency, 1.5)", {"one", "two", "three"}),
        ("lt(latency, 1.5)", set()),
    ],
)
def test_filters(filled: StandIn, text: str, expected: set[str]) -> None:
    with sdk(filled.api_url) as client:
        assert {run.name for run in client.list_runs(project_name="p", filter=text)} == expected


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('search("x")', "operator 'search' is not supported"),
        ('eq(feedback_key, "x")', "field 'feedback_key' is not supported"),
        ('gt(name, "a")', 'gt(name, "a") is not supported'),
        ('has(name, "a")', "has(name, …) is not supported"),
        ('gt(metadata_key, "a")', "support eq only"),
        ('and(eq(metadata_key, "a"), eq(metadata_key, "b"))', "nest an and"),
        ('gt(start_time, "yesterday")', "'yesterday' is not an RFC 3339 time"),
        ('eq(name, "one"', "eq(…) is not closed"),
        ('eq(name, "one") x', "unexpected 'x'"),
        ('eq(name, "one', "cannot read the filter at '\"one'"),
        ("eq(name)", "takes a field and a value"),
        ('"one"', "is not a condition"),
        ("name", "is not a condition"),
        ("", "ends too early"),
    ],
)
def test_what_a_filter_cannot_do_is_named(filled: StandIn, text: str, named: str) -> None:
    answer = query(filled, {"session": [session(filled)], "filter": text})
    assert answer.status_code == 422
    assert named in answer.json()["detail"]


def test_by_id_trace_parent_root_type_and_time(filled: StandIn) -> None:
    with sdk(filled.api_url) as client:

        def names(**wanted: Any) -> set[str]:
            return {run.name for run in client.list_runs(**wanted)}

        assert names(run_ids=[run_id(1), run_id(3)]) == {"one", "three"}
        assert names(trace_id=run_id(1)) == {"one", "three"}
        assert names(parent_run_id=run_id(1)) == {"three"}
        assert names(project_name="p", is_root=True) == {"one", "two"}
        assert names(project_name="p", is_root=False) == {"three"}
        assert names(project_name="p", run_type="tool") == {"three"}
        assert names(project_name="p", start_time=START + timedelta(seconds=2)) == {"two", "three"}
        assert names(project_id=uuid4()) == set()


def test_newest_first_unless_asked_otherwise(filled: StandIn) -> None:
    with sdk(filled.api_url) as client:
        assert [run.name for run in client.list_runs(project_name="p")] == ["three", "two", "one"]
        assert [run.name for run in client.list_runs(project_name="p", order="asc")] == ["one", "two", "three"]
        assert [run.name for run in client.list_runs(project_name="p", limit=1)] == ["three"]


def test_pages_neither_repeat_nor_skip_when_newer_runs_arrive(filled: StandIn) -> None:
    body: dict[str, Any] = {"session": [session(filled)], "limit": 2}
    first = query(filled, body).json()
    filled.store.accept_spans(WORKSPACE, "p", [span(4, "four")])
    second = query(filled, {**body, "cursor": first["cursors"]["next"]}).json()
    assert [run["name"] for run in first["runs"] + second["runs"]] == ["three", "two", "one"]
    assert second["cursors"]["next"] is None


def test_the_sdk_follows_the_cursor(langsmith: StandIn) -> None:
    langsmith.store.accept_spans(WORKSPACE, "p", [span(number, f"run {number}") for number in range(1, 251)])
    with sdk(langsmith.api_url) as client:
        names = [run.name for run in client.list_runs(project_name="p")]
    assert names == [f"run {number}" for number in range(250, 0, -1)]
    assert len([seen for seen in langsmith.store.requests("read") if seen.path == "/api/v1/runs/query"]) == 3


def test_select_limits_the_fields(filled: StandIn) -> None:
    answer = query(filled, {"id": [str(run_id(1))], "select": ["tags"]}).json()
    assert answer["runs"][0].keys() == {
        "id", "name", "run_type", "trace_id", "dotted_order", "status", "session_id", "app_path", "start_time", "tags",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({}, 400, "At least one of 'session', 'id', 'parent_run' or 'trace' must be specified"),
        ({"session": ["p"]}, 422, "session: 'p' is not a valid UUID"),
        ({"session": "p"}, 422, "session is not a list"),
        ({"id": [str(run_id(1))], "limit": 101}, 422, "limit must be from 1 to 100"),
        ({"id": [str(run_id(1))], "select": ["nothing"]}, 422, "select: 'nothing' is not a field of a run"),
        ({"id": [str(run_id(1))], "cursor": "x"}, 422, "cursor is not valid"),
        ({"id": [str(run_id(1))], "tree_filter": "x"}, 422, "tree_filter is not supported"),
    ],
)
def test_queries_that_are_refused(filled: StandIn, body: dict[str, Any], status: int, detail: str) -> None:
    answer = query(filled, body)
    assert (answer.status_code, answer.json()) == (status, {"detail": detail})


def test_reading_one_run(filled: StandIn) -> None:
    with sdk(filled.api_url) as client:
        assert client.read_run(run_id(3)).parent_run_id == run_id(1)
        with pytest.raises(LangSmithNotFoundError):
            client.read_run(run_id(9))
    with httpx.Client(trust_env=False, headers={"x-api-key": KEY}) as http:
        assert http.get(f"{filled.api_url}/runs/nonsense").status_code == 422


def test_another_workspaces_runs_and_projects_are_not_there(filled: StandIn) -> None:
    project_id = session(filled)
    with sdk(filled.api_url, key=OTHER_KEY) as client:
        assert list(client.list_runs(project_id=project_id)) == []
        assert not client.has_project("p")
        with pytest.raises(LangSmithNotFoundError):
            client.read_run(run_id(1))
        with pytest.raises(LangSmithNotFoundError):
            client.read_project(project_id=project_id)


def test_projects(langsmith: StandIn) -> None:
    with sdk(langsmith.api_url) as client:
        assert not client.has_project("p")
        assert [found["name"] for found in client._get_paginated_list("/sessions", params={"name": "p"})] == []
        made = client.create_project("p", description="d", metadata={"k": "v"})
        assert client.read_project(project_name="p").id == made.id
        assert client.read_project(project_id=str(made.id)).metadata == {"k": "v"}
        with pytest.raises(LangSmithConflictError):
            client.create_project("p")
        assert client.create_project("p", upsert=True).id == made.id
        assert not client.has_project("P")
        client.create_project("p2")
        assert {project.name for project in client.list_projects(name_contains="p")} == {"p", "p2"}
        assert [project.name for project in client.list_projects(limit=1)] == ["p2"]
        client.delete_project(project_name="p")
        with pytest.raises(LangSmithNotFoundError):
            client.read_project(project_id=str(made.id))


def test_a_project_counts_its_runs(filled: StandIn) -> None:
    with sdk(filled.api_url) as client:
        project = client.read_project(project_name="p")
    assert (project.run_count, project.last_run_start_time) == (3, START + timedelta(seconds=3))


def test_info_needs_a_key_only_where_the_installation_says_so(langsmith: StandIn) -> None:
    with httpx.Client(trust_env=False) as client:
        assert client.get(f"{langsmith.api_url}/info").json()["version"] == "0.17.12"
        langsmith.features.info_requires_key = True
        assert client.get(f"{langsmith.api_url}/info").status_code == 401
        assert client.get(f"{langsmith.api_url}/info", headers={"x-api-key": KEY}).status_code == 200


def test_the_sdk_reads_info(langsmith: StandIn) -> None:
    with sdk(langsmith.api_url) as client:
        assert client.info.version == "0.17.12"
        assert client.info.license_expiration_time == datetime(2030, 1, 1, tzinfo=UTC)
        assert client.info.batch_ingest_config is not None
        assert client.info.batch_ingest_config["size_limit_bytes"] == 20971520
