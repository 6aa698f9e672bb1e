"""The listening socket: tells TLS from plain HTTP by the first byte, as nginx does.

A plain request to a TLS port gets nginx's 400 page instead of a torn connection: that page is one of the signatures by
which a wrong scheme is recognised.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Final

from tests.support.langsmith.faults import NGINX

_TLS_HANDSHAKE: Final = b"\x16"
_FIRST_BYTE_TIMEOUT: Final = 30.0
_TITLE: Final = "400 The plain HTTP request was sent to HTTPS port"


def bind(host: str, port: int) -> socket.socket:
    """Return a non-blocking listening socket; port 0 picks a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(512)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


class Listener:
    """Hands accepted connections to a protocol, over TLS where a context is given.

    Attributes:
        tls: the context of the connections that come next.
    """

    def __init__(
        self, listener: socket.socket, protocol: Callable[[], asyncio.BaseProtocol], tls: ssl.SSLContext | None
    ) -> None:
        self._socket = listener
        self._protocol = protocol
        self.tls = tls
        self._tasks: set[asyncio.Task[None]] = set()
        self._accepting: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to accept connections."""
        self._accepting = asyncio.get_running_loop().create_task(self._accept())

    async def close(self) -> None:
        """Stop accepting and drop connections that have not sent a byte yet."""
        tasks = [*self._tasks, *([self._accepting] if self._accepting else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._socket.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(self._socket)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = loop.create_task(self._serve(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection: socket.socket) -> None:
        """Hand the connection over; an error on it concerns its client alone."""
        loop = asyncio.get_running_loop()
        handed_over = False
        tls = self.tls
        try:
            if tls is not None and await _first_byte(connection) != _TLS_HANDSHAKE:
                await loop.sock_sendall(connection, _plain_to_tls())
                await _drain(connection)
                return
            handed_over = True  # the transport owns the socket from here, also when the handshake fails
            await loop.connect_accepted_socket(self._protocol, connection, ssl=tls)
        except (OSError, TimeoutError):
            return
        finally:
            if not handed_over:
                connection.close()


async def _first_byte(connection: socket.socket) -> bytes:
    """Return the first byte without taking it; empty when the peer closed.

    Raises:
        TimeoutError: the peer sends nothing.
    """
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(connection, readable.set)
    try:
        await asyncio.wait_for(readable.wait(), _FIRST_BYTE_TIMEOUT)
    finally:
        loop.remove_reader(connection)
    return connection.recv(1, socket.MSG_PEEK)


async def _drain(connection: socket.socket) -> None:
    """Read what the peer already sent: closing with unread data would reset the connection and lose the answer."""
    connection.shutdown(socket.SHUT_WR)
    loop = asyncio.get_running_loop()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1.0):
            while await loop.sock_recv(connection, 65536):
                pass


def _plain_to_tls() -> bytes:
    body = NGINX.format(_TITLE).encode()
    head = f"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Connection: close\r\n\r\n" + body
