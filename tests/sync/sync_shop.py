"""What the tests of bulk runs share: an emulated shop and its client, plain products, the questions asked."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any, TypeVar

import clients
from virtual_time import VirtualTimeLoop

from neuroon_async import NeuroonClient, Product, RetryPolicy
from neuroon_async.report import SyncReport
from neuroon_async.testing import Emulator, RecordedRequest

T = TypeVar("T")


def item(number: int | str, price: float = 1, parent: int | str | None = None, **fields: Any) -> Product:
    """A product by its number; ``price`` tells versions apart."""
    if parent is not None:
        fields["parent_external_id"] = f"p{parent}"
    return Product(external_id=f"p{number}", name="x", price=price, url="https://shop.example/x", **fields)


def items(count: int, **fields: Any) -> list[Product]:
    return [item(number, **fields) for number in range(count)]


def client_of(emulator: Emulator, **options: Any) -> NeuroonClient:
    """A hasty client. Its policy is its own: one shared by all tests would hand the budget for retries on."""
    hasty = RetryPolicy(attempts=3, initial=0.01)
    return clients.client_of(emulator, **{"rate_limits": None, "retry": hasty} | options)


def first_tries(*external_ids: str) -> Callable[[RecordedRequest], bool]:
    """For a fault's ``when``: the first request that asks for the deletion of each of these, and no other.

    Which requests a fault with ``every`` strikes depends on their order, which is luck where many are in flight: one
    product may draw every fault.
    """
    waiting = set(external_ids)

    def is_first(request: RecordedRequest) -> bool:
        external_id = request.raw_path.rpartition("/")[2]
        if external_id not in waiting:
            return False
        waiting.remove(external_id)
        return True

    return is_first


@asynccontextmanager
async def shop(client: dict[str, Any] | None = None, **emulator: Any) -> AsyncIterator[tuple[Emulator, NeuroonClient]]:
    """An emulated shop without rate limits, unless ``emulator`` says otherwise, and a client of it."""
    async with (
        Emulator(**{"algorithm": "off", "require_verified": False, **emulator}) as server,
        client_of(server, **(client or {})) as its_client,
    ):
        yield server, its_client


def in_virtual_time(scenario: Callable[[], Awaitable[T]]) -> T:
    """Run a scenario on a loop of its own: one for each of Hypothesis's examples."""

    async def main() -> T:
        return await scenario()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main())


def assert_balanced(report: SyncReport) -> None:
    """Everything that entered is accounted for once."""
    assert report.received == report.accepted + report.unchanged + report.superseded + report.failed, report
    assert len(report.failures) == min(report.failed, 1_000)


def assert_apart(emulator: Emulator) -> None:
    """No id, nor a variant and its parent, was ever in two requests at once."""
    spans: defaultdict[str, list[tuple[float, float, int]]] = defaultdict(list)
    parents: dict[tuple[int, str], str] = {}
    for request in emulator.requests_to("sync_products"):
        ends = request.finished if request.finished is not None else float("inf")
        for product in request.parsed["products"]:
            spans[product["externalId"]].append((request.arrived, ends, request.number))
            if product.get("parentExternalId"):
                parents[request.number, product["externalId"]] = product["parentExternalId"]
    for held in spans.values():
        held.sort()
        for (_, ended, number), (began, _, other) in pairwise(held):
            assert number == other or began >= ended, f"requests {number} and {other} held the same product"
    for (number, external_id), parent in parents.items():
        (began, ended, _) = next(span for span in spans[external_id] if span[2] == number)
        for parent_began, parent_ended, other in spans[parent]:
            apart = parent_ended <= began or ended <= parent_began
            assert other == number or apart, f"{external_id} in {number} beside its parent in {other}"


def prices(emulator: Emulator) -> dict[str, float]:
    return {external_id: float(product["price"]) for external_id, product in emulator.products.items()}


def last_prices(products: Iterable[Product]) -> dict[str, float]:
    return {product.external_id: float(product.price) for product in products}
