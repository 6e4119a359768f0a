"""The one road: sessions and loops, one attempt and its bounds, bodies, redirects, cancellation at every turn."""

import asyncio
import gc
import inspect
import math
import threading
import warnings
from contextlib import asynccontextmanager
from unittest.mock import Mock

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aioresponses import aioresponses
from clients import client_of
from yarl import URL

from neuroon_async import (
    APIError,
    ClientClosed,
    ConfigurationError,
    ConnectionFailed,
    NeuroonClient,
    Product,
    RateLimit,
    RateLimited,
    RequestTimeout,
    RetryPolicy,
    ServerError,
    UsageError,
)
from neuroon_async.api.contract import DELETE_PRODUCT, SHOP, SYNC_PRODUCTS
from neuroon_async.settings import Secret, Settings
from neuroon_async.testing import Emulator, Fault
from neuroon_async.transport.calls import CallStats
from neuroon_async.transport.exchange import HttpExchange
from neuroon_async.transport.session import SessionHolder
from neuroon_async.transport.transport import Transport

KEY = "sk_" + "0" * 32
ONCE = RetryPolicy(attempts=1)
PRODUCT = Product(external_id="A", name="Tea", price=1, url="https://shop.example/a")


# One attempt, against canned answers


class CannedResponse(aiohttp.ClientResponse):
    """What aioresponses 0.7.9 builds lacks an argument that aiohttp asks for since 3.14."""

    def __init__(self, *args, **kwargs):
        if "stream_writer" in inspect.signature(aiohttp.ClientResponse.__init__).parameters:
            kwargs.setdefault("stream_writer", Mock(output_size=0))
        super().__init__(*args, **kwargs)


@asynccontextmanager
async def canned(status=200, body=b"{}", headers=None, method="GET"):
    settings = Settings(shop_id="shop_1", api_key=Secret(KEY))
    holder = SessionHolder(None)
    with aioresponses() as mocked:
        url = "https://api.neuroon.ai/api/plugin/shops/me"
        mocked.add(url, method, status=status, body=body, headers=headers, response_class=CannedResponse)
        try:
            yield mocked, Transport(settings, HttpExchange(settings, holder), None, ONCE, 5.0)
        finally:
            await holder.close()


async def test_a_success_is_its_status_body_and_request_id():
    async with canned(201, b"[1]", {"X-Request-ID": "req-7"}) as (mocked, transport):
        answer = await transport.call(SHOP)
        ((sent,),) = mocked.requests.values()
    assert (answer.status, answer.body, answer.request_id) == (201, b"[1]", "req-7")
    assert sent.kwargs["allow_redirects"] is False
    headers = {"X-Shop-API-Key": KEY, "Accept": "application/json", "Accept-Encoding": "gzip, deflate"}
    assert {name: sent.kwargs["headers"].get(name) for name in headers} == headers


@pytest.mark.parametrize("status", [300, 304, 307, 400, 418, 499, 500, 599])
async def test_all_but_2xx_is_an_error(status):
    async with canned(status) as (_, transport):
        with pytest.raises(APIError) as caught:
            await transport.call(SHOP)
    assert caught.value.status == status


# The session


async def test_the_session_is_opened_by_the_first_call_and_shared_by_all(emulator):
    async with client_of(emulator) as client:
        assert client._session._session is None
        await asyncio.gather(*(client.shop() for _ in range(5)))
        session = client._session._session
        await client.products.sync_batch([PRODUCT])
        await client.with_options(timeout=1.0).shop()
        assert client._session._session is session
    assert session.closed


async def test_calls_in_sequence_share_one_connection(emulator):
    async with client_of(emulator) as client:
        for _ in range(5):
            await client.shop()
            await client.products.sync_batch([PRODUCT])
    assert {request.connection for request in emulator.requests} == {emulator.requests[0].connection}


async def test_a_session_of_the_users_is_used_and_not_closed(emulator):
    async with aiohttp.ClientSession(headers={"X-Mine": "1"}, raise_for_status=True) as session:
        async with client_of(emulator, session=session, retry=ONCE) as client:
            await client.shop()
            emulator.fail("shop", Fault.status(500))
            with pytest.raises(ServerError):
                await client.shop()
        assert not session.closed
        assert (await session.get(f"{emulator.url}/actuator/health")).status == 200
    assert emulator.requests[0].headers["X-Mine"] == "1"


