"""One target as it is looked at, against a LangSmith that fails in turn: what is told, and when it looks again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway_telemetry.api.target import LangSmithTargetSpec
from gateway_telemetry.control.looking import Pace
from gateway_telemetry.control.sight import Sight
from gateway_telemetry.langsmith import Budget, Transport
from gateway_telemetry.plan.proof import Connection, GatewayProof, TargetProof
from gateway_telemetry.plan.store import Gateway
from tests.support.langsmith import Fault, StandIn
from tests.unit.langsmith.setting import PROJECT, READ_KEY, WORKSPACE, destination, short, stand_in
from tests.unit.langsmith.test_evidence import export
from tests.unit.plan.build import NS, one_gateway

PACE = Pace(canary_patience=1.0)
NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
"""Evidence older than a week is none, so the tests' day is today."""


def text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


SINCE = text(NOW - timedelta(hours=1))


@pytest.fixture
def langsmith() -> Iterator[StandIn]:
    with stand_in() as running:
        yield running


class Looking:
    """A sight with a clock that only the test moves."""

    def __init__(self, langsmith: StandIn, known: TargetProof | None = None, **spec: Any) -> None:
        read_key = spec.pop("read_key", READ_KEY)
        self.now = 1000.0
        self.destination = destination(langsmith.url, read_key=read_key)
        parsed = LangSmithTargetSpec.model_validate(
            {
                "selfHosted": {"url": langsmith.url},
                "allowPlaintext": True,
                "credentials": {"ingest": {"secretRef": {"name": "langsmith", "key": "api-key"}}},
                "project": PROJECT,
                **spec,
            }
        )
        self.sight = Sight(self.destination, parsed, "abc", known, Budget(), PACE, lambda: self.now)

    async def probe(self) -> tuple[str, str]:
        """Probe, and return the reasons of Reachable and Authenticated."""
        async with Transport(self.destination, allow_loopback=True, timeout=2.0) as transport:
            await self.sight.probe(transport)
        return self.reason("Reachable"), self.reason("Authenticated")

    async def canary(self) -> tuple[str, frozenset[str]]:
        """Send a canary, and return the reason of Ingesting and what does not count."""
        async with Transport(self.destination, allow_loopback=True, timeout=2.0) as transport:
            await self.sight.canary(transport, NOW)
        return self.reason("Ingesting"), self.sight.proof.uncounted

    async def read(self) -> list[tuple[str, str]]:
        """Read what is due; return the gateways of which something new is known."""
        changed = []
        for project in self.sight.reads.due():
            async with Transport(self.destination, allow_loopback=True, timeout=2.0) as transport:
                changed += await self.sight.read(transport, project)
        return changed

    def reason(self, type_: str) -> str:
        """Return a condition's reason."""
        return next(str(item.reason) for item in self.sight.proof.findings if item.type == type_)

    def probe_due(self) -> bool:
        """Tell whether it is time for a probe."""
        return self.sight.probe_due

    def canary_due(self) -> bool:
        """Tell whether it is time for a canary."""
        return self.sight.canary_due

    def after(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    def due_in(self) -> float:
        """Return the seconds until something is due."""
        pause = self.sight.pause()
        assert pause is not None
        return pause


def view(**changes: Any) -> Gateway:
    return replace(one_gateway().store.gateways[NS, "checkout"], **changes)


def connection(project: str = PROJECT, hash_: str = "abc", stamp: str | None = "gateway-1") -> Connection:
    return Connection((NS, "langsmith"), project, hash_, stamp)


async def test_all_is_well(langsmith: StandIn) -> None:
    looking = Looking(langsmith)
    assert [short(item)[1:] for item in looking.sight.proof.findings] == [("Unknown", "Pending")] * 3
    assert looking.sight.proof.hash is None
    assert looking.probe_due()
    assert not looking.canary_due()
    assert await looking.probe() == ("Reachable", "Authenticated")
    assert looking.canary_due()
    assert await looking.canary() == ("Ingested", frozenset())
    proof = looking.sight.proof
    assert (proof.hash, proof.server) == ("abc", "0.17.12")
    assert proof.canary is not None
    assert proof.canary["time"] == text(NOW)
    assert proof.project is not None
    assert (proof.project["name"], proof.project["workspaceId"]) == (PROJECT, WORKSPACE)
    assert not looking.canary_due()
    assert 270 <= looking.due_in() <= 330


async def test_one_lost_packet_flips_nothing(langsmith: StandIn) -> None:
    looking = Looking(langsmith)
    await looking.probe()
    langsmith.faults.use("bad-gateway", on="info", times=2)
    looking.after(300)
    assert await looking.probe() == ("Reachable", "Authenticated")
    assert 9 <= looking.due_in() <= 11
    looking.after(11)
    assert await looking.probe() == ("ServerError", "NotProbed")
    assert 18 <= looking.due_in() <= 22
    looking.after(22)
    assert await looking.probe() == ("Reachable", "Authenticated")
    assert 270 <= looking.sight._probe_at - looking.now <= 330


async def test_a_key_that_is_refused_is_told_at_once(langsmith: StandIn) -> None:
    looking = Looking(langsmith)
    await looking.probe()
    langsmith.faults.use("unauthorized", on="read")
    looking.after(300)
    assert await looking.probe() == ("Reachable", "KeyRejected")
    assert not looking.canary_due()


async def test_a_failed_canary_counts_when_it_fails_again(langsmith: StandIn) -> None:
    looking = Looking(langsmith, verification={"canary": {"mode": "Periodic", "interval": "1h"}})
    await looking.probe()
    assert await looking.canary() == ("Ingested", frozenset())
    looking.after(3600 * 1.1)
    assert looking.canary_due()
    langsmith.faults.use("quota", on="ingest", times=2)
    assert await looking.canary() == ("NotVisible", frozenset({"Ingesting"}))
    looking.after(66)
    assert looking.canary_due()
    assert await looking.canary() == ("NotVisible", frozenset())
    looking.after(66)
    assert not looking.canary_due()  # the pause doubles
    looking.after(66)
    assert looking.canary_due()
    assert await looking.canary() == ("Ingested", frozenset())


async def test_a_first_canary_that_fails_counts(langsmith: StandIn) -> None:
    looking = Looking(langsmith)
    await looking.probe()
    langsmith.faults.use("quota", on="ingest", times=1)
    assert await looking.canary() == ("NotVisible", frozenset())


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"verification": {"canary": {"mode": "Off"}}}, "CanaryOff"),
        ({"read_key": None}, "NoReadKey"),
        ({"project": None}, "NoProject"),
    ],
)
async def test_no_canary(langsmith: StandIn, spec: dict[str, Any], reason: str) -> None:
    looking = Looking(langsmith, **spec)
    assert looking.reason("Ingesting") == reason
    await looking.probe()
    looking.after(1e6)
    assert not looking.canary_due()
    assert langsmith.store.requests("ingest") == []


