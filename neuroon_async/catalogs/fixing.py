"""A corrected copy of a catalog, and the list of what was changed in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from ..api.arguments import as_path
from ..api.models import encode

if TYPE_CHECKING:
    import os
    from pathlib import Path
    from types import TracebackType

    from ..api.models import Product
    from .finishing import Change

__all__ = ["FixedCopy"]


class FixedCopy:
    """Writes the products that would be sent to ``path``, as JSON Lines, and beside it the list of what was changed.

    That list is ``path.changes.jsonl``. Nothing is invented: a product that lacks a value is in neither. Both files
    are put in place, over older ones, when the ``with`` block ends without an error; until then they have other names.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path: Path = as_path("path", path)
        self.changes_path: Path = self.path.with_name(f"{self.path.name}.changes.jsonl")
        self.products: int = 0
        self.changes: int = 0
        self._files: dict[Path, Any] = {}

    def write(self, product: Product) -> None:
        """Add a product to the copy."""
        self._files[self.path].write(encode(product) + b"\n")
        self.products += 1

    def note(self, change: Change) -> None:
        """Add a change to the list."""
        self._files[self.changes_path].write(encode(change.as_document()) + b"\n")
        self.changes += 1

    def __enter__(self) -> Self:
        for path in (self.path, self.changes_path):
            self._files[path] = _unfinished(path).open("wb")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for path, file in self._files.items():
            file.close()
            if error is None:
                _unfinished(path).replace(path)
            else:
                _unfinished(path).unlink(missing_ok=True)


def _unfinished(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")
