"""What the vendor's pages tell in several ways, each as a switch. Pure data."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, get_args, get_type_hints

from ..api.arguments import check_choice
from .bodies import ErrorShape
from .routing import VerifyPath

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Readings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """How the emulator reads the points on which the documentation contradicts itself or is silent.

    The defaults follow the newest pages, strictly. An integration is right if it works under every reading: run its
    tests over `each`.

    >>> str(Readings(answers="older"))
    'answers=older'
    >>> Readings.each()[0] == Readings()
    True
    """

    answers: Literal["newest", "older"] = "newest"
    """The answer to a sync: ``newProducts``, ``updatedProducts`` and more, or ``{synced, created, updated, failed,
    errors}``. The answer to a deletion: 204 without a body, or 200 with ``{"deleted": true}``."""

    invalid_products: Literal["fail_batch", "fail_alone"] = "fail_batch"
    """A product that breaks a rule fails its whole batch with 400 or 422, or is listed under ``errors`` of a 200."""

    full_sync: Literal["replace", "mark_absent"] = "replace"
    """A FULL sync deletes the index and reinserts, or marks what it does not mention as inactive."""

    zero_price: Literal["accepted", "refused"] = "accepted"
    """A price may be 0 by the field's rule; by the error message, "Price must be positive", it may not."""

    idempotency: Literal["conflict", "replay", "ignored"] = "conflict"
    """A key that comes again with another body: 409, or the first answer again without a look at the body. A key
    that comes again with the same body gets the first answer, unless keys are ``"ignored"``."""

    foreign_shop: Literal[403, 401] = 403
    """The status where the key does not belong to the shop in the path."""

    referer: Literal["checked", "ignored"] = "checked"
    """Is ``Referer`` held to the rule for ``Origin`` where there is no ``Origin``?"""

    verify_path: VerifyPath = "both"
    """Where domains are verified: ``/{shopId}/verify``, ``/verify``, or either."""

    verification: Literal["by_request", "by_registered_url", "by_published_code"] = "by_request"
    """What verifies a domain: the request itself; that the domain is the shop's registered URL (else 422); or that
    its code is published, for which `Emulator.verified` has to be set."""

    verification_data: Literal["by_state", "instructions", "verified_at"] = "by_state"
    """The shape of verification data: ``{verificationCode, instructions, verified}``, or ``{domain,
    verificationCode, verifiedAt}``; by default the former before and the latter after the verification."""

    search_log_id: Literal["optional", "required"] = "optional"
    """A conversion line without ``searchLogId`` is merely not attributed, or gets 400."""

    conversion_status: Literal[200, 201, 202, 204] = 200
    """The status of a conversion that was taken. The answer's body is not documented; with 204 there is none."""

    errors: ErrorShape | None = None
    """One shape for the bodies of all errors, 429 among them; ``None`` gives each status the body that it has on
    the newest pages."""

    times: Literal["with_z", "without_offset"] = "with_z"
    """Timestamps end in ``Z``, or have no offset and are UTC."""

    limits: Literal["enforced", "announced"] = "enforced"
    """Rate limits are enforced, or only announced by headers: then nothing is answered with 429."""

    rate_headers: Literal["sent", "missing"] = "sent"
    """Do answers have ``X-RateLimit-Limit`` and ``X-RateLimit-Remaining``?"""

    request_id: Literal["sent", "missing"] = "sent"
    """Do answers have an ``X-Request-ID``?"""

    def __post_init__(self) -> None:
        for name, choices in self._choices():
            check_choice(f"Readings.{name}", getattr(self, name), choices)

    @staticmethod
    def each() -> list[Readings]:
        """The default readings, then every other choice of every field by itself: for parametrised tests."""
        default = Readings()
        return [default] + [
            replace(default, **{name: choice})
            for name, choices in Readings._choices()
            for choice in choices
            if choice != getattr(default, name)
        ]

    def __str__(self) -> str:
        """The fields that differ from the default, such as ``answers=older``."""
        changed = [
            f"{field.name}={getattr(self, field.name)}"
            for field in fields(self)
            if getattr(self, field.name) != field.default
        ]
        return ", ".join(changed) or "default"

    @classmethod
    def _choices(cls) -> Iterator[tuple[str, tuple[Any, ...]]]:
        hints = get_type_hints(cls)
        for field in fields(cls):
            yield field.name, tuple(_literals(hints[field.name]))


def _literals(hint: Any) -> Iterator[Any]:
    """The values that a ``Literal``, ``None``, or a union of these allows."""
    for argument in get_args(hint):
        if argument is type(None):
            yield None
        elif get_args(argument):
            yield from _literals(argument)
        else:
            yield argument
