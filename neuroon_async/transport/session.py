"""The aiohttp session of a client: opened in the loop that first needs it, closed once."""

from __future__ import annotations

import asyncio

import aiohttp

from ..errors import ClientClosed, ConfigurationError

__all__ = ["SessionHolder"]

MAX_CONNECTIONS = 128
"""Above any useful concurrency under the documented limits; a bound all the same."""
KEEP_ALIVE = 30.0
"""Seconds an idle connection is kept: less than the 60 s after which load balancers commonly drop it unasked."""


class SessionHolder:
    """One aiohttp session, opened in the loop that first needs it. A session given by the user is never closed."""

    def __init__(self, session: aiohttp.ClientSession | None) -> None:
        self._session = session
        self._owned = session is None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    def get(self) -> aiohttp.ClientSession:
        """The session. Raises `ClientClosed` after `close`, `ConfigurationError` from another event loop."""
        if self._closed:
            raise ClientClosed("this client was closed; create a new one, or keep it open with 'async with'")
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise ConfigurationError(
                "this client belongs to another event loop; create one in each loop (asyncio.run starts a new one)"
            )
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, keepalive_timeout=KEEP_ALIVE),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        elif self._session.closed:
            raise ClientClosed("the aiohttp session given to this client is closed")
        return self._session

    async def close(self) -> None:
        self._closed = True
        if self._owned and self._session is not None:
            await self._session.close()
