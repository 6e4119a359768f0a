"""The aiohttp session of a client: opened in the loop that first needs it, closed once."""

from __future__ import annotations

import asyncio
import os
from weakref import WeakKeyDictionary, WeakSet

import aiohttp

from ..errors import ClientClosed, UsageError
from .attempt_clock import TRACE_SIGNALS
from .connector import new_connector
from .places import Places

__all__ = ["SessionHolder", "close_sessions_of_this_loop", "closed_session"]

_LOOK_AT_LOOP = 0.1
"""Seconds between two looks whether the loop that closes a session still runs."""
_places: WeakKeyDictionary[aiohttp.ClientSession, Places] = WeakKeyDictionary()
"""The places of every session that the SDK opened, so that clients which share one count together."""
_opened: WeakSet[SessionHolder] = WeakSet()
"""Those that have opened a session of their own."""


class SessionHolder:
    """One aiohttp session, opened in the loop that first needs it. A session given by the user is never closed."""

    def __init__(self, session: aiohttp.ClientSession | None) -> None:
        self._session = session
        self.is_given: bool = session is not None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = os.getpid()
        """Whose the loop is."""
        self._closed = False
        self.places: Places | None = Places() if session is None else _places.get(session)
        """How many of its requests may be under way at once; ``None`` for a session of the user's, which has a
        connector and a queue of its own."""

    def __reduce__(self) -> str:
        raise TypeError(
            "a client is neither pickled nor deep-copied, for it holds connections: make one in each process"
        )

    def get(self) -> aiohttp.ClientSession:
        """The session. Raises `ClientClosed` after `close`, `UsageError` from another event loop."""
        if self._closed:
            raise ClientClosed("this client was closed", advice="create a new one, or keep it open with 'async with'")
        loop = _running_loop()
        if self._loop is None:
            self._loop, self._process = loop, os.getpid()
        elif self._loop is not loop:
            raise UsageError(
                "this client belongs to another event loop",
                advice="create one in each loop (asyncio.run starts a new one), and in each process after a fork",
            )
        if self._session is None:
            self._session = self._open()
        elif self._session.closed:
            raise closed_session()
        elif getattr(self._session, "_loop", loop) is not loop:  # aiohttp would tell that as a failed connection
            raise UsageError(
                "the aiohttp session given to this client belongs to another event loop",
                advice="make session and client in the loop that uses them",
            )
        elif self.places is None and TRACE_SIGNALS not in self._session.trace_configs:
            self._session.trace_configs.append(TRACE_SIGNALS)
        return self._session

    def _open(self) -> aiohttp.ClientSession:
        session = aiohttp.ClientSession(connector=new_connector(), cookie_jar=aiohttp.DummyCookieJar())
        if self.places is not None:
            _places[session] = self.places
        _opened.add(self)
        return session

    def mark_closed(self) -> None:
        """Let nothing begin any more."""
        self._closed = True

    async def close_in(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close, if it is this loop that the session belongs to."""
        if self._loop is loop:
            await self.close()

    async def close(self) -> None:
        """From another event loop, it is closed in its own. Raises `UsageError` where that one stands still.

        In a forked process it is only forgotten: its connections, and the loop that watches them, are the parent's.
        """
        self._closed = True
        if self.is_given or self._session is None or self._session.closed or self._process != os.getpid():
            return
        loop = self._loop
        if loop is None or loop is asyncio.get_running_loop() or loop.is_closed():
            await self._session.close()
            return
        closing = asyncio.run_coroutine_threadsafe(self._session.close(), loop) if loop.is_running() else None
        if closing is not None:
            waiting = asyncio.wrap_future(closing)
            while not closing.done() and loop.is_running():
                await asyncio.wait([waiting], timeout=_LOOK_AT_LOOP)
        if closing is None or not closing.done():
            raise UsageError(
                "this client belongs to another event loop, which does not run",
                advice="close it there, with 'await client.aclose()', before that loop ends",
            )


def _running_loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise UsageError(
            "this client needs an event loop of asyncio, and none runs here",
            advice="trio has a loop of its own: under anyio, choose the asyncio backend",
        ) from None


async def close_sessions_of_this_loop() -> None:
    """Close every session that the SDK has opened in the running loop, and nobody has closed."""
    for holder in list(_opened):
        await holder.close_in(asyncio.get_running_loop())


def closed_session(*, maybe_processed: bool = False) -> ClientClosed:
    """The error for a session that its owner closed before its client."""
    return ClientClosed("the aiohttp session given to this client is closed", maybe_processed=maybe_processed)
