"""Bytes to records. A reader knows a syntax, and nothing about products."""
