"""A conversion as it is stored and as it is sent: the same bytes, whatever kind of number it was made with. Pure."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from ..api.models import Conversion, ConversionItem, encode_conversion

__all__ = ["UnreadableBody", "as_bytes", "conversion_of", "same_content", "stored_body"]


class UnreadableBody(ValueError):
    """The stored bytes are no conversion: the store is damaged, or something else has written to it."""


class _StoredLine(msgspec.Struct, rename="camel"):
    product_id: str
    search_log_id: str
    quantity: int
    line_total: Decimal


class _StoredConversion(msgspec.Struct, rename="camel"):
    order_id: str
    order_value: Decimal
    currency: str
    conversions: list[_StoredLine]


_decoder = msgspec.json.Decoder(_StoredConversion)


def stored_body(conversion: Conversion) -> bytes:
    """The body in a form that survives decoding and encoding byte by byte: every amount is an exact decimal."""
    return encode_conversion(conversion_of(encode_conversion(conversion)))


def conversion_of(body: bytes) -> Conversion:
    """Raises `UnreadableBody`."""
    try:
        stored = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UnreadableBody(f"the stored conversion is damaged: {error}") from error
    return Conversion(
        order_id=stored.order_id,
        order_value=stored.order_value,
        currency=stored.currency,
        conversions=[
            ConversionItem(line.product_id, line.search_log_id, line.quantity, line.line_total)
            for line in stored.conversions
        ],
    )


def as_bytes(stored: object) -> bytes:
    """What a database gave back where bytes were stored. What somebody has mended by hand is text."""
    return stored if isinstance(stored, bytes) else str(stored).encode()


def same_content(one: bytes, other: bytes) -> bool:
    """Do both bodies say the same? ``14.5`` and ``14.50`` do. What cannot be read is the same as itself only."""
    try:
        return one == other or conversion_of(one) == conversion_of(other)
    except UnreadableBody:
        return False
