"""How a catalog is read: the options, checked once, and what each is called where the user set it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from ..api.addresses import is_site_address
from ..api.arguments import check_flag, check_text, shown
from ..api.shapes import is_mapping, is_text, is_whole
from ..errors import UsageError
from .mapping import FieldSource, compile_mapping
from .readers.byte_source import known_encoding

__all__ = ["IN_PYTHON", "OptionNames", "ReadingOptions", "checked_mapping"]


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
        fit: bool = False,
        encoding: str | None = None,
        delimiter: str | None = None,
        decimal: str | None = None,
        today: date | None = None,
        keep_going: bool = False,
        list_path: str | None = None,
        sheet: str | int | None = None,
        names: OptionNames = IN_PYTHON,
    ) -> ReadingOptions:
        """Raises `ConfigurationError` for an option that cannot work."""
        if not _are_names(names):
            raise UsageError(f"must be OptionNames, got {shown(names)}", where="option_names")
        check_flag(names.name("fit"), fit)
        check_flag(names.name("keep_going"), keep_going)
        given = checked_mapping(mapping, names)
        return cls(
            mapping=compile_mapping(given, names.name("mapping")),
            given_mapping=given,
            shop_url=_checked_shop_url(shop_url, names),
            currency=_checked_currency(currency, names),
            fit=fit,
            encoding=_checked_encoding(encoding, names),
            delimiter=_checked_delimiter(delimiter, names),
            decimal=_checked_decimal(decimal, names),
            today=_checked_today(today, names),
            names=names,
            keep_going=keep_going,
            list_path=_checked_path(list_path, names),
            sheet=_checked_sheet(sheet, names),
        )

    def leaves_out(self, target: str) -> bool:
        """Does the mapping say that this field is not sent?"""
        return target in self.mapping and self.mapping[target] is None


def _are_names(names: object) -> bool:
    return isinstance(names, OptionNames)


def _refused(names: OptionNames, option: str, wanted: str, value: object) -> UsageError:
    return UsageError(f"must be {wanted}, got {shown(value)}", where=names.name(option))


def checked_mapping(mapping: object, names: OptionNames) -> dict[str, str]:
    """The option ``mapping`` as it was given. Raises `UsageError` for what is none."""
    if mapping is None:
        return {}
    if not is_mapping(mapping):
        raise _refused(names, "mapping", "a mapping of product fields to columns or templates", mapping)
    return dict(mapping)


def _checked_shop_url(shop_url: object, names: OptionNames) -> str | None:
    if shop_url is None:
        return None
    if not is_site_address(shop_url):
        wanted = "an address such as https://shop.example, without user, query or fragment"
        raise _refused(names, "shop_url", wanted, shop_url)
    return shop_url.rstrip("/")


def _checked_encoding(encoding: object, names: OptionNames) -> str | None:
    if encoding is None:
        return None
    if not is_text(encoding):
        raise _refused(names, "encoding", "the name of an encoding such as 'utf-8'", encoding)
    known_encoding(encoding, names.name("encoding"))
    return encoding


def _checked_delimiter(delimiter: object, names: OptionNames) -> str | None:
    if delimiter is None:
        return None
    if not is_text(delimiter):
        raise _refused(names, "delimiter", "one character such as ';'", delimiter)
    if delimiter in {"tab", "\\t"}:  # as one types it in a shell
        return "\t"
    if len(delimiter) != 1 or delimiter in '"\r\n\0' or "\ud800" <= delimiter <= "\udfff":
        raise _refused(names, "delimiter", "one character such as ';'", delimiter)
    return delimiter


def _checked_decimal(decimal: object, names: OptionNames) -> str | None:
    if decimal is None or (is_text(decimal) and decimal in {".", ","}):
        return decimal
    raise _refused(names, "decimal", "'.' or ','", decimal)


def _checked_currency(currency: object, names: OptionNames) -> str | None:
    if currency is None:
        return None
    if not is_text(currency) or not re.fullmatch("[A-Za-z]{3}", currency):
        raise _refused(names, "currency", "a code of three letters such as EUR", currency)
    return currency.upper()


def _checked_today(today: object, names: OptionNames) -> date:
    if today is None:
        return _today()
    if isinstance(today, datetime):
        return today.date()
    if not isinstance(today, date):
        raise _refused(names, "today", "a date", today)
    return today


def _checked_path(path: str | None, names: OptionNames) -> str | None:
    if path is None or path == "":
        return None
    check_text(names.name("list"), path, "data.items")
    return path


def _checked_sheet(sheet: object, names: OptionNames) -> str | None:
    """A number stands for itself in digits: a sheet of that name comes first, and is hardly another one."""
    if sheet is None or sheet == "":
        return None
    if is_whole(sheet):
        if sheet < 1:
            raise _refused(names, "sheet", "the name of a sheet, or its number from 1", sheet)
        return str(int(sheet))
    if not is_text(sheet):
        raise _refused(names, "sheet", "the name of a sheet, or its number from 1", sheet)
    return sheet
