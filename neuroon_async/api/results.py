"""What the API answers: one struct for each documented response, read with patience.

Names and types of most fields are inferred from the vendor's samples, so none is relied on. A field that is absent, or
that holds something else than was inferred, is ``None``; a plain number may also come as text. Unknown fields are
ignored. Only the readings that end in ``from_answer`` know the names on the wire.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Self

import msgspec

from .shapes import is_list, is_object, is_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "Answer",
    "BatchResult",
    "Health",
    "ProductError",
    "Shop",
    "Verification",
    "VerificationData",
    "as_utc",
    "read_count",
    "read_text",
    "read_timestamp",
]

_MOST_EXACT = 2**53
"""Above it, a JSON number may have lost digits on its way: no count of anything."""


class _ServersWords:
    """A struct that holds what the server wrote, unchanged, and shows it without the API key, which it may echo."""

    __slots__ = ()
    __struct_fields__: ClassVar[tuple[str, ...]]

    def shown_through(self, redact: Callable[[str], str]) -> None:
        """From now on, ``repr`` shows text as ``redact`` leaves it. Not a field: nothing compares or encodes it."""
        vars(self)["_redact"] = redact

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        redact: Callable[[str], str] = vars(self).get("_redact", str)
        fields = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return [(name, redact(value) if isinstance(value, str) else value) for name, value in fields]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"


class Answer(_ServersWords):
    """A struct that can be read from an answer's JSON document."""

    __slots__ = ()

    @classmethod
    def from_answer(cls, document: object) -> Self:
        raise NotImplementedError


class ProductError(_ServersWords, msgspec.Struct, frozen=True, dict=True, rename="camel"):
    """One product that the server refused within an accepted batch."""

    external_id: str | None = None
    error: str | None = None


class BatchResult(Answer, msgspec.Struct, kw_only=True, dict=True):
    """The server's answer to one sync request.

    Every figure is ``None`` where the server does not give it: the vendor documents none as sure.
    ``created`` and ``updated`` count products, as ``failed`` does. ``products_count`` is how many the catalog holds,
    ``remaining_products`` how many more the shop's plan has room for. ``errors`` is always a list; what the server
    writes in another shape is kept in it as text.
    """

    created: int | None = msgspec.field(default=None, name="newProducts")
    updated: int | None = msgspec.field(default=None, name="updatedProducts")
    failed: int | None = None
    products_count: int | None = msgspec.field(default=None, name="productsCount")
    remaining_products: int | None = msgspec.field(default=None, name="remainingProducts")
    errors: list[ProductError] = []

    def shown_through(self, redact: Callable[[str], str]) -> None:
        super().shown_through(redact)
        for error in self.errors:
            error.shown_through(redact)

    @classmethod
    def from_answer(cls, document: object) -> Self:
        """Any JSON will do: a success without figures is a success. ``created`` and ``updated`` are older names."""
        answer = _fields(document) or {}
        failed = answer.get("failed")
        return cls(
            created=_first_count(answer, "newProducts", "created"),
            updated=_first_count(answer, "updatedProducts", "updated"),
            failed=read_count(failed),
            products_count=read_count(answer.get("productsCount")),
            remaining_products=read_count(answer.get("remainingProducts")),
            errors=_product_errors(answer.get("errors")) + _failed_products(failed),
        )


class Shop(Answer, msgspec.Struct, dict=True, frozen=True, kw_only=True, rename="camel"):
    """The shop's plan. The vendor documents these two fields; more exist and are ignored.

    ``None`` also stands for a limit that is no number, such as ``"unlimited"``.
    """

    max_products: int | None = None
    max_searches_per_month: int | None = None

    @classmethod
    def from_answer(cls, document: object) -> Self:
        answer = _required_fields(document)
        return cls(
            max_products=read_count(answer.get("maxProducts")),
            max_searches_per_month=read_count(answer.get("maxSearchesPerMonth")),
        )


class Health(Answer, msgspec.Struct, dict=True, frozen=True):
    """The service's own word on its state: ``"UP"`` where all is well."""

    status: str | None = None

    @classmethod
    def from_answer(cls, document: object) -> Self:
        return cls(status=read_text(_required_fields(document).get("status")))


