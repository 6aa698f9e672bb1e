"""Marked keys, against everything that a server can do with them: no result, error or log line holds one."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway_telemetry.langsmith import Budget, Destination, EvidenceReader, Failed, Transport, canary, probe
from gateway_telemetry.langsmith.orphans import follow
from tests.support.langsmith import CATALOGUE, CertificateAuthority, Fault
from tests.unit.langsmith.servers import Proxy, answering, serving
from tests.unit.langsmith.setting import KEY, PROJECT, READ_KEY, destination, stand_in

MARKS = ("marked_ingest_7d1f", "marked_read_93ab")
ECHO = f"{KEY} {READ_KEY}"
HOSTILE = [
    Fault(on="any", times=None, status=200, body=f'{{"version": "{ECHO}", "id": "{ECHO}", "runs": "{ECHO}"}}'),
    Fault(on="any", times=None, status=401, body=f'{{"detail": "Invalid token {ECHO}"}}'),
    Fault(on="any", times=None, status=403, body=f'{{"error": "org_scoped_key_requires_workspace {ECHO}"}}'),
    Fault(on="any", times=None, status=302, headers={"Location": f"https://{READ_KEY}.{KEY}:8443/{ECHO}"}),
    Fault(on="any", times=None, status=302, headers={"Location": f"//{KEY}@{READ_KEY}/"}),
    Fault(on="any", times=None, status=429, headers={"Retry-After": ECHO}),
    Fault(on="any", times=None, status=500, body=ECHO, headers={"X-Echo": ECHO, "Date": ECHO}),
    Fault(on="read", times=None, status=200, body=f'[{{"id": "{ECHO}", "name": "{ECHO}", "tenant_id": "{ECHO}"}}]'),
    Fault(on="ingest", times=None, status=200, body=ECHO, content_type="text/plain"),
]


def walk(value: object, seen: set[int] | None = None) -> Iterator[str]:
    """Yield every text in a value: attributes, items, and the chain of errors with what they carry."""
    seen = set() if seen is None else seen
    if id(value) in seen:
        return
    seen.add(id(value))
    yield repr(value)
    yield str(value)
    if isinstance(value, bytes):
        yield value.decode("latin-1")
    elif isinstance(value, Destination):
        return  # holds the keys on purpose; its repr was looked at
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from walk(key, seen)
            yield from walk(item, seen)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from walk(item, seen)
    elif isinstance(value, BaseException):
        yield from walk([value.args, value.__cause__, value.__context__, vars(value)], seen)
    elif dataclasses.is_dataclass(value):
        yield from walk({field.name: getattr(value, field.name) for field in dataclasses.fields(value)}, seen)


def holds_no_key(*values: object) -> None:
    for text in walk(values):
        assert not any(mark in text for mark in MARKS), text


async def everything(to: Destination) -> list[Any]:
    results: list[Any] = [repr(to), str(to)]
    async with Transport(to, allow_loopback=True, timeout=2.0) as transport:
        results.append(repr(transport))
        probed = await probe(transport, results.append)
        sent = await canary(transport, PROJECT, patience=0.3, server=probed.server, progress=results.append)
        report = await EvidenceReader(transport, READ_KEY, Budget()).read(PROJECT, ["gateway-1"])
        followed = await follow(transport, nobody, PROJECT, "gateway-1", patience=0.3, progress=results.append)
    return [*results, probed, sent, followed, report, report.finding("gateway-1", project=PROJECT)]


async def nobody(_traceparent: str) -> int:
    """Be a gateway that makes no spans."""
    return 200


@pytest.fixture(autouse=True)
def all_logs(caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "asyncio", "gateway_telemetry"):
        caplog.set_level(logging.DEBUG, logger=name)
    yield
    records = caplog.get_records("call")
    assert records or "test_the_walk" in request.node.name
    for record in records:
        if record.name.startswith("httpcore") and "response" in record.getMessage():
            continue  # what the server sent: below DEBUG of another library, and the operator's log is above that
        holds_no_key(record.getMessage(), record.args, record.exc_info)


def test_the_walk_finds_what_is_hidden() -> None:
    error = ValueError("outer")
    error.__context__ = RuntimeError({"deep": [KEY]})
    with pytest.raises(AssertionError):
        holds_no_key(error)
    with pytest.raises(AssertionError):
        holds_no_key([{"a": (READ_KEY.encode(),)}])


@pytest.mark.parametrize("name", sorted(CATALOGUE.keys() - {"slow", "slow-loris"}))
async def test_whatever_fails(name: str) -> None:
    with stand_in() as langsmith:
        langsmith.faults.use(name, on="any", times=None)
        holds_no_key(*await everything(destination(langsmith.url)))


@pytest.mark.parametrize("fault", HOSTILE, ids=range(len(HOSTILE)))
async def test_whatever_is_echoed(fault: Fault) -> None:
    with stand_in() as langsmith:
        langsmith.faults.add(fault)
        holds_no_key(*await everything(destination(langsmith.url)))


async def test_an_issuer_that_holds_the_key(ca: CertificateAuthority, tmp_path: Path) -> None:
    with stand_in(tls=CertificateAuthority(tmp_path, KEY).server("127.0.0.1")) as langsmith:
        results = await everything(destination(langsmith.url, ca=ca))
    holds_no_key(*results)
    assert "was issued by 'Test (key)', which is not trusted" in str(results)


async def test_through_a_proxy(ca: CertificateAuthority, monkeypatch: pytest.MonkeyPatch) -> None:
    with stand_in(tls=ca.server("127.0.0.1")) as langsmith:
        for refuse in ("", f"403 {KEY}"):
            async with serving(Proxy(langsmith.port, refuse=refuse)) as port:
                monkeypatch.setenv("HTTPS_PROXY", f"http://{KEY}:{READ_KEY}@127.0.0.1:{port}")  # as a password, too
                holds_no_key(*await everything(destination(langsmith.url, ca=ca)))


@pytest.mark.parametrize("raw", [b"", f"HTTP/1.1 200 {KEY}\r\n{KEY}\r\n\r\n".encode(), f"{KEY}\r\n\r\n".encode()])
async def test_errors_carry_no_request(raw: bytes) -> None:
    """The errors of httpx hold the request and its headers: none of them may stay in the chain."""
    async with (
        serving(answering(raw)) as port,
        Transport(destination(f"http://127.0.0.1:{port}"), allow_loopback=True) as transport,
    ):
        with pytest.raises(Failed) as caught:
            await transport.request("GET", f"http://127.0.0.1:{port}/", headers={"x-api-key": KEY})
    holds_no_key(caught.value)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


@pytest.mark.parametrize("key", [f"{KEY}\nx: y", f"{KEY}\x00", f"{KEY} ", f"{KEY}é"])
async def test_a_key_that_no_header_can_hold_is_not_repeated(key: str) -> None:
    with stand_in() as langsmith:
        async with Transport(destination(langsmith.url), allow_loopback=True) as transport:
            with pytest.raises(ValueError, match="cannot be put into HTTP") as caught:
                await transport.request("GET", langsmith.url, headers={"x-api-key": key})
    holds_no_key(caught.value)
