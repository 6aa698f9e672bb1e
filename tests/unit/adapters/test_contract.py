"""What every adapter keeps to, whatever it is asked: a new adapter is under these tests as soon as it is listed."""

from __future__ import annotations

import base64
import inspect
import json
import re
from typing import Any, get_args
from urllib.parse import quote

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.resources import OTELResourceDetector
from opentelemetry.util.re import parse_env_headers

from gateway_telemetry.adapters import (
    CA_DIRECTORY,
    CA_KEY,
    COPY_KEYS,
    HEADERS_KEY,
    Adapter,
    Context,
    Forbidden,
    Seen,
    Settings,
    adapter_for,
    adapter_of,
    adapter_types,
    adapters,
)
from gateway_telemetry.api.gateway import FILE_GATEWAYS
from gateway_telemetry.api.gateway_types import Gateway, OtelSdkOptions
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.endpoint import EndpointProblem, saas, self_hosted
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
    "KONG_LUA_SSL_TRUSTED_CERTIFICATE",
}
# Settings that another backend's metrics and logs read as well.
OTHER_SIGNALS = {
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_LOGS_HEADERS",
}
STYLES: tuple[str, ...] = get_args(OtelSdkOptions.model_fields["endpoint_style"].annotation)
LANGSMITH = {"litellm": {"callback": "langsmith"}}
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "litellm": [{}, {"litellm": {"callback": "otel"}}, LANGSMITH],
    "otel-sdk": [{}, *({"otelSdk": {"endpointStyle": style}} for style in STYLES)],
}
PROJECTS = ("checkout", "My Project; 100%, a=b", "Café")
ATTRIBUTES = {"team": "a,b=c; d%20é", "empty": ""}
REFUSED_TYPES = {"higress", "kgateway"}
# Configured in another object; their own tests ask them.
OF_RESOURCES = {"agentgateway", "envoy-ai-gateway", "otel-collector"}
# By what is asked beyond the plain case: which types refuse it, with which reason.
REFUSALS: dict[str, dict[str, Reason]] = {
    "a comma in the project": {"portkey": Reason.PROJECT_UNSUPPORTED},
    "a project that is not ASCII": dict.fromkeys(
        ("apisix", "bifrost", "envoy", "kong", "traefik"), Reason.PROJECT_UNSUPPORTED
    ),
    "a private CA": dict.fromkeys(("apisix", "kong", "litellm/langsmith", "portkey"), Reason.CA_BUNDLE_UNSUPPORTED),
    "attributes that need encoding": {
        "bifrost": Reason.INVALID_SPEC,
        **dict.fromkeys(("litellm/langsmith", "portkey"), Reason.ATTRIBUTES_UNSUPPORTED),
    },
    "attributes": dict.fromkeys(("litellm/langsmith", "portkey"), Reason.ATTRIBUTES_UNSUPPORTED),
    "no content": dict.fromkeys(("litellm/langsmith", "portkey", "truefoundry"), Reason.CAPTURE_UNSUPPORTED),
}
ASKED: dict[str, dict[str, Any]] = {
    "a comma in the project": {"project": PROJECTS[1]},
    "a project that is not ASCII": {"project": PROJECTS[2]},
    "a private CA": {"ca_pem": PEM},
    "attributes that need encoding": {"attributes": ATTRIBUTES},
    "attributes": {"attributes": {"team": "payments"}},
    "no content": {"content": False},
}


def named(type_: str, options: dict[str, Any]) -> str:
    return f"{type_}/langsmith" if options == LANGSMITH else type_


def ways() -> list[tuple[str, dict[str, Any]]]:
    """Return all types with each of their options, but for those that are always refused."""
    types = [type_ for type_ in adapter_types() if type_ not in REFUSED_TYPES | OF_RESOURCES]
    return [(type_, options) for type_ in types for options in OPTIONS.get(type_, [{}])]


def contexts(type_: str, options: dict[str, Any]) -> list[Context]:
    """Return contexts for each form of LangSmith, CA, attributes, project and content that this type can carry."""
    refused = {what for what, types in REFUSALS.items() if named(type_, options) in types}

    def kept(what: str, value: Any, plain: Any = None) -> Any:
        return plain if what in refused else value

    return [
        context(
            type_,
            options=options,
            endpoints=endpoints,
            ca_pem=ca_pem,
            attributes=attributes,
            project=project,
            content=content,
        )
        for endpoints in (saas("us"), self_hosted("https://ls.example.internal:8443/langsmith"))
        for ca_pem in dict.fromkeys((None, kept("a private CA", PEM)))
        for attributes, project, content in (
            (None, PROJECTS[0], None),
            (kept("attributes that need encoding", ATTRIBUTES), PROJECTS[0], None),
            (None, kept("a comma in the project", PROJECTS[1], PROJECTS[0]), kept("no content", False)),
            (None, kept("a project that is not ASCII", PROJECTS[2], PROJECTS[0]), kept("no content", False)),
        )
    ]


