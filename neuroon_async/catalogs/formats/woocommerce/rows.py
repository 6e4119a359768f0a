"""What a row of a WooCommerce export says, by the English names of its columns. Pure."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any

from ...records import cell
from ...values.addresses import is_image_file
from ...values.damage import whole_number
from ...values.words import says_yes

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "cell",
    "external_id",
    "first_image",
    "is_active",
    "is_variable",
    "is_variation",
    "key_named",
    "keys_of",
    "levels_in",
    "names_in",
    "needs_childrens_price",
    "post_id",
]  # fmt: skip

_SEPARATING_COMMA = re.compile(r"(?<!\\),")


def kinds_of(row: Mapping[str, Any]) -> list[str]:
    """``simple, downloadable, virtual``: the type and what else it is."""
    return [kind.strip() for kind in cell(row, "Type").lower().split(",")]


def is_variation(row: Mapping[str, Any]) -> bool:
    """Is it one of the choices of a variable product?"""
    return any(kind.endswith("variation") for kind in kinds_of(row))


def is_variable(row: Mapping[str, Any]) -> bool:
    """Is it a product that is sold as its variations?"""
    return any(kind.startswith("variable") for kind in kinds_of(row))


def needs_childrens_price(row: Mapping[str, Any]) -> str | None:
    """What kind of product it is, where its price is that of a child."""
    if is_variable(row):
        return "variable"
    return "grouped" if "grouped" in kinds_of(row) else None


def external_id(row: Mapping[str, Any]) -> str:
    """The id that the product is synced by."""
    return post_id(row) or cell(row, "SKU")


def post_id(row: Mapping[str, Any]) -> str:
    """The whole number that the shop knows the product by; some programs write it with decimals."""
    return whole_number(cell(row, "ID"))


def keys_of(row: Mapping[str, Any]) -> list[str]:
    """What other rows may call this product."""
    return [f"{kind}:{value}" for kind, value in (("id", post_id(row)), ("sku", cell(row, "SKU"))) if value]


def key_named(text: str) -> str:
    """The key that a reference to a product means: ``id:741``, or a SKU."""
    return whole_number(text) if text.startswith("id:") else f"sku:{text}"


def names_in(text: str) -> list[str]:
    """Names separated by commas; a comma within a name has a backslash before it."""
    parts = (part.replace("\\,", ",").strip() for part in _SEPARATING_COMMA.split(text))
    return [html.unescape(part) for part in parts if part]


def levels_in(text: str) -> list[str]:
    """The names of all levels of categories such as ``Clothing > Hats, Sale``."""
    paths = (part.split(">") for part in _SEPARATING_COMMA.split(text.replace("&gt;", ">")))
    levels = (html.unescape(level.replace("\\,", ",").strip()) for path in paths for level in path)
    return list(dict.fromkeys(level for level in levels if level))


def first_image(row: Mapping[str, Any]) -> str:
    """The main image: commas separate several, and stand within addresses, too (``…/w_300,h_300/a.jpg``)."""
    images = names_in(text := cell(row, "Images"))
    if "//" in text and not all(map(is_image_file, images)):
        return text.replace("\\,", ",")  # it is split where an address begins
    return next(iter(images), "")


def is_active(row: Mapping[str, Any]) -> bool:
    """Can shoppers find and buy it?"""
    hidden = cell(row, "Visibility in catalog").lower() in {"hidden", "catalog"}  # 'catalog': in lists, not in search
    published = cell(row, "Published")  # 1, 0, or -1 of a draft
    return (not published or says_yes(published)) and not hidden
