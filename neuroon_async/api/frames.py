"""Data frames as sources of products: pandas, polars, and tables and batches of pyarrow, read row by row. Pure.

They are recognised by their classes' names, so that no library is imported. In a frame, a missing value (``NaN``,
``NaT``, ``NA``, null) is no value: the field is left out, as the server's own default is wanted then. Where a value is
missing, pandas makes floats of a column's whole numbers: in fields that take no other number, they are whole again.
Numbers in single precision have the digits that they show, such as 19.99, as those of numpy have.
"""

from __future__ import annotations

import struct
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import UsageError
from .models import PRODUCT_FIELDS
from .shapes import class_of, is_dict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["is_missing", "of_pandas", "pandas_fields", "refused_as_item", "rows_of"]

_WHOLE = {"external_id", "parent_external_id", "stock_quantity", "review_count"}
"""Fields of which no value is a number with a fraction."""
_EXACT = 2**53
"""From here on, not every whole number is a float: another one may have been meant."""


def rows_of(source: Any) -> Iterator[dict[Any, Any]] | None:
    """The rows of a data frame as mappings, one at a time; ``None`` for any other source.

    Raises `UsageError` for a frame that cannot be read so, with the line that makes it one that can.
    """
    kind = _frame_kind(class_of(source))
    if kind is None:
        return None
    if kind in _REFUSED:
        raise UsageError(f"is a {kind}, which is no table of rows yet", where="source", advice=_REFUSED[kind])
    names = [*source.schema.names] if kind.startswith("pyarrow") else [*source.columns]
    repeated = [str(name) for name, count in Counter(names).items() if count > 1]
    if repeated or any(isinstance(name, tuple) for name in names):
        what = f"has several columns named {', '.join(repeated)}" if repeated else "has column names of several levels"
        raise UsageError(what, where="source", advice="rename them: frame.columns = ['external_id', 'name', …]")
    rows = _READERS[kind](source)
    return _pandas_mappings(names, rows) if kind == "pandas DataFrame" else _mappings(names, rows)


def _mappings(names: list[Any], rows: Iterable[Iterable[Any]]) -> Iterator[dict[Any, Any]]:
    for row in rows:
        fields = ((name, _without_gaps(value)) for name, value in zip(names, row, strict=True))
        yield {name: value for name, value in fields if not is_missing(value)}


def _without_gaps(value: Any) -> Any:
    """A struct names all its fields in every row, so what one row does not have is null there."""
    if not is_dict(value):
        return value
    return {name: item for name, item in value.items() if not is_missing(item)} or None


def _pandas_mappings(names: list[Any], rows: Iterable[Iterable[Any]]) -> Iterator[dict[Any, Any]]:
    for row in rows:
        yield pandas_fields(zip(names, row, strict=True))


