"""DNS, TCP and HTTP as badly as they come: bounded, told apart, and never a key where it must not go."""

from __future__ import annotations

import asyncio
import gzip
import socket
import time
from collections.abc import Sequence

import pytest

from gateway_telemetry.langsmith import Transport
from gateway_telemetry.langsmith.transport import MAX_BODY
from tests.support.langsmith import CertificateAuthority, Fault, StandIn
from tests.unit.langsmith.servers import Flood, Proxy, answering, dripping, serving
from tests.unit.langsmith.setting import KEY, Resolver, destination, probed, sent, short, stand_in

NAME = "langsmith.example.com"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

# raw answer to /info: status and reason of Reachable
RAW: dict[str, tuple[bytes, tuple[str, str]]] = {
    "nothing": (b"", ("False", "ConnectionCut")),
    "half a status line": (b"HTTP/1.1 20", ("False", "ConnectionCut")),
    "half a body": (OK + b"Content-Length: 100\r\n\r\n{", ("False", "ConnectionCut")),
    "half a chunk": (OK + b"Transfer-Encoding: chunked\r\n\r\n50\r\n{", ("False", "ConnectionCut")),
    "another protocol": (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", ("False", "NotLangSmith")),
    "bad header": (b"HTTP/1.1 200 OK\r\n\x00: 1\r\n\r\n", ("False", "NotLangSmith")),
    "no version": (OK + b'Content-Length: 13\r\n\r\n{"status":"ok', ("False", "NotLangSmith")),
    "a list": (OK + b"Content-Length: 2\r\n\r\n[]", ("False", "NotLangSmith")),
    "version null": (OK + b'Content-Length: 16\r\n\r\n{"version":null}', ("False", "NotLangSmith")),
    "version empty": (OK + b'Content-Length: 14\r\n\r\n{"version":""}', ("False", "NotLangSmith")),
    "deep JSON": (OK + b"Content-Length: 200000\r\n\r\n" + b"[" * 200000, ("False", "NotLangSmith")),
    "not UTF-8": (OK + b"Content-Length: 4\r\n\r\n\xff\xfe\x00\x01", ("False", "NotLangSmith")),
    "bad gzip": (OK + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd", ("False", "NotLangSmith")),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", ("False", "EmptyAnswer")),
    "teapot": (b"HTTP/1.1 418 I'm a teapot\r\nContent-Length: 0\r\n\r\n", ("False", "NotLangSmith")),
    "HTML without a type": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n<!DOCTYPE html>",
        ("False", "AnsweredByUI"),
    ),
    "a login page": (
        b"HTTP/1.1 401 No\r\nContent-Length: 5\r\n\r\nlogin",
        ("False", "BlockedInFront"),
    ),
    "a firewall": (
        b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n",
        ("False", "BlockedInFront"),
    ),
    "a Go server of https": (
        b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
        ("False", "TLSExpected"),
    ),
    "a redirect without a place": (b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", ("False", "Redirected")),
    "a redirect to no URL": (
        b"HTTP/1.1 302 F\r\nLocation: http://[\r\n\r\n",
        ("False", "Redirected"),
    ),
}


@pytest.mark.parametrize("name", RAW)
async def test_raw_answers(name: str) -> None:
    raw, expected = RAW[name]
    async with serving(answering(raw)) as port:
        result = await probed(destination(f"http://127.0.0.1:{port}"))
    assert short(result.findings[0]) == ("Reachable", *expected)
    assert short(result.findings[1]) == ("Authenticated", "Unknown", "NotProbed")


async def test_a_slow_loris_is_left_after_the_time() -> None:
    async with serving(dripping(0.05)) as port:
        began = time.monotonic()
        result = await probed(destination(f"http://127.0.0.1:{port}"), timeout=0.6)
    assert short(result.findings[0]) == ("Reachable", "False", "AnswerTimeout")
    assert time.monotonic() - began < 2


async def test_silence_is_left_after_the_time() -> None:
    async with serving(answering(b"", then="hang")) as port:
        result = await probed(destination(f"http://127.0.0.1:{port}"), timeout=0.5)
    assert short(result.findings[0]) == ("Reachable", "False", "AnswerTimeout")


async def test_an_endless_answer_is_read_up_to_a_megabyte() -> None:
    flood = Flood()
    async with serving(flood) as port:
        result = await probed(destination(f"http://127.0.0.1:{port}"))
        assert short(result.findings[0]) == ("Reachable", "False", "NotLangSmith")
        assert result.findings[0].message.count("[") == 0
    assert flood.sent < MAX_BODY + (8 << 20)  # what kernel buffers take besides


async def test_a_bomb_is_unpacked_up_to_a_megabyte() -> None:
    body = gzip.compress(b" " * (64 << 20))
    head = OK + f"Content-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    async with (
        serving(answering(head + body)) as port,
        Transport(destination(f"http://127.0.0.1:{port}"), allow_loopback=True) as transport,
    ):
        answer = await transport.request("GET", f"http://127.0.0.1:{port}/")
    assert (len(answer.body), answer.whole) == (MAX_BODY, False)


