"""GatewayTelemetry: which gateway sends its traces to which target, and how that is written into it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from gateway_telemetry.api.meta import (
    Condition,
    ContainerName,
    DataKey,
    LabelSelector,
    NamespaceName,
    ObjectName,
    ProjectName,
    SecretKeyRef,
)
from gateway_telemetry.api.rules import Checked, Model, Rule, differs, matcher, matches
from gateway_telemetry.api.target import CaBundleRef


class TargetRef(Model):
    """The LangSmithTarget to send to."""

    name: ObjectName = Field(description="Name of the LangSmithTarget.")
    namespace: NamespaceName | None = Field(
        default=None,
        description="Its namespace, when it is another one; its spec.allowedNamespaces must admit this namespace.",
    )


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


class Workloads(Model):
    """Workloads of the GatewayTelemetry's namespace."""

    kind: Literal["Deployment", "StatefulSet", "DaemonSet"] = Field(
        default="Deployment",
        description="Kind of the workloads. One kind only: a chart's database often carries the gateway's labels.",
    )
    selector: LabelSelector = Field(description="Labels of the workloads (of the Deployment itself, not its pods).")


class Rollout(Model):
    """When pods are replaced, and what happens when the new ones fail."""

    policy: Literal["Automatic", "Manual"] = Field(
        default="Automatic",
        description="Automatic: as soon as it is this workload's turn. Manual: once the annotation "
        "gatewaytelemetry.dev/approvedHash holds the hash that the condition Programmed names.",
    )
    on_failure: Literal["Stop", "Rollback"] = Field(
        default="Stop",
        description="When new pods crash, find no image or miss the progress deadline. Stop: leave it, and change no "
        "other workload of the same target. Rollback: also write back what stood there before.",
    )


class Inject(Model):
    """Settings are written into pod templates, without owning them."""

    workloads: Workloads = Field(description="Which workloads.")
    container: ContainerName | None = Field(
        default=None,
        description="Container that exports; the adapter's usual name, or the only container, when left out.",
    )
    conflict_policy: Literal["Fail"] = Field(
        default="Fail",
        description="What happens when a variable is already there. Fail: nothing is written and it is named.",
    )
    rollout: Rollout | None = Field(default=None, description="When pods are replaced.")


class Reference(Model):
    """Only a Secret is written; the gateway's chart refers to it."""

    secret_name: ObjectName = Field(
        description="Name of the Secret, in this namespace. Its keys are the names of the variables: "
        "envFrom: [{secretRef: {name: ..., optional: true}}]. Where the target has a CA, it lies in a ConfigMap of "
        "this name with -ca behind it, to be mounted at /etc/gateway-telemetry. A Secret of that name that is not the "
        "operator's is left alone."
    )
    workloads: Workloads = Field(description="Which workloads are expected to refer to it.")
    rollout: Rollout | None = Field(
        default=None,
        description="When pods are restarted after the Secret has changed; with policy Manual you restart them.",
    )


class ResourceRef(Model):
    """The object that holds the gateway's configuration, in the GatewayTelemetry's namespace."""

    rules = (
        Rule(
            "has(self.key) == (self.kind == 'ConfigMap')",
            "install.resource.ref.key names the file in a ConfigMap, e.g. relay or collector.yaml: write it for a "
            "ConfigMap, and for no other kind",
            lambda self: (self.key is not None) == (self.kind == "ConfigMap"),
        ),
    )

    kind: Literal["ConfigMap", "OpenTelemetryCollector", "GatewayConfig", "AgentgatewayParameters"] = Field(
        description="Its kind: ConfigMap or OpenTelemetryCollector for type otel-collector, GatewayConfig for "
        "envoy-ai-gateway, AgentgatewayParameters for agentgateway. The operator needs rights for it: the chart's "
        "values writes.*."
    )
    name: ObjectName = Field(
        description="Its name. To name it here is the consent to have it changed: only what the settings need is "
        "added, and taken away again."
    )
    key: DataKey | None = Field(default=None, description="Key of the ConfigMap that holds the Collector's YAML.")


