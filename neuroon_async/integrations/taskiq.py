"""Taskiq workers: thousands of shops over a fleet, one task a shop (extra ``taskiq``).

`ShopPool` holds what the tasks of one worker process share, `install` opens and closes it with the worker,
`shop_client` hands a task the client of its shop, and `LeasedStreamBroker` sees that a task outlives its worker:

    broker = LeasedStreamBroker("redis://localhost")
    pool = ShopPool(credentials, "redis://localhost")
    install(broker, pool)

    @broker.task
    async def sync_shop(shop_id: str, client: NeuroonClient = TaskiqDepends(shop_client)) -> int:
        report = await client.products.sync(catalog_of(shop_id))
        return report.accepted

    # elsewhere: await sync_shop.kiq("shop_1")
    # workers:   taskiq worker your_module:broker --workers 4 --max-async-tasks 16

A task may thus run twice, whole or in part. That is harmless: products are upserted, the idempotency key of an equal
batch is equal, and all processes keep to the one budget of the shop. How that is kept is `RedisLimiter`'s affair.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import OrderedDict
from collections.abc import AsyncGenerator  # noqa: TC003 - taskiq reads the dependency's annotations at run time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Self

from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from taskiq import AckableMessage, AsyncBroker, Context, TaskiqDepends, TaskiqEvents, TaskiqState
from taskiq_redis import RedisStreamBroker

from ..api.contract import DOCUMENTED_RATE_LIMITS, Environment, Locale, RateLimit
from ..client import NeuroonClient
from ..errors import AuthenticationFailed, ConfigurationError
from ..settings import Secret
from ..transport.session import SessionHolder
from .redis import RedisLedger, RedisLimiter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from taskiq import BrokerMessage

    from ..transport.retries import RetryPolicy

__all__ = ["LeasedStreamBroker", "ShopCredentials", "ShopPool", "install", "shop_client"]

_log = logging.getLogger("neuroon_async.taskiq")

STATE_NAME = "neuroon_pool"
"""Under this name the pool is in the broker's state."""
BLOCK = 2.0
"""Seconds that a read waits for a new task; then the worker looks again for tasks that others left behind."""
BACK_OFF = 1.0
"""Seconds between two tries to reach a Redis that is away."""
_AWAY = (RedisConnectionError, RedisTimeoutError, OSError)


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

    ``credentials`` is an async function of the shop's id, such as a look-up in your database. It is asked when a shop
    first has work here, and again after a 401, so a rotated key needs no restart. ``redis_url`` is where all workers
    keep the shops' budgets. At most ``size`` idle shops are remembered; the least recently used goes first, which
    loses nothing, for its budget is in Redis.

    ``rate_limits``, ``share`` (worker processes) and ``prefix`` are those of `RedisLimiter` and must be the same in
    every process. ``timeout`` (seconds an attempt), ``retry`` and ``user_agent`` are those of `NeuroonClient`.

    Run 16 syncs a process (``--max-async-tasks 16``), and more processes rather than more syncs: 16 keep a core busy,
    and with 8 requests each they fill the session's 128 connections.

    Open and close it by `install`, or by ``async with`` elsewhere.
    """

    def __init__(
        self,
        credentials: Callable[[str], Awaitable[ShopCredentials]],
        redis_url: str,
        *,
        size: int = 1_000,
        rate_limits: Mapping[str, RateLimit] = DOCUMENTED_RATE_LIMITS,
        share: int | None = 4,
        prefix: str = "neuroon",
        timeout: float = 30.0,
        retry: RetryPolicy | None = None,
        user_agent: str | None = None,
    ) -> None:
        if size < 1:
            raise ConfigurationError(f"size must be 1 shop or more, got {size}")
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
        self._client: dict[str, Any] = {"timeout": timeout, "retry": retry, "user_agent": user_agent}
        self._shops: OrderedDict[str, _ShopAtWork] = OrderedDict()
        self._open: _Shared | None = None

    async def open(self) -> None:
        """Make the session and the Redis connections. Called by the worker's startup."""
        if self._open is None:
            session = SessionHolder(None)
            session.get()
            # Blocking: a pool that raises when it is exhausted would look to the limiters like a Redis that is away.
            self._open = _Shared(session, Redis.from_pool(BlockingConnectionPool.from_url(self._redis_url)))

    def ledger(self, *, lease: float = 30.0) -> RedisLedger:
        """What the API has acknowledged, for all shops, in the same Redis: pass it to ``client.products.sync``.

        ``lease`` (seconds) is how long a dead worker's lock on a shop outlives it: keep it below the broker's, so that
        whoever takes the task over finds the ledger free.
        """
        if self._open is None:
            raise ConfigurationError("the pool of shops is not open: the worker's startup opens it")
        return RedisLedger(self._open.redis, self._limiting["prefix"], lease=lease)

    async def close(self) -> None:
        """Cancel the tasks that still use a client, wait for them, and close every connection. May be called twice."""
        at_work = {task for shop in self._shops.values() for task in shop.users} - {asyncio.current_task()}
        for task in at_work:
            task.cancel("the worker shuts down")
        if at_work:
            await asyncio.wait(at_work)
        self._shops.clear()
        shared, self._open = self._open, None
        if shared is not None:
            await shared.session.close()
            await shared.redis.aclose()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @asynccontextmanager
    async def client(self, shop_id: str) -> AsyncIterator[NeuroonClient]:
        """The client of one shop, for as long as the block lasts; any number of tasks may have it at once.

        Raises `ConfigurationError` where the pool is not open, and whatever ``credentials`` raises.
        """
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - an async context manager runs in a task
        shop = self._shops.setdefault(shop_id, _ShopAtWork())
        shop.users.append(task)
        self._shops.move_to_end(shop_id)
        try:
            async with shop.connecting:
                if shop.connected is None:
                    shop.connected = await self._connect(shop_id)
            client, limiter = shop.connected
            try:
                yield client
            finally:
                await limiter.aclose()  # the next process shall not wait for slots that are free
        except AuthenticationFailed:
            self._forget(shop_id, shop)  # rotated, perhaps: the next task asks for the key anew
            raise
        finally:
            shop.users.remove(task)
            if shop.connected is None:
                self._forget(shop_id, shop)
            self._evict()

    async def _connect(self, shop_id: str) -> tuple[NeuroonClient, RedisLimiter]:
        if self._open is None:
            raise ConfigurationError("the pool is not open: call install(broker, pool), or use 'async with pool'")
        credentials = await self._credentials(shop_id)
        limiter = RedisLimiter(self._open.redis, shop_id=shop_id, **self._limiting)
        client = NeuroonClient(
            shop_id=shop_id,
            api_key=credentials.api_key,
            environment=credentials.environment,
            base_url=credentials.base_url,
            locale=credentials.locale,
            origin=credentials.origin,
            limiter=limiter,
            session=self._open.session.get(),
            **self._client,
        )
        return client, limiter

    def _forget(self, shop_id: str, shop: _ShopAtWork) -> None:
        if self._shops.get(shop_id) is shop:
            del self._shops[shop_id]

    def _evict(self) -> None:
        excess = len(self._shops) - self._size
        idle = [shop_id for shop_id, shop in self._shops.items() if not shop.users] if excess > 0 else []
        for shop_id in idle[:excess]:
            del self._shops[shop_id]