async def test_a_refused_connection() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        result = await probed(destination(f"http://127.0.0.1:{bound.getsockname()[1]}"))
    assert short(result.findings[0]) == ("Reachable", "False", "ConnectionRefused")


async def test_no_answer_to_a_connection_is_not_known() -> None:
    """A listener whose queue is full takes no connection: packets are dropped as by a firewall."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        try:
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", port))
            result = await probed(destination(f"http://127.0.0.1:{port}"), timeout=0.6)
        finally:
            for filler in fillers:
                filler.close()
    assert short(result.findings[0]) == ("Reachable", "Unknown", "NoRoute")


# error of the resolver: status and reason
DNS: dict[str, tuple[int, tuple[str, str]]] = {
    "the name does not exist": (socket.EAI_NONAME, ("False", "DNSNotFound")),
    "the name has no address": (socket.EAI_NODATA, ("False", "DNSNotFound")),
    "no server answers": (socket.EAI_AGAIN, ("Unknown", "DNSUnavailable")),
    "the server fails": (socket.EAI_FAIL, ("Unknown", "DNSUnavailable")),
    "the system fails": (socket.EAI_SYSTEM, ("Unknown", "DNSUnavailable")),
}


@pytest.mark.parametrize("name", DNS)
async def test_dns_says_no_or_nothing(name: str) -> None:
    code, expected = DNS[name]

    async def failing(_host: str, _port: int) -> Sequence[str]:
        raise socket.gaierror(code, "said the resolver")

    result = await probed(destination(f"https://{NAME}"), resolver=failing)
    assert short(result.findings[0]) == ("Reachable", *expected)
    assert NAME in result.findings[0].message


async def test_dns_that_hangs_is_not_known() -> None:
    async def hanging(_host: str, _port: int) -> Sequence[str]:
        await asyncio.sleep(60)
        return []

    result = await probed(destination(f"https://{NAME}"), resolver=hanging, timeout=0.4)
    assert short(result.findings[0]) == ("Reachable", "Unknown", "DNSUnavailable")


async def test_the_systems_resolver_is_asked() -> None:
    """RFC 6761: names below .invalid do not exist."""
    result = await probed(destination("https://langsmith.invalid"))
    assert short(result.findings[0])[2] in ("DNSNotFound", "DNSUnavailable")


FORBIDDEN = [
    "127.0.0.1",
    "::1",
    "169.254.169.254",
    "::ffff:169.254.169.254",
    "fe80::1%lo",
    "100.100.100.200",
    "0.1.2.3",
    "::",
]


@pytest.mark.parametrize("address", FORBIDDEN)
@pytest.mark.parametrize("before", [[], ["192.0.2.1"]], ids=["alone", "beside a good one"])
async def test_a_name_that_leads_to_a_forbidden_address(address: str, before: list[str]) -> None:
    with stand_in(public_host=NAME) as langsmith:
        resolver = Resolver([[*before, address]])
        result = await probed(destination(langsmith.url), resolver=resolver, allow_loopback=False)
        assert short(result.findings[0]) == ("Reachable", "False", "AddressNotAllowed")
        assert langsmith.store.requests() == []


async def test_the_developer_flag_allows_loopback_only() -> None:
    result = await probed(destination(f"http://{NAME}"), resolver=Resolver([["169.254.169.254"]]))
    assert short(result.findings[0]) == ("Reachable", "False", "AddressNotAllowed")


async def test_a_name_that_changes_its_address_after_the_check() -> None:
    """The name is resolved once per request, and the connection goes to what was checked."""
    with stand_in(public_host=NAME) as langsmith:
        resolver = Resolver([["127.0.0.1"], ["169.254.169.254"]])
        result = await probed(destination(langsmith.url), resolver=resolver)
        seen = langsmith.store.requests()
    assert [short(item)[1:] for item in result.findings] == [("True", "Reachable"), ("False", "AddressNotAllowed")]
    assert [(request.path_class, request.key_fingerprint) for request in seen] == [("info", None)]
    assert resolver.calls == 2


async def test_the_next_address_is_tried() -> None:
    with stand_in(public_host=NAME) as langsmith:
        result = await probed(destination(langsmith.url), resolver=Resolver([["127.0.0.2", "127.0.0.1"]]))
    assert short(result.findings[0]) == ("Reachable", "True", "Reachable")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("where", ["info", "read", "ingest"])
async def test_redirects_are_not_followed(status: int, where: str) -> None:
    with stand_in() as langsmith, stand_in() as other:
        place = f"{other.api_url}/info?k={KEY}"
        langsmith.faults.add(Fault(on=where, times=None, status=status, headers={"Location": place}))  # type: ignore[arg-type]
        result = await probed(destination(langsmith.url))
        canary = await sent(destination(langsmith.url), patience=1)
        assert other.store.requests() == []
        messages = [item.message for item in (*result.findings, canary.finding)]
    assert KEY not in str(messages)
    assert f"a redirect to http://127.0.0.1:{other.port}" in str(messages)


@pytest.fixture
def langsmith() -> StandIn:
    return stand_in(public_host=NAME)


async def test_http_goes_through_the_proxy_of_the_environment(
    langsmith: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    with langsmith:
        proxy = Proxy(langsmith.port)
        async with serving(proxy) as port:
            monkeypatch.setenv("HTTP_PROXY", f"http://user:hidden@127.0.0.1:{port}")
            result = await probed(destination(langsmith.url), resolver=Resolver([[]]))
            assert [item.status for item in result.findings] == ["True", "True"]
            assert proxy.asked[0] == f"http://{NAME}:{langsmith.port}/api/v1/info"


async def test_no_proxy_holds(langsmith: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    with langsmith:
        proxy = Proxy(langsmith.port)
        async with serving(proxy) as port:
            monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
            for names in ("example.com", f"{NAME}:{langsmith.port}", "*"):
                monkeypatch.setenv("NO_PROXY", names)
                result = await probed(destination(langsmith.url), resolver=Resolver([["127.0.0.1"]]))
                assert short(result.findings[0]) == ("Reachable", "True", "Reachable")
            monkeypatch.setenv("NO_PROXY", "10.0.0.0/8, 127.0.0.0/8")
            result = await probed(destination(f"http://127.0.0.1:{langsmith.port}"))
            assert short(result.findings[0]) == ("Reachable", "True", "Reachable")
    assert proxy.asked == []


async def test_probe_canary_and_reads_go_through_connect(
    ca: CertificateAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stand_in(tls=ca.server(NAME), public_host=NAME) as langsmith:
        proxy = Proxy(langsmith.port)
        async with serving(proxy) as port:
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
            to = destination(langsmith.url, ca=ca)
            result = await probed(to, resolver=Resolver([[]]))
            canary = await sent(to, resolver=Resolver([[]]))
    assert [item.status for item in (*result.findings, canary.finding)] == ["True", "True", "True"]
    assert set(proxy.asked) == {f"{NAME}:{langsmith.port}"}


@pytest.mark.parametrize("status", ["403 Forbidden", "407 Proxy Authentication Required", "502 Bad Gateway"])
async def test_a_proxy_that_refuses_says_nothing_about_langsmith(status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(Proxy(0, refuse=status)) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:hidden@127.0.0.1:{port}")
        result = await probed(destination(f"https://{NAME}"))
    assert short(result.findings[0]) == ("Reachable", "Unknown", "ProxyRefused")
    assert "hidden" not in result.findings[0].message
    assert f"The proxy 127.0.0.1:{port} does not connect to {NAME}:443" in result.findings[0].message


async def test_a_proxy_that_is_not_there_says_nothing_about_langsmith(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{bound.getsockname()[1]}")
        result = await probed(destination(f"https://{NAME}"))
    assert short(result.findings[0]) == ("Reachable", "Unknown", "ProxyUnreachable")


async def test_a_proxy_that_hangs_says_nothing_about_langsmith(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(answering(b"", then="hang")) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        result = await probed(destination(f"https://{NAME}"), timeout=0.5)
    assert short(result.findings[0]) == ("Reachable", "Unknown", "ProxyUnreachable")


@pytest.mark.parametrize(
    "value", ["socks5://127.0.0.1:1080", "http://user:hidden@", "http://[", "ftp://x", "http://x:port"]
)
async def test_a_proxy_setting_that_means_nothing(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    result = await probed(destination(f"https://{NAME}"))
    assert short(result.findings[0]) == ("Reachable", "Unknown", "ProxyUnreachable")
    assert result.findings[0].message.startswith("The operator's HTTPS_PROXY is no URL of an HTTP proxy. ")


async def test_an_ipv6_address() -> None:
    with stand_in(host="::1") as langsmith:
        result = await probed(destination(langsmith.url))
        canary = await sent(destination(langsmith.url))
    assert [item.status for item in (*result.findings, canary.finding)] == ["True", "True", "True"]
