"""The types of columns: which of them Python has exact values for, by way of which others, and which cannot be read.

``pyarrow`` is handed in, since it may not be installed.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["exact_type", "is_plain_type", "why_unread"]

_OFFSET = re.compile("[+-][0-9]{2}:?[0-9]{2}")


def exact_type(pyarrow: Any, kind: Any, single: Any) -> Any:
    """The type without what Python has no exact value for. ``single`` replaces numbers in single precision."""
    types = pyarrow.types
    if types.is_float32(kind):
        return single
    if types.is_temporal(kind):
        return _exact_time(pyarrow, kind)
    if types.is_dictionary(kind):
        return _unless_equal(kind, kind.value_type, exact_type(pyarrow, kind.value_type, single))
    if isinstance(kind, pyarrow.BaseExtensionType):
        return _unless_equal(kind, kind.storage_type, exact_type(pyarrow, kind.storage_type, single))
    return _exact_nested(pyarrow, kind, single)


def _exact_time(pyarrow: Any, kind: Any) -> Any:
    types = pyarrow.types
    if types.is_timestamp(kind):
        return pyarrow.timestamp(_coarser(kind.unit), None if kind.tz is None else _known_zone(kind.tz))
    if types.is_time64(kind):
        return pyarrow.time64("us")
    return pyarrow.duration(_coarser(kind.unit)) if types.is_duration(kind) else kind


def _coarser(unit: str) -> str:
    return "us" if unit == "ns" else unit


@lru_cache(maxsize=64)
def _known_zone(zone: str) -> str:
    """The time zone, or UTC where this machine does not know it: the moment is the same."""
    if _OFFSET.fullmatch(zone):
        return zone
    try:
        ZoneInfo(zone)
    except (LookupError, ValueError, OSError):
        return "+00:00"
    return zone


def _unless_equal(kind: Any, inner: Any, exact: Any) -> Any:
    return kind if exact == inner else exact


def _exact_nested(pyarrow: Any, kind: Any, single: Any) -> Any:
    def of(field: Any) -> Any:
        return field.with_type(exact_type(pyarrow, field.type, single))

    types = pyarrow.types
    if types.is_list(kind):
        return pyarrow.list_(of(kind.value_field))
    if types.is_large_list(kind):
        return pyarrow.large_list(of(kind.value_field))
    if types.is_fixed_size_list(kind):
        return pyarrow.list_(of(kind.value_field), kind.list_size)
    if types.is_map(kind):
        return pyarrow.map_(of(kind.key_field), of(kind.item_field), keys_sorted=kind.keys_sorted)
    if types.is_struct(kind):
        return pyarrow.struct([of(kind.field(place)) for place in range(kind.num_fields)])
    return kind


def why_unread(pyarrow: Any, kind: Any) -> str | None:
    """Why values of this type would not be those that were written; ``None`` where they are."""
    types = pyarrow.types
    while types.is_run_end_encoded(kind):  # runs in place of a column are written out
        kind = kind.value_type
    exact = exact_type(pyarrow, kind, pyarrow.float64())
    for part in _with_parts(pyarrow, exact):
        if types.is_float16(part):
            return "numbers in half precision keep three digits, so 19.99 is not among them; write double precision"
        if types.is_float32(part):
            return "numbers in single precision cannot be taken out of this exactly; write double precision"
        if types.is_interval(part):
            return "a span of months, days and seconds is no value of a product; write a text"
        if types.is_temporal(part) and getattr(part, "unit", "") == "ns":
            return "times finer than microseconds cannot be taken out of this; write microseconds"
    return None


def _with_parts(pyarrow: Any, kind: Any) -> Iterator[Any]:
    """The type, and all that stand within it."""
    yield kind
    inner: list[Any]
    if isinstance(kind, pyarrow.BaseExtensionType):
        inner = [kind.storage_type]
    elif pyarrow.types.is_map(kind):
        inner = [kind.key_type, kind.item_type]
    elif hasattr(kind, "value_type"):  # lists of every kind, dictionaries, runs
        inner = [kind.value_type]
    else:
        inner = [kind.field(place).type for place in range(kind.num_fields)]
    for part in inner:
        yield from _with_parts(pyarrow, part)


def is_plain_type(pyarrow: Any, kind: Any) -> bool:
    """Are these texts, whole numbers, exact ones, or yes and no, which need no look at each value?"""
    types = pyarrow.types
    if types.is_dictionary(kind) or types.is_list(kind) or types.is_large_list(kind):
        kind = kind.value_type
    checks = (types.is_string, types.is_large_string, types.is_integer, types.is_boolean, types.is_decimal)
    return any(check(kind) for check in checks)
