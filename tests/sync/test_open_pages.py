"""What is about to be compared with a ledger is encoded at once, with the digest of what is sent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sync_shop import item, items, shop

from neuroon_async import Product, ProductFailure, SQLiteLedger, SyncMode
from neuroon_async.api.models import encode
from neuroon_async.api.requests import encode_batch
from neuroon_async.catalogs import read_catalog
from neuroon_async.ledger.digests import content_digests
from neuroon_async.ledger.pages import Page
from neuroon_async.sync.changes import LedgerChanges
from neuroon_async.sync.open_pages import OpenPage
from neuroon_async.sync.outgoing import EncodedProduct, decoded, digests_of, encode_outgoing

_TEXT = st.text(st.sampled_from('a"{}[],:\\\n\r\u2028é€😀'), max_size=6)
_PRODUCT = st.builds(
    Product,
    external_id=_TEXT,
    name=_TEXT,
    price=st.integers(0, 9) | st.decimals(0, 10, places=2) | st.floats(0, 10),
    url=st.just("https://shop.example/x"),
    tags=st.none() | st.lists(_TEXT, max_size=3) | st.lists(_TEXT, max_size=3).map(tuple) | st.sets(_TEXT, max_size=3),
    attributes=st.none() | st.dictionaries(_TEXT, _TEXT, max_size=4),
)


@given(st.lists(_PRODUCT, min_size=1, max_size=5, unique_by=lambda product: product.external_id))
def test_an_encoded_page_is_sent_as_its_products_are_and_has_their_digests(products):
    page = OpenPage(Page(products), checked=True)
    assert {type(product) for product in page.products} == {EncodedProduct}
    assert encode_outgoing(SyncMode.INCREMENTAL, page.products) == encode_batch(SyncMode.INCREMENTAL, products)
    assert encode_outgoing(SyncMode.INCREMENTAL, page.products[1:] or page.products) == encode_batch(
        SyncMode.INCREMENTAL, products[1:] or products
    )
    assert digests_of(page.products) == dict(zip(page.ids, page.digests, strict=True)) == content_digests(products)
    assert [product.price for product in decoded(page.products)] == [product.price for product in products]


def test_a_page_of_which_one_cannot_become_json_stays_as_it_is():
    page = OpenPage(Page([item(0), item(1, tags=[object()])]), checked=True)
    assert list(page.products) == [item(0), item(1, tags=page.products[1].tags)]
    assert page.digests[1] is None
    assert digests_of(page.products) is None


def test_a_page_that_somebody_has_changed_since_is_not_taken_for_what_it_was():
    """Its own digest is of what it was: the server must not be believed to hold that once it has got the rest."""
    attributes = {"b": "2", "a": "1"}  # in another order than its digest is made of, so it is written anew
    made = Page([item(0), item(1, attributes=attributes)])
    attributes["a"] = "changed"
    page = OpenPage(made, checked=True)
    assert page.digests == Page([item(0), item(1, attributes={"b": "2", "a": "1"})]).digests()
    assert list(page.products) == [item(0), item(1, attributes=attributes)]


class Empty:
    """A ledger run that holds nothing."""

    async def unchanged(self, digests: Any) -> set[str]:
        return set()


async def test_versions_of_a_product_stay_in_their_order_where_one_cannot_be_encoded():
    changes = LedgerChanges(Empty(), None, checked=lambda: True)  # type: ignore[arg-type]
    older, newer = item(1, tags=[object()]), item(1, 2)
    failure = ProductFailure(None, "cannot be read", "local")
    for portion in [Page([older]), [failure], Page([newer])]:
        changes.screen(portion, frozenset())  # type: ignore[arg-type]
    assert changes.open_items() == [failure, older, newer]
    compared = await changes.compare(frozenset())
    assert compared.changed == [older, newer, failure]
    assert not compared.encoded


@pytest.mark.parametrize("attributes", [{"a": "1", "b": "2"}, {"b": "2", "a": "1"}], ids=["ordered", "turned"])
async def test_a_file_is_sent_as_it_stands_and_unchanged_the_next_time(tmp_path, attributes):
    file = tmp_path / "x.jsonl"
    products = items(700, attributes=attributes)
    file.write_bytes(b"\n".join(encode(product) for product in products))
    async with shop() as (emulator, client):
        first = await client.products.sync(read_catalog(file), ledger=SQLiteLedger(tmp_path / "ledger"))
        assert (first.accepted, first.unchanged) == (700, 0)
        sent = [
            product
            for request in emulator.requests_to("sync_products")
            for product in json.loads(request.body)["products"]
        ]
        assert [[*each["attributes"]] for each in sent] == [[*attributes]] * 700
        second = await client.products.sync(read_catalog(file), ledger=SQLiteLedger(tmp_path / "ledger"))
        assert (second.requests, second.unchanged) == (0, 700)
