"""Objects as an API server sends them, the store that they make, and what a plan does to both."""

from __future__ import annotations

import base64
import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gateway_telemetry.api.conditions import Finding
from gateway_telemetry.plan.checks import EnvFromKeys
from gateway_telemetry.plan.gateways import GatewayPlan, Planner, WorkloadKey
from gateway_telemetry.plan.injection import merged
from gateway_telemetry.plan.options import Options
from gateway_telemetry.plan.reference import reference_objects, restart_body
from gateway_telemetry.plan.resource_write import Found, patched, resource_secret
from gateway_telemetry.plan.restore import still_there, withdrawn
from gateway_telemetry.plan.secret import secret_object
from gateway_telemetry.plan.sinks import SinkState
from gateway_telemetry.plan.store import Gateway, Store, project_gateway, project_target
from gateway_telemetry.plan.targets import Refused, TargetResult, resolve
from gateway_telemetry.plan.turns import Gate
from gateway_telemetry.plan.views import (
    Pod,
    Workload,
    project_ca_copy,
    project_pod,
    project_record,
    project_source,
    project_workload,
)
from gateway_telemetry.plan.writes import Write

NS = "shop"
GOLDEN = Path(__file__).parent / "golden"
CA_PEM = (GOLDEN / "ca.crt").read_text()
MARK = "marked4711"
"""Part of every key in these tests, so that one search finds a leak."""
KEY = f"lsv2_sk_{MARK}_0123456789abcdef"
ROLE = "gatewaytelemetry.dev/role"
HOSTS = "gatewaytelemetry.dev/hosts"
HASH = "gatewaytelemetry.dev/config-hash"
RECORD = "gatewaytelemetry.dev/record"
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
MANAGED_BY = {"app.kubernetes.io/managed-by": "gateway-telemetry-operator"}

Object = dict[str, Any]


def custom(kind: str, name: str, namespace: str, spec: Mapping[str, Any], created: str, **metadata: Any) -> Object:
    return {
        "apiVersion": "gatewaytelemetry.dev/v1alpha1",
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{kind}-{namespace}-{name}",
            "generation": 1,
            "creationTimestamp": created,
            **metadata,
        },
        "spec": {key: value for key, value in spec.items() if value is not None},
    }


def target(name: str = "langsmith", namespace: str = NS, **spec: Any) -> Object:
    """Return a target; a spec field given as None is left out."""
    base = {
        "saas": {"region": "eu"},
        "credentials": {"ingest": {"secretRef": {"name": "langsmith", "key": "api-key"}}},
        "project": "checkout",
    }
    return custom("LangSmithTarget", name, namespace, {**base, **spec}, "2026-01-01T00:00:00Z")


def hosted(url: str, **spec: Any) -> Object:
    """Return a target with a self-hosted LangSmith at a URL."""
    base_path = spec.pop("basePath", None)
    block = {"url": url} if base_path is None else {"url": url, "basePath": base_path}
    return target(saas=None, selfHosted=block, **spec)


def behind_service(namespace: str | None = None, port: int = 443, scheme: str = "https", **spec: Any) -> Object:
    """Return a target whose LangSmith is reached by the Service langsmith-frontend."""
    reference = {"name": "langsmith-frontend", "port": port, "scheme": scheme}
    if namespace is not None:
        reference["namespace"] = namespace
    return target(saas=None, selfHosted={"serviceRef": reference}, **spec)


def gateway(
    name: str = "checkout",
    namespace: str = NS,
    *,
    created: str = "2026-01-02T00:00:00Z",
    labels: Mapping[str, str] | None = None,
    selector: Mapping[str, Any] | None = None,
    container: str | None = None,
    deleting: bool = False,
    **spec: Any,
) -> Object:
    """Return a GatewayTelemetry of type litellm that selects ``app: litellm``."""
    inject: Object = {"workloads": {"selector": selector or {"matchLabels": dict(labels or {"app": "litellm"})}}}
    if container is not None:
        inject["container"] = container
    base = {"targetRef": {"name": "langsmith"}, "gateway": {"type": "litellm"}, "install": {"inject": inject}}
    more = {"deletionTimestamp": "2026-01-09T00:00:00Z"} if deleting else {}
    return custom("GatewayTelemetry", name, namespace, {**base, **spec}, created, **more)


