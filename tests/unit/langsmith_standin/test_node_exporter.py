"""OpenTelemetry's Node exporters write, in protobuf and in JSON; LangSmith's SDK reads back."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from uuid import UUID

import pytest

from tests.support import node
from tests.support.langsmith import CertificateAuthority, StandIn
from tests.unit.langsmith_standin.clients import KEY, sdk
from tests.unit.langsmith_standin.conftest import KEYS

NODE_MISSING = node.missing()
pytestmark = [
    pytest.mark.skipif(NODE_MISSING is not None, reason=f"Node exporter tests: {NODE_MISSING}"),
    pytest.mark.filterwarnings("ignore:.* is deprecated and will be removed after Jan 31, 2027"),
    pytest.mark.timeout(300),  # the first run downloads the packages
]


@pytest.fixture(scope="module")
def exporter() -> Path:
    return node.installed() / "export.mjs"


def run_exporter(script: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "5000", **environment}
    return subprocess.run(
        ["node", script.name], cwd=script.parent, env=env, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("protocol", "content_type"),
    [("http/protobuf", "application/x-protobuf"), ("http/json", "application/json")],
)
def test_a_trace_over_private_tls_is_read_back(
    exporter: Path, ca: CertificateAuthority, protocol: str, content_type: str
) -> None:
    with StandIn("langsmith/dev", tls=ca.server("127.0.0.1"), keys=KEYS) as langsmith:
        done = run_exporter(
            exporter,
            {
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": langsmith.traces_url,
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": protocol,
                "OTEL_EXPORTER_OTLP_TRACES_HEADERS": f"x-api-key={KEY},Langsmith-Project=node%20caf%C3%A9%2C%201",
                "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE": str(ca.bundle),
                "OTEL_RESOURCE_ATTRIBUTES": "gatewaytelemetry.dev/id=abc",
                "NONCE": "n1",
            },
        )
        assert done.returncode == 0, done.stderr
        ids = json.loads(done.stdout)
        langsmith.store.wait_for_runs(2)
        [seen] = langsmith.store.requests("ingest")
        assert (seen.status, seen.content_type) == (200, content_type)
        with sdk(langsmith.api_url, ca=ca.bundle) as client:
            runs = {run.name: run for run in client.list_runs(project_name="node café, 1")}
    root, child = runs["node root"], runs["node child"]
    assert root.id == UUID(f"00000000-0000-0000-{ids['rootSpanId'][:4]}-{ids['rootSpanId'][4:]}")
    assert child.id == UUID(f"00000000-0000-0000-{ids['childSpanId'][:4]}-{ids['childSpanId'][4:]}")
    assert (child.parent_run_id, child.trace_id, root.trace_id) == (root.id, root.id, root.id)
    assert (root.metadata["nonce"], root.metadata["gatewaytelemetry.dev/id"]) == ("n1", "abc")
    assert (child.run_type, child.total_tokens) == ("llm", 7)
    assert child.inputs == {"messages": [{"role": "user", "content": "héllo"}]}


def test_an_untrusted_certificate_stops_the_export(exporter: Path, ca: CertificateAuthority) -> None:
    with StandIn(tls=ca.server("127.0.0.1"), keys=KEYS) as langsmith:
        environment = {
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": langsmith.traces_url,
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS": f"x-api-key={KEY}",
        }
        done = run_exporter(exporter, environment)
        assert done.returncode == 1
        assert "UNABLE_TO_VERIFY_LEAF_SIGNATURE" in done.stderr
        assert langsmith.store.requests() == []


def test_a_doubled_path_fails_at_the_exporter(exporter: Path, langsmith: StandIn) -> None:
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": langsmith.traces_url,
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS": f"x-api-key={KEY}",
    }
    done = run_exporter(exporter, environment)
    assert done.returncode == 1
    [seen] = langsmith.store.requests()
    assert (seen.path, seen.status) == ("/api/v1/otel/v1/traces/v1/traces", 404)
