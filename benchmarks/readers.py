"""Reading a catalog against a bare loop over the same file: products/s, the fast lane's share, peak memory.

    python benchmarks/readers.py [--format jsonl csv shopify google] [--products 100000] [--rounds 5]

The bare loops convert what their library hands them and check nothing: msgspec's typed decoding of each line;
`csv.DictReader` and a struct; `csv.DictReader` alone, whose rows Shopify's products are set against;
``lxml.etree.iterparse`` and a struct. Both sides take turns, each run in a fresh process. The share of the fast lane is
counted apart, since counting takes time.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import msgspec
from lxml import etree

sys.path.insert(0, str(Path(__file__).parent))
from bulk import DESCRIPTION, products
from measuring import goal

from neuroon_async.api.models import encode
from neuroon_async.catalogs import read_catalog
from neuroon_async.catalogs.finishing import Finisher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

SHOP_URL = "https://shop.example"
SHOPIFY_COLUMNS = [
    *("Handle", "Title", "Body (HTML)", "Vendor", "Type", "Tags", "Published", "Option1 Name", "Option1 Value"),
    *("Option2 Name", "Option2 Value", "Variant SKU", "Variant Grams", "Variant Inventory Tracker"),
    *("Variant Inventory Qty", "Variant Inventory Policy", "Variant Fulfillment Service", "Variant Price"),
    *("Variant Compare At Price", "Variant Requires Shipping", "Variant Taxable", "Variant Barcode", "Image Src"),
    *("Image Position", "Image Alt Text", "Gift Card", "SEO Title", "Status"),
]


class Row(msgspec.Struct):
    """What the bare loops make of a record."""

    externalId: str  # noqa: N815 - the API's names
    name: str
    price: Decimal
    url: str
    sku: str | None = None
    description: str | None = None
    currency: str | None = None
    imageUrl: str | None = None  # noqa: N815
    categories: list[str] | None = None
    brands: list[str] | None = None
    inStock: bool | None = None  # noqa: N815
    stockQuantity: int | None = None  # noqa: N815
    attributes: dict[str, str] | None = None


# The files


def write_jsonl(path: Path, count: int) -> None:
    with path.open("wb") as file:
        for product in products(count):
            file.write(encode(product) + b"\n")


def write_csv(path: Path, count: int) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(
            ("id", "name", "price", "url", "sku", "description", "currency", "image_url", "categories", "brand",
             "in_stock", "stock_quantity", "attributes.colour", "attributes.size")
        )  # fmt: skip
        for i, product in enumerate(products(count)):
            attributes: Any = product.attributes
            rows.writerow(
                (product.external_id, product.name, f"{i // 100 + 1}.{i % 100:02d}", product.url, product.sku,
                 product.description, "EUR", product.image_url, f"Shoes|Line {i % 40}", f"Brand {i % 90}",
                 "true" if product.in_stock else "false", product.stock_quantity, *attributes.values())
            )  # fmt: skip


def write_shopify(path: Path, count: int) -> None:
    """Handles of three variants each, which make four products."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, SHOPIFY_COLUMNS, restval="")
        rows.writeheader()
        for i in range(count // 4):
            for position, size in enumerate(("S", "M", "L"), 1):
                row = {
                    "Handle": f"trail-running-shoe-{i}", "Option1 Value": size, "Option2 Value": "blue",
                    "Variant SKU": f"TRS-{i}-{size}", "Variant Grams": "300", "Variant Inventory Tracker": "shopify",
                    "Variant Inventory Qty": i % 50, "Variant Inventory Policy": "deny",
                    "Variant Fulfillment Service": "manual", "Variant Price": f"{i // 100 + position}.{i % 100:02d}",
                    "Variant Compare At Price": f"{i // 100 + 9}.{i % 100:02d}" if i % 3 == 0 else "",
                    "Variant Requires Shipping": "true", "Variant Taxable": "true",
                    "Image Src": f"https://cdn.shop.example/images/{i}-{position}.jpg", "Image Position": position,
                }  # fmt: skip
                if position == 1:
                    row |= {
                        "Title": f"Trail running shoe, model {i}", "Body (HTML)": f"<p>{DESCRIPTION}</p><p>No. {i}</p>",
                        "Vendor": f"Brand {i % 90}", "Type": "Shoes", "Tags": f"running, trail, line {i % 40}",
                        "Published": "true", "Option1 Name": "Size", "Option2 Name": "Colour", "Gift Card": "false",
                        "Status": "active",
                    }  # fmt: skip
                rows.writerow(row)


def write_google(path: Path, count: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write('<?xml version="1.0"?><rss xmlns:g="http://base.google.com/ns/1.0" version="2.0"><channel>\n')
        for i, product in enumerate(products(count)):
            fields = {
                "id": product.external_id, "title": product.name, "description": product.description,
                "link": product.url, "image_link": product.image_url, "price": f"{i // 100 + 1}.{i % 100:02d} EUR",
                "availability": "in stock" if product.in_stock else "out of stock", "brand": f"Brand {i % 90}",
                "product_type": f"Shoes > Line {i % 40}", "gtin": f"{i:013d}", "condition": "new",
                "item_group_id": f"G{i // 4}", "color": "blue", "size": str(36 + i % 12),
            }  # fmt: skip
            file.write("<item>" + "".join(f"<g:{n}>{escape(str(v))}</g:{n}>" for n, v in fields.items()) + "</item>\n")
        file.write("</channel></rss>\n")


# The bare loops


def bare_jsonl(path: Path) -> Iterator[Row]:
    decode = msgspec.json.Decoder(Row).decode
    with path.open("rb") as file:
        for line in file:
            yield decode(line)


def bare_csv(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield Row(
                externalId=row["id"],
                name=row["name"],
                price=Decimal(row["price"]),
                url=row["url"],
                sku=row["sku"],
                description=row["description"],
                currency=row["currency"],
                imageUrl=row["image_url"],
                categories=row["categories"].split("|"),
                brands=[row["brand"]],
                inStock=row["in_stock"] == "true",
                stockQuantity=int(row["stock_quantity"]),
                attributes={"colour": row["attributes.colour"], "size": row["attributes.size"]},
            )


def bare_shopify(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def bare_google(path: Path) -> Iterator[Row]:
    for _, element in etree.iterparse(str(path), tag="item"):
        row = {child.tag.rpartition("}")[2]: child.text for child in element}
        amount, _, currency = row["price"].partition(" ")
        yield Row(
            externalId=row["id"],
            name=row["title"],
            price=Decimal(amount),
            url=row["link"],
            description=row["description"],
            currency=currency,
            imageUrl=row["image_link"],
            categories=row["product_type"].split(" > "),
            brands=[row["brand"]],
            inStock=row["availability"] == "in stock",
            attributes={name: row[name] for name in ("gtin", "condition", "item_group_id", "color", "size")},
        )
        element.clear()
        while element.getprevious() is not None:
            del element.getparent()[0]


FILES: dict[str, tuple[str, Callable[[Path, int], None], Callable[[Path], Iterable[Any]]]] = {
    "jsonl": ("catalog.jsonl", write_jsonl, bare_jsonl),
    "csv": ("catalog.csv", write_csv, bare_csv),
    "shopify": ("shopify.csv", write_shopify, bare_shopify),
    "google": ("feed.xml", write_google, bare_google),
}

GOALS = {
    "jsonl": ("reading JSON Lines with the API's keys, over a bare msgspec typed decode", "0.30 (0.38)"),
    "csv": ("reading CSV, over csv.DictReader and a struct", "0.65 (0.80)"),
    "shopify": ("reading Shopify's export, products over bare DictReader rows", "0.20 (0.27)"),
    "google": ("reading Google XML, over lxml.iterparse and a struct", "0.50 (0.60)"),
}


# The runs


def measure(side: str, format_: str, path: Path) -> dict[str, float]:
    """One run in this process, which was started for nothing else."""
    reading: Iterable[Any] = FILES[format_][2](path) if side == "bare" else read_catalog(path, shop_url=SHOP_URL)
    started = time.process_time()  # one thread, and the file is in memory: as the clock, without other processes
    count = sum(1 for _ in reading)
    seconds = time.process_time() - started
    if side != "bare":
        assert reading.products == count, reading.failed  # type: ignore[attr-defined]
    return {"rate": count / seconds, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def share(path: Path) -> dict[str, float]:
    """How many of the products did not pass the finishing station of the careful lane."""
    careful = 0
    finish = Finisher.finish

    def counting(self: Finisher, draft: Any) -> Any:
        nonlocal careful
        careful += 1
        return finish(self, draft)

    Finisher.finish = counting  # type: ignore[method-assign]
    catalog = read_catalog(path, shop_url=SHOP_URL)
    deque(catalog, maxlen=0)
    return {"share": 1 - careful / catalog.products}


def in_own_process(*arguments: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--run", *arguments]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def compare(format_: str, count: int, rounds: int) -> None:
    name, write, _ = FILES[format_]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        write(path, count)
        runs: dict[str, list[dict[str, float]]] = {"bare": [], "sdk": []}
        for _ in range(rounds):
            for side, results in runs.items():
                results.append(in_own_process(side, format_, str(path)))
        ratios = [sdk["rate"] / bare["rate"] for bare, sdk in zip(runs["bare"], runs["sdk"], strict=True)]
        fast = in_own_process("share", format_, str(path))["share"]
        rate, bare = (statistics.median(run["rate"] for run in runs[side]) for side in ("sdk", "bare"))
        ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        print(
            f"| {format_} | {rate:,.0f} | {bare:,.0f} | {ratio} | {GOALS[format_][1]} | {fast:.1%} "
            f"| {max(run['peak'] for run in runs['sdk']):.0f} | {path.stat().st_size / 2**20:.0f} |",
            flush=True,
        )
        goal(*GOALS[format_], ratio, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--format", nargs="+", choices=FILES, default=list(FILES))
    parser.add_argument("--products", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", metavar="FOLDER", type=Path, help="only write the files there")
    parser.add_argument("--run", nargs=3, metavar=("SIDE", "FORMAT", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        side, format_, path = options.run
        print(json.dumps(share(Path(path)) if side == "share" else measure(side, format_, Path(path))))
        return
    if not options.write:
        print(
            f"{options.products:,} products, {options.rounds} pairs a row, processor time; median (lowest-highest).\n"
        )
        print("| | products/s | bare | ratio | goal (stretch) | fast lane | peak, MB | file, MB |")
        print("|---|---:|---:|---|---|---:|---:|---:|")
    for format_ in options.format:
        if options.write:
            FILES[format_][1](options.write / FILES[format_][0], options.products)
        else:
            compare(format_, options.products, options.rounds)


if __name__ == "__main__":
    main()