def referring(
    named: str = "litellm-otlp",
    name: str = "checkout",
    *,
    created: str = "2026-01-02T00:00:00Z",
    labels: Mapping[str, str] | None = None,
    kind: str = "Deployment",
    rollout: Mapping[str, Any] | None = None,
    **spec: Any,
) -> Object:
    """Return a GatewayTelemetry whose chart refers to a Secret."""
    workloads = {"kind": kind, "selector": {"matchLabels": dict(labels or {"app": "litellm"})}}
    reference: Object = {"secretName": named, "workloads": workloads}
    if rollout is not None:
        reference["rollout"] = dict(rollout)
    return gateway(name, created=created, install={"reference": reference}, **spec)


def injecting(
    name: str = "checkout",
    *,
    created: str = "2026-01-02T00:00:00Z",
    labels: Mapping[str, str] | None = None,
    kind: str = "Deployment",
    rollout: Mapping[str, Any] | None = None,
    **spec: Any,
) -> Object:
    """Return a GatewayTelemetry that writes into workloads of a kind."""
    inject: Object = {"workloads": {"kind": kind, "selector": {"matchLabels": dict(labels or {"app": "litellm"})}}}
    if rollout is not None:
        inject["rollout"] = dict(rollout)
    return gateway(name, created=created, install={"inject": inject}, **spec)


def annotated(obj: Object, **annotations: str) -> Object:
    """Return an object of ours with annotations, named without their group."""
    found = {f"gatewaytelemetry.dev/{name}": value for name, value in annotations.items()}
    return {**obj, "metadata": {**obj["metadata"], "annotations": found}}


def container(name: str = "litellm", **fields: Any) -> Object:
    """Return a container with the defaults of the API server."""
    return {
        "name": name,
        "image": f"registry.example.com/{name}:1",
        "imagePullPolicy": "IfNotPresent",
        "resources": {},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        **fields,
    }


def env(**values: str) -> list[Object]:
    """Return variables with literal values."""
    return [{"name": name, "value": value} for name, value in values.items()]


def deployment(
    name: str = "litellm",
    namespace: str = NS,
    *,
    labels: Mapping[str, str] | None = None,
    containers: list[Object] | None = None,
    volumes: list[Object] | None = None,
    replicas: int | None = 1,
    paused: bool = False,
    generation: int = 1,
    status: Mapping[str, Any] | None = None,
    deleting: bool = False,
    uid: str | None = None,
) -> Object:
    """Return a Deployment that has rolled out, with the defaults of the API server."""
    pods = 1 if replicas is None else replicas
    done = {"observedGeneration": generation, "replicas": pods, "updatedReplicas": pods, "availableReplicas": pods}
    pod: Object = {"containers": containers or [container()], "restartPolicy": "Always", "dnsPolicy": "ClusterFirst"}
    if volumes:
        pod["volumes"] = volumes
    spec: Object = {
        "selector": {"matchLabels": {"pod": name}},
        "template": {"metadata": {"labels": {"pod": name}}, "spec": pod},
    }
    if replicas is not None:
        spec["replicas"] = replicas
    if paused:
        spec["paused"] = True
    metadata: Object = {
        "name": name,
        "namespace": namespace,
        "uid": uid or f"uid-Deployment-{namespace}-{name}",
        "generation": generation,
        "labels": dict(labels or {"app": "litellm"}),
    }
    if deleting:
        metadata["deletionTimestamp"] = "2026-01-09T00:00:00Z"
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": spec,
        "status": done if status is None else dict(status),
    }


