"""Every failure mode shows what it says, for as long as it says, where it says."""

from __future__ import annotations

import time

import httpx
import pytest

from tests.support.langsmith import CATALOGUE, Fault, StandIn
from tests.unit.langsmith_standin.clients import KEY, span_body, tracing

# name: status, content type, start of the body
ANSWERS: dict[str, tuple[int, str, str]] = {
    "unauthorized": (401, "application/json", '{"error":"Unauthorized"}'),
    "forbidden": (403, "application/json", '{"error":"Forbidden"}'),
    "spend-cap": (402, "application/json", '{"error":"Payment Required"}'),
    "not-found": (404, "application/json", '{"detail":"Not Found"}'),
    "method-not-allowed": (405, "text/html", "<html>\r\n<head><title>405 Not Allowed"),
    "too-large": (413, "text/html", "<html>\r\n<head><title>413 Request Entity Too Large"),
    "unsupported-media-type": (415, "application/json", '{"error":"Unsupported Media Type"}'),
    "rate-limited": (429, "application/json", '{"detail":"Rate limit exceeded"}'),
    "server-error": (500, "application/json", '{"detail":"Internal Server Error"}'),
    "bad-gateway": (502, "text/html", "<html>\r\n<head><title>502 Bad Gateway"),
    "unavailable": (503, "text/html", "<html>\r\n<head><title>503 Service Temporarily Unavailable"),
    "gateway-timeout": (504, "text/html", "<html>\r\n<head><title>504 Gateway Time-out"),
    "html": (200, "text/html", "<!doctype html>"),
    "empty": (200, "application/json", ""),
    "redirect": (301, "text/html", "<html>\r\n<head><title>301 Moved Permanently"),
    "login-redirect": (302, "text/html", "<html>\r\n<head><title>302 Found"),
}
BEHAVIOURS = {
    "quota", "partial-success", "slow", "reset",
    # in test_control.py
    "default-project", "wrong-project", "wrong-workspace", "slow-loris", "reset-mid-body",
}  # fmt: skip


def export(langsmith: StandIn) -> httpx.Response:
    with httpx.Client(trust_env=False, headers={"x-api-key": KEY}) as client:
        return client.post(langsmith.traces_url, json=span_body())


def test_every_fault_of_the_catalogue_is_tested() -> None:
    assert CATALOGUE.keys() == ANSWERS.keys() | BEHAVIOURS


@pytest.mark.parametrize("name", ANSWERS)
def test_answers(langsmith: StandIn, name: str) -> None:
    status, content_type, body = ANSWERS[name]
    langsmith.faults.use(name, on="ingest")
    got = export(langsmith)
    assert (got.status_code, got.headers["content-type"].partition(";")[0]) == (status, content_type)
    assert got.text.startswith(body)
    assert langsmith.store.spans() == []
    assert export(langsmith).status_code == 200


def test_a_rate_limit_says_when_to_come_back(langsmith: StandIn) -> None:
    langsmith.faults.use("rate-limited", on="ingest")
    assert export(langsmith).headers["Retry-After"] == "1"


def test_a_redirect_says_where_to(langsmith: StandIn) -> None:
    langsmith.faults.use("redirect", on="ingest")
    assert export(langsmith).headers["Location"] == "https://langsmith.example.com:8443/"


def test_over_quota_is_accepted_and_lost(langsmith: StandIn) -> None:
    langsmith.faults.use("quota")
    assert export(langsmith).status_code == 200
    assert [record.fate for record in langsmith.store.spans()] == ["dropped"]
    assert langsmith.store.runs() == []


def test_a_partial_success_counts_what_it_rejected(langsmith: StandIn) -> None:
    langsmith.faults.add(Fault(on="ingest", reject_spans=5))
    got = export(langsmith)
    assert got.status_code == 200
    assert got.json() == {"partialSuccess": {"rejectedSpans": "1", "errorMessage": "spans were rejected"}}
    assert [record.fate for record in langsmith.store.spans()] == ["rejected"]


def test_a_slow_answer_is_a_normal_one(langsmith: StandIn) -> None:
    langsmith.faults.add(Fault(on="ingest", delay=0.3))
    started = time.monotonic()
    assert export(langsmith).status_code == 200
    assert time.monotonic() - started >= 0.3
    assert len(langsmith.store.runs()) == 1


def test_a_reset_is_no_answer_at_all(langsmith: StandIn) -> None:
    langsmith.faults.use("reset", on="ingest")
    with pytest.raises(httpx.TransportError):
        export(langsmith)
    assert [seen.status for seen in langsmith.store.requests("ingest")] == [0]


def test_faults_hit_their_path_class_only_and_as_often_as_they_say(langsmith: StandIn) -> None:
    langsmith.faults.use("server-error", on="info", times=2)
    with httpx.Client(trust_env=False) as client:
        assert export(langsmith).status_code == 200
        assert [client.get(f"{langsmith.api_url}/info").status_code for _ in range(3)] == [500, 500, 200]


def test_faults_last_until_cleared(langsmith: StandIn) -> None:
    langsmith.faults.use("unavailable", times=None)
    assert [export(langsmith).status_code for _ in range(3)] == [503, 503, 503]
    langsmith.faults.clear()
    assert export(langsmith).status_code == 200


def test_an_unknown_fault_is_refused(langsmith: StandIn) -> None:
    with pytest.raises(KeyError):
        langsmith.faults.use("nonsense")


def test_the_exporter_comes_back_after_a_503(langsmith: StandIn) -> None:
    langsmith.faults.use("unavailable", on="ingest")
    with tracing(langsmith) as tracer:
        tracer.start_span("root").end()
        langsmith.store.wait_for_runs(1)
    assert [seen.status for seen in langsmith.store.requests("ingest")] == [503, 200]
