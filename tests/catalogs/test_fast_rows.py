"""Delimited text: the fast lane against the careful one."""

from __future__ import annotations

import csv
import io
from datetime import date
from random import Random
from typing import Any

import pytest
from catalog_files import read
from hypothesis import given, note
from hypothesis import strategies as st
from two_lanes import ODD, assert_lanes_agree, odd_text

from neuroon_async import Product
from neuroon_async.catalogs.readers import delimited

COLUMNS: dict[str, tuple[str, ...]] = {
    "external_id": ("id", "externalId", "Product ID"),
    "name": ("name", "Título", "title"),
    "price": ("price", "Precio", "regular_price"),
    "url": ("url", "link"),
    "sku": ("sku", "SKU"),
    "description": ("description", "Descripción"),
    "currency": ("currency", "Moneda"),
    "image_url": ("image_url", "images"),
    "categories": ("categories", "category"),
    "brands": ("brand", "vendor"),
    "tags": ("tags",),
    "in_stock": ("in_stock", "availability"),
    "stock_quantity": ("stock", "qty"),
    "rating": ("rating",),
    "review_count": ("review_count",),
    "is_active": ("is_active", "published"),
    "sale_price": ("sale_price", "Precio oferta"),
    "parent_external_id": ("parent_id",),
    "attributes.size": ("attributes.size",),
    "attributes.colour": ("Attributes. colour",),
    "sale_starts": ("sale_starts",),
    "sale_ends": ("sale_ends",),
    "sale_period": ("sale_price_effective_date",),
    "status": ("status", "Estado"),
    "visibility": ("visibility", "Sichtbarkeit"),
    "hidden": ("is_hidden", "Oculto"),
    "deleted": ("deleted_at", "eliminado"),
    "none": ("Colour", "weight", "note"),
}
PLAIN: dict[str, tuple[str, ...]] = {
    "name": ("Tea", "Green tea, 250 g", "Té verde", "Tea & more"),
    "price": ("12", "12.50", "0.99"),
    "url": ("https://s.example/tea", "https://s.example/té?a=1", "/p/tea"),
    "sku": ("S1", "1234", ""),
    "description": ("Good tea.", "<p>Good &amp; green</p>", "Line\nline", ""),
    "currency": ("EUR", "USD", ""),
    "image_url": ("https://s.example/tea.jpg", ""),
    "categories": ("Tea", "Tea|Green", "A > B", ""),
    "brands": ("Hills", "Hills & Co", ""),
    "tags": ("a,b", "a", ""),
    "in_stock": ("yes", "no", "in stock", ""),
    "stock_quantity": ("0", "7", "120", ""),
    "rating": ("4.5", "4", ""),
    "review_count": ("3", ""),
    "is_active": ("true", "0", ""),
    "sale_price": ("9", "0.50", "12", "99", ""),
    "parent_external_id": ("P-500", "", "0"),
    "attributes.size": ("L", "36", ""),
    "attributes.colour": ("red", "light blue", ""),
    "sale_starts": ("2020-01-01", ""),
    "sale_ends": ("2099-01-01", "2021-01-01", ""),
    "sale_period": ("2020-01-01/2099-01-01", ""),
    "status": ("publish", "draft", "used", ""),
    "visibility": ("visible", "hidden", "4", ""),
    "hidden": ("0", "1", "no", ""),
    "deleted": ("", "2026-01-31 10:00:00", "\\N", "sí"),
    "none": ("x", "9,99", "2026-01-01", ""),
}
REQUIRED = ("external_id", "name", "price", "url")
OPTIONS = st.fixed_dictionaries(
    {"today": st.just(date(2026, 11, 26))},
    optional={
        "currency": st.sampled_from(["EUR", "usd"]),
        "shop_url": st.just("https://s.example"),
        "fit": st.booleans(),
        "decimal": st.sampled_from([".", ","]),
        "keep_going": st.booleans(),
    },
)
MAPPINGS: tuple[dict[str, str], ...] = (
    {"url": "https://s.example/{0}"},
    {"url": "https://s.example/{1:slug}-{0:hash}", "sku": ""},
    {"attributes.extra": "{1} of {2}", "attributes.size": "3"},
    {"name": "{1}: {3}", "description": "1"},
    {"sale_price": "2", "currency": ""},
    {"stock_quantity": "4", "sku": "3"},
    {"attributes": "4"},
    {"is_active": "3"},
    {"is_active": ""},
)


