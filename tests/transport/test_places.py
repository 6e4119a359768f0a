"""Places among the connections: never more than there are, in turn over the shops, permits not wasted on waiting."""

import asyncio
import contextlib
import random
from contextlib import asynccontextmanager

import aiohttp
import pytest
from clients import client_of

from neuroon_async import LocalLimiter, NeuroonError, RateLimit, RetryPolicy
from neuroon_async.testing import Emulator, Fault
from neuroon_async.transport.places import MAX_CONNECTIONS, Places
from neuroon_async.transport.session import SessionHolder

ONCE = RetryPolicy(attempts=1)


async def let_run(turns=5):
    for _ in range(turns):
        await asyncio.sleep(0)


# The places alone


async def test_free_places_go_in_turn_over_the_shops_and_in_order_within_each():
    places = Places(1)
    order = []

    async def visit(shop, number):
        await places.take(shop)
        order.append(f"{shop}{number}")
        places.give_back()

    assert places.take_now()
    async with asyncio.TaskGroup() as group:
        for shop, count in (("a", 4), ("b", 2), ("c", 1)):
            for number in range(count):
                group.create_task(visit(shop, number))
        await let_run()
        places.give_back()
    assert order == ["a0", "b0", "c0", "a1", "b1", "a2", "a3"]
    assert places.free == 1


def test_there_are_128_places():
    assert Places().free == MAX_CONNECTIONS == 128


async def test_nobody_passes_those_who_wait():
    places = Places(1)
    await places.take("a")
    waiting = asyncio.create_task(places.take("a"))
    await let_run()
    places.give_back()
    assert places.take_now() is False
    await waiting
    places.give_back()
    assert places.take_now()


async def test_who_waits_no_more_is_passed_over_and_costs_its_shop_no_turn():
    places = Places(0)
    order = []

    async def visit(shop, number):
        await places.take(shop)
        order.append(f"{shop}{number}")

    tasks = {name: asyncio.create_task(visit(*name)) for name in ("a0", "a1", "b0", "c0")}
    await let_run()
    for name in ("a0", "c0"):
        tasks[name].cancel()
    await let_run()
    for _ in range(3):
        places.give_back()
        await let_run()
    assert order == ["a1", "b0"]
    assert places.free == 1
    assert places.take_now() is True


@pytest.mark.parametrize("seed", range(20))
async def test_no_cancellation_loses_a_place_or_makes_one(seed):
    chance = random.Random(seed)
    places = Places(3)
    inside = 0

    async def visit(shop):
        nonlocal inside
        await places.take(shop)
        inside += 1
        assert inside <= 3
        try:
            await asyncio.sleep(0)
        finally:
            inside -= 1
            places.give_back()

    tasks = [asyncio.create_task(visit(chance.choice("ab"))) for _ in range(60)]
    for _ in range(40):
        await asyncio.sleep(0)
        chance.choice(tasks).cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert places.free == 3
    assert places.take_now()


# At work


@asynccontextmanager
async def narrow(places, *limits, **options):
    """Clients of as many shops as there are limits, over one session of the SDK's own with so few places.

    The emulator's shop stands for all of them: a key is all that `/me` asks for.
    """
    holder = SessionHolder(None)
    holder.places._free = places
    async with Emulator(algorithm="off", latency=1.0) as emulator:
        session = holder.get()
        clients = [
            client_of(
                emulator, session=session, shop_id=[emulator.shop_id, "shop_2"][number], rate_limits=each, **options
            )
            for number, each in enumerate(limits)
        ]
        try:
            yield emulator, clients
        finally:
            await holder.close()


@pytest.mark.virtual_time
async def test_waiting_for_a_place_is_not_the_servers_silence():
    async with narrow(2, None, timeout=1.5) as (emulator, (client,)):
        started = asyncio.get_running_loop().time()
        await asyncio.gather(*(client.shop() for _ in range(20)))
        assert asyncio.get_running_loop().time() - started == pytest.approx(10.0, abs=0.5)
        assert len(emulator.requests) == 20


@pytest.mark.virtual_time
async def test_clients_that_share_a_session_of_the_sdks_own_share_its_places_in_turn():
    async with narrow(2, None, None) as (_, (busy, quiet)):
        crowd = [asyncio.create_task(busy.shop()) for _ in range(40)]
        await asyncio.sleep(0.5)
        started = asyncio.get_running_loop().time()
        await quiet.shop()
        assert asyncio.get_running_loop().time() - started < 3.0
        for task in crowd:
            task.cancel()
        await asyncio.wait(crowd)


@pytest.mark.virtual_time
async def test_no_permit_is_held_while_its_call_waits_for_a_place():
    limits = {"shop": RateLimit(30, per=60.0), "verification_data": RateLimit(10, per=60.0)}
    async with narrow(3, limits) as (_, (client,)):
        calls = [asyncio.create_task(client.shop()) for _ in range(12)]
        await asyncio.sleep(0.1)
        calls += [asyncio.create_task(client.domain.verification_data()) for _ in range(5)]
        await asyncio.sleep(0.1)
        assert client.limits()["shop"].available == 27
        assert client.limits()["verification_data"].available == 10
        await asyncio.gather(*calls)
        assert (client.limits()["shop"].available, client.limits()["verification_data"].available) == (18, 5)