CASES = [
    pytest.param(adapter_of(asked.spec.gateway), asked, id=f"{named(type_, options)}-{number}")
    for type_, options in ways()
    for number, asked in enumerate(contexts(type_, options))
]
ADAPTERS = [pytest.param(adapter, id=adapter.page.title) for adapter in adapters()]
# Those whose exporter is an OpenTelemetry SDK that reads the traces-scoped variables.
SDK_CASES = [
    case
    for case in CASES
    if any(item.name == "OTEL_EXPORTER_OTLP_TRACES_HEADERS" for item in case.values[0].settings(case.values[1]).env)  # type: ignore[union-attr]
]


def told(found: Settings) -> str:
    """Return all that is written as text, without the Secret's keys that pods get as variables."""
    return "\n".join([*(item.value or "" for item in found.env), *(found.files[name] for name in found.documents)])


def test_the_types_are_those_of_the_kind() -> None:
    assert {*adapter_types(), *OF_RESOURCES} == set(get_args(Gateway.model_fields["type"].annotation))
    assert {str(case.id).rpartition("-")[0] for case in SDK_CASES} == {"litellm", "otel-sdk", "truefoundry"}
    assert STYLES == ("Traces", "Base", "Full")
    assert set(adapter_types()) >= {*FILE_GATEWAYS, *REFUSED_TYPES, *OPTIONS}


def test_an_unknown_type_has_no_adapter() -> None:
    with pytest.raises(KeyError, match="tyk"):
        adapter_for("tyk")


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_an_adapter_has_what_the_base_asks_for(adapter: Adapter) -> None:
    assert adapter in adapters()
    assert adapter.container is None or adapter.container.strip() == adapter.container != ""
    for name in ("settings", "forbidden", "check", "advice"):
        wanted = inspect.signature(getattr(Adapter, name)).parameters
        assert list(inspect.signature(getattr(type(adapter), name)).parameters) == list(wanted)
        assert inspect.getdoc(getattr(adapter, name))
    page = adapter.page
    assert page.source.startswith("https://")
    assert all((page.title, page.restart, page.ca, page.content, page.headers))


@pytest.mark.parametrize("what", REFUSALS)
@pytest.mark.parametrize(("type_", "options"), ways(), ids=[f"{named(*way)}{len(str(way[1]))}" for way in ways()])
def test_what_a_gateway_cannot_carry_is_refused_by_name(what: str, type_: str, options: dict[str, Any]) -> None:
    asked = context(type_, options=options, **ASKED[what])
    adapter = adapter_of(asked.spec.gateway)
    reason = REFUSALS[what].get(named(type_, options))
    if reason is None:
        assert adapter.settings(asked).env or adapter.settings(asked).documents
        return
    with pytest.raises(EndpointProblem) as refused:
        adapter.settings(asked)
    assert refused.value.reason == reason
    assert ": " in refused.value.message
    assert "MARKED4711" not in refused.value.message


@pytest.mark.parametrize(("adapter", "asked"), CASES)
def test_every_variable_is_written_once_and_from_one_source(adapter: Adapter, asked: Context) -> None:
    found = adapter.settings(asked)
    names = [item.name for item in found.env]
    assert len(set(names)) == len(names)
    for item in found.env:
        assert (item.value is None) != (item.secret_key is None), item.name
        assert item.secret_key is None or item.secret_key in found.files, item.name
        assert item.value is None or item.value.isprintable(), item.name
    referred = {item.secret_key for item in found.env if item.secret_key} | set(found.documents)
    assert set(found.files) == referred | ({CA_KEY} if found.mount_ca else set())
    assert set(found.files) - set(found.documents) <= COPY_KEYS


@pytest.mark.parametrize(("adapter", "asked"), CASES)
def test_what_is_written_is_known_again_without_a_record(adapter: Adapter, asked: Context) -> None:
    usual = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_RESOURCE_ATTRIBUTES"}
    usual |= {"OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_ENDPOINT"}
    if adapter.type in FILE_GATEWAYS:
        assert adapter.literals == set()
        return
    names = {item.name for item in adapter.settings(asked).env if item.value is not None and not item.yields}
    assert names <= usual | adapter.literals


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
    rules = {rule.name: rule for rule in adapter.forbidden(asked)}
    for item in adapter.settings(asked).env:
        rule = rules.get(item.name)
        # Only what gives way to the user's own value may name values that are harmful.
        if rule is not None:
            assert item.yields
            assert item.value is not None
            assert item.value in rule.harmless or (rule.values and item.value not in rule.values)


@pytest.mark.parametrize(("adapter", "asked"), CASES)
def test_the_key_is_in_the_secret_and_nowhere_else(adapter: Adapter, asked: Context) -> None:
    found = adapter.settings(asked)
    assert sum(KEY in text for text in found.files.values()) == 1
    shown = "".join([repr(found), repr(found.env), repr(adapter.forbidden(asked)), *adapter.advice(Seen())])
    shown += "".join(item.value or "" for item in found.env)
    for form in (KEY, quote(KEY), base64.b64encode(KEY.encode()).decode().rstrip("="), "MARKED4711"):
        assert form not in shown


