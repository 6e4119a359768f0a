"""Catalogs for the scenarios: products in versions, families of variants, some of them without their parents."""

from __future__ import annotations

from collections.abc import Collection
from random import Random
from typing import Any

from neuroon_async import Product

__all__ = ["family_catalog", "last_versions", "plain_catalog", "prices", "product", "wanted"]


def product(external_id: str, price: int, parent: str | None = None, size: int = 1) -> Product:
    """``price`` tells versions apart."""
    more: dict[str, Any] = {} if parent is None else {"parent_external_id": parent}
    return Product(external_id=external_id, name="x" * size, price=price, url="https://shop.example/x", **more)


def plain_catalog(random: Random) -> list[Product]:
    """Few ids or many, each in one version or several; these may be new ones each time, or go back and forth."""
    ids = random.choice((1, 3, 10, 40, 120))
    versions = random.choice((1, 1, 2, 5, 5))
    names = [f"p{number}" for number in range(ids)] * versions
    if random.random() < 0.7:
        random.shuffle(names)
    back_and_forth = versions > 2 and random.random() < 0.6
    size = random.choice((1, 1, 60))
    return [
        product(name, version % 2 if back_and_forth else version, size=size) for version, name in enumerate(names, 1)
    ]


def family_catalog(random: Random) -> list[Product]:
    """Parents and variants in any order, in versions; some parents never come, and some families are circles."""
    items: list[tuple[str, str | None]] = []
    for family in range(random.choice((1, 4, 12))):
        head = f"f{family}"
        fate = random.random()
        if fate < 0.7:
            items.append((head, None))
        elif fate < 0.8:
            items.append((head, f"f{family}v0"))  # a circle
        items += [(f"{head}v{number}", head) for number in range(random.randint(1, 6))]
        if random.random() < 0.3:
            items.append((f"{head}v0w", f"{head}v0"))
    items += [(f"p{number}", None) for number in range(random.choice((0, 5, 40)))]
    if random.random() < 0.4:
        items *= 2
    random.shuffle(items)
    return [product(name, version, parent) for version, (name, parent) in enumerate(items, 1)]


def last_versions(products: list[Product]) -> dict[str, Product]:
    return {item.external_id: item for item in products}


def wanted(products: list[Product], *, held: Collection[str] = ()) -> dict[str, float]:
    """What the server should hold in the end, by price: the last version of all whose parents can be there.

    A circle gets in as a whole where chance puts it into one batch: what is ``held`` of it is right.
    """
    last = last_versions(products)
    circles = {name for name in last if _ends_in_circle(name, last)}
    present = circles & set(held)
    while more := {name for name in last.keys() - circles - present if _parent_of(last[name]) in {None, *present}}:
        present |= more
    assert all(_parent_of(last[name]) in present for name in circles & present), "a variant without its parent"
    return {name: float(last[name].price) for name in last if name in present}


def _ends_in_circle(name: str, last: dict[str, Product]) -> bool:
    seen: set[str] = set()
    while name in last and name not in seen:
        seen.add(name)
        name = _parent_of(last[name]) or ""
    return name in seen


def _parent_of(item: Product) -> str | None:
    return item.parent_external_id or None


def prices(products: dict[str, dict[str, Any]]) -> dict[str, float]:
    """What the server holds."""
    return {name: float(stored["price"]) for name, stored in products.items()}
