"""Which sign separates decimals in each column, as the clear numbers of the catalog show. See `NumberNotations`."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from .values.numbers import sign_if_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .records import Draft
    from .values.numbers import Sign

__all__ = ["NumberNotations"]


class NumberNotations:
    """Settles ambiguous numbers: ``1.299`` is read where all clear numbers of its column agree on a notation.

    The first ambiguous number starts a first pass over the catalog (``first_pass`` yields its drafts), so a catalog
    without one is read once. What that pass finds holds for the whole reading. ``inferred`` is what was settled so:
    column → the decimal sign and the number of values read by it.
    """

    def __init__(self, first_pass: Callable[[], Iterable[Draft]]) -> None:
        self.inferred: dict[str, tuple[Sign, int]] = {}
        self._first_pass = first_pass
        self._seen: dict[str, Counter[Sign]] | None = None

    def settle(self, draft: Draft) -> None:
        """Read the ambiguous numbers of a draft; those that stay ambiguous become its problems."""
        for target in list(draft.ambiguous):
            column = draft.ambiguous[target].column
            sign = self._sign_of(column, target)
            whole = sign_if_whole(draft.ambiguous[target].value) if target == "stock_quantity" else None
            if sign is None and whole is not None:  # nothing says that it is no whole number
                draft.read_ambiguous(target, whole)
            elif sign is None:
                draft.refuse_ambiguous(target)
            else:
                draft.read_ambiguous(target, sign)
                self.inferred[column] = (sign, self.inferred.get(column, (sign, 0))[1] + 1)

    def _sign_of(self, column: str, target: str) -> Sign | None:
        if self._seen is None:
            self._seen = defaultdict(Counter)
            for draft in self._first_pass():
                for name, sign in draft.signs:
                    self._seen[name][sign] += 1
        signs: Counter[Sign] | None = self._seen.get(column)
        if not signs and target not in {"price", "sale_price"}:
            signs = Counter(sign for counts in self._seen.values() for sign in counts)  # a count is written like prices
        return next(iter(signs)) if signs is not None and len(signs) == 1 else None
