"""How the SDK's own sessions connect: when a connection is there, which one is used again, and where an answer ends."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

from .attempt_clock import running_clock

__all__ = ["AnswerProtocol", "new_connector"]

KEEP_ALIVE = 30.0
"""Seconds an idle connection is kept: less than the 60 s after which load balancers commonly drop it unasked."""
_BODILESS = (b"HTTP/1.1 204", b"HTTP/1.1 304", b"HTTP/1.0 204", b"HTTP/1.0 304")
"""How an answer begins that has no body, whatever its headers say."""


class AnswerProtocol(ResponseHandler):
    """Ends an answer that has no body (204, 304) with its headers, whatever else came in the same packet.

    aiohttp would take that for the beginning of the next answer, and lose both: a deletion that worked would fail. The
    connection is not used again.
    """

    used: bool = False
    """Has a request gone over this connection?"""
    _begins = False

    def set_response_params(self, **options: Any) -> None:
        self._begins = True
        super().set_response_params(**options)

    def data_received(self, data: bytes) -> None:
        begins, self._begins = self._begins, False
        if begins and data.startswith(_BODILESS):
            end = data.find(b"\r\n\r\n") + 4
            if 4 <= end < len(data):
                self.force_close()
                data = data[:end]
        super().data_received(data)


class _Connector(aiohttp.TCPConnector):
    """Tells the attempt that asked for a connection when it has one. How many there may be is for `Places` to say.

    A connection on which something arrived while it was idle is closed: that would be taken for the answer to the next
    request. Servers say so that they were waiting for too long (408), and broken proxies answer twice.
    """

    _factory: Any
    """aiohttp's own name for what makes the protocol of a new connection."""

    def read_answers_by(self, protocol: type[AnswerProtocol]) -> None:
        self._factory = partial(protocol, loop=asyncio.get_running_loop())

    async def connect(self, *arguments: Any, **options: Any) -> Any:
        while True:
            connection = await super().connect(*arguments, **options)
            protocol: Any = connection.protocol
            if not (protocol.used and protocol.should_close):
                break
            connection.close()
        protocol.used = True
        if (clock := running_clock.get()) is not None:
            clock.connected()
        return connection


def new_connector() -> aiohttp.TCPConnector:
    """One for a session in the running loop."""
    connector = _Connector(limit=0, keepalive_timeout=KEEP_ALIVE)
    connector.read_answers_by(AnswerProtocol)
    return connector
