"""What both demos share: how they tell what they do, and the proof of delivery that ends them."""

from __future__ import annotations

from datetime import UTC, datetime

from langsmith import Client
from tests.support.cluster import Kubectl
from tests.support.kube import Kube, condition
from tests.support.sdk_reader import runs_of

NAMESPACE = "gateway-telemetry-demo"
PROJECT = "LiteLLM demo"
DELIVERED_SECONDS = 120
"""The operator looks for traces in its own time, less often while it finds none."""


class DemoError(Exception):
    """Something is not as it must be; one line for the person at the terminal."""


class Narrator:
    """Tells what is done, step by step."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._number = 0

    def step(self, text: str) -> None:
        self._number += 1
        print(f"\n[{self._number}/{self._steps}] {text}", flush=True)

    def say(self, text: str) -> None:
        print("\n".join(f"      {line}".rstrip() for line in text.splitlines()), flush=True)

    def run(self, kubectl: Kubectl, *arguments: str, timeout: float = 120) -> None:
        """Run kubectl, in the demo's namespace unless another is named, and show the command and what it prints."""
        where = () if "-n" in arguments else ("-n", NAMESPACE)
        self.say(f"$ kubectl {' '.join((*where, *arguments))}")
        self.say(kubectl(*where, *arguments, timeout=timeout).stdout)


def prove(tell: Narrator, kubectl: Kubectl, kube: Kube, client: Client) -> None:
    """Wait until the operator has seen the gateway's traces itself, and compare its link with what the SDK reads.

    Raises:
        AssertionError: kubectl waited in vain.
        DemoError: the link is not that of a run of the project.
    """
    tell.step("the operator's own proof: it reads LiteLLM's traces back from the project")
    wait = ("wait", "--for=condition=Delivered", "gatewaytelemetry/litellm", f"--timeout={DELIVERED_SECONDS}s")
    tell.run(kubectl, *wait, timeout=DELIVERED_SECONDS + 10)
    tell.run(kubectl, "get", "gatewaytelemetries")
    found = kube.get("gatewaytelemetry", NAMESPACE, "litellm") or {}
    delivered, evidence = condition(found, "Delivered"), found["status"]["evidence"]
    age = (datetime.now(UTC) - datetime.fromisoformat(evidence["lastTraceTime"])).total_seconds()
    tell.say(f"Delivered={delivered['status']} ({delivered['reason']}): {delivered['message']}")
    tell.say(f"the last trace is {age:.0f} s old: {evidence['runUrl']}")
    if not any(str(run.id) in evidence["runUrl"] for run in runs_of(client, PROJECT)):
        raise DemoError(f"the link {evidence['runUrl']} is not that of a run of project {PROJECT!r}")
