"""A picture of what the command prints: an SVG that fetches nothing, so it looks the same wherever it is shown."""

from __future__ import annotations

import inspect
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.terminal_theme import MONOKAI

from .console import recorded

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

__all__ = ["drawn"]

_COLUMNS = 80
_FONTS = "ui-monospace, 'Cascadia Mono', 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace"
_RICH_FORMAT: str = inspect.signature(Console.export_svg).parameters["code_format"].default
_FORMAT = re.sub(r"@font-face \{\{.*?\}\}\s*", "", _RICH_FORMAT, flags=re.DOTALL)
"""Rich's own loads a font from a server of others."""


@contextmanager
def drawn(path: Path | None, *, title: str) -> Generator[None, None, None]:
    """Draw all that is printed on stdout meanwhile into this file; nothing is drawn where there is none."""
    if path is None:
        yield
        return
    with recorded(_COLUMNS) as console:
        yield
        picture = console.export_svg(title=title, theme=MONOKAI, code_format=_FORMAT, unique_id="neuroon")
    path.write_text(picture.replace("Fira Code, monospace", _FONTS) + "\n", encoding="utf-8", newline="\n")
