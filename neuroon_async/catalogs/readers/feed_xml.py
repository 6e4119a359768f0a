"""Items of an XML feed (RSS 2.0 or Atom), one at a time. What their fields mean is for the format.

XML is read by the expat parser of the standard library behind defusedxml: entity declarations and external entities
are refused, no tree is built, and an item that outgrows 16 MiB ends the reading.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import ParseError

from ..records import Record
from ..values.text import require
from .byte_source import MAX_RECORD_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .byte_source import ByteSource

__all__ = ["xml_items"]

_UNDEFINED_ENTITY = 11
"""Expat's code for an entity that nothing declares."""


def xml_items(source: ByteSource, chunks: Iterator[bytes], encoding: str | None) -> Iterator[Record]:
    """The items of an XML feed; a field that occurs several times is a list."""
    defused = require("defusedxml.ElementTree", "catalogs", "an XML feed")
    refused = require("defusedxml", "catalogs", "an XML feed").DefusedXmlException
    items = _Items()
    parser = defused.DefusedXMLParser(target=items, encoding=encoding, forbid_entities=True, forbid_external=True)
    number = since_item = position = 0
    for chunk in _and_end(chunks):
        fault: Exception | None = None
        try:
            parser.feed(chunk) if chunk else parser.close()
        except ParseError as error:
            line, column = error.position
            fault = source.error(f"{line}:{column + 1}", _not_well_formed(error))
        except refused as error:
            entity = getattr(error, "name", None)
            named = f" ({entity})" if entity else ""
            fault = source.error(f"byte {position}", f"declares entities{named}, which may be an attack; remove them")
        except (LookupError, ValueError) as error:  # of the encoding that the declaration names
            fault = source.error(
                f"byte {position}",
                f"declares an encoding that cannot be read here ({error}); correct the declaration, or give encoding=",
            )
        since_item += len(chunk)
        for item in items.take():
            number += 1
            since_item = 0
            yield Record(f"{source.name}:item {number}", item)
        if fault is not None:
            raise fault
        position += len(chunk)
        if since_item > MAX_RECORD_BYTES:
            raise source.error(
                f"byte {position}",
                f"no item has ended in {MAX_RECORD_BYTES // 1024 // 1024} MiB; is this a product feed?",
            )
    if number == 0 and not items.is_feed:
        raise source.error(
            "",
            f"is XML, but no product feed: <rss>, <feed> or <channel> is expected, not <{items.root}>; "
            "export a feed for Google Merchant, or CSV or JSON",
        )


def _not_well_formed(error: ParseError) -> str:
    if error.code == _UNDEFINED_ENTITY:
        return (
            "is not well-formed XML: it holds an entity of HTML, such as &eacute; or &nbsp;, which XML does not know; "
            "write the letter itself, or put the text into CDATA"
        )
    return f"is not well-formed XML ({error}); the feed may be cut off"


def _and_end(chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield from chunks
    yield b""


class _Items:
    """The parser's target: gathers the direct children of each ``item`` or ``entry``, and nothing else."""

    def __init__(self) -> None:
        self.root = ""
        self._depth = 0
        self._item_depth: int | None = None
        self._item: dict[str, tuple[bool, list[str]]] = {}
        self._text: list[str] = []
        self._done: list[dict[str, Any]] = []

    @property
    def is_feed(self) -> bool:
        return self.root.lower() in {"rss", "feed", "channel", "rdf"}

    def take(self) -> list[dict[str, Any]]:
        done, self._done = self._done, []
        return done

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        _, name = _split(tag)
        self.root = self.root or name
        if self._item_depth is None:
            if name in {"item", "entry"}:
                self._item_depth, self._item = self._depth, {}
        elif self._depth == self._item_depth + 1:
            self._text = []
            if name == "link" and attributes.get("href") and attributes.get("rel", "alternate") == "alternate":
                self._text.append(attributes["href"])  # Atom

    def data(self, text: str) -> None:
        if self._item_depth is not None and self._depth >= self._item_depth + 1:
            self._text.append(text)

    def end(self, tag: str) -> None:
        depth, self._depth = self._depth, self._depth - 1
        if self._item_depth is None:
            return
        if depth == self._item_depth:
            self._done.append({name: texts[0] if len(texts) == 1 else texts for name, (_, texts) in self._item.items()})
            self._item_depth = None
        elif depth == self._item_depth + 1:
            self._keep(tag, "".join(self._text).strip())

    def _keep(self, tag: str, text: str) -> None:
        """Google's own field wins over the feed's of the same name (``g:id`` over Atom's ``id``)."""
        namespace, name = _split(tag)
        own = "base.google.com" in namespace
        if not text:
            return
        known = self._item.get(name)
        if known is None or (own and not known[0]):
            self._item[name] = (own, [text])
        elif own == known[0]:
            known[1].append(text)

    def close(self) -> None:
        """Nothing is left to do: the items were taken as they ended."""


def _split(tag: str) -> tuple[str, str]:
    namespace, _, name = tag.rpartition("}")
    return namespace, name
