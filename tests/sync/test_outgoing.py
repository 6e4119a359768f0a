"""Products are encoded as they are read, and come back as they were where one is wanted again."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from sync_shop import assert_balanced, in_virtual_time, item, items, shop

from neuroon_async import InvalidProduct, Product, SyncMode
from neuroon_async.api.models import WIRE_NAMES
from neuroon_async.api.requests import encode_batch
from neuroon_async.sync.outgoing import EncodedProduct, decoded, encode_outgoing, encoded

MODE = SyncMode.INCREMENTAL
TEXT = st.text(st.characters(codec="utf-8"))
NUMBER = st.one_of(
    st.floats(0, 5),
    st.integers(0, 2**70),
    st.decimals(0, 5, allow_nan=False),
    st.sampled_from([Decimal("1E+400"), Decimal("-0"), Decimal("10.50"), Decimal(10), 0.1, -0.0]),
)
PRODUCT = st.builds(
    Product,
    external_id=TEXT,
    name=TEXT,
    price=NUMBER,
    url=TEXT,
    sku=st.sampled_from([UNSET, None, "s"]),
    categories=st.sampled_from([UNSET, None]) | st.lists(TEXT),
    in_stock=st.sampled_from([UNSET, None, True]),
    stock_quantity=st.just(UNSET) | st.integers(-(2**70), 2**70),
    rating=st.sampled_from([UNSET, None]) | NUMBER,
    sale_price=st.sampled_from([UNSET, None]) | NUMBER,
    attributes=st.sampled_from([UNSET, None]) | st.dictionaries(TEXT, TEXT),
)


def exactly(product):
    """Its values and their types; a negative zero is another number than zero here."""
    return [(type(value), repr(value)) for value in msgspec.structs.astuple(product)]


@given(st.lists(PRODUCT, min_size=1, max_size=5))
def test_what_comes_back_is_what_was_encoded(products):
    portion = encoded(products)
    assert all(isinstance(product, EncodedProduct) for product in portion)
    assert [exactly(product) for product in decoded(portion)] == [exactly(product) for product in products]


@given(st.data())
def test_a_body_is_the_same_whether_its_products_were_encoded_before_or_not(data):
    products = items(7)
    mixed = [*encoded(products[:3]), *encoded(products[3:5]), *products[5:]]
    order = data.draw(st.one_of(st.just(range(7)), st.lists(st.sampled_from(range(7)), unique=True, min_size=1)))
    body = encode_outgoing(MODE, [mixed[number] for number in order])
    assert body == encode_batch(MODE, [products[number] for number in order])


def test_products_are_kept_once_when_they_are_in_a_body_and_come_back_out_of_it():
    products = items(7)
    portions = [encoded(products[:3]), encoded(products[3:5]), encoded(products[5:])]
    body = encode_outgoing(MODE, [*portions[0], *portions[1], portions[2][1]])
    assert [portion[0].portion.json.obj is body for portion in portions] == [True, True, False]
    given_back = decoded([product for portion in portions for product in portion])
    assert [exactly(product) for product in given_back] == [exactly(product) for product in products]
    again = encode_outgoing(MODE, portions[1])
    assert again == encode_batch(MODE, products[3:5])
    assert portions[1][0].portion.json.obj is again, "a batch that was taken apart holds on to no other body"


def test_what_cannot_become_json_stays_as_it_is_until_it_is_sent():
    products = [item(1), msgspec.structs.replace(item(2), sku="\ud800")]
    assert encoded(products) is products
    with pytest.raises(InvalidProduct, match="sku: holds a lone surrogate") as caught:
        encode_outgoing(MODE, [*encoded([item(3)]), *products])
    assert caught.value.external_id == "p2"


# In a run


def as_mapping(product):
    return {WIRE_NAMES[name]: value for name in WIRE_NAMES if (value := getattr(product, name)) is not UNSET}


@pytest.mark.virtual_time
@pytest.mark.parametrize("kind", ["list of mappings", "generator of mappings", "generator of products"])
async def test_a_refused_product_is_told_as_it_was_given(kind):
    def refuse(products):
        bad = [product for product in products if product["stockQuantity"] in {7, 130, 599}]
        return (400, "") if bad else None

    given_items = [
        item(number, price=Decimal("10.50") if number % 2 else 0.1, stock_quantity=number, tags=["a"])
        for number in range(700)
    ]
    mappings = [as_mapping(product) for product in given_items]
    source = {
        "list of mappings": mappings,
        "generator of mappings": (mapping for mapping in mappings),
        "generator of products": (product for product in given_items),
    }[kind]
    async with shop(reject_batch=refuse) as (emulator, client):
        report = await client.products.sync(source)
    assert_balanced(report)
    failed = sorted((failure.product for failure in report.failures), key=lambda product: product.stock_quantity)
    assert [exactly(product) for product in failed] == [exactly(given_items[number]) for number in (7, 130, 599)]
    assert len(emulator.products) == 697


@pytest.mark.virtual_time
async def test_products_that_somebody_holds_are_handed_back_themselves():
    def refuse(products):
        return (400, "") if any(product["externalId"] == "p1" for product in products) else None

    products = items(3)
    accepted = []
    async with shop(reject_batch=refuse) as (_, client):
        report = await client.products.sync(products)
        await client.products.sync((product for product in products[2:]), on_accepted=accepted.append)
    assert [failure.product is products[1] for failure in report.failures] == [True]
    assert [product is products[2] for product in accepted] == [True]


def test_encoded_products_are_split_trimmed_held_back_and_superseded_like_others():
    """A proxy takes little, bodies are bounded, variants come before their parents, and versions follow one another."""

    async def scenario():
        source = [
            item(number, parent=number + 1 if number % 50 == 3 else None, description="d" * 100)
            for number in range(400)
        ]
        source += [item(number, price=2) for number in range(0, 400, 5) if number % 50 != 3]
        async with shop(max_body_bytes=8_000) as (emulator, client):
            report = await client.products.sync(
                (as_mapping(product) for product in source), batch_size=90, max_batch_bytes=20_000
            )
        assert_balanced(report)
        assert report.failed == 0, report.failures[:3]
        return emulator.products

    held = in_virtual_time(scenario)
    assert len(held) == 400
    assert all(held[f"p{number}"]["price"] == 2 for number in range(0, 400, 5) if number % 50 != 3)
