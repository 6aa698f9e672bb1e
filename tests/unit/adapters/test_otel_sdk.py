"""What the adapter otel-sdk writes and refuses in each endpoint style, as literal values."""

from __future__ import annotations

import pytest

from gateway_telemetry.adapters import EnvVar, Seen, adapter_for
from gateway_telemetry.endpoint import in_cluster, saas
from tests.unit.adapters.contexts import KEY, PEM, context

ADAPTER = adapter_for("otel-sdk")
STAMP = "gatewaytelemetry.id=0123456789ab,k8s.namespace.name=team-a,k8s.deployment.name=front"


def test_any_container_may_export() -> None:
    assert ADAPTER.type == "otel-sdk"
    assert ADAPTER.container is None


def test_the_default_writes_only_traces_scoped_variables() -> None:
    found = ADAPTER.settings(context("otel-sdk", endpoints=saas("us")))
    assert found.env == (
        EnvVar("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://api.smith.langchain.com/otel/v1/traces"),
        EnvVar("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
        EnvVar("OTEL_EXPORTER_OTLP_TRACES_HEADERS", secret_key="otlp-headers"),
        EnvVar("OTEL_RESOURCE_ATTRIBUTES", STAMP, yields=True),
    )
    assert dict(found.files) == {
        "otlp-headers": f"x-api-key={KEY},langsmith-project=checkout,x-tenant-id=5f2c0a4e-0000-4000-8000-000000000000"
    }
    assert found.mount_ca is False


@pytest.mark.parametrize(
    ("style", "name", "value"),
    [
        (
            "Traces",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "http://langsmith-frontend.langsmith.svc/langsmith/api/v1/otel/v1/traces",
        ),
        ("Base", "OTEL_EXPORTER_OTLP_ENDPOINT", "http://langsmith-frontend.langsmith.svc/langsmith/api/v1/otel"),
        (
            "Full",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "http://langsmith-frontend.langsmith.svc/langsmith/api/v1/otel/v1/traces",
        ),
    ],
)
def test_a_style_chooses_variable_and_form_of_the_endpoint(style: str, name: str, value: str) -> None:
    service = in_cluster("langsmith-frontend", "langsmith", 80, "http", "langsmith", allow_plaintext=True)
    found = ADAPTER.settings(context("otel-sdk", options={"otelSdk": {"endpointStyle": style}}, endpoints=service))
    assert found.env == (
        EnvVar(name, value),
        EnvVar("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
        EnvVar("OTEL_EXPORTER_OTLP_TRACES_HEADERS", secret_key="otlp-headers"),
        EnvVar("OTEL_RESOURCE_ATTRIBUTES", STAMP, yields=True),
    )


def test_a_ca_and_attributes() -> None:
    found = ADAPTER.settings(context("otel-sdk", ca_pem=PEM, attributes={"zone": "a", "team": "payments"}))
    assert found.env[3:] == (
        EnvVar("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "/etc/gateway-telemetry/ca.crt"),
        EnvVar("OTEL_RESOURCE_ATTRIBUTES", f"{STAMP},team=payments,zone=a"),
    )
    assert found.files["ca.crt"] == PEM
    assert found.mount_ca is True


def test_what_must_not_be_on_the_container() -> None:
    rules = ADAPTER.forbidden(context("otel-sdk"))
    assert [(rule.name, rule.reason.value, sorted(rule.values), sorted(rule.harmless)) for rule in rules] == [
        ("OTEL_SDK_DISABLED", "TracingDisabledByEnv", ["true"], []),
        ("OTEL_TRACES_EXPORTER", "TracingDisabledByEnv", [], ["", "otlp", "otlp_proto_http"]),
        ("OTEL_TRACES_SAMPLER", "TracingDisabledByEnv", ["always_off", "parentbased_always_off"], []),
        ("OTEL_EXPORTER_OTLP_HEADERS", "ForeignHeadersWouldBeSent", [], []),
    ]


def test_with_a_ca_also_what_would_override_it() -> None:
    rules = ADAPTER.forbidden(context("otel-sdk", ca_pem=PEM))
    assert [(rule.name, rule.reason.value) for rule in rules][3:5] == [
        ("REQUESTS_CA_BUNDLE", "CABundleOverridden"),
        ("CURL_CA_BUNDLE", "CABundleOverridden"),
    ]


@pytest.mark.parametrize("style", ["Base", "Full"])
def test_a_traces_scoped_endpoint_would_win_over_the_generic_one(style: str) -> None:
    rules = ADAPTER.forbidden(context("otel-sdk", options={"otelSdk": {"endpointStyle": style}}))
    assert (rules[-1].name, rules[-1].reason.value, rules[-1].why) == (
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "EnvConflict",
        f"goes before OTEL_EXPORTER_OTLP_ENDPOINT, which endpointStyle {style} writes",
    )


METRICS = (
    "metrics of this program, if it exports any, follow OTEL_EXPORTER_OTLP_ENDPOINT to LangSmith, which takes none: "
    "set OTEL_METRICS_EXPORTER=none or OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"
)
LOGS = (
    "logs of this program, if it exports any, follow OTEL_EXPORTER_OTLP_ENDPOINT to LangSmith, which takes none: "
    "set OTEL_LOGS_EXPORTER=none or OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"
)
GRPC = (
    "OTEL_EXPORTER_OTLP_PROTOCOL=grpc is on the container; OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf goes "
    "before it in SDKs that follow the specification"
)


@pytest.mark.parametrize(
    ("env", "notes"),
    [
        ({}, []),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://x", "OTEL_EXPORTER_OTLP_ENDPOINT": "https://y"}, []),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://x"}, [METRICS, LOGS]),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "https://x",
                "OTEL_METRICS_EXPORTER": "none",
                "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "https://logs.example/v1/logs",
            },
            [],
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://x", "OTEL_METRICS_EXPORTER": "otlp"}, [METRICS, LOGS]),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, [GRPC]),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, []),
        ({"LANGSMITH_TRACING": "true"}, ["LANGSMITH_TRACING may send the same traces to LangSmith a second time"]),
    ],
)
def test_what_is_worth_knowing(env: dict[str, str], notes: list[str]) -> None:
    assert ADAPTER.advice(Seen(env)) == notes
