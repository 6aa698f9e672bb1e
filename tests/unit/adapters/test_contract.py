"""What every adapter keeps to, whatever it is asked: a new adapter is under these tests as soon as it is listed."""

from __future__ import annotations

import base64
import inspect
from typing import Any, get_args
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.resources import OTELResourceDetector
from opentelemetry.util.re import parse_env_headers

from gateway_telemetry.adapters import (
    CA_DIRECTORY,
    CA_KEY,
    HEADERS_KEY,
    Adapter,
    Context,
    Forbidden,
    adapter_for,
    adapter_types,
)
from gateway_telemetry.api.gateway import Gateway, OtelSdkOptions
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.endpoint import saas, self_hosted
from tests.unit.adapters.contexts import KEY, PEM, WORKSPACE, context

# They replace the trust store of the whole process, and so cut a gateway off from its model providers.
PROCESS_WIDE = {
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "NODE_TLS_REJECT_UNAUTHORIZED",
    "AWS_CA_BUNDLE",
    "GIT_SSL_CAINFO",
}
# Settings that another backend's metrics and logs read as well.
OTHER_SIGNALS = {
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_LOGS_HEADERS",
    "OTEL_SERVICE_NAME",
}
STYLES: tuple[str, ...] = get_args(OtelSdkOptions.model_fields["endpoint_style"].annotation)
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "litellm": [{}, {"litellm": {"callback": "otel"}}],
    "otel-sdk": [{}, *({"otelSdk": {"endpointStyle": style}} for style in STYLES)],
}


def contexts(type_: str) -> list[Context]:
    """Return one context for each option, form of LangSmith, CA and attributes."""
    return [
        context(type_, options=options, endpoints=endpoints, ca_pem=ca_pem, attributes=attributes, project=project)
        for options in OPTIONS[type_]
        for endpoints in (saas("us"), self_hosted("https://ls.example.internal:8443/langsmith"))
        for ca_pem in (None, PEM)
        for attributes in (None, {"team": "a,b=c; d%20é", "empty": ""})
        for project in ("checkout", "My Project; 100%, a=b")
    ]


CASES = [
    pytest.param(adapter_for(type_), asked, id=f"{type_}-{number}")
    for type_ in adapter_types()
    for number, asked in enumerate(contexts(type_))
]
ADAPTERS = [pytest.param(adapter_for(type_), id=type_) for type_ in adapter_types()]


def test_the_types_are_those_of_the_kind() -> None:
    assert adapter_types() == ("litellm", "otel-sdk")
    assert set(adapter_types()) == set(get_args(Gateway.model_fields["type"].annotation)) == set(OPTIONS)
    assert STYLES == ("Traces", "Base", "Full")


def test_an_unknown_type_has_no_adapter() -> None:
    with pytest.raises(KeyError, match="kong"):
        adapter_for("kong")


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_an_adapter_has_what_the_protocol_asks_for(adapter: Adapter) -> None:
    assert adapter_for(adapter.type) is adapter
    assert adapter.container is None or adapter.container.strip() == adapter.container != ""
    for name in ("settings", "forbidden", "advice"):
        wanted = inspect.signature(getattr(Adapter, name)).parameters
        assert list(inspect.signature(getattr(type(adapter), name)).parameters) == list(wanted)
        assert inspect.getdoc(getattr(adapter, name))


@pytest.mark.parametrize(("adapter", "asked"), CASES)
def test_every_variable_is_written_once_and_from_one_source(adapter: Adapter, asked: Context) -> None:
    found = adapter.settings(asked)
    names = [item.name for item in found.env]
    assert len(set(names)) == len(names)
    for item in found.env:
        assert (item.value is None) != (item.secret_key is None), item.name
        assert item.secret_key is None or item.secret_key in found.files, item.name
        assert item.value is None or item.value.isprintable(), item.name


@pytest.mark.parametrize(("adapter", "asked"), CASES)
def test_settings_are_the_same_each_time(adapter: Adapter, asked: Context) -> None:
    first, second = adapter.settings(asked), adapter.settings(asked)
    assert first == second
    assert repr(first) == repr(second)


@pytest.mark.parametrize(("adapter", "asked"), CASES)
def test_nothing_process_wide_or_of_other_signals_is_written(adapter: Adapter, asked: Context) -> None:
    names = {item.name for item in adapter.settings(asked).env}
    assert not names & PROCESS_WIDE
    assert not names & OTHER_SIGNALS


@pytest.mark.parametrize(("adapter", "asked"), CASES)
def test_what_is_written_is_not_what_is_forbidden(adapter: Adapter, asked: Context) -> None:
    assert not {item.name for item in adapter.settings(asked).env} & {rule.name for rule in adapter.forbidden(asked)}


