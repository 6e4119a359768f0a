"""Objects of a JSON array, of a list in an object (``{"products": [...]}``), and of JSON Lines. Needs only the core.

An array is cut into its elements by brackets and quotes alone, and each element is decoded by msgspec: so numbers stay
exact, memory holds one element, and an element that is not JSON is a problem of its own as long as its brackets match.
So is one that nests deeper than any product: decoding it, or showing it later, could exhaust the interpreter's stack.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from ...api.shapes import is_list, is_object
from ..columns import recognised_field
from ..records import Record
from ..values.shown import shown
from .byte_source import MAX_RECORD_BYTES, CatalogError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ...api.shapes import RawValue
    from .byte_source import ByteSource

__all__ = [
    "PRODUCTS",
    "Survey",
    "decode_object",
    "is_json_lines",
    "json_array",
    "json_lines",
    "json_record",
    "key_paths",
    "line_blocks",
]

_MIB = MAX_RECORD_BYTES // 1024 // 1024
_MAX_DEPTH = 100
"""Brackets within brackets."""
_decoder = msgspec.json.Decoder(float_hook=Decimal)
decode_object: Callable[[bytes], dict[str, Any]] = _decoder.decode
"""An object that is known to be one, its numbers exact."""
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["{}\[\],]', re.DOTALL)
_KEY_OR_BRACKET = re.compile(
    rb'"(?P<key>[^"\\]*+(?:\\.[^"\\]*+)*+)"\s*:|"[^"\\]*+(?:\\.[^"\\]*+)*+"|(?P<open>[\[{])|(?P<close>[\]}])',
    re.DOTALL,
)
_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_NO_JSON = re.compile(rb"-?\b(?:NaN|Infinity|None|undefined)\b")
"""What programs write for a value that is not there."""
_MAX_KEYS = 2_000
_CLOSES = {b"}": b"{", b"]": b"["}
PRODUCTS = b'"products"'
_PRODUCTS_KEY = re.compile(rb'"products"\s*:\s*\[')


_DEEPEST_LIST = 4


def is_json_lines(sample: bytes, name: str) -> bool:
    """Is a file that begins with ``{`` one object a line, rather than one document?"""
    if name.removesuffix(".gz").endswith((".jsonl", ".ndjson")):
        return True
    line, newline, rest = sample.lstrip().partition(b"\n")
    if _is_too_deep(line):
        return not _PRODUCTS_KEY.search(line)
    try:
        first = _decoder.decode(line)
    except msgspec.DecodeError:
        if newline:
            return line.rstrip().endswith(b"}")  # a line meant as one object, though it is no JSON
        return not _PRODUCTS_KEY.search(line) and not _wraps_a_list(line)  # a line longer than the sample
    return not is_object(first) or _is_a_record(first, line, followed=bool(rest.strip()))


def _wraps_a_nested_list(document: dict[str, Any]) -> bool:
    """Is it no product itself, and holds a list of objects further down (``{"data": {"items": [{...}]}}``)?"""
    inner = [value for value in document.values() if is_object(value)]
    has_list = any(_holds_a_list(value, _DEEPEST_LIST) for value in inner)
    return has_list and not {"name", "price"} <= set(map(recognised_field, document))


def _holds_a_list(document: dict[str, Any], levels: int) -> bool:
    """Does it hold a list of objects, so many levels down at most?"""
    values = document.values()
    if any(is_list(value) and bool(value) and isinstance(value[0], dict) for value in values):
        return True
    return levels > 1 and any(is_object(value) and _holds_a_list(value, levels - 1) for value in values)


def _is_a_record(first: dict[str, Any], line: bytes, *, followed: bool) -> bool:
    """Is the object on the first line a record, rather than a document on one line?"""
    if isinstance(first.get("products"), list) or _holds_products_by_key(first):
        return False
    return followed or not (_wraps_a_list(line) or _wraps_a_nested_list(first))


def _holds_products_by_key(document: dict[str, Any]) -> bool:
    """Does it give products by their ids (``{"41": {"name": …}, "42": {…}}``)?"""
    return bool(document) and all(
        is_object(value) and any(recognised_field(key) in {"name", "price"} for key in value)
        for value in document.values()
    )


def _wraps_a_list(text: bytes) -> bool:
    return Survey.of(text).only_list is not None


class Survey:
    """What lists stand directly inside the object that a text is, as far as it was fed.

    An object that has a price is a product: its lists are variants or images, and no list of products.
    """

    def __init__(self) -> None:
        self.has_products: bool = False
        self.lists: list[bytes] = []
        """The keys of those that begin with an object, in their quotes."""
        self._is_product = False
        self._buffer = b""  # a text that the next chunk goes on with
        self._depth = 0
        self._key = b""
        self._at_key = self._at_first_element = False

    @classmethod
    def of(cls, text: bytes) -> Survey:
        survey = cls()
        survey.feed(text)
        return survey

    @property
    def only_list(self) -> bytes | None:
        return self.lists[0] if len(self.lists) == 1 and not self._is_product else None

    @property
    def is_stuck(self) -> bool:
        """Has a text outgrown the bound? The reading will complain of it."""
        return len(self._buffer) > MAX_RECORD_BYTES

    def feed(self, chunk: bytes) -> None:
        self._buffer += chunk
        for match in _TOKEN.finditer(self._buffer):
            token = match.group()
            if token == b'"':
                self._buffer = self._buffer[match.start() :]
                return
            self._step(token)
        self._buffer = b""

    def _step(self, token: bytes) -> None:
        if self._at_first_element and token == b"{":
            self.lists.append(self._key)
        self._at_first_element = self._depth == 1 and token == b"["
        self.has_products |= self._at_first_element and self._key == PRODUCTS
        if self._depth == 1 and self._at_key and token.startswith(b'"'):
            self._key = token
            self._is_product |= recognised_field(token.decode(errors="replace")) == "price"
        if token in {b"[", b"{"}:
            self._depth += 1
        elif token in _CLOSES:
            self._depth -= 1
        self._at_key = self._depth == 1 and token in {b"{", b","}


def key_paths(sample: bytes) -> frozenset[str]:
    """The keys of all objects in a text that may be cut off anywhere: ``products.variants.price``, lists left out."""
    paths: set[str] = set()
    path: list[str] = [""]  # what the values at each depth stand under
    for match in _KEY_OR_BRACKET.finditer(sample):
        if match["key"] is not None:
            name = match["key"].decode(errors="replace")
            path[-1] = f"{path[-2]}.{name}" if len(path) > 1 and path[-2] else name
            paths.add(path[-1])
        elif match["open"] is not None:
            path.append(path[-1])
        elif match["close"] is not None and len(path) > 1:
            path.pop()
        if len(path) > _MAX_DEPTH or len(paths) >= _MAX_KEYS:
            break
    return frozenset(paths)


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
    if _is_too_deep(text):
        return Record(where, kept, f"nests deeper than {_MAX_DEPTH} levels; leave out what no product needs")
    try:
        value: RawValue = _decoder.decode(text)
    except msgspec.DecodeError as error:
        # A lone surrogate (\ud800) is reported as cut-off data: it is half of a character.
        word = _NO_JSON.search(_TEXT.sub(b"", text))
        told = (
            f"is not valid JSON: JSON has no {word[0].decode()}; write null" if word else f"is not valid JSON: {error}"
        )
        return Record(where, kept, told)
    if not isinstance(value, dict):
        return Record(where, {"value": value}, f"must be a JSON object, got {shown(value)}")
    return Record(where, value)


def _is_too_deep(text: bytes) -> bool:
    if text.count(b"{") + text.count(b"[") <= _MAX_DEPTH:
        return False  # as almost always, and told without looking at the structure
    depth = 0
    for match in _TOKEN.finditer(text):
        token = match.group()
        if token in {b"[", b"{"}:
            depth += 1
            if depth > _MAX_DEPTH:
                return True
        elif token in _CLOSES:
            depth -= 1
    return False


def json_array(
    source: ByteSource,
    chunks: Iterator[bytes],
    path: Sequence[bytes] = (PRODUCTS,),
    none_found: str = "holds no products",
    *,
    or_object: bool = False,
) -> Iterator[Record]:
    """The elements of a top-level array, or of the array at ``path`` (keys in their quotes) of a top-level object.

    ``none_found`` is what to say where there is no such array. ``or_object``: one object in its place is one element.
    """
    splitter = _Splitter(source, path, none_found, or_object=or_object)
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

    def __init__(self, source: ByteSource, path: Sequence[bytes], none_found: str, *, or_object: bool) -> None:
        self._none_found = none_found
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
        for match in _TOKEN.finditer(self._buffer, self._scanned):
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
            raise self._fault(index, f"{found} does not belong here: one array or one object is expected")
        if token in {b"[", b"{"}:
            if token == b"[" and not self._found and (depth == 0 or self._path == self._wanted):
                self._found, self._array_depth, self._element = True, depth + 1, index + 1
            elif token == b"{" and self._or_object and not self._found and self._path == self._wanted:
                self._found, self._object_depth, self._element = True, depth + 1, index
            self._open.append(token)
            self._path.append(b"")
        elif token in _CLOSES:
            return self._close_bracket(token, index)
        elif token == b",":
            if depth == self._array_depth:
                element = self._cut(index)
                self._element = index + 1
                return element
        elif not self._found:
            self._path[-1] = token
        return None

    def _close_bracket(self, token: bytes, index: int) -> bytes | None:
        depth = len(self._open)
        self._path.pop()
        if self._open.pop() != _CLOSES[token]:
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
