"""Variants that wait for their parents: kept exactly, beyond what fits into memory, and on a full disk."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections import defaultdict
from decimal import Decimal

import pytest
from msgspec import UNSET
from sync_shop import assert_balanced, item, shop

from neuroon_async import Product
from neuroon_async.sync import deferred as deferred_module
from neuroon_async.sync import variants
from neuroon_async.sync.deferred import SpillFailed, VariantStore


def ids(products):
    return [product.external_id for product in products]


def test_deferred_variants_keep_their_order_and_exact_values():
    store = VariantStore()
    assert store._database.execute("PRAGMA cache_size") == [(-8 * 1024,)]  # in KiB: 8 MB stay in memory
    attributes = defaultdict(lambda: "no pickle knows this", a="b")
    first = item(1, price=Decimal("1.10"), parent=9, description=None, attributes=attributes, stock_quantity=10**30)
    second = item("\ud800", price=0.1, parent=9, tags=["x"])
    store.add([first, second])
    assert len(store) == 2
    assert "p1" in store
    assert "p\ud800" in store
    assert "p9" not in store
    assert None not in store
    end = store.last_position()
    store.add([item(3)])
    popped = store.pop(10, end)
    assert popped == [first, second]
    assert isinstance(popped[0].price, Decimal)
    assert popped[0].sku is UNSET
    assert popped[0].description is None
    assert ids(store.discard(["p3", "p4"])) == ["p3"]
    assert not store
    store.close()


class ParsedText(str):
    """As parsers of HTML and XML give it: it knows the document that it stands in."""

    __slots__ = ("document",)

    def __new__(cls, text):
        made = super().__new__(cls, text)
        made.document = threading.Lock()
        return made


async def test_what_waited_is_acknowledged_whatever_kinds_of_containers_and_texts_it_was_made_of():
    class Tea(Product):
        pass

    variants = [
        item(1, parent=9, categories=("Tea", "Green")),
        item(
            2,
            parent=9,
            description=ParsedText("Tea"),
            tags=[ParsedText("x")],
            attributes={ParsedText("a"): ParsedText("b")},
        ),
        Tea(external_id="p3", name="Tea", price=1, url="https://shop.example/3", parent_external_id="p9"),
    ]
    accepted = []
    async with shop() as (emulator, client):
        report = await client.products.sync(
            iter([*variants, item(4), item(9)]), batch_size=2, concurrency=1, on_accepted=accepted.append
        )
    assert_balanced(report)
    assert (report.accepted, set(emulator.products)) == (5, {"p1", "p2", "p3", "p4", "p9"})
    assert all(any(product is variant for product in accepted) for variant in variants)


def test_many_are_discarded_in_few_statements():
    store = VariantStore()
    store.add([item(n) for n in range(2_200)])
    statements = []
    store._database._connection.set_trace_callback(statements.append)
    assert len(store.discard([f"p{n}" for n in range(1_001)])) == 1_001
    assert (len(store), len(statements)) == (1_199, 3)
    assert ids(store.rest()) == [f"p{n}" for n in range(1_001, 2_200)]
    store.close()


def test_deferred_variants_spill_to_a_file_that_nobody_sees(monkeypatch, tmp_path):
    monkeypatch.setattr(deferred_module, "SPILL_BYTES", 64 * 1024)
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path))
    store = VariantStore()
    for start in range(0, 3_000, 500):
        store.add([item(n, description="d" * 300) for n in range(start, start + 500)])
    assert list(tmp_path.iterdir()) == []
    assert ids(store.pop(3_000, store.last_position())) == [f"p{n}" for n in range(3_000)]
    store.close()


def fill_up(store, count):
    for n in range(count):
        store.add([item(2 * n, description="d" * 3_000), item(2 * n + 1, description="d" * 3_000)])


def test_a_full_disk_loses_nothing_for_the_report(monkeypatch):
    monkeypatch.setattr(deferred_module, "SPILL_BYTES", 16 * 1024)
    store = VariantStore()
    store._database.execute("PRAGMA max_page_count = 40")
    fill_up(store, 3)
    store.check()
    assert ids(store.discard(["p1"])) == ["p1"]
    store.discard(["p0", "p2", "p3", "p4", "p5"])
    fill_up(store, 50)
    with pytest.raises(SpillFailed, match=r"full.*SQLITE_TMPDIR"):
        store.check()
    assert len(store) == 100
    assert "p99" in store
    assert ids(store.discard(["p0", "p99"])) == ["p99"]  # what is on the disk stays where it is
    rest = list(store.rest())
    assert len(rest) == 99  # each one that cannot be read back is None
    named = [product.external_id for product in rest if product is not None]
    assert len(named) > 60
    assert len(set(named)) == len(named)
    assert not store
    store.close()


@pytest.mark.parametrize(
    "asked", [lambda store: "p1" in store, lambda store: store.discard(["p1"]), lambda store: store.add([])]
)
def test_a_disk_that_fails_is_told_at_the_next_step_whatever_was_asked_of_it(asked):
    store = VariantStore()
    store.add([item(1), item(2)])
    store.close()
    assert not asked(store)
    with pytest.raises(SpillFailed, match="closed"):
        store.check()
    with pytest.raises(SpillFailed, match="closed"):
        store.pop(2, store.last_position())
    assert "p1" not in store
    assert list(store.rest()) == [None, None]


def test_what_cannot_be_removed_from_the_disk_is_not_given_twice():
    store = VariantStore()
    store.add([item(1), item(2)])
    store._database.execute("PRAGMA query_only = ON")  # as a disk on which nothing can be written any more
    with pytest.raises(SpillFailed, match="readonly"):
        store.pop(1, store.last_position())
    store.add([item(3)])
    assert (len(store), "p3" in store) == (3, True)
    assert ids(store.rest()) == ["p1", "p2", "p3"]
    store.close()


PROGRAM = """
import asyncio, resource, signal, sys
from neuroon_async import NeuroonClient, Product, RetryPolicy
from neuroon_async.sync import deferred

