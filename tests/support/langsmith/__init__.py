"""A stand-in for LangSmith: the wire contract of its ingest and read APIs on a real socket.

LangSmith is closed, so what is under test talks to this. It is itself judged by LangSmith's own SDK and by
OpenTelemetry's exporters (``tests/unit/langsmith_standin``).

In a test::

    from tests.support.langsmith import CertificateAuthority, Key, StandIn

    WORKSPACE = "5f2c7a3e-0000-4000-8000-000000000001"
    ca = CertificateAuthority(tmp_path)
    with StandIn(base_path="langsmith/dev", tls=ca.server("127.0.0.1"), keys={"lsv2_sk_test": WORKSPACE}) as langsmith:
        langsmith.url  # https://127.0.0.1:PORT/langsmith/dev      (.api_url, .otlp_url, .traces_url, .port)
        ...  # export spans, with ca.bundle as the CA file
        langsmith.store.wait_for_runs(1, project="checkout", timeout=10)  # visible runs: .body.name, .project_id, …
        langsmith.store.projects(), langsmith.store.spans("orphan")  # ground truth
        langsmith.store.requests("ingest")  # method, path, header names, status, …
        langsmith.store.ingest_delay = 2.0  # asynchronous ingest; .orphan_ttl too
        langsmith.faults.use("rate-limited", on="ingest", times=2)  # names: faults.CATALOGUE; or .add(Fault(…))
        langsmith.features.runs_v1 = False  # other versions: Features
        langsmith.directory.add_key("lsv2_sk_org", Key((WORKSPACE, OTHER), scope="org"))

``form="saas"`` serves the API host (``/otel/v1/traces``, REST bare and below ``/api/v1``), ``form="ui"`` the UI host.
Path classes of faults and requests: ``ingest`` (OTLP), ``batch``, ``info``, ``read``, ``ui``, ``other``.

As a process (prints one JSON line with its addresses, serves until SIGTERM or SIGINT)::

    python -m tests.support.langsmith --port 0 --base-path langsmith/dev --tls-cert C --tls-key K --key KEY=WORKSPACE

With ``--control-port`` faults and ground truth are at hand over HTTP: ``control.py``, and ``remote.py`` for tests.
"""

from __future__ import annotations

from tests.support.langsmith.context import Features
from tests.support.langsmith.faults import CATALOGUE, Fault, Faults
from tests.support.langsmith.identity import DEFAULT_WORKSPACE, Key, Workspace, fingerprint
from tests.support.langsmith.mapping import run_id
from tests.support.langsmith.server import StandIn
from tests.support.langsmith.store import Project, Request, Run, SpanRecord, Store
from tests.support.langsmith.tls import CertificateAuthority, ServerCert

__all__ = [
    "CATALOGUE",
    "DEFAULT_WORKSPACE",
    "CertificateAuthority",
    "Fault",
    "Faults",
    "Features",
    "Key",
    "Project",
    "Request",
    "Run",
    "ServerCert",
    "SpanRecord",
    "StandIn",
    "Store",
    "Workspace",
    "fingerprint",
    "run_id",
]
