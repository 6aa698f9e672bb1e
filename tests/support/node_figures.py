"""What the docs state of the installed operator, measured where it runs."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import datetime

from tests.support.kube import Kube, wait
from tests.support.objects import Object


def memory_mib(kube: Kube, pod: Object) -> float:
    """Return the working set of a pod's memory in MiB, as its kubelet measures it; 0 while it has not."""
    path = f"/api/v1/nodes/{pod['spec']['nodeName']}/proxy/metrics/resource"
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    pattern = rf'^pod_memory_working_set_bytes{{namespace="{namespace}",pod="{name}"}} (\S+)'
    found = re.search(pattern, kube.raw("GET", path).raise_for_status().text, re.MULTILINE)
    return float(found[1]) / 2**20 if found else 0.0


def seconds_since_start(kube: Kube, pod: Callable[[], Object | None], handled: Callable[[], bool]) -> float:
    """Return seconds from the start of an operator's container, in whole seconds, until something has been handled.

    Args:
        pod: returns the operator's pod once it runs.
        handled: whether what waited for the operator is done.
    """
    wait("the operator has handled what waited for it", handled, 90)
    ended = time.time()
    found = wait("the operator's pod runs", pod, 30)
    assert found is not None
    [status] = found["status"]["containerStatuses"]
    return ended - datetime.fromisoformat(status["state"]["running"]["startedAt"]).timestamp()


def show(**figures: float) -> None:
    """Print figures on one line, whether or not the test passes."""
    print("figures: " + ", ".join(f"{name.replace('_', ' ')} {value:.1f}" for name, value in figures.items()))