def product(external_id, **fields):
    return Product(external_id=external_id, name="x", price=1, url="https://shop.example/", **fields)

async def main(url):
    async with NeuroonClient(shop_id="shop_test", api_key="sk_" + "0" * 32, base_url=url, rate_limits=None) as client:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        def source():
            for n in range(6_000):
                yield product(f"p{n}", parent_external_id="late", description="d" * 4_000)
            yield product("late")
        seen = []
        try:
            await client.products.sync(source(), on_failure=seen.append)
        except deferred.SpillFailed as error:
            report = error.report
            assert report.received == report.accepted + report.unchanged + report.superseded + report.failed
            assert report.failed == len(seen) > 1_000, report
            assert sum(failure.external_id is not None for failure in seen) > len(seen) / 2
            print("told", end="")

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.slow
async def test_a_sync_on_a_disk_that_is_really_full_ends_with_its_report():
    async with shop() as (emulator, _):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PROGRAM, emulator.url), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        told, complaints = await process.communicate()
    assert told == b"told", complaints.decode()


async def test_a_sync_whose_disk_is_full_ends_with_its_report(monkeypatch):
    class OnAFullDisk(VariantStore):
        def __init__(self):
            super().__init__()
            self._database.execute("PRAGMA max_page_count = 40")

    monkeypatch.setattr(variants, "VariantStore", OnAFullDisk)
    seen = []
    async with shop() as (_, client):
        source = [item(n, parent="late", description="d" * 3_000) for n in range(1_500)]
        with pytest.raises(SpillFailed) as caught:
            await client.products.sync([*source, item("late")], on_failure=seen.append, batch_size=50)
    assert_balanced(caught.value.report)
    assert len(seen) == caught.value.report.failed > 50
