"""The real LiteLLM proxy behind a traced caller: its spans are dropped, and what it has against that works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.test_litellm import CONFIG, OFFLINE
from tests.support import pod_process
from tests.support.gateway_venv import installed
from tests.support.langsmith import StandIn
from tests.support.litellm import LOCK, MASTER_KEY, LiteLLM
from tests.unit.langsmith_standin.clients import KEY, WORKSPACE

PROGRAM = Path(sys.executable).with_name("gateway-telemetry")
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


# what LiteLLM is told: reason of Delivered, exit status of check
SETTINGS: dict[str, tuple[dict[str, str], str, int]] = {
    "as it comes": ({}, "OrphanSpansDropped", 1),
    "told to begin its own traces": ({"OTEL_IGNORE_CONTEXT_PROPAGATION": "true"}, "NotStamped", 3),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_litellm_behind_a_traced_caller(langsmith: StandIn, tmp_path: Path, name: str) -> None:
    more, reason, code = SETTINGS[name]
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
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    with LiteLLM(["--config", str(config)], env, [], tmp_path) as gateway:
        done = subprocess.run(
            [
                *(PROGRAM, "check", "--url", langsmith.url, "--allow-plaintext", "--key-from", "ENV:LANGSMITH_KEY"),
                *("--project", PROJECT, "--patience", "20", "-o", "json", "--through-model", "echo"),
                *("--through", f"{gateway.url}/v1/chat/completions", "--through-key-from", "ENV:GATEWAY_KEY"),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env={**os.environ, "LANGSMITH_KEY": KEY, "GATEWAY_KEY": MASTER},
        )
        roots = [run for run in langsmith.store.runs(project=PROJECT) if not run.parent_ids]
    found = json.loads(done.stdout)
    verdict = found["conditions"][-1]
    assert (verdict["type"], verdict["reason"], done.returncode) == ("Delivered", reason, code), (found, gateway.log())
    own = [run for run in roots if "canary" not in run.body.name]
    assert bool(own) == bool(more), "LiteLLM's own traces are roots exactly where it ignores its callers'"
