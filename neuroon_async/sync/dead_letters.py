"""A dead letter file: every product that failed, as JSON Lines that ``neuroon sync`` can read again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ..api.models import encode

if TYPE_CHECKING:
    import os
    from types import TracebackType

    from ..report import ProductFailure

__all__ = ["DeadLetterFile"]


class DeadLetterFile:
    """Pass it as ``on_failure``. One line a failure: ``{"failure": {…}, "product": {…} or null}``.

    The file is opened with the first failure, so a clean run leaves none behind, and appended to where it exists.

    >>> with DeadLetterFile("failed.jsonl") as dead_letters:            # doctest: +SKIP
    ...     report = await client.products.sync(products, on_failure=dead_letters)
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.count = 0
        self._file: Any = None

    def __call__(self, failure: ProductFailure) -> None:
        if self._file is None:
            self._file = self.path.open("ab")
        self._file.write(_line(failure))
        self.count += 1

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _line(failure: ProductFailure) -> bytes:
    note = {
        "externalId": failure.external_id,
        "reason": failure.reason,
        "stage": failure.stage,
        "status": failure.status,
    }
    product = failure.product
    try:
        record = encode({"failure": note, "product": product})
    except (UnicodeEncodeError, OverflowError, TypeError, ValueError, RecursionError):
        # What cannot become JSON is the very reason why it failed: keep it readable at least.
        readable = {name: _readable(value) if isinstance(value, str) else value for name, value in note.items()}
        record = encode({"failure": readable, "product": None, "shown": _shown(product)})
    return record + b"\n"


def _readable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _shown(product: object) -> str:
    try:
        return _readable(repr(product))
    except (ValueError, RecursionError):  # Python refuses to print integers of thousands of digits
        return "a product with a number too long, or lists nested too deeply, to show"
