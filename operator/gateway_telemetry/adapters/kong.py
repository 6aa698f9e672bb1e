"""Adapter kong: the plugin `opentelemetry`, and the node settings without which it is silent.

By default Kong instruments nothing (tracing_instrumentations=off) and samples one request in a hundred
(tracing_sampling_rate=0.01); both are node settings. The plugin's own configuration is a file of the Secret, which a
KongPlugin or KongClusterPlugin reads by configFrom:
https://developer.konghq.com/kubernetes-ingress-controller/reference/custom-resources/#kongplugin.
"""

from __future__ import annotations

from gateway_telemetry.adapters import documents
from gateway_telemetry.adapters.base import Adapter, Context, EnvVar, Forbidden, Page, Seen, Settings
from gateway_telemetry.adapters.refusals import ascii_project, no_private_ca
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.endpoint import EndpointProblem

FILE = "kong-opentelemetry.yaml"
_INSTRUMENTATIONS = "KONG_TRACING_INSTRUMENTATIONS"
_SAMPLING = "KONG_TRACING_SAMPLING_RATE"


class Kong(Adapter):
    """The plugin's configuration, and two node settings."""

    type = "kong"
    container = "proxy"
    page = Page(
        title="Kong Gateway, plugin `opentelemetry`",
        source="https://developer.konghq.com/plugins/opentelemetry/",
        restart="the plugin's settings at once, the two node settings by a restart of its pods",
        ca="none: `lua_ssl_trusted_certificate` is for all of Kong's connections",
        content="never captured by this plugin; Kong's AI plugins have `logging.log_payloads`",
        headers="raw map",
        notes=(
            f"`{FILE}` is the plugin's `config`: let a KongPlugin or KongClusterPlugin read it by `configFrom: "
            "{secretKeyRef: …}`.",
            "Kong counts only the answer 200 as success; LangSmith gives it.",
        ),
    )

    def settings(self, context: Context) -> Settings:
        """See Adapter.settings."""
        no_private_ca(
            context,
            "Kong",
            "add it to lua_ssl_trusted_certificate (system,/path/ca.crt) and set spec.gateway.caInstalled: true",
        )
        ascii_project(context, "Kong")
        if context.headers.project.startswith("{vault:"):
            raise EndpointProblem(
                Reason.PROJECT_UNSUPPORTED,
                "the project's name begins with '{vault:', which Kong would look up in a vault: rename it",
            )
        config = {
            "traces_endpoint": context.endpoints.traces,
            "headers": context.headers.as_mapping(),
            "resource_attributes": documents.attributes(context, "kong"),
        }
        env = (EnvVar(_INSTRUMENTATIONS, "all", yields=True), EnvVar(_SAMPLING, "1.0", yields=True))
        return Settings(env, {FILE: documents.to_yaml(config)}, documents=(FILE,))

    def forbidden(self, context: Context) -> tuple[Forbidden, ...]:
        """See Adapter.forbidden."""
        return (
            Forbidden(_INSTRUMENTATIONS, Reason.TRACING_DISABLED, "makes no spans", frozenset({"off"})),
            Forbidden(_SAMPLING, Reason.TRACING_DISABLED, "samples no request", frozenset({"0", "0.0"})),
        )

    def advice(self, seen: Seen) -> list[str]:
        """See Adapter.advice."""
        rate = seen.env.get(_SAMPLING)
        if rate is None or str(rate).strip() in ("1", "1.0"):
            return []
        return [f"{_SAMPLING} keeps only a part of the traces: remove it, or set it to 1"]
