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

        Args:
            conversion: The order, with the lines that a search led to: see `Conversion.from_order`.
            timeout: Seconds for one attempt, instead of the client's.

        Returns:
            ``False`` where no line of the order can be attributed to a search: nothing was sent.

        Raises:
            InvalidConversion: It breaks a documented rule. Nothing was sent.
            ResponseDecodeError: Something else than the API answered, such as a login page: the order may not have
                been counted.
        """
        check_conversion(conversion)
        if not conversion.conversions:
            return False
        params = {"shop_id": self._transport.settings.shop_id}
        body = encode_conversion(conversion)
        await self._transport.call(TRACK_CONVERSION, params=params, body=body, timeout=timeout)
        return True
