"""Who may do what, and in which workspace."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from langsmith.utils import LangSmithAuthError, LangSmithError, LangSmithUserError

from tests.support.langsmith import StandIn
from tests.unit.langsmith_standin.clients import (
    FOREIGN_WORKSPACE,
    KEY,
    ORG_KEY,
    OTHER_KEY,
    OTHER_WORKSPACE,
    PERSONAL_KEY,
    WORKSPACE,
    sdk,
    span_body,
)

UNAUTHORIZED = (401, {"error": "Unauthorized"})
FORBIDDEN = (403, {"error": "Forbidden"})
NEEDS_WORKSPACE = (403, {"error": "org_scoped_key_requires_workspace"})
LEGACY = (401, {"detail": "Using legacy API key. Please generate a new API key."})
INVALID = (401, {"detail": "Invalid token"})
DONE = (200, None)

# key, X-Tenant-Id, answer of OTLP ingest, answer of a read, workspace it acts in
MATRIX: list[tuple[str | None, str | None, Any, Any, str | None]] = [
    (None, None, UNAUTHORIZED, UNAUTHORIZED, None),
    ("", None, UNAUTHORIZED, UNAUTHORIZED, None),
    ("lsv2_sk_unknown", None, UNAUTHORIZED, UNAUTHORIZED, None),
    ("lsv2_sk_revoked", None, UNAUTHORIZED, UNAUTHORIZED, None),
    ("lsv2_sk_foreign", None, UNAUTHORIZED, FORBIDDEN, None),
    ("ls__legacy", None, LEGACY, LEGACY, None),
    ("lsv2_sk_invalid", None, INVALID, INVALID, None),
    ("lsv2_sk_ingest", None, DONE, FORBIDDEN, WORKSPACE),
    ("lsv2_sk_read", None, FORBIDDEN, DONE, WORKSPACE),
    (KEY, None, DONE, DONE, WORKSPACE),
    (KEY, WORKSPACE, DONE, DONE, WORKSPACE),
    (KEY, WORKSPACE.upper(), DONE, DONE, WORKSPACE),
    (KEY, OTHER_WORKSPACE, FORBIDDEN, FORBIDDEN, None),
    (KEY, "not-a-uuid", FORBIDDEN, FORBIDDEN, None),
    (OTHER_KEY, None, DONE, DONE, OTHER_WORKSPACE),
    (ORG_KEY, None, NEEDS_WORKSPACE, NEEDS_WORKSPACE, None),
    (ORG_KEY, OTHER_WORKSPACE, DONE, DONE, OTHER_WORKSPACE),
    (ORG_KEY, FOREIGN_WORKSPACE, FORBIDDEN, FORBIDDEN, None),
    (PERSONAL_KEY, None, DONE, DONE, WORKSPACE),
    (PERSONAL_KEY, OTHER_WORKSPACE, DONE, DONE, OTHER_WORKSPACE),
]


@pytest.mark.parametrize(("key", "tenant", "ingest", "read", "workspace"), MATRIX)
def test_matrix(
    langsmith: StandIn, key: str | None, tenant: str | None, ingest: Any, read: Any, workspace: str | None
) -> None:
    headers = {name: value for name, value in (("X-API-KEY", key), ("x-tenant-id", tenant)) if value is not None}
    with httpx.Client(trust_env=False) as client:
        answered = client.post(langsmith.traces_url, headers=headers, json=span_body())
        assert (answered.status_code, answered.json() or None) == ingest
        listed = client.get(f"{langsmith.api_url}/sessions", headers=headers)
        assert listed.status_code == read[0]
        if listed.status_code != 200:
            assert listed.json() == read[1]
    expected = [workspace] if ingest == DONE else []
    assert [run.workspace_id for run in langsmith.store.runs()] == expected
    if ingest == read == DONE:
        assert [project["tenant_id"] for project in listed.json()] == [workspace]


def test_the_sdk_understands_the_refusals(langsmith: StandIn) -> None:
    with sdk(langsmith.api_url, key="lsv2_sk_unknown") as client, pytest.raises(LangSmithAuthError):
        client.read_project(project_name="p")
    with sdk(langsmith.api_url, key="lsv2_sk_foreign") as client, pytest.raises(LangSmithError, match="Forbidden"):
        client.read_project(project_name="p")
    with sdk(langsmith.api_url, key=ORG_KEY) as client, pytest.raises(LangSmithUserError, match="org-scoped"):
        client.read_project(project_name="p")


def test_the_sdk_reads_the_workspace_it_asks_for(langsmith: StandIn) -> None:
    with httpx.Client(trust_env=False) as client:
        headers = {"x-api-key": ORG_KEY, "X-Tenant-Id": OTHER_WORKSPACE, "Langsmith-Project": "theirs"}
        client.post(langsmith.traces_url, headers=headers, json=span_body()).raise_for_status()
    with sdk(langsmith.api_url, key=ORG_KEY, workspace=OTHER_WORKSPACE) as client:
        assert [str(project.tenant_id) for project in client.list_projects()] == [OTHER_WORKSPACE]
        assert client._get_settings().id == OTHER_WORKSPACE
    with sdk(langsmith.api_url, key=ORG_KEY, workspace=WORKSPACE) as client:
        assert list(client.list_projects()) == []


def test_an_org_key_lists_its_workspaces_without_naming_one(langsmith: StandIn) -> None:
    with httpx.Client(trust_env=False) as client:
        listed = client.get(f"{langsmith.api_url}/workspaces", headers={"x-api-key": ORG_KEY})
    assert [workspace["id"] for workspace in listed.json()] == [WORKSPACE, OTHER_WORKSPACE]


def test_keys_are_kept_out_of_the_ground_truth(langsmith: StandIn) -> None:
    with httpx.Client(trust_env=False) as client:
        client.post(langsmith.traces_url, headers={"x-api-key": KEY}, json=span_body()).raise_for_status()
    assert KEY not in repr(langsmith.store.requests()) + repr(langsmith.directory)
    [seen] = langsmith.store.requests("ingest")
    assert seen.key_fingerprint == "41d7be3e"
