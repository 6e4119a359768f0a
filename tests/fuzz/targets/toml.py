"""``neuroon markets``: a TOML file that anyone may have written."""

from __future__ import annotations

import asyncio
import atexit
import shutil
import tempfile
from pathlib import Path

from memory import MEMORY

from fuzz.targets.target import Target, assert_no_key
from neuroon_async import NeuroonError
from neuroon_async.cli.commands.markets import _read, _sync
from neuroon_async.cli.options import Network

__all__ = ["TARGETS"]

CATALOG = b"id,name,price,url\n1,n,1.50,https://shop.example/1\n2,m,x,/2\n"


class Folder:
    """A folder with a catalog, one for the whole process."""

    path: Path | None = None

    @classmethod
    def get(cls) -> Path:
        if cls.path is None:
            cls.path = Path(tempfile.mkdtemp(prefix="neuroon-fuzz-", dir=MEMORY))
            atexit.register(shutil.rmtree, cls.path, ignore_errors=True)
            (cls.path / "c.csv").write_bytes(CATALOG)
        return cls.path


def check(data: bytes) -> None:
    """A dry run of it: results, or one documented error."""
    config = Folder.get() / "markets.toml"
    config.write_bytes(data)
    try:
        plan = _read(config, [], None)
        if plan.file.parent != config.parent:
            return  # not to wander about on this machine
        results = asyncio.run(_sync(plan, Network(), dry_run=True, lines=False))
    except (NeuroonError, OSError) as error:
        assert_no_key(error)
        return
    for result in results.values():
        assert result.error is None or isinstance(result.error, (NeuroonError, OSError)), repr(result.error)
        assert result.report is None or result.report.received == (
            result.report.accepted + result.report.unchanged + result.report.superseded + result.report.failed
        )


SEED = b"""file = "c.csv"
[reading]
shop_url = "https://shop.example"
[[market]]
name = "es"
shop_id = "shop_1"
api_key_variable = "KEY"
currency = "EUR"
ledger = "es.ledger"
delete_missing = true
max_delete_fraction = 0.5
[market.map]
name = "name"
"attributes.x" = "{id}"
"""

TARGETS = (
    Target(
        "markets-toml",
        check,
        1.0,
        tuple(
            token.encode()
            for token in (
                *("file = ", "[reading]", "[[market]]", "[market.map]", "name = ", "shop_id = ", "api_key_variable = "),
                *("format = ", "map = {", "shop_url = ", "currency = ", "fit = true", "encoding = ", "delimiter = "),
                *("decimal = ", "list = ", "sheet = ", "keep_going = ", "ledger = ", "delete_missing = ", "api_url = "),
                *(
                    "max_delete_fraction = ",
                    "1979-05-27",
                    "[]",
                    "{}",
                    "nan",
                    "inf",
                    '"c.csv"',
                    "'''",
                    '"\\u0000"',
                    "-1",
                ),
            )
        ),
        lambda: [SEED],
        longest=2_048,
    ),
)
