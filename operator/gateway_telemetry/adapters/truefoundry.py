"""Adapter truefoundry, charts 0.65 to 0.79: the gateway's own pods export, told by variables.

Chart 0.80 took these variables away; from then on the tenant's control plane exports, and holds the settings
(charts/tfy-llm-gateway/values.yaml of https://github.com/truefoundry/infra-charts, its history). The chart's version
stands in the label that Helm's guide asks for: https://helm.sh/docs/chart_best_practices/labels/.

The gateway is a Node program, whose SDK decodes header values; its image is private, so that is not proven here.
"""

from __future__ import annotations

import re

from gateway_telemetry.adapters import otel
from gateway_telemetry.adapters.base import Adapter, Context, EnvVar, Forbidden, Page, Seen, Settings
from gateway_telemetry.adapters.refusals import no_capture_switch
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.endpoint import EndpointProblem

CHART = "tfy-llm-gateway"
CHART_LABEL = "helm.sh/chart"
FIRST, END = (0, 65), (0, 80)
_SWITCH = "ENABLE_OTEL_TRACING"
_VERSION = re.compile(rf"{CHART}-v?(\d+)\.(\d+)\.\d+")


class TrueFoundry(Adapter):
    """The switch, and the traces-scoped variables."""

    type = "truefoundry"
    container = CHART
    page = Page(
        title="TrueFoundry AI Gateway, charts 0.65 to 0.79",
        source="https://docs.truefoundry.com/gateway/opentelemetry",
        restart="restart of its pods, which takes minutes (they drain for up to 300 s)",
        ca=f"`{otel.TRACES_CERTIFICATE}` of its SDK; not proven, the image is private",
        content="not known for these versions: refused",
        headers="percent-encoded",
        notes=(
            f"The chart's version is read from the label `{CHART_LABEL}`; from 0.80 on the control plane exports, and "
            "`install.controlPlane` is the way: [truefoundry.md](truefoundry.md).",
            f'The chart renders `{_SWITCH}: "false"` itself: set it to `"true"` in its values.',
        ),
    )

    def settings(self, context: Context) -> Settings:
        """See Adapter.settings."""
        no_capture_switch(context, "this version of the TrueFoundry gateway", "remove spec.capture")
        return otel.common(
            context,
            (
                EnvVar(_SWITCH, "true", yields=True),
                EnvVar(otel.TRACES_ENDPOINT, context.endpoints.traces),
                EnvVar(otel.TRACES_PROTOCOL, otel.HTTP_PROTOBUF),
            ),
            (EnvVar("OTEL_SERVICE_NAME", CHART, yields=True),),
        )

    def forbidden(self, context: Context) -> tuple[Forbidden, ...]:
        """See Adapter.forbidden."""
        return (
            Forbidden(
                _SWITCH,
                Reason.TRACING_DISABLED,
                'is not "true", so the gateway exports nothing; the chart renders it from its values',
                harmless=frozenset({"true"}),
            ),
            *otel.switched_off(),
            Forbidden(
                otel.HEADERS,
                Reason.FOREIGN_HEADERS,
                "holds another backend's headers, which the gateway's SDK would send to LangSmith as well",
            ),
        )

    def check(self, seen: Seen) -> None:
        """See Adapter.check."""
        label = seen.labels.get(CHART_LABEL, "")
        found = _VERSION.match(label)
        if found is None:
            told = f"its label {CHART_LABEL} is {label!r}" if label else f"it has no label {CHART_LABEL}"
            raise EndpointProblem(
                Reason.GATEWAY_VERSION_UNSUPPORTED,
                f"which version of the chart {CHART} this is cannot be told: {told}; label it as the chart does, e.g. "
                f"{CHART_LABEL}: {CHART}-0.79.4, or use install.controlPlane for 0.80 and later",
            )
        version = int(found[1]), int(found[2])
        if version >= END:
            raise EndpointProblem(
                Reason.GATEWAY_VERSION_UNSUPPORTED,
                f"chart {label} has no variables for this: from 0.80 on TrueFoundry's control plane exports, so use "
                "install.controlPlane",
            )
        if version < FIRST:
            raise EndpointProblem(
                Reason.GATEWAY_VERSION_UNSUPPORTED,
                f"chart {label} does not export yet: upgrade it to 0.65 or later",
            )

    def advice(self, seen: Seen) -> list[str]:
        """See Adapter.advice."""
        return otel.advice(seen)