class Resource(Model):
    """Settings are written into an object that the gateway, or its own operator, reads."""

    rules = (
        Rule(
            "has(self.workloads) == (self.ref.kind == 'ConfigMap')",
            "install.resource.workloads names the Collector's workloads, which get the key as a variable and are "
            "restarted: write it for a ConfigMap; other kinds bring their own variables and restarts",
            lambda self: (self.workloads is not None) == (self.ref.kind == "ConfigMap"),
        ),
        Rule(
            "has(self.workloads) || (!has(self.container) && !has(self.rollout))",
            "install.resource.container and .rollout are about install.resource.workloads: remove them",
            lambda self: self.workloads is not None or (self.container is None and self.rollout is None),
        ),
    )

    ref: ResourceRef = Field(description="Which object.")
    workloads: Workloads | None = Field(
        default=None, description="Workloads that read the ConfigMap: the Collector's own."
    )
    container: ContainerName | None = Field(
        default=None, description="The Collector's container; the only one, when left out."
    )
    rollout: Rollout | None = Field(default=None, description="When pods are replaced.")


ControlPlaneUrl = Annotated[
    str,
    StringConstraints(min_length=1, max_length=2048),
    *Checked.by(
        matches(
            r"^https://[^/?#@ ]+/?$",
            "url is written like https://acme.truefoundry.cloud: https:// and the host, with its port where that is "
            "not 443; no path, user name, query or fragment",
        ),
    ),
]


class ControlPlane(Model):
    """TrueFoundry's control plane, which holds one trace export for all gateways of a tenant."""

    url: ControlPlaneUrl = Field(
        description="Its URL, as you open it in the browser, e.g. https://acme.truefoundry.cloud. Its host must be "
        "among those that the operator's administrator allows."
    )
    secret_ref: SecretKeyRef = Field(
        description="Secret in this namespace with an API key of the control plane that may change gateway settings. "
        "It must carry the label gatewaytelemetry.dev/role=source; its annotation gatewaytelemetry.dev/hosts limits "
        "the hosts that the key may be sent to."
    )
    tenant: Annotated[
        str,
        StringConstraints(min_length=1, max_length=63),
        *Checked.by(
            matches(
                r"^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$",
                "tenant is the name of your tenant, as the control plane shows it: letters, digits, '-', '_' and '.'",
            )
        ),
    ] = Field(description="Name of the tenant; compared with what the control plane says before anything is written.")
    ca_bundle_ref: CaBundleRef | None = Field(
        default=None,
        description="Private CA of the control plane's certificate, for the operator's own connection; in this "
        "namespace, labelled like a source Secret.",
    )


WAYS = ("inject", "reference", "resource", "controlPlane")
"""Members of ``install``."""


class Install(Model):
    """How the settings reach the gateway: exactly one way."""

    rules = (
        Rule(
            f"[{', '.join(f'has(self.{way})' for way in WAYS)}].exists_one(given, given)",
            "write exactly one of install.inject (into pod templates), install.reference (a Secret that the chart "
            "refers to), install.resource (into another object) and install.controlPlane (into TrueFoundry's)",
            lambda self: [self.inject, self.reference, self.resource, self.control_plane].count(None) == 3,
        ),
    )

    inject: Inject | None = Field(
        default=None, description="Write them into the pod templates of workloads in this namespace."
    )
    reference: Reference | None = Field(
        default=None, description="Write them into a Secret that the pod templates refer to already."
    )
    resource: Resource | None = Field(
        default=None, description="Write them into a ConfigMap, or an object of the gateway's own kind."
    )
    control_plane: ControlPlane | None = Field(
        default=None, description="Write them into TrueFoundry's control plane, for all gateways of a tenant."
    )

    @property
    def workloads(self) -> Workloads | None:
        """Which workloads, whatever the way; None where the way has none."""
        way = self.inject or self.reference or self.resource
        return None if way is None else way.workloads

    @property
    def container(self) -> str | None:
        """Container that exports, if one is named."""
        way = self.inject or self.resource
        return None if way is None else way.container

    @property
    def rollout(self) -> Rollout:
        """When pods are replaced, whatever the way."""
        way = self.inject or self.reference or self.resource
        return (way.rollout if way is not None else None) or Rollout()

    @property
    def way(self) -> str:
        """The name of the member that is set."""
        members = self.inject, self.reference, self.resource, self.control_plane
        return next(name for name, member in zip(WAYS, members, strict=True) if member is not None)


_is_attribute = matcher(_ATTRIBUTE_KEY := r"^[a-zA-Z][a-zA-Z0-9_.-]*$")

