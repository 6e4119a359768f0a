"""WooCommerce: the export in CSV (`export`) and its translated column names (`headers`), and JSON (`json`)."""

from __future__ import annotations

from .export import FORMAT
from .json import FORMAT as JSON

__all__ = ["FORMAT", "JSON"]
