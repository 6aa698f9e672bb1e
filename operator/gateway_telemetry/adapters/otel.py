"""What all gateways with an OpenTelemetry SDK share: the variables of the OTLP exporter.

Only the traces-scoped variables are written, so metrics and logs of another vendor are neither
redirected nor given our key;
https://opentelemetry.io/docs/specs/otel/protocol/exporter/#endpoint-urls-for-otlphttp.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from gateway_telemetry.adapters.base import (
    CA_DIRECTORY,
    CA_KEY,
    HEADERS_KEY,
    Context,
    EnvVar,
    Forbidden,
    Seen,
    Settings,
)
from gateway_telemetry.api.reasons import Reason

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
TRACES_HEADERS = "OTEL_EXPORTER_OTLP_TRACES_HEADERS"
TRACES_PROTOCOL = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
TRACES_CERTIFICATE = "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE"
RESOURCE_ATTRIBUTES = "OTEL_RESOURCE_ATTRIBUTES"
HTTP_PROTOBUF = "http/protobuf"
CAPTURE_CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"

IDENTITY_ATTRIBUTE = "gatewaytelemetry.id"
_KIND_ATTRIBUTE = {
    "Deployment": "k8s.deployment.name",
    "StatefulSet": "k8s.statefulset.name",
    "DaemonSet": "k8s.daemonset.name",
}

_OFF = (
    Forbidden(
        "OTEL_SDK_DISABLED",
        Reason.TRACING_DISABLED,
        "switches the SDK off",
        values=frozenset({"true"}),
    ),
    Forbidden(
        "OTEL_TRACES_EXPORTER",
        Reason.TRACING_DISABLED,
        "sends spans elsewhere than to OTLP",
        harmless=frozenset({"otlp", "otlp_proto_http", ""}),
    ),
    Forbidden(
        "OTEL_TRACES_SAMPLER",
        Reason.TRACING_DISABLED,
        "samples no trace that begins here",
        values=frozenset({"always_off", "parentbased_always_off"}),
    ),
)


def resource_attributes(context: Context) -> str:
    """Return the value of OTEL_RESOURCE_ATTRIBUTES.

    Values are percent-encoded as the Resource SDK specification asks for;
    https://opentelemetry.io/docs/specs/otel/resource/sdk/#specifying-resource-information-via-an-environment-variable.
    """
    return ",".join(f"{key}={quote(value, safe='')}" for key, value in attributes(context).items())


def attributes(context: Context) -> dict[str, str]:
    """Return the resource attributes: evidence stamp, workload, then the user's own.

    The stamp is an id of the object, never a hash of its content: a hash would start new series at other vendors
    with every change.
    """
    kind, namespace, name = context.workload
    return {
        IDENTITY_ATTRIBUTE: context.identity,
        "k8s.namespace.name": namespace,
        **({_KIND_ATTRIBUTE[kind]: name} if name else {}),
        **dict(sorted((context.spec.resource_attributes or {}).items())),
    }


def common(context: Context, endpoint: tuple[EnvVar, ...], more: tuple[EnvVar, ...] = ()) -> Settings:
    """Return the exporter's settings, the given endpoint variables in front and ``more`` behind them."""
    env = [
        *endpoint,
        EnvVar(TRACES_HEADERS, secret_key=HEADERS_KEY),
    ]
    files = {HEADERS_KEY: context.headers.percent_encoded()}
    if context.ca_pem is not None:
        env.append(EnvVar(TRACES_CERTIFICATE, value=f"{CA_DIRECTORY}/{CA_KEY}"))
        files[CA_KEY] = context.ca_pem
    # What the user asked for must arrive or be a conflict; the bare stamp gives way to what is there.
    stamp_only = not context.spec.resource_attributes
    env.append(EnvVar(RESOURCE_ATTRIBUTES, value=resource_attributes(context), yields=stamp_only))
    env += more
    return Settings(tuple(env), files, mount_ca=context.ca_pem is not None)


def switched_off() -> tuple[Forbidden, ...]:
    """Return the variables that make every span vanish before it is exported."""
    return _OFF


def ca_overridden(context: Context) -> tuple[Forbidden, ...]:
    """Return the variables that beat a Python exporter's CA setting; only where a CA is given.

    https://requests.readthedocs.io/en/latest/user/advanced/#ssl-cert-verification
    """
    if context.ca_pem is None:
        return ()
    why = "beats the exporter's own CA setting in Python programs"
    return (
        Forbidden("REQUESTS_CA_BUNDLE", Reason.CA_BUNDLE_OVERRIDDEN, why),
        Forbidden("CURL_CA_BUNDLE", Reason.CA_BUNDLE_OVERRIDDEN, why),
    )


def no_content(context: Context) -> bool:
    """Tell whether prompts and completions are to be left out of traces."""
    return context.spec.capture is not None and not context.spec.capture.content


def advice(seen: Seen) -> list[str]:
    """Return warnings about what thins traces out, or doubles them."""
    notes = duplicates(seen.env)
    if str(seen.env.get("OTEL_TRACES_SAMPLER") or "").lower() in _RATIO_SAMPLERS:
        notes.append("OTEL_TRACES_SAMPLER keeps only the part of the traces that OTEL_TRACES_SAMPLER_ARG names")
    return notes


def duplicates(env: Mapping[str, Any]) -> list[str]:
    """Return warnings about variables of LangSmith's SDK that may send the same traces a second time."""
    return [
        f"{name} may send the same traces to LangSmith a second time"
        for name in _DUPLICATE_PATHS
        # None: the value comes from elsewhere and is not known.
        if name in env and (env[name] is None or str(env[name]).strip().lower() not in _FALSE)
    ]


_DUPLICATE_PATHS = ("LANGSMITH_OTEL_ENABLED", "LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING_V2")
_RATIO_SAMPLERS = frozenset({"traceidratio", "parentbased_traceidratio"})
_FALSE = frozenset({"", "0", "false", "no", "off"})