@pytest.mark.parametrize("origin", [None, "https://shop.example"])
async def test_no_default_of_a_given_session_adds_what_the_server_checks(origin):
    defaults = {"Origin": "https://other.example", "Referer": "https://other.example/page", "X-Mine": "1"}
    async with (
        Emulator(algorithm="off", shop_url=None) as emulator,
        aiohttp.ClientSession(headers=defaults) as session,
        client_of(emulator, session=session, origin=origin) as client,
    ):
        await client.shop()
        await client.products.sync_batch([PRODUCT])
    for request in emulator.requests:
        assert request.headers.get("Origin") == origin
        assert "Referer" not in request.headers
        assert request.headers["X-Mine"] == "1"


async def test_the_middlewares_of_the_users_session_still_run(emulator):
    seen = []

    async def middleware(request, handler):
        seen.append(request.method)
        return await handler(request)

    async with (
        aiohttp.ClientSession(middlewares=(middleware,)) as session,
        client_of(emulator, session=session) as client,
    ):
        await client.shop()
    assert seen == ["GET"]


async def test_a_closed_session_of_the_users_says_so(emulator):
    session = aiohttp.ClientSession()
    await session.close()
    with pytest.raises(ClientClosed, match="session given to this client is closed"):
        await client_of(emulator, session=session).shop()


async def test_after_close_every_call_says_so_and_closing_again_is_fine(emulator):
    client = client_of(emulator)
    await client.shop()
    await client.aclose()
    await client.aclose()
    for call in (client.shop, client.domain.unverify, client.with_options(timeout=1).shop):
        with pytest.raises(ClientClosed, match="was closed"):
            await call()
    with pytest.raises(ClientClosed):
        await client.health()
    assert len(emulator.requests) == 1


@pytest.mark.virtual_time
async def test_a_closed_client_says_so_before_it_waits_for_the_rate_limit():
    limits = {"shop": RateLimit(1, per=1_000.0)}
    async with Emulator(algorithm="off") as emulator, client_of(emulator, rate_limits=limits) as client:
        await client.shop()
        await client.aclose()
        started = asyncio.get_running_loop().time()
        with pytest.raises(ClientClosed):
            await client.shop()
        assert asyncio.get_running_loop().time() - started < 1.0


async def test_closing_a_client_that_never_called_opens_nothing(emulator):
    async with client_of(emulator) as client:
        pass
    assert client._session._session is None


@pytest.mark.virtual_time
async def test_closing_ends_the_calls_under_way_with_a_clear_error():
    async with Emulator(algorithm="off") as emulator:
        emulator.fail("shop", Fault.hang())
        client = client_of(emulator)
        call = asyncio.create_task(client.shop())
        await asyncio.sleep(0.1)
        await client.aclose()
        with pytest.raises(ClientClosed):
            await call


def test_another_event_loop_is_told_to_make_its_own_client():
    client = NeuroonClient(shop_id="shop_1", api_key=KEY, base_url="http://127.0.0.1:9", retry=ONCE)

    async def call():
        with pytest.raises(ConnectionFailed):
            await client.shop()

    async def again():
        with pytest.raises(ConfigurationError, match="another event loop"):
            await client.shop()
        await client.aclose()

    asyncio.run(call())
    asyncio.run(again())


def test_a_session_of_another_event_loop_is_told_to_be_made_in_this_one():
    async def make():
        return aiohttp.ClientSession()

    async def call(session):
        client = NeuroonClient(shop_id="shop_1", api_key=KEY, base_url="http://127.0.0.1:9", session=session)
        with pytest.raises(UsageError, match="session given to this client belongs to another event loop"):
            await client.shop()

    session = asyncio.run(make())
    asyncio.run(call(session))
    asyncio.run(session.close())


async def test_closed_from_another_loop_a_client_ends_in_its_own():
    async with Emulator(algorithm="off") as emulator:
        client = client_of(emulator)
        await client.shop()
        emulator.fail("shop", Fault.hang())
        call = asyncio.create_task(client.shop())
        await emulator.wait_for(lambda: len(emulator.requests) == 2)
        await asyncio.to_thread(asyncio.run, client.aclose())
        with pytest.raises(ClientClosed):
            await call
        with pytest.raises(ClientClosed, match="was closed"):
            await client.shop()


