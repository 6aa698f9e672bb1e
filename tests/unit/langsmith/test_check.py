"""``gateway-telemetry check`` as the installed program, against the stand-in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.langsmith import CertificateAuthority, StandIn
from tests.unit.cli.run import Ran
from tests.unit.langsmith.setting import KEY, OTHER, READ_KEY, WORKSPACE, stand_in

PROGRAM = Path(sys.executable).with_name("gateway-telemetry")


@pytest.fixture
def langsmith(ca: CertificateAuthority) -> Iterator[StandIn]:
    with stand_in(base_path="langsmith/dev", tls=ca.server("127.0.0.1")) as running:
        yield running


def check(*args: str | Path, key: str = KEY) -> Ran:
    done = subprocess.run(
        [PROGRAM, "check", *args],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "LANGSMITH_KEY": key, "READ_KEY": READ_KEY},
    )
    for text in (done.stdout, done.stderr):
        assert KEY not in text
        assert READ_KEY not in text
        assert "Traceback" not in text
    return Ran(done.returncode, done.stdout, done.stderr)


def test_delivered(langsmith: StandIn, ca: CertificateAuthority) -> None:
    ran = check("--url", langsmith.url, "--key-from", "ENV:LANGSMITH_KEY", "--project", "checkout", "--ca", ca.bundle)
    (run,) = langsmith.store.runs(WORKSPACE, project="checkout")
    assert ran.code == 0
    assert ran.out.splitlines() == [
        " yes  Reachable (Reachable): LangSmith 0.17.12 answers at 127.0.0.1.",
        f" yes  Authenticated (Authenticated): The key is valid in workspace {WORKSPACE} (--workspace names none to "
        "compare with).",
        " yes  Ingesting (Ingested): A canary was read back from project 'checkout'.",
        f"{langsmith.url}/o/{WORKSPACE}/projects/p/{run.project_id}/r/{run.id}?poll=true",
    ]
    assert ran.err.splitlines() == [
        "  ok  DNS: 127.0.0.1 is 127.0.0.1",
        f"  ok  TCP: 127.0.0.1 port {langsmith.port} takes connections",
        "  ok  TLS: trusted, issued by 'Test ca', until 3000-01-01",
        "  ok  LangSmith 0.17.12 answers",
        f"  ok  the key is valid in workspace {WORKSPACE}",
        "  ok  the canary was accepted for project 'checkout'; waiting until it can be read back",
    ]


def test_json(langsmith: StandIn, ca: CertificateAuthority) -> None:
    args = ("--url", langsmith.traces_url, "--key-from", "ENV:LANGSMITH_KEY", "--read-key-from", "ENV:READ_KEY")
    ran = check(*args, "--ca", ca.bundle, "--workspace", WORKSPACE.upper(), "-o", "json")
    (run,) = langsmith.store.runs(WORKSPACE, project="default")
    assert ran.code == 0
    found = json.loads(ran.out)
    assert (found["delivered"], found["server"], found["workspaceId"]) == (True, {"version": "0.17.12"}, WORKSPACE)
    assert found["endpoints"]["traces"] == langsmith.traces_url
    assert (found["project"]["id"], found["run"]["id"]) == (str(run.project_id), str(run.id))
    assert [(item["type"], item["status"], item["reason"]) for item in found["conditions"]] == [
        ("Reachable", "True", "Reachable"),
        ("Authenticated", "True", "Authenticated"),
        ("Ingesting", "True", "Ingested"),
    ]


def test_a_key_from_a_file(langsmith: StandIn, ca: CertificateAuthority, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY + "\n")
    ran = check("--url", langsmith.url, "--key-from", f"FILE:{tmp_path / 'key'}", "--ca", ca.bundle)
    assert ran.code == 0
    assert "note: --key-from: a newline or space at the end of the key was ignored" in ran.err


# arguments beside --url and --key-from, key, fault: exit status, start of the line that says why
ENDS: dict[str, tuple[tuple[str, ...], str, tuple[str, str] | None, int, str]] = {
    "no CA": (("no-ca",), KEY, None, 1, "  NO  Reachable (TLSUntrusted): "),
    "revoked key": ((), "lsv2_sk_revoked", None, 1, "  NO  Authenticated (KeyRejected): "),
    "other workspace": (("--workspace", OTHER), KEY, None, 1, "  NO  Authenticated (WorkspaceMismatch): "),
    "organization key": ((), "lsv2_sk_org", None, 1, "  NO  Authenticated (WorkspaceRequired): "),
    "quota": (("--patience", "1"), KEY, ("quota", "ingest"), 1, "  NO  Ingesting (NotVisible): "),
    "partial success": ((), KEY, ("partial-success", "ingest"), 1, "  NO  Ingesting (SpansRejected): "),
    "limit": ((), KEY, ("rate-limited", "info"), 3, "   ?  Reachable (RateLimited): "),
    "limit on ingest": ((), KEY, ("rate-limited", "ingest"), 3, "   ?  Ingesting (RateLimited): "),
}


@pytest.mark.parametrize("name", ENDS)
def test_how_it_ends(langsmith: StandIn, ca: CertificateAuthority, name: str) -> None:
    extra, key, fault, code, line = ENDS[name]
    if fault is not None:
        langsmith.faults.use(fault[0], on=fault[1], times=None)  # type: ignore[arg-type]
    more: tuple[str | Path, ...] = () if extra == ("no-ca",) else ("--ca", ca.bundle, *extra)
    ran = check("--url", langsmith.url, "--key-from", "ENV:LANGSMITH_KEY", *more, key=key)
    assert ran.code == code
    (why,) = [found for found in ran.out.splitlines() if found.startswith(line)]
    assert "spec." not in why


def test_what_to_do_is_said_in_options(langsmith: StandIn, ca: CertificateAuthority) -> None:
    ran = check("--url", f"https://127.0.0.1:{langsmith.port}", "--key-from", "ENV:LANGSMITH_KEY", "--ca", ca.bundle)
    assert ran.code == 1
    assert "Set --base-path to the chart value config.basePath" in ran.out
    args = ("--url", langsmith.url, "--key-from", "ENV:LANGSMITH_KEY", "--ca", ca.bundle)
    ran = check(*args, key="lsv2_sk_org")
    assert ran.out.splitlines()[1].endswith("Give --workspace.")


USAGE: dict[str, tuple[tuple[str, ...], str]] = {
    "the key as a name": ((KEY,), "write lst/NAME for a LangSmithTarget"),
    "no URL": (("--key-from", "ENV:LANGSMITH_KEY"), "name lst/NAME or gt/NAME, or write --url and --key-from"),
    "no key": (("--url", "https://x.example.com"), "or write --url and --key-from"),
    "the key itself": (
        ("--url", "https://x.example.com", "--key-from", KEY),
        "write ENV:NAME or FILE:PATH",
    ),
    "no such variable": (
        ("--url", "https://x.example.com", "--key-from", "ENV:NOPE_1"),
        "no variable of that name",
    ),
    "no such file": (("--url", "https://x.example.com", "--key-from", "FILE:/nope"), "the file cannot be read"),
    "a directory": (("--url", "https://x.example.com", "--key-from", "FILE:/"), "the file cannot be read"),
    "an endless file": (("--url", "https://x.example.com", "--key-from", "FILE:/dev/zero"), "is larger than 1 MiB"),
    "an empty key": (("--url", "https://x.example.com", "--key-from", "FILE:/dev/null"), "KeyEmpty"),
    "no scheme": (("--url", "x.example.com", "--key-from", "ENV:LANGSMITH_KEY"), "MissingScheme"),
    "http": (("--url", "http://x.example.com", "--key-from", "ENV:LANGSMITH_KEY"), "add --allow-plaintext"),
    "the web app": (
        ("--url", "https://eu.smith.langchain.com", "--key-from", "ENV:LANGSMITH_KEY"),
        "its API is https://eu.api.smith.langchain.com: write the API's host in --url",
    ),
    "no UUID": (
        ("--url", "https://x.example.com", "--key-from", "ENV:LANGSMITH_KEY", "--workspace", "main"),
        "--workspace: write the workspace's id, a UUID",
    ),
    "no PEM": (
        ("--url", "https://x.example.com", "--key-from", "ENV:LANGSMITH_KEY", "--ca", "/dev/null"),
        "--ca: the file holds no PEM certificate",
    ),
    "a project that no header holds": (
        ("--url", "https://x.example.com", "--key-from", "ENV:LANGSMITH_KEY", "--project", "дом"),
        "ProjectNameNotHeaderSafe",
    ),
}


@pytest.mark.parametrize("name", USAGE)
def test_usage(name: str) -> None:
    args, message = USAGE[name]
    ran = check(*args)
    assert (ran.code, ran.out) == (2, "")
    assert message in " ".join(ran.err.split())
