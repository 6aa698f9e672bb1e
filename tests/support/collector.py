"""A real Collector as the pod of a live Deployment, and a program that sends it one span."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from hack.tools import TOOLS, build
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult

from tests.support import objects
from tests.support.kube import Kube, wait
from tests.support.objects import Object
from tests.support.pod import Mount, pod_arguments, pod_environment, pod_files
from tests.support.pod_process import PodProcess

FOLDER = "/conf"
KEY = "relay"
CONFIG = """\
# The team's Collector. Ask before you touch it.
receivers:
  otlp:
    protocols:
      http:
        endpoint: 127.0.0.1:{port}   # not for others
processors:
  batch: {{timeout: 100ms}}
exporters:
  # everything, to the log
  debug:
    verbosity: "basic"

# what goes where
service:
  telemetry:
    metrics:
      level: none
  pipelines:
    metrics: {{receivers: [otlp], exporters: [debug]}}
    traces:
      receivers: [otlp]
      processors: [batch]
      exporters: [debug]   # one for now
"""


def config_map(namespace: str, text: str, name: str = "otelcol") -> Object:
    """The ConfigMap that holds a Collector's configuration."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": objects.metadata(name, namespace),
        "data": {KEY: text, "other": "not ours"},
    }


def deployment(namespace: str, name: str = "otelcol", **more: Any) -> Object:
    """The Collector's Deployment, as its chart renders it: the ConfigMap is a volume."""
    volumes = [{"name": "config", "configMap": {"name": name}}]
    item = objects.deployment(
        namespace,
        name,
        args=[f"--config={FOLDER}/{KEY}"],
        volumeMounts=[{"name": "config", "mountPath": FOLDER}],
        **more,
    )
    item["spec"]["template"]["spec"]["volumes"] = volumes
    return item


@contextmanager
def running(kube: Kube, live: Object, port: int, log: Path, extra: Sequence[Mount] = ()) -> Iterator[PodProcess]:
    """Run the Collector with what its live Deployment and ConfigMap say."""
    env = pod_environment(kube, live)
    command = [str(build(TOOLS["otelcol"])), *pod_arguments(live, env)]
    with PodProcess(command, env, [*pod_files(kube, live), *extra], log=log) as process:

        def listens() -> bool:
            process.check()
            try:
                return httpx.get(f"http://127.0.0.1:{port}/", timeout=2, trust_env=False).status_code > 0
            except httpx.TransportError:
                return False

        wait("the Collector listens", listens, 30)
        yield process


def send_span(port: int, name: str) -> None:
    """Send one span to the Collector; it must take it."""
    with_status: list[SpanExportResult] = []

    class Exporter(OTLPSpanExporter):
        def export(self, spans: object) -> SpanExportResult:
            with_status.append(super().export(spans))  # type: ignore[arg-type]
            return with_status[-1]

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(Exporter(endpoint=f"http://127.0.0.1:{port}/v1/traces")))
    provider.get_tracer("test").start_span(name).end()
    provider.shutdown()
    assert with_status == [SpanExportResult.SUCCESS]
