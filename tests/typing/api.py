"""The public surface as a user writes against it. No test: only type checkers read this file."""

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, assert_type

import aiohttp

from neuroon_async import (
    DOCUMENTED_RATE_LIMITS,
    APIError,
    AuthenticationFailed,
    BatchResult,
    ClickLog,
    ClientClosed,
    ConfigurationError,
    Conflict,
    ConnectionFailed,
    Conversion,
    ConversionItem,
    DeadLetterFile,
    Environment,
    InvalidBatch,
    InvalidConversion,
    InvalidProduct,
    Limiter,
    LimitState,
    Locale,
    LocalLimiter,
    NeuroonClient,
    NeuroonError,
    NotFound,
    OrderLine,
    PermissionDenied,
    Permit,
    Product,
    ProductError,
    ProductFailure,
    RateLimit,
    RateLimited,
    RequestTimeout,
    ResponseDecodeError,
    RetryBudget,
    RetryPolicy,
    ServerError,
    Shop,
    SyncMode,
    SyncProgress,
    SyncReport,
    TransportError,
    UnprocessableEntity,
    UnsafeFullSync,
    ValidationFailed,
    Verification,
    VerificationData,
    WidgetTokenSigner,
)
from neuroon_async.testing import Emulator, Fault, FaultRule, RecordedRequest, verify_widget_token

# Clients


def minimal() -> NeuroonClient:
    return NeuroonClient(shop_id="shop_1", api_key="sk_…")


def complete(session: aiohttp.ClientSession) -> NeuroonClient:
    return NeuroonClient(
        shop_id="shop_1",
        api_key="sk_…",
        environment=Environment.DEVELOPMENT,
        base_url="http://127.0.0.1:8765",
        locale=Locale.CA,
        origin="https://shop.example",
        user_agent="my-shop/2.1",
        timeout=10,
        retry=RetryPolicy(attempts=3, initial=0.5, maximum=20.0, deadline=60.0, budget=RetryBudget(100)),
        rate_limits={**DOCUMENTED_RATE_LIMITS, "sync_products": RateLimit(50, per=60.0, burst=10)},
        session=session,
    )


def by_names() -> NeuroonClient:
    return NeuroonClient(
        shop_id="shop_1", api_key="sk_…", environment="https://api.neuroon.ai", locale="es-ES", rate_limits=None
    )


class ShopClient(NeuroonClient):
    """A subclass stays one through every constructor."""


def derived() -> None:
    assert_type(ShopClient.from_env(timeout=5.0), ShopClient)
    assert_type(ShopClient.from_env().with_options(timeout=2.0, retry=RetryPolicy(attempts=1)), ShopClient)


async def life() -> None:
    async with NeuroonClient.from_env() as client:
        assert_type(client, NeuroonClient)
        assert_type(client.shop_id, str)
        assert_type(await client.shop(), Shop)
        assert_type(await client.health(), bool)
        assert_type(client.limits(), dict[str, LimitState])
    assert_type(await client.aclose(), None)


# Limits and retries, ours and the user's own


@dataclass(frozen=True)
class Patient(RetryPolicy):
    def wait(self, attempt: int, error: BaseException) -> float:
        return 2 * super().wait(attempt, error)


class FreePermit:
    def answered(self, headers: Mapping[str, str] | None, *, pause: float | None = None) -> None: ...
    def unused(self) -> None: ...


class NoLimiter:
    async def acquire(self, endpoint: str, *, bulk: bool = False) -> FreePermit:
        return FreePermit()

    def limits(self) -> dict[str, LimitState]:
        return {}


def limiters() -> None:
    own: Limiter = NoLimiter()
    permit: Permit = FreePermit()
    shared = LocalLimiter(DOCUMENTED_RATE_LIMITS)
    NeuroonClient(shop_id="shop_1", api_key="sk_…", limiter=own, retry=Patient(attempts=9))
    NeuroonClient(shop_id="shop_1", api_key="sk_…", limiter=shared)
    permit.unused()
    assert_type(RateLimit(100, per=60.0).share_of(4), RateLimit)
    state = shared.limits()["shop"]
    assert_type(state.available, int)
    assert_type(state.paused_for, float)


