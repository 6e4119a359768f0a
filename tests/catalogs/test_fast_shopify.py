"""Shopify's export: the fast lane against the careful one."""

from __future__ import annotations

import csv
import io
from random import Random
from typing import Any

import pytest
from hypothesis import given, note
from hypothesis import strategies as st
from two_lanes import ODD, assert_lanes_agree, odd_text

OF_PRODUCT: dict[str, tuple[str, ...]] = {
    "Title": ("Tea", "Green tea, 250 g", "Té & más", "<b>Tea</b>"),
    "Body (HTML)": ("<p>Good &amp; green</p>", "Good tea.", ""),
    "Vendor": ("Hills", "Hills & Co", ""),
    "Type": ("Tea", "Loose & fine", "", ""),
    "Product Category": ("Food > Tea", "Food > > Tea", ""),
    "Tags": ("a, b", "a", "a,,b, a", ""),
    "Published": ("true", "TRUE", "false", "", "x"),
    "Status": ("active", "Active", "draft", "archived", ""),
    "Gift Card": ("false", "true", ""),
    "Command": ("MERGE", "DELETE", ""),
    "Option1 Name": ("Size", "Size", "Colour", "Title", ""),
    "Option2 Name": ("Colour", "", "", "Size"),
    "Option3 Name": ("Stuff", "", "", ""),
}
OF_VARIANT: dict[str, tuple[str, ...]] = {
    "Option1 Value": ("S", "M", "L", "36/37", "100%", ""),
    "Option2 Value": ("red", "light blue", "", ""),
    "Option3 Value": ("wool", "", ""),
    "Variant SKU": ("S1", "'00124", "1234", "''7", ""),
    "Variant Barcode": ("", "8436571234567", "'8436571234567"),
    "Variant Inventory Tracker": ("shopify", "shopify", ""),
    "Variant Inventory Qty": ("7", "0", "-3", "", "120"),
    "Variant Inventory Policy": ("deny", "continue", "TRUE", ""),
    "Variant Price": ("12", "12.50", "0.99", "0", "9,90"),
    "Variant Compare At Price": ("15", "12", "0", "", "", "99.90"),
    "Variant Image": ("https://s.example/v.jpg", "", ""),
    "Google Shopping / Gender": ("unisex", ""),
}
OF_ROW: dict[str, tuple[str, ...]] = {
    "Image Src": ("https://s.example/1.jpg", "https://s.example/2.jpg", ""),
    "Image Position": ("1", "2", ""),
    "Variant Grams": ("300", "", "0"),
    "Notes": ("x", "", "9,99"),
}
TARGETS = {
    "Title": "name", "Body (HTML)": "description", "Vendor": "brands", "Type": "categories", "Tags": "tags",
    "Product Category": "categories", "Published": "is_active", "Status": "is_active", "Variant SKU": "sku",
    "Variant Inventory Qty": "stock_quantity", "Variant Price": "price", "Variant Compare At Price": "sale_price",
    "Image Src": "image_url", "Variant Image": "image_url", "Handle": "external_id",
}  # fmt: skip
NEWER = {
    "Handle": "URL handle", "Body (HTML)": "Description", "Variant SKU": "SKU", "Variant Price": "Price",
    "Variant Compare At Price": "Compare-at price", "Variant Inventory Tracker": "Inventory tracker",
    "Variant Inventory Qty": "Inventory quantity", "Image Src": "Product image URL", "Option1 Value": "Option1 value",
    "Option1 Name": "Option1 name", "Published": "Published on online store",
}  # fmt: skip
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "currency": st.sampled_from(["EUR", "usd"]),
        "shop_url": st.just("https://s.example"),
        "fit": st.booleans(),
        "keep_going": st.booleans(),
    },
)
MAPPINGS = ({}, {}, {}, {"brands": "Title"}, {"attributes.note": "{Vendor} {Title}"}, {"sku": ""})


def rows_of_handle(random: Random, number: int) -> list[dict[str, str]]:
    """One product, mostly with variants and further images."""
    product = {name: random.choice(texts) for name, texts in OF_PRODUCT.items()}
    rows = []
    for place in range(random.choice([1, 1, 2, 3, 5])):
        row = {"Handle": f"tea-{number}"} | {name: random.choice(texts) for name, texts in OF_ROW.items()}
        if place == 0 or random.random() < 0.8:
            row |= {name: random.choice(texts) for name, texts in OF_VARIANT.items()}
        rows.append(row)
    if len(rows) == 1 and random.random() < 0.7:
        product["Option1 Name"], rows[0]["Option1 Value"] = "Title", random.choice(["Default Title", ""])
    rows[0] |= product
    return rows


