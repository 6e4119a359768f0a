"""JSON Lines: the fast lane against the careful one."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

import msgspec
from hypothesis import given, note
from hypothesis import strategies as st
from two_lanes import ODD, assert_lanes_agree, odd_text

from neuroon_async.api.models import WIRE_NAMES
from neuroon_async.catalogs.fast import json_lines

PLAIN: dict[str, list[Any]] = {
    "name": ["Tea", "Green tea, 250 g", "Té verde"],
    "price": [12, Decimal("12.50"), 0],
    "url": ["https://s.example/tea", "https://s.example/té?a=1"],
    "sku": ["S1", "1234", None],
    "description": ["Good tea.", "<p>Good &amp; green</p>", None],
    "currency": ["EUR", "USD", None],
    "image_url": ["https://s.example/tea.jpg", None],
    "categories": [["Tea"], ["Tea", "Green"], [], None],
    "brands": [["Hills"], [], None],
    "tags": [["a", "b"], [], None],
    "in_stock": [True, False, None],
    "stock_quantity": [0, 7, None],
    "rating": [4, Decimal("4.5"), None],
    "review_count": [3, None],
    "is_active": [True, None],
    "sale_price": [9, Decimal("0.5"), 12, 99, 0, None],
    "parent_external_id": ["SKU-500", "P", None],
    "attributes": [{"size": "L"}, {"size": "L", "color": "red"}, {}, None],
}
REQUIRED = ["name", "price", "url"]
NUMBERS = [
    -1, 0, 5, 6, Decimal("-0.0"), Decimal("4.99"), Decimal("1E+3"), 10**30, Decimal("1E-30"), 10**60, Decimal("1E+400"),
    True, False, None,
]  # fmt: skip
OTHER_KEYS = [
    "id",
    "title",
    "image_url",
    "imageUrl",
    "Image",
    "colour",
    "sale_starts",
    "sale_ends",
    "failure",
    "product",
]
OTHER_LINES = [b"", b"  ", b"{", b"[]", b"null", b'{"a":1} {"b":2}', b'{"a":"\xff"}', b'{"externalId":"1",']
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "currency": st.sampled_from(["EUR", "usd"]),
        "shop_url": st.just("https://s.example"),
        "fit": st.booleans(),
        "decimal": st.sampled_from([".", ","]),
    },
)


def record(random: Random, number: int) -> dict[str, Any]:
    """Plain but for one field, mostly."""
    optional = random.sample([name for name in PLAIN if name not in REQUIRED], random.randrange(8))
    fields = {"external_id": f"SKU-{number}"} | {name: random.choice(PLAIN[name]) for name in REQUIRED + optional}
    for name in random.sample(sorted({*fields, *PLAIN}), random.choice([0, 1, 1, 1, 2])):
        fields[name] = odd_value(random, name)
    if random.random() < 0.05:
        del fields[random.choice(["external_id", *REQUIRED])]
    return fields


def odd_value(random: Random, name: str) -> Any:
    kind = random.random()
    if kind < 0.2:
        return random.choice(NUMBERS)
    if name == "attributes" or kind < 0.25:
        pairs = ((odd_text(random, name), odd_text(random, name)) for _ in range(2))
        return dict(pairs) if random.random() < 0.5 else {"size": odd_text(random, name), "src": "x"}
    if name in {"categories", "brands", "tags"} or kind < 0.3:
        return [random.choice([odd_text(random, "name"), "Tea", "Tea"]) for _ in range(random.randrange(4))]
    return odd_text(random, name)


def catalog(random: Random) -> bytes:
    """Groups of which a glance can tell, and groups of which it cannot."""
    spelled = random.choice([WIRE_NAMES, WIRE_NAMES, {}])
    lines = []
    for number in range(random.choice([3, 30])):
        fields: dict[str, Any] = {spelled.get(name, name): value for name, value in record(random, number).items()}
        if random.random() < 0.1:
            fields[random.choice(OTHER_KEYS)] = odd_text(random, "name")
        lines.append(encode(fields))
        if random.random() < 0.03:
            lines.append(random.choice(OTHER_LINES))
    return random.choice([b"\n", b"\r\n"]).join(lines)


def encode(fields: dict[str, Any]) -> bytes:
    return msgspec.json.Encoder(decimal_format="number").encode(fields)


@given(st.integers(0, 2**32), OPTIONS)
def test_both_lanes_read_json_lines_alike(seed, options):
    content = catalog(Random(seed))
    note(content.decode(errors="replace"))
    assert_lanes_agree(content, "f.jsonl", **options)


def odd_values():
    """``(field, value)``: everything that some rule is about."""
    for name, texts in ODD.items():
        for text in texts:
            yield name, text
            if name in {"categories", "brands", "tags"}:
                yield from [(name, [text]), (name, [text, text])]
            if name == "attributes":
                yield from [(name, {"size": text}), (name, {text: "x"})]
    yield from ((name, number) for name in PLAIN for number in NUMBERS)


def test_both_lanes_read_each_odd_value_alike_beside_a_plain_one(monkeypatch):
    monkeypatch.setattr(json_lines, "_GROUP", 2)
    plain = {"externalId": "SKU-1", "name": "Tea", "price": 12, "url": "https://s.example/tea"}
    lines = []
    for name, value in odd_values():
        lines += [plain, plain | {WIRE_NAMES.get(name, name): value}]
    assert_lanes_agree(b"\n".join(map(encode, lines)), "f.jsonl", keep_going=True)


def test_both_lanes_tell_alike_which_of_two_keys_is_used():
    plain = {"externalId": "SKU-1", "name": "Tea", "price": 12, "url": "https://s.example/tea"}
    both = plain | {"image_url": "https://s.example/1.jpg", "imageUrl": "https://s.example/2.jpg"}
    lines = [plain, both, plain | {"imageUrl": "https://s.example/3.jpg"}, both]
    for count in (2, 3, 4):
        assert_lanes_agree(b"\n".join(map(encode, lines[:count])), "f.jsonl")


def test_plain_objects_take_the_fast_lane_among_others():
    plain = [encode({WIRE_NAMES[name]: value for name, value in product.items()}) for product in products(200)]
    assert assert_lanes_agree(b"\n".join(plain), "f.jsonl").share == 1.0
    other = b'{"externalId":"X","name":"Tea","price":"4,50 \xe2\x82\xac","url":"https://s.example/tea"}'
    mixed = assert_lanes_agree(b"\n".join([*plain[:99], other, b"", b"{", *plain[99:]]), "f.jsonl")
    assert (mixed.careful, len(mixed.items)) == (2, 202)
    assert [i for i, item in enumerate(mixed.items) if not getattr(item, "name", "").startswith("Tea no.")] == [99, 100]
    assert mixed.items[100].reason.startswith("f.jsonl:102: ")


def products(count):
    for i in range(count):
        yield {
            "external_id": f"SKU-{i}",
            "name": f"Tea no. {i}",
            "price": Decimal(i) / 100,
            "url": f"https://s.example/tea/{i}",
            "description": f"Tea <b>no. {i}</b>" if i % 3 else "Tea",
            "image_url": None if i % 5 else f"https://s.example/{i}.jpg",
            "categories": ["Tea", f"Line {i % 7}"],
            "attributes": {"size": str(i)},
            "sale_price": Decimal(50 + i) / 200,
        }


def test_snake_case_takes_the_fast_lane_too_and_a_mapping_the_careful_one():
    text = b"\n".join(map(encode, products(70)))
    assert assert_lanes_agree(text, "f.jsonl", currency="EUR").share == 1.0
    assert assert_lanes_agree(text, "f.jsonl", mapping={"sku": "external_id"}).share == 0.0


def test_a_key_that_stands_twice_has_its_last_value_in_both_lanes():
    """As `docs/catalogs/plain.md` says."""
    line = (
        '{"externalId":"1","name":"Tea","price":4,"url":"https://s.example","attributes":{"a":"1","a":"2"},"price":5}'
    )
    [product] = assert_lanes_agree(line, "catalog.jsonl").items
    assert (product.price, product.attributes) == (5, {"a": "2"})
