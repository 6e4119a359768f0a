"""Items of an XML feed (RSS 2.0 or Atom), one at a time. What their fields mean is for the format.

A field is a text. Elements within it stand apart in that text, so that two amounts never become one number; a currency
that an attribute names stands beside the amount (``<price currency="EUR">12.50</price>``), and what an empty element
says in an attribute is its text (``<image url="…"/>``). An item's own attributes are fields that no element of it is.

XML is read by the expat parser of the standard library itself: declarations of entities and references to external
ones are refused by its handlers, no tree is built, and an item that outgrows 16 MiB ends the reading. The parser gets
UTF-8: what a feed is written in, it declares, and is decoded as other text is. So it may be any encoding that Python
knows, and none that is declared but cannot be meant.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from xml.parsers import expat

from ...api.shapes import is_list
from ...errors import ConfigurationError
from ..columns import recognised_field
from ..records import Record
from ..values.currencies import unit_named
from .byte_source import MAX_RECORD_BYTES, known_encoding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .byte_source import ByteSource

__all__ = ["item_place", "xml_item_blocks", "xml_items"]

_MOST_NAMES = 10_000
_INVALID_TOKEN = 4
_UNDEFINED_ENTITY = 11
_UNBOUND_PREFIX = 27
"""Expat's codes: for what may not stand there, for an entity and for a prefix that nothing declares."""
_LONGEST_ENTITY = 40
_ASIDE = "digital_source_type"
"""Within a structured text, who has written it."""
_IN_LINE = frozenset(
    {"a", "abbr", "b", "code", "em", "font", "i", "mark", "s", "small", "span", "strong", "sub", "sup", "u"}
)
"""Elements of HTML that go on with the line that they stand in."""
_IN_PLACE_OF_TEXT = ("value", "amount", "href", "url", "src")
_NAMES_A_UNIT = frozenset({"unit", "iso"})
"""Attributes that may name a currency, or another unit."""
_FILES = frozenset({"enclosure", "media:content"})
"""Elements that lead to a picture, or to a film."""
_DECLARATION = re.compile(rb"\A\s*<\?xml\s[^>]*\?>")
_ENCODING = re.compile(rb"""\sencoding\s*=\s*["']([^"'>]*)["']""")
_WRITTEN = re.compile(rb"[^\r\n]")
_ROOT = re.compile(rb"<(?:rss|feed|channel)(?=[\s>])")
_WITH_GOOGLES_PREFIX = rb'\g<0> xmlns:g="http://base.google.com/ns/1.0"'
_ASCII = bytes(range(128))
_IN_MEMORY = ("utf-16", "utf-32")
"""What programs declare that write a text in memory, and then the file as UTF-8."""
_BARE_AMPERSAND = re.compile(rb"&[^;<>&\s]{0,30}.?\Z", re.DOTALL)


def xml_items(source: ByteSource, chunks: Iterator[bytes]) -> Iterator[Record]:
    """The items of an XML feed; a field that occurs several times is a list."""
    for first, items in xml_item_blocks(source, chunks):
        for number, item in enumerate(items, first):
            yield Record(item_place(source, number), item)


def item_place(source: ByteSource, number: int) -> str:
    """Where an item stands."""
    return f"{source.name}:item {number}"


def xml_item_blocks(source: ByteSource, chunks: Iterator[bytes]) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """The same items, many at a time, with the number of the first."""
    items = _Items()
    number = 1
    since_item = position = 0
    text = source.text_chunks(chunks, lambda head: _declared_encoding(source, head))
    for chunk in _and_end(_undeclared(text)):
        fault: Exception | None = None
        try:
            items.feed(chunk)
        except expat.ExpatError as error:
            where = f"{error.lineno}:{error.offset + 1}"
            fault = source.error(where, _not_well_formed(error, items.before_fault(chunk, position)))
        except _Refused as refused:
            named = f" ({refused})" if str(refused) else ""
            fault = source.error(f"byte {position}", f"declares entities{named}, which may be an attack; remove them")
        since_item += len(chunk)
        if found := items.take():
            yield number, found
            number += len(found)
            since_item = 0
        if fault is not None:
            raise fault
        position += len(chunk)
        if since_item > MAX_RECORD_BYTES:
            raise source.error(
                f"byte {position}",
                f"no item has ended in {MAX_RECORD_BYTES // 1024 // 1024} MiB; is this a product feed?",
            )
    if number == 1 and not items.is_feed:
        raise source.error(
            "",
            f"is XML, but no product feed: <rss>, <feed> or <channel> is expected, not <{items.root}>; "
            "export a feed for Google Merchant, or CSV or JSON",
        )
    if number == 1 and items.prices_elsewhere:
        raise source.error(
            "",
            "holds prices, but no <item> or <entry>, in which a feed has its products; export it for Google Merchant",
        )


