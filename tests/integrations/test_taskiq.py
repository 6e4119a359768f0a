"""Shops over taskiq workers, against a real Redis server. That a process may be killed is tests/test_fleet.py's affair.

A worker here is taskiq's own `Receiver` with a broker of its own. A dead worker is a consumer that has read a task and
says no more; that time has passed is told to Redis (``XCLAIM … IDLE``), not waited for.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Annotated

import pytest

pytest.importorskip("redis", reason="needs the extra 'redis'")
pytest.importorskip("taskiq", reason="needs the extra 'taskiq'")
pytest.importorskip("taskiq_redis", reason="needs the extra 'taskiq'")

from redis.asyncio import Redis
from taskiq import SimpleRetryMiddleware, TaskiqDepends
from taskiq.receiver import Receiver

from neuroon_async import AuthenticationFailed, ClientClosed, NeuroonClient, Product, RateLimit
from neuroon_async.errors import ConfigurationError
from neuroon_async.integrations import taskiq as fleet
from neuroon_async.integrations.taskiq import LeasedStreamBroker, ShopCredentials, ShopPool, install, shop_client
from neuroon_async.testing import Emulator, Fault

KEY = "sk_" + "5ec2e7" * 5 + "00"
LONG = 60_000


def products(count: int) -> list[Product]:
    return [
        Product(external_id=f"SKU-{n}", name="Tea", price=n + 1, url=f"https://shop.example/{n}") for n in range(count)
    ]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - conditions of several kinds
            await asyncio.sleep(0.005)


async def at_work(pool: ShopPool, at_its_end: Callable[[], Awaitable[object]] | None = None) -> asyncio.Task[None]:
    """A task that has a client of ``shop_a`` until it is cancelled, and then does this."""
    begun = asyncio.Event()

    async def work() -> None:
        async with pool.client("shop_a"):
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                if at_its_end is not None:
                    await at_its_end()

    working = asyncio.create_task(work())
    await begun.wait()
    return working


class Shops:
    """Emulated shops, and the look-up that a pool asks. ``asked`` are the shop ids, in order."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self.asked: list[str] = []
        self.emulators: dict[str, Emulator] = {}
        self.keys: dict[str, str] = {}

    async def add(self, shop_id: str, **options) -> Emulator:
        self.keys[shop_id] = KEY
        self.emulators[shop_id] = await self._stack.enter_async_context(Emulator(shop_id, KEY, **options))
        return self.emulators[shop_id]

    async def credentials(self, shop_id: str) -> ShopCredentials:
        self.asked.append(shop_id)
        await asyncio.sleep(0)
        return ShopCredentials(self.keys[shop_id], base_url=self.emulators[shop_id].url)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def shops(stack) -> Shops:
    return Shops(stack)


@pytest.fixture
def url(redis_server) -> str:
    return f"unix://{redis_server.socket}"


@pytest.fixture
async def redis(stack, url) -> Redis:
    return await stack.enter_async_context(Redis.from_url(url))


@pytest.fixture
def new_pool(shops, url):
    prefix = f"test-{uuid.uuid4().hex}"
    return lambda **options: ShopPool(shops.credentials, url, **{"prefix": prefix, **options})


# The pool


async def test_tasks_of_one_shop_share_a_client_and_all_shops_one_session(shops, new_pool):
    for shop_id in ("shop_a", "shop_b"):
        await shops.add(shop_id)
    async with new_pool() as pool:

        async def clients(shop_id: str) -> NeuroonClient:
            async with pool.client(shop_id) as client:
                await client.shop()
                return client

        a, again, b = await asyncio.gather(clients("shop_a"), clients("shop_a"), clients("shop_b"))
    assert a is again
    assert a is not b
    assert shops.asked == ["shop_a", "shop_b"]
    assert {id(client._session._session) for client in (a, b)} == {id(a._session._session)}
    assert a._session._session.closed


async def test_an_instrumentation_sees_the_requests_of_every_shop(shops, new_pool):
    seen = []

    class Watching:
        def waited(self, endpoint, seconds):
            pass

        @contextmanager
        def attempt(self, attempt):
            seen.append((attempt.shop_id, attempt.endpoint.name))
            yield

    async with new_pool(instrumentation=Watching()) as pool:
        for shop_id in ("shop_a", "shop_b"):
            await shops.add(shop_id)
            async with pool.client(shop_id) as client:
                await client.shop()
    assert seen == [("shop_a", "shop"), ("shop_b", "shop")]


