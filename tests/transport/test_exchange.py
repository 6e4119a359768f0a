"""What a failed attempt says: the reason, the shop, the library's own text, and nothing of the request's headers."""

import asyncio
import concurrent.futures
import gc
import gzip
import re
import ssl
import traceback
import weakref
import zlib
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import cache

import aiohttp
import msgspec
import pytest
from clients import serving
from yarl import URL

from neuroon_async import (
    APIError,
    ConnectionFailed,
    NeuroonClient,
    NeuroonError,
    Product,
    RateLimited,
    RequestTimeout,
    ResponseDecodeError,
    RetryPolicy,
    ServerError,
)
from neuroon_async.api.contract import SHOP, VERIFY_DOMAIN
from neuroon_async.testing import Emulator, Fault
from neuroon_async.transport.calls import Call, CallStats
from neuroon_async.transport.exchange import ExchangeResult, HttpExchange, _Answer, _only_connecting, _payload
from neuroon_async.transport.failures import Reason
from neuroon_async.transport.time_limit import TimeLimit
from neuroon_async.transport.unpacking import MAX_ANSWER_BYTES

KEY = "sk_" + "0123456789abcdef" * 2
ONCE = RetryPolicy(attempts=1)


@asynccontextmanager
async def answering(answer, **options):
    """A client of a server that answers every request with these bytes."""

    async def serve(reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                if length:
                    await reader.readexactly(int(length[0].split(b":")[1]))
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async with serving(serve) as url:
        defaults = {"shop_id": "shop_7", "api_key": KEY, "base_url": url, "retry": ONCE, "rate_limits": None}
        async with NeuroonClient(**{**defaults, **options}) as client:
            yield client


def shown(error, key):
    """What a traceback with local variables shows of the key, below the test itself, which knows it."""
    found = []
    todo = [error]
    while todo:
        one = todo.pop()
        if one is not None:
            texts = traceback.TracebackException.from_exception(one, capture_locals=True).format()
            found += [text for text in texts if key in text and "in test_" not in text]
            todo += [one.__cause__, one.__context__]
    return found


def http(body=b"{}", status="200 OK", *headers):
    lines = [f"HTTP/1.1 {status}".encode(), *headers, b"Content-Length: %d" % len(body)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (http(b"{}", "200 OK", b"X-Trace: " + b"a" * 9_000), ConnectionFailed, "the server's headers are too long: "),
        (
            http(b"\x0b\x00\x80{}\x03", "200 OK", b"Content-Encoding: br"),
            ResponseDecodeError,
            "Content-Encoding br cannot be read",
        ),
        (
            http(b"\x0b\x00\x80{}\x03", "502 Bad", b"Content-Encoding: br"),
            ServerError,
            "502 Bad Gateway: Content-Encoding br cannot",
        ),
        (
            http(b"\x0b\x00\x80{}\x03", "200 OK", b"Content-Encoding: gzip", b"Content-Encoding: br"),
            ResponseDecodeError,
            "Content-Encoding gzip, br cannot be read",
        ),
        (http(b"not packed", "200 OK", b"Content-Encoding: gzip"), ConnectionFailed, "its gzip data is damaged"),
        (
            http(gzip.compress(b'{"a":1}', mtime=0)[:-5], "200 OK", b"Content-Encoding: gzip"),
            ConnectionFailed,
            "gzip data breaks off",
        ),
        (
            b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
            ConnectionFailed,
            "the server's answer is not HTTP: ",
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", ConnectionFailed, "chunk size"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", ConnectionFailed, "Content-Length"),
        (
            http(b"", "307 X", b"Location: https://api2.neuroon.ai/secret?x=1"),
            APIError,
            "redirects to https://api2.neuroon.ai, and",
        ),
        (http(b"", "302 X", b"Location: /login"), APIError, "redirects to another path, and the API key must not"),
        (http(b"", "301 X"), APIError, "redirects elsewhere"),
        (http(b"", "302 X", b"Location: https://[broken"), APIError, "redirects to another path"),
        (http(b"", "302 X", b"Location: "), APIError, "redirects elsewhere"),
        (http(b"", "302 X", b"Location: http://user:secret@[::1]:81/x"), APIError, "redirects to http://[::1]:81, and"),
        (b"HTTP/1.1 304 Not Modified\r\n\r\n", APIError, "304 Not Modified [shop shop_7]"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else None,
)
async def test_a_failure_says_what_happened(answer, kind, says):
    async with answering(answer) as client:
        with pytest.raises(kind) as caught:
            await client.shop()
        assert says in str(caught.value)
        assert "shop_7" in str(caught.value)
        assert caught.value.shop_id == "shop_7"
        assert "secret" not in str(caught.value)
        assert shown(caught.value, KEY) == []


async def test_answers_that_proxies_change_are_read():
    async with answering(http(b"\xef\xbb\xbf" + b'{"maxProducts":3}')) as client:
        assert (await client.shop()).max_products == 3
    packed = gzip.compress(b'{"maxProducts":4}')
    async with answering(http(packed, "200 OK", b"Content-Encoding: gzip")) as client:
        assert (await client.shop()).max_products == 4
    async with answering(http(zlib.compress(b'{"maxProducts":5}'), "200 OK", b"Content-Encoding: deflate")) as client:
        assert (await client.shop()).max_products == 5
    async with answering(http(b"{}", "103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK")) as client:
        await client.shop()


@pytest.mark.parametrize("body", [b'{"maxProducts":4}', b'\xef\xbb\xbf{"maxProducts":4}', b' {"maxProducts":4}'])
async def test_an_answer_that_was_unpacked_on_its_way_is_read(body):
    async with answering(http(body, "200 OK", b"Content-Encoding: gzip, identity")) as client:
        assert (await client.shop()).max_products == 4


async def test_a_date_to_come_back_at_is_read_by_this_machines_clock_where_the_answer_has_none():
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True).encode()
    async with answering(http(b"{}", "429 X", b"Retry-After: " + date)) as client:
        with pytest.raises(RateLimited) as caught:
            await client.shop()
    assert 25 < caught.value.retry_after <= 30


async def test_an_answer_that_cannot_be_read_is_told_with_its_request_id_and_without_the_key():
    marks = b"Content-Encoding: br", b"X-Request-ID: r-1 " + KEY.encode()
    async with answering(http(b"\x0b\x00\x80{}\x03", "200 OK", *marks)) as client:
        with pytest.raises(ResponseDecodeError, match=r"shop_7: GET http://127.*shop.*Content-Encoding br") as caught:
            await client.shop()
    assert (caught.value.request_id, caught.value.status) == ("r-1 [API key]", 200)


def call_of(kind=Call, **changes):
    known = {"url": URL("http://127.0.0.1:9/"), "body": None, "idempotency_key": None, "bulk": False, "timeout": 5.0}
    return kind(**{"endpoint": SHOP, "limit": TimeLimit(), "stats": CallStats(), **known, **changes})


@pytest.mark.parametrize("status", [200, 503])
async def test_the_result_of_an_attempt_has_the_headers_and_the_body_as_they_came(status):
    async with answering(http(b'{"message":"%s"}' % KEY.encode(), f"{status} X", b"X-Own: 1")) as client:
        call = call_of(url=URL(client._transport.settings.base_url))
        result = await client._transport.exchange.send(call)
    assert (result.headers["X-Own"], result.body) == ("1", b'{"message":"%s"}' % KEY.encode())
    assert KEY not in repr(result)


def test_no_answer_shows_headers_or_a_body_that_may_echo_the_key():
    for shown in (ExchangeResult(None, {"X-Own": KEY}, KEY.encode()), _Answer(200, {"X-Own": KEY}, KEY.encode())):
        assert KEY not in repr(shown)


@pytest.mark.parametrize("kind", [ExchangeResult, _Answer, Reason, Call, CallStats, TimeLimit])
def test_what_is_made_for_every_attempt_is_small(kind):
    assert "__dict__" not in dir(kind)


def test_what_has_come_of_an_attempt_is_not_rewritten():
    for value in (ExchangeResult(ConnectionFailed("x", maybe_processed=False)), Reason("x")):
        with pytest.raises(AttributeError, match="cannot assign"):
            setattr(value, next(iter(type(value).__slots__)), None)


async def test_only_a_redirect_is_told_as_one(emulator):
    async with emulator.client(retry=ONCE) as client:
        for status in range(300, 310):
            emulator.fail("shop", Fault.status(status, headers={"Location": "https://other.example/x"}))
            with pytest.raises(APIError) as caught:
                await client.shop()
            leads = status in {300, 301, 302, 303, 305, 307, 308}
            assert ("redirects to https://other.example" in str(caught.value)) is leads, status


async def test_the_result_of_an_attempt_whose_answer_cannot_be_read_has_its_headers():
    async with answering(http(b"\x0b\x00\x80{}\x03", "200 OK", b"Content-Encoding: br", b"X-Own: 1")) as client:
        call = call_of(url=URL(client._transport.settings.base_url))
        result = await client._transport.exchange.send(call)
    assert (result.headers["X-Own"], result.body) == ("1", b"")


async def test_nobody_waits_for_the_rest_of_an_answer_that_is_too_long():
    hung_up = asyncio.Event()

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b" " * (MAX_ANSWER_BYTES + 1))
        await reader.read()
        hung_up.set()
        writer.close()

    async with (
        serving(serve) as url,
        NeuroonClient(shop_id="shop_7", api_key=KEY, base_url=url, retry=ONCE) as client,
    ):
        with pytest.raises(ResponseDecodeError, match="longer than 16 MiB"):
            await client.shop()
        await asyncio.wait_for(hung_up.wait(), 30.0)


