"""Arguments of a wrong kind at the public surface: each is refused by name, with the documented kind of error, at once.

What a type checker would tell anyway is told here to those who have none: settings that come as text from the
environment above all, where ``"false"`` is true and ``"abc"`` is a list of letters.
"""

import asyncio
import math
import time
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from neuroon_async import (
    DOCUMENTED_RATE_LIMITS,
    ClickLog,
    Conversion,
    ConversionItem,
    DeadLetterFile,
    InvalidConversion,
    InvalidProduct,
    LocalLimiter,
    MachineLimiter,
    NeuroonClient,
    NeuroonError,
    OrderLine,
    Product,
    RateLimit,
    RetryPolicy,
    SQLiteLedger,
    WidgetTokenSigner,
    blocking,
)
from neuroon_async.catalogs import Catalog, check_catalog, read_catalog
from neuroon_async.catalogs.fixing import FixedCopy
from neuroon_async.errors import ConfigurationError, UsageError
from neuroon_async.markets import Market, sync_markets
from neuroon_async.outbox import ConversionOutbox
from neuroon_async.testing import Emulator, Fault, FaultRule, Readings, verify_widget_token
from neuroon_async.testing.faults import Ending

KEY = "sk_" + "0" * 32


class Unshowable:
    def __repr__(self):
        raise ValueError("its repr fails")


async def later(*_):
    raise AssertionError("nothing should have awaited this")


def piecemeal(*_):
    yield "never run"


TEXTS = ("", "8", "false", b"x", "\ud800")
OTHERS = ([], {}, object(), datetime(2026, 1, 1, tzinfo=UTC), Decimal("NaN"), Fraction(1, 2), Path("x"), Unshowable())
NO_DURATION = (*TEXTS, *OTHERS, True, -1, math.nan, -math.inf, 10**400, Decimal(1))
NO_SECONDS = (*NO_DURATION, math.inf)
NO_COUNT = (*TEXTS, *OTHERS, True, 0, -1, 2.5, math.nan, 2**63, 10**5000)
NO_WHOLE = (*TEXTS, *OTHERS, True, -1, 2.5, math.nan, 2**63, 10**5000)
NO_FLAG = (*TEXTS, *OTHERS, None, 0, 1)
NO_TEXT = (None, 5, "", b"x", True, "\ud800", [], {})
NO_PATH = (None, 5, "", b"x", [], {}, object(), True)
NO_CALLBACK = (5, "print", [], {}, piecemeal)
NO_FUNCTION = (*NO_CALLBACK, later, partial(later, 1))
NO_ENDPOINT = (None, 5, "shops", b"shop", [], {})
NO_TABLE = (5, "shop", [], {"shop": 5}, {"shop": "10/60"}, object())


def set_on_emulator(**state):
    for name, value in state.items():
        setattr(Emulator(), name, value)


