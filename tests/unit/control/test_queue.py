"""The queue against its promise: once however often, never twice at a time, later when it fails."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable

import pytest

from gateway_telemetry.control.queue import Handler, Queue, Ref, Retry

A, B, C = (Ref("GatewayTelemetry", "shop", name) for name in "abc")
SOON = 5.0
"""Seconds after which something that must happen has not."""


@contextlib.asynccontextmanager
async def working(
    queue: Queue, handle: Handler, workers: int = 4, gate: asyncio.Event | None = None
) -> AsyncIterator[None]:
    if gate is None:
        gate = asyncio.Event()
        gate.set()
    tasks = [asyncio.create_task(queue.work(handle, gate)) for _ in range(workers)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON):
        while not condition():  # noqa: ASYNC110 what is waited for has no event of its own
            await asyncio.sleep(0.001)


async def turns() -> None:
    """Let every task that can run do so."""
    for _ in range(20):
        await asyncio.sleep(0)


class Slow:
    """A handler that waits until it is let go, and remembers who was in it."""

    def __init__(self) -> None:
        self.begun: list[Ref] = []
        self.inside: list[Ref] = []
        self.most = 0
        self.go = asyncio.Event()

    async def __call__(self, key: Ref) -> float | None:
        self.begun.append(key)
        self.inside.append(key)
        self.most = max(self.most, self.inside.count(key))
        try:
            await self.go.wait()
        finally:
            self.inside.remove(key)
        return None


async def test_a_key_waits_once_however_often_it_is_added() -> None:
    queue, slow = Queue(), Slow()
    slow.go.set()
    for _ in range(50):
        queue.add(A)
        queue.add(B)
    assert len(queue) == 2
    async with working(queue, slow):
        await until(queue.idle)
        await turns()
    assert slow.begun == [A, B]
    assert queue.runs == 2


async def test_fifty_edits_while_a_key_runs_lead_to_one_more_run_and_never_two_at_a_time() -> None:
    queue, slow = Queue(), Slow()
    async with working(queue, slow):
        queue.add(A)
        await until(lambda: slow.inside == [A])
        for _ in range(50):
            queue.add(A)
            await asyncio.sleep(0)
        assert slow.begun == [A]
        slow.go.set()
        await until(queue.idle)
        await turns()
    assert slow.begun == [A, A]
    assert slow.most == 1


async def test_different_keys_run_at_a_time_in_the_order_in_which_they_became_dirty() -> None:
    queue, slow = Queue(), Slow()
    for key in (C, A, B):
        queue.add(key)
    async with working(queue, slow, workers=2):
        await until(lambda: len(slow.inside) == 2)
        await turns()
        assert slow.begun == [C, A]
        slow.go.set()
        await until(queue.idle)
    assert slow.begun == [C, A, B]


async def test_a_handler_that_adds_its_own_key_runs_again() -> None:
    queue = Queue()
    begun: list[Ref] = []

    async def handle(key: Ref) -> float | None:
        begun.append(key)
        if len(begun) < 3:
            queue.add(key)
        return None

    async with working(queue, handle):
        queue.add(A)
        await until(lambda: len(begun) == 3)
        await turns()
    assert begun == [A, A, A]


async def test_add_makes_later_now() -> None:
    queue, slow = Queue(), Slow()
    slow.go.set()
    async with working(queue, slow):
        queue.add_later(A, 3600)
        await turns()
        assert queue.idle()
        queue.add(A)
        await until(lambda: slow.begun == [A])
        await until(queue.idle)
        # And the later time is gone with it, not a second run.
        assert queue._timers == {}


async def test_of_two_later_times_the_earlier_counts() -> None:
    queue, slow = Queue(), Slow()
    slow.go.set()
    async with working(queue, slow):
        queue.add_later(A, 3600)
        queue.add_later(A, 0.02)
        queue.add_later(A, 1800)
        await until(lambda: slow.begun == [A])
        assert queue._timers == {}


async def test_later_is_not_sooner_than_asked() -> None:
    queue, slow = Queue(), Slow()
    slow.go.set()
    loop = asyncio.get_running_loop()
    async with working(queue, slow):
        began = loop.time()
        queue.add_later(A, 0.1)
        await until(lambda: slow.begun == [A])
        assert loop.time() - began >= 0.1


async def test_later_adds_nothing_to_a_key_that_waits_already() -> None:
    queue, slow = Queue(), Slow()
    queue.add(A)
    queue.add_later(A, 0)
    assert queue._timers == {}
    async with working(queue, slow):
        await until(lambda: slow.inside == [A])
        queue.add(A)
        queue.add_later(A, 0)
        slow.go.set()
        await until(queue.idle)
        await turns()
    assert slow.begun == [A, A]


async def test_what_the_handler_returns_is_when_it_is_called_again() -> None:
    queue = Queue()
    pauses = [0.01, 0.01, None]
    begun: list[Ref] = []

    async def handle(key: Ref) -> float | None:
        begun.append(key)
        return pauses[len(begun) - 1]

    async with working(queue, handle):
        queue.add(A)
        await until(lambda: len(begun) == 3)
        await turns()
        assert queue.idle()
        assert queue._timers == {}


async def test_pauses_after_failures_double_up_to_a_limit_and_are_spread() -> None:
    # Twenty keys each, so that the bounds are seen; none of the timers ever fires.
    expected = [0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    queue = Queue()
    keys = [Ref("Deployment", "shop", str(number)) for number in range(20)]
    for base in expected:
        pauses = []
        for key in keys:
            pauses.append(queue.retry_later(key))
            queue._cancel(key)
        assert all(0.75 * base <= pause <= 1.25 * base for pause in pauses), base
        assert len(set(pauses)) == len(pauses)
        assert max(pauses) > 1.05 * base
        assert min(pauses) < 0.95 * base


async def test_the_pause_does_not_overflow_after_very_many_failures() -> None:
    queue = Queue()
    queue._failures[A] = 100_000
    assert 225 <= queue.retry_later(A) <= 375
    queue._cancel(A)


async def test_success_starts_the_pauses_afresh_and_forgets_the_key() -> None:
    queue = Queue()
    outcomes = ["fail", "fail", "fail", "ok", "fail"]
    begun: list[int] = []

    async def handle(key: Ref) -> float | None:
        begun.append(queue._failures.get(key, 0))
        if outcomes[len(begun) - 1] == "fail":
            raise Retry("not yet")
        return None

    async with working(queue, handle):
        for count in range(1, 6):
            queue.add(A)
            await until(lambda count=count: len(begun) == count and queue.idle())  # type: ignore[misc]
            if count == 4:
                assert queue._failures == {}
    assert begun == [0, 1, 2, 3, 0]
    assert queue._failures == {A: 1}
    queue._cancel(A)


async def test_a_key_that_fails_comes_back_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway_telemetry.control.queue.FIRST_RETRY", 0.01)
    queue = Queue()
    begun: list[Ref] = []

    async def handle(key: Ref) -> float | None:
        begun.append(key)
        if len(begun) < 4:
            raise Retry("not yet")
        return None

    async with working(queue, handle, workers=1):
        queue.add(A)
        await until(lambda: len(begun) == 4)
        await turns()
    assert queue._failures == {}


async def test_one_failing_key_does_not_stop_others(caplog: pytest.LogCaptureFixture) -> None:
    queue = Queue()
    done: list[Ref] = []

    async def handle(key: Ref) -> float | None:
        if key == A:
            raise ZeroDivisionError("a fault of ours")
        done.append(key)
        return None

    with caplog.at_level(logging.INFO, "gateway_telemetry.control.queue"):
        async with working(queue, handle, workers=1):
            for key in (A, B, A, C):
                queue.add(key)
            await until(queue.idle)
    assert done == [B, C]
    record = caplog.records[0]
    assert record.levelname == "ERROR"
    assert record.getMessage().startswith("GatewayTelemetry shop/a: a fault of ours; again in ")
    assert record.exc_info is not None
    queue._cancel(A)


async def test_a_failure_that_is_told_elsewhere_is_no_error_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    queue = Queue()

    async def handle(key: Ref) -> float | None:
        raise Retry("the Secret is not there")

    with caplog.at_level(logging.INFO, "gateway_telemetry.control.queue"):
        async with working(queue, handle):
            queue.add(A)
            await until(lambda: bool(caplog.records))
    assert [(item.levelname, item.exc_info) for item in caplog.records] == [("INFO", None)]
    queue._cancel(A)


async def test_nothing_begins_while_the_gate_is_closed() -> None:
    queue, slow, gate = Queue(), Slow(), asyncio.Event()
    slow.go.set()
    async with working(queue, slow, gate=gate):
        queue.add(A)
        await turns()
        assert slow.begun == []
        gate.set()
        await until(lambda: slow.begun == [A])
        await until(queue.idle)
        gate.clear()
        queue.add(B)
        await turns()
        assert slow.begun == [A]
        assert len(queue) == 1
        gate.set()
        await until(lambda: slow.begun == [A, B])


async def test_drain_waits_for_what_has_begun_and_begins_nothing_more() -> None:
    queue, slow = Queue(), Slow()
    async with working(queue, slow, workers=1):
        queue.add(A)
        queue.add(B)
        await until(lambda: slow.inside == [A])
        drained = asyncio.create_task(queue.drain(SOON))
        await turns()
        assert not drained.done()
        queue.add(A)
        slow.go.set()
        await drained
        await turns()
        assert slow.begun == [A]
        assert slow.inside == []


async def test_drain_gives_up_after_its_time() -> None:
    queue, slow = Queue(), Slow()
    async with working(queue, slow):
        queue.add(A)
        await until(lambda: slow.inside == [A])
        async with asyncio.timeout(SOON):
            await queue.drain(0.02)
        assert slow.inside == [A]


async def test_drain_of_a_queue_at_rest_returns_at_once() -> None:
    async with asyncio.timeout(SOON):
        await Queue().drain(3600)


async def test_the_longest_run_is_measured() -> None:
    queue, slow = Queue(), Slow()
    assert queue.oldest_run() == 0.0
    async with working(queue, slow):
        queue.add(A)
        await until(lambda: slow.inside == [A])
        await until(lambda: queue.oldest_run() > 0.01)
        assert not queue.idle()
        slow.go.set()
        await until(queue.idle)
    assert queue.oldest_run() == 0.0


async def test_many_keys_and_workers_leave_nothing_behind() -> None:
    queue = Queue()
    keys = [Ref("GatewayTelemetry", "shop", str(number)) for number in range(200)]
    inside: set[Ref] = set()
    seen: dict[Ref, int] = dict.fromkeys(keys, 0)

    async def handle(key: Ref) -> float | None:
        assert key not in inside
        inside.add(key)
        await asyncio.sleep(0)
        inside.discard(key)
        seen[key] += 1
        return None

    async with working(queue, handle, workers=8):
        for _ in range(5):
            for key in keys:
                queue.add(key)
            await asyncio.sleep(0)
        await until(queue.idle)
    assert all(1 <= count <= 5 for count in seen.values())
    assert (queue._failures, queue._timers, queue._again, queue._waiting, queue._started) == ({}, {}, set(), set(), {})


@pytest.mark.parametrize(("longest", "least", "most"), [(None, 225.0, 375.0), (15.0, 11.25, 18.75)])
async def test_a_failure_may_say_how_long_to_wait_at_most(
    longest: float | None, least: float, most: float, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    queue = Queue()

    async def fail(_: Ref) -> float | None:
        raise Retry("no right", longest)

    for _ in range(20):
        queue.retry_later(A)
    async with working(queue, fail):
        queue.add(A)
        await until(lambda: "no right" in caplog.text)
    pause = float(caplog.records[-1].getMessage().rpartition("again in ")[2].removesuffix(" s"))
    assert least <= pause <= most