# Products

TEA = Product(
    external_id="SKU-1",
    name="Tea",
    price=Decimal("4.50"),
    url="https://shop.example/tea",
    sku="T-1",
    description=None,
    currency="EUR",
    image_url="https://shop.example/tea.jpg",
    categories=["Drinks"],
    brands=["Acme"],
    tags=["hot"],
    in_stock=True,
    stock_quantity=7,
    rating=4.5,
    review_count=12,
    is_active=True,
    sale_price=4,
    parent_external_id="SKU-0",
    attributes={"size": "100 g"},
)
POT: dict[str, Any] = {"externalId": "SKU-2", "name": "Pot", "price": 20, "url": "https://shop.example/pot"}


def products() -> Iterator[Product]:
    yield TEA


async def rows() -> AsyncIterator[dict[str, Any]]:
    yield POT


async def records() -> AsyncIterator[Product | ProductFailure]:
    yield TEA
    yield ProductFailure(None, "line 7 is not JSON", "local")


def show(progress: SyncProgress) -> None:
    assert_type(progress.rate, float)
    assert_type(progress.total, int | None)
    assert_type(progress.remaining_seconds, float | None)
    assert_type(progress.waiting_for_limit, bool)


async def keep(failure: ProductFailure) -> None:
    assert_type(failure.external_id, str | None)
    assert_type(failure.reason, str)
    assert_type(failure.status, int | None)
    assert_type(failure.product, Any)


async def catalog(client: NeuroonClient) -> None:
    result = await client.products.sync_batch([TEA, POT], mode="INCREMENTAL", idempotency_key="nightly-1")
    assert_type(result, BatchResult)
    assert_type(result.created, int | None)
    assert_type(result.remaining_products, int | None)
    assert_type(result.errors, list[ProductError])
    await client.products.sync_batch((TEA,), SyncMode.FULL)
    await client.products.sync_batch(products())

    with DeadLetterFile("failures.jsonl") as dead_letters:
        report = await client.products.sync(
            rows(),
            mode=SyncMode.INCREMENTAL,
            concurrency=4,
            batch_size=100,
            max_batch_bytes=500_000,
            allow_multi_request_full=True,
            on_progress=show,
            on_failure=dead_letters,
        )
    assert_type(report, SyncReport)
    assert_type(report.received, int)
    assert_type(report.elapsed, float)
    assert_type(report.failures, list[ProductFailure])
    assert_type(report.ok, bool)
    assert_type(report.quota_exhausted, bool)
    await client.products.sync([TEA], "FULL", on_failure=keep)
    await client.products.sync([POT])
    await client.products.sync(products())
    await client.products.sync(records())

    assert_type(await client.products.delete("SKU-1"), None)
    assert_type(await client.products.delete_many(["SKU-1"], concurrency=2, on_progress=show), SyncReport)
    assert_type(Product.from_mapping(POT), Product)


# Domain, conversions, widget


async def verify(client: NeuroonClient) -> None:
    verification = await client.domain.verify("https://shop.example", short_path=True)
    assert_type(verification, Verification)
    assert_type(verification.verification_code, str | None)
    data = await client.domain.verification_data()
    assert_type(data, VerificationData)
    assert_type(data.verified_at, datetime | None)
    assert_type(await client.domain.unverify(), None)


async def track(client: NeuroonClient, cookie: str | None) -> bool:
    clicks = ClickLog.parse(cookie)
    assert_type(clicks.get("SKU-1"), str | None)
    by_hand = Conversion(
        order_id="1001",
        order_value=Decimal("19.90"),
        currency="EUR",
        conversions=[ConversionItem(product_id="SKU-1", search_log_id="log-1", quantity=2, line_total=9)],
    )
    await client.conversions.track(by_hand)
    order = Conversion.from_order(
        order_id="1002",
        order_value=9.0,
        currency="EUR",
        lines=[OrderLine(product_id="SKU-1", quantity=2, line_total=Decimal("9.00"))],
        clicks=clicks,
    )
    assert_type(order.left_out, tuple[str, ...])
    return await client.conversions.track(order)


