"""Arguments of a wrong kind at the integrations: refused where they are given, before a connection is made."""

import math
from functools import partial
from types import SimpleNamespace

import pytest

from neuroon_async import NeuroonClient, RateLimit, RetryPolicy
from neuroon_async.api.models import Conversion, ConversionItem
from neuroon_async.errors import ConfigurationError, UsageError

KEY = "sk_" + "0" * 32
NOWHERE = "redis://127.0.0.1:1"
NO_TEXT = (None, 5, "", b"x", "\ud800", [], {})


async def later(*_, **__):
    raise AssertionError("nothing should have awaited this")


def never(*_):
    return False


def piecemeal(*_, **__):
    yield "never run"


def refuses(call, options):
    for name, values in options.items():
        for value in values:
            with pytest.raises(ConfigurationError, match=name) as caught:
                call(**{name: value})
            assert KEY not in str(caught.value)


def test_a_pool_refuses_what_its_options_cannot_be():
    shop_pool = pytest.importorskip("neuroon_async.integrations.shop_pool")
    options = {
        "credentials": (None, 5, "x", piecemeal),
        "redis_url": (*NO_TEXT, "localhost", "http://127.0.0.1", "redis://:" + KEY + "@host:port"),
        "rate_limits": (None, 5, {"shops": RateLimit(1, per=1)}, {"shop": None}),
        "retry": (5, "3", RetryPolicy, {}, SimpleNamespace(should_retry=never, wait=never)),
        "user_agent": (5, "", "a\nb"),
        "instrumentation": (5, object(), SimpleNamespace(attempt=print)),
    }
    refuses(lambda **wrong: shop_pool.ShopPool(**{"credentials": later, "redis_url": NOWHERE} | wrong), options)


async def test_credentials_come_from_a_plain_function_or_are_refused_without_being_shown():
    shop_pool = pytest.importorskip("neuroon_async.integrations.shop_pool")
    async with (
        shop_pool.ShopPool(lambda _: shop_pool.ShopCredentials(KEY), NOWHERE) as pool,
        pool.client("shop_1") as client,
    ):
        assert client.shop_id == "shop_1"
    for given in (None, KEY, {"api_key": KEY}, shop_pool.ShopCredentials):
        async with shop_pool.ShopPool(lambda _, given=given: given, NOWHERE) as pool:
            with pytest.raises(UsageError, match="credentials must give ShopCredentials, gave") as caught:
                await pool.client("shop_1").__aenter__()
            assert KEY not in str(caught.value)
            for shop_id in NO_TEXT:
                with pytest.raises(UsageError, match="shop_id"):
                    await pool.client(shop_id).__aenter__()


def test_taskiq_refuses_what_is_no_broker_pool_or_name():
    taskiq = pytest.importorskip("neuroon_async.integrations.taskiq")
    pool = taskiq.ShopPool(later, NOWHERE)
    broker = taskiq.LeasedStreamBroker(NOWHERE)
    refuses(
        lambda **wrong: taskiq.install(**{"broker": broker, "pool": pool} | wrong),
        {"broker": (None, 5, taskiq.LeasedStreamBroker), "pool": (None, later, taskiq.ShopPool)},
    )
    refuses(
        lambda **wrong: taskiq.LeasedStreamBroker(**{"url": NOWHERE} | wrong),
        {"url": NO_TEXT, "queue_name": NO_TEXT, "lease": ("60", 0, math.inf, 1e300), "max_deliveries": (0, "5", 2**63)},
    )


async def test_starlette_refuses_what_makes_no_client():
    starlette = pytest.importorskip("neuroon_async.integrations.starlette")
    refuses(
        lambda **wrong: starlette.neuroon_lifespan(**{"clients": NeuroonClient.from_env} | wrong),
        {
            "clients": (None, 5, "x", later, piecemeal, {"es": 5}, {"es": later}),
            "lifespan": (5, "x", later, piecemeal),
            "request_deadline": (0, "10", math.inf),
        },
    )
    refuses(starlette.client_for, {"name": NO_TEXT})
    for connection in (None, 5, {}, object()):
        for get in (starlette.get_client, starlette.client_for("es")):
            with pytest.raises(UsageError, match="connection"):
                get(connection)
    for made in (None, 5, later):
        for factories in (lambda made=made: made, {"es": lambda session, made=made: made}):
            lifespan = starlette.neuroon_lifespan(factories)
            with pytest.raises(UsageError, match="clients must be functions that make a NeuroonClient"):
                await lifespan(starlette).__aenter__()


async def test_a_conversion_joins_no_transaction_that_cannot_be_awaited(tmp_path):
    store_of = pytest.importorskip("neuroon_async.integrations.sqlalchemy")
    sql, orm, aio = map(pytest.importorskip, ("sqlalchemy", "sqlalchemy.orm", "sqlalchemy.ext.asyncio"))
    pytest.importorskip("aiosqlite")

    refuses(
        partial(store_of.outbox_table, metadata=sql.MetaData()), {"metadata": (None, 5, sql.MetaData), "name": NO_TEXT}
    )
    order = Conversion(order_id="1", order_value=9, currency="EUR", conversions=[ConversionItem("A", "log", 1, 9)])
    path = tmp_path / "shop.sqlite3"
    engine = aio.create_async_engine(f"sqlite+aiosqlite:///{path}")
    store = store_of.SQLAlchemyOutboxStore(engine, "shop_1", keep_delivered=math.inf)
    await store.create_table()
    blocking = sql.create_engine(f"sqlite:///{path}")
    with orm.Session(blocking) as session, blocking.connect() as connection:
        for transaction in (None, 5, engine, aio.AsyncSession, session, connection):
            with pytest.raises(UsageError, match="transaction must be an AsyncSession or AsyncConnection"):
                await store.enqueue_in(transaction, order)
    blocking.dispose()
    assert (await store.stats()).pending == 0
    scoped = aio.async_scoped_session(aio.async_sessionmaker(engine), scopefunc=lambda: 1)
    async with scoped() as session, session.begin():
        await store.enqueue_in(scoped, order)
    await store.delivered("1")
    assert await store.lease("worker", 60, 1e6, 10) == []
    assert (await store.stats()).delivered == 1
    await engine.dispose()
