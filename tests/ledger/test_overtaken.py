"""Requests whose answer never came may be processed after newer ones: a ledger must not believe the newer ones then."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing, suppress
from zlib import crc32

import msgspec
import pytest
from ledger_shop import MemoryLedger, sync
from sync.sync_shop import item, items, prices, shop

from neuroon_async import ConfigurationError, LedgerError, RetryPolicy, SQLiteLedger
from neuroon_async.ledger.journal import OpenBatches, packed, unpacked
from neuroon_async.ledger.sqlite_run import SQLiteRun
from neuroon_async.sqlite import DamagedContent
from neuroon_async.testing import Fault

A, B, C = b"a" * 16, b"b" * 16, b"c" * 16


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def ledger(tmp_path, clock):
    return SQLiteLedger(tmp_path / "l", request_lifetime=100, clock=clock)


async def cut_off(ledger, *ids):
    """A run whose request is never answered."""
    async with ledger.run("shop") as run:
        await run.invalidate(ids)


async def sent_again(ledger, digests):
    """A run that sends these and is answered. Returns what the next run takes for unchanged."""
    async with ledger.run("shop") as run:
        assert not await run.unchanged(digests)
        await run.invalidate(digests)
        await run.record(digests)
    async with ledger.run("shop") as run:
        return set(await run.unchanged(digests))


def as_it_stands(ledger, clock):
    """The ledger that the next run would find, were this one killed now."""
    path = ledger.path
    copied = path.with_name("copy")
    for end in ("", "-wal"):
        copied.with_name(copied.name + end).write_bytes(path.with_name(path.name + end).read_bytes())
    return SQLiteLedger(copied, request_lifetime=100, clock=clock)


async def test_what_is_sent_after_a_lost_request_stays_in_doubt_until_that_is_over(ledger, clock):
    await cut_off(ledger, "p")
    clock.now += 50
    assert await sent_again(ledger, {"p": A, "q": B}) == {"q"}
    clock.now += 49
    assert await sent_again(ledger, {"p": B}) == set()
    clock.now += 1
    assert await sent_again(ledger, {"p": B}) == {"p"}


async def test_the_age_counts_when_the_new_request_is_sent_not_when_it_is_answered(ledger, clock):
    await cut_off(ledger, "p")
    clock.now += 99
    async with ledger.run("shop") as run:
        await run.invalidate(["p"])
        clock.now += 50
        await run.record({"p": A})
    async with ledger.run("shop") as run:
        assert not await run.unchanged({"p": A})


async def test_a_lost_deletion_counts_too_and_what_may_come_back_stays_held(ledger, clock):
    await sent_again(ledger, {"p": A, "q": B})
    await cut_off(ledger, "p", "q")  # a deletion
    assert await sent_again(ledger, {"p": A}) == set()
    async with ledger.run("shop") as run:
        await run.seen(["p"])
        assert [external_id async for external_id in run.missing_ids()] == ["q"]
        await run.invalidate(["q"])
        await run.forget(["q"])
    async with ledger.run("shop") as run:  # an older request could have brought it back
        await run.seen(["p"])
        assert await run.missing() == (1, 2)
    clock.now += 101
    async with ledger.run("shop") as run:
        await run.forget(["q"])
    async with ledger.run("shop") as run:
        assert (await run.missing())[1] == 1


async def test_what_may_come_back_is_numbered_without_gaps(ledger, tmp_path):
    async with ledger.run("shop") as run:
        await run.record({"p": A, "q": B})
        await run.repeated(["p", "q"])
        for _ in range(2):
            await run.forget(["p", "q"])
        await run.record({"r": A})
    with closing(sqlite3.connect(tmp_path / "l")) as file:
        assert file.execute("SELECT number FROM product").fetchall() == [(3,), (4,), (5,)]


async def test_a_request_that_was_never_answered_is_not_forgotten_with_its_shop(ledger, clock):
    await sent_again(ledger, {"q": B})
    await cut_off(ledger, "p")
    clock.now += 50
    assert await ledger.forget_shop("shop") == 2
    assert await sent_again(ledger, {"p": A, "q": B}) == {"q"}
    async with ledger.run("shop") as run:
        assert (await run.missing())[1] == 2
    clock.now += 50
    assert await sent_again(ledger, {"p": A}) == {"p"}


async def test_a_request_is_over_in_the_moment_its_lifetime_ends(ledger, clock):
    await cut_off(ledger, "p", "q")
    clock.now += 50
    async with ledger.run("shop") as run:
        for later, digests in ((49, {"p": A}), (1, {"q": B})):
            clock.now += later
            await run.invalidate(digests)
            await run.record(digests)
        assert set(await run.unchanged({"p": A, "q": B})) == {"q"}


async def test_what_is_recorded_without_a_notice_counts_as_sent_now(ledger, clock):
    await cut_off(ledger, "p")
    for later, believed in ((99, set()), (1, {"p"})):
        clock.now += later
        async with ledger.run("shop") as run:
            await run.record({"p": A})
            assert set(await run.unchanged({"p": A})) == believed


async def test_a_request_that_is_lost_twice_counts_from_the_later_time(ledger, clock):
    await cut_off(ledger, "p")
    clock.now += 90
    await cut_off(ledger, "p")
    clock.now += 90
    assert await sent_again(ledger, {"p": A}) == set()
    clock.now += 20
    assert await sent_again(ledger, {"p": A}) == {"p"}


async def test_a_request_that_is_lost_within_the_run_counts_too(ledger, clock):
    async with ledger.run("shop") as run:
        await run.invalidate(["p", "q"])
        await run.record({"q": C})
        await run.invalidate(["p"])  # another version: the first request was given up without an answer
        await run.record({"p": B})
        assert not await run.unchanged({"p": B})
    async with ledger.run("shop") as run:
        assert set(await run.unchanged({"p": B, "q": C})) == {"q"}
    clock.now += 101
    assert await sent_again(ledger, {"p": B}) == {"p"}


async def test_a_refusal_is_an_answer(ledger):
    async with ledger.run("shop") as run:
        await run.invalidate(["p", "q"])
        await run.answered(["p", "unknown"])
        await run.record({"q": B})
        assert not await run.unchanged({"p": A})
    assert await sent_again(ledger, {"p": A}) == {"p"}
    async with ledger.run("shop") as run:
        assert (await run.missing())[1] == 2


async def test_only_what_was_not_answered_is_in_doubt_after_an_orderly_end(ledger):
    async with ledger.run("shop") as run:
        await run.invalidate(["p", "q", "gone"])
        await run.record({"q": B})
        await run.forget(["gone"])
    async with ledger.run("shop") as run:
        assert set(await run.unchanged({"p": A, "q": B})) == {"q"}
        assert await run.missing() == (2, 2)


@pytest.mark.virtual_time
async def test_a_killed_run_may_have_sent_until_its_last_sign_of_life(ledger, clock):
    loop = asyncio.get_running_loop()
    async with ledger.run("shop") as run:
        await run.invalidate(["p"])
        for _ in range(30):  # an outage, ridden out: the request leaves again and again
            await asyncio.sleep(10.1)
            clock.now += 10.1
        assert loop.time() > 300
        await run.unchanged({"p": A})
        killed = as_it_stands(ledger, clock)
    clock.now += 99  # the last sign was of 10 seconds, no more, before that
    assert await sent_again(killed, {"p": A}) == set()
    clock.now += 12
    assert await sent_again(killed, {"p": A}) == {"p"}


async def test_a_run_that_is_killed_before_any_sign_of_life_may_have_sent_until_then(ledger, clock):
    async with ledger.run("shop") as run:
        await run.invalidate(["p"])
        killed = as_it_stands(ledger, clock)
    clock.now += 109.5
    assert await sent_again(killed, {"p": A}) == set()
    clock.now += 0.5
    assert await sent_again(killed, {"p": A}) == {"p"}


async def test_a_doubt_that_is_over_is_not_kept(ledger, clock, tmp_path):
    for ids, over in ((["p", "q"], 0), (["r"], 100)):
        clock.now += over
        await cut_off(ledger, *ids)
        await ledger.shops()
    with closing(sqlite3.connect(tmp_path / "l")) as file:
        assert file.execute("SELECT id FROM doubt").fetchall() == [(b"r",)]


async def test_a_clock_that_was_set_back_does_not_hold_a_doubt_for_ever(ledger, clock):
    await cut_off(ledger, "p")
    assert await sent_again(ledger, {"p": A}) == set()
    clock.now -= 1e7
    assert await sent_again(ledger, {"p": A}) == set()
    clock.now += 101
    assert await sent_again(ledger, {"p": A}) == {"p"}


async def test_a_page_with_a_product_in_doubt_is_not_kept(ledger, clock):
    await cut_off(ledger, "p")
    async with ledger.run("shop") as run:
        await run.invalidate(["p", "q"])
        await run.record({"p": A, "q": B}, {C: ["p", "q"]})
        assert not run.holds_page(C)
        await run.keep_pages({C: ["p", "q"]})
        assert not run.holds_page(C)
    clock.now += 101
    async with ledger.run("shop") as run:
        await run.invalidate(["p"])
        await run.keep_pages({C: ["p", "q"]})
        assert not run.holds_page(C)
        await run.record({"p": A}, {C: ["p", "q"]})
        assert run.holds_page(C)
    async with ledger.run("shop") as run:
        assert run.holds_page(C)
        assert await run.missing() == (0, 2)
        await run.invalidate(["q"])
        assert not run.holds_page(C)


async def test_doubts_of_an_older_ledger_are_young(ledger, tmp_path, clock):
    await sent_again(ledger, {"p": A, "q": B})
    with closing(sqlite3.connect(tmp_path / "l", isolation_level=None)) as file:
        for statement in (
            "DROP TABLE journal",
            "DROP TABLE sending",
            "DROP TABLE doubt",
            "ALTER TABLE page DROP COLUMN size",
            "UPDATE product SET digest = NULL WHERE id = x'70'",
            "PRAGMA user_version = 2",
        ):
            file.execute(statement)
    now = SQLiteLedger(tmp_path / "l", request_lifetime=100)
    async with now.run("shop") as run:
        assert set(await run.unchanged({"p": A, "q": B})) == {"q"}
    assert await sent_again(now, {"p": A}) == set()


async def test_more_lost_requests_than_memory_should_hold(ledger, monkeypatch):
    monkeypatch.setattr("neuroon_async.ledger.sqlite_run._MOST_OPEN", 25)
    async with ledger.run("shop") as run:
        for start in range(0, 100, 10):
            await run.invalidate([f"p{number}" for number in range(start, start + 10)])
        assert not await run.unchanged({f"p{number}": A for number in range(100)})
        await run.record({"p99": A})
        assert set(await run.unchanged({"p99": A, "p0": B})) == {"p99"}
    async with ledger.run("shop") as run:
        assert (await run.missing())[1] == 100


async def test_as_many_open_requests_as_memory_should_hold_stay_there(ledger, monkeypatch):
    monkeypatch.setattr("neuroon_async.ledger.sqlite_run._MOST_OPEN", 20)
    async with ledger.run("shop") as run:
        for start, kept in ((0, 10), (10, 20), (20, 30), (30, 30)):
            await run.invalidate([f"p{number}" for number in range(start, start + 10)])
            assert len(run._open) == kept


async def test_50_000_products_in_open_requests_are_kept_in_memory(ledger, clock):
    async with ledger.run("shop") as run:
        run._open.add(-2, clock.now, [b"oldest"])
        run._open.add(-1, clock.now, map(b"%d".__mod__, range(49_999)))
        for external_id in "xy":  # the second one finds one too many
            await run.invalidate([external_id])
            assert (b"oldest" in run._open, len(run._open)) == (external_id == "x", 50_001)


async def test_what_was_never_answered_is_numbered_from_one_without_gaps(ledger, tmp_path):
    """Each number costs a byte of memory in a run."""
    for ids in (["p", "q"], ["r"]):
        await cut_off(ledger, *ids)
        await ledger.shops()
    with closing(sqlite3.connect(tmp_path / "l")) as file:
        found = file.execute("SELECT number FROM product ORDER BY id").fetchall()
    assert (sorted(found[:2]), found[2:]) == ([(1,), (2,)], [(3,)])


async def test_a_request_lives_for_ten_minutes_unless_told_otherwise(tmp_path, clock):
    ledger = SQLiteLedger(tmp_path / "l", clock=clock)
    await cut_off(ledger, "p")
    clock.now += 599
    assert await sent_again(ledger, {"p": A}) == set()
    clock.now += 1
    assert await sent_again(ledger, {"p": A}) == {"p"}


@pytest.mark.parametrize(("lifetime", "tasks"), [(0, 0), (0.5, 1), (600, 1)])
async def test_a_run_shows_signs_of_life_where_a_request_lives_for_any_time(tmp_path, lifetime, tasks):
    async with SQLiteLedger(tmp_path / "l", request_lifetime=lifetime).run("shop"):
        assert len(asyncio.all_tasks() - {asyncio.current_task()}) == tasks


async def test_the_last_sign_of_life_comes_when_no_other_can(ledger, monkeypatch):
    end = SQLiteRun.end
    left = []

    async def watched(run):
        left.extend(asyncio.all_tasks() - before)
        await end(run)

    monkeypatch.setattr(SQLiteRun, "end", watched)
    before = asyncio.all_tasks()
    async with ledger.run("shop"):
        assert len(asyncio.all_tasks() - before) == 1
    assert [task.get_coro().__name__ for task in left] == ["_end"]


def test_lifetimes_that_cannot_be(tmp_path):
    for lifetime in (-1, float("inf"), float("nan")):
        with pytest.raises(ConfigurationError, match="request_lifetime"):
            SQLiteLedger(tmp_path / "l", request_lifetime=lifetime)


def test_a_batch_is_one_value_that_notices_damage():
    value = packed(1.5, [b"p", b"\xff"])
    assert unpacked(value) == (1.5, [b"p", b"\xff"])
    assert value.hex() == "92cb3ff800000000000092c40170c401ff5cf2714a"  # as every version finds it that opens the file
    for place in range(len(value)):
        for bit in range(8):
            with pytest.raises(DamagedContent):
                unpacked(value[:place] + bytes([value[place] ^ 1 << bit]) + value[place + 1 :])
    whole = [
        content + crc32(content).to_bytes(4) for content in (b"", b"\xc1", b"[1.5, []]", msgspec.msgpack.encode([1.5]))
    ]
    for wrong in (None, "text", 7, b"", packed(1.5, [])[:3], *whole):
        with pytest.raises(DamagedContent):
            unpacked(wrong)


def test_open_batches_end_with_their_last_key():
    batches = OpenBatches()
    batches.add(1, 10.0, [b"p", b"q"])
    batches.add(2, 20.0, [b"r"])
    assert (len(batches), batches.sent_at(b"q"), set(batches.oldest())) == (3, 10.0, {b"p", b"q"})
    assert batches.close([b"x", b"p"]) == []
    assert list(batches.rest()) == [(1, 10.0, [b"q"]), (2, 20.0, [b"r"])]
    assert batches.close([b"q", b"r"]) == [1, 2]
    assert not batches


# Whole syncs


async def lost_by_timeout(client, source, ledger, **options):
    with suppress(TimeoutError):
        async with asyncio.timeout(0.1):
            await sync(client, source, ledger, **options)


@pytest.mark.virtual_time
async def test_an_overtaken_sync_is_repaired_by_the_run_after_the_next(tmp_path):
    ledger = SQLiteLedger(tmp_path / "l")
    async with shop() as (emulator, client):
        await sync(client, items(20), ledger)
        emulator.latency = 0.4
        await lost_by_timeout(client, items(20, price=2), ledger)
        emulator.latency = 0
        report = await sync(client, items(20, price=3), ledger)
        assert report.accepted == 20
        await asyncio.sleep(0.5)  # the server works off what it got
        last = await sync(client, items(20, price=3), ledger)
        assert last.accepted == 20
        assert set(prices(emulator).values()) == {3}


async def test_a_refused_product_is_not_sent_twice_once_it_is_right(tmp_path):
    ledger = SQLiteLedger(tmp_path / "l")
    async with shop(reject_item=lambda product: "no" if product["price"] == 2 else None) as (_, client):
        await sync(client, items(10), ledger)
        await sync(client, [*items(9), item(9, price=2)], ledger)
        assert (await sync(client, [*items(9), item(9, price=3)], ledger)).accepted == 1
        assert (await sync(client, [*items(9), item(9, price=3)], ledger)).requests == 0


async def test_a_server_that_fails_leaves_its_batch_in_doubt_for_longer(tmp_path):
    ledger = SQLiteLedger(tmp_path / "l")
    once = {"retry": RetryPolicy(attempts=1, initial=0, outage_patience=0)}
    async with shop(once) as (emulator, client):
        emulator.fail("sync_products", Fault.status(504))
        assert (await sync(client, items(10), ledger)).failed == 10
        assert (await sync(client, items(10), ledger)).accepted == 10
        assert (await sync(client, items(10), ledger)).accepted == 10  # the first one may have been processed since


async def test_a_bare_ledger_needs_none_of_this():
    ledger = MemoryLedger()
    async with shop(reject_item=lambda product: "no" if product["price"] == 2 else None) as (_, client):
        assert (await sync(client, [*items(9), item(9, price=2)], ledger)).failed == 1
        assert (await sync(client, items(10), ledger)).accepted == 1
    assert LedgerError.__doc__
