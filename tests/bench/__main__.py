"""``make bench``: one JSON line per figure.

Cold: so many GatewayTelemetries with a Deployment each (no replicas), all there before the operator starts, against
the same writes made raw before and after it. Warm: the operator again, with nothing to do. Then the figures of
``tests/bench/operations.py``, what LangSmith is asked (``looks.py``), and the fault matrix (``faults.py``).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from tests.bench import faults
from tests.bench.figures import OK, RECONCILES, WRITES, figure, prepare, say
from tests.bench.looks import looks
from tests.bench.operations import operations
from tests.bench.raw import Template, write
from tests.support.cluster import ClusterAccess, install_crds, own_cluster
from tests.support.kube import Kube, condition
from tests.support.operator import OperatorProcess

WORKERS = 8
QUEUE = "gateway_telemetry_queue_depth"
POLL_SECONDS = 0.05


def sample(process: OperatorProcess) -> dict[str, float]:
    """Return the metrics that cost next to nothing to ask for; none while they are not served yet.

    Those of all conditions, asked for as often as this, would be most of what is measured.
    """
    try:
        return process.metrics(QUEUE, RECONCILES, WRITES)
    except httpx.TransportError:
        return {}


def until(
    process: OperatorProcess, done: Callable[[dict[str, float]], bool], timeout: float
) -> tuple[float, dict[str, float]]:
    """Return the seconds from the first reconcile until done, and the last metrics."""
    deadline = time.monotonic() + timeout
    first: float | None = None
    while time.monotonic() < deadline:
        found = sample(process)
        if first is None and found.get(QUEUE, 0) > 0:
            first = time.monotonic()
        if first is not None and done(found):
            return time.monotonic() - first, found
        time.sleep(POLL_SECONDS)
    raise SystemExit(f"not done within {timeout} s:\n{process.log()[-3000:]}")


def memory(process: OperatorProcess) -> tuple[float, float]:
    """Return resident memory now and at its peak, in MB."""
    assert process.process is not None
    lines = Path(f"/proc/{process.process.pid}/status").read_text().splitlines()
    sizes = {line.split(":")[0]: float(line.split()[1]) / 1024 for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return sizes["VmRSS"], sizes["VmHWM"]


def ready(kube: Kube, namespace: str) -> int:
    return sum(condition(item, "Ready").get("status") == "True" for item in kube.list("gatewaytelemetry", namespace))


def bench(access: ClusterAccess, kube: Kube, folder: Path, count: int) -> None:
    say("the shape of the writes, from one object")
    prepare(kube, "shape", 1)
    with OperatorProcess(access.kubeconfig, folder / "shape", "--watch-namespace=shape"):
        kube.wait_condition("gatewaytelemetry", "shape", "gateway-00000", "Ready")
        template = Template(kube, "shape", "gateway-00000")
    say(f"three namespaces with {count} GatewayTelemetries and Deployments each")
    for namespace in ("cold", "raw-1", "raw-2"):
        names = prepare(kube, namespace, count)

    def raw(namespace: str, extra: int) -> float:
        return asyncio.run(write(access.kubeconfig, template, namespace, names, extra, WORKERS))

    say("raw writes")
    first = raw("raw-1", count)
    say(f"{first:.1f} s; the operator, cold")
    process = OperatorProcess(
        access.kubeconfig, folder / "cold", "--watch-namespace=cold", f"--workers={WORKERS}", ready=False
    )
    with process:
        cold, found = until(
            process,
            lambda now: now.get(QUEUE, 1) == 0 and now.get(OK, 0) >= count and ready_of(process) == count,
            600,
        )
        rss, peak = memory(process)
    writes = found[WRITES]
    assert ready(kube, "cold") == count
    say(f"{cold:.1f} s, {writes:.0f} writes; raw writes again")
    second = raw("raw-2", int(writes - 5 * count))
    # Both raw runs count as if they had sent as many writes as the operator did.
    raw_rate = statistics.mean([6 * count / first, writes / second])
    figure("cold-rate", writes / cold, "writes/s", objects=count, seconds=round(cold, 2), writes=int(writes))
    figure("raw-rate", raw_rate, "writes/s", seconds=[round(first, 2), round(second, 2)])
    figure("cold-to-raw", writes / cold / raw_rate, "ratio", ">= 0.8")
    figure("rss", rss, "MB", "<= 110", peak=round(peak, 1))

    say("the operator again, with nothing to do")
    process = OperatorProcess(access.kubeconfig, folder / "warm", "--watch-namespace=cold", ready=False)
    with process:
        warm, found = until(process, lambda now: now.get(QUEUE, 1) == 0 and now.get(OK, 0) >= count, 120)
        figure("restart-writes", found[WRITES], "writes", "0")
        figure("restart", warm / count * 1000, "s per 1000 objects", "<= 1")


def ready_of(process: OperatorProcess) -> int:
    found = process.metrics("gateway_telemetry_condition")
    prefix = 'gateway_telemetry_condition{kind="GatewayTelemetry"'
    return sum(value == 1 for name, value in found.items() if name.startswith(prefix) and 'type="Ready"' in name)


def main() -> None:
    """Run it on a cluster of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gateway-telemetry-bench-") as name:
        folder = Path(name)
        say("a cluster of its own")
        with own_cluster(folder, "bench") as access, Kube(access) as kube:
            install_crds(kube)
            if options.objects:
                bench(access, kube, folder, options.objects)
            operations(access, kube, folder)
            if options.objects:
                looks(access, kube, folder / "looks", options.objects)
            for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # they would take the exporters' own CA away
                os.environ.pop(variable, None)
            faults.report(faults.measure(kube, access.kubeconfig, folder / "faults"))


if __name__ == "__main__":
    main()
