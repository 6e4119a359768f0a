"""Unpacking an answer in bounded steps, so that a small one cannot grow without end. Pure: bytes in, bytes out."""

from __future__ import annotations

import zlib
from typing import Protocol

__all__ = ["ACCEPT_ENCODING", "MAX_ANSWER_BYTES", "DamagedAnswer", "UnpackedAnswer", "UnreadableAnswer"]

MAX_ANSWER_BYTES = 16 * 2**20
"""Bytes of an answer that are read, unpacked. The API's own answers are some kilobytes."""
ACCEPT_ENCODING = "gzip, deflate"
_STEP = 64 * 1024
"""Bytes that one step of unpacking may give."""
_ZLIB_METHOD = 8
_GZIP = {"gzip", "x-gzip"}
_TEXT_BEGINS = b"{[< \t\r\n\xef"
"""First bytes of JSON, of pages, and of a byte order mark. Data that gzip has packed begins with none of them."""


class UnreadableAnswer(Exception):
    """The answer is there, but cannot be read. Its text says why."""


class DamagedAnswer(Exception):
    """The answer broke off, or was changed on its way. Its text says how."""


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def unconsumed_tail(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class UnpackedAnswer:
    """Takes the chunks of a body as they arrive. ``encoding`` is the answer's ``Content-Encoding``.

    Raises `UnreadableAnswer` beyond `MAX_ANSWER_BYTES`, and `DamagedAnswer` for packed data that is none.
    """

    def __init__(self, encoding: str | None) -> None:
        packings = [name.strip().lower() for name in (encoding or "").split(",")]
        self._encoding = ", ".join(name for name in packings if name not in {"", "identity"})
        self._chunks: list[bytes] = []
        self._size = 0
        self._packed = self._encoding in {*_GZIP, "deflate"}
        self._decompressor: _Decompressor | None = None

    def feed(self, data: bytes) -> None:
        if data and self._encoding in _GZIP and self._decompressor is None and data[0] in _TEXT_BEGINS:
            self._encoding, self._packed = "", False  # unpacked on its way, by something that left the header in place
        if self._packed:
            self._unpack(data)
        else:
            self._keep(data)

    def whole(self) -> bytes:
        """The body, once all of it was fed."""
        if self._decompressor is not None and not self._decompressor.eof:
            raise DamagedAnswer(f"its {self._encoding} data breaks off")
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        if not self._encoding or self._packed or body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in b"{[":
            return body
        raise UnreadableAnswer(f"Content-Encoding {self._encoding} cannot be read")

    def _keep(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > MAX_ANSWER_BYTES:
            raise UnreadableAnswer(f"the answer is longer than {MAX_ANSWER_BYTES // 2**20} MiB")
        self._chunks.append(chunk)

    def _unpack(self, data: bytes) -> None:
        full_step: bool = False
        while data or full_step:  # a full step may have left some of its output inside
            if self._decompressor is None:
                self._decompressor = self._decompressor_for(data)
            try:
                chunk = self._decompressor.decompress(data, _STEP)
            except zlib.error as error:
                raise DamagedAnswer(f"its {self._encoding} data is damaged: {error}") from None
            if chunk:
                self._keep(chunk)
            full_step = len(chunk) == _STEP
            data = self._decompressor.unconsumed_tail
            if self._decompressor.eof:
                data = self._decompressor.unused_data
                if not data.strip(b"\0"):  # padding, as some servers send
                    return
                self._decompressor = None

    def _decompressor_for(self, data: bytes) -> _Decompressor:
        if self._encoding != "deflate":
            return zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        # RFC 9110 means the zlib format by it; some servers send the bare stream.
        return zlib.decompressobj(wbits=zlib.MAX_WBITS if data[0] & 0x0F == _ZLIB_METHOD else -zlib.MAX_WBITS)
