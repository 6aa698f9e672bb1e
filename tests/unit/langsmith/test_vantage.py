"""The look from the gateway's namespace: no key, told in one line, and read with care."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.endpoint import in_cluster, saas, self_hosted
from gateway_telemetry.langsmith.vantage import LIMIT, Verdict, look
from tests.support.langsmith import CertificateAuthority, Features, StandIn
from tests.unit.langsmith.servers import Proxy, serving
from tests.unit.langsmith.setting import endpoints, stand_in

PROGRAM = Path(sys.executable).with_name("gateway-telemetry")
FAST: dict[str, Any] = {"allow_loopback": True, "seconds": 2.0, "patience": 0.0, "settle": 0.0}
NAME = "langsmith.example.com"


async def test_reached_is_seen_twice_and_without_a_key(ca: CertificateAuthority) -> None:
    with stand_in(tls=ca.server("127.0.0.1"), base_path="langsmith/dev") as langsmith:
        found = await look(endpoints(langsmith.url), ca.bundle.read_text(), **FAST)
        seen = langsmith.store.requests()
    assert found == Verdict(True, Reason.REACHABLE, "LangSmith 0.17.12 answers at 127.0.0.1.", "0.17.12")
    assert [item.path for item in seen] == ["/langsmith/dev/api/v1/info"] * 2
    assert {item.key_fingerprint for item in seen} == {None}


async def test_an_unknown_ca(ca: CertificateAuthority) -> None:
    with stand_in(tls=ca.server("127.0.0.1")) as langsmith:
        found = await look(endpoints(langsmith.url), None, **FAST)
    assert (found.reached, found.reason) == (False, Reason.TLS_UNTRUSTED)
    assert found.message == (
        "The certificate of 127.0.0.1 was issued by 'Test ca', which is not trusted. Set caBundleRef of the target to "
        "the CA that issued it, or let the server send its intermediate certificates."
    )


async def test_an_answer_to_nobody_without_a_key_is_an_answer() -> None:
    with stand_in(features=Features(info_requires_key=True)) as langsmith:
        found = await look(endpoints(langsmith.url), **FAST)
    assert (found.reached, found.reason, found.version) == (True, Reason.INFO_NEEDS_KEY, None)
    assert found.message == "LangSmith answers at 127.0.0.1, and shows /info to no one without a key."


# fault on /info: reached, reason
FAULTS: dict[str, tuple[bool, Reason]] = {
    "rate-limited": (True, Reason.RATE_LIMITED),
    "server-error": (False, Reason.SERVER_ERROR),
    "html": (False, Reason.ANSWERED_BY_UI),
    "redirect": (False, Reason.REDIRECTED),
    "reset": (False, Reason.CONNECTION_CUT),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_what_answers_instead(name: str) -> None:
    with stand_in() as langsmith:
        langsmith.faults.use(name, on="info", times=None)
        found = await look(endpoints(langsmith.url), **FAST)
    assert (found.reached, found.reason) == FAULTS[name]


# error of the resolver: reason and end of the message; for the gateway both are bad news
DNS: dict[str, tuple[int, Reason, str]] = {
    "no such name": (
        socket.EAI_NONAME,
        Reason.DNS_NOT_FOUND,
        "Check the host's name, and whether pods of this namespace are to resolve it by themselves.",
    ),
    "no answer": (
        socket.EAI_AGAIN,
        Reason.DNS_UNAVAILABLE,
        "Let pods of this namespace reach the cluster's DNS (NetworkPolicy, egress to port 53).",
    ),
}


@pytest.mark.parametrize("name", DNS)
async def test_names_that_this_namespace_cannot_resolve(name: str) -> None:
    code, reason, advice = DNS[name]

    async def failing(_host: str, _port: int) -> Sequence[str]:
        raise socket.gaierror(code, "said the resolver")

    found = await look(endpoints(f"https://{NAME}"), resolver=failing, **FAST)
    assert (found.reached, found.reason) == (False, reason)
    assert found.message.endswith(advice)
    assert "operator" not in found.message


async def test_a_way_that_opens_a_moment_later_is_reached() -> None:
    calls = 0

    async def late(_host: str, _port: int) -> Sequence[str]:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise socket.gaierror(socket.EAI_AGAIN, "not yet")
        return ["127.0.0.1"]

    with stand_in(public_host=NAME) as langsmith:
        found = await look(endpoints(langsmith.url), resolver=late, **{**FAST, "patience": 10.0})
    assert (found.reached, calls) == (True, 3)


async def test_a_way_that_closes_a_moment_later_is_not_reached() -> None:
    calls = 0

    async def early(_host: str, _port: int) -> Sequence[str]:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise socket.gaierror(socket.EAI_AGAIN, "no more")
        return ["127.0.0.1"]

    with stand_in(public_host=NAME) as langsmith:
        found = await look(endpoints(langsmith.url), resolver=early, **FAST)
    assert (found.reached, found.reason) == (False, Reason.DNS_UNAVAILABLE)


async def test_the_proxy_of_the_gateways_environment_is_used(
    ca: CertificateAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stand_in(tls=ca.server(NAME), public_host=NAME) as langsmith:
        proxy = Proxy(langsmith.port)
        async with serving(proxy) as port:
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
            found = await look(endpoints(langsmith.url), ca.bundle.read_text(), **FAST)
    assert found.reached
    assert proxy.asked == [f"{NAME}:{langsmith.port}"] * 2


@pytest.mark.parametrize(
    "made",
    [
        saas("us"),
        saas("eu"),
        self_hosted("https://langsmith.example.com/langsmith/dev"),
        self_hosted("https://[2001:db8::1]:8443"),
        self_hosted("http://10.0.0.8", allow_plaintext=True),
        in_cluster("langsmith-frontend", "langsmith", 80, "http", base_path="a/b", allow_plaintext=True),
    ],
    ids=lambda made: made.traces,
)
def test_the_traces_url_is_all_that_the_job_needs(made: Any) -> None:
    again = self_hosted(made.traces, allow_plaintext=True)
    assert (again.api, again.traces, again.host, again.port) == (made.api, made.traces, made.host, made.port)
    assert (again.saas, again.plaintext) == (made.saas, made.plaintext)


@pytest.mark.parametrize("message", ["short", "ü" * 1024, "語" * 1024, "\U0001f600" * 1024, '"\\' * 512])
def test_one_line_that_kubernetes_keeps_whole(message: str) -> None:
    line = Verdict(False, Reason.NO_ROUTE, message).to_json()
    assert len(line.encode()) <= LIMIT
    assert "\n" not in line
    assert Verdict.from_json(line).reason is Reason.NO_ROUTE


def test_there_and_back() -> None:
    made = Verdict(True, Reason.CERTIFICATE_EXPIRES_SOON, "LangSmith 1 answers; ends soon.", "1")
    assert Verdict.from_json(made.to_json()) == made


GOOD = {"reached": False, "reason": "NoRoute", "message": "m", "version": None}
BAD: dict[str, str] = {
    "nothing": "",
    "no JSON": "exec /bin/gateway-telemetry: no such file",
    "a list": "[]",
    "too deep": "[" * 4000,
    "too long": json.dumps({**GOOD, "message": "m" * 5000}),
    "a field too many": json.dumps({**GOOD, "key": "k"}),
    "a field too few": json.dumps({"reached": True, "reason": "Reachable", "message": "m"}),
    "an unknown reason": json.dumps({**GOOD, "reason": "AllIsWell"}),
    "a reason of something else": json.dumps({**GOOD, "reason": "EnvConflict"}),
    "a reason of not having looked": json.dumps({**GOOD, "reason": "NotProbed"}),
    "a reason that is no text": json.dumps({**GOOD, "reason": ["NoRoute"]}),
    "reached and no route": json.dumps({**GOOD, "reached": True}),
    "not reached and reachable": json.dumps({**GOOD, "reason": "Reachable"}),
    "a number for a message": json.dumps({**GOOD, "message": 7}),
    "a number for a version": json.dumps({**GOOD, "version": 7}),
}


@pytest.mark.parametrize("name", BAD)
def test_a_line_that_is_no_verdict(name: str) -> None:
    with pytest.raises(ValueError, match=r"^the (message is no verdict|verdict)") as caught:
        Verdict.from_json(BAD[name])
    assert "AllIsWell" not in str(caught.value)


def test_control_characters_of_a_foreign_message_are_gone() -> None:
    found = Verdict.from_json(json.dumps({**GOOD, "message": "a\x1b[31m\nb" + "c" * 2000}))
    assert found.message.startswith("a [31m b")
    assert len(found.message) == 1024


def run_job(*args: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return subprocess.run(
        [PROGRAM, "probe-job", *args], capture_output=True, text=True, check=False, timeout=60, env={**clean, **env}
    )


def test_as_a_program(ca: CertificateAuthority, tmp_path: Path) -> None:
    log = tmp_path / "termination-log"
    log.touch()
    with stand_in(tls=ca.server("127.0.0.1")) as langsmith:
        args = ("--url", langsmith.traces_url, "--insecure-allow-loopback", "--patience", "0", "--settle", "0")
        good = run_job(*args, "--ca", ca.bundle, "--termination-log", log)
        bad = run_job(*args)
    assert (good.returncode, bad.returncode) == (0, 0)
    assert log.read_text() == good.stdout
    assert Verdict.from_json(good.stdout).reached
    assert Verdict.from_json(bad.stdout).reason is Reason.TLS_UNTRUSTED


def test_loopback_needs_the_flag() -> None:
    done = run_job("--url", "https://127.0.0.1:1/api/v1/otel/v1/traces", "--patience", "0")
    assert Verdict.from_json(done.stdout).reason is Reason.ADDRESS_NOT_ALLOWED


def test_wrong_usage(tmp_path: Path) -> None:
    done = run_job("--url", "no url at all")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--url: " in done.stderr
    assert "Traceback" not in done.stderr
    closed = run_job(
        "--url", "https://127.0.0.1:1/otel", "--patience", "0", "--termination-log", tmp_path / "none" / "log"
    )
    assert closed.returncode == 1
    assert "--termination-log: the file cannot be written" in closed.stderr


def test_it_is_quick_where_nothing_is_to_be_waited_for() -> None:
    began = time.monotonic()
    with StandIn() as langsmith:
        done = run_job("--url", langsmith.traces_url, "--allow-plaintext", "--insecure-allow-loopback", "--settle", "0")
    assert done.returncode == 0
    assert time.monotonic() - began < 10