@pytest.mark.virtual_time
async def test_calls_that_wait_for_their_limit_hold_no_place():
    async with narrow(2, {"shop": RateLimit(1, per=100.0)}, None) as (_, (limited, other)):
        waiting = [asyncio.create_task(limited.shop()) for _ in range(5)]
        await asyncio.sleep(2.0)
        started = asyncio.get_running_loop().time()
        await asyncio.gather(*(other.shop() for _ in range(10)))
        assert asyncio.get_running_loop().time() - started < 7.0
        await asyncio.gather(*waiting)


@pytest.mark.virtual_time
async def test_a_call_that_came_for_a_place_waits_for_its_limit_too_and_leaves_the_place_to_others_meanwhile():
    async with narrow(1, {"shop": RateLimit(1, per=20.0)}, None) as (_, (limited, other)):
        started = asyncio.get_running_loop().time()
        calls = [asyncio.create_task(limited.shop()) for _ in range(2)]
        await asyncio.sleep(1.5)  # the place is free again since 1.0
        await other.shop()
        assert asyncio.get_running_loop().time() - started == pytest.approx(2.5, abs=0.1)
        await asyncio.gather(*calls)
        assert asyncio.get_running_loop().time() - started == pytest.approx(22.0, abs=0.2)


@pytest.mark.virtual_time
@pytest.mark.parametrize("seed", range(5))
async def test_places_and_permits_all_come_back_in_any_weather(seed):
    chance = random.Random(seed)
    limits = {"shop": RateLimit(7, per=10.0), "verification_data": RateLimit(4, per=5.0)}
    async with narrow(2, limits, limits, retry=RetryPolicy(attempts=2, initial=0.1), timeout=5.0) as (
        emulator,
        clients,
    ):
        emulator.fail("shop", Fault.drop(), every=5)
        emulator.fail("shop", Fault.hang(), every=7)

        async def call():
            client = chance.choice(clients)
            with contextlib.suppress(NeuroonError, TimeoutError):
                async with asyncio.timeout(chance.choice([0.5, 3.0, 200.0])):
                    await chance.choice([client.shop, client.domain.verification_data])()

        await asyncio.gather(*(call() for _ in range(60)))
        assert clients[0]._session.places.free == 2
        await asyncio.sleep(20.0)
        for client in clients:
            assert [client.limits()[name].available for name in limits] == [7, 4]


# A session that was given


@pytest.mark.virtual_time
async def test_waiting_for_the_pool_of_a_given_session_is_no_timeout():
    async with (
        Emulator(algorithm="off", latency=1.0) as emulator,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session,
        client_of(emulator, session=session, rate_limits=None, retry=ONCE, timeout=1.5) as client,
    ):
        await asyncio.gather(*(client.shop() for _ in range(10)))
        assert len(emulator.requests) == 10


@pytest.mark.virtual_time
async def test_a_call_that_ends_in_the_pool_of_a_given_session_was_never_sent():
    limiter = LocalLimiter({"shop": RateLimit(5, per=100.0)})
    async with (
        Emulator(algorithm="off") as emulator,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session,
        client_of(emulator, session=session, limiter=limiter, retry=RetryPolicy(deadline=5.0)) as client,
    ):
        emulator.fail("shop", Fault.slow(50.0))
        first = asyncio.create_task(client.with_options(retry=ONCE, timeout=100.0).shop())
        await asyncio.sleep(0.1)
        with pytest.raises(NeuroonError, match="deadline") as caught:
            await client.shop()
        assert not caught.value.maybe_processed
        assert client.limits()["shop"].available == 4
        await first
        assert len(emulator.requests) == 1


@pytest.mark.virtual_time
async def test_the_timeout_begins_when_the_connection_is_there_and_is_for_all_of_the_answer():
    async with Emulator(algorithm="off") as emulator, client_of(emulator, retry=ONCE, timeout=4.0) as client:
        await client.shop()
        emulator.fail("shop", Fault.slow(8.0))
        started = asyncio.get_running_loop().time()
        with pytest.raises(NeuroonError, match="no answer within 4 s"):
            await client.shop()
        assert asyncio.get_running_loop().time() - started == pytest.approx(4.0, abs=0.1)


async def test_a_given_session_is_watched_once_and_its_own_requests_go_on_as_before():
    async with Emulator(algorithm="off") as emulator, aiohttp.ClientSession() as session:
        for _ in range(3):
            async with client_of(emulator, session=session) as client:
                await client.shop()
                await client.shop()
        assert len(session.trace_configs) == 1
        assert (await session.get(f"{emulator.url}/actuator/health")).status == 200