@pytest.mark.parametrize(("adapter", "asked"), SDK_CASES)
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
def test_the_endpoint_is_one_of_the_targets_urls(adapter: Adapter, asked: Context) -> None:
    urls = set(re.findall(r"https://[^\s\"',]+", told(adapter.settings(asked))))
    assert urls
    assert urls <= {asked.endpoints.otlp, asked.endpoints.traces, asked.endpoints.api}


@pytest.mark.parametrize(("adapter", "asked"), SDK_CASES)
def test_an_sdk_is_told_to_speak_http(adapter: Adapter, asked: Context) -> None:
    env = {item.name: item.value for item in adapter.settings(asked).env}
    assert env["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] == "http/protobuf"


@pytest.mark.parametrize(("adapter", "asked"), CASES)
def test_a_document_can_be_read_back(adapter: Adapter, asked: Context) -> None:
    found = adapter.settings(asked)
    for name in found.documents:
        text = found.files[name]
        value = json.loads(text) if name.endswith(".json") else yaml.safe_load(text)
        # The project stands in the document, or the document names the variable that holds it.
        named_ = "GATEWAY_TELEMETRY_PROJECT" in text and "GATEWAY_TELEMETRY_PROJECT" in {
            item.name for item in found.env
        }
        raw = asked.headers.project in str(value) or asked.headers.project.replace("%", "%%") in str(value)
        assert named_ or raw or name == "envoy-cds.yaml"


@pytest.mark.parametrize(("adapter", "asked"), CASES)
def test_a_ca_is_mounted_and_named_together_or_not_at_all(adapter: Adapter, asked: Context) -> None:
    found = adapter.settings(asked)
    path = f"{CA_DIRECTORY}/{CA_KEY}"
    given_ = asked.ca_pem is not None
    assert path == "/etc/gateway-telemetry/ca.crt"
    assert found.mount_ca is given_
    assert (path in told(found)) is given_
    assert found.files.get(CA_KEY) == asked.ca_pem


@pytest.mark.parametrize(("adapter", "asked"), CASES)
def test_the_stamp_is_where_the_adapter_says(adapter: Adapter, asked: Context) -> None:
    found = told(adapter.settings(asked))
    assert ("0123456789ab" in found) is (adapter.evidence == "Resource")


@pytest.mark.parametrize(("adapter", "asked"), SDK_CASES)
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
    type_=st.sampled_from(["litellm", "otel-sdk", "traefik", "truefoundry"]),
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
        "KONG_TRACING_SAMPLING_RATE": "0.5MARKED4711",
        "LANGSMITH_SAMPLING_RATE": "0.5MARKED4711",
        "TRAEFIK_TRACING_SAMPLERATE": "0.5MARKED4711",
        "EMPTY": None,
    }
    seen = Seen(env, {"app": "MARKED4711"}, {"config.yaml": "model_list: MARKED4711"})
    notes = adapter.advice(seen)
    if adapter.type not in OF_RESOURCES:
        assert bool(notes) is (adapter.type not in {"bifrost", "envoy", "higress", "kgateway", "portkey"})
    assert not any("MARKED4711" in note for note in notes)


@settings(max_examples=150, derandomize=True, deadline=None, database=None)
@given(project=st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=60))
def test_any_ascii_project_is_read_back_from_each_document(project: str) -> None:
    project = project.strip()
    if not project or project.startswith("{vault:"):
        return
    kong = adapter_for("kong").settings(context("kong", project=project)).files["kong-opentelemetry.yaml"]
    assert yaml.safe_load(kong)["headers"]["langsmith-project"] == project
    envoy = adapter_for("envoy").settings(context("envoy", project=project)).files["envoy-tracing.yaml"]
    headers = yaml.safe_load(envoy)["provider"]["typed_config"]["http_service"]["request_headers_to_add"]
    [value] = [item["header"]["value"] for item in headers if item["header"]["key"] == "langsmith-project"]
    assert re.fullmatch(r"(?:[^%]|%%)*", value)
    assert value.replace("%%", "%") == project
    for type_, name in (
        ("bifrost", "GATEWAY_TELEMETRY_PROJECT"),
        ("traefik", "TRAEFIK_TRACING_OTLP_HTTP_HEADERS_langsmith-project"),
    ):
        env = {item.name: item.value for item in adapter_for(type_).settings(context(type_, project=project)).env}
        assert env[name] == project


@pytest.mark.parametrize("name", ["2026", "1e3", "12345678e901", "0o17", "0x1F", "1_000", "nan", ".inf", "yes", "null"])
def test_what_any_parser_could_take_for_something_else_is_quoted(name: str) -> None:
    kong = adapter_for("kong").settings(context("kong", project=name)).files["kong-opentelemetry.yaml"]
    envoy = adapter_for("envoy").settings(context("envoy", project=name)).files["envoy-tracing.yaml"]
    assert f"langsmith-project: '{name}'" in kong
    assert f"value: '{name}'" in envoy
