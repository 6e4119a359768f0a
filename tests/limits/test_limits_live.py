"""The whole client against a counting server, over real sockets: no 429, nearly all of the allowed throughput."""

import asyncio
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from clients import client_of
from repeats import repeats

from neuroon_async import Product, RetryPolicy
from neuroon_async.api.contract import SYNC_PRODUCTS, RateLimit
from neuroon_async.limits.policy import SINGLE_CALL_WAIT
from neuroon_async.testing import Emulator, Fault

pytestmark = pytest.mark.virtual_time

DOCUMENTED = SYNC_PRODUCTS.limit
SCALED = RateLimit(20, per=2.0)
ALGORITHMS = [
    pytest.param({"algorithm": "fixed"}, id="fixed"),
    pytest.param({"algorithm": "fixed", "aligned": "clock"}, id="fixed-by-the-clock"),
    pytest.param({"algorithm": "rolling"}, id="rolling"),
    pytest.param({"algorithm": "bucket"}, id="bucket"),
]


def now():
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def shop(limit=DOCUMENTED, *, client=None, **server):
    """An emulator and a client that agree on the limit of products/sync."""
    limits = {"sync_products": limit}
    async with (
        Emulator(rate_limits=limits, **server) as emulator,
        client_of(emulator, rate_limits=limits, **(client or {})) as opened,
    ):
        yield emulator, opened


def product(i):
    return Product(external_id=f"SKU-{i}", name="Shirt", price=1, url="https://shop.example/a")


async def single_calls(client, count, *, at_once):
    numbers = iter(range(count))

    async def worker():
        for i in numbers:
            await client.products.sync_batch([product(i)])

    async with asyncio.TaskGroup() as tasks:
        for _ in range(at_once):
            tasks.create_task(worker())


async def bulk(client, count, *, at_once):
    report = await client.products.sync((product(i) for i in range(count)), batch_size=1, concurrency=at_once)
    assert (report.received, report.accepted) == (count, count)


def throttled(emulator):
    return sum(request.status == 429 for request in emulator.requests)


def assert_full_use(emulator, limit, windows):
    """No 429, and at least 98 % of what so many windows allow."""
    assert throttled(emulator) == 0
    first = emulator.requests[0].arrived
    arrived = sum(request.arrived < first + windows * limit.per for request in emulator.requests)
    assert arrived >= 0.98 * windows * limit.requests


@pytest.mark.slow
@pytest.mark.parametrize("send", [single_calls, bulk])
@pytest.mark.parametrize("server", ALGORITHMS)
async def test_three_minutes_at_the_documented_limit(server, send):
    async with shop(latency=0.1, jitter=0.3, **server) as (emulator, client):
        await send(client, 300, at_once=16)
    assert_full_use(emulator, DOCUMENTED, windows=3)


@pytest.mark.parametrize("at_once", repeats([60, 4], quick=1))
@pytest.mark.parametrize("send", [single_calls, bulk])
@pytest.mark.parametrize("server", ALGORITHMS)
async def test_any_concurrency(server, send, at_once):
    async with shop(SCALED, latency=0.01, jitter=0.02, **server) as (emulator, client):
        await send(client, 100, at_once=at_once)
    assert_full_use(emulator, SCALED, windows=5)


@pytest.mark.parametrize("server", repeats(ALGORITHMS, quick=2))
async def test_a_slow_server_is_never_asked_too_often(server):
    """With answers that take half a window there is no throughput to keep, but still no 429."""
    async with shop(SCALED, latency=0.2, jitter=1.0, **server) as (emulator, client):
        await bulk(client, 100, at_once=50)
    assert throttled(emulator) == 0


