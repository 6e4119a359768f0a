"""``neuroon markets``: one catalog for several shops, as a TOML file describes them."""

# Annotations are read by typer at run time, so they are not postponed here.

import asyncio
import json
import os
import tomllib
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from ...api.contract import Environment
from ...api.shapes import is_list, is_object
from ...catalogs import CatalogError, CatalogOptions, OptionNames
from ...client import NeuroonClient
from ...errors import ConfigurationError
from ...ledger.sqlite import SQLiteLedger
from ...markets import Market, MarketProgress, MarketResult, sync_markets
from ...resources.products import Products
from ..console import note, print_json, report_as_json, show_report
from ..dry_run import DryRunExchange, LedgerCopy, dry_run_transport
from ..exits import ExitCode, code_of, exit_codes, explain, run
from ..groups import with_groups
from ..options import ApiUrl, Credentials, Network, connect
from ..progress import limit_of, progress_table
from ..reading import guessed_length

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["markets"]


class _OptionNamesInTheFile(OptionNames):
    """``shop_url = "https://shop.example"``, as TOML writes it."""

    def name(self, option: str) -> str:
        return "map" if option == "mapping" else option

    def set(self, option: str, value: object) -> str:
        return f"{self.name(option)} = {json.dumps(value)}"

    def map(self, field: str, source: str) -> str:
        key = json.dumps(field) if "." in field else field
        return f"map.{key} = {json.dumps(source, ensure_ascii=False)}"


_READING = CatalogOptions.__annotations__.keys() - {"mapping", "option_names", "today"} | {"map"}
_MARKET = _READING | {
    "name",
    "shop_id",
    "api_key_variable",
    "api_url",
    "ledger",
    "delete_missing",
    "max_delete_fraction",
}

_KINDS: dict[str, tuple[set[type], str]] = {
    "api_url": ({str}, "text"),
    "ledger": ({str}, "the name of a file"),
    "delete_missing": ({bool}, "true or false"),
    "max_delete_fraction": ({int, float}, "a number from 0 to 1"),
}
"""What the options of a market must be, before anything is opened by them."""


@dataclass(slots=True)
class _Plan:
    """What the TOML file says, checked."""

    file: Path
    reading: CatalogOptions
    shops: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


