"""WooCommerce: the export in CSV (`export`), its translated column names (`headers`), and what rows need of others."""

from __future__ import annotations

from .export import FORMAT

__all__ = ["FORMAT"]
