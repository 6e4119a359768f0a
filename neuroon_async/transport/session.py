"""The aiohttp session of a client: opened in the loop that first needs it, closed once.

Every session that a request goes through is watched for one thing: when its connection is there. Only then does the
time that the server has for its answer begin. A session of the SDK's own tells it by its connector; one that was given,
by trace signals, which take more time but are there in any session.
"""

from __future__ import annotations

import asyncio
import os
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

import aiohttp
from aiohttp.client_proto import ResponseHandler

from ..errors import ClientClosed, UsageError
from .places import Places

if TYPE_CHECKING:
    from .calls import Call

__all__ = ["AttemptClock", "SessionHolder", "close_sessions_of_this_loop", "closed_session", "running_clock"]

KEEP_ALIVE = 30.0
"""Seconds an idle connection is kept: less than the 60 s after which load balancers commonly drop it unasked."""

_AT_ONCE = 0.001
"""Seconds. A connection that was there so soon was waiting in the pool, and another timer would cost more than it
moves the end of the attempt."""

_BODILESS = (b"HTTP/1.1 204", b"HTTP/1.1 304", b"HTTP/1.0 204", b"HTTP/1.0 304")
"""How an answer begins that has no body, whatever its headers say."""

_LOOK_AT_LOOP = 0.1
"""Seconds between two looks whether the loop that closes a session still runs."""

running_clock: ContextVar[AttemptClock | None] = ContextVar("running_clock", default=None)
"""The attempt that the current task makes, as aiohttp's trace signals find it."""

_places: WeakKeyDictionary[aiohttp.ClientSession, Places] = WeakKeyDictionary()
"""The places of every session that the SDK opened, so that clients which share one count together."""


_opened: WeakSet[SessionHolder] = WeakSet()
"""Those that have opened a session of their own."""


_used: WeakSet[Any] = WeakSet()
"""What keeps each connection that a request went over."""


class AttemptClock:
    """The time of one attempt: some to connect, and all of its timeout again once the connection is there.

    Waiting for a free connection of a session that others use too is neither: the server does not know of it.
    """

    __slots__ = ("_call", "_loop", "_queued_at", "allowed", "timer")

    def __init__(self, call: Call) -> None:
        self._call = call
        self._loop = asyncio.get_running_loop()
        self._queued_at: float | None = None
        self.allowed: float = 0.0
        """Seconds that the attempt was given, to be named where they were too few."""
        self.timer: asyncio.Timeout = asyncio.timeout_at(self._end())

    def over(self) -> None:
        """The attempt has ended. Cancelled timers keep this clock for a while, but not the body of its request."""
        del self._call

    def _end(self) -> float:
        now, limit = self._loop.time(), self._call.limit
        self.allowed = self._call.timeout
        if not limit.counts_waiting:  # else all of the call is under a timer that ends it at that moment
            self.allowed = max(0.0, min(self.allowed, limit.ends - now))
        return now + self.allowed

    def queued(self) -> None:
        self._queued_at = self._loop.time()
        self.timer.reschedule(None)

    def queue_left(self) -> None:
        if self._queued_at is not None:
            self._call.limit.waited(self._loop.time() - self._queued_at)
            self._queued_at = None
        self.timer.reschedule(self._end())

    def connected(self) -> None:
        self._call.sent = True
        ends, planned = self._end(), self.timer.when()
        if planned is None or ends - planned > _AT_ONCE:
            self.timer.reschedule(ends)


async def _queued(_session: aiohttp.ClientSession, _context: Any, _parameters: Any) -> None:
    if (clock := running_clock.get()) is not None:
        clock.queued()


async def _queue_left(_session: aiohttp.ClientSession, _context: Any, _parameters: Any) -> None:
    if (clock := running_clock.get()) is not None:
        clock.queue_left()


async def _connected(_session: aiohttp.ClientSession, _context: Any, _parameters: Any) -> None:
    if (clock := running_clock.get()) is not None:
        clock.connected()


def _watch() -> aiohttp.TraceConfig:
    watch: aiohttp.TraceConfig = aiohttp.TraceConfig()
    watch.on_connection_queued_start.append(_queued)
    watch.on_connection_queued_end.append(_queue_left)
    watch.on_connection_create_end.append(_connected)
    watch.on_connection_reuseconn.append(_connected)
    watch.freeze()
    return watch


_WATCH = _watch()


class _AnswerProtocol(ResponseHandler):
    """Takes an answer that has no body by its status for one, whatever comes in the same packet behind its headers.

    aiohttp would take that for the beginning of the next answer, and lose both: a deletion that worked would fail. The
    connection is not used again.
    """

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


class _TellingConnector(aiohttp.TCPConnector):
    """Tells the attempt that asked for a connection when it has one.

    A connection on which something arrived while it was idle is closed: that would be taken for the answer to the next
    request. Servers say so that they were waiting for too long (408), and broken proxies answer twice.
    """

    _factory: Any
    """What makes the protocol of a new connection."""

    def read_answers_by(self, protocol: type[ResponseHandler]) -> None:
        self._factory = partial(protocol, loop=asyncio.get_running_loop())

    async def connect(self, *arguments: Any, **options: Any) -> Any:
        while True:
            connection = await super().connect(*arguments, **options)
            protocol: Any = connection.protocol
            if protocol not in _used or not protocol.should_close:
                break
            connection.close()
        _used.add(protocol)
        if (clock := running_clock.get()) is not None:
            clock.connected()
        return connection


class SessionHolder:
    """One aiohttp session, opened in the loop that first needs it. A session given by the user is never closed."""

    def __init__(self, session: aiohttp.ClientSession | None) -> None:
        self._session = session
        self._owned = session is None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = os.getpid()
        """Whose the loop is."""
        self._closed = False
        self._told = session is None or session in _places
        """Does the session's connector say when a connection is there?"""
        self.places: Places | None = Places() if session is None else _places.get(session)
        """How many of its requests may be under way at once; ``None`` for a session of the user's, which has a
        queue of its own."""

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
        elif not self._told and _WATCH not in self._session.trace_configs:
            self._session.trace_configs.append(_WATCH)
        return self._session

    def _open(self) -> aiohttp.ClientSession:
        connector = _TellingConnector(limit=0, keepalive_timeout=KEEP_ALIVE)
        connector.read_answers_by(_AnswerProtocol)
        session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
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
        if not self._owned or self._session is None or self._session.closed or self._process != os.getpid():
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
