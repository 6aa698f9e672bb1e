"""From a target to its URLs, key and CA, or to the one reason why not."""

from __future__ import annotations

import base64

import pytest

from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.endpoint import HostPolicy
from gateway_telemetry.plan.options import Options
from tests.unit.plan.build import (
    CA_PEM,
    HOSTS,
    KEY,
    Object,
    World,
    behind_service,
    config_map,
    finding,
    hosted,
    secret,
    service,
    target,
)

EVERY_HOST = Options(HostPolicy(("*",)))
URL = "https://ls.example.com"


def accepted(*objects: Object, options: Options | None = None) -> tuple[str, str, str]:
    """Return status, reason and message of Accepted."""
    result = World(*objects, options=options).resolve()
    found = finding(result.findings, "Accepted")
    if found.status == "False":
        assert result.resolved is None
        assert finding(result.findings, "ResolvedRefs").reason is Reason.PENDING
        assert finding(result.findings, "Ready").reason is found.reason
        assert finding(result.findings, "Stalled").status == "True"
    return found.status, found.reason, found.message


def references(*objects: Object) -> tuple[str, str, str]:
    """Return status, reason and message of ResolvedRefs of an accepted target."""
    result = World(*objects, options=EVERY_HOST).resolve()
    assert finding(result.findings, "Accepted").status == "True"
    found = finding(result.findings, "ResolvedRefs")
    assert (result.resolved is None) == (found.status == "False")
    return found.status, found.reason, found.message


def test_a_good_target_is_ready_and_claims_nothing_that_was_not_verified() -> None:
    result = World(target(), secret()).resolve()
    assert [(item.type, item.status, item.reason) for item in result.findings] == [
        ("Accepted", "True", Reason.ACCEPTED),
        ("ResolvedRefs", "True", Reason.RESOLVED),
        ("Reachable", "Unknown", Reason.NOT_VERIFIED),
        ("Authenticated", "Unknown", Reason.NOT_VERIFIED),
        ("Ingesting", "Unknown", Reason.NOT_VERIFIED),
        ("Ready", "True", Reason.READY),
    ]
    assert finding(result.findings, "Accepted").message == (
        "Traces go to https://eu.api.smith.langchain.com/otel/v1/traces."
    )
    assert result.resolved is not None
    assert (result.resolved.key, result.resolved.ca_pem) == (KEY, None)


@pytest.mark.parametrize(
    ("obj", "reason", "text"),
    [
        (hosted("ls.example.com"), Reason.MISSING_SCHEME, "spec.selfHosted.url: url must begin with a scheme"),
        (hosted("grpc://ls.example.com:4317"), Reason.UNSUPPORTED_SCHEME, "LangSmith takes OTLP over HTTP only"),
        (hosted("http://ls.example.com"), Reason.INSECURE_SCHEME, "or set spec.allowPlaintext: true"),
        (behind_service(port=80, scheme="http"), Reason.INSECURE_SCHEME, "or set spec.allowPlaintext: true"),
        (hosted("https://u:p@ls.example.com"), Reason.USER_INFO_NOT_ALLOWED, "must not hold a user name or password"),
        (hosted(f"{URL}?tenant=1"), Reason.QUERY_NOT_ALLOWED, "must not hold a query (?) or fragment (#)"),
        (hosted(URL, basePath="a/../b"), Reason.INVALID_BASE_PATH, "spec.selfHosted.basePath: basePath is the chart"),
        (hosted("https://"), Reason.INVALID_URL, "spec.selfHosted.url: "),
        (hosted(f"{URL}/one/api/v1", basePath="two"), Reason.INVALID_BASE_PATH, "write the prefix in one of the two"),
        (hosted("https://eu.smith.langchain.com"), Reason.UI_URL_NOT_API_URL, "write spec.saas.region: eu instead"),
        (target(saas=None), Reason.INVALID_SPEC, "write exactly one of spec.saas"),
        (target(credentials=None), Reason.INVALID_SPEC, "spec.credentials is required"),
        (hosted("https://127.0.0.1:8443"), Reason.HOST_NOT_ALLOWED, "from the gateway's pod is the pod itself"),
        (hosted("https://169.254.169.254"), Reason.HOST_NOT_ALLOWED, "a cloud metadata address"),
        (hosted("https://kubernetes.default.svc"), Reason.HOST_NOT_ALLOWED, "the Kubernetes API server"),
    ],
)
def test_a_spec_that_cannot_be_meant_is_refused(obj: Object, reason: Reason, text: str) -> None:
    status, found, message = accepted(obj, secret(), service(), options=EVERY_HOST)
    assert (status, found) == ("False", reason)
    assert text in message


def test_a_host_must_be_allowed_and_the_message_says_how() -> None:
    status, reason, message = accepted(hosted(URL), secret())
    assert (status, reason) == ("False", Reason.HOST_NOT_ALLOWED)
    assert "--allow-host ls.example.com (chart value allowedHosts)" in message
    assert accepted(hosted(URL), secret(), options=Options(HostPolicy(("*.example.com",))))[0] == "True"


