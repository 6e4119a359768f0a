"""Conversion tracking: telling the service which searches led to orders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..contract import TRACK_CONVERSION
from ..models import encode
from ..validation import check_conversion

if TYPE_CHECKING:
    from ..models import Conversion
    from ..transport import Transport

__all__ = ["Conversions"]


class Conversions:
    """``client.conversions``."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def track(self, conversion: Conversion) -> None:
        """Report one order. Sending it again is safe: the server counts each ``order_id`` once.

        Raises `InvalidConversion`, before anything is sent, for one that breaks a documented rule; among them that
        it holds at least one line, each with its ``search_log_id`` (see `ClickLog`).
        """
        check_conversion(conversion)
        params = {"shop_id": self._transport.settings.shop_id}
        await self._transport.call(TRACK_CONVERSION, params=params, body=encode(conversion))
