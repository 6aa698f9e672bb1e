"""Adapter envoy: the OpenTelemetry tracer of an Envoy that you configure yourself.

Two files: the `tracing` block of an HTTP connection manager, which holds the key, and the cluster that it names, as a
CDS file that Envoy reads by path_config_source. The path of the URI is used as it is; header values are format
strings, in which '%' begins a command
(https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#custom-request-response-headers).
"""

from __future__ import annotations

import ipaddress
from typing import Any
from urllib.parse import urlsplit

from gateway_telemetry.adapters import documents
from gateway_telemetry.adapters.base import Adapter, Context, Forbidden, Page, Settings
from gateway_telemetry.adapters.refusals import ascii_project

TRACING_FILE = "envoy-tracing.yaml"
CLUSTER_FILE = "envoy-cds.yaml"
CLUSTER = "gateway-telemetry-langsmith"
SYSTEM_ROOTS = "/etc/ssl/certs/ca-certificates.crt"
"""Where Envoy's own images have the public roots."""
_TYPE = "type.googleapis.com/envoy"
_PORTS = {"http": 80, "https": 443}


class Envoy(Adapter):
    """The tracer and its cluster."""

    type = "envoy"
    container = "envoy"
    page = Page(
        title="Envoy",
        source="https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/trace/v3/opentelemetry.proto",
        restart="at once, where listeners and clusters come from xDS or watched files; else restart of its pods",
        ca="the cluster's transport socket",
        content="never captured: Envoy's spans are of HTTP requests",
        headers="raw map, '%' doubled",
        notes=(
            f"`{TRACING_FILE}` is the value of `tracing` in an HTTP connection manager; `{CLUSTER_FILE}` is a CDS "
            "file: `dynamic_resources: {cds_config: {path_config_source: {path: …}}}`.",
            "For Envoys of Envoy Gateway, kgateway, Istio or Higress use the adapter, or the way, of that product.",
            f"Without a CA bundle, the roots of `{SYSTEM_ROOTS}` are trusted.",
        ),
    )

    def settings(self, context: Context) -> Settings:
        """See Adapter.settings."""
        ascii_project(context, "Envoy")
        files = {
            TRACING_FILE: documents.to_yaml(_tracing(context)),
            CLUSTER_FILE: documents.to_yaml({"resources": [_cluster(context)]}),
        }
        return Settings(
            (),
            documents.with_ca(context, files),
            mount_ca=context.ca_pem is not None,
            documents=(TRACING_FILE, CLUSTER_FILE),
        )

    def forbidden(self, context: Context) -> tuple[Forbidden, ...]:
        """See Adapter.forbidden."""
        return ()


def _tracing(context: Context) -> dict[str, Any]:
    attributes = documents.attributes(context, "envoy")
    name = attributes.pop("service.name")
    detector = "envoy.tracers.opentelemetry.resource_detectors.static_config"
    config = {
        "@type": f"{_TYPE}.config.trace.v3.OpenTelemetryConfig",
        "service_name": name,
        "http_service": {
            "http_uri": {"uri": context.endpoints.traces, "cluster": CLUSTER, "timeout": "10s"},
            "request_headers_to_add": [
                {
                    "header": {"key": header, "value": value.replace("%", "%%")},
                    "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                }
                for header, value in context.headers.as_mapping().items()
            ],
        },
        "resource_detectors": [
            {
                "name": detector,
                "typed_config": {
                    "@type": f"{_TYPE}.extensions.tracers.opentelemetry.resource_detectors.v3."
                    "StaticConfigResourceDetectorConfig",
                    "attributes": attributes,
                },
            }
        ],
    }
    return {
        "random_sampling": {"value": 100.0},
        "provider": {"name": "envoy.tracers.opentelemetry", "typed_config": config},
    }


def _cluster(context: Context) -> dict[str, Any]:
    url = urlsplit(context.endpoints.traces)
    host = url.hostname or ""
    address = {"socket_address": {"address": host, "port_value": url.port or _PORTS[url.scheme]}}
    cluster: dict[str, Any] = {
        "@type": f"{_TYPE}.config.cluster.v3.Cluster",
        "name": CLUSTER,
        "type": "STRICT_DNS",
        "connect_timeout": "5s",
        "load_assignment": {
            "cluster_name": CLUSTER,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }
    if url.scheme == "https":
        cluster["transport_socket"] = _tls(host, SYSTEM_ROOTS if context.ca_pem is None else documents.CA_PATH)
    return cluster


def _tls(host: str, roots: str) -> dict[str, Any]:
    """Return a transport socket that checks chain and name; Envoy checks neither by itself."""
    is_address = _is_address(host)
    kind = "IP_ADDRESS" if is_address else "DNS"
    context: dict[str, Any] = {
        "@type": f"{_TYPE}.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        **({} if is_address else {"sni": host}),
        "common_tls_context": {
            "validation_context": {
                "trusted_ca": {"filename": roots},
                "match_typed_subject_alt_names": [{"san_type": kind, "matcher": {"exact": host}}],
            }
        },
    }
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
