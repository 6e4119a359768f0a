"""Which products of the source the server has by now, for those who acknowledge them elsewhere. Pure."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, NamedTuple

from .deferred import plain_fields

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..api.models import Product

__all__ = ["Receipts"]


class Receipts:
    """The versions of each product that are on their way, in the order of the source."""

    def __init__(self) -> None:
        self._versions: dict[str, list[_Version]] = {}
        self._objects: set[int] = set()
        """Which objects are on their way, by `id`."""

    def entered(self, products: Iterable[Product]) -> list[Product]:
        """These are on their way from now on, as what is returned: an object that already is becomes another one.

        A source may yield one object again and again. Its versions must be told apart.
        """
        return [self._entered(product) for product in products]

    def _entered(self, product: Product) -> Product:
        version = _Version(copy(product) if id(product) in self._objects else product, product)
        self._objects.add(id(version.on_its_way))
        self._versions.setdefault(product.external_id, []).append(version)
        return version.on_its_way

    def settled(self, product: Product) -> list[Product]:
        """The product and all its earlier versions, which it replaces: they are not on their way any more.

        They are returned as the source gave them.
        """
        versions = self._versions.pop(product.external_id, [])
        place = _place(versions, product)
        if versions[place + 1 :]:
            self._versions[product.external_id] = versions[place + 1 :]
        settled = versions[: place + 1]
        self._objects.difference_update(id(version.on_its_way) for version in settled)
        return [version.given for version in settled]


class _Version(NamedTuple):
    on_its_way: Product
    given: Product
    """As the source gave it."""


def _place(versions: list[_Version], product: Product) -> int:
    for place, version in enumerate(versions):
        if version.on_its_way is product:
            return place
    fields = plain_fields(product)  # one that waited in a temporary file has come back as a copy
    places = range(len(versions) - 1, -1, -1)  # of several that are equal only the last one waited there
    return next((place for place in places if plain_fields(versions[place].given) == fields), -1)
