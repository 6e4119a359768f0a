"""What the values of each column look like, from the first records: addresses, images, prices, dates or ids."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from .column_words import essence_of
from .values.numbers import AmbiguousNumber, Notation, to_money
from .values.shown import BadValue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["ColumnShapes", "Shape", "is_price_name"]

Shape = Literal["images", "addresses", "prices", "dates", "ids"]

_MOST_RECORDS = 1_000
_MOST_COLUMNS = 300
_FEW = 20
"""Records that may all have different values by chance."""
_MOST_POSTPONED = 1024 * 1024
"""Bytes of records that are looked at later. Of most catalogs nobody asks what their columns look like."""
_MOST_KINDS = 4_096
"""Texts of which it is remembered what they look like."""
_LONGEST_PRICE = 80
"""Characters. Longer texts are no prices, and differ, so they are not remembered."""
_ADDRESS = re.compile(r"(?i)(?:https?:)?//\S+|www\.\S+")
_IMAGE = re.compile(
    r"\.(?:[jJ][pP][eE]?[gG]|[pP][nN][gG]|[gG][iI][fF]|[wW][eE][bB][pP]|[aA][vV][iI][fF]|[sS][vV][gG])\b"
)
_DATE = re.compile(
    r"(?:[0-9]{4}[-/.][0-9]{1,2}[-/.][0-9]{1,2}|[0-9]{1,2}[-/.][0-9]{1,2}[-/.](?:[0-9]{4}|[0-9]{2}))(?![0-9]).*"
)
_PRICE = re.compile(r"[0-9][.,][0-9]{2}\b|[0-9].*[€$£]|[€$£].*[0-9]|[0-9]\s?(?:EUR|USD|GBP)\b")
_ID = re.compile(r"[\w./:#-]{1,64}")
_ID_NAME = re.compile(
    r"(?i)(?:\b|_)(?:id|sku|ref|cod|code|art|ean|gtin|isbn|nr|num|handle|uuid|guid)|(?<=[a-z])I[dD]\b"
)
_NO_PRICE_NAME = re.compile(
    r"(?i)cost|coût|cout|kosten|einkauf|compra|purchase|supply|wholesale|mayor|peso|weight|poids|gewicht|largo|ancho|height|width"
)
"""Numbers that no shopper pays."""
_TEXT_NAME = re.compile(r"(?i)name|title|nom|titul|bezeichn|izen|naam|nazwa")
_LIKE_A_NAME = re.compile(r"(?i)kurzbez|kurztext|concept|descri|beschreib")
"""What some programs call the names of articles by."""


class _Kind(NamedTuple):
    """What one value looks like."""

    is_image: bool
    is_address: bool
    is_price: bool
    is_date: bool
    is_integer: bool
    is_id: bool


@dataclass(slots=True)
class _Column:
    values: int = 0
    addresses: int = 0
    images: int = 0
    prices: int = 0
    dates: int = 0
    ids: int = 0
    integers: int = 0
    distinct: set[str] = field(default_factory=set[str])


class ColumnShapes:
    """Looks at the values of the first 1,000 records."""

    def __init__(self) -> None:
        self._records = 0
        self._columns: dict[str, _Column] = defaultdict(_Column)
        self._postponed: list[Callable[[], Iterable[Mapping[str, Any]]]] = []
        self._postponed_records = self._postponed_bytes = 0
        self._kinds: dict[str, _Kind] = {}

    def see(self, row: Mapping[str, Any]) -> None:
        """Take one record into account."""
        if not self.in_question:
            return
        texts = [value for value in row.values() if isinstance(value, str)]
        if len(texts) < len(row):  # nobody can tell at once what the others hold in memory
            self._catch_up()
            self._see(row)
        else:
            self.postpone(1, lambda: (row,), sum(map(len, texts)))

    @property
    def in_question(self) -> bool:
        """Is there anything to learn from further records?"""
        return self._records + self._postponed_records < _MOST_RECORDS

    def postpone(self, records: int, rows: Callable[[], Iterable[Mapping[str, Any]]], size: int) -> None:
        """Take so many records into account, whose rows are worth making only once somebody asks.

        ``size`` is what they hold in memory until then, about, in bytes.
        """
        self._postponed.append(rows)
        self._postponed_records += records
        self._postponed_bytes += size
        if self._postponed_bytes > _MOST_POSTPONED:
            self._catch_up()

    def _catch_up(self) -> None:
        postponed, self._postponed = self._postponed, []
        self._postponed_records = self._postponed_bytes = 0
        for rows in postponed:
            for row in rows():
                self._see(row)

    def _see(self, row: Mapping[str, Any]) -> None:
        if self._records >= _MOST_RECORDS:
            return
        self._records += 1
        for name, value in row.items():
            is_known = name in self._columns or len(self._columns) < _MOST_COLUMNS
            if is_known and isinstance(value, (str, int)) and not isinstance(value, bool) and str(value).strip():
                self._look_at(self._columns[name], str(value).strip())

    def _look_at(self, column: _Column, text: str) -> None:
        kind = self._kinds.get(text)
        if kind is None:
            kind = _kind_of(text)
            if len(text) <= _LONGEST_PRICE:
                if len(self._kinds) >= _MOST_KINDS:
                    self._kinds.clear()
                self._kinds[text] = kind
        column.values += 1
        column.images += kind.is_image
        column.addresses += kind.is_address
        column.prices += kind.is_price
        column.dates += kind.is_date
        column.integers += kind.is_integer
        column.ids += kind.is_id
        if column.ids == column.values:  # still a candidate
            column.distinct.add(text)

    def of(self, name: str) -> Shape | None:
        """What nearly all values of a column look like; ``None`` for plain text and for columns without values."""
        self._catch_up()
        column = self._columns.get(name)
        if column is None or not column.values or name.startswith(("@", "$")):  # those speak of the JSON itself
            return None
        if column.images >= 0.9 * column.values:
            return "images"
        if column.dates >= 0.9 * column.values:
            return "dates"
        if column.addresses >= 0.9 * column.values:
            return "addresses"
        if column.prices >= 0.9 * column.values:
            return "prices"
        is_id = column.ids == column.values == self._records == len(column.distinct)
        is_named = _ID_NAME.search(name) is not None
        is_count = column.integers == column.values  # popularity, position, pieces sold
        return "ids" if is_id and (is_named or (self._records > _FEW and not is_count)) else None

    def best_for(self, target: str) -> str | None:
        """The column that could be this required field."""
        self._catch_up()
        if target == "name":
            texts = [name for name in self._columns if self.of(name) is None]
            likely = (name for pattern in (_TEXT_NAME, _LIKE_A_NAME) for name in texts if pattern.search(name))
            return next(likely, None)
        wanted = {"external_id": "ids", "price": "prices", "url": "addresses"}.get(target)
        fitting = [name for name in self._columns if self.of(name) == wanted]
        if wanted == "prices":
            return next(filter(is_price_name, fitting), None)
        return min(fitting, key=lambda name: _ID_NAME.search(name) is None, default=None)


def _kind_of(text: str) -> _Kind:
    return _Kind(
        is_image=_IMAGE.search(text.partition("\n")[0], 1) is not None,
        is_address=_ADDRESS.fullmatch(text) is not None,
        is_price=len(text) <= _LONGEST_PRICE and _PRICE.search(text) is not None and _is_amount(text),
        is_date=_DATE.fullmatch(text) is not None,
        is_integer=text.isascii() and text.isdigit(),
        is_id=_ID.fullmatch(text) is not None,
    )


def _is_amount(text: str) -> bool:
    try:
        to_money(text, Notation())
    except AmbiguousNumber:
        return True
    except BadValue:
        return False
    return True


def is_price_name(column: str) -> bool:
    """May a column of this name hold what shoppers pay, rather than a cost, a weight, or a price without tax?"""
    return _NO_PRICE_NAME.search(column) is None and essence_of(column) is not None