ResourceAttributes = Annotated[
    dict[
        str,
        Annotated[
            str,
            StringConstraints(max_length=256),
            *Checked.by(differs(r"[\x00-\x1f\x7f]", "must not hold control characters such as newline or tab")),
        ],
    ],
    Field(max_length=32),
    *Checked.by(
        Rule(
            f"self.all(key, key.size() <= 128 && key.matches(r'{_ATTRIBUTE_KEY}'))",
            "names of resource attributes are written like team or deployment.environment.name",
            lambda value: all(len(key) <= 128 and _is_attribute(key) for key in value),
        ),
        Rule(
            "self.all(key, !key.startsWith('gatewaytelemetry.'))",
            "resource attributes that begin with gatewaytelemetry. are the operator's own evidence stamp: "
            "use another name",
            lambda value: not any(key.startswith("gatewaytelemetry.") for key in value),
        ),
    ),
]


class GatewayVerification(Model):
    """How the operator checks that this gateway's traces arrive."""

    from_namespace: bool = Field(
        default=False,
        description="Also look at LangSmith from this namespace, by a short-lived Job without a key: the operator's "
        "network, DNS and trust are not the gateway's. At most once per change.",
    )


class Capture(Model):
    """What traces may hold."""

    content: bool = Field(
        description="Prompts and completions. false: they are left out, or the gateway is refused if nothing that can "
        "be written does that. true: also where the gateway leaves them out by itself. Without this block, the "
        "gateway's own setting or default holds.",
    )


RESOURCE_KINDS = {
    "otel-collector": ("ConfigMap", "OpenTelemetryCollector"),
    "envoy-ai-gateway": ("GatewayConfig",),
    "agentgateway": ("AgentgatewayParameters",),
}
"""Types that are configured in another object, with the kinds of it."""


def _resource_rule(type_: str, kinds: tuple[str, ...]) -> Rule:
    listed = ", ".join(f"'{kind}'" for kind in kinds)
    return Rule(
        f"self.gateway.type != '{type_}' || (has(self.install.resource) && self.install.resource.ref.kind in "
        f"[{listed}])",
        f"gateways of type {type_} are configured in another object: write install.resource with a ref of kind "
        + " or ".join(kinds),
        lambda self: (
            self.gateway.type != type_
            or (self.install.resource is not None and self.install.resource.ref.kind in kinds)
        ),
    )


FILE_GATEWAYS = ("apisix", "bifrost", "envoy", "kong", "traefik")
"""Types whose settings are files, or variables that their user refers to."""


def _consents(gateway: Gateway) -> bool:
    return gateway.truefoundry is not None and gateway.truefoundry.allow_key_in_control_plane


class GatewayTelemetrySpec(Model):
    """One gateway's trace export."""

    rules = (
        Rule(
            f"!has(self.install.inject) || !(self.gateway.type in [{', '.join(map(repr, FILE_GATEWAYS))}])",
            "gateways of the types " + ", ".join(FILE_GATEWAYS) + " read files, or variables that you refer to, so "
            "install.inject is not for them: use install.reference",
            lambda self: self.install.inject is None or self.gateway.type not in FILE_GATEWAYS,
        ),
        Rule(
            f"!has(self.install.resource) || self.gateway.type in [{', '.join(map(repr, RESOURCE_KINDS))}]",
            "install.resource is for gateways of the types " + ", ".join(RESOURCE_KINDS) + ": use another member of "
            "install",
            lambda self: self.install.resource is None or self.gateway.type in RESOURCE_KINDS,
        ),
        *(_resource_rule(type_, kinds) for type_, kinds in RESOURCE_KINDS.items()),
        Rule(
            "!has(self.install.controlPlane) || self.gateway.type == 'truefoundry'",
            "install.controlPlane is TrueFoundry's: set gateway.type: truefoundry, or use another member of install",
            lambda self: self.install.control_plane is None or self.gateway.type == "truefoundry",
        ),
        Rule(
            "!has(self.install.controlPlane) || !has(self.verification) || !has(self.verification.fromNamespace) || "
            "!self.verification.fromNamespace",
            "with install.controlPlane traces leave from where the control plane runs, so a look from this namespace "
            "says nothing: remove verification.fromNamespace",
            lambda self: (
                self.install.control_plane is None or self.verification is None or not self.verification.from_namespace
            ),
        ),
        Rule(
            "!has(self.gateway.truefoundry) || has(self.install.controlPlane)",
            "gateway.truefoundry holds options of install.controlPlane: use that, or remove the block",
            lambda self: self.gateway.truefoundry is None or self.install.control_plane is not None,
        ),
        Rule(
            "!has(self.install.controlPlane) || (has(self.gateway.truefoundry) && "
            "has(self.gateway.truefoundry.allowKeyInControlPlane) && "
            "self.gateway.truefoundry.allowKeyInControlPlane)",
            "install.controlPlane hands the LangSmith key to TrueFoundry's control plane, outside of the cluster: if "
            "it may leave, set gateway.truefoundry.allowKeyInControlPlane: true",
            lambda self: self.install.control_plane is None or _consents(self.gateway),
        ),
    )

    target_ref: TargetRef = Field(description="Where traces go.")
    gateway: Gateway = Field(description="What sends them.")
    install: Install = Field(description="How the settings reach it.")
    project: ProjectName | None = Field(
        default=None, description="LangSmith project of this gateway's traces; the target's when left out."
    )
    resource_attributes: ResourceAttributes | None = Field(
        default=None, description="OpenTelemetry resource attributes that every span carries."
    )
    capture: Capture | None = Field(default=None, description="What traces may hold.")
    verification: GatewayVerification | None = Field(
        default=None, description="How the operator checks that this gateway's traces arrive."
    )
    deletion_policy: Literal["Restore", "Orphan"] = Field(
        default="Restore",
        description="When this object is deleted. Restore: take away what was written. Orphan: leave it.",
    )
    suspend: bool = Field(default=False, description="Write nothing; what was written stays, and so do the conditions.")