@pytest.mark.parametrize(("adapter", "asked"), CASES)
def test_the_key_is_in_the_secret_and_nowhere_else(adapter: Adapter, asked: Context) -> None:
    found = adapter.settings(asked)
    assert sum(KEY in text for text in found.files.values()) == 1
    told = "".join([repr(found), repr(found.env), repr(adapter.forbidden(asked)), *adapter.advice({})])
    told += "".join(item.value or "" for item in found.env)
    for form in (KEY, quote(KEY), base64.b64encode(KEY.encode()).decode().rstrip("="), "MARKED4711"):
        assert form not in told


@pytest.mark.parametrize(("adapter", "asked"), CASES)
def test_the_headers_arrive_as_meant(adapter: Adapter, asked: Context) -> None:
    found = adapter.settings(asked)
    sources = {item.name: item.secret_key for item in found.env if item.secret_key is not None}
    assert sources == {"OTEL_EXPORTER_OTLP_TRACES_HEADERS": HEADERS_KEY}
    assert dict(parse_env_headers(found.files[HEADERS_KEY])) == {
        "x-api-key": KEY,
        "langsmith-project": asked.headers.project,
        "x-tenant-id": WORKSPACE,
    }


@pytest.mark.parametrize(("adapter", "asked"), CASES)
def test_the_endpoint_is_one_of_the_targets_urls_and_speaks_http(adapter: Adapter, asked: Context) -> None:
    env = {item.name: item.value for item in adapter.settings(asked).env}
    urls = [value for value in env.values() if value is not None and value.startswith("http") and "://" in value]
    assert len(urls) == 1
    assert urls[0] in {asked.endpoints.otlp, asked.endpoints.traces}
    assert env["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] == "http/protobuf"


@pytest.mark.parametrize(("adapter", "asked"), CASES)
def test_a_ca_is_mounted_and_named_together_or_not_at_all(adapter: Adapter, asked: Context) -> None:
    found = adapter.settings(asked)
    path = f"{CA_DIRECTORY}/{CA_KEY}"
    given_ = asked.ca_pem is not None
    assert path == "/etc/gateway-telemetry/ca.crt"
    assert found.mount_ca is given_
    assert (path in {item.value for item in found.env}) is given_
    assert found.files.get(CA_KEY) == asked.ca_pem


@pytest.mark.parametrize(("adapter", "asked"), CASES)
def test_resource_attributes_are_read_back_by_the_sdk(
    adapter: Adapter, asked: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamp = next(item for item in adapter.settings(asked).env if item.name == "OTEL_RESOURCE_ATTRIBUTES")
    assert stamp.value is not None
    monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", stamp.value)
    own = asked.spec.resource_attributes or {}
    assert dict(OTELResourceDetector().detect().attributes) == {
        "gatewaytelemetry.id": "0123456789ab",
        "k8s.namespace.name": "team-a",
        "k8s.deployment.name": "front",
        **own,
    }
    # The bare stamp gives way to what is there; what the user asked for must not be lost silently.
    assert stamp.yields is (not own)


@settings(max_examples=200, derandomize=True, deadline=None, database=None)
@given(
    attributes=st.dictionaries(
        st.from_regex(r"[a-zA-Z][a-zA-Z0-9_.-]{0,20}", fullmatch=True).filter(
            lambda key: not key.startswith("gatewaytelemetry.")
        ),
        st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=40),
        min_size=1,
        max_size=6,
    ),
    type_=st.sampled_from(adapter_types()),
)
def test_any_attribute_is_read_back_by_the_sdk(attributes: dict[str, str], type_: str) -> None:
    env = adapter_for(type_).settings(context(type_, attributes=attributes)).env
    text = next(item.value for item in env if item.name == "OTEL_RESOURCE_ATTRIBUTES")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("OTEL_SERVICE_NAME", raising=False)
        patch.setenv("OTEL_RESOURCE_ATTRIBUTES", text or "")
        found = dict(OTELResourceDetector().detect().attributes)
    assert {key: found[key] for key in attributes} == attributes
    assert found["gatewaytelemetry.id"] == "0123456789ab"


@pytest.mark.parametrize(("adapter", "asked"), CASES)
def test_a_forbidden_variable_says_why(adapter: Adapter, asked: Context) -> None:
    rules = adapter.forbidden(asked)
    assert len({rule.name for rule in rules}) == len(rules)
    for rule in rules:
        assert isinstance(rule, Forbidden)
        assert rule.reason in {
            Reason.ENV_CONFLICT,
            Reason.FOREIGN_HEADERS,
            Reason.TRACING_DISABLED,
            Reason.CA_BUNDLE_OVERRIDDEN,
        }
        assert rule.why
        assert all(value == value.lower() for value in rule.values | rule.harmless)
        assert not rule.values & rule.harmless


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_advice_names_variables_and_tells_no_value(adapter: Adapter) -> None:
    env = {
        "LANGSMITH_TRACING": "true-MARKED4711",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://MARKED4711@x",
        "EMPTY": None,
    }
    notes = adapter.advice(env)
    assert notes
    assert not any("MARKED4711" in note for note in notes)
