"""The API key shows nowhere, whatever fails: in no text, log line, warning, pickle, chained exception or variable.

Error trackers keep the local variables of every frame, so those count as text too.
"""

import asyncio
import gc
import logging
import pickle
import traceback
import warnings
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest
from clients import serving

from neuroon_async import (
    ConfigurationError,
    Conversion,
    InvalidConversion,
    InvalidProduct,
    NeuroonClient,
    NeuroonError,
    Product,
    RateLimit,
    RetryPolicy,
    WidgetTokenSigner,
)
from neuroon_async.limits.local import LocalLimiter
from neuroon_async.testing import Emulator, Fault

HEX = "c0ffee12deadbeef5eedface0ddba11f"
KEY = f"sk_{HEX}"
PARTS = [HEX[start : start + 8] for start in range(len(HEX) - 7)]
PRODUCT = Product(external_id="A", name="Tea", price=1, url="https://shop.example/a")


def leaks(text):
    text = text.lower()
    return [part for part in PARTS if part in text]


def family(error):
    """The error and everything that hangs on it."""
    found, todo = [], [error]
    while todo:
        one = todo.pop()
        if one is None or one in found:
            continue
        found.append(one)
        todo += [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]
    return found


def told_by(error, *, with_locals=True):
    texts = []
    for one in family(error):
        texts += [repr(one), str(one), repr(one.args), repr(vars(one)), *traceback.format_exception(one)]
        if with_locals:
            texts += traceback.TracebackException.from_exception(one, capture_locals=True).format()
    if isinstance(error, NeuroonError):
        texts.append(pickle.dumps(error).decode("latin-1"))
    return "\n".join(texts)


def test_the_detector_detects():
    def fails():
        _local = {"X-Shop-API-Key": KEY}
        raise ValueError("harmless")

    with pytest.raises(ValueError) as caught:
        fails()
    assert leaks(told_by(caught.value))
    assert not leaks(told_by(caught.value, with_locals=False))
    assert leaks(f"…{KEY[10:18].upper()}…")


@asynccontextmanager
async def pair(**options):
    options = {"retry": RetryPolicy(attempts=2), "timeout": 5.0, **options}
    async with Emulator(api_key=KEY, algorithm="off", shop_url=None) as emulator:
        options.setdefault("base_url", emulator.url)
        async with NeuroonClient(shop_id="shop_test", api_key=KEY, **options) as client:
            yield emulator, client


ECHO = f"the key {KEY} is not known"
FAULTS = {
    "drop": Fault.drop(),
    "reset": Fault.reset(),
    "truncated": Fault.truncated(),
    "hang": Fault.hang(),
    "garbage": Fault.garbage(),
    **{f"{status}": Fault.status(status) for status in (302, 400, 401, 403, 404, 405, 409, 413, 422, 500, 502, 503)},
    **{
        f"{status} {shape} echo": Fault.status(status, ECHO, shape=shape)
        for status in (401, 403, 429, 500)
        for shape in ("standard", "coded", "nested")
    },
    "page with echo": Fault.status(401, body=f"<html><b>{ECHO}</b></html>".encode()),
    "page with echo at the cut": Fault.status(500, body=b"x" * 290 + KEY.encode() + b"y" * 50),
    "details with echo": Fault.status(400, body={"code": "X", "details": [f"apiKey: {ECHO}", {"field": KEY}]}),
    "redirect with echo": Fault.status(302, headers={"Location": f"http://127.0.0.1:9/{KEY}"}),
    "garbage with echo": Fault.garbage(ECHO.encode()),
    **{f"garbage with echo at {at}": Fault.garbage(b"x" * at + KEY.encode()) for at in range(160, 201, 8)},
    "error with 200 and echo": Fault.garbage(f'{{"code":"X","message":"{ECHO}","details":["{KEY}"]}}'.encode()),
    "throttled": Fault.too_many_requests(2),
}


