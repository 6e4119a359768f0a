"""Conversions that must arrive: stored first, delivered in the background."""

from .outbox import ConversionOutbox
from .store import (
    BulkOutboxStore,
    DeadLetter,
    DuplicateOrder,
    LeasedConversion,
    OutboxStats,
    OutboxStore,
    OutboxUnavailable,
)

__all__ = [
    "BulkOutboxStore",
    "ConversionOutbox",
    "DeadLetter",
    "DuplicateOrder",
    "LeasedConversion",
    "OutboxStats",
    "OutboxStore",
    "OutboxUnavailable",
]
