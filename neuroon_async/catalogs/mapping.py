"""Which source field becomes which product field, as the user maps them. Pure.

A mapping says ``target = column`` or ``target = template``. A target is a product field in either spelling, or
``attributes.NAME``, or a bound of the sale (``saleStarts``, ``saleEnds``, ``salePeriod`` as ``start/end``); an empty
value leaves the target out. A column may be a path into nested values: ``image.src``,
``images.0.src``, ``categories.*.name``. A value with a brace is a template: ``{column}`` inserts a
value, ``{column:slug}`` its form for addresses, ``{column:hash}`` 16 hex digits of its SHA-256, ``{column:quote}`` its
percent-encoded form; literal braces are doubled.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ..api.models import PRODUCT_FIELDS, WIRE_NAMES
from ..api.shapes import is_list, is_list_or_tuple, is_object, is_text
from ..errors import ConfigurationError
from .column_words import names_products
from .columns import SALE_DATES, recognised_field
from .values.damage import is_error_code, is_shortened
from .values.parsing import BadValue, is_blank, shown, without_decimals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..api.shapes import RawValue

__all__ = [
    "ATTRIBUTE_PREFIX",
    "WRAPPERS",
    "Column",
    "FieldSource",
    "Template",
    "compile_mapping",
    "currency_beside",
    "path_to",
    "products_within",
    "slug",
    "wrapped_in",
]

ATTRIBUTE_PREFIX = "attributes."
WRAPPERS = ("node", "_source", "document", "attributes", "fields", "product", "item")
"""Keys of the object that a product is within another one: of GraphQL, Elasticsearch, Typesense, JSON:API, Airtable."""
_WRAPPERS = frozenset(WRAPPERS)


def lookup(row: Mapping[str, Any], column: str) -> Any:
    """The value of a column, or of a path into nested ones.

    ``image.src`` is the ``src`` of a nested ``image``, ``images.0.src`` that of the first of several, and
    ``categories.*.name`` the list of all names. A column that bears the whole name comes first.
    """
    return row[column] if column in row else _at(row, column.split("."))


_OF_PRODUCTS = frozenset({"name", "price"})
_OF_SEARCHES = frozenset({"hits", "results", "docs", "records", "rows"})
_OF_SOMETHING_ELSE = re.compile(
    r"(?i)ship|deliver|env[ií]o|versand|livraison|spedizione|tax|cost|fee|review|author|user|seller|store|shop|relat|meta"
)
"""Objects within a product whose price or address is not its own."""


def wrapped_in(row: Mapping[str, Any]) -> str | None:
    """The key under which the record's product stands; ``None`` where the record is the product."""
    if _WRAPPERS.isdisjoint(row):
        return None  # as almost always
    inner = next((name for name in WRAPPERS if is_object(row.get(name))), None)
    if inner is None or _tells_of_product(name for name in row if name != inner):
        return None
    return inner if _tells_of_product(row[inner]) else None


def _tells_of_product(names: Iterable[str]) -> bool:
    return not _OF_PRODUCTS.isdisjoint(map(recognised_field, names))


def currency_beside(row: Mapping[str, Any], path: str) -> str | None:
    """What the object that holds a price says of its currency: ``offers.priceCurrency`` beside ``offers.price``."""
    if path in row or "." not in path:
        return None
    within = lookup(row, path.rpartition(".")[0])
    if not is_object(within):
        return None
    codes = (value for name, value in within.items() if recognised_field(name) == "currency")
    return next((code for code in codes if is_text(code) and code.strip()), None)


def products_within(row: Mapping[str, Any]) -> str | None:
    """The list of products that a record holds which is none itself: a category, or a page of a search."""
    for name, value in row.items():
        first = value[0] if is_list(value) and value else None
        if (
            is_object(first)
            and (name in _OF_SEARCHES or names_products(name))
            and _OF_PRODUCTS.issubset(map(recognised_field, first))
        ):
            return name
    return None


def path_to(field: str, row: Mapping[str, Any]) -> str | None:
    """Where a price or an address stands within an object of the record: ``offers.price``, as a mapping says it."""
    if field not in {"price", "url"}:
        return None
    for outer, value in row.items():
        within = value[0] if is_list(value) and value else value
        if not is_object(within) or recognised_field(outer) not in {None, field} or _is_aside(outer):
            continue
        inner = next(
            (name for name in within if recognised_field(name) == field and not _is_nothing(within[name])), None
        )
        if inner is not None:
            return f"{outer}.{inner}" if within is value else f"{outer}.0.{inner}"
    return None


def _is_aside(name: str) -> bool:
    return _OF_SOMETHING_ELSE.search(name) is not None


def _is_nothing(value: object) -> bool:
    return is_blank(value) or isinstance(value, (dict, list, tuple))


def _at(value: RawValue | Mapping[str, Any], path: list[str]) -> Any:
    for index, name in enumerate(path):
        if name == "0" and _stands_once(value):
            continue
        if is_object(value):
            value = value.get(name)
        elif name.startswith("$"):  # a type of MongoDB's, which values come without
            return _at(value, path[index + 1 :])
        elif not is_list_or_tuple(value):
            return None
        elif name == "*":
            found = (_at(item, path[index + 1 :]) for item in value)
            values = [item for one in found for item in _each(one)]
            return [item for item in values if not is_blank(item)] or None
        elif not name.isdecimal() or int(name) >= len(value):
            return None
        else:
            value = value[int(name)]
    return value


