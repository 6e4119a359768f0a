"""Options that several commands share."""

# Annotations are read by typer at run time, so they are not postponed here.

import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from ..api.contract import API_KEY_VARIABLE, API_URL_VARIABLE, SHOP_ID_VARIABLE
from ..catalogs import CatalogFormat
from ..client import ClientOptions, NeuroonClient
from ..errors import ConfigurationError, UsageError
from .console import note

__all__ = [
    "AllowPlainHttp",
    "ApiKey",
    "ApiUrl",
    "CaFile",
    "Concurrency",
    "Currency",
    "Debug",
    "Decimal",
    "Delimiter",
    "Encoding",
    "Fit",
    "Format",
    "Json",
    "KeepGoing",
    "ListPath",
    "Map",
    "Proxy",
    "Quiet",
    "Sheet",
    "ShopId",
    "ShopUrl",
    "connect",
    "credentials",
    "parse_mapping",
    "reading_options",
]

ApiUrl = Annotated[
    str | None,
    typer.Option(
        envvar=API_URL_VARIABLE,
        help="Where the API is. Default: production.",
        show_default=False,
        rich_help_panel="Access",
    ),
]
ShopId = Annotated[str | None, typer.Option(envvar=SHOP_ID_VARIABLE, help="The shop's id.", rich_help_panel="Access")]
ApiKey = Annotated[
    str | None,
    typer.Option(
        envvar=API_KEY_VARIABLE,
        help="The shop's API key. Prefer the variable: other users of this machine can see the options of a command.",
        rich_help_panel="Access",
    ),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.", rich_help_panel="Output")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.", rich_help_panel="Output")]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print nothing unless something failed.", rich_help_panel="Output")
]
Concurrency = Annotated[int, typer.Option(min=1, help="Requests side by side.")]
CaFile = Annotated[
    Path | None,
    typer.Option(
        "--ca-file",
        envvar="SSL_CERT_FILE",
        help="Certificate authorities to trust beside the system's, such as that of your network's proxy.",
        dir_okay=False,
        rich_help_panel="Access",
    ),
]

Proxy = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="The HTTP proxy that leads out, such as http://proxy.example:3128. By default that of HTTPS_PROXY, unless "
        "NO_PROXY exempts the address.",
        rich_help_panel="Access",
    ),
]
AllowPlainHttp = Annotated[
    bool,
    typer.Option(
        "--allow-plain-http",
        help="Accept an http address of another machine. The API key then travels unencrypted.",
        rich_help_panel="Access",
    ),
]

Format = Annotated[
    CatalogFormat,
    typer.Option("--format", "-f", metavar="FORMAT", help=f"What the file is: {', '.join(CatalogFormat)}."),
]
Map = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        "-m",
        metavar="FIELD=COLUMN",
        help="Where a product field comes from: a column (name=title) or a template (url=/p/{name:slug}). "
        "Give it once for each field.",
    ),
]
ShopUrl = Annotated[str | None, typer.Option(help="Completes addresses that the file gives without host.")]
Currency = Annotated[str | None, typer.Option(help="For products that name none, such as EUR.")]
Fit = Annotated[bool, typer.Option("--fit", help="Cut names and descriptions that are too long.")]
Encoding = Annotated[str | None, typer.Option(help="Of the text; by default the content tells.")]
Delimiter = Annotated[str | None, typer.Option(help="Of a CSV file; by default the content tells.")]
Decimal = Annotated[str | None, typer.Option(help="The decimal sign: . or , (by default the clear prices tell).")]
ListPath = Annotated[
    str | None,
    typer.Option("--list", metavar="PATH", help="The list of products in JSON, where it is not plain: data.items."),
]
Sheet = Annotated[
    str | None, typer.Option("--sheet", metavar="NAME", help="The sheet of an .xlsx file; by default the first.")
]
KeepGoing = Annotated[
    bool, typer.Option("--keep-going", help="Read on where the first 1,000 records all fail for one reason.")
]


def reading_options(mapping: list[str] | None, **others: Any) -> dict[str, Any]:
    """Keyword arguments of `read_catalog`. Raises `ConfigurationError` for a mapping that cannot be read."""
    return {"mapping": parse_mapping(mapping or []), **others}


def parse_mapping(pairs: list[str]) -> dict[str, str]:
    """``["name=title"]`` as a mapping. Raises `ConfigurationError`."""
    mapping: dict[str, str] = {}
    for pair in pairs:
        target, equals, source = pair.partition("=")
        if not equals or not target.strip():
            raise UsageError(f"--map takes FIELD=COLUMN or FIELD=TEMPLATE, such as name=title; got {pair!r}")
        if target.strip() in mapping:
            raise UsageError(f"--map gives {target.strip()!r} twice")
        mapping[target.strip()] = source
    return mapping


def connect(
    api_url: str | None,
    api_key: str | None,
    shop_id: str | None,
    *,
    ca_file: Path | None,
    proxy: str | None,
    allow_plain_http: bool = False,
) -> NeuroonClient:
    """A client by options or variables. Raises `ConfigurationError` that names all that is missing."""
    key, shop = credentials(api_key, shop_id)
    options: ClientOptions = {
        "shop_id": shop,
        "api_key": key,
        "base_url": api_url or None,
        "ssl": ca_file,
        "allow_plain_http": allow_plain_http,
        "user_agent": "neuroon-cli",
    }
    if proxy is not None:  # else that of the environment
        options["proxy"] = proxy
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        client = NeuroonClient.from_env(**options)
    for warning in caught:
        note(f"warning: {warning.message}")
    return client


def credentials(api_key: str | None, shop_id: str | None) -> tuple[str, str]:
    """The key and the shop's id. Raises `ConfigurationError` that names all that is missing."""
    if api_key and shop_id:
        return api_key, shop_id
    missing = [name for name, value in ((API_KEY_VARIABLE, api_key), (SHOP_ID_VARIABLE, shop_id)) if not value]
    raise ConfigurationError(
        f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set; "
        "without an account, 'neuroon sandbox' offers the same API on this machine"
    )
