"""Keys and workspaces: what each kind of key is told, and that a wrong workspace is never green."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Literal

import pytest

from gateway_telemetry.endpoint import saas
from gateway_telemetry.langsmith import Destination
from tests.support.langsmith import Fault, Features, Key, StandIn
from tests.unit.langsmith.setting import KEY, OTHER, READ_KEY, WORKSPACE, destination, probed, short, stand_in

# ingest key, read key, workspace that is meant: Authenticated
ROWS: dict[str, tuple[str, str | None, str | None, tuple[str, str]]] = {
    "both good": (KEY, READ_KEY, WORKSPACE, ("True", "Authenticated")),
    "no workspace named": (KEY, READ_KEY, None, ("True", "Authenticated")),
    "no read key": (KEY, None, WORKSPACE, ("True", "Authenticated")),
    "workspace in capitals": (KEY, KEY, WORKSPACE.upper(), ("True", "Authenticated")),
    "organization key with a workspace": ("lsv2_sk_org", None, OTHER, ("True", "Authenticated")),
    "organization key without": ("lsv2_sk_org", None, None, ("False", "WorkspaceRequired")),
    "organization read key without": (KEY, "lsv2_sk_org", None, ("False", "WorkspaceRequired")),
    "revoked": ("lsv2_sk_revoked", None, WORKSPACE, ("False", "KeyRejected")),
    "never issued": ("lsv2_sk_nobody_knows", None, None, ("False", "KeyRejected")),
    "older backend": ("lsv2_sk_invalid", None, WORKSPACE, ("False", "KeyRejected")),
    "another region": ("lsv2_sk_foreign", None, None, ("False", "KeyForbidden")),
    "another region, workspace named": ("lsv2_sk_foreign", "lsv2_sk_foreign", WORKSPACE, ("False", "KeyForbidden")),
    "legacy": ("lsv2_sk_legacy", None, WORKSPACE, ("False", "KeyLegacy")),
    "key of another workspace": ("lsv2_sk_other", None, WORKSPACE, ("False", "WorkspaceMismatch")),
    "read key of another workspace": (KEY, "lsv2_sk_other", WORKSPACE, ("False", "WorkspaceMismatch")),
    "keys of two workspaces, none named": (KEY, "lsv2_sk_other", None, ("False", "WorkspaceMismatch")),
    "personal token, default workspace": ("lsv2_pt_personal", KEY, None, ("False", "WorkspaceMismatch")),
    "personal token, workspace named": ("lsv2_pt_personal", KEY, WORKSPACE, ("True", "Authenticated")),
    "may only send": ("lsv2_sk_ingest", None, WORKSPACE, ("Unknown", "WorkspaceUnverified")),
    "may only send, with a read key": ("lsv2_sk_ingest", READ_KEY, None, ("Unknown", "WorkspaceUnverified")),
    "read key may only send": (KEY, "lsv2_sk_ingest", WORKSPACE, ("False", "KeyForbidden")),
    "read key revoked": (KEY, "lsv2_sk_revoked", WORKSPACE, ("False", "KeyRejected")),
}


@pytest.fixture
def langsmith() -> Iterator[StandIn]:
    with stand_in() as running:
        yield running


@pytest.mark.parametrize("name", ROWS)
async def test_authenticated(langsmith: StandIn, name: str) -> None:
    key, read_key, workspace_id, expected = ROWS[name]
    result = await probed(destination(langsmith.url, key=key, read_key=read_key, workspace_id=workspace_id))
    assert short(result.findings[0]) == ("Reachable", "True", "Reachable")
    assert short(result.findings[1]) == ("Authenticated", *expected)
    assert langsmith.store.spans() == []
    if expected[0] == "True":
        assert result.workspace_id == (workspace_id or WORKSPACE).lower()


async def test_a_mismatch_names_both_workspaces(langsmith: StandIn) -> None:
    result = await probed(destination(langsmith.url, key="lsv2_sk_other", read_key=None))
    assert result.findings[1].message == (
        f"The ingest key may not act in workspace {WORKSPACE}; it has {OTHER}. Set spec.workspaceId to the workspace "
        "that is meant, or use a key of that workspace."
    )


async def test_with_two_keys_the_message_names_the_field(langsmith: StandIn) -> None:
    result = await probed(destination(langsmith.url, read_key="lsv2_sk_revoked"))
    assert result.findings[1].message.startswith("spec.credentials.read: GET /settings at 127.0.0.1:")


async def test_a_probe_is_three_requests(langsmith: StandIn) -> None:
    await probed(destination(langsmith.url))
    assert [(seen.method, seen.path) for seen in langsmith.store.requests()] == [
        ("GET", "/api/v1/info"),
        ("GET", "/api/v1/settings"),
        ("GET", "/api/v1/settings"),
    ]


@pytest.mark.parametrize(
    ("key", "reachable", "authenticated"),
    [
        (KEY, ("True", "Reachable"), ("True", "Authenticated")),
        ("lsv2_sk_revoked", ("Unknown", "InfoNeedsKey"), ("False", "KeyRejected")),
        ("lsv2_sk_ingest", ("Unknown", "InfoNeedsKey"), ("Unknown", "WorkspaceUnverified")),
    ],
)
async def test_info_behind_a_key(key: str, reachable: tuple[str, str], authenticated: tuple[str, str]) -> None:
    with stand_in(features=Features(info_requires_key=True)) as langsmith:
        result = await probed(destination(langsmith.url, key=key, read_key=None))
    assert [short(item)[1:] for item in result.findings] == [reachable, authenticated]
    assert (result.server is not None) == (reachable[0] == "True")


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        (Features(license_expiration_time="2020-01-01T00:00:00Z"), ("Reachable", "True", "LicenseExpired")),
        (Features(license_expiration_time=None), ("Reachable", "True", "Reachable")),
        (Features(license_expiration_time="soon"), ("Reachable", "True", "Reachable")),
        (Features(license_expiration_time="2999-01-01"), ("Reachable", "True", "Reachable")),
    ],
)
async def test_the_licence(features: Features, expected: tuple[str, str, str]) -> None:
    with stand_in(features=features) as langsmith:
        assert short((await probed(destination(langsmith.url))).findings[0]) == expected


@pytest.mark.parametrize(
    ("minutes", "expected", "words"),
    [
        (-10, ("Reachable", "True", "ClockSkew"), "its clock is 10 minutes behind the operator's. Set the clock"),
        (10, ("Reachable", "True", "ClockSkew"), "its clock is 10 minutes ahead of the operator's. Set the clock"),
        (3, ("Reachable", "True", "Reachable"), "LangSmith 1 answers at 127.0.0.1."),
    ],
)
async def test_the_clock(langsmith: StandIn, minutes: int, expected: tuple[str, str, str], words: str) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), usegmt=True)
    langsmith.faults.add(Fault(on="info", status=200, body='{"version": "1"}', headers={"Date": date}))
    finding = (await probed(destination(langsmith.url))).findings[0]
    assert short(finding) == expected
    assert words in finding.message


async def test_a_version_is_shown_without_what_it_should_not_hold(langsmith: StandIn) -> None:
    langsmith.directory.add_key(KEY, Key())
    body = '{"version": "0.17\\u0007\\n' + KEY + "x" * 200 + '"}'
    langsmith.faults.add(Fault(on="info", status=200, body=body))
    result = await probed(destination(langsmith.url))
    assert result.findings[0].message == f"LangSmith 0.17 (key){'x' * 69}… answers at 127.0.0.1."


@pytest.mark.parametrize("region", ["us", "eu", "apac", "aws"])
def test_saas_reads_below_api_v1(region: str) -> None:
    host = {"us": "", "eu": "eu.", "apac": "apac.", "aws": "aws."}[region] + "api.smith.langchain.com"
    to = Destination(saas(region), KEY)
    assert (to.api, to.api_v2) == (f"https://{host}/api/v1", f"https://{host}/api/v2")


def test_a_self_hosted_install_reads_below_its_prefix() -> None:
    to = destination("https://langsmith.example.com/langsmith/dev")
    assert (to.api, to.api_v2) == (
        "https://langsmith.example.com/langsmith/dev/api/v1",
        "https://langsmith.example.com/langsmith/dev/api/v2",
    )


@pytest.mark.parametrize(
    ("form", "expected"),
    [("ui", ("Reachable", "False", "AnsweredByUI")), ("saas", ("Reachable", "False", "APINotFound"))],
)
async def test_the_wrong_form_of_url(form: Literal["ui", "saas"], expected: tuple[str, str, str]) -> None:
    with stand_in(form=form) as langsmith:
        path = "/other" if form == "saas" else ""
        assert short((await probed(destination(langsmith.url + path))).findings[0]) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", ("Reachable", "False", "APINotFound")),
        ("/langsmith", ("Reachable", "False", "APINotFound")),
        ("/langsmith/dev", ("Reachable", "True", "Reachable")),
        ("/langsmith/dev/more", ("Reachable", "False", "AnsweredByUI")),
    ],
)
async def test_a_prefix_that_is_missing_or_doubled(given: str, expected: tuple[str, str, str]) -> None:
    with stand_in(base_path="langsmith/dev") as langsmith:
        result = await probed(destination(f"http://127.0.0.1:{langsmith.port}{given}"))
    assert short(result.findings[0]) == expected
