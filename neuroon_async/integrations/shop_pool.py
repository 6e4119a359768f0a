"""Clients for thousands of shops in one process, made when a shop has work (extra ``redis``).

`ShopPool` holds what the tasks of one worker process share. How a shop's limit is kept is `RedisLimiter`'s affair, and
where tasks come from `taskiq`'s.
"""

from __future__ import annotations

import asyncio
import inspect
import os
from collections import OrderedDict
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from ..extras import NeedsExtra

with NeedsExtra("redis", __name__):
    from redis.asyncio import BlockingConnectionPool, Redis
    from redis.asyncio.connection import parse_url

from ..api.arguments import check_callback, check_capable, check_count, check_seconds, check_text
from ..api.contract import DOCUMENTED_RATE_LIMITS, Environment, Locale, RateLimit
from ..api.shapes import class_of
from ..cancellation import finish
from ..client import NeuroonClient
from ..errors import AuthenticationFailed, ConfigurationError, UsageError
from ..limits.tables import shared_table
from ..settings import Secret, check_header_value
from ..transport.retries import checked_retry
from ..transport.session import SessionHolder
from .redis import RedisLedger, RedisLimiter

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    from ..instrumentation import Instrumentation
    from ..transport.retries import RetryPolicy

__all__ = ["ShopCredentials", "ShopPool"]

_untouchable: list[object] = []
"""What another process has opened, of which this one is a fork. Where it were collected here, it would be closed."""


@dataclass(frozen=True, slots=True)
class ShopCredentials:
    """What is particular to one shop; the arguments of that name of `NeuroonClient`. No ``repr`` shows the key."""

    api_key: Secret | str = field(repr=False)
    environment: Environment | str = Environment.PRODUCTION
    base_url: str | None = None
    locale: Locale | str | None = None
    origin: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.api_key, Secret):
            object.__setattr__(self, "api_key", Secret(self.api_key))


