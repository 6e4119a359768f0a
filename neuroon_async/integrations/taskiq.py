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
from collections.abc import AsyncGenerator  # noqa: TC003 - taskiq reads the dependency's annotations at run time
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from ..extras import NeedsExtra

with NeedsExtra("taskiq", __name__):
    from redis.asyncio import Redis
    from redis.exceptions import ConnectionError as RedisConnectionError
    from redis.exceptions import RedisError, ResponseError
    from redis.exceptions import TimeoutError as RedisTimeoutError
    from taskiq import AckableMessage, AsyncBroker, Context, TaskiqDepends, TaskiqEvents, TaskiqState
    from taskiq_redis import RedisStreamBroker

from ..api.arguments import check_capable, check_count, check_seconds, check_text
from ..client import NeuroonClient  # noqa: TC001 - as above
from ..errors import ConfigurationError
from .redis.commands import MOST_SECONDS, cancelling
from .shop_pool import ShopCredentials, ShopPool

if TYPE_CHECKING:
    from taskiq import BrokerMessage

__all__ = ["LeasedStreamBroker", "ShopCredentials", "ShopPool", "install", "shop_client"]

_log = logging.getLogger("neuroon_async.taskiq")

STATE_NAME = "neuroon_pool"
"""Under this name the pool is in the broker's state."""
BLOCK = 2.0
"""Seconds that a read waits for a new task; then the worker looks again for tasks that others left behind."""
BACK_OFF = 1.0
"""Seconds between two tries to reach a Redis that is away."""
_AWAY = (RedisConnectionError, RedisTimeoutError, OSError)


def install(broker: AsyncBroker, pool: ShopPool) -> None:
    """Open the pool when a worker of this broker starts, and close it when the worker stops.

    Raises `UsageError` for what is no broker or no pool.
    """
    check_capable("broker", broker, ("add_event_handler",), "a broker of taskiq", none=False)
    check_capable("pool", pool, ("open", "close", "client"), "a ShopPool", none=False)

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

    Args:
        url: The address of Redis.
        lease: Seconds after which a worker that is not heard of counts as dead (default 60).
        max_deliveries: How many workers may begin a task before it counts as deadly (default 5).
        queue_name: The stream of tasks, and the beginning of the name of the dead letters'.
        connection_kwargs: Go to redis-py's connection pool.

    Raises:
        UsageError: for a lease or a number of deliveries that cannot work.
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
        check_text("url", url, "redis://127.0.0.1")
        check_text("queue_name", queue_name)
        check_seconds("lease", lease, least=0.1, most=MOST_SECONDS)
        check_count("max_deliveries", max_deliveries)
        super().__init__(url, queue_name=queue_name, consumer_id="0", **connection_kwargs)
        self._lease = lease
        self._max_deliveries = max_deliveries
        self._redis = Redis(connection_pool=self.connection_pool)
        self._held: set[bytes] = set()
        self._renewing: asyncio.Task[None] | None = None
        self._leaving = False

    async def _declare_consumer_group(self) -> None:
        await cancelling(super()._declare_consumer_group())

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
        await cancelling(super().kick(message))

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
        answer = await cancelling(
            self._redis.xreadgroup(
                self.consumer_group_name, self.consumer_name, {self.queue_name: ">"}, count=1, block=block
            )
        )
        return answer[0][1][0] if answer else None

    async def _take_over(self) -> tuple[bytes, dict[bytes, bytes]] | None:
        """A task whose lease has run out. Many workers may see it; Redis gives it to one."""
        idle = round(self._lease * 1_000)
        names = (self.queue_name, self.consumer_group_name)
        for entry in await cancelling(self._redis.xpending_range(*names, min="-", max="+", count=1, idle=idle)):
            number = entry["message_id"]
            if number in self._held:  # Redis was away, and is about to be told that it is at work here
                return None
            claimed = await cancelling(self._redis.xclaim(*names, self.consumer_name, idle, [number]))
            if not claimed or not claimed[0][1]:
                return None
            if entry["times_delivered"] >= self._max_deliveries:
                await self._move_to_dead_letters(*claimed[0])
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
                await cancelling(self._redis.xclaim(*names, min_idle_time=0, message_ids=[*self._held], justid=True))
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

    async def _move_to_dead_letters(self, number: bytes, fields: dict[bytes, bytes]) -> None:
        dead_letter_stream = f"{self.queue_name}:dead"
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.xadd(dead_letter_stream, fields)  # type: ignore[arg-type]
            pipe.xack(self.queue_name, self.consumer_group_name, number)
            pipe.xdel(self.queue_name, number)
            await pipe.execute()
        _log.error(
            "task %s was begun by %d workers and ended by none: moved to %s",
            number.decode(),
            self._max_deliveries,
            dead_letter_stream,
        )
