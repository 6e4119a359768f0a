"""Pages: how a catalog is cut into them, and when a ledger vouches for one as a whole."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from hashlib import sha256
from typing import Any
from zlib import crc32

import msgspec
import pytest
from ledger_shop import sync
from repeats import repeats
from sync.sync_shop import assert_apart, item, items, last_prices, prices, shop

from neuroon_async import Product, SQLiteLedger
from neuroon_async.api.models import encode
from neuroon_async.ledger.digests import content_digests
from neuroon_async.ledger.pages import Page, PageChunker, PendingPages, fit_for_pages
from neuroon_async.ledger.sqlite_run import SQLiteRun
from neuroon_async.testing import Fault

A, B, C = b"a" * 16, b"b" * 16, b"c" * 16


# Cutting


def cut(products: list[Product], portion: int = 100) -> list[Page]:
    pager = PageChunker()
    pages = []
    for start in range(0, len(products), portion):
        pages += pager.add(products[start : start + portion])
    return pages + pager.rest()


def page_of(*products: Product) -> Page:
    return Page(products)


@pytest.mark.parametrize("portion", [1, 7, 100])
def test_pages_hold_every_product_once_and_in_order_however_it_comes(portion):
    for count in (0, 1, 2, 500):
        pages = cut(items(count), portion)
        assert [external_id for page in pages for external_id in page.ids] == [f"p{number}" for number in range(count)]
        assert [product for page in pages for product in page] == items(count)
        assert all(page.ids for page in pages)
        assert [page.ids for page in pages] == [page.ids for page in cut(items(count))]
    assert 8 < len(pages) < 32


def test_a_product_more_changes_no_page_but_its_own():
    before = {page.digest for page in cut(items(500))}
    for place in (0, 1, 250, 500):
        source = items(500)
        source.insert(place, item("new"))
        assert len(before - {page.digest for page in cut(source)}) <= 1


def test_a_page_ends_with_an_id_that_ends_one_in_this_version_and_the_next():
    """Where pages end elsewhere, every ledger that is in use knows pages that no source has any more."""
    ending = [f"p{number}" for number in range(1_200) if crc32(b"p%d" % number) % 32 == 0]
    for portion in (1, 1_000):
        assert [page.ids[-1] for page in cut(items(1_200), portion)] == [*ending, "p1199"]


def test_a_page_ends_also_where_no_id_ends_one():
    endless = [item(number) for number in range(100_000) if crc32(b"p%d" % number) % 32][:2_000]
    assert max(len(page.ids) for page in cut(endless)) < 700
    assert [len(page.ids) for page in cut(endless, 1)] == [512, 512, 512, 464]


def test_a_digest_tells_the_content_the_order_and_nothing_else():
    page = page_of(item(0, attributes={"a": "1", "b": "2"}), item(2))
    same = page_of(item(0, attributes={"b": "2", "a": "1"}), item(2))
    turned = page_of(item(2), item(0, attributes={"a": "1", "b": "2"}))
    changed = page_of(item(0, attributes={"a": "1", "b": "3"}), item(2))
    assert page.digest == same.digest
    assert len({page.digest, turned.digest, changed.digest}) == 3
    assert page.digests() == turned.digests()[::-1] == same.digests()
    line = b'{"externalId":"p2","name":"x","price":1,"url":"https://shop.example/x"}'
    assert page.digests()[1] == changed.digests()[1] == sha256(line).digest()[:16]
    assert page.digests()[0] != changed.digests()[0]


def test_what_is_sent_in_another_order_than_its_digest_is_made_of_is_written_anew():
    for fields in ({"attributes": {"b": "2", "a": "1"}}, {"tags": {"y", "x"}}):
        assert page_of(item(0), item(1, **fields)).written() is None


def test_products_that_are_nothing_else_are_looked_at_once(monkeypatch):
    monkeypatch.setattr("neuroon_async.ledger.pages.is_text", None)
    assert fit_for_pages(items(40)) == (items(40), [])


def test_what_cannot_become_json_has_no_digest_and_neither_has_its_page():
    page = page_of(item(0), item(2, tags=[object()]), item(2), item(0, tags=[object()]))
    assert page.digest is None
    [known] = page_of(item(2)).digests()
    assert page.digests()[1:] == [None, known, None]
    assert page.written() is None
    assert content_digests([item(0, tags=[object()]), item(2)]).keys() == {"p2"}
    (odd,) = cut([item("\ud800")])  # an id that UTF-8 has no place for
    assert (odd.digest, odd.digests()) == (None, [None])


def test_what_a_page_has_encoded_is_what_it_was_when_it_was_made():
    """Its digest and those of its products are of one moment, or a page could be held that the server never had."""
    source = [item(0, tags=["new"]), item(2)]
    page, same = Page(source), Page([item(0, tags=["new"]), item(2)])
    source[0].tags.append("later")
    lines, digests = page.written()
    assert lines == [encode(product) for product in same]
    assert digests == page.digests() == same.digests()


def test_a_value_that_brings_its_own_line_ends_does_not_shift_the_digests():
    odd, known = page_of(item(0, price=msgspec.Raw(b"1\n")), item(2)).digests()
    assert [known] == page_of(item(2)).digests()
    assert odd != known


# Pages to come


def to_come(*changed: str) -> PendingPages:
    pages = PendingPages()
    pages.expect(A, ["p", "q", "r"], dict.fromkeys(changed, B))
    return pages


def test_a_page_has_come_when_all_that_changed_on_it_is_acknowledged():
    pages = to_come("p", "q")
    pages.invalidate(["p", "q"])
    assert pages.acknowledge({"other": C, "p": B}) == {}
    assert pages.acknowledge({"other": C, "q": B}) == {A: ["p", "q", "r"]}
    assert pages.acknowledge({"p": B, "q": B}) == {}


def test_a_page_with_an_id_twice_comes_and_goes_like_any_other():
    pages = PendingPages()
    for digest in (B, A):
        pages.expect(digest, ["p", "q", "p"], {"p": B})
    assert pages.acknowledge({"p": B}) == {A: ["p", "q", "p"]}


@pytest.mark.parametrize(
    "otherwise",
    [
        lambda pages: pages.acknowledge({"p": C}),
        lambda pages: pages.acknowledge({"r": B}),
        lambda pages: pages.invalidate(["r"]),
        lambda pages: (pages.acknowledge({"p": B}), pages.invalidate(["p"])),
        lambda pages: pages.expect(C, ["r", "s"], {"s": B}),
    ],
    ids=["other content", "not expected", "doubt", "doubt again", "on another page"],
)
def test_a_page_does_not_come_where_something_else_happens_to_it(otherwise):
    pages = to_come("p", "q")
    otherwise(pages)
    assert A not in pages.acknowledge({"q": B, "p": B})


def test_what_is_longest_to_come_is_given_up_first():
    pages = PendingPages()
    numbers = range(1_010)
    for number in numbers:
        pages.expect(b"%d" % number, [f"{number}-{place}" for place in range(32)], {f"{number}-0": B})
    come = [number for number in numbers if pages.acknowledge({f"{number}-0": B})]
    assert come == list(range(10, 1_010))


# What the ledger vouches for


@pytest.fixture
def ledger(tmp_path):
    return SQLiteLedger(tmp_path / "l")


async def fill(run: SQLiteRun, page: bytes = A, ids: tuple[str, ...] = ("p", "q")) -> None:
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
        lambda run: run.invalidate(["q"]),
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


async def test_what_was_seen_with_its_page_stays_seen_when_the_page_ends(ledger):
    async with ledger.run("shop") as run:
        await fill(run)
        await fill(run, B, ("r",))
    async with ledger.run("shop") as run:
        assert run.holds_page(A)
        await run.invalidate(["p"])
        await run.record({"p": C})
        assert await run.missing() == (1, 3)
        await run.seen(["p"])
        await run.record({"p": C}, {C: ["p"]})
        assert await run.missing() == (1, 3)
        assert [external_id async for external_id in run.missing_ids()] == ["r"]


async def test_the_number_of_a_page_that_is_gone_is_not_used_again(ledger):
    """Or a product that once was on the old page would pass for one on the new page."""
    async with ledger.run("shop") as run:
        await fill(run)
        await run.invalidate(["q"])
        await fill(run, B, ("r",))
    with closing(sqlite3.connect(ledger.path)) as file:
        assert file.execute("SELECT number FROM page").fetchall() == [(2,)]
    async with ledger.run("shop") as run:
        assert run.holds_page(B)
        assert [external_id async for external_id in run.missing_ids()] == ["p", "q"]
        await run.invalidate(["r"])
        await fill(run, C, ("s",))
    with closing(sqlite3.connect(ledger.path)) as file:
        assert file.execute("SELECT number FROM page").fetchall() == [(3,)]


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
    unchanged = SQLiteRun.unchanged

    async def asking(self: SQLiteRun, digests: dict[str, bytes]) -> Any:
        asked.extend(digests)
        return await unchanged(self, digests)

    monkeypatch.setattr(SQLiteRun, "unchanged", asking)
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
        assert 0 < len(asked) < 300  # three pages
        asked.clear()
        for batch_size in (500, 7):
            again = await sync(client, source, ledger, delete_missing=delete_missing, batch_size=batch_size)
            assert (again.unchanged, asked) == (1_000, [])
        assert emulator.products.keys() - last_prices(source).keys() == (set() if delete_missing else {"p899"})


async def test_an_id_that_comes_twice_is_looked_at_for_itself(ledger):
    """Its first page is not what the server holds, although the server holds the newest version of all on it."""
    async with shop() as (emulator, client):
        for price in (1, 2):
            await sync(client, [*items(100), item(3, price=2), item("new", price=price)], ledger)
        await sync(client, items(100), ledger)
        assert prices(emulator)["p3"] == 1


async def test_a_page_decides_about_what_is_open_before_it(ledger):
    async with shop() as (emulator, client):
        await sync(client, items(50), ledger)
        await sync(client, [item(2, price=3), item(44), *items(50)], ledger)
        assert prices(emulator) == last_prices(items(50))


@pytest.mark.virtual_time
async def test_a_page_to_come_is_none_once_another_version_of_its_product_is_in_doubt(ledger):
    """p1 changes, and its answer is late; meanwhile p2, which was as it is on the page, is sent, its answer lost."""
    page, other = [item(1, price=2), item(2), item(44)], [item(2, price=3), item(3), item(3)]
    async with shop() as (emulator, client):
        await sync(client, items(50), ledger)
        emulator.fail("sync_products", Fault.status(503), times=2, when=lambda request: b'"p1"' in request.body)
        emulator.fail("sync_products", Fault.garbage(processed=True), when=lambda request: b'"price":3' in request.body)
        report = await sync(client, [*page, *other], ledger, batch_size=1, concurrency=2)
        assert (report.failed, prices(emulator)["p2"]) == (1, 3)
        await sync(client, page, ledger)
        assert prices(emulator)["p2"] == 1


async def test_a_page_to_come_is_none_if_a_later_version_is_sent_instead(ledger):
    page, later = [item(1, price=2), item(2), item(44)], [item(1, price=3), item(3), item(4)]
    async with shop() as (emulator, client):
        await sync(client, items(50), ledger)
        report = await sync(client, [*page, *later], ledger, batch_size=3)
        assert report.superseded == 1
        await sync(client, page, ledger)
        assert prices(emulator)["p1"] == 2


async def test_a_stretch_that_comes_twice_counts_twice(ledger):
    async with shop() as (_, client):
        await sync(client, items(90), ledger)
        report = await sync(client, items(45) * 2, ledger)
        assert (report.unchanged + report.superseded, report.requests) == (90, 0)
        assert report.unchanged >= 45


@pytest.mark.parametrize("seed", repeats(range(12)))
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


async def test_a_page_ends_where_a_product_of_it_that_was_new_in_this_run_changes_again(ledger):
    async with ledger.run("shop") as run:
        assert not await run.unchanged({"p1": A, "p2": B})
        await run.invalidate(["p1", "p2"])
        await run.record({"p1": A, "p2": B}, {C: ["p1", "p2"]})
        assert run.holds_page(C)
        await run.invalidate(["p1"])
        assert not run.holds_page(C)
    async with ledger.run("shop") as run:
        assert not run.holds_page(C)
        assert await run.unchanged({"p1": A, "p2": B}) == {"p2"}
