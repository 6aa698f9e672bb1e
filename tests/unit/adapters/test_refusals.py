"""What gateways refuse and warn of, word for word: a person must know from the text alone what to do."""

from __future__ import annotations

from typing import Any

import pytest

from gateway_telemetry.adapters import Seen, adapter_for, adapter_of
from gateway_telemetry.endpoint import EndpointProblem
from tests.unit.adapters.contexts import PEM, context

LANGSMITH = {"litellm": {"callback": "langsmith"}}
COLLECTOR = (
    "let an OpenTelemetry Collector take its spans (receiver otlp, port 4317), and write another GatewayTelemetry with "
    "gateway.type: otel-collector for that"
)
REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    (
        "kgateway",
        {},
        "CollectorRequired",
        "kgateway exports by gRPC only (tracing.provider.openTelemetry.grpcService), and LangSmith takes OTLP over "
        f"HTTP only: {COLLECTOR}",
    ),
    (
        "higress",
        {},
        "CollectorRequired",
        "higress exports by gRPC only (tracing.opentelemetry in the ConfigMap higress-config), and LangSmith takes "
        f"OTLP over HTTP only: {COLLECTOR}",
    ),
    (
        "kong",
        {"ca_pem": PEM},
        "CABundleUnsupportedByAdapter",
        "Kong has no certificate setting for its exporter alone, so the target's caBundleRef cannot be used: add it to "
        "lua_ssl_trusted_certificate (system,/path/ca.crt) and set spec.gateway.caInstalled: true",
    ),
    (
        "litellm",
        {"ca_pem": PEM, "options": LANGSMITH},
        "CABundleUnsupportedByAdapter",
        "LiteLLM's callback langsmith has no certificate setting for its exporter alone, so the target's caBundleRef "
        "cannot be used: use callback otel, or let LiteLLM trust it (ssl_verify in its config.yaml) and set "
        "spec.gateway.caInstalled: true",
    ),
    (
        "litellm",
        {"content": False, "options": LANGSMITH},
        "CaptureUnsupportedByAdapter",
        "nothing that the operator can write makes LiteLLM's callback langsmith leave prompts and completions out, as "
        "spec.capture.content: false asks: set litellm_settings.turn_off_message_logging: true in its config.yaml and "
        "remove spec.capture, or use callback otel",
    ),
    (
        "portkey",
        {"project": "a,b"},
        "ProjectNameUnsupportedByAdapter",
        "the value of langsmith-project holds a comma, which this gateway's header list cannot carry: rename it",
    ),
    (
        "envoy",
        {"project": "größer"},
        "ProjectNameUnsupportedByAdapter",
        "the project's name holds 'ö', which Envoy sends in another encoding than LangSmith's own SDKs: use an ASCII "
        "name",
    ),
    (
        "kong",
        {"project": "{vault://env/key}"},
        "ProjectNameUnsupportedByAdapter",
        "the project's name begins with '{vault:', which Kong would look up in a vault: rename it",
    ),
    *(
        (
            "apisix",
            {"project": name},
            "ProjectNameUnsupportedByAdapter",
            f"the project's name is {name!r}, which APISIX would turn into a number or boolean: use a name with other "
            "letters",
        )
        for name in ("2026", "1e3", "0x1F", "-1.5", "true", "nan")
    ),
    (
        "bifrost",
        {"attributes": {"team": "a=b"}},
        "InvalidSpec",
        "spec.resourceAttributes.team holds a comma, '=' or an outer space, which Bifrost's list of resource "
        "attributes cannot carry: write it without",
    ),
]