async def used_client():
    """A client with an open connection to a server that has gone."""
    async with Emulator(algorithm="off") as emulator:
        client = client_of(emulator)
        await client.shop()
        return client


def test_a_client_of_a_loop_that_stands_still_says_where_it_can_be_closed():
    loop = asyncio.new_event_loop()
    try:
        client = loop.run_until_complete(used_client())
        with pytest.raises(UsageError, match=r"another event loop, which does not run; close it there"):
            asyncio.run(client.aclose())
        loop.run_until_complete(client.aclose())
    finally:
        loop.close()


async def test_a_loop_that_stops_while_it_closes_a_client_is_not_waited_for():
    other = asyncio.new_event_loop()
    thread = threading.Thread(target=other.run_forever)
    thread.start()
    holder = SessionHolder(None)

    async def stops_halfway():
        other.stop()
        await asyncio.Event().wait()

    async def use():
        session, holder._session = holder.get(), Mock(closed=False, close=stops_halfway)
        await session.close()

    await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(use(), other))
    with pytest.raises(UsageError, match="which does not run"):
        await holder.close()
    thread.join()
    for task in asyncio.all_tasks(other):
        task.cancel()
    await asyncio.to_thread(other.run_until_complete, asyncio.sleep(0))
    other.close()


def test_a_client_can_be_closed_from_another_loop_with_its_connections_open():
    client = asyncio.run(used_client())
    asyncio.run(client.aclose())
    gc.collect()


# Redirects, bodies


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_no_redirect_is_followed(emulator, status, method):
    visits = []

    async def elsewhere(request):
        visits.append(request)
        return web.json_response({})

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", elsewhere)
    async with TestServer(app) as other, client_of(emulator) as client:
        emulator.fail(None, Fault.status(status, headers={"Location": str(other.make_url("/steal"))}))
        with pytest.raises(APIError) as caught:
            await {
                "GET": client.shop,
                "POST": lambda: client.products.sync_batch([PRODUCT]),
                "DELETE": client.domain.unverify,
            }[method]()
    assert caught.value.status == status
    assert visits == []
    assert len(emulator.requests) == 1


@pytest.mark.parametrize("size", [2**20 - 1, 2**20, 2**20 + 1, 5 * 2**20])
async def test_large_bodies_arrive_whole_on_every_attempt(emulator, size):
    """aiohttp warns of large `bytes`, and here a warning is an error."""
    body = b'{"padding":"' + b"x" * (size - 14) + b'"}'
    emulator.fail("sync_products", Fault.status(500))
    async with client_of(emulator, retry=RetryPolicy(attempts=2, initial=0.0)) as client:
        with pytest.raises(APIError) as caught:
            await client._transport.call(SYNC_PRODUCTS, params={"shop_id": "shop_test"}, body=body)
    assert caught.value.status == 400
    assert [request.body == body for request in emulator.requests] == [True, True]
    assert {request.headers["Content-Length"] for request in emulator.requests} == {str(size)}


# Time


@pytest.mark.virtual_time
async def test_the_timeout_bounds_one_attempt():
    async with Emulator(algorithm="off") as emulator, client_of(emulator, timeout=4.0, retry=ONCE) as client:
        emulator.fail("shop", Fault.hang(), times=2)
        loop = asyncio.get_running_loop()
        for each, seconds in ((client, 4.0), (client.with_options(timeout=1.5), 1.5)):
            started = loop.time()
            with pytest.raises(RequestTimeout, match=f"no answer within {seconds:g} s") as caught:
                await each.shop()
            assert loop.time() - started == pytest.approx(seconds, abs=0.1)
            assert caught.value.maybe_processed


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    "fault", [Fault.hang(), Fault.status(500), Fault.too_many_requests(3), Fault.slow(7.0), Fault.drop()]
)
async def test_the_deadline_bounds_all_attempts_and_waits(fault):
    policy = RetryPolicy(attempts=1_000, deadline=20.0)
    async with Emulator(algorithm="off") as emulator, client_of(emulator, timeout=6.0, retry=policy) as client:
        emulator.fail("shop", fault, times=1_000)
        loop = asyncio.get_running_loop()
        started = loop.time()
        with pytest.raises((RequestTimeout, APIError, ConnectionFailed)):
            await client.shop()
        assert loop.time() - started <= 20.1
        assert len(emulator.requests) > 1


