"""Arguments of the package's own functions: of the kind that is meant, or a `UsageError` that names them. Pure.

What comes out of the environment, a command line or a configuration file is text, and text is true and can be iterated
wherever nobody looks: ``"false"`` would switch something on. So kinds are checked where an option is given, before
anything is done with it.
"""

from __future__ import annotations

import inspect
import math
import os
from functools import partial
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, TypeGuard

from ..errors import UsageError
from .shapes import is_number, is_text, is_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

__all__ = [
    "MOST_AT_ONCE",
    "as_path",
    "check_callback",
    "check_capable",
    "check_choice",
    "check_concurrency",
    "check_count",
    "check_flag",
    "check_fraction",
    "check_kind",
    "check_seconds",
    "check_text",
    "read_clock",
    "shown",
]

MOST_AT_ONCE = 1_000
"""Requests side by side. Far above any use under the documented limits, and above the connections of most sessions;
still a bound, for each keeps its products in memory."""

_END_OF_CALENDAR = 253_402_300_800
"""The Unix time at which the year 10,000 begins. A clock that counts milliseconds is far beyond it."""
_LONGEST_SHOWN = 80
_MOST = 2**63 - 1
"""What databases and operating systems still count to."""


def shown(value: object) -> str:
    """A value for a message: as Python writes it, but never long, and without an error of its own."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - whatever its class raises, and numbers that are too long to print
        return f"a {type(value).__name__}"
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"


def check_flag(name: str, value: object) -> None:
    """Raise `UsageError` unless this option is a truth value."""
    if not isinstance(value, bool):
        raise UsageError(f"must be True or False, got {shown(value)}", where=name)


def check_choice(name: str, value: object, known: Collection[object]) -> None:
    """Raise `UsageError` unless this option is one of these texts, whole numbers and ``None``."""
    if not isinstance(value, (str, int, NoneType)) or value not in known:
        raise UsageError(f"must be one of {', '.join(map(repr, known))}, got {shown(value)}", where=name)


def check_count(name: str, value: object, most: int = _MOST, *, least: int = 1, none: bool = False) -> None:
    """Raise `UsageError` unless this option is a whole number of ``least`` or more, and not above ``most``.

    ``none``: may it be ``None``?
    """
    if value is None and none:
        return
    if not is_whole(value) or not least <= value <= most:
        too_many = most != _MOST or (is_whole(value) and value > most)
        wanted = f"{f'in {least}..{most}' if too_many else f'{least} or more'}{', or None' if none else ''}"
        raise UsageError(f"must be a whole number, {wanted}; got {shown(value)}", where=name)


def check_concurrency(value: object) -> None:
    """Raise `UsageError` unless the option ``concurrency`` is a number of requests that a client sends side by side."""
    check_count("concurrency", value, MOST_AT_ONCE)


def check_fraction(name: str, value: object) -> None:
    """Raise `UsageError` unless this option is a number from 0 to 1."""
    if not is_number(value) or not 0 <= value <= 1:
        raise UsageError(f"must lie in 0..1, got {shown(value)}", where=name)


def check_kind(name: str, value: object, kind: type, wanted: str = "") -> None:
    """Raise `UsageError` unless this option is an object of this class. ``wanted`` says so in other words."""
    if not isinstance(value, kind):
        raise UsageError(f"must be {wanted or kind.__name__}, got {shown(value)}", where=name)


def check_seconds(
    name: str,
    value: object,
    *,
    zero: bool = False,
    none: bool = False,
    endless: bool = False,
    least: float = 0.0,
    most: float = math.inf,
) -> None:
    """Raise `UsageError` unless this option is a number of seconds above 0.

    ``zero``, ``none``, ``endless``: may it be 0, ``None`` or infinity? ``least``, ``most``: what it must not be below
    or above.
    """
    if (value is None and none) or (isinstance(value, float) and value == math.inf and endless):
        return
    if not is_number(value) or not least <= value <= most or (value == 0 and not zero):
        bound = f", {least:g} or more" if zero or least else " above 0"
        bound += f", and {most:,.0f} or less" if most < math.inf else ""
        wanted = f"a number of seconds{bound}{', or None' if none else ''}"
        raise UsageError(f"must be {wanted}; got {shown(value)}", where=name)


def check_text(name: str, value: object, example: str = "", *, empty: bool = False, none: bool = False) -> None:
    """Raise `UsageError` unless this option is text that is not empty, and that UTF-8 can express.

    ``empty``, ``none``: may it be empty, or ``None``?
    """
    if value is None and none:
        return
    if not is_text(value) or (not value and not empty):
        wanted = f"text{'' if empty else ' and not empty'}{f', such as {example!r}' if example else ''}"
        raise UsageError(f"must be {wanted}; got {shown(value)}", where=name)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{shown(value)} holds a lone surrogate, which UTF-8 cannot express", where=name) from None


def _is_path(value: object) -> TypeGuard[str | os.PathLike[Any]]:
    return isinstance(value, (str, os.PathLike))


def as_path(name: str, value: object) -> Path:
    """An option as a path. Raises `UsageError` unless it is one, as text or otherwise, and not empty."""
    plain = os.fspath(value) if _is_path(value) else None
    if is_text(plain) and plain:
        return Path(plain)
    raise UsageError(f"must be a path, got {shown(value)}", where=name)


def check_callback(name: str, value: object, instead: str = "", *, none: bool = True, awaited: bool = False) -> None:
    """Raise `UsageError` unless this option is a function, or anything else that can be called, or ``None``.

    ``awaited``: may it be an async function? Where nothing awaits it, it would never run.
    """
    if value is None and none:
        return
    if not callable(value):
        raise UsageError(f"must be a function{' or None' if none else ''}, got {shown(value)}{instead}", where=name)
    code = _code_of(value)
    if inspect.isgeneratorfunction(code) or inspect.isasyncgenfunction(code):
        raise UsageError(
            f"must be a function, got a generator, which no call runs: {shown(value)}{instead}", where=name
        )
    if not awaited and (inspect.iscoroutinefunction(code) or inspect.iscoroutinefunction(value)):
        raise UsageError(
            f"must be a plain function, got an async one, which nothing awaits: {shown(value)}", where=name
        )


def read_clock(name: str, clock: Callable[[], object]) -> float:
    """The Unix time by the clock that is the option ``name``. Raises `UsageError` where it gives something else."""
    seconds = clock()
    if not is_number(seconds) or not 0 <= seconds < _END_OF_CALENDAR:
        raise UsageError(f"must give the Unix time in seconds, as time.time does; it gave {shown(seconds)}", where=name)
    return seconds


def _is_partial(value: object) -> TypeGuard[partial[Any]]:
    return isinstance(value, partial)


def _code_of(function: Any) -> Any:
    """What a call runs: the function itself, or the one that makes an object a function."""
    while _is_partial(function):
        function = function.func
    call: Any = type(function).__call__
    return call if inspect.isfunction(call) else function


def check_capable(name: str, value: object, methods: tuple[str, ...], kind: str, *, none: bool = True) -> None:
    """Raise `UsageError` unless this option has the members that it is given for, or is ``None``; a class has not.

    ``kind`` says what is wanted: ``"a Ledger, such as SQLiteLedger('catalog.ledger')"``. ``none``: may it be ``None``?
    """
    if isinstance(value, type):
        raise UsageError(f"must be {kind}, got the class {value.__name__} itself", where=name)
    if not all(hasattr(value, method) for method in methods) and not (value is None and none):
        raise UsageError(f"must be {kind}, got {type(value).__name__}", where=name)
