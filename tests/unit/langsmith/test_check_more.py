"""``check`` on a terminal, behind a proxy, and about what a self-hosted LangSmith itself must reach."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.connect_proxy import proxy_to
from tests.support.langsmith import CertificateAuthority, StandIn
from tests.unit.cli.run import Ran
from tests.unit.langsmith.setting import KEY, stand_in

PROGRAM = Path(sys.executable).with_name("gateway-telemetry")
NAME = "langsmith.example.com"
BEACON = "beacon.langchain.com"


def check(*args: str | Path, **env: str) -> Ran:
    done = subprocess.run(
        [PROGRAM, "check", "--key-from", "ENV:LANGSMITH_KEY", *args],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "LANGSMITH_KEY": KEY, **env},
    )
    assert KEY not in done.stdout + done.stderr
    return Ran(done.returncode, done.stdout, done.stderr)


def test_probe_canary_and_reads_go_through_the_proxy_that_alone_knows_the_name(ca: CertificateAuthority) -> None:
    with stand_in(tls=ca.server(NAME), public_host=NAME) as langsmith, proxy_to(langsmith.port) as (proxy, port):
        ran = check("--url", langsmith.url, "--ca", ca.bundle, HTTPS_PROXY=f"http://user:hidden@127.0.0.1:{port}")
        assert {item.path_class for item in langsmith.store.requests()} == {"info", "read", "ingest"}
    assert ran.code == 0
    assert set(proxy.asked) == {f"{NAME}:{langsmith.port}"}
    assert ran.err.splitlines()[0] == f"  ok  the proxy 127.0.0.1:{port} connects to {NAME}:{langsmith.port}"
    assert "hidden" not in ran.out + ran.err


def test_no_proxy_is_heeded(ca: CertificateAuthority) -> None:
    with stand_in(tls=ca.server("127.0.0.1")) as langsmith, proxy_to(langsmith.port) as (proxy, port):
        env = {"HTTPS_PROXY": f"http://127.0.0.1:{port}", "NO_PROXY": "127.0.0.1"}
        assert check("--url", langsmith.url, "--ca", ca.bundle, **env).code == 0
    assert proxy.asked == []


@pytest.fixture
def langsmith() -> Iterator[StandIn]:
    with stand_in() as running:
        yield running


Egress = Callable[..., Ran]


@pytest.fixture
def egress(langsmith: StandIn, ca: CertificateAuthority) -> Egress:
    def run(port: int, *args: str, trusted: bool = True) -> Ran:
        env = {"HTTPS_PROXY": f"http://127.0.0.1:{port}", **({"SSL_CERT_FILE": str(ca.bundle)} if trusted else {})}
        return check("--url", langsmith.url, "--allow-plaintext", "--self-hosted-egress", *args, **env)

    return run


NEED = (
    "note: A self-hosted LangSmith without an offline licence must reach https://beacon.langchain.com "
    "(POST /v1/beacon/verify and /v1/beacon/ingest-traces) from its own namespace; gateways need no way there."
)


def test_egress_that_is_open(ca: CertificateAuthority, egress: Egress) -> None:
    with stand_in(form="ui", tls=ca.server(BEACON)) as beacon, proxy_to(beacon.port) as (proxy, port):
        ran = egress(port)
        assert proxy.asked == [f"{BEACON}:443"]
        assert {item.key_fingerprint for item in beacon.store.requests()} == {None}
    assert ran.code == 0
    assert ran.out.splitlines()[3:5] == [
        NEED,
        "note: from here: yes (Reachable): https://beacon.langchain.com answers over trusted TLS.",
    ]


def test_egress_that_is_closed_says_nothing_against_delivery(egress: Egress) -> None:
    with proxy_to(0, refuse="403 Forbidden") as (_, port):
        ran = egress(port, "-o", "json")
    found = json.loads(ran.out)
    assert (ran.code, found["delivered"]) == (0, True)
    assert (found["egress"]["reached"], found["egress"]["reason"]) == (False, "ProxyRefused")


def test_egress_through_something_that_opens_tls(ca: CertificateAuthority, egress: Egress) -> None:
    with stand_in(form="ui", tls=ca.server(BEACON)) as beacon, proxy_to(beacon.port) as (_, port):
        ran = egress(port, trusted=False)
    assert "note: from here: NO (TLSUntrusted): " in ran.out


def test_on_a_terminal_it_shows_what_is_under_way_and_takes_it_away_again(langsmith: StandIn) -> None:
    langsmith.store.ingest_delay = 1.5
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [PROGRAM, "check", "--url", langsmith.url, "--allow-plaintext", "--key-from", "ENV:LANGSMITH_KEY"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "LANGSMITH_KEY": KEY, "TERM": "xterm-256color", "COLUMNS": "120"},
        text=True,
    )
    os.close(theirs)
    seen = b""
    try:
        while part := os.read(ours, 65536):
            seen += part
    except OSError:  # Linux says EIO where the other end is closed
        pass
    out, _ = process.communicate(timeout=30)
    os.close(ours)
    text = seen.decode()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    assert process.returncode == 0, plain
    assert "sending a trace to project 'default' and reading it back 0:00:01" in plain
    assert "  ok  LangSmith 0.17.12 answers" in plain
    assert text.rstrip().endswith(("\x1b[?25h", "\x1b[2K"))  # the cursor is back, the line is gone
    assert out.splitlines()[-1].startswith(f"{langsmith.url}/o/")
    assert KEY not in out + text
