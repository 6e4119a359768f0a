"""Which source field becomes which product field: the user's mapping, and names that need none. Pure.

A mapping says ``target = column`` or ``target = template``. A target is a product field in either spelling, or
``attributes.NAME``; an empty value leaves the target out. A value with a brace is a template: ``{column}`` inserts a
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
from ..errors import ConfigurationError
from .values.parsing import BadValue, is_blank, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Column", "FieldSource", "Template", "compile_mapping", "recognised_field", "slug"]

ATTRIBUTE_PREFIX = "attributes."

_SPELLINGS: dict[str, tuple[str, ...]] = {
    # Best first: where two columns fit, the earlier spelling wins and the other is reported as ignored.
    "external_id": ("externalid", "id", "productid", "itemid"),
    "name": ("name", "title", "productname", "producttitle"),
    "price": ("price", "regularprice", "listprice"),
    "url": ("url", "link", "producturl", "productlink", "permalink"),
    "sku": ("sku",),
    "description": ("description", "productdescription", "longdescription"),
    "currency": ("currency", "currencycode", "pricecurrency"),
    "image_url": ("imageurl", "imagelink", "image", "imagesrc", "picture"),
    "categories": ("categories", "category", "producttype"),
    "brands": ("brands", "brand", "vendor", "manufacturer"),
    "tags": ("tags", "tag", "keywords"),
    "in_stock": ("instock", "availability"),
    "stock_quantity": ("stockquantity", "stock", "quantity", "inventoryquantity", "qty"),
    "rating": ("rating", "averagerating"),
    "review_count": ("reviewcount", "reviewscount", "ratingcount"),
    "is_active": ("isactive", "active", "published", "enabled"),
    "sale_price": ("saleprice", "specialprice"),
    "parent_external_id": ("parentexternalid", "parentid"),
    "attributes": ("attributes",),
}
_RECOGNISED = {
    spelling: (field, rank) for field, spellings in _SPELLINGS.items() for rank, spelling in enumerate(spellings)
}


def recognised_field(column: str) -> tuple[str, int] | None:
    """The product field that a column of this name is, and the rank of the spelling (0 is the best)."""
    prefix, dot, name = column.partition(".")
    if dot and name and prefix.strip().lower() == "attributes":
        return f"{ATTRIBUTE_PREFIX}{name.strip()}", 0
    return _RECOGNISED.get(re.sub(r"[^a-z0-9]", "", column.lower()))


def lookup(row: Mapping[str, Any], column: str) -> Any:
    """The value of a column; ``image.src`` also finds the ``src`` of a nested ``image``."""
    if column in row:
        return row[column]
    value: Any = row
    for name in column.split("."):
        if not isinstance(value, dict) or name not in value:
            return None
        value = value[name]
    return value


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
    def parse(cls, target: str, text: str) -> Template:
        parts: list[tuple[str, str | None, str | None]] = []
        literal, position = "", 0
        while position < len(text):
            match = _TEMPLATE_PART.match(text, position)
            if match is None:
                raise ConfigurationError(
                    f"mapping for {target}: the brace at character {position + 1} of {text!r} has no partner; "
                    "a column stands in braces, a literal brace is doubled"
                )
            position = match.end()
            if match["field"] is None:
                literal += match["text"].replace("{{", "{").replace("}}", "}")
                continue
            column, filter_name = _split_filter(target, match["field"])
            parts.append((literal, column, filter_name))
            literal = ""
        if literal:
            parts.append((literal, None, None))
        return cls(tuple(parts))

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(column for _, column, _ in self.parts if column is not None)

    def value(self, row: Mapping[str, Any]) -> Any:
        filled = []
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


def _split_filter(target: str, field: str) -> tuple[str, str | None]:
    column, colon, name = field.rpartition(":")
    if not colon or not re.fullmatch("[a-z]+", name):
        return field.strip(), None
    if name not in _FILTERS:
        raise ConfigurationError(f"mapping for {target}: no filter {name!r}; there are {', '.join(_FILTERS)}")
    return column.strip(), name


def _plain(column: str, value: object) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, Decimal)):
        return str(value)
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


_FILTERS: dict[str, Callable[[str], str]] = {"slug": slug, "hash": _hash, "quote": _quote}


def compile_mapping(mapping: Mapping[str, str]) -> dict[str, FieldSource | None]:
    """Target → where its value comes from; ``None`` leaves the target out.

    Raises `ConfigurationError` for an unknown target, one given twice, or a template that does not parse.
    """
    compiled: dict[str, FieldSource | None] = {}
    for name, value in mapping.items():
        target = name if name.startswith(ATTRIBUTE_PREFIX) else PRODUCT_FIELDS.get(name)
        if target is None:
            raise ConfigurationError(
                f"mapping: {name!r} is not a product field; there are {', '.join(WIRE_NAMES)} and attributes.NAME"
            )
        if target in compiled:
            raise ConfigurationError(f"mapping: {target} is given twice")
        if not isinstance(value, str):
            raise ConfigurationError(f"mapping for {name}: must name a column or be a template, got {shown(value)}")
        if "{" in value or "}" in value:
            compiled[target] = Template.parse(name, value)
        else:
            compiled[target] = Column(value.strip()) if value.strip() else None
    return compiled
