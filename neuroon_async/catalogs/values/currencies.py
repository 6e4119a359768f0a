"""Codes, signs and words of currencies beside an amount. Pure.

A code and most signs name one currency. A sign that many countries share (``$``, ``kr``) says which ones it may be:
too little to name one, enough to tell that it is not the euro.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .currency_words import CURRENCY_WORDS

__all__ = ["WITHOUT_DECIMALS", "Unit", "is_code", "unit_named"]

_IN_USE = """\
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF
CHF CLF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD
HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL
LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR
PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP
TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
"""
_CODES = frozenset(_IN_USE.split())
"""ISO 4217, those that prices can be in."""
_INDIVISIBLE = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
WITHOUT_DECIMALS = frozenset(_INDIVISIBLE.split())
"""Those of which there is no smaller coin, as ISO 4217 says: ``¥1,200`` is over a thousand."""
_SIGNS = {
    "€": "EUR", "£": "GBP", "₺": "TRY", "₴": "UAH", "₽": "RUB", "₹": "INR", "₪": "ILS", "₩": "KRW", "₫": "VND",
    "฿": "THB", "₱": "PHP", "₦": "NGN", "₲": "PYG", "₡": "CRC", "tl": "TRY", "hk$": "HKD", "nt$": "TWD", "nz$": "NZD",
    "s$": "SGD", "₸": "KZT", "₼": "AZN", "sfr": "CHF", "fr": "CHF XAF XOF XPF",
    "fcfa": "XAF XOF", "f cfa": "XAF XOF", "cfa": "XAF XOF", "francs cfa": "XAF XOF", "franc cfa": "XAF XOF",
    "¥": "JPY CNY",
    "$": "USD ARS AUD BBD BMD BND BRL BSD BZD CAD CLP COP CUP CVE DOP FJD GYD HKD JMD KYD LRD MOP MXN NAD NIO NZD SBD "
         "SGD SRD SVC TOP TTD TWD UYU WST XCD",
}  # fmt: skip
"""Those that `CURRENCY_WORDS` does not have."""
_CODE_AND_SIGN = re.compile(
    r"(?P<code>[A-Za-z]{3})\s*(?P<sign>[^\sA-Za-z]+)|(?P<sign2>[^\sA-Za-z]+)\s*(?P<code2>[A-Za-z]{3})"
)


@dataclass(frozen=True, slots=True)
class Unit:
    """What an amount is in: the text that says so, and the currencies that it may mean."""

    text: str
    currencies: frozenset[str]

    def agrees_with(self, other: Unit | None) -> bool:
        return other is None or bool(self.currencies & other.currencies)

    def and_also(self, other: Unit) -> Unit | None:
        """What both say together (``$`` and ``MXN``); ``None`` where they contradict each other."""
        common = self.currencies & other.currencies
        return Unit(min(common) if len(common) == 1 else self.text, common) if common else None


def is_code(text: str) -> bool:
    """Is it a code of ISO 4217, in capitals?"""
    return text in _CODES


def unit_named(text: str) -> Unit | None:
    """The unit that a code or a sign names, or both (``USD $``); ``None`` for any other text.

    >>> sorted(unit_named("kr").currencies)
    ['DKK', 'ISK', 'NOK', 'SEK']
    """
    name = text.strip().rstrip(".")
    if name.upper() in _CODES:
        return Unit(name.upper(), frozenset({name.upper()}))
    if currencies := _SIGNS.get(name.casefold()) or CURRENCY_WORDS.get(name.casefold()):
        codes = currencies.split()
        return Unit(codes[0] if len(codes) == 1 else name, frozenset(codes))
    if both := _CODE_AND_SIGN.fullmatch(name):
        code, sign = (unit_named(both[part] or both[f"{part}2"]) for part in ("code", "sign"))
        return code.and_also(sign) if code and sign else None
    return None
