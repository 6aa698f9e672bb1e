"""The real LiteLLM proxy behind a traced caller: its spans are dropped, and what it has against that works."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway_telemetry.cli.check_through import asking
from gateway_telemetry.endpoint import self_hosted
from gateway_telemetry.langsmith import Destination, Transport
from gateway_telemetry.langsmith.orphans import follow
from tests.cluster.test_litellm import CONFIG, OFFLINE
from tests.support import pod_process
from tests.support.gateway_venv import installed
from tests.support.langsmith import StandIn
from tests.support.litellm import LOCK, MASTER_KEY, LiteLLM
from tests.unit.langsmith_standin.clients import KEY, WORKSPACE

STAMP = "0123456789ab"
PROJECT = "checkout"
MASTER = "sk-0123456789abcdef"
pytestmark = [
    pytest.mark.timeout(900),  # the first run on a machine installs LiteLLM
    pytest.mark.skipif(pod_process.unavailable() is not None, reason=str(pod_process.unavailable())),
]


@pytest.fixture(scope="module", autouse=True)
def _litellm_is_installed() -> None:
    installed(LOCK)


@pytest.fixture
def langsmith() -> Iterator[StandIn]:
    with StandIn(keys={KEY: WORKSPACE}) as running:
        yield running


# what LiteLLM is told: status and reason of Delivered, and whether the model call hangs below the caller's span
SETTINGS: dict[str, tuple[dict[str, str], str, str, bool]] = {
    "as it comes": ({}, "False", "OrphanSpansDropped", True),
    # FastAPI traces requests by itself, and what LiteLLM makes outside of the caller's trace hangs below that.
    "told to ignore its callers' traces": (
        {"OTEL_IGNORE_CONTEXT_PROPAGATION": "true"},
        "False",
        "OrphanSpansDropped",
        True,
    ),
    "and FastAPI as well": (
        {"OTEL_IGNORE_CONTEXT_PROPAGATION": "true", "OTEL_PROPAGATORS": "baggage"},
        "True",
        "Delivered",
        False,
    ),
}


@pytest.mark.parametrize("name", SETTINGS)
async def test_litellm_behind_a_traced_caller(langsmith: StandIn, tmp_path: Path, name: str) -> None:
    more, status, reason, lost = SETTINGS[name]
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    env = {
        **OFFLINE,
        **more,
        MASTER_KEY: MASTER,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": langsmith.traces_url,
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS": f"x-api-key={KEY},langsmith-project={PROJECT}",
        "OTEL_RESOURCE_ATTRIBUTES": f"gatewaytelemetry.id={STAMP}",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    destination = Destination(self_hosted(langsmith.url, allow_plaintext=True), KEY, KEY)
    with LiteLLM(["--config", str(config)], env, [], tmp_path) as gateway:
        ask = asking(f"{gateway.url}/v1/chat/completions", MASTER, "echo", None)
        async with Transport(destination, allow_loopback=True) as transport:
            found = await follow(transport, ask, PROJECT, STAMP, patience=10)
        calls = [run for run in langsmith.store.runs(project=PROJECT) if run.body.name == "litellm_request"]
        caller = next(run.id for run in langsmith.store.runs(project=PROJECT) if "canary" in run.body.name)
    assert (found.finding.status, found.finding.reason) == (status, reason), (found.finding, gateway.log())
    assert [caller in run.parent_ids for run in calls] == [lost]
