"""``neuroon delete``: remove products by their ids."""

# Annotations are read by typer at run time, so they are not postponed here.

from pathlib import Path
from typing import Annotated

import typer

from ...catalogs import CatalogError
from ...errors import UsageError
from ...report import SyncReport
from ..bulk import Output, run_bulk
from ..exits import exit_codes
from ..groups import with_groups
from ..options import Concurrency, Credentials, Debug, Json, Network, Quiet, connect
from ..progress import Length, limit_of, progress_bar
from ..reading import standard_input

__all__ = ["delete"]


@with_groups
def delete(
    *,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID...", help="External ids; - reads standard input.")
    ] = None,
    file: Annotated[str | None, typer.Option(help="A file with one id on each line.")] = None,
    concurrency: Concurrency = 8,
    credentials: Credentials,
    network: Network,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Remove products by their external ids."""
    output = Output(json=as_json, quiet=quiet)

    async def work() -> SyncReport:
        external_ids = ids_of(ids or [], file)
        async with connect(credentials, network) as client:
            length = Length(len(external_ids), sure=True)
            with progress_bar(
                "Deleting", lambda: length, next_in=limit_of(client), quiet=output.quiet, lines=not output.silent
            ) as on_progress:
                return await client.products.delete_many(external_ids, concurrency=concurrency, on_progress=on_progress)

    with exit_codes(debug=debug):
        run_bulk(work(), lambda report, error: output.show(report, error, "Deletion"))


def ids_of(arguments: list[str], file: str | None) -> list[str]:
    """The ids to delete: from the command line, or one on each line of a file or (``-``) standard input."""
    if file is None and arguments == ["-"]:
        arguments, file = [], "-"
    if arguments and file is not None:
        raise UsageError("name the products to delete or the file that lists them, not both")
    if not arguments and file is None:
        raise UsageError("name the products to delete, or the file that lists them: ID..., --file FILE, or -")
    if file is None:
        return arguments
    try:
        data = standard_input().read() if file == "-" else Path(file).read_bytes()
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CatalogError(f"{file}: byte {error.start} is not UTF-8; save the list of ids as UTF-8") from None
    return [line for line in text.replace("\r\n", "\n").split("\n") if line.strip()]
