"""LangSmith in the same cluster, in the shapes that its chart has: what serviceRef has to say in each.

Its frontend's Service maps ports 80 and 443 to one port of the container, which speaks TLS only with
``frontend.ssl.enabled``. With ``config.basePath`` it serves below a prefix, here behind Envoy, which routes by path.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from hack import image

from tests.support import node_install, objects
from tests.support.cluster import Kubectl, available
from tests.support.kube import Kube, wait
from tests.support.langsmith import CertificateAuthority
from tests.support.node_machine import Machine
from tests.support.node_traffic import Traffic, gateway
from tests.support.objects import Object
from tests.unit.langsmith_standin.clients import KEY, WORKSPACE

FRONTEND = "langsmith-frontend"
PLAIN, TLS, PREFIXED = "langsmith-plain", "langsmith-tls", "langsmith-prefixed"
BASE_PATH = "langsmith/dev"
CONTAINER_PORT = 8080
EXTENSIONS = "type.googleapis.com/envoy.extensions.filters"


def service(namespace: str, name: str, *ports: int) -> Object:
    """Return a Service whose ports all lead to the one of the container."""
    entries = [{"name": f"port-{port}", "port": port, "targetPort": CONTAINER_PORT} for port in ports]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": objects.metadata(name, namespace),
        "spec": {"selector": {"app": name}, "ports": entries},
    }


def server(namespace: str, name: str, image_: str, arguments: list[str], **container: object) -> Object:
    probe = {"tcpSocket": {"port": CONTAINER_PORT}, "periodSeconds": 1}
    main = {"name": "main", "image": image_, "imagePullPolicy": "Never", "args": arguments, "readinessProbe": probe}
    return node_install.restricted(objects.deployment(namespace, name, containers=[{**main, **container}]))


def langsmith(namespace: str, *arguments: str, **container: object) -> Object:
    base = ["--host=0.0.0.0", f"--port={CONTAINER_PORT}", f"--key={KEY}={WORKSPACE}"]
    return server(namespace, FRONTEND, image.LANGSMITH, [*base, *arguments], **container)


def path_routing(namespace: str) -> list[Object]:
    """Return an Envoy that knows one prefix."""
    route = {"match": {"prefix": f"/{BASE_PATH}/"}, "route": {"cluster": "langsmith"}}
    manager = {
        "@type": f"{EXTENSIONS}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "ingress",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{EXTENSIONS}.http.router.v3.Router"},
            }
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    bootstrap = {
        "static_resources": {
            "listeners": [{"address": _address("0.0.0.0", CONTAINER_PORT), "filter_chains": [chain]}],  # noqa: S104
            "clusters": [
                {
                    "name": "langsmith",
                    "type": "STRICT_DNS",
                    "dns_lookup_family": "V4_ONLY",
                    "load_assignment": {
                        "cluster_name": "langsmith",
                        "endpoints": [
                            {
                                "lb_endpoints": [
                                    {"endpoint": {"address": _address(f"{FRONTEND}.{namespace}.svc.cluster.local", 80)}}
                                ]
                            }
                        ],
                    },
                }
            ],
        }
    }
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": objects.metadata("ingress", namespace),
        "data": {"envoy.json": json.dumps(bootstrap)},
    }
    mount = {"name": "config", "mountPath": "/etc/envoy"}
    deployment = server(namespace, "ingress", image.ENVOY, ["-c", "/etc/envoy/envoy.json"], volumeMounts=[mount])
    deployment["spec"]["template"]["spec"]["volumes"] = [{"name": "config", "configMap": {"name": "ingress"}}]
    return [config, deployment, service(namespace, "ingress", 80)]


def _address(host: str, port: int) -> Object:
    return {"socket_address": {"address": host, "port_value": port}}


def connect(kube: Kube, namespace: str, name: str, reference: Object, **spec: object) -> None:
    """Let a gateway of the namespace send to a LangSmith of the namespace."""
    key = {"secretRef": {"name": "langsmith", "key": "api-key"}}
    self_hosted = {"serviceRef": reference} | ({"basePath": spec.pop("basePath")} if "basePath" in spec else {})
    more = {"allowPlaintext": True} if reference["scheme"] == "http" else {}
    trust = {"caBundleRef": {"kind": "ConfigMap", "name": "langsmith-ca", "key": "ca.crt"}} if namespace == TLS else {}
    credentials = {"ingest": key, "read": key}
    kube.apply(
        objects.target(namespace, name, selfHosted=self_hosted, credentials=credentials, **more, **trust, **spec)
    )
    for item in (*gateway(namespace, name), objects.gateway(namespace, name, app=name, targetRef={"name": name})):
        kube.apply(item)


@pytest.fixture(scope="module")
def clusters(
    machine: Machine, images: None, kube: Kube, kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    machine.load(image.envoy())
    folder = tmp_path_factory.mktemp("in-cluster")
    ca = CertificateAuthority(folder)
    certificate = ca.server(f"{FRONTEND}.{TLS}.svc")
    helm = node_install.helm_of(kubectl.kubeconfig, folder)
    # Services of the target's own namespace need no entry in allowedHosts.
    with node_install.installed(helm, kube):
        for namespace in (PLAIN, TLS, PREFIXED):
            node_install.namespace(kube, namespace, node_install.RESTRICTED)
            kube.apply(objects.secret(namespace, key=KEY))
            kube.apply(service(namespace, FRONTEND, 80, 443))
        kube.apply(langsmith(PLAIN))
        kube.apply(langsmith(PREFIXED, f"--base-path={BASE_PATH}"))
        for item in path_routing(PREFIXED):
            kube.apply(item)
        kube.apply(objects.ca_bundle(TLS, ca.bundle.read_text()))
        for item in with_tls(certificate.certificate, certificate.key):
            kube.apply(item)
        for namespace, name in ((PLAIN, FRONTEND), (TLS, FRONTEND), (PREFIXED, FRONTEND), (PREFIXED, "ingress")):
            wait(f"{namespace}/{name} runs", partial(available, kube, namespace, name), 60)
        yield
        for namespace in (PLAIN, TLS, PREFIXED):
            kube.delete("namespace", None, namespace)


def with_tls(certificate: Path, key: Path) -> list[Object]:
    """Return LangSmith's frontend with TLS, and the Secret that it takes its certificate from."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": objects.metadata("frontend-tls", TLS),
        "stringData": {"tls.crt": certificate.read_text(), "tls.key": key.read_text()},
    }
    mount = {"name": "tls", "mountPath": "/tls"}
    deployment = langsmith(TLS, "--tls-cert=/tls/tls.crt", "--tls-key=/tls/tls.key", volumeMounts=[mount])
    deployment["spec"]["template"]["spec"]["volumes"] = [{"name": "tls", "secret": {"secretName": "frontend-tls"}}]
    return [secret, deployment]


