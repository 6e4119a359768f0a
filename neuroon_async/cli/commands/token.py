"""``neuroon token``: a token for the browser widget, signed on this machine."""

# Annotations are read by typer at run time, so they are not postponed here.

import time
from datetime import UTC, datetime
from typing import Annotated

import typer

from ...api.addresses import is_site_address
from ...api.contract import WIDGET_TOKEN_LIFETIME, Environment
from ...errors import UsageError
from ...resources.widget import WidgetTokenSigner
from ..console import out, print_json
from ..exits import exit_codes
from ..groups import with_groups
from ..options import Credentials, Debug, Json

__all__ = ["token"]


@with_groups
def token(
    *,
    tag: Annotated[bool, typer.Option("--tag", help="Print the <script> element that carries it.")] = False,
    credentials: Credentials,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Sign a widget token, valid for 24 hours. No request is made."""
    with exit_codes(debug=debug):
        key, shop = credentials.complete()
        address = credentials.api_url or Environment.PRODUCTION
        if not is_site_address(address):  # and is not shown: it may be the key
            raise UsageError(f"must be an address such as {Environment.DEVELOPMENT}", where="api_url")
        environment = (
            Environment.DEVELOPMENT if address.rstrip("/") == Environment.DEVELOPMENT else Environment.PRODUCTION
        )
        signed_at = int(time.time())
        signer = WidgetTokenSigner(shop, key, environment=environment, clock=lambda: signed_at)
        if as_json:
            ends = datetime.fromtimestamp(signed_at + WIDGET_TOKEN_LIFETIME, UTC)
            document = {"shop_id": shop, "token": signer.token(), "valid_until": ends.isoformat()}
            print_json(document | ({"tag": signer.script_tag()} if tag else {}))
        else:
            out().out(signer.script_tag() if tag else signer.token(), highlight=False)