@with_groups
def markets(
    *,
    config: Annotated[Path, typer.Argument(metavar="MARKETS.toml", help="The catalog and its shops.")],
    only: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this market; may be repeated.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything and send nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    api_url: ApiUrl = None,
    network: Network,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    r"""Sync one catalog to several shops. Each has its own language, currency and report.

    The file names the catalog and, in tables [\[market]], its shops: name,
    shop_id, api_key_variable (the environment variable that holds the key),
    currency, shop_url, ledger, and in \[market.map] the columns of its
    language. Those that name no api_url are at --api-url.
    """
    with exit_codes(debug=debug):
        plan = _read(config, only or [], api_url)
        try:
            results = run(_sync(plan, network, dry_run=dry_run, lines=not as_json))
        except (KeyboardInterrupt, asyncio.CancelledError) as end:
            _present(_ended_by(end), code_of(end), as_json=as_json, dry_run=dry_run)
            raise
        worst = max(_code(result) for result in results.values())
        _present(results, worst, as_json=as_json, dry_run=dry_run)
        if worst is not ExitCode.OK:
            raise typer.Exit(worst)


def _ended_by(end: BaseException) -> dict[str, MarketResult]:
    """The results that an interrupted run has left. The others were cancelled by what interrupted it."""
    left: dict[str, MarketResult] = getattr(end, "results", {})
    return {
        name: replace(result, error=end) if isinstance(result.error, asyncio.CancelledError) else result
        for name, result in left.items()
    }


def _present(results: dict[str, MarketResult], code: ExitCode, *, as_json: bool, dry_run: bool) -> None:
    if as_json:
        shops = {name: _as_json(result, _code(result)) for name, result in results.items()}
        print_json({"ok": code is ExitCode.OK, "exit_code": int(code), "dry_run": dry_run, "markets": shops})
    else:
        for result in results.values():
            _show(result, dry_run=dry_run)


def _read(path: Path, only: list[str], api_url: str | None) -> _Plan:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: is not TOML: {error}") from None
    _refuse_unknown(path, "the file", document, {"file", "reading", "market"})
    shops = document.get("market")
    if not isinstance(document.get("file"), str) or not is_list(shops) or not shops:
        raise ConfigurationError(f'{path}: needs file = "CATALOG" and at least one table [[market]]')
    shared = document.get("reading", {})
    _refuse_unknown(path, "[reading]", shared, _READING)
    for number, shop in enumerate(shops, 1):
        _check_shop(path, number, shop)
    names = [shop["name"] for shop in shops]
    if missing := [name for name in only if name not in names]:
        raise ConfigurationError(f"{path}: has no market {missing[0]!r}; there are {', '.join(names)}")
    chosen = [{"api_url": api_url} | shop for shop in shops if not only or shop["name"] in only]
    return _Plan(path.parent / document["file"], _reading(shared), [_in_folder(shop, path.parent) for shop in chosen])


def _check_shop(path: Path, number: int, shop: object) -> None:
    if not is_object(shop):
        raise ConfigurationError(f"{path}: [[market]] {number} must be a table")
    if "api_key" in shop:
        raise ConfigurationError(
            f"{path}: [[market]] {number} holds an API key; put it into an environment variable and name that: "
            "api_key_variable"
        )
    _refuse_unknown(path, f"[[market]] {number}", shop, _MARKET)
    for name in ("name", "shop_id", "api_key_variable"):
        if not isinstance(shop.get(name), str) or not shop[name]:
            raise ConfigurationError(f"{path}: [[market]] {number} needs {name}")
    for name, (kinds, wanted) in _KINDS.items():
        if name in shop and (type(shop[name]) not in kinds or shop[name] == ""):
            raise ConfigurationError(
                f"{path}: [[market]] {number}: {name} must be {wanted}, got {json.dumps(shop[name], default=str)}"
            )


def _refuse_unknown(path: Path, where: str, table: object, known: set[str]) -> None:
    if not is_object(table):
        raise ConfigurationError(f"{path}: {where} must be a table")
    if unknown := table.keys() - known:
        raise ConfigurationError(
            f"{path}: {where} has {min(unknown)!r}, which means nothing there; there are {', '.join(sorted(known))}"
        )


def _reading(table: dict[str, Any]) -> CatalogOptions:
    reading = {"mapping" if name == "map" else name: value for name, value in table.items() if name in _READING}
    return cast("CatalogOptions", reading)


def _in_folder(shop: dict[str, Any], folder: Path) -> dict[str, Any]:
    return {**shop, "ledger": folder / shop["ledger"]} if "ledger" in shop else shop


async def _sync(plan: _Plan, network: Network, *, dry_run: bool, lines: bool) -> dict[str, MarketResult]:
    if not plan.file.exists():
        raise CatalogError(f"{plan.file}: cannot be opened: No such file or directory")
    async with AsyncExitStack() as stack:
        shops: list[Market] = []
        waits: dict[str, Callable[[], float]] = {}
        for shop in plan.shops:
            if dry_run:
                products = _dry(shop)
            else:
                client = await stack.enter_async_context(_client(shop, network))
                products, waits[shop["name"]] = client.products, limit_of(client)
            shops.append(Market(shop["name"], products, _reading(shop), _sending(shop, dry_run=dry_run)))
        reading: CatalogOptions = {**plan.reading, "option_names": _OptionNamesInTheFile()}
        show = stack.enter_context(progress_table([shop.name for shop in shops], lines=lines))

        def on_progress(market: MarketProgress) -> None:
            if show is not None:
                next_in = waits.get(market.name, float)()
                show(market.name, market.progress, guessed_length(market.catalog), next_in)

        return await sync_markets(plan.file, shops, on_progress=on_progress, **reading)


def _client(shop: dict[str, Any], network: Network) -> NeuroonClient:
    variable = shop["api_key_variable"]
    key = os.environ.get(variable)
    if not key:
        raise ConfigurationError(f"{variable} is not set: it must hold the API key of market {shop['name']!r}")
    return connect(Credentials(shop["api_url"], shop["shop_id"], key), network)


def _dry(shop: dict[str, Any]) -> Products:
    exchange = DryRunExchange()
    return Products(dry_run_transport(exchange, shop["shop_id"], shop["api_url"] or Environment.PRODUCTION))


def _sending(shop: dict[str, Any], *, dry_run: bool) -> dict[str, Any]:
    sending: dict[str, Any] = {}
    if "ledger" in shop:
        sending["ledger"] = LedgerCopy(shop["ledger"]) if dry_run else SQLiteLedger(shop["ledger"])
    for name in ("delete_missing", "max_delete_fraction"):
        if name in shop:
            sending[name] = shop[name]
    return sending


def _code(result: MarketResult) -> ExitCode:
    if result.error is not None:
        return code_of(result.error)
    return ExitCode.OK if result.ok else ExitCode.PRODUCTS_FAILED


def _as_json(result: MarketResult, code: ExitCode) -> dict[str, Any]:
    error = None if result.error is None else explain(result.error)
    verdict = {"ok": code is ExitCode.OK, "exit_code": int(code), "error": error, "notes": result.catalog.notes}
    return verdict | ({} if result.report is None else report_as_json(result.report))


def _show(result: MarketResult, *, dry_run: bool) -> None:
    title = f"{result.name}: dry run, nothing was sent" if dry_run else result.name
    if result.report is not None:
        show_report(result.report, title=title if result.error is None else f"{title} (stopped before its end)")
    for told in result.catalog.notes:
        note(f"{result.name}: {told}")
    if result.error is not None:
        note(f"{result.name}: {explain(result.error)}")
