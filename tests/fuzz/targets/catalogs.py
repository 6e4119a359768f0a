"""Every catalog format, and dead letters: only products, complaints, or one `CatalogError`."""

from __future__ import annotations

import gzip
import io
import json
import re
from contextlib import suppress
from datetime import date
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any
from zlib import crc32

from catalogs.spreadsheets import workbook

from fuzz.targets.target import Target
from neuroon_async import Product, ProductFailure
from neuroon_async.api.models import encode
from neuroon_async.api.validation import check_product
from neuroon_async.catalogs import Catalog, CatalogError, CatalogFormat
from neuroon_async.sync.dead_letters import _line

__all__ = ["TARGETS"]

TESTS = Path(__file__).parents[2]
CASES = TESTS / "catalogs" / "cases"
TODAY = date(2026, 11, 26)
CHOICES = (
    {},
    {"fit": True},
    {"currency": "EUR"},
    {"decimal": ",", "keep_going": True},
    {"decimal": "."},
    {"mapping": {"sku": "id", "attributes.colour": "{color}/{size}"}},
    {"mapping": {"description": ""}, "currency": "usd", "fit": True},
    {"encoding": "cp1252"},
)

ADDRESSES = {
    CatalogFormat.ECWID: "/p/{product_internal_id}",
    CatalogFormat.SQUARESPACE: "/{Product Page}/p/{Product URL}",
}
"""What a user has to say of exports that hold no addresses: without it every file is refused."""


class Pipe(io.RawIOBase):
    """Bytes in small pieces, without seeking."""

    def __init__(self, content: bytes, piece: int) -> None:
        super().__init__()
        self._content, self._piece, self._at = content, piece, 0

    def read(self, size: int = -1) -> bytes:
        data = self._content[self._at : self._at + (self._piece if size < 0 else min(self._piece, size))]
        self._at += len(data)
        return data


def check(data: bytes, format_: CatalogFormat) -> None:
    """The bytes' own checksum chooses the options, so that a file of the corpus is a catalog and nothing else.

    They are read twice: at one go, and carefully, half of the time in small pieces. Both readings are the same.
    """
    choice = crc32(data)
    options = options_of(CHOICES[choice & 7], format_)
    items, told = reading_of(Catalog(named(io.BytesIO(data)), **options))
    careful = Catalog(named(Pipe(data, 1 + choice % 97) if choice & 8 else io.BytesIO(data)), **options)
    careful.on_change = lambda change: None  # whoever wants to know of changes has every record read carefully
    again, told_again = reading_of(careful)
    for one, other in zip_longest(items, again):
        assert repr(one) == repr(other), (one, other)
    assert told == told_again, (told, told_again)
    failures = [item for item in items if isinstance(item, ProductFailure)]
    if failures and format_ is not CatalogFormat.JSONL:
        check_letters(failures[:10])


def options_of(choice: dict[str, Any], format_: CatalogFormat) -> dict[str, Any]:
    options = {"format": format_, "shop_url": "https://shop.example", "today": TODAY, **choice}
    if address := ADDRESSES.get(format_):
        options["mapping"] = options.get("mapping", {}) | {"url": address}
    return options


def named(file: io.IOBase) -> io.IOBase:
    file.name = "file"
    return file


def reading_of(catalog: Catalog) -> tuple[list[Product | ProductFailure], dict[str, Any]]:
    """What comes of a catalog, and what it says of it. Every product is one that may be sent."""
    items: list[Product | ProductFailure] = []
    told: dict[str, Any] = {}
    try:
        items.extend(catalog)
    except CatalogError as error:
        told["fault"] = re.sub(r"^file:byte \d+: ", "", str(error))  # how far one had read when it was met is chance
        assert str(error).startswith(("file", "letters")), str(error)  # noqa: PT017 - either outcome is right
    told |= {name: getattr(catalog, name) for name in ("records", "products", "failed", "fitted", "notes", "encoding")}
    told["ignored"] = list(catalog.ignored_fields.items())
    for item in items:
        if isinstance(item, Product):
            check_product(item)
            encode(item)
        else:
            assert isinstance(item, ProductFailure), item
            assert item.stage == "local"
            assert item.reason
            assert "Decimal(" not in item.reason
    assert catalog.products + catalog.failed == len(items)
    return items, told


def check_letters(failures: list[ProductFailure]) -> None:
    """A dead letter file is always a catalog again, and every line of it is one record."""
    file = io.BytesIO(b"".join(map(_line, failures)))
    file.name = "letters"
    catalog = Catalog(file, today=TODAY, keep_going=True)
    with suppress(CatalogError):
        again = list(catalog)
        assert len(again) == len(failures), f"{len(failures)} dead letters were read as {len(again)}"
        return
    raise AssertionError(f"dead letters cannot be read again: {file.getvalue()[:1000]!r}")


_CALLED = {
    CatalogFormat.JSON: ("10-", "11-"),
    CatalogFormat.CSV: ("05-", "14-", "33-", "34-"),
    CatalogFormat.SHOPIFY: ("shopify-", "22-"),
    CatalogFormat.SHOPIFY_JSON: ("11-",),
    CatalogFormat.WOOCOMMERCE: ("woo-",),
    CatalogFormat.WOOCOMMERCE_JSON: ("10-",),
    CatalogFormat.PRESTASHOP: ("prestashop",),
    CatalogFormat.WIX: ("wix",),
    CatalogFormat.MAGENTO: ("magento", "06-"),
    CatalogFormat.GOOGLE: ("google", "meta"),
}
"""What is in the names of test cases of a format."""


