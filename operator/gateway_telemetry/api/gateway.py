"""GatewayTelemetry: which gateway sends its traces to which target, and how that is written into it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from gateway_telemetry.api.gateway_types import Gateway
from gateway_telemetry.api.install import Install
from gateway_telemetry.api.meta import NamespaceName, ObjectName, ProjectName
from gateway_telemetry.api.rules import Checked, Model, Rule, differs, matcher


class TargetRef(Model):
    """The LangSmithTarget to send to."""

    name: ObjectName = Field(description="Name of the LangSmithTarget.")
    namespace: NamespaceName | None = Field(
        default=None,
        description="Its namespace, when it is another one; its spec.allowedNamespaces must admit this namespace.",
    )


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
