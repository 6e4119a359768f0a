"""Every endpoint under everything that goes wrong: what is repeated, how often, with which key, what the caller sees.

A clock that jumps, so that backoffs and timeouts cost nothing; sockets, connections and their ends are real.
"""

import asyncio
import inspect
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import clients
import pytest
from aiohttp.abc import AbstractResolver

from neuroon_async import (
    APIError,
    AuthenticationFailed,
    Conflict,
    ConnectionFailed,
    Conversion,
    ConversionItem,
    NotFound,
    PermissionDenied,
    Product,
    RateLimited,
    RequestTimeout,
    ResponseDecodeError,
    RetryPolicy,
    ServerError,
    UnprocessableEntity,
    ValidationFailed,
)
from neuroon_async.api.contract import ENDPOINTS, RateLimit
from neuroon_async.testing import Emulator, Fault
from neuroon_async.testing.bodies import EmulatedResponse
from neuroon_async.testing.faults import Ending

pytestmark = pytest.mark.virtual_time

PRODUCT = Product(external_id="A", name="Tea", price=1, url="https://shop.example/a")
ORDER = Conversion(
    order_id="1001", order_value=9, currency="EUR", conversions=[ConversionItem("A", "log-1", 1, line_total=9)]
)
CALLS = {
    "shop": lambda client: client.shop(),
    "sync_products": lambda client: client.products.sync_batch([PRODUCT]),
    "delete_product": lambda client: client.products.delete("X"),
    "verify_domain": lambda client: client.domain.verify("https://shop.example"),
    "verification_data": lambda client: client.domain.verification_data(),
    "unverify_domain": lambda client: client.domain.unverify(),
    "track_conversion": lambda client: client.conversions.track(ORDER),
}
DECODED = {"shop", "sync_products", "verify_domain", "verification_data"}
ATTEMPTS = 4


@asynccontextmanager
async def shop_with_one_product():
    async with Emulator(algorithm="off") as running:
        running.products["X"] = {"externalId": "X"}
        yield running


@pytest.fixture
async def emulator():
    async with shop_with_one_product() as running:
        yield running


def client_of(emulator, **options):
    return clients.client_of(emulator, **{"retry": RetryPolicy(attempts=ATTEMPTS, deadline=600.0)} | options)


@pytest.fixture
async def client(emulator):
    async with client_of(emulator) as opened:
        yield opened


def for_each(*names):
    """Run the test for each of these calls, with an emulator of its own: as items of pytest's own they take thrice
    as long."""

    def decorate(check):
        async def test(**case):
            for name in names:
                async with shop_with_one_product() as emulator, client_of(emulator) as client:
                    try:
                        await check(emulator, client, name, **case)
                    except BaseException as failure:
                        failure.add_note(f"call: {name}")
                        raise

        test.__name__, test.__qualname__, test.__doc__ = check.__name__, check.__qualname__, check.__doc__
        signature = inspect.signature(check)
        parameters = [one for one in signature.parameters.values() if one.name not in {"emulator", "client", "name"}]
        test.__signature__ = signature.replace(parameters=parameters)
        return test

    return decorate


# What the wire does


@dataclass(frozen=True)
class Trouble:
    fault: Fault
    raises: type[Exception]
    surely_unprocessed: bool = False