async def test_idle_shops_beyond_the_size_are_forgotten_least_recently_used_first(shops, new_pool):
    for shop_id in ("shop_a", "shop_b", "shop_c"):
        await shops.add(shop_id)
    async with new_pool(size=2) as pool:
        for shop_id in ("shop_a", "shop_b", "shop_a", "shop_c", "shop_a", "shop_b"):
            async with pool.client(shop_id) as client:
                await client.shop()
    assert shops.asked == ["shop_a", "shop_b", "shop_c", "shop_b"]


async def test_a_shop_at_work_is_never_forgotten(shops, new_pool):
    for shop_id in ("shop_a", "shop_b"):
        await shops.add(shop_id)
    async with new_pool(size=1) as pool, pool.client("shop_a") as first:
        async with pool.client("shop_b") as other:
            await other.shop()
        async with pool.client("shop_a") as second:
            await second.shop()
        assert first is second


async def test_after_a_401_the_key_is_asked_for_anew(shops, new_pool):
    emulator = await shops.add("shop_a")
    async with new_pool() as pool:
        async with pool.client("shop_a") as client:
            await client.shop()
        emulator.api_key = shops.keys["shop_a"] = "sk_" + "1" * 32
        with pytest.raises(AuthenticationFailed):
            async with pool.client("shop_a") as client:
                await client.shop()
        async with pool.client("shop_a") as client:
            await client.shop()
    assert shops.asked == ["shop_a", "shop_a"]


async def test_a_failed_look_up_is_raised_and_not_remembered(shops, new_pool):
    async with new_pool() as pool:
        with pytest.raises(KeyError, match="shop_new"):
            async with pool.client("shop_new"):
                pytest.fail("there is no such shop")
        await shops.add("shop_new")
        async with pool.client("shop_new") as client:
            await client.shop()


async def test_two_processes_share_the_budget_of_a_shop(shops, new_pool):
    limit = RateLimit(6, per=0.4)
    emulator = await shops.add("shop_a", rate_limits={"sync_products": limit}, algorithm="rolling")
    async with (
        new_pool(rate_limits={"sync_products": limit}) as here,
        new_pool(rate_limits={"sync_products": limit}) as there,
    ):

        async def sync(pool: ShopPool) -> int:
            async with pool.client("shop_a") as client:
                return (await client.products.sync(products(8), batch_size=1)).accepted

        assert await asyncio.gather(sync(here), sync(there)) == [8, 8]
    assert {request.status for request in emulator.requests} == {200}
    assert len(emulator.products) == 8


async def test_closing_cancels_what_is_at_work_and_waits_for_it(shops, new_pool):
    emulator = await shops.add("shop_a")
    emulator.fail("shop", Fault.hang())
    pool = new_pool()
    await pool.open()

    async def work() -> None:
        async with pool.client("shop_a") as client:
            await client.shop()

    working = asyncio.create_task(work())
    await until(lambda: emulator.requests)
    await pool.close()
    await pool.close()
    assert working.cancelled()


async def test_while_a_pool_waits_for_what_is_at_work_nothing_new_begins(shops):
    await shops.add("shop_a")
    ends = asyncio.Event()
    pool = ShopPool(shops.credentials, "redis://127.0.0.1:1")  # which nobody asks
    await pool.open()
    working = await at_work(pool, ends.wait)
    closing = asyncio.create_task(pool.close())
    await asyncio.sleep(0)
    try:
        with pytest.raises(ConfigurationError, match="the pool is not open"):
            async with pool.client("shop_a"):
                pytest.fail("its session is about to be closed")
    finally:
        ends.set()
    await closing
    assert working.cancelled()


@pytest.mark.parametrize("fails", ["the look-up", "the key"])
async def test_whoever_is_at_work_is_known_although_another_task_of_the_shop_has_failed(fails, shops):
    await shops.add("shop_a")
    another_works, first_fails = asyncio.Event(), fails == "the look-up"

    async def credentials(shop_id):
        nonlocal first_fails
        await asyncio.sleep(0)
        if first_fails:
            first_fails = False
            raise LookupError(shop_id)
        return await shops.credentials(shop_id)

    async def fail():
        async with pool.client("shop_a"):
            await another_works.wait()
            raise AuthenticationFailed(401)

    async with ShopPool(credentials, "redis://127.0.0.1:1") as pool:  # which nobody asks
        failing = asyncio.create_task(fail())
        await asyncio.sleep(0)
        working = await at_work(pool)
        another_works.set()
        await asyncio.wait([failing])
        async with pool.client("shop_a"):
            assert len(shops.asked) == (1 if fails == "the look-up" else 2), "after a 401 it is asked for anew"
    assert isinstance(failing.exception(), (LookupError, AuthenticationFailed))
    assert working.cancelled()


