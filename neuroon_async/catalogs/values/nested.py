"""Lists and objects that a cell holds as text: JSON, and what Python prints of them. Pure.

Programs that write tables often write a list as ``['Clothing', 'Men']``. Split at its commas it would give categories
such as ``['Clothing'``.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...api.shapes import RawValue

__all__ = ["NO_ITEMS", "nested_value", "without_brackets"]

NO_ITEMS = "[]"
"""A list without items."""

_TOKEN = re.compile(
    r"""(?P<quote>['"])(?P<text>(?:(?!(?P=quote))[^\\]|\\.)*)(?:(?P=quote)|\Z)|\b(?P<word>None|nan|True|False)\b|,\s*\)|[()]""",
    re.DOTALL,
)
_IN_PARENTHESES = re.compile(r"\([^,]+\)")
"""What is no tuple: Python prints ``(2026,)`` for one of a single item."""
_BRACKETS = re.compile(r"[\[\]{}]")
_ESCAPE = re.compile(r"\\(?:(?P<sign>['\"\\ntr])|x(?P<x>[0-9a-fA-F]{2})|u(?P<u>[0-9a-fA-F]{4}))")
_SIGNS = {"n": "\n", "t": "\t", "r": "\r"}
_WORDS = {"None": "null", "nan": "null", "True": "true", "False": "false", "(": "["}


def nested_value(text: str) -> RawValue:
    """The list or object that a cell holds; ``None`` for any other text, if in brackets too.

    >>> nested_value("['Hats', 'Caps']")
    ['Hats', 'Caps']
    >>> nested_value("[new] Hats"), nested_value("(2026)")
    (None, None)
    """
    text = text.strip()
    if not text.startswith(("[", "{", "(")) or not text.endswith(("]", "}", ")")):
        return None
    if _IN_PARENTHESES.fullmatch(text):
        return None
    for written in (str, _as_json, _set_as_json):
        try:
            value: RawValue = json.loads(written(text))
        except (ValueError, RecursionError):
            continue
        return value
    return None


def without_brackets(text: str) -> str:
    """``[Clothing, Men]`` as ``Clothing, Men``: some programs print a list without quotes, databases in braces."""
    inner = text[1:-1]
    is_wrapped = text[:1] + text[-1:] in {"[]", "{}"} and not _BRACKETS.search(inner)
    return inner.strip() if is_wrapped else text


def _as_json(text: str) -> str:
    """What Python prints of a list or of a dict, as JSON writes it."""
    return _TOKEN.sub(_token, text)


def _set_as_json(text: str) -> str:
    return _as_json(f"[{text[1:-1]}]")


def _token(match: re.Match[str]) -> str:
    if match["quote"] is None:
        return _WORDS.get(match[0], "]")
    return json.dumps(_ESCAPE.sub(_escaped, match["text"]))


def _escaped(match: re.Match[str]) -> str:
    if sign := match["sign"]:
        return _SIGNS.get(sign, sign)
    return chr(int(match["x"] or match["u"], 16))
