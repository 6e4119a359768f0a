"""What failed, mended, and read again: one plain reading understands every line of a dead letter file."""

from __future__ import annotations

import json
import pickle
from datetime import date
from decimal import Decimal

import pytest
from catalog_files import named, products, read
from test_catalog_exports import ITEM, RSS, SHOPIFY, WOO

from neuroon_async import DeadLetterFile, Product, ProductFailure
from neuroon_async.catalogs import Catalog

FAMILY = (
    "1,variable,p,P,1,,1,,,,,,,,,,,,,\n2,variation,v,P v,1,,1,,,abc,,,,,,p,,,,\n3,variation,w,P w,1,,1,,,5,,,,,,p,,,,\n"
)
SHOP = "https://shop.example"
OPTIONS = {"shop_url": SHOP, "currency": "EUR", "today": date(2026, 3, 5)}


def letters_of(tmp_path, content, **options) -> list[dict]:
    path = tmp_path / "failed.jsonl"
    with DeadLetterFile(path) as letters:
        for item in Catalog(named(content), **options):
            if isinstance(item, ProductFailure):
                letters(item)
    return [json.loads(line) for line in path.read_text().splitlines()]


def read_again(letters: list[dict], **options):
    return read("\n".join(map(json.dumps, letters)), "failed.jsonl", today=date(2026, 3, 5), **options)


def test_a_mapped_row_carries_the_options_that_it_needs(tmp_path):
    content = 'code;title;cost;path\nB;Milk;"1.299";/milk\nA;Tea;x;/tea\nC;Salt;"9,50";/salt\n'
    mapping = {"external_id": "code", "price": "cost", "url": "path"}
    (letter,) = letters_of(tmp_path, content, mapping=mapping, **OPTIONS)
    assert letter["raw"] == {"code": "A", "title": "Tea", "cost": "x", "path": "/tea"}
    assert letter["reading"] == {
        "format": "csv", "mapping": mapping, "currency": "EUR", "shop_url": SHOP, "decimal": ",",
    }  # fmt: skip
    letter["raw"]["cost"] = "2.499"
    (tea,) = read_again([letter])
    assert tea == Product(external_id="A", sku="A", name="Tea", price=2499, url=f"{SHOP}/tea", currency="EUR")


def test_a_file_of_rows_and_products_is_read_by_one_plain_reading(tmp_path):
    path = tmp_path / "failed.jsonl"
    sent = Product(external_id="1", name="a &lt;b&gt; c", price=Decimal("1.50"), url=f"{SHOP}/1", currency="USD")
    with DeadLetterFile(path) as letters:
        letters(ProductFailure("1", "no", "server", 422, sent))
        letters(ProductFailure("9", "the run ended", "transport", None, sent, unsent=True))
        for item in read("id,name,price,url\n2,b,,/2\n3,c\n", **OPTIONS):
            letters(item)
    assert letters.count == 3
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[1]["raw"]["price"] = "7"
    first, second, broken = read_again(lines)
    assert first == sent  # as it was: texts are not cleaned twice
    assert (second.price, second.url, second.currency) == (7, f"{SHOP}/2", "EUR")
    assert "has 2 cells" in broken.reason
    assert "mend it in its catalog" in broken.reason


@pytest.mark.parametrize(
    ("content", "field", "mended"),
    [
        (SHOPIFY + "a,A,,,,,true,Size,S,,,,,,,abc,,,,false,,active\na,,,,,,,,L,,,,,,,5,,,,,,\n", "price", "4.50"),
        (WOO + FAMILY, "price", "4.50"),
        (RSS.replace("<g:price>1,299.00 EUR</g:price>", "<g:price>abc</g:price>"), "price", "1,299.00 EUR"),
    ],
)  # fmt: skip
def test_exports_whose_rows_belong_together(tmp_path, content, field, mended):
    good = content.replace("abc", mended)
    wanted = {item.external_id: item for item in read(good, **OPTIONS)}
    (letter,) = letters_of(tmp_path, content, **OPTIONS)
    assert letter["raw"][field] == "abc"
    letter["raw"][field] = mended
    (item,) = read_again([letter])
    assert item == wanted[item.external_id]


def test_what_fails_again_can_be_read_again(tmp_path):
    (letter,) = letters_of(tmp_path, "code,name,price,url\nA,Tea,x,/tea\n", mapping={"external_id": "code"}, **OPTIONS)
    (failure,) = read_again([letter])
    assert failure.reason.startswith("failed.jsonl:1: price: must be an amount")
    assert failure.product == letter["raw"]
    assert failure.product.reading == letter["reading"]
    (again,) = letters_of(tmp_path / "..", json.dumps(letter))
    assert (again["raw"], again["reading"]) == (letter["raw"], letter["reading"])


def test_options_that_are_given_come_first(tmp_path):
    (letter,) = letters_of(
        tmp_path, "code,name,price,url,sku\n,Tea,5,/tea,s\n", mapping={"external_id": "code"}, **OPTIONS
    )
    (tea,) = read_again([letter], mapping={"external_id": "sku"}, currency="USD")
    assert (tea.external_id, tea.currency, tea.url) == ("s", "USD", f"{SHOP}/tea")


@pytest.mark.parametrize(
    "reading",
    [{"format": "nope"}, {"format": 5}, {"mapping": 5}, {"mapping": {"x": "y"}}, {"shop_url": 7}, {"currency": []}, []],
)
def test_a_reading_that_was_spoilt_is_a_complaint(reading):
    letter = {"failure": {}, "raw": {"id": "1", "name": "n", "price": 1, "url": "/x"}, "reading": reading}
    (item,) = read_again([letter])
    assert isinstance(item, ProductFailure)


def test_rows_can_be_pickled():
    (failure,) = read("id,name,price,url\n2,b,x,/2\n", **OPTIONS)
    copy = pickle.loads(pickle.dumps(failure))
    assert copy == failure
    assert copy.product.reading == failure.product.reading


def test_the_made_item_is_whole():
    assert ITEM in RSS
    assert len(products(RSS, **OPTIONS)) == 1


@pytest.mark.parametrize("count", [1, 2])
def test_a_row_that_looks_like_an_export_stays_what_it_was_read_as(tmp_path, count):
    """Its file is one of dead letters, whatever platform's export the rows in it look like."""
    row = {
        "id": 1,
        "title": "Bag",
        "handle": "bag",
        "body_html": "x",
        "variants": [{"id": 41, "price": "8"}, {"id": 42}],
    }
    content = "\n".join(json.dumps(row | {"id": number}) for number in range(count))
    letters = letters_of(tmp_path, content, format="jsonl", **OPTIONS)
    assert {letter["reading"]["format"] for letter in letters} <= {"json", "jsonl"}
    for letter in letters:
        letter["raw"] |= {"name": "Bag", "price": "8", "url": "/bag"}
    again = read_again(letters)
    assert [item.external_id for item in again if isinstance(item, Product)] == [str(number) for number in range(count)]