class Verification(Answer, msgspec.Struct, dict=True, frozen=True, kw_only=True, rename="camel"):
    """The answer to `verify`: the code to publish on the domain."""

    shop_id: str | None = None
    verification_code: str | None = None
    domain: str | None = None
    name: str | None = None

    @classmethod
    def from_answer(cls, document: object) -> Self:
        answer = _required_fields(document)
        return cls(
            shop_id=read_text(answer.get("shopId")),
            verification_code=read_text(answer.get("verificationCode")),
            domain=read_text(answer.get("domain")),
            name=read_text(answer.get("name")),
        )


class VerificationData(Answer, msgspec.Struct, dict=True, kw_only=True, rename="camel"):
    """The state of domain verification. Two shapes are documented, so every field may be ``None``."""

    domain: str | None = None
    verification_code: str | None = None
    instructions: str | None = None
    verified: bool | None = None
    verified_at: datetime | None = None
    """With an offset always: a time that the server gives without one is UTC."""

    @property
    def is_verified(self) -> bool:
        """Is the domain verified, by whichever of the documented shapes the server answered with?"""
        return bool(self.verified) or self.verified_at is not None

    @classmethod
    def from_answer(cls, document: object) -> Self:
        answer = _required_fields(document)
        return cls(
            domain=read_text(answer.get("domain")),
            verification_code=read_text(answer.get("verificationCode")),
            instructions=read_text(answer.get("instructions")),
            verified=_read_flag(answer.get("verified")),
            verified_at=read_timestamp(answer.get("verifiedAt")),
        )


def _fields(document: object) -> Mapping[str, Any] | None:
    """The answer's fields; ``None`` where it has another shape. Some servers write an empty object as ``[]``."""
    if is_object(document):
        return document
    return None if document else {}


def _required_fields(document: object) -> Mapping[str, Any]:
    fields = _fields(document)
    if fields is None:
        raise msgspec.ValidationError(f"expected a JSON object, got {type(document).__name__}")
    return fields


def read_count(value: object) -> int | None:
    """A number of things, also as text: ``12``, ``12.0`` or ``"12"``. ``None`` for anything else, ``"1,234"`` too."""
    if type(value) is int:  # as servers write it, and nearly always
        return value if 0 <= value <= _MOST_EXACT else None
    if value is None:
        return None
    if isinstance(value, str) and len(value) < 32 and value.isascii():
        whole, _, zeros = value.partition(".")
        value = int(whole) if whole.isdigit() and not zeros.strip("0") else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return int(value) if 0 <= value <= _MOST_EXACT and value == int(value) else None


def _first_count(answer: Mapping[str, Any], *names: str) -> int | None:
    for name in names:
        if name in answer and (count := read_count(answer[name])) is not None:
            return count
    return None


def read_text(value: object) -> str | None:
    """Text, or a whole number as text. ``None`` for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) <= _MOST_EXACT else None
    return value if isinstance(value, str) else None


_FLAGS = {"true": True, "1": True, "false": False, "0": False}


def _read_flag(value: object) -> bool | None:
    """True or false, also as text or as 1 and 0."""
    if isinstance(value, bool):
        return value
    return _FLAGS.get(str(value).lower()) if isinstance(value, (str, int)) else None


def read_timestamp(value: object) -> datetime | None:
    """An ISO 8601 time of this API, with an offset always; ``None`` where it is no time."""
    try:
        return as_utc(datetime.fromisoformat(value)) if isinstance(value, str) else None
    except ValueError:
        return None


def as_utc(moment: datetime) -> datetime:
    """A time without an offset means UTC in this API (and in HTTP)."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


_ERROR_FIELDS = {"externalId", "error"}


def _product_errors(entries: object) -> list[ProductError]:
    """The refused products: a list of them, one alone, or reasons by id."""
    if is_object(entries):
        if not _ERROR_FIELDS.isdisjoint(entries):
            return [_product_error(entries)]
        return [ProductError(external_id, _as_text(error)) for external_id, error in entries.items()]
    if is_list(entries):
        return [_product_error(entry) for entry in entries]
    return [_product_error(entries)] if entries else []


def _product_error(entry: object) -> ProductError:
    if not is_object(entry):
        return ProductError(None, _as_text(entry))
    return ProductError(_as_text(entry.get("externalId")), _as_text(entry.get("error", entry.get("message"))))


def _failed_products(failed: object) -> list[ProductError]:
    """The products that ``failed`` names, where it is no count: entries as in ``errors``, or ids alone."""
    if is_list(failed):
        return [ProductError(entry) if is_text(entry) else _product_error(entry) for entry in failed]
    return _product_errors(failed) if is_object(failed) else []


def _as_text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else msgspec.json.encode(value).decode()
