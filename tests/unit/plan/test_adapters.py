"""What planning makes of gateways that differ from the usual: files, versions, callbacks, their own trust."""

from __future__ import annotations

import base64
from typing import Any

from gateway_telemetry.api.reasons import Reason
from tests.unit.plan.build import (
    CA_PEM,
    NS,
    Object,
    World,
    config_map,
    container,
    deployment,
    env,
    gateway,
    hosted,
    one_gateway,
    only_sink,
    only_write,
    pod,
    referring,
    secret,
    target,
)

CHART = "helm.sh/chart"
LABELS = {"app": "litellm"}
LANGSMITH = {"type": "litellm", "litellm": {"callback": "langsmith"}}


def labelled(chart: str, **fields: Any) -> Object:
    return deployment(labels={**LABELS, CHART: chart}, containers=[container("tfy-llm-gateway", **fields)])


def truefoundry(chart: str, **fields: Any) -> World:
    return one_gateway(view=gateway(gateway={"type": "truefoundry"}), workload=labelled(chart, **fields))


def test_truefoundrys_newer_charts_are_told_the_other_way_and_nothing_is_written() -> None:
    sink = only_sink(truefoundry("tfy-llm-gateway-0.80.0").plan())
    assert (sink.state, sink.reason, sink.write) == ("Blocked", Reason.GATEWAY_VERSION_UNSUPPORTED, None)
    assert sink.message == (
        "Deployment shop/litellm: chart tfy-llm-gateway-0.80.0 has no variables for this: from 0.80 on TrueFoundry's "
        "control plane exports, so use install.controlPlane"
    )


def test_truefoundrys_older_charts_are_written_to_unless_they_switch_tracing_off() -> None:
    assert only_sink(truefoundry("tfy-llm-gateway-0.79.4").plan()).reason is Reason.NOT_WRITTEN
    on = truefoundry("tfy-llm-gateway-0.79.4", env=env(ENABLE_OTEL_TRACING="true"))
    assert only_sink(on.plan()).reason is Reason.NOT_WRITTEN
    off = only_sink(truefoundry("tfy-llm-gateway-0.79.4", env=env(ENABLE_OTEL_TRACING="false")).plan())
    assert (off.state, off.reason) == ("Blocked", Reason.TRACING_DISABLED)
    assert off.message == (
        'Deployment shop/litellm, container tfy-llm-gateway sets ENABLE_OTEL_TRACING, which is not "true", so the '
        "gateway exports nothing; the chart renders it from its values: remove it there; nothing was written"
    )


def test_a_version_is_checked_where_a_secret_is_referred_to_as_well() -> None:
    view = referring("otlp", gateway={"type": "truefoundry"})
    takes = [{"secretRef": {"name": "otlp", "optional": True}}]
    world = World(target(), secret(), view, labelled("tfy-llm-gateway-0.81.0", envFrom=takes))
    world.env_from = {("Secret", "otlp"): frozenset()}
    sink = only_sink(world.plan())
    assert (sink.state, sink.reason) == ("Blocked", Reason.GATEWAY_VERSION_UNSUPPORTED)


def test_a_change_of_the_callback_leaves_nothing_of_the_other_behind() -> None:
    world = one_gateway()
    world.carry_out()
    world.put(gateway(gateway=LANGSMITH))
    world.carry_out()
    (item,) = world.objects["Deployment", NS, "litellm"]["spec"]["template"]["spec"]["containers"]
    assert [entry["name"] for entry in item["env"]] == ["LANGSMITH_API_KEY", "LANGSMITH_PROJECT", "LANGSMITH_BASE_URL"]
    data = world.objects["Secret", NS, "gateway-telemetry-deployment-litellm"]["data"]
    assert {key for key in data if not key.startswith("previous.")} == {"api-key", "record.json"}


def test_a_gateway_that_trusts_the_ca_by_itself_is_given_none() -> None:
    bundle = {"kind": "ConfigMap", "name": "corp-ca"}
    view = hosted("https://ls.shop.svc", caBundleRef=bundle)
    for installed, mounts in ((False, 1), (True, 0)):
        spec = {"type": "litellm", "caInstalled": installed}
        world = World(view, secret(), config_map({"ca.crt": CA_PEM}), gateway(gateway=spec), deployment())
        write = only_write(world.plan())
        assert len(write.injection.mounts) == mounts
        assert ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE" in write.injection.names()) is not installed
        assert ("ca.crt" in write.files) is not installed
    spec = {**LANGSMITH, "caInstalled": True}
    world = World(view, secret(), config_map({"ca.crt": CA_PEM}), gateway(gateway=spec), deployment())
    assert only_sink(world.plan()).reason is Reason.NOT_WRITTEN


def test_a_refusal_stops_a_change_and_leaves_what_runs() -> None:
    world = one_gateway()
    world.carry_out()
    before = world.objects["Deployment", NS, "litellm"]
    world.put(gateway(gateway=LANGSMITH, capture={"content": False}))
    plan = world.carry_out()
    assert only_sink(plan).reason is Reason.CAPTURE_UNSUPPORTED
    assert plan.restore == ()
    assert world.objects["Deployment", NS, "litellm"] == before


def test_files_lie_in_the_secret_that_is_referred_to_and_warnings_are_told_once_it_runs() -> None:
    view = referring("files", gateway={"type": "apisix"})
    takes = [{"secretRef": {"name": "files", "optional": True}}]
    workload = deployment(containers=[container("apisix", envFrom=takes)])
    world = World(target(), secret(), view, workload)
    world.env_from = {("Secret", "files"): frozenset()}
    world.carry_out(now="2026-01-03T00:00:00Z")
    data = world.objects["Secret", NS, "files"]["data"]
    assert set(data) == {
        "GATEWAY_TELEMETRY_API_KEY",
        "GATEWAY_TELEMETRY_PROJECT",
        "GATEWAY_TELEMETRY_TRACES_ENDPOINT",
        "apisix-opentelemetry.yaml",
    }
    assert "${{GATEWAY_TELEMETRY_API_KEY:=}}" in base64.b64decode(data["apisix-opentelemetry.yaml"]).decode()
    world.run(pod("new", created="2026-01-03T00:00:01Z"))
    sink = only_sink(world.plan())
    assert (sink.state, sink.message) == (
        "Programmed",
        "routes are traced only where the plugin opentelemetry has sampler: {name: always_on}",
    )


def test_a_callback_that_litellms_config_does_not_enable_is_told() -> None:
    world = one_gateway()
    world.files = {"config.yaml": "litellm_settings: {callbacks: [prometheus]}"}
    world.carry_out()
    sink = only_sink(world.plan())
    assert (sink.state, sink.message) == (
        "Programmed",
        "config.yaml does not enable the callback that exports, so LiteLLM sends nothing: add litellm_settings: "
        "{callbacks: [otel]}",
    )
