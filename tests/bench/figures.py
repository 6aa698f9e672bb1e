"""What all measurements share: how they print, and the objects that they start from."""

from __future__ import annotations

import json
import sys

from tests.support import objects
from tests.support.kube import Kube, wait

WRITES = "gateway_telemetry_api_writes_total"
RECONCILES = "gateway_telemetry_reconciles_total"
OK = RECONCILES + '{kind="GatewayTelemetry",result="ok"}'


def say(text: str) -> None:
    """Tell a person what is going on."""
    print(f"[bench] {text}", file=sys.stderr, flush=True)


def figure(name: str, value: float, unit: str, goal: str = "", **more: object) -> None:
    """Print one figure as a line of JSON."""
    print(json.dumps({"figure": name, "value": round(value, 3), "unit": unit, "goal": goal, **more}), flush=True)


def prepare(kube: Kube, namespace: str, count: int) -> list[str]:
    """Make a namespace with a target and so many gateways and Deployments."""
    kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    kube.create(objects.secret(namespace))
    kube.create(objects.target(namespace))
    names = [f"gateway-{number:05d}" for number in range(count)]
    for name in names:
        kube.create(objects.deployment(namespace, name, replicas=0))
        kube.create(objects.gateway(namespace, name, app=name))
    wait(
        f"the Deployment controller has seen all of {namespace}",
        lambda: all(
            (item.get("status") or {}).get("observedGeneration") for item in kube.list("deployment", namespace)
        ),
        300,
    )
    return names