async def test_a_pool_that_is_opened_while_it_is_being_closed_begins_anew(shops):
    await shops.add("shop_a")
    ends = asyncio.Event()
    pool = ShopPool(shops.credentials, "redis://127.0.0.1:1")  # which nobody asks

    async def begin() -> asyncio.Task[None]:
        await pool.open()
        session = pool._open.session

        async def end() -> None:
            await ends.wait()
            session.get()  # it is closed only after that

        return await at_work(pool, end)

    working = await begin()
    closing = asyncio.create_task(pool.close())
    await asyncio.sleep(0)
    anew = await begin()
    ends.set()
    await closing
    assert working.cancelled()
    assert not anew.done()
    async with pool.client("shop_a") as client:
        client._transport.ready()
    await pool.close()
    assert anew.cancelled()
    assert shops.asked == ["shop_a", "shop_a"]


@pytest.mark.parametrize("cancelled", ["none", "the first", "the second", "both"])
async def test_all_who_close_a_pool_wait_until_it_is_closed(shops, cancelled):
    await shops.add("shop_a")
    ends = asyncio.Event()
    pool = ShopPool(shops.credentials, "redis://127.0.0.1:1")  # which nobody asks
    await pool.open()
    session = pool._open.session.get()
    working = await at_work(pool, ends.wait)
    first, second = asyncio.create_task(pool.close()), asyncio.create_task(pool.close())
    await asyncio.sleep(0.01)
    assert not first.done()
    assert not second.done()
    gone = {"none": [], "the first": [first], "the second": [second], "both": [first, second]}[cancelled]
    for closing in gone:
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
    assert session.closed is (cancelled == "both")
    await asyncio.sleep(0.01)
    left = [closing for closing in (first, second) if closing not in gone]
    assert not any(closing.done() for closing in left)
    ends.set()
    for closing in left:
        await closing
        assert session.closed
        assert working.cancelled()
    await asyncio.wait([working])
    await pool.close()


async def test_a_task_of_a_pool_that_closes_it_in_its_own_cleanup_does_not_wait_for_itself(shops):
    await shops.add("shop_a")
    pool = ShopPool(shops.credentials, "redis://127.0.0.1:1")  # which nobody asks
    await pool.open()
    working = await at_work(pool, pool.close)
    async with asyncio.timeout(60):
        await pool.close()
    assert working.cancelled()


async def test_a_pool_that_is_not_open_says_what_to_do(shops, new_pool):
    with pytest.raises(ConfigurationError, match="install"):
        async with new_pool().client("shop_a"):
            pytest.fail("it is not open")


async def test_a_client_that_outlives_the_pool_is_of_no_use(shops, new_pool):
    await shops.add("shop_a")
    async with new_pool() as pool, pool.client("shop_a") as client:
        pass
    with pytest.raises(ClientClosed):
        await client.shop()


def test_no_repr_shows_the_key():
    credentials = ShopCredentials(KEY)
    assert KEY not in repr(credentials)
    assert KEY not in str(credentials)


@pytest.mark.parametrize("settings", [{"size": 0}, {"size": -1}])
def test_a_pool_of_no_size_is_refused(new_pool, settings):
    with pytest.raises(ConfigurationError, match="size"):
        new_pool(**settings)


# Tasks


