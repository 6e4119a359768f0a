"""What a certificate says of itself: whom it is for, who issued it, and until when. Pure.

Python tells this of a certificate only once it is trusted. Where it is not, the issuer's name is just what the reader
needs: it is often the proxy of their own network. So this reads the few fields from the certificate's DER encoding.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Certificate", "read_certificate"]

_SEQUENCE, _SET, _OID, _OCTETS = 0x30, 0x31, 0x06, 0x04
_UTC_TIME = 0x17
_VERSION, _EXTENSIONS = 0xA0, 0xA3
_DNS_NAME, _IP_ADDRESS = 0x82, 0x87
_COMMON_NAME = bytes.fromhex("550403")
_ORGANISATION = bytes.fromhex("55040a")
_ALTERNATIVE_NAMES = bytes.fromhex("551d11")
_UTF_16 = 0x1E


@dataclass(frozen=True, slots=True)
class Certificate:
    """The fields that a diagnosis needs."""

    subject: str
    issuer: str
    begins: datetime
    ends: datetime
    names: tuple[str, ...] = ()
    """The hosts that it is for."""

    @property
    def self_signed(self) -> bool:
        return self.subject == self.issuer


def read_certificate(der: bytes) -> Certificate | None:
    """The certificate in ``der``; ``None`` where it cannot be read, for it is only to be shown."""
    try:
        return _read(der)
    except (ValueError, IndexError, StopIteration, UnicodeDecodeError):
        return None


def _read(der: bytes) -> Certificate:
    _, whole = next(_items(der))
    _, to_be_signed = next(_items(whole))
    fields = [item for item in _items(to_be_signed) if item[0] != _VERSION]
    # Serial number, algorithm, issuer, validity, subject, key, and what is optional.
    issuer, validity, subject = fields[2][1], fields[3][1], fields[4][1]
    begins, ends = (_time(tag, value) for tag, value in _items(validity))
    extensions = next((value for tag, value in fields[5:] if tag == _EXTENSIONS), b"")
    return Certificate(_name(subject), _name(issuer), begins, ends, tuple(_hosts(extensions)))


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Each value of a sequence, with its tag."""
    at = 0
    while at < len(data):
        tag, length = data[at], data[at + 1]
        at += 2
        if length >= 0x80:
            size = length & 0x7F
            length = int.from_bytes(data[at : at + size], "big")
            at += size
        if at + length > len(data):
            raise ValueError("the encoding breaks off")
        yield tag, data[at : at + length]
        at += length


def _name(data: bytes) -> str:
    """The common name, else the organisation, else nothing."""
    parts: dict[bytes, str] = {}
    for _, attributes in _items(data):
        for _, attribute in _items(attributes):
            (_, kind), (tag, value) = _items(attribute)
            parts[kind] = value.decode("utf-16-be" if tag == _UTF_16 else "utf-8", "replace")
    names = [parts[kind] for kind in (_COMMON_NAME, _ORGANISATION) if parts.get(kind)]
    return ", ".join(dict.fromkeys(names))


def _time(tag: int, value: bytes) -> datetime:
    text = value.decode("ascii")
    if tag == _UTC_TIME:  # two digits of the year, which turn over in 1950
        text = ("20" if int(text[:2]) < 50 else "19") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _hosts(extensions: bytes) -> Iterator[str]:
    for _, listed in _items(extensions):
        for _, extension in _items(listed):
            kind, *_, (_, value) = _items(extension)
            if kind[1] != _ALTERNATIVE_NAMES:
                continue
            _, names = next(_items(value))
            for tag, name in _items(names):
                if tag == _DNS_NAME:
                    yield name.decode("ascii", "replace")
                elif tag == _IP_ADDRESS:
                    yield str(ipaddress.ip_address(name))