def of_kind(kind: str, obj: Object, **status: Any) -> Object:
    """Return a Deployment of these tests as another kind of workload, with that kind's status."""
    metadata = {**obj["metadata"], "uid": f"uid-{kind}-{obj['metadata']['namespace']}-{obj['metadata']['name']}"}
    return {**obj, "kind": kind, "metadata": metadata, "status": status}


def pod(
    name: str = "litellm-1",
    *,
    created: str = "2026-01-03T00:00:00Z",
    config_hash: str | None = None,
    restarted_at: str | None = None,
    waiting: str | None = None,
    **metadata: Any,
) -> Object:
    """Return a pod; `waiting` is why its container does not run."""
    annotations = {HASH: config_hash, RESTARTED_AT: restarted_at}
    state: Object = {"running": {}} if waiting is None else {"waiting": {"reason": waiting}}
    return {
        "metadata": {
            "name": name,
            "namespace": NS,
            "creationTimestamp": created,
            "annotations": {key: value for key, value in annotations.items() if value is not None},
            **metadata,
        },
        "status": {"phase": "Running", "containerStatuses": [{"name": "litellm", "state": state}]},
    }


def secret(
    data: Mapping[str, str | bytes] | None = None,
    name: str = "langsmith",
    namespace: str = NS,
    annotations: Mapping[str, str] | None = None,
) -> Object:
    """Return a labelled source Secret."""
    raw = {"api-key": KEY} if data is None else data
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {ROLE: "source"},
            "annotations": dict(annotations or {}),
        },
        "data": {key: base64.b64encode(_bytes(value)).decode() for key, value in raw.items()},
    }


def config_map(data: Mapping[str, str], name: str = "corp-ca", namespace: str = NS) -> Object:
    """Return a labelled source ConfigMap."""
    metadata = {"name": name, "namespace": namespace, "labels": {ROLE: "source"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(data)}


def namespace_object(name: str, **labels: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def service(name: str = "langsmith-frontend", namespace: str = NS, **spec: Any) -> Object:
    base = {"type": "ClusterIP", "selector": {"app": name}, "ports": [{"port": 80}, {"port": 443}]}
    kept = {key: value for key, value in {**base, **spec}.items() if value is not None}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace}, "spec": kept}