@pytest.mark.virtual_time
async def test_a_wait_for_the_rate_limit_beyond_the_deadline_is_refused_at_once():
    options = {"rate_limits": {"shop": RateLimit(1, per=1_000.0)}, "retry": RetryPolicy(deadline=5.0)}
    async with Emulator(algorithm="off") as emulator, client_of(emulator, **options) as client:
        await client.shop()
        started = asyncio.get_running_loop().time()
        with pytest.raises(RateLimited) as caught:
            await client.shop()
        assert asyncio.get_running_loop().time() - started < 0.1
        assert caught.value.local
        assert caught.value.retry_after == pytest.approx(1_000.0, abs=1.0)
        assert client.limits()["shop"].waiting == 0
        assert len(emulator.requests) == 1


@pytest.mark.virtual_time
async def test_the_deadline_bounds_the_wait_for_a_limiter_that_knows_nothing_of_deadlines():
    class Endless:
        async def acquire(self, endpoint, *, bulk=False):
            await asyncio.Event().wait()

        def limits(self):
            return {}

    options = {"limiter": Endless(), "retry": RetryPolicy(deadline=5.0)}
    async with Emulator(algorithm="off") as emulator, client_of(emulator, **options) as client:
        started = asyncio.get_running_loop().time()
        with pytest.raises(RequestTimeout, match=r"shop: no success within the deadline of 5 s$") as caught:
            await client.shop()
        assert asyncio.get_running_loop().time() - started == pytest.approx(5.0, abs=0.1)
        assert not caught.value.maybe_processed


@pytest.mark.virtual_time
async def test_a_local_refusal_does_not_hide_what_an_earlier_attempt_died_of():
    options = {"rate_limits": {"shop": RateLimit(1, per=1_000.0)}, "retry": RetryPolicy(deadline=60.0)}
    async with Emulator(algorithm="off") as emulator, client_of(emulator, **options) as client:
        emulator.fail("shop", Fault.status(503, "maintenance"))
        with pytest.raises(ServerError, match="maintenance"):
            await client.shop()


@pytest.mark.virtual_time
async def test_a_deadline_that_ends_a_request_in_flight_says_that_it_may_have_been_processed():
    async with (
        Emulator(algorithm="off") as emulator,
        client_of(emulator, retry=RetryPolicy(deadline=5.0)) as client,
    ):
        emulator.fail("sync_products", Fault.hang(processed=True))
        with pytest.raises(RequestTimeout, match="deadline") as caught:
            await client.products.sync_batch([PRODUCT])
        assert caught.value.maybe_processed
        assert "A" in emulator.products


@pytest.mark.virtual_time
async def test_a_deadline_tells_the_last_failure():
    policy = RetryPolicy(attempts=9, deadline=5.0)
    async with Emulator(algorithm="off") as emulator, client_of(emulator, retry=policy) as client:
        emulator.fail("shop", Fault.status(503, "maintenance"))
        emulator.fail("shop", Fault.hang())
        with pytest.raises(RequestTimeout, match="last failure: 503 Service Unavailable: maintenance") as caught:
            await client.shop()
        assert caught.value.maybe_processed


async def test_a_timeout_of_the_limiters_own_is_not_taken_for_the_deadline(emulator):
    class Broken:
        async def acquire(self, endpoint, *, bulk=False):
            raise TimeoutError("the limiter's store does not answer")

        def limits(self):
            return {}

    async with client_of(emulator, limiter=Broken(), retry=RetryPolicy(deadline=60.0)) as client:
        with pytest.raises(TimeoutError, match="store does not answer"):
            await client.shop()