def file_of(random: Random, handles: int) -> str:
    """A file of so many handles, plain but for a few cells and rows."""
    columns = ["Handle", "Title", "Variant Price"]
    others = [name for name in {**OF_PRODUCT, **OF_VARIANT, **OF_ROW} if name not in columns]
    columns += random.sample(others, random.choice([len(others), len(others) - 3, 8]))
    if random.random() < 0.05:
        columns.append(random.choice(["Currency", "Variant Available", "URL", *columns[3:]]))
    rows = [row for number in range(handles) for row in rows_of_handle(random, number)]
    for _ in range(random.choice([0, 0, 1, 1, 2, 4])):
        column = random.choice(columns)
        random.choice(rows)[column] = odd_text(random, TARGETS.get(column, "attributes"))
    lines = [[row.get(column, "") for column in columns] for row in rows]
    if random.random() < 0.2:
        place = random.randrange(len(lines))
        row = lines[place]
        lines[place : place + 1] = random.choice([[row[:-1], row], [[*row, ""]], [[*row, "x"]], [row, ["", *row[1:]]]])
    header = [NEWER.get(name, name) for name in columns] if random.random() < 0.3 else columns
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=random.choice(["\n", "\r\n"])).writerows([header, *lines])
    return text.getvalue() + ('"open' if random.random() < 0.03 else "")


@given(st.integers(0, 2**32), OPTIONS)
def test_both_lanes_read_shopify_alike(seed, options):
    random = Random(seed)
    content = file_of(random, random.choice([1, 3, 12]))
    note(content)
    assert_lanes_agree(content, "f.csv", format="shopify", mapping=random.choice(MAPPINGS), **options)


@pytest.mark.slow
def test_both_lanes_read_each_odd_cell_of_shopify_alike():
    columns = ["Handle", *OF_PRODUCT, *OF_VARIANT, *OF_ROW]
    plain = {name: texts[0] for name, texts in {**OF_PRODUCT, **OF_VARIANT, **OF_ROW}.items()}
    rows = []
    for column in columns:
        for text in ODD[TARGETS.get(column, "attributes")]:
            for place in (0, 1):
                handle = f"tea-{len(rows)}"
                first = plain | {"Handle": handle}
                second = {"Handle": handle} | {name: OF_VARIANT[name][1] for name in OF_VARIANT}
                (first, second)[place][column] = text
                rows += [first, second]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="")
    writer.writeheader()
    writer.writerows(rows)
    outcome = assert_lanes_agree(text.getvalue(), "f.csv", shop_url="https://s.example", keep_going=True)
    assert 0.3 < outcome.share < 1


def shop(count: int) -> str:
    """Handles of three variants, and one of none."""
    header = (
        "Handle,Title,Body (HTML),Vendor,Type,Tags,Published,Option1 Name,Option1 Value,Option2 Name,Option2 Value,"
        "Variant SKU,Variant Grams,Variant Inventory Tracker,Variant Inventory Qty,Variant Inventory Policy,"
        "Variant Price,Variant Compare At Price,Variant Barcode,Image Src,Image Position,Variant Image,Status"
    )
    lines = [header]
    for n in range(count):
        for place, size in enumerate("SML"):
            own = f'Tea {n},<p>Good &amp; green {n}</p>,Hills,Tea,"a, b",true,Size,{size},Colour,green'
            shared = own if place == 0 else f",,,,,,,{size},,green"
            price = f"{n}.5{place},{n + 1 if n % 3 else ''},,https://s.example/{n}.jpg,{place + 1},,"
            status = "active" if place == 0 else ""
            lines.append(f"tea-{n},{shared},T-{n}-{size},250,shopify,{n % 9},deny,{price}{status}")
        lines.append(f"mug-{n},Mug {n},,Hills,,,true,Title,Default Title,,,M-{n},,,,,9.90,,,,,,active")
    return "\n".join(lines)


@pytest.mark.parametrize("handles", [2, 150])
def test_plain_handles_take_the_fast_lane(handles):
    outcome = assert_lanes_agree(shop(handles), "f.csv", shop_url="https://s.example", currency="EUR")
    assert (len(outcome.items), outcome.careful) == (5 * handles, 0)
    assert outcome.told["ignored"] == [("Variant Grams", 3 * handles)]


def test_products_of_one_handle_share_no_lists():
    outcome = assert_lanes_agree(shop(2), "f.csv", shop_url="https://s.example")
    texts: list[Any] = [product.tags for product in outcome.items if product.tags]
    assert len({*map(id, texts)}) == len(texts) == 8