class World:
    """A store with what fills it, and a planner over it."""

    def __init__(self, *objects: Object, options: Options | None = None, env_from: EnvFromKeys | None = None) -> None:
        self.store = Store()
        self.options = options or Options()
        self.env_from: EnvFromKeys = env_from or {}
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.pods: dict[WorkloadKey, Sequence[Pod]] = {}
        self.gate: Gate | None = None
        self.files: Mapping[str, str] = {"config.yaml": "litellm_settings: {callbacks: [otel]}"}
        for obj in objects:
            self.put(obj)

    def put(self, obj: Object) -> None:
        """Store an object, or replace the one of its name."""
        metadata = obj["metadata"]
        key = obj["kind"], metadata.get("namespace", ""), metadata["name"]
        self.objects[key] = obj
        match obj["kind"]:
            case "LangSmithTarget":
                self.store.put_target(project_target(obj))
            case "GatewayTelemetry":
                self.store.put_gateway(project_gateway(obj))
            case "Deployment" | "StatefulSet" | "DaemonSet":
                self.store.put_workload(project_workload(obj))
            case "Namespace":
                self.store.namespaces[metadata["name"]] = dict(metadata["labels"])
            case "ConfigMap" if ROLE not in metadata.get("labels", {}):
                pass
            case "ConfigMap" if metadata["labels"][ROLE] == "copy":
                copied = project_ca_copy(obj)
                assert copied is not None
                self.store.ca_copies[metadata["namespace"], metadata["name"]] = copied
            case "Secret" if metadata["labels"][ROLE] == "copy":
                record = project_record(obj)
                assert record is not None
                self.store.put_record(record)
            case "Secret" | "ConfigMap":
                self.store.sources[key] = project_source(obj)

    def resolve(self, name: str = "langsmith", namespace: str = NS) -> TargetResult:
        """Resolve a target."""
        view = self.store.targets[namespace, name]
        reference = view.spec.self_hosted.service_ref if view.spec and view.spec.self_hosted else None
        found = None
        if reference is not None:
            found = self.objects.get(("Service", reference.namespace or namespace, reference.name))
        return resolve(view, self.store, self.options, found)

    def plan(
        self,
        name: str = "checkout",
        namespace: str = NS,
        failures: Mapping[WorkloadKey, Refused] | None = None,
    ) -> GatewayPlan:
        """Plan a GatewayTelemetry."""
        planner = Planner(
            self.store,
            self.options,
            lambda view: self.resolve(view.name, view.namespace),
            lambda workload: self.env_from,
            lambda workload: self.pods.get(workload.key),
            self.gate,
            lambda workload: self.files,
            self.resource,
        )
        return planner.plan(self.store.gateways[namespace, name], failures)

    def resource(self, view: Gateway) -> Found:
        """Return the object that ``install.resource`` names."""
        assert view.spec is not None
        assert view.spec.install.resource is not None
        ref = view.spec.install.resource.ref
        return Found(self.objects.get((ref.kind, view.namespace, ref.name)))

    def run(self, *pods: Object, name: str = "litellm", kind: str = "Deployment") -> None:
        """Let a workload have these pods."""
        self.pods[kind, NS, name] = [view for item in pods if (view := project_pod(item)) is not None]

    def carry_out(
        self, name: str = "checkout", namespace: str = NS, *, template: bool = True, now: str = "2026-01-03T00:00:00Z"
    ) -> GatewayPlan:
        """Plan, and do to the objects what the operator would; the rollouts finish at once.

        Args:
            template: False stops after the Secret, as a crash would.
        """
        plan = self.plan(name, namespace)
        view = self.store.gateways[namespace, name]
        if plan.resource is not None and plan.resource.due:
            self.put(resource_secret(view, plan.resource))
            key = plan.resource.kind, plan.resource.namespace, plan.resource.name
            self.put(patched(self.objects[key], plan.resource.patch))
        for sink in plan.sinks:
            write = sink.write
            if sink.restart:
                self.put(_restarted(self.objects[sink.workload.key], sink.workload, sink.restart))
            if write is None:
                continue
            if write.secret_stale:
                self.put(secret_object(view, write))
            if write.template_stale and template:
                self.put(written(self.objects[sink.workload.key], sink.workload, write))
        if plan.reference is not None and plan.reference.due:
            for item in reference_objects(view, plan.reference, now):
                if item is not None:
                    self.put(item)
        return plan


def written(obj: Object, live: Workload, write: Write) -> Object:
    """Return the Deployment after a write: what was claimed and is not wanted goes, what is wanted comes."""
    bare = obj if write.previous is None else withdrawn(obj, still_there(write.previous, live))
    return merged(bare, write.injection, write.secret)


def _restarted(obj: Object, live: Workload, since: str) -> Object:
    annotations = restart_body(live, since)["spec"]["template"]["metadata"]["annotations"]
    result = copy.deepcopy(obj)
    result["spec"]["template"]["metadata"].setdefault("annotations", {}).update(annotations)
    return result


def finding(findings: tuple[Finding, ...], type_: str) -> Finding:
    """Return the one finding of a type."""
    (found,) = [item for item in findings if item.type == type_]
    return found


def only_sink(plan: GatewayPlan) -> SinkState:
    """Return the one sink."""
    (sink,) = plan.sinks
    return sink


def only_write(plan: GatewayPlan) -> Write:
    """Return the write of the one sink."""
    write = only_sink(plan).write
    assert write is not None
    return write


def one_gateway(*more: Object, workload: Object | None = None, view: Object | None = None, **options: Any) -> World:
    """Return a world with a target, its key, one gateway and one Deployment."""
    return World(target(), secret(), view or gateway(), workload or deployment(), *more, **options)


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value
