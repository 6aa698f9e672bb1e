"""HTTP towards one LangSmith: bounded in time and size, without redirects, and safe against what may answer."""

from __future__ import annotations

import asyncio
import json
import re
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from gateway_telemetry import __version__
from gateway_telemetry.langsmith import tls
from gateway_telemetry.langsmith.destination import Destination
from gateway_telemetry.langsmith.diagnosis import diagnose
from gateway_telemetry.langsmith.dial import TRAIL, Pinned, Resolver, Trail, proxy_of, system_resolver
from gateway_telemetry.langsmith.failure import Failed

MAX_BODY = 1 << 20
"""Bytes of an answer's body that are read at most."""
TIMEOUT = 15.0
"""Seconds that a request may take from DNS to the last byte."""
_NO_HEADER = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]|^\s|\s$")
_CONNECT_SHARE = 0.3
"""Share of the time for each of connecting and the TLS handshake: they end, and clean up, by themselves."""


@dataclass(frozen=True)
class Answer:
    """A response, read up to the limit.

    Attributes:
        whole: False where the body is longer than the limit; ``body`` then is its beginning.
        trail: how the request went.
        certificate: what the server showed; None without TLS.
        elapsed: seconds.
    """

    status: int
    headers: httpx.Headers = field(repr=False)
    body: bytes = field(repr=False)
    whole: bool
    trail: Trail
    certificate: tls.Certificate | None
    elapsed: float

    @property
    def media_type(self) -> str:
        """The media type in lower case, without parameters."""
        return str(self.headers.get("content-type", "")).partition(";")[0].strip().lower()

    def json(self) -> Any:
        """Return the body as JSON; None where it is none, or was cut."""
        if not self.whole:
            return None
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


class Transport:
    """An HTTP client for one destination; close it after use, or use it as an async context manager.

    Args:
        allow_loopback: developer flag; loopback addresses are refused otherwise, also when DNS gives them.
        resolver: resolves names; the system's by default.
        timeout: seconds for a whole request.
    """

    def __init__(
        self,
        destination: Destination,
        *,
        allow_loopback: bool = False,
        resolver: Resolver = system_resolver,
        timeout: float = TIMEOUT,
    ) -> None:
        self.destination = destination
        self._timeout = timeout
        endpoints = destination.endpoints
        verify = tls.context(destination.ca_pem)
        self._proxy: httpx.Proxy | None = None
        self._unusable: Failed | None = None
        try:
            self._proxy = proxy_of("http" if endpoints.plaintext else "https", endpoints.host, endpoints.port)
        except Failed as failure:
            self._unusable = failure
        inner = httpx.AsyncHTTPTransport(verify=verify, trust_env=False, proxy=self._proxy)
        self._client = httpx.AsyncClient(
            transport=inner if self._proxy else Pinned(inner, resolver, allow_loopback),
            trust_env=False,  # proxies were read above; nothing else of the environment counts
            follow_redirects=False,
            timeout=httpx.Timeout(timeout, connect=timeout * _CONNECT_SHARE),
            headers={"user-agent": f"gateway-telemetry/{__version__}", "accept-encoding": "identity"},
        )

    async def __aenter__(self) -> Transport:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    @property
    def proxy(self) -> str | None:
        """Host and port of the proxy in use, without its password; None without one."""
        if self._proxy is None:
            return None
        url = self._proxy.url
        return f"{url.host}:{url.port}" if url.port else url.host

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str | bytes] | None = None,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        content_type: str | None = None,
    ) -> Answer:
        """Send a request and read its answer, whatever its status.

        Raises:
            Failed: no answer came; the reason says how far it got.
        """
        if self._unusable is not None:
            raise Failed(self._unusable.reason, self._unusable.what)
        trail = Trail()
        failure: Failed | None = None
        found: BaseException | None = None
        sent: dict[str, str | bytes] = {**(headers or {})}
        if content_type is not None:
            sent["content-type"] = content_type
        try:
            async with asyncio.timeout(self._timeout):
                return await self._send(method, url, sent, params, content, trail)
        except Failed as error:
            failure = error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            found = error
        # Outside of the handlers: httpx' errors hold the request, and with it the key.
        if failure is None:
            assert found is not None
            failure = await diagnose(found, trail, self.destination, self.proxy)
        failure.__context__ = None
        failure.passed = trail.passed(self.destination.endpoints, self.proxy)
        raise failure

    async def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str | bytes],
        params: Mapping[str, str] | None,
        content: bytes | None,
        trail: Trail,
    ) -> Answer:
        started = time.monotonic()
        raw = [(name.encode("ascii"), _header(value)) for name, value in headers.items()]
        request = self._client.build_request(
            method, url, headers=raw, params=params, content=content, extensions={"trace": trail.note, TRAIL: trail}
        )
        response = await self._client.send(request, stream=True)
        try:
            stream = response.extensions["network_stream"]
            secured = stream.get_extra_info("ssl_object")
            der = secured.getpeercert(binary_form=True) if secured is not None else None
            chunks: list[bytes] = []
            size = 0
            async for chunk in response.aiter_raw():
                chunks.append(chunk[: MAX_BODY - size])
                size += len(chunk)
                if size > MAX_BODY:
                    break
            body, whole = _decoded(b"".join(chunks), response.headers.get("content-encoding", ""))
            return Answer(
                response.status_code,
                response.headers,
                body,
                whole and size <= MAX_BODY,
                trail,
                tls.Certificate.parse(der),
                time.monotonic() - started,
            )
        finally:
            await response.aclose()


def _header(value: str | bytes) -> bytes:
    """Return a header's value as bytes.

    Raises:
        ValueError: it holds what no header can; said here because the libraries below repeat the value, and log it.
    """
    raw = value if isinstance(value, bytes) else value.encode("ascii", "replace")
    if _NO_HEADER.search(raw) or (isinstance(value, str) and not value.isascii()):
        raise ValueError("a header cannot be put into HTTP: clean keys and project names first")
    return raw


def _decoded(body: bytes, encoding: str) -> tuple[bytes, bool]:
    """Undo gzip or deflate, which was not asked for, within the limit; return also whether that is all."""
    if encoding.strip().lower() not in ("gzip", "x-gzip", "deflate"):
        return body, True
    reader = zlib.decompressobj(wbits=47)  # 32 + 15: gzip or zlib, by its header
    try:
        plain = reader.decompress(body, MAX_BODY)
    except zlib.error:
        return b"", False
    return plain, not reader.unconsumed_tail
