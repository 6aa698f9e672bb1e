"""The stand-in as a process whose faults are switched at run time, seen by a client that knows only its URLs."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.langsmith import Fault, StandIn
from tests.support.langsmith.faults import ELSEWHERE
from tests.support.langsmith.remote import StandInProcess
from tests.unit.langsmith_standin.clients import KEY, WORKSPACE, span_body


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandInProcess]:
    folder = tmp_path_factory.mktemp("stand-in")
    arguments = ("--key", f"{KEY}={WORKSPACE}")
    with StandInProcess(*arguments, certificates=("127.0.0.1",), folder=folder) as running:
        yield running


@pytest.fixture
def langsmith(process: StandInProcess) -> StandInProcess:
    """Give it without faults."""
    process.faults()
    process.features(runs_v1=True)
    process.store(ingest_delay=0.0)
    process.certificate("good")
    process.listening(True)
    process.key(KEY)
    return process


def client(langsmith: StandInProcess) -> httpx.Client:
    context = ssl.create_default_context(cafile=str(langsmith.ca_bundle))
    return httpx.Client(verify=context, trust_env=False, headers={"x-api-key": KEY})


def test_faults_are_switched_and_counted(langsmith: StandInProcess) -> None:
    before = langsmith.counts()
    with client(langsmith) as http:
        langsmith.faults("rate-limited", on="ingest")
        assert [http.post(langsmith.traces_url, json=span_body()).status_code for _ in range(2)] == [429, 429]
        langsmith.faults()
        assert http.post(langsmith.traces_url, json=span_body()).status_code == 200
    assert langsmith.counts() - before == {"ingest": 3}
    assert [item["status"] for item in langsmith.requests()[-3:]] == [429, 429, 200]


def test_ground_truth_of_silent_losses(langsmith: StandInProcess) -> None:
    with client(langsmith) as http:
        for fault in ("quota", "wrong-project", "wrong-workspace", "partial-success"):
            langsmith.faults(fault)
            assert http.post(langsmith.traces_url, json=span_body()).status_code == 200
    last = langsmith.spans()[-4:]
    assert [(item["fate"], item["project"], item["workspaceId"]) for item in last] == [
        ("dropped", "default", WORKSPACE),
        ("visible", "somebody-elses", WORKSPACE),
        ("visible", "default", ELSEWHERE),
        ("rejected", "default", WORKSPACE),
    ]
    assert [item["name"] for item in langsmith.runs("somebody-elses")] == ["root"]


def test_features_delay_and_keys(langsmith: StandInProcess) -> None:
    with client(langsmith) as http:
        langsmith.features(runs_v1=False)
        assert http.post(f"{langsmith.api_url}/runs/query", json={}).status_code == 404
        langsmith.store(ingest_delay=60)
        http.post(langsmith.traces_url, json=span_body())
        assert langsmith.spans("pending")
        langsmith.key(KEY, state="revoked")
        assert http.get(f"{langsmith.api_url}/settings").status_code == 401


# kind: part of what a client says that trusts the CA
CERTIFICATES = {
    "expired": "certificate has expired",
    "wrong-name": "IP address mismatch",
    "missing-intermediate": "unable to get local issuer certificate",
    "unknown-ca": "unable to get local issuer certificate",
}


@pytest.mark.parametrize("kind", CERTIFICATES)
def test_certificates_are_swapped_under_open_connections(langsmith: StandInProcess, kind: str) -> None:
    with client(langsmith) as http:
        assert http.get(f"{langsmith.api_url}/info").status_code == 200
        langsmith.certificate(kind)
        with pytest.raises(httpx.TransportError):
            http.get(f"{langsmith.api_url}/info")
        with pytest.raises(httpx.ConnectError, match=CERTIFICATES[kind]):
            http.get(f"{langsmith.api_url}/info")
        langsmith.certificate("expires-soon")
        assert http.get(f"{langsmith.api_url}/info").status_code == 200


def test_plain_http_instead_of_tls(langsmith: StandInProcess) -> None:
    langsmith.certificate(None)
    with client(langsmith) as http, pytest.raises(httpx.ConnectError, match="WRONG_VERSION_NUMBER"):
        http.get(f"{langsmith.api_url}/info")


def test_connections_are_refused_and_taken_again(langsmith: StandInProcess) -> None:
    langsmith.listening(False)
    with client(langsmith) as http:
        with pytest.raises(httpx.ConnectError, match="refused"):
            http.get(f"{langsmith.api_url}/info")
        langsmith.listening(True)
        assert http.get(f"{langsmith.api_url}/info").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("GET", "/nothing", ""), ("PUT", "/faults", '[{"name": "nonsense"}]'), ("PATCH", "/features", '{"nonsense": 1}')],
)
def test_what_there_is_not_is_refused(langsmith: StandInProcess, method: str, path: str, body: str) -> None:
    assert httpx.request(method, langsmith.control_url + path, content=body, trust_env=False).status_code == 400


def test_a_body_that_is_cut_in_its_middle() -> None:
    with StandIn(keys={KEY: WORKSPACE}) as langsmith, httpx.Client(trust_env=False) as http:
        langsmith.faults.use("reset-mid-body", on="info")
        with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
            http.get(f"{langsmith.api_url}/info")
        assert http.get(f"{langsmith.api_url}/info").status_code == 200
        assert [item.status for item in langsmith.store.requests("info")] == [0, 200]


def test_a_body_that_comes_byte_by_byte() -> None:
    received = bytearray()
    with StandIn(keys={KEY: WORKSPACE}) as langsmith, httpx.Client(trust_env=False) as http:
        langsmith.faults.add(Fault(on="info", drip=0.01))
        with http.stream("GET", f"{langsmith.api_url}/info") as answer:
            for chunk in answer.iter_raw():
                received += chunk
                if len(received) >= 5:
                    break
        assert bytes(received[:5]) == b"{    "
        assert langsmith.store.wait_for(lambda: [item.status for item in langsmith.store.requests("info")] == [0])


def test_headers_on_a_normal_answer() -> None:
    with StandIn() as langsmith:
        langsmith.faults.add(Fault(on="info", headers={"Date": "Thu, 01 Jan 2026 00:00:00 GMT"}))
        answer = httpx.get(f"{langsmith.api_url}/info", trust_env=False)
    assert (answer.status_code, answer.headers["date"]) == (200, "Thu, 01 Jan 2026 00:00:00 GMT")


def test_counts_by_kind_and_key() -> None:
    with StandIn(keys={KEY: WORKSPACE}) as langsmith, httpx.Client(trust_env=False) as http:
        http.get(f"{langsmith.api_url}/info")
        http.get(f"{langsmith.api_url}/settings", headers={"x-api-key": KEY})
        http.get(f"{langsmith.api_url}/settings", headers={"x-api-key": KEY})
        assert sorted(langsmith.store.counts().items(), key=str) == [(("info", None), 1), (("read", "41d7be3e"), 2)]


def test_a_folder_without_a_name_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="ended with 2"), StandInProcess("--certificates", str(tmp_path)):
        pass
