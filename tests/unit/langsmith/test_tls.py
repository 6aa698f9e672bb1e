"""Certificates that are wrong in one way each, and what the environment may not change about trust."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway_telemetry.endpoint import saas
from gateway_telemetry.langsmith import Destination
from tests.support.langsmith import CertificateAuthority, StandIn
from tests.unit.langsmith.servers import Proxy, answering, serving
from tests.unit.langsmith.setting import KEY, Resolver, destination, probed, short, stand_in

NOT_PROBED = ("Authenticated", "Unknown", "NotProbed")


async def first(langsmith: StandIn, ca: CertificateAuthority | None) -> tuple[tuple[str, str, str], str]:
    result = await probed(destination(langsmith.url, ca=ca))
    if result.findings[0].status != "True":
        assert short(result.findings[1]) == NOT_PROBED
        assert langsmith.store.requests() == []
    return short(result.findings[0]), result.findings[0].message


@pytest.mark.parametrize("intermediate", [False, True])
async def test_a_private_ca_is_trusted_besides_the_system(ca: CertificateAuthority, intermediate: bool) -> None:
    with stand_in(tls=ca.server("127.0.0.1", intermediate=intermediate)) as langsmith:
        assert (await first(langsmith, ca))[0] == ("Reachable", "True", "Reachable")


async def test_an_expired_certificate_is_told_with_its_date(ca: CertificateAuthority) -> None:
    with stand_in(tls=ca.server("127.0.0.1", not_after=datetime(2025, 5, 1, 12, 0, tzinfo=UTC))) as langsmith:
        found, message = await first(langsmith, ca)
    assert found == ("Reachable", "False", "TLSCertificateExpired")
    assert message == (
        "The certificate of 127.0.0.1 expired on 2025-05-01 12:00 UTC. Renew it on LangSmith's side; no Secret and no "
        "gateway needs a change."
    )


@pytest.mark.parametrize(
    ("days", "expected"),
    [(13, ("Reachable", "True", "CertificateExpiresSoon")), (15, ("Reachable", "True", "Reachable"))],
)
async def test_two_weeks_before_its_end_a_certificate_is_a_warning(
    ca: CertificateAuthority, days: int, expected: tuple[str, str, str]
) -> None:
    with stand_in(tls=ca.server("127.0.0.1", not_after=datetime.now(UTC) + timedelta(days=days))) as langsmith:
        assert (await first(langsmith, ca))[0] == expected


async def test_a_certificate_for_another_name_is_told_with_its_names(ca: CertificateAuthority) -> None:
    with stand_in(tls=ca.server("langsmith.example.com", "other.example.com")) as langsmith:
        found, message = await first(langsmith, ca)
    assert found == ("Reachable", "False", "TLSWrongHost")
    assert message.startswith(
        "The certificate is not for 127.0.0.1: it is for langsmith.example.com, other.example.com. "
    )


async def test_an_unknown_ca_is_told_with_its_name(ca: CertificateAuthority, tmp_path: Path) -> None:
    with stand_in(tls=CertificateAuthority(tmp_path, "stranger").server("127.0.0.1")) as langsmith:
        for trusted in (None, ca):
            found, message = await first(langsmith, trusted)
            assert found == ("Reachable", "False", "TLSUntrusted")
            assert message.startswith(
                "The certificate of 127.0.0.1 was issued by 'Test stranger', which is not trusted."
            )


async def test_a_missing_intermediate_is_not_trusted(ca: CertificateAuthority) -> None:
    with stand_in(tls=ca.server("127.0.0.1", omit_intermediate=True)) as langsmith:
        found, message = await first(langsmith, ca)
    assert found == ("Reachable", "False", "TLSUntrusted")
    assert message.endswith("or let the server send its intermediate certificates.")


async def test_https_to_a_port_of_http() -> None:
    with stand_in() as langsmith:
        found, _ = await first(langsmith, None)
        assert found[1] == "True"
        result = await probed(destination(f"https://127.0.0.1:{langsmith.port}"))
    assert short(result.findings[0]) == ("Reachable", "False", "TLSNotSpoken")


async def test_http_to_a_port_of_https(ca: CertificateAuthority) -> None:
    with stand_in(tls=ca.server("127.0.0.1")) as langsmith:
        result = await probed(destination(f"http://127.0.0.1:{langsmith.port}"))
    assert short(result.findings[0]) == ("Reachable", "False", "TLSExpected")


async def test_a_handshake_that_the_server_ends_with_an_alert() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(bytes.fromhex("15 0303 0002 0228"))  # fatal: handshake_failure
        await writer.drain()
        await reader.read()

    async with serving(refuse) as port:
        result = await probed(destination(f"https://127.0.0.1:{port}"))
    assert short(result.findings[0]) == ("Reachable", "False", "TLSFailed")


async def test_a_connection_that_ends_in_the_handshake() -> None:
    async def hang_up(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read(1)

    async with serving(hang_up) as port:
        result = await probed(destination(f"https://127.0.0.1:{port}"))
    assert short(result.findings[0]) == ("Reachable", "False", "ConnectionCut")


async def test_a_handshake_that_never_ends() -> None:
    async def hang(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async with serving(hang) as port:
        result = await probed(destination(f"https://127.0.0.1:{port}"), timeout=0.5)
    assert short(result.findings[0]) == ("Reachable", "False", "AnswerTimeout")


async def test_a_certificate_that_is_not_valid_yet(ca: CertificateAuthority) -> None:
    issued = ca._ca.issue_cert("127.0.0.1", not_before=datetime.now(UTC) + timedelta(days=1))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(context)
    async with serving(answering(b""), context) as port:
        result = await probed(destination(f"https://127.0.0.1:{port}", ca=ca))
    assert short(result.findings[0]) == ("Reachable", "False", "TLSCertificateNotYetValid")


async def test_an_unknown_issuer_for_langsmiths_own_service_is_interception(
    ca: CertificateAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real name, port and URL; a proxy that opens TLS on the way."""
    with stand_in(form="saas", tls=ca.server("eu.api.smith.langchain.com")) as langsmith:
        proxy = Proxy(langsmith.port)
        async with serving(proxy) as port:
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
            opened = await probed(Destination(saas("eu"), KEY))
            trusted = await probed(Destination(saas("eu"), KEY, None, ca.bundle.read_text()))
    assert short(opened.findings[0]) == ("Reachable", "False", "TLSIntercepted")
    assert [short(item)[1:] for item in trusted.findings] == [("True", "Reachable"), ("True", "Authenticated")]
    assert set(proxy.asked) == {"eu.api.smith.langchain.com:443"}


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
async def test_no_variable_takes_the_targets_ca_away(
    ca: CertificateAuthority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    stranger = CertificateAuthority(tmp_path, "stranger")
    monkeypatch.setenv(variable, str(tmp_path if variable.endswith("DIR") else stranger.bundle))
    with stand_in(tls=ca.server("127.0.0.1")) as langsmith:
        assert (await first(langsmith, ca))[0] == ("Reachable", "True", "Reachable")


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
async def test_variables_of_other_libraries_add_no_trust(
    ca: CertificateAuthority, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(ca.bundle))
    with stand_in(tls=ca.server("127.0.0.1")) as langsmith:
        assert (await first(langsmith, None))[0] == ("Reachable", "False", "TLSUntrusted")


async def test_the_name_is_verified_though_the_connection_goes_to_an_address(ca: CertificateAuthority) -> None:
    with stand_in(tls=ca.server("langsmith.example.com"), public_host="langsmith.example.com") as langsmith:
        result = await probed(destination(langsmith.url, ca=ca), resolver=Resolver([["127.0.0.1"]]))
        assert short(result.findings[0]) == ("Reachable", "True", "Reachable")
        other = langsmith.url.replace("langsmith.", "other.")
        result = await probed(destination(other, ca=ca), resolver=Resolver([["127.0.0.1"]]))
        assert short(result.findings[0]) == ("Reachable", "False", "TLSWrongHost")
