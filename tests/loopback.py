"""What the kernel knows of connections with both ends in this process: has each end got what the other sent?"""

from __future__ import annotations

import enum
import socket
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

__all__ = ["Delivery", "Loopback"]

_TCP_INFO = getattr(socket, "TCP_INFO", 0) if sys.platform == "linux" else 0
_ESTABLISHED, _LISTENING = 1, 10
_RECEIVED, _SENT = struct.Struct("Q").unpack_from, struct.Struct("QQ").unpack_from
_RECEIVED_AT, _SENT_AT, _SIZE = 128, 200, 216
"""Where `struct tcp_info` has bytes_received, and bytes_sent with bytes_retrans behind it (Linux 4.19)."""


class Delivery(enum.Enum):
    DONE = "each end has what the other sent"
    UNDER_WAY = "bytes are on their way"
    UNKNOWN = "an end is elsewhere, or closed, or not yet connected"


@dataclass(slots=True)
class _End:
    connection: socket.socket
    names: tuple[object, object] | None = None
    """Its own address and the other end's, once it is connected."""


class Loopback:
    def __init__(self) -> None:
        self._ends: dict[int, _End | None] = {}

    def delivery(self, descriptors: Iterable[int]) -> Delivery:
        counted: dict[tuple[object, object], tuple[int, int]] = {}
        for descriptor in descriptors:
            end = self._end(descriptor)
            if end is None:
                continue
            info = _information(end.connection)
            state = info[0] if len(info) >= _SIZE else None
            if state == _LISTENING:
                continue
            if state != _ESTABLISHED:
                return Delivery.UNKNOWN
            if end.names is None:
                end.names = (end.connection.getsockname(), end.connection.getpeername())
            sent, repeated = _SENT(info, _SENT_AT)
            counted[end.names] = (sent - repeated, *_RECEIVED(info, _RECEIVED_AT))
        known = True
        for (own, other), (sent, _) in counted.items():
            opposite = counted.get((other, own))
            if opposite is None:
                known = False
            elif opposite[1] < sent:
                return Delivery.UNDER_WAY
        return Delivery.DONE if known else Delivery.UNKNOWN

    def _end(self, descriptor: int) -> _End | None:
        """``None`` for what is no connection of the network: the loop's own pipe."""
        if descriptor not in self._ends:
            connection = socket.socket(fileno=descriptor)
            if connection.family in {socket.AF_INET, socket.AF_INET6}:
                self._ends[descriptor] = _End(connection)
            else:
                connection.detach()
                self._ends[descriptor] = None
        return self._ends[descriptor]

    def forget(self, descriptor: int) -> None:
        end = self._ends.pop(descriptor, None)
        if end is not None:
            end.connection.detach()

    def forget_all(self) -> None:
        for descriptor in list(self._ends):
            self.forget(descriptor)


def _information(connection: socket.socket) -> bytes:
    """Empty where the system does not tell."""
    if _TCP_INFO:
        with suppress(OSError):
            return connection.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _SIZE)
    return b""
