"""Requests that have not been answered yet: as they stand in a ledger file, and as one run keeps track of them. Pure.

A batch is noted before it is sent, as one value: when, and the keys of its products. It is struck off when the server
has answered for all of them. Whatever is still noted when a ledger is opened was never answered: the server may have
processed it, may do so yet, or never will.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

import msgspec

from ..sqlite import DamagedContent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["OpenBatches", "packed", "unpacked"]

_CHECKSUM = 4
"""Bytes at the end of a packed batch: one wrong bit in it would put another product in doubt."""
_decoder = msgspec.msgpack.Decoder(tuple[float, list[bytes]])


def packed(sent_at: float, keys: Sequence[bytes]) -> bytes:
    """A batch as one value."""
    content = msgspec.msgpack.encode((sent_at, keys))
    return content + _checksum(content)


def unpacked(value: object) -> tuple[float, list[bytes]]:
    """When the batch was about to be sent, and its keys. Raises `DamagedContent`."""
    if not isinstance(value, bytes):
        raise DamagedContent("a batch in its journal is no bytes")
    content = value[:-_CHECKSUM]
    if _checksum(content) != value[-_CHECKSUM:]:
        raise DamagedContent("a batch in its journal has a wrong checksum")
    try:
        return _decoder.decode(content)
    except msgspec.MsgspecError as error:
        raise DamagedContent(f"a batch in its journal cannot be read: {error}") from error


def _checksum(content: bytes) -> bytes:
    return crc32(content).to_bytes(_CHECKSUM)


class OpenBatches:
    """The batches of one run that wait for answers: for each key the latest one."""

    def __init__(self) -> None:
        self._batch_of: dict[bytes, int] = {}
        self._sent_at: dict[int, float] = {}
        self._keys: dict[int, set[bytes]] = {}

    def __len__(self) -> int:
        return len(self._batch_of)

    def __contains__(self, key: object) -> bool:
        return key in self._batch_of

    def add(self, number: int, sent_at: float, keys: Iterable[bytes]) -> None:
        """Batch ``number`` is about to be sent. None of its keys may be open."""
        self._keys[number] = set(keys)
        self._sent_at[number] = sent_at
        self._batch_of |= dict.fromkeys(self._keys[number], number)

    def sent_at(self, key: bytes) -> float | None:
        """When the open request that holds this key was about to be sent; ``None`` where none is open."""
        number = self._batch_of.get(key)
        return None if number is None else self._sent_at[number]

    def close(self, keys: Iterable[bytes]) -> list[int]:
        """The server has answered for these. Returns the batches that wait for nothing any more."""
        finished: list[int] = []
        for key in keys:
            number = self._batch_of.pop(key, None)
            if number is None:
                continue
            self._keys[number].discard(key)
            if not self._keys[number]:
                finished.append(number)
                del self._keys[number], self._sent_at[number]
        return finished

    def rest(self) -> Iterator[tuple[int, float, list[bytes]]]:
        """Each batch that waits for something: its number, when it was about to be sent, the keys that are open."""
        for number, keys in self._keys.items():
            yield number, self._sent_at[number], list(keys)

    def oldest(self) -> list[bytes]:
        """The keys of the batch that has been open for longest."""
        return list(next(iter(self._keys.values())))
