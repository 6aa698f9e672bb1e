"""Every fault of the stand-in against every condition: literal status and reason, and never a false green."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway_telemetry.langsmith import Budget, EvidenceReader, Transport, failed_read
from tests.support.langsmith import CATALOGUE, StandIn
from tests.unit.langsmith.setting import KEY, PROJECT, READ_KEY, WORKSPACE, destination, probed, sent, short, stand_in

# fault: Reachable while /info has it, Authenticated while reads have it, Ingesting while ingest has it, and Ingesting
# while reads have it for as long as the canary is looked for.
ROWS: dict[str, tuple[str, str, str, str]] = {
    "unauthorized": ("Unknown InfoNeedsKey", "False KeyRejected", "False KeyRejected", "Unknown ReadBackFailed"),
    "forbidden": ("Unknown InfoNeedsKey", "False KeyForbidden", "False KeyForbidden", "Unknown ReadBackFailed"),
    "spend-cap": ("False NotLangSmith", "False NotLangSmith", "False SpendCap", "Unknown ReadBackFailed"),
    "not-found": (
        "False APINotFound",
        "Unknown WorkspaceUnverified",
        "False OTLPRouteMissing",
        "Unknown ReadBackFailed",
    ),
    "method-not-allowed": (
        "False MethodNotAllowed",
        "False MethodNotAllowed",
        "False MethodNotAllowed",
        "Unknown ReadBackFailed",
    ),
    "too-large": ("False NotLangSmith", "False NotLangSmith", "False BodyTooLarge", "Unknown ReadBackFailed"),
    "unsupported-media-type": (
        "False NotLangSmith",
        "False NotLangSmith",
        "False EncodingRefused",
        "Unknown ReadBackFailed",
    ),
    "rate-limited": ("Unknown RateLimited", "Unknown RateLimited", "Unknown RateLimited", "Unknown RateLimited"),
    "server-error": ("False ServerError", "False ServerError", "False ServerError", "Unknown ReadBackFailed"),
    "bad-gateway": ("False ServerError", "False ServerError", "False ServerError", "Unknown ReadBackFailed"),
    "unavailable": ("False ServerError", "False ServerError", "False ServerError", "Unknown ReadBackFailed"),
    "gateway-timeout": ("False ServerError", "False ServerError", "False ServerError", "Unknown ReadBackFailed"),
    "html": ("False AnsweredByUI", "False AnsweredByUI", "False AnsweredByUI", "Unknown ReadBackFailed"),
    "empty": ("False EmptyAnswer", "False EmptyAnswer", "False NotVisible", "Unknown ReadBackFailed"),
    "redirect": ("False Redirected", "False Redirected", "False Redirected", "Unknown ReadBackFailed"),
    "login-redirect": ("False Redirected", "False Redirected", "False Redirected", "Unknown ReadBackFailed"),
    "quota": ("True Reachable", "True Authenticated", "False NotVisible", "True Ingested"),
    "partial-success": ("True Reachable", "True Authenticated", "False SpansRejected", "True Ingested"),
    "slow": ("True Reachable", "True Authenticated", "True Ingested", "True Ingested"),
    "default-project": ("True Reachable", "True Authenticated", "False WrongProject", "True Ingested"),
    "wrong-project": ("True Reachable", "True Authenticated", "False WrongProject", "True Ingested"),
    "wrong-workspace": ("True Reachable", "True Authenticated", "False NotVisible", "True Ingested"),
    "slow-loris": ("False AnswerTimeout", "False AnswerTimeout", "False AnswerTimeout", "Unknown ReadBackFailed"),
    "reset-mid-body": ("False ConnectionCut", "False ConnectionCut", "False ConnectionCut", "Unknown ReadBackFailed"),
    "reset": ("False ConnectionCut", "False ConnectionCut", "False ConnectionCut", "Unknown ReadBackFailed"),
}


@pytest.fixture
def langsmith() -> Iterator[StandIn]:
    with stand_in() as running:
        yield running


def test_every_fault_of_the_catalogue_has_a_row() -> None:
    assert ROWS.keys() == CATALOGUE.keys()


@pytest.mark.parametrize("name", ROWS)
async def test_reachable(langsmith: StandIn, name: str) -> None:
    langsmith.faults.use(name, on="info", times=None)
    result = await probed(destination(langsmith.url), timeout=2.0)
    assert short(result.findings[0]) == ("Reachable", *ROWS[name][0].split())


@pytest.mark.parametrize("name", ROWS)
async def test_authenticated(langsmith: StandIn, name: str) -> None:
    langsmith.faults.use(name, on="read", times=None)
    result = await probed(destination(langsmith.url, key=KEY, read_key=KEY), timeout=2.0)
    assert [short(item) for item in result.findings] == [
        ("Reachable", "True", "Reachable"),
        ("Authenticated", *ROWS[name][1].split()),
    ]


@pytest.mark.parametrize("name", ROWS)
async def test_ingesting_while_ingest_fails(langsmith: StandIn, name: str) -> None:
    langsmith.faults.use(name, on="ingest", times=None)
    result = await sent(destination(langsmith.url), patience=1.2, timeout=2.0)
    assert short(result.finding) == ("Ingesting", *ROWS[name][2].split())
    arrived = bool(langsmith.store.runs(WORKSPACE, project=PROJECT))
    assert arrived == (result.finding.status == "True")


@pytest.mark.parametrize("name", ROWS)
async def test_ingesting_while_reads_fail(langsmith: StandIn, name: str) -> None:
    langsmith.faults.use(name, on="read", times=None)
    patience = 0.9 if name == "rate-limited" else 4.0 if name == "slow" else 1.2
    result = await sent(destination(langsmith.url), patience=patience, timeout=2.0)
    assert short(result.finding) == ("Ingesting", *ROWS[name][3].split())
    assert len(langsmith.store.runs(WORKSPACE, project=PROJECT)) == 1


@pytest.mark.parametrize("name", ["unavailable", "server-error", "reset", "rate-limited"])
async def test_a_read_that_fails_for_a_moment_is_tried_again(langsmith: StandIn, name: str) -> None:
    langsmith.faults.use(name, on="read", times=2)
    assert short((await sent(destination(langsmith.url))).finding) == ("Ingesting", "True", "Ingested")


@pytest.mark.parametrize("name", ROWS)
async def test_delivered_keeps_the_last_verdict_while_reads_fail(langsmith: StandIn, name: str) -> None:
    langsmith.faults.use(name, on="read", times=None)
    async with Transport(destination(langsmith.url), allow_loopback=True, timeout=2.0) as transport:
        report = await EvidenceReader(transport, READ_KEY, Budget()).read(PROJECT, ["gateway-1"])
    finding = report.finding("gateway-1", project=PROJECT)
    if ROWS[name][3] == "True Ingested":  # reads pass
        assert short(finding) == ("Delivered", "Unknown", "NoTraffic")
        return
    assert finding is None
    assert report.unread == {"gateway-1"}
    assert report.failure is not None
    reason = "RateLimited" if name == "rate-limited" else "ReadBackFailed"
    assert short(failed_read(report.failure)) == ("Delivered", "Unknown", reason)
