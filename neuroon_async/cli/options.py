"""Options that several commands share."""

# Annotations are read by typer at run time, so they are not postponed here.

from typing import Annotated, Any

import typer

from ..catalogs import CatalogFormat
from .syncing import parse_mapping

__all__ = [
    "Currency",
    "Decimal",
    "Delimiter",
    "Encoding",
    "Fit",
    "Format",
    "KeepGoing",
    "Map",
    "ShopUrl",
    "reading_options",
]

Format = Annotated[
    CatalogFormat,
    typer.Option("--format", "-f", metavar="FORMAT", help=f"What the file is: {', '.join(CatalogFormat)}."),
]
Map = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        "-m",
        metavar="FIELD=COLUMN",
        help="Where a product field comes from: a column (name=title) or a template (url=/p/{name:slug}). "
        "Give it once for each field.",
    ),
]
ShopUrl = Annotated[str | None, typer.Option(help="Completes addresses that the file gives without host.")]
Currency = Annotated[str | None, typer.Option(help="For products that name none, such as EUR.")]
Fit = Annotated[bool, typer.Option("--fit", help="Cut names and descriptions that are too long.")]
Encoding = Annotated[str | None, typer.Option(help="Of the text; by default the content tells.")]
Delimiter = Annotated[str | None, typer.Option(help="Of a CSV file; by default the content tells.")]
Decimal = Annotated[str | None, typer.Option(help="The decimal sign: . or , (by default the clear prices tell).")]
KeepGoing = Annotated[
    bool, typer.Option("--keep-going", help="Read on where the first 1,000 records all fail for one reason.")
]


def reading_options(mapping: list[str] | None, **others: Any) -> dict[str, Any]:
    """Keyword arguments of `read_catalog`. Raises `ConfigurationError` for a mapping that cannot be read."""
    return {"mapping": parse_mapping(mapping or []), **others}
