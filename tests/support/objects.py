"""Objects as users would write them, with what a test cares about as arguments."""

from __future__ import annotations

import base64
from typing import Any

Object = dict[str, Any]

API_VERSION = "gatewaytelemetry.dev/v1alpha1"
SOURCE = {"gatewaytelemetry.dev/role": "source"}
KEY = "lsv2_sk_0123456789abcdef_test"


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


def deployment(
    namespace: str,
    name: str = "gateway",
    app: str | None = None,
    containers: list[Object] | None = None,
    replicas: int = 1,
    **container: Any,
) -> Object:
    """A Deployment of one container, ``main``, unless containers are given."""
    labels = {"app": app or name}
    one = {"name": "main", "image": "registry.example/gateway:1", **container}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(name, namespace, labels=labels),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers or [one]}},
        },
    }
