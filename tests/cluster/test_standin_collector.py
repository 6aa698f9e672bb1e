"""The stand-in for LangSmith judged by a real Collector: its encodings, and what it makes of each refusal."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import yaml
from hack.cluster import free_ports
from hack.tools import TOOLS, build

from tests.support.collector import send_span
from tests.support.kube import wait
from tests.support.langsmith import CertificateAuthority, StandIn
from tests.unit.langsmith_standin.clients import KEY, WORKSPACE

PROJECT = "checkout"


@pytest.fixture
def langsmith(ca: CertificateAuthority) -> Iterator[StandIn]:
    with StandIn("langsmith/dev", tls=ca.server("127.0.0.1", intermediate=True), keys={KEY: WORKSPACE}) as running:
        yield running


class Collector:
    """A Collector that sends to LangSmith over otlphttp."""

    def __init__(self, port: int, log: Path) -> None:
        self.port = port
        self._log = log

    def send(self, name: str = "chat") -> None:
        """Give it one span."""
        send_span(self.port, name)

    def says(self, text: str) -> None:
        """Wait until its log holds a text."""
        wait(f"the Collector says {text!r}", lambda: text in self._log.read_text(), 20)


@contextmanager
def collector(folder: Path, ca: CertificateAuthority, **exporter: object) -> Iterator[Collector]:
    [port] = free_ports(1)
    settings = {
        "headers": {"x-api-key": KEY, "langsmith-project": PROJECT},
        "tls": {"ca_file": str(ca.bundle), "include_system_ca_certs_pool": True},
        "retry_on_failure": {"initial_interval": "200ms", "max_interval": "500ms"},
        **exporter,
    }
    config = {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{port}"}}}},
        "exporters": {"otlphttp": settings},
        "service": {
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["otlphttp"]}},
        },
    }
    path, log = folder / "collector.yaml", folder / "collector.log"
    path.write_text(yaml.safe_dump(config))
    with log.open("wb") as out:
        process = subprocess.Popen([build(TOOLS["otelcol"]), f"--config={path}"], stdout=out, stderr=out, env={})
    try:

        def listens() -> bool:
            assert process.poll() is None, log.read_text()
            return httpx.get(f"http://127.0.0.1:{port}/", timeout=2, trust_env=False).status_code > 0

        wait("the Collector listens", listens, 30)
        yield Collector(port, log)
    finally:
        process.terminate()
        process.wait(20)


# settings of the exporter beside its URL: content type and encoding of what it sends
ENCODINGS: dict[str, tuple[dict[str, str], tuple[str, str]]] = {
    "as it comes": ({}, ("application/x-protobuf", "gzip")),
    "without compression": ({"compression": "none"}, ("application/x-protobuf", "")),
    "JSON": ({"encoding": "json"}, ("application/json", "gzip")),
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_encodings(langsmith: StandIn, ca: CertificateAuthority, tmp_path: Path, name: str) -> None:
    settings, sent = ENCODINGS[name]
    with collector(tmp_path, ca, endpoint=langsmith.otlp_url, **settings) as running:
        running.send()
        [run] = langsmith.store.wait_for_runs(1, project=PROJECT)
    [request] = langsmith.store.requests("ingest")
    assert run.body.name == "chat"
    assert (request.content_type, request.content_encoding) == sent
    assert request.path == "/langsmith/dev/api/v1/otel/v1/traces"


def test_a_whole_traces_url_is_taken_as_it_is(langsmith: StandIn, ca: CertificateAuthority, tmp_path: Path) -> None:
    with collector(tmp_path, ca, traces_endpoint=langsmith.traces_url) as running:
        running.send()
        langsmith.store.wait_for_runs(1, project=PROJECT)


def test_a_doubled_path_is_dropped_data(langsmith: StandIn, ca: CertificateAuthority, tmp_path: Path) -> None:
    with collector(tmp_path, ca, endpoint=langsmith.traces_url) as running:
        running.send()
        running.says("Dropping data")
    assert [request.path for request in langsmith.store.requests()] == [
        "/langsmith/dev/api/v1/otel/v1/traces/v1/traces"
    ]
    assert langsmith.store.spans() == []


# fault: how often ingest is asked for one span while the fault lasts for one request
FAULTS = {"rate-limited": 2, "unavailable": 2, "bad-gateway": 2, "unauthorized": 1, "forbidden": 1, "too-large": 1}


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_tried_again_and_what_is_dropped(
    langsmith: StandIn, ca: CertificateAuthority, tmp_path: Path, name: str
) -> None:
    langsmith.faults.use(name, on="ingest")
    with collector(tmp_path, ca, endpoint=langsmith.otlp_url) as running:
        running.send()
        if FAULTS[name] == 2:
            langsmith.store.wait_for_runs(1, project=PROJECT)
        else:
            running.says("Dropping data")
    assert len(langsmith.store.requests("ingest")) == FAULTS[name]
    assert len(langsmith.store.runs(project=PROJECT)) == FAULTS[name] - 1


def test_a_partial_success_is_told_and_lost(langsmith: StandIn, ca: CertificateAuthority, tmp_path: Path) -> None:
    langsmith.faults.use("partial-success")
    with collector(tmp_path, ca, endpoint=langsmith.otlp_url) as running:
        running.send()
        running.says("Partial success response")
    assert [record.fate for record in langsmith.store.spans()] == ["rejected"]


def test_a_stranger_is_not_trusted(langsmith: StandIn, tmp_path: Path) -> None:
    other = CertificateAuthority(tmp_path / "other", "other")
    with collector(tmp_path, other, endpoint=langsmith.otlp_url) as running:
        running.send()
        running.says("certificate signed by unknown authority")
    assert langsmith.store.requests() == []
