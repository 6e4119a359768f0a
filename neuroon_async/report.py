"""What a bulk run reports: its totals, its progress and its failures. Pure data that imports nothing of the package."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

__all__ = ["MAX_KEPT_FAILURES", "MAX_KEPT_REQUEST_IDS", "ProductFailure", "Stage", "SyncProgress", "SyncReport"]

MAX_KEPT_FAILURES = 1_000
"""Failures that a report keeps; ``on_failure`` sees all of them."""
MAX_KEPT_REQUEST_IDS = 1_000
"""Request ids that a report keeps: those of the latest answers."""

Stage = Literal["local", "server", "transport"]


@dataclass(frozen=True, slots=True)
class ProductFailure:
    """One product that did not reach the catalog, and why.

    Attributes:
        external_id: Its id; ``None`` where it has no usable one.
        reason: What went wrong, in words.
        stage: Where it ended. ``"local"``: it broke a documented rule and was never sent. ``"server"``: the server
            refused it. ``"transport"``: it was not sent, or no usable answer came, so that the server may or may not
            have taken it.
        status: The HTTP status, where there was one.
        product: What the source gave: a `Product` where it could be read as one, otherwise the item itself or a copy
            of the mapping. A list's own products are the very objects; a generator's may be equal ones, because only
            their JSON is kept while they are under way.
        unsent: The product was in no request, because the run ended before, or the rate limit let none go in time:
            nothing is wrong with it, and the next run sends it.

    A source may itself yield a `ProductFailure` for a record that it could not turn into a product: it is counted and
    passed on. A failure can be pickled; a product that cannot is then replaced by its text.
    """

    external_id: str | None
    reason: str
    stage: Stage
    status: int | None = None
    product: Any = None
    unsent: bool = False

    def __reduce__(self) -> tuple[Any, ...]:
        product = _picklable(self.product)
        return type(self), (self.external_id, self.reason, self.stage, self.status, product, self.unsent)

    def __repr__(self) -> str:
        parts = [f"{each.name}={_shown(getattr(self, each.name))}" for each in fields(self)]
        return f"ProductFailure({', '.join(parts)})"

    def __str__(self) -> str:
        status = f" {self.status}" if self.status is not None else ""
        who = str(self.external_id or "(no id)")
        # A line of a log stays one line, which can be written and reads from left to right.
        return f"{who if who.isprintable() else repr(who)}: {_printable(str(self.reason))} [{self.stage}{status}]"


@dataclass(slots=True)
class SyncReport:
    """The outcome for every product that entered: ``received == accepted + unchanged + superseded + failed``.

    Attributes:
        received: What the source gave.
        accepted: Taken by the server.
        created: How many of them were new, as far as the server says.
        updated: How many of them were known, as far as the server says.
        unchanged: Needed no request: the ledger knows that the server has them.
        superseded: Replaced by a later version of the same id before they were sent.
        failed: Did not reach the catalog: see ``failures``.
        unsent: Those of the failed that were in no request, because the run ended before, or the rate limit let none
            go in time. The next run sends them.
        deleted: Removed from the catalog.
        requests: Requests that left, repeated ones included.
        retries: How many of them repeated another.
        throttled: Answers with 429.
        elapsed: Seconds that the run took.
        waited: Seconds spent waiting for rate limits, summed over all requests.
        products_count: Products in the catalog, by the server's latest word; ``None`` where it gave none.
        remaining_products: Products that the shop's plan has room for, from the same answer.
        failures: The first 1,000 failures; those that the end of the run left unsent come last.
        request_ids: Those of the latest 1,000 answers: the vendor's support asks for them.
    """

    received: int = 0
    accepted: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    superseded: int = 0
    failed: int = 0
    unsent: int = 0
    deleted: int = 0
    requests: int = 0
    retries: int = 0
    throttled: int = 0
    elapsed: float = 0.0
    waited: float = 0.0
    products_count: int | None = None
    remaining_products: int | None = None
    failures: list[ProductFailure] = field(default_factory=list[ProductFailure])
    request_ids: list[str] = field(default_factory=list[str])

    error_type: ClassVar[Callable[[SyncReport], Exception]]
    """What `raise_for_failures` raises. Set by `errors`, which knows this module: imports run one way."""

    def raise_for_failures(self) -> None:
        """Raise `SyncFailed`, which carries this report, unless every product ended where it should.

        >>> report = await client.products.sync(products)     # doctest: +SKIP
        >>> report.raise_for_failures()                        # doctest: +SKIP
        """
        if not self.ok:
            raise SyncReport.error_type(self)

    @property
    def ok(self) -> bool:
        """Did every product that entered end where it should?"""
        return self.failed == 0 and self.received == self.accepted + self.unchanged + self.superseded

    @property
    def quota_exhausted(self) -> bool:
        """Did the server say that the shop's plan has no room for further products?"""
        return self.remaining_products is not None and self.remaining_products <= 0

    def __str__(self) -> str:
        parts = [f"{self.received:,} received", f"{self.accepted:,} accepted"]
        for name in ("unchanged", "superseded", "failed", "deleted"):
            count = getattr(self, name)
            if count:
                unsent = f" ({self.unsent:,} of them unsent)" if name == "failed" and self.unsent else ""
                parts.append(f"{count:,} {name}{unsent}")
        requests = "1 request" if self.requests == 1 else f"{self.requests:,} requests"
        retries = "1 retry" if self.retries == 1 else f"{self.retries:,} retries"
        text = f"{', '.join(parts)} in {self.elapsed:.1f} s ({requests}, {retries})"
        if self.quota_exhausted:
            text += "; the shop's product quota is exhausted"
        return text


@dataclass(frozen=True, slots=True)
class SyncProgress:
    """A moment of a bulk run. Times are in seconds.

    Attributes:
        received: What the source has given so far.
        done: Accepted, unchanged, superseded and failed products.
        accepted: As in `SyncReport`, like ``unchanged``, ``superseded``, ``failed``, ``deleted`` and ``requests``.
        unchanged: As above.
        superseded: As above.
        failed: As above.
        deleted: As above.
        requests: As above.
        total: How many products the source has; ``None`` where it does not know.
        elapsed: Since the run began.
        rate: Finished products a second.
        remaining_seconds: An estimate; ``None`` without ``total``.
        waited: For rate limits, summed over all requests.
        waiting_for_limit: Is the rate limit holding requests back right now?
        failing_for: How long the service has given no answer but 5xx; ``None`` while it answers.
        gives_up_in: How much longer the run waits for one; ``None`` while it answers.
    """

    received: int
    done: int
    accepted: int
    unchanged: int
    superseded: int
    failed: int
    deleted: int
    requests: int
    total: int | None
    elapsed: float
    rate: float
    remaining_seconds: float | None
    waited: float
    waiting_for_limit: bool
    failing_for: float | None = None
    gives_up_in: float | None = None


def _printable(text: str) -> str:
    """A reason may quote the server, or a field's name, with line breaks and all."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _picklable(product: object) -> object:
    """The product itself, or its text where it cannot be pickled: a lock, a cursor, an object of a closed session."""
    try:
        pickle.dumps(product)
    except Exception:  # noqa: BLE001 - whatever the user's object raises
        return _shown(product)
    return product


def _shown(value: object) -> str:
    """Its ``repr``, where it has one: a failed item may hold a number of thousands of digits, or raise."""
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - whatever the user's object raises
        return f"a {type(value).__name__} that cannot be shown"
