"""Reading what people paste into scheme, host, port and path; what cannot be meant is refused with a reason."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from urllib.parse import unquote_to_bytes, urlsplit

import idna

from gateway_telemetry.endpoint.addresses import looks_numeric, parse_address
from gateway_telemetry.endpoint.problem import EndpointProblem

URL_FIELD = "selfHosted.url"
BASE_PATH_FIELD = "selfHosted.basePath"
DEFAULT_PORTS = {"https": 443, "http": 80}

_MAX_LENGTH = 2048
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)")
_SEGMENT = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+")
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*")
# Pairs of segments that only LangSmith's own API has; the single words api and otel may belong to a prefix.
_API_PAIRS = {("api", "v1"), ("api", "v2"), ("otel", "v1"), ("v1", "traces")}


@dataclass(frozen=True)
class Parts:
    """A URL in canonical form.

    Attributes:
        scheme: http or https.
        host: lower case, ASCII; IPv6 without brackets, IPv4 as four decimal numbers.
        port: effective TCP port.
        prefix: path before LangSmith's API, without outer slashes; empty for the root.
    """

    scheme: str
    host: str
    port: int
    prefix: str


def parse_url(url: str) -> Parts:
    """Return the parts of a pasted URL.

    Raises:
        EndpointProblem: the URL cannot be meant.
    """
    scheme, rest = _scheme_and_rest(url)
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in authority:
        raise EndpointProblem(
            "UserInfoNotAllowed",
            "the URL holds a user name or password: remove it; the key belongs into a Secret",
            URL_FIELD,
        )
    if "?" in rest or "#" in rest:
        raise EndpointProblem(
            "QueryNotAllowed", "the URL holds a query or fragment: write only scheme, host, port and path", URL_FIELD
        )
    # Before urlsplit, whose answer to bad brackets differs between releases of Python.
    literal = _ipv6(authority) if re.search(r"[\[\]]", authority) else None
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        port = parts.port
        host = parts.hostname or ""
    except ValueError:
        raise _invalid("host or port of the URL cannot be read: write https://langsmith.example.com:8443") from None
    if port == 0:
        raise _invalid("port 0 does not exist: write the port of the API")
    return Parts(scheme, literal or _host(host), port or DEFAULT_PORTS[scheme], _prefix(parts.path))


def normalise_base_path(text: str) -> str:
    """Return the chart value ``config.basePath`` without outer slashes.

    Raises:
        EndpointProblem: it is not a plain path, or goes on into LangSmith's API.
    """
    segments = text.strip().strip("/").split("/")
    if not all(map(_plain, segments)):
        raise EndpointProblem(
            "InvalidBasePath",
            "basePath is written like langsmith or langsmith/dev: no '..', no empty segments, no spaces",
            BASE_PATH_FIELD,
        )
    if _holds_api(segments):
        raise EndpointProblem(
            "InvalidBasePath",
            "basePath goes on into LangSmith's API: write only what stands before /api/v1, or leave it out",
            BASE_PATH_FIELD,
        )
    return "/".join(segments)


def _scheme_and_rest(url: str) -> tuple[str, str]:
    text = url.strip().strip("'\"").strip()
    if not text:
        raise _invalid("the URL is empty: write https:// and the host")
    if len(text) > _MAX_LENGTH:
        raise _invalid(f"the URL is longer than {_MAX_LENGTH} characters: write only scheme, host, port and path")
    if re.search(r"[\s\x00-\x1f\x7f\\]", text):
        raise _invalid("the URL holds a space, control character or backslash: remove it")
    found = _SCHEME.fullmatch(text)
    if not found:
        raise EndpointProblem("MissingScheme", "the URL does not begin with a scheme: write https://HOST", URL_FIELD)
    scheme = found.group(1).lower()
    if scheme not in DEFAULT_PORTS:
        raise EndpointProblem(
            "UnsupportedScheme", f"LangSmith takes OTLP over HTTP only, not {scheme}: write https://", URL_FIELD
        )
    return scheme, found.group(2)


def _ipv6(authority: str) -> str:
    found = re.fullmatch(r"\[([0-9A-Fa-f:.]+)\](:.*)?", authority)
    try:
        # Zones (fe80::1%eth0) are refused: they mean something on one machine only, and hide the address they follow.
        return ipaddress.IPv6Address(found.group(1) if found else "").compressed
    except ValueError:
        raise _invalid("the address in brackets is not IPv6: write it like https://[fd00::1]:8443") from None


def _host(host: str) -> str:
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True).decode()
        except idna.IDNAError:
            raise _invalid("the host is not a valid internationalised name: check its spelling") from None
    host = host.removesuffix(".").lower()
    if len(host) > 253 or not _HOST.fullmatch(host):
        raise _invalid("the URL has no valid host: write https://langsmith.example.com")
    if looks_numeric(host):
        address = parse_address(host)
        if address is None:
            raise _invalid("the host ends in a number, but is no IPv4 address: write four numbers from 0 to 255")
        return str(address)
    return host


def _prefix(path: str) -> str:
    """Return the part of a path that stands before the API: the base path."""
    segments = [part for part in path.split("/") if part]
    if not all(map(_plain, segments)):
        raise _invalid("the path holds '.', '..' or characters that no base path has: write the plain path")
    segments = _without_api(segments)
    while tuple(segments[-2:]) in _API_PAIRS:
        segments = _without_api(segments)
    if _holds_api(segments):
        raise _invalid("the path goes on behind LangSmith's /api/v1: write only scheme, host, port and base path")
    return "/".join(segments)


def _without_api(segments: list[str]) -> list[str]:
    """Cut one API path off the end: any beginning of ``api/v1/otel/v1/traces``, and what SaaS has of it."""
    if segments[-2:] == ["v1", "traces"]:
        segments = segments[:-2]
    elif segments[-2:] == ["otel", "v1"]:
        segments = segments[:-1]
    if segments[-1:] == ["otel"]:
        segments = segments[:-1]
    if tuple(segments[-2:]) in {("api", "v1"), ("api", "v2")}:
        return segments[:-2]
    return segments[:-1] if segments[-1:] == ["api"] else segments


def _holds_api(segments: Sequence[str]) -> bool:
    return any(pair in _API_PAIRS for pair in pairwise(segments))


def _plain(segment: str) -> bool:
    """Tell whether a path segment is one, also after somebody decodes it."""
    if not _SEGMENT.fullmatch(segment):
        return False
    decoded = unquote_to_bytes(segment)
    return decoded not in (b".", b"..") and not re.search(rb"[\x00-\x20\x7f/\\]", decoded)


def _invalid(message: str) -> EndpointProblem:
    return EndpointProblem("InvalidURL", message, URL_FIELD)
