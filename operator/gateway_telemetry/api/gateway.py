"""GatewayTelemetry: which gateway sends its traces to which target, and how that is written into it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from gateway_telemetry.api.meta import Condition, ContainerName, LabelSelector, NamespaceName, ObjectName, ProjectName
from gateway_telemetry.api.rules import Checked, Model, Rule, differs, matcher


class TargetRef(Model):
    """The LangSmithTarget to send to."""

    name: ObjectName = Field(description="Name of the LangSmithTarget.")
    namespace: NamespaceName | None = Field(
        default=None,
        description="Its namespace, when it is another one; its spec.allowedNamespaces must admit this namespace.",
    )


class LiteLLMOptions(Model):
    """Options of the adapter litellm."""

    callback: Literal["otel"] = Field(
        default="otel",
        description="LiteLLM callback that exports. The proxy's config.yaml must enable it: "
        "litellm_settings: {callbacks: [otel]}.",
    )


class OtelSdkOptions(Model):
    """Options of the adapter otel-sdk."""

    endpoint_style: Literal["Traces", "Base", "Full"] = Field(
        default="Traces",
        description="Which endpoint variable is written. Traces: OTEL_EXPORTER_OTLP_TRACES_ENDPOINT with the full URL "
        "(the specification's way). Base: OTEL_EXPORTER_OTLP_ENDPOINT with the base URL, for programs that read only "
        "the generic variable. Full: the generic variable with the full URL, for programs that use it verbatim.",
    )


class Gateway(Model):
    """The kind of gateway."""

    rules = (
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
    )

    type: Literal["litellm", "otel-sdk"] = Field(
        description="Adapter: litellm (LiteLLM proxy) or otel-sdk (any program with an OpenTelemetry SDK)."
    )
    litellm: LiteLLMOptions | None = Field(default=None, description="Options of the adapter litellm.")
    otel_sdk: OtelSdkOptions | None = Field(default=None, description="Options of the adapter otel-sdk.")


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


class Install(Model):
    """How the settings reach the gateway: exactly one way."""

    rules = (
        Rule(
            "has(self.inject) != has(self.reference)",
            "write exactly one of install.inject (settings are written into the pod template) and install.reference "
            "(the chart refers to a Secret)",
            lambda self: (self.inject is None) != (self.reference is None),
        ),
    )

    inject: Inject | None = Field(
        default=None, description="Write them into the pod templates of workloads in this namespace."
    )
    reference: Reference | None = Field(
        default=None, description="Write them into a Secret that the pod templates refer to already."
    )

    @property
    def workloads(self) -> Workloads:
        """Which workloads, whatever the way."""
        way = self.inject or self.reference
        assert way is not None
        return way.workloads

    @property
    def rollout(self) -> Rollout:
        """When pods are replaced, whatever the way."""
        way = self.inject or self.reference
        return (way.rollout if way is not None else None) or Rollout()


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


class GatewayTelemetrySpec(Model):
    """One gateway's trace export."""

    target_ref: TargetRef = Field(description="Where traces go.")
    gateway: Gateway = Field(description="What sends them.")
    install: Install = Field(description="How the settings reach it.")
    project: ProjectName | None = Field(
        default=None, description="LangSmith project of this gateway's traces; the target's when left out."
    )
    resource_attributes: ResourceAttributes | None = Field(
        default=None, description="OpenTelemetry resource attributes that every span carries."
    )
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
    sinks: list[Sink] | None = Field(
        default=None,
        max_length=100,
        description="Where the settings stand; the first 100 by name, those with trouble first.",
        json_schema_extra={"listType": "map", "listMapKeys": ["kind", "name"]},
    )
    counts: Counts | None = Field(default=None, description="How many sinks there are.")
    conditions: list[Condition] | None = Field(
        default=None,
        description="Accepted, ResolvedRefs, Programmed, Producing, Delivered, Ready; Stalled and Reconciling while "
        "they hold.",
        json_schema_extra={"listType": "map", "listMapKeys": ["type"]},
    )
