"""Which changes and tools there are, and what happens when they meet: the data of docs/compatibility.md.

``results.yaml`` holds what was seen; the tests assert that it is seen again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

RESULTS = Path(__file__).with_name("results.yaml")

TOOLS = {
    "helm4": "Helm 4",
    "helm3": "Helm 3",
    "kubectl": "`kubectl apply`",
    "kubectl-server": "`kubectl apply --server-side`",
    "flux": "Flux",
    "argocd": "Argo CD",
    "argocd-server": "Argo CD, server-side",
}
"""Name and how the page calls it."""


@dataclass(frozen=True)
class Change:
    """What is deployed first, what after the injection.

    Attributes:
        title: as the page calls it.
        before: version that is installed.
        after: version of the upgrade.
        recreate: whether somebody deletes the Deployment before the upgrade.
    """

    title: str
    before: str
    after: str
    recreate: bool = False


CHANGES = {
    "same": Change("same values again", "base", "base"),
    "image": Change("new image", "base", "image"),
    "renamed": Change("container renamed", "base", "renamed"),
    "no-env": Change("the container's own `env` list removed", "base", "no-env"),
    "same-value": Change("renders one of our variables, with our value", "base", "same-value"),
    "other-value": Change("renders one of our variables, with another value", "base", "other-value"),
    "other-shape": Change("renders one of our variables: `valueFrom` over our `value`", "base", "other-shape"),
    "plain-headers": Change("renders one of our variables: `value` over our `valueFrom`", "base", "plain-headers"),
    "recreated": Change("Deployment deleted, then deployed again", "base", "base", recreate=True),
    "autoscaled": Change("new image, replicas set by an HPA", "autoscaled", "autoscaled-image"),
}


@dataclass(frozen=True)
class Outcome:
    """What a change by a tool led to.

    Attributes:
        upgrade: what the tool got; ``refused`` is HTTP 422 from the API server.
        rollouts: how many times the pod template changed, by the tool and the operator together.
        ready: reason of the GatewayTelemetry's condition Ready.
        settings: ``all`` of ours are there with our values; ``theirs`` when the tool's value stands in one of them and
            none of ours is left: the key must not go to the tool's endpoint.
        removal: whether the pod template is ``complete`` once the GatewayTelemetry is deleted, or lacks a variable that
            the tool renders until the tool's ``next-run``.
    """

    upgrade: Literal["accepted", "refused"]
    rollouts: int
    ready: str
    settings: Literal["all", "theirs"]
    removal: Literal["complete", "next-run"] = "complete"


def results() -> dict[str, dict[str, Outcome]]:
    """Return the expected outcomes by tool and change."""
    data = yaml.safe_load(RESULTS.read_text())
    assert data["all"].keys() == CHANGES.keys()
    assert data.keys() - {"all"} <= TOOLS.keys()
    return {
        tool: {change: Outcome(**data["all"][change] | data.get(tool, {}).get(change, {})) for change in CHANGES}
        for tool in TOOLS
    }
