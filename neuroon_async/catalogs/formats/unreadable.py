"""What is recognised and not read: each is named, with what to do instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..format import Sample

__all__ = ["why_no_catalog"]

_PROLOGUE = 8_192
"""Bytes in which XML has declared its vocabularies."""


def why_no_catalog(sample: Sample) -> str | None:
    """Why nothing can be read of a file that begins like this; ``None`` where it may be a catalog."""
    if b"opendocument.spreadsheet" in sample.head[:200] or sample.head.startswith(b"\xd0\xcf\x11\xe0"):
        return "is a spreadsheet of a kind that is not read; save it as .xlsx or as CSV"
    if sample.head.startswith(b"PK\x03\x04") and not sample.is_spreadsheet:
        return "is a zip archive; unpack it"
    if sample.is_xml and b"wordpress.org/export/" in sample.text[:_PROLOGUE]:
        return (
            "is WordPress's export of a site's content, not a product feed; export the products as CSV in WooCommerce"
        )
    if sample.is_web_page:
        return "is a web page, not a catalog; was a login or an error page saved?"
    if sample.error_told is not None:
        return (
            f"is the answer of a web service that has failed, not a catalog; read what it says as {sample.error_told!r}"
        )
    return None
