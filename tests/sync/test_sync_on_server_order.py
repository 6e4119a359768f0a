"""Last version wins, parents first, and what a catalog in random order costs."""

from __future__ import annotations

import asyncio
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sync_shop import assert_apart, assert_balanced, in_virtual_time, item, items, last_prices, prices, shop

from neuroon_async import Product, RetryPolicy
from neuroon_async.testing import Fault
from neuroon_async.testing.bodies import Refusal
from neuroon_async.testing.shop import EmulatedShop

FAULTS = {
    "503": Fault.status(503),
    "503 after processing": Fault.status(503, processed=True),
    "429": Fault.too_many_requests(1),
    "drop": Fault.drop(),
    "drop after processing": Fault.drop(processed=True),
    "reset": Fault.reset(),
    "truncated": Fault.truncated(),
    "slow": Fault.slow(5.0),
}
PATIENT = RetryPolicy(attempts=8, initial=0.5)


@st.composite
def catalogs(draw: st.DrawFn) -> list[Product]:
    """Ids that come again in later versions, variants of variants, parents that come late: never in a cycle."""
    numbers = draw(st.lists(st.integers(0, 30), min_size=1, max_size=120))
    is_variant = draw(st.lists(st.sampled_from([0, 0, 1, 2]), min_size=31, max_size=31))
    return [
        # A parent has a smaller number, so that no chain closes; prices only grow, so that no two bodies are equal.
        item(number, price=1 + position, parent=number // 2 if number and is_variant[number] else None)
        for position, number in enumerate(numbers)
    ]


@settings(max_examples=2 * settings.default.max_examples // 5)
@given(
    catalog=catalogs(),
    concurrency=st.integers(1, 6),
    batch_size=st.integers(1, 9),
    faults=st.lists(st.tuples(st.sampled_from(sorted(FAULTS)), st.integers(3, 9)), max_size=2),
    jitter=st.sampled_from([0.0, 3.0]),
)
def test_random_catalogs_end_in_their_last_versions_with_parents_first(
    catalog, concurrency, batch_size, faults, jitter
):
    async def scenario():
        async with shop({"retry": PATIENT}, jitter=jitter, name_all_missing_parents=False) as (emulator, client):
            for name, every in faults:
                emulator.fail("sync_products", FAULTS[name], every=every)
            report = await client.products.sync(catalog, concurrency=concurrency, batch_size=batch_size)
        return emulator, report

    emulator, report = in_virtual_time(scenario)
    assert_balanced(report)
    assert report.received == len(catalog)
    assert_apart(emulator)
    here = last_prices(catalog)
    lost = {failure.external_id for failure in report.failures}
    # Exactly those are lost whose line of parents has a gap.
    parents = {p.external_id: p.parent_external_id for p in catalog}

    def complete(external_id):
        parent = parents.get(external_id, "absent")
        return parent != "absent" and (not isinstance(parent, str) or complete(parent))

    assert {external_id for external_id in here if not complete(external_id)} == lost
    assert prices(emulator) == {external_id: price for external_id, price in here.items() if external_id not in lost}


def shuffled(count, *, chains, seed=1, missing=0):
    """A third are parents, the rest variants (of variants too), in any order."""
    chance = random.Random(seed)
    catalog = []
    for number in range(count):
        if number < count // 3:
            catalog.append(item(number))
        elif chains:
            catalog.append(item(number, parent=chance.randrange(number)))
        else:
            catalog.append(item(number, parent=chance.randrange(count // 3)))
    for number in chance.sample(range(count // 3, count), missing):
        catalog[number] = item(number, parent=f"-none-{number}")
    chance.shuffle(catalog)
    return catalog


@pytest.mark.virtual_time
@pytest.mark.parametrize("chains", [False, True], ids=["flat", "chains"])
@pytest.mark.parametrize(
    ("count", "concurrency"),
    [
        *((600, 1), (600, 16), (1_700, 4)),
        *(pytest.param(*size, marks=pytest.mark.slow) for size in ((4_000, 1), (4_000, 16), (9_000, 8), (20_000, 16))),
    ],
)
async def test_a_catalog_in_random_order_costs_at_most_two_and_a_half_times_the_requests(count, concurrency, chains):
    catalog = shuffled(count, chains=chains)
    async with shop(jitter=0.5, keep_bodies=False) as (emulator, client):
        report = await client.products.sync(catalog, concurrency=concurrency)
    assert (report.accepted, report.failed) == (count, 0), str(report)
    assert len(emulator.products) == count
    assert report.requests <= 2.5 * math.ceil(count / 500), (report.requests, math.ceil(count / 500))


@pytest.mark.virtual_time
@pytest.mark.parametrize("all_named", [False, True])
async def test_parents_that_never_come_cost_only_their_own_variants(all_named):
    catalog = shuffled(2_000, chains=False, missing=150)
    async with shop(name_all_missing_parents=all_named) as (emulator, client):
        report = await client.products.sync(catalog)
    assert_balanced(report)
    assert (report.accepted, report.failed) == (1_850, 150)
    assert len(emulator.products) == 1_850
    assert all("-none-" in failure.reason and failure.status == 422 for failure in report.failures)


@pytest.mark.virtual_time
async def test_a_batch_in_which_most_parents_are_missing_still_delivers_the_good_ones():
    catalog = [item("a", price=2)] + [item(n, parent="a" if n % 4 == 0 else f"-none-{n}") for n in range(400)]
    async with shop() as (emulator, client):
        report = await client.products.sync(catalog)
    assert_balanced(report)
    assert (report.accepted, report.failed) == (101, 300)
    assert len(emulator.products) == 101


@pytest.mark.virtual_time
async def test_a_variant_refused_within_an_accepted_batch_waits_for_its_parent_too(monkeypatch):
    """Some servers name such variants in the errors of a 200 rather than failing the batch."""
    monkeypatch.setattr(EmulatedShop, "_check_parents", lambda self, mode, products: None)
    seen = {}

    def orphaned(product):
        parent = product.get("parentExternalId")
        return None if parent is None or parent in seen["shop"].products else f"parentExternalId '{parent}' not found"

    catalog = shuffled(900, chains=True, missing=5)
    async with shop(reject_item=orphaned) as (emulator, client):
        seen["shop"] = emulator
        report = await client.products.sync(catalog, batch_size=50)
    assert_balanced(report)
    assert all("not found" in failure.reason for failure in report.failures)
    good = {p.external_id for p in catalog} - {failure.external_id for failure in report.failures}
    assert emulator.products.keys() == good
    known = good | {p.external_id for p in catalog if not isinstance(p.parent_external_id, str)}
    lost = [p for p in catalog if p.external_id not in good]
    assert len(lost) >= 5
    assert all(p.parent_external_id not in known for p in lost)


@pytest.mark.virtual_time
async def test_a_server_that_does_not_count_parents_in_the_same_batch_gets_them_in_two(monkeypatch):
    def strictly(self, mode, products):
        for product in products:
            parent = product.get("parentExternalId")
            if parent is not None and parent not in self.products:
                raise Refusal(422, f"parentExternalId '{parent}' not found")

    monkeypatch.setattr(EmulatedShop, "_check_parents", strictly)
    catalog = [p for n in range(30) for p in (item(f"a{n}"), item(f"b{n}", parent=f"a{n}"))]
    async with shop() as (emulator, client):
        report = await client.products.sync(catalog)
    assert (report.accepted, report.failed) == (60, 0), report.failures[:3]
    assert len(emulator.products) == 60


@pytest.mark.virtual_time
async def test_variants_that_name_each_other_are_judged_by_the_server():
    catalog = [item("a", parent="b"), item("b", parent="a"), item("c", parent="c"), item("d", parent="c"), item("e")]
    async with shop() as (_emulator, client):
        report = await client.products.sync(catalog)
    assert_balanced(report)
    assert report.accepted == 5


@pytest.mark.virtual_time
async def test_duplicates_are_superseded_and_the_last_version_wins():
    catalog = [item(n % 300, price=1 + n) for n in range(3_000)]
    async with shop(jitter=2.0) as (emulator, client):
        emulator.fail("sync_products", Fault.drop(processed=True), every=3)
        report = await client.products.sync(catalog, batch_size=100)
    assert_balanced(report)
    assert report.failed == 0
    assert report.superseded > 0
    assert prices(emulator) == last_prices(catalog)
    assert_apart(emulator)


@pytest.mark.virtual_time
async def test_a_newer_version_read_while_an_older_one_waits_for_its_parent_wins():
    """Every way for two versions to be apart: in the queue, deferred, as variant and as plain product."""
    catalog = [
        item("v", price=1, parent="late"),
        item("w", price=1, parent="late"),
        item("x", price=1, parent="v"),
        *items(10),
        item("v", price=2),  # no variant any more
        item("w", price=2, parent="late"),
        item("x", price=2, parent="late"),
        *(item(n, price=2, parent="late") for n in range(5)),  # variants now
        *items(4, price=3),
        item("w", price=3),
        item("w", price=4, parent="late"),
        item("late"),
    ]
    for batch_size in (1, 2, 3, 5, 500):
        for concurrency in (1, 4):
            async with shop(jitter=0.3) as (emulator, client):
                report = await client.products.sync(catalog, batch_size=batch_size, concurrency=concurrency)
            assert_balanced(report)
            assert report.failed == 0, report.failures
            assert prices(emulator) == last_prices(catalog), (batch_size, concurrency)
            assert_apart(emulator)


@pytest.mark.virtual_time
async def test_a_deferred_variant_that_no_json_can_express_fails_alone():
    catalog = [item("v", parent="late"), *items(5), item("\ud800", parent="late"), item("late")]
    async with shop() as (_emulator, client):
        report = await client.products.sync(catalog, batch_size=2, concurrency=1)
    assert_balanced(report)
    assert (report.accepted, report.failed) == (7, 1)
    assert report.failures[0].external_id == "p\ud800"
    assert report.failures[0].stage == "local"


@pytest.mark.virtual_time
async def test_a_product_that_changes_back_within_a_run_ends_as_it_came_last():
    """The server remembers idempotency keys, so the same body needs another key the second time."""

    async def source():
        for price in (1, 2, 1):
            yield item(1, price=price)
            await asyncio.sleep(1)

    async with shop(latency=0.1) as (emulator, client):
        report = await client.products.sync(source(), batch_size=1)
        first = [request.idempotency_key for request in emulator.requests]
    async with shop(latency=0.1) as (again, other_client):
        await other_client.products.sync(source(), batch_size=1)
    assert report.accepted == 3
    assert emulator.products["p1"]["price"] == 1
    assert len(set(first)) == 3
    assert first == [request.idempotency_key for request in again.requests], "a restart repeats the keys"


@pytest.mark.virtual_time
@pytest.mark.parametrize(("concurrency", "count"), [(1, 7), (2, 12), (8, 42)])
async def test_a_run_ends_where_the_last_batch_in_flight_sends_all_that_waits_to_the_end(concurrency, count):
    """Their parent is missing, so the first refusal holds back the batch and all variants behind it in the queue."""
    variants = [item(number, parent="nowhere") for number in range(1, count + 1)]
    async with shop() as (_, client), asyncio.timeout(60):
        report = await client.products.sync(variants, batch_size=5, concurrency=concurrency)
    assert_balanced(report)
    assert report.failed == len(variants)