@dataclass(slots=True)
class _Shared:
    session: SessionHolder
    redis: Redis


@dataclass(slots=True, eq=False)
class _ShopAtWork:
    """One shop of the pool. ``connected`` is made by its first user, while others wait."""

    connecting: asyncio.Lock = field(default_factory=asyncio.Lock)
    connected: tuple[NeuroonClient, RedisLimiter] | None = None
    users: list[asyncio.Task[Any]] = field(default_factory=list)


def install(broker: AsyncBroker, pool: ShopPool) -> None:
    """Open the pool when a worker of this broker starts, and close it when the worker stops."""

    async def started(state: TaskiqState) -> None:
        await pool.open()
        state[STATE_NAME] = pool

    async def stopping(_state: TaskiqState) -> None:
        await pool.close()

    broker.add_event_handler(TaskiqEvents.WORKER_STARTUP, started)
    broker.add_event_handler(TaskiqEvents.WORKER_SHUTDOWN, stopping)


async def shop_client(context: Annotated[Context, TaskiqDepends()]) -> AsyncGenerator[NeuroonClient, None]:
    """A dependency: the client of the shop that the task's argument ``shop_id`` names.

    Raises `ConfigurationError` in a task without such an argument, or under a broker without `install`.
    """
    pool: ShopPool | None = context.state.get(STATE_NAME)
    if pool is None:
        raise ConfigurationError("this broker's workers have no pool: call install(broker, pool) where it is made")
    async with pool.client(_shop_id_of(context)) as client:
        yield client


