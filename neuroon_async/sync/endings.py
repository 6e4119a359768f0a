"""How a run ends early, in errors: which one is raised, what is told with it, and the report that it carries."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from ..errors import APIError, NeuroonError, RequestTimeout

if TYPE_CHECKING:
    from ..report import SyncReport
    from ..transport.time_limit import TimeLimit

__all__ = ["add_note", "attach_report", "how_it_ended", "out_of_time", "told_with"]


def told_with(error: BaseException | None, earlier: BaseException | None, what: str) -> BaseException | None:
    """The error to raise. One that came before it, and is not the reason, is told with it."""
    if error is None or earlier is None or error is earlier:
        return error or earlier
    add_note(error, f"{what}: {earlier!r}")
    if error.__context__ is None:
        with suppress(Exception):  # as in `add_note`
            error.__context__ = earlier  # where it happened: it came first, and did not cause the other one
    return error


def how_it_ended(error: BaseException) -> str:
    """The error's class and status: its text stands where it is raised, once."""
    if isinstance(error, asyncio.CancelledError):
        return "cancelled"
    status = f" ({error.status})" if isinstance(error, APIError) else ""
    return f"stopped by {type(error).__name__}{status}"


def out_of_time(limit: TimeLimit, why: str, *, maybe_processed: bool = False) -> RequestTimeout:
    """The error of a run that its ``bulk_deadline`` has ended. ``why`` follows after a semicolon."""
    text = f"the run had not ended within its bulk_deadline of {limit.seconds:g} s{why}"
    return RequestTimeout(text, maybe_processed=maybe_processed)


def attach_report(error: BaseException, report: SyncReport) -> None:
    """Let the error that ends a run carry its report: once, where the whole run is known."""
    if isinstance(error, NeuroonError):
        error.report = report
        return
    with suppress(Exception):  # an exception with __slots__ still carries notes
        error.report = report  # type: ignore[attr-defined]
    add_note(error, f"sync report: {report}")


def add_note(error: BaseException, text: str) -> None:
    """A frozen exception, of a dataclass or of attrs, takes no note. It is raised all the same."""
    with suppress(Exception):
        error.add_note(text)
