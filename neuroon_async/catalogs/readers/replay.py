"""The bytes of a catalog several times over: from the source where it can seek, else from a temporary file.

A pipe is recorded on disk while it is read, so that a second reading may begin at any moment and need not wait for the
end of the first. Unless a format asks for all of it, no more than `MAX_RECORDED_BYTES` are recorded: a second reading
then ends there, while the first one goes on.
"""

from __future__ import annotations

import contextlib
import tempfile
from typing import TYPE_CHECKING, BinaryIO, cast

from .byte_source import CHUNK_BYTES, CatalogError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from .byte_source import ByteSource

__all__ = ["MAX_RECORDED_BYTES", "Replay"]

MAX_RECORDED_BYTES = 64 * 1024 * 1024
"""Bytes of a pipe that are kept for a second reading, and the most that a first pass over any catalog reads."""


class Replay:
    """Gives the unpacked bytes of one source from its start, at each call. Close it to close its files."""

    def __init__(self, source: ByteSource, opened: Iterator[bytes]) -> None:
        """``opened`` are the source's bytes, opened already; the first reading takes them."""
        self._source = source
        self._opened: Iterator[bytes] | None = opened
        self._stack = contextlib.ExitStack()
        self._tape: _Tape | None = None
        if not source.seekable:
            self._tape = self._stack.enter_context(contextlib.closing(_Tape(opened)))

    def keep_all(self) -> None:
        """Record a pipe whole, however long it is: the format reads it more than once."""
        if self._tape is not None:
            self._tape.bound = None

    def chunks(self) -> Iterator[bytes]:
        """All bytes, from the start."""
        if self._tape is not None:
            return self._tape.chunks()
        if self._opened is not None:
            opened, self._opened = self._opened, None
            return opened
        return self._stack.enter_context(contextlib.closing(self._source.chunks()))

    def first_pass(self, source: ByteSource) -> Replay:
        """The beginning up to the bound, for a reading beside the one that has begun.

        ``source`` is a twin of this one's, so that the position and the counters of that reading stay.
        """
        opened = source.chunks() if self._tape is None else self._tape.recorded()
        return _Beginning(source, opened)

    def file(self) -> BinaryIO:
        """All bytes as a file that can seek, closed with this."""
        return self._stack.enter_context(self._source.spooled(self.chunks()))

    def close(self) -> None:
        self._stack.close()


class _Beginning(Replay):
    """No more than the bound of a source."""

    def __init__(self, source: ByteSource, opened: Generator[bytes, None, None]) -> None:
        super().__init__(source, _up_to_bound(opened))
        self._stack.enter_context(contextlib.closing(opened))


def _up_to_bound(chunks: Iterator[bytes]) -> Iterator[bytes]:
    left = MAX_RECORDED_BYTES
    for chunk in chunks:
        if len(chunk) >= left:
            whole = chunk[:left]
            yield whole[: whole.rfind(b"\n") + 1]  # a number that is cut off would look like another one
            return
        yield chunk
        left -= len(chunk)


class _Tape:
    """What was read of a pipe so far, in a temporary file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.bound: int | None = MAX_RECORDED_BYTES
        self._chunks = chunks
        self._file = cast("BinaryIO", tempfile.TemporaryFile(prefix="neuroon-catalog-"))  # noqa: SIM115 - closed below
        self._size = 0
        self._overflow: bytes | None = None  # read from the pipe and recorded no longer
        self._ended = False
        self._fault: CatalogError | None = None

    def close(self) -> None:
        self._file.close()

    def chunks(self) -> Iterator[bytes]:
        """The pipe from its start to its end; the only reading that goes beyond the bound."""
        yield from self.recorded()
        if self._overflow is not None:
            yield self._overflow
            self._overflow = b""
            yield from self._chunks

    def recorded(self) -> Generator[bytes, None, None]:
        """The pipe from its start to the bound."""
        position = 0
        while position < self._size or self._record():
            self._file.seek(position)
            chunk = self._file.read(min(CHUNK_BYTES, self._size - position))
            position += len(chunk)
            yield chunk
        if self._fault is not None:
            raise self._fault

    def _record(self) -> bool:
        """Read on; ``False`` where the pipe or its recording has ended."""
        if self._ended or self._overflow is not None:
            return False
        try:
            chunk = next(self._chunks, None)
        except CatalogError as error:  # raised where each reading comes to it
            self._fault, chunk = error, None
        if chunk is None:
            self._ended = True
            return False
        if self.bound is not None and self._size + len(chunk) > self.bound:
            room = self.bound - self._size
            chunk, self._overflow = chunk[:room], chunk[room:]
        self._file.seek(self._size)
        self._file.write(chunk)
        self._size += len(chunk)
        return True
