"""Pages: how a catalog is cut into them, and when a ledger vouches for one as a whole."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from hashlib import sha256
from typing import Any

import pytest
from ledger_shop import sync
from sync.sync_shop import assert_apart, item, items, last_prices, prices, shop

from neuroon_async import SQLiteLedger
from neuroon_async.sync.ledger import _SQLiteRun
from neuroon_async.sync.pages import contents_of, cut_into_pages

A, B, C = b"a" * 16, b"b" * 16, b"c" * 16


# Cutting


def test_pages_hold_every_product_once_and_in_order():
    for count in (0, 1, 2, 500):
        pages = cut_into_pages(items(count))
        assert [external_id for page in pages for external_id in page.ids] == [f"p{number}" for number in range(count)]
        assert all(page.ids for page in pages)
    assert 8 < len(pages) < 32


def test_a_product_more_changes_no_page_but_its_own():
    before = {page.digest for page in cut_into_pages(items(500))}
    for place in (0, 1, 250, 500):
        source = items(500)
        source.insert(place, item("new"))
        assert len(before - {page.digest for page in cut_into_pages(source)}) <= 1


def test_a_digest_tells_the_content_the_order_and_nothing_else():
    (page,) = cut_into_pages([item(0, attributes={"a": "1", "b": "2"}), item(2)])
    (same,) = cut_into_pages([item(0, attributes={"b": "2", "a": "1"}), item(2)])
    (turned,) = cut_into_pages([item(2), item(0, attributes={"a": "1", "b": "2"})])
    (changed,) = cut_into_pages([item(0, attributes={"a": "1", "b": "3"}), item(2)])
    assert page.digest == same.digest
    assert len({page.digest, turned.digest, changed.digest}) == 3
    assert page.digests() == turned.digests() == same.digests()
    line = b'{"externalId":"p2","name":"x","price":1,"url":"https://shop.example/x"}'
    assert page.digests()["p2"] == changed.digests()["p2"] == sha256(line).digest()[:16]
    assert page.digests()["p0"] != changed.digests()["p0"]


def test_what_cannot_become_json_has_no_digest_and_neither_has_its_page():
    (page,) = cut_into_pages([item(0), item(2, tags=[object()]), item(2), item(0, tags=[object()])])
    assert page.digest is None
    assert page.digests() == {"p0": None, "p2": cut_into_pages([item(2)])[0].digests()["p2"]}
    (odd,) = cut_into_pages([item("\ud800")])  # an id that UTF-8 has no place for
    assert (odd.digest, odd.digests()) == (None, {"p\ud800": None})


def test_the_contents_of_a_batch_are_those_of_its_pages():
    contents = contents_of(items(100))
    assert contents.digests.keys() == {f"p{number}" for number in range(100)}
    assert contents.pages == {page.digest: page.ids for page in cut_into_pages(items(100))}
    assert len(contents.pages) > 1


# What the ledger vouches for


@pytest.fixture
def ledger(tmp_path):
    return SQLiteLedger(tmp_path / "l")


async def fill(run: _SQLiteRun, page: bytes = A, ids: tuple[str, ...] = ("p", "q")) -> None:
    await run.record(dict.fromkeys(ids, B))
    await run.keep_pages({page: ids})


async def test_a_page_is_held_from_run_to_run_and_in_its_own_shop(ledger):
    async with ledger.run("shop") as run:
        assert not run.holds_page(A)
        await fill(run)
        assert run.holds_page(A)
    async with ledger.run("shop") as run:
        assert run.holds_page(A)
        assert not run.holds_page(B)
    async with ledger.run("other") as run:
        assert not run.holds_page(A)


@pytest.mark.parametrize(
    "change",
    [
        lambda run: run.doubt(["q"]),
        lambda run: run.record({"p": C}),
        lambda run: run.forget(["p"]),
        lambda run: run.forget_all(),
        lambda run: run.keep_pages({C: ["q"]}),  # from now on changes of q would be noted with that page only
    ],
)
async def test_a_change_to_one_product_ends_its_page(ledger, change):
    async with ledger.run("shop") as run:
        await fill(run)
        await fill(run, B, ("r",))
        await change(run)
        assert not run.holds_page(A)
        assert run.holds_page(B) == (await run.unchanged({"r": B}) == {"r"})
    async with ledger.run("shop") as run:
        assert not run.holds_page(A)


async def test_products_on_a_page_that_was_seen_are_not_missing(ledger):
    async with ledger.run("shop") as run:
        await fill(run)
        await fill(run, B, ("r", "s"))
        await run.record({"t": B, "u": B})
    async with ledger.run("shop") as run:
        assert run.holds_page(A)
        await run.seen(["u"])
        assert await run.missing() == (3, 6)
        assert [external_id async for external_id in run.missing_ids()] == ["r", "s", "t"]


async def test_the_number_of_a_page_that_is_gone_is_not_used_again(ledger):
    """Or a product that once was on the old page would pass for one on the new page."""
    async with ledger.run("shop") as run:
        await fill(run)
        await run.doubt(["q"])
        await fill(run, B, ("r",))
    async with ledger.run("shop") as run:
        assert run.holds_page(B)
        assert [external_id async for external_id in run.missing_ids()] == ["p", "q"]


async def test_a_ledger_from_before_there_were_pages_goes_on(ledger):
    async with ledger.run("shop") as run:
        await run.record({"p": A})
    with closing(sqlite3.connect(ledger.path, isolation_level=None)) as file:
        for statement in (
            "DROP TABLE page",
            "ALTER TABLE product DROP COLUMN page",
            "PRAGMA user_version = 1",
        ):
            file.execute(statement)
    async with ledger.run("shop") as run:
        assert await run.unchanged({"p": A}) == {"p"}
        await fill(run)
        assert run.holds_page(A)


# In a sync


def watched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids that were looked up one by one."""
    asked: list[str] = []
    unchanged = _SQLiteRun.unchanged

    async def asking(self: _SQLiteRun, digests: dict[str, bytes]) -> Any:
        asked.extend(digests)
        return await unchanged(self, digests)

    monkeypatch.setattr(_SQLiteRun, "unchanged", asking)
    return asked


