"""Which products of the source the server has by now, for those who acknowledge them elsewhere. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .deferred import plain_fields

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..api.models import Product

__all__ = ["Receipts"]


class Receipts:
    """The versions of each product that are on their way, in the order of the source."""

    def __init__(self) -> None:
        self._versions: dict[str, list[Product]] = {}

    def entered(self, products: Iterable[Product]) -> None:
        for product in products:
            self._versions.setdefault(product.external_id, []).append(product)

    def settled(self, product: Product) -> list[Product]:
        """The product and all its earlier versions, which it replaces: they are not on their way any more."""
        versions = self._versions.pop(product.external_id, [])
        place = _place(versions, product)
        if versions[place + 1 :]:
            self._versions[product.external_id] = versions[place + 1 :]
        return versions[: place + 1]


def _place(versions: list[Product], product: Product) -> int:
    for place, version in enumerate(versions):
        if version is product:
            return place
    fields = plain_fields(product)  # one that waited in a temporary file has come back as a copy
    return next((place for place, version in enumerate(versions) if plain_fields(version) == fields), -1)