async def test_the_result_of_an_attempt_without_an_answer_has_neither():
    async with NeuroonClient(shop_id="shop_7", api_key=KEY, base_url="http://127.0.0.1:9") as client:
        result = await client._transport.exchange.send(call_of())
    assert isinstance(result.outcome, ConnectionFailed)
    assert (result.headers, result.body) == (None, b"")


async def test_no_timer_of_an_attempt_that_is_over_keeps_its_body():
    class Watched(Call):
        """Its slots hold no weak reference."""

    async with answering(http(b"{}")) as client:
        call = call_of(Watched, url=URL(client._transport.settings.base_url))
        watch = weakref.ref(call)
        result = await client._transport.exchange.send(call)
        del call
        gc.collect()
        assert (result.outcome.status, watch()) == (200, None)


async def test_no_open_connection_keeps_the_task_that_opened_it(emulator):
    async with emulator.client() as client:
        task = asyncio.create_task(client.shop())
        await task
        watch = weakref.ref(task)
        del task
        await asyncio.sleep(0)  # the loop holds what it runs
        gc.collect()
        assert watch() is None
        await client.shop()
    opened, reused = emulator.requests
    assert opened.connection == reused.connection


@pytest.mark.virtual_time
async def test_the_timeouts_of_a_given_session_are_its_own():
    impatient = aiohttp.ClientTimeout(total=1.0, sock_read=1.0)
    async with (
        Emulator(algorithm="off", latency=3.0) as emulator,
        aiohttp.ClientSession(timeout=impatient) as session,
        emulator.client(session=session, retry=ONCE, timeout=9.0) as client,
    ):
        await client.shop()


