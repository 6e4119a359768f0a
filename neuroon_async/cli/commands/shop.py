"""``neuroon shop``: the shop's plan."""

# Annotations are read by typer at run time, so they are not postponed here.

from msgspec import to_builtins
from msgspec.structs import asdict

from ..console import print_json, print_pairs
from ..exits import exit_codes, run
from ..groups import with_groups
from ..options import Credentials, Debug, Json, Network, connect

__all__ = ["shop"]


@with_groups
def shop(
    *,
    credentials: Credentials,
    network: Network,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show the shop's plan. A quick test of the credentials too."""
    with exit_codes(debug=debug):
        client = connect(credentials, network)

        async def ask() -> None:
            async with client:
                plan = await client.shop()
            if as_json:
                print_json({"shop_id": client.shop_id, **to_builtins(asdict(plan))})
                return
            print_pairs(
                ("shop", client.shop_id),
                ("products at most", plan.max_products),
                ("searches a month at most", plan.max_searches_per_month),
            )

        run(ask())
