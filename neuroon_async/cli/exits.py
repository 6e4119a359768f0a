"""How a command ends: exit codes, one line for an error, and running a coroutine so that an interruption is orderly."""

from __future__ import annotations

import asyncio
import signal
import traceback
from contextlib import contextmanager, suppress
from enum import IntEnum
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from ..advice import as_argument
from ..api.contract import DEFAULT_MAX_BATCH_BYTES, MAX_BATCH_PRODUCTS
from ..catalogs import CatalogError, NothingUsable
from ..errors import ConfigurationError, InvalidBatch, NeuroonError, UnsafeFullSync
from ..ledger.protocols import LedgerError
from .console import complain

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator

    from ..report import SyncReport

__all__ = ["EXIT_CODES_HELP", "ExitCode", "as_option", "code_of", "exit_codes", "explain", "report_of", "run"]

T = TypeVar("T")


class ExitCode(IntEnum):
    """The exit codes that the command documents."""

    OK = 0
    PRODUCTS_FAILED = 1
    USAGE = 2
    STOPPED = 3
    FILE = 4
    INTERRUPTED = 130
    TERMINATED = 143


EXIT_CODES_HELP = (
    "Exit codes: 0 everything arrived; 1 some products failed; 2 usage or configuration; 3 stopped by the API "
    "(such as 401 or 403), by the network, because --delete-missing would have deleted too much, or because a FULL "
    "sync holds products that cannot be sent; 4 a file or "
    "a ledger cannot be read or written; 130 interrupted (Ctrl-C); 143 terminated."
)


def code_of(error: BaseException) -> ExitCode:
    """The exit code for what ended a command early."""
    if isinstance(error, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    if isinstance(error, asyncio.CancelledError):
        return ExitCode.TERMINATED
    if isinstance(error, UnsafeFullSync):
        return ExitCode.STOPPED if error.unsendable else ExitCode.USAGE
    if isinstance(error, (ConfigurationError, InvalidBatch)):
        return ExitCode.USAGE
    if isinstance(error, (CatalogError, LedgerError, OSError)):
        return ExitCode.PRODUCTS_FAILED if isinstance(error, NothingUsable) else ExitCode.FILE
    return ExitCode.STOPPED


_FULL_IN_PARTS = (
    f"a FULL sync must fit into one request of {MAX_BATCH_PRODUCTS} products and "
    f"{DEFAULT_MAX_BATCH_BYTES:,} bytes: the API documents nowhere how several requests make one FULL sync, so "
    "each may erase what the others brought. Nothing was sent. Leave --mode out; where products that the file no "
    "longer has must go, add --ledger FILE --delete-missing"
)


def explain(error: BaseException) -> str:
    """The error in one line, with the options of the command where its own text names Python arguments."""
    if isinstance(error, (KeyboardInterrupt, asyncio.CancelledError)):
        return "interrupted" if isinstance(error, KeyboardInterrupt) else "terminated"
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)
    if isinstance(error, UnsafeFullSync) and not error.unsendable:
        return _FULL_IN_PARTS
    if isinstance(error, NeuroonError):
        return error.naming(as_option)
    return f"unexpected {type(error).__name__}: {error} (--debug shows where)"


_OPTIONS = {
    "allow_plain_http",
    "api_key",
    "api_url",
    "ca_file",
    "shop_id",
    "timeout",
    "concurrency",
    "batch_size",
    "mode",
    "proxy",
    "ledger",
    "delete_missing",
    "max_delete_fraction",
}
"""Arguments of Python that the commands have as options."""


def as_option(name: str, value: object) -> str:
    """An argument as the shell writes it, where the commands have it."""
    name = {"ssl": "ca_file", "base_url": "api_url"}.get(name, name)
    if name not in _OPTIONS:
        return as_argument(name, value)
    option = "--" + name.replace("_", "-")
    return option if value is ... or value is True else f"{option} {value}"


def report_of(error: BaseException) -> SyncReport | None:
    """What a bulk run had done before this error ended it."""
    return getattr(error, "report", None)


@contextmanager
def exit_codes(*, debug: bool) -> Generator[None, None, None]:
    """End the command by the exception that leaves the block: one line on stderr, and the documented exit code."""
    try:
        yield
    except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
        raise  # these are typer's to end
    except (Exception, KeyboardInterrupt, asyncio.CancelledError) as error:  # noqa: BLE001 - reported, and the command ends
        if debug:
            traceback.print_exc()
        complain(explain(error))
        raise typer.Exit(code_of(error)) from None


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end. Ctrl-C and SIGTERM cancel ``work``.

    They then leave as `KeyboardInterrupt` and `CancelledError`, with what the run they cut short has left on its
    cancellation: the ``report`` of a bulk run, the ``results`` of one of several markets.
    """
    left: dict[str, Any] = {}

    async def watched() -> T:
        task = asyncio.current_task()
        with suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
            if task is not None:
                asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        try:
            return await work
        except asyncio.CancelledError as cancelled:
            left.update(vars(cancelled))
            raise

    try:
        return asyncio.run(watched())
    except (KeyboardInterrupt, asyncio.CancelledError) as end:
        vars(end).update(left)
        raise