@pytest.mark.slow
@pytest.mark.parametrize("server", ALGORITHMS[1:3])
async def test_a_pace_just_above_the_limit_uses_all_of_it(server):
    """Eight requests of 4 s are 120 a minute: what is kept back for single calls must not add up unused."""
    async with shop(latency=3.9, jitter=0.2, **server) as (emulator, client):
        await bulk(client, 340, at_once=8)
    assert throttled(emulator) == 0
    started = emulator.requests[0].arrived
    arrived = sum(request.arrived < started + 3 * 64 for request in emulator.requests)
    assert arrived >= 0.98 * 3 * 100  # a slot's cycle is T + latency


@pytest.mark.parametrize("server", ALGORITHMS)
async def test_idle_times_and_bursts(server):
    async with shop(SCALED, latency=0.05, jitter=0.1, **server) as (emulator, client):
        for pause in (0.3, 1.9, 0.7, 2.1, 5.0):
            await single_calls(client, 13, at_once=13)
            await asyncio.sleep(pause)
    assert throttled(emulator) == 0


async def test_shaped_bursts_arrive_evenly_spaced():
    limit = RateLimit(20, per=2.0, burst=2)
    async with shop(limit, latency=0.01, algorithm="bucket") as (emulator, client):
        await bulk(client, 40, at_once=8)
    arrivals = [request.arrived for request in emulator.requests]
    assert min(third - first for first, third in zip(arrivals, arrivals[2:], strict=False)) > 0.09
    assert throttled(emulator) == 0


async def test_single_calls_pass_a_bulk_sync():
    async with shop(latency=0.1) as (emulator, client):
        running = asyncio.create_task(bulk(client, 400, at_once=8))
        waited = []
        for i in range(5):
            await asyncio.sleep(37)
            asked = now()
            await client.products.sync_batch([product(1_000 + i)])
            waited.append(now() - asked)
        await running
    assert max(waited) <= SINGLE_CALL_WAIT + 0.2
    assert throttled(emulator) == 0


async def test_shares_of_two_processes():
    half = {"sync_products": SCALED.share_of(2)}
    async with (
        Emulator(
            rate_limits={"sync_products": SCALED}, algorithm="rolling", rate_headers=False, latency=0.02
        ) as emulator,
        client_of(emulator, rate_limits=half) as one,
        client_of(emulator, rate_limits=half) as other,
    ):
        await asyncio.gather(bulk(one, 50, at_once=8), bulk(other, 50, at_once=8))
    assert_full_use(emulator, SCALED, windows=5)


async def test_a_limiter_shared_by_clients():
    async with (
        shop(SCALED, algorithm="rolling", latency=0.02) as (emulator, client),
        client_of(emulator, limiter=client._transport.limiter) as other,
    ):
        await asyncio.gather(bulk(client, 50, at_once=8), single_calls(other, 50, at_once=8))
    assert_full_use(emulator, SCALED, windows=5)


# What the server tells


@pytest.mark.parametrize("server", repeats(ALGORITHMS, quick=2))
async def test_a_neighbour_that_spends_part_of_the_budget(server):
    told, elapsed = await beside_a_neighbour(server)
    assert told <= 0.1 * 120
    assert elapsed < 2 * (120 / 12 * SCALED.per)  # twelve of twenty are left to us


async def test_the_headers_tell_of_a_neighbour_before_a_429_does():
    told, _ = await beside_a_neighbour({"algorithm": "rolling"})
    blind, _ = await beside_a_neighbour({"algorithm": "rolling", "rate_headers": False})
    assert told <= blind / 2


async def beside_a_neighbour(server):
    """Sync while another process spends 8 of the 20: the number of 429s, and how long it took."""
    async with shop(SCALED, latency=0.01, jitter=0.02, **server) as (emulator, client):

        async def neighbour():
            while True:
                emulator.spend("sync_products")
                await asyncio.sleep(0.25)

        spending = asyncio.create_task(neighbour())
        await bulk(client, 120, at_once=4)
        spending.cancel()
        return throttled(emulator), emulator.requests[-1].arrived - emulator.requests[0].arrived


async def test_without_headers_nothing_changes():
    async with shop(SCALED, algorithm="rolling", rate_headers=False, latency=0.02) as (emulator, client):
        await bulk(client, 100, at_once=8)
    assert_full_use(emulator, SCALED, windows=5)


