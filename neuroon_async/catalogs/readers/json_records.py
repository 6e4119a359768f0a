"""Objects of a JSON array, of a list in an object (``{"products": [...]}``), and of JSON Lines. Needs only the core.

An array is cut into its elements by brackets and quotes alone, and each element is decoded by msgspec: so numbers stay
exact, memory holds one element, and an element that is not JSON is a problem of its own as long as its brackets match.
So is one that nests deeper than any product: decoding it, or showing it later, could exhaust the interpreter's stack.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from ..records import Record
from ..values.shown import shown
from .byte_source import MAX_RECORD_BYTES, CatalogError
from .extended_json import has_types, without_types
from .json_faults import NEXT_DOCUMENT, why_no_json
from .json_layout import CLOSES, MAX_DEPTH, PRODUCTS, TOKEN, is_too_deep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ...api.shapes import RawValue
    from .byte_source import ByteSource

__all__ = ["decode_object", "json_array", "json_lines", "json_record", "line_blocks"]

_MIB = MAX_RECORD_BYTES // 1024 // 1024
_decoder = msgspec.json.Decoder(float_hook=Decimal)
decode_object: Callable[[bytes], dict[str, Any]] = _decoder.decode
"""An object that is known to be one, its numbers exact."""


def line_blocks(source: ByteSource, chunks: Iterator[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """The lines of a text, many at a time, with the number of the first. Raises `CatalogError` for an endless one."""
    number, rest = 1, b""
    for chunk in chunks:
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()
        if lines:
            _check_length(source, number, lines[0])  # the others are parts of this chunk
            yield number, lines
            number += len(lines)
        _check_length(source, number, rest)
    if rest:
        yield number, [rest]


def _check_length(source: ByteSource, number: int, line: bytes) -> None:
    if len(line) >= MAX_RECORD_BYTES:
        raise source.error(number, f"this line is longer than {_MIB} MiB; is this a file of JSON Lines?")


def json_lines(source: ByteSource, chunks: Iterator[bytes]) -> Iterator[Record]:
    """One record a line; a line that is no JSON object is a problem of its own."""
    for first, lines in line_blocks(source, chunks):
        for number, line in enumerate(lines, first):
            if not line.isspace() and line:
                yield json_record(f"{source.name}:{number}", line)


def json_record(where: str, text: bytes) -> Record:
    """One object, decoded; a text that is none is a problem of its own."""
    kept = {"text": text[:200].decode(errors="replace")}
    if is_too_deep(text):
        return Record(where, kept, f"nests deeper than {MAX_DEPTH} levels; leave out what no product needs")
    try:
        value: RawValue = _decoder.decode(text)
    except (msgspec.DecodeError, ArithmeticError) as error:  # the latter: a number beyond what Decimal has
        return Record(where, kept, why_no_json(text, error))
    if not isinstance(value, dict):
        return Record(where, {"value": value}, f"must be a JSON object, got {shown(value)}")
    return Record(where, without_types(value) if has_types(text) else value)


def json_array(
    source: ByteSource,
    chunks: Iterator[bytes],
    path: Sequence[bytes] = (PRODUCTS,),
    none_found: str = "holds no products",
    *,
    or_object: bool = False,
    within_lists: bool = False,
) -> Iterator[Record]:
    """The elements of a top-level array, or of the array at ``path`` (keys in their quotes) of a top-level object.

    ``none_found`` is what to say where there is no such array. ``or_object``: one object in its place is one element.
    ``within_lists``: the path leads through lists, too, so several arrays may be at its end.
    """
    splitter = _Splitter(source, path, none_found, or_object=or_object, within_lists=within_lists)
    for number, element in enumerate(_elements(splitter, chunks), 1):
        yield json_record(f"{source.name}:record {number}", element)


def _elements(splitter: _Splitter, chunks: Iterator[bytes]) -> Iterator[bytes]:
    fault = None
    try:
        for chunk in chunks:
            yield from splitter.feed(chunk)
    except CatalogError as error:
        fault = error
    yield from splitter.last_whole()  # complete, though what should follow it is missing
    if fault is not None:
        raise fault
    splitter.close()


class _Splitter:
    """Cuts the text of an array into its elements, chunk by chunk, holding no more than the unfinished one."""

    def __init__(
        self, source: ByteSource, path: Sequence[bytes], none_found: str, *, or_object: bool, within_lists: bool
    ) -> None:
        self._none_found = none_found
        self._within_lists = within_lists
        self._or_object = or_object
        self._object_depth: int | None = None  # how many are open inside the one object that is read
        self._source = source
        self._wanted = list(path)
        self._buffer = b""
        self._scanned = 0  # tokens before this index of the buffer are done with
        self._dropped = 0  # bytes of the text before the buffer
        self._element: int | None = None  # where in the buffer the current element begins
        self._open: list[bytes] = []  # the brackets that are open
        self._array_depth: int | None = None  # how many are open inside the array of products
        self._path: list[bytes] = []  # of every open bracket, the last text directly inside it
        self._found = self._ended = False
        self._after_end = 0  # where in the buffer the text after the document begins

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        self._buffer += chunk
        for match in TOKEN.finditer(self._buffer, self._scanned):
            token = match.group()
            if token == b'"':  # a text that the next chunk goes on with
                self._scanned = match.start()
                break
            self._scanned = match.end()
            element = self._step(token, match.start())
            if element is not None:
                yield element
        else:
            self._scanned = len(self._buffer)
        if self._ended and self._buffer[self._after_end :].strip():
            raise self._fault(self._after_end, "something follows the end of the JSON document")
        self._drop()

    def _step(self, token: bytes, index: int) -> bytes | None:
        depth = len(self._open)
        if depth == 0 and (self._ended or token not in {b"[", b"{"}):
            found = shown(token[:20].decode(errors="replace"))
            wanted = NEXT_DOCUMENT if self._ended else "one array or one object is expected"
            raise self._fault(index, f"{found} does not belong here: {wanted}")
        if token in {b"[", b"{"}:
            if token == b"[" and self._array_depth is None and self._begins_list():
                self._found, self._array_depth, self._element = True, depth + 1, index + 1
            elif token == b"{" and self._or_object and not self._found and self._path == self._wanted:
                self._found, self._object_depth, self._element = True, depth + 1, index
            self._open.append(token)
            self._path.append(b"")
        elif token in CLOSES:
            return self._close_bracket(token, index)
        elif token == b",":
            if depth == self._array_depth:
                element = self._cut(index)
                self._element = index + 1
                return element
        elif self._element is None:
            self._path[-1] = token
        return None

    def _begins_list(self) -> bool:
        """Is the list that begins here one of those that are wanted? Lists on the way to it do not count."""
        if not self._open:
            return not self._within_lists
        if not self._within_lists:
            return not self._found and self._path == self._wanted
        return [text for text, bracket in zip(self._path, self._open, strict=True) if bracket == b"{"] == self._wanted

    def _close_bracket(self, token: bytes, index: int) -> bytes | None:
        depth = len(self._open)
        self._path.pop()
        if self._open.pop() != CLOSES[token]:
            raise self._fault(index, f"a {token.decode()} closes what another bracket opened")
        if depth == 1:
            self._ended, self._after_end = True, index + 1
        if depth == self._object_depth:
            element = self._cut(index + 1)
            self._object_depth = self._element = None
            return element
        if depth != self._array_depth:
            return None
        element = self._cut(index)
        self._array_depth = self._element = None
        return element or None  # nothing between the brackets of an empty array

    def _cut(self, end: int) -> bytes:
        return self._buffer[self._element : end].strip()

    def _drop(self) -> None:
        """Forget what is done with; complain of an element that outgrows the bound."""
        keep = self._scanned if self._element is None else self._element
        self._buffer = self._buffer[keep:]
        self._dropped += keep
        self._scanned -= keep
        self._after_end = max(0, self._after_end - keep)
        if self._element is not None:
            self._element = 0
        if len(self._buffer) > MAX_RECORD_BYTES:
            raise self._fault(0, f"this element is longer than {_MIB} MiB; is a quote or a bracket left open?")

    def last_whole(self) -> Iterator[bytes]:
        """The object that the text ends with, where its closing bracket is there."""
        if self._element is not None and len(self._open) == self._array_depth:
            element = self._cut(len(self._buffer))
            if element.endswith(b"}"):
                yield element

    def close(self) -> None:
        """Complain of a document that has not ended, or held no array of products."""
        if self._open:
            raise self._fault(len(self._buffer), "the JSON ends in the middle; fetch it again")
        if not self._found:
            raise self._source.error("", self._none_found)

    def _fault(self, index: int, problem: str) -> Exception:
        return self._source.error(f"byte {self._dropped + index}", problem)
