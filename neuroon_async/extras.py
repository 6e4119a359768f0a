"""What an import says whose libraries are absent: which extra brings them. Nothing else is changed about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["NeedsExtra"]


class NeedsExtra:
    """Around the imports of other libraries: where one is missing, the error names the extra.

    >>> with NeedsExtra("redis", "neuroon_async.integrations.redis"):
    ...     import no_such_library
    Traceback (most recent call last):
    ModuleNotFoundError: neuroon_async.integrations.redis needs the library no_such_library: pip install \
'neuroon-async[redis]'
    """

    def __init__(self, extra: str, module: str) -> None:
        self._extra = extra
        self._module = module

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, ModuleNotFoundError):
            library = (error.name or "").partition(".")[0]
            raise ModuleNotFoundError(
                f"{self._module} needs the library {library}: pip install 'neuroon-async[{self._extra}]'",
                name=error.name,
            ) from None