def file_of(random: Random, count: int) -> tuple[str, dict[str, Any]]:
    """A file of so many rows, plain but for a few cells, and the options that it is read by."""
    optional = random.sample(list(COLUMNS)[4:], random.randrange(3, 12))
    targets = [*REQUIRED, *optional]
    random.shuffle(targets)
    header = [random.choice(COLUMNS[target]) for target in targets]
    if random.random() < 0.2:
        targets.append(random.choice(targets))
        header.append(random.choice(COLUMNS[targets[-1]]))
    rows = [header]
    for number in range(count):
        row = [f"SKU-{number}" if target == "external_id" else random.choice(PLAIN[target]) for target in targets]
        for _ in range(random.choice([0, 0, 1, 1, 2])):
            place = random.randrange(len(row))
            row[place] = odd_text(random, targets[place]) if targets[place] in ODD else odd_text(random, "attributes")
        if random.random() < 0.03:
            row = random.choice([row[:-1], [*row, ""], [*row, "x"], [], [" "] * len(row)])
        rows.append(row)
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=random.choice(",;\t"), lineterminator=random.choice(["\n", "\r\n"]))
    writer.writerows(rows)
    options: dict[str, Any] = {}
    if random.random() < 0.3 and len(set(header)) == len(header):
        mapping = random.choice(MAPPINGS)
        options["mapping"] = {target: named(source, header) for target, source in mapping.items()}
    return text.getvalue(), options


def named(source: str, header: list[str]) -> str:
    """Columns by name: a mapping above calls them by their place."""
    if source.isdigit():
        return header[int(source)]
    for place in range(5):
        source = source.replace(f"{{{place}}}", f"{{{header[place]}}}").replace(f"{{{place}:", f"{{{header[place]}:")
    return source


@given(st.integers(0, 2**32), OPTIONS)
def test_both_lanes_read_rows_alike(seed, options):
    content, more = file_of(Random(seed), Random(seed).choice([3, 20]))
    note(content)
    assert_lanes_agree(content, "f.csv", **options, **more)


def test_both_lanes_read_each_odd_cell_alike_beside_a_plain_one(monkeypatch):
    monkeypatch.setattr(delimited, "_BLOCK", 2)
    targets = [target for target in COLUMNS if target != "none" and target not in {"sale_period", "sale_starts"}]
    plain = ["SKU-1", *(PLAIN[target][0] for target in targets[1:])]
    rows = [[COLUMNS[target][0] for target in targets], plain, plain]
    for place, target in enumerate(targets):
        for text in ODD[target.partition(".")[0]]:
            rows += [plain, [*plain[:place], text, *plain[place + 1 :]]]
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    assert_lanes_agree(text.getvalue(), "f.csv", keep_going=True, today=date(2026, 11, 26), currency="EUR")


def test_plain_rows_take_the_fast_lane():
    header = "id,name,price,url,description,image_url,categories,in_stock,stock,attributes.size,weight"
    rows = (
        f'{n},"Tea, no. {n}",{n}.{n % 100:02d},https://s.example/{n},<p>Tea {n}</p>,,Tea|Line {n % 9},yes,7,{n} ml,{n}'
        for n in range(300)
    )
    outcome = assert_lanes_agree("\n".join([header, *rows]), "f.csv", currency="EUR")
    assert (len(outcome.items), outcome.careful) == (300, 1)
    assert outcome.told["ignored"] == [("weight", 300)]


def test_words_for_what_is_published_take_the_fast_lane_too():
    words = ("publish", "draft", "hidden", "used", "")
    rows = [f"{n},Tea {n},1.50,https://s.example/{n},{words[n % 5]},visible" for n in range(100)]
    outcome = assert_lanes_agree("\n".join(["id,name,price,url,status,visibility", *rows]), "f.csv")
    assert outcome.careful == 1
    assert [product.is_active for product in outcome.items[:5]] == [True, False, False, True, True]
    assert outcome.told["ignored"] == []


@pytest.mark.parametrize("missing", ["id", "name", "price", "url"])
def test_rows_without_a_required_column_are_no_products(missing):
    header = [name for name in ("id", "name", "price", "url") if name != missing]
    values = {"id": "A1", "name": "Tea", "price": "1.50", "url": "https://s.example/a"}
    content = "\n".join([",".join(header), *[",".join(values[name] for name in header)] * 200]) + "\n"
    assert not any(isinstance(item, Product) for item in read(content))