SHAPES = {
    "port-80": (PLAIN, {"name": FRONTEND, "port": 80, "scheme": "http"}),
    "port-443": (PLAIN, {"name": FRONTEND, "port": 443, "scheme": "http"}),
    "ssl-port-443": (TLS, {"name": FRONTEND, "port": 443, "scheme": "https"}),
    "ssl-port-80": (TLS, {"name": FRONTEND, "port": 80, "scheme": "https"}),
    "prefix": (PREFIXED, {"name": "ingress", "port": 80, "scheme": "http"}),
}
URLS = {
    "port-80": "http://langsmith-frontend.langsmith-plain.svc/api/v1/otel/v1/traces",
    "port-443": "http://langsmith-frontend.langsmith-plain.svc:443/api/v1/otel/v1/traces",
    "ssl-port-443": "https://langsmith-frontend.langsmith-tls.svc/api/v1/otel/v1/traces",
    "ssl-port-80": "https://langsmith-frontend.langsmith-tls.svc:80/api/v1/otel/v1/traces",
    "prefix": "http://ingress.langsmith-prefixed.svc/langsmith/dev/api/v1/otel/v1/traces",
}


def test_traces_arrive_in_each_shape(clusters: None, kube: Kube) -> None:
    for name, (namespace, reference) in SHAPES.items():
        connect(kube, namespace, name, reference, **({"basePath": BASE_PATH} if name == "prefix" else {}))
    for name, (namespace, _) in SHAPES.items():
        target = kube.wait_condition("lst", namespace, name, "Ready", timeout=120)
        assert target["status"]["endpoints"]["traces"] == URLS[name]
        kube.wait_condition("gt", namespace, name, "Programmed", timeout=120)
        traffic = Traffic(kube, namespace, [name])
        wait(f"{name} answers", partial(traffic.ask, name, flush=True), 30)
    for name, (namespace, _) in SHAPES.items():
        kube.wait_condition("gt", namespace, name, "Delivered", timeout=120)


@pytest.mark.parametrize(
    ("name", "namespace", "port", "scheme", "reason"),
    [
        ("tls-wanted", PLAIN, 443, "https", "TLSNotSpoken"),
        ("plain-wanted", TLS, 80, "http", "TLSExpected"),
    ],
)
def test_a_wrong_scheme_has_its_own_reason(
    clusters: None, kube: Kube, name: str, namespace: str, port: int, scheme: str, reason: str
) -> None:
    connect(kube, namespace, name, {"name": FRONTEND, "port": port, "scheme": scheme})
    kube.wait_condition("lst", namespace, name, "Reachable", "False", reason, timeout=60)


def test_a_prefix_that_the_proxy_does_not_know(clusters: None, kube: Kube) -> None:
    reference = {"name": "ingress", "port": 80, "scheme": "http"}
    connect(kube, PREFIXED, "no-prefix", reference)
    kube.wait_condition("lst", PREFIXED, "no-prefix", "Reachable", "False", "APINotFound", timeout=60)
