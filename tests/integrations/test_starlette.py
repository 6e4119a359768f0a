"""The Starlette integration, with real requests to apps and from them to the emulator."""

import asyncio
import gc
import logging
import socket
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from typing import Annotated

import httpx
import pytest
import uvicorn
from fastapi import Depends, FastAPI
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from neuroon_async import (
    AuthenticationFailed,
    ClientClosed,
    ConfigurationError,
    Conflict,
    ConnectionFailed,
    Conversion,
    ConversionItem,
    InvalidBatch,
    InvalidConversion,
    InvalidProduct,
    NeuroonClient,
    NotFound,
    PermissionDenied,
    Product,
    RateLimit,
    RateLimited,
    RequestTimeout,
    ResponseDecodeError,
    RetryPolicy,
    ServerError,
    UnprocessableEntity,
    UnsafeFullSync,
    ValidationFailed,
)
from neuroon_async.integrations.starlette import (
    client_for,
    exception_handlers,
    get_client,
    neuroon_lifespan,
    readiness,
)
from neuroon_async.outbox import DuplicateOrder, OutboxUnavailable
from neuroon_async.testing import DEFAULT_API_KEY, DEFAULT_SHOP_ID, Emulator, Fault

OTHER_KEY = "sk_" + "1" * 32


def factory_for(emulator, **options):
    settings = {"shop_id": emulator.shop_id, "api_key": emulator.api_key, "base_url": emulator.url}
    return partial(NeuroonClient, **settings, **{"retry": RetryPolicy(attempts=1)} | options)


