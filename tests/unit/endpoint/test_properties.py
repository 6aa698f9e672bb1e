"""What holds for every input: one canonical form, no lost prefix, no doubled path, no traceback."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.endpoint import (
    SAAS_HOSTS,
    EndpointProblem,
    Endpoints,
    HostPolicy,
    clean_key,
    clean_project,
    normalise_base_path,
    saas,
    self_hosted,
)

T = TypeVar("T")

deterministic = settings(max_examples=200, derandomize=True, deadline=None, database=None)

TAILS = (
    "",
    "/",
    "/api",
    "/api/v1",
    "/api/v1/",
    "/api/v2",
    "/otel",
    "/otel/v1",
    "/otel/v1/traces",
    "/v1/traces",
    "/api/otel/v1/traces",
    "/api/v1/otel",
    "/api/v1/otel/v1",
    "/api/v1/otel/v1/traces",
    "//api//v1//otel/v1/traces//",
    "/api/v1/otel/v1/traces/v1/traces",
    "/otel/v1/traces/otel/v1/traces",
)
segments = st.from_regex(r"[A-Za-z0-9._~-]{1,12}", fullmatch=True).filter(
    lambda text: text not in {".", "..", "api", "otel", "v1", "v2", "traces", "o", "p"}
)
prefixes = st.lists(segments, max_size=3)
hosts = st.from_regex(r"[a-zA-Z][a-zA-Z0-9]{0,8}(\.[a-zA-Z][a-zA-Z0-9]{0,8}){0,3}", fullmatch=True) | st.sampled_from(
    ["10.0.0.1", "[fd00::1]", "bücher.example", "ls.example.", *SAAS_HOSTS.values()]
)
ports = st.none() | st.integers(1, 65535)
tails = st.sampled_from(TAILS)
schemes = st.sampled_from(["https", "HTTPS", "http", "Http"])
# Texts that come close to URLs: pieces of them, joined in any order.
PIECES = (
    "https:// http:// :// / // : @ ? # [ ] % %2e .. . \\ api v1 v2 otel traces ls.example smith.langchain.com "
    "eu.api.smith.langchain.com localhost ::1 fe80::1%eth0 127.1 0x7f 08 443 99999 ü \u3002 \ud800 \x00"
)
pieces = st.lists(st.sampled_from([*PIECES.split(" "), " ", "\n"]), max_size=12).map("".join)
anything = st.text() | pieces | pieces.map("https://{}".format)


def outcome(call: Callable[[], T]) -> tuple[T | None, str]:
    """Return the result, or the reason of a refusal; nothing else may be raised."""
    try:
        return call(), ""
    except EndpointProblem as problem:
        return None, str(Reason(problem.reason))


def derive(url: str, base: str | None = None) -> Endpoints | None:
    return outcome(lambda: self_hosted(url, base, allow_plaintext=True))[0]


def written(scheme: str, host: str, port: int | None, prefix: list[str], tail: str) -> str:
    netloc = host if port is None else f"{host}:{port}"
    return f"{scheme}://{netloc}" + "".join(f"/{part}" for part in prefix) + tail


@deterministic
@given(scheme=schemes, host=hosts, port=ports, prefix=prefixes, tail=tails)
def test_the_result_is_a_fixed_point(scheme: str, host: str, port: int | None, prefix: list[str], tail: str) -> None:
    found = derive(written(scheme, host, port, prefix, tail))
    if found is None:
        return
    for url in (found.traces, found.otlp, found.api):
        assert derive(url) == found


@deterministic
@given(text=anything)
@example("https://ls.example/otel/v1/traces/otel/v1/traces")
@example("https://ls.example/api/v1/api/v1")
def test_any_text_is_a_fixed_point_or_is_refused(text: str) -> None:
    found = derive(text)
    if found is None:
        return
    assert derive(found.traces) == found
    path = urlsplit(found.traces).path
    assert path.count("/v1/traces") == 1
    assert path.endswith("/otel/v1/traces")
    assert "//" not in path
    assert path.count("/api/v1") == (0 if found.saas else 1)


@deterministic
@given(port=ports, prefix=prefixes.filter(bool), tail=tails, as_base=st.booleans())
def test_a_prefix_is_never_lost(port: int | None, prefix: list[str], tail: str, as_base: bool) -> None:
    base = "/".join(prefix)
    found = (
        self_hosted(written("https", "ls.example", port, [], tail), base)
        if as_base
        else self_hosted(written("https", "ls.example", port, prefix, tail))
    )
    netloc = "ls.example" if port in (None, 443) else f"ls.example:{port}"
    assert found.api == f"https://{netloc}/{base}/api/v1"
    assert found.otlp == f"https://{netloc}/{base}/api/v1/otel"
    assert found.traces == f"https://{netloc}/{base}/api/v1/otel/v1/traces"


@deterministic
@given(region=st.sampled_from(sorted(SAAS_HOSTS)), prefix=prefixes, tail=tails, port=ports, base=st.none() | segments)
def test_saas_is_the_regions_form_or_is_refused(
    region: str, prefix: list[str], tail: str, port: int | None, base: str | None
) -> None:
    found = derive(written("https", SAAS_HOSTS[region], port, prefix, tail), base)
    if prefix or base or port not in (None, 443):
        assert found is None
    else:
        assert found == saas(region)
        assert found.traces == f"https://{SAAS_HOSTS[region]}/otel/v1/traces"


@deterministic
@given(text=anything)
def test_every_text_is_accepted_or_refused_as_a_url(text: str) -> None:
    found = derive(text)
    if found is not None:
        policy = HostPolicy(allowed=("*",))
        assert outcome(lambda: policy.check(found, target_namespace="team"))[1] in {"", "HostNotAllowed"}


@deterministic
@given(text=anything)
def test_every_text_is_accepted_or_refused_as_a_base_path(text: str) -> None:
    found, reason = outcome(lambda: normalise_base_path(text))
    assert reason in {"", "InvalidBasePath"}
    if found is not None:
        assert normalise_base_path(found) == found
        once = derive("https://ls.example", found)
        assert once is None or derive(once.traces) == once


@deterministic
@given(text=anything)
def test_every_text_is_accepted_or_refused_as_a_host_pattern(text: str) -> None:
    policy, reason = outcome(lambda: HostPolicy(allowed=(text,)))
    assert reason in {"", "InvalidSpec"}
    assert policy is None or policy.allowed == (text,)


@deterministic
@given(raw=st.binary() | st.text(st.characters(max_codepoint=127)).map(str.encode))
def test_every_key_is_accepted_or_refused_without_being_told(raw: bytes) -> None:
    found, reason = outcome(lambda: clean_key(raw))
    assert reason in {"", "KeyEmpty", "KeyMalformed", "KeyDoubleEncoded", "KeyLegacy"}
    if found is not None:
        key, notes = found
        assert raw.decode().rstrip() == key
        assert clean_key(key.encode())[0] == key
        assert all(len(key) < 8 or key not in note.message for note in notes)


@deterministic
@given(name=st.text() | st.text(st.characters(max_codepoint=255)))
def test_every_project_is_accepted_as_it_is_or_refused(name: str) -> None:
    found, reason = outcome(lambda: clean_project(name))
    assert reason in {"", "ProjectMissing", "InvalidSpec", "ProjectNameNotHeaderSafe"}
    if found is not None:
        assert found[0] == name
        assert found[0].encode("latin-1")
