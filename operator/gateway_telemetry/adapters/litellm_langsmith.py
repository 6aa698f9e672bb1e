"""Adapter litellm, callback `langsmith`: the LiteLLM proxy posts runs to LangSmith's own API, without OpenTelemetry.

LiteLLM adds `/api/v1` to the base URL unless that text is in it already, then `/runs/batch`, so it gets the API's URL
and never the OTLP one. The project travels in the body, so any name arrives. Nothing carries resource attributes:
there is no evidence stamp.

Source: litellm/integrations/langsmith.py of LiteLLM 1.106.
"""

from __future__ import annotations

from gateway_telemetry.adapters import otel
from gateway_telemetry.adapters.base import API_KEY, Adapter, Context, EnvVar, Forbidden, Page, Seen, Settings
from gateway_telemetry.adapters.litellm_config import missing_callback
from gateway_telemetry.adapters.refusals import no_capture_switch, no_private_ca, no_resource_attributes
from gateway_telemetry.api.reasons import Reason

_SAMPLING = "LANGSMITH_SAMPLING_RATE"


class LiteLLMLangSmith(Adapter):
    """The four variables of LiteLLM's LangSmith logger."""

    type = "litellm"
    container = "litellm"
    evidence = "None"
    reads_files = True
    literals = frozenset({"LANGSMITH_PROJECT", "LANGSMITH_BASE_URL", "LANGSMITH_TENANT_ID"})
    page = Page(
        title="LiteLLM proxy, callback `langsmith`",
        source="https://docs.litellm.ai/docs/observability/langsmith_integration",
        restart="restart of its pods",
        ca="none: one HTTP client serves all of LiteLLM's loggers",
        content="not by a variable: `litellm_settings: {turn_off_message_logging: true}` in its config.yaml",
        headers="none: the project is in the body, so any name arrives",
        notes=(
            "`litellm_settings: {callbacks: [langsmith]}` must be in its config.yaml.",
            "A batch that LangSmith refuses is dropped and only logged.",
            f"`{_SAMPLING}` is used only if it is all digits: `0.5` is ignored and everything is sent, `0` sends "
            "nothing.",
        ),
    )

    def settings(self, context: Context) -> Settings:
        """See Adapter.settings."""
        name = "LiteLLM's callback langsmith"
        no_private_ca(
            context,
            name,
            "use callback otel, or let LiteLLM trust it (ssl_verify in its config.yaml) and set "
            "spec.gateway.caInstalled: true",
        )
        no_resource_attributes(context, name, "runs have no resource, so remove them, or use callback otel")
        no_capture_switch(
            context,
            name,
            "set litellm_settings.turn_off_message_logging: true in its config.yaml and remove "
            "spec.capture, or use callback otel",
        )
        headers = context.headers.as_mapping()
        workspace = headers.get("x-tenant-id")
        env = [
            EnvVar("LANGSMITH_API_KEY", secret_key=API_KEY),
            EnvVar("LANGSMITH_PROJECT", context.headers.project),
            EnvVar("LANGSMITH_BASE_URL", context.endpoints.api),
        ]
        if workspace is not None:
            env.append(EnvVar("LANGSMITH_TENANT_ID", workspace))
        return Settings(tuple(env), {API_KEY: context.headers.api_key})

    def forbidden(self, context: Context) -> tuple[Forbidden, ...]:
        """See Adapter.forbidden."""
        return (
            Forbidden("LANGSMITH_MOCK", Reason.TRACING_DISABLED, "keeps every run inside LiteLLM", frozenset({"true"})),
            Forbidden(_SAMPLING, Reason.TRACING_DISABLED, "sends no run at all", frozenset({"0", "00"})),
        )

    def advice(self, seen: Seen) -> list[str]:
        """See Adapter.advice."""
        notes = [*otel.duplicates(seen.env), *missing_callback(seen, "langsmith")]
        rate = seen.env.get(_SAMPLING)
        if rate is not None and not str(rate).strip().isdigit():
            notes.append(f"{_SAMPLING} is not all digits, so LiteLLM ignores it and sends every run")
        return notes
