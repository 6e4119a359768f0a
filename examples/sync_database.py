"""A database cursor as the source: ``python examples/sync_database.py shop.db``.

Shown with sqlite3; any DB-API driver does the same with ``cursor.fetchmany``. Fetching runs in a thread, so a slow
query does not hold up the requests in flight; with an async driver, ``async for row in cursor`` replaces it. Without a
file it makes a small database of its own.
"""

import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from decimal import Decimal

from neuroon_async import NeuroonClient, Product

SELECT = """
    SELECT products.sku, products.title, products.cents, products.slug, products.stock, brands.name AS brand
    FROM products LEFT JOIN brands ON brands.id = products.brand_id
    ORDER BY products.sku
"""


async def products(database: sqlite3.Connection) -> AsyncIterator[Product]:
    with closing(await asyncio.to_thread(database.execute, SELECT)) as cursor:
        while rows := await asyncio.to_thread(cursor.fetchmany, 500):
            for row in rows:
                yield to_product(row)


def to_product(row: sqlite3.Row) -> Product:
    return Product(
        external_id=row["sku"],
        name=row["title"],
        price=Decimal(row["cents"]) / 100,
        url=f"https://shop.example/p/{row['slug']}",
        currency="EUR",
        brands=[row["brand"]] if row["brand"] else [],
        in_stock=row["stock"] > 0,
        stock_quantity=row["stock"],
    )


def make_database(database: sqlite3.Connection) -> None:
    database.executescript(
        """
        CREATE TABLE brands (id INTEGER PRIMARY KEY, name TEXT);
        CREATE TABLE products (sku TEXT PRIMARY KEY, title TEXT, cents INTEGER, slug TEXT, stock INTEGER, brand_id INT);
        INSERT INTO brands VALUES (1, 'Oak & Iron');
        """
    )
    database.executemany(
        "INSERT INTO products VALUES (?, ?, ?, ?, ?, ?)",
        ((f"P-{n:04}", f"Enamel mug no. {n}", 900 + n, f"mug-{n}", n % 5, 1 if n % 2 else None) for n in range(1200)),
    )


async def main(path: str | None) -> None:
    # The connection is handed from thread to thread, but never used by two at once.
    with closing(sqlite3.connect(path or ":memory:", check_same_thread=False)) as database:
        database.row_factory = sqlite3.Row
        if path is None:
            make_database(database)
        async with NeuroonClient.from_env() as client:
            print(await client.products.sync(products(database)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else None))
