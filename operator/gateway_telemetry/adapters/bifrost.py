"""Adapter bifrost: the plugin `otel` of Bifrost's config.json.

The URL is used as it is, whatever the makers' examples show. Header values may name variables (`env.NAME`); one that
is missing stops the plugin, so both are written together. OTEL_RESOURCE_ATTRIBUTES is split at commas and '=' and not
decoded: an entry that does not fit is dropped silently, so it is refused here.

Source: plugins/otel/main.go of https://github.com/maximhq/bifrost.
"""

from __future__ import annotations

import json
from typing import Any

from gateway_telemetry.adapters import documents, otel
from gateway_telemetry.adapters.base import Adapter, Context, EnvVar, Forbidden, Page, Settings
from gateway_telemetry.adapters.refusals import ascii_project
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.endpoint import EndpointProblem

FILE = "bifrost-otel.json"


class Bifrost(Adapter):
    """The plugin's entry, and the variables that it names."""

    type = "bifrost"
    container = "bifrost"
    page = Page(
        title="Bifrost, plugin `otel`",
        source="https://docs.getbifrost.ai/features/observability/otel",
        restart="restart of its pods",
        ca="`tls_ca_cert` of the plugin",
        content="`disable_content_logging` of the plugin",
        headers="raw map",
        notes=(
            f"`{FILE}` is one entry of `plugins` in its config.json. It holds no key: header values name variables of "
            "the Secret (`env.GATEWAY_TELEMETRY_API_KEY`), which the pod takes by `envFrom`.",
            "What is changed in its web interface lies in its database and goes before the file.",
            "It posts each trace once and never again.",
        ),
    )

    def settings(self, context: Context) -> Settings:
        """See Adapter.settings."""
        ascii_project(context, "Bifrost")
        env, files = documents.variables(context)
        config: dict[str, Any] = {
            "service_name": documents.service_name(context, "bifrost"),
            "collector_url": context.endpoints.traces,
            "trace_type": "genai_extension",
            "protocol": "http",
            "headers": {name: f"env.{documents.HEADER_VARIABLES[name]}" for name in context.headers.as_mapping()},
            "insecure": context.endpoints.traces.startswith("http:"),
        }
        if context.ca_pem is not None:
            config["tls_ca_cert"] = documents.CA_PATH
        if otel.no_content(context):
            config["disable_content_logging"] = True
        entry = {"enabled": True, "name": "otel", "config": config}
        files = documents.with_ca(context, {**files, FILE: json.dumps(entry, indent=2, ensure_ascii=False) + "\n"})
        stamp_only = not context.spec.resource_attributes
        env.append(EnvVar(otel.RESOURCE_ATTRIBUTES, _raw_attributes(context), yields=stamp_only))
        return Settings(tuple(env), files, mount_ca=context.ca_pem is not None, documents=(FILE,))

    def forbidden(self, context: Context) -> tuple[Forbidden, ...]:
        """See Adapter.forbidden."""
        return ()


def _raw_attributes(context: Context) -> str:
    found = otel.attributes(context)
    for key, value in found.items():
        if "," in value or "=" in value or value.strip() != value:
            raise EndpointProblem(
                Reason.INVALID_SPEC,
                f"spec.resourceAttributes.{key} holds a comma, '=' or an outer space, which Bifrost's list of resource "
                "attributes cannot carry: write it without",
            )
    return ",".join(f"{key}={value}" for key, value in found.items())