HALF_AN_ANSWER = Fault(Ending.TRUNCATE, processed=True, scripted=lambda _path: EmulatedResponse(200, b'{"status":'))
TROUBLES = {
    "dropped before processing": Trouble(Fault.drop(), ConnectionFailed),
    "dropped after processing": Trouble(Fault.drop(processed=True), ConnectionFailed),
    "reset before processing": Trouble(Fault.reset(), ConnectionFailed),
    "reset after processing": Trouble(Fault.reset(processed=True), ConnectionFailed),
    "answer cut off": Trouble(HALF_AN_ANSWER, ConnectionFailed),
    "no answer": Trouble(Fault.hang(), RequestTimeout),
    "no answer though processed": Trouble(Fault.hang(processed=True), RequestTimeout),
    "answer too late": Trouble(Fault.slow(100.0), RequestTimeout),
    "500": Trouble(Fault.status(500), ServerError),
    "500 after processing": Trouble(Fault.status(500, processed=True), ServerError),
    "502 of a proxy": Trouble(Fault.html(502), ServerError),
    "503 without a body": Trouble(Fault.status(503, shape="empty"), ServerError),
    "504 of a proxy after processing": Trouble(Fault.html(504, processed=True), ServerError),
    "429": Trouble(Fault.too_many_requests(60), RateLimited, surely_unprocessed=True),
    "429 without Retry-After": Trouble(Fault.too_many_requests(), RateLimited, surely_unprocessed=True),
    "429 of a proxy": Trouble(Fault.html(429), RateLimited, surely_unprocessed=True),
}


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES.keys())
@for_each(*CALLS)
async def test_trouble_that_passes(emulator, client, name, trouble):
    emulator.fail(name, trouble.fault)
    if ENDPOINTS[name].repeat_safe or trouble.surely_unprocessed:
        await CALLS[name](client)
        first, second = emulator.requests
        assert (second.method, second.raw_path, second.body) == (first.method, first.raw_path, first.body)
        assert second.idempotency_key == first.idempotency_key
        assert second.arrived - first.arrived >= 0.5
    else:
        with pytest.raises(trouble.raises):
            await CALLS[name](client)
        assert len(emulator.requests) == 1
    if name == "sync_products":
        assert list(emulator.products) == ["X", "A"]
        assert len(emulator.idempotency) == 1
    if name == "delete_product":
        assert emulator.products == {}
    if name == "track_conversion":
        assert list(emulator.conversions) == ["1001"]


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES.keys())
@for_each(*CALLS)
async def test_trouble_that_stays(emulator, client, name, trouble):
    emulator.fail(name, trouble.fault, times=99)
    repeated = ENDPOINTS[name].repeat_safe or trouble.surely_unprocessed
    with pytest.raises(trouble.raises) as caught:
        await CALLS[name](client)
    assert len(emulator.requests) == (ATTEMPTS if repeated else 1)
    assert len({request.idempotency_key for request in emulator.requests}) == 1
    assert len({request.body for request in emulator.requests}) == 1
    if issubclass(trouble.raises, APIError):
        assert caught.value.status == emulator.requests[-1].status
        assert caught.value.request_id == emulator.requests[-1].request_id
    else:
        assert caught.value.maybe_processed
        assert "127.0.0.1" in str(caught.value)
        assert name in str(caught.value)


# What a retry finds done


@pytest.mark.parametrize(
    "fault", [Fault.drop(processed=True), Fault.hang(processed=True), Fault.html(502, processed=True)]
)
async def test_a_404_on_a_retried_delete_is_success(emulator, client, fault):
    emulator.fail("delete_product", fault)
    await client.products.delete("X")
    assert [request.status for request in emulator.requests][1:] == [404]


@pytest.mark.parametrize("shape", ["standard", "bare", "coded", "nested"])
async def test_so_it_is_in_every_shape_of_an_error(emulator, client, shape):
    emulator.fail("delete_product", Fault.drop(processed=True))
    emulator.fail("delete_product", Fault.status(404, shape=shape))
    await client.products.delete("X")
    assert len(emulator.requests) == 2


async def test_an_empty_404_on_a_retried_delete_is_success_where_it_counts_the_call(emulator, client):
    emulator.fail("delete_product", Fault.drop(processed=True))
    emulator.fail("delete_product", Fault.status(404, body=b"", headers={"X-RateLimit-Limit": "100"}))
    await client.products.delete("X")


FOREIGN = [b"<html>404</html>", b"default backend - 404", b'{"message": "no Route matched"}', b""]


@pytest.mark.parametrize("body", FOREIGN, ids=["page", "text", "JSON", "empty"])
async def test_a_proxys_404_on_a_retried_delete_is_no_success(emulator, client, body):
    emulator.fail("delete_product", Fault.drop())
    emulator.fail("delete_product", Fault.status(404, body=body))
    with pytest.raises(NotFound, match="no answer that the API documents"):
        await client.products.delete("X")


@pytest.mark.parametrize("body", FOREIGN, ids=["page", "text", "JSON", "empty"])
async def test_a_proxys_409_on_a_retried_verify_is_a_conflict(emulator, client, body):
    emulator.fail("verify_domain", Fault.too_many_requests(1))
    emulator.fail("verify_domain", Fault.status(409, body=body))
    with pytest.raises(Conflict, match="no answer that the API documents"):
        await client.domain.verify("https://shop.example")


