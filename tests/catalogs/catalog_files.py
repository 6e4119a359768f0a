"""How the tests of the catalog readers get at catalogs: inline bytes, and the folder of real ones."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest

from neuroon_async import Product, ProductFailure
from neuroon_async.catalogs import Catalog, CatalogError

SHOP = "https://shop.example"
_DATA = Path(os.environ.get("NEUROON_TEST_DATA") or Path(__file__).parents[3] / "shared" / "data")


def real_catalog(name: str) -> Path:
    path = _DATA / name
    if not path.is_file():
        pytest.skip(f"{name} is not in {_DATA} (set NEUROON_TEST_DATA to the folder of real catalogs)")
    return path


def named(content: bytes | str, name: str = "file.csv") -> io.BytesIO:
    file = io.BytesIO(content if isinstance(content, bytes) else content.encode())
    file.name = name
    return file


def read(content: bytes | str, name: str = "file.csv", **options: Any) -> list[Product | ProductFailure]:
    return list(Catalog(named(content, name), **options))


def products(content: bytes | str, name: str = "file.csv", **options: Any) -> list[Product]:
    items = read(content, name, **options)
    assert all(isinstance(item, Product) for item in items), [str(i) for i in items if not isinstance(i, Product)]
    return items


def one_failure(content: bytes | str, name: str = "file.csv", **options: Any) -> ProductFailure:
    (item,) = read(content, name, **options)
    assert isinstance(item, ProductFailure)
    assert item.stage == "local"
    return item


def until_fault(catalog: Catalog) -> tuple[list[Product | ProductFailure], str]:
    """What is yielded before the fatal fault, and the fault's message."""
    items = []
    with pytest.raises(CatalogError) as caught:
        items.extend(catalog)
    return items, str(caught.value)


class Pipe(io.RawIOBase):
    """Bytes in small pieces, without seeking: what a pipe is."""

    def __init__(self, content: bytes, piece: int = 7) -> None:
        super().__init__()
        self._content, self._piece, self._at = content, piece, 0

    def read(self, size: int = -1) -> bytes:
        data = self._content[self._at : self._at + min(self._piece, size)]
        self._at += len(data)
        return data
