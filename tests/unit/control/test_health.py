"""Health and metrics over a real socket."""

from __future__ import annotations

import logging
import re
import socket
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway_telemetry.control.health import Metrics, serving
from gateway_telemetry.control.settings import Address
from gateway_telemetry.plan.store import Store, project_gateway, project_target
from tests.unit.plan import build

LOCAL = Address("127.0.0.1", 0)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0.0.0.0:8080", Address("0.0.0.0", 8080)),  # noqa: S104 an address as text
        (":8080", Address("0.0.0.0", 8080)),  # noqa: S104
        ("127.0.0.1:0", Address("127.0.0.1", 0)),
        ("localhost:65535", Address("localhost", 65535)),
        ("[::]:8080", Address("::", 8080)),
        ("[::1]:8080", Address("::1", 8080)),
        ("::1:8080", Address("::1", 8080)),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert Address.parse(text) == address


@pytest.mark.parametrize(
    "text", ["", "8080", "localhost", "localhost:", "localhost:http", "[::]", "127.0.0.1:65536", "127.0.0.1:-1", ":1.5"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{text!r} is not an address such as 0.0.0.0:8080 or [::]:8080")):
        Address.parse(text)


class Served:
    """Checks that a test may change, and where they are served."""

    def __init__(self) -> None:
        self.store = Store()
        self.waiting = 0
        self.leading = False
        self.writes = 0
        self.wrong: list[str] = []
        self.unready: list[str] = []
        self.metrics = Metrics(self.store, lambda: self.waiting, lambda: self.leading, lambda: self.writes)

    async def get(self, url: str) -> tuple[int, str, str]:
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return response.status, await response.text(), response.headers["Content-Type"]


def urls(caplog: pytest.LogCaptureFixture) -> dict[str, str]:
    """Return the base URL of each path, from what the log says."""
    found: dict[str, str] = {}
    for record in caplog.records:
        match = re.fullmatch(r"serving (.+) on (.+):(\d+)", record.getMessage())
        if match:
            host = f"[{match[2]}]" if ":" in match[2] else match[2]
            found |= dict.fromkeys(match[1].split(", "), f"http://{host}:{match[3]}")
    return found


async def test_health_tells_what_is_wrong(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    served = Served()
    async with serving(LOCAL, None, lambda: served.wrong, lambda: served.unready, served.metrics):
        base = urls(caplog)["/healthz"]
        assert await served.get(f"{base}/healthz") == (200, "ok\n", "text/plain; charset=utf-8")
        assert (await served.get(f"{base}/readyz"))[:2] == (200, "ok\n")
        served.unready = ["the first list has not succeeded", "it is not known who leads"]
        assert (await served.get(f"{base}/readyz"))[:2] == (
            503,
            "the first list has not succeeded\nit is not known who leads\n",
        )
        assert (await served.get(f"{base}/healthz"))[0] == 200
        served.wrong = ["a key has been worked on for 400 s"]
        assert (await served.get(f"{base}/healthz"))[:2] == (503, "a key has been worked on for 400 s\n")
        assert (await served.get(f"{base}/metrics"))[0] == 404


async def test_one_address_for_both_and_two_for_each(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    served = Served()
    async with serving(LOCAL, LOCAL, list, list, served.metrics):
        found = urls(caplog)
        assert found["/healthz"] == found["/readyz"] == found["/metrics"]
        assert (await served.get(f"{found['/metrics']}/metrics"))[0] == 200
    caplog.clear()
    async with serving(LOCAL, Address("localhost", 0), list, list, served.metrics):
        found = urls(caplog)
        assert found["/healthz"] != found["/metrics"]
        assert (await served.get(f"{found['/healthz']}/metrics"))[0] == 404
        assert (await served.get(f"{found['/metrics']}/metrics"))[0] == 200
    with pytest.raises(aiohttp.ClientConnectorError):
        await served.get(f"{found['/healthz']}/healthz")


async def test_nothing_is_served_that_was_not_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with serving(None, None, list, list, Served().metrics):
        assert urls(caplog) == {}


async def test_an_address_that_is_taken_is_an_error_and_leaves_nothing_open(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="address already in use"):
            async with serving(LOCAL, Address(*taken.getsockname()[:2]), list, list, Served().metrics):
                raise AssertionError("it was served")
    with pytest.raises(aiohttp.ClientConnectorError):
        await Served().get(f"{urls(caplog)['/healthz']}/healthz")


async def test_metrics_parse_and_mean_what_they_say(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    served = Served()
    served.waiting, served.leading, served.writes = 3, True, 7
    served.metrics.reconciles.labels("GatewayTelemetry", "ok").inc()
    served.metrics.reconciles.labels("GatewayTelemetry", "error").inc(2)
    served.metrics.seconds.labels("GatewayTelemetry").observe(0.3)
    served.metrics.missed.inc(4)
    served.metrics.resynced.set(1_700_000_000)
    conditions = [
        {"type": "Ready", "status": "True", "reason": "Ready"},
        {"type": "Programmed", "status": "False", "reason": 'Odd"\\\nreason'},
        {"type": "Delivered", "status": "Unknown", "reason": "NotVerified"},
        {"type": "Producing"},
    ]
    evidence = {"lastTraceTime": "2026-11-26T12:00:00Z", "project": "checkout"}
    status_ = {"conditions": conditions, "evidence": evidence}
    served.store.put_gateway(project_gateway({**build.gateway(), "status": status_}))
    for name, odd in ("odd", "yesterday"), ("none", None):
        lost = {**build.gateway(name), "status": {"evidence": {"lastTraceTime": odd}}}
        served.store.put_gateway(project_gateway(lost))
    served.store.put_target(project_target({**build.target(), "status": {"conditions": conditions[:1]}}))
    served.store.put_target(project_target(build.target("new")))
    async with serving(None, LOCAL, list, list, served.metrics):
        status, text, kind = await served.get(f"{urls(caplog)['/metrics']}/metrics")
    assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert {name: family.type for name, family in families.items()} == {
        "gateway_telemetry_reconciles": "counter",
        "gateway_telemetry_reconcile_seconds": "histogram",
        "gateway_telemetry_queue_depth": "gauge",
        "gateway_telemetry_leading": "gauge",
        "gateway_telemetry_watch_missed": "counter",
        "gateway_telemetry_last_resync_timestamp_seconds": "gauge",
        "gateway_telemetry_api_writes": "counter",
        "gateway_telemetry_condition": "gauge",
        "gateway_telemetry_last_trace_timestamp_seconds": "gauge",
    } | {name: family.type for name, family in families.items() if name.endswith("_created")}
    values = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in families.values()
        for sample in family.samples
        if not sample.name.endswith("_created") and "le" not in sample.labels
    }
    assert values == {
        ("gateway_telemetry_reconciles_total", "GatewayTelemetry", "ok"): 1.0,
        ("gateway_telemetry_reconciles_total", "GatewayTelemetry", "error"): 2.0,
        ("gateway_telemetry_reconcile_seconds_count", "GatewayTelemetry"): 1.0,
        ("gateway_telemetry_reconcile_seconds_sum", "GatewayTelemetry"): 0.3,
        ("gateway_telemetry_queue_depth",): 3.0,
        ("gateway_telemetry_leading",): 1.0,
        ("gateway_telemetry_watch_missed_total",): 4.0,
        ("gateway_telemetry_last_resync_timestamp_seconds",): 1_700_000_000.0,
        ("gateway_telemetry_api_writes_total",): 7.0,
        ("gateway_telemetry_last_trace_timestamp_seconds", "checkout", "shop"): 1_795_694_400.0,
        ("gateway_telemetry_condition", "GatewayTelemetry", "Ready", "Ready", "checkout", "shop"): 1.0,
        ("gateway_telemetry_condition", "GatewayTelemetry", 'Odd"\\\nreason', "Programmed", "checkout", "shop"): 0.0,
        ("gateway_telemetry_condition", "Delivered", "GatewayTelemetry", "NotVerified", "checkout", "shop"): -1.0,
        ("gateway_telemetry_condition", "", "GatewayTelemetry", "Producing", "checkout", "shop"): -1.0,
        ("gateway_telemetry_condition", "LangSmithTarget", "Ready", "Ready", "langsmith", "shop"): 1.0,
    }


async def test_metrics_asked_for_by_name_cost_only_what_they_are(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    served = Served()
    served.waiting = 3
    served.metrics.reconciles.labels("GatewayTelemetry", "ok").inc()
    status = {"conditions": [{"type": "Ready", "status": "True", "reason": "Ready"}]}
    served.store.put_gateway(project_gateway({**build.gateway(), "status": status}))
    async with serving(None, LOCAL, list, list, served.metrics):
        url = f"{urls(caplog)['/metrics']}/metrics"

        async def named(*names: str) -> set[str]:
            text = (await served.get(url + "?" + "&".join(f"name[]={name}" for name in names)))[1]
            return {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}

        assert await named("gateway_telemetry_condition") == {"gateway_telemetry_condition"}
        served.store.gateways.clear()  # whoever reads the conditions now finds no store to read them from
        served.store.targets = None  # type: ignore[assignment]
        assert await named("gateway_telemetry_queue_depth", "gateway_telemetry_api_writes_total") == {
            "gateway_telemetry_queue_depth",
            "gateway_telemetry_api_writes_total",
        }
        assert await named("no_such_metric") == set()


def test_nothing_is_read_before_it_is_asked_for() -> None:
    def too_early() -> int:
        raise AssertionError("read while the operator is made")

    Metrics(Store(), too_early, lambda: bool(too_early()), too_early)


def test_the_page_of_metrics_names_each() -> None:
    page = (Path(__file__).parents[3] / "docs/metrics.md").read_text()
    served = Served().metrics.registry.collect()
    names = {family.name + ("_total" if family.type == "counter" else "") for family in served}
    assert set(re.findall(r"^\| `(gateway_telemetry_\w+)`", page, re.MULTILINE)) == names


async def test_metrics_of_objects_that_are_gone_go(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    served = Served()
    status = {"conditions": [{"type": "Ready", "status": "True", "reason": "Ready"}]}
    served.store.put_gateway(project_gateway({**build.gateway(), "status": status}))
    async with serving(None, LOCAL, list, list, served.metrics):
        url = f"{urls(caplog)['/metrics']}/metrics"
        assert 'name="checkout"' in (await served.get(url))[1]
        served.store.drop_gateway((build.NS, "checkout"))
        assert 'name="checkout"' not in (await served.get(url))[1]
