"""Damaged ledgers: a run may refuse or send too much, but deletes nothing that the source has, and always ends."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest
from ledger_shop import sync
from sync.sync_shop import item, items, prices, shop

from neuroon_async import LedgerError, SQLiteLedger
from neuroon_async.ledger import missing
from neuroon_async.ledger.rows import portions, valid_number
from neuroon_async.sqlite import DamagedContent, SQLiteFile

PAGE = 4096
COUNT = 900
CHANGED = {number for number in range(COUNT) if number % 19 == 3}
NOW = [item(number, price=2 if number in CHANGED else 1) for number in range(COUNT)]


def flip_one(rng: random.Random, content: bytearray) -> None:
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def flip_twenty(rng: random.Random, content: bytearray) -> None:
    for _ in range(20):
        flip_one(rng, content)


def zero_a_sector(rng: random.Random, content: bytearray) -> None:
    place = rng.randrange(0, len(content), 512)
    content[place : place + 512] = bytes(512)


def truncate(rng: random.Random, content: bytearray) -> None:
    del content[rng.randrange(len(content)) :]


def swap_pages(rng: random.Random, content: bytearray) -> None:
    one, other = (place * PAGE for place in rng.sample(range(1, len(content) // PAGE), 2))
    page = content[one : one + PAGE]
    content[one : one + PAGE] = content[other : other + PAGE]
    content[other : other + PAGE] = page


def garbage_page(rng: random.Random, content: bytearray) -> None:
    place = rng.randrange(len(content) // PAGE) * PAGE
    content[place : place + PAGE] = rng.randbytes(PAGE)


def repeat_a_page(rng: random.Random, content: bytearray) -> None:
    one, other = (place * PAGE for place in rng.sample(range(1, len(content) // PAGE), 2))
    content[one : one + PAGE] = content[other : other + PAGE]


def another_id(rng: random.Random, content: bytearray) -> None:
    place = content.find(b"p", rng.randrange(PAGE, len(content)))
    content[place + 1 : place + 3] = b"%02d" % rng.randrange(100)


DAMAGES: tuple[Callable[[random.Random, bytearray], None], ...] = (
    flip_one,
    flip_twenty,
    zero_a_sector,
    truncate,
    swap_pages,
    garbage_page,
    repeat_a_page,
    another_id,
)


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
async def test_no_damage_deletes_what_the_source_has(tmp_path, damage):
    rng = random.Random(damage.__name__)
    async with shop() as (emulator, client):
        whole = SQLiteLedger(tmp_path / "whole")
        for _ in range(2):
            await sync(client, items(COUNT), whole)
        content, catalog = (tmp_path / "whole").read_bytes(), dict(emulator.products)
        for attempt in range(30):
            bad = bytearray(content)
            damage(rng, bad)
            path = tmp_path / str(attempt)
            path.write_bytes(bad)
            emulator.products.clear()
            emulator.products.update(catalog)
            refused = False
            try:
                async with asyncio.timeout(60):
                    await sync(client, NOW, SQLiteLedger(path), delete_missing=True)
            except LedgerError:
                refused = True
            assert len(emulator.products) == COUNT, attempt
            if not refused:
                assert prices(emulator) == {p.external_id: p.price for p in NOW}, attempt


FIELDS = [
    ("UPDATE product SET number = -5 WHERE id = x'7037'", "number -5"),
    ("UPDATE product SET number = 'x' WHERE id = x'7037'", "number 'x'|highest number"),
    ("UPDATE product SET number = 9999.5 WHERE id = x'7037'", "highest number|number 9"),
    ("UPDATE product SET page = page + 1 WHERE id = x'7037'", "products instead of"),
    ("UPDATE page SET digest = 7", "another type"),
    ("UPDATE page SET size = 'many'", "another type"),
    ("UPDATE page SET size = size + 1", "products instead of"),
    ("INSERT INTO journal (shop, batch) VALUES (1, x'00')", "checksum"),
    ("INSERT INTO journal (shop, batch) VALUES (1, 'text')", "no bytes"),
    ("UPDATE product SET id = CAST(x'ff' || id AS BLOB) WHERE id = x'7039'", "no text"),
]


@pytest.mark.parametrize(("statement", "complaint"), FIELDS, ids=[statement for statement, _ in FIELDS])
async def test_a_value_out_of_its_range_is_told_and_deletes_nothing(tmp_path, statement, complaint):
    path = tmp_path / "l"
    async with shop() as (emulator, client):
        for _ in range(2):
            await sync(client, items(300), SQLiteLedger(path))
        with closing(sqlite3.connect(path)) as file:
            file.execute("PRAGMA writable_schema = ON")
            file.execute(statement)
            file.commit()
        with pytest.raises(LedgerError, match=f"not a ledger, or damaged .*({complaint})"):
            await sync(client, items(300)[20:], SQLiteLedger(path), delete_missing=True)
        assert {f"p{number}" for number in range(20, 300)} <= emulator.products.keys()


async def test_a_sign_of_life_that_is_no_time_is_told(tmp_path):
    ledger = SQLiteLedger(tmp_path / "l")
    async with ledger.run("shop") as run:
        await run.invalidate(["p"])
    with closing(sqlite3.connect(ledger.path)) as file:
        file.execute("UPDATE sending SET until = 'x'")
        file.commit()
    with pytest.raises(LedgerError, match=r"damaged \(a time is 'x'\)"):
        await ledger.shops()


async def test_two_pages_with_one_digest_end_both(tmp_path):
    ledger = SQLiteLedger(tmp_path / "l")
    async with ledger.run("shop") as run:
        await run.record(dict.fromkeys("pq", bytes(16)))
        await run.keep_pages({b"a" * 16: ["p"], b"b" * 16: ["q"]})
    with closing(sqlite3.connect(ledger.path)) as file:
        file.execute("UPDATE page SET digest = ?", (b"a" * 16,))
        file.commit()
    async with ledger.run("shop") as run:
        await run.invalidate(["p", "q"])
        assert not run.holds_page(b"a" * 16)


async def test_a_shop_whose_name_is_no_text_is_told(tmp_path):
    ledger = SQLiteLedger(tmp_path / "l")
    async with ledger.run("shop"):
        pass
    with closing(sqlite3.connect(ledger.path)) as file:
        file.execute("UPDATE shop SET name = x'00'")
        file.commit()
    with pytest.raises(LedgerError, match=r"damaged .*shop b'.x00'"):
        await ledger.shops()


def test_a_number_leaves_room_for_all_that_follow_it():
    assert [valid_number(number) for number in (0, 2**62)] == [0, 2**62]
    for number in (-1, 2**62 + 1, 1.0, None):
        with pytest.raises(DamagedContent, match="has the number"):
            valid_number(number)


def test_one_query_takes_500_keys():
    assert [(len(some), marks.count("?")) for some, marks in portions([b"p"] * 1_001)] == [
        (500, 500),
        (500, 500),
        (1, 1),
    ]


async def test_a_number_far_beyond_the_products_costs_no_memory(tmp_path):
    path = tmp_path / "l"
    async with shop() as (emulator, client):
        await sync(client, items(300), SQLiteLedger(path))
        with closing(sqlite3.connect(path)) as file:
            file.execute("UPDATE product SET number = 4000000000000000000 WHERE id = x'7037'")
            file.commit()
        assert (await sync(client, items(300)[20:], SQLiteLedger(path), delete_missing=True)).deleted == 20
        assert len(emulator.products) == 280


async def test_a_file_is_read_through_once_before_anything_is_found_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(missing, "ONE_QUERY", 10)
    checks = []
    check = SQLiteFile.check_integrity
    monkeypatch.setattr(SQLiteFile, "check_integrity", lambda file: checks.append(1) or check(file))
    ids = [f"p{number:03}" for number in range(30)]
    for first in (True, False):
        async with SQLiteLedger(tmp_path / "l").run("shop") as run:
            await run.record(dict.fromkeys(ids, bytes(16)))
        async with SQLiteLedger(tmp_path / "l").run("shop") as run:
            assert not first or (await run.missing(), len(checks)) == ((30, 30), 1)
            assert [external_id async for external_id in run.missing_ids()] == ids
        assert checks == [1]
        checks.clear()


async def test_a_page_that_has_not_its_number_of_products_ends_a_deletion_that_nobody_counted_before(tmp_path):
    ledger = SQLiteLedger(tmp_path / "l")
    async with ledger.run("shop") as run:
        await run.record(dict.fromkeys("pqr", bytes(16)))
        await run.keep_pages({b"a" * 16: ["p", "q"]})
    with closing(sqlite3.connect(tmp_path / "l")) as file:
        file.execute("UPDATE product SET page = NULL WHERE id = x'71'")
        file.commit()
    async with ledger.run("shop") as run:
        assert run.holds_page(b"a" * 16)
        with pytest.raises(LedgerError, match="1 products instead of 2"):
            async for external_id in run.missing_ids():
                raise AssertionError(external_id)


@pytest.mark.parametrize("behind", [b"", b"p008"], ids=["before", "the same again"])
async def test_ids_out_of_order_end_a_deletion(tmp_path, monkeypatch, behind):
    monkeypatch.setattr(missing, "ONE_QUERY", 10)
    async with SQLiteLedger(tmp_path / "l").run("shop") as run:
        await run.record({f"p{number:03}": bytes(16) for number in range(30)})
    async with SQLiteLedger(tmp_path / "l").run("shop") as run:
        execute = run._file.execute

        def misplaced(statement, parameters=()):
            if "ORDER BY id" in statement and parameters[1] == b"p009":
                parameters = (parameters[0], behind, parameters[2])
            return execute(statement, parameters)

        monkeypatch.setattr(run._file, "execute", misplaced)
        found = []
        with pytest.raises(LedgerError, match="out of order"):
            async for external_id in run.missing_ids():
                found += [external_id]
        assert len(set(found)) == len(found) == 10


@pytest.mark.parametrize(
    "looked_up",
    [
        lambda rows: rows[1:],
        lambda rows: [(number, 1) for number, _ in rows],
        lambda rows: [(2, page) for _, page in rows],
    ],
    ids=["not there", "on a page that was seen", "seen by itself"],
)
async def test_what_looks_otherwise_when_it_is_looked_up_by_itself_is_not_deleted(tmp_path, monkeypatch, looked_up):
    ledger = SQLiteLedger(tmp_path / "l")
    async with ledger.run("shop") as run:
        await run.record(dict.fromkeys("pqr", bytes(16)))
        await run.keep_pages({b"a" * 16: ["p"]})
    async with ledger.run("shop") as run:
        assert run.holds_page(b"a" * 16)
        await run.seen(["q"])
        execute = run._file.execute

        class Otherwise:
            def __init__(self, rows) -> None:
                self.fetchall = lambda: looked_up(rows.fetchall())

        def misread(statement, parameters=()):
            rows = execute(statement, parameters)
            by_itself = statement.startswith("SELECT number, page FROM product") and "id IN" in statement
            return Otherwise(rows) if by_itself else rows

        assert await run.missing() == (1, 3)
        monkeypatch.setattr(run._file, "execute", misread)
        with pytest.raises(LedgerError, match="cannot be looked up"):
            async for external_id in run.missing_ids():
                raise AssertionError(external_id)
