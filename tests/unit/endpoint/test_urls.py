"""Every form of URL, and every way to write it, against literal results."""

from __future__ import annotations

import pytest

from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.endpoint import EndpointProblem, Endpoints, in_cluster, normalise_base_path, saas, self_hosted
from tests.unit.endpoint.cases import BASE_PATHS_REFUSED, FORMS, REFUSED, SERVICES, Becomes, Refused, Service


@pytest.mark.parametrize("case", FORMS, ids=[case.name for case in FORMS])
def test_what_is_written_becomes_the_base_and_the_full_url(case: Becomes) -> None:
    found = self_hosted(case.url, case.base, allow_plaintext=case.plaintext)
    assert (found.otlp, found.traces) == (case.otlp, case.traces)


@pytest.mark.parametrize("case", REFUSED, ids=[case.name for case in REFUSED])
def test_what_cannot_be_meant_is_refused_with_a_reason(case: Refused) -> None:
    with pytest.raises(EndpointProblem) as caught:
        self_hosted(case.url, case.base, allow_plaintext=case.plaintext)
    problem = caught.value
    assert (problem.reason, problem.field) == (case.reason, case.field)
    assert case.message in problem.message
    assert str(problem) == problem.message
    assert Reason(problem.reason)


def test_the_tables_are_as_long_as_promised_and_name_each_case_once() -> None:
    names = [case.name for case in FORMS], [case.name for case in REFUSED]
    assert [len(set(part)) for part in names] == [len(FORMS), len(REFUSED)]
    assert len(FORMS) + len(REFUSED) + len(SERVICES) + len(BASE_PATHS_REFUSED) >= 120


@pytest.mark.parametrize(
    ("region", "api", "otlp", "traces", "ui"),
    [
        (
            "us",
            "https://api.smith.langchain.com",
            "https://api.smith.langchain.com/otel",
            "https://api.smith.langchain.com/otel/v1/traces",
            "https://smith.langchain.com",
        ),
        (
            "eu",
            "https://eu.api.smith.langchain.com",
            "https://eu.api.smith.langchain.com/otel",
            "https://eu.api.smith.langchain.com/otel/v1/traces",
            "https://eu.smith.langchain.com",
        ),
        (
            "apac",
            "https://apac.api.smith.langchain.com",
            "https://apac.api.smith.langchain.com/otel",
            "https://apac.api.smith.langchain.com/otel/v1/traces",
            "https://apac.smith.langchain.com",
        ),
        (
            "aws",
            "https://aws.api.smith.langchain.com",
            "https://aws.api.smith.langchain.com/otel",
            "https://aws.api.smith.langchain.com/otel/v1/traces",
            "https://aws.smith.langchain.com",
        ),
    ],
)
def test_a_region_has_its_urls(region: str, api: str, otlp: str, traces: str, ui: str) -> None:
    host = api.removeprefix("https://")
    assert saas(region) == Endpoints(api, otlp, traces, ui, host, 443, plaintext=False, saas=True)
    assert self_hosted(traces) == saas(region)


@pytest.mark.parametrize("region", ["", "US", "us ", "gcp", "https://api.smith.langchain.com"])
def test_another_region_is_refused(region: str) -> None:
    with pytest.raises(EndpointProblem, match="write us, eu, apac or aws") as caught:
        saas(region)
    assert (caught.value.reason, caught.value.field) == ("InvalidSpec", "saas.region")


def test_all_parts_of_a_self_hosted_install() -> None:
    assert self_hosted("https://LS.example.internal:8443/langsmith/otel/v1/traces") == Endpoints(
        api="https://ls.example.internal:8443/langsmith/api/v1",
        otlp="https://ls.example.internal:8443/langsmith/api/v1/otel",
        traces="https://ls.example.internal:8443/langsmith/api/v1/otel/v1/traces",
        ui="https://ls.example.internal:8443/langsmith",
        host="ls.example.internal",
        port=8443,
        plaintext=False,
        saas=False,
    )
    assert self_hosted("http://[FD00::1]", allow_plaintext=True) == Endpoints(
        api="http://[fd00::1]/api/v1",
        otlp="http://[fd00::1]/api/v1/otel",
        traces="http://[fd00::1]/api/v1/otel/v1/traces",
        ui="http://[fd00::1]",
        host="fd00::1",
        port=80,
        plaintext=True,
        saas=False,
    )


@pytest.mark.parametrize("case", SERVICES, ids=[case.name for case in SERVICES])
def test_a_service_becomes_its_urls(case: Service) -> None:
    found = in_cluster("langsmith-frontend", "langsmith", case.port, case.scheme, case.base, allow_plaintext=True)
    assert (found.api, found.otlp, found.traces) == (case.api, case.otlp, case.traces)
    assert (found.host, found.port, found.ui) == ("langsmith-frontend.langsmith.svc", case.port, None)
    assert (found.plaintext, found.saas) == (case.scheme == "http", False)
    assert [note.message for note in found.advice] == ([] if case.advice is None else [case.advice])


def test_a_service_with_http_needs_consent() -> None:
    with pytest.raises(EndpointProblem, match=r"spec\.allowPlaintext: true") as caught:
        in_cluster("langsmith-frontend", "langsmith", 80, "http")
    assert (caught.value.reason, caught.value.field) == ("InsecureScheme", "selfHosted.serviceRef.scheme")


@pytest.mark.parametrize(("name", "text", "message"), BASE_PATHS_REFUSED, ids=[row[0] for row in BASE_PATHS_REFUSED])
def test_a_bad_base_path_is_refused_by_each_form(name: str, text: str, message: str) -> None:
    calls = (
        lambda: normalise_base_path(text),
        lambda: self_hosted("https://ls.example.internal", text),
        lambda: in_cluster("langsmith-frontend", "langsmith", 443, "https", text),
    )
    for call in calls:
        with pytest.raises(EndpointProblem) as caught:
            call()
        assert (caught.value.reason, caught.value.field) == ("InvalidBasePath", "selfHosted.basePath")
        assert message in caught.value.message


@pytest.mark.parametrize(
    "url",
    [
        "https://user:pa55w0rd@ls.example.internal",
        "https://pa55w0rd@ls.example.internal/otel?pa55w0rd=1",
        "https://ls.example.internal/?token=pa55w0rd",
        "https://ls.example.internal/#pa55w0rd",
        "user:pa55w0rd@ls.example.internal",
        "ftp://user:pa55w0rd@ls.example.internal",
        "https://user:pa55w0rd@[::1",
        "https://user:pa55w0rd@ls.example.internal:99999",
        "https://user:pa55 w0rd@ls.example.internal",
    ],
)
def test_credentials_of_a_url_are_in_no_message(url: str) -> None:
    with pytest.raises(EndpointProblem) as caught:
        self_hosted(url)
    assert "pa55" not in str(caught.value) + repr(caught.value)