class ShopPool:
    """A client and a shared limiter for each shop at work; one aiohttp session and one Redis pool for all of them.

    Open and close it by ``integrations.taskiq.install``, or by ``async with`` elsewhere. Run 16 syncs a process
    (``--max-async-tasks 16``), and more processes rather than more syncs: 16 keep a core busy, and with 8 requests each
    they fill the session's 128 connections.

    Args:
        credentials: A function of the shop's id, plain or async, such as a look-up in your database. It gives
            `ShopCredentials`. It is asked when a shop first has work here, and again after a 401, so a rotated key
            needs no restart.
        redis_url: Where all workers keep the shops' budgets.
        size: How many idle shops are remembered at most. The least recently used goes first, which loses nothing, for
            its budget is in Redis.
        rate_limits: Those of `RedisLimiter`; the same in every process.
        share: How many worker processes there are, for the time without Redis; the same in every process.
        prefix: Begins the names of all keys in Redis; the same in every process.
        timeout: Seconds for one attempt, as in `NeuroonClient`.
        retry: As in `NeuroonClient`.
        user_agent: As in `NeuroonClient`.
        instrumentation: Sees every request of every shop, such as an `OpenTelemetryInstrumentation`.

    Raises:
        UsageError: for options that cannot work.
    """

    def __init__(
        self,
        credentials: Callable[[str], Awaitable[ShopCredentials] | ShopCredentials],
        redis_url: str,
        *,
        size: int = 1_000,
        rate_limits: Mapping[str, RateLimit] = DOCUMENTED_RATE_LIMITS,
        share: int | None = 4,
        prefix: str = "neuroon",
        timeout: float = 30.0,
        retry: RetryPolicy | None = None,
        user_agent: str | None = None,
        instrumentation: Instrumentation | None = None,
    ) -> None:
        check_callback("credentials", credentials, none=False, awaited=True)
        _check_redis_url(redis_url)
        check_count("size", size)
        check_seconds("timeout", timeout)
        check_count("share", share, none=True)
        check_text("prefix", prefix)
        shared_table(rate_limits)
        if user_agent is not None:
            check_header_value("user_agent", user_agent)
        check_capable("instrumentation", instrumentation, ("attempt", "waited"), "an Instrumentation")
        self._credentials = credentials
        self._redis_url = redis_url
        self._size = size
        # A request that a dying process left behind may arrive for `timeout`; as much again is for a busy event loop.
        self._limiting: dict[str, Any] = {
            "rate_limits": rate_limits,
            "share": share,
            "prefix": prefix,
            "latency": 2 * timeout,
        }
        self._client: dict[str, Any] = {
            "timeout": timeout,
            "retry": None if retry is None else checked_retry(retry),
            "user_agent": user_agent,
            "instrumentation": instrumentation,
        }
        self._shops: OrderedDict[str, _ShopAtWork] = OrderedDict()
        self._open: _Shared | None = None
        self._closings: list[_Closing] = []
        """Under way."""
        self._process = os.getpid()
        """Whose all this is."""

    async def open(self) -> None:
        """Make the session and the Redis connections. Called by the worker's startup.

        A pool that is still being closed opens anew: what is ending keeps its own connections until it has ended.
        """
        self._leave_to_parent()
        if self._open is None:
            session = SessionHolder(None)
            session.get()
            pool: Any = BlockingConnectionPool
            # Blocking: a pool that raises when it is exhausted would look to the limiters like a Redis that is away.
            self._open = _Shared(session, Redis.from_pool(pool.from_url(self._redis_url)))

    def ledger(self, *, lease: float = 30.0) -> RedisLedger:
        """What the API has acknowledged, for all shops, in the same Redis: pass it to ``client.products.sync``.

        ``lease`` (seconds) is how long a dead worker's lock on a shop outlives it: keep it below the broker's, so that
        whoever takes the task over finds the ledger free.
        """
        self._leave_to_parent()
        if self._open is None:
            raise ConfigurationError("the pool of shops is not open: the worker's startup opens it")
        return RedisLedger(self._open.redis, self._limiting["prefix"], lease=lease)

    async def close(self) -> None:
        """Cancel the tasks that still use a client, wait for them, and close every connection.

        May be called twice, also side by side: each call waits until all is closed. A cancelled one waits no longer;
        where it was the only one, the connections are closed at once. In a forked process it closes nothing of its
        parent's.
        """
        self._leave_to_parent()
        shared, self._open = self._open, None  # from here on nobody begins, unless the pool is opened anew
        shops, self._shops = self._shops, OrderedDict()
        caller = asyncio.current_task()
        at_work = {task for shop in shops.values() for task in shop.users} - {caller}
        for task in at_work:
            task.cancel("the worker shuts down")
        if shared is not None or at_work:
            self._closings.append(_Closing(shared, at_work))
        # A task that is waited for, and closes the pool in its own cleanup, must not wait for itself.
        try:
            await _all_ended([closing for closing in self._closings if caller not in closing.at_work])
        finally:
            self._closings = [closing for closing in self._closings if not closing.task.done()]

    def _leave_to_parent(self) -> None:
        """In a forked process forget what is open, and who is at work with it: the sockets and the loop are shared."""
        if self._process != os.getpid():
            _untouchable.append((self._open, self._shops, self._closings))
            self._open, self._shops, self._closings = None, OrderedDict(), []
            self._process = os.getpid()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @asynccontextmanager
    async def client(self, shop_id: str) -> AsyncGenerator[NeuroonClient, None]:
        """The client of one shop, for as long as the block lasts; any number of tasks may have it at once.

        Raises `ConfigurationError` where the pool is not open, and whatever ``credentials`` raises.
        """
        check_text("shop_id", shop_id)
        self._leave_to_parent()
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - an async context manager runs in a task
        shop = self._shops.setdefault(shop_id, _ShopAtWork())
        shop.users.append(task)
        self._shops.move_to_end(shop_id)
        try:
            async with shop.connecting:
                if self._open is None:
                    raise ConfigurationError(
                        "the pool is not open: call install(broker, pool), or use 'async with pool'"
                    )
                if shop.connected is None:
                    shop.connected = await self._connect(self._open, shop_id)
                connected = shop.connected
            client, limiter = connected
            try:
                yield client
            except AuthenticationFailed:
                if shop.connected is connected:
                    shop.connected = None  # rotated, perhaps: the next task asks for the key again
                raise
            finally:
                await limiter.aclose()  # the next process shall not wait for slots that are free
        finally:
            shop.users.remove(task)
            # One that still has users is kept: closing the pool waits for them.
            if shop.connected is None and not shop.users and self._shops.get(shop_id) is shop:
                del self._shops[shop_id]
            self._evict()

    async def _connect(self, shared: _Shared, shop_id: str) -> tuple[NeuroonClient, RedisLimiter]:
        credentials = await self._credentials_of(shop_id)
        limiter = RedisLimiter(shared.redis, shop_id=shop_id, **self._limiting)
        client = NeuroonClient(
            shop_id=shop_id,
            api_key=credentials.api_key,
            environment=credentials.environment,
            base_url=credentials.base_url,
            locale=credentials.locale,
            origin=credentials.origin,
            limiter=limiter,
            session=shared.session.get(),
            **self._client,
        )
        return client, limiter

    async def _credentials_of(self, shop_id: str) -> ShopCredentials:
        given: Any = self._credentials(shop_id)
        if inspect.isawaitable(given):
            given = await given
        if not isinstance(given, ShopCredentials):  # and is not shown: it may hold the key
            raise UsageError(f"must give ShopCredentials, gave {class_of(given).__name__}", where="credentials")
        return given

    def _evict(self) -> None:
        excess = len(self._shops) - self._size
        idle = [shop_id for shop_id, shop in self._shops.items() if not shop.users] if excess > 0 else []
        for shop_id in idle[:excess]:
            del self._shops[shop_id]


