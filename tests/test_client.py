"""`NeuroonClient` itself: what it is made of, what its copies share, what it refuses."""

import asyncio
import copy
import pickle

import pytest
from clients import client_of

import neuroon_async
from neuroon_async import (
    DOCUMENTED_RATE_LIMITS,
    ConfigurationError,
    Environment,
    LocalLimiter,
    NeuroonClient,
    RateLimit,
    RetryPolicy,
    Shop,
)
from neuroon_async.testing import Emulator, Fault

KEY = "sk_" + "0" * 32
CREDENTIALS = {"shop_id": "shop_1", "api_key": KEY}
VARIABLES = ("NEUROON_API_URL", "NEUROON_API_KEY", "NEUROON_SHOP_ID")


def address(client):
    return client._transport.settings.base_url


def test_it_is_made_without_a_loop_and_shows_where_it_leads():
    client = NeuroonClient(**CREDENTIALS)
    assert repr(client) == "NeuroonClient(shop_id='shop_1', base_url='https://api.neuroon.ai')"
    assert client.shop_id == "shop_1"
    assert client._transport.timeout == 30.0
    assert client._transport.retry == RetryPolicy(attempts=5, initial=1.0, maximum=60.0, deadline=None)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "https://api.neuroon.ai"),
        ({"environment": Environment.DEVELOPMENT}, "https://dev-api.neuroon.ai"),
        ({"environment": "https://dev-api.neuroon.ai"}, "https://dev-api.neuroon.ai"),
        ({"base_url": "https://proxy.example/neuroon/"}, "https://proxy.example/neuroon"),
        ({"base_url": "http://127.0.0.1:8765", "environment": Environment.DEVELOPMENT}, "http://127.0.0.1:8765"),
    ],
)
def test_addresses(options, expected):
    assert address(NeuroonClient(**CREDENTIALS, **options)) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base_url": "http://api.neuroon.ai"}, "plain http to api.neuroon.ai"),
        ({"base_url": "http://192.168.1.7:8765"}, "plain http to 192.168.1.7"),
        ({"base_url": ""}, "base_url must be an absolute URL"),
        ({"base_url": "https://api.neuroon.ai\n"}, "it holds a space, a line break or a letter"),
        ({"base_url": "https://m\xfcller.example"}, "letter beyond ASCII"),
        ({"environment": "production"}, "Environment.PRODUCTION, Environment.DEVELOPMENT, got 'production'"),
        ({"locale": "xx"}, "locale must be one of es, en"),
        ({"rate_limits": {"sync": RateLimit(1, per=1)}}, "names no endpoint sync; the names are shop, sync_products"),
        ({"shop_id": "a b"}, "shop_id"),
        ({"api_key": ""}, "the API key is empty; pass api_key or set NEUROON_API_KEY"),
        ({"user_agent": "x\r\ny"}, "user_agent must be printable"),
        ({"origin": "x\ny"}, "origin must be printable"),
    ],
    ids=str,
)
def test_settings_that_cannot_work_are_refused_at_once(options, message):
    with pytest.raises(ConfigurationError, match=message.replace(".", r"\.")):
        NeuroonClient(**{**CREDENTIALS, **options})


# From the environment


@pytest.fixture
def environment(monkeypatch):
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)

    def set_variables(**values):
        for name, value in values.items():
            monkeypatch.setenv(f"NEUROON_{name}", value)

    return set_variables


def test_from_env(environment):
    environment(API_KEY=KEY, SHOP_ID="shop_env", API_URL="http://localhost:1")
    client = NeuroonClient.from_env(timeout=3.0)
    assert (client.shop_id, address(client)) == ("shop_env", "http://localhost:1")
    assert client._transport.settings.api_key.reveal() == KEY
    assert client._transport.timeout == 3.0


def test_arguments_win_over_the_environment(environment):
    environment(API_KEY=KEY, SHOP_ID="shop_env", API_URL="http://localhost:1")
    other = "sk_" + "1" * 32
    client = NeuroonClient.from_env(shop_id="shop_arg", api_key=other, base_url="http://localhost:2")
    assert (client.shop_id, address(client)) == ("shop_arg", "http://localhost:2")
    assert client._transport.settings.api_key.reveal() == other
    assert address(NeuroonClient.from_env(environment=Environment.DEVELOPMENT)) == Environment.DEVELOPMENT


def test_without_an_address_in_the_environment_it_is_production(environment):
    environment(API_KEY=KEY, SHOP_ID="shop_env", API_URL="")
    assert address(NeuroonClient.from_env()) == Environment.PRODUCTION


@pytest.mark.parametrize("missing", ["API_KEY", "SHOP_ID"])
def test_a_missing_variable_is_named(environment, missing):
    environment(**{name: value for name, value in {"API_KEY": KEY, "SHOP_ID": "s"}.items() if name != missing})
    with pytest.raises(ConfigurationError, match=f"the environment variable NEUROON_{missing} is not set"):
        NeuroonClient.from_env()


# Copies with other options