@pytest.mark.parametrize("timeout", [0, -1, math.nan, math.inf, "30", None, True])
def test_an_impossible_timeout_is_refused(timeout):
    with pytest.raises(ConfigurationError, match="timeout"):
        NeuroonClient(shop_id="shop_1", api_key=KEY, timeout=timeout)
    with pytest.raises(ConfigurationError, match="timeout"):
        NeuroonClient(shop_id="shop_1", api_key=KEY, timeout=5.0).with_options(timeout=timeout or 0)


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ({"retry": 3}, r"retry must be a RetryPolicy, such as RetryPolicy\(attempts=3\), got 3"),
        ({"rate_limits": 5}, "rate_limits must map endpoint names to RateLimit, got int"),
        ({"rate_limits": {"shop": 5}}, r"rate_limits\['shop'\] must be a RateLimit or None, got 5"),
        ({"base_url": 5}, "base_url must be text"),
        ({"origin": 5}, "origin must be printable ASCII"),
    ],
)
def test_options_of_the_wrong_kind_are_refused(option, says):
    with pytest.raises(ConfigurationError, match=says):
        NeuroonClient(shop_id="shop_1", api_key=KEY, **option)


# The limiter's permits


class Book:
    """A limiter that writes down how each permit ended."""

    def __init__(self):
        self.entries = []

    async def acquire(self, endpoint, *, bulk=False):
        await asyncio.sleep(0)
        entry = [endpoint, bulk, None]
        self.entries.append(entry)

        class Permit:
            def answered(self, headers, *, pause=None):
                assert entry[2] is None
                entry[2] = ("answered", headers is not None, pause)

            def unused(self):
                assert entry[2] is None
                entry[2] = ("unused",)

        return Permit()

    def limits(self):
        return {}


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("fault", "first"),
    [
        (None, ("answered", True, None)),
        (Fault.status(500), ("answered", True, None)),
        (Fault.too_many_requests(7), ("answered", True, 7.0)),
        (Fault.too_many_requests(1e9), ("answered", True, 300.0)),
        (Fault.drop(), ("answered", False, None)),
        (Fault.hang(), ("answered", False, None)),
    ],
)
async def test_every_attempt_takes_one_permit_and_ends_it_once(fault, first):
    book = Book()
    policy = RetryPolicy(deadline=1_000.0)
    async with Emulator(algorithm="off") as emulator, client_of(emulator, limiter=book, retry=policy) as client:
        if fault is not None:
            emulator.fail("shop", fault)
        await client.shop()
        assert len(book.entries) == len(emulator.requests) == (1 if fault is None else 2)
    assert book.entries[0] == ["shop", False, first]
    assert all(how is not None for _, _, how in book.entries)


async def test_a_limiter_is_told_which_requests_are_of_a_bulk_run(emulator):
    book = Book()
    async with client_of(emulator, limiter=book) as client:
        await client.products.sync([PRODUCT])
        await client.products.sync_batch([PRODUCT])
    assert [(endpoint, bulk) for endpoint, bulk, _ in book.entries] == [
        ("sync_products", True),
        ("sync_products", False),
    ]


@pytest.mark.virtual_time
async def test_a_429_that_names_no_time_holds_its_endpoint_back_as_long_as_the_next_attempt():
    book = Book()
    policy = RetryPolicy(attempts=2, initial=4.0, maximum=4.0)
    async with Emulator(algorithm="off") as emulator, client_of(emulator, limiter=book, retry=policy) as client:
        emulator.fail("shop", Fault.status(429))
        await client.shop()
    _, _, pause = book.entries[0][2]
    assert 2.0 <= pause <= 4.0


async def test_a_permit_of_a_request_that_never_left_is_given_back(emulator):
    book = Book()
    await emulator.stop()
    async with client_of(emulator, limiter=book, retry=ONCE) as client:
        with pytest.raises(ConnectionFailed):
            await client.shop()
        await client.health()
    assert book.entries == [["shop", False, ("unused",)]]


@pytest.mark.virtual_time
async def test_a_call_counts_what_it_costs():
    stats = CallStats()
    limits = {"delete_product": RateLimit(1, per=10.0)}
    async with Emulator(algorithm="off") as emulator, client_of(emulator, rate_limits=limits) as client:
        emulator.fail("delete_product", Fault.too_many_requests(3), times=2)
        emulator.fail("delete_product", Fault.status(500))
        emulator.products["A"] = {}
        params = {"shop_id": "shop_test", "external_id": "A"}
        call = asyncio.create_task(client._transport.call(DELETE_PRODUCT, params=params, stats=stats))
        await asyncio.sleep(5.0)
        assert stats.waiting == 1
        await call
    assert (stats.requests, stats.retries, stats.throttled, stats.waiting) == (4, 3, 2, 0)
    assert stats.waited >= 10.0