def _declared_encoding(source: ByteSource, head: bytes) -> str:
    """What the declaration says that the text is written in, whose own letters are those of ASCII.

    Raises `CatalogError` for an encoding that is not known, or that writes those in another way.
    """
    declaration = _DECLARATION.match(head)
    encoding_told = _ENCODING.search(declaration[0]) if declaration else None
    told = ((encoding_told and encoding_told[1]) or b"utf-8").decode("ascii", "replace").strip()
    if told.lower().startswith(_IN_MEMORY):
        return "utf-8"
    try:
        encoding = known_encoding(told)
        if _ASCII.decode(encoding) == _ASCII.decode("ascii"):
            return encoding
    except (ConfigurationError, UnicodeError):
        pass
    raise source.error(
        "byte 0",
        f"declares an encoding that cannot be read here ({told}); correct the declaration, or name the one that it is "
        f"written in ({source.how_to_encode('utf-8')})",
    )


def _undeclared(text: Iterator[bytes]) -> Iterator[bytes]:
    """The text with spaces for its declaration, which has been heard, and may not stand below an empty line.

    Where it does not say what ``g:`` means, which many programs leave out, this does.
    """
    for first in text:
        declaration = _DECLARATION.match(first)
        begun = _WRITTEN.sub(b" ", declaration[0]) + first[declaration.end() :] if declaration else first
        leaves_out = b"<g:" in begun and b"xmlns:g" not in begun
        yield _ROOT.sub(_WITH_GOOGLES_PREFIX, begun, count=1) if leaves_out else begun
        break
    yield from text


def _not_well_formed(error: expat.ExpatError, before: bytes) -> str:
    """What is wrong with the text, which holds ``before`` up to where the parser gave up, as its author can mend it."""
    if error.code == _UNDEFINED_ENTITY:
        return (
            "is not well-formed XML: it holds an entity of HTML, such as &eacute; or &nbsp;, which XML does not know; "
            "write the letter itself, or put the text into CDATA"
        )
    if error.code == _UNBOUND_PREFIX:
        return (
            "is not well-formed XML: it does not declare a prefix of its names; Google's is declared by "
            '<rss xmlns:g="http://base.google.com/ns/1.0">'
        )
    if error.code == _INVALID_TOKEN and _BARE_AMPERSAND.search(before):
        return "is not well-formed XML: it holds a bare &, which is written &amp; (in addresses, too)"
    if error.code == _INVALID_TOKEN and before[-2:-1] == b"<":
        return "is not well-formed XML: it holds a bare <, which is written &lt;"
    if error.code == _INVALID_TOKEN and before[-1:] < b" " and before[-1:] not in b"\t\r\n":
        return (
            f"is not well-formed XML: it holds a control character (0x{before[-1:].hex()}), of which XML has none; "
            "take such characters out of the texts"
        )
    return f"is not well-formed XML ({error}); the feed may be cut off"


