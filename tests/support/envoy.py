"""The real Envoy, as the pod of a live Deployment would run it: with the files of the mounted Secret."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import yaml
from hack.cluster import free_ports

from tests.support.gateway_process import GatewayProcess
from tests.support.gateway_venv import installed
from tests.support.pod import File, Mount
from tests.support.pod_process import PodProcess

LOCK = Path(__file__).resolve().parents[2] / "hack" / "envoy" / "requirements.txt"
START_SECONDS = 30.0
TRACING = "envoy-tracing.yaml"
CLUSTERS = "envoy-cds.yaml"


class Envoy(GatewayProcess):
    """Envoy on a free port of loopback, with the operator's tracing block in its one listener.

    Args:
        mounts: the container's; one holds the operator's two files.
        folder: where its log goes.
    """

    def __init__(self, mounts: Sequence[Mount], folder: Path) -> None:
        [files] = [mount for mount in mounts if TRACING in mount.files]
        [port] = free_ports(1)
        tracing = yaml.safe_load(files.files[TRACING].content)
        bootstrap = yaml.safe_dump(_bootstrap(tracing, f"{files.path}/{CLUSTERS}", port)).encode()
        log = folder / "envoy.log"
        program = str(installed(LOCK) / "envoy")
        arguments = ["-c", "/etc/envoy-bootstrap.yaml", "--use-dynamic-base-id", "--concurrency", "1", "-l", "warn"]
        own = Mount("/etc/envoy-bootstrap.yaml", {"": File(bootstrap)}, read_only=True)
        process = PodProcess([program, *arguments], {}, [*mounts, own], log=log)
        http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10, trust_env=False)
        super().__init__("Envoy", process, http, ready="/ready", start_seconds=START_SECONDS, log=log)

    def get(self, path: str) -> None:
        """Send one request through it."""
        self._http.get(path).raise_for_status()


def _bootstrap(tracing: dict[str, Any], clusters: str, port: int) -> dict[str, Any]:
    """Return a bootstrap as somebody writes it who puts the rendered block into a listener of their own."""
    api = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
    manager = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    answer = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "ok"}}}
    config = {
        "@type": f"type.googleapis.com/{manager}",
        "stat_prefix": "ingress",
        "tracing": tracing,
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [answer]}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": api}}],
    }
    listener = {
        "name": "ingress",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "manager", "typed_config": config}]}],
    }
    flush = {"tracing": {"opentelemetry": {"flush_interval_ms": 200, "min_flush_spans": 1}}}
    return {
        "node": {"id": "test", "cluster": "test"},
        "static_resources": {"listeners": [listener]},
        "dynamic_resources": {"cds_config": {"path_config_source": {"path": clusters}}},
        "layered_runtime": {"layers": [{"name": "static", "static_layer": flush}]},
    }
