"""The commands and their options. What they do is in the modules beside this one."""

# Annotations are read by typer at run time, so they are not postponed here.

import os
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer
from msgspec import to_builtins
from msgspec.structs import asdict

from ..api.contract import (
    API_KEY_VARIABLE,
    API_URL_VARIABLE,
    MAX_BATCH_PRODUCTS,
    SHOP_ID_VARIABLE,
    Environment,
    SyncMode,
)
from ..api.results import Verification, VerificationData
from ..catalogs import CatalogFormat
from ..client import NeuroonClient
from ..errors import ConfigurationError
from ..report import SyncReport
from ..resources.widget import WidgetTokenSigner
from ..testing import DEFAULT_API_KEY, DEFAULT_SHOP_ID
from .commands.check import CHECK_EPILOG, check
from .commands.markets import MARKETS_EPILOG, markets
from .console import clean, confirmed, note, out, print_json, progress_bar
from .demo import run_demo
from .exits import EXIT_CODES_HELP, exit_codes, run
from .ledgers import forget_shops, shops_in
from .sandbox import Sandbox
from .syncing import Memory, Output, SyncJob, ids_of, parse_mapping, run_bulk

__all__ = ["app"]

app = typer.Typer(
    name="neuroon",
    help="Neuroon's Plugin API from the command line: sync a shop's catalog, verify its domain, sign widget tokens.",
    epilog=EXIT_CODES_HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_ACCESS = "Access"
_OUTPUT = "Output"
_DELTA = "Delta sync"

ApiUrl = Annotated[
    str | None,
    typer.Option(
        envvar=API_URL_VARIABLE,
        help="Where the API is. Default: production.",
        show_default=False,
        rich_help_panel=_ACCESS,
    ),
]
ShopId = Annotated[str | None, typer.Option(envvar=SHOP_ID_VARIABLE, help="The shop's id.", rich_help_panel=_ACCESS)]
ApiKey = Annotated[
    str | None,
    typer.Option(
        envvar=API_KEY_VARIABLE,
        help="The shop's API key. Prefer the variable: other users of this machine can see the options of a command.",
        rich_help_panel=_ACCESS,
    ),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.", rich_help_panel=_OUTPUT)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.", rich_help_panel=_OUTPUT)]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print nothing unless something failed.", rich_help_panel=_OUTPUT)
]
Concurrency = Annotated[int, typer.Option(min=1, help="Requests side by side.")]


def connect(api_url: str | None, api_key: str | None, shop_id: str | None) -> NeuroonClient:
    """A client by options or variables. Raises `ConfigurationError` that names all that is missing."""
    key, shop = _credentials(api_key, shop_id)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        client = NeuroonClient.from_env(shop_id=shop, api_key=key, base_url=api_url or None, user_agent="neuroon-cli")
    for warning in caught:
        note(f"warning: {warning.message}")
    return client


def _credentials(api_key: str | None, shop_id: str | None) -> tuple[str, str]:
    if api_key and shop_id:
        return api_key, shop_id
    missing = [name for name, value in ((API_KEY_VARIABLE, api_key), (SHOP_ID_VARIABLE, shop_id)) if not value]
    raise ConfigurationError(
        f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set; "
        "without an account, 'neuroon sandbox' offers the same API on this machine"
    )


def _print_version(value: bool) -> None:
    if value:
        try:
            out().print(f"neuroon-async {version('neuroon-async')}")
        except PackageNotFoundError:
            out().print("neuroon-async (not installed)")
        raise typer.Exit


