"""What both lanes make of a catalog, side by side."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from catalog_files import named

from neuroon_async import Product
from neuroon_async.catalogs import Catalog, CatalogError
from neuroon_async.catalogs.finishing import Finisher

if TYPE_CHECKING:
    from random import Random

_ADDRESSES = (
    "http://s.example/a b", "https://s.example/a&amp;b", "https://s.example/a&b", "https://s.example/a,b",
    "https://", "https://s.example/a,https://s.example/b", "https://s.example/a.jpg;https://s.example/b.jpg",
    "//s.example/x", "/x", "https://s.example/a|b", "www.s.example/x", "ftp://s.example/x", "javascript:x",
    "tea.jpg", "a.jpg|b.jpg", "n/a", " https://s.example/x", "https://s.example/x ", "https://s.example/a\u00a0b",
    "https:/s.example/x", "https//s.example/x", r"\\s\x", r"img\a.jpg", "https://s.example/a||https://s.example/b",
    "HTTPS://s.example/x", "https://s.example/a https://s.example/b", "['https://s.example/a.jpg', 'b.jpg']",
    "[https://s.example/a.jpg]", "[https://s.example/a", "x(https://s.example/a)", "/x/https://s.example/a",
)  # fmt: skip
_IDS = (
    "Feb-01", "01-feb", "mar.-12", "2026-01-31", "1/2/2026", "8436571234567.0", "ag-12", "SET-12", "Jan-1",
    "#REF!", "#N/A", "#hash", "8,43657E+12", "1E-5", "1e5", "+5", "-1", "-", "n/a", "None", "null", "NaN", "0",
    "0.0", "00", "7", "1", "False", " x", "x ", "\u00a0x", "A B", "'5", "A", "ﬁ", "SKU-1", "SKU-2", "P1",
    '="00123"', '="A"', '=""', "=", "'00124", "'", "1234567,0", "01:18:00", "1:18", "'-A1", "'=B", "[]", "['A']",
)  # fmt: skip
_NAMES = (
    "a  b", " a", "a ", "a\tb", "a\nb", "a\u00a0b", "a\u2028b", "\x1c", "\x85x", "#REF!", " #REF!", "#1 tea",
    "a & b", "a &amp; b", "<b>x</b>", "<p>a</p><p>b</p>", "<br>", "x < y", "a<b and c>d", "&eacute;", "&#33;", "CafÃ©",
    "Caf\u00e9", "\ufffd", "Ünï", "&amp;eacute;", "Y" * 513, "word " * 300, "word " * 1100, "Y<b></b>" * 100,
    "Y" * 5001, "â€", "L\x92eau \x80", "| a", "a||b", "8,43657E+12", "12", '="Silla"', "'n", "=",
    "'-20%", "'@home' sign", "'@home and work' sign", "'", "'+", "'=x'y",
)  # fmt: skip
_LISTS = (
    "a|b", "a;b", "a,b", "a|a", "a| |b", '["a","b"]', '["a"', "a &amp; b|c", "a&eacute;|c", "<b>x</b>|y", "#N/A",
    "7", "A > B", "A > B | C", ">", "-", "n/a", "['a', 'b > c']", "[a, b]", "[a]", "{'a', 'b'}", "[None]", "['a', 'b",
    "'-a|b",
)  # fmt: skip
_MONEY = (
    "12.50", "1.299", "1,299", "49,90", "1.299,00", "€9", "5 EUR", "9.90 USD", "USD 3", "$5", "0", "0.00", "-1",
    "- ", "free", "", "12.5", "012", ".5", "5.", "1e3", "1E+3", "9.999", "99999999999999999999", "12 ", " 12",
    "¥1,200", "1,200 JPY", "<b>5</b>", "4,50 € IVA incl.", "n/a", "#N/A", '="1,50"', "12,50 € inkl. 19% MwSt.",
    "1.299,-", "49,-",
)  # fmt: skip
_NUMBERS = (
    "0", "7", "-3", "3.0", "3,0", "1.299", "1,299", "4.5", "4,5", "5.1", "many", "n/a", "", "٣", "1e2", "+5",
    "3.000", "#N/A", "10+", "0+", "3 uds", "< 5", "4.5/5", "5 stars", "'-3",
)  # fmt: skip
_WORDS = (
    "yes", "no", "Yes", "true", "TRUE", "0", "1", "2", "-1", "preorder", "out of stock", "In Stock", "draft",
    "maybe", "?", "1.0", "0,0", "na", "https://schema.org/InStock", "n/a", "", " yes ", "#N/A", "∞", "staging", "'-1",
)  # fmt: skip
_STATES = (
    "draft", "publish", "Published", "hidden", "catalog, search", "4", "1", "0", "n", "used", "new", " draft ", "?",
    "Brouillon", "aktiv", "en stock", "n/a", "#N/A", "", "True",
)  # fmt: skip
_CODES = ("EUR", "eur", "Usd", "EURO", "ZZZ", "€", "$", "n/a", "NAN", "nil", " EUR", "", "XX", "USD", "#N/A")
_DATES = (
    "2026-01-01", "2099-01-01", "2020-01-01", "1/2/2026", "13/2/2026", "1/2/2099", "tomorrow", "0000-00-00", "", "-",
    "NULL",
)  # fmt: skip
_PERIODS = ("2020-01-01/2030-01-01", "2020-01-01/2021-01-01", "/2099-01-01", "2026-01-01", "x/y", "")
_BLANK = ("", " ", "\u00a0")

ODD: dict[str, tuple[str, ...]] = {
    "external_id": _IDS, "sku": _IDS, "parent_external_id": _IDS, "name": _NAMES, "description": _NAMES,
    "url": _ADDRESSES, "image_url": _ADDRESSES, "price": _MONEY, "sale_price": _MONEY, "categories": _LISTS,
    "brands": _LISTS, "tags": _LISTS, "in_stock": _WORDS, "is_active": _WORDS, "stock_quantity": _NUMBERS + _WORDS,
    "rating": _NUMBERS, "review_count": _NUMBERS, "currency": _CODES, "attributes": (*_NAMES, *_IDS),
    "status": _STATES, "visibility": _STATES,
    "hidden": _STATES, "deleted": _STATES + _DATES, "sale_starts": _DATES, "sale_ends": _DATES, "sale_period": _PERIODS,
}  # fmt: skip
"""Texts that some rule is about, by field."""
_ALL = tuple(dict.fromkeys(text for texts in ODD.values() for text in texts))


def odd_text(random: Random, target: str) -> str:
    """Mostly one that a rule of this field is about."""
    among = random.choices((ODD[target], _BLANK, _ALL), (8, 1, 1))[0]
    return random.choice(among)


@dataclass
class Outcome:
    items: list[Any] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=dict)
    careful: int = 0

    @property
    def share(self) -> float:
        """Of the products, how many took the fast lane."""
        products = sum(isinstance(item, Product) for item in self.items)
        return 1 - self.careful / products if products else 0.0


@contextmanager
def counting(outcome: Outcome):
    finish = Finisher.finish

    def counted(self, draft):
        outcome.careful += 1
        return finish(self, draft)

    Finisher.finish = counted
    try:
        yield
    finally:
        Finisher.finish = finish


def outcome_of(content: bytes | str, name: str, *, fast: bool, **options: Any) -> Outcome:
    outcome = Outcome()
    catalog = Catalog(named(content, name), **options)
    if not fast:
        catalog.on_change = lambda change: None  # whoever wants to know of changes has every record read carefully
    with counting(outcome):
        try:
            outcome.items += catalog
        except CatalogError as error:
            outcome.told["fault"] = str(error)
    outcome.told |= {
        "records": catalog.records,
        "products": catalog.products,
        "failed": catalog.failed,
        "fitted": catalog.fitted,
        "notes": catalog.notes,
        "ignored": list(catalog.ignored_fields.items()),
        "encoding": catalog.encoding,
    }
    return outcome


def assert_lanes_agree(content: bytes | str, name: str, **options: Any) -> Outcome:
    """Both lanes make the same of a catalog, counters and complaints included. Returns what the fast one made."""
    fast = outcome_of(content, name, fast=True, **options)
    careful = outcome_of(content, name, fast=False, **options)
    for one, other in zip(fast.items, careful.items, strict=False):
        assert repr(one) == repr(other), (one, other)  # which tells 12 from Decimal("12.0")
        assert one == other
    assert len(fast.items) == len(careful.items)
    assert fast.told == careful.told
    return fast
