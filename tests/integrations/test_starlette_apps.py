"""Apps as people write them: plain handlers, workers that share a limit, and what is easily mistaken."""

from contextlib import asynccontextmanager
from typing import Annotated

import pytest
from anyio import from_thread
from fastapi import Depends, FastAPI
from test_starlette import browser, factory_for, shop_app

from neuroon_async import ConfigurationError, MachineLimiter, NeuroonClient
from neuroon_async.integrations.starlette import get_client, neuroon_lifespan


async def test_the_function_itself_is_no_lifespan():
    app = FastAPI(lifespan=neuroon_lifespan)
    with pytest.raises(ConfigurationError, match=r"call it, lifespan=neuroon_lifespan\(NeuroonClient.from_env\)"):
        async with browser(app):
            raise AssertionError


async def test_a_handler_that_is_no_coroutine_calls_from_its_thread(emulator):
    app = FastAPI(lifespan=neuroon_lifespan(factory_for(emulator)))

    @app.get("/plan")
    def plan(client: Annotated[NeuroonClient, Depends(get_client)]):
        return from_thread.run(client.shop).max_products

    async with browser(app) as http:
        assert (await http.get("/plan")).json() == 1_000_000


async def test_a_limiter_of_all_workers_is_open_for_longer_than_the_client(emulator, tmp_path):
    ends = []

    @asynccontextmanager
    async def with_limiter(app):
        async with MachineLimiter(tmp_path / "neuroon.limits", shop_id=emulator.shop_id) as limiter:
            async with neuroon_lifespan(factory_for(emulator, limiter=limiter))(app) as state:
                yield state
            ends.append(limiter.limits()["shop"].available)

    async with browser(shop_app(lifespan=with_limiter)) as http:
        assert (await http.get("/plan")).json() == {"maxProducts": 1_000_000}
    assert ends == [59]
