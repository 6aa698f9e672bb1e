"""Objects that can be read and do not work: each has its own reason, nothing is written, and the exit status is 1."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from gateway_telemetry.api.conditions import MESSAGE_LIMIT
from tests.support import objects
from tests.unit.cli.run import Object, Ran, render_objects

NS = "shop"
ACCEPTED = ("True", "Accepted")
RESOLVED = ("True", "Resolved")


def world(
    *,
    secret: Object | None = None,
    target: Object | None = None,
    gateway: Object | None = None,
    deployment: Object | None = None,
    more: tuple[Object, ...] = (),
) -> list[Object]:
    return [
        secret or objects.secret(NS),
        target or objects.target(NS),
        gateway or objects.gateway(NS),
        deployment or objects.deployment(NS),
        *more,
    ]


def assert_nothing_is_written(ran: Ran, found: list[Object]) -> None:
    """Everything but the status of our kinds is as it was."""
    assert [{key: obj[key] for key in obj if key != "status"} for obj in ran.objects()] == found


def encoded(raw: bytes) -> bytes:
    return base64.b64encode(raw)


KEYS: list[tuple[str, bytes, str, str]] = [
    ("empty", b"", "KeyEmpty", "the key is empty: store the LangSmith API key there"),
    ("blank", b"\n", "KeyEmpty", "the key is empty"),
    ("doubly encoded", encoded(b"lsv2_sk_marked_4711"), "KeyDoubleEncoded", "base64"),
    ("binary", b"lsv2_sk_\xff\xfe_4711", "KeyMalformed", "holds bytes that are not ASCII"),
    ("quoted", b"'lsv2_sk_4711'", "KeyMalformed", "surrounded by quotes"),
]


@pytest.mark.parametrize(("key", "reason", "text"), [item[1:] for item in KEYS], ids=[item[0] for item in KEYS])
def test_a_key_that_cannot_be_one_is_refused(key: bytes, reason: str, text: str) -> None:
    found = world(secret=objects.secret(NS, key=key))
    ran = render_objects(found, "--show-secrets")
    assert ran.code == 1
    assert ran.conditions("LangSmithTarget")["ResolvedRefs"] == ("False", reason)
    assert ran.conditions("GatewayTelemetry")["ResolvedRefs"] == ("False", "TargetNotReady")
    target, gateway = ran.err.splitlines()
    where = "spec.credentials.ingest.secretRef: Secret shop/langsmith, key api-key: "
    assert target.startswith(f"<stdin>:11: LangSmithTarget shop/prod: ResolvedRefs=False ({reason}): {where}")
    assert text in target
    assert "GatewayTelemetry shop/gateway: ResolvedRefs=False (TargetNotReady): LangSmithTarget shop/prod" in gateway
    assert "4711" not in ran.err
    assert_nothing_is_written(ran, found)


def test_a_key_that_ends_with_a_newline_is_trimmed_and_said_so() -> None:
    ran = render_objects(world(secret=objects.secret(NS, key="lsv2_sk_0123\n")), "--show-secrets")
    assert (ran.code, ran.err) == (0, "")
    own = ran.find("Secret", "gateway-telemetry-deployment-gateway")["data"]
    assert base64.b64decode(own["otlp-headers"]) == b"x-api-key=lsv2_sk_0123,langsmith-project=checkout"
    (resolved,) = [
        item for item in ran.find("LangSmithTarget")["status"]["conditions"] if item["type"] == "ResolvedRefs"
    ]
    assert "a newline or space at the end of the key was ignored" in resolved["message"]


def test_a_secret_without_the_label_and_an_absent_one_read_alike() -> None:
    unlabelled = objects.secret(NS)
    del unlabelled["metadata"]["labels"]
    lines = []
    for found in (world(secret=unlabelled), world()[1:]):
        ran = render_objects(found)
        assert ran.code == 1
        assert ran.conditions("LangSmithTarget")["ResolvedRefs"] == ("False", "SecretNotFound")
        lines.append(ran.err.splitlines()[0].partition(": ")[2])
    assert lines[0] == lines[1]
    assert lines[0].endswith("kubectl label secret langsmith -n shop gatewaytelemetry.dev/role=source")


HOSTED: Object = {"selfHosted": {"url": "https://langsmith.example.com"}}
CA_REF: Object = {"caBundleRef": {"kind": "ConfigMap", "name": "langsmith-ca"}}
PRIVATE = "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n"

CAS: list[tuple[str, str | None, str]] = [
    ("no PEM", "not a certificate", "CABundleInvalid"),
    ("empty", "", "CABundleInvalid"),
    ("broken PEM", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "CABundleInvalid"),
    ("private key", PRIVATE, "CABundleContainsPrivateKey"),
    ("absent", None, "CABundleNotFound"),
]


@pytest.mark.parametrize(("pem", "reason"), [item[1:] for item in CAS], ids=[item[0] for item in CAS])
def test_a_ca_that_is_none_is_refused(pem: str | None, reason: str) -> None:
    more = () if pem is None else (objects.ca_bundle(NS, pem),)
    found = world(target=objects.target(NS, **HOSTED, **CA_REF), more=more)
    ran = render_objects(found, "--allow-host", "langsmith.example.com")
    assert ran.code == 1
    assert ran.conditions("LangSmithTarget")["ResolvedRefs"] == ("False", reason)
    assert "spec.caBundleRef: ConfigMap shop/langsmith-ca" in ran.err


def elsewhere(consent: Any) -> list[Object]:
    """Return a gateway whose target is in another namespace."""
    spec = {} if consent is None else {"allowedNamespaces": consent}
    return [
        objects.secret("platform"),
        objects.target("platform", **spec),
        objects.gateway(NS, targetRef={"name": "prod", "namespace": "platform"}),
        objects.deployment(NS),
    ]


def test_a_target_of_another_namespace_needs_consent_and_reads_like_a_missing_one() -> None:
    refused = render_objects(elsewhere(None))
    missing = render_objects([obj for obj in elsewhere(None) if obj["kind"] != "LangSmithTarget"])
    for ran in (refused, missing):
        assert ran.code == 1
        assert ran.conditions("GatewayTelemetry")["ResolvedRefs"] == ("False", "TargetNotFound")
    assert refused.err.partition(": ")[2] == missing.err.partition(": ")[2]
    assert (
        "spec.targetRef: LangSmithTarget platform/prod was not found, or it does not admit namespace shop"
        in missing.err
    )


@pytest.mark.parametrize(
    ("consent", "code"),
    [
        ({"from": "All"}, 0),
        ({"from": "Same"}, 1),
        ({"from": "Selector", "selector": {"matchLabels": {"kubernetes.io/metadata.name": NS}}}, 0),
        ({"from": "Selector", "selector": {"matchLabels": {"team": "payments"}}}, 1),
    ],
    ids=["all", "same", "by name", "by label"],
)
def test_consent_is_read_as_the_operator_reads_it(consent: Any, code: int) -> None:
    assert render_objects(elsewhere(consent)).code == code


def test_the_labels_of_a_namespace_come_from_the_files() -> None:
    consent = {"from": "Selector", "selector": {"matchLabels": {"team": "payments"}}}
    shop = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NS, "labels": {"team": "payments"}}}
    assert render_objects([*elsewhere(consent), shop]).code == 0


def container(name: str = "main", **fields: Any) -> Object:
    return {"name": name, "image": "registry.example/gateway:1", **fields}


TRACES = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
EU = "https://eu.api.smith.langchain.com/otel/v1/traces"
BLOCKED: list[tuple[str, list[Object], str, str]] = [
    (
        "duplicate env names",
        [container(env=[{"name": TRACES, "value": EU}, {"name": TRACES, "value": EU}])],
        "DuplicateEnv",
        f"Deployment shop/gateway, container main lists {TRACES} 2 times: remove all but one from its manifest",
    ),
    (
        "two containers",
        [container("one"), container("two")],
        "ContainerAmbiguous",
        "Deployment shop/gateway has the containers one, two: set spec.install.inject.container to",
    ),
    (
        "a variable of ours",
        [container(env=[{"name": TRACES, "value": "http://collector:4318"}])],
        "EnvConflict",
        f"Deployment shop/gateway, container main already sets {TRACES}: remove it from the manifest or chart",
    ),
    (
        "headers of others",
        [container(env=[{"name": HEADERS, "value": "api-key=x"}])],
        "ForeignHeadersWouldBeSent",
        f"Deployment shop/gateway, container main sets {HEADERS}, which holds another backend's headers",
    ),
    (
        "tracing off",
        [container(env=[{"name": "OTEL_SDK_DISABLED", "value": "true"}])],
        "TracingDisabledByEnv",
        "container main sets OTEL_SDK_DISABLED, which switches the SDK off: remove it there",
    ),
]


@pytest.mark.parametrize(
    ("containers", "reason", "text"), [item[1:] for item in BLOCKED], ids=[item[0] for item in BLOCKED]
)
def test_a_deployment_without_room_is_left_alone(containers: list[Object], reason: str, text: str) -> None:
    found = world(deployment=objects.deployment(NS, containers=containers))
    ran = render_objects(found, "--show-secrets")
    assert ran.code == 1
    conditions = ran.conditions("GatewayTelemetry")
    assert (conditions["Accepted"], conditions["ResolvedRefs"]) == (ACCEPTED, RESOLVED)
    assert conditions["Programmed"] == conditions["Ready"] == ("False", reason)
    assert ran.find("GatewayTelemetry")["status"]["counts"] == {"matched": 1, "programmed": 0}
    assert ran.err.startswith(f"<stdin>:26: GatewayTelemetry shop/gateway: Blocked ({reason}): ")
    assert text in ran.err
    assert ran.err.count("\n") == 1
    assert_nothing_is_written(ran, found)


def test_a_container_that_is_named_is_no_longer_ambiguous() -> None:
    gateway = objects.gateway(NS)
    gateway["spec"]["install"]["inject"]["container"] = "two"
    ran = render_objects(
        world(gateway=gateway, deployment=objects.deployment(NS, containers=[container("one"), container("two")]))
    )
    assert ran.code == 0
    one, two = ran.find("Deployment")["spec"]["template"]["spec"]["containers"]
    assert "env" not in one
    assert TRACES in [item["name"] for item in two["env"]]


URLS: Object = {"saas": {"region": "eu"}, "selfHosted": {"url": "https://x.example"}}
SPECS: list[tuple[str, Object, str, str]] = [
    ("an inline key", {"apiKey": "lsv2_sk_marked_4711"}, "InvalidSpec", "spec.apiKey: a key never belongs in this"),
    ("two forms", URLS, "InvalidSpec", "write exactly one of spec.saas"),
    (
        "a region",
        {"saas": {"region": "mars"}},
        "InvalidSpec",
        "spec.saas.region: Input should be 'us', 'eu', 'apac' or",
    ),
    ("no mapping", {"saas": "eu"}, "InvalidSpec", "spec.saas: "),
    ("plain http", {"selfHosted": {"url": "http://x.example"}}, "InsecureScheme", "or set spec.allowPlaintext: true"),
]


@pytest.mark.parametrize(("spec", "reason", "text"), [item[1:] for item in SPECS], ids=[item[0] for item in SPECS])
def test_a_spec_that_the_api_server_would_refuse_is_not_accepted(spec: Object, reason: str, text: str) -> None:
    ran = render_objects(world(target=objects.target(NS, **spec)))
    assert ran.code == 1
    assert ran.conditions("LangSmithTarget")["Accepted"] == ("False", reason)
    assert text in ran.err.splitlines()[0]
    assert "4711" not in ran.err + ran.out


def test_a_host_that_is_not_allowed_names_the_field_and_the_flag() -> None:
    found = world(target=objects.target(NS, **HOSTED))
    ran = render_objects(found)
    assert ran.conditions("LangSmithTarget")["Accepted"] == ("False", "HostNotAllowed")
    assert "spec.selfHosted.url: host langsmith.example.com is not allowed" in ran.err
    assert "--allow-host langsmith.example.com" in ran.err
    assert render_objects(found, "--allow-host", "*.example.com").code == 0


def test_loopback_needs_its_own_flag() -> None:
    found = world(target=objects.target(NS, selfHosted={"url": "https://127.0.0.1:8443"}))
    assert render_objects(found, "--allow-host", "*").code == 1
    assert render_objects(found, "--insecure-allow-loopback").code == 0


def test_a_selector_without_a_match_is_not_accepted() -> None:
    ran = render_objects(world(gateway=objects.gateway(NS, app="other")))
    assert ran.code == 1
    assert ran.conditions("GatewayTelemetry")["Accepted"] == ("False", "NoMatchingWorkloads")
    assert ran.find("GatewayTelemetry")["status"]["counts"] == {"matched": 0, "programmed": 0}
    assert "spec.install.inject.workloads.selector matches no Deployment in namespace shop" in ran.err


def test_a_message_is_one_line_and_bounded() -> None:
    target = objects.target(NS, selfHosted={"url": "https://x.example", "basePath": "a\nb"})
    ran = render_objects(world(target=target))
    assert ran.code == 1
    assert all(": " in line for line in ran.err.splitlines())
    for kind in ("LangSmithTarget", "GatewayTelemetry"):
        assert all(len(item["message"]) <= MESSAGE_LIMIT for item in ran.find(kind)["status"]["conditions"])
