"""URL paths of the kinds that the operator reads and writes, and the way back from a path to its parts.

Every part is quoted and none may be empty: an empty name would turn the path of an object into the path
of its whole collection.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, unquote

from gateway_telemetry.api.meta import GROUP, VERSION


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind as the API server serves it.

    Attributes:
        group: API group; empty for the core group.
        version: e.g. ``v1``.
        plural: the name in URLs and in RBAC rules, e.g. ``deployments``.
        kind: e.g. ``Deployment``.
        namespaced: whether objects live in a namespace.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """What an object of this kind carries in ``apiVersion``."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def collection(self, namespace: str | None = None) -> str:
        """Return the path of all objects: of one namespace, or of the cluster when `namespace` is None."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        if namespace is None:
            return f"{root}/{self.plural}"
        if not self.namespaced:
            raise ValueError(f"{self.kind} is not namespaced: leave out the namespace {namespace!r}")
        return f"{root}/namespaces/{_part(namespace)}/{self.plural}"

    def item(self, namespace: str | None, name: str, subresource: str | None = None) -> str:
        """Return the path of one object, or of its `subresource`, e.g. ``status``.

        Raises:
            ValueError: a part is empty, or the namespace does not fit the kind.
        """
        if self.namespaced and namespace is None:
            raise ValueError(f"{self.kind} {name!r} needs a namespace")
        path = f"{self.collection(namespace)}/{_part(name)}"
        return f"{path}/{_part(subresource)}" if subresource is not None else path


LANGSMITH_TARGETS = Resource(GROUP, VERSION, "langsmithtargets", "LangSmithTarget")
GATEWAY_TELEMETRIES = Resource(GROUP, VERSION, "gatewaytelemetries", "GatewayTelemetry")
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
STATEFUL_SETS = Resource("apps", "v1", "statefulsets", "StatefulSet")
DAEMON_SETS = Resource("apps", "v1", "daemonsets", "DaemonSet")
PODS = Resource("", "v1", "pods", "Pod")
SECRETS = Resource("", "v1", "secrets", "Secret")
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
JOBS = Resource("batch", "v1", "jobs", "Job")
SERVICES = Resource("", "v1", "services", "Service")
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
EVENTS = Resource("events.k8s.io", "v1", "events", "Event")

OPENTELEMETRY_COLLECTORS = Resource("opentelemetry.io", "v1beta1", "opentelemetrycollectors", "OpenTelemetryCollector")
GATEWAY_CONFIGS = Resource("aigateway.envoyproxy.io", "v1beta1", "gatewayconfigs", "GatewayConfig")
AGENTGATEWAY_PARAMETERS = Resource("agentgateway.dev", "v1alpha1", "agentgatewayparameters", "AgentgatewayParameters")

CONFIGURED: dict[str, Resource] = {
    item.kind: item for item in (CONFIG_MAPS, OPENTELEMETRY_COLLECTORS, GATEWAY_CONFIGS, AGENTGATEWAY_PARAMETERS)
}
"""Kinds of ``install.resource.ref``, by kind."""

WORKLOADS: dict[str, Resource] = {item.kind: item for item in (DEPLOYMENTS, STATEFUL_SETS, DAEMON_SETS)}
"""Kinds with a pod template that may be injected into, by kind."""


@dataclass(frozen=True, slots=True)
class ResourcePath:
    """The parts of a request path; prints as people name objects, e.g. ``deployments.apps team-a/litellm``."""

    group: str
    resource: str
    namespace: str
    name: str
    subresource: str

    @classmethod
    def parse(cls, path: str) -> ResourcePath:
        """Take a path apart; what is not a resource path (``/version``) becomes the name of no resource."""
        parts = [unquote(part) for part in path.partition("?")[0].strip("/").split("/")]
        if parts[0] == "api" and len(parts) > 2:
            group, rest = "", parts[2:]
        elif parts[0] == "apis" and len(parts) > 3:
            group, rest = parts[1], parts[3:]
        else:
            return cls("", "", "", path, "")
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
            namespace, rest = rest[1], rest[2:]
        resource, name, subresource = (*rest, "", "")[:3]
        return cls(group, resource, namespace, name, subresource)

    @property
    def rbac_resource(self) -> str:
        """The resource as RBAC rules name it, with its subresource, e.g. ``gatewaytelemetries/status``."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource

    def __str__(self) -> str:
        resource = f"{self.resource}.{self.group}" if self.group else self.resource
        if self.subresource:
            resource += f"/{self.subresource}"
        where = f"{self.namespace}/{self.name}" if self.namespace and self.name else self.namespace or self.name
        return f"{resource} {where}".strip()


def _part(text: str) -> str:
    if not text or text in (".", ".."):
        raise ValueError(f"{text!r} cannot be part of an API path")
    return quote(text, safe="")