@asynccontextmanager
async def browser(app):
    """An HTTP client for the app, as a server would run it: lifespan first, its state in every request."""
    async with app.router.lifespan_context(app) as state:

        async def with_state(scope, receive, send):
            await app(scope | {"state": dict(state or {})}, receive, send)

        transport = httpx.ASGITransport(with_state, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as opened:
            yield opened


@asynccontextmanager
async def served(app):
    """The app's address, served by uvicorn on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        server.capture_signals = nullcontext  # pytest keeps its own
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            async with asyncio.timeout(60):
                while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn has no event for it
                    await asyncio.sleep(0.005)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


def shop_app(**options):
    app = FastAPI(**options)

    @app.get("/plan")
    async def plan(client: Annotated[NeuroonClient, Depends(get_client)]):
        return {"maxProducts": (await client.shop()).max_products}

    return app


async def test_the_client_lives_as_long_as_the_app(emulator):
    opened = []

    def factory():
        opened.append(factory_for(emulator)())
        return opened[-1]

    app = shop_app(lifespan=neuroon_lifespan(factory))
    assert opened == []
    for _ in range(2):  # an app may be started again: the factory makes a new client
        async with browser(app) as http:
            assert (await http.get("/plan")).json() == {"maxProducts": 1_000_000}
            assert app.state.neuroon is opened[-1]
        with pytest.raises(ClientClosed):
            await opened[-1].shop()
    assert len(opened) == 2
    assert not hasattr(app.state, "neuroon")


async def test_served_by_uvicorn(emulator):
    app = shop_app(lifespan=neuroon_lifespan(factory_for(emulator)()))
    async with served(app) as url, httpx.AsyncClient() as http:
        assert (await http.get(f"{url}/plan")).json() == {"maxProducts": 1_000_000}
        client = app.state.neuroon
    with pytest.raises(ClientClosed):
        await client.shop()


async def test_from_env(emulator, monkeypatch):
    monkeypatch.setenv("NEUROON_API_URL", emulator.url)
    monkeypatch.setenv("NEUROON_API_KEY", DEFAULT_API_KEY)
    monkeypatch.setenv("NEUROON_SHOP_ID", DEFAULT_SHOP_ID)
    async with browser(shop_app(lifespan=neuroon_lifespan(NeuroonClient.from_env))) as http:
        assert (await http.get("/plan")).status_code == 200


async def test_the_apps_own_lifespan_runs_within_and_its_state_is_kept(emulator):
    order = []

    @asynccontextmanager
    async def own(app):
        order.append(await app.state.neuroon.health())
        yield {"greeting": "hello"}
        order.append(await app.state.neuroon.health())

    async def greet(request):
        return JSONResponse({"greeting": request.state.greeting, "shop": get_client(request).shop_id})

    app = Starlette(routes=[Route("/", greet)], lifespan=neuroon_lifespan(factory_for(emulator), lifespan=own))
    async with browser(app) as http:
        assert (await http.get("/")).json() == {"greeting": "hello", "shop": DEFAULT_SHOP_ID}
    assert order == [True, True]


async def test_the_own_lifespan_may_not_take_the_clients_place(emulator):
    @asynccontextmanager
    async def own(app):
        yield {"neuroon": 1}

    app = Starlette(lifespan=neuroon_lifespan(factory_for(emulator), lifespan=own))
    with pytest.raises(ConfigurationError, match="must not yield 'neuroon'"):
        async with browser(app):
            pass


async def test_a_failing_startup_closes_the_client(emulator):
    @asynccontextmanager
    async def own(app):
        await app.state.neuroon.health()
        raise ZeroDivisionError
        yield

    client = factory_for(emulator)()
    with pytest.raises(ZeroDivisionError):
        async with browser(Starlette(lifespan=neuroon_lifespan(client, lifespan=own))):
            pass
    with pytest.raises(ClientClosed):
        await client.shop()


async def test_several_shops_share_one_session(emulator):
    async with Emulator("shop_fr", OTHER_KEY, algorithm="off") as french:
        app = FastAPI(
            lifespan=neuroon_lifespan(
                {
                    "es": factory_for(emulator),
                    "fr": factory_for(french),
                }
            ),
            exception_handlers=exception_handlers(),
        )

        @app.get("/es")
        async def es(client: Annotated[NeuroonClient, Depends(client_for("es"))]):
            await client.shop()
            return client.shop_id

        @app.get("/fr")
        async def fr(client: Annotated[NeuroonClient, Depends(client_for("fr"))]):
            await client.shop()
            return client.shop_id

        @app.get("/unnamed")
        async def unnamed(client: Annotated[NeuroonClient, Depends(get_client)]): ...

        @app.get("/unknown")
        async def unknown(client: Annotated[NeuroonClient, Depends(client_for("de"))]): ...

        app.add_route("/ready", readiness)
        async with browser(app) as http:
            assert (await http.get("/es")).json() == DEFAULT_SHOP_ID
            assert (await http.get("/fr")).json() == "shop_fr"
            assert (await http.get("/unnamed")).status_code == 500
            assert (await http.get("/unknown")).status_code == 500
            assert (await http.get("/ready")).json() == {"neuroon": "up"}
            await french.stop()
            assert (await http.get("/ready")).json() == {"neuroon": "down"}
            sessions = {client._session.get() for client in app.state.neuroon.values()}
            assert len(sessions) == 1
        assert sessions.pop().closed
        assert {request.headers["X-Shop-API-Key"] for request in french.requests_to("shop")} == {OTHER_KEY}


async def test_an_app_without_the_lifespan_is_told_so(caplog):
    async with browser(shop_app(exception_handlers=exception_handlers())) as http:
        assert (await http.get("/plan")).status_code == 500
    assert "neuroon_lifespan" in caplog.text


async def test_a_name_asked_of_a_single_client(emulator):
    app = Starlette(
        routes=[Route("/", client_for("es"))],
        lifespan=neuroon_lifespan(factory_for(emulator)),
        exception_handlers=exception_handlers(),
    )
    async with browser(app) as http:
        assert (await http.get("/")).status_code == 500


@pytest.mark.parametrize("fault", [Fault.status(503), Fault.drop(), Fault.garbage(b'{"status":"DOWN"}')])
async def test_readiness_follows_the_service(emulator, fault):
    app = Starlette(routes=[Route("/ready", readiness)], lifespan=neuroon_lifespan(factory_for(emulator)))
    emulator.fail("health", fault, every=1)
    async with browser(app) as http:
        down = await http.get("/ready")
        assert (down.status_code, down.json()) == (503, {"neuroon": "down"})
        emulator.faults.clear()
        up = await http.get("/ready")
        assert (up.status_code, up.json()) == (200, {"neuroon": "up"})


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidProduct("A", [("price", "is required")]), 422),
        (InvalidConversion("1", [("currency", "is required")]), 422),
        (InvalidBatch("a batch of 501"), 422),
        (ValidationFailed(400, field_errors={"name": "too long"}), 422),
        (UnprocessableEntity(422, message="no parent"), 422),
        (NotFound(404), 404),
        (NotFound(404, documented=False), 502),
        (ValidationFailed(400, documented=False), 502),
        (Conflict(409), 409),
        (DuplicateOrder("1"), 409),
        (RateLimited(retry_after=12.3), 503),
        (RateLimited(), 503),
        (OutboxUnavailable("disk full"), 503),
        (ServerError(500), 502),
        (ServerError(503, retry_after=7), 502),
        (ConnectionFailed("connection to 10.0.0.7 lost", maybe_processed=True), 502),
        (ResponseDecodeError("<html>secret", status=200, request_id=None), 502),
        (RequestTimeout("slow", maybe_processed=True), 504),
        (AuthenticationFailed(401, message="Invalid key"), 500),
        (PermissionDenied(403, message="Origin mismatch"), 500),
        (ConfigurationError("NEUROON_API_KEY is not set"), 500),
        (UnsafeFullSync("refused"), 500),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
async def test_errors_become_answers_that_tell_nothing_of_our_side(error, status, caplog):
    async def fail(request):
        raise error

    async with browser(Starlette(routes=[Route("/", fail)], exception_handlers=exception_handlers())) as http:
        answer = await http.get("/")
    assert answer.status_code == status
    document = answer.json()
    assert set(document) <= {"error", "message", "fields"}
    assert str(error) not in answer.text
    assert bool(caplog.records) == (status >= 500)
    retry_after = getattr(error, "retry_after", None)
    assert answer.headers.get("Retry-After") == (None if retry_after is None else {12.3: "13", 7: "7"}[retry_after])


async def test_the_fields_of_invalid_data_are_told(emulator):
    app = FastAPI(lifespan=neuroon_lifespan(factory_for(emulator)), exception_handlers=exception_handlers())

    @app.post("/products")
    async def push(product: dict, client: Annotated[NeuroonClient, Depends(get_client)]):
        result = await client.products.sync_batch([Product.from_mapping(product)])
        return {"created": result.created}

    good = {"externalId": "A", "name": "Tea", "price": 4.5, "url": "https://shop.example/a"}
    emulator.fail("sync_products", Fault.status(400, "name: Product name is required"), when=lambda r: b"Odd" in r.body)
    async with browser(app) as http:
        assert (await http.post("/products", json=good)).json() == {"created": 1}
        broken = await http.post("/products", json=good | {"price": -1, "rating": 9})
        assert broken.status_code == 422
        assert set(broken.json()["fields"]) == {"price", "rating"}
        refused = await http.post("/products", json=good | {"name": "Odd"})
        assert refused.json()["fields"] == {"name": "Product name is required"}


async def test_no_answer_and_no_log_line_holds_the_key(emulator, caplog):
    caplog.set_level(logging.DEBUG)
    emulator.fail("shop", Fault.status(401, f"the key {DEFAULT_API_KEY} is unknown"))
    app = shop_app(lifespan=neuroon_lifespan(factory_for(emulator)), exception_handlers=exception_handlers())
    async with browser(app) as http:
        answer = await http.get("/plan")
    assert answer.status_code == 500
    assert DEFAULT_API_KEY not in answer.text + str(answer.headers) + caplog.text


def selling_app(emulator, **options):
    app = FastAPI(lifespan=neuroon_lifespan(factory_for(emulator, **options)), exception_handlers=exception_handlers())

    @app.post("/orders/{number}")
    async def sell(number: int, client: Annotated[NeuroonClient, Depends(get_client)]):
        lines = [ConversionItem("SKU-1", "log-1", 1, 5)]
        order = Conversion(order_id=str(number), order_value=5, currency="EUR", conversions=lines)
        return await client.conversions.track(order)

    return app


@pytest.mark.slow
@pytest.mark.virtual_time
async def test_an_hour_of_requests_leaves_no_task_and_no_connection_behind():
    """600 requests, one every six seconds by the loop's clock, under the documented limits."""
    async with Emulator(algorithm="rolling", keep_bodies=False) as emulator:
        # With retries: the clock may jump over the server's keep-alive while the machine is busy.
        app = selling_app(emulator, rate_limits={"track_conversion": RateLimit(100, per=60)}, retry=RetryPolicy())
        async with browser(app) as http:
            await http.post("/orders/0")
            gc.collect()
            tasks, objects = len(asyncio.all_tasks()), None
            for number in range(1, 601):
                assert (await http.post(f"/orders/{number}")).status_code == 200
                await asyncio.sleep(6)
                if number == 200:
                    gc.collect()
                    objects = len(gc.get_objects())
            gc.collect()
            assert len(asyncio.all_tasks()) <= tasks
            connector = app.state.neuroon._session.get().connector
            assert not connector._acquired
            assert sum(map(len, connector._conns.values())) <= 1
            # What the emulator itself remembers of a request is a handful of objects.
            assert len(gc.get_objects()) - objects < 400 * 40
        assert len(emulator.conversions) == 601


@pytest.mark.slow
async def test_bursts_and_vanishing_browsers_leave_nothing_behind(emulator):
    emulator.latency = 0.01
    app = selling_app(emulator, rate_limits=None)
    async with browser(app) as http:
        await http.post("/orders/0")
        tasks = len(asyncio.all_tasks())
        for burst in range(5):
            requests = [asyncio.create_task(http.post(f"/orders/{burst}-{n}".replace("-", "0"))) for n in range(200)]
            await asyncio.sleep(0.02)
            for request in requests[::3]:
                request.cancel()
            outcomes = await asyncio.gather(*requests, return_exceptions=True)
            answers = [outcome for outcome in outcomes if isinstance(outcome, httpx.Response)]
            assert len(answers) >= 100
            assert {answer.status_code for answer in answers} == {200}
        await asyncio.sleep(0.05)
        assert len(asyncio.all_tasks()) <= tasks + 128  # the emulator's side of the kept-alive connections
        connector = app.state.neuroon._session.get().connector
        assert len(connector._acquired) == 0
    await asyncio.sleep(0.05)
    assert len(asyncio.all_tasks()) <= tasks
