"""The delta sync of the command line: what it sends, deletes, leaves alone, and foretells."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest
from test_cli import BAD, NO_CREDENTIALS, catalog, environment, neuroon, served
from typer.testing import CliRunner

from neuroon_async import RateLimit, SQLiteLedger
from neuroon_async.api.contract import DOCUMENTED_RATE_LIMITS
from neuroon_async.cli.app import app
from neuroon_async.limits.local import LocalEndpoint
from neuroon_async.limits.policy import shortest_time
from neuroon_async.testing import DEFAULT_SHOP_ID, Emulator


@pytest.fixture
def server():
    with served(algorithm="off") as emulator:
        yield emulator


@pytest.fixture
def ledger(tmp_path) -> Path:
    return tmp_path / "shop.ledger"


def sync(server: Emulator, file: Path, ledger: Path, *options: object):
    return neuroon("sync", file, "--ledger", ledger, *options, env=environment(server))


def without_key(server: Emulator) -> dict[str, str | None]:
    return NO_CREDENTIALS | {"NEUROON_API_URL": server.url, "NEUROON_SHOP_ID": DEFAULT_SHOP_ID}


def figures(result) -> dict[str, int]:
    names = "received accepted unchanged deleted failed requests sync_requests delete_requests"
    document = json.loads(result.stdout)
    return {name: document[name] for name in names.split() if name in document}


# A ledger


def test_only_what_changed_is_sent_again(server, ledger, tmp_path):
    assert sync(server, catalog(tmp_path, count=600), ledger).exit_code == 0
    before = len(server.requests)
    again = sync(server, catalog(tmp_path, count=600), ledger)
    assert again.exit_code == 0
    assert re.search(r"accepted +0\n +unchanged +600  as last sent, so no request was needed\n", again.stdout)
    assert len(server.requests) == before
    assert sync(server, catalog(tmp_path, count=601), ledger).exit_code == 0
    assert len(server.requests) == before + 1
    assert len(server.products) == 601


def test_what_the_file_no_longer_has_is_deleted_only_when_asked_for(server, ledger, tmp_path):
    assert sync(server, catalog(tmp_path, count=10), ledger).exit_code == 0
    assert sync(server, catalog(tmp_path, count=9), ledger).exit_code == 0
    assert len(server.products) == 10
    result = sync(server, catalog(tmp_path, count=9), ledger, "--delete-missing")
    assert result.exit_code == 0
    assert re.search(r"deleted +1  no longer in the source\n", result.stdout)
    result = sync(server, catalog(tmp_path, BAD | {"price": 1}, count=8), ledger, "--delete-missing")
    assert re.search(r"catalog +10  before the deletions; the plan", result.stdout)
    assert set(server.products) == {"BAD", *(f"P-{n}" for n in range(8))}


def test_3_when_too_much_would_be_deleted_and_nothing_is(server, ledger, tmp_path):
    assert sync(server, catalog(tmp_path, count=10), ledger).exit_code == 0
    for dry in ((), ("--dry-run",)):
        result = sync(server, catalog(tmp_path, count=7), ledger, "--delete-missing", *dry)
        assert result.exit_code == 3
        assert "3 of the 10 products" in result.stderr
        assert "Nothing was deleted; --max-delete-fraction 0.2 forbids it" in result.stderr
        assert "max_delete_fraction" not in result.stderr
        assert re.search(r"unchanged +7 ", result.stdout)
    assert len(server.products) == 10
    options = ("--delete-missing", "--max-delete-fraction", "0.3")
    assert sync(server, catalog(tmp_path, count=7), ledger, *options).exit_code == 0
    assert len(server.products) == 7


def test_3_when_the_file_is_empty_of_products(server, ledger, tmp_path):
    assert sync(server, catalog(tmp_path, count=3), ledger).exit_code == 0
    empty = tmp_path / "empty.json"
    empty.write_text("[]")
    result = sync(server, empty, ledger, "--delete-missing", "--max-delete-fraction", "1")
    assert result.exit_code == 3
    assert "the source was empty" in result.stderr
    assert len(server.products) == 3


def test_a_failed_product_is_tried_again_and_never_deleted(server, ledger, tmp_path):
    assert sync(server, catalog(tmp_path, BAD | {"price": 1}, count=3), ledger).exit_code == 0
    result = sync(server, catalog(tmp_path, BAD, count=3), ledger, "--delete-missing", "--json")
    assert result.exit_code == 1
    assert figures(result) == {
        "received": 4, "accepted": 0, "unchanged": 3, "deleted": 0, "failed": 1, "requests": 0,
    }  # fmt: skip
    assert "BAD" in server.products


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["FILE", "--delete-missing"], "--delete-missing needs --ledger FILE"),
        (["FILE", "--ledger", "LEDGER", "--max-delete-fraction", "20"], "max-delete-fraction"),
        (["FILE", "--ledger", "LEDGER", "--mode", "FULL"], "which a FULL sync would erase"),
        (["FILE", "--ledger", "LEDGER", "--dead-letter", "LEDGER"], "is the ledger; name another file"),
    ],
)
def test_2_for_options_that_do_not_go_together(server, ledger, tmp_path, arguments, complaint):
    places = {"FILE": catalog(tmp_path, count=1), "LEDGER": ledger}
    for dry in ((), ("--dry-run",)):
        result = neuroon("sync", *(places.get(a, a) for a in arguments), *dry, env=environment(server))
        assert result.exit_code == 2
        assert complaint in " ".join(result.stderr.split())
    assert server.requests == []


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_4_when_the_ledger_cannot_be_used(server, ledger, tmp_path, dry):
    ledger.write_bytes(b"name,price\nTea,4.50\n" * 100)
    content = ledger.read_bytes()
    result = sync(server, catalog(tmp_path, count=1), ledger, *dry)
    assert result.exit_code == 4
    assert result.stderr.startswith(f"error: {ledger}: not a ledger")
    assert (ledger.read_bytes(), server.requests) == (content, [])


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
async def test_4_when_another_run_has_the_ledger(server, ledger, tmp_path, dry):
    arguments = (server, catalog(tmp_path, count=1), ledger, *dry)
    async with SQLiteLedger(ledger).run("x") as run:
        await run.record({"A": b"1" * 16})
        result = await asyncio.to_thread(sync, *arguments)
    assert result.exit_code == 4
    assert "is using this ledger" in result.stderr
    assert (await asyncio.to_thread(sync, *arguments)).exit_code == 0


# A dry run with a ledger


def test_a_dry_run_foretells_the_run_and_leaves_the_ledger_as_it_is(server, ledger, tmp_path):
    assert sync(server, catalog(tmp_path, count=1_000), ledger).exit_code == 0
    before, content, files = len(server.requests), ledger.read_bytes(), set(tmp_path.iterdir())
    new = [{"externalId": f"N-{n}", "name": "N", "price": 1, "url": "https://shop.example/n"} for n in range(700)]
    arguments = ("--ledger", ledger, "--delete-missing", "--json")

    file = catalog(tmp_path, BAD, *new, count=850)
    told = neuroon("sync", file, *arguments, "--dry-run", env=without_key(server))
    assert json.loads(told.stdout)["least_seconds"] == 60  # for 150 deletions

    file = catalog(tmp_path, BAD, *new, count=920)
    told = neuroon("sync", file, *arguments, "--dry-run", env=without_key(server))
    assert told.exit_code == 1
    assert (len(server.requests), ledger.read_bytes(), set(tmp_path.iterdir())) == (before, content, files)
    foretold = figures(told)
    assert foretold == {
        "received": 1_621, "accepted": 700, "unchanged": 920, "deleted": 80, "failed": 1,
        "requests": 82, "sync_requests": 2, "delete_requests": 80,
    }  # fmt: skip
    happened = figures(neuroon("sync", file, *arguments, env=environment(server)))
    assert happened == {name: value for name, value in foretold.items() if name in happened}


def test_a_dry_run_says_it_in_words(server, ledger, tmp_path):
    assert sync(server, catalog(tmp_path, count=300), ledger).exit_code == 0
    file = catalog(tmp_path, {"externalId": "N", "name": "N", "price": 1, "url": "https://shop.example/n"}, count=241)
    result = sync(server, file, ledger, "--delete-missing", "--dry-run")
    assert result.exit_code == 0
    text = " ".join(result.stdout.split())
    assert "to send 1 " in text
    assert "to delete 59 no longer in the source" in text
    assert "unchanged 241 as last sent, so no request would be needed" in text
    assert "requests 60 1 to sync and 59 to delete, one product each" in text
    assert "takes 0 s or longer: the limit is 100 requests in 60 s each" in text


def test_a_ledger_that_is_not_there_counts_as_empty_and_is_not_made(server, ledger, tmp_path):
    result = neuroon("sync", catalog(tmp_path, count=2), "--ledger", ledger, "--dry-run", env=without_key(server))
    assert result.exit_code == 0
    assert re.search(r"to send +2 ", result.stdout)
    assert not ledger.exists()


def test_a_dry_run_with_a_ledger_is_about_one_shop_at_one_address(server, ledger, tmp_path):
    file = catalog(tmp_path, count=2)
    assert sync(server, file, ledger).exit_code == 0
    arguments = ("sync", file, "--ledger", ledger, "--dry-run", "--json")
    anonymous = neuroon(*arguments)
    assert anonymous.exit_code == 2
    assert "NEUROON_SHOP_ID is not set (nor --shop-id)" in anonymous.stderr
    assert figures(neuroon(*arguments, env=without_key(server) | {"NEUROON_API_URL": None}))["unchanged"] == 0
    assert figures(neuroon(*arguments, env=without_key(server) | {"NEUROON_SHOP_ID": "other"}))["unchanged"] == 0
    assert figures(neuroon(*arguments, "--api-url", f"{server.url}/", env=without_key(server)))["unchanged"] == 2


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    "limit", [*dict.fromkeys(DOCUMENTED_RATE_LIMITS.values()), RateLimit(1, per=10.0), RateLimit(2, per=10.0)], ids=str
)
async def test_the_time_foretold_is_the_time_that_the_limiter_takes(limit):
    limiter = LocalEndpoint("any", limit)
    loop = asyncio.get_running_loop()
    started = loop.time()
    for count in range(1, 4 * limit.requests):
        (await limiter.acquire(bulk=True)).answered({})
        assert loop.time() - started == pytest.approx(shortest_time(count, limit), abs=0.01)
    assert shortest_time(0, limit) == 0


# Showing and forgetting


def test_show_and_forget(server, ledger, tmp_path):
    assert sync(server, catalog(tmp_path, count=1_234), ledger).exit_code == 0
    shown = neuroon("ledger", "show", ledger)
    assert (shown.exit_code, shown.stdout) == (0, f"{DEFAULT_SHOP_ID}  {server.url}  1,234\n")
    document = json.loads(neuroon("ledger", "show", ledger, "--json").stdout)
    assert document == {"shops": [{"address": server.url, "shop_id": DEFAULT_SHOP_ID, "products": 1_234}]}

    unasked = neuroon("ledger", "forget", ledger)
    assert unasked.exit_code == 2
    assert "Forget the state of 1,234 products" in unasked.stderr
    assert "nothing was forgotten" in unasked.stderr
    unknown = neuroon("ledger", "forget", ledger, "--shop", "other", "--yes")
    assert unknown.exit_code == 2
    assert "holds nothing of shop 'other'" in unknown.stderr
    assert "1,234" in neuroon("ledger", "show", ledger).stdout

    forgotten = neuroon("ledger", "forget", ledger, "--shop", DEFAULT_SHOP_ID, "--yes")
    assert (forgotten.exit_code, forgotten.stdout) == (0, "Forgotten: 1,234 products.\n")
    assert "1,234" not in neuroon("ledger", "show", ledger).stdout
    again = sync(server, catalog(tmp_path, count=1_234), ledger, "--json")
    assert figures(again)["accepted"] == 1_234


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 2), ("", 2), ("\n", 2)])
def test_forget_asks(server, ledger, tmp_path, answer, code):
    assert sync(server, catalog(tmp_path, count=2), ledger).exit_code == 0
    assert CliRunner().invoke(app, ["ledger", "forget", str(ledger)], input=answer).exit_code == code


@pytest.mark.parametrize("command", [("show",), ("forget", "--yes")])
def test_no_ledger_is_made_by_looking_for_it(ledger, command):
    result = neuroon("ledger", *command, ledger)
    assert (result.exit_code, result.stderr) == (4, f"error: {ledger}: No such file or directory\n")
    assert not ledger.exists()
    ledger.touch()
    assert neuroon("ledger", *command, ledger).exit_code == 0
    assert ledger.stat().st_size == 0


def test_a_dry_run_asks_the_ledger_for_parents_too(server, ledger, tmp_path):
    parents = tmp_path / "parents.csv"
    parents.write_text("id,name,price,url\nP,Parent,1,https://s.example/p\n")
    assert sync(server, parents, ledger).exit_code == 0
    variants = tmp_path / "variants.csv"
    rows = [f"V{n},Variant,1,https://s.example/v,{'P' if n == 1 else 'Q'}\n" for n in range(1, 30)]
    variants.write_text("id,name,price,url,parent_id\n" + "".join(rows))
    before = ledger.read_bytes()
    result = neuroon("sync", variants, "--ledger", ledger, "--dry-run", env=without_key(server))
    told = " ".join(result.stderr.split())
    assert "V1:" not in told
    assert "V2: its parent 'Q' is neither in this file nor the ledger; unless the shop has it, it is refused" in told
    assert "and 8 more products without a parent" in told
    assert ledger.read_bytes() == before
    result = neuroon("sync", variants, "--ledger", ledger, "--dry-run", "--json", env=without_key(server))
    assert json.loads(result.stdout)["missing_parents"][0] == {"external_id": "V2", "parent": "Q"}
    other = neuroon("sync", variants, "--ledger", tmp_path / "none.ledger", "--dry-run", env=without_key(server))
    assert "V1: its parent 'P'" in " ".join(other.stderr.split())