def _stands_once(value: object) -> bool:
    """Is this what a list would be of, so that it is its own first?"""
    return value is not None and not is_list_or_tuple(value) and not (is_object(value) and "0" in value)


def _each(found: RawValue) -> list[Any]:
    return found if isinstance(found, list) else [found]


@dataclass(frozen=True, slots=True)
class Column:
    """A value taken as it is."""

    name: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.name,)

    def value(self, row: Mapping[str, Any]) -> Any:
        return lookup(row, self.name)


@dataclass(frozen=True, slots=True)
class Template:
    """A text with values in it. A record that lacks one of them has no value for the whole."""

    parts: tuple[tuple[str, str | None, str | None], ...]
    """``(literal text, column after it, filter)``"""

    @classmethod
    def parse(cls, text: str, place: str) -> Template:
        """``place`` is what a message begins with. Raises `ConfigurationError`."""
        parts: list[tuple[str, str | None, str | None]] = []
        literal, position = "", 0
        while position < len(text):
            match = _TEMPLATE_PART.match(text, position)
            if match is None:
                raise ConfigurationError(
                    f"{place}: the brace at character {position + 1} of {text!r} has no partner; "
                    "a column stands in braces, a literal brace is doubled"
                )
            position = match.end()
            if match["field"] is None:
                literal += match["text"].replace("{{", "{").replace("}}", "}")
                continue
            column, filter_name = _split_filter(match["field"], place)
            parts.append((literal, column, filter_name))
            literal = ""
        if literal:
            parts.append((literal, None, None))
        return cls(tuple(parts))

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(column for _, column, _ in self.parts if column is not None)

    def value(self, row: Mapping[str, Any]) -> Any:
        filled: list[str] = []
        for literal, column, filter_name in self.parts:
            filled.append(literal)
            if column is None:
                continue
            value = lookup(row, column)
            text = "" if is_blank(value) else _plain(column, value)
            if filter_name is not None:
                text = _FILTERS[filter_name](text) if text else ""
            if not text:
                return None
            filled.append(text)
        return "".join(filled)


FieldSource = Column | Template

_TEMPLATE_PART = re.compile(r"(?P<text>(?:[^{}]|\{\{|\}\})+)|\{(?P<field>[^{}]+)\}")


def _split_filter(field: str, place: str) -> tuple[str, str | None]:
    column, colon, name = field.rpartition(":")
    if not colon or not re.fullmatch("[a-z]+", name):
        return field.strip(), None
    if name not in _FILTERS:
        raise ConfigurationError(f"{place}: no filter {name!r}; there are {', '.join(_FILTERS)}")
    return column.strip(), name


def _plain(column: str, value: RawValue) -> str:
    if isinstance(value, str):
        text = value.strip()
        if is_shortened(text) or is_error_code(text):
            raise BadValue(f"{column!r} holds {text}, which a spreadsheet has damaged; export the catalog again")
        return text
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, Decimal)):
        return str(without_decimals(value))
    if isinstance(value, (list, tuple)):
        return ", ".join(_plain(column, item) for item in value)
    raise BadValue(f"a template cannot hold {column!r}, which is {shown(value)}")


def slug(text: str) -> str:
    """Lower case, words joined by hyphens, accents dropped; letters of other scripts are percent-encoded.

    >>> slug("Café au lait, 250 g")
    'cafe-au-lait-250-g'
    """
    plain = text
    if not text.isascii():
        plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return quote(re.sub(r"[\W_]+", "-", plain.casefold()).strip("-"), safe="")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _quote(text: str) -> str:
    return quote(text, safe="", errors="surrogatepass")


_SALE_TARGETS = {
    name: target
    for target, wire in zip(SALE_DATES, ("saleStarts", "saleEnds", "salePeriod"), strict=True)
    for name in (target, wire)
}
"""When a sale holds: no fields of a product, but a mapping may name their columns."""

_FILTERS: dict[str, Callable[[str], str]] = {"slug": slug, "hash": _hash, "quote": _quote}


def _target(name: object) -> str | None:
    if not is_text(name):
        return None
    if name.startswith(ATTRIBUTE_PREFIX):
        return name if name != ATTRIBUTE_PREFIX else None
    return PRODUCT_FIELDS.get(name) or _SALE_TARGETS.get(name)


def compile_mapping(mapping: Mapping[str, str], option: str = "mapping") -> dict[str, FieldSource | None]:
    """Target → where its value comes from; ``None`` leaves the target out.

    ``option`` is what the mapping is called where the user set it, for messages.
    Raises `ConfigurationError` for an unknown target, one given twice, or a template that does not parse.
    """
    compiled: dict[str, FieldSource | None] = {}
    for name, value in mapping.items():
        target = _target(name)
        if target is None:
            raise ConfigurationError(
                f"{option}: {shown(name)} is not a product field; there are {', '.join(WIRE_NAMES)} and attributes.NAME"
            )
        if target in compiled:
            raise ConfigurationError(f"{option}: {target} is given twice")
        if not is_text(value):
            raise ConfigurationError(f"{option} for {name}: must name a column or be a template, got {shown(value)}")
        if "{" in value or "}" in value:
            compiled[target] = Template.parse(value, f"{option} for {name}")
        else:
            compiled[target] = Column(value.strip()) if value.strip() else None
    return compiled
