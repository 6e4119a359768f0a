"""``neuroon sync``: a file through the engine, and a report whatever ends the run."""

# Annotations are read by typer at run time, so they are not postponed here.

import asyncio
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...api.contract import MAX_BATCH_PRODUCTS, SHOP_ID_VARIABLE, Environment, SyncMode
from ...catalogs import Catalog, CatalogOptions, read_catalog
from ...catalogs.relations import Relations
from ...client import NeuroonClient
from ...errors import ConfigurationError, UnsafeFullSync
from ...ledger.sqlite import SQLiteLedger
from ...report import SyncReport
from ...resources.products import Products
from ...sync.dead_letters import DeadLetterFile
from ...transport.transport import Transport
from ..bulk import Output, run_bulk
from ..console import note
from ..dry_run import DryRunExchange, LedgerCopy, dry_run_transport, missing_parents
from ..exits import exit_codes
from ..groups import with_groups
from ..options import Concurrency, Credentials, Debug, FileReading, Json, Network, Quiet, connect
from ..progress import limit_of, progress_bar
from ..reading import CatalogFeed, standard_input

if TYPE_CHECKING:
    from ...ledger.protocols import Ledger

__all__ = ["sync"]

_MOST_NAMED_FIELDS = 12
_MOST_PARENTS = 20


@dataclass(frozen=True, slots=True)
class LedgerOptions:
    """What the run remembers between files: ``--ledger`` and what depends on it. Raises `ConfigurationError`."""

    path: Path | None = None
    delete_missing: bool = False
    max_delete_fraction: float = 0.2

    def __post_init__(self) -> None:
        if self.delete_missing and self.path is None:
            raise ConfigurationError("--delete-missing needs --ledger FILE: only a ledger knows what was there before")

    def options(self, *, dry_run: bool) -> dict[str, Any]:
        """Keyword arguments of ``products.sync``."""
        ledger: Ledger | None = None
        if self.path is not None:
            ledger = LedgerCopy(self.path) if dry_run else SQLiteLedger(self.path)
        return {
            "ledger": ledger,
            "delete_missing": self.delete_missing,
            "max_delete_fraction": self.max_delete_fraction,
        }


