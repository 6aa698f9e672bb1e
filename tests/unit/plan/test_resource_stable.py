"""What is written today for fixed objects, literally: a difference is an upgrade that restarts these gateways."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.plan.build import HASH, NS, World, one_gateway, secret, target
from tests.unit.plan.configuration import collector, collector_config, configuring, naming, object_of

TEXT = """\
receivers:
  otlp: {protocols: {http: {}}}
exporters:
  # to the log
  debug: {}
  otlp_http/gateway-telemetry:
    traces_endpoint: https://eu.api.smith.langchain.com/otel/v1/traces
    headers:
      x-api-key: ${env:GATEWAY_TELEMETRY_API_KEY}
      langsmith-project: checkout
    retry_on_failure:
      enabled: true
      initial_interval: 5s
      max_interval: 30s
      max_elapsed_time: 300s
    sending_queue:
      enabled: true
      num_consumers: 10
      queue_size: 1000
service:
  pipelines:
    traces: {receivers: [otlp], exporters: [debug, otlp_http/gateway-telemetry]}
"""


def test_a_collector() -> None:
    world = one_gateway(collector_config(), view=configuring(), workload=collector())
    world.carry_out()
    assert world.objects["ConfigMap", NS, "otelcol"]["data"]["relay"] == TEXT
    annotations = world.objects["Deployment", NS, "otelcol"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations[HASH] == "ad8d7c9528cfe2af"


KINDS: dict[str, tuple[str, dict[str, Any], tuple[str, ...], str]] = {
    "GatewayConfig": ("envoy-ai-gateway", {}, ("extProc", "kubernetes", "env"), "71f21626323d1c04"),
    "AgentgatewayParameters": ("agentgateway", {}, ("env",), "af7fd9ffa4e6ae21"),
    "OpenTelemetryCollector": (
        "otel-collector",
        {"config": {"exporters": {}, "service": {"pipelines": {"traces": {"receivers": [], "exporters": []}}}}},
        ("env",),
        "88b6eb8a9c287fe8",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_of_another_kind(kind: str) -> None:
    type_, spec, path, expected = KINDS[kind]
    world = World(target(), secret(), naming(kind, type_), object_of(kind, spec))
    world.carry_out()
    env: Any = world.objects[kind, NS, "main"]["spec"]
    for part in path:
        env = env[part]
    assert env[-1] == {"name": "GATEWAY_TELEMETRY_CONFIG_HASH", "value": expected}
