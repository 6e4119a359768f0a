"""Where a catalog's bytes come from: opened, unpacked, decoded to UTF-8, counted, and bounded.

Everything behind this module reads chunks of valid UTF-8 (`ByteSource.text_chunks`) or unpacked bytes
(`ByteSource.chunks`) and never holds more than one chunk or one record. What the text means is for the format readers.

Encodings, in this order: the one that is given; a byte order mark; UTF-16 without a mark, which the NULs of its ASCII
characters show; the one that the text itself declares, as XML does; then the first byte outside ASCII decides: where it
starts valid UTF-8 the file is UTF-8, strictly, to its end. Otherwise it is read as Windows-1252, which spreadsheets
write in the languages that the API serves (older ones of Macs, whose lines end with ``CR`` alone, Mac Roman), but only
while every such byte stands for a letter or sign that those languages use where it stands, and no letter of UTF-8 is
among them; anything else is refused, because text that was decoded wrongly looks like success.

A byte order mark is no part of a text, wherever it stands: files that are joined bring theirs along.
"""

from __future__ import annotations

import codecs
import copy
import gzip
import io
import os
import re
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from ...api.shapes import is_bytes
from ...errors import ConfigurationError, NeuroonError
from .western import MAC, guess, is_of_another_script, likely_encoding, un_western

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

__all__ = ["CHUNK_BYTES", "MAX_RECORD_BYTES", "ByteSource", "CatalogError", "buffered", "known_encoding", "peek"]

CHUNK_BYTES = 256 * 1024
MAX_RECORD_BYTES = 16 * 1024 * 1024
"""Bytes of one record: a line of JSON Lines, a row of CSV, an element of a JSON array, an item of a feed."""

_LONGEST_NAME = 1_000
_GZIP_MAGIC = b"\x1f\x8b"
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark is its beginning
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MARK = "\ufeff"
_KEEP_ASCII = {"ascii", "utf-8", "cp1252", "iso8859-15", MAC}
"""Encodings in which bytes that are ASCII can be nothing else."""
_MEANT = {"utf-8-sig": "utf-8", "iso8859-1": "cp1252"}
"""As browsers read them: what stands where Latin-1 has control characters is a sign of Windows, such as €."""
_OUTSIDE_ASCII = re.compile(rb"[\x80-\xff]")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_WESTERN = frozenset({"cp1252", MAC})
"""What is never declared, and found out by the letters."""


class CatalogError(NeuroonError, ValueError):
    """A catalog that cannot be read any further. Every record before the fault has been yielded.

    The message names the file, the place in it, what is wrong, and what to do.
    """


