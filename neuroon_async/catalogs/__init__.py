"""Files that shops have, as products: JSON, JSON Lines, CSV, Shopify, WooCommerce, Google Merchant, Parquet, Arrow.

    from neuroon_async.catalogs import read_catalog

    catalog = read_catalog("products_export.csv.gz", shop_url="https://shop.example")
    report = await client.products.sync(catalog)

Reading is lazy and its memory bounded, whatever the size of the file; a record may have 16 MiB. JSON, JSON Lines and
CSV, the shops' exports and feeds need nothing but the core. Parquet and Arrow need the extra ``parquet``, spreadsheets
the extra ``xlsx``.
"""

from __future__ import annotations

from .catalog import Catalog, CatalogOptions, read_catalog
from .checking import CheckReport, Finding, check_catalog
from .first_contact import NothingUsable
from .options import IN_PYTHON, OptionNames
from .readers.byte_source import MAX_RECORD_BYTES, CatalogError
from .registry import CatalogFormat

__all__ = [
    "IN_PYTHON",
    "MAX_RECORD_BYTES",
    "Catalog",
    "CatalogError",
    "CatalogFormat",
    "CatalogOptions",
    "CheckReport",
    "Finding",
    "NothingUsable",
    "OptionNames",
    "check_catalog",
    "read_catalog",
]