@pytest.mark.parametrize(("timeout", "handshake"), [(3.0, 3.0), (30.0, 10.0)])
async def test_a_handshake_with_one_address_has_ten_seconds_at_most(emulator, timeout, handshake):
    bounds = []

    class Noting(aiohttp.TCPConnector):
        async def connect(self, req, traces, timeout):
            bounds.append(timeout)
            return await super().connect(req, traces, timeout)

    async with aiohttp.ClientSession(connector=Noting()) as session:
        await emulator.client(session=session, timeout=timeout).shop()
    (bound,) = bounds
    assert bound is _only_connecting(timeout)  # made once, not for each request
    assert (bound.sock_connect, bound.total, bound.connect, bound.sock_read) == (handshake, None, None, None)


def test_a_body_of_a_mebibyte_is_sent_in_pieces():
    small, large = b"x" * (2**20 - 1), b"x" * 2**20
    assert _payload(small) is small
    assert _payload(large).read() == large
    assert _payload(None) is None


async def test_a_post_goes_without_the_guard_that_keeps_a_get_from_being_repeated(emulator, monkeypatch):
    async def refuse(*_):
        raise LookupError("asked")

    monkeypatch.setattr(HttpExchange, "_send_once", refuse)
    product = Product(external_id="A", name="Tea", price=1, url="https://shop.example/a")
    async with emulator.client(retry=ONCE) as client:
        await client.products.sync_batch([product])
        with pytest.raises(ConnectionFailed, match="LookupError: asked"):
            await client.shop()