def test_a_service_of_the_target_s_own_namespace_needs_no_permission() -> None:
    status, _, message = accepted(behind_service(port=80, scheme="http", allowPlaintext=True), service(), secret())
    assert status == "True"
    assert message == "Traces go to http://langsmith-frontend.shop.svc/api/v1/otel/v1/traces."


def test_a_service_of_another_namespace_needs_it() -> None:
    other = service(namespace="langsmith")
    refused = accepted(behind_service("langsmith"), other, secret())
    assert refused[1] is Reason.HOST_NOT_ALLOWED
    assert accepted(behind_service("langsmith"), secret()) == refused, "whether it exists is not told"
    allowed = Options(HostPolicy(("langsmith-frontend.langsmith.svc",)))
    assert accepted(behind_service("langsmith"), other, secret(), options=allowed)[0] == "True"


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (None, "Service shop/langsmith-frontend does not exist: check its name and namespace"),
        (service(type="ExternalName", externalName="ls.example.com"), "is of type ExternalName: write that host into"),
        (service(selector=None), "has no selector, so it can lead anywhere"),
        (service(selector={}), "has no selector, so it can lead anywhere"),
        (service(ports=[{"port": 80}, {"port": 8080}]), "has no port 443: it has 80, 8080"),
        (service(ports=None), "has no port 443: it has none"),
    ],
)
def test_a_service_that_leads_elsewhere_is_refused(found: Object | None, text: str) -> None:
    objects = [behind_service(), secret(), *([] if found is None else [found])]
    status, reason, message = accepted(*objects, options=EVERY_HOST)
    assert (status, reason) == ("False", Reason.SERVICE_NOT_ALLOWED)
    assert text in message


def test_files_may_leave_the_service_out_but_not_show_a_bad_one() -> None:
    from_files = Options(check_services=False)
    assert accepted(behind_service(), secret(), options=from_files)[0] == "True"
    bad = service(type="ExternalName", externalName="ls.example.com")
    assert accepted(behind_service(), bad, secret(), options=from_files)[1] is Reason.SERVICE_NOT_ALLOWED


def test_a_port_that_usually_speaks_the_other_scheme_is_remarked() -> None:
    _, _, message = accepted(behind_service(port=80, scheme="https"), service(), secret())
    assert message.endswith("port 80 of LangSmith's frontend speaks https only while frontend.ssl.enabled is on.")


BASE64_KEY = base64.b64encode(KEY.encode()).decode()


@pytest.mark.parametrize(
    ("source", "reason", "text"),
    [
        (
            None,
            Reason.SECRET_NOT_FOUND,
            "spec.credentials.ingest.secretRef: Secret shop/langsmith does not exist, or is not labelled for use by "
            "this operator: create it, and run: kubectl label secret langsmith -n shop "
            "gatewaytelemetry.dev/role=source",
        ),
        (secret({"other": KEY}), Reason.SECRET_KEY_MISSING, "has no key 'api-key' in its data: it has other"),
        (secret({"lsv2_sk_marked4711": "x"}), Reason.SECRET_KEY_MISSING, "in its data: it has none"),
        (secret({}), Reason.SECRET_KEY_MISSING, "has no key 'api-key' in its data: it has none"),
        (secret({"api-key": ""}), Reason.KEY_EMPTY, "key api-key: the key is empty"),
        (secret({"api-key": " \n"}), Reason.KEY_EMPTY, "key api-key: the key is empty"),
        (secret({"api-key": f'"{KEY}"'}), Reason.KEY_MALFORMED, "is surrounded by quotes"),
        (secret({"api-key": f"{KEY} {KEY}"}), Reason.KEY_MALFORMED, "holds a space or line break"),
        (secret({"api-key": b"\xff\xfe\x00"}), Reason.KEY_MALFORMED, "holds bytes that are not ASCII"),
        (secret({"api-key": BASE64_KEY}), Reason.KEY_DOUBLE_ENCODED, "was base64-encoded twice"),
        (secret({"api-key": "ls__marked4711"}), Reason.KEY_LEGACY, "keys that begin with ls__ ended in 2024"),
        (
            secret(annotations={HOSTS: "api.smith.langchain.com"}),
            Reason.KEY_NOT_FOR_HOST,
            "is bound by its annotation gatewaytelemetry.dev/hosts to api.smith.langchain.com, not to "
            "eu.api.smith.langchain.com: if the key may be sent there, add the host to the annotation",
        ),
        (secret(annotations={HOSTS: ""}), Reason.KEY_NOT_FOR_HOST, "to no host, not to eu.api.smith.langchain.com"),
    ],
)
def test_a_key_that_cannot_be_used_is_refused(source: Object | None, reason: Reason, text: str) -> None:
    status, found, message = references(target(), *([] if source is None else [source]))
    assert (status, found) == ("False", reason)
    assert text in message


