"""Closing a client ends what it has under way, at once and nothing else; a caller's own cancellation stays one."""

import asyncio
import contextlib
import threading

import aiohttp
import anyio
import pytest
from clients import client_of

from neuroon_async import (
    ClientClosed,
    LocalLimiter,
    Product,
    RateLimit,
    RetryPolicy,
)
from neuroon_async.testing import Emulator, Fault
from neuroon_async.transport.open_calls import OpenCalls


def products(count):
    return [Product(external_id=f"P{n}", name="Tea", price=1, url="https://shop.example/a") for n in range(count)]


WHERE = ["limit", "retry", "in flight", "half an answer", "limiter of others", "pool"]


@pytest.mark.virtual_time
@pytest.mark.parametrize("copied", [False, True])
@pytest.mark.parametrize("where", WHERE)
async def test_closing_ends_a_call_wherever_it_is(where, copied):
    async with (
        Emulator(algorithm="off") as emulator,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as pool,
    ):
        options = {}
        if where == "limit":
            options["rate_limits"] = {"shop": RateLimit(1, per=1_000.0)}
        if where == "pool":
            options["session"] = pool
            emulator.fail("verification_data", Fault.hang())
        if where == "limiter of others":
            options["limiter"] = Stuck()
        client = client_of(emulator, **options)
        caller = client.with_options(timeout=20.0) if copied else client
        others = []
        if where == "limit":
            await client.shop()
        elif where == "retry":
            emulator.fail("shop", Fault.status(503, headers={"Retry-After": "100"}), times=9)
        elif where == "in flight":
            emulator.fail("shop", Fault.hang())
        elif where == "half an answer":
            emulator.fail("shop", Fault.slow(15.0))
        elif where == "pool":
            others.append(asyncio.create_task(client_of(emulator, session=pool).domain.verification_data()))
            await asyncio.sleep(0.1)
        call = asyncio.create_task(caller.shop())
        await asyncio.sleep(1.0)
        assert not call.done()
        started = asyncio.get_running_loop().time()
        await client.aclose()
        with pytest.raises(ClientClosed) as caught:
            await call
        assert asyncio.get_running_loop().time() - started < 0.1
        # What a retry had before it was answered with 503: nobody knows what the server had done by then.
        assert caught.value.maybe_processed is (where in {"in flight", "half an answer", "retry"})
        assert call.cancelling() == 0
        assert where == "limiter of others" or client.limits()["shop"].waiting == 0
        assert len(client._transport.open_calls) == 0
        for other in others:
            assert not other.done()
            other.cancel()
            await asyncio.wait([other])


class Stuck:
    """A limiter that lets nobody go."""

    async def acquire(self, endpoint, *, bulk=False):
        await asyncio.Event().wait()

    def limits(self):
        return {}


@pytest.mark.virtual_time
async def test_other_clients_on_the_same_limiter_and_session_go_on():
    limiter = LocalLimiter({"shop": RateLimit(1, per=50.0)})
    async with Emulator(algorithm="off") as emulator, aiohttp.ClientSession() as session:
        one, other = (client_of(emulator, limiter=limiter, session=session) for _ in range(2))
        await one.shop()
        waiting = [asyncio.create_task(each.shop()) for each in (one, one, other)]
        await asyncio.sleep(1.0)
        await one.aclose()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(result).__name__ for result in results] == ["ClientClosed", "ClientClosed", "Shop"]
        await other.aclose()


@pytest.mark.virtual_time
@pytest.mark.parametrize("where", ["in flight", "limit", "source"])
async def test_a_bulk_run_ends_with_its_report(where):
    limits = {"sync_products": RateLimit(1, per=1_000.0)} if where == "limit" else None
    async with Emulator(algorithm="off") as emulator:
        client = client_of(emulator, rate_limits=limits)
        if where == "in flight":
            emulator.fail("sync_products", Fault.hang(), times=10)

        async def source():
            for product in products(20):
                yield product
            if where == "source":
                await asyncio.Event().wait()

        run = asyncio.create_task(client.products.sync(source(), batch_size=5))
        await asyncio.sleep(5.0)
        await client.aclose()
        with pytest.raises(ClientClosed) as caught:
            await run
        assert caught.value.what.startswith("this client was closed")
        report = caught.value.report
        assert report.received == report.accepted + report.failed + report.superseded + report.unchanged == 20
        assert report.failed > 0 or where == "source"


@pytest.mark.virtual_time
@pytest.mark.parametrize("limiter", [None, Stuck()], ids=["sent", "never sent"])
async def test_a_bulk_run_that_sent_nothing_did_nothing(limiter):
    async with Emulator(algorithm="off") as emulator:
        emulator.fail("sync_products", Fault.hang())
        client = client_of(emulator, limiter=limiter)
        run = asyncio.create_task(client.products.sync(products(5)))
        await asyncio.sleep(1.0)
        await client.aclose()
        with pytest.raises(ClientClosed) as caught:
            await run
        assert caught.value.maybe_processed == (limiter is None) == bool(emulator.requests)


@pytest.mark.virtual_time
async def test_deletions_end_with_their_report_too():
    async with Emulator(algorithm="off") as emulator:
        client = client_of(emulator)
        emulator.fail("delete_product", Fault.hang(), times=100)
        run = asyncio.create_task(client.products.delete_many([f"P{n}" for n in range(30)]))
        await asyncio.sleep(1.0)
        await client.aclose()
        with pytest.raises(ClientClosed) as caught:
            await run
        assert caught.value.report.failed == 30


