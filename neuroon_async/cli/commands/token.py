"""``neuroon token``: a token for the browser widget, signed on this machine."""

# Annotations are read by typer at run time, so they are not postponed here.

import os
from typing import Annotated

import typer

from ...api.contract import API_URL_VARIABLE, Environment
from ...resources.widget import WidgetTokenSigner
from ..console import out
from ..exits import exit_codes
from ..options import ApiKey, Debug, ShopId, credentials

__all__ = ["token"]


def token(
    *,
    tag: Annotated[bool, typer.Option("--tag", help="Print the <script> element that carries it.")] = False,
    shop_id: ShopId = None,
    api_key: ApiKey = None,
    debug: Debug = False,
) -> None:
    """Sign a widget token, valid for 24 hours. No request is made."""
    with exit_codes(debug=debug):
        key, shop = credentials(api_key, shop_id)
        api_url = os.environ.get(API_URL_VARIABLE, "").rstrip("/")
        environment = Environment.DEVELOPMENT if api_url == Environment.DEVELOPMENT else Environment.PRODUCTION
        signer = WidgetTokenSigner(shop, key, environment=environment)
        out().out(signer.script_tag() if tag else signer.token(), highlight=False)