TABLE = [
    (NeuroonClient, {"shop_id": "s", "api_key": KEY}, {
        "timeout": (*NO_SECONDS, 0, None),
        "allow_plain_http": NO_FLAG,
        "environment": (None, 5, "production", [], {}),
        "limiter": (5, "x", LocalLimiter, object()),
        "session": (5, "x", object()),
        "proxy": (5, b"x", [], later, piecemeal),
        "headers": (5, 0, "", "a: b", [], {"a": 5}),
        "locale": (5, "xx", b"es", [], Unshowable()),
        "instrumentation": (5, SimpleNamespace, object(), SimpleNamespace(attempt=print)),
        "rate_limits": (*NO_TABLE, {"shops": None}),
        "retry": (5, "3", RetryPolicy, {}),
        "base_url": (5, b"x", "", "https://sh[]op", "https://api.example:99999", []),
    }),
    (RateLimit(10, per=1.0).share_of, {}, {"workers": (*NO_COUNT, None)}),
    (RateLimit, {"requests": 10, "per": 1.0}, {
        "requests": (*NO_COUNT, None), "per": (*NO_SECONDS, 0, None), "burst": NO_COUNT,
    }),
    (RetryPolicy, {}, {
        "attempts": (*NO_COUNT, None),
        "initial": (*NO_SECONDS, None),
        "maximum": (*NO_SECONDS, None),
        "deadline": (*NO_SECONDS, 0),
        "bulk_deadline": (*NO_SECONDS, 0),
        "outage_patience": NO_SECONDS,
        "budget": (5, "500"),
    }),
    (LocalLimiter, {}, {"rate_limits": (None, *NO_TABLE)}),
    (MachineLimiter, {"path": "x.limits", "shop_id": "s"}, {
        "path": NO_PATH, "shop_id": NO_TEXT, "latency": (*NO_SECONDS, None), "rate_limits": (None, *NO_TABLE),
    }),
    (SQLiteLedger, {"path": "x.ledger"}, {
        "path": NO_PATH, "request_lifetime": (*NO_SECONDS, None), "clock": (None, *NO_FUNCTION),
    }),
    (ConversionOutbox, {"path": "x.outbox"}, {
        "path": NO_PATH,
        "shop_id": NO_TEXT[1:],
        "initial_backoff": (*NO_SECONDS, None),
        "max_backoff": (*NO_SECONDS, None),
        "lease": (*NO_SECONDS, 0, None),
        "poll_interval": (*NO_SECONDS, 0, None),
        "keep_delivered": (*NO_DURATION, None),
        "concurrency": (*NO_COUNT, None, 1001),
        "clock": (None, *NO_FUNCTION),
    }),
    (DeadLetterFile, {}, {"path": NO_PATH}),
    (FixedCopy, {}, {"path": NO_PATH}),
    (WidgetTokenSigner, {"shop_id": "s", "api_key": KEY}, {"clock": (None, *NO_FUNCTION)}),
    (WidgetTokenSigner("s", KEY).script_tag, {}, {
        "container": (None, 5, b"x", [], "\ud800"),
        "script_url": (5, b"x", [], "\ud800", "javascript:alert(1)", "https://"),
        "load_async": NO_FLAG,
        "locale": (5, b"es", [], {}, Unshowable()),
        "theme": (None, 5, "blue", [], {}, Unshowable()),
        "position": (5, "left", [], {}, Unshowable()),
        "api_url": (5, b"x", "", [], "api", Unshowable()),
        "version": (5, b"1", "", [], "latest", Unshowable()),
        "integrity": (5, b"x", [], "md5-x"),
        "nonce": (5, b"x", "", [], "a b", Unshowable()),
    }),
    (ClickLog.parse, {}, {"cookie": (5, {}, {"neuroon_clicks": "{}"}, object())}),
    (ClickLog, {}, {"entries": ("{}", None, 5)}),
    (Market, {"name": "es", "products": NeuroonClient(shop_id="s", api_key=KEY).products}, {
        "name": NO_TEXT, "products": (None, 5, object(), NeuroonClient), "reading": (5, []), "sending": ("x", []),
    }),
    (Emulator, {}, {
        "latency": (*NO_SECONDS, None),
        "jitter": (*NO_SECONDS, None),
        "grace": (*NO_SECONDS, None),
        "rate_headers": NO_FLAG,
        "keep_bodies": NO_FLAG,
        "require_verified": NO_FLAG,
        "port": (*NO_WHOLE, None, 70_000),
        "host": NO_TEXT,
        "shop_id": NO_TEXT,
        "shop_name": (None, 5, b"x", "\ud800", []),
        "shop_url": NO_TEXT[1:],
        "verification_code": NO_TEXT,
        "api_key": (*NO_TEXT, "a\nb"),
        "readings": (None, 5, Readings, "older", {}),
        "rate_limits": (*NO_TABLE, {"shops": None}),
        "algorithm": (None, 5, "leaky", [], {}),
        "aligned": (None, 5, "last", [], {}),
        "retry_after": (None, -1, math.inf, "dates", b"x", []),
        "seed": (*NO_WHOLE, None),
        "max_body_bytes": NO_WHOLE,
        "max_products": (*NO_WHOLE, None),
        "keepalive_timeout": (*NO_SECONDS, None),
        "require_search_log_id": NO_FLAG,
        "name_all_missing_parents": NO_FLAG,
        "full_semantics": (None, 5, "erase", [], {}),
        "upsert": (None, 5, "insert", [], {}),
        "reject_item": NO_FUNCTION,
        "reject_batch": NO_FUNCTION,
        "wall_clock": (None, *NO_FUNCTION),
    }),
    (Emulator().fail, {"endpoint": "shop", "fault": Fault.drop()}, {
        "endpoint": (5, "shops", b"shop", [], {}),
        "fault": (None, 5, "drop", 503, Fault, Fault.drop),
        "times": NO_WHOLE,
        "every": NO_COUNT,
        "when": NO_FUNCTION,
    }),
    (FaultRule, {"fault": Fault.drop()}, {"endpoint": ("shops", []), "every": (*NO_COUNT, None)}),
    (Emulator().set_limit, {"endpoint": "shop", "limit": None}, {
        "endpoint": NO_ENDPOINT, "limit": (5, "10", RateLimit, {}),
    }),
    (Emulator().limit, {}, {"endpoint": NO_ENDPOINT}),
    (Emulator().requests_to, {}, {"endpoint": NO_ENDPOINT}),
    (set_on_emulator, {}, {"verified": NO_FLAG, "readings": (None, 5, Readings, "older")}),
    (Readings, {}, {
        "answers": (None, 5, "oldest", [], Unshowable(), 10**5000), "foreign_shop": (None, 404, "403", []),
    }),
    (Fault, {}, {
        "ending": (None, "DROP", Ending),
        "processed": NO_FLAG,
        "delay": (*NO_SECONDS, None),
        "scripted": NO_FUNCTION,
    }),
    (Fault.status, {"status": 503}, {
        "status": (*NO_COUNT, None, 99, 600),
        "message": (None, 5, b"x", "\ud800", []),
        "shape": (5, "xml", [], {}),
        "body": (5, "text", [], object(), {"a": object()}, {"a": "\ud800"}),
        "headers": (5, "a: b", [], {"a": 5}, {5: "a"}, {"a": "b\r\nc: d"}, {"a\n": "b"}),
        "processed": NO_FLAG,
    }),
    (Fault.too_many_requests, {}, {"retry_after": (-1, math.nan, math.inf, 10**400, True, b"x", [], "a\nb", "\ud800")}),
    (Fault.html, {}, {"status": (None, "502", 600), "processed": NO_FLAG}),
    (Fault.garbage, {}, {"body": (None, "<p>", 5, [], {}), "processed": NO_FLAG}),
    (Fault.slow, {}, {"seconds": (*NO_SECONDS, None)}),
    (verify_widget_token, {"token": "x", "api_key": KEY, "now": 1.0}, {
        "token": (None, 5, b"x", []),
        "api_key": (*NO_TEXT, "a\nb"),
        "now": (*NO_SECONDS, None),
    }),
    (blocking.run, {"coroutine": None}, {"coroutine": (None, 5, print)}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "sound", "options"),
    TABLE,
    ids=[f"{number}-{make.__qualname__}" for number, (make, _, _) in enumerate(TABLE)],
)
def test_each_option_refuses_what_it_cannot_be(make, sound, options):
    for option, values in options.items():
        for value in values:
            assert_refused(make, sound, option, value)


