"""One column, several names: exports are renamed by newer releases and translated by the shop. Pure.

A builder reads a column by one name. The file's own names stay those that a mapping, a complaint and ``ignored_fields``
speak of.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .records import Record

__all__ = ["Renaming", "plain"]


def plain(name: str) -> str:
    """A name without what writers differ in: case, commas, kinds of spaces and of apostrophes."""
    return " ".join(name.replace("\u2019", "'").replace(",", " ").casefold().split())


class Renaming:
    """From the columns of one file to the names that its builder knows.

    A column that bears such a name itself comes before any other for it; of several others, the first counts and the
    rest keep their own names, which nothing uses.
    """

    def __init__(self, header: Iterable[str], known_name: Callable[[str], str | None]) -> None:
        columns = list(header)
        self._names: dict[str, str] = {}
        taken = set(columns)
        for column in columns:
            name = known_name(column)
            if name is not None and name not in taken:
                self._names[column] = name
                taken.add(name)
        self._columns = {name: column for column, name in self._names.items()}

    def rename(self, records: Iterable[Record]) -> Iterator[Record]:
        if not self._names:
            yield from records
            return
        for record in records:
            row = {self._names.get(column, column): value for column, value in record.row.items()}
            yield replace(record, row=row, as_read=record.row)

    def known(self, column: str) -> str:
        """What the builder calls this column."""
        return self._names.get(column, column)

    def columns(self, names: Iterable[str]) -> Iterator[str]:
        """The file's columns behind known names."""
        return (self._columns.get(name, name) for name in names)
