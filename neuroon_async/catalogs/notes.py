"""What the user should know after a reading, in a sentence each. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..api.models import WIRE_NAMES
from .columns import bounds_in
from .shapes import is_price_name
from .values.damage import NOT_COMPUTED
from .values.shown import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .counting import FieldCounts
    from .options import OptionNames
    from .values.numbers import Sign

__all__ = [
    "FIELDS_THAT_NOTES_MISS",
    "inferred_notes",
    "left_out_notes",
    "misread_notes",
    "repaired_notes",
    "unused_dates_notes",
    "unused_notes",
]


def inferred_notes(inferred: Mapping[str, tuple[Sign, int]], names: OptionNames) -> Iterator[str]:
    """Numbers that may be two, and how they were read."""
    for column, (sign, count) in inferred.items():
        numbers = (
            f"a number such as 1{_other(sign)}299 was"
            if count == 1
            else f"{count:,} numbers such as 1{_other(sign)}299 were"
        )
        yield f"{column}: {numbers} read by {names.set('decimal', sign)}, as all clear numbers of this column show"


def _other(sign: Sign) -> Sign:
    return "," if sign == "." else "."


def left_out_notes(left_out: Mapping[tuple[str, str], int], names: OptionNames) -> Iterator[str]:
    """One note for each field that products were sent without."""
    by_field: dict[str, list[tuple[str, int]]] = {}
    for (field, text), count in left_out.items():
        by_field.setdefault(field, []).append((text, count))
    for field, texts in by_field.items():
        name = WIRE_NAMES.get(field, field)
        count = sum(count for _, count in texts)
        products = "1 product was" if count == 1 else f"{count:,} products were"
        examples = ", ".join(_example(text) for text, _ in texts[:3])
        yield (
            f"{products} sent without {name}: nothing is known to be meant by {examples} "
            f"({names.map(name, '')} leaves the field out)"
        )


def _example(text: str) -> str:
    if text == NOT_COMPUTED:
        return "a formula without its value (open the file in a spreadsheet program, and save it there)"
    return shown(text)


def repaired_notes(repaired: Mapping[str, tuple[int, str]]) -> Iterator[str]:
    """Ids that some program has written as numbers with decimals."""
    for field, (count, example) in repaired.items():
        values = "1 value" if count == 1 else f"{count:,} values"
        name = WIRE_NAMES.get(field, field)
        yield (
            f"{values} of {name} had decimals, such as {example}, as programs write numbers; the whole "
            "number was taken. Export the column as text"
        )


def misread_notes(count: int) -> Iterator[str]:
    """Texts that were damaged before they came into the file."""
    if count:
        products = "1 product has a text" if count == 1 else f"{count:,} products have texts"
        yield (
            f"{products} with signs such as \u00c3\u00a9 or "
            "\ufffd: somebody has decoded them wrongly before; export the catalog again, as UTF-8"
        )


_FIELDS = {"images": "image_url", "prices": "price", "ids": "external_id", "addresses": "url"}
FIELDS_THAT_NOTES_MISS = frozenset(_FIELDS.values())
"""Fields that a note may be about where no product has them."""


def unused_notes(counts: FieldCounts, filled: set[str], names: OptionNames) -> Iterator[str]:
    """Columns that look like something that no product has."""
    if not counts.records:
        return
    for column in counts.ignored:
        shape = counts.shapes.of(column)
        field = _FIELDS.get(shape or "")
        if shape == "prices" and not is_price_name(column):
            continue
        if field is not None and field not in filled:
            yield f"{column!r} looks like {shape} and is not used ({names.map(WIRE_NAMES[field], column)} uses it)"


def unused_dates_notes(counts: FieldCounts, sales: int, names: OptionNames) -> Iterator[str]:
    """Dates that may bound the sales of a catalog and that nothing has used."""
    bounds = {column: bounds_in(column) for column in counts.ignored if counts.shapes.of(column) == "dates"}
    columns = [column for column, (is_sale, bound) in bounds.items() if is_sale or bound is not None]
    if not sales or not columns:
        return
    products = "1 product is" if sales == 1 else f"{sales:,} products are"
    targets = {"sale_starts": "saleStarts", "sale_ends": "saleEnds"}
    options = " ".join(
        names.map(targets.get(bounds[column][1] or "", "saleStarts or saleEnds"), column) for column in columns
    )
    holds = "holds dates that are" if len(columns) == 1 else "hold dates that are"
    told = f"{' and '.join(map(repr, columns))} {holds} not used"
    yield f"{told}, so {products} sent with a sale price, whatever the dates say; where they bound the sale: {options}"
