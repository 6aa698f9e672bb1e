"""Adapter litellm, callback `otel`: the LiteLLM proxy exports by OpenTelemetry, v1 and v2 (LITELLM_OTEL_V2) alike.

LiteLLM's own parser of the generic header variable neither trims nor decodes in v1, and the two versions prefer the
generic names in opposite order. If all generic names are absent, both hand no headers to the SDK exporter, which then
reads the traces-scoped variables as the specification says. So only those are written, plus
OTEL_EXPORTER_OTLP_PROTOCOL: without it LiteLLM prints prompts to stdout instead of exporting
(https://github.com/BerriAI/litellm/pull/41209).
"""

from __future__ import annotations

from gateway_telemetry.adapters import otel
from gateway_telemetry.adapters.base import Adapter, Context, EnvVar, Forbidden, Page, Seen, Settings
from gateway_telemetry.adapters.litellm_config import missing_callback
from gateway_telemetry.api.reasons import Reason

_GENERIC = (
    otel.ENDPOINT,
    otel.HEADERS,
    "OTEL_ENDPOINT",
    "OTEL_HEADERS",
    "OTEL_EXPORTER",
    "OTEL_TRACES_ENDPOINT",
)


class LiteLLM(Adapter):
    """The traces-scoped variables and the one generic name that LiteLLM needs."""

    type = "litellm"
    container = "litellm"
    reads_files = True
    literals = frozenset({otel.PROTOCOL, otel.CAPTURE_CONTENT})
    page = Page(
        title="LiteLLM proxy, callback `otel`",
        source="https://docs.litellm.ai/docs/observability/opentelemetry_integration",
        restart="restart of its pods",
        ca=f"`{otel.TRACES_CERTIFICATE}`",
        content=f"`{otel.CAPTURE_CONTENT}`; v2 leaves them out unless `content: true` is written",
        headers="percent-encoded",
        notes=(
            "`litellm_settings: {callbacks: [otel]}` must be in its config.yaml; where the operator can see that file, "
            "it tells when that is missing.",
            "Its health checks are traces, too, and no variable keeps them out: filter by the name of the root run.",
            "With `LITELLM_OTEL_V2=true` the same settings work; prompts appear only with `capture: {content: true}`.",
        ),
    )

    def settings(self, context: Context) -> Settings:
        """See Adapter.settings."""
        capture = context.spec.capture
        content: tuple[EnvVar, ...] = ()
        if capture is not None:
            content = (EnvVar(otel.CAPTURE_CONTENT, "span_only" if capture.content else "no_content"),)
        return otel.common(
            context,
            (
                EnvVar(otel.PROTOCOL, otel.HTTP_PROTOBUF),
                EnvVar(otel.TRACES_ENDPOINT, context.endpoints.traces),
                EnvVar(otel.TRACES_PROTOCOL, otel.HTTP_PROTOBUF),
            ),
            content,
        )

    def forbidden(self, context: Context) -> tuple[Forbidden, ...]:
        """See Adapter.forbidden."""
        why = "is read by LiteLLM before the traces-scoped variables, and would send the traces elsewhere or nowhere"
        return (
            *otel.switched_off(),
            *otel.ca_overridden(context),
            *(Forbidden(name, Reason.ENV_CONFLICT, why) for name in _GENERIC),
        )

    def advice(self, seen: Seen) -> list[str]:
        """See Adapter.advice."""
        return [*otel.advice(seen), *missing_callback(seen, "otel")]
