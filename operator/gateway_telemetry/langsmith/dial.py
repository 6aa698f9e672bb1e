"""Connections that go to an address which was checked, or through the proxy of the environment.

A host name that is allowed can resolve to an address that is not, and to another one at the next look (DNS
rebinding). So a name is resolved once per request, each address is checked, and the connection goes to one of them,
with the host's name in SNI and Host. Through a proxy the name is the proxy's to resolve.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.request import getproxies_environment, proxy_bypass

import httpx

from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.endpoint import Endpoints, forbidden_address
from gateway_telemetry.langsmith.failure import Failed

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
Stage = Literal["dns", "tcp", "tls", "http"]
TRAIL = "gateway_telemetry.trail"
_DNS_TIMEOUT = 4.0
_HOST = re.compile(r"[A-Za-z0-9_.:-]+")
# The name does not exist, or has no address: an answer of DNS. All else says that DNS did not answer.
_NO_SUCH_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


@dataclass
class Trail:
    """How far a request came.

    Attributes:
        stage: what was under way last.
        addresses: what the host resolved to; empty through a proxy.
        address: the one that was connected to.
        secured: whether TLS was agreed on.
    """

    stage: Stage = "dns"
    addresses: tuple[str, ...] = ()
    address: str | None = None
    secured: bool = False

    def passed(self, endpoints: Endpoints, proxy: str | None) -> tuple[str, ...]:
        """Return the steps that are behind it, in words."""
        where = f"{endpoints.host}:{endpoints.port}"
        if proxy is not None:
            return (f"the proxy {proxy} connects to {where}",) if self.secured or self.stage == "tls" else ()
        steps = []
        if self.addresses:
            steps.append(f"DNS: {endpoints.host} is {', '.join(self.addresses)}")
        if self.stage in ("tls", "http"):
            steps.append(f"TCP: {self.address} port {endpoints.port} takes connections")
        return tuple(steps)

    async def note(self, event: str, _info: dict[str, Any]) -> None:
        """Take httpcore's trace events (https://www.encode.io/httpcore/extensions/#trace)."""
        if ".connect_tcp.started" in event:
            self.stage = "tcp"
        elif ".start_tls.started" in event:
            self.stage = "tls"
        elif ".start_tls.complete" in event:
            self.secured = True
        elif ".send_request_headers.started" in event:
            self.stage = "http"


async def system_resolver(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host as the system resolves it.

    Raises:
        socket.gaierror: there are none, or DNS does not answer.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def proxy_of(scheme: str, host: str, port: int) -> httpx.Proxy | None:
    """Return the proxy that the environment names for a host: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY.

    Raises:
        Failed: it names one that cannot be used; says nothing of its password.
    """
    proxies = getproxies_environment()
    if _excepted(host, proxies.get("no", "")) or proxy_bypass(f"{host}:{port}"):
        return None
    found = proxies.get(scheme) or proxies.get("all")
    if found is None:
        return None
    try:
        proxy = httpx.Proxy(found if "://" in found else f"http://{found}")
    except (ValueError, httpx.InvalidURL):
        proxy = None
    if proxy is None or proxy.url.scheme not in ("http", "https") or not _HOST.fullmatch(proxy.url.host):
        raise Failed(Reason.PROXY_UNREACHABLE, f"The operator's {scheme.upper()}_PROXY is no URL of an HTTP proxy")
    return proxy


def _excepted(host: str, no_proxy: str) -> bool:
    """Tell whether NO_PROXY names an address, or a network in CIDR form, that holds the host's address."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    for entry in no_proxy.split(","):
        try:
            if address in ipaddress.ip_network(entry.strip().strip("[]"), strict=False):
                return True
        except ValueError:
            continue
    return False


@dataclass
class Pinned(httpx.AsyncBaseTransport):
    """Connects to the addresses that the resolver gives and the rule admits, in their order."""

    inner: httpx.AsyncBaseTransport
    resolver: Resolver
    allow_loopback: bool
    pinned: dict[str, str] = field(default_factory=dict)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to a checked address.

        Raises:
            Failed: the name does not resolve, or to an address that is never allowed.
            httpx.TransportError: as the transport within.
        """
        host = request.url.raw_host.decode("ascii").strip("[]")
        port = request.url.port or (443 if request.url.scheme == "https" else 80)
        trail: Trail = request.extensions[TRAIL]
        trail.addresses = await self._addresses(host, port)
        request.extensions = {**request.extensions, "sni_hostname": host}
        original = request.url
        for address in trail.addresses:
            trail.address = address
            request.url = original.copy_with(host=address)
            try:
                return await self.inner.handle_async_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if trail.stage == "tls" or address == trail.addresses[-1]:
                    raise
            finally:
                request.url = original
        raise Failed(Reason.DNS_NOT_FOUND, f"{host} has no address")

    async def aclose(self) -> None:
        """Close the connections."""
        await self.inner.aclose()

    async def _addresses(self, host: str, port: int) -> tuple[str, ...]:
        problem: Failed | None = None
        found: Sequence[str] = ()
        try:
            async with asyncio.timeout(_DNS_TIMEOUT):
                found = await self.resolver(host, port)
        except TimeoutError:
            problem = Failed(Reason.DNS_UNAVAILABLE, f"DNS did not answer for {host} in {_DNS_TIMEOUT:g} s")
        except socket.gaierror as error:
            if error.errno in _NO_SUCH_NAME:
                problem = Failed(Reason.DNS_NOT_FOUND, f"DNS has no address of {host}")
            else:
                problem = Failed(Reason.DNS_UNAVAILABLE, f"DNS did not answer for {host}")
        except UnicodeError:
            problem = Failed(Reason.DNS_NOT_FOUND, f"{host} is no name that DNS can hold")
        if problem is not None:
            raise problem
        for address in found:
            why = forbidden_address(ipaddress.ip_address(address.partition("%")[0]))
            if why is not None and not (why == "loopback" and self.allow_loopback):
                raise Failed(Reason.ADDRESS_NOT_ALLOWED, f"{host} resolves to {address}, which is {why}")
        return tuple(found)
