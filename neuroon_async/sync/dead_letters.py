"""A dead letter file: every product that failed, as JSON Lines that ``neuroon sync`` can read again."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, Self, TypeGuard

from ..api.arguments import as_path
from ..api.models import encode
from ..api.shapes import is_dict
from ..errors import UsageError
from ..sqlite import barrier_at, obstacle_at, settled

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from ..report import ProductFailure

__all__ = ["DeadLetterFile"]


class DeadLetterFile:
    """Writes failures to a file: pass it as ``on_failure``.

    Every failure is a line, in one of three forms:

    - ``{"failure": {…}, "product": {…}}``: a product as it was to be sent.
    - ``{"failure": {…}, "raw": {…}, "reading": {…}}``: a row as its catalog holds it, with the options that it is read
      by (format, mapping, currency, shop address), so that the file is read without any option.
    - ``{"failure": {…}, "product": null, "shown": "…"}``: what cannot become JSON, which may be why it failed.

    Unsent products are no dead letters: nothing is wrong with them. ``count`` counts the
    lines written. The file is opened with the first failure, so a clean run leaves none behind, and appended to where
    it exists; a line that a killed process or a full disk has cut off there stays for itself. Every line is handed to
    the operating system before the call returns, so it outlives the process.

    Raises `UsageError` at once for what is no path, or can be no file: a folder, something in a folder that does not
    exist, or what may not be written to. Raises `OSError` where the file cannot be written later on. When the ``with``
    block ends by an error, such as one that carries the report of the run, an error of closing the file is added to it
    as a note and does not replace it.

    >>> with DeadLetterFile("failed.jsonl") as dead_letters:            # doctest: +SKIP
    ...     report = await client.products.sync(products, on_failure=dead_letters)
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path: Path = _checked(as_path("path", path))
        self._at = settled(self.path)
        self.count: int = 0
        self._file: BinaryIO | None = None

    def __call__(self, failure: ProductFailure) -> None:
        if failure.unsent:
            return
        line = memoryview(_line(failure))
        if self._file is None:
            self._file = self._at.open("ab", buffering=0)
            if _breaks_off(self._at):
                line = memoryview(b"\n" + line)
        try:
            while line:  # an unbuffered file may take a part of a long line
                line = line[self._file.write(line) :]
        except OSError:  # such as a full disk, which may have taken a part of it
            with suppress(OSError):
                self.close()
            raise
        self.count += 1

    def close(self) -> None:
        """Close the file. A further failure opens it again."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.close()
        except OSError as fault:
            if error is None:
                raise
            error.add_note(f"the dead letter file {self.path} could not be closed: {fault}")


def _checked(path: Path) -> Path:
    """A path that can be written to. A run of hours must not end at its first failure because it cannot."""
    obstacle = obstacle_at(path, regular=False) or barrier_at(path, alone=True)
    if obstacle is not None:
        raise UsageError(f"cannot be a file: {obstacle}", where=f"{path}")
    return path


def _breaks_off(path: Path) -> bool:
    """Does the file's last line have no end? What is appended to it would be lost with it."""
    if not path.is_file():  # a pipe cannot be read back
        return False
    try:
        with path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
    except OSError:  # empty, or not to be read
        return False


def _line(failure: ProductFailure) -> bytes:
    note = {
        "externalId": failure.external_id,
        "reason": failure.reason,
        "stage": failure.stage,
        "status": failure.status,
    }
    product = failure.product
    try:
        record = encode({"failure": note} | _held(product))
    except (UnicodeEncodeError, OverflowError, TypeError, ValueError, RecursionError):
        # What cannot become JSON is the very reason why it failed: keep it readable at least.
        readable = {name: _readable(value) if isinstance(value, str) else value for name, value in note.items()}
        record = encode({"failure": readable, "product": None, "shown": _shown(product)})
    return record + b"\n"


class _Row(Protocol):
    reading: Any


def _is_row(product: object) -> TypeGuard[_Row]:
    return is_dict(product) and hasattr(product, "reading")


def _held(product: object) -> dict[str, Any]:
    """A product, or the row of a catalog that says how it is read."""
    if _is_row(product):
        return {"raw": getattr(product, "record", product), "reading": product.reading}
    return {"product": product}


def _readable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _shown(product: object) -> str:
    try:
        return _readable(repr(product))
    except (ValueError, RecursionError):  # Python refuses to print integers of thousands of digits
        return "a product with a number too long, or lists nested too deeply, to show"