@pytest.mark.virtual_time
async def test_a_retry_counts_from_the_moment_that_it_leaves():
    stats = CallStats()
    async with Emulator(algorithm="off") as emulator, client_of(emulator) as client:
        emulator.fail("shop", Fault.status(503, headers={"Retry-After": "30"}))
        call = asyncio.create_task(client._transport.call(SHOP, stats=stats))
        await asyncio.sleep(5.0)
        assert (stats.requests, stats.retries) == (1, 0)
        await call
    assert (stats.requests, stats.retries) == (2, 1)


# Cancellation


def scenario(name):
    product = Product(external_id="A", name="Tea", price=1, url="https://shop.example/a")
    return {
        "get": (None, lambda client: client.shop()),
        "post": (None, lambda client: client.products.sync_batch([product])),
        "retried": (Fault.status(500), lambda client: client.products.sync_batch([product])),
        "reconnected": (Fault.drop(), lambda client: client.shop()),
        "delete": (None, lambda client: client.domain.unverify()),
        "deadline": (
            Fault.status(500),
            lambda client: client.with_options(retry=RetryPolicy(initial=0.0, deadline=9.0)).shop(),
        ),
    }[name]


@pytest.mark.parametrize("name", ["get", "post", "retried", "reconnected", "delete", "deadline"])
async def test_a_cancellation_at_any_turn_of_the_loop_passes_through_and_leaves_nothing_behind(emulator, name):
    fault, call = scenario(name)
    turns = 0
    finished = False
    while not finished:
        emulator.faults.clear()
        if fault is not None:
            emulator.fail(None, fault)
        book = Book()
        async with client_of(emulator, retry=RetryPolicy(initial=0.0), limiter=book) as client:
            task = asyncio.create_task(call(client))
            for _ in range(turns):
                await asyncio.sleep(0)
            finished = task.done()
            task.cancel("stop")
            await asyncio.wait([task])
            if not finished:
                with pytest.raises(asyncio.CancelledError, match=r"^stop$"):
                    await task
            assert all(how is not None for _, _, how in book.entries)
            emulator.faults.clear()
            await client.shop()
        turns += 1
        assert turns < 2_000
    assert turns > 5


@pytest.mark.virtual_time
@pytest.mark.parametrize("where", ["rate limit", "backoff", "in flight", "half an answer"])
async def test_a_cancellation_keeps_its_message_wherever_it_strikes(where):
    options = {"rate_limits": {"shop": RateLimit(1, per=1_000.0)}} if where == "rate limit" else {}
    async with Emulator(algorithm="off") as emulator, client_of(emulator, **options) as client:
        if where == "rate limit":
            await client.shop()
        elif where == "backoff":
            emulator.fail("shop", Fault.status(503, headers={"Retry-After": "100"}), times=9)
        else:
            emulator.fail("shop", Fault.hang() if where == "in flight" else Fault.slow(20.0))
        task = asyncio.create_task(client.shop())
        await asyncio.sleep(3.0)
        task.cancel("shutting down")
        with pytest.raises(asyncio.CancelledError, match="shutting down"):
            await task
        assert task.cancelled()


@pytest.mark.virtual_time
async def test_a_request_cancelled_in_flight_still_counts_against_the_limit():
    limits = {"shop": RateLimit(2, per=100.0)}
    async with Emulator(algorithm="off") as emulator, client_of(emulator, rate_limits=limits) as client:
        emulator.fail("shop", Fault.hang())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await client.shop()
        assert client.limits()["shop"].available == 1


async def test_the_address_travels_as_it_was_given(emulator):
    async with client_of(emulator, base_url=emulator.url + "/") as client:
        await client.shop()
    assert URL(emulator.url + emulator.requests[0].raw_path).path == "/api/plugin/shops/me"


@pytest.mark.parametrize("bulk", [False, True])
def test_another_kind_of_loop_is_told_from_a_fault(bulk):
    client = NeuroonClient(shop_id="shop_1", api_key=KEY)
    call = client.products.sync([PRODUCT]) if bulk else client.shop()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UsageError, match="needs an event loop of asyncio, and none runs here; trio"):
            call.send(None)