async def test_a_404_on_the_first_try_is_not(emulator, client):
    with pytest.raises(NotFound):
        await client.products.delete("Y")
    assert len(emulator.requests) == 1


async def test_a_delete_on_a_kept_alive_connection_is_not_repeated_behind_our_back(emulator, client):
    """aiohttp would send it again by itself, find a 404, and make a failure of a success."""
    await client.shop()
    emulator.fail("delete_product", Fault.drop(processed=True))
    await client.products.delete("X")
    assert [request.status for request in emulator.requests_to("delete_product")] == [None, 404]
    assert emulator.requests[1].connection == emulator.requests[0].connection


async def test_a_409_on_a_retried_verify_is_success_without_a_code(emulator, client):
    emulator.fail("verify_domain", Fault.too_many_requests(1))
    emulator.verified = True
    result = await client.domain.verify("https://shop.example")
    assert (result.shop_id, result.domain, result.verification_code) == (
        emulator.shop_id,
        "https://shop.example",
        None,
    )


async def test_a_409_on_the_first_verify_is_a_conflict(emulator, client):
    emulator.verified = True
    with pytest.raises(Conflict):
        await client.domain.verify("https://shop.example")


@pytest.mark.parametrize("status", [404, 409])
@for_each("shop", "sync_products", "verification_data", "unverify_domain", "track_conversion")
async def test_elsewhere_a_404_or_409_on_a_retry_is_an_error(emulator, client, name, status):
    emulator.fail(name, Fault.status(500))
    emulator.fail(name, Fault.status(status))
    with pytest.raises(NotFound if status == 404 else Conflict):
        await CALLS[name](client)


# What no retry helps


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ValidationFailed),
        (401, AuthenticationFailed),
        (403, PermissionDenied),
        (405, APIError),
        (413, APIError),
        (415, APIError),
        (422, UnprocessableEntity),
    ],
)
@for_each(*CALLS)
async def test_refusals_are_final(emulator, client, name, status, kind):
    emulator.fail(name, Fault.status(status), times=9)
    with pytest.raises(kind) as caught:
        await CALLS[name](client)
    assert type(caught.value) is kind
    assert caught.value.status == status
    assert len(emulator.requests) == 1


@pytest.mark.parametrize("body", [b"<p>OK</p>", b"", b'{"cut', b"\xff\xfe", b"null", b"[" * 100_000])
@for_each(*CALLS)
async def test_a_garbled_success_is_not_sent_again(emulator, client, name, body):
    emulator.fail(name, Fault.garbage(body), times=9)
    web_page = body.startswith(b"<")
    no_json = name in DECODED and body != b"null"  # an answer without any field is an answer
    if web_page or no_json:
        with pytest.raises(ResponseDecodeError):
            await CALLS[name](client)
    else:
        await CALLS[name](client)
    assert len(emulator.requests) == 1


# No connection at all


class Resolver(AbstractResolver):
    """Leads to these ports, one after the other; to nowhere where there is none."""

    def __init__(self, *ports):
        self.ports = list(ports)
        self.asked = 0

    async def resolve(self, host, port=0, family=socket.AF_INET):
        self.asked += 1
        found = self.ports.pop(0) if len(self.ports) > 1 else self.ports[0]
        if found is None:
            raise OSError(-2, "Name or service not known")
        return [
            {"hostname": host, "host": "127.0.0.1", "port": found, "family": socket.AF_INET, "proto": 0, "flags": 0}
        ]

    async def close(self):
        pass


@asynccontextmanager
async def resolved_by(emulator, *ports, **options):
    resolver = Resolver(*ports)
    connector = aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        client_of(emulator, base_url=f"http://localhost:{emulator.port}", session=session, **options) as client,
    ):
        yield client, resolver