@pytest.mark.parametrize(
    ("headers", "address", "guarded"),
    [
        ({"X-Mine": "1"}, "https://api.example/", False),
        ({"Referer": "https://other.example"}, "https://api.example/", True),
        ({}, "http://127.0.0.1:9/", True),  # through whatever proxy it may have
    ],
)
async def test_a_post_of_a_given_session_is_guarded_where_that_may_add_what_must_not_be(headers, address, guarded):
    async with aiohttp.ClientSession(headers=headers) as session:
        client = NeuroonClient(shop_id="shop_7", api_key=KEY, session=session)
        post = call_of(endpoint=VERIFY_DOMAIN, url=URL(address))
        assert (client._transport.exchange._middlewares(session, post) is not None) == guarded


async def test_a_session_that_keeps_its_middlewares_elsewhere_will_do(emulator):
    async with aiohttp.ClientSession() as session, emulator.client(session=session) as client:
        del session._middlewares
        await client.shop()


CUT = b"Content-Length: 500\r\n\r\n{"


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("rest", "ends"),
    [(CUT, True), (CUT, False), (b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nzzz", False)],
    ids=["cut off", "stalled", "damaged"],
)
async def test_an_error_is_told_by_its_status_where_its_body_does_not_arrive(rest, ends):
    asked = 0
    gone = asyncio.Event()

    async def serve(reader, writer):
        nonlocal asked
        asked += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nX-Request-ID: r-1\r\n" + rest)
        await writer.drain()
        if not ends:
            await reader.read()
        writer.close()
        await writer.wait_closed()
        gone.set()

    async with serving(serve) as url:
        async with NeuroonClient(
            shop_id="shop_7", api_key=KEY, base_url=url, retry=RetryPolicy(deadline=5), timeout=0.3
        ) as client:
            with pytest.raises(RateLimited, match="did not arrive") as caught:
                await client.domain.verify("https://shop.example")
            assert (caught.value.retry_after, caught.value.request_id, asked) == (7, "r-1", 1)
            assert client.limits()["verify_domain"].paused_for > 6
        await gone.wait()


@pytest.mark.parametrize(
    ("status", "endpoint", "says"),
    [
        (300, SHOP, "300 Multiple Choices: the server redirects elsewhere"),
        (503, SHOP, "503 Service Unavailable: the rest of the answer did not arrive"),
        (422, VERIFY_DOMAIN, "422 Unprocessable .*: the rest of the answer did not arrive"),
    ],
)
async def test_what_is_there_of_an_answer_that_does_not_arrive_is_its_status_and_headers(status, endpoint, says):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d X\r\nX-Own: 1\r\n" % status + CUT)
        writer.close()

    async with (
        serving(serve) as url,
        NeuroonClient(shop_id="shop_7", api_key=KEY, base_url=url, retry=ONCE) as client,
    ):
        result = await client._transport.exchange.send(call_of(endpoint=endpoint, url=URL(url)))
    assert re.match(says, str(result.outcome)), result.outcome
    assert (result.headers["X-Own"], result.body) == ("1", b"")


@pytest.mark.parametrize("status", [400, 404, 409, 422])
async def test_a_refusal_that_names_what_it_refuses_is_asked_for_again_where_that_is_safe(status):
    bodies = iter([CUT, b'Content-Length: 15\r\n\r\n{"message":"P"}'])

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d Refused\r\nConnection: close\r\n" % status + next(bodies))
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with serving(serve) as url:
        retry = RetryPolicy(initial=0)
        async with NeuroonClient(shop_id="shop_7", api_key=KEY, base_url=url, retry=retry) as client:
            with pytest.raises(APIError, match=f"{status} .*: P ") as caught:
                await client.shop()
    assert (caught.value.status, next(bodies, None)) == (status, None)


@pytest.mark.parametrize("body", [b'{"deleted":true}', b"gone", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"])
@pytest.mark.parametrize("headers", [b"", b"Content-Length: 16\r\n", b"Transfer-Encoding: chunked\r\n"])
async def test_a_deletion_that_worked_is_one_whatever_follows_in_its_packet(body, headers):
    connections: list[asyncio.StreamWriter] = []

    async def serve(reader, writer):
        connections.append(writer)
        with suppress(asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                status = b"304 Not Modified" if b"GET" in head else b"204 No Content"
                writer.write(b"HTTP/1.1 " + status + b"\r\n" + headers + b"\r\n" + body)
        writer.close()

    async with serving(serve) as url:
        async with NeuroonClient(shop_id="shop_7", api_key=KEY, base_url=url, retry=ONCE) as client:
            await client.products.delete("A")
            await client.products.delete("B")
            with pytest.raises(APIError, match="304"):
                await client.shop()
        for writer in connections:
            await writer.wait_closed()
    assert len(connections) == 3


@pytest.mark.parametrize("unasked", [http(b'{"maxProducts":9}'), http(b"", "408 Request Timeout"), b"bye"])
async def test_what_arrives_on_an_idle_connection_is_no_answer_to_the_next_request(unasked):
    arrived: list[asyncio.StreamWriter] = []

    async def serve(reader, writer):
        arrived.append(writer)
        with suppress(asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(http(b'{"maxProducts":%d}' % len(arrived)))
        writer.close()

    async with serving(serve) as url:
        async with NeuroonClient(shop_id="shop_7", api_key=KEY, base_url=url, retry=ONCE) as client:
            assert (await client.shop()).max_products == 1
            assert (await client.shop()).max_products == 1
            arrived[0].write(unasked)
            for _ in range(5):  # it is there at once, on this machine: the loop has only to look
                await asyncio.sleep(0)
            assert (await client.shop()).max_products == 2
            assert (await client.shop()).max_products == 2
        for writer in arrived:
            await writer.wait_closed()


async def test_only_packings_that_can_be_read_are_asked_for():
    async with Emulator(algorithm="off") as emulator, emulator.client() as client:
        await client.shop()
    assert emulator.requests[0].headers["Accept-Encoding"] == "gzip, deflate"


@cache
def bomb():
    """120 MiB of blanks, packed."""
    packer = zlib.compressobj(1, wbits=31)
    return b"".join(packer.compress(b" " * 2**20) for _ in range(120)) + packer.flush()


@pytest.mark.parametrize("status", ["200 OK", "502 Bad Gateway"])
async def test_a_small_answer_that_unpacks_to_gigabytes_costs_little_memory(status):
    async with answering(http(bomb(), status, b"Content-Encoding: gzip")) as client:
        resource = pytest.importorskip("resource", reason="this system does not tell the most memory used")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        kind = ResponseDecodeError if status.startswith("200") else ServerError
        with pytest.raises(kind, match="the answer is longer than 16 MiB"):
            await client.shop()
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


# Whatever a library raises


@pytest.mark.parametrize(
    "raised",
    [
        UnicodeError("label too long"),
        ValueError("bad url"),
        RuntimeError("cannot schedule new futures after shutdown"),
        ssl.SSLError("handshake"),
        aiohttp.InvalidURL("https://x"),
        msgspec.DecodeError("x"),
        OSError(24, "Too many open files"),
        MemoryError(),
        LookupError(),
        AssertionError("an invariant"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("where", ["connecting", "answering"])
async def test_whatever_a_library_raises_becomes_an_error_of_the_sdks_own(raised, where, monkeypatch):
    async with Emulator(algorithm="off") as emulator, emulator.client(retry=ONCE) as client:

        async def fail(*_args, **_options):
            headers = {"X-Shop-API-Key": emulator.api_key}  # noqa: F841 - a frame that holds the key
            raise raised

        target = (
            (aiohttp.TCPConnector, "_create_connection") if where == "connecting" else (aiohttp.StreamReader, "readany")
        )
        monkeypatch.setattr(*target, fail)
        with pytest.raises(ConnectionFailed) as caught:
            await client.shop()
        known = isinstance(raised, OSError)  # which tells itself; of anything else, the class is all that is sure
        assert (raised.args[-1] if known else type(raised).__name__) in str(caught.value)
        assert not known or type(raised).__name__ not in str(caught.value)
        assert caught.value.maybe_processed is (where == "answering")
        assert shown(caught.value, emulator.api_key) == []
        assert caught.value.__cause__ is None
        assert await client.health() is False


async def test_a_resolver_without_threads_is_an_error_of_the_sdks_own():
    executor = concurrent.futures.ThreadPoolExecutor(1)
    executor.shutdown()
    asyncio.get_running_loop().set_default_executor(executor)
    async with NeuroonClient(shop_id="s", api_key=KEY, base_url="https://neuroon.invalid", retry=ONCE) as client:
        with pytest.raises(ConnectionFailed, match="cannot connect: RuntimeError: cannot schedule"):
            await client.shop()


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
async def test_an_interruption_takes_no_frame_with_the_key_along(interruption, monkeypatch):
    async with Emulator(algorithm="off") as emulator, emulator.client(retry=ONCE) as client:

        async def interrupt(*_args, **_options):
            headers = {"X-Shop-API-Key": emulator.api_key}
            try:
                raise LookupError(headers)
            except LookupError:
                raise interruption  # noqa: B904 - with a context that holds the key

        monkeypatch.setattr(aiohttp.TCPConnector, "_create_connection", interrupt)
        coroutine = client.shop()
        with pytest.raises(interruption) as caught:
            await coroutine
        assert shown(caught.value, emulator.api_key) == []


@pytest.mark.virtual_time
async def test_the_last_retrys_traceback_is_short_and_says_nothing_of_the_machinery():
    policy = RetryPolicy(attempts=3)
    async with Emulator(algorithm="off") as emulator, emulator.client(retry=policy) as client:
        for fault in (Fault.status(400), Fault.status(503)):
            emulator.fail("shop", fault, times=9)
            with pytest.raises(APIError) as caught:
                await client.shop()
            files = [frame.filename for frame in traceback.extract_tb(caught.value.__traceback__)]
            assert len(files) <= 3
            assert not any("tenacity" in file for file in files)
            assert caught.value.__context__ is None
            emulator.faults.clear()


@pytest.mark.virtual_time
async def test_a_server_that_never_accepts_is_no_answer_but_no_connection():
    async with Emulator(algorithm="off") as emulator, emulator.client(retry=ONCE, timeout=3.0) as client:

        async def hang(*_args, **_options):
            await asyncio.Event().wait()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(aiohttp.TCPConnector, "_create_connection", hang)
            with pytest.raises(RequestTimeout, match=r"shop_\w+: GET http.* \(shop\): no connection in time") as caught:
                await client.shop()
        assert not caught.value.maybe_processed
        assert isinstance(caught.value, NeuroonError)