@pytest.mark.parametrize("delete_missing", [False, True])
async def test_only_pages_with_changes_are_looked_at(ledger, monkeypatch, delete_missing):
    async with shop() as (emulator, client):
        await sync(client, items(1_000), ledger)
        asked = watched(monkeypatch)
        assert (await sync(client, items(1_000), ledger, delete_missing=delete_missing)).unchanged == 1_000
        assert asked == []
        source = items(1_000)
        source[300] = item(300, price=2)
        source[700:700] = [item("new")]
        del source[900]
        report = await sync(client, source, ledger, delete_missing=delete_missing)
        assert (report.unchanged, report.accepted, report.deleted) == (998, 2, int(delete_missing))
        assert 0 < len(asked) < 500
        asked.clear()
        assert (await sync(client, source, ledger, delete_missing=delete_missing)).unchanged == 1_000
        assert 0 < len(asked) < 200  # the changed ones: what was sent was no page as the source has it
        asked.clear()
        assert (await sync(client, source, ledger, delete_missing=delete_missing)).unchanged == 1_000
        assert asked == []
        assert emulator.products.keys() - last_prices(source).keys() == (set() if delete_missing else {"p899"})


async def test_an_id_that_comes_twice_is_looked_at_for_itself(ledger):
    """Its first page is not what the server holds, although the server holds the newest version of all on it."""
    async with shop() as (emulator, client):
        for price in (1, 2):
            await sync(client, [*items(100), item(3, price=2), item("new", price=price)], ledger)
        await sync(client, items(100), ledger)
        assert prices(emulator)["p3"] == 1


@pytest.mark.parametrize("seed", range(12))
async def test_random_catalogs_go_back_and_forth(ledger, seed):
    """Few versions and much moving about: a page that outlived its content would hide a difference."""
    chance = random.Random(seed)
    refusing = 0.03
    catalog = dict.fromkeys(range(60), 1)
    async with shop(
        reject_item=lambda _: "no" if chance.random() < refusing else None, latency=0.001, jitter=0.003, seed=seed
    ) as (emulator, client):
        for _ in range(8):
            for _ in range(chance.choice([0, 1, 5])):
                number = chance.randrange(80)
                catalog[number] = chance.randrange(1, 3)
            for number in chance.sample(sorted(catalog), chance.choice([0, 0, 2])):
                del catalog[number]
            numbers = sorted(catalog, reverse=chance.random() < 0.2)
            source = [item(number, catalog[number]) for number in numbers]
            source += [item(number, 3 - catalog[number]) for number in chance.sample(numbers, chance.choice([0, 0, 1]))]
            batch_size = chance.choice([10, 10, 500])
            options = {"batch_size": batch_size, "delete_missing": True, "max_delete_fraction": 1}
            await sync(client, source, ledger, **options)
            if chance.random() < 0.5:
                refusing, before = 0, refusing
                await sync(client, source, ledger, **options)
                assert prices(emulator) == last_prices(source)
                refusing = before
        assert_apart(emulator)
