"""A catalog of which nothing can be used: reading stops early, and says what would help."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..api.models import PRODUCT_FIELDS, REQUIRED_FIELDS
from .readers.byte_source import CatalogError

if TYPE_CHECKING:
    from .options import OptionNames
    from .records import Draft
    from .shapes import ColumnShapes

__all__ = ["FirstContact", "NothingUsable", "kind_of"]

FIRST_RECORDS = 1_000
_VALUES = re.compile(r"'[^']*'|\([^()]*\)|[0-9][0-9.,]*")


def kind_of(reason: str) -> str:
    """A reason without the values, the figures and the advice that differ from record to record."""
    return _VALUES.sub("", reason)


class NothingUsable(CatalogError):
    """The first 1,000 records of a catalog all fail for one reason; the message says what would help."""


class FirstContact:
    """Watches what becomes of the first records."""

    def __init__(self, names: OptionNames, shapes: ColumnShapes) -> None:
        self._names = names
        self._shapes = shapes
        self._failures = 0
        self._common: dict[str, tuple[str, str]] | None = None  # without its values, what all have failed for
        self._over = False

    def product(self) -> None:
        """One record was usable, so nothing needs to be said."""
        self._over = True

    def failure(self, draft: Draft, reasons: list[tuple[str, str]], name: str) -> None:
        """One record was not. Raises `NothingUsable` where all have failed for one reason."""
        if self._over:
            return
        found = {f"{field}: {kind_of(reason)}": (field, reason) for field, reason in reasons}
        common = found if self._common is None else self._common
        self._common = {kind: common[kind] for kind in common if kind in found}
        self._over = not self._common
        self._failures += 1
        if self._failures == FIRST_RECORDS and not self._over:
            raise NothingUsable(f"{name}: {self._advice(draft)}")

    def _advice(self, draft: Draft) -> str:
        reasons = list((self._common or {}).values())
        told = "; ".join(f"{field}: {reason}" if field else reason for field, reason in reasons)
        maps = [self._help(PRODUCT_FIELDS.get(field, field)) for field, _ in reasons]
        tries = " ".join(text for text in maps if text)
        columns = ", ".join(list(draft.row)[:20])
        return (
            f"the first {FIRST_RECORDS:,} records all fail for one reason: {told}. "
            f"{f'Try {tries}. ' if tries else ''}The columns are {columns}. "
            f"{self._names.set('keep_going', value=True)} reads on"
        )

    def _help(self, target: str) -> str | None:
        column = self._shapes.best_for(target) if target in REQUIRED_FIELDS else None
        return None if column is None else self._names.map(target, column)