@pytest.mark.parametrize(("type_", "asked", "reason", "message"), REFUSED)
def test_a_refusal_names_what_is_wrong_and_what_to_do(
    type_: str, asked: dict[str, Any], reason: str, message: str
) -> None:
    found = context(type_, **asked)
    with pytest.raises(EndpointProblem) as refused:
        adapter_of(found.spec.gateway).settings(found)
    assert (refused.value.reason, refused.value.message) == (reason, message)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            {"helm.sh/chart": "tfy-llm-gateway-0.80.0"},
            "chart tfy-llm-gateway-0.80.0 has no variables for this: from 0.80 on TrueFoundry's control plane exports, "
            "so use install.controlPlane",
        ),
        (
            {"helm.sh/chart": "tfy-llm-gateway-1.2.3"},
            "chart tfy-llm-gateway-1.2.3 has no variables for this: from 0.80 on TrueFoundry's control plane exports, "
            "so use install.controlPlane",
        ),
        (
            {"helm.sh/chart": "tfy-llm-gateway-0.64.9"},
            "chart tfy-llm-gateway-0.64.9 does not export yet: upgrade it to 0.65 or later",
        ),
        (
            {},
            "which version of the chart tfy-llm-gateway this is cannot be told: it has no label helm.sh/chart; label "
            "it as the chart does, e.g. helm.sh/chart: tfy-llm-gateway-0.79.4, or use install.controlPlane for 0.80 "
            "and later",
        ),
        (
            {"helm.sh/chart": "redis-0.70.0"},
            "which version of the chart tfy-llm-gateway this is cannot be told: its label helm.sh/chart is "
            "'redis-0.70.0'; label it as the chart does, e.g. helm.sh/chart: tfy-llm-gateway-0.79.4, or use "
            "install.controlPlane for 0.80 and later",
        ),
    ],
)
def test_truefoundrys_variables_are_for_some_charts_only(labels: dict[str, str], message: str) -> None:
    with pytest.raises(EndpointProblem) as refused:
        adapter_for("truefoundry").check(Seen(labels=labels))
    assert (refused.value.reason, refused.value.message) == ("GatewayVersionUnsupported", message)


@pytest.mark.parametrize("version", ["0.65.0", "0.65.0-rc.1", "0.73.12", "0.79.4"])
def test_the_charts_that_truefoundrys_variables_are_for(version: str) -> None:
    adapter_for("truefoundry").check(Seen(labels={"helm.sh/chart": f"tfy-llm-gateway-{version}"}))


UNKNOWN = "whether LiteLLM's config.yaml enables the callback otel is not known: it is in no mounted ConfigMap"
MISSING = (
    "config.yaml does not enable the callback that exports, so LiteLLM sends nothing: add litellm_settings: "
    "{{callbacks: [{}]}}"
)


@pytest.mark.parametrize(
    ("callback", "config", "told"),
    [
        ("otel", "litellm_settings: {callbacks: [otel]}", []),
        ("otel", "litellm_settings: {success_callback: [otel]}", []),
        ("otel", "litellm_settings: {callbacks: otel}", []),
        ("otel", "litellm_settings: {callbacks: [langsmith]}", [MISSING.format("otel")]),
        ("langsmith", "litellm_settings: {callbacks: [langsmith]}", []),
        ("langsmith", "litellm_settings: {callbacks: [otel]}", [MISSING.format("langsmith")]),
        ("otel", "model_list: []", [MISSING.format("otel")]),
        ("otel", "model_list: []\nlitellm_settings: nonsense", [MISSING.format("otel")]),
        ("otel", "model_list: [", [UNKNOWN]),
        ("otel", "- model_list", [UNKNOWN]),
        ("otel", "some: {other: file}", [UNKNOWN]),
    ],
)
def test_a_callback_that_is_not_enabled_is_told(callback: str, config: str, told: list[str]) -> None:
    gateway = context("litellm", options={"litellm": {"callback": callback}}).spec.gateway
    assert adapter_of(gateway).advice(Seen(files={"config.yaml": config, "notes.txt": "hello"})) == told


@pytest.mark.parametrize(
    ("type_", "options", "name", "value", "told"),
    [
        ("kong", {}, "KONG_TRACING_SAMPLING_RATE", "0.01", True),
        ("kong", {}, "KONG_TRACING_SAMPLING_RATE", "1", False),
        ("traefik", {}, "TRAEFIK_TRACING_SAMPLERATE", "0.5", True),
        ("litellm", LANGSMITH, "LANGSMITH_SAMPLING_RATE", "0.5", True),
        ("litellm", LANGSMITH, "LANGSMITH_SAMPLING_RATE", "1", False),
        ("otel-sdk", {}, "OTEL_TRACES_SAMPLER", "parentbased_traceidratio", True),
        ("otel-sdk", {}, "OTEL_TRACES_SAMPLER", "always_on", False),
        ("truefoundry", {}, "OTEL_TRACES_SAMPLER", "traceidratio", True),
    ],
)
def test_what_thins_traces_out_is_told(type_: str, options: dict[str, Any], name: str, value: str, told: bool) -> None:
    gateway = context(type_, options=options).spec.gateway
    notes = adapter_of(gateway).advice(Seen({name: value}))
    assert any(note.startswith(name) for note in notes) is told


def test_routes_of_apisix_are_traced_only_where_they_say_so() -> None:
    assert adapter_for("apisix").advice(Seen()) == [
        "routes are traced only where the plugin opentelemetry has sampler: {name: always_on}"
    ]
