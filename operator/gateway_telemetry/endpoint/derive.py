"""From what people write or paste to the URLs of LangSmith: pure and total.

SaaS serves OTLP at ``/otel``; a self-hosted LangSmith under ``/api/v1/otel``, behind its chart's
``config.basePath`` where one is set. https://docs.langchain.com/langsmith/trace-with-opentelemetry,
https://docs.langchain.com/langsmith/self-host-ingress.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from gateway_telemetry.endpoint.parse import (
    BASE_PATH_FIELD,
    DEFAULT_PORTS,
    URL_FIELD,
    Parts,
    normalise_base_path,
    parse_url,
)
from gateway_telemetry.endpoint.problem import Advice, EndpointProblem

SAAS_HOSTS = {
    "us": "api.smith.langchain.com",
    "eu": "eu.api.smith.langchain.com",
    "apac": "apac.api.smith.langchain.com",
    "aws": "aws.api.smith.langchain.com",
}
_SAAS_DOMAIN = ".smith.langchain.com"
_UI_HOSTS = {host.replace("api.", "", 1): region for region, host in SAAS_HOSTS.items()}
_REGION_OF = {host: region for region, host in SAAS_HOSTS.items()}


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
    A host of LangSmith's own service leads to its region.

    Raises:
        EndpointProblem: the URL cannot be meant.
    """
    parts = parse_url(url)
    base = normalise_base_path(base_path) if base_path is not None else ""
    if parts.host in _UI_HOSTS:
        region = _UI_HOSTS[parts.host]
        raise EndpointProblem(
            "UIURLNotAPIURL",
            f"{parts.host} is LangSmith's web app, its API is https://{SAAS_HOSTS[region]}: write "
            f"spec.saas.region: {region} instead of selfHosted",
            URL_FIELD,
        )
    if parts.host in _REGION_OF:
        return _saas_by_host(parts, base)
    if parts.host.endswith(_SAAS_DOMAIN):
        raise EndpointProblem(
            "InvalidURL",
            f"{parts.host} takes no traces; the API hosts of LangSmith's service are {', '.join(_REGION_OF)}: write "
            f"spec.saas.region ({', '.join(SAAS_HOSTS)}) instead of selfHosted",
            URL_FIELD,
        )
    _check_ui_path(parts.prefix)
    if base and parts.prefix and base != parts.prefix:
        raise EndpointProblem(
            "InvalidBasePath",
            f"selfHosted.url ends in /{parts.prefix} and selfHosted.basePath is {base}: write the prefix in one of the "
            "two",
            BASE_PATH_FIELD,
        )
    return _endpoints(replace(parts, prefix=base or parts.prefix), allow_plaintext=allow_plaintext, field=URL_FIELD)


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
        Parts(scheme, f"{name}.{namespace}.svc", port, prefix),
        allow_plaintext=allow_plaintext,
        field="selfHosted.serviceRef.scheme",
    )
    notes: tuple[Advice, ...] = ()
    if port in DEFAULT_PORTS.values() and (scheme, port) != ("http", 80):
        needed = "on" if scheme == "https" else "off"
        text = f"port {port} of LangSmith's frontend speaks {scheme} only while frontend.ssl.enabled is {needed}"
        notes = (Advice("ServicePort", text),)
    return replace(result, ui=None, advice=notes)


def _saas_by_host(parts: Parts, base: str) -> Endpoints:
    if parts.scheme == "http":
        raise EndpointProblem("InsecureScheme", f"{parts.host} takes https only: write https://{parts.host}", URL_FIELD)
    instead = f"write spec.saas.region: {_REGION_OF[parts.host]} instead of selfHosted"
    if base:
        raise EndpointProblem("InvalidBasePath", f"{parts.host} has no base path: {instead}", BASE_PATH_FIELD)
    if parts.prefix or parts.port != DEFAULT_PORTS["https"]:
        what = f"path /{parts.prefix}" if parts.prefix else f"port {parts.port}"
        raise EndpointProblem("InvalidURL", f"{parts.host} has no {what}: {instead}", URL_FIELD)
    return saas(_REGION_OF[parts.host])


def _endpoints(parts: Parts, *, allow_plaintext: bool, field: str) -> Endpoints:
    if parts.scheme == "http" and not allow_plaintext:
        raise EndpointProblem(
            "InsecureScheme",
            "http:// sends the key and all prompts unencrypted: use https, or set spec.allowPlaintext: true",
            field,
        )
    netloc = f"[{parts.host}]" if ":" in parts.host else parts.host
    if parts.port != DEFAULT_PORTS[parts.scheme]:
        netloc = f"{netloc}:{parts.port}"
    root = f"{parts.scheme}://{netloc}" + (f"/{parts.prefix}" if parts.prefix else "")
    api = f"{root}/api/v1"
    otlp = f"{api}/otel"
    plaintext = parts.scheme == "http"
    return Endpoints(api, otlp, f"{otlp}/v1/traces", root, parts.host, parts.port, plaintext=plaintext, saas=False)


def _check_ui_path(prefix: str) -> None:
    """Refuse an address copied from the browser: ``/o/<organization>/projects/p/<project>``."""
    if re.search(r"(^|/)o/[0-9a-fA-F-]{4,}(/|$)", prefix) or re.search(r"(^|/)projects/p/", prefix):
        raise EndpointProblem(
            "UIURLNotAPIURL",
            "this is a page of the web app: write only scheme, host and, where there is one, the base path",
            URL_FIELD,
        )
