"""Which hosts a target may name, and what the refusal tells the administrator to set."""

from __future__ import annotations

import ipaddress

import pytest

from gateway_telemetry.endpoint import (
    EndpointProblem,
    Endpoints,
    HostPolicy,
    forbidden_address,
    in_cluster,
    parse_address,
    saas,
    self_hosted,
)

SERVICE = "langsmith-frontend"


def urls(host: str) -> Endpoints:
    return self_hosted(f"https://{host}/langsmith")


def refusal(policy: HostPolicy, host: str, namespace: str = "langsmith") -> str:
    with pytest.raises(EndpointProblem) as caught:
        policy.check(urls(host), target_namespace=namespace)
    assert caught.value.reason == "HostNotAllowed"
    return caught.value.message


@pytest.mark.parametrize("region", ["us", "eu", "apac", "aws"])
def test_the_service_of_langsmith_is_always_allowed(region: str) -> None:
    assert HostPolicy().check(saas(region), target_namespace="team") == saas(region)


@pytest.mark.parametrize(
    ("written", "used"),
    [
        ("langsmith-frontend.langsmith", "https://langsmith-frontend.langsmith.svc/langsmith/api/v1/otel/v1/traces"),
        ("Langsmith-Frontend.LANGSMITH.", "https://langsmith-frontend.langsmith.svc/langsmith/api/v1/otel/v1/traces"),
        (
            "langsmith-frontend.langsmith:8443",
            "https://langsmith-frontend.langsmith.svc:8443/langsmith/api/v1/otel/v1/traces",
        ),
        (
            "langsmith-frontend.langsmith.svc",
            "https://langsmith-frontend.langsmith.svc/langsmith/api/v1/otel/v1/traces",
        ),
        (
            "langsmith-frontend.langsmith.svc.",
            "https://langsmith-frontend.langsmith.svc/langsmith/api/v1/otel/v1/traces",
        ),
        (
            "langsmith-frontend.langsmith.svc.cluster.local",
            "https://langsmith-frontend.langsmith.svc.cluster.local/langsmith/api/v1/otel/v1/traces",
        ),
        (
            "langsmith-frontend.langsmith.svc.cluster.local.",
            "https://langsmith-frontend.langsmith.svc.cluster.local/langsmith/api/v1/otel/v1/traces",
        ),
    ],
)
def test_a_service_of_the_own_namespace_is_allowed_in_all_dns_forms(written: str, used: str) -> None:
    found = HostPolicy().check(urls(written), target_namespace="langsmith")
    assert found.traces == used


def test_a_service_reference_of_the_own_namespace_is_allowed() -> None:
    endpoints = in_cluster(SERVICE, "langsmith", 443, "https")
    assert HostPolicy().check(endpoints, target_namespace="langsmith") == endpoints


def test_a_service_is_no_public_host_in_a_namespace_named_like_a_domain() -> None:
    found = HostPolicy().check(urls("collector.dev"), target_namespace="dev")
    assert found == Endpoints(
        api="https://collector.dev.svc/langsmith/api/v1",
        otlp="https://collector.dev.svc/langsmith/api/v1/otel",
        traces="https://collector.dev.svc/langsmith/api/v1/otel/v1/traces",
        ui="https://collector.dev.svc/langsmith",
        host="collector.dev.svc",
        port=443,
        plaintext=False,
        saas=False,
    )
    listed = HostPolicy(allowed=("collector.dev",)).check(urls("collector.dev"), target_namespace="dev")
    assert listed.host == "collector.dev"


@pytest.mark.parametrize(
    "host",
    [
        "langsmith-frontend.other",
        "langsmith-frontend.other.svc",
        "langsmith-frontend.other.svc.cluster.local",
        "langsmith-frontend.langsmith.svc.evil.example",
        "langsmith-frontend.langsmith.svc.cluster.local.evil.example",
        "langsmith-frontend.langsmith.cluster.local",
        "pod.langsmith-frontend.langsmith.svc",
        "langsmith-frontend",
        "langsmith.svc",
        "evil.example",
        "api.smith.langchain.com.evil.example",
        "10.96.0.20",
        "[fd00::20]",
    ],
)
def test_any_other_host_needs_the_administrator(host: str) -> None:
    bare = host.strip("[]")
    assert refusal(HostPolicy(), host) == (
        f"host {bare} is not allowed: the operator's administrator adds it with --allow-host {bare} "
        "(chart value allowedHosts)"
    )
    assert HostPolicy(allowed=(bare,)).check(urls(host), target_namespace="langsmith").host == bare


