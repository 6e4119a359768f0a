"""Conversion tracking: telling the service which searches led to orders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..api.contract import TRACK_CONVERSION
from ..api.models import encode_conversion
from ..api.validation import check_conversion

if TYPE_CHECKING:
    from ..api.models import Conversion
    from ..transport.transport import Transport

__all__ = ["Conversions"]


class Conversions:
    """``client.conversions``."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def track(self, conversion: Conversion, *, timeout: float | None = None) -> bool:
        """Report one order. Sending it again is safe: the server counts each ``order_id`` once.

        Returns ``False``, and sends nothing, where no line of the order can be attributed to a search (see
        `Conversion.from_order`). Raises `InvalidConversion`, before anything is sent, for one that breaks a
        documented rule. ``timeout``: seconds for one attempt, instead of the client's.
        """
        check_conversion(conversion)
        if not conversion.conversions:
            return False
        params = {"shop_id": self._transport.settings.shop_id}
        body = encode_conversion(conversion)
        await self._transport.call(TRACK_CONVERSION, params=params, body=body, timeout=timeout)
        return True