@pytest.mark.parametrize("server", repeats(ALGORITHMS, quick=2))
async def test_a_limit_that_changes_while_running(server, caplog):
    async with shop(SCALED, latency=0.01, jitter=0.02, **server) as (emulator, client):
        await bulk(client, 40, at_once=4)
        emulator.set_limit("sync_products", RateLimit(10, per=2.0))
        await asyncio.sleep(2.5)
        lowered = len(emulator.requests)
        await bulk(client, 30, at_once=4)
        assert client.limits()["sync_products"].requests == 10
        emulator.set_limit("sync_products", RateLimit(40, per=2.0))
        await asyncio.sleep(2.5)
        await bulk(client, 40, at_once=4)
        assert client.limits()["sync_products"].requests == 20
    assert throttled(emulator) == 0
    arrivals = [request.arrived for request in emulator.requests[lowered : lowered + 30]]
    assert arrivals[-1] - arrivals[0] > 4.0
    assert [record.levelname for record in caplog.records if record.name == "neuroon_async.limits"] == ["WARNING"] * 2


async def test_a_429_holds_all_calls_back_and_they_return_one_by_one():
    limit = RateLimit(20, per=20.0)
    async with shop(limit, algorithm="off", latency=0.05, client={"retry": RetryPolicy(attempts=9)}) as (
        emulator,
        client,
    ):
        emulator.fail("sync_products", Fault.too_many_requests(30), when=lambda request: request.number == 1)
        emulator.fail("sync_products", Fault.too_many_requests(7), when=lambda request: request.number == 2)
        started = now()
        await bulk(client, 40, at_once=2)
    refused = [request for request in emulator.requests if request.status == 429]
    after = [request.arrived - started for request in emulator.requests[2:]]
    assert len(refused) == 2
    assert after[0] >= 30
    returning = [arrived for arrived in after if arrived < after[0] + 19]
    assert len(returning) == pytest.approx(19, abs=1)
    assert min(later - earlier for earlier, later in pairwise(returning)) > 0.9
    assert after[-1] < 30 + 3 * 20


async def test_other_endpoints_are_not_held_back_by_a_429():
    async with shop(client={"retry": RetryPolicy(attempts=1)}) as (emulator, client):
        emulator.fail("delete_product", Fault.too_many_requests(60))
        with pytest.raises(Exception, match="Too many"):
            await client.products.delete("SKU-1")
        started = now()
        await client.products.sync_batch([product(1)])
        assert now() - started < 1
        assert client.limits()["delete_product"].paused_for > 59


# Failures cost no slot


async def test_cancelled_and_broken_requests_count_as_sent(monkeypatch):
    """The server may have counted them: so no 429 afterwards, and no slot lost for good."""
    monkeypatch.setattr("neuroon_async.limits.policy.IN_TRANSIT", 0.5)  # on this machine they are there at once
    async with shop(SCALED, algorithm="rolling", latency=0.3, client={"retry": RetryPolicy(attempts=1)}) as (
        emulator,
        client,
    ):
        emulator.fail("sync_products", Fault.drop(), every=3)
        for _ in range(4):
            calls = [asyncio.create_task(client.products.sync_batch([product(i)])) for i in range(25)]
            await asyncio.sleep(0.1)
            for call in calls[::2]:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
        assert throttled(emulator) == 0
        await asyncio.sleep(SCALED.per + 1)
        assert client.limits()["sync_products"].available == SCALED.requests


async def test_a_server_that_is_away_costs_no_slots():
    async with shop(SCALED, client={"retry": RetryPolicy(attempts=1)}) as (emulator, client):
        await emulator.stop()
        results = await asyncio.gather(
            *(client.products.sync_batch([product(i)]) for i in range(60)), return_exceptions=True
        )
        assert {type(result).__name__ for result in results} == {"ConnectionFailed"}
        assert client.limits()["sync_products"].available == SCALED.requests
