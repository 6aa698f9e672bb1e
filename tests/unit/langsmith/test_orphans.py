"""A traced caller's request through a real gateway (OpenTelemetry's SDK): its spans are dropped, or they are not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway_telemetry.cli.check_through import NoAnswer, asking
from gateway_telemetry.langsmith import Transport
from gateway_telemetry.langsmith.orphans import Followed, follow
from tests.support.langsmith import Features, StandIn
from tests.support.traced_gateway import traced_gateway
from tests.unit.cli.run import Ran
from tests.unit.langsmith.setting import KEY, PROJECT, READ_KEY, WORKSPACE, destination, short, stand_in

PROGRAM = Path(sys.executable).with_name("gateway-telemetry")
STAMP = "0123456789ab"


@pytest.fixture
def langsmith() -> Iterator[StandIn]:
    with stand_in() as running:
        yield running


async def followed(
    langsmith: StandIn, *, stamp: str | None = STAMP, read_key: str | None = READ_KEY, **gateway: Any
) -> Followed:
    to = destination(langsmith.url, read_key=read_key)
    with traced_gateway(langsmith.traces_url, KEY, PROJECT, stamp, **gateway) as running:
        async with Transport(to, allow_loopback=True) as transport:
            return await follow(transport, asking(running.url, None, None, None), PROJECT, stamp, patience=3.0)


@pytest.mark.parametrize("have", [(True, True), (True, False), (False, True)], ids=["both", "v1", "v2"])
@pytest.mark.parametrize("stamp", [STAMP, None], ids=["stamped", "not stamped"])
async def test_spans_that_would_have_been_dropped(have: tuple[bool, bool], stamp: str | None) -> None:
    with stand_in(features=Features(runs_v1=have[0], runs_v2=have[1])) as langsmith:
        found = await followed(langsmith, stamp=stamp)
        [child] = [run for run in langsmith.store.runs(WORKSPACE, project=PROJECT) if run.body.name == "chat"]
    assert short(found.finding) == ("Delivered", "False", "OrphanSpansDropped")
    assert found.finding.message == (
        "The gateway's span 'chat' became visible only once its caller's was sent. Let the gateway begin traces of its "
        "own (docs/verification.md says how), or send the callers' spans to the same project."
    )
    assert found.run_url == f"{langsmith.url}/o/{WORKSPACE}/projects/p/{child.project_id}/r/{child.id}?poll=true"


async def test_until_the_callers_span_is_sent_it_is_ground_truth_that_they_are_lost(langsmith: StandIn) -> None:
    langsmith.faults.use("quota", on="ingest", times=None)
    await followed(langsmith, continues=False)
    langsmith.faults.clear()
    with traced_gateway(langsmith.traces_url, KEY, PROJECT, STAMP) as running:
        assert await asking(running.url, None, None, None)("00-" + "a" * 32 + "-" + "b" * 16 + "-01") == 200
    assert langsmith.store.runs(WORKSPACE) == []
    assert [record.span.name for record in langsmith.store.spans("orphan")] == ["chat"]


async def test_a_gateway_that_begins_its_own_traces(langsmith: StandIn) -> None:
    found = await followed(langsmith, continues=False)
    [own] = [run for run in langsmith.store.runs(WORKSPACE, project=PROJECT) if run.body.name == "chat"]
    assert short(found.finding) == ("Delivered", "True", "Delivered")
    assert found.run_url is not None
    assert str(own.id) in found.run_url


async def test_a_gateway_whose_model_calls_begin_their_own_traces(langsmith: StandIn) -> None:
    found = await followed(langsmith, calls=True)
    assert short(found.finding) == ("Delivered", "True", "Delivered")
    assert found.finding.message == (
        "Model calls are in traces of their own; the span 'chat' hangs below the caller's and is lost."
    )
    [call] = [run for run in langsmith.store.runs(WORKSPACE, project=PROJECT) if run.body.name == "call"]
    assert found.run_url is not None
    assert str(call.id) in found.run_url


async def test_a_gateway_that_makes_no_trace_of_the_request(langsmith: StandIn) -> None:
    found = await followed(langsmith, traces=False, status=401)
    assert short(found.finding) == ("Delivered", "Unknown", "NoTraffic")
    assert found.finding.message == "No trace of the gateway came of the request, to which it answered 401."


async def test_a_gateway_whose_traces_nobody_can_know(langsmith: StandIn) -> None:
    found = await followed(langsmith, stamp=None, continues=False)
    assert short(found.finding) == ("Delivered", "Unknown", "NotStamped")


async def test_a_callers_span_that_is_lost_itself_proves_nothing(langsmith: StandIn) -> None:
    langsmith.faults.use("quota", on="ingest", times=None)
    found = await followed(langsmith, traces=False)
    assert short(found.finding) == ("Delivered", "Unknown", "ReadBackFailed")


async def test_reads_that_fail_say_nothing(langsmith: StandIn) -> None:
    langsmith.faults.use("unavailable", on="read", times=None)
    assert short((await followed(langsmith)).finding) == ("Delivered", "Unknown", "ReadBackFailed")


async def test_without_a_read_key_nothing_is_asked(langsmith: StandIn) -> None:
    found = await followed(langsmith, read_key=None)
    assert short(found.finding) == ("Delivered", "Unknown", "NoReadKey")
    assert langsmith.store.requests() == []


async def test_a_gateway_that_is_not_there() -> None:
    ask = asking("http://user-visible.invalid:4000/v1", "secret-gateway-key", None, None)
    with pytest.raises(NoAnswer) as caught:
        await ask("00-" + "a" * 32 + "-" + "b" * 16 + "-01")
    assert str(caught.value) == "--through: the gateway at user-visible.invalid:4000 cannot be asked (ConnectError)"
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def check(*args: str | Path) -> Ran:
    env = {**os.environ, "LANGSMITH_KEY": KEY, "READ_KEY": READ_KEY, "GATEWAY_KEY": "sk-gateway-marked"}
    done = subprocess.run([PROGRAM, "check", *args], capture_output=True, text=True, check=False, timeout=60, env=env)
    for text in (done.stdout, done.stderr):
        assert not any(secret in text for secret in (KEY, READ_KEY, "sk-gateway-marked", "Traceback"))
    return Ran(done.returncode, done.stdout, done.stderr)


def test_check_through_a_gateway(langsmith: StandIn) -> None:
    args = ("--url", langsmith.url, "--allow-plaintext", "--key-from", "ENV:LANGSMITH_KEY", "--project", PROJECT)
    with traced_gateway(langsmith.traces_url, KEY, PROJECT, None) as gateway:
        through = ("--through", gateway.url, "--through-key-from", "ENV:GATEWAY_KEY", "--through-model", "echo")
        ran = check(*args, *through, "--patience", "3", "-o", "json")
        assert gateway.asked == [("POST", "Bearer sk-gateway-marked", "echo")]
    found = json.loads(ran.out)
    assert (ran.code, found["delivered"]) == (1, False)
    assert [(item["type"], item["status"], item["reason"]) for item in found["conditions"][-2:]] == [
        ("Ingesting", "True", "Ingested"),
        ("Delivered", "False", "OrphanSpansDropped"),
    ]
    assert found["through"]["url"].startswith(f"{langsmith.url}/o/{WORKSPACE}/projects/p/")
    assert ran.err.splitlines()[-2:] == [
        "  ok  the gateway answered 200 to a request that continues a caller's trace",
        "  ok  the caller's own span was sent; looking for spans below it",
    ]


def test_check_through_a_gateway_that_is_not_there(langsmith: StandIn) -> None:
    args = ("--url", langsmith.url, "--allow-plaintext", "--key-from", "ENV:LANGSMITH_KEY")
    ran = check(*args, "--through", "http://127.0.0.1:1/v1")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.splitlines()[-1] == "--through: the gateway at 127.0.0.1:1 cannot be asked (ConnectError)"


USAGE: dict[str, tuple[tuple[str, ...], str]] = {
    "no URL": (("--through", "gateway:4000"), "--through: write the URL of a request"),
    "a password in the URL": (("--through", "http://u:p@gateway/"), "--through: write the URL of a request"),
    "a model and no URL": (("--through-model", "m"), "go with --through"),
}


@pytest.mark.parametrize("name", USAGE)
def test_usage(name: str) -> None:
    args, message = USAGE[name]
    ran = check("--url", "https://x.example.com", "--key-from", "ENV:LANGSMITH_KEY", *args)
    assert (ran.code, ran.out) == (2, "")
    assert message in " ".join(ran.err.split())