@pytest.fixture
def closed_port():
    """Bound, so that nobody else takes it, and not listening."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@pytest.fixture
def silent_port():
    """A full queue of connections that nobody accepts: further ones are neither accepted nor refused."""
    with socket.socket() as server, socket.socket() as one, socket.socket() as two:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for waiting in (one, two):
            waiting.settimeout(0)
            waiting.connect_ex(server.getsockname())
        yield server.getsockname()[1]


@pytest.mark.parametrize("name", CALLS)
async def test_a_connection_that_is_not_made_in_time_is_tried_again_even_for_verify(emulator, silent_port, name):
    async with resolved_by(emulator, silent_port, emulator.port) as (client, resolver):
        started = asyncio.get_running_loop().time()
        await CALLS[name](client)
        assert 10.0 <= asyncio.get_running_loop().time() - started <= 12.5
        assert resolver.asked == 2


async def test_a_host_that_never_answers_is_a_timeout_that_surely_changed_nothing(emulator, silent_port):
    async with resolved_by(emulator, silent_port) as (client, _):
        with pytest.raises(RequestTimeout, match="no connection in time") as caught:
            await client.shop()
    assert not caught.value.maybe_processed


@pytest.mark.parametrize("name", CALLS)
async def test_a_refused_connection_is_tried_again_even_for_verify(emulator, closed_port, name):
    async with resolved_by(emulator, closed_port, closed_port, emulator.port) as (client, resolver):
        await CALLS[name](client)
        assert resolver.asked == 3
    assert len(emulator.requests) == 1


@pytest.mark.parametrize("name", CALLS)
async def test_a_name_that_does_not_resolve_is_tried_again_even_for_verify(emulator, name):
    async with resolved_by(emulator, None, emulator.port) as (client, resolver):
        await CALLS[name](client)
        assert resolver.asked == 2


@pytest.mark.parametrize("name", CALLS)
async def test_nobody_there_at_all(emulator, closed_port, name):
    async with resolved_by(emulator, closed_port) as (client, resolver):
        with pytest.raises(ConnectionFailed, match="cannot connect") as caught:
            await CALLS[name](client)
        assert resolver.asked == ATTEMPTS
    assert not caught.value.maybe_processed


async def test_a_refused_request_counts_against_no_limit(emulator, closed_port):
    limits = {"shop": RateLimit(1, per=1_000.0)}
    async with resolved_by(emulator, closed_port, closed_port, emulator.port, rate_limits=limits) as (client, _):
        started = asyncio.get_running_loop().time()
        await client.shop()
        assert asyncio.get_running_loop().time() - started < 10.0


GOODBYE = Fault.status(502, shape="html", headers={"Connection": "close"})


@pytest.mark.parametrize("fault", [Fault.hang(processed=True), GOODBYE, Fault.drop()])
async def test_one_attempt_that_may_have_been_processed_is_told_of_the_whole_call(emulator, closed_port, fault):
    emulator.fail("sync_products", fault)
    async with resolved_by(emulator, emulator.port, closed_port) as (client, resolver):
        with pytest.raises(ConnectionFailed, match="cannot connect") as caught:
            await client.products.sync_batch([PRODUCT])
        assert resolver.asked == ATTEMPTS
    assert caught.value.maybe_processed


# Connections that end between requests


@for_each(*CALLS)
async def test_a_connection_that_the_server_closed_while_idle(emulator, client, name):
    emulator.fail("shop", Fault.close_after())
    await client.shop()
    await asyncio.sleep(1.0)
    await CALLS[name](client)
    assert len(emulator.requests) == 2
    assert emulator.requests[0].connection != emulator.requests[1].connection


@for_each(*CALLS)
async def test_a_request_that_crosses_the_close_of_its_connection(emulator, client, name):
    await client.shop()
    emulator.requests.clear()
    emulator.fail(name, Fault.drop(), times=1)
    if ENDPOINTS[name].repeat_safe:
        await CALLS[name](client)
        assert len(emulator.requests) == 2
    else:
        with pytest.raises(ConnectionFailed, match="connection lost") as caught:
            await CALLS[name](client)
        assert caught.value.maybe_processed
        assert len(emulator.requests) == 1


async def test_a_service_that_restarts(emulator, client):
    await client.shop()
    await emulator.stop()
    call = asyncio.create_task(client.products.sync_batch([PRODUCT]))
    await asyncio.sleep(2.0)
    await emulator.start()
    assert (await call).created == 1


async def test_a_web_page_is_no_deletion(emulator, client):
    await client.products.sync_batch([PRODUCT])
    before = dict(emulator.products)
    emulator.fail("delete_product", Fault.html(200), times=9)
    with pytest.raises(ResponseDecodeError, match="web page"):
        await client.products.delete("X")
    assert emulator.products == before
