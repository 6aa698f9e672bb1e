"""``python -m tests.bench.collector``: what the edit of a Collector's YAML costs, with no cluster.

A configuration of 2,000 lines: comments, many exporters and pipelines. Planning does all of it at every look.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from gateway_telemetry.adapters import collector_yaml
from gateway_telemetry.adapters.edits import entry, member, stands
from tests.bench.figures import figure

LINES = 2000
ROUNDS = 15
NAME = "otlp_http/gateway-telemetry"
EDITS = (
    entry(("exporters", NAME), {"traces_endpoint": "https://h/v1/traces", "headers": {"x-api-key": "${env:KEY}"}}),
    member(("service", "pipelines", "traces", "exporters"), NAME),
)


def configuration(lines: int) -> str:
    """Return a configuration of that many lines."""
    parts = ["receivers:", "  otlp: {protocols: {http: {}}}", "exporters:"]
    tail = ["service:", "  pipelines:", "    traces: {receivers: [otlp], exporters: [debug]}"]
    for number in range((lines - len(parts) - len(tail)) // 5):
        parts += [
            f"  # of team {number}",
            f"  otlp/{number}:",
            f"    endpoint: team-{number}.example.com:4317   # gRPC",
            "    tls:",
            "      insecure: false",
        ]
    return "\n".join([*parts, *tail]) + "\n"


def milliseconds(work: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e3


def main() -> None:
    before = configuration(LINES)
    after, made = collector_yaml.put(before, EDITS)
    assert collector_yaml.take(after, EDITS, made) == before
    count = len(before.splitlines())
    figure(
        "Collector: see that it stands",
        milliseconds(lambda: stands(collector_yaml.read(after), EDITS)),
        "ms",
        lines=count,
    )
    figure("Collector: put in", milliseconds(lambda: collector_yaml.put(before, EDITS)), "ms", "<= 500", lines=count)
    figure("Collector: take out", milliseconds(lambda: collector_yaml.take(after, EDITS, made)), "ms", "<= 500")


if __name__ == "__main__":
    main()