def _and_end(chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield from chunks
    yield b""


class _Refused(Exception):
    """An entity that may be an attack; the text is its name."""


class _Items:
    """A parser that gathers the direct children of each ``item`` or ``entry``, and nothing else."""

    def __init__(self) -> None:
        self.root = ""
        self.prices_elsewhere = False
        """Is there any outside of items?"""
        self._depth = 0
        self._field_depth = 0
        """How deep the fields of an item stand; 0 outside of items."""
        self._item: dict[str, Any] = {}
        self._of_item: dict[str, str] = {}
        """Its own attributes."""
        self._own: dict[str, bool] = {}
        """For each field of the item, is it Google's own?"""
        self._text: list[str] = []
        self._attributes: dict[str, str] = {}
        """Of the field."""
        self._currencies: list[str] = []
        """That attributes of the field, and of what stands within it, name."""
        self._aside = 0
        """How much text of a field there was where an element began whose text is none of the field's."""
        self._done: list[dict[str, Any]] = []
        self._names: dict[str, tuple[bool, str]] = {}
        self._parser = parser = expat.ParserCreate("utf-8", "}")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append
        parser.EntityDeclHandler = _refuse_entity
        parser.UnparsedEntityDeclHandler = _refuse_entity
        parser.ExternalEntityRefHandler = _refuse_reference
        parser.SkippedEntityHandler = self._undefined

    @property
    def is_feed(self) -> bool:
        return self.root.lower() in {"rss", "feed", "channel", "rdf"}

    def feed(self, chunk: bytes) -> None:
        """Parse what comes; nothing ends the text."""
        self._parser.Parse(chunk, not chunk)
        if not self._field_depth:
            self._text.clear()

    def before_fault(self, chunk: bytes, position: int) -> bytes:
        """The last bytes up to where the parser gave up, as far as this chunk has them; it begins at ``position``."""
        end = max(0, self._parser.ErrorByteIndex - position + 1)
        return chunk[max(0, end - _LONGEST_ENTITY) : end]

    def take(self) -> list[dict[str, Any]]:
        done, self._done = self._done, []
        return done

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth = depth = self._depth + 1
        if depth == self._field_depth:
            self._text.clear()
            self._attributes = attributes
            self._currencies = list(_currencies(attributes)) if attributes else []
        elif not self._field_depth:
            name = self._name(tag)[1]
            self.root = self.root or name
            if name.lower() not in {"item", "entry"}:
                self.prices_elsewhere = self.prices_elsewhere or recognised_field(name) == "price"
            else:
                self._field_depth, self._item, self._own = depth + 1, {}, {}
                self._of_item = attributes
        else:
            self._stand_apart(tag)
            self._currencies += _currencies(attributes)
            if tag.endswith(_ASIDE):
                self._aside = len(self._text)

    def _stand_apart(self, tag: str) -> None:
        if self._text and not self._text[-1][-1:].isspace() and self._name(tag)[1] not in _IN_LINE:
            self._text.append("\n")

    def _end(self, tag: str) -> None:
        depth = self._depth
        self._depth = depth - 1
        if depth == self._field_depth:
            text = "".join(self._text).strip()
            own, name = self._names[tag] if tag in self._names else self._name(tag)
            if self._attributes or self._currencies:
                name, text = _with_attributes(name, text, self._attributes, self._currencies)
            if text and name not in self._item:
                self._own[name], self._item[name] = own, text
            elif text:
                self._keep_another(own, name, text)
        elif depth == self._field_depth - 1:
            for name, text in self._of_item.items():
                if "}" not in name and text.strip():  # of no other vocabulary
                    self._item.setdefault(name, text.strip())
            self._done.append(self._item)
            self._field_depth = 0
            self._text.clear()
        elif self._field_depth:
            if tag.endswith(_ASIDE):
                del self._text[self._aside :]
            self._stand_apart(tag)

    def _keep_another(self, own: bool, name: str, text: str) -> None:
        """Google's own field wins over the feed's of the same name (``g:id`` over Atom's ``id``)."""
        known = self._own[name]
        if own and not known:
            self._own[name], self._item[name] = own, text
        elif own == known:
            before = self._item[name]
            if is_list(before):
                before.append(text)
            else:
                self._item[name] = [before, text]

    def _name(self, tag: str) -> tuple[bool, str]:
        """Is it a field of Google's, and its name."""
        found = self._names.get(tag)
        if found is None:
            namespace, _, name = tag.rpartition("}")
            if len(self._names) >= _MOST_NAMES:
                self._names.clear()
            name = f"media:{name}" if "yahoo.com/mrss" in namespace else name
            found = self._names[tag] = ("base.google.com" in namespace, name)
        return found

    def _undefined(self, _name: str, _is_parameter: bool) -> None:
        error = expat.ExpatError("undefined entity")
        error.code = _UNDEFINED_ENTITY
        error.lineno, error.offset = self._parser.CurrentLineNumber, self._parser.CurrentColumnNumber
        raise error


def _currencies(attributes: dict[str, str]) -> Iterator[str]:
    for name, text in attributes.items():
        plain = name.rpartition("}")[2]
        names_currency = "currency" in plain.lower() or recognised_field(plain) == "currency"
        if text.strip() and (names_currency or (plain.lower() in _NAMES_A_UNIT and unit_named(text) is not None)):
            yield text.strip()


def _with_attributes(name: str, text: str, attributes: dict[str, str], currencies: list[str]) -> tuple[str, str]:
    """A field's name and text, where attributes have a part in them."""
    if not text:
        name, text = _said_by(name, attributes)
    if any(map(str.isdigit, text)):
        for currency in currencies:
            if currency.casefold() not in text.casefold():
                text = f"{text} {currency}" if text[-1].isdigit() else f"{currency} {text}"
    return name, text


def _said_by(name: str, attributes: dict[str, str]) -> tuple[str, str]:
    """What an element without a text says in its attributes."""
    if name == "link":  # Atom
        relation = attributes.get("rel", "alternate")
        name = relation if relation in _FILES else name
        if name == "link" and relation != "alternate":
            return name, ""
    kind = attributes.get("medium") or attributes.get("type") or "image"
    if (name in _FILES and not kind.startswith("image")) or name == "content":  # Atom's, which stands elsewhere
        return name, ""
    return name, next((text for key in _IN_PLACE_OF_TEXT if (text := attributes.get(key, "").strip())), "")


def _refuse_entity(name: str, *_: object) -> None:
    raise _Refused(name)


def _refuse_reference(*_: object) -> int:
    raise _Refused
