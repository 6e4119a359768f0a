"""Taking in what was read: what has not changed is left out, what cannot be sent fails, and the rest may leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..api.models import Product
    from ..report import ProductFailure
    from .changes import ChangeDetector, Comparison
    from .outgoing import Outgoing
    from .queue import SendQueue
    from .recorder import Recorder
    from .variants import VariantHold

__all__ = ["Intake"]


class Intake:
    """Takes in what was read: leaves out what has not changed, fails what cannot be sent, and passes on the rest.

    ``check`` tells which items may be sent, and which are failures.
    """

    def __init__(
        self,
        changes: ChangeDetector,
        queue: SendQueue,
        hold: VariantHold,
        recorder: Recorder,
        check: Callable[[list[Product | ProductFailure]], tuple[Sequence[Outgoing], list[ProductFailure]]],
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
        if comparison.encoded:
            self._hold.admit(comparison.encoded)
        failures = self._admit(comparison.changed) if comparison.changed else []
        if comparison.unchanged:  # after that: older versions may have been among the changed
            self._recorder.unchanged(len(comparison.unchanged_ids))
            self._hold.discard(comparison.unchanged_ids)
            self._recorder.acknowledged(self._recorder.entered(comparison.unchanged))
        return failures

    def _admit(self, items: list[Product | ProductFailure]) -> list[ProductFailure]:
        products, failures = self._check(items)
        self._recorder.failed(failures)
        self._hold.admit(self._recorder.entered(products))
        return failures
