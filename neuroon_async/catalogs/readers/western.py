"""Text in Western European encodings: which one it is, by its letters, and what cannot be any. Pure.

Each byte outside ASCII is a letter or a sign in every one of these encodings, so text that was decoded wrongly looks
like success. What tells is where the letters stand.
"""

from __future__ import annotations

import codecs
import re

__all__ = ["MAC", "guess", "is_of_another_script", "likely_encoding", "un_western"]

MAC = "mac-roman"
_WESTERN_LETTERS = "àáâãäåæçèéêëìíîïñòóôõöøùúûüßÿœªºÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜŒ"
_WESTERN_SIGNS = "€‚„…‘’“”•–—™¡¢£§©«®°±²³´·¹»¼½¾¿×\u00a0\u00ad"  # noqa: RUF001 - the very characters
_FOREIGN = re.compile(f"[^\\x00-\\x7f{_WESTERN_LETTERS}{_WESTERN_SIGNS}]")
_MISPLACED = re.compile(
    r"[\u201a\u201e¡¢£§°±²³¹¼½¾¿º•\u201c\u201d€](?<=[^\W\d_].)(?:"  # to begin with one set is several times as fast
    r"(?<=[\u201a\u201e])|(?<=[¡¢£§°±²³¹¼½¾¿º])(?=[^\W\d_])|(?<=[•\u201c\u201d])(?=[a-zß-ÿ])"
    r"|(?<=[A-ZÀ-Þ]€)(?=[A-ZÀ-Þ]))"
)
"""A sign inside a word: the mark of a text in another script, or of one from DOS, taken for a Western one.

The bullet and the quotation marks are small letters there, and the euro is a capital one. Where words of others meet
at them (``Rot•Grün``, ``Preis€Netto``), they are what they seem.
"""
_CONTINUED = re.escape(bytes(range(0x80, 0xC0)).decode("cp1252", "ignore"))
_OF_UTF8 = re.compile(
    rf"[ÃÂâ](?:(?<=Ã)(?![\xa0»\u201d\u2026])[{_CONTINUED}]|(?<=Ã)(?<![A-ZÀ-Þ]Ã)[\xa0»\u201d\u2026]"
    r"|(?<=Â)[\xa0-\xbf]|(?<=â)[€\u201a])"
)
"""Letters and signs of UTF-8 taken for Western ones. Words in capitals may end with Ã, and a sign may follow them."""
_ACCENTED = re.compile("[À-ÖØ-öø-ÿ]+")
_LONG_RUN = 3
"""Letters with accents that stand together: no word of these languages has as many."""
_ENOUGH_RUNS = 3
"""``áéíóú`` may be what a keyboard is described by."""
_WITHIN_WORDS = re.compile("(?<=[a-zà-öø-ÿ])[à-öø-ÿ]|[à-öø-ÿ](?=[a-zà-öø-ÿ])")
_CAPITAL_WITHIN = re.compile("[a-zà-öø-ÿ][À-ÖØ-Þ]")
_OTHERS = ("iso8859-15", MAC, "cp850")
"""That files of these languages are written in now and then; the last two by older spreadsheets of Macs and by DOS.

Where two of them fit, the first: most letters of DOS make no sense in those before.
"""


def un_western(text: str) -> re.Match[str] | None:
    """The first letter or sign that Western text does not have where it stands."""
    found = (pattern.search(text) for pattern in (_FOREIGN, _MISPLACED, _OF_UTF8))
    return min(filter(None, found), key=lambda wrong: wrong.start(), default=None)


def is_of_another_script(text: str) -> bool:
    """Is this Cyrillic or Greek text, say, in letters that were taken for Western ones?"""
    runs = _ACCENTED.findall(text)
    long = sum(len(run) >= _LONG_RUN for run in runs)
    return long >= _ENOUGH_RUNS and long * 2 > len(runs)


def guess(data: bytes, around: bytes) -> str:
    """By the first character outside ASCII, with which ``data`` begins; fewer than 4 bytes end the text.

    Where it is none of UTF-8 and others ``around`` it are, it is the fault of a UTF-8 text: one that was cut, say.
    """
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data, len(data) < 4)
    except UnicodeDecodeError as error:
        if error.start or _OF_UTF8.search(around.decode("cp1252", "replace")):
            return "utf-8"
        return MAC if _is_of_old_mac(around) else "cp1252"
    return "utf-8"


def _is_of_old_mac(text: bytes) -> bool:
    """Its lines end as they do there alone, and more letters stand within words so (a dash would be their ñ)."""
    if b"\n" in text or b"\r" not in text:
        return False
    windows, mac = text.decode("cp1252", "replace"), text.decode(MAC)
    if un_western(mac):
        return False
    return un_western(windows) is not None or _letters_within(mac) > _letters_within(windows)


def _letters_within(text: str) -> int:
    return sum(1 for _ in _WITHIN_WORDS.finditer(text))


def likely_encoding(data: bytes) -> str:
    """What to propose for a text that is neither UTF-8 nor Windows-1252."""
    if _is_utf8(data):
        return "utf-8"
    if is_of_another_script(data.decode("cp1252", "replace")):
        return "cp1251"
    texts = {encoding: data.decode(encoding) for encoding in _OTHERS}
    fitting = [
        encoding
        for encoding, text in texts.items()
        if not (un_western(text) or _CAPITAL_WITHIN.search(text) or is_of_another_script(text))
    ]
    return max(fitting, key=lambda encoding: _letters_within(texts[encoding]), default="cp1250")


def _is_utf8(data: bytes) -> bool:
    """May this be the beginning of a text in UTF-8?"""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data)  # its last character may be cut
    except UnicodeDecodeError:
        return False
    return True
