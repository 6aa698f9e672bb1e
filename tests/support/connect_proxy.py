"""A real CONNECT proxy in a thread of its own, for programs that a test runs as processes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.unit.langsmith.servers import Proxy, serving


@contextmanager
def proxy_to(port: int, refuse: str = "") -> Iterator[tuple[Proxy, int]]:
    """Give the proxy and its port; every connection really goes to a port of loopback, whatever name was asked for."""
    proxy = Proxy(port, refuse=refuse)
    ready, stop = threading.Event(), asyncio.Event()
    found: list[tuple[asyncio.AbstractEventLoop, int]] = []

    async def run() -> None:
        async with serving(proxy) as own:
            found.append((asyncio.get_running_loop(), own))
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    assert ready.wait(10)
    loop, own = found[0]
    try:
        yield proxy, own
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
