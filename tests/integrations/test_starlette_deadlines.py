"""Handlers of visitors who have left do not stand in line before the next one: what they get has a deadline."""

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from types import SimpleNamespace

import pytest
from fastapi import FastAPI
from starlette.requests import HTTPConnection

from neuroon_async import ConfigurationError, NeuroonClient, NeuroonError, Product, RateLimit, RateLimited, RetryPolicy
from neuroon_async.integrations.starlette import client_for, get_client, neuroon_lifespan
from neuroon_async.testing import Emulator, Fault

pytestmark = pytest.mark.virtual_time
PRODUCTS = [Product(external_id=f"P{n}", name="Tea", price=1, url="https://shop.example/a") for n in range(30)]


@asynccontextmanager
async def handlers(emulator, several=False, request_deadline=..., **options):
    """What a handler gets, and the app's own client."""
    settings = {"shop_id": emulator.shop_id, "api_key": emulator.api_key, "base_url": emulator.url}
    factory = partial(NeuroonClient, **settings, **options)
    app = FastAPI()
    more = {} if request_deadline is ... else {"request_deadline": request_deadline}
    lifespan = neuroon_lifespan({"es": factory} if several else factory, **more)
    async with lifespan(app) as state:
        connection = HTTPConnection({"type": "http", "headers": [], "state": state, "app": app})
        yield SimpleNamespace(
            handed=client_for("es")(connection) if several else get_client(connection),
            again=client_for("es")(connection) if several else get_client(connection),
            own=app.state.neuroon["es"] if several else app.state.neuroon,
        )


def now():
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize("several", [False, True])
async def test_a_thousand_ghosts_do_not_hold_up_the_next_visitor(several):
    limits = {"delete_product": RateLimit(100, per=60.0)}
    async with (
        Emulator(algorithm="off") as emulator,
        handlers(emulator, several, rate_limits=limits) as app,
    ):
        emulator.products.update({f"P{n}": {} for n in range(1_300)})
        started = now()
        ghosts = [asyncio.create_task(app.handed.products.delete(f"P{n}")) for n in range(1_200)]
        results = await asyncio.gather(*ghosts, return_exceptions=True)
        assert now() - started <= 10.1
        refused = [result for result in results if isinstance(result, RateLimited)]
        assert len(refused) >= 1_000
        assert all(error.local and error.retry_after > 0 for error in refused)
        await asyncio.sleep(60.5)
        started = now()
        await app.handed.products.delete("P1250")
        assert now() - started < 1.0


@pytest.mark.parametrize("fault", [Fault.hang(), Fault.drop(), Fault.status(503), Fault.too_many_requests(60)])
async def test_calls_and_bulk_runs_of_a_handler_give_up_within_ten_seconds(fault):
    async with Emulator(algorithm="off") as emulator, handlers(emulator) as app:
        emulator.fail(None, fault, times=None)
        for call in (app.handed.shop, lambda: app.handed.products.sync(PRODUCTS, batch_size=10)):
            started = now()
            try:
                report = await call()
            except NeuroonError:
                pass
            else:
                assert report.failed == 30
            assert now() - started <= 10.2


async def test_the_apps_own_client_keeps_its_patience():
    policy = RetryPolicy(attempts=3)
    async with Emulator(algorithm="off") as emulator, handlers(emulator, retry=policy) as app:
        assert app.own.retry is policy
        assert app.handed is app.again
        assert app.handed is not app.own
        assert app.handed.retry.attempts == 3
        assert app.handed.retry.budget is policy.budget
        assert app.handed._session is app.own._session


@pytest.mark.parametrize(
    ("policy", "option", "expected"),
    [
        (RetryPolicy(), ..., (10.0, 10.0, 0.0)),
        (RetryPolicy(), 3.0, (3.0, 3.0, 0.0)),
        (RetryPolicy(), None, (None, None, None)),
        (RetryPolicy(deadline=25.0), ..., (25.0, 25.0, 0.0)),
        (RetryPolicy(outage_patience=2.0), ..., (10.0, 10.0, 0.0)),
        (RetryPolicy(bulk_deadline=60.0), ..., (10.0, 60.0, 0.0)),
    ],
)
async def test_what_is_set_stays(policy, option, expected):
    async with Emulator(algorithm="off") as emulator, handlers(emulator, request_deadline=option, retry=policy) as app:
        found = app.handed.retry
        assert (found.deadline, found.bulk_deadline, found.outage_patience) == expected


@pytest.mark.parametrize("deadline", [0, -1.0, float("nan")])
def test_a_deadline_that_cannot_be_meant_is_refused(deadline):
    with pytest.raises(ConfigurationError, match="deadline must be a number of seconds above 0"):
        neuroon_lifespan(NeuroonClient.from_env, request_deadline=deadline)