@app.callback()
def neuroon(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Neuroon's Plugin API from the command line: sync a shop's catalog, verify its domain, sign widget tokens."""


@app.command()
def demo(
    *,
    products: Annotated[int, typer.Option(min=100, max=20_000, help="About how many products.")] = 5_000,
    debug: Debug = False,
) -> None:
    """Sync a made-up catalog with an emulated API on this machine. Needs no account and no network."""
    with exit_codes(debug=debug):
        run_demo(products)


@app.command(epilog=EXIT_CODES_HELP)
def sync(
    *,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The catalog; - reads standard input. May be gzipped.")],
    api_url: ApiUrl = None,
    shop_id: ShopId = None,
    api_key: ApiKey = None,
    catalog_format: Annotated[
        CatalogFormat,
        typer.Option("--format", "-f", metavar="FORMAT", help=f"What the file is: {', '.join(CatalogFormat)}."),
    ] = CatalogFormat.AUTO,
    mapping: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            "-m",
            metavar="FIELD=COLUMN",
            help="Where a product field comes from: a column (name=title) or a template (url=/p/{name:slug}). "
            "Give it once for each field.",
        ),
    ] = None,
    shop_url: Annotated[str | None, typer.Option(help="Completes addresses that the file gives without host.")] = None,
    currency: Annotated[str | None, typer.Option(help="For products that name none, such as EUR.")] = None,
    fit: Annotated[bool, typer.Option("--fit", help="Cut names and descriptions that are too long.")] = False,
    encoding: Annotated[str | None, typer.Option(help="Of the text; by default the content tells.")] = None,
    delimiter: Annotated[str | None, typer.Option(help="Of a CSV file; by default the content tells.")] = None,
    decimal: Annotated[str | None, typer.Option(help="The decimal sign of a CSV file: . or ,")] = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Read on where the first 1,000 records all fail for one reason.")
    ] = False,
    mode: Annotated[
        SyncMode,
        typer.Option(
            case_sensitive=False, help="FULL removes every product that the file does not hold; at most 500 products."
        ),
    ] = SyncMode.INCREMENTAL,
    concurrency: Concurrency = 8,
    batch_size: Annotated[
        int, typer.Option(min=1, max=MAX_BATCH_PRODUCTS, help="Products in a request.")
    ] = MAX_BATCH_PRODUCTS,
    dead_letter: Annotated[
        Path | None,
        typer.Option(help="Append failed products here, as JSON Lines that 'neuroon sync' reads.", dir_okay=False),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Check everything and send nothing. Needs no API key; with --ledger, the shop's id."
        ),
    ] = False,
    ledger: Annotated[
        Path | None,
        typer.Option(
            help="Remember here what the server has acknowledged, and send only what is new or has changed. "
            "One file serves any number of shops.",
            dir_okay=False,
            rich_help_panel=_DELTA,
        ),
    ] = None,
    delete_missing: Annotated[
        bool,
        typer.Option(
            "--delete-missing",
            help="Delete what the ledger holds and the file no longer has, once all of the file was read.",
            rich_help_panel=_DELTA,
        ),
    ] = False,
    max_delete_fraction: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Delete nothing where more than this part of the ledger would go: the file may be incomplete.",
            rich_help_panel=_DELTA,
        ),
    ] = 0.2,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Send the products of a file: JSON, JSON Lines, CSV, Shopify, WooCommerce, Google Merchant, Parquet, Arrow."""
    with exit_codes(debug=debug):
        job = SyncJob(
            file,
            connect=lambda: connect(api_url, api_key, shop_id),
            output=Output(json=as_json, quiet=quiet),
            api_url=api_url,
            shop_id=shop_id,
            memory=Memory(ledger, delete_missing, max_delete_fraction),
            dry_run=dry_run,
            dead_letter=dead_letter,
            reading={
                "format": catalog_format,
                "mapping": parse_mapping(mapping or []),
                "shop_url": shop_url,
                "currency": currency,
                "fit": fit,
                "encoding": encoding,
                "delimiter": delimiter,
                "decimal": decimal,
                "keep_going": keep_going,
            },
            sending={"mode": mode, "concurrency": concurrency, "batch_size": batch_size},
        )
        job.execute()


app.command(epilog=CHECK_EPILOG)(check)
app.command(epilog=MARKETS_EPILOG)(markets)


@app.command(epilog=EXIT_CODES_HELP)
def delete(
    *,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID...", help="External ids; - reads standard input.")
    ] = None,
    file: Annotated[str | None, typer.Option(help="A file with one id a line.")] = None,
    concurrency: Concurrency = 8,
    api_url: ApiUrl = None,
    shop_id: ShopId = None,
    api_key: ApiKey = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Remove products by their external ids."""
    output = Output(json=as_json, quiet=quiet)

    async def work() -> SyncReport:
        external_ids = ids_of(ids or [], file)
        async with connect(api_url, api_key, shop_id) as client:
            with progress_bar("Deleting", lambda: len(external_ids), quiet=output.quiet) as on_progress:
                return await client.products.delete_many(external_ids, concurrency=concurrency, on_progress=on_progress)

    with exit_codes(debug=debug):
        run_bulk(work(), lambda report, error: output.show(report, error, "Deletion"))


ledger_app = typer.Typer(
    name="ledger", help="What a delta sync remembers: show it, or forget it.", no_args_is_help=True
)
app.add_typer(ledger_app)

LedgerPath = Annotated[Path, typer.Argument(metavar="PATH", help="The file given to 'neuroon sync --ledger'.")]


@ledger_app.command("show", epilog=EXIT_CODES_HELP)
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
            _print_pairs(*((f"{shop.shop_id}  {shop.address}", products) for shop, products in held.items()))


@ledger_app.command("forget", epilog=EXIT_CODES_HELP)
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
            raise ConfigurationError(f"{path} holds nothing of shop {only!r}; 'neuroon ledger show' lists its shops")
        products = sum(held.values())
        of = f"of {', '.join(shop.shop_id for shop in held)}" if held else "at all"
        if not yes and not confirmed(f"Forget the state of {products:,} products {of}? The next sync sends them all."):
            raise ConfigurationError("not confirmed, so nothing was forgotten; --yes does not ask")
        out().print(f"Forgotten: {run(forget_shops(path, held)):,} products.")


@app.command()
def shop(
    *,
    api_url: ApiUrl = None,
    shop_id: ShopId = None,
    api_key: ApiKey = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show the shop's plan. A quick test of the credentials too."""
    with exit_codes(debug=debug):
        client = connect(api_url, api_key, shop_id)

        async def ask() -> None:
            async with client:
                plan = await client.shop()
            if as_json:
                print_json({"shop_id": client.shop_id, **to_builtins(asdict(plan))})
                return
            _print_pairs(
                ("shop", client.shop_id),
                ("products at most", plan.max_products),
                ("searches a month at most", plan.max_searches_per_month),
            )

        run(ask())


@app.command()
def verify(
    *,
    domain: Annotated[str | None, typer.Argument(help="Such as https://shop.example")] = None,
    status: Annotated[bool, typer.Option("--status", help="Show the state of the verification.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the verification.")] = False,
    api_url: ApiUrl = None,
    shop_id: ShopId = None,
    api_key: ApiKey = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Start verifying the shop's domain, show how far it is (--status), or undo it (--remove)."""
    with exit_codes(debug=debug):
        if [domain is not None, status, remove].count(True) != 1:
            raise ConfigurationError("give exactly one: a DOMAIN to verify, --status, or --remove")

        async def talk() -> Verification | VerificationData | None:
            async with connect(api_url, api_key, shop_id) as client:
                if domain is not None:
                    return await client.domain.verify(domain)
                if status:
                    return await client.domain.verification_data()
                await client.domain.unverify()
                return None

        answer = run(talk())
        if as_json:
            print_json({"removed": True} if answer is None else to_builtins(asdict(answer)))
        else:
            _print_verification(answer)


def _print_verification(answer: Verification | VerificationData | None) -> None:
    if answer is None:
        out().print("The verification was removed.")
        return
    pairs: list[tuple[str, object]] = [("domain", answer.domain), ("code", answer.verification_code)]
    if isinstance(answer, VerificationData):
        pairs += [("verified", answer.verified), ("since", answer.verified_at), ("what to do", answer.instructions)]
    _print_pairs(*pairs)
    if isinstance(answer, Verification) and answer.verification_code:
        note("Publish the code on the domain; 'neuroon verify --status' tells how, and whether it was found.")


@app.command()
def token(
    *,
    tag: Annotated[bool, typer.Option("--tag", help="Print the <script> element that carries it.")] = False,
    shop_id: ShopId = None,
    api_key: ApiKey = None,
    debug: Debug = False,
) -> None:
    """Sign a widget token, valid for 24 hours. No request is made."""
    with exit_codes(debug=debug):
        key, shop = _credentials(api_key, shop_id)
        api_url = os.environ.get(API_URL_VARIABLE, "").rstrip("/")
        environment = Environment.DEVELOPMENT if api_url == Environment.DEVELOPMENT else Environment.PRODUCTION
        signer = WidgetTokenSigner(shop, key, environment=environment)
        out().out(signer.script_tag() if tag else signer.token(), highlight=False)


@app.command()
def sandbox(
    *,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="On 127.0.0.1; 0 takes a free one.")] = 8765,
    shop_id: Annotated[str, typer.Option(help="The shop that it plays.")] = DEFAULT_SHOP_ID,
    api_key: Annotated[
        str, typer.Option(help="The key that it accepts. Printed: do not give a real one.")
    ] = DEFAULT_API_KEY,
    rate_limits: Annotated[bool, typer.Option(help="Enforce the documented rate limits.")] = True,
    latency: Annotated[float, typer.Option(min=0.0, help="Seconds before each answer.")] = 0.0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Do not list the requests.")] = False,
    debug: Debug = False,
) -> None:
    """Offer the Plugin API on this machine, with a page to watch it. Runs until Ctrl-C; forgets everything then."""
    with exit_codes(debug=debug):
        Sandbox(shop_id, api_key, port=port, rate_limits=rate_limits, latency=latency, quiet=quiet).serve()


def _print_pairs(*pairs: tuple[str, object]) -> None:
    """``label  value`` lines; what the server did not tell is left out."""
    known = [(label, value) for label, value in pairs if value is not None]
    width = max((len(label) for label, _ in known), default=0)
    for label, value in known:
        text = {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value
        shown = f"{text:,}" if isinstance(text, int) else clean(text)
        out().print(f"{label:<{width}}  {shown}", soft_wrap=True)
