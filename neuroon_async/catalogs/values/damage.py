"""What spreadsheets do to values: shortened long numbers, error codes, decimals and dates that are none. Pure.

So is what platforms do to values because of spreadsheets: an apostrophe before what might be taken for a formula.
"""

from __future__ import annotations

import re

__all__ = [
    "MONTH_STARTS",
    "NOT_COMPUTED",
    "digits_of_float",
    "is_code_attribute",
    "is_error_code",
    "is_like_a_date",
    "is_shortened",
    "unguarded",
    "whole_number",
]

_ERROR_CODE = re.compile(r"#(?:[¡¿]?[A-ZÀ-ÜÑ0/]{2,12}[!?]|N/[A-Z]{1,2}|NV|I/T|GETTING_DATA|SPILL!|CALC!|#{2,})")
"""``#REF!``, ``#¡VALOR!``, ``#¿NOMBRE?``, ``#DIV/0!``, ``#N/A``, ``#N/D``, ``#NV``, ``####``: in any language."""
NOT_COMPUTED = "#FORMULA?"
"""What stands for a formula without its value. It is an error code as well."""
_SHORTENED = re.compile(r"[+-]?[0-9](?:[.,][0-9]+)?E[+-][0-9]{1,3}", re.IGNORECASE)
"""``8,43657E+12``: the sign after the E is always there, which tells it from an article number such as ``1E5``."""

_MONTHS = (
    "jan feb mar apr may jun jul aug sep sept oct nov dec ene abr ago set dic janv fev févr fév avr mai juin juil août "
    "déc mär mrz okt dez gen mag giu lug ott out gener febr març juny juliol ag des urt ots api eka uzt abu ira urr "
    "aza abe xan xuñ xul"
)
_CASES = {*_MONTHS.split(), *map(str.title, _MONTHS.split())}
MONTH_STARTS = frozenset((name + end)[:3] for name in _CASES for end in ("-", ".-"))
"""How a date begins that begins with its month."""
_MONTH = "|".join(sorted(_CASES, key=lambda name: (-len(name), name)))
_LIKE_A_DATE = re.compile(
    rf"(?:0?[1-9]|[12][0-9]|3[01])-(?:{_MONTH})\.?(?:-(?:[0-9]{{2}}|[0-9]{{4}}))?"
    rf"|(?:{_MONTH})\.?-[0-9]{{2}}"
    r"|(?:19|20)[0-9]{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])(?:[ T][0-9]{2}:[0-9]{2}(?::[0-9]{2})?)?"
    r"|(?:0?[1-9]|[12][0-9]|3[01])/(?:0?[1-9]|1[0-2])/(?:19|20)[0-9]{2}"
    r"|(?:0?[1-9]|1[0-2])/(?:0?[1-9]|[12][0-9]|3[01])/(?:19|20)[0-9]{2}"
    r"|[0-9]{1,3}:[0-5][0-9]:[0-5][0-9]"
)
"""What ``1-2``, ``2/1`` and ``1:18`` become: ``01-feb``, ``Feb-01``, ``01/02/2026``, ``01:18:00``.

No spreadsheet writes ``SET-12``.
"""
_FLOAT = re.compile(r"([0-9]{6,15})[.,]0+")
"""Fewer digits may be a version; more were lost."""
_DECIMALS = re.compile(r"(?<=[0-9])[.,]0+\Z")
_GUARDED = re.compile(r"'(?=[=+@-])(?!.[^'\s]*'(?!\w))(?!.(?:[^']|(?<=\w)'(?=\w))*[^'\s\dsS]'(?!\w))", re.DOTALL)
"""An apostrophe that opens no quotation: of a word, or of several; that of a plural, and a sign for feet, end none."""
_CODE_ATTRIBUTES = frozenset(
    {"barcode", "ean", "ean13", "gtin", "gtin8", "gtin12", "gtin13", "gtin14", "isbn", "mpn", "upc"}
)


def is_code_attribute(name: str) -> bool:
    """Is it the name of an attribute that holds a number of the product, as a barcode is one?"""
    return name.casefold() in _CODE_ATTRIBUTES


def unguarded(text: str) -> str:
    """A text without the apostrophe that WooCommerce, Shopify and others write before ``=``, ``+``, ``-`` and ``@``.

    >>> unguarded("'-20% on kids' socks"), unguarded("'@home' sign")
    ("-20% on kids' socks", "'@home' sign")
    >>> unguarded("'-1"), unguarded("'@home and work' sign")
    ('-1', "'@home and work' sign")
    """
    return text[1:] if text[:1] == "'" and _GUARDED.match(text) else text


def whole_number(text: str) -> str:
    """An id that its platform counts, without decimals that a program has added: ``12.0`` is 12."""
    return _DECIMALS.sub("", text) if text.endswith("0") else text


def is_error_code(text: str) -> bool:
    """Is it what a formula that failed shows?"""
    return text.startswith("#") and _ERROR_CODE.fullmatch(text) is not None


def is_shortened(text: str) -> bool:
    """Is it a long number of which a spreadsheet has dropped the digits?"""
    return _SHORTENED.fullmatch(text) is not None


def is_like_a_date(text: str) -> bool:
    """Is it a date or a time, as a spreadsheet makes it of article numbers such as ``1-2`` and ``1:18``?"""
    return ("-" in text or "/" in text or ":" in text) and _LIKE_A_DATE.fullmatch(text) is not None


def digits_of_float(text: str) -> str | None:
    """The digits of a long whole number that a program has written with decimals: ``8436571234567.0``."""
    match = _FLOAT.fullmatch(text) if text.endswith("0") else None
    return match[1] if match else None
