"""What the adapter litellm writes and refuses, as literal values."""

from __future__ import annotations

import pytest

from gateway_telemetry.adapters import EnvVar, Seen, adapter_for
from gateway_telemetry.endpoint import self_hosted
from tests.unit.adapters.contexts import KEY, PEM, context

ADAPTER = adapter_for("litellm")
CONFIG = {"config.yaml": "litellm_settings: {callbacks: [otel]}"}
STAMP = "gatewaytelemetry.id=0123456789ab,k8s.namespace.name=team-a,k8s.deployment.name=front"
ENCODED = f"x-api-key={KEY},langsmith-project=checkout,x-tenant-id=5f2c0a4e-0000-4000-8000-000000000000"


def test_the_container_is_named_as_in_litellms_chart() -> None:
    assert ADAPTER.type == "litellm"
    assert ADAPTER.container == "litellm"


def test_saas() -> None:
    found = ADAPTER.settings(context("litellm"))
    assert found.env == (
        EnvVar("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        EnvVar("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://eu.api.smith.langchain.com/otel/v1/traces"),
        EnvVar("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
        EnvVar("OTEL_EXPORTER_OTLP_TRACES_HEADERS", secret_key="otlp-headers"),
        EnvVar("OTEL_RESOURCE_ATTRIBUTES", STAMP, yields=True),
    )
    assert dict(found.files) == {"otlp-headers": ENCODED}
    assert found.mount_ca is False


def test_self_hosted_with_prefix_ca_attributes_and_a_project_to_encode() -> None:
    endpoints = self_hosted("https://ls.example.internal:8443/langsmith/dev")
    asked = context(
        "litellm",
        options={"litellm": {"callback": "otel"}},
        endpoints=endpoints,
        project="My Project, a",
        workspace=None,
        ca_pem=PEM,
        attributes={"team": "payments, eu"},
    )
    found = ADAPTER.settings(asked)
    assert found.env == (
        EnvVar("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        EnvVar(
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "https://ls.example.internal:8443/langsmith/dev/api/v1/otel/v1/traces",
        ),
        EnvVar("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
        EnvVar("OTEL_EXPORTER_OTLP_TRACES_HEADERS", secret_key="otlp-headers"),
        EnvVar("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "/etc/gateway-telemetry/ca.crt"),
        EnvVar("OTEL_RESOURCE_ATTRIBUTES", f"{STAMP},team=payments%2C%20eu"),
    )
    assert dict(found.files) == {
        "otlp-headers": f"x-api-key={KEY},langsmith-project=My%20Project%2C%20a",
        "ca.crt": PEM,
    }
    assert found.mount_ca is True


def test_what_must_not_be_on_the_container() -> None:
    rules = ADAPTER.forbidden(context("litellm"))
    assert [(rule.name, rule.reason.value, sorted(rule.values), sorted(rule.harmless)) for rule in rules] == [
        ("OTEL_SDK_DISABLED", "TracingDisabledByEnv", ["true"], []),
        ("OTEL_TRACES_EXPORTER", "TracingDisabledByEnv", [], ["", "otlp", "otlp_proto_http"]),
        ("OTEL_TRACES_SAMPLER", "TracingDisabledByEnv", ["always_off", "parentbased_always_off"], []),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "EnvConflict", [], []),
        ("OTEL_EXPORTER_OTLP_HEADERS", "EnvConflict", [], []),
        ("OTEL_ENDPOINT", "EnvConflict", [], []),
        ("OTEL_HEADERS", "EnvConflict", [], []),
        ("OTEL_EXPORTER", "EnvConflict", [], []),
        ("OTEL_TRACES_ENDPOINT", "EnvConflict", [], []),
    ]


def test_with_a_ca_also_what_would_override_it() -> None:
    rules = ADAPTER.forbidden(context("litellm", ca_pem=PEM))
    assert [(rule.name, rule.reason.value) for rule in rules][3:5] == [
        ("REQUESTS_CA_BUNDLE", "CABundleOverridden"),
        ("CURL_CA_BUNDLE", "CABundleOverridden"),
    ]
    assert len(rules) == 11


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("LANGSMITH_TRACING", "true", True),
        ("LANGSMITH_TRACING_V2", "true", True),
        ("LANGCHAIN_TRACING_V2", "1", True),
        ("LANGSMITH_OTEL_ENABLED", None, True),
        ("LANGSMITH_TRACING", "false", False),
        ("LANGCHAIN_TRACING_V2", " False ", False),
        ("LANGSMITH_OTEL_ENABLED", "", False),
        ("LANGSMITH_API_KEY", "x", False),
    ],
)
def test_a_second_way_to_langsmith_is_told(name: str, value: str | None, told: bool) -> None:
    expected = [f"{name} may send the same traces to LangSmith a second time"] if told else []
    assert ADAPTER.advice(Seen({"PORT": "4000", name: value}, files=CONFIG)) == expected
