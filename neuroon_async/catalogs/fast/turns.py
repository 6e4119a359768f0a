"""The two lanes take turns: what they made is handed on in the order of the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ...api.models import Product
    from ..records import Draft

__all__ = ["in_turns"]


def in_turns(
    products: Sequence[Product | None],
    taken: Callable[[list[Product], slice], list[Product]],
    careful: Callable[[int], Iterator[Draft]],
) -> Iterator[Draft | list[Product]]:
    """Each run of products as one list, and between them the drafts of what the fast lane declined.

    ``taken`` is told of a run, and where in ``products`` it stands, before it is handed on. ``careful`` makes the
    drafts of what stands at a place.
    """
    run: list[Product] = []
    start = 0
    for place, product in enumerate(products):
        if product is not None:
            run.append(product)
            continue
        if run:
            yield taken(run, slice(start, place))
            run = []
        start = place + 1
        yield from careful(place)
    if run:
        yield taken(run, slice(start, len(products)))
