"""What must hold after every run, whatever happened in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any

from neuroon_async import Product, RateLimit, SyncReport
from neuroon_async.testing import Emulator

__all__ = [
    "assert_accepted_is_held",
    "assert_balanced",
    "assert_never_throttled",
    "assert_same_catalog",
    "assert_versions_in_order",
]


def assert_balanced(report: SyncReport) -> None:
    """Everything that entered is accounted for once."""
    assert report.received == report.accepted + report.unchanged + report.superseded + report.failed, str(report)
    assert len(report.failures) == min(report.failed, 1_000), str(report)


def assert_accepted_is_held(report: SyncReport, products: list[Product], held: Collection[str]) -> None:
    """What was read and has not failed is on the server. For sources that give each id once."""
    failed = {failure.external_id for failure in report.failures}
    accepted = {product.external_id for product in products[: report.received]} - failed
    assert len(accepted) == report.accepted + report.unchanged, str(report)
    lost = accepted - set(held)
    assert not lost, f"accepted, but not on the server: {sorted(lost)}"


def assert_same_catalog(held: dict[str, float], expected: dict[str, float]) -> None:
    """The server holds exactly this."""
    missing = {name: price for name, price in expected.items() if name not in held}
    stale = {name: (held[name], price) for name, price in expected.items() if name in held and held[name] != price}
    extra = held.keys() - expected.keys()
    problems = [(kind, found) for kind, found in (("missing", missing), ("stale", stale), ("extra", extra)) if found]
    assert not problems, f"on the server (stale: held, expected): {problems}"


def assert_versions_in_order(emulator: Emulator) -> None:
    """No product goes back to an older version on the server. Versions are told apart by rising prices."""
    newest: defaultdict[str, float] = defaultdict(float)
    for request in emulator.requests_to("sync_products"):
        if request.status != 200 or request.replayed:
            continue
        for item in request.parsed["products"]:
            price = float(item["price"])
            name = item["externalId"]
            assert price >= newest[name], f"{name}: version {price} arrived after {newest[name]}"
            newest[name] = price


def assert_never_throttled(emulator: Emulator, limits: dict[str, RateLimit]) -> None:
    """No 429, and never more than allowed in any interval of the window's length, by the server's own count."""
    for name, limit in limits.items():
        requests: list[Any] = emulator.requests_to(name)
        refused = [request.number for request in requests if request.status == 429]
        assert not refused, f"{name}: requests {refused} got a 429 at {limit.requests} in {limit.per} s"
        arrived = sorted(request.arrived for request in requests)
        for first, last in pairwise_apart(arrived, limit.requests):
            gap = last - first
            assert gap >= limit.per, f"{name}: {limit.requests + 1} requests within {gap} s of {limit.per} s"


def pairwise_apart(moments: list[float], distance: int) -> list[tuple[float, float]]:
    """Each moment with the one that comes ``distance`` places later."""
    return list(zip(moments, moments[distance:], strict=False))
