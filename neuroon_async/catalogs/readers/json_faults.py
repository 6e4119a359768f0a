"""What is wrong with a text that is meant to be JSON, as its author can mend it. Pure."""

from __future__ import annotations

import re

__all__ = ["NEXT_DOCUMENT", "TEXT", "comment_before", "script_around", "table_of_values", "why_no_json"]

TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_NO_VALUE = re.compile(rb"-?\b(?:NaN|Infinity|None|undefined)\b")
"""What programs write for a value that is not there."""
_OF_SHELL = re.compile(rb"\b(?:ObjectId|ISODate|NumberDecimal|NumberLong|NumberInt|UUID|Decimal128)\(")
_COMMENT = re.compile(rb"//|/\*|^\s*#", re.MULTILINE)
_BARE_NAME = re.compile(rb"[{,]\s*(?:'|[A-Za-z_$][\w$]*\s*:)")
_HALF_CHARACTER = re.compile(
    rb"(?i)\\u(?:d[89ab][0-9a-f]{2}(?!\\ud[c-f])|(?<!\\ud[89ab][0-9a-f]{2}\\u)d[c-f][0-9a-f]{2})"
)
_COMMENT_BEFORE = re.compile(rb"(?:(?://|#)[^\n]*\n\s*|/\*(?:[^*]|\*(?!/)){0,4000}\*/\s*)+[\[{]", re.DOTALL)
_SCRIPT = re.compile(rb"(?:\)\]\}'|[\w.$]{1,80}\(|(?:var|let|const|window\.|export)[^=\n]{0,80}=)[\s,]*[\[{]\s*[\[{\"]")
_TABLE = re.compile(
    rb'\[\s*(?:\[\s*)?"[^"\\]*"\s*,|\{\s*"columns"\s*:\s*\[\s*".{0,20000}?"data"\s*:\s*\[\s*\['
    rb'|\{\s*"[^"\\]*"\s*:\s*\{\s*"0"\s*:\s*[^\s\[{]',
    re.DOTALL,
)
NEXT_DOCUMENT = "the document has ended; write one array, or each object on a line of its own (as jq -c does)"


def why_no_json(text: bytes, error: Exception) -> str:
    """What to say of a text that the decoder has refused."""
    if isinstance(error, ArithmeticError):
        return "holds a number whose exponent is too large; write the number out"
    outside = TEXT.sub(b"~", text).partition(b'"')[0]  # a text that does not end may hold anything
    if _OF_SHELL.search(outside):
        return "is what a shell of MongoDB shows, not JSON; export with mongoexport"
    if word := _NO_VALUE.search(outside):
        told = f"JSON has no {word[0].decode()}; write null"
    elif _COMMENT.search(outside):
        told = "it holds a comment; take it out"
    elif _BARE_NAME.search(outside):
        told = "names and texts stand in double quotes there; json.dumps and JSON.stringify write it so"
    elif "trailing characters" in str(error):
        told = "something follows the object; write each object on a line of its own"
    elif _HALF_CHARACTER.search(text):  # which the decoder may report as cut-off data
        told = "it holds half of a character (such as \\ud83d alone); write the text again"
    else:
        told = str(error)
    return f"is not valid JSON: {told}"


def comment_before(start: bytes) -> bool:
    """Does a comment stand before a document?"""
    return _COMMENT_BEFORE.match(start) is not None


def script_around(start: bytes) -> bool:
    """Does a script hold the document (``callback([…]);``, ``var products = […]``)?"""
    return _SCRIPT.match(start) is not None


def table_of_values(start: bytes) -> bool:
    """Does it begin like a table by columns, or by rows without their names, as frames are written by default?"""
    return _TABLE.match(start) is not None