def assert_refused(make, sound, option, value):
    with pytest.raises(ConfigurationError, match=rf"^(unknown |the |\w+\.)?{option}\b") as caught:
        make(**{**sound, option: value})
    assert KEY not in str(caught.value)
    assert len(str(caught.value)) < 500


SYNC = {
    "concurrency": (*NO_COUNT, None),
    "batch_size": (*NO_COUNT, None, 501),
    "max_batch_bytes": (*NO_COUNT, None),
    "allow_multi_request_full": NO_FLAG,
    "delete_missing": NO_FLAG,
    "max_delete_fraction": (*NO_SECONDS, None, 1.5),
    "flush_after": (*NO_SECONDS, 0),
    "ledger": (5, "x.ledger", SQLiteLedger, object()),
    "to_product": NO_FUNCTION,
    "on_progress": NO_CALLBACK,
    "on_failure": NO_CALLBACK,
    "on_accepted": NO_CALLBACK,
}


async def test_a_sync_refuses_what_its_options_cannot_be_before_it_reads_anything():
    def never():
        raise AssertionError("the source was read")
        yield

    async with NeuroonClient(shop_id="s", api_key=KEY, base_url="http://127.0.0.1:9") as client:
        for option, values in SYNC.items():
            for value in values:
                with pytest.raises(UsageError, match=rf"\b{option}\b"):
                    await client.products.sync(never(), **{option: value})


