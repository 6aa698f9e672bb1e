"""``spec.install``: the one way by which settings get into a gateway."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from gateway_telemetry.api.meta import ContainerName, DataKey, LabelSelector, ObjectName, SecretKeyRef
from gateway_telemetry.api.rules import Checked, Model, Rule, matches
from gateway_telemetry.api.target import CaBundleRef


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
