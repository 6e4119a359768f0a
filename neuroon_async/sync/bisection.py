"""Finding the bad products in a batch that the server refused as a whole. Pure.

The server's message names a field, sometimes an id or an index, seldom the product. What it names is tried apart from
the rest first; without such a clue the batch is halved. Every piece is sent again, so a product fails only by an
answer of its own, and the good ones arrive. Where a firewall may refuse whatever comes, products that go alone show it
soon.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, TypeVar

from msgspec import UNSET

from ..api.models import PRODUCT_FIELDS
from .outages import by_firewall
from .queue import parent_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..api.models import Product
    from ..api.results import BatchResult
    from ..errors import APIError
    from .outgoing import Outgoing

__all__ = ["MAX_REFUSALS_IN_A_ROW", "Bisection", "halves", "missing_parents", "pieces", "refused_items"]

T = TypeVar("T")

MAX_REFUSALS_IN_A_ROW = 64
"""After so many consecutive rejections within a batch, each remaining piece gets one last try.

If one of those is accepted, the search goes on; if all fail, the batch is abandoned. So a batch costs two requests for
each product at the very most, and a hopeless one some seventy.
"""

_MISSING_PARENT = re.compile(r"parentExternalId '(?P<id>(?:(?!parentExternalId ').)*?)' not found", re.DOTALL)
"""An id ends where the next one is named: else one of many other complaints would run on to the end of the message."""
_QUOTED = re.compile(r"'([^']+)'|\"([^\"]+)\"")
_INDEX = re.compile(r"\bproducts\[(\d{1,9})\]")


class Bisection:
    """The pieces of one batch whose fate is open, and the order in which they are tried."""

    __slots__ = ("_got_through", "_last_refusal", "_open", "_postponed", "_suspects", "_trusts_clues", "refusals")

    def __init__(self, products: Sequence[Outgoing]) -> None:
        self._open: list[Sequence[Outgoing]] = [products]
        """The next one last."""
        self._postponed: list[list[Product]] = []
        """Refused after too many others: taken apart only if another piece is accepted."""
        self._last_refusal: APIError | None = None
        self._got_through = False
        """Was any piece accepted?"""
        self._suspects: Sequence[Product] | None = None
        self._trusts_clues = True
        """Until a product that the server's message pointed at turns out to be good."""
        self.refusals: int = 0
        """Refused pieces since the last accepted one."""

    def __iter__(self) -> Iterator[Outgoing]:
        """All products whose fate is open."""
        for piece in (*self._open, *self._postponed):
            yield from piece

    def next_piece(self) -> Sequence[Outgoing] | None:
        """The piece to send next. It stays open until `settled`."""
        return self._open[-1] if self._open else None

    def settled(self) -> None:
        """The next piece's fate is known, or that of its parts will be."""
        self._open.pop()

    def accepted(self, piece: Sequence[Outgoing]) -> None:
        self.refusals = 0
        self._got_through = True
        if piece is self._suspects:
            self._trusts_clues = False
        for postponed in self._postponed:
            self.split(postponed)
        self._postponed = []

    def refused(self, piece: list[Product], error: APIError) -> None:
        """Take the piece apart, or postpone it where too many were refused in a row."""
        self._last_refusal = error
        if self.refusals >= MAX_REFUSALS_IN_A_ROW:
            self._postponed.append(piece)
            return
        if by_firewall(error) and not self._got_through:
            first, *rest = _parents_first(piece)
            self.push([first], *halves(rest))
            return
        parts = pieces(piece, error, believe=self._trusts_clues)
        self._suspects = parts[0]
        self.push(*parts)

    def split(self, piece: Sequence[Outgoing]) -> None:
        self.push(*halves(piece))

    def push(self, *parts: Sequence[Outgoing]) -> None:
        """Try these next, in this order."""
        self._open.extend(part for part in reversed(parts) if part)

    def give_up(self) -> tuple[list[Product], APIError] | None:
        """Nothing else is left to try: what was postponed, and the last refusal; ``None`` where nothing was."""
        if self._last_refusal is None or not self._postponed:
            return None
        rest = [product for piece in self._postponed for product in piece]
        self._postponed = []
        return rest, self._last_refusal


def missing_parents(message: str) -> set[str]:
    """The parents that the server says it has neither in the batch nor in the catalog."""
    return set(_MISSING_PARENT.findall(message))


def refused_items(products: Sequence[Outgoing], result: BatchResult) -> tuple[dict[str, str], list[str]]:
    """What an accepted batch leaves out: reasons by id, and one reason for each product that the server does not name.

    Where ``failed`` tells of more than ``errors`` does, ``failed`` is believed.
    """
    if not result.errors and not result.failed:
        return {}, []
    reasons: dict[str | None, list[str]] = {product.external_id: [] for product in products}
    unnamed: list[str] = []
    for error in result.errors or ():
        reason = error.error or "refused without a reason"
        if error.external_id in reasons:
            reasons[error.external_id].append(reason)
        else:
            unnamed.append(f"{reason} (the server names no product of this batch: externalId {error.external_id!r})")
    named = {product.external_id: "; ".join(said) for product in products if (said := reasons[product.external_id])}
    if result.failed:
        nowhere = f"the server reported {result.failed} failed products without naming this one"
        unnamed += [nowhere] * (result.failed - len(named) - len(unnamed))
    return named, unnamed[: len(products) - len(named)]


def pieces(products: list[Product], error: APIError, *, believe: bool = True) -> Sequence[Sequence[Product]]:
    """Smaller batches to try next, parents before their variants. Together they hold every product.

    ``products`` must be in the order in which they were sent, because the message may name one by its index. Unless
    ``believe``, what it names is not trusted: it has pointed at good products before.
    """
    # A field that most products set tells little: halves find the bad one sooner.
    clues = ((_named(products, error), len(products) - 1), (_with_named_field(products, error), len(products) // 2))
    for suspects, most in clues if believe else ():
        if 0 < len(suspects) <= most:
            ids = {product.external_id for product in suspects}
            return [suspects, [product for product in products if product.external_id not in ids]]
    by_currency = _by_currency(products, error)
    return by_currency if len(by_currency) > 1 else halves(_parents_first(products))


def halves(products: Sequence[T]) -> list[Sequence[T]]:
    """Two batches of equal size, in order."""
    middle = (len(products) + 1) // 2
    return [products[:middle], products[middle:]]


def _parents_first(products: list[Product]) -> list[Product]:
    return sorted(products, key=lambda product: parent_of(product) is not None)


def _named(products: list[Product], error: APIError) -> list[Product]:
    """The products whose id or index the message gives."""
    texts = [error.message, *error.field_errors]
    ids = {first or second for text in texts for first, second in _QUOTED.findall(text)}
    indices = {int(index) for text in texts for index in _INDEX.findall(text)}
    return [product for index, product in enumerate(products) if product.external_id in ids or index in indices]


def _with_named_field(products: list[Product], error: APIError) -> list[Product]:
    """The products that set a field which the message complains of."""
    fields = {PRODUCT_FIELDS[name] for name in error.field_errors if name in PRODUCT_FIELDS}
    return [product for product in products if any(getattr(product, field) is not UNSET for field in fields)]


def _by_currency(products: list[Product], error: APIError) -> list[list[Product]]:
    """The server refuses mixed currencies in one request, so each currency gets its own."""
    if "currency" not in error.message.lower():
        return [products]
    groups: defaultdict[object, list[Product]] = defaultdict(list)
    for product in products:
        groups[product.currency].append(product)
    return list(groups.values())