# A cancellation of the caller's own


@pytest.mark.virtual_time
async def test_a_caller_that_cancels_as_the_client_closes_sees_its_own_cancellation():
    async with Emulator(algorithm="off") as emulator:
        emulator.fail("shop", Fault.hang())
        client = client_of(emulator)
        call = asyncio.create_task(client.shop())
        await asyncio.sleep(1.0)
        call.cancel("mine")
        await client.aclose()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert call.cancelled()


@pytest.mark.virtual_time
async def test_a_timeout_around_a_closed_call_is_not_confused():
    async with Emulator(algorithm="off") as emulator:
        emulator.fail("shop", Fault.hang())
        client = client_of(emulator)
        asyncio.get_running_loop().call_later(1.0, lambda: asyncio.ensure_future(client.aclose()))
        async with asyncio.timeout(5.0):
            with pytest.raises(ClientClosed):
                await client.shop()
        await asyncio.sleep(10.0)  # nothing of the timeout, or of the closing, is left on this task


@pytest.mark.virtual_time
async def test_one_call_of_a_task_group_fails_the_group_with_the_clear_error():
    async with Emulator(algorithm="off") as emulator:
        emulator.fail("shop", Fault.hang(), times=9)
        client = client_of(emulator)
        asyncio.get_running_loop().call_later(1.0, lambda: asyncio.ensure_future(client.aclose()))
        with pytest.raises(ExceptionGroup) as caught:
            async with asyncio.TaskGroup() as group:
                for _ in range(3):
                    group.create_task(client.shop())
        assert {type(error) for error in caught.value.exceptions} == {ClientClosed}


@pytest.mark.virtual_time
async def test_a_cancel_scope_of_anyios_is_its_own():
    async with Emulator(algorithm="off") as emulator:
        emulator.fail("shop", Fault.hang(), times=9)
        client = client_of(emulator)
        with anyio.move_on_after(2.0) as scope:
            await client.shop()
        assert scope.cancelled_caught
        asyncio.get_running_loop().call_later(1.0, lambda: asyncio.ensure_future(client.aclose()))
        with anyio.move_on_after(9.0) as scope, pytest.raises(ClientClosed):
            await client.shop()
        assert not scope.cancelled_caught


@pytest.mark.virtual_time
async def test_a_task_that_closes_the_client_itself_is_not_cancelled():
    async with Emulator(algorithm="off") as emulator:
        client = client_of(emulator)

        class Closing:
            def waited(self, endpoint, seconds):
                pass

            def attempt(self, attempt):
                client._transport.open_calls.close()
                return contextlib.nullcontext()

        client._transport.instrumentation = Closing()
        await client.shop()
        await client.aclose()


# Other loops and threads


async def test_closing_from_another_thread_reaches_the_loop_of_the_call():
    calls = OpenCalls()
    entered = asyncio.Event()

    async def wait():
        with calls.scope() as scope:
            entered.set()
            await asyncio.sleep(60.0)
        return scope.closed, str(scope.interruption)

    task = asyncio.create_task(wait())
    await entered.wait()
    thread = threading.Thread(target=calls.close)
    thread.start()
    assert await asyncio.wait_for(task, 30.0) == (True, "the client was closed")
    thread.join()


@pytest.mark.parametrize("times", [1, 2])
async def test_a_cancellation_that_was_swallowed_before_and_a_second_closing_change_nothing(times):
    calls = OpenCalls()
    entered = asyncio.Event()

    async def wait():
        try:
            asyncio.current_task().cancel()
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            pass  # as careless programs do, without `uncancel`
        with calls.scope() as scope:
            entered.set()
            await asyncio.Event().wait()
        return scope.closed, asyncio.current_task().cancelling()

    task = asyncio.create_task(wait())
    await entered.wait()
    for _ in range(times):
        calls.close()
    assert await task == (True, 1)
    assert len(calls) == 0


async def test_what_no_task_runs_cannot_be_cancelled():
    calls = OpenCalls()
    done = asyncio.get_running_loop().create_future()

    def outside_of_any_task():
        with calls.scope() as scope:
            calls.close()
        done.set_result(scope.closed)

    asyncio.get_running_loop().call_soon(outside_of_any_task)
    assert await done is False
    assert len(calls) == 0


def test_calls_of_a_loop_that_is_gone_are_beyond_cancelling():
    calls = OpenCalls()
    scope = calls.scope()

    async def enter():
        scope.__enter__()

    asyncio.run(enter())
    calls.close()
    assert len(calls) == 0


async def test_a_session_of_the_users_that_closes_under_a_call_says_so():
    async with Emulator(algorithm="off") as emulator:
        emulator.fail("shop", Fault.hang())
        session = aiohttp.ClientSession()
        client = client_of(emulator, session=session, retry=RetryPolicy(attempts=1))
        call = asyncio.create_task(client.shop())
        await emulator.wait_for(lambda: emulator.requests)
        await session.close()
        with pytest.raises(ClientClosed, match="session given to this client is closed") as caught:
            await call
        assert caught.value.maybe_processed
