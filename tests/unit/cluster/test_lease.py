"""The elector against a Lease with optimistic concurrency: never two at a time, and somebody soon."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web

from gateway_telemetry.cluster.client import Client
from gateway_telemetry.cluster.lease import Elector, LeaseTimes
from tests.unit.cluster.server import Asked, Leases, answer, connection, refusal, serving

NAME = "operator"
TIMES = LeaseTimes(duration=1.0, renew=0.6, retry=0.05)
SOON = 10.0


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON):
        while not condition():  # noqa: ASYNC110 what is waited for has no event of its own
            await asyncio.sleep(0.005)


class Election:
    """A Lease and who runs for it."""

    def __init__(self, url: str, leases: Leases) -> None:
        self.leases = leases
        self.url = url

    @contextlib.asynccontextmanager
    async def candidate(self, identity: str, times: LeaseTimes = TIMES) -> AsyncIterator[Elector]:
        async with Client(connection(self.url), request_seconds=times.renew) as client:
            elector = Elector(client, "shop", NAME, identity, times)
            async with elector.running():
                yield elector

    @property
    def holder(self) -> str:
        found = self.leases.stored.get(NAME)
        return "" if found is None else str(found["spec"].get("holderIdentity") or "")

    def held_by_other(self, **spec: Any) -> None:
        body = {
            "metadata": {"namespace": "shop"},
            "spec": {"holderIdentity": "other", "leaseDurationSeconds": 1} | spec,
        }
        self.leases.put(NAME, body)


@contextlib.asynccontextmanager
async def election() -> AsyncIterator[Election]:
    leases = Leases()
    async with serving(leases) as server:
        yield Election(server.url, leases)


async def test_the_first_candidate_makes_the_lease_and_leads() -> None:
    async with election() as held, held.candidate("one") as one:
        await until(one.holds)
        assert one.leading.is_set()
        assert one.answered.is_set()
        spec = held.leases.spec(NAME)
        assert (spec["holderIdentity"], spec["leaseTransitions"], spec["leaseDurationSeconds"]) == ("one", 0, 1)
        assert spec["acquireTime"] == spec["renewTime"]
        assert held.leases.stored[NAME]["kind"] == "Lease"


async def test_a_lease_that_is_not_there_yet_tells_nobody_who_leads() -> None:
    """Who is ready has seen a leader: between the look and the new Lease there is none."""
    async with election() as held:
        asked, goes_on = asyncio.Event(), asyncio.Event()

        async def slow_creation(request: Asked) -> None:
            if request.method == "POST":
                asked.set()
                await goes_on.wait()

        held.leases.before = slow_creation
        async with held.candidate("one", LeaseTimes()) as one:
            await asked.wait()
            assert not one.answered.is_set()
            goes_on.set()
            await until(one.answered.is_set)
            assert held.holder == "one"
            assert one.holds()


async def test_the_holder_renews_and_keeps_what_others_wrote_into_the_lease() -> None:
    async with election() as held, held.candidate("one") as one:
        await until(one.holds)
        held.leases.stored[NAME]["metadata"]["labels"] = {"team": "a"}
        first = held.leases.spec(NAME)
        # Longer than a lease duration.
        await until(lambda: held.leases.version > 25)
        assert one.holds()
        spec = held.leases.spec(NAME)
        assert spec["acquireTime"] == first["acquireTime"]
        assert spec["renewTime"] > first["renewTime"]
        assert spec["leaseTransitions"] == 0
        assert held.leases.stored[NAME]["metadata"]["labels"] == {"team": "a"}


async def test_a_second_candidate_waits_and_takes_over_at_once_when_the_lease_is_given_back() -> None:
    async with election() as held, held.candidate("two") as two:
        await until(two.holds)
        async with contextlib.AsyncExitStack() as stack:
            one = await stack.enter_async_context(held.candidate("one"))
            await until(one.answered.is_set)
            assert not one.leading.is_set()
        # The loser gives nothing back.
        assert held.holder == "two"
    async with election() as held, contextlib.AsyncExitStack() as stack:
        one = await stack.enter_async_context(held.candidate("one"))
        await until(one.holds)
        async with held.candidate("two", LeaseTimes(duration=60, renew=40, retry=0.05)) as two:
            await until(two.answered.is_set)
            assert not two.leading.is_set()
            began = time.monotonic()
            await stack.aclose()
            assert not one.leading.is_set()
            await until(two.holds)
            assert time.monotonic() - began < TIMES.duration
            assert held.leases.spec(NAME)["leaseTransitions"] == 1


async def test_who_gives_back_writes_an_empty_holder() -> None:
    async with election() as held:
        async with held.candidate("one") as one:
            await until(one.holds)
        assert held.leases.spec(NAME)["holderIdentity"] == ""
        assert held.leases.spec(NAME)["leaseDurationSeconds"] == 1


async def test_a_holder_that_gets_no_answer_stops_before_others_may_take_over() -> None:
    async with election() as held, held.candidate("one") as one:
        await until(one.holds)
        async with serving(held.leases) as other_way:
            # The one loses its way to the API server, the other does not.
            async def cut_off(asked: Asked) -> web.StreamResponse | None:
                if asked.headers["Host"] != other_way.url.removeprefix("http://"):
                    await asyncio.sleep(SOON)
                return None

            held.leases.before = cut_off
            async with Election(other_way.url, held.leases).candidate("two") as two:
                stopped = 0.0
                async with asyncio.timeout(SOON):
                    while not two.holds():
                        assert not (one.holds() and two.holds())
                        if not stopped and not one.holds():
                            stopped = time.monotonic()
                        await asyncio.sleep(0.002)
                assert stopped > 0
                # The difference between the lease duration and the renew deadline lies in between, at least in part.
                assert time.monotonic() - stopped > 0.2
                assert not one.holds()
                await until(lambda: not one.leading.is_set())


async def test_an_answer_that_took_long_does_not_make_the_lease_older_than_it_is() -> None:
    """The record may have been renewed just before the answer was made: the wait begins with the answer."""
    async with election() as held:
        held.held_by_other()
        answered: list[float] = []

        async def slow_first(asked: Asked) -> web.StreamResponse | None:
            if asked.method == "GET" and not answered:
                await asyncio.sleep(0.5)
                held.held_by_other()
                answered.append(time.monotonic())
            return None

        held.leases.before = slow_first
        async with held.candidate("one") as one:
            await until(one.holds)
            assert time.monotonic() - answered[0] >= 1.0


async def test_short_interruptions_do_not_end_the_lead() -> None:
    async with election() as held, held.candidate("one") as one:
        await until(one.holds)
        failures = 3

        async def failing(_: Asked) -> web.StreamResponse | None:
            nonlocal failures
            failures -= 1
            return refusal(500, "InternalError") if failures >= 0 else None

        held.leases.before = failing
        await until(lambda: failures < -2)
        assert one.holds()


async def test_an_answer_that_makes_no_sense_does_not_end_the_election(caplog: pytest.LogCaptureFixture) -> None:
    async with election() as held:
        nonsense = 3

        async def odd(_: Asked) -> web.StreamResponse | None:
            nonlocal nonsense
            nonsense -= 1
            return answer({}) if nonsense >= 0 else None

        held.leases.before = odd
        async with held.candidate("one") as one:
            await until(one.holds)
        assert "the election goes on" in caplog.text


async def test_a_lease_of_another_holder_is_taken_only_after_its_own_duration() -> None:
    async with election() as held:
        held.held_by_other(leaseDurationSeconds=1)
        began = time.monotonic()
        async with held.candidate("one") as one:
            await until(one.holds)
            assert time.monotonic() - began >= 1.0
            assert held.leases.spec(NAME)["leaseTransitions"] == 1


async def test_a_lease_whose_holder_renews_is_never_taken() -> None:
    async with election() as held:
        held.held_by_other(leaseDurationSeconds=1)
        async with held.candidate("one") as one:
            ends = time.monotonic() + 2.0
            while time.monotonic() < ends:
                # Clocks of other machines are not looked at: the renewal is old by any.
                held.held_by_other(leaseDurationSeconds=1, renewTime="2001-01-01T00:00:00.000000Z")
                await asyncio.sleep(0.1)
                assert not one.leading.is_set()
            assert held.holder == "other"


async def test_whom_one_stands_by_for_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    async with election() as held:
        with caplog.at_level(logging.INFO, "gateway_telemetry.cluster.lease"):
            held.held_by_other(leaseDurationSeconds=60)
            async with held.candidate("one"):
                asked: list[Asked] = []

                async def count(request: Asked) -> None:
                    asked.append(request)

                held.leases.before = count
                await until(lambda: len(asked) > 3)
    told = [item.getMessage() for item in caplog.records if item.getMessage().startswith("standing by: ")]
    assert told == [f"standing by: other holds Lease shop/{NAME}"]


async def test_one_that_was_overruled_stops_at_once() -> None:
    async with election() as held, held.candidate("one") as one:
        await until(one.holds)
        held.held_by_other(leaseDurationSeconds=600)
        await until(lambda: not one.leading.is_set())
        assert not one.holds()
    assert held.holder == "other"


async def test_two_candidates_in_the_same_moment_are_one_leader() -> None:
    async with election() as held:
        first = asyncio.Barrier(2)
        met = 0

        async def together(asked: Asked) -> web.StreamResponse | None:
            nonlocal met
            if asked.method == "POST" and met < 2:
                met += 1
                await first.wait()
            return None

        held.leases.before = together
        async with held.candidate("one") as one, held.candidate("two") as two:
            await until(lambda: one.leading.is_set() or two.leading.is_set())
            await until(lambda: held.leases.version > 5)
            assert one.leading.is_set() != two.leading.is_set()
            assert met == 2


async def test_many_handovers_never_have_two_leaders() -> None:
    times = LeaseTimes(duration=1.0, renew=0.6, retry=0.01)
    async with election() as held:
        for number in range(10):
            async with held.candidate(f"a{number}", times) as one, held.candidate(f"b{number}", times) as two:
                await until(lambda one=one, two=two: one.holds() or two.holds())  # type: ignore[misc]
                assert not (one.holds() and two.holds())


async def test_the_missing_permission_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    message = (
        'leases.coordination.k8s.io "operator" is forbidden: User "system:serviceaccount:shop:operator" cannot get '
        'resource "leases" in API group "coordination.k8s.io" in the namespace "shop"'
    )
    async with election() as held:

        async def forbidden(_: Asked) -> web.StreamResponse | None:
            return refusal(403, "Forbidden", message)

        held.leases.before = forbidden
        with caplog.at_level(logging.WARNING, "gateway_telemetry.cluster.lease"):
            async with held.candidate("one") as one:
                await until(lambda: len(caplog.records) > 2)
                assert not one.leading.is_set()
                assert not one.answered.is_set()
    told = [item.getMessage() for item in caplog.records if item.levelname == "ERROR"]
    permission = "get leases.coordination.k8s.io in namespace shop"
    assert told == [f"leader election needs the permission: {permission}"]


async def test_a_lease_that_cannot_be_given_back_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async with election() as held:
        async with held.candidate("one") as one:
            await until(one.holds)

            async def broken(_: Asked) -> web.StreamResponse | None:
                return refusal(503, "ServiceUnavailable")

            held.leases.before = broken
        assert "the Lease could not be given back" in caplog.text
        assert not one.leading.is_set()