def test_the_cluster_domain_is_the_configured_one() -> None:
    endpoints = urls("langsmith-frontend.langsmith.svc.corp.example")
    allowed = HostPolicy().check(endpoints, target_namespace="langsmith", cluster_domain="corp.example")
    assert allowed == endpoints
    with pytest.raises(EndpointProblem, match="allowedHosts"):
        HostPolicy().check(endpoints, target_namespace="langsmith")


def test_an_address_is_no_service_of_a_namespace_named_by_digits() -> None:
    # 10.5 is 10.0.0.5, whatever the namespace is called.
    assert "--allow-host 10.0.0.5 " in refusal(HostPolicy(), "10.5", namespace="5")


@pytest.mark.parametrize(
    ("pattern", "host", "allowed"),
    [
        ("ls.example.internal", "ls.example.internal", True),
        ("LS.Example.Internal", "ls.example.internal", True),
        ("ls.example.internal", "x.ls.example.internal", False),
        ("ls.example.internal", "ls.example.internal.evil.example", False),
        ("*.example.internal", "ls.example.internal", True),
        ("*.example.internal", "a.b.example.internal", True),
        ("*.example.internal", "example.internal", False),
        ("*.example.internal", "evilexample.internal", False),
        ("*.svc", "langsmith-frontend.other.svc", True),
        ("*", "anything.example", True),
        ("*", "10.0.0.1", True),
        ("*", "[fd00::1]", True),
        ("*.1", "10.0.0.1", False),
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "0xa000001", True),
        ("[fd00::1]", "[fd00::1]", True),
        ("FD00:0:0::1", "[fd00::1]", True),
        ("fd00::2", "[fd00::1]", False),
        ("lang_smith.example", "lang_smith.example", True),
    ],
)
def test_what_a_pattern_allows(pattern: str, host: str, allowed: bool) -> None:
    policy = HostPolicy(allowed=("unrelated.example", pattern))
    if allowed:
        assert policy.check(urls(host), target_namespace="team") == urls(host)
    else:
        assert "allowedHosts" in refusal(policy, host, namespace="team")


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "https://ls.example",
        "ls.example:8443",
        "ls.example/x",
        "*example",
        "a.*.b",
        "**",
        "ls.example.",
        "ls.example\n",
        ":::",
    ],
)
def test_a_pattern_that_could_never_match_is_refused(pattern: str) -> None:
    with pytest.raises(EndpointProblem, match=r"write HOST, \*\.suffix or \*, without scheme or port") as caught:
        HostPolicy(allowed=(pattern,))
    assert caught.value.reason == "InvalidSpec"


LOOPBACK = [
    "localhost",
    "LOCALHOST.",
    "langsmith.localhost",
    "localhost.localdomain",
    "ip6-localhost",
    "127.0.0.1",
    "127.0.0.1.",
    "127.8.9.10",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7F.1",
    "017700000001",
    "0177.0.0.1",
    "0.0.0.0",  # noqa: S104 a host to refuse
    "0",
    "0.1.2.3",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:0:127.0.0.1]",
    "[::127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b:1::127.0.0.1]",
    "[2001:0:4136:e378:8000:63bf:80ff:fffe]",
    "[2002:7f00:1::]",
    "\uff11\uff12\uff17.0.0.1",
    "localhost\u3002",
]


