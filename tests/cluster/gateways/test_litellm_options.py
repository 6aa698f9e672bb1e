"""LiteLLM's options on the real proxy: content left out, callbacks changed and restored, what its config lacks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.gateways.rows import LITELLM, litellm
from tests.support import objects, pod_process
from tests.support.kube import Kube, condition, wait
from tests.support.langsmith import CertificateAuthority, StandIn
from tests.support.litellm import LiteLLM
from tests.support.objects import Object
from tests.support.operator import OperatorProcess
from tests.support.sdk_reader import runs_of
from tests.unit.langsmith_standin.clients import KEY, sdk

pytestmark = [
    pytest.mark.timeout(900),  # the first run on a machine installs LiteLLM
    pytest.mark.skipif(pod_process.unavailable() is not None, reason=str(pod_process.unavailable())),
    pytest.mark.usefixtures("litellm_is_installed", "targeted"),
]

ARRIVAL_SECONDS = 40.0
PROMPT = "What is the secret word?"
LANGSMITH = {"type": "litellm", "litellm": {"callback": "langsmith"}}


def deployed(kube: Kube, namespace: str, callback: str = "otel", **env: str) -> Object:
    for item in litellm(callback, **env)(namespace, "litellm"):
        kube.apply(item)
    live = kube.get("deployment", namespace, "litellm")
    assert live is not None
    return live


def applied(kube: Kube, namespace: str, gateway: Object = LITELLM, status: str = "True", **spec: Any) -> Object:
    """Apply a GatewayTelemetry; return it once Programmed speaks of it with that status."""
    view = objects.gateway(namespace, "litellm", app="litellm", gateway=gateway, **spec)
    generation = kube.apply(view)["metadata"]["generation"]

    def seen() -> Object | None:
        view = kube.get("gatewaytelemetry", namespace, "litellm") or {}
        found = condition(view, "Programmed")
        waiting = {"NotWritten", "RolloutInProgress", "RolloutQueued", "Pending"}
        settled = found.get("observedGeneration") == generation and found.get("reason") not in waiting
        return found if settled else None

    found = wait("Programmed is settled", seen, 60)
    assert found is not None
    assert found["status"] == status, found
    return found


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_content_is_left_out(
    operator: OperatorProcess,
    kube: Kube,
    namespace: str,
    langsmith: StandIn,
    ca: CertificateAuthority,
    tmp_path: Path,
    version: str,
) -> None:
    deployed(kube, namespace, **({"LITELLM_OTEL_V2": "true"} if version == "v2" else {}))
    applied(kube, namespace, capture={"content": False})
    live = kube.get("deployment", namespace, "litellm")
    assert live is not None
    call = {"v1": "litellm_request", "v2": "chat echo"}[version]
    with LiteLLM.of(kube, live, tmp_path) as proxy, sdk(langsmith.api_url, key=KEY, ca=ca.bundle) as client:
        proxy.chat(PROMPT)
        wait(f"a run {call}", lambda: any(run.name == call for run in runs_of(client, "checkout")), ARRIVAL_SECONDS)
        runs = runs_of(client, "checkout")
    whole = json.dumps([[run.inputs, run.outputs, run.extra, run.events] for run in runs], default=str)
    assert PROMPT not in whole
    assert "Hello from LiteLLM" not in whole
    assert PROMPT not in proxy.log()


def test_a_callback_that_the_config_lacks_is_told_and_the_warning_ends_with_the_reason_for_it(
    operator: OperatorProcess, kube: Kube, namespace: str
) -> None:
    deployed(kube, namespace, "prometheus")
    told = "config.yaml does not enable the callback that exports, so LiteLLM sends nothing"
    assert told in applied(kube, namespace)["message"]
    for item in litellm("otel")(namespace, "litellm"):
        if item["kind"] == "ConfigMap":
            kube.apply(item)
    asked = {"metadata": {"annotations": {"gatewaytelemetry.dev/requestedAt": "now"}}}
    kube.merge_patch("gatewaytelemetry", namespace, "litellm", asked)
    wait(
        "the warning is gone",
        lambda: (
            told not in condition(kube.get("gatewaytelemetry", namespace, "litellm") or {}, "Programmed")["message"]
        ),
        60,
    )


def test_from_one_callback_to_the_other_and_back_to_nothing(
    operator: OperatorProcess, kube: Kube, namespace: str
) -> None:
    before = deployed(kube, namespace)["spec"]["template"]["spec"]
    applied(kube, namespace)
    refused = applied(kube, namespace, LANGSMITH, status="False")
    assert refused["reason"] == "CABundleUnsupportedByAdapter"
    applied(kube, namespace, {**LANGSMITH, "caInstalled": True})
    live = kube.get("deployment", namespace, "litellm")
    assert live is not None
    names = {item["name"] for item in live["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert {"LANGSMITH_API_KEY", "LANGSMITH_PROJECT", "LANGSMITH_BASE_URL", "LANGSMITH_TENANT_ID"} <= names
    assert not {name for name in names if name.startswith("OTEL_EXPORTER")}
    copy = kube.get("secret", namespace, "gateway-telemetry-deployment-litellm")
    assert copy is not None
    assert {key for key in copy["data"] if not key.startswith("previous.")} == {"api-key", "record.json"}
    assert kube.delete("gatewaytelemetry", namespace, "litellm")
    kube.wait_gone("gatewaytelemetry", namespace, "litellm")
    after = kube.get("deployment", namespace, "litellm")
    assert after is not None
    assert after["spec"]["template"]["spec"] == before
    assert kube.get("secret", namespace, "gateway-telemetry-deployment-litellm") is None