def _check_redis_url(redis_url: str) -> None:
    """Raises `UsageError`, and does not show an address: it may hold a password."""
    example = "redis://127.0.0.1"
    check_text("redis_url", redis_url, example)
    try:
        parse_url(redis_url)
    except ValueError:
        raise UsageError(f"must be the address of a Redis server, such as {example!r}", where="redis_url") from None


@dataclass(slots=True)
class _Shared:
    session: SessionHolder
    redis: Redis

    async def close(self) -> None:
        await self.session.close()
        await self.redis.aclose()


class _Closing:
    """The end of what a pool had opened. It is a task of its own: several may wait for it, and each be cancelled."""

    __slots__ = ("at_work", "task", "waiting")

    def __init__(self, shared: _Shared | None, at_work: set[asyncio.Task[Any]]) -> None:
        self.at_work: set[asyncio.Task[Any]] = at_work
        self.waiting: int = 0
        """How many wait for it."""
        self.task: asyncio.Task[None] = asyncio.create_task(self._close(shared), name="neuroon-shop-pool-closing")

    async def _close(self, shared: _Shared | None) -> None:
        try:
            if self.at_work:
                await asyncio.wait(self.at_work)
        finally:
            if shared is not None:
                await shared.close()


async def _all_ended(closings: list[_Closing]) -> None:
    """Wait for all of these. Where the last one who waits is cancelled, they end without the tasks at work."""
    if not closings:
        return
    for closing in closings:
        closing.waiting += 1
    try:
        await asyncio.wait([closing.task for closing in closings])
    except asyncio.CancelledError:
        alone = [closing.task for closing in closings if closing.waiting == 1]
        for task in alone:
            task.cancel()
        if alone:
            await finish(asyncio.wait(alone))
        raise
    finally:
        for closing in closings:
            closing.waiting -= 1
    for closing in closings:
        if not closing.task.cancelled():  # by one who waited for it before
            closing.task.result()


@dataclass(slots=True, eq=False)
class _ShopAtWork:
    """One shop of the pool. ``connected`` is made by its first user while others wait, and anew after a 401."""

    connecting: asyncio.Lock = field(default_factory=asyncio.Lock)
    connected: tuple[NeuroonClient, RedisLimiter] | None = None
    users: list[asyncio.Task[Any]] = field(default_factory=list[asyncio.Task[Any]])