async def test_what_was_known_before_a_restart_is_not_paid_for_again(langsmith: StandIn) -> None:
    first = Looking(langsmith)
    await first.probe()
    await first.canary()
    again = Looking(langsmith, first.sight.proof)
    assert again.sight.proof == first.sight.proof
    assert not again.probe_due()
    assert 10 <= again.due_in() <= 30
    again.after(30)
    assert await again.probe() == ("Reachable", "Authenticated")
    assert not again.canary_due()


async def test_somebody_asks(langsmith: StandIn) -> None:
    looking = Looking(langsmith)
    looking.sight.ask("1")
    await looking.probe()
    await looking.canary()
    looking.sight.ask("1")
    assert not looking.probe_due()
    looking.sight.ask("2")
    assert looking.probe_due()
    assert looking.canary_due()


async def test_traces_of_gateways(langsmith: StandIn) -> None:
    looking = Looking(langsmith)
    sight = looking.sight

    def proof(since: str | None = SINCE, hash_: str = "abc") -> GatewayProof:
        return sight.gateway(view(), connection(hash_=hash_), since)

    assert short(proof(None).delivered)[1:] == ("Unknown", "Pending")
    assert sight.reads.due() == []  # no pod runs with the settings yet
    assert short(proof().delivered)[1:] == ("Unknown", "Pending")
    looking.after(5)
    assert await looking.read() == [(NS, "checkout")]
    assert short(proof().delivered)[1:] == ("Unknown", "NoTraffic")
    export(langsmith, "gateway-1", at=NOW)
    looking.after(11)
    assert await looking.read() == [(NS, "checkout")]
    assert short(proof().delivered)[1:] == ("True", "Delivered")
    seen = proof().seen
    assert seen is not None
    assert (seen.time, seen.project) == (text(NOW), PROJECT)

    export(langsmith, "gateway-1", at=NOW + timedelta(seconds=200))
    looking.after(22)
    assert await looking.read() == []  # not worth a write
    export(langsmith, "gateway-1", at=NOW + timedelta(seconds=300))
    looking.after(44)
    assert await looking.read() == [(NS, "checkout")]
    seen = proof().seen
    assert seen is not None
    assert seen.time == text(NOW + timedelta(minutes=5))

    changed = text(NOW + timedelta(hours=1))
    assert short(proof(changed, "def").delivered)[1:] == ("Unknown", "Pending")
    looking.after(5)
    assert await looking.read() == [(NS, "checkout")]
    assert short(proof(changed, "def").delivered)[1:] == ("Unknown", "OldConfig")
    export(langsmith, "gateway-1", project="payments", at=NOW + timedelta(hours=2))
    sight.drop((NS, "checkout"))
    assert sight.reads.due() == []


async def test_a_read_that_fails_leaves_the_last_verdict(langsmith: StandIn) -> None:
    looking = Looking(langsmith)
    looking.sight.gateway(view(), connection(), SINCE)
    langsmith.faults.add(Fault(status=500, on="read", times=1))
    looking.after(5)
    assert await looking.read() == [(NS, "checkout")]
    assert short(looking.sight.gateway(view(), connection(), SINCE).delivered)[1:] == ("Unknown", "ReadBackFailed")
    export(langsmith, "gateway-1", at=NOW)
    looking.after(11)
    assert await looking.read() == [(NS, "checkout")]
    langsmith.faults.add(Fault(status=500, on="read"))
    looking.after(22)
    assert await looking.read() == []
    assert short(looking.sight.gateway(view(), connection(), SINCE).delivered)[1:] == ("True", "Delivered")


async def test_somebody_asks_for_a_gateway(langsmith: StandIn) -> None:
    looking = Looking(langsmith)
    export(langsmith, "gateway-1", at=NOW)
    looking.sight.gateway(view(), connection(), SINCE)
    looking.after(5)
    await looking.read()
    asking = view(annotations={"gatewaytelemetry.dev/requestedAt": "1"})
    looking.sight.gateway(asking, connection(), SINCE)
    looking.after(5)
    assert looking.sight.reads.due() == [PROJECT]
