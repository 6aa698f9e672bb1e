"""From what people write or paste to the URLs of LangSmith: pure and total.

SaaS serves OTLP at ``/otel``; a self-hosted LangSmith under ``/api/v1/otel``, behind its chart's
``config.basePath`` where one is set. https://docs.langchain.com/langsmith/trace-with-opentelemetry,
https://docs.langchain.com/langsmith/self-host-ingress.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

import idna

from gateway_telemetry.endpoint.problem import Advice, EndpointProblem

SAAS_HOSTS = {
    "us": "api.smith.langchain.com",
    "eu": "eu.api.smith.langchain.com",
    "apac": "apac.api.smith.langchain.com",
    "aws": "aws.api.smith.langchain.com",
}
_UI_HOSTS = {host.replace("api.", "", 1): region for region, host in SAAS_HOSTS.items()}
_REGION_OF = {host: region for region, host in SAAS_HOSTS.items()}
_URL = "selfHosted.url"
_BASE_PATH = "selfHosted.basePath"
_MAX_LENGTH = 2048
_SEGMENT = re.compile(r"^(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+$")
_HOST = re.compile(r"^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$")
_DEFAULT_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True)
class Endpoints:
    """The URLs of one LangSmith.

    Attributes:
        api: base of the REST API.
        otlp: OTLP base, for settings that append ``/v1/traces``.
        traces: full OTLP traces URL, for settings that are used verbatim.
        ui: base of the web app; None where it is not known.
        host: canonical host without port, IPv6 without brackets.
        port: effective TCP port.
        plaintext: whether the scheme is http.
        saas: whether it is LangSmith's own service.
        advice: what is worth knowing about the input.
    """

    api: str
    otlp: str
    traces: str
    ui: str | None
    host: str
    port: int
    plaintext: bool
    saas: bool
    advice: tuple[Advice, ...] = ()


def saas(region: str) -> Endpoints:
    """Return the URLs of a SaaS region: us, eu, apac or aws.

    Raises:
        EndpointProblem: there is no such region.
    """
    host = SAAS_HOSTS.get(region)
    if host is None:
        raise EndpointProblem("InvalidSpec", f"there is no region {region!r}: write us, eu, apac or aws", "saas.region")
    api = f"https://{host}"
    ui = f"https://{host.replace('api.', '', 1)}"
    return Endpoints(api, f"{api}/otel", f"{api}/otel/v1/traces", ui, host, 443, plaintext=False, saas=True)


def self_hosted(url: str, base_path: str | None = None, *, allow_plaintext: bool = False) -> Endpoints:
    """Return the URLs of the LangSmith that a URL leads to.

    Repaired: surrounding spaces, quotes and newlines, upper-case scheme and host, default ports, doubled and trailing
    slashes, IDN hosts, and a path that already goes on to ``/api``, ``/api/v1``, ``/otel`` or ``/otel/v1/traces``.

    Raises:
        EndpointProblem: the URL cannot be meant.
    """
    scheme, host, port, path = _split(url)
    base = _base_of(path)
    extra = normalise_base_path(base_path) if base_path is not None else ""
    if extra and base and base != extra:
        raise EndpointProblem(
            "InvalidBasePath",
            f"selfHosted.url ends in /{base} and selfHosted.basePath is {extra}: write the prefix in one of the two",
            _BASE_PATH,
        )
    prefix = extra or base
    if host in _UI_HOSTS:
        region = _UI_HOSTS[host]
        raise EndpointProblem(
            "UIURLNotAPIURL",
            f"{host} is LangSmith's web app, its API is https://{SAAS_HOSTS[region]}: write spec.saas.region: {region} "
            "instead of selfHosted",
            _URL,
        )
    if host in _REGION_OF:
        if scheme == "http":
            raise EndpointProblem("InsecureScheme", f"{host} takes https only: write https://{host}", _URL)
        return saas(_REGION_OF[host])
    _check_ui_path(prefix)
    return _endpoints(scheme, host, port, prefix, allow_plaintext=allow_plaintext, field=_URL)


def in_cluster(
    name: str,
    namespace: str,
    port: int,
    scheme: str,
    base_path: str | None = None,
    *,
    allow_plaintext: bool = False,
) -> Endpoints:
    """Return the URLs of a LangSmith behind a Service.

    The Service cannot tell the scheme: LangSmith's chart maps ports 80 and 443 to the same container port, which
    speaks TLS only with ``frontend.ssl.enabled``.

    Raises:
        EndpointProblem: http without consent, or a bad base path.
    """
    prefix = normalise_base_path(base_path) if base_path is not None else ""
    result = _endpoints(
        scheme,
        f"{name}.{namespace}.svc",
        port,
        prefix,
        allow_plaintext=allow_plaintext,
        field="selfHosted.serviceRef.scheme",
    )
    unusual = {("http", 443): "off", ("https", 80): "on"}.get((scheme, port))
    notes: tuple[Advice, ...] = ()
    if unusual is not None:
        text = f"port {port} of LangSmith's frontend speaks {scheme} only while frontend.ssl.enabled is {unusual}"
        notes = (Advice("ServicePort", text),)
    return Endpoints(
        result.api,
        result.otlp,
        result.traces,
        None,
        result.host,
        result.port,
        plaintext=result.plaintext,
        saas=False,
        advice=notes,
    )


def normalise_base_path(text: str) -> str:
    """Return the chart value ``config.basePath`` without outer slashes.

    Raises:
        EndpointProblem: it is not a plain path.
    """
    stripped = text.strip().strip("/")
    if not stripped or any(not _SEGMENT.match(part) or part in (".", "..") for part in stripped.split("/")):
        raise EndpointProblem(
            "InvalidBasePath",
            "basePath is written like langsmith or langsmith/dev: no '..', no empty segments, no spaces",
            _BASE_PATH,
        )
    return stripped


def _endpoints(scheme: str, host: str, port: int, prefix: str, *, allow_plaintext: bool, field: str) -> Endpoints:
    if scheme == "http" and not allow_plaintext:
        raise EndpointProblem(
            "InsecureScheme",
            "http:// sends the key and all prompts unencrypted: use https, or set spec.allowPlaintext: true",
            field,
        )
    netloc = f"[{host}]" if ":" in host else host
    if port != _DEFAULT_PORTS[scheme]:
        netloc = f"{netloc}:{port}"
    root = f"{scheme}://{netloc}" + (f"/{prefix}" if prefix else "")
    api = f"{root}/api/v1"
    otlp = f"{api}/otel"
    return Endpoints(api, otlp, f"{otlp}/v1/traces", root, host, port, plaintext=scheme == "http", saas=False)


def _split(url: str) -> tuple[str, str, int, str]:
    text = url.strip().strip("'\"").strip()
    if not text:
        raise EndpointProblem("InvalidURL", "the URL is empty: write https:// and the host", _URL)
    if len(text) > _MAX_LENGTH:
        raise EndpointProblem("InvalidURL", f"the URL is longer than {_MAX_LENGTH} characters", _URL)
    if re.search(r"[\s\x00-\x1f\x7f\\]", text):
        raise EndpointProblem("InvalidURL", "the URL holds a space, control character or backslash: remove it", _URL)
    found = re.match(r"^([A-Za-z][A-Za-z0-9+.-]*)://(.*)$", text)
    if not found:
        raise EndpointProblem("MissingScheme", "the URL has no scheme: write https:// in front of the host", _URL)
    scheme, rest = found.group(1).lower(), found.group(2)
    if scheme not in _DEFAULT_PORTS:
        raise EndpointProblem(
            "UnsupportedScheme", f"LangSmith takes OTLP over HTTP only, not {scheme}: write https://", _URL
        )
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in authority:
        raise EndpointProblem(
            "UserInfoNotAllowed",
            "the URL holds a user name or password: remove it; the key belongs into a Secret",
            _URL,
        )
    if "?" in rest or "#" in rest:
        raise EndpointProblem(
            "QueryNotAllowed", "the URL holds a query or fragment: write only scheme, host, port and path", _URL
        )
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        port = parts.port
        host = parts.hostname or ""
    except ValueError:
        raise EndpointProblem("InvalidURL", "host or port of the URL cannot be read", _URL) from None
    if port == 0:
        raise EndpointProblem("InvalidURL", "port 0 does not exist: write the port of the API", _URL)
    return scheme, _host(host, bracketed="[" in authority), port or _DEFAULT_PORTS[scheme], parts.path


def _host(host: str, *, bracketed: bool) -> str:
    if bracketed:
        try:
            return ipaddress.IPv6Address(host).compressed
        except ValueError:
            raise EndpointProblem("InvalidURL", "the address in brackets is not IPv6", _URL) from None
    host = host.rstrip(".")
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True).decode()
        except idna.IDNAError:
            raise EndpointProblem("InvalidURL", "the host is not a valid internationalised name", _URL) from None
    host = host.lower()
    if len(host) > 253 or not _HOST.match(host):
        raise EndpointProblem("InvalidURL", "the URL has no valid host: write https://langsmith.example.com", _URL)
    return host


def _base_of(path: str) -> str:
    """Return the part of a path that stands before the API: the base path."""
    parts = [part for part in path.split("/") if part]
    for part in parts:
        if part in (".", ".."):
            raise EndpointProblem("InvalidURL", "the path holds '.' or '..': write the plain path", _URL)
        if not _SEGMENT.match(part):
            raise EndpointProblem("InvalidURL", "the path holds characters that must be percent-encoded", _URL)
    while parts[-2:] == ["v1", "traces"]:
        parts = parts[:-2]
    if parts[-2:] == ["otel", "v1"]:
        parts = parts[:-1]
    if parts[-1:] == ["otel"]:
        parts = parts[:-1]
    if parts[-2:] in (["api", "v1"], ["api", "v2"]):
        parts = parts[:-2]
    elif parts[-1:] == ["api"]:
        parts = parts[:-1]
    return "/".join(parts)


def _check_ui_path(prefix: str) -> None:
    """Refuse an address copied from the browser: ``/o/<organization>/projects/p/<project>``."""
    if re.search(r"(^|/)o/[0-9a-fA-F-]{4,}(/|$)", prefix) or re.search(r"(^|/)projects/p/", prefix):
        raise EndpointProblem(
            "UIURLNotAPIURL",
            "this is a page of the web app: write only scheme, host and, where there is one, the base path",
            _URL,
        )
