"""From an error of the HTTP library to a reason: which step failed, and whose fault it can be."""

from __future__ import annotations

import errno
import ssl

import httpx

from gateway_telemetry.api.reasons import BY_REASON, Reason
from gateway_telemetry.langsmith import tls
from gateway_telemetry.langsmith.destination import Destination
from gateway_telemetry.langsmith.dial import Trail
from gateway_telemetry.langsmith.failure import Failed

# What a closed way out looks like: a firewall that rejects or swallows, or no route at all.
_CLOSED_WAY = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT, errno.EPERM, errno.EACCES, errno.EADDRNOTAVAIL}
# How Python's handshake says that it waits for the other side.
_UNDER_WAY = (ssl.SSLWantReadError, ssl.SSLWantWriteError)
_TIMEOUTS = (httpx.TimeoutException, TimeoutError)


async def diagnose(error: BaseException, trail: Trail, destination: Destination, proxy: str | None) -> Failed:
    """Return what an error of the transport means.

    Args:
        proxy: host and port of the proxy that the request went through.

    Raises:
        ValueError: the request itself cannot be put into HTTP; says nothing of the values.
    """
    if isinstance(error, httpx.LocalProtocolError | httpx.InvalidURL | httpx.UnsupportedProtocol):
        unsendable = ValueError("a header or URL cannot be put into HTTP: clean keys and project names first")
        unsendable.__suppress_context__ = True
        raise unsendable
    endpoints = destination.endpoints
    where = f"{endpoints.host}:{endpoints.port}"
    causes = list(tls.chain(error))
    failed = [item for item in causes if isinstance(item, ssl.SSLError) and not isinstance(item, _UNDER_WAY)]
    if failed:
        return await _tls(failed[0], trail, destination, where)
    if proxy is not None and (refused := _by_proxy(error, trail, proxy, where, plaintext=endpoints.plaintext)):
        return refused
    return _direct(error, causes, trail, where)


async def _tls(error: ssl.SSLError, trail: Trail, destination: Destination, where: str) -> Failed:
    endpoints = destination.endpoints
    reason = tls.reason_of(error, saas=endpoints.saas)
    seen = None
    if isinstance(error, ssl.SSLCertVerificationError) and trail.address is not None:
        seen = await tls.peek(trail.address, endpoints.port, endpoints.host)
    clause = destination.shown(tls.explain(reason, endpoints.host, seen), 400)
    return Failed(reason, clause or f"{where}: {BY_REASON[reason].meaning}")


def _by_proxy(error: BaseException, trail: Trail, proxy: str, where: str, *, plaintext: bool) -> Failed | None:
    """Return what failed on the way to or in the proxy; None where it passed the proxy."""
    if isinstance(error, httpx.ProxyError):
        return Failed(Reason.PROXY_REFUSED, f"The proxy {proxy} does not connect to {where}")
    if trail.stage in ("dns", "tcp") or (not plaintext and trail.stage == "http" and not trail.secured):
        return Failed(Reason.PROXY_UNREACHABLE, f"No connection to {where} through the proxy {proxy}")
    return None


def _direct(error: BaseException, causes: list[BaseException], trail: Trail, where: str) -> Failed:
    codes = {item.errno for item in causes if isinstance(item, OSError) and item.errno is not None}
    if errno.ECONNREFUSED in codes:
        return Failed(Reason.CONNECTION_REFUSED, f"{where} refuses connections")
    if trail.stage == "dns":
        return Failed(Reason.DNS_UNAVAILABLE, f"The name of {where} could not be looked up")
    if trail.stage == "tcp" and (codes & _CLOSED_WAY or isinstance(error, _TIMEOUTS)):
        return Failed(Reason.NO_ROUTE, f"No connection to {where} came about")
    if isinstance(error, _TIMEOUTS):
        return Failed(Reason.ANSWER_TIMEOUT, f"{where} took the connection and did not finish its answer in time")
    if isinstance(error, httpx.RemoteProtocolError) and not _ended_early(error):
        return Failed(Reason.NOT_LANGSMITH, f"What {where} answers is not HTTP")
    return Failed(Reason.CONNECTION_CUT, f"{where} cut the connection before its answer was complete")


def _ended_early(error: httpx.RemoteProtocolError) -> bool:
    """Tell an answer that ends too early from one that is not HTTP; httpcore and h11 have no other sign."""
    return "disconnected" in str(error) or "closed connection" in str(error)