class ByteSource:
    """One catalog: a path, or a binary file object, which is read from where it stands and never closed.

    ``bytes_read`` counts what was taken from the file itself (before unpacking); ``total_bytes`` is its size, or
    ``None`` where it has none to tell, as a pipe. ``encoding`` is what the text turned out to be written in.
    """

    def __init__(self, source: str | os.PathLike[str] | BinaryIO, encoding: str | None = None) -> None:
        if encoding is not None:
            encoding = known_encoding(encoding)
        self.encoding = encoding
        self.how_to_encode: Callable[[str], str] = "encoding={!r}".format
        """How the user names an encoding, for messages."""
        self.bytes_read: int = 0
        self._given_encoding = encoding
        self._file: BinaryIO | None = None
        self._path: Path | None = None
        if isinstance(source, (str, os.PathLike)):
            self._path = Path(source)
            self.name: str = self._path.name
            self.total_bytes: int | None = _size_of(self._path)
            self.seekable: bool = self._path.is_file()
        elif hasattr(source, "read"):
            self._file = source
            name = getattr(source, "name", None)
            self.name = Path(name).name if isinstance(name, str) else "catalog"
            self.seekable = bool(getattr(source, "seekable", bool)())
            self._start = source.tell() if self.seekable else 0
            self.total_bytes = self._remaining(source) if self.seekable else None
        else:
            raise ConfigurationError(f"a catalog is a path or a binary file, got {type(source).__name__}")

    def twin(self) -> ByteSource:
        """The same source for a reading beside this one, with a position and counters of its own."""
        twin = copy.copy(self)
        twin.bytes_read, twin.encoding = 0, self._given_encoding
        return twin

    def _remaining(self, file: BinaryIO) -> int:
        end = file.seek(0, os.SEEK_END)
        file.seek(self._start)
        return end - self._start

    def error(self, where: object, problem: str) -> CatalogError:
        """The error for a fault at ``where`` (a line, a record or a byte)."""
        return CatalogError(f"{self.name}:{where}: {problem}" if where else f"{self.name}: {problem}")

    def chunks(self) -> Generator[bytes, None, None]:
        """The unpacked bytes, from the start. Can be called again where the source is ``seekable``."""
        self.bytes_read = 0
        if self._path is not None:
            with self._path.open("rb") as opened:
                yield from self._unpacked(opened)
        else:
            yield from self._unpacked(cast("BinaryIO", self._file))

    def _unpacked(self, file: BinaryIO) -> Iterator[bytes]:
        head, raw = peek(self._raw_chunks(file), 2)
        if head[:2] != _GZIP_MAGIC:
            yield from raw
            return
        packed = buffered(raw)
        with packed, gzip.GzipFile(fileobj=packed) as unpacked:
            try:
                while chunk := unpacked.read1(CHUNK_BYTES):
                    yield chunk
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise self.error(
                    f"byte {self.bytes_read}",
                    f"the gzip data is cut off or damaged ({error}); fetch or pack the file again",
                ) from error

    def _raw_chunks(self, file: BinaryIO) -> Iterator[bytes]:
        position = self._start if self._file is not None and self.seekable else None
        while True:
            try:
                if position is not None and file.tell() != position:
                    file.seek(position)  # a reading beside this one has moved it
                chunk = file.read(CHUNK_BYTES)
            except OSError as error:
                raise self.error(f"byte {self.bytes_read}", f"cannot be read: {error}") from error
            if not is_bytes(chunk):
                raise ConfigurationError(f"{self.name}: open the catalog in binary mode ('rb')")
            if not chunk:
                return
            self.bytes_read += len(chunk)
            position = None if position is None else position + len(chunk)
            yield chunk

    def text_chunks(self, chunks: Iterator[bytes], declared: Callable[[bytes], str] | None = None) -> Iterator[bytes]:
        """The same text as UTF-8 without byte order marks. Raises `CatalogError` at the first byte that is none.

        ``declared`` reads from the first bytes what text of this kind is written in that has no mark.
        """
        head, chunks = peek(chunks, CHUNK_BYTES)
        encoding = self._given_encoding
        for mark, name in _MARKS:
            if head.startswith(mark) and (encoding is None or name.startswith(encoding)):
                encoding = name
                break
        encoding = encoding or _unmarked_utf16(head) or (declared(head) if declared is not None else None)
        if encoding is None and b"\0" in head:
            raise self.error(f"byte {head.index(0)}", "holds NUL bytes: this is a binary file, not a catalog in text")
        return self._decoded(encoding, chunks)

    def _decoded(self, encoding: str | None, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Decode and encode again. What precedes a fault is yielded before the fault is raised."""
        self.encoding = encoding or "ascii"
        position = 0
        decoder = codecs.getincrementaldecoder(self.encoding)()
        while True:
            chunk, is_first = next(chunks, b""), False
            unfinished = decoder.getstate()[0]
            if chunk and chunk.isascii() and not unfinished and self.encoding in _KEEP_ASCII:
                position += len(chunk)
                yield chunk
                continue
            if self.encoding == "ascii" and encoding is None and (first := _OUTSIDE_ASCII.search(chunk)):
                follows, chunks = peek(chunks, 4)  # the whole character must be there to be judged
                self.encoding = guess((chunk[first.start() :] + follows)[:4], chunk)
                decoder = codecs.getincrementaldecoder(self.encoding)()
                is_first = True
            position -= len(unfinished)
            text, fault = "", None
            data = unfinished + chunk
            try:
                text = decoder.decode(chunk, not chunk)
            except UnicodeDecodeError as error:
                text = data[: error.start].decode(self.encoding)
                fault = self._undecodable(position, data, error.start)
            if encoding is None and self.encoding in _WESTERN:
                wrong = _NOT_ASCII.search(text) if is_first and is_of_another_script(text) else un_western(text)
                if wrong is not None:
                    fault = self._undecodable(position, data, wrong.start())
                    text = text[: wrong.start()]
            if text:
                yield (text.replace(_MARK, "") if _MARK in text else text).encode()
            if fault is not None:
                raise fault
            if not chunk:
                return
            position += len(data)

    def _undecodable(self, position: int, data: bytes, at: int) -> CatalogError:
        """The error for the byte ``at`` which ``data`` is no text; it begins at ``position``."""
        tried = self._given_encoding or ("Western European" if self.encoding in _WESTERN else self.encoding)
        shown = f" (0x{data[at]:02x})" if at < len(data) else ""
        another = likely_encoding(data) if self.encoding in _WESTERN else "cp1252"
        return self.error(
            f"byte {position + at}",
            f"is not {tried} text{shown}; if all of the file is written in another encoding, name it "
            f"({self.how_to_encode(another)}), else export it again as UTF-8",
        )

    def spooled(self, chunks: Iterator[bytes]) -> BinaryIO:
        """All of ``chunks`` in a temporary file, standing at its start. The caller closes it."""
        spool = cast("BinaryIO", tempfile.TemporaryFile(prefix="neuroon-catalog-"))  # noqa: SIM115 - the caller closes it
        try:
            for chunk in chunks:
                spool.write(chunk)
            spool.seek(0)
        except BaseException:
            spool.close()
            raise
        return spool


class _ChunkReader(io.RawIOBase):
    """Chunks as a raw file, for the standard library's buffered and text readers to sit upon."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        super().__init__()
        self._rest = memoryview(b"")
        self._chunks = chunks

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def buffered(chunks: Iterator[bytes]) -> io.BufferedReader:
    """Chunks as a buffered binary file."""
    return io.BufferedReader(cast("io.RawIOBase", _ChunkReader(chunks)), CHUNK_BYTES)


def peek(chunks: Iterator[bytes], at_least: int) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes, ``at_least`` so many unless they end before (pipes give small pieces), and all bytes again."""
    head = bytearray()
    fault = None
    try:
        while len(head) < at_least and (chunk := next(chunks, b"")):
            head += chunk
    except CatalogError as error:
        fault = error  # raised by the rest, after what stands before it
    return bytes(head), _resumed(bytes(head), chunks, fault)


def _resumed(head: bytes, chunks: Iterator[bytes], fault: CatalogError | None) -> Iterator[bytes]:
    if head:
        yield head
    if fault is not None:
        raise fault
    yield from chunks


def _size_of(path: Path) -> int | None:
    try:
        if path.is_dir():
            raise CatalogError(f"{path}: is a directory; name the file in it")
        if not path.is_file():
            path.stat()  # a pipe has no size, but it exists
            return None
        with path.open("rb"):
            return path.stat().st_size
    except CatalogError:
        raise
    except (OSError, ValueError) as error:
        name = str(path)
        if len(name) > _LONGEST_NAME:  # the content itself, perhaps
            name = f"{name[:60]}…"
        raise CatalogError(f"{name}: cannot be opened: {getattr(error, 'strerror', None) or error}") from error


def known_encoding(encoding: str, option: str = "encoding") -> str:
    """Python's name of an encoding. ``option`` is what the user calls it. Raises `ConfigurationError`."""
    try:
        name = codecs.lookup(encoding).name
        "".encode(name)
    except (LookupError, ValueError):  # or a name that none can have
        raise ConfigurationError(f"{option} {encoding!r} is not known; 'utf-8' and 'cp1252' are common ones") from None
    return _MEANT.get(name, name)


def _unmarked_utf16(head: bytes) -> str | None:
    """Catalogs are mostly ASCII, and every ASCII character of UTF-16 has one NUL byte."""
    if len(head) < 4:
        return None
    low, high = head[0::2].count(0) / len(head[0::2]), head[1::2].count(0) / len(head[1::2])
    if high > 0.4 and low < 0.1:
        return "utf-16-le"
    return "utf-16-be" if low > 0.4 and high < 0.1 else None