class Worker:
    """What one worker process has: a broker, a pool, a task. ``went`` lists the shops that this one began."""

    def __init__(self, url: str, pool: ShopPool, queue: str, *, installed: bool = True, **options) -> None:
        self.broker = LeasedStreamBroker(url, queue_name=queue, **options)
        self.broker.add_middlewares(SimpleRetryMiddleware())
        self.went: list[str] = []
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.results: list[object] = []
        if installed:
            install(self.broker, pool)

        @self.broker.task(task_name="sync_shop")
        async def sync_shop(shop_id: str, client: Annotated[NeuroonClient, TaskiqDepends(shop_client)]) -> None:
            self.went.append(shop_id)
            await self.go_on.wait()
            assert client.shop_id == shop_id
            self.results.append((await client.products.sync(products(5))).accepted)

        @self.broker.task(task_name="of_no_shop")
        async def of_no_shop(client: Annotated[NeuroonClient, TaskiqDepends(shop_client)]) -> None:
            self.went.append(client.shop_id)

        self.sync_shop, self.of_no_shop = sync_shop, of_no_shop

    @asynccontextmanager
    async def running(self, *, patience: float | None = None) -> AsyncIterator[Worker]:
        """As taskiq's own command runs it: on leaving, ``patience`` (seconds) for tasks, then the broker's shutdown."""
        self.broker.is_worker_process = True
        finish = asyncio.Event()
        receiver = Receiver(self.broker, max_async_tasks=2, wait_tasks_timeout=patience)
        listening = asyncio.create_task(receiver.listen(finish))
        try:
            yield self
        finally:
            finish.set()
            if patience is None:
                self.go_on.set()  # a test that failed shall not wait for its tasks
            await asyncio.wait_for(listening, 60)
            await self.broker.shutdown()


@pytest.fixture
def queue() -> str:
    return f"queue-{uuid.uuid4().hex}"


@pytest.fixture
def new_worker(stack, url, new_pool, queue):
    def new(**options) -> Worker:
        worker = Worker(url, new_pool(), queue, **options)
        stack.push_async_callback(worker.broker.connection_pool.disconnect)
        return worker

    return new


class DeadWorker:
    """A consumer that reads tasks and never says a word again, for as long as is told to Redis."""

    def __init__(self, redis: Redis, queue: str) -> None:
        self._redis = redis
        self._names = (queue, "taskiq")

    async def reads(self, count: int) -> list[bytes]:
        await self._redis.xgroup_create(*self._names, id="0", mkstream=True)
        answer = await self._redis.xreadgroup("taskiq", "dead", {self._names[0]: ">"}, count=count)
        return [number for number, _ in answer[0][1]]

    async def silent(self, numbers: list[bytes], milliseconds: int, deliveries: int = 1) -> None:
        await self._redis.xclaim(
            *self._names, "dead", 0, numbers, idle=milliseconds, retrycount=deliveries, justid=True
        )


async def test_a_task_gets_the_client_of_its_shop_and_is_deleted_when_done(shops, new_worker, redis, queue):
    for shop_id in ("shop_a", "shop_b"):
        await shops.add(shop_id)
    worker = new_worker()
    await worker.sync_shop.kiq("shop_a")  # before any worker has ever started
    async with worker.running():
        await worker.sync_shop.kiq(shop_id="shop_b")
        await until(lambda: worker.results == [5, 5])
        await stays_empty(redis, queue)
    assert all(len(emulator.products) == 5 for emulator in shops.emulators.values())


async def stays_empty(redis: Redis, queue: str) -> None:
    async with asyncio.timeout(60):
        while await redis.xlen(queue):  # noqa: ASYNC110 - Redis tells nobody
            await asyncio.sleep(0.005)
    assert (await redis.xpending(queue, "taskiq"))["pending"] == 0


@pytest.mark.parametrize(("installed", "message"), [(True, "argument shop_id"), (False, "install")])
async def test_a_task_without_a_shop_or_a_pool_says_what_to_do(new_worker, caplog, installed, message):
    worker = new_worker(installed=installed)
    async with worker.running():
        await worker.of_no_shop.kiq()
        with caplog.at_level(logging.ERROR):
            await until(lambda: "ConfigurationError" in caplog.text)
    assert message in caplog.text
    assert worker.went == []


# The lease


async def test_what_a_dead_worker_left_is_taken_over_though_nothing_new_comes(
    shops, new_worker, redis, queue, monkeypatch
):
    monkeypatch.setattr(fleet, "BLOCK", 0.01)
    await shops.add("shop_a")
    worker, dead = new_worker(), DeadWorker(redis, queue)
    await worker.sync_shop.kiq("shop_a")
    numbers = await dead.reads(1)
    async with worker.running():
        await asyncio.sleep(0.05)
        assert worker.went == []  # the lease has not run out
        await dead.silent(numbers, LONG + 1)
        await until(lambda: worker.results == [5])
        await stays_empty(redis, queue)


