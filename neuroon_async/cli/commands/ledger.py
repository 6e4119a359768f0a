"""``neuroon ledger``: what a ledger file holds, by shop. Never makes a file, nor turns an empty one into a ledger."""

# Annotations are read by typer at run time, so they are not postponed here.

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from ...errors import UsageError
from ...ledger.sqlite import SQLiteLedger
from ..console import confirmed, out, print_json, print_pairs
from ..exits import EXIT_CODES_HELP, exit_codes, run
from ..options import Debug, Json
from ..switches import Command, Group

__all__ = ["ledger_app"]

ledger_app: typer.Typer = typer.Typer(
    name="ledger", cls=Group, help="What a delta sync remembers: show it, or forget it.", no_args_is_help=True
)
LedgerPath = Annotated[Path, typer.Argument(metavar="PATH", help="The file given to 'neuroon sync --ledger'.")]


@dataclass(frozen=True, slots=True, order=True)
class LedgerShop:
    """A shop as a ledger names it: the same id at another address is another shop."""

    address: str
    shop_id: str

    @property
    def name(self) -> str:
        return f"{self.address} {self.shop_id}"


async def shops_in(path: Path) -> dict[LedgerShop, int]:
    """How many products it holds of each shop. Raises `LedgerError`, or `OSError` for a file that is not there."""
    shops = await SQLiteLedger(path).shops() if _has_content(path) else {}
    return {LedgerShop(*name.split(" ", 1)): shops[name] for name in sorted(shops)}


def _has_content(path: Path) -> bool:
    return path.stat().st_size > 0


async def forget_shops(path: Path, shops: Iterable[LedgerShop]) -> int:
    """Forget all of these shops. Returns how many products that were. Raises `LedgerError`."""
    ledger = SQLiteLedger(path)
    return sum([await ledger.forget_shop(shop.name) for shop in shops])


@ledger_app.command("show", cls=Command, epilog=EXIT_CODES_HELP)
def show_ledger(*, path: LedgerPath, as_json: Json = False, debug: Debug = False) -> None:
    """Show how many products the ledger holds of each shop."""
    with exit_codes(debug=debug):
        held = run(shops_in(path))
        if as_json:
            print_json(
                {"shops": [{"address": s.address, "shop_id": s.shop_id, "products": n} for s, n in held.items()]}
            )
        elif not held:
            out().print("The ledger holds no shop.")
        else:
            print_pairs(*((f"{shop.shop_id}  {shop.address}", products) for shop, products in held.items()))


@ledger_app.command("forget", cls=Command, epilog=EXIT_CODES_HELP)
def forget_ledger(
    *,
    path: LedgerPath,
    only: Annotated[
        str | None, typer.Option("--shop", metavar="ID", help="Only what belongs to this shop. Default: all shops.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    debug: Debug = False,
) -> None:
    """Forget what the server has: the next sync sends everything again, and deletes nothing."""
    with exit_codes(debug=debug):
        held = {shop: count for shop, count in run(shops_in(path)).items() if only in {None, shop.shop_id}}
        if only is not None and not held:
            raise UsageError(f"{path} holds nothing of shop {only!r}; 'neuroon ledger show' lists its shops")
        products = sum(held.values())
        of = f"of {', '.join(shop.shop_id for shop in held)}" if held else "at all"
        if not yes and not confirmed(f"Forget the state of {products:,} products {of}? The next sync sends them all."):
            raise UsageError("not confirmed, so nothing was forgotten; --yes does not ask")
        out().print(f"Forgotten: {run(forget_shops(path, held)):,} products.")
