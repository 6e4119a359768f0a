"""The way to Redis through one client: whether Redis answers, and over how many connections.

All limiters of one client share it. So they learn of an outage together and log it once, and however many they are,
they need no more than a few connections. A connection is opened in advance, with a patience of its own: a Redis that
is far away takes several round trips for that, and then one for each command.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError

from ...limits.store import StoreUnavailable
from .commands import Attempt, Commands, no_answer, of_another_loop, within
from .troubles import advice_on, in_words

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from redis.asyncio import Redis, RedisCluster

__all__ = ["RedisLink"]

T = TypeVar("T")
_log = logging.getLogger("neuroon_async.limits")

PATIENCE = 1.0
"""Seconds that Redis gets to answer one command; then it counts as away."""
SLICES = 50
"""In how many slices that time is counted; see `Commands`. A command takes some 10 turns of the event loop."""
OPENING_PATIENCE = 10.0
"""Seconds that opening a connection and loading the scripts may take. Nobody waits longer than `PATIENCE` for it."""
PROBE = 1.0
"""Seconds between two looks at a Redis that is away."""
MOST_CONNECTIONS = 16

_FAILURES = (RedisError, RedisClusterException, OSError)  # the built-in TimeoutError is an OSError
_links: weakref.WeakKeyDictionary[Redis | RedisCluster, RedisLink] = weakref.WeakKeyDictionary()


class RedisLink:
    """One per client: get it by `RedisLink.of`. ``scripts`` are loaded whenever Redis comes back."""

    def __init__(self, redis: Redis | RedisCluster, scripts: tuple[str, ...]) -> None:
        self._redis = weakref.ref(redis)  # as a value under its own weak key
        self._scripts = scripts
        pool = getattr(redis, "connection_pool", None)  # a cluster's client has none
        allowed = getattr(pool, "max_connections", None) or 2 * MOST_CONNECTIONS
        self._most = max(1, min(MOST_CONNECTIONS, allowed // 2))
        self._away = False
        """Whether the last command, or the last look, found Redis away."""
        self._logged: str | None = None
        """The kind of trouble that was logged last, until Redis answers again."""
        self._trouble = ""
        self._start_anew(None)

    @classmethod
    def of(cls, redis: Redis | RedisCluster, scripts: tuple[str, ...]) -> RedisLink:
        link = _links.get(redis)
        if link is None:
            link = _links[redis] = cls(redis, scripts)
        return link

    def _start_anew(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._loop = loop
        self._commands = Commands(PATIENCE, SLICES)
        self._ready = False
        self._asking = 0
        """How many callers wait for Redis."""
        self._next_look = 0.0
        self._look: asyncio.Task[None] | None = None
        self._look_began = 0.0
        self._loading: Attempt[Any] | None = None
        self._growing: asyncio.Task[None] | None = None
        self._close_gate()

    def _close_gate(self) -> None:
        """One connection to begin with; `_grow` adds others while they are needed."""
        self._open = 1
        self._gate = asyncio.Semaphore(1)

    async def ask(self, command: Callable[[], Awaitable[T]]) -> T:
        """Carry out a command. Raises `StoreUnavailable`, at once while Redis is known to be away."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._start_anew(loop)
        self._asking += 1
        try:
            await self._be_ready()
            answer = await self._carry_out(command)
        finally:
            self._asking -= 1
        if self._away:
            self._away = False
            self._logged = None
            _log.warning("the shared rate limits in Redis can be reached again")
        return answer

    async def _carry_out(self, command: Callable[[], Awaitable[T]]) -> T:
        gate = self._gate
        if gate.locked() and self._growing is None and self._open < self._most:
            self._growing = asyncio.get_running_loop().create_task(self._grow())
        async with gate:
            if not self._ready:  # lost while this one stood in line
                raise self._unavailable()
            try:
                return await self._commands.run(command, when_slow=self._knock)
            except _FAILURES as error:
                raise self._lost(error) from error
            except RuntimeError as error:
                raise of_another_loop(error) from error

    async def settled(self) -> None:
        """Wait for the commands under way."""
        await self._commands.settled()

    def look_in(self) -> float:
        """Seconds until Redis is worth being asked; 0 while it answers."""
        if self._ready or self._loop is None or self._loop.is_closed():
            return 0.0
        return max(0.0, self._next_look - self._loop.time())

    def now(self) -> float:
        """The time of the event loop that the link is used in."""
        return 0.0 if self._loop is None or self._loop.is_closed() else self._loop.time()

    async def rest(self) -> None:
        """Leave no task behind that nobody waits for."""
        if self._asking:
            return
        tasks = [task for task in (self._look, self._growing) if task is not None and not task.done()]
        for task in tasks:
            task.cancel()
        if tasks and self._loop is asyncio.get_running_loop():
            await asyncio.wait(tasks)

    async def _be_ready(self) -> None:
        if self._ready:
            return
        loop = asyncio.get_running_loop()
        if self._look is None:
            if loop.time() < self._next_look:
                raise self._unavailable()
            self._look_began = loop.time()
            self._look = loop.create_task(self._look_around())
            self._look.add_done_callback(_retrieved)
        elif loop.time() < self._next_look:
            raise self._unavailable()
        look = self._look
        if loop.time() < self._look_began + PATIENCE:
            await within([look], PATIENCE, SLICES)
        if not look.done():
            raise self._lost(no_answer(PATIENCE, self._loading.crowded if self._loading else None))
        if not self._ready:
            if not look.cancelled():
                look.result()
            raise self._unavailable()

    async def _look_around(self) -> None:
        """Open a connection and load the scripts."""
        opening = asyncio.ensure_future(self._load_scripts())
        knocking = asyncio.ensure_future(self._knock())
        try:
            async with asyncio.timeout(OPENING_PATIENCE):
                await asyncio.wait([opening, knocking], return_when=asyncio.FIRST_COMPLETED)
                if knocking.done():
                    knocking.result()
                await asyncio.wait([opening])
                opening.result()
        except _FAILURES as error:
            self._lost(error)
        except RuntimeError as error:
            self._next_look = 0.0
            raise of_another_loop(error) from error
        else:
            self._ready = True
            self._next_look = 0.0
            self._close_gate()
        finally:
            self._look = None
            for task in (opening, knocking):
                task.cancel()
            await asyncio.wait([opening, knocking])
            for task in (opening, knocking):
                if not task.cancelled():
                    task.exception()

    async def _load_scripts(self) -> None:
        redis = self._redis()
        assert redis is not None  # noqa: S101 - whoever asks has it
        for script in self._scripts:
            self._loading = Attempt(partial(redis.script_load, script.encode()))
            await self._loading.carry_out()

    async def _knock(self) -> None:
        """Find out at once what is wrong: redis-py tries again for many seconds before it says so."""
        pool = getattr(self._redis(), "connection_pool", None)
        if pool is None:
            return
        try:
            connection = pool.connection_class(**{**pool.connection_kwargs, "retry": Retry(NoBackoff(), 0)})
        except TypeError:  # a pool of the user's own kind
            return
        try:
            await connection.connect()
            await connection.send_command("PING")
            await connection.read_response()
        finally:
            with suppress(*_FAILURES):
                await connection.disconnect()

    async def _grow(self) -> None:
        """All connections are busy: open one more, beside them."""
        gate = self._gate
        try:
            redis: Any = self._redis()
            await self._commands.run(redis.ping, OPENING_PATIENCE)
        except (*_FAILURES, RuntimeError):
            pass  # those who wait get a busy one later, and what is wrong they learn by themselves
        else:
            if gate is self._gate:
                self._open += 1
                gate.release()
        finally:
            self._growing = None

    def _lost(self, error: Exception) -> StoreUnavailable:
        kind = type(error).__name__
        self._ready = False
        self._away = True
        advice = advice_on(error)
        self._trouble = f"{in_words(error)}; {advice}" if advice else in_words(error)
        self._next_look = asyncio.get_running_loop().time() + PROBE
        if self._logged is None or (self._logged != kind and not isinstance(error, TimeoutError)):
            self._logged = kind
            _log.warning("the shared rate limits cannot be reached in Redis: %s", self._trouble)
        return self._unavailable()

    def _unavailable(self) -> StoreUnavailable:
        return StoreUnavailable(f"in Redis cannot be reached: {self._trouble}")


def _retrieved(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()  # for those who still wait
