"""Digests of what a request carries are those of its products, although these are not encoded once more."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sync.sync_shop import item, items

from neuroon_async import Product
from neuroon_async.api.contract import SyncMode
from neuroon_async.api.models import SyncRequest, encode
from neuroon_async.ledger import digests
from neuroon_async.ledger.digests import content_digests, sent_digests

_TEXTS = st.text(st.sampled_from('a"{}[],:\\\n é€😀') | st.characters(exclude_categories=["Cs"]), max_size=8)
_TEXT = _TEXTS | st.sampled_from(
    ['{"externalId":', '},{"externalId":', '"}]}', '{"syncType":"x","products":[{"externalId":']
)
_FIELDS: dict[str, Any] = {
    "external_id": _TEXT,
    "name": _TEXT,
    "description": _TEXT | st.none(),
    "price": st.integers(0, 10**6) | st.decimals(0, 10, places=2) | st.floats(0, 10),
    "tags": st.none() | st.lists(_TEXT) | st.lists(_TEXT).map(tuple) | st.sets(_TEXT),
    "attributes": st.none() | st.dictionaries(_TEXT, _TEXT, max_size=4),
    "url": st.just("https://shop.example/x"),
}
_OPTIONAL = ["description", "tags", "attributes"]
_PRODUCTS = st.fixed_dictionaries(
    {name: values for name, values in _FIELDS.items() if name not in _OPTIONAL},
    optional={name: _FIELDS[name] for name in _OPTIONAL},
)


def body_of(products: list[Product]) -> bytes:
    return encode(SyncRequest(SyncMode.INCREMENTAL, products))


@given(st.lists(_PRODUCTS, min_size=1, max_size=5, unique_by=lambda fields: fields["external_id"]))
def test_they_are_the_digests_of_the_products(fields):
    products = [Product(**each) for each in fields]
    assert sent_digests(products, body_of(products)) == content_digests(products)


def test_most_products_are_not_encoded_for_them(monkeypatch):
    plain = [*items(3), item(3, attributes={"a": "1", "b": "2"}, tags=["y", "x"]), item(4, Decimal("4.50"))]
    turned = item(5, attributes={"b": "2", "a": "1"})
    products = [*plain, turned]
    expected, body = content_digests(products), body_of(products)
    encoded: list[Product] = []

    def told(products: list[Product]) -> dict[str, bytes]:
        encoded.extend(products)
        return content_digests(products)

    monkeypatch.setattr(digests, "content_digests", told)
    assert sent_digests(products, body) == expected
    assert encoded == [turned]


class More(Product):
    more: str = '},{"externalId":'


@pytest.mark.parametrize(
    "odd",
    [
        item(1, price=msgspec.Raw(b'[{"externalId":1},{"externalId":2}]')),
        More("x", external_id="p1", name="x", price=1, url="u"),
    ],  # type: ignore[arg-type]
    ids=["json", "subclass"],
)
def test_what_looks_like_a_product_within_another_is_none(odd):
    products = [item(0), odd, item(2)]
    assert sent_digests(products, body_of(products)) == content_digests(products)
