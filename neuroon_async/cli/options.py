"""Options that several commands share. Those that belong together are a dataclass: see `groups`."""

# Annotations are read by typer at run time, so they are not postponed here.

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from ..api.arguments import MOST_AT_ONCE
from ..api.contract import API_KEY_VARIABLE, API_URL_VARIABLE, SHOP_ID_VARIABLE
from ..catalogs import CatalogFormat, CatalogOptions
from ..client import ClientOptions, NeuroonClient
from ..errors import ConfigurationError, UsageError
from .console import note
from .reading import IN_THE_SHELL

__all__ = [
    "ApiUrl",
    "Concurrency",
    "Credentials",
    "Debug",
    "FileReading",
    "Json",
    "Network",
    "Quiet",
    "connect",
    "parse_mapping",
]

Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.", rich_help_panel="Output")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.", rich_help_panel="Output")]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print nothing unless something failed.", rich_help_panel="Output")
]
Concurrency = Annotated[int, typer.Option(min=1, max=MOST_AT_ONCE, metavar="N", help="Requests side by side.")]
ApiUrl = Annotated[
    str | None,
    typer.Option(
        "--api-url",
        envvar=API_URL_VARIABLE,
        help="Where the API is. Default: production.",
        show_default=False,
        rich_help_panel="Access",
    ),
]


@dataclass(frozen=True, slots=True)
class Credentials:
    """Which shop, at which address, with which key."""

    api_url: ApiUrl = None
    shop_id: Annotated[
        str | None, typer.Option(envvar=SHOP_ID_VARIABLE, help="The shop's id.", rich_help_panel="Access")
    ] = None
    api_key: Annotated[
        str | None,
        typer.Option(
            envvar=API_KEY_VARIABLE,
            help="The shop's API key. Prefer the variable: other users of this machine can see the options of a "
            "command.",
            rich_help_panel="Access",
        ),
    ] = field(default=None, repr=False)

    def complete(self) -> tuple[str, str]:
        """The key and the shop's id. Raises `ConfigurationError` that names all that is missing."""
        if self.api_key and self.shop_id:
            return self.api_key, self.shop_id
        given = ((API_KEY_VARIABLE, self.api_key), (SHOP_ID_VARIABLE, self.shop_id))
        missing = [name for name, value in given if not value]
        raise ConfigurationError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set; "
            "without an account, 'neuroon sandbox' offers the same API on this machine"
        )


@dataclass(frozen=True, slots=True)
class Network:
    """The way to the server."""

    ca_file: Annotated[
        Path | None,
        typer.Option(
            "--ca-file",
            envvar="SSL_CERT_FILE",
            help="Certificate authorities to trust beside the system's, such as that of your network's proxy.",
            dir_okay=False,
            rich_help_panel="Access",
        ),
    ] = None
    proxy: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="The HTTP proxy that leads out, such as http://proxy.example:3128. By default that of HTTPS_PROXY, "
            "unless NO_PROXY exempts the address.",
            rich_help_panel="Access",
        ),
    ] = None
    allow_plain_http: Annotated[
        bool,
        typer.Option(
            "--allow-plain-http",
            help="Accept an http address of another machine. The API key then travels unencrypted.",
            rich_help_panel="Access",
        ),
    ] = False


@dataclass(frozen=True, slots=True)
class FileReading:
    """How a catalog file is read."""

    catalog_format: Annotated[
        CatalogFormat,
        typer.Option("--format", "-f", metavar="FORMAT", help=f"What the file is: {', '.join(CatalogFormat)}."),
    ] = CatalogFormat.AUTO
    mapping: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            "-m",
            metavar="FIELD=COLUMN",
            help="Where a product field comes from: a column (name=title) or a template (url=/p/{name:slug}). "
            "Give it once for each field.",
        ),
    ] = None
    shop_url: Annotated[str | None, typer.Option(help="Completes addresses that the file gives without host.")] = None
    currency: Annotated[str | None, typer.Option(help="The currency of products that name none, such as EUR.")] = None
    fit: Annotated[bool, typer.Option("--fit", help="Cut names and descriptions that are too long.")] = False
    encoding: Annotated[
        str | None, typer.Option(help="The text's encoding, such as cp1252. By default the content decides.")
    ] = None
    delimiter: Annotated[
        str | None, typer.Option(help="What separates the columns of a CSV file. By default the content decides.")
    ] = None
    decimal: Annotated[
        str | None, typer.Option(help="The decimal sign: . or , (by default the unambiguous prices decide).")
    ] = None
    list_path: Annotated[
        str | None,
        typer.Option(
            "--list",
            metavar="PATH",
            help="The path of the list of products in JSON, such as data.items, if there are several.",
        ),
    ] = None
    sheet: Annotated[
        str | None, typer.Option("--sheet", metavar="NAME", help="The sheet of an .xlsx file; by default the first.")
    ] = None
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Read on where the first 1,000 records all fail for one reason.")
    ] = False

    def options(self) -> CatalogOptions:
        """Keyword arguments of `Catalog`. Raises `ConfigurationError` for a mapping that cannot be read."""
        return {
            "format": self.catalog_format,
            "mapping": parse_mapping(self.mapping or []),
            "shop_url": self.shop_url,
            "currency": self.currency,
            "fit": self.fit,
            "encoding": self.encoding,
            "delimiter": self.delimiter,
            "decimal": self.decimal,
            "list": self.list_path,
            "sheet": self.sheet,
            "keep_going": self.keep_going,
            "option_names": IN_THE_SHELL,
        }


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


def connect(credentials: Credentials, network: Network) -> NeuroonClient:
    """A client by options or variables. Raises `ConfigurationError` that names all that is missing."""
    key, shop = credentials.complete()
    options: ClientOptions = {
        "shop_id": shop,
        "api_key": key,
        "base_url": credentials.api_url or None,
        "ssl": network.ca_file,
        "allow_plain_http": network.allow_plain_http,
        "user_agent": "neuroon-cli",
    }
    if network.proxy is not None:  # else that of the environment
        options["proxy"] = network.proxy
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        client = NeuroonClient.from_env(**options)
    for warning in caught:
        note(f"warning: {warning.message}")
    return client
