"""From what a source yields to products that wait to be sent, or the reasons why they do not.

`converter` makes the function that runs for each item as it is read, before the source is asked for the next one: a
source may fill one mapping again and again. `Intake` then takes in what was read, portion by portion.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import TYPE_CHECKING, Any

from ..api.models import Product, encode
from ..api.requests import as_product
from ..api.validation import encoding_problems, plainly_valid
from ..errors import InvalidProduct
from ..report import ProductFailure

if TYPE_CHECKING:
    from collections.abc import Callable

    from .changes import ChangeDetector, Comparison
    from .options import SyncOptions
    from .queue import SendQueue
    from .recorder import Recorder
    from .variants import VariantHold

__all__ = ["Intake", "converter", "product_check"]


def converter(source: object, options: SyncOptions) -> Callable[[Any], Product | ProductFailure] | None:
    """What turns an item, as it is read, into a product or into the failure that it is.

    ``None`` where there is nothing to do: a source may say that it yields checked products (and failures) only, by an
    attribute ``yields_checked_products``. With a ledger, values are checked later: what it holds was checked before.
    """
    to_product = options.to_product
    if options.full:
        most_bytes = options.max_batch_bytes

        def conversion(item: Any) -> Product | ProductFailure:
            product = _read_and_check(item)
            return product if isinstance(product, ProductFailure) else _fit_for_full(product, most_bytes)

    elif to_product is None and _is_checked(source):
        return None
    else:
        conversion = _read_and_check if options.ledger is None else _read
    return conversion if to_product is None else _converting(to_product, conversion)


def product_check(source: object, options: SyncOptions) -> Callable[[Product], Product | ProductFailure] | None:
    """What checks the products that a ledger has not seen; ``None`` where all were checked as they were read."""
    if options.ledger is None or (options.to_product is None and _is_checked(source)):
        return None
    return _checked


def _is_checked(source: object) -> bool:
    return getattr(source, "yields_checked_products", False) is True


def _converting(
    to_product: Callable[[Any], Any], conversion: Callable[[Any], Product | ProductFailure]
) -> Callable[[Any], Product | ProductFailure]:
    def convert(item: Any) -> Product | ProductFailure:
        if isinstance(item, ProductFailure):
            return item
        try:
            converted = to_product(item)
        except InvalidProduct as error:
            return ProductFailure(error.external_id, error.reason, "local", product=item)
        except Exception as error:  # noqa: BLE001 - whatever the user's function raises costs this item only
            return ProductFailure(None, f"product: to_product raised {error!r}", "local", product=item)
        return conversion(converted)

    return convert


def _read_and_check(item: Any) -> Product | ProductFailure:
    if type(item) is Product and plainly_valid(item):
        return item
    if isinstance(item, ProductFailure):
        return item
    try:
        return as_product(item)
    except InvalidProduct as error:
        return ProductFailure(error.external_id, error.reason, "local", product=_as_it_is_now(item))


def _read(item: Any) -> Product | ProductFailure:
    """A `Product` stays as it is, unchecked. Everything else is checked as it is read."""
    return item if isinstance(item, Product) else _read_and_check(item)


def _checked(product: Product) -> Product | ProductFailure:
    """The product, if it keeps every documented rule."""
    return product if plainly_valid(product) else _read_and_check(product)


def _fit_for_full(product: Product, most_bytes: int) -> Product | ProductFailure:
    """The product, if a request can carry it: a FULL sync must know before it sends anything."""
    problems = encoding_problems(product)
    if problems:
        reason = "; ".join(f"{field}: {problem}" for field, problem in problems)
        return ProductFailure(product.external_id, reason, "local", product=product)
    size = len(encode(product)) + _FRAME_BYTES
    if size > most_bytes:
        reason = f"alone makes a request of {size:,} bytes, and max_batch_bytes is {most_bytes:,}"
        return ProductFailure(product.external_id, reason, "local", product=product)
    return product


_FRAME_BYTES = len(b'{"syncType":"FULL","products":[]}')


def _as_it_is_now(item: Any) -> Any:
    """A copy of a mapping that the source may change after this; any other item, and what cannot be copied, itself."""
    if not isinstance(item, Mapping):
        return item
    try:
        return {key: copy(value) if isinstance(value, (list, dict, set)) else value for key, value in item.items()}
    except Exception:  # noqa: BLE001 - whatever a mapping of the user's raises; that is told as the failure's reason
        return item


class Intake:
    """Takes in what was read: leaves out what has not changed, fails what cannot be sent, and passes on the rest.

    ``check`` says what is wrong with a product that was not checked as it was read.
    """

    def __init__(
        self,
        changes: ChangeDetector,
        queue: SendQueue,
        hold: VariantHold,
        recorder: Recorder,
        check: Callable[[Product], Product | ProductFailure] | None,
    ) -> None:
        self._changes = changes
        self._queue = queue
        self._hold = hold
        self._recorder = recorder
        self._check = check

    def take_in(self, portion: list[Product | ProductFailure]) -> None:
        self._settle(self._changes.screen(portion, self._queue.ids_in_flight))

    async def chunk_ended(self, chunk_size: int, *, last: bool) -> None:
        """Compare with the ledger what is worth it. ``last``: everything, because nothing more comes for now."""
        if last:
            self._settle(self._changes.screen_rest(self._queue.ids_in_flight))
        if last or self._changes.undecided >= chunk_size:
            failures = self._settle(await self._changes.compare(self._queue.ids_in_flight.copy()))
            await self._changes.note_failures(failures)
        await self._recorder.notify()

    def _settle(self, comparison: Comparison) -> list[ProductFailure]:
        """Returns what may not be sent."""
        failures = self._admit(comparison.changed) if comparison.changed else []
        if comparison.unchanged:  # after that: older versions may have been among the changed
            self._recorder.unchanged(len(comparison.unchanged_ids))
            self._hold.discard(comparison.unchanged_ids)
            self._recorder.entered(comparison.unchanged)
            self._recorder.acknowledged(comparison.unchanged)
        return failures

    def _admit(self, items: list[Product | ProductFailure]) -> list[ProductFailure]:
        if self._check is not None:
            items = [item if isinstance(item, ProductFailure) else self._check(item) for item in items]
        products = [item for item in items if isinstance(item, Product)]
        failures = [] if len(products) == len(items) else [item for item in items if isinstance(item, ProductFailure)]
        self._recorder.failed(failures)
        self._recorder.entered(products)
        self._hold.admit(products)
        return failures
