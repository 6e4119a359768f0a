"""The emulator's end of the wire: connections by number, and every way an exchange can end.

Knows aiohttp's low-level server and sockets; knows nothing of the API.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from aiohttp import web

from .faults import Ending

if TYPE_CHECKING:
    from aiohttp.web_protocol import RequestHandler

    from .bodies import EmulatedResponse

__all__ = ["Connection", "LoopbackServer", "deliver"]

_MISSING_BYTES = 64
"""How much more than it sends a truncated answer promises."""


class Connection:
    """One TCP connection. ``lost`` is set once the client is gone or the server is closing."""

    __slots__ = ("lost", "number")

    def __init__(self, number: int) -> None:
        self.number: int = number
        self.lost: asyncio.Event = asyncio.Event()


Handler = Callable[[web.BaseRequest, Connection], Awaitable[web.StreamResponse]]


class LoopbackServer(web.Server):
    """aiohttp's low-level server (no routing, so paths stay as they came), with numbered connections.

    A handler outlives its connection: a server that has begun to process a request does not stop because
    the client has gone.
    """

    def __init__(self, handler: Handler, *, keepalive_timeout: float) -> None:
        super().__init__(self._handle, access_log=None, auto_decompress=False, keepalive_timeout=keepalive_timeout)
        self._handler = handler
        self._in_progress: set[asyncio.Task[Any]] = set()
        self._numbered: dict[RequestHandler, Connection] = {}
        self._count = 0
        self._closing = False
        self._runner: web.ServerRunner | None = None

    async def listen(self, host: str, port: int, *, grace: float) -> int:
        """Listen, and give the port. Raises `OSError` where it is taken. ``grace``: see `end`."""
        runner = web.ServerRunner(self, shutdown_timeout=grace)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port, reuse_address=True).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        address: tuple[str, int] = runner.addresses[0]
        return address[1]

    async def end(self) -> None:
        """Stop listening, let requests in progress finish within ``grace`` seconds, cancel the rest."""
        if self._runner is not None:
            await self._runner.cleanup()
        await self._cancel_all()

    async def _cancel_all(self) -> None:
        while self._in_progress:
            for task in self._in_progress:
                task.cancel()
            await asyncio.wait(self._in_progress)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        task = asyncio.current_task()
        if task is not None:
            self._in_progress.add(task)
            task.add_done_callback(self._in_progress.discard)
        return await self._handler(request, self._connection_of(request))

    def _connection_of(self, request: web.BaseRequest) -> Connection:
        """The request's connection, even where it has just been lost."""
        known = self._numbered.get(request.protocol)
        if known is not None:
            return known
        gone = Connection(0)
        gone.lost.set()
        return gone

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        self._count += 1
        self._numbered[handler] = connection = Connection(self._count)
        if self._closing:
            connection.lost.set()
        super().connection_made(handler, transport)

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        connection = self._numbered.pop(handler, None)
        if connection is not None:
            connection.lost.set()
        super().connection_lost(handler, exc)

    def pre_shutdown(self) -> None:
        """Let go of hanging requests, and take no further ones on kept-alive connections."""
        self._closing = True
        for connection in self._numbered.values():
            connection.lost.set()
        super().pre_shutdown()


async def deliver(
    request: web.BaseRequest, answer: EmulatedResponse, ending: Ending, connection: Connection
) -> web.StreamResponse:
    """End the exchange. After a broken ending, aiohttp finds the transport closed and gives up by itself."""
    response = web.Response(status=answer.status, body=answer.body or None, headers=answer.headers)
    transport = request.transport
    if ending is Ending.HANG:
        await connection.lost.wait()
    elif ending is Ending.ANSWER_THEN_CLOSE:
        with suppress(ConnectionResetError):  # the client did not wait for it
            await response.prepare(request)
            await response.write_eof()
    elif ending is Ending.TRUNCATE and transport is not None:
        transport.write(_promising_too_much(answer))
    elif ending is Ending.RESET and transport is not None:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    if ending is not Ending.ANSWER and transport is not None:
        transport.close()
    return response


def _promising_too_much(answer: EmulatedResponse) -> bytes:
    lines = [
        f"HTTP/1.1 {answer.status} OK",
        *(f"{name}: {value}" for name, value in answer.headers.items()),
        f"Content-Length: {len(answer.body) + _MISSING_BYTES}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + answer.body
