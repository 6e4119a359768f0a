"""How a catalog is read: the options, checked once, and what each is called where the user set it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from urllib.parse import urlsplit

from ..errors import ConfigurationError
from .mapping import FieldSource, compile_mapping

__all__ = ["IN_PYTHON", "OptionNames", "ReadingOptions"]


class OptionNames:
    """What the options of reading are called in Python. Messages name an option as the user can type it.

    A command derives its own names from this class.

    >>> OptionNames().set("fit", True)
    'fit=True'
    >>> OptionNames().map("url", "link")
    "mapping={'url': 'link'}"
    """

    def name(self, option: str) -> str:
        """The option alone: ``shop_url``."""
        return option

    def set(self, option: str, value: object) -> str:
        """The option with a value: ``decimal=','``."""
        return f"{option}={value!r}"

    def map(self, field: str, source: str) -> str:
        """A mapping of one field."""
        return f"mapping={{{field!r}: {source!r}}}"


IN_PYTHON = OptionNames()


def _today() -> date:
    return datetime.now().astimezone().date()


@dataclass(frozen=True, slots=True)
class ReadingOptions:
    """The options of one reading, already checked.

    ``mapping`` is compiled: target → where its value comes from, ``None`` to leave the target out; ``given_mapping``
    is the same as the user wrote it. ``today`` is the day for which sales are judged. The other options are those of
    `Catalog`.
    """

    mapping: Mapping[str, FieldSource | None] = field(default_factory=dict[str, FieldSource | None])
    given_mapping: Mapping[str, str] = field(default_factory=dict[str, str])
    shop_url: str | None = None
    currency: str | None = None
    fit: bool = False
    encoding: str | None = None
    delimiter: str | None = None
    decimal: str | None = None
    today: date = field(default_factory=_today)
    names: OptionNames = IN_PYTHON
    keep_going: bool = False
    list_path: str | None = None
    sheet: str | None = None

    @classmethod
    def checked(
        cls,
        *,
        mapping: Mapping[str, str] | None = None,
        shop_url: str | None = None,
        currency: str | None = None,
        delimiter: str | None = None,
        decimal: str | None = None,
        today: date | None = None,
        names: OptionNames = IN_PYTHON,
        **others: Any,
    ) -> ReadingOptions:
        """Raises `ConfigurationError` for an option that cannot work."""
        if decimal not in {None, ".", ","}:
            raise ConfigurationError(f"{names.name('decimal')} must be '.' or ',', got {decimal!r}")
        return cls(
            mapping=compile_mapping(mapping or {}, names.name("mapping")),
            given_mapping=dict(mapping or {}),
            shop_url=_checked_shop_url(shop_url, names),
            currency=_checked_currency(currency, names),
            delimiter=_checked_delimiter(delimiter, names),
            decimal=decimal,
            today=today or _today(),
            names=names,
            **others,
        )

    def leaves_out(self, target: str) -> bool:
        """Does the mapping say that this field is not sent?"""
        return target in self.mapping and self.mapping[target] is None


def _checked_shop_url(shop_url: str | None, names: OptionNames) -> str | None:
    if shop_url is None:
        return None
    parts = urlsplit(shop_url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise ConfigurationError(
            f"{names.name('shop_url')} must be an address such as https://shop.example, got {shop_url!r}"
        )
    return shop_url.rstrip("/")


def _checked_delimiter(delimiter: str | None, names: OptionNames) -> str | None:
    if delimiter in {"tab", "\\t"}:  # as one types it in a shell
        return "\t"
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise ConfigurationError(f"{names.name('delimiter')} must be one character, got {delimiter!r}")
    return delimiter


def _checked_currency(currency: str | None, names: OptionNames) -> str | None:
    if currency is not None and not re.fullmatch("[A-Za-z]{3}", currency):
        raise ConfigurationError(
            f"{names.name('currency')} must be a code of three letters such as EUR, got {currency!r}"
        )
    return currency and currency.upper()