@pytest.mark.virtual_time
async def test_copies_share_session_and_limits():
    limits = {"shop": RateLimit(2, per=50.0)}
    async with Emulator(algorithm="off") as emulator, client_of(emulator, rate_limits=limits) as client:
        hurried = client.with_options(timeout=2.0, retry=RetryPolicy(attempts=1))
        started = asyncio.get_running_loop().time()
        for each in (client, hurried, client.with_options()):
            await each.shop()
        assert asyncio.get_running_loop().time() - started >= 49.0
        assert client.limits() == hurried.limits()
        assert len({request.connection for request in emulator.requests}) <= 2
        assert client._session._session is hurried._session._session


async def test_a_copy_differs_only_in_what_was_asked_for(emulator):
    policy = RetryPolicy(attempts=2)
    async with client_of(emulator, retry=policy, timeout=7.0, locale="ca") as client:
        one, other = client.with_options(timeout=2.0), client.with_options(retry=RetryPolicy(attempts=1))
        assert (one._transport.timeout, one._transport.retry) == (2.0, policy)
        assert one._transport.retry.budget is policy.budget
        assert (other._transport.timeout, other._transport.retry.attempts) == (7.0, 1)
        assert (client._transport.timeout, client._transport.retry) == (7.0, policy)
        await one.domain.verification_data()
        assert emulator.requests[0].headers["Accept-Language"] == "ca"


async def test_every_resource_of_a_copy_follows_its_options(emulator):
    async with client_of(emulator) as client:
        hurried = client.with_options(retry=RetryPolicy(attempts=1))
        emulator.fail("verify_domain", Fault.too_many_requests(60))
        emulator.fail("delete_product", Fault.status(500))
        for call in (hurried.domain.verify("https://shop.example"), hurried.products.delete("A")):
            with pytest.raises(neuroon_async.APIError):
                await call
        assert len(emulator.requests) == 2


async def test_a_subclass_keeps_its_class_and_its_attributes_in_a_copy(emulator):
    class Mine(NeuroonClient):
        def __init__(self, **options):
            super().__init__(**options)
            self.tenant = "t-1"

    client = Mine(**CREDENTIALS)
    assert type(client.with_options(timeout=1.0)) is Mine
    assert client.with_options(timeout=1.0).tenant == "t-1"


# Limits


async def test_limits_tell_what_is_left(emulator):
    async with client_of(emulator) as client:
        assert {name: state.available for name, state in client.limits().items()} == {
            name: limit.requests for name, limit in DOCUMENTED_RATE_LIMITS.items()
        }
        await client.shop()
        assert client.limits()["shop"].available == 59


async def test_a_given_table_overrides_by_name(emulator):
    async with client_of(emulator, rate_limits={"shop": RateLimit(3, per=1.0)}) as client:
        assert client.limits()["shop"].requests == 3
        assert client.limits()["verify_domain"].requests == 5


async def test_without_limits_there_are_none(emulator):
    async with client_of(emulator, rate_limits=None) as client:
        assert client.limits() == {}
        await asyncio.gather(*(client.domain.verification_data() for _ in range(50)))
    assert len(emulator.requests) == 50


@pytest.mark.virtual_time
async def test_one_limiter_can_serve_several_clients():
    limiter = LocalLimiter({**DOCUMENTED_RATE_LIMITS, "shop": RateLimit(2, per=50.0)})
    async with (
        Emulator(algorithm="off") as emulator,
        client_of(emulator, limiter=limiter) as one,
        client_of(emulator, limiter=limiter, rate_limits=None) as other,
    ):
        started = asyncio.get_running_loop().time()
        for each in (one, other, one):
            await each.shop()
        assert asyncio.get_running_loop().time() - started >= 49.0


async def test_shop_and_health(emulator):
    async with client_of(emulator) as client:
        assert isinstance(await client.shop(), Shop)
        assert await client.health() is True


async def test_many_calls_at_once_through_one_client(emulator):
    async with client_of(emulator, rate_limits=None) as client:
        shops = await asyncio.gather(*(client.shop() for _ in range(150)))
    assert len(shops) == len(emulator.requests) == 150


def test_every_public_name_is_there_once():
    assert len(set(neuroon_async.__all__)) == len(neuroon_async.__all__)
    for name in neuroon_async.__all__:
        assert getattr(neuroon_async, name) is not None


@pytest.mark.parametrize("name", ["limiter", "session", "instrumentation"])
def test_an_object_that_cannot_do_its_work_is_refused_by_name(name):
    with pytest.raises(ConfigurationError, match=rf"{name} must be an? .*got int"):
        NeuroonClient(shop_id="shop_1", api_key="sk_" + "0" * 32, **{name: 5})


@pytest.mark.parametrize("take", [pickle.dumps, copy.deepcopy])
async def test_a_client_that_was_used_is_not_taken_to_another_process(emulator, take):
    async with emulator.client() as client:
        await client.shop()
        for each in (client, client.with_options(timeout=1), client.products):
            with pytest.raises(TypeError, match=r"neither pickled nor deep-copied|is not pickled"):
                take(each)