def _shop_id_of(context: Context) -> str:
    message = context.message
    task = context.broker.find_task(message.task_name)
    assert task is not None  # noqa: S101 - it is running
    arguments = inspect.signature(task.original_func).bind_partial(*message.args, **message.kwargs).arguments
    if not isinstance(arguments.get("shop_id"), str):
        raise ConfigurationError(f"{message.task_name}: shop_client needs a task with the argument shop_id, a str")
    shop_id: str = arguments["shop_id"]
    return shop_id


class LeasedStreamBroker(RedisStreamBroker):
    """taskiq-redis's stream broker, for tasks that may take hours and must not be lost (Redis 6.2 or later).

    A worker holds each of its tasks on a lease, which it renews for as long as the task runs. When it dies, the lease
    runs out after ``lease`` seconds and the next worker with a free place takes the task over. A task that is
    interrupted by the worker's shutdown is not acknowledged, so it is taken over likewise; one that ends, in success
    or by its own exception, is acknowledged and deleted. One that ``max_deliveries`` workers began and none ended, as
    if it killed them, goes to the stream ``<queue_name>:dead`` and is logged.

    The base class (1.2) leaves gaps here: it looks for abandoned tasks only after a new one has come in; takes a task
    that runs longer than its idle timeout for abandoned; fetches a hundred tasks that then wait in one process; starts
    reading with what is sent after the first worker's start; and never deletes what is done.

    ``connection_kwargs`` go to redis-py's connection pool.
    """

    def __init__(
        self,
        url: str,
        *,
        lease: float = 60.0,
        max_deliveries: int = 5,
        queue_name: str = "neuroon:tasks",
        **connection_kwargs: Any,
    ) -> None:
        if not 0.1 <= lease < float("inf"):
            raise ConfigurationError(f"lease must be 0.1 seconds or more, got {lease}")
        if max_deliveries < 1:
            raise ConfigurationError(f"max_deliveries must be 1 or more, got {max_deliveries}")
        super().__init__(url, queue_name=queue_name, consumer_id="0", **connection_kwargs)
        self._lease = lease
        self._max_deliveries = max_deliveries
        self._redis = Redis(connection_pool=self.connection_pool)
        self._held: set[bytes] = set()
        self._renewing: asyncio.Task[None] | None = None
        self._leaving = False

    async def _declare_consumer_group(self) -> None:
        await _ask(super()._declare_consumer_group())

    async def startup(self) -> None:
        await super().startup()
        if self.is_worker_process:
            self._renewing = asyncio.create_task(self._renew())

    async def shutdown(self) -> None:
        self._leaving = True
        try:
            if self._renewing is not None:
                self._renewing.cancel()
                await asyncio.wait([self._renewing])
        finally:
            await super().shutdown()

    async def kick(self, message: BrokerMessage) -> None:
        await _ask(super().kick(message))

    async def listen(self) -> AsyncGenerator[AckableMessage, None]:
        while True:
            try:
                message = await self._take_over() or await self._read()
            except _AWAY as error:
                _log.warning("no tasks to be had, Redis is away: %s: %s", type(error).__name__, error)
                await asyncio.sleep(BACK_OFF)
                continue
            except ResponseError as error:
                if not str(error).startswith("NOGROUP"):
                    raise
                _log.error("Redis came back without its data, and without the tasks in it: %s", error)
                await asyncio.sleep(BACK_OFF)
                await self._declare_consumer_group()
                continue
            if message is not None:
                number, fields = message
                self._held.add(number)
                yield AckableMessage(data=fields[b"data"], ack=partial(self._finish, number))

    async def _read(self) -> tuple[bytes, dict[bytes, bytes]] | None:
        """The next new task. One at a time: what waits here in a line could be at work elsewhere."""
        block = round(min(BLOCK, self._lease) * 1_000)
        answer = await _ask(
            self._redis.xreadgroup(
                self.consumer_group_name, self.consumer_name, {self.queue_name: ">"}, count=1, block=block
            )
        )
        return answer[0][1][0] if answer else None

    async def _take_over(self) -> tuple[bytes, dict[bytes, bytes]] | None:
        """A task whose lease has run out. Many workers may see it; Redis gives it to one."""
        idle = round(self._lease * 1_000)
        names = (self.queue_name, self.consumer_group_name)
        for entry in await _ask(self._redis.xpending_range(*names, min="-", max="+", count=1, idle=idle)):
            number = entry["message_id"]
            if number in self._held:  # Redis was away, and is about to be told that it is at work here
                return None
            claimed = await _ask(self._redis.xclaim(*names, self.consumer_name, idle, [number]))
            if not claimed or not claimed[0][1]:
                return None
            if entry["times_delivered"] >= self._max_deliveries:
                await self._bury(*claimed[0])
                return None
            _log.warning("taking over task %s: its worker has not been heard of for %g s", number.decode(), self._lease)
            return number, claimed[0][1]
        return None

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._lease / 3)
            if not self._held:
                continue
            try:
                # Also takes back what another worker claimed while this one was stuck: both are at it, either may end.
                names = (self.queue_name, self.consumer_group_name, self.consumer_name)
                await _ask(self._redis.xclaim(*names, min_idle_time=0, message_ids=[*self._held], justid=True))
            except (RedisError, OSError) as error:
                _log.warning("the leases cannot be renewed: %s: %s", type(error).__name__, error)

    async def _finish(self, number: bytes) -> None:
        self._held.discard(number)
        if self._leaving:  # it was cut short, as far as anyone can tell
            return
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.xack(self.queue_name, self.consumer_group_name, number)
            pipe.xdel(self.queue_name, number)
            await pipe.execute()

    async def _bury(self, number: bytes, fields: dict[bytes, bytes]) -> None:
        grave = f"{self.queue_name}:dead"
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.xadd(grave, fields)  # type: ignore[arg-type]
            pipe.xack(self.queue_name, self.consumer_group_name, number)
            pipe.xdel(self.queue_name, number)
            await pipe.execute()
        _log.error(
            "task %s was begun by %d workers and ended by none: moved to %s",
            number.decode(),
            self._max_deliveries,
            grave,
        )


async def _ask(command: Awaitable[Any]) -> Any:
    """Await a command of redis-py (8.1), which can swallow the cancellation of whoever awaits it."""
    asking = asyncio.ensure_future(command)
    try:
        await asyncio.wait([asking])
    except asyncio.CancelledError:
        asking.cancel()
        await asyncio.wait([asking])
        if not asking.cancelled():
            asking.exception()  # nobody is left to be told; a task that was handed out is taken over by its lease
        raise
    return asking.result()
