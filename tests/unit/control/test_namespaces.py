"""Named namespaces: one that may not be read is left out, all of them are waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from gateway_telemetry.cluster.client import Client
from gateway_telemetry.cluster.errors import Forbidden
from gateway_telemetry.control.namespaces import Namespaces
from tests.unit.cluster.server import Asked, answer, connection, refusal, serving


def cluster(denied: set[str]) -> Callable[[Asked], Awaitable[web.StreamResponse]]:
    """Serve empty lists, but not of the denied namespaces."""

    async def serve(asked: Asked) -> web.StreamResponse:
        if any(f"/namespaces/{name}/" in asked.path for name in denied):
            return refusal(403, "Forbidden", "cannot list")
        return answer({"metadata": {"resourceVersion": "1"}, "items": []})

    return serve


async def test_one_that_may_not_be_read_is_left_out_with_a_line(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(cluster({"b"})) as server, Client(connection(server.url)) as client:
        namespaces = Namespaces(("a", "b", "c"))
        await namespaces.look(client)
    assert (namespaces.readable, namespaces.left_out) == (("a", "c"), ("b",))
    assert "namespace b is left out until the operator may read it: cannot list" in caplog.text


async def test_none_that_may_be_read_is_a_refusal() -> None:
    async with serving(cluster({"a", "b"})) as server, Client(connection(server.url)) as client:
        with pytest.raises(Forbidden):
            await Namespaces(("a", "b")).look(client)


async def test_none_named_is_all_of_them_and_asks_nothing() -> None:
    async with serving(cluster(set())) as server, Client(connection(server.url)) as client:
        namespaces = Namespaces(())
        await namespaces.look(client)
    assert (namespaces.readable, namespaces.left_out, server.asked) == ((), (), [])


async def test_one_that_comes_back_is_told() -> None:
    denied = {"b"}
    async with serving(cluster(denied)) as server, Client(connection(server.url)) as client:
        namespaces = Namespaces(("a", "b"), look_again=0.01)
        await namespaces.look(client)
        waiting = asyncio.create_task(namespaces.regained(client))
        asked = len(server.asked)
        async with asyncio.timeout(5):
            while len(server.asked) < asked + 2:  # noqa: ASYNC110 what is waited for has no event of its own
                await asyncio.sleep(0.005)
            assert not waiting.done()
            denied.clear()
            assert await waiting == "b"