def _seeds(format_: CatalogFormat) -> list[bytes]:
    """The test cases that are of this format, and what else is: files of others are refused after a few bytes."""
    if format_ is CatalogFormat.AUTO:
        return [path.read_bytes()[:3_000] for path in sorted(CASES.iterdir())]
    called = _CALLED.get(format_, ())
    cases = [path.read_bytes()[:3_000] for path in sorted(CASES.iterdir()) if any(part in path.name for part in called)]
    return [*cases, *_others().get(format_, [])]


def _others() -> dict[CatalogFormat, list[bytes]]:
    letter = {
        "failure": {"reason": "x"},
        "raw": {"id": "1", "name": "n", "price": "1", "url": "/1"},
        "reading": {"format": "csv", "shop_url": "https://shop.example", "mapping": {"sku": "id"}},
    }
    sent = {"failure": letter["failure"], "product": {"externalId": "1"}}
    bulk = [{"id": "P", "handle": "h", "title": "t"}, {"id": "V", "sku": "s", "price": "1", "__parentId": "P"}]
    prices = {"price": "1", "currency_minor_unit": 2}
    store = [{"id": 1, "name": "n", "permalink": "/p", "prices": prices, "is_in_stock": True}]
    return {
        CatalogFormat.TSV: [b"id\tname\tprice\turl\n1\tn\t1,5\t/1\n"],
        CatalogFormat.DOOFINDER: [
            b"id|title|link|price|image link|categories\n1|n|/1|9,90|/1.jpg|A > B%%C\n",
        ],
        CatalogFormat.CSV: [gzip.compress(b"id,name,price,url\n1,n,1,/1\n", mtime=0)],
        CatalogFormat.JSONL: ["\n".join(map(json.dumps, [letter, sent])).encode()],
        CatalogFormat.SHOPIFY_JSON: ["\n".join(map(json.dumps, bulk)).encode()],
        CatalogFormat.WOOCOMMERCE_JSON: [json.dumps(store).encode()],
        CatalogFormat.JSON: [json.dumps({"data": [letter["raw"]] * 3}).encode()],
        **_binary(),
    }


def _binary() -> dict[CatalogFormat, list[bytes]]:
    """Files of formats that other libraries write, where those are there."""
    sheet = workbook({"A": [["id", "name", "price", "url"], [1, "n", 1.5, "/1"], ["2", True, None, "/2"]]})
    found = {CatalogFormat.XLSX: [sheet]}
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        from pyarrow import ipc, parquet  # noqa: PLC0415 - likewise
    except ImportError:
        return found
    table = pa.table({"id": ["1", "2"], "name": ["a", "b"], "price": [1.5, 2.5], "url": ["/1", "/2"]})
    packed, plain = io.BytesIO(), io.BytesIO()
    parquet.write_table(table, packed)
    with ipc.new_file(plain, table.schema) as writer:
        writer.write_table(table)
    return found | {CatalogFormat.PARQUET: [packed.getvalue()], CatalogFormat.ARROW: [plain.getvalue()]}


_TOKENS = tuple(
    token.encode()
    for token in (
        *("externalId", "name", "price", "url", "id", "title", "link", "description", "salePrice", "currency", "sku"),
        *("Handle", "Variant SKU", "Variant Price", "Option1 Name", "Option1 Value", "Image Src", "Body (HTML)"),
        *(
            "Regular price",
            "Parent",
            "Tags",
            "Type",
            "variable",
            "variation",
            "Attribute 1 name",
            "Attribute 1 value(s)",
        ),
        *("product_type", "configurable", "special_price", "qty", "handleId", "fieldType", "Product", "Variant"),
        *(
            "g:price",
            "g:id",
            "<item>",
            "</item>",
            "<rss",
            "<channel>",
            "<![CDATA[",
            "]]>",
            "&amp;",
            "&#0;",
            "<!DOCTYPE",
        ),
        *('"variants":[', '"products":', '"prices":', '"permalink"', '"__parentId"', '"failure"', '"raw"', '"reading"'),
        *("1.234,56", "1'234.50", "1,299", "€", "EUR", "Rs.", "1e400", "NaN", "-0", "٣", "％", "#DIV/0!", "1.2E+12"),
        *("2026-11-26T00:00:00+00:00/2026-12-01", "in stock", "out_of_stock", "\ufeff", "\x00", '"', "\r\n", "sep=;"),
        *("http://", "https://shop.example/x", "//cdn.example/a.jpg", "%%", " > ", "\ud7ff", "\U0001f600"),
    )
)
_BINARY = {CatalogFormat.PARQUET: 0.3, CatalogFormat.ARROW: 0.3, CatalogFormat.XLSX: 0.5, CatalogFormat.AUTO: 2.0}

TARGETS = tuple(
    Target(
        f"catalog-{format_.value}",
        partial(check, format_=format_),
        _BINARY.get(format_, 1.0),
        _TOKENS,
        partial(_seeds, format_),
        longest=6_000,
    )
    for format_ in CatalogFormat
)