def widget(client: NeuroonClient) -> str:
    assert_type(client.widget, WidgetTokenSigner)
    signer = WidgetTokenSigner("shop_1", "sk_…", clock=lambda: 1_700_000_000.0)
    assert_type(signer.token(), str)
    return client.widget.script_tag() + client.widget.script_tag(container="#search", theme="dark")


# Errors


async def handle(client: NeuroonClient) -> None:  # noqa: C901 - one branch for each exception is the point
    try:
        await client.products.sync([TEA])
    except InvalidProduct as error:
        assert_type(error.external_id, str | None)
        assert_type(error.violations, tuple[tuple[str, str], ...])
    except (ValidationFailed, UnprocessableEntity, Conflict, NotFound) as error:
        assert_type(error.field_errors, dict[str, str])
        assert_type(error.timestamp, datetime | None)
    except (AuthenticationFailed, PermissionDenied) as error:
        assert_type(error.request_id, str | None)
    except RateLimited as error:
        assert_type(error.retry_after, float | None)
        assert_type(error.remaining, int | None)
    except ServerError as error:
        assert_type(error.retry_after, float | None)
    except APIError as error:
        assert_type(error.status, int)
        assert_type(error.code, str | None)
        assert_type(error.message, str)
    except (ConnectionFailed, RequestTimeout) as error:
        assert_type(error.maybe_processed, bool)
        transport_error: TransportError = error
        raise transport_error from None
    except ResponseDecodeError as error:
        assert_type(error.status, int)
    except (ConfigurationError, ClientClosed, InvalidBatch, InvalidConversion) as error:
        value_error: ValueError = error
        raise value_error from None
    except UnsafeFullSync:
        raise
    except NeuroonError as error:
        assert_type(error.report, SyncReport | None)


# The emulator


async def emulated() -> None:
    def too_dear(item: dict[str, Any]) -> str | None:
        return "too dear" if item["price"] > 100 else None

    async with Emulator(
        "shop_1",
        "sk_" + "0" * 32,
        rate_limits={"sync_products": RateLimit(10, per=1.0)},
        algorithm="rolling",
        latency=0.01,
        reject_item=too_dear,
    ) as emulator:
        assert_type(emulator.url, str)
        assert_type(emulator.requests, list[RecordedRequest])
        assert_type(emulator.fail("sync_products", Fault.drop(processed=True), times=2), FaultRule)
        async with NeuroonClient(shop_id="shop_1", api_key=emulator.api_key, base_url=emulator.url) as client:
            await client.products.sync_batch([TEA])
            verify_widget_token(client.widget.token(), api_key=emulator.api_key, now=0.0)
        assert_type(emulator.products, dict[str, dict[str, Any]])


# What must not pass


async def wrong(client: NeuroonClient) -> None:
    NeuroonClient("shop_1", "sk_…")  # type: ignore[call-arg]
    NeuroonClient(shop_id="shop_1")  # type: ignore[call-arg]
    NeuroonClient(shop_id="shop_1", api_key="sk_…", instrumentation=print)  # type: ignore[arg-type]
    NeuroonClient(shop_id="shop_1", api_key="sk_…", retry=3)  # type: ignore[arg-type]
    Product(external_id="SKU-1", name="Tea", url="https://shop.example/tea")  # type: ignore[call-arg]
    Product(external_id="SKU-1", name="Tea", price="4.50", url="u")  # type: ignore[arg-type]
    TEA.name = "Coffee"  # type: ignore[misc]
    await client.products.sync_batch("SKU-1")  # type: ignore[arg-type]
    await client.products.sync([TEA], "FULL", 8)  # type: ignore[call-arg]
    await client.products.delete(7)  # type: ignore[arg-type]
    await client.conversions.track({"orderId": "1001"})  # type: ignore[arg-type]
    client.products = None  # type: ignore[misc, assignment]
