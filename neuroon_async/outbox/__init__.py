"""Conversions that must arrive: stored on disk first, delivered in the background."""

from .outbox import ConversionOutbox, DeadLetter, DuplicateOrder, OutboxStats, OutboxUnavailable

__all__ = ["ConversionOutbox", "DeadLetter", "DuplicateOrder", "OutboxStats", "OutboxUnavailable"]
