"""One catalog for several shops: in the API a shop has one language and one currency.

Each market has its own client (so its own key and rate limits), and its own projection of the catalog: a mapping that
names the columns of its language and currency. All markets read the same catalog, each at its own pace, so a shop that
is slow, refuses its key or cannot be reached holds up no other. Each gets a report of its own.
"""

from __future__ import annotations

import asyncio
import inspect
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Unpack, cast

from .api.arguments import check_callback, check_capable, check_text, shown
from .api.shapes import is_list_like, is_mapping
from .catalogs import Catalog
from .catalogs.options import IN_PYTHON, checked_mapping
from .errors import UsageError
from .report import SyncProgress, SyncReport
from .resources.products import Products

if TYPE_CHECKING:
    import os
    from collections.abc import Awaitable, Callable, Iterable

    from .catalogs import CatalogOptions

    ProgressCallback = Callable[[SyncProgress], Awaitable[None] | None]

__all__ = ["Market", "MarketProgress", "MarketResult", "sync_markets"]


@dataclass(frozen=True, slots=True)
class Market:
    """One shop, and how the catalog looks there.

    ``name`` tells it from the others. ``products`` is ``client.products`` of the shop's own client. ``reading`` are
    options of `Catalog` that differ from those of the others (``currency``, ``shop_url``); its ``mapping`` is added to
    the shared one, target by target. ``sending`` are options of ``products.sync``, such as ``ledger``.

    >>> Market("fr", client.products, {"mapping": {"name": "name_fr"}, "currency": "EUR"})       # doctest: +SKIP
    """

    name: str
    products: Products
    reading: Mapping[str, Any] = field(default_factory=dict[str, Any])
    sending: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        check_text("Market.name", self.name)
        check_capable("Market.products", self.products, ("sync",), "products of a client: client.products", none=False)
        for option in ("reading", "sending"):
            value: object = getattr(self, option)
            if not is_mapping(value):
                raise UsageError(f"must map options to values, got {shown(value)}", where=f"Market.{option}")


@dataclass(frozen=True, slots=True)
class MarketResult:
    """The outcome of one market: its report, and the error that ended it early.

    Where there is an error, such as a cancellation, ``report`` is what was done until then, as far as the error carries
    it. ``catalog`` is the reading, with its notes and counts.
    """

    name: str
    report: SyncReport | None
    error: BaseException | None
    catalog: Catalog

    @property
    def ok(self) -> bool:
        """Did every product that the market received end where it should?"""
        return self.error is None and self.report is not None and self.report.ok


@dataclass(frozen=True, slots=True)
class MarketProgress:
    """A moment of one market's run: its progress, and the reading of its catalog so far."""

    name: str
    progress: SyncProgress
    catalog: Catalog


async def sync_markets(
    source: str | os.PathLike[str] | BinaryIO,
    markets: Iterable[Market],
    *,
    on_progress: Callable[[MarketProgress], Awaitable[None] | None] | None = None,
    **reading: Unpack[CatalogOptions],
) -> dict[str, MarketResult]:
    """Sync one catalog to several shops side by side.

    Args:
        source: A path, or a binary file, perhaps gzipped. What cannot seek is copied to a temporary file first.
        markets: The shops; their names must differ.
        on_progress: Called for each market as ``products.sync`` calls its own ``on_progress``, which a market may have
            besides. Plain or async.
        **reading: Options of `Catalog` that all markets share.

    Returns:
        The result of each market by its name. Errors of one market are in its result, and are not raised.

    Raises:
        UsageError: There is no market, two have one name, or an argument cannot work.
        ConfigurationError: An option of reading cannot work. As all that follows, before anything is sent.
        CatalogError: The source cannot be opened.

    A cancellation carries the results so far, those of all markets, as its attribute ``results``.
    """
    check_callback("on_progress", on_progress, awaited=True)
    markets = _listed(markets)
    names = [market.name for market in markets]
    if not markets or len(set(names)) != len(names):
        raise UsageError(f"markets must be at least one, each with a name of its own; got {', '.join(names) or 'none'}")
    with ExitStack() as stack:
        seekable = await _seekable(source, stack)
        catalogs = [Catalog(seekable, **_merged(reading, market)) for market in markets]
        pairs = list(zip(markets, catalogs, strict=True))
        results: dict[str, MarketResult] = {}
        try:
            async with asyncio.TaskGroup() as group:
                for market, catalog in pairs:
                    group.create_task(_run(market, catalog, on_progress, results))
        except BaseException as end:
            never_begun = {market.name: MarketResult(market.name, None, end, catalog) for market, catalog in pairs}
            vars(end)["results"] = never_begun | results
            raise
    return {name: results[name] for name in names}


def _listed(markets: object) -> list[Market]:
    if not is_list_like(markets):
        raise UsageError(f"must be a list of Market, got {shown(markets)}", where="markets")
    listed = list(markets)
    for number, market in enumerate(listed):
        if not isinstance(market, Market):
            raise UsageError(f"must be a Market, got {shown(market)}", where=f"markets[{number}]")
    return listed


async def _seekable(source: str | os.PathLike[str] | BinaryIO, stack: ExitStack) -> Any:
    if not hasattr(source, "read") or bool(getattr(source, "seekable", bool)()):
        return source
    copy: BinaryIO = stack.enter_context(tempfile.TemporaryFile(prefix="neuroon-catalog-"))  # noqa: SIM115 - the stack's
    await asyncio.to_thread(shutil.copyfileobj, cast("BinaryIO", source), copy)
    copy.seek(0)
    return copy


def _merged(shared: CatalogOptions, market: Market) -> CatalogOptions:
    own = cast("CatalogOptions", market.reading)
    merged: CatalogOptions = {**shared, **own}
    names = merged.get("option_names", IN_PYTHON)
    merged["mapping"] = checked_mapping(shared.get("mapping"), names) | checked_mapping(own.get("mapping"), names)
    return merged


async def _run(
    market: Market,
    catalog: Catalog,
    on_progress: Callable[[MarketProgress], Awaitable[None] | None] | None,
    results: dict[str, MarketResult],
) -> None:
    sending = dict(market.sending)
    try:
        if on_progress is not None:
            sending["on_progress"] = _both(sending.get("on_progress"), market.name, catalog, on_progress)
        report = await market.products.sync(catalog, **sending)
    except BaseException as error:
        results[market.name] = MarketResult(market.name, getattr(error, "report", None), error, catalog)
        if not isinstance(error, Exception):
            raise  # of the whole run; any other is told in the result: no market ends another
    else:
        results[market.name] = MarketResult(market.name, report, None, catalog)


def _both(
    own: ProgressCallback | None,
    name: str,
    catalog: Catalog,
    on_progress: Callable[[MarketProgress], Awaitable[None] | None],
) -> ProgressCallback:
    """The market's own callback, if any, and then that for all markets."""
    check_callback("on_progress", own, awaited=True)

    async def tell(progress: SyncProgress) -> None:
        if own is not None:
            await _finished(own(progress))
        await _finished(on_progress(MarketProgress(name, progress, catalog)))

    return tell


async def _finished(answer: object) -> None:
    if inspect.isawaitable(answer):
        await answer
