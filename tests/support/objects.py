"""Objects as users would write them, with what a test cares about as arguments."""

from __future__ import annotations

import base64
from typing import Any

import yaml

Object = dict[str, Any]

API_VERSION = "gatewaytelemetry.dev/v1alpha1"
SOURCE = {"gatewaytelemetry.dev/role": "source"}
KEY = "lsv2_sk_0123456789abcdef_test"


def as_yaml(value: Any) -> str:
    """A file of a ConfigMap."""
    text: str = yaml.safe_dump(value, sort_keys=False)
    return text


def metadata(name: str, namespace: str, **more: Any) -> Object:
    return {"name": name, "namespace": namespace, **more}


def secret(namespace: str, name: str = "langsmith", key: str | bytes = KEY, **labels: str) -> Object:
    """A labelled source Secret with one key, api-key."""
    raw = key if isinstance(key, bytes) else key.encode()
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(name, namespace, labels=SOURCE | labels),
        "data": {"api-key": base64.b64encode(raw).decode()},
    }


def ca_bundle(namespace: str, pem: str, name: str = "langsmith-ca") -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(name, namespace, labels=SOURCE),
        "data": {"ca.crt": pem},
    }


def target(namespace: str, name: str = "prod", **spec: Any) -> Object:
    """A LangSmithTarget; EU SaaS with project checkout unless the spec says otherwise."""
    base: Object = {"credentials": {"ingest": {"secretRef": {"name": "langsmith", "key": "api-key"}}}}
    if "selfHosted" not in spec and "saas" not in spec:
        base["saas"] = {"region": "eu"}
    return {
        "apiVersion": API_VERSION,
        "kind": "LangSmithTarget",
        "metadata": metadata(name, namespace),
        "spec": {**base, "project": "checkout", **spec},
    }


def gateway(
    namespace: str, name: str = "gateway", type_: str = "otel-sdk", app: str = "gateway", **spec: Any
) -> Object:
    """A GatewayTelemetry for Deployments with the label app."""
    return {
        "apiVersion": API_VERSION,
        "kind": "GatewayTelemetry",
        "metadata": metadata(name, namespace),
        "spec": {
            "targetRef": {"name": "prod"},
            "gateway": {"type": type_},
            "install": {"inject": {"workloads": {"selector": {"matchLabels": {"app": app}}}}},
            **spec,
        },
    }


def reference(namespace: str, name: str = "gateway", app: str = "gateway", **way: Any) -> Object:
    """A GatewayTelemetry that writes only the Secret ``traces``, which the Deployments with the label refer to."""
    workloads = {"selector": {"matchLabels": {"app": app}}}
    install = {"reference": {"secretName": "traces", "workloads": workloads, **way}}
    return gateway(namespace, name, app=app, install=install)


def deployment(
    namespace: str,
    name: str = "gateway",
    app: str | None = None,
    containers: list[Object] | None = None,
    replicas: int = 1,
    annotations: dict[str, str] | None = None,
    spec: Object | None = None,
    **container: Any,
) -> Object:
    """A Deployment of one container, ``main``, unless containers are given.

    Args:
        annotations: of the pod template; ``hack/kwok/fates.yaml`` lists those by which a test makes pods fail.
        spec: further fields of the Deployment's spec.
    """
    labels = {"app": app or name}
    one = {"name": "main", "image": "registry.example/gateway:1", **container}
    pods: Object = {"labels": labels}
    if annotations:
        pods["annotations"] = annotations
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(name, namespace, labels=labels),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": pods, "spec": {"containers": containers or [one]}},
            **(spec or {}),
        },
    }


def stateful_set(namespace: str, replicas: int = 1, **more: Any) -> Object:
    """A StatefulSet; arguments as for `deployment`."""
    item = deployment(namespace, replicas=replicas, **more)
    item["kind"] = "StatefulSet"
    item["spec"]["serviceName"] = item["metadata"]["name"]
    return item


def daemon_set(namespace: str, **more: Any) -> Object:
    """A DaemonSet; arguments as for `deployment`, but for the replicas: one pod on each node."""
    item = deployment(namespace, **more)
    item["kind"] = "DaemonSet"
    del item["spec"]["replicas"]
    return item


def autoscaler(namespace: str, name: str = "gateway", low: int = 2, high: int = 5) -> Object:
    """A HorizontalPodAutoscaler of the Deployment of that name."""
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata(name, namespace),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": low,
            "maxReplicas": high,
        },
    }