def pandas_fields(values: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    """The fields of a row of pandas, from its columns' names and values."""
    fields = {name: value for name, value in values if not is_missing(value)}
    for name, value in fields.items():
        if isinstance(value, float) and PRODUCT_FIELDS.get(name) in _WHOLE and _is_exact(value):
            fields[name] = int(value)
    return fields


def _is_exact(value: float) -> bool:
    return value.is_integer() and -_EXACT < value < _EXACT


def of_pandas(cls: type[Any]) -> bool:
    """Is this a class of pandas' own?"""
    return cls.__module__.partition(".")[0] == "pandas"


def is_missing(value: Any) -> bool:
    """Is this one of the ways in which a frame has no value?"""
    if value is None or (isinstance(value, float) and value != value):  # noqa: PLR0124 - NaN is not even itself
        return True
    cls = class_of(value)
    return cls.__name__ in {"NAType", "NaTType"} and of_pandas(cls)


class _Precision(NamedTuple):
    """How `struct` writes numbers of this precision, and how many digits they may take."""

    code: str
    digits: range

    def shown(self, number: Any) -> Any:
        """The shortest number that is this one in its precision."""
        if not isinstance(number, float):
            return number
        for digits in self.digits:
            short = float(f"{number:.{digits}g}")
            try:
                is_same = struct.unpack(self.code, struct.pack(self.code, short))[0] == number
            except OverflowError:
                continue
            if is_same:
                return short
        return number


_SINGLE, _HALF = _Precision("f", range(6, 10)), _Precision("e", range(3, 6))
_PRECISIONS = {
    **dict.fromkeys(("float32", "Float32", "float", "float[pyarrow]"), _SINGLE),
    **dict.fromkeys(("float16", "Float16", "halffloat", "halffloat[pyarrow]"), _HALF),
}
"""What the libraries call the types of such columns."""


def _as_shown(rows: Iterable[Iterable[Any]], types: Iterable[Any]) -> Iterable[Iterable[Any]]:
    """The rows, with numbers of less than double precision as they are shown."""
    precisions = [_PRECISIONS.get(str(kind)) for kind in types]
    if not any(precisions):
        return rows
    return (
        [
            value if precision is None else precision.shown(value)
            for value, precision in zip(row, precisions, strict=True)
        ]
        for row in rows
    )


def _pandas_rows(frame: Any) -> Iterable[Iterable[Any]]:
    return _as_shown(frame.itertuples(index=False, name=None), frame.dtypes)


def _polars_rows(frame: Any) -> Iterable[Iterable[Any]]:
    return _as_shown(frame.iter_rows(), frame.dtypes)


def _pyarrow_rows(table: Any) -> Iterable[Iterable[Any]]:
    return _rows_of_batches(table.to_batches())


def _rows_of_batches(batches: Iterable[Any]) -> Iterator[Iterable[Any]]:
    for batch in batches:
        yield from _rows_of_batch(batch)


def _rows_of_batch(batch: Any) -> Iterable[Iterable[Any]]:
    return _as_shown(zip(*(column.to_pylist() for column in batch.columns), strict=True), batch.schema.types)


_KINDS = {
    ("pandas", "DataFrame"): "pandas DataFrame",
    ("pandas", "Series"): "pandas Series",
    ("polars", "DataFrame"): "polars DataFrame",
    ("polars", "LazyFrame"): "polars LazyFrame",
    ("polars", "Series"): "polars Series",
    ("pyarrow", "Table"): "pyarrow Table",
    ("pyarrow", "RecordBatch"): "pyarrow RecordBatch",
    ("pyarrow", "RecordBatchReader"): "pyarrow RecordBatchReader",
}
_READERS = {
    "pandas DataFrame": _pandas_rows,
    "polars DataFrame": _polars_rows,
    "pyarrow Table": _pyarrow_rows,
    "pyarrow RecordBatch": _rows_of_batch,
    "pyarrow RecordBatchReader": _rows_of_batches,
}
_ROWS = {
    "pandas DataFrame": "itertuples(index=False)",
    "polars DataFrame": "iter_rows(named=True)",
    "polars LazyFrame": "collect().iter_rows(named=True)",
    "pyarrow Table": "to_pylist()",
    "pyarrow RecordBatch": "to_pylist()",
}
"""What gives the rows of one piece of a frame, where a source yields such pieces."""
_REFUSED = {
    "pandas Series": "give the frame that it is a column of",
    "polars Series": "give the frame that it is a column of",
    "polars LazyFrame": "collect it: client.products.sync(frame.collect())",
}


def refused_as_item(cls: type[Any]) -> str | None:
    """What is said of a frame that stands where one product should, as a reader of files in pieces yields them."""
    kind = _frame_kind(cls)
    if kind not in _ROWS:
        return None
    return f"is a {kind}, which holds many products: yield its rows, as 'yield from frame.{_ROWS[kind]}' does"


def _frame_kind(cls: type[Any]) -> str | None:
    for base in cls.__mro__:
        kind = _KINDS.get((base.__module__.partition(".")[0], base.__name__))
        if kind is not None:
            return kind
    return None
