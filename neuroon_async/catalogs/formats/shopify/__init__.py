"""Shopify: the export in CSV (`export`), the JSON of its interfaces (`json`), and the products of both (`products`)."""

from __future__ import annotations

from .export import FORMAT
from .json import FORMAT as JSON

__all__ = ["FORMAT", "JSON"]
