"""Adapter litellm: the LiteLLM proxy with its callback `otel`.

LiteLLM's own parser of the generic header variable neither trims nor decodes, and its endpoint
variables are rewritten. If all generic names are absent it hands nothing to the SDK exporter, which
then reads the traces-scoped variables as the specification says. So only those are written, plus
OTEL_EXPORTER_OTLP_PROTOCOL: without it LiteLLM prints prompts to stdout instead of exporting
(https://github.com/BerriAI/litellm/pull/41209).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway_telemetry.adapters import otel
from gateway_telemetry.adapters.base import Context, EnvVar, Evidence, Forbidden, Settings
from gateway_telemetry.api.reasons import Reason

_GENERIC = (
    otel.ENDPOINT,
    otel.HEADERS,
    "OTEL_ENDPOINT",
    "OTEL_HEADERS",
    "OTEL_EXPORTER",
    "OTEL_TRACES_ENDPOINT",
)


class LiteLLM:
    """The traces-scoped variables and the one generic name that LiteLLM needs."""

    type = "litellm"
    container: str | None = "litellm"
    evidence: Evidence = "Resource"

    def settings(self, context: Context) -> Settings:
        """See Adapter.settings."""
        return otel.common(
            context,
            (
                EnvVar(otel.PROTOCOL, otel.HTTP_PROTOBUF),
                EnvVar(otel.TRACES_ENDPOINT, context.endpoints.traces),
                EnvVar(otel.TRACES_PROTOCOL, otel.HTTP_PROTOBUF),
            ),
        )

    def forbidden(self, context: Context) -> tuple[Forbidden, ...]:
        """See Adapter.forbidden."""
        why = "is read by LiteLLM before the traces-scoped variables, and would send the traces elsewhere or nowhere"
        return (
            *otel.switched_off(),
            *otel.ca_overridden(context),
            *(Forbidden(name, Reason.ENV_CONFLICT, why) for name in _GENERIC),
        )

    def advice(self, env: Mapping[str, Any]) -> list[str]:
        """See Adapter.advice."""
        return otel.duplicates(env)
