"""``neuroon demo``: a made-up shop, an emulated API with small mishaps, a real sync between them."""

# Annotations are read by typer at run time, so they are not postponed here.

import random
import secrets
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from ...api.models import Product
from ...client import NeuroonClient
from ...report import SyncReport
from ...testing import Emulator, Fault, RecordedRequest
from ...transport.retries import RetryPolicy
from ..console import out, show_report
from ..exits import exit_codes, report_of, run
from ..options import Debug
from ..picture import drawn
from ..progress import Length, limit_of, progress_bar

__all__ = ["demo_catalog", "run_demo"]

_SHOP = "https://shop.example"
_LATENCY = 0.16
"""Seconds before each answer; half as much again by chance."""
_MOST_REQUESTS = 60
"""Fewer than the documented 100 a minute: a demonstration should not begin with a pause."""

_KINDS = {
    # what: (category, from EUR, to EUR, what its variants differ in)
    "Trail Running Shoes": ("Shoes > Running", 79, 169, ("Size", ("38", "40", "42", "44"))),
    "Leather Ankle Boots": ("Shoes > Boots", 99, 219, ("Size", ("37", "39", "41", "43"))),
    "Merino Sweater": ("Clothing > Knitwear", 49, 129, ("Size", ("S", "M", "L", "XL"))),
    "Linen Shirt": ("Clothing > Shirts", 35, 89, ("Size", ("S", "M", "L", "XL"))),
    "Rain Jacket": ("Clothing > Outerwear", 89, 279, ("Size", ("S", "M", "L"))),
    "Daypack 22 l": ("Outdoor > Backpacks", 59, 149, None),
    "Two-Person Tent": ("Outdoor > Tents", 149, 499, None),
    "Enamel Mug": ("Kitchen > Tableware", 9, 19, None),
    "Cast Iron Pan": ("Kitchen > Cookware", 39, 119, None),
    "Espresso Beans 1 kg": ("Kitchen > Coffee", 17, 34, None),
    "Desk Lamp": ("Home > Lighting", 29, 139, None),
    "Wool Blanket": ("Home > Textiles", 45, 159, None),
}
_COLOURS = ("Black", "Forest Green", "Sand", "Navy", "Rust", "Ivory", "Slate", "Ochre")
_BRANDS = ("Fjordal", "Casa Lumen", "Nortes", "Bergland", "Mar & Sal", "Atelier Vidal", "Oak & Iron", "Pirineo")
_DISCONTINUED = "Nortes"


def demo_catalog(count: int, seed: int = 7) -> Iterator[Product | dict[str, Any]]:
    """About ``count`` products with their variants; a few of them wrong on purpose. The same in every run."""
    rng = random.Random(seed)  # noqa: S311 - has to be repeatable, not secret
    made = number = 0
    while made < count:
        number += 1
        for product in _family(rng, number):
            made += 1
            yield product
    yield from _mistakes()


def _family(rng: random.Random, number: int) -> Iterator[Product]:
    kind = rng.choice(list(_KINDS))
    category, low, high, variation = _KINDS[kind]
    brand, colour = rng.choice(_BRANDS), rng.choice(_COLOURS)
    name = f"{brand} {kind}, {colour}"
    external_id = f"P-{number:05}"
    price = Decimal(rng.randint(low * 2, high * 2)) / 2 - Decimal("0.05")
    stock = rng.choice((0, 3, 12, 40, 150))

    def product(**differing: Any) -> Product:
        fields: dict[str, Any] = {
            "external_id": external_id,
            "name": name,
            "price": price,
            "url": f"{_SHOP}/p/{external_id.lower()}",
            "description": f"{kind} by {brand} in {colour.lower()}. Made to last, and repaired in our own workshop.",
            "currency": "EUR",
            "image_url": f"{_SHOP}/images/{external_id.lower()}.jpg",
            "categories": category.split(" > "),
            "brands": [brand],
            "in_stock": stock > 0,
            "stock_quantity": stock,
            "rating": Decimal(rng.randint(34, 50)) / 10,
            "attributes": {"Colour": colour},
        }
        return Product(**(fields | differing))

    yield product(sale_price=price * Decimal("0.8")) if rng.random() < 0.1 else product()
    for value in variation[1] if variation is not None else ():
        yield product(
            external_id=f"{external_id}-{value}",
            name=f"{name}, {value}",
            parent_external_id=external_id,
            attributes={"Colour": colour, variation[0] if variation else "": value},
        )


