"""What a text in JSON looks like by its beginning: lines or one document, which lists, which keys. Pure."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import msgspec

from ...api.shapes import is_list, is_object
from ..columns import recognised_field
from .byte_source import MAX_RECORD_BYTES

__all__ = ["CLOSES", "MAX_DEPTH", "PRODUCTS", "TOKEN", "Survey", "is_json_lines", "is_too_deep", "key_paths"]

_decoder = msgspec.json.Decoder(float_hook=Decimal)
MAX_DEPTH = 100
"""Brackets within brackets."""
TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["{}\[\],]', re.DOTALL)
_KEY_OR_BRACKET = re.compile(
    rb'"(?P<key>[^"\\]*+(?:\\.[^"\\]*+)*+)"\s*:|"[^"\\]*+(?:\\.[^"\\]*+)*+"|(?P<open>[\[{])|(?P<close>[\]}])',
    re.DOTALL,
)
_MAX_KEYS = 2_000
CLOSES = {b"}": b"{", b"]": b"["}
PRODUCTS = b'"products"'
_PRODUCTS_KEY = re.compile(rb'"products"\s*:\s*\[')
_DEEPEST_LIST = 4
_OF_PRODUCTS = {"external_id", "name", "price"}


def is_json_lines(sample: bytes, name: str) -> bool:
    """Is a file that begins with ``{`` one object a line, rather than one document?"""
    if name.removesuffix(".gz").endswith((".jsonl", ".ndjson")):
        return True
    line, newline, rest = sample.lstrip().partition(b"\n")
    if is_too_deep(line):
        return not _PRODUCTS_KEY.search(line)
    try:
        first = _decoder.decode(line)
    except (msgspec.DecodeError, ArithmeticError):  # the latter: a number beyond what Decimal has
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
    if isinstance(first.get("products"), list):
        return False
    return followed or not (_holds_products_by_key(first) or _wraps_lists(first, line) or _wraps_a_nested_list(first))


def _wraps_lists(document: dict[str, Any], line: bytes) -> bool:
    """Does it hold one list of objects, or several and nothing that a product has?"""
    return _wraps_a_list(line) or (
        len(Survey.of(line).lists) > 1 and not _OF_PRODUCTS & set(map(recognised_field, document))
    )


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
        for match in TOKEN.finditer(self._buffer):
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
        elif token in CLOSES:
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
        if len(path) > MAX_DEPTH or len(paths) >= _MAX_KEYS:
            break
    return frozenset(paths)


def is_too_deep(text: bytes) -> bool:
    """Does it nest deeper than any product?"""
    if text.count(b"{") + text.count(b"[") <= MAX_DEPTH:
        return False  # as almost always, and told without looking at the structure
    depth = 0
    for match in TOKEN.finditer(text):
        token = match.group()
        if token in {b"[", b"{"}:
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif token in CLOSES:
            depth -= 1
    return False