@pytest.mark.parametrize(
    "hosts",
    [
        "eu.api.smith.langchain.com",
        " EU.api.smith.langchain.com , other.example",
        "other.example,eu.api.smith.langchain.com,",
    ],
)
def test_a_key_bound_to_the_host_is_used(hosts: str) -> None:
    assert references(target(), secret(annotations={HOSTS: hosts}))[0] == "True"


def test_a_key_bound_to_other_hosts_is_not_even_looked_at() -> None:
    source = secret({"api-key": ""}, annotations={HOSTS: "other.example"})
    assert references(target(), source)[1] is Reason.KEY_NOT_FOR_HOST


def test_a_newline_after_the_key_is_ignored_and_remarked() -> None:
    result = World(target(), secret({"api-key": f"{KEY}\n"})).resolve()
    assert result.resolved is not None
    assert result.resolved.key == KEY
    assert "a newline or space at the end of the key was ignored" in finding(result.findings, "ResolvedRefs").message


def test_a_key_in_the_place_of_its_name_is_refused_and_not_told() -> None:
    pasted = {"ingest": {"secretRef": {"name": "langsmith", "key": KEY}}}
    status, reason, message = references(target(credentials=pasted), secret())
    assert (status, reason) == ("False", Reason.SECRET_KEY_MISSING)
    assert message == (
        "spec.credentials.ingest.secretRef: Secret shop/langsmith: its field key holds an API key, which everybody who "
        "reads this object now knows: revoke it, put a new one into the Secret, and write here under which key of the "
        "Secret's data it stands"
    )


READ = {
    "ingest": {"secretRef": {"name": "langsmith", "key": "api-key"}},
    "read": {"secretRef": {"name": "reader", "key": "token"}},
}


def test_the_read_key_must_be_there_too_and_is_never_the_one_that_is_copied() -> None:
    view = target(credentials=READ)
    status, reason, message = references(view, secret())
    assert (status, reason) == ("False", Reason.SECRET_NOT_FOUND)
    assert message.startswith("spec.credentials.read.secretRef: Secret shop/reader does not exist")
    result = World(view, secret(), secret({"token": "lsv2_sk_marked4711_reader"}, name="reader")).resolve()
    assert result.resolved is not None
    assert result.resolved.key == KEY


def with_ca(source: Object | None, kind: str = "ConfigMap") -> tuple[str, str, str]:
    view = hosted(URL, caBundleRef={"kind": kind, "name": "corp-ca"})
    return references(view, secret(), *([] if source is None else [source]))


PRIVATE = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("source", "reason", "text"),
    [
        (None, Reason.CA_BUNDLE_NOT_FOUND, "kubectl label configmap corp-ca -n shop gatewaytelemetry.dev/role=source"),
        (config_map({"other": CA_PEM}), Reason.CA_BUNDLE_KEY_MISSING, "has no key 'ca.crt' in its data: it has other"),
        (config_map({"ca.crt": ""}), Reason.CA_BUNDLE_INVALID, "key ca.crt holds no PEM certificate"),
        (config_map({"ca.crt": "corp"}), Reason.CA_BUNDLE_INVALID, "key ca.crt holds no PEM certificate"),
        (config_map({"ca.crt": CA_PEM[:200]}), Reason.CA_BUNDLE_INVALID, "key ca.crt holds no PEM certificate"),
        (config_map({"ca.crt": CA_PEM + PRIVATE}), Reason.CA_BUNDLE_HAS_PRIVATE_KEY, "holds a private key: store the"),
    ],
)
def test_a_ca_that_cannot_be_used_is_refused(source: Object | None, reason: Reason, text: str) -> None:
    status, found, message = with_ca(source)
    assert (status, found) == ("False", reason)
    assert message.startswith("spec.caBundleRef: ConfigMap shop/corp-ca")
    assert text in message


@pytest.mark.parametrize("text", [CA_PEM, CA_PEM * 3, f"\n\n{CA_PEM}\n", CA_PEM.replace("\n", "\r\n")])
def test_one_or_more_certificates_are_taken(text: str) -> None:
    assert with_ca(config_map({"ca.crt": text}))[0] == "True"


def test_a_ca_may_be_in_a_secret_and_a_config_map_of_that_name_is_not_it() -> None:
    in_secret = secret({"ca.crt": CA_PEM}, name="corp-ca")
    assert with_ca(in_secret, kind="Secret")[0] == "True"
    assert with_ca(in_secret, kind="ConfigMap")[1] is Reason.CA_BUNDLE_NOT_FOUND


def test_a_ca_has_no_effect_without_tls_and_that_is_remarked() -> None:
    view = hosted("http://ls.shop.svc", allowPlaintext=True, caBundleRef={"kind": "ConfigMap", "name": "absent"})
    status, _, message = references(view, secret())
    assert status == "True"
    assert "spec.caBundleRef has no effect with http://" in message


def test_a_suspended_target_says_so_and_is_judged_all_the_same() -> None:
    result = World(target(suspend=True), secret()).resolve()
    assert finding(result.findings, "Suspended").reason is Reason.SUSPENDED
    assert finding(result.findings, "Ready").status == "True"
    assert result.resolved is not None