def _mistakes() -> Iterator[Product | dict[str, Any]]:
    """What real catalogs hold too: rules broken, a parent that is not there, a product given twice."""
    good: dict[str, Any] = {"price": Decimal("19.95"), "url": f"{_SHOP}/p/x", "currency": "EUR"}
    yield {**good, "external_id": "X-NEGATIVE", "name": "Gift voucher", "price": -10}
    yield {**good, "external_id": "X-NAMELESS", "name": ""}
    yield {**good, "external_id": "X-RATED", "name": "Wool Socks", "rating": 11}
    yield {"external_id": "X-PRICELESS", "name": "Antique Chair", "url": f"{_SHOP}/p/chair"}
    yield {**good, "external_id": "X-TYPO", "name": "Tea Towel", "catgories": ["Kitchen"]}
    yield Product(external_id="X-ORPHAN-42", name="Sandals, 42", parent_external_id="X-ORPHAN", **good)
    yield Product(external_id="X-RECALLED", name=f"{_DISCONTINUED} Camping Stove", tags=["recalled"], **good)
    for price in (24, 22, 20):
        repriced: dict[str, Any] = {**good, "price": price}
        yield Product(external_id="X-REPRICED", name="Beach Towel", **repriced)


def run_demo(count: int) -> None:
    """Sync, report, and say what to try next."""
    try:
        run(_demo(count))
    except BaseException as error:
        report = report_of(error)
        if report is not None:
            show_report(report, title="Sync of the demo catalog (stopped before its end)")
        raise


async def _demo(count: int) -> None:
    key = f"sk_{secrets.token_hex(16)}"
    emulator = Emulator(
        "shop_demo", key, latency=_LATENCY, jitter=_LATENCY / 2, reject_item=_refusal, keep_bodies=False
    )
    emulator.fail("sync_products", Fault.status(503, "Service restarting"), when=_nth(5))
    emulator.fail("sync_products", Fault.drop(processed=True), when=_nth(12))
    async with (
        emulator,
        NeuroonClient(
            shop_id="shop_demo", api_key=key, base_url=emulator.url, retry=RetryPolicy(initial=0.2)
        ) as client,
    ):
        products = list(demo_catalog(count))
        out().print(
            Text.assemble(
                ("neuroon demo", "bold"),
                f": {len(products):,} products of a made-up shop go to an emulated Plugin API\n"
                f"({emulator.url}) with its documented rate limits, some latency,\n"
                "one 503 and one lost connection.\n",
            )
        )
        with progress_bar("Syncing", lambda: Length(len(products), sure=True), next_in=limit_of(client)) as on_progress:
            report = await client.products.sync(
                products, concurrency=4, batch_size=max(20, len(products) // _MOST_REQUESTS), on_progress=on_progress
            )
        show_report(report, title="Sync of the demo catalog")
        _show_outcome(emulator, report, client.widget.token())


def _nth(number: int) -> Callable[[RecordedRequest], bool]:
    return lambda request: request.number == number


def _refusal(product: dict[str, Any]) -> str | None:
    return "tags: recalled products cannot be listed" if "recalled" in (product.get("tags") or ()) else None


def _show_outcome(emulator: Emulator, report: SyncReport, token: str) -> None:
    console = out()
    held = emulator.products
    variants = sum("parentExternalId" in product for product in held.values())
    agrees = "exactly those accepted" if len(held) == report.accepted else f"but {report.accepted:,} were accepted"
    console.print(f"\nThe server now holds {len(held):,} products, {agrees}; {variants:,} are variants.")
    for product in sorted(held.values(), key=lambda held: str(held["externalId"]))[:3]:
        console.print(Text(f"  {product['externalId']:<12} {product['price']:>7} EUR  {product['name']}", style="dim"))
    console.print("\nA token for the search widget, signed on this machine and valid for 24 hours:")
    console.print(Text(f"  {token}", style="dim"), soft_wrap=not console.record)  # to be copied in one piece
    console.print(Text("\nWhat to try next", style="bold"))
    for command, what in (
        ("neuroon sync products.csv --dry-run", "check a file of yours; sends nothing"),
        ("neuroon sandbox", "this API on port 8765, to develop against"),
        ("neuroon sync --help", "mapping columns, dead letters, exit codes"),
    ):
        console.print(Text.assemble("  ", (f"{command:<37}", "cyan"), what))


def demo(
    *,
    products: Annotated[int, typer.Option(min=100, max=20_000, help="About how many products.")] = 5_000,
    svg: Annotated[
        Path | None, typer.Option(metavar="FILE", dir_okay=False, help="Also draw the output into this SVG file.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Sync a made-up catalog with an emulated API on this machine. Needs no account and no network."""
    with exit_codes(debug=debug), drawn(svg, title="neuroon demo"):
        run_demo(products)
