"""One command of redis-py, carried out within a time limit and safe to cancel.

redis-py can swallow the cancellation of whoever awaits it (seen in 8.1), and a command that is cancelled half-way costs
its connection. So each runs in a task of its own.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from redis import Redis as BlockingRedis
from redis.asyncio.client import Pipeline
from redis.asyncio.cluster import ClusterPipeline
from redis.cluster import RedisCluster as BlockingCluster
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MaxConnectionsError

from ...errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

__all__ = [
    "MOST_SECONDS",
    "Commands",
    "cancelling",
    "check_client",
    "no_answer",
    "of_another_loop",
    "within",
]

T = TypeVar("T")

MOST_SECONDS = 1e9
"""What Redis may be told of any time: it counts in whole numbers of limited length."""

_NEEDED = ("execute_command", "evalsha")  # the client of a Sentinel itself has no scripts
_DECEPTIVE = (BlockingRedis, BlockingCluster, Pipeline, ClusterPipeline)
"""They have all methods of a client, and do not wait for the answer."""
_LOOK_FOR_CONNECTION = 0.01
"""Seconds between two looks for a connection where all of a pool are in use."""


def check_client(redis: object) -> None:
    """Raise `UsageError` for what cannot carry out commands and wait for them."""
    able = all(callable(getattr(redis, name, None)) for name in _NEEDED)
    if not able or isinstance(redis, (type, *_DECEPTIVE)):
        kind = f"{type(redis).__module__}.{type(redis).__name__}"
        raise UsageError(
            f"must be a redis.asyncio.Redis or RedisCluster, got {kind}",
            where="redis",
            advice="such as redis.asyncio.Redis.from_url('redis://localhost')",
        )


class Commands:
    """Runs commands that outlive callers who are cancelled.

    ``patience`` is in seconds. It is counted in ``slices`` of the event loop's time: however late the loop is, each
    lasts for two of its turns or more, so an answer that has arrived is read.
    """

    def __init__(self, patience: float, slices: int = 1) -> None:
        self.patience = patience
        self._slices = slices
        self._under_way: set[asyncio.Future[Any]] = set()

    async def run(
        self,
        command: Callable[[], Awaitable[T]],
        patience: float | None = None,
        *,
        when_slow: Callable[[], Awaitable[object]] | None = None,
    ) -> T:
        """Carry out a command. Raises what it raises, and `TimeoutError` where there is no answer in time.

        While all connections of the client's pool are in use, it waits for one of them within that time.
        ``when_slow`` runs beside it from half of that time on. Where that fails, its error is raised at once instead.
        """
        patience = self.patience if patience is None else patience
        attempt = Attempt(command)
        running = self._started(attempt.carry_out())
        try:
            return await self._within(running, patience, attempt, when_slow)
        except asyncio.CancelledError:
            if attempt.give_up():
                running.cancel()
            raise

    async def _within(
        self,
        running: asyncio.Future[T],
        patience: float,
        attempt: Attempt[T],
        when_slow: Callable[[], Awaitable[object]] | None,
    ) -> T:
        await within([running], patience / 2, self._slices)
        beside = self._started(when_slow()) if when_slow is not None and not running.done() else None
        if beside is not None:
            await self._first_of(running, beside, patience / 2)
        await within([running], patience / 2, self._slices)
        if running.done():
            return running.result()
        running.cancel()
        raise no_answer(patience, attempt.crowded)

    async def _first_of(self, running: asyncio.Future[Any], beside: asyncio.Future[Any], patience: float) -> None:
        try:
            await asyncio.wait([running, beside], timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            if beside.done() and not running.done() and not beside.cancelled():
                failure = beside.exception()
                if failure is not None:
                    running.cancel()
                    raise failure
        finally:
            beside.cancel()

    def _started(self, command: Awaitable[T]) -> asyncio.Future[T]:
        running = asyncio.ensure_future(command)
        self._under_way.add(running)
        running.add_done_callback(self._ended)
        return running

    async def settled(self) -> None:
        """Wait for what is under way, as long as one command may take."""
        await within(self._under_way, self.patience, self._slices)

    def forget(self) -> None:
        """What was under way in an event loop that has ended never ends."""
        self._under_way.clear()

    def _ended(self, running: asyncio.Future[Any]) -> None:
        self._under_way.discard(running)
        if not running.cancelled():
            running.exception()  # whoever still waits gets it; nobody else needs it


class Attempt(Generic[T]):
    """One command, carried out as soon as the client's pool has a connection for it."""

    def __init__(self, command: Callable[[], Awaitable[T]]) -> None:
        self._command = command
        self._given_up = False
        self.crowded: Exception | None = None
        """Why it waits for a connection, while it does."""

    async def carry_out(self) -> T:
        while True:
            try:
                return await self._command()
            except RedisConnectionError as error:
                all_in_use = (
                    isinstance(error, MaxConnectionsError) or str(error) == "Too many connections"
                )  # redis-py 5
                if self._given_up or not all_in_use:
                    raise
                self.crowded = error
            await asyncio.sleep(_LOOK_FOR_CONNECTION)
            self.crowded = None

    def give_up(self) -> bool:
        """Nobody needs it any more. ``True`` where nothing was sent, so that it need not be waited for."""
        self._given_up = True
        return self.crowded is not None


def no_answer(patience: float, crowded: Exception | None) -> TimeoutError:
    """What to say of a command that has not ended within ``patience`` seconds. For ``crowded`` see `Attempt`."""
    reason = "" if crowded is None else f", as the client's pool has no free connection: {crowded}"
    return TimeoutError(f"no answer within {patience:g} s{reason}")


def of_another_loop(error: RuntimeError) -> Exception:
    """What to raise for an error of a client that was used in an event loop before, and not closed there."""
    if "loop" not in str(error):
        return error
    return UsageError(
        "the Redis client still holds connections of an event loop that has ended; await its aclose() before that "
        "loop ends, or make a client for each loop, and what uses it, too"
    )


async def within(commands: Iterable[asyncio.Future[Any]], patience: float, slices: int = 1) -> None:
    """Wait until all have ended, but no longer than ``patience`` seconds, counted in slices as in `Commands`."""
    pending = set(commands)
    for _ in range(slices):
        if not pending:
            return
        _, pending = await asyncio.wait(pending, timeout=patience / slices)


async def cancelling(command: Awaitable[Any]) -> Any:
    """Await a command without a time limit. Where the caller is cancelled, so is the command, before this returns."""
    running = asyncio.ensure_future(command)
    try:
        await asyncio.wait([running])
    except asyncio.CancelledError:
        running.cancel()
        await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # nobody is left who would want it
        raise
    return running.result()