class Sink(Model):
    """One place that the settings were, or should be, written to."""

    kind: str = Field(description="Kind of the object, e.g. Deployment.")
    name: str = Field(description="Its name.")
    container: str | None = Field(default=None, description="Container that carries the settings.")
    state: Literal["Pending", "RollingOut", "Programmed", "Blocked", "Failed"] = Field(description="How far it is.")
    reason: str = Field(description="Why, as one word of the reasons table.")
    message: str | None = Field(default=None, description="Why and what to do.")


class Counts(Model):
    """How many sinks there are, also of those that the list leaves out."""

    matched: int = Field(ge=0, json_schema_extra={"format": "int32"}, description="Objects that the spec selects.")
    programmed: int = Field(
        ge=0,
        json_schema_extra={"format": "int32"},
        description="Of these, carrying the settings with a finished rollout.",
    )


class TracesStatus(Model):
    """What the gateway was told."""

    endpoint: str = Field(description="Full OTLP traces URL.")
    project: str = Field(description="LangSmith project.")
    hash: str | None = Field(
        default=None,
        description="Changes with URL, key, CA, workspace and project; set once all pods run with them.",
    )
    since: str | None = Field(
        default=None,
        description="Since when all pods run with them; traces from before do not speak of them.",
        json_schema_extra={"format": "date-time"},
    )


class EvidenceStatus(Model):
    """A trace of this gateway that was read back from LangSmith."""

    last_trace_time: str = Field(
        description="Start of the newest trace that was seen, in steps of some minutes while nothing else changes.",
        json_schema_extra={"format": "date-time"},
    )
    project: str = Field(description="Project that it was found in.")
    run_url: str | None = Field(default=None, description="Its page in LangSmith's web app, where that is known.")


class VantageStatus(Model):
    """A look at LangSmith from the gateway's own namespace."""

    hash: str = Field(description="Of all that the look depended on; another one leads to another look.")


class GatewayTelemetryStatus(Model):
    """What the operator did and found."""

    observed_generation: int | None = Field(
        default=None, description="Generation that the status speaks of.", json_schema_extra={"format": "int64"}
    )
    last_handled_request: str | None = Field(
        default=None, description="Value of the annotation gatewaytelemetry.dev/requestedAt that was last acted on."
    )
    traces: TracesStatus | None = Field(default=None, description="What the gateway was told.")
    evidence: EvidenceStatus | None = Field(
        default=None, description="The newest trace of this gateway that was read back."
    )
    vantage: VantageStatus | None = Field(
        default=None, description="The look that the condition Reachable speaks of (spec.verification.fromNamespace)."
    )
    sinks: list[Sink] | None = Field(
        default=None,
        max_length=100,
        description="Where the settings stand; the first 100 by name, those with trouble first.",
        json_schema_extra={"listType": "map", "listMapKeys": ["kind", "name"]},
    )
    counts: Counts | None = Field(default=None, description="How many sinks there are.")
    conditions: list[Condition] | None = Field(
        default=None,
        description="Accepted, ResolvedRefs, Programmed, Producing, Delivered, Ready; Reachable where asked for; "
        "Stalled and Reconciling while they hold.",
        json_schema_extra={"listType": "map", "listMapKeys": ["type"]},
    )
