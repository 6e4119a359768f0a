"""Bad products cost only themselves, however the server refuses them."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from repeats import repeats
from sync_shop import assert_balanced, in_virtual_time, item, items, shop

from neuroon_async import APIError
from neuroon_async.testing import Fault

pytestmark = pytest.mark.virtual_time

BAD = "bad"


def refuse(status, message):
    """A server that refuses every batch with a product of the name ``bad``, naming no more than ``message``."""
    return lambda products: (status, message) if any(product["name"] == BAD for product in products) else None


def item_named(number, name, **fields):
    return msgspec.structs.replace(item(number, **fields), name=name)


def catalog_with(count, bad, **fields):
    catalog = items(count)
    for number in bad:
        catalog[number] = item_named(number, BAD, **fields)
    return catalog


SPREADS = {
    "together": [0, 1, 2, 3],
    "at the ends": [0, 499, 4_500, 4_999],
    "far apart": [10, 1_444, 2_777, 4_321],
    "in one batch": [600, 700, 850, 990],
    "alternating": [1_001, 1_003, 1_005, 1_007],
}


@pytest.mark.parametrize("bad", repeats(list(SPREADS.values()), quick=2), ids=SPREADS)
@pytest.mark.parametrize(
    ("status", "message", "fields"),
    [
        (400, "", {}),
        pytest.param(400, "Validation failed", {}, marks=pytest.mark.slow),
        pytest.param(422, "", {}, marks=pytest.mark.slow),
        (400, "description: is not to our taste", {"description": "?"}),
        pytest.param(400, "name: is not to our taste", {}, marks=pytest.mark.slow),
    ],
    ids=["silent", "useless", "unprocessable", "rare field", "common field"],
)
async def test_four_bad_products_among_five_thousand_cost_few_requests_wherever_they_are(bad, status, message, fields):
    async with shop(reject_batch=refuse(status, message), keep_bodies=False) as (emulator, client):
        report = await client.products.sync(catalog_with(5_000, bad, **fields))
    assert_balanced(report)
    assert (report.accepted, report.failed) == (4_996, 4)
    assert {failure.external_id for failure in report.failures} == {f"p{number}" for number in bad}
    assert {(failure.stage, failure.status) for failure in report.failures} == {("server", status)}
    assert all(failure.product.name == BAD for failure in report.failures)
    assert len(emulator.products) == 4_996
    assert report.requests - 10 < 80


async def test_a_message_that_names_the_product_finds_it_at_once():
    def reject(products):
        bad = next((product for product in products if product["name"] == BAD), None)
        return (422, f"product '{bad['externalId']}' is banned") if bad else None

    async with shop(reject_batch=reject) as (_, client):
        report = await client.products.sync(catalog_with(500, [77]))
    assert (report.accepted, report.failed) == (499, 1)
    assert report.requests == 3


async def test_a_message_with_an_index_finds_the_product_at_once():
    def reject(products):
        index = next((i for i, product in enumerate(products) if product["name"] == BAD), None)
        return None if index is None else (400, f"products[{index}].name: no")

    async with shop(reject_batch=reject) as (_, client):
        report = await client.products.sync(catalog_with(500, [77]))
    assert (report.accepted, report.failed) == (499, 1)
    assert report.requests == 3


async def test_mixed_currencies_are_sent_apart():
    catalog = [item(n, currency=("EUR", "USD", "GBP")[n % 3]) for n in range(500)]
    async with shop() as (emulator, client):
        report = await client.products.sync(catalog)
    assert (report.accepted, report.requests) == (500, 4)
    assert len(emulator.products) == 500


async def test_mixed_currencies_among_parents_and_variants_lose_nothing():
    """The server wants parents first and currencies apart, and each refusal tells of one of them."""
    currencies = ("EUR", "USD")
    catalog = [
        *(item(n, currency=currencies[n % 2]) for n in range(40)),
        *(item(f"v{n}", parent=n, currency=currencies[(n // 2) % 2]) for n in range(40)),
        *(item(f"w{n}", parent=f"v{n}", currency=currencies[(n // 3) % 2]) for n in range(40)),
    ]
    async with shop() as (emulator, client):
        report = await client.products.sync(catalog)
    assert_balanced(report)
    assert (report.accepted, report.failed) == (120, 0), report.failures[:2]
    assert len(emulator.products) == 120


async def test_variants_of_a_suspected_parent_are_not_lost_with_it():
    """What the message names is tried apart: here parents, while their variants are in the other piece."""
    catalog = [item(0, description="?"), item(1), *(item(n, parent=n % 2) for n in range(2, 30))]
    catalog[9] = item_named(9, BAD, parent=1, description="?")
    async with shop(reject_batch=refuse(400, "description: no")) as (_emulator, client):
        report = await client.products.sync(catalog)
    assert_balanced(report)
    assert (report.accepted, report.failed) == (29, 1), report.failures
    assert report.failures[0].external_id == "p9"


@settings(max_examples=settings.default.max_examples // 4)
@given(data=st.data())
def test_any_bad_products_are_found_and_all_good_ones_delivered(data):
    count = data.draw(st.integers(1, 120))
    bad = data.draw(st.sets(st.integers(0, count - 1), max_size=20))
    variants = data.draw(st.booleans())
    catalog = [
        item_named(n, BAD if n in bad else "x", parent=n // 3 if variants and n % 3 == 2 else None)
        for n in range(count)
    ]

    async def scenario():
        async with shop(reject_batch=refuse(400, "")) as (emulator, client):
            return emulator, await client.products.sync(
                catalog, batch_size=data.draw(st.integers(1, 50)), concurrency=data.draw(st.integers(1, 4))
            )

    emulator, report = in_virtual_time(scenario)
    assert_balanced(report)
    lost = set(bad)
    for n in range(count):
        if variants and n % 3 == 2 and n // 3 in lost:
            lost.add(n)
    assert {failure.external_id for failure in report.failures} == {f"p{n}" for n in lost}
    assert len(emulator.products) == count - len(lost)


async def test_a_batch_that_is_bad_through_and_through_is_given_up():
    async with shop(reject_batch=refuse(400, "")) as (emulator, client):
        report = await client.products.sync(
            [*(item_named(n, BAD) for n in range(500)), *(item(n) for n in range(500, 600))]
        )
    assert_balanced(report)
    assert report.requests < 80
    assert (report.accepted, report.failed, len(emulator.products)) == (100, 500, 100)
    assert "refused in a row" in report.failures[-1].reason


async def test_a_hundred_bad_products_in_one_batch_do_not_take_the_good_ones_with_them():
    async with shop(reject_batch=refuse(400, "")) as (emulator, client):
        report = await client.products.sync(catalog_with(500, range(0, 500, 5)))
    assert_balanced(report)
    assert (report.accepted, report.failed, len(emulator.products)) == (400, 100, 400)


async def test_ten_hopeless_batches_in_a_row_stop_the_run():
    async with shop(reject_batch=refuse(400, "")) as (_, client):
        with pytest.raises(APIError) as caught:
            await client.products.sync((item_named(n, BAD) for n in range(20_000)), concurrency=1)
    assert_balanced(caught.value.report)
    assert caught.value.report.received < 6_000


# Refused one by one within an accepted batch


async def test_items_refused_in_an_accepted_batch_become_failures():
    def reject(product):
        return "too ugly" if product["externalId"] in {"p3", "p700"} else None

    async with shop(reject_item=reject) as (emulator, client):
        report = await client.products.sync(items(1_000))
    assert_balanced(report)
    assert (report.accepted, report.failed, report.created) == (998, 2, 998)
    assert sorted((f.external_id, f.reason, f.stage, f.status) for f in report.failures) == [
        ("p3", "too ugly", "server", 200),
        ("p700", "too ugly", "server", 200),
    ]
    assert len(emulator.products) == 998


@pytest.mark.parametrize(
    ("answer", "accepted", "named"),
    [
        ({}, 10, set()),
        ({"failed": 0, "errors": []}, 10, set()),
        ({"failed": None, "errors": None}, 10, set()),
        ({"failed": 3, "errors": []}, 7, set()),
        ({"failed": 3, "errors": [{"externalId": "p1", "error": "no"}]}, 7, {"p1"}),
        ({"errors": [{"externalId": "p1", "error": "no"}, {"externalId": "p2"}]}, 8, {"p1", "p2"}),
        # Two reasons for one product are one failure.
        ({"failed": 1, "errors": [{"externalId": "p1", "error": "a"}, {"externalId": "p1", "error": "b"}]}, 9, {"p1"}),
        ({"errors": [{"error": "somewhere"}, {"externalId": "elsewhere", "error": "no"}]}, 8, set()),
        ({"failed": 99, "errors": []}, 0, set()),
    ],
)
async def test_the_servers_own_count_of_failures_is_believed(answer, accepted, named):
    async with shop() as (emulator, client):
        emulator.fail("sync_products", Fault.status(200, body=answer))
        report = await client.products.sync(items(10))
    assert_balanced(report)
    assert (report.accepted, report.failed) == (accepted, 10 - accepted)
    assert {failure.external_id for failure in report.failures} - {None} == named


async def test_the_quota_is_in_the_report():
    async with shop(max_products=7) as (_, client):
        report = await client.products.sync(items(10))
    assert_balanced(report)
    assert (report.accepted, report.failed) == (7, 3)
    assert (report.products_count, report.remaining_products) == (7, 0)
    assert report.quota_exhausted
    assert "limit" in report.failures[0].reason


# Too large


async def test_batches_are_bounded_by_bytes():
    catalog = [item(n, description="d" * 1_000) for n in range(400)]
    async with shop() as (emulator, client):
        report = await client.products.sync(catalog, max_batch_bytes=50_000)
    assert report.accepted == 400
    sizes = [request.body_size for request in emulator.requests]
    assert max(sizes) <= 50_000
    assert sum(sizes) / len(sizes) > 35_000, "batches should be well filled"


async def test_batches_are_bounded_by_count():
    async with shop() as (emulator, client):
        report = await client.products.sync(items(1_050), batch_size=100)
    assert report.requests == 11
    assert max(len(request.external_ids) for request in emulator.requests) == 100


@pytest.mark.parametrize("position", [0, 250, 499])
async def test_one_product_over_the_limit_is_one_failure(position):
    catalog = items(500)
    catalog[position] = item(position, description="d" * 5_000)
    async with shop() as (emulator, client):
        report = await client.products.sync(catalog, max_batch_bytes=4_000)
    assert_balanced(report)
    assert (report.accepted, report.failed) == (499, 1)
    assert (report.failures[0].external_id, report.failures[0].stage) == (f"p{position}", "local")
    assert "max_batch_bytes" in report.failures[0].reason
    assert len(emulator.products) == 499


async def test_a_413_splits_the_batch_and_the_next_ones_are_smaller():
    catalog = [item(n, description="d" * 1_000) for n in range(3_000)]
    async with shop(max_body_bytes=100_000, keep_bodies=False) as (emulator, client):
        report = await client.products.sync(catalog, concurrency=2)
    assert_balanced(report)
    assert (report.accepted, report.failed) == (3_000, 0)
    assert len(emulator.products) == 3_000
    refused = [request for request in emulator.requests if request.status == 413]
    assert len(refused) < 20
    assert len(emulator.requests) < 90


async def test_a_product_that_a_proxy_takes_alone_is_not_lost_after_a_413():
    """The size learned from a refused batch is a guess: half of it, perhaps less than one product."""
    catalog = [item(n, description="d" * 4_900) for n in range(8)]
    async with shop(max_body_bytes=6_000) as (emulator, client):
        report = await client.products.sync(catalog, concurrency=1, batch_size=2)
    assert_balanced(report)
    assert (report.accepted, report.failed) == (8, 0), report.failures[:1]
    assert len(emulator.products) == 8


async def test_products_that_a_proxy_never_takes_fail_one_by_one():
    catalog = [item(n, description="d" * (4_900 if n < 30 else 10)) for n in range(60)]
    async with shop(max_body_bytes=3_000) as (_emulator, client):
        report = await client.products.sync(catalog, concurrency=1)
    assert_balanced(report)
    assert (report.accepted, report.failed) == (30, 30)
    assert {(failure.stage, failure.status) for failure in report.failures} == {("server", 413)}


@pytest.mark.parametrize("bad", [range(30), range(40), range(100, 180), range(0, 500, 5), range(1, 500)], ids=str)
async def test_however_the_bad_ones_lie_the_good_ones_arrive(bad):
    def reject(products):
        return (400, "name: bad") if any(product["name"] == BAD for product in products) else None

    async with shop(reject_batch=reject) as (emulator, client):
        report = await client.products.sync(catalog_with(500, list(bad)))
    assert_balanced(report)
    if len(bad) < 499:
        assert (report.accepted, report.failed) == (500 - len(bad), len(bad))
    assert report.requests <= 1_000
    assert len(emulator.products) == report.accepted


async def test_a_hopeless_batch_is_given_up_soon():
    async with shop(reject_batch=lambda _: (400, "name: bad")) as (_, client):
        report = await client.products.sync(items(500))
    assert_balanced(report)
    assert report.failed == 500
    assert report.requests < 80
    assert "refused in a row" in report.failures[-1].reason


@pytest.mark.parametrize("message", ["tags[0]: must not be blank", "products[{off}].name: bad", "'p7' spoils it"])
async def test_a_message_that_points_at_the_wrong_product_costs_no_good_one(message):
    def reject(products):
        index = next((i for i, product in enumerate(products) if product["name"] == BAD), None)
        return None if index is None else (400, message.format(off=index + 1))

    async with shop(reject_batch=reject) as (_, client):
        report = await client.products.sync(catalog_with(500, [400]))
    assert (report.accepted, report.failed) == (499, 1)
    assert report.requests < 30


async def test_a_field_that_nearly_all_set_is_no_clue():
    def reject(products):
        bad = any(product["name"] == BAD for product in products)
        return (400, "description: size must be between 0 and 5000") if bad else None

    catalog = [item(n) if n % 500 == 499 else item(n, description="x") for n in range(5_000)]
    for n in (0, 1_000, 2_000, 3_000):
        catalog[n] = item_named(n, BAD, description="x")
    async with shop(reject_batch=reject) as (_, client):
        report = await client.products.sync(catalog)
    assert (report.accepted, report.failed) == (4_996, 4)
    assert report.requests - 10 < 80


# A firewall, which reads what products say


SCRIPT = "a lamp <script>alert(1)</script>"


def blocking(status=403, body=b"<html>Request blocked</html>"):
    return Fault.status(status, body=body)


def holds_script(request):
    return b"<script>" in request.body


@pytest.mark.parametrize(
    "fault",
    [blocking(), blocking(406), blocking(403, b"Forbidden"), blocking(403, b'{"message": "Forbidden"}')],
    ids=["page", "406", "text", "JSON"],
)
@pytest.mark.parametrize("bad", [[0], [499], [0, 1, 2], [3, 250, 777, 1_999]], ids=str)
async def test_a_product_that_a_firewall_refuses_costs_only_itself(fault, bad):
    catalog = items(2_000)
    for number in bad:
        catalog[number] = item(number, description=SCRIPT)
    async with shop() as (emulator, client):
        emulator.fail("sync_products", fault, when=holds_script)
        report = await client.products.sync(catalog, concurrency=1)
    assert_balanced(report)
    assert sorted(failure.external_id for failure in report.failures) == sorted(f"p{number}" for number in bad)
    assert {failure.stage for failure in report.failures} == {"server"}
    assert all("a proxy or firewall answered" in failure.reason for failure in report.failures)
    assert len(emulator.products) == 2_000 - len(bad)
    assert report.requests <= 4 + 22 * len(bad)


async def test_a_variant_beside_what_a_firewall_refuses_arrives_after_its_parent():
    catalog = [item("v", parent="p"), item("s", description=SCRIPT), item("p"), *items(20)]
    async with shop() as (emulator, client):
        emulator.fail("sync_products", blocking(), when=holds_script)
        report = await client.products.sync(catalog)
    assert (report.accepted, [failure.external_id for failure in report.failures]) == (22, ["ps"])


@pytest.mark.parametrize(("concurrency", "most"), [(1, 21), (8, 40)])
@pytest.mark.parametrize("fault", [blocking(), blocking(403, b""), blocking(406)], ids=["page", "empty", "406"])
async def test_a_firewall_that_refuses_everything_stops_the_run_soon(concurrency, most, fault):
    async with shop(latency=0.1) as (emulator, client):
        emulator.fail("sync_products", fault, every=1)
        with pytest.raises(APIError, match="a proxy or firewall answered") as caught:
            await client.products.sync(iter(items(20_000)), concurrency=concurrency)
    assert_balanced(caught.value.report)
    assert caught.value.report.accepted == 0
    assert len(emulator.requests) <= most


async def test_a_firewall_that_begins_to_refuse_everything_stops_the_run_soon():
    async with shop(latency=0.1) as (emulator, client):
        emulator.fail("sync_products", blocking(), when=lambda request: request.number > 10)
        with pytest.raises(APIError, match="a proxy or firewall answered") as caught:
            await client.products.sync(iter(items(20_000)), concurrency=4)
    assert_balanced(caught.value.report)
    assert len(emulator.requests) <= 10 + 40


@pytest.mark.parametrize("count", [1, 2, 5])
async def test_a_few_products_of_which_a_firewall_refuses_all_show_it(count):
    async with shop() as (emulator, client):
        emulator.fail("sync_products", blocking(), every=1)
        if count == 1:  # perhaps by what it says
            report = await client.products.sync(items(1))
        else:
            with pytest.raises(APIError, match="a proxy or firewall answered") as caught:
                await client.products.sync(items(count))
            report = caught.value.report
    assert_balanced(report)
    assert report.failed == count
    assert len(emulator.requests) <= 2 * count


async def test_bad_products_alone_are_no_sign_against_a_server_that_was_heard():
    async with shop() as (emulator, client):
        emulator.fail("sync_products", blocking(), when=holds_script)
        report = await client.products.sync([item(1), *(item(n, description=SCRIPT) for n in range(2, 6))])
    assert (report.accepted, report.failed) == (1, 4)


async def test_a_full_sync_is_not_taken_apart_for_a_firewall():
    async with shop() as (emulator, client):
        emulator.fail("sync_products", blocking(), when=holds_script)
        with pytest.raises(APIError, match="a proxy or firewall answered"):
            await client.products.sync([item(1), item(2, description=SCRIPT)], mode="FULL")
        assert len(emulator.requests) == 1


async def test_an_id_that_a_firewall_refuses_to_delete_costs_only_itself():
    async with shop() as (emulator, client):
        await client.products.sync(items(20))
        emulator.fail("delete_product", blocking(), when=lambda request: "select" in request.raw_path)
        report = await client.products.delete_many(["p1", "1' or select *", *(f"p{n}" for n in range(2, 20))])
        assert (report.deleted, [failure.external_id for failure in report.failures]) == (19, ["1' or select *"])
        emulator.fail("delete_product", blocking(), every=1)
        for ids, most in ((["a", "b"], 2), ([f"p{n}" for n in range(100)], 20)):
            before = len(emulator.requests)
            with pytest.raises(APIError, match="a proxy or firewall answered") as caught:
                await client.products.delete_many(ids)
            assert_balanced(caught.value.report)
            assert len(emulator.requests) - before <= most
