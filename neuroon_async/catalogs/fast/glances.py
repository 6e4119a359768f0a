"""One look at many texts: is there certainly nothing in any of them that the careful lane would change? Pure.

``False`` says only that a glance cannot tell. The lists are not empty.
"""

from __future__ import annotations

from ...api.addresses import NO_HOST
from ..values.damage import MONTH_STARTS
from ..values.nested import NO_ITEMS
from ..values.text import is_misread

__all__ = ["addresses_at_a_glance", "descriptions_at_a_glance", "ids_at_a_glance", "names_at_a_glance"]

_NO_HOST = frozenset(("", *NO_HOST))
_LETTERS = "@"
"""What letters come after: values that a spreadsheet has changed begin with a sign, a digit, or a month."""
_MARKED_AS_TEXT = '="'
"""How a cell begins that is marked as text for spreadsheets; others begin with an apostrophe."""


def ids_at_a_glance(texts: list[str]) -> bool:
    """No spaces at all, and each one begins with a letter but no month, or all of them hold digits and letters only."""
    if " ".join(texts).split() != texts or NO_ITEMS in texts:
        return False
    starts = {text[:3] for text in texts}
    return (min(starts) >= _LETTERS and starts.isdisjoint(MONTH_STARTS)) or "".join(texts).isalnum()


def addresses_at_a_glance(texts: list[str]) -> bool:
    """With scheme and host, without spaces, without anything written as an entity or that separates several images."""
    joined = " ".join(texts)
    return (
        not ("&" in joined or "," in joined or ";" in joined or "|" in joined)
        and joined.split() == texts
        and f" {joined}".count(" https://") == len(texts)
        and _NO_HOST.isdisjoint(text[8:9] for text in texts)
    )


def names_at_a_glance(texts: list[str]) -> bool:
    """On one line, with single spaces, without markup."""
    joined = f"|{'|'.join(texts)}|"
    return (
        joined.isprintable()
        and not ("&" in joined or "<" in joined or "#" in joined or _MARKED_AS_TEXT in joined)
        and not ("  " in joined or "| " in joined or " |" in joined or "||" in joined or "|'" in joined)
        and not is_misread(joined)
    )


def descriptions_at_a_glance(texts: list[str]) -> bool:
    """Without markup. The texts have no spaces around them."""
    joined = "".join(texts)
    return (
        not ("&" in joined or "<" in joined or "#" in joined or _MARKED_AS_TEXT in joined)
        and "" not in texts
        and not ("'" in joined and any(text[0] == "'" for text in texts))
        and not is_misread(joined)
    )