async def test_calls_refuse_what_their_arguments_cannot_be(tmp_path):
    outbox = ConversionOutbox(tmp_path / "outbox")
    ledger = SQLiteLedger(tmp_path / "ledger")
    limiter = MachineLimiter(tmp_path / "limits", shop_id="s")
    local = LocalLimiter(DOCUMENTED_RATE_LIMITS)
    emulator = Emulator()
    async with NeuroonClient(shop_id="s", api_key=KEY, base_url="http://127.0.0.1:9") as client, outbox:
        calls = [
            ("timeout", NO_SECONDS, lambda value: client.shop(timeout=value)),
            ("short_path", NO_FLAG, lambda value: client.domain.verify("https://shop.example", short_path=value)),
            ("limit", (*NO_WHOLE, None), outbox.dead_letters),
            ("order_ids", (5, "abc", b"abc", [5], [None], {"a": 1}), outbox.retry_dead),
            ("order_ids", (5, "abc", b"abc", [5], [""]), outbox.purge_dead),
            (
                "drain_timeout",
                (*NO_DURATION, None),
                lambda value: _entered(outbox.delivering(client, drain_timeout=value)),
            ),
            ("client", (None, 5, "x", NeuroonClient), lambda value: _entered(outbox.delivering(value))),
            ("shop", NO_TEXT, ledger.forget_shop),
            ("shop", NO_TEXT, lambda value: ledger.held(value, ["a"])),
            ("shop", NO_TEXT, lambda value: _entered(ledger.run(value))),
            ("endpoint", NO_ENDPOINT, limiter.acquire),
            ("endpoint", NO_TEXT, local.acquire),
            *(
                (name, values, lambda value, name=name, each=each: each.acquire("shop", **{name: value}))
                for each in (limiter, local)
                for name, values in (("bulk", NO_FLAG), ("deadline", ("1", True, math.nan, math.inf, 10**400, [])))
            ),
            ("endpoint", NO_ENDPOINT, emulator.remaining),
            ("endpoint", NO_ENDPOINT, emulator.spend),
            ("requests", (*NO_WHOLE, None), lambda value: emulator.spend("shop", value)),
            ("predicate", (None, *NO_FUNCTION), emulator.wait_for),
            ("timeout", NO_SECONDS, lambda value: emulator.wait_for(list, timeout=value)),
            ("markets", (None, 5, "es", [5], [client]), lambda value: sync_markets("x.csv", value)),
            ("on_progress", NO_CALLBACK, lambda value: sync_markets("x.csv", [], on_progress=value)),
            (
                "mapping",
                (5, "x", []),
                lambda value: sync_markets("x.csv", [Market("a", client.products)], mapping=value),
            ),
        ]
        for name, values, call in calls:
            for value in values:
                with pytest.raises(ConfigurationError, match=rf"\b{name}\b"):
                    await call(value)
    assert not (tmp_path / "ledger").exists()


async def test_delivered_conversions_may_be_kept_for_ever_and_the_rest_sent_without_a_bound(tmp_path):
    outbox = ConversionOutbox(tmp_path / "outbox", keep_delivered=math.inf)
    async with (
        Emulator() as server,
        NeuroonClient(shop_id=server.shop_id, api_key=server.api_key, base_url=server.url) as client,
    ):
        await _entered(outbox.delivering(client, drain_timeout=math.inf))
    async with outbox:
        assert (await outbox.stats()).pending == 0


async def test_markets_come_in_any_order_that_can_be_read_once():
    client = NeuroonClient(shop_id="s", api_key=KEY)
    by_name = {name: Market(name, client.products) for name in ("es", "en")}
    for markets in (by_name.values(), iter(by_name.values())):
        with pytest.raises(ConfigurationError, match="mapping"):  # the check that comes after theirs
            await sync_markets("x.csv", markets, mapping=5)


async def _entered(context):
    async with context:
        pass


def test_an_order_of_other_kinds_than_lines_and_clicks():
    order = {"order_id": "1", "order_value": 1, "currency": "EUR"}
    line = OrderLine(product_id="A", quantity=1, line_total=1)
    for lines in (None, 5, "abc", b"x", {"A": 1}, [{"product_id": "A"}], ["A"]):
        with pytest.raises(InvalidConversion, match="lines"):
            Conversion.from_order(**order, lines=lines, clicks=ClickLog())
    for clicks in (None, "%7B%7D", {"A": "log"}):
        with pytest.raises(InvalidConversion, match=r"clicks.*ClickLog.parse"):
            Conversion.from_order(**order, lines=[line], clicks=clicks)
    clicks = ClickLog({"A": "log"})
    assert clicks.get([]) is None
    assert [] not in clicks
    assert Conversion.from_order(**order, lines=(line for _ in range(1)), clicks=clicks).left_out == ()


def test_a_product_of_what_is_no_mapping():
    for nothing in (None, 5, "abc", [], [("externalId", "A")]):
        with pytest.raises(InvalidProduct, match="must be a mapping"):
            Product.from_mapping(nothing)


