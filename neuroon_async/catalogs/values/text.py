"""Text for shoppers out of what shops store: HTML to plain text, names on one line, and cutting at a word. Pure.

Only what is HTML counts as markup: a tag that HTML has, closed by ``>``, and an entity closed by ``;``. So ``x < y``,
``a<b and c>d``, ``<USB-C>`` and ``AT&T`` stay what they are.
"""

from __future__ import annotations

import html
import importlib
import re
from typing import TYPE_CHECKING, Any

from ...errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["cut", "decoded", "html_to_text", "is_misread", "one_line", "require"]


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DROPPED = frozenset({"script", "style", "noscript", "template", "head", "iframe", "object", "svg"})
_BLOCKS = _names(
    "address article aside blockquote br caption dd div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 "
    "header hr li main nav ol p pre section table tbody tfoot thead tr ul"
)
_CELLS = frozenset({"td", "th"})
_INLINE = _names(
    "a abbr acronym area audio b base basefont bdi bdo big body button canvas center cite code col colgroup data "
    "datalist del details dfn dialog dir em embed font frame frameset hgroup html i img input ins kbd label legend "
    "link map mark menu meta meter noframes optgroup option output param picture progress q rp rt ruby s samp search "
    "select slot small source span strike strong sub summary sup textarea time title track tt u var video wbr"
)
_WITHOUT_VALUE = _names(
    "align allowfullscreen alt async autofocus autoplay bgcolor border charset checked class clear color colspan "
    "compact contenteditable controls crossorigin default defer dir disabled download draggable face formnovalidate "
    "frameborder height hidden href hspace id inert ismap itemprop itemscope itemtype lang loop multiple muted name "
    "nomodule noresize noshade novalidate nowrap open playsinline readonly rel required reversed rowspan scoped "
    "seamless selected size spellcheck src style tabindex target title valign value vspace width"
)
"""Attributes that stand alone in tags. Other words alone are none: ``a<b and c>d`` holds no tag."""
_WORDS_ALONE = rf"\s+(?!(?:{'|'.join(sorted(_WITHOUT_VALUE))})\b)(?=[^\s>/])[^<>=\"'/_-]*>"
_TAGS = "|".join(sorted([*_DROPPED, *_BLOCKS, *_CELLS, *_INLINE], key=len, reverse=True))
_MARKUP = re.compile(
    rf"""<!--.*?(?:-->|\Z)|<!doctype[^>]*>|<\?xml[^>]*>|<!\[CDATA\[(?P<cdata>.*?)\]\]>
    |<(?P<close>/?)(?P<name>(?:{_TAGS})(?=[\s/>])(?!{_WORDS_ALONE})|[a-z]+:[a-z]+)(?:"[^"<>]*"|'[^'<>]*'|[^<>"'])*>""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
_BARE_BLOCK = re.compile(rf"</?(?:{'|'.join(sorted(_BLOCKS, key=len, reverse=True))}) ?/?>")
_BARE_INLINE = re.compile("</?(?:b|i|u|em|span|strong)>")
"""Tags without attributes, which most of the markup in catalogs is."""
_SIGNS_OF_WINDOWS = "\x80\x85\x91\x92\x93\x94\x95\x96\x97\x99\x8c\x9c"
"""What Latin-1 makes of the euro, an ellipsis, quotation marks, a bullet, dashes, the trade mark and œ."""
_MISREAD = re.compile(f"\ufffd|Ã[\u0080-\u00bf]|â€|Â[\u00a0-\u00bf]|[{_SIGNS_OF_WINDOWS}]")
"""UTF-8 that was taken for Windows-1252, that for Latin-1, and what stands for bytes that could not be decoded."""
_SUSPECTS = ("Ã", "Â", "â€", "\ufffd", *_SIGNS_OF_WINDOWS)
_MOST_ESCAPES = 3
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")


def require(module: str, extra: str, purpose: str) -> Any:
    """The optional library ``module``. Raises `ConfigurationError` naming the extra that brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigurationError(
            f"{purpose} needs the library {module.partition('.')[0]}: pip install 'neuroon-async[{extra}]'"
        ) from error


def decoded(text: str) -> str:
    """The text with its entities decoded, once: ``Caf&eacute;``."""
    return _ENTITY.sub(lambda match: html.unescape(match.group()), text) if "&" in text else text


def html_to_text(text: str) -> str:
    """The words of an HTML fragment: entities decoded, scripts and styles dropped, every block on its own line.

    Exports escape texts once too often (``Caf&amp;eacute;``, ``&lt;p&gt;Hello&lt;/p&gt;``), so what is still markup
    or an entity afterwards is read again; three times at most.
    """
    for _ in range(_MOST_ESCAPES):
        once = _plain_text(text)
        if once == text or ("<" not in once and "&" not in once) or not (_MARKUP.search(once) or _ENTITY.search(once)):
            return once
        text = once
    return text


def _plain_text(text: str) -> str:
    if "<" not in text and "&" not in text:
        return text.strip()
    if "<" in text:
        bare = _BARE_INLINE.sub("", _BARE_BLOCK.sub("\n", text))
        if "<" not in bare:  # so that every tag was a bare one
            return _lines(bare)
    if not _MARKUP.search(text):
        return decoded(text).replace("\u00a0", " ").strip() if _ENTITY.search(text) else text.strip()
    return _lines("".join(_pieces(text)))


def _lines(text: str) -> str:
    """The lines that hold anything, each with single spaces."""
    return "\n".join([line for words in decoded(text).split("\n") if (line := " ".join(words.split()))])


def one_line(text: str) -> str:
    """A name or another short text: on one line, without markup."""
    if "<" in text or "&" in text:
        text = html_to_text(text)
    return " ".join(text.split())


def _pieces(text: str) -> Iterator[str]:
    """The text between the tags, and what the tags stand for."""
    position = 0
    dropped: str | None = None  # the element whose content is left out
    for match in _MARKUP.finditer(text):
        name = (match["name"] or "").lower()
        if dropped is None:
            yield text[position : match.start()]
            yield match["cdata"] or ""
            if name in _BLOCKS:
                yield "\n"
            elif name in _CELLS:
                yield " "
            elif name in _DROPPED and not match["close"] and not match.group().endswith("/>"):
                dropped = name
        elif name == dropped and match["close"]:
            dropped = None
        position = match.end()
    if dropped is None:
        yield text[position:]


def is_misread(text: str) -> bool:
    """Has somebody decoded this text wrongly before (``CafÃ©``)?"""
    if text.isascii():
        return False
    suspect = any(map(text.__contains__, _SUSPECTS))  # far faster than the pattern
    return suspect and _MISREAD.search(text) is not None


def cut(text: str, limit: int) -> str:
    """At most ``limit`` characters, ending at a word with an ellipsis where anything was cut."""
    if len(text) <= limit:
        return text
    kept = text[: limit - 1]
    if not text[limit - 1].isspace():
        at_word = re.sub(r"\s+\S*$", "", kept)
        kept = at_word if len(at_word) >= limit // 2 else kept  # one endless word is cut where it stands
    return f"{kept.rstrip()}…"