@pytest.mark.parametrize("host", LOOPBACK)
def test_loopback_needs_the_developer_flag_whatever_the_list_says(host: str) -> None:
    for policy in (HostPolicy(), HostPolicy(allowed=("*", "localhost", "127.0.0.1"))):
        assert refusal(policy, host).endswith(
            "is a loopback address, which from the gateway's pod is the pod itself: allowedHosts cannot allow it, only "
            "the developer flag --insecure-allow-loopback does"
        )
    assert HostPolicy(insecure_allow_loopback=True).check(urls(host), target_namespace="langsmith") == urls(host)


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("169.254.169.254", "a cloud metadata address"),
        ("2852039166", "a cloud metadata address"),
        ("0xA9FEA9FE", "a cloud metadata address"),
        ("0251.0376.0251.0376", "a cloud metadata address"),
        ("169.254.43518", "a cloud metadata address"),
        ("[::ffff:169.254.169.254]", "a cloud metadata address"),
        ("[::ffff:a9fe:a9fe]", "a cloud metadata address"),
        ("[64:ff9b::169.254.169.254]", "a cloud metadata address"),
        ("[2002:a9fe:a9fe::1]", "a cloud metadata address"),
        ("169.254.170.2", "a cloud metadata address"),
        ("100.100.100.200", "a cloud metadata address"),
        ("168.63.129.16", "a cloud metadata address"),
        ("192.0.0.192", "a cloud metadata address"),
        ("[fd00:ec2::254]", "a cloud metadata address"),
        ("[fd00:ec2::23]", "a cloud metadata address"),
        ("[fd20:ce::254]", "a cloud metadata address"),
        ("metadata.google.internal", "a cloud metadata name"),
        ("Metadata.Google.Internal.", "a cloud metadata name"),
        ("metadata", "a cloud metadata name"),
        ("instance-data.ec2.internal", "a cloud metadata name"),
        ("169.254.0.1", "a link-local address"),
        ("169.254.1", "a link-local address"),
        ("[fe80::1]", "a link-local address"),
        ("[febf::1]", "a link-local address"),
        ("[::ffff:169.254.1.1]", "a link-local address"),
        ("224.0.0.1", "a multicast address"),
        ("[ff02::1]", "a multicast address"),
        ("kubernetes", "the Kubernetes API server"),
        ("kubernetes.default", "the Kubernetes API server"),
        ("kubernetes.default.svc", "the Kubernetes API server"),
        ("Kubernetes.Default.svc.", "the Kubernetes API server"),
        ("kubernetes.default.svc.cluster.local", "the Kubernetes API server"),
        ("kubernetes.default.svc.cluster.local.", "the Kubernetes API server"),
        ("kubernetes.default.svc.corp.example", "the Kubernetes API server"),
    ],
)
def test_node_link_metadata_and_api_server_are_never_allowed(host: str, kind: str) -> None:
    for policy in (HostPolicy(), HostPolicy(allowed=("*",), insecure_allow_loopback=True)):
        assert refusal(policy, host, namespace="default").endswith(
            f" is {kind}, which neither allowedHosts nor --insecure-allow-loopback can allow"
        )


def test_the_api_server_is_refused_as_a_service_reference() -> None:
    endpoints = in_cluster("kubernetes", "default", 443, "https")
    with pytest.raises(EndpointProblem, match="the Kubernetes API server"):
        HostPolicy(allowed=("*",)).check(endpoints, target_namespace="default")


@pytest.mark.parametrize("host", ["kubernetes.langsmith", "kubernetes.default-team.svc", "my-kubernetes.default.svc"])
def test_a_name_like_the_api_servers_is_not_the_api_server(host: str) -> None:
    assert HostPolicy(allowed=("*",)).check(urls(host), target_namespace="team").host == host


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("127.0.0.1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("169.254.169.254", "a cloud metadata address"),
        ("fe80::1%eth0", "a link-local address"),
        ("fd00:ec2::254%eth0", "a cloud metadata address"),
        ("10.0.0.1", None),
        ("8.8.8.8", None),
        ("fd00::1", None),
        ("2001:db8::1", None),
        ("64:ff9b::8.8.8.8", None),
    ],
)
def test_an_address_that_dns_answered_is_judged_alike(address: str, kind: str | None) -> None:
    assert forbidden_address(ipaddress.ip_address(address)) == kind


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("1.2.772", "1.2.3.4"),
        ("1.131844", "1.2.3.4"),
        ("16909060", "1.2.3.4"),
        ("0x1020304", "1.2.3.4"),
        ("01.02.03.04", "1.2.3.4"),
        ("4294967295", "255.255.255.255"),
        ("::1", "::1"),
    ],
)
def test_an_address_is_read_as_resolvers_read_it(text: str, address: str) -> None:
    assert str(parse_address(text)) == address


@pytest.mark.parametrize(
    "text", ["", ".", "1.2.3.", "1.2.3.256", "256.1", "4294967296", "08", "0xg", "1.2.3.4.5", "a.b", "-1"]
)
def test_what_is_no_address_is_told(text: str) -> None:
    assert parse_address(text) is None