@dataclass(slots=True)
class SyncJob:
    """One ``neuroon sync``: the file, how it is read, and how it is sent."""

    file: str
    connect: Callable[[], NeuroonClient]
    """Makes the client; not called in a dry run."""
    output: Output
    api_url: str | None = None
    shop_id: str | None = None
    ledger: LedgerOptions = field(default_factory=LedgerOptions)
    dry_run: bool = False
    dead_letter: Path | None = None
    reading: CatalogOptions = field(default_factory=CatalogOptions)
    sending: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Keyword arguments of ``products.sync``."""
    _catalog: Catalog | None = None
    _missing_parents: tuple[list[tuple[str, str]], int] = field(default_factory=lambda: ([], 0))
    """Of a dry run: ``(id, parent)`` where the parent is not known, the first ones, and how many there are."""
    _duplicates: tuple[list[tuple[str, int]], int] = field(default_factory=lambda: ([], 0))
    """Of a dry run: the ids that come several times, the first ones with how often, and how many there are."""
    _exchange: DryRunExchange | None = None
    """Of a dry run: counts what the run would cost."""

    def execute(self) -> None:
        run_bulk(self._run(), self._present)

    async def _run(self) -> SyncReport:
        self._catalog = catalog = read_catalog(standard_input() if self.file == "-" else self.file, **self.reading)
        if self.dry_run:
            self._exchange = DryRunExchange()
            return await self._send(Products(self._dry_run_transport(self._exchange)), catalog, float)
        async with self.connect() as client:
            return await self._send(client.products, catalog, limit_of(client))

    def _dry_run_transport(self, exchange: DryRunExchange) -> Transport:
        """A ledger keeps what each shop at each address has; without one a dry run is the same for all of them."""
        if self.ledger.path is None:
            return dry_run_transport(exchange)
        if not self.shop_id:
            raise ConfigurationError(
                f"{SHOP_ID_VARIABLE} is not set (nor --shop-id): a ledger is kept by shop, so a dry run with --ledger "
                "must know which one it is about; it needs no API key"
            )
        return dry_run_transport(exchange, self.shop_id, self.api_url or Environment.PRODUCTION)

    async def _send(self, products: Products, catalog: Catalog, next_in: Callable[[], float]) -> SyncReport:
        title = "Checking" if self.dry_run else "Syncing"
        with ExitStack() as stack:
            relations = stack.enter_context(Relations()) if self.dry_run else None
            feed = CatalogFeed(catalog, relations)
            on_failure = None
            if self.dead_letter is not None:
                _check_dead_letter(self.dead_letter, self.file, self.ledger.path)
                on_failure = stack.enter_context(DeadLetterFile(self.dead_letter))
            on_progress = stack.enter_context(
                progress_bar(title, feed.length, next_in=next_in, quiet=self.output.quiet, lines=not self.output.silent)
            )
            remembering = self.ledger.options(dry_run=self.dry_run)
            report = await products.sync(
                feed, on_progress=on_progress, on_failure=on_failure, **remembering, **self.sending
            )
            if relations is not None:
                copy = remembering["ledger"] if isinstance(remembering["ledger"], LedgerCopy) else None
                repeated = relations.duplicates()
                self._duplicates = (
                    first := list(islice(repeated, _MOST_PARENTS)),
                    len(first) + sum(1 for _ in repeated),
                )
                self._missing_parents = await missing_parents(relations, copy, _MOST_PARENTS)
            return report

    def _present(self, report: SyncReport | None, error: BaseException | None) -> None:
        name = "standard input" if self.file == "-" else Path(self.file).name
        catalog, more = self._catalog, dict[str, Any](dry_run=self.dry_run)
        if catalog is not None:
            kind = {"format": str(catalog.format), "encoding": catalog.encoding}
            more |= {**kind, "fitted": catalog.fitted, "ignored_fields": catalog.ignored_fields}
            more["notes"] = catalog.notes
        title = f"Dry run of {name}: nothing was sent" if self.dry_run else f"Sync of {name}"
        if self.dry_run:
            more["duplicates"] = [{"external_id": e, "times": times} for e, times in self._duplicates[0]]
            more["missing_parents"] = [{"external_id": e, "parent": parent} for e, parent in self._missing_parents[0]]
        cost = None if self._exchange is None else self._exchange.cost
        if cost is not None:
            more |= {
                "sync_requests": cost.sync_requests,
                "delete_requests": cost.delete_requests,
                "body_bytes": cost.bytes,
                "least_seconds": cost.seconds,
            }
        self.output.show(report, error, title, cost=cost, **more)
        if report is not None and not self.output.silent:
            self._add_notes(report, error)

    def _note_relations(self) -> None:
        """What products say of each other."""
        repeated, times_repeated = self._duplicates
        for external_id, times in repeated:
            note(f"{external_id}: comes {times} times; the last one counts")
        if times_repeated > len(repeated):
            note(f"and {times_repeated - len(repeated):,} more ids that come several times")
        shown, count = self._missing_parents
        where = "this file" if self.ledger.path is None else "this file nor the ledger"
        for external_id, parent in shown:
            neither = "not in" if self.ledger.path is None else "neither in"
            note(f"{external_id}: its parent {parent!r} is {neither} {where}; unless the shop has it, it is refused")
        if count > len(shown):
            note(f"and {count - len(shown):,} more products without a parent")

    def _add_notes(self, report: SyncReport, error: BaseException | None) -> None:
        catalog = self._catalog
        if catalog is not None and catalog.fitted:
            note(f"{catalog.fitted:,} texts were too long and have been cut at a word (--fit)")
        if catalog is not None and catalog.ignored_fields:
            names = list(catalog.ignored_fields)
            shown = ", ".join(names[:_MOST_NAMED_FIELDS])
            rest = f" and {len(names) - _MOST_NAMED_FIELDS} more" if len(names) > _MOST_NAMED_FIELDS else ""
            note(f"not used: {shown}{rest} (--map attributes.NAME=FIELD keeps a field)")
        for told in catalog.notes if catalog is not None else ():
            note(told)
        self._note_relations()
        if report.received == 0 and error is None:
            note("the catalog holds no products")
        was_interrupted = isinstance(error, (KeyboardInterrupt, asyncio.CancelledError))
        if (report.unsent or was_interrupted) and not self.dry_run and not isinstance(error, UnsafeFullSync):
            rest = "; only what is missing is sent then" if self.ledger.path is not None else ""
            note(f"{_not_sent(report.unsent)}: run the same command again{rest}")
        if report.failed > report.unsent and self.dead_letter is not None:
            note(f"the failed products are in {self.dead_letter}; when mended: neuroon sync {self.dead_letter}")


def _not_sent(unsent: int) -> str:
    """What an interruption leaves. Mostly the file is still being read then, and what was read is under way."""
    if not unsent:
        return "the catalog may not have been sent to its end"
    return "1 product was not sent" if unsent == 1 else f"{unsent:,} products were not sent"


def _check_dead_letter(path: Path, source: str, ledger: Path | None) -> None:
    """Fail before anything is sent, rather than at the first failure."""
    if source != "-" and path.exists() and Path(source).exists() and path.samefile(source):
        raise ConfigurationError(f"--dead-letter {path} is the file being synced; name another one")
    if ledger is not None and path.resolve() == ledger.resolve():
        raise ConfigurationError(f"--dead-letter {path} is the ledger; name another file")
    existed = path.exists()
    with path.open("ab"):
        pass
    if not existed:
        path.unlink()  # a clean run leaves none behind


@with_groups
def sync(
    *,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The catalog; - reads standard input. May be gzipped.")],
    credentials: Credentials,
    network: Network,
    reading: FileReading,
    mode: Annotated[
        SyncMode,
        typer.Option(
            case_sensitive=False,
            metavar="MODE",
            help="incremental, or full: removes every product that the file does not hold (500 products at most).",
        ),
    ] = SyncMode.INCREMENTAL,
    concurrency: Concurrency = 8,
    batch_size: Annotated[
        int, typer.Option(min=1, max=MAX_BATCH_PRODUCTS, metavar="N", help="Products in a request, 500 at most.")
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
            rich_help_panel="Delta sync",
        ),
    ] = None,
    delete_missing: Annotated[
        bool,
        typer.Option(
            "--delete-missing",
            help="Delete what the ledger holds and the file no longer has, once all of the file was read.",
            rich_help_panel="Delta sync",
        ),
    ] = False,
    max_delete_fraction: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Delete nothing where more than this part of the ledger would go: the file may be incomplete.",
            rich_help_panel="Delta sync",
        ),
    ] = 0.2,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Send the products of a file: JSON, CSV, .xlsx, Parquet, feeds, or the export of a shop platform."""
    with exit_codes(debug=debug):
        job = SyncJob(
            file,
            connect=lambda: connect(credentials, network),
            output=Output(json=as_json, quiet=quiet),
            api_url=credentials.api_url,
            shop_id=credentials.shop_id,
            ledger=LedgerOptions(ledger, delete_missing, max_delete_fraction),
            dry_run=dry_run,
            dead_letter=dead_letter,
            reading=reading.options(),
            sending={"mode": mode, "concurrency": concurrency, "batch_size": batch_size},
        )
        job.execute()
