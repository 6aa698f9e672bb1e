"""Adapter traefik: tracing of Traefik 3.

Static configuration comes from one source: a file, arguments or variables, never two of them
(https://doc.traefik.io/traefik/getting-started/configuration-overview/#the-static-configuration). Charts render
arguments, and the kubelet puts variables into those: `--tracing.otlp.http.endpoint=$(NAME)`. The names are those that
Traefik reads by itself where there are neither arguments nor a file; versions 3.3 to 3.6 do not find headers that way
(https://github.com/traefik/traefik-helm-chart/issues/1361), but do in arguments.
"""

from __future__ import annotations

from gateway_telemetry.adapters import documents, otel
from gateway_telemetry.adapters.base import API_KEY, Adapter, Context, EnvVar, Forbidden, Page, Seen, Settings
from gateway_telemetry.adapters.refusals import ascii_project

PREFIX = "TRAEFIK_TRACING_OTLP_HTTP_"


class Traefik(Adapter):
    """Variables for the arguments of a chart."""

    type = "traefik"
    container = "traefik"
    page = Page(
        title="Traefik 3",
        source="https://doc.traefik.io/traefik/reference/install-configuration/observability/tracing/",
        restart="restart of its pods",
        ca="`tracing.otlp.http.tls.ca`",
        content="never captured: Traefik's spans are of HTTP requests",
        headers="raw map",
        notes=(
            "Its chart renders arguments, so the variables are named there, e.g. "
            f"`--tracing.otlp.http.headers.x-api-key=$({PREFIX}HEADERS_x-api-key)`; examples/traefik.yaml has all.",
            "Health checks of `/ping` are not traced; `observability.tracing: false` on a router leaves others out.",
        ),
    )

    def settings(self, context: Context) -> Settings:
        """See Adapter.settings."""
        ascii_project(context, "Traefik")
        env = [EnvVar(f"{PREFIX}ENDPOINT", context.endpoints.traces)]
        for header, value in context.headers.as_mapping().items():
            name = f"{PREFIX}HEADERS_{header}"
            env.append(EnvVar(name, secret_key=API_KEY) if header == "x-api-key" else EnvVar(name, value))
        if context.ca_pem is not None:
            env.append(EnvVar(f"{PREFIX}TLS_CA", documents.CA_PATH))
        stamp_only = not context.spec.resource_attributes
        env.append(EnvVar(otel.RESOURCE_ATTRIBUTES, otel.resource_attributes(context), yields=stamp_only))
        files = documents.with_ca(context, {API_KEY: context.headers.api_key})
        return Settings(tuple(env), files, mount_ca=context.ca_pem is not None)

    def forbidden(self, context: Context) -> tuple[Forbidden, ...]:
        """See Adapter.forbidden."""
        return ()

    def advice(self, seen: Seen) -> list[str]:
        """See Adapter.advice."""
        if "TRAEFIK_TRACING_SAMPLERATE" not in seen.env:
            return []
        return ["TRAEFIK_TRACING_SAMPLERATE keeps only the part of the traces that it names"]
