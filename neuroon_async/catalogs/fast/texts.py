"""Texts of which the careful lane would change nothing, or only what is told at a glance. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...api.addresses import plain_address
from ...api.contract import MAX_DESCRIPTION_LENGTH, MAX_NAME_LENGTH
from ..finishing import is_no_parent
from ..values.damage import MONTH_STARTS, digits_of_float, is_error_code, is_like_a_date, is_shortened
from ..values.text import html_to_text, is_misread, one_line
from ..values.words import LONGEST_NO_VALUE, means_no_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = [
    "KnownTexts",
    "description_of",
    "is_plain_address",
    "is_plain_id",
    "is_plain_image",
    "is_plain_parent",
    "name_of",
]

_LONGEST_NO_PARENT = max(LONGEST_NO_VALUE, len("false"))
_MOST_TEXTS = 4_096
"""Texts that are remembered. Where they all differ, remembering more of them would not help."""


def is_plain_id(text: str) -> bool:
    """Is it an id, a SKU or an attribute's value without spaces around it, which no spreadsheet has changed?

    Error codes begin with ``#``, shortened numbers with a digit or a sign, dates with a digit or a month; and all of
    them hold other signs besides.
    """
    return text.strip() == text != "" and (
        text.isalnum()
        or (text[0] > "9" and text[:3] not in MONTH_STARTS)
        or not (is_error_code(text) or is_shortened(text) or is_like_a_date(text) or digits_of_float(text))
    )


def is_plain_parent(text: str) -> bool:
    """Is it an id that no export writes where there is no parent?"""
    if not is_plain_id(text) or text[0] == "0":
        return False
    return len(text) > _LONGEST_NO_PARENT or not (means_no_value(text) or is_no_parent(text))


def is_plain_address(text: str) -> bool:
    """Is it an address with scheme and host in which nothing needs to be encoded?"""
    return text.split() == [text] and ("&" not in text or "&amp;" not in text) and plain_address(text) is not None


def is_plain_image(text: str) -> bool:
    """The same, of a text that holds one address for sure."""
    return (
        text.split() == [text]
        and not ("," in text or ";" in text or "|" in text)  # an entity ends with a semicolon
        and plain_address(text) is not None
    )


def name_of(text: str) -> str | None:
    """The name on one line; ``None`` to decline."""
    if "<" in text or "&" in text:
        name = one_line(text)
    else:
        name = text if text.isprintable() and "  " not in text and text.strip() == text else " ".join(text.split())
    if not 0 < len(name) <= MAX_NAME_LENGTH or text[0] == "#" or is_misread(name):
        return None
    return name


def description_of(text: str) -> str | None:
    """The description as plain text, not empty; ``None`` to decline."""
    plain = html_to_text(text) if "<" in text or "&" in text else text.strip()
    if not 0 < len(plain) <= MAX_DESCRIPTION_LENGTH or text[0] == "#" or is_misread(plain):
        return None
    return plain


class KnownTexts:
    """Short texts that repeat from product to product, such as categories: each is looked at once.

    A text is clean where it stands on one line, without markup, and is not empty; a list, where all its texts are clean
    and none comes twice.
    """

    def __init__(self) -> None:
        self._texts: set[str] = set()
        self._lists: set[tuple[str, ...]] = set()
        self.texts: Callable[[Iterable[str]], bool] = self._texts.issuperset
        """Are all of these texts known to be clean?"""
        self.lists: Callable[[Iterable[tuple[str, ...]]], bool] = self._lists.issuperset
        """Are all of these lists known to be clean?"""

    def learn(self, texts: Iterable[str]) -> bool:
        """Are these texts clean? Those that are get known."""
        for text in texts:
            if not text or one_line(text) != text:
                return False
            if len(self._texts) >= _MOST_TEXTS:
                self._texts.clear()
            self._texts.add(text)
        return True

    def learn_list(self, texts: Sequence[str]) -> bool:
        """Is this list clean, and of more than words for no value? It gets known if it is."""
        if (
            all(map(means_no_value, texts))
            or len(set(texts)) < len(texts)
            or not (self.texts(texts) or self.learn(texts))
        ):
            return False
        if len(self._lists) >= _MOST_TEXTS:
            self._lists.clear()
        self._lists.add(tuple(texts))
        return True
