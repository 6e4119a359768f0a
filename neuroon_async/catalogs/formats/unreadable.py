"""What is recognised and not read: each is named, with what to do instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..format import Sample

__all__ = ["why_no_catalog"]


def why_no_catalog(sample: Sample) -> str | None:
    """Why nothing can be read of a file that begins like this; ``None`` where it may be a catalog."""
    if sample.head.startswith(b"PK\x03\x04"):
        return "is a spreadsheet or a zip archive; save it as CSV, or unpack it"
    if sample.is_web_page:
        return "is a web page, not a catalog; was a login or an error page saved?"
    return None
