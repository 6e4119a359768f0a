"""One command of redis-py, carried out within a time limit and safe to cancel.

redis-py can swallow the cancellation of whoever awaits it (seen in 8.1), and a command that is cancelled half-way costs
its connection. So each runs in a task of its own.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from redis import Redis as BlockingRedis
from redis.cluster import RedisCluster as BlockingCluster

from ...errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

__all__ = ["Commands", "cancelling", "check_client", "within"]

T = TypeVar("T")


def check_client(redis: object) -> None:
    """Raise `UsageError` for what cannot carry out commands and wait for them. redis-py has blocking twins."""
    command = getattr(redis, "execute_command", None)
    if not callable(command) or isinstance(redis, (BlockingRedis, BlockingCluster)):
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

        ``when_slow`` runs beside it from half of that time on. Where that fails, its error is raised at once instead.
        """
        patience = self.patience if patience is None else patience
        running = self._started(command())
        await within([running], patience / 2, self._slices)
        beside = self._started(when_slow()) if when_slow is not None and not running.done() else None
        if beside is not None:
            await self._first_of(running, beside, patience / 2)
        await within([running], patience / 2, self._slices)
        if running.done():
            return running.result()
        running.cancel()
        raise TimeoutError(f"no answer within {patience:g} s")

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