def test_what_a_catalog_tells_is_told_to_plain_functions(tmp_path):
    path = tmp_path / "products.csv"
    path.write_text("external_id,name,price,url\nA,Tea,4.5,https://shop.example/tea\n", encoding="utf-8")
    for value in NO_FUNCTION:
        for name in ("on_finding", "on_product"):
            assert_refused(check_catalog, {"catalog": read_catalog(path)}, name, value)
        with pytest.raises(UsageError, match="on_change"):
            read_catalog(path).on_change = value
    for value in (None, 5, str(path), Catalog):
        assert_refused(check_catalog, {}, "catalog", value)


def test_blocking_refuses_a_timeout_and_leaves_no_coroutine_behind():
    async def never():
        raise AssertionError("it ran")

    for timeout in ("8", -1, math.nan, True):
        with pytest.raises(UsageError, match="timeout"):
            blocking.run(never(), timeout=timeout)


NO_TIME = (None, "0", math.nan, math.inf, -1, True, time.time_ns(), time.time() * 1000, datetime.now(UTC))


async def test_a_clock_that_gives_no_unix_time_is_named(tmp_path):
    line = ConversionItem("p", "log", 1, 1)
    order = Conversion(order_id="1", order_value=1, currency="EUR", conversions=[line])

    async def ledger(path, clock):
        async with SQLiteLedger(path, clock=clock).run("s") as run:
            await run.invalidate(["a"])

    async def outbox(path, clock):
        async with ConversionOutbox(path, clock=clock) as opened:
            await opened.enqueue(order)

    for number, time_given in enumerate(NO_TIME):

        def clock(given=time_given):
            return given

        with pytest.raises(UsageError, match=r"^clock must give the Unix time in seconds, as time.time does; it gave"):
            WidgetTokenSigner("s", KEY, clock=clock).token()
        with pytest.raises(UsageError, match=r"^clock must give the Unix time"):
            await ledger(tmp_path / f"{number}.ledger", clock)
        with pytest.raises(UsageError, match=r"^clock must give the Unix time"):
            await outbox(tmp_path / f"{number}.outbox", clock)


async def test_an_emulators_clock_that_gives_no_unix_time_is_named():
    once = RetryPolicy(attempts=1)
    with pytest.RaisesGroup(pytest.RaisesExc(UsageError, match="wall_clock must give the Unix time")):
        async with Emulator(wall_clock=lambda: math.nan) as emulator, emulator.client(retry=once) as client:
            with pytest.raises(NeuroonError):
                await client.shop()


async def test_a_policy_that_gives_no_seconds_is_named_and_costs_no_slot(emulator):
    class Wrong(RetryPolicy):
        seconds = None

        def wait(self, attempt, error):
            return self.seconds

        def backoff(self, attempt):
            return self.seconds

    class Awaited(RetryPolicy):
        async def should_retry(self, endpoint, error):
            return True

    class Without(RetryPolicy):
        wait = None

    with pytest.raises(UsageError, match=r"retry\.should_retry must be a plain function, got an async one"):
        emulator.client(retry=Awaited())
    with pytest.raises(UsageError, match=r"retry\.wait must be a function, got None"):
        emulator.client(retry=Without())
    limits = {"shop": RateLimit(1, per=0.02)}
    async with emulator.client(retry=Wrong(deadline=30.0), rate_limits=limits) as client:
        for Wrong.seconds in (None, "1", math.nan, math.inf, True):
            for fault, method in ((Fault.too_many_requests(), "backoff"), (Fault.status(503), "wait")):
                emulator.fail("shop", fault)
                with pytest.raises(UsageError, match=rf"retry\.{method} must give a number of seconds; it gave"):
                    await client.shop()


def test_an_address_that_is_none_beside_a_proxy(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    for url in ("https://sh[]op", "https://api.example:99999", "api.example"):
        monkeypatch.setenv("NEUROON_API_URL", url)
        with pytest.raises(ConfigurationError, match="base_url"):
            NeuroonClient.from_env(shop_id="s", api_key=KEY)
    with pytest.raises(ConfigurationError, match="base_url"):
        NeuroonClient.from_env(shop_id="s", api_key=KEY, base_url=5)


def test_what_is_right_is_taken(tmp_path):
    LocalLimiter(DOCUMENTED_RATE_LIMITS)
    MachineLimiter(str(tmp_path / "x"), shop_id="s", latency=0)
    SQLiteLedger(tmp_path / "x", request_lifetime=0, clock=time.time)
    ConversionOutbox(tmp_path / "x", initial_backoff=0, max_backoff=0, keep_delivered=0, shop_id="s")
    RetryPolicy(initial=0, maximum=0, outage_patience=0, budget=None)

    async def answer():
        return 8

    assert blocking.run(answer(), timeout=10) == 8
    assert asyncio.run(answer()) == 8
