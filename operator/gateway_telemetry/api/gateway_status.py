"""``status`` of a GatewayTelemetry: what is written, and what is known of its traces."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gateway_telemetry.api.meta import Condition
from gateway_telemetry.api.rules import Model


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
