"""The formats of catalogs: a name and a line for each."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from ..errors import ConfigurationError
from .formats import (
    bigcommerce,
    columnar,
    csv,
    doofinder,
    ecwid,
    google,
    json,
    magento,
    prestashop,
    shopify,
    squarespace,
    wix,
    woocommerce,
    xlsx,
)

if TYPE_CHECKING:
    from .format import Format, Sample

__all__ = ["FORMATS", "CatalogFormat", "format_named", "recognise"]


class CatalogFormat(StrEnum):
    """What a catalog may be. ``AUTO`` finds out from the content."""

    AUTO = "auto"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    TSV = "tsv"
    XLSX = "xlsx"
    SHOPIFY = "shopify"
    SHOPIFY_JSON = "shopify-json"
    WOOCOMMERCE = "woocommerce"
    WOOCOMMERCE_JSON = "woocommerce-json"
    PRESTASHOP = "prestashop"
    WIX = "wix"
    MAGENTO = "magento"
    BIGCOMMERCE = "bigcommerce"
    ECWID = "ecwid"
    SQUARESPACE = "squarespace"
    DOOFINDER = "doofinder"
    GOOGLE = "google"
    PARQUET = "parquet"
    ARROW = "arrow"


FORMATS: tuple[Format, ...] = (
    columnar.PARQUET,
    columnar.ARROW,
    shopify.JSON,
    woocommerce.JSON,
    json.JSON_LINES,
    json.JSON,
    shopify.FORMAT,
    woocommerce.FORMAT,
    prestashop.FORMAT,
    wix.FORMAT,
    magento.FORMAT,
    bigcommerce.FORMAT,
    ecwid.FORMAT,
    squarespace.FORMAT,
    doofinder.FORMAT,
    google.FORMAT,
    xlsx.FORMAT,
    csv.TSV,
    csv.CSV,  # last: it recognises any text
)
"""In the order in which they are asked whether they recognise a file."""


def format_named(name: str) -> Format:
    """Raises `ConfigurationError` for a name that no format has."""
    for format_ in FORMATS:
        if format_.name == name:
            return format_
    names = ", ".join([CatalogFormat.AUTO, *(format_.name for format_ in FORMATS)])
    raise ConfigurationError(f"format {name!r} is not known; there are {names}")


def recognise(sample: Sample) -> Format:
    """The format of a catalog that begins with this sample."""
    if sample.is_json and _holds_letters(sample):  # whatever export the rows in them come from
        return json.JSON_LINES
    return next(format_ for format_ in FORMATS if format_.recognises(sample))


def _holds_letters(sample: Sample) -> bool:
    return any("" in sample.places_of("failure", held) for held in ("raw", "product"))
