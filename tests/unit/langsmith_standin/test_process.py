"""The stand-in's life: in a thread, as a process, on loopback."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.support.langsmith import CertificateAuthority, Key, StandIn
from tests.unit.langsmith_standin.clients import KEY, WORKSPACE, span_body

ROOT = Path(__file__).resolve().parents[3]


def test_the_process_prints_its_addresses_and_serves_until_it_is_ended(ca: CertificateAuthority) -> None:
    cert = ca.server("127.0.0.1")
    command = [sys.executable, "-m", "tests.support.langsmith", "--base-path", "langsmith/dev", "--key"]
    command += [f"{KEY}={WORKSPACE}", "--tls-cert", str(cert.certificate), "--tls-key", str(cert.key)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            addresses = json.loads(process.stdout.readline())
            root = f"https://127.0.0.1:{addresses['port']}/langsmith/dev"
            assert addresses["url"] == root
            assert addresses["traces_url"] == f"{root}/api/v1/otel/v1/traces"
            with httpx.Client(verify=ca.client_context(), trust_env=False, headers={"x-api-key": KEY}) as client:
                assert client.post(addresses["traces_url"], json=span_body()).status_code == 200
                [project] = client.get(f"{addresses['api_url']}/sessions").json()
            assert (project["name"], project["tenant_id"]) == ("default", WORKSPACE)
        finally:
            process.terminate()
        _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--key", "no-workspace"], "write KEY=WORKSPACE_UUID"),
        (["--key", "k=nonsense"], "write KEY=WORKSPACE_UUID"),
        (["--tls-cert", "x"], "--tls-cert and --tls-key go together"),
    ],
)
def test_wrong_usage_is_explained(arguments: list[str], message: str) -> None:
    command = [sys.executable, "-m", "tests.support.langsmith", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert message in done.stderr


def test_it_listens_on_loopback_only(langsmith: StandIn) -> None:
    addresses = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for address in addresses - {"127.0.0.1"}:
        with socket.socket() as connection:
            assert connection.connect_ex((str(address), langsmith.port)) != 0
    assert langsmith.url.startswith("http://127.0.0.1:")


def test_a_port_in_use_is_an_error(langsmith: StandIn) -> None:
    with pytest.raises(OSError, match="in use"):
        StandIn(port=langsmith.port).start()


def test_it_can_be_started_again_on_its_port_with_what_it_had() -> None:
    stand_in = StandIn(keys={KEY: WORKSPACE})
    with stand_in, httpx.Client(trust_env=False, headers={"x-api-key": KEY}) as client:
        client.post(stand_in.traces_url, json=span_body()).raise_for_status()
        first = stand_in.url
    with pytest.raises(httpx.ConnectError):
        httpx.get(first, trust_env=False)
    with stand_in:
        assert stand_in.url == first
        assert httpx.get(stand_in.url, trust_env=False).status_code == 200
        assert len(stand_in.store.runs()) == 1


def test_a_mistake_in_the_stand_in_itself_does_not_go_unnoticed() -> None:
    stand_in = StandIn(keys={KEY: WORKSPACE}).start()
    stand_in.directory.workspaces.clear()
    answer = httpx.get(f"{stand_in.api_url}/settings", headers={"x-api-key": KEY}, trust_env=False)
    assert answer.status_code == 500
    with pytest.raises(RuntimeError, match="the stand-in itself failed"):
        stand_in.stop()


def test_contradictions_are_refused() -> None:
    with pytest.raises(ValueError, match="only the self-hosted form"):
        StandIn("langsmith", "saas")
    with pytest.raises(ValueError, match="cannot have 2 workspaces"):
        Key((WORKSPACE, "5f2c7a3e-0000-4000-8000-000000000002"))