@pytest.fixture
def everything_logged(caplog):
    caplog.set_level(logging.DEBUG)
    for name in ("neuroon_async", "aiohttp", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield lambda: "\n".join(
            [caplog.text, *(repr(vars(record)) for record in caplog.records), *(str(each.message) for each in caught)]
        )


@pytest.mark.virtual_time
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
async def test_no_failure_tells_the_key(everything_logged, fault, monkeypatch):
    asyncio.get_running_loop().set_debug(True)
    monkeypatch.setattr(asyncio.constants, "DEBUG_STACK_DEPTH", 1)  # ten lines of code for each callback take seconds
    async with pair() as (emulator, client):
        for name, call in (
            ("shop", client.with_options(retry=RetryPolicy(attempts=2, deadline=60.0)).shop),
            ("sync_products", lambda: client.products.sync_batch([PRODUCT])),
        ):
            emulator.fail(name, fault, times=9)
            with pytest.raises(NeuroonError) as caught:
                await call()
            assert leaks(told_by(caught.value)) == []
        del caught
        gc.collect()
    assert leaks(everything_logged()) == []


@pytest.mark.virtual_time
@pytest.mark.parametrize("fault", [Fault.hang(), Fault.slow(50.0), Fault.too_many_requests(30)])
@pytest.mark.parametrize("bound", ["deadline", "timeout of the caller's", "cancelled"])
async def test_no_call_that_is_cut_short_tells_the_key(everything_logged, fault, bound):
    policy = RetryPolicy(deadline=2.0) if bound == "deadline" else RetryPolicy()
    async with pair(retry=policy, timeout=30.0) as (emulator, client):
        emulator.fail("shop", fault)
        with pytest.raises((NeuroonError, TimeoutError, asyncio.CancelledError)) as caught:
            if bound == "timeout of the caller's":
                async with asyncio.timeout(2.0):
                    await client.shop()
            elif bound == "cancelled":
                call = asyncio.create_task(client.shop())
                await asyncio.sleep(2.0)
                call.cancel()
                await call
            else:
                await client.shop()
        assert leaks(told_by(caught.value)) == []
    assert leaks(everything_logged()) == []


@pytest.mark.virtual_time
async def test_a_deadline_while_waiting_for_the_limit_does_not_tell_the_key():
    limits = {"shop": RateLimit(1, per=100.0)}
    async with pair(retry=RetryPolicy(deadline=2.0), rate_limits=limits) as (_, client):
        await client.shop()
        with pytest.raises(NeuroonError) as caught:
            await client.shop()
        assert leaks(told_by(caught.value)) == []


async def test_nobody_there_and_a_closed_client_do_not_tell_the_key(everything_logged):
    async with pair(retry=RetryPolicy(attempts=2, initial=0.0)) as (emulator, client):
        await emulator.stop()
        with pytest.raises(NeuroonError) as refused:
            await client.shop()
        await client.aclose()
        with pytest.raises(NeuroonError) as closed:
            await client.shop()
        assert leaks(told_by(refused.value) + told_by(closed.value)) == []
    assert leaks(everything_logged()) == []


RAW = {
    "no HTTP": ECHO.encode(),
    "a bad status line": f"HTTP/1.1 {KEY} OK\r\n\r\n".encode(),
    "a bad header": f"HTTP/1.1 200 OK\r\n{KEY}\r\n\r\n".encode(),
    "a bad header value": f"HTTP/1.1 200 OK\r\nX-Echo: \0{KEY}\r\n\r\n".encode(),
    "a bad length": f"HTTP/1.1 200 OK\r\nContent-Length: {KEY}\r\n\r\n".encode(),
    "a bad chunk": f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{KEY}\r\n".encode(),
    "a bad chunk later on": f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n{KEY}\r\n".encode(),
    "a bad encoding": f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 35\r\n\r\n{KEY}".encode(),
    "a reason with the key": f"HTTP/1.1 403 {KEY}\r\nContent-Length: 0\r\n\r\n".encode(),
}


@pytest.mark.parametrize("kind", RAW)
async def test_an_answer_that_is_no_http_does_not_tell_the_key(everything_logged, kind):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(RAW[kind])
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with serving(serve) as url, pair(base_url=url, retry=RetryPolicy(attempts=2, initial=0.0)) as (_, client):
        with pytest.raises(NeuroonError) as caught:
            await client.shop()
        assert leaks(told_by(caught.value)) == []
    assert leaks(everything_logged()) == []


@pytest.mark.parametrize("status", [200, 401])
async def test_a_call_cut_short_within_an_answer_whose_headers_echo_the_key_does_not_tell_it(status):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status} OK\r\nX-Echo: {KEY}\r\nContent-Length: 99\r\n\r\n{{".encode())
        with suppress(ConnectionError):
            await reader.read()
        writer.close()

    async def begun(*_):
        answer_begins.set()

    answer_begins, watch = asyncio.Event(), aiohttp.TraceConfig()
    watch.on_request_end.append(begun)
    async with aiohttp.ClientSession(trace_configs=[watch]) as session, serving(serve) as url:
        client = NeuroonClient(shop_id="shop_test", api_key=KEY, base_url=url, session=session)
        call = asyncio.create_task(client.shop())
        await answer_begins.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await call
        assert leaks(told_by(caught.value)) == []


class _Faulty(LocalLimiter):
    """What breaks once an answer is there."""

    async def acquire(self, *_, **__):
        return self

    def answered(self, *_, **__):
        raise ZeroDivisionError


async def test_an_error_that_comes_beside_an_answer_does_not_tell_what_that_echoes():
    async with pair(limiter=_Faulty({})) as (emulator, client):
        emulator.fail("shop", Fault.status(500, ECHO, headers={"X-Echo": KEY}))
        with pytest.raises(ZeroDivisionError) as caught:
            await client.shop()
        frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
        texts = [repr(frame.f_locals) for frame in frames if frame.f_globals["__name__"].startswith("neuroon_async.")]
        assert "ExchangeResult" in texts[-1]
        assert leaks("".join(texts)) == []


@pytest.mark.virtual_time
async def test_a_bulk_run_that_is_stopped_does_not_tell_the_key(everything_logged):
    async with pair() as (emulator, client):
        emulator.fail("sync_products", Fault.status(401, ECHO), times=9)
        with pytest.raises(NeuroonError) as caught:
            await client.products.sync([PRODUCT])
        assert leaks(told_by(caught.value)) == []
        assert leaks(repr(caught.value.report)) == []
    assert leaks(everything_logged()) == []


# Objects and settings


async def test_no_object_shows_the_key():
    async with pair() as (_, client):
        await client.shop()
        owned = [
            client,
            client.products,
            client.domain,
            client.conversions,
            client.widget,
            client._transport,
            client._transport.exchange,
            client._transport.settings,
            client._transport.settings.api_key,
            client._transport.limiter,
            client._transport.retry,
            client._session,
            client._session._session,
            client.limits(),
        ]
        for each in owned:
            assert leaks(f"{each!r} {each!s} {each} {getattr(each, '__dict__', None)!r}") == [], type(each)
        assert leaks(client.widget.token()) == []
        assert leaks(client.widget.script_tag()) == []


def construct(kind, **options):
    with pytest.raises((ConfigurationError, TypeError)) as caught:
        kind(api_key=KEY, **options)
    return caught.value


@pytest.mark.parametrize(
    "options",
    [
        {"shop_id": ""},
        {"shop_id": "a b"},
        {"shop_id": "s", "base_url": "http://elsewhere.example"},
        {"shop_id": "s", "base_url": "nonsense"},
        {"shop_id": "s", "base_url": ""},
        {"shop_id": "s", "environment": "staging"},
        {"shop_id": "s", "locale": "xx"},
        {"shop_id": "s", "origin": "a\r\nX-Evil: 1"},
        {"shop_id": "s", "user_agent": "a\nb"},
        {"shop_id": "s", "timeout": 0},
        {"shop_id": "s", "rate_limits": {"shops": RateLimit(1, per=1)}},
    ],
    ids=str,
)
def test_settings_that_cannot_work_are_refused_without_telling_the_key(options, monkeypatch):
    assert leaks(told_by(construct(NeuroonClient, **options))) == []
    monkeypatch.setenv("NEUROON_API_KEY", KEY)
    if options["shop_id"]:
        with pytest.raises(ConfigurationError) as caught:
            NeuroonClient.from_env(**options)
        assert leaks(told_by(caught.value)) == []


@pytest.mark.parametrize(
    "options", [{}, {"shop_id": "s", "base_url": "nonsense"}, {"shop_id": "s", "proxy": "nonsense"}]
)
def test_a_key_among_the_arguments_of_from_env_is_not_told_either(options, monkeypatch):
    monkeypatch.delenv("NEUROON_SHOP_ID", raising=False)
    with pytest.raises(ConfigurationError) as caught:
        NeuroonClient.from_env(api_key=KEY, **options)
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
    assert leaks("".join(repr(frame.locals) for frame in frames if "neuroon_async/" in frame.filename)) == []


PASSWORD = "hunter2-of-the-proxy"


@pytest.mark.parametrize(
    "options",
    [
        {"proxy": f"socks5://user:{PASSWORD}@proxy.example:1"},
        {"proxy": f"http://user:{PASSWORD}@proxy.example:x"},
        {"proxy": f"http://user:{PASSWORD}@proxy.example:1", "base_url": "nonsense"},
        {"proxy": f"http://user:{PASSWORD}@proxy.example:1", "ssl": "/no/such/file"},
        {"proxy": f"http://user:{PASSWORD}@proxy.example:1", "timeout": 0},
    ],
    ids=lambda options: ", ".join(options) + options["proxy"][:5],
)
@pytest.mark.parametrize("way", ["argument", "from_env", "environment"])
def test_a_proxys_password_is_not_among_the_local_variables_of_an_error(options, way, monkeypatch):
    monkeypatch.setenv("NEUROON_API_KEY", KEY)
    monkeypatch.setenv("NEUROON_SHOP_ID", "shop_1")
    if way == "environment":
        monkeypatch.setenv("HTTPS_PROXY", options["proxy"])
        options = {name: value for name, value in options.items() if name != "proxy"}
    with pytest.raises(ConfigurationError) as caught:
        if way == "argument":
            NeuroonClient(shop_id="shop_1", api_key=KEY, **options)
        else:
            NeuroonClient.from_env(**options)
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
    told = str(caught.value) + "".join(repr(frame.locals) for frame in frames if "neuroon_async/" in frame.filename)
    assert leaks(told) == []
    assert PASSWORD not in told


def test_a_signer_that_cannot_work_is_refused_without_telling_the_key():
    assert leaks(told_by(construct(WidgetTokenSigner, shop_id="a b"))) == []


@pytest.mark.parametrize("key", [f"{KEY}\n", f"{KEY}\r\nX-Evil: 1", f" {KEY}", f"{KEY}ü", f"{KEY}\0"])
def test_a_key_that_would_inject_a_header_is_refused_without_being_quoted(key):
    with pytest.raises(ConfigurationError, match="the API key holds spaces, line breaks") as caught:
        NeuroonClient(shop_id="shop_1", api_key=key)
    assert leaks(told_by(caught.value, with_locals=False)) == []


def test_a_key_of_another_shape_is_warned_of_without_being_quoted():
    with pytest.warns(UserWarning, match="API key") as warned:
        NeuroonClient(shop_id="shop_1", api_key=f"sk_live_{HEX}")
    assert leaks(" ".join(str(each.message) for each in warned)) == []


async def test_bad_input_does_not_tell_the_key():
    async with pair() as (_, client):
        bad = Product(external_id="A", name="", price=-1, url="")
        order = Conversion(order_id="", order_value=-1, currency="EURO", conversions=[])
        for call, kind in (
            (lambda: client.products.sync_batch([bad]), InvalidProduct),
            (lambda: client.products.sync_batch([PRODUCT], idempotency_key="a\r\nb"), ConfigurationError),
            (lambda: client.products.delete(""), ConfigurationError),
            (lambda: client.domain.verify("nonsense"), ConfigurationError),
            (lambda: client.conversions.track(order), InvalidConversion),
        ):
            with pytest.raises(kind) as caught:
                await call()
            assert leaks(told_by(caught.value)) == []


ESCAPED = "".join(f"\\u{ord(letter):04x}" for letter in KEY)


@pytest.mark.parametrize("echo", [KEY, f"{KEY[:20]}…", ESCAPED], ids=["whole", "cut off", "escaped"])
@pytest.mark.parametrize("status", [200, 400, 500])
async def test_a_server_that_echoes_the_key_does_not_make_us_tell_it(echo, status):
    body = f'{{"failed":1,"message":"{echo}","errors":[{{"externalId":"A","error":"{echo} is bad"}}]}}'.encode()
    fault = Fault.status(status, body=body, headers={"X-Request-ID": f"r-{KEY}"})
    async with pair(retry=RetryPolicy(attempts=1, initial=0.001)) as (emulator, client):
        emulator.fail("sync_products", fault, every=1)
        report = await client.products.sync([PRODUCT])
        assert report.failed == 1
        assert not leaks(repr(report) + str(report.failures[0]))


ECHO = f'{{"failed":1,"errors":[{{"externalId":"{KEY}","error":"{KEY} is bad"}}],"domain":"{KEY}","shopId":"{KEY}"}}'


@pytest.mark.parametrize(
    ("endpoint", "call", "field"),
    [
        ("sync_products", lambda client: client.products.sync_batch([PRODUCT]), lambda it: it.errors[0].external_id),
        ("verify_domain", lambda client: client.domain.verify("https://shop.example"), lambda it: it.domain),
        ("verification_data", lambda client: client.domain.verification_data(), lambda it: it.domain),
    ],
    ids=["sync_batch", "verify", "verification_data"],
)
async def test_an_answer_that_echoes_the_key_keeps_it_and_does_not_show_it(endpoint, call, field):
    async with pair() as (emulator, client):
        emulator.fail(endpoint, Fault.status(200, body=ECHO.encode()))
        answer = await call(client)
    assert field(answer) == KEY  # what the server wrote is never rewritten
    shown = [answer, list(answer.__rich_repr__()), *getattr(answer, "errors", ())]
    assert not leaks("".join(f"{one!r} {one!s}" for one in shown))
    assert type(answer).__name__ in repr(answer)
    assert answer == type(answer)(**{name: getattr(answer, name) for name in answer.__struct_fields__})
