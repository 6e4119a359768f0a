"""Text for shoppers out of what shops store: HTML to plain text, and cutting at a word."""

from __future__ import annotations

import importlib
import re
from typing import Any

from ...errors import ConfigurationError

__all__ = ["cut", "html_to_text", "require"]

_MARKUP = re.compile(r"<[a-zA-Z/!]|&[#a-zA-Z]")
_DROPPED = frozenset({"script", "style", "noscript", "template", "head", "iframe", "object", "svg"})
_BLOCKS = frozenset(
    {
        *(
            "address",
            "article",
            "aside",
            "blockquote",
            "br",
            "caption",
            "dd",
            "div",
            "dl",
            "dt",
            "fieldset",
            "figcaption",
        ),
        *(
            "figure",
            "footer",
            "form",
            "h1",
            "h2",
            "h3",
            "h4",
            "h5",
            "h6",
            "header",
            "hr",
            "li",
            "main",
            "nav",
            "ol",
            "p",
        ),
        *("pre", "section", "table", "tbody", "tfoot", "thead", "tr", "ul"),
    }
)
_CELLS = frozenset({"td", "th"})


def require(module: str, extra: str, purpose: str) -> Any:
    """The optional library ``module``. Raises `ConfigurationError` naming the extra that brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigurationError(
            f"{purpose} needs the library {module.partition('.')[0]}: pip install 'neuroon-async[{extra}]'"
        ) from error


def html_to_text(html: str) -> str:
    """The words of an HTML fragment: entities decoded, scripts and styles dropped, every block on its own line."""
    if not _MARKUP.search(html):
        return html.strip()
    parser = require("lxml.html", "catalogs", "HTML in descriptions")
    root = parser.fragment_fromstring(html.replace("\0", ""), create_parent="div")
    for element in list(root.iter()):
        name = element.tag
        if element is root:
            continue
        if not isinstance(name, str) or name in _DROPPED:  # a comment has a function for its name
            element.drop_tree()
        elif name in _BLOCKS:
            element.text = f"\n{element.text or ''}"
            element.tail = f"\n{element.tail or ''}"
        elif name in _CELLS:
            element.tail = f" {element.tail or ''}"
    lines = (" ".join(line.split()) for line in root.text_content().split("\n"))
    return "\n".join(line for line in lines if line)


def cut(text: str, limit: int) -> str:
    """At most ``limit`` characters, ending at a word with an ellipsis where anything was cut."""
    if len(text) <= limit:
        return text
    kept = text[: limit - 1]
    if not text[limit - 1].isspace():
        at_word = re.sub(r"\s+\S*$", "", kept)
        kept = at_word if len(at_word) >= limit // 2 else kept  # one endless word is cut where it stands
    return f"{kept.rstrip()}…"
