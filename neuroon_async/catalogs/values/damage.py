"""What spreadsheets do to values: shortened long numbers and error codes. Pure."""

from __future__ import annotations

import re

__all__ = ["is_error_code", "is_shortened"]

_ERROR_CODE = re.compile(r"#(?:[¡¿]?[A-ZÀ-ÜÑ0/]{2,12}[!?]|N/[A-Z]{1,2}|NV|I/T|GETTING_DATA|SPILL!|CALC!|#{2,})")
"""``#REF!``, ``#¡VALOR!``, ``#¿NOMBRE?``, ``#DIV/0!``, ``#N/A``, ``#N/D``, ``#NV``, ``####``: in any language."""
_SHORTENED = re.compile(r"[+-]?[0-9](?:[.,][0-9]+)?E[+-][0-9]{1,3}", re.IGNORECASE)
"""``8,43657E+12``: the sign after the E is always there, which tells it from an article number such as ``1E5``."""


def is_error_code(text: str) -> bool:
    """Is it what a formula that failed shows?"""
    return text.startswith("#") and _ERROR_CODE.fullmatch(text) is not None


def is_shortened(text: str) -> bool:
    """Is it a long number of which a spreadsheet has dropped the digits?"""
    return _SHORTENED.fullmatch(text) is not None
