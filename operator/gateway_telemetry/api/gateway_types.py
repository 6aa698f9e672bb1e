"""``spec.gateway``: the type of a gateway, and what can be said of each type."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from gateway_telemetry.api.rules import Checked, Model, Rule, matches

PipelineName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=128),
    *Checked.by(
        matches(
            r"^traces(/[^\s/]+)?$", "must be a pipeline of traces, as the Collector names them: traces or traces/NAME"
        )
    ),
]


class LiteLLMOptions(Model):
    """Options of the adapter litellm."""

    callback: Literal["otel", "langsmith"] = Field(
        default="otel",
        description="LiteLLM callback that exports. The proxy's config.yaml must enable it: "
        "litellm_settings: {callbacks: [otel]}. otel: OpenTelemetry, also with LITELLM_OTEL_V2. langsmith: LiteLLM's "
        "own client of LangSmith's API; it carries no resource attributes, and takes no CA of its own.",
    )


class OtelSdkOptions(Model):
    """Options of the adapter otel-sdk."""

    endpoint_style: Literal["Traces", "Base", "Full"] = Field(
        default="Traces",
        description="Which endpoint variable is written. Traces: OTEL_EXPORTER_OTLP_TRACES_ENDPOINT with the full URL "
        "(the specification's way). Base: OTEL_EXPORTER_OTLP_ENDPOINT with the base URL, for programs that read only "
        "the generic variable. Full: the generic variable with the full URL, for programs that use it verbatim.",
    )


class OtelCollectorOptions(Model):
    """Options of the adapter otel-collector."""

    pipelines: Annotated[list[PipelineName], Field(min_length=1, max_length=16)] = Field(
        default=["traces"],
        description="Pipelines of service.pipelines that get the exporter; each must exist, and be one of traces.",
        json_schema_extra={"listType": "set"},
    )
    exporter: Literal["otlp_http", "otlphttp"] = Field(
        default="otlp_http",
        description="Component of the exporter. otlphttp is the name before Collector 0.144, and a deprecated alias "
        "since.",
    )


class EnvoyAiGatewayOptions(Model):
    """Options of the adapter envoy-ai-gateway."""

    semconv: Literal["openinference", "gen_ai"] | None = Field(
        default=None,
        description="Names of the span attributes (AI_GATEWAY_TRACING_SEMCONV); the gateway's default, openinference, "
        "when left out.",
    )


class SpanFilter(Model):
    """Spans that are exported: those with one of these values."""

    key: Annotated[str, StringConstraints(min_length=1, max_length=256)] = Field(
        description="Name of a span attribute whose values are strings."
    )
    values: list[Annotated[str, StringConstraints(max_length=256)]] = Field(
        min_length=1, max_length=64, description="Values to export.", json_schema_extra={"listType": "atomic"}
    )


class TrueFoundryOptions(Model):
    """Options of the adapter truefoundry with install.controlPlane."""

    allow_key_in_control_plane: bool = Field(
        default=False,
        description="Consent that the LangSmith key leaves the cluster: TrueFoundry's control plane stores it, and "
        "sends traces with it from where it runs.",
    )
    encoding: Literal["Proto", "Json"] = Field(default="Proto", description="Encoding of exported traces.")
    when: list[SpanFilter] | None = Field(
        default=None,
        min_length=1,
        max_length=16,
        description="Export only spans that pass all of these filters; all spans when left out.",
        json_schema_extra={"listType": "atomic"},
    )


class Gateway(Model):
    """The kind of gateway."""

    rules = (
        Rule(
            "!has(self.otelCollector) || self.type == 'otel-collector'",
            "gateway.otelCollector holds options of the adapter otel-collector: set gateway.type: otel-collector, or "
            "remove the block",
            lambda self: self.otel_collector is None or self.type == "otel-collector",
        ),
        Rule(
            "!has(self.envoyAiGateway) || self.type == 'envoy-ai-gateway'",
            "gateway.envoyAiGateway holds options of the adapter envoy-ai-gateway: set gateway.type: "
            "envoy-ai-gateway, or remove the block",
            lambda self: self.envoy_ai_gateway is None or self.type == "envoy-ai-gateway",
        ),
        Rule(
            "!has(self.litellm) || self.type == 'litellm'",
            "gateway.litellm holds options of the adapter litellm: set gateway.type: litellm, or remove the block",
            lambda self: self.litellm is None or self.type == "litellm",
        ),
        Rule(
            "!has(self.otelSdk) || self.type == 'otel-sdk'",
            "gateway.otelSdk holds options of the adapter otel-sdk: set gateway.type: otel-sdk, or remove the block",
            lambda self: self.otel_sdk is None or self.type == "otel-sdk",
        ),
        Rule(
            "!has(self.truefoundry) || self.type == 'truefoundry'",
            "gateway.truefoundry holds options of the adapter truefoundry: set gateway.type: truefoundry, or remove "
            "the block",
            lambda self: self.truefoundry is None or self.type == "truefoundry",
        ),
    )

    type: Literal[
        "agentgateway",
        "apisix",
        "bifrost",
        "envoy",
        "envoy-ai-gateway",
        "higress",
        "kgateway",
        "kong",
        "litellm",
        "otel-collector",
        "otel-sdk",
        "portkey",
        "traefik",
        "truefoundry",
    ] = Field(
        description="Adapter; docs/gateways.md has a section for each. otel-sdk is any program with an OpenTelemetry "
        "SDK. kgateway and higress are known and refused: they need a Collector in between."
    )
    ca_installed: bool = Field(
        default=False,
        description="The gateway trusts the target's CA by its own means (its image, its own settings), so none is "
        "given to it. Needed where a gateway has no certificate setting for its exporter alone.",
    )
    litellm: LiteLLMOptions | None = Field(default=None, description="Options of the adapter litellm.")
    otel_sdk: OtelSdkOptions | None = Field(default=None, description="Options of the adapter otel-sdk.")
    truefoundry: TrueFoundryOptions | None = Field(default=None, description="Options of the adapter truefoundry.")
    otel_collector: OtelCollectorOptions | None = Field(
        default=None, description="Options of the adapter otel-collector."
    )
    envoy_ai_gateway: EnvoyAiGatewayOptions | None = Field(
        default=None, description="Options of the adapter envoy-ai-gateway."
    )
