"""``neuroon sync`` and ``neuroon delete``: a file through the engine, and a report whatever ends the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..api.contract import SHOP_ID_VARIABLE, Environment
from ..catalogs import Catalog, CatalogError, read_catalog
from ..catalogs.relations import Relations
from ..client import NeuroonClient
from ..errors import ConfigurationError
from ..ledger.sqlite import SQLiteLedger
from ..resources.products import Products
from ..sync.dead_letters import DeadLetterFile
from .console import note, print_json, progress_bar, report_as_json, show_report
from .dry_run import DryRunCost, DryRunExchange, LedgerCopy, dry_run_transport
from .exits import ExitCode, code_of, explain, report_of, run
from .reading import IN_THE_SHELL, CatalogFeed, standard_input

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from ..ledger.protocols import Ledger
    from ..report import SyncReport
    from ..transport.transport import Transport

__all__ = ["Memory", "Output", "SyncJob", "ids_of", "parse_mapping", "run_bulk"]

_MOST_NAMED_FIELDS = 12
_MOST_PARENTS = 20


@dataclass(frozen=True, slots=True)
class Output:
    """How a bulk command presents what it did."""

    json: bool = False
    quiet: bool = False

    @property
    def silent(self) -> bool:
        return self.json or self.quiet

    def show(
        self,
        report: SyncReport | None,
        error: BaseException | None,
        title: str,
        cost: DryRunCost | None = None,
        **more: Any,
    ) -> None:
        """``more`` goes into the JSON document. ``cost`` is a dry run's."""
        if self.json:
            failed = report is None or not report.ok
            code = code_of(error) if error is not None else ExitCode.PRODUCTS_FAILED if failed else ExitCode.OK
            verdict = {"ok": code is ExitCode.OK, "exit_code": int(code), "error": error and explain(error)}
            print_json(verdict | ({} if report is None else report_as_json(report)) | more)
        elif report is not None and not (self.quiet and report.ok and error is None):
            show_report(report, title=title if error is None else f"{title} (stopped before its end)", cost=cost)


def run_bulk(
    work: Coroutine[Any, Any, SyncReport], present: Callable[[SyncReport | None, BaseException | None], None]
) -> None:
    """Run it, present the report even where the run was cut short, and exit with 1 where products failed."""
    try:
        report = run(work)
    except BaseException as error:
        present(report_of(error), error)
        raise
    present(report, None)
    if not report.ok:
        raise typer.Exit(ExitCode.PRODUCTS_FAILED)


@dataclass(frozen=True, slots=True)
class Memory:
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
    memory: Memory = field(default_factory=Memory)
    dry_run: bool = False
    dead_letter: Path | None = None
    reading: Mapping[str, Any] = field(default_factory=dict)
    """Keyword arguments of `read_catalog`."""
    sending: Mapping[str, Any] = field(default_factory=dict)
    """Keyword arguments of ``products.sync``."""
    _catalog: Catalog | None = None
    _missing_parents: list[tuple[str, str]] = field(default_factory=list)
    _exchange: DryRunExchange | None = None
    """Of a dry run: counts what the run would cost."""

    def execute(self) -> None:
        run_bulk(self._run(), self._present)

    async def _run(self) -> SyncReport:
        self._catalog = catalog = read_catalog(
            standard_input() if self.file == "-" else self.file, option_names=IN_THE_SHELL, **self.reading
        )
        if self.dry_run:
            self._exchange = DryRunExchange()
            return await self._send(Products(self._dry_run_transport(self._exchange)), catalog)
        async with self.connect() as client:
            return await self._send(client.products, catalog)

    def _dry_run_transport(self, exchange: DryRunExchange) -> Transport:
        """A ledger keeps what each shop at each address has; without one a dry run is the same for all of them."""
        if self.memory.path is None:
            return dry_run_transport(exchange)
        if not self.shop_id:
            raise ConfigurationError(
                f"{SHOP_ID_VARIABLE} is not set (nor --shop-id): a ledger is kept by shop, so a dry run with --ledger "
                "must know which one it is about; it needs no API key"
            )
        return dry_run_transport(exchange, self.shop_id, self.api_url or Environment.PRODUCTION)

    async def _send(self, products: Products, catalog: Catalog) -> SyncReport:
        title = "Checking" if self.dry_run else "Syncing"
        with ExitStack() as stack:
            relations = stack.enter_context(Relations()) if self.dry_run else None
            feed = CatalogFeed(catalog, relations)
            on_failure = None
            if self.dead_letter is not None:
                _check_dead_letter(self.dead_letter, self.file, self.memory.path)
                on_failure = stack.enter_context(DeadLetterFile(self.dead_letter))
            on_progress = stack.enter_context(progress_bar(title, feed.total, quiet=self.output.quiet))
            remembering = self.memory.options(dry_run=self.dry_run)
            report = await products.sync(
                feed, on_progress=on_progress, on_failure=on_failure, **remembering, **self.sending
            )
            if relations is not None:
                self._missing_parents = list(islice(relations.missing_parents(), _MOST_PARENTS))
            return report

    def _present(self, report: SyncReport | None, error: BaseException | None) -> None:
        name = "standard input" if self.file == "-" else Path(self.file).name
        catalog, more = self._catalog, dict[str, Any](dry_run=self.dry_run)
        if catalog is not None:
            kind = {"format": str(catalog.format), "encoding": catalog.encoding}
            more |= {**kind, "fitted": catalog.fitted, "ignored_fields": catalog.ignored_fields}
            more["notes"] = catalog.notes
        title = f"Dry run of {name}: nothing was sent" if self.dry_run else f"Sync of {name}"
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
        for external_id, parent in self._missing_parents:
            note(f"{external_id}: its parent {parent!r} is not in this file; unless the shop has it, it is refused")
        if report.received == 0 and error is None:
            note("the catalog holds no products")
        if report.failed and self.dead_letter is not None:
            note(f"the failed products are in {self.dead_letter}; when mended: neuroon sync {self.dead_letter}")


def parse_mapping(pairs: list[str]) -> dict[str, str]:
    """``["name=title"]`` as a mapping. Raises `ConfigurationError`."""
    mapping: dict[str, str] = {}
    for pair in pairs:
        target, equals, source = pair.partition("=")
        if not equals or not target.strip():
            raise ConfigurationError(f"--map takes FIELD=COLUMN or FIELD=TEMPLATE, such as name=title; got {pair!r}")
        if target.strip() in mapping:
            raise ConfigurationError(f"--map gives {target.strip()!r} twice")
        mapping[target.strip()] = source
    return mapping


def ids_of(arguments: list[str], file: str | None) -> list[str]:
    """The ids to delete: from the command line, or one a line from a file or (``-``) standard input."""
    if file is None and arguments == ["-"]:
        arguments, file = [], "-"
    if bool(arguments) == (file is not None):
        raise ConfigurationError("name the products to delete, or the file that lists them: ID..., --file FILE, or -")
    if file is None:
        return arguments
    try:
        data = standard_input().read() if file == "-" else Path(file).read_bytes()
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CatalogError(f"{file}: byte {error.start} is not UTF-8; save the list of ids as UTF-8") from None
    return [line for line in text.replace("\r\n", "\n").split("\n") if line.strip()]


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
