"""Gateways that can run for real, each as its users deploy it, and how a request goes through it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hack import tools
from hack.cluster import free_ports

from tests.programs import python_sdk
from tests.support import collector, node, objects
from tests.support.envoy import Envoy
from tests.support.kube import Kube
from tests.support.litellm import LiteLLM
from tests.support.objects import Object
from tests.support.pod import Mount, pod_arguments, pod_environment, pod_files
from tests.support.pod_process import PodProcess

PROGRAM_SECONDS = 60
OWN_CA = "/etc/own-ca/ca.crt"
"""Where the user of the one gateway that takes no certificate for its exporter mounts the CA."""
_OFFLINE = {"NO_DOCS": "True", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}
_TOOLS = Path(tools.__file__)


@dataclass(frozen=True)
class Row:
    """One gateway.

    Attributes:
        title: in the table.
        gateway: ``spec.gateway``.
        manifests: what its user deploys, given namespace and name.
        send: starts it with the environment and files of the live Deployment, sends a request that holds the mark, and
            runs until the block ends.
        spec: more of the GatewayTelemetry's spec, given the name.
        stamped: whether its spans carry the evidence stamp.
    """

    title: str
    gateway: Object
    manifests: Callable[[str, str], list[Object]]
    send: Callable[[Kube, Object, Sequence[Mount], Path, str], Any]
    spec: Callable[[str], Object] = field(default=lambda _: {})
    stamped: bool = True

    @property
    def slug(self) -> str:
        """Short name for objects."""
        return "".join(char if char.isalnum() else "-" for char in self.title.lower()).strip("-")


def _program(namespace: str, name: str) -> list[Object]:
    return [objects.deployment(namespace, name)]


def _run(command: Callable[[str], list[str]], **env: str) -> Callable[..., Any]:
    """Return a sender that runs a program to its end."""

    @contextmanager
    def send(kube: Kube, live: Object, extra: Sequence[Mount], folder: Path, mark: str) -> Iterator[None]:
        environment = {**pod_environment(kube, live), **{key: value.format(mark=mark) for key, value in env.items()}}
        log = folder / "program.log"
        with PodProcess(command(mark), environment, [*pod_files(kube, live), *extra], log=log) as process:
            assert process.wait(PROGRAM_SECONDS) == 0, log.read_text()
        yield

    return send


def _go(mark: str) -> list[str]:
    found = subprocess.run(
        [sys.executable, str(_TOOLS), "--path", "go-sdk-program"], check=True, stdout=subprocess.PIPE, text=True
    )
    return [found.stdout.strip(), mark]


def litellm(callback: str, **env: str) -> Callable[[str, str], list[Object]]:
    def manifests(namespace: str, name: str) -> list[Object]:
        settings = {"callbacks": [callback], **({"ssl_verify": OWN_CA} if callback == "langsmith" else {})}
        model = {"model": "openai/echo", "api_key": "none", "mock_response": "Hello from LiteLLM"}
        config = {"model_list": [{"model_name": "echo", "litellm_params": model}], "litellm_settings": settings}
        data = {"config.yaml": objects.as_yaml(config), **_OFFLINE}
        mount = [{"name": "config", "mountPath": "/app/config.yaml", "subPath": "config.yaml"}]
        volumes: list[Object] = [{"name": "config", "configMap": {"name": name}}]
        if callback == "langsmith":
            mount.append({"name": "own-ca", "mountPath": str(Path(OWN_CA).parent)})
            volumes.append({"name": "own-ca", "configMap": {"name": "langsmith-ca"}})
        own = {"LITELLM_MASTER_KEY": "sk-0123456789abcdef", "OTEL_BSP_SCHEDULE_DELAY": "200", **env}
        container = {
            "name": "litellm",
            "image": "registry.example/litellm:1",
            "args": ["--config", "/app/config.yaml"],
            "envFrom": [{"configMapRef": {"name": name}}],
            "env": [{"name": key, "value": value} for key, value in own.items()],
            "volumeMounts": mount,
        }
        workload = objects.deployment(namespace, name, containers=[container])
        workload["spec"]["template"]["spec"]["volumes"] = volumes
        metadata = objects.metadata(name, namespace)
        return [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}, workload]

    return manifests


@contextmanager
def _chat(kube: Kube, live: Object, extra: Sequence[Mount], folder: Path, mark: str) -> Iterator[None]:
    env = pod_environment(kube, live, "litellm")
    mounts = [*pod_files(kube, live, "litellm"), *extra]
    with LiteLLM(pod_arguments(live, env, "litellm"), env, mounts, folder) as proxy:
        assert proxy.chat(f"Repeat {mark}") == "Hello from LiteLLM"
        yield


def _envoy(namespace: str, name: str) -> list[Object]:
    mounts = [
        {"name": "files", "mountPath": "/etc/envoy/tracing", "readOnly": True},
        {"name": "ca", "mountPath": "/etc/gateway-telemetry", "readOnly": True},
    ]
    workload = objects.deployment(
        namespace,
        name,
        containers=[
            {
                "name": "envoy",
                "image": "registry.example/envoy:1",
                "volumeMounts": mounts,
            }
        ],
    )
    workload["spec"]["template"]["spec"]["volumes"] = [
        {"name": "files", "secret": {"secretName": f"{name}-traces", "optional": True}},
        {"name": "ca", "configMap": {"name": f"{name}-traces-ca", "optional": True}},
    ]
    return [workload]


@contextmanager
def _request(kube: Kube, live: Object, extra: Sequence[Mount], folder: Path, mark: str) -> Iterator[None]:
    with Envoy([*pod_files(kube, live), *extra], folder) as proxy:
        proxy.get(f"/{mark}")
        yield


def _collector(namespace: str, name: str) -> list[Object]:
    (port,) = free_ports(1)
    workload = collector.deployment(namespace, name, ports=[{"containerPort": port}])
    return [collector.config_map(namespace, collector.CONFIG.format(port=port), name), workload]


@contextmanager
def _span(kube: Kube, live: Object, extra: Sequence[Mount], folder: Path, mark: str) -> Iterator[None]:
    port = live["spec"]["template"]["spec"]["containers"][0]["ports"][0]["containerPort"]
    with collector.running(kube, live, port, folder / "collector.log", extra):
        collector.send_span(port, mark)
        yield


def _resource(name: str) -> Object:
    ref = {"kind": "ConfigMap", "name": name, "key": collector.KEY}
    return {"install": {"resource": {"ref": ref, "workloads": {"selector": {"matchLabels": {"app": name}}}}}}


def _reference(name: str) -> Object:
    workloads = {"selector": {"matchLabels": {"app": name}}}
    return {"install": {"reference": {"secretName": f"{name}-traces", "workloads": workloads}}}


LITELLM = {"type": "litellm"}
SDK = {"type": "otel-sdk"}
ROWS = (
    Row("LiteLLM, callback otel, v1", LITELLM, litellm("otel"), _chat),
    Row(
        "LiteLLM, callback otel, v2",
        LITELLM,
        litellm("otel", LITELLM_OTEL_V2="true"),
        _chat,
        lambda _: {"capture": {"content": True}},
    ),
    Row(
        "LiteLLM, callback langsmith",
        {"type": "litellm", "litellm": {"callback": "langsmith"}, "caInstalled": True},
        litellm("langsmith", LANGSMITH_BATCH_SIZE="1"),
        _chat,
        stamped=False,
    ),
    Row("OpenTelemetry SDK for Python", SDK, _program, _run(lambda mark: [sys.executable, python_sdk.__file__, mark])),
    Row(
        "OpenTelemetry SDK for Node",
        SDK,
        _program,
        _run(lambda _: ["node", str(node.installed() / "export.mjs")], NONCE="{mark}"),
    ),
    Row("OpenTelemetry SDK for Go", SDK, _program, _run(_go)),
    Row("Envoy", {"type": "envoy"}, _envoy, _request, _reference),
    Row(
        "OpenTelemetry Collector, ConfigMap",
        {"type": "otel-collector"},
        _collector,
        _span,
        _resource,
        stamped=False,
    ),
)
