"""``python -m tests.bench.planning``: what planning costs, with no cluster.

Planning one gateway for each adapter, from the objects to the settings, and ``render`` of many gateways from files.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from gateway_telemetry.adapters import adapter_of
from tests.bench.figures import figure
from tests.golden import cases
from tests.support import objects
from tests.unit.adapters.test_contract import contexts, named, ways
from tests.unit.plan.build import World

ROUNDS = 200
GATEWAYS = 1000
RENDER_GOAL_SECONDS = 3.0


def microseconds(times: list[float]) -> float:
    return statistics.median(times) * 1e6


def settings_cost() -> None:
    """Time what an adapter itself does: settings and forbidden variables."""
    for type_, options in ways():
        asked = contexts(type_, options)[-1]
        adapter = adapter_of(asked.spec.gateway)
        times = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            adapter.settings(asked)
            adapter.forbidden(asked)
            times.append(time.perf_counter() - began)
        figure(f"settings of {named(type_, options)}", microseconds(times), "us", "<= 1000")


def plan_cost() -> None:
    """Time the whole plan of one gateway that carries its settings already, by case of the golden files."""
    for name, written in sorted(cases.cases().items()):
        world = World(*cases.sources(), *written)
        world.carry_out(name, cases.NAMESPACE, now=cases.CHANGED_AT)
        times = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            world.plan(name, cases.NAMESPACE)
            times.append(time.perf_counter() - began)
        figure(f"plan of {name}", microseconds(times), "us", "<= 5000")


def render_cost() -> None:
    """Time ``render`` of so many gateways with a Deployment each, as a process, start included."""
    namespace = "render"
    items = [objects.secret(namespace), objects.target(namespace)]
    for number in range(GATEWAYS):
        name = f"gateway-{number:04d}"
        items += [objects.deployment(namespace, name), objects.gateway(namespace, name, app=name)]
    program = Path(sys.executable).with_name("gateway-telemetry")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "gateways.yaml"
        file.write_text(yaml.safe_dump_all(items))
        began = time.perf_counter()
        done = subprocess.run([program, "render", "-f", file], check=True, stdout=subprocess.PIPE, text=True)
        took = time.perf_counter() - began
    written = done.stdout.count("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    figure("render of 1,000 gateways", took, "s", f"<= {RENDER_GOAL_SECONDS:g}", written=written)


if __name__ == "__main__":
    settings_cost()
    plan_cost()
    render_cost()
