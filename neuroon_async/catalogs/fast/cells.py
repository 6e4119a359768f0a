"""The cells of one column, a group at a time: values where a glance can tell, else what the careful lane makes of each.

Nothing here says what a value means. A cell that is not plain goes through `Draft.put` and the finishing station's own
functions, and is declined where any of them complains, leaves something out, or needs to know of other cells.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET

from ...api.contract import MAX_DESCRIPTION_LENGTH, MAX_NAME_LENGTH
from ...api.models import REQUIRED_FIELDS
from ...api.validation import value_problems
from ..finishing import clean_texts, is_no_parent
from ..generic import is_word
from ..mapping import ATTRIBUTE_PREFIX
from ..records import Draft
from ..values.addresses import complete
from ..values.currencies import is_code
from ..values.damage import digits_of_float, is_code_attribute
from ..values.shown import BadValue
from ..values.text import is_misread
from .glances import addresses_at_a_glance, descriptions_at_a_glance, ids_at_a_glance, names_at_a_glance

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..options import ReadingOptions
    from ..values.parsing import Notation

__all__ = ["DECLINED", "CellColumn", "with_unit"]

DECLINED: Final = object()
"""In place of a value: the row is for the careful lane."""

_MOST_KNOWN = 4_096
_LONGEST_KNOWN = 200
"""Characters of a cell whose value is remembered."""
_LONGEST_NUMBER = 15
_IDS = frozenset({"external_id", "sku", "parent_external_id"})
_LISTS = frozenset({"categories", "brands", "tags"})
_POINTS = re.compile(r"(?:[0-9]{1,15}(?:\.[0-9]{1,2})?\n)+")
_COMMAS = re.compile(r"(?:[0-9]{1,15}(?:,[0-9]{1,2})?\n)+")


class CellColumn:
    """How the cells of one field become its values. Calls with different cells share only what was found to be so."""

    def __init__(
        self,
        target: str,
        options: ReadingOptions,
        notation: Notation,
        *,
        column: str | None = None,
        is_template: bool = False,
        prepare: Callable[[str], Any] | None = None,
    ) -> None:
        """``prepare`` is what the format makes of a cell that is not empty, before it is put."""
        self._prepare = prepare
        self._target = target
        self._options = options
        self._notation = notation
        self._column = column
        self._is_template = is_template
        self._glance = _GLANCES.get(target, _words if target.startswith(ATTRIBUTE_PREFIX) else None)
        self._known: dict[str, Any] = {}

    def values(self, cells: list[str], declined: set[int]) -> list[Any]:
        """A value for each cell; the places of those that are not for this lane are added to ``declined``."""
        values = self._at_a_glance(cells)
        if values is not None:
            return values
        known = self._known
        values = [known[cell] if cell in known else self._learn(cell) for cell in cells]
        if self._target in _LISTS:
            values = [value.copy() if value.__class__ is list else value for value in values]
        if DECLINED in values:
            declined.update(place for place, value in enumerate(values) if value is DECLINED)
        return values

    def _at_a_glance(self, cells: list[str]) -> list[Any] | None:
        if self._glance is None:
            return None
        if "" not in cells or self._target in REQUIRED_FIELDS:
            return self._glance(cells)
        filled = [cell for cell in cells if cell]
        values = self._glance(filled) if filled else []
        if values is None:
            return None
        following = iter(values)
        return [next(following) if cell else UNSET for cell in cells]

    def _learn(self, cell: str) -> Any:
        value = self._value(cell)
        if len(cell) <= _LONGEST_KNOWN:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[cell] = value
        return value

    def _draft(self, cell: str) -> Draft | None:
        """A draft with this cell alone; ``None`` where it is another field's, or the format cannot read it."""
        if self._target == "stock_quantity" and is_word(cell):
            return None
        draft = Draft("", {}, self._notation)
        try:
            value = self._prepare(cell) if self._prepare is not None and cell else cell
        except BadValue:
            return None
        draft.put(self._target, value, column=self._column, is_template=self._is_template)
        return draft

    def _value(self, cell: str) -> Any:
        """What the careful lane makes of this cell; ``UNSET`` where it is as if it were not there."""
        target, _, attribute = self._target.partition(".")
        draft = self._draft(cell)
        if draft is None or draft.problems or draft.left_out or draft.ambiguous or draft.units.get(target) is not None:
            return DECLINED
        fields = draft.fields
        clean_texts(fields)
        value = fields.get(target, UNSET)
        if value is UNSET or (target == "parent_external_id" and is_no_parent(value)):
            return DECLINED if target in REQUIRED_FIELDS else UNSET
        if target in {"url", "image_url"}:
            value = complete(value, self._options.shop_url)
        if value is None or value_problems({target: value}):
            return DECLINED
        if isinstance(value, str) and (is_misread(value) or (target in _IDS and digits_of_float(value))):
            return DECLINED
        if not attribute:
            return value
        text = next(iter(fields[target].values()))
        return DECLINED if is_code_attribute(attribute) and digits_of_float(text) else text


def _ids(cells: list[str]) -> list[Any] | None:
    return cells if ids_at_a_glance(cells) else None


def _words(cells: list[str]) -> list[Any] | None:
    joined = "".join(cells)
    return cells if not ("<" in joined or "&" in joined) and ids_at_a_glance(cells) else None


def _addresses(cells: list[str]) -> list[Any] | None:
    return cells if addresses_at_a_glance(cells) else None


def _names(cells: list[str]) -> list[Any] | None:
    return cells if max(map(len, cells)) <= MAX_NAME_LENGTH and names_at_a_glance(cells) else None


def _descriptions(cells: list[str]) -> list[Any] | None:
    texts = list(map(str.strip, cells))
    return texts if max(map(len, texts)) <= MAX_DESCRIPTION_LENGTH and descriptions_at_a_glance(texts) else None


def with_unit(cells: list[str]) -> tuple[list[str], str | None]:
    """Amounts without the code of a currency that stands behind all of them (``49.99 EUR``), and that code.

    Cells that are empty stay so. Where there is no such code, the cells as they are.
    """
    code = next((cell[-3:] for cell in cells if cell), "")
    ending = f" {code}"
    if is_code(code) and all(cell.endswith(ending) and cell[-5:-4].isdigit() for cell in cells if cell):
        return [cell[:-4] for cell in cells], code
    return cells, None


def _amounts(cells: list[str]) -> list[Any] | None:
    joined = "\n".join([*cells, ""])
    if _POINTS.fullmatch(joined):
        return [Decimal(cell) if "." in cell else int(cell) for cell in cells]
    if _COMMAS.fullmatch(joined):
        return [Decimal(cell.replace(",", ".")) if "," in cell else int(cell) for cell in cells]
    return None


def _counts(cells: list[str]) -> list[Any] | None:
    joined = "".join(cells)
    is_plain = joined.isascii() and joined.isdecimal() and "" not in cells and max(map(len, cells)) <= _LONGEST_NUMBER
    return list(map(int, cells)) if is_plain else None


_GLANCES: dict[str, Callable[[list[str]], list[Any] | None]] = {
    "external_id": _ids,
    "sku": _ids,
    "name": _names,
    "description": _descriptions,
    "url": _addresses,
    "image_url": _addresses,
    "price": _amounts,
    "sale_price": _amounts,
    "stock_quantity": _counts,
    "review_count": _counts,
}
"""For each field that mostly differs from product to product: values of all cells, or ``None`` where it cannot tell."""