async def test_it_is_found_behind_any_number_of_tasks_at_work(shops, new_worker, redis, queue):
    await shops.add("shop_a")
    worker, other = new_worker(), DeadWorker(redis, queue)
    for _ in range(40):
        await worker.sync_shop.kiq("shop_busy")
    await worker.sync_shop.kiq("shop_a")
    numbers = await other.reads(41)
    await other.silent(numbers[-1:], LONG + 1)
    async with worker.running():
        await until(lambda: worker.results == [5])
    assert worker.went == ["shop_a"]


async def test_a_task_longer_than_the_lease_stays_with_its_worker(shops, new_worker, redis, queue):
    await shops.add("shop_a")
    busy, idle = new_worker(lease=0.1), new_worker(lease=0.1)
    busy.go_on.clear()
    await busy.sync_shop.kiq("shop_a")
    async with busy.running():
        await until(lambda: busy.went)
        async with idle.running():
            await asyncio.sleep(0.3)
            busy.go_on.set()
            await until(lambda: busy.results == [5])
            await stays_empty(redis, queue)
    assert idle.went == []


async def test_a_worker_takes_no_more_tasks_than_it_has_places_for(shops, new_worker, redis, queue):
    await shops.add("shop_a")
    worker = new_worker()
    worker.go_on.clear()
    for _ in range(5):
        await worker.sync_shop.kiq("shop_a")
    async with worker.running():
        await until(lambda: len(worker.went) == 2)
        await asyncio.sleep(0.05)
        assert (await redis.xpending(queue, "taskiq"))["pending"] == 2
        worker.go_on.set()
        await until(lambda: len(worker.results) == 5)


async def test_a_task_cut_short_by_shutdown_is_done_by_the_next_worker(shops, new_worker, redis, queue):
    await shops.add("shop_a")
    leaving, staying = new_worker(lease=0.2), new_worker(lease=0.2)
    leaving.go_on.clear()
    await leaving.sync_shop.kiq("shop_a")
    async with leaving.running(patience=0.01):
        await until(lambda: leaving.went)
    assert leaving.results == []
    assert (await redis.xpending(queue, "taskiq"))["pending"] == 1
    async with staying.running():
        await until(lambda: staying.results == [5])
        await stays_empty(redis, queue)


async def test_a_task_that_fails_by_itself_is_not_repeated_unasked(shops, new_worker, redis, queue, caplog):
    await shops.add("shop_a")
    shops.keys["shop_a"] = "sk_" + "1" * 32
    worker = new_worker()
    await worker.sync_shop.kiq("shop_a")
    async with worker.running():
        await until(lambda: worker.went)
        await stays_empty(redis, queue)
    assert worker.went == ["shop_a"]
    assert "AuthenticationFailed" in caplog.text
    assert KEY not in caplog.text


async def test_a_task_that_no_worker_survives_is_put_aside(shops, new_worker, redis, queue, caplog):
    worker, dead = new_worker(max_deliveries=3), DeadWorker(redis, queue)
    await worker.sync_shop.kiq("shop_deadly")
    await dead.silent(await dead.reads(1), LONG + 1, deliveries=3)
    async with worker.running():
        await until(lambda: "dead" in caplog.text)
        await stays_empty(redis, queue)
    assert worker.went == []
    ((_, fields),) = await redis.xrange(f"{queue}:dead")
    assert b"shop_deadly" in fields[b"data"]


async def test_workers_wait_for_a_redis_that_is_away(mortal_redis_server, shops, monkeypatch):
    monkeypatch.setattr(fleet, "BACK_OFF", 0.02)
    mortal_redis_server_url = f"unix://{mortal_redis_server.socket}"
    broker = LeasedStreamBroker(mortal_redis_server_url, queue_name="tasks")
    await broker.startup()
    messages = broker.listen()
    coming = asyncio.create_task(anext(messages))
    await asyncio.sleep(0.02)
    mortal_redis_server.stop()
    await asyncio.sleep(0.1)
    assert not coming.done()
    mortal_redis_server.start()  # it keeps nothing on disk: the consumer group is gone too
    async with Redis.from_url(mortal_redis_server_url) as redis:
        await redis.xadd("tasks", {"data": "one"})
    async with asyncio.timeout(60):
        assert (await coming).data == b"one"
    await messages.aclose()
    await broker.shutdown()


@pytest.mark.parametrize("settings", [{"lease": 0.0}, {"lease": float("inf")}, {"max_deliveries": 0}])
def test_impossible_leases_are_refused(url, settings):
    with pytest.raises(ConfigurationError, match=next(iter(settings))):
        LeasedStreamBroker(url, **settings)
