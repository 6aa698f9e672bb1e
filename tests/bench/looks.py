"""What LangSmith is asked by an operator with many gateways on one target, counted at LangSmith.

One gateway makes 500 spans a second, some make few, most make none. A probe per interval and a budget of reads per
key are all that may come, whatever the number of gateways; and nobody may be called what nobody has looked for.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.figures import figure, prepare, say
from tests.support import objects
from tests.support.cluster import ClusterAccess
from tests.support.kube import Kube, condition, wait
from tests.support.langsmith import StandIn
from tests.support.langsmith.otlp import Span
from tests.support.operator import OperatorProcess

INTERVAL = 30.0
SECONDS = 90.0
BUDGET = 60
BURST = 20
SPANS_PER_SECOND = 500
QUIET = 50
_NAMESPACE = "looks"
_PROJECT = "checkout"
_WORKSPACE = "5f2c7a3e-0000-4000-8000-000000000001"
_KEY = "lsv2_sk_00000000000000000000000000000000_looks"
_STAMP = "gatewaytelemetry.id"


def looks(access: ClusterAccess, kube: Kube, folder: Path, count: int) -> None:
    """Print the figures for so many gateways."""
    say(f"{count} gateways on one target, looked at for {SECONDS:.0f} s")
    names = prepare(kube, _NAMESPACE, count)
    with StandIn(keys={_KEY: _WORKSPACE}) as langsmith:
        for kind, name in (("secret", "langsmith"), ("langsmithtarget", "prod")):  # others than the usual ones
            kube.delete(kind, _NAMESPACE, name)
            kube.wait_gone(kind, _NAMESPACE, name)
        kube.apply(objects.secret(_NAMESPACE, key=_KEY))
        kube.apply(_target(langsmith))
        flags = (f"--watch-namespace={_NAMESPACE}", "--insecure-allow-loopback", "--max-rollouts=0")
        with OperatorProcess(
            access.kubeconfig, folder, *flags, "--max-rollouts-per-namespace=0", verify=True
        ) as process:
            stamps = wait("all are written", lambda: _stamps(kube, count), 600)
            stop = threading.Event()
            traffic = threading.Thread(target=_traffic, args=(langsmith, list(stamps.values()), stop))
            traffic.start()
            before, began = langsmith.store.counts(), time.monotonic()
            stop.wait(SECONDS)
            asked, seconds = langsmith.store.counts() - before, time.monotonic() - began
            verdicts = Counter(
                condition(item, "Delivered").get("reason") for item in kube.list("gatewaytelemetry", _NAMESPACE)
            )
            wrong = _wrong(kube, stamps, names)
            stop.set()
            traffic.join()
            assert process.process is not None
            assert process.process.poll() is None
    kinds: Counter[str] = Counter()
    for (kind, _key), number in asked.items():
        kinds[kind] += number
    figure("looks-probes", kinds["info"] / (seconds / INTERVAL), "per interval", "<= 1.3", objects=count)
    # A probe reads as well: GET /settings with the one key.
    reads = kinds["read"] - kinds["info"]
    figure("looks-reads", reads / (seconds / 60), "per minute", f"<= {BUDGET + BURST / (seconds / 60):.0f}")
    figure("looks-false-verdicts", wrong, "gateways", "0", verdicts=dict(verdicts))


def _target(langsmith: StandIn) -> objects.Object:
    reference = {"secretRef": {"name": "langsmith", "key": "api-key"}}
    return objects.target(
        _NAMESPACE,
        selfHosted={"url": langsmith.url},
        allowPlaintext=True,
        credentials={"ingest": reference, "read": reference},
        workspaceId=_WORKSPACE,
        verification={"probeInterval": f"{INTERVAL:.0f}s", "canary": {"mode": "Off"}},
    )


def _stamps(kube: Kube, count: int) -> dict[str, str]:
    """Return each gateway's stamp by its name; nothing until all have theirs."""
    found = {}
    for item in kube.list("deployment", _NAMESPACE):
        (container,) = item["spec"]["template"]["spec"]["containers"]
        env = {entry["name"]: entry.get("value", "") for entry in container.get("env", ())}
        pairs = (pair.partition("=") for pair in env.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","))
        stamp = next((value for name, _, value in pairs if name == _STAMP), None)
        if stamp is not None:
            found[item["metadata"]["name"]] = stamp
    return found if len(found) == count else {}


def _traffic(langsmith: StandIn, stamps: list[str], stop: threading.Event) -> None:
    """Put spans into LangSmith as fast as they are to come; exporters have tests of their own."""
    busy, quiet = stamps[0], stamps[1 : 1 + QUIET]
    while not stop.is_set():
        began = time.monotonic()
        langsmith.store.accept_spans(_WORKSPACE, _PROJECT, [_span(stamp) for stamp in quiet])
        for _ in range(20):
            langsmith.store.accept_spans(_WORKSPACE, _PROJECT, [_span(busy) for _ in range(SPANS_PER_SECOND // 2)])
            began += 0.5
            stop.wait(max(0.0, began - time.monotonic()))


def _span(stamp: str) -> Span:
    now = datetime.now(UTC)
    attributes = {f"langsmith.metadata.{_STAMP}": stamp}
    return Span(secrets.token_hex(16), secrets.token_hex(8), "", "chat", now, now, attributes)


def _wrong(kube: Kube, stamps: dict[str, str], names: list[str]) -> int:
    """Return how many gateways are said to have traces and have none, or to have lost what they have not.

    NoTraffic is right for one that was looked for before its first trace.
    """
    having = set(list(stamps)[: 1 + QUIET])
    wrong = 0
    for name in names:
        found = condition(kube.get("gatewaytelemetry", _NAMESPACE, name), "Delivered")
        wrong += found.get("status") == "False" or (found.get("status") == "True" and name not in having)
    return wrong
