"""Certificates, good and bad, and the wrong protocol on a port."""

from __future__ import annotations

import http.client
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.langsmith import CertificateAuthority, StandIn
from tests.support.langsmith.tls import ServerCert


def handshake(langsmith: StandIn, bundle: Path) -> str:
    """Return the reason a client refuses the server's certificate, or "" if it does not."""
    context = ssl.create_default_context(cafile=str(bundle))
    with socket.create_connection(("127.0.0.1", langsmith.port), timeout=10) as connection:
        try:
            with context.wrap_socket(connection, server_hostname="127.0.0.1"):
                return ""
        except ssl.SSLCertVerificationError as error:
            return error.verify_message


def verdict(cert: ServerCert, bundle: Path) -> str:
    with StandIn(tls=cert) as langsmith:
        return handshake(langsmith, bundle)


def test_a_good_certificate(ca: CertificateAuthority) -> None:
    assert verdict(ca.server("127.0.0.1"), ca.bundle) == ""


def test_a_chain_with_its_intermediate(ca: CertificateAuthority) -> None:
    assert verdict(ca.server("127.0.0.1", intermediate=True), ca.bundle) == ""


def test_a_missing_intermediate(ca: CertificateAuthority) -> None:
    assert "unable to get local issuer" in verdict(ca.server("127.0.0.1", omit_intermediate=True), ca.bundle)


def test_an_expired_certificate(ca: CertificateAuthority) -> None:
    expired = ca.server("127.0.0.1", not_after=datetime(2020, 1, 1, tzinfo=UTC))
    assert "expired" in verdict(expired, ca.bundle)


def test_a_certificate_about_to_expire_is_still_good(ca: CertificateAuthority) -> None:
    assert verdict(ca.server("127.0.0.1", not_after=datetime.now(UTC) + timedelta(days=3)), ca.bundle) == ""


def test_a_wrong_name(ca: CertificateAuthority) -> None:
    assert "not valid for '127.0.0.1'" in verdict(ca.server("langsmith.example.com"), ca.bundle)


def test_another_ca(ca: CertificateAuthority, tmp_path: Path) -> None:
    other = CertificateAuthority(tmp_path, "other")
    assert "unable to get local issuer" in verdict(other.server("127.0.0.1"), ca.bundle)


def test_keys_are_for_their_owner_only(ca: CertificateAuthority) -> None:
    assert ca.server("127.0.0.1").key.stat().st_mode & 0o777 == 0o600


def test_plain_http_to_a_tls_port_is_answered_as_nginx_does(ca: CertificateAuthority) -> None:
    with StandIn(tls=ca.server("127.0.0.1")) as langsmith:
        connection = http.client.HTTPConnection("127.0.0.1", langsmith.port, timeout=10)
        connection.request("POST", "/api/v1/otel/v1/traces", b"\0" * 100_000)
        answer = connection.getresponse()
        page = answer.read()
        connection.close()
    assert (answer.status, answer.headers.get_content_type()) == (400, "text/html")
    assert b"The plain HTTP request was sent to HTTPS port" in page


def test_tls_to_a_plain_port_is_a_wrong_version_number(ca: CertificateAuthority) -> None:
    context = ssl.create_default_context(cafile=str(ca.bundle))
    with (
        StandIn() as langsmith,
        socket.create_connection(("127.0.0.1", langsmith.port), timeout=10) as connection,
        pytest.raises(ssl.SSLError) as refused,
    ):
        context.wrap_socket(connection, server_hostname="127.0.0.1")
    assert refused.value.reason == "WRONG_VERSION_NUMBER"


def test_a_client_that_says_nothing_does_not_hold_up_the_end(ca: CertificateAuthority) -> None:
    with StandIn(tls=ca.server("127.0.0.1")) as langsmith:
        connection = socket.create_connection(("127.0.0.1", langsmith.port), timeout=10)
        assert handshake(langsmith, ca.bundle) == ""
    connection.close()
