"""Product feeds: the fast lane against the careful one."""

from __future__ import annotations

from datetime import date
from random import Random
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, note
from hypothesis import strategies as st
from two_lanes import ODD, assert_lanes_agree, odd_text

from neuroon_async.catalogs.fast import feed

FIELDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "id": ("external_id", ("SKU-1",)),
    "title": ("name", ("Tea", "Té verde")),
    "link": ("url", ("https://s.example/tea", "/tea")),
    "price": ("price", ("12.50 EUR", "9 EUR", "12,50 EUR")),
    "description": ("description", ("Good tea", "<p>Good</p>")),
    "image_link": ("image_url", ("https://s.example/tea.jpg",)),
    "brand": ("brands", ("Hills", "Hills & Co")),
    "product_type": ("categories", ("Tea > Green", "Tea", "123")),
    "google_product_category": ("categories", ("Food > Tea", "444")),
    "availability": ("in_stock", ("in stock", "preorder", "out of stock")),
    "sale_price": ("sale_price", ("9.50 EUR", "20 EUR", "9.50 USD", "8")),
    "sale_price_effective_date": ("sale_period", ("2020-01-01/2099-01-01", "2020-01-01/2021-01-01")),
    "quantity": ("stock_quantity", ("7",)),
    "item_group_id": ("attributes", ("G1",)),
    "gtin": ("attributes", ("0123456789012",)),
    "color": ("attributes", ("blue", "light blue")),
    "sku": ("sku", ("S-1",)),
    "summary": ("description", ("Short",)),
    "status": ("status", ("active", "archived", "new")),
    "visibility": ("visibility", ("published", "hidden", "4")),
    "currency": ("currency", ("EUR", "USD")),
    "image": ("image_url", ("https://s.example/other.jpg",)),
    "shipping": ("none", ("ES:5 EUR",)),
    "adult": ("none", ("no",)),
}
UNITS = ("", " EUR", " €")


def item(fields: list[tuple[str, str]], prefix: str = "g:") -> str:
    return f"<item>{''.join(f'<{prefix}{name}>{escape(text)}</{prefix}{name}>' for name, text in fields)}</item>"


def feed_of(items: list[str]) -> str:
    return f'<rss xmlns:g="http://base.google.com/ns/1.0"><channel><title>x</title>{"".join(items)}</channel></rss>'


def random_feed(random: Random) -> str:
    items: list[str] = []
    for number in range(random.choice([4, 20])):
        names = ["id", "title", "link", "price", *random.sample(list(FIELDS)[4:], random.randrange(2, 9))]
        fields = [(name, f"SKU-{number}" if name == "id" else random.choice(FIELDS[name][1])) for name in names]
        for _ in range(random.choice([0, 0, 1, 1, 2])):
            place = random.randrange(len(fields))
            name = fields[place][0].lower()
            target = FIELDS[name][0]
            text = odd_text(random, target if target in ODD else "attributes")
            if target in {"price", "sale_price"}:
                text += random.choice(UNITS)
            odd = (random.choice([name, name, name, name.upper(), name]), "".join(c for c in text if c.isprintable()))
            fields[place : place + random.choice([0, 1])] = [odd]
        items.append(item(fields, random.choice(["g:", "g:", ""])))
    return feed_of(items)


@given(
    st.integers(0, 2**32),
    st.fixed_dictionaries(
        {"today": st.just(date(2026, 11, 26)), "shop_url": st.just("https://s.example")},
        optional={
            "currency": st.sampled_from(["EUR", "USD"]),
            "fit": st.booleans(),
            "decimal": st.sampled_from([".", ","]),
            "mapping": st.sampled_from([{"currency": ""}, {"sku": "gtin"}]),
        },
    ),
)
def test_both_lanes_read_feeds_alike(seed, options):
    content = random_feed(Random(seed))
    note(content)
    assert_lanes_agree(content, "f.xml", **options)


@pytest.mark.slow
def test_both_lanes_read_each_odd_text_alike_beside_a_plain_one(monkeypatch):
    monkeypatch.setattr(feed, "_GROUP", 2)
    plain = [(name, texts[0]) for name, (_, texts) in FIELDS.items() if name not in {"summary", "adult"}]
    items = [item(plain)]
    for place, (name, _) in enumerate(plain):
        target = FIELDS[name][0]
        for text in ODD[target if target in ODD else "attributes"]:
            for unit in UNITS if target in {"price", "sale_price"} else ("",):
                odd = "".join(c for c in text if c.isprintable()) + unit
                items += [item(plain), item([*plain[:place], (name, odd), *plain[place + 1 :]])]
    assert_lanes_agree(feed_of(items), "f.xml", keep_going=True, today=date(2026, 11, 26), shop_url="https://s.example")


def test_plain_items_take_the_fast_lane():
    fields = [(name, texts[0]) for name, (_, texts) in FIELDS.items()]
    outcome = assert_lanes_agree(feed_of([item([("id", f"SKU-{n}"), *fields[1:]]) for n in range(300)]), "f.xml")
    assert len(outcome.items) == 300
    assert outcome.careful <= 64
    assert outcome.told["ignored"] == [("image", 300), ("shipping", 300), ("adult", 300)]
