"""Fixtures: an environment without anyone's exporter or CA settings, and a stand-in with keys of every scope."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.support.langsmith import CertificateAuthority, Key, StandIn
from tests.unit.langsmith_standin.clients import KEY, ORG_KEY, OTHER_KEY, OTHER_WORKSPACE, PERSONAL_KEY, WORKSPACE

# requests lets these win over the CA file that an exporter or a session was given.
CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS")
KEYS: dict[str, Key | str] = {
    KEY: WORKSPACE,
    OTHER_KEY: OTHER_WORKSPACE,
    ORG_KEY: Key((WORKSPACE, OTHER_WORKSPACE), scope="org"),
    PERSONAL_KEY: Key((WORKSPACE, OTHER_WORKSPACE), scope="personal"),
    "lsv2_sk_revoked": Key(state="revoked"),
    "lsv2_sk_foreign": Key(state="foreign"),
    "ls__legacy": Key(state="legacy"),
    "lsv2_sk_invalid": Key(state="invalid"),
    "lsv2_sk_ingest": Key(permissions=frozenset({"ingest"})),
    "lsv2_sk_read": Key(permissions=frozenset({"read"})),
}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name in CA_VARIABLES or name.startswith(("OTEL_", "LANGSMITH_", "LANGCHAIN_")):
            monkeypatch.delenv(name)


@pytest.fixture
def langsmith() -> Iterator[StandIn]:
    with StandIn(keys=KEYS) as stand_in:
        yield stand_in


@pytest.fixture(scope="session")
def ca(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(tmp_path_factory.mktemp("ca"))
