"""Adapter portkey: Portkey's enterprise gateway pushes each call as OTLP/JSON.

The open-source gateway has no exporter. The names are those of the code; the chart's page has others, which nothing
reads. The base URL is extended by /v1/traces; headers are split at commas and the first '=', trimmed, not decoded.
"""

from __future__ import annotations

from gateway_telemetry.adapters.base import RAW_HEADERS_KEY, Adapter, Context, EnvVar, Forbidden, Page, Settings
from gateway_telemetry.adapters.refusals import no_capture_switch, no_private_ca, no_resource_attributes

PREFIX = "EXPERIMENTAL_GEN_AI_OTEL_"


class Portkey(Adapter):
    """The three variables of the experimental exporter."""

    type = "portkey"
    evidence = "None"
    literals = frozenset({f"{PREFIX}TRACES_ENABLED", f"{PREFIX}EXPORTER_OTLP_ENDPOINT"})
    page = Page(
        title="Portkey AI Gateway (enterprise)",
        source="https://portkey.ai/docs/product/enterprise-offering/otel/complete-logs",
        restart="restart of its pods",
        ca="none",
        content="none: this exporter is for whole prompts and completions",
        headers="raw list: no comma in the project's name",
        notes=(
            "Only the enterprise image exports; the open-source gateway has no exporter.",
            "It neither batches nor tries again: what LangSmith does not take at once is lost.",
            "`OTEL_PUSH_ENABLED` with `OTEL_ENDPOINT` is another exporter, for analytics; it is left alone.",
        ),
    )

    def settings(self, context: Context) -> Settings:
        """See Adapter.settings."""
        no_private_ca(
            context, "Portkey", "put the CA into its image's trust store and set spec.gateway.caInstalled: true"
        )
        no_resource_attributes(context, "Portkey's exporter", "it sends a resource of its own, so remove them")
        no_capture_switch(context, "Portkey's exporter", "remove spec.capture, or do not export these traces")
        return Settings(
            (
                EnvVar(f"{PREFIX}TRACES_ENABLED", "true"),
                EnvVar(f"{PREFIX}EXPORTER_OTLP_ENDPOINT", context.endpoints.otlp),
                EnvVar(f"{PREFIX}EXPORTER_OTLP_HEADERS", secret_key=RAW_HEADERS_KEY),
            ),
            {RAW_HEADERS_KEY: context.headers.raw_list()},
        )

    def forbidden(self, context: Context) -> tuple[Forbidden, ...]:
        """See Adapter.forbidden."""
        return ()
