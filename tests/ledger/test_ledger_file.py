"""The ledger's file: what it holds, who may use it, and which files it leaves alone."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from killed_database import killed

from neuroon_async import SQLiteLedger
from neuroon_async.ledger.protocols import LedgerError
from neuroon_async.sqlite import SQLiteFile

A, B = b"a" * 16, b"b" * 16


async def test_a_digest_is_held_from_its_record_to_its_doubt(tmp_path):
    ledger = SQLiteLedger(tmp_path / "l")
    before = int(time.time())
    async with ledger.run("shop") as run:
        assert not await run.unchanged({"p": A})
        await run.invalidate(["p"])
        assert not await run.unchanged({"p": A})
        await run.record({"p": A, "é\ud800": B})
        assert set(await run.unchanged({"p": A, "é\ud800": B, "q": A[:1]})) == {"p", "é\ud800"}
        assert not await run.unchanged({"p": B})
    with closing(sqlite3.connect(tmp_path / "l")) as file:
        (acknowledged,) = file.execute("SELECT acknowledged FROM product WHERE id = ?", (b"p",)).fetchone()
    assert before <= acknowledged <= time.time()
    async with ledger.run("shop") as run:
        await run.invalidate(["p"])
    async with ledger.run("shop") as run:
        assert set(await run.unchanged({"p": A, "é\ud800": B})) == {"é\ud800"}


async def test_shops_share_a_file_and_nothing_else(tmp_path):
    ledger = SQLiteLedger(tmp_path / "l")
    for shop in ("one", "two"):
        async with ledger.run(shop) as run:
            assert not await run.unchanged({"p": A})
            await run.record({"p": A, f"of {shop}": B})
    async with ledger.run("one") as run:
        await run.invalidate(["p"])
        assert await run.missing() == (2, 2)
    assert await ledger.shops() == {"one": 1, "two": 2}
    assert await ledger.forget_shop("two") == 2
    assert await ledger.shops() == {"one": 1, "two": 0}
    assert await ledger.forget_shop("a typo") == 0
    assert await ledger.shops() == {"one": 1, "two": 0}


async def test_missing_are_those_held_at_first_and_not_seen(tmp_path):
    ledger = SQLiteLedger(tmp_path / "l")
    ids = [f"p{number:04}" for number in range(1_040)]
    async with ledger.run("shop") as run:
        await run.invalidate(ids[:700])  # also what may have reached the server counts as held
        await run.record(dict.fromkeys(ids, A))
        assert await run.missing() == (0, 0)
    async with ledger.run("shop") as run:
        await run.invalidate(["new"])
        await run.record({"new": A})
        await run.seen([*ids[:1_000], "new", "unheard of"])
        await run.seen(ids[:10])
        assert await run.missing() == (40, 1_040)
        found = []
        async for external_id in run.missing_ids():
            found.append(external_id)
            await run.forget([external_id])
        assert found == ids[1_000:]
    async with ledger.run("shop") as run:
        assert await run.missing() == (1_001, 1_001)


async def test_numbers_do_not_grow_with_the_runs(tmp_path):
    # Each number costs a byte of memory in a run.
    ledger = SQLiteLedger(tmp_path / "l")
    for day in range(20):
        async with ledger.run("shop") as run:
            digests = {f"p{number}": bytes([day]) * 16 for number in range(100 + day)}
            await run.invalidate(digests.keys())
            await run.record(digests)
    with closing(sqlite3.connect(tmp_path / "l")) as file:
        assert file.execute("SELECT max(number), count(*) FROM product").fetchone() == (119, 119)


@pytest.mark.parametrize(("highest", "next_one"), [(1_000_008, 1_000_009), (1_000_009, 3)])
async def test_products_are_numbered_again_once_a_million_numbers_are_not_in_use(tmp_path, highest, next_one):
    ledger = SQLiteLedger(tmp_path / "l")
    async with ledger.run("shop") as run:
        await run.record({"p": A, "q": A})
    with closing(sqlite3.connect(tmp_path / "l")) as file:
        file.execute("UPDATE product SET number = ? WHERE id = ?", (highest, b"q"))
        file.commit()
    async with ledger.run("shop") as run:
        await run.record({"r": A})
        assert await run.missing() == (2, 2)
    with closing(sqlite3.connect(tmp_path / "l")) as file:
        assert file.execute("SELECT number FROM product WHERE id = ?", (b"r",)).fetchone() == (next_one,)


async def test_which_of_some_ids_are_held_is_told_of_one_shop_whatever_is_known_of_them(tmp_path):
    ledger = SQLiteLedger(tmp_path / "l")
    assert await ledger.held("shop", ["p"]) == set()
    ids = [f"p{number}" for number in range(700)]
    async with ledger.run("shop") as run:
        await run.record(dict.fromkeys([*ids, "é\ud800"], A))
        await run.invalidate(["sent"])
        await run.answered(["sent"])
    async with ledger.run("other") as run:
        await run.record({"of the other": A})
    assert await ledger.held("shop", [*ids, "é\ud800", "sent", "of the other", "q"]) == {*ids, "é\ud800", "sent"}
    assert await ledger.held("none", ids) == await ledger.held("shop", []) == set()


def test_a_ledger_tells_its_file(tmp_path):
    assert repr(SQLiteLedger(tmp_path / "l")) == f"SQLiteLedger('{tmp_path}/l')"


async def test_a_file_is_marked_as_a_ledger_and_16_mib_of_it_are_kept_in_memory(tmp_path):
    async with SQLiteLedger(tmp_path / "l").run("shop") as run:

        def ask(name):
            return run._file.execute(f"PRAGMA {name}").fetchone()[0]

        assert await run._file.run(ask, "application_id") == int.from_bytes(b"NURN")
        assert await run._file.run(ask, "cache_size") == -16 * 1024


def asked(run):
    """The statements that are about to be carried out."""
    statements = []
    execute = run._file.execute
    run._file.execute = lambda statement, *values: statements.append(statement) or execute(statement, *values)
    return statements


async def test_what_was_not_found_is_not_looked_for_again(tmp_path, monkeypatch):
    monkeypatch.setattr("neuroon_async.ledger.sqlite_run._MOST_OPEN", 20)
    async with SQLiteLedger(tmp_path / "l").run("shop") as run:
        for number, kept in ((0, 10), (1, 20), (2, 30), (3, 10)):  # the last ones know that the first were too many
            await run.unchanged({f"p{number}-{place}": A for place in range(10)})
            assert len(run._absent) == kept
        statements = asked(run)
        await run.record({"p3-0": A})
        assert not [each for each in statements if each.startswith("SELECT id, page")]
        await run.record({"p3-0": B, "p0-0": A})
        assert [each for each in statements if each.startswith("SELECT id, page")]


async def test_sqlite_works_in_its_own_thread_only(tmp_path, monkeypatch):
    threads = set()
    connect = sqlite3.connect

    class Watched(sqlite3.Connection):
        def execute(self, *args):
            threads.add(threading.current_thread().name)
            return super().execute(*args)

    monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: connect(*args, factory=Watched, **options))
    async with SQLiteLedger(tmp_path / "l").run("shop") as run:
        await run.invalidate(["p"])
        await run.record({"p": A})
        await run.unchanged({"p": A})
        await run.seen(["p"])
        await run.missing()
        assert [external_id async for external_id in run.missing_ids()] == []
        await run.forget(["p"])
    assert threads == {"neuroon-ledger_0"}


# Who may use it


async def test_a_second_run_is_told_so(tmp_path):
    ledger = SQLiteLedger(tmp_path / "l")
    async with ledger.run("shop") as run:
        await run.record({"p": A})
        with pytest.raises(LedgerError, match="/l: another run, or another process, is using"):
            async with ledger.run("other"):
                raise AssertionError
        await run.record({"q": A})
    assert await ledger.shops() == {"shop": 2}


@pytest.mark.slow
async def test_a_second_process_is_told_so(tmp_path):
    path = tmp_path / "l"
    program = (
        "import asyncio, sys\nfrom neuroon_async import SQLiteLedger\n"
        "async def main():\n async with SQLiteLedger(sys.argv[1]).run('s'):\n  print(); sys.stdin.read()\n"
        "asyncio.run(main())"
    )
    with subprocess.Popen(  # noqa: ASYNC220 - it starts in milliseconds
        [sys.executable, "-c", program, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as holder:
        try:
            await asyncio.to_thread(holder.stdout.readline)
            with pytest.raises(LedgerError, match="another process"):
                await SQLiteLedger(path).shops()
        finally:
            holder.kill()
    assert await SQLiteLedger(path).shops() == {"s": 0}


async def test_a_cancellation_while_the_file_is_closed_waits_for_that(tmp_path, monkeypatch):
    closing = threading.Event()
    close = SQLiteFile._close

    def slow(file):
        closing.set()
        time.sleep(0.05)
        close(file)

    async def run():
        async with ledger.run("shop"):
            pass

    monkeypatch.setattr(SQLiteFile, "_close", slow)
    ledger = SQLiteLedger(tmp_path / "l")
    task = asyncio.create_task(run())
    await asyncio.to_thread(closing.wait)
    for _ in range(2):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    async with ledger.run("shop"):
        pass


async def test_a_cancelled_run_lets_go_of_the_file(tmp_path):
    ledger = SQLiteLedger(tmp_path / "l")
    for turns in range(12):

        async def use() -> None:
            async with ledger.run("shop") as run:
                await asyncio.gather(*(run.record({f"p{number}": A}) for number in range(5)))

        task = asyncio.create_task(use())
        for _ in range(turns):
            await asyncio.sleep(0.0005)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()  # again, while it closes
        await asyncio.gather(task, return_exceptions=True)
        for _ in range(100):  # a cancelled close is finished by the thread
            try:
                await ledger.shops()
                break
            except LedgerError:
                await asyncio.sleep(0.001)
        else:
            raise AssertionError("the file is still in use")


async def test_a_ledger_that_is_taken_away_is_told(tmp_path):
    with pytest.raises(
        LedgerError, match=r"/l: the ledger was taken away while a run was using it \(.+\); run the sync"
    ):
        async with SQLiteLedger(tmp_path / "l").run("shop") as run:
            (tmp_path / "l").unlink()
            await run.record({"p": A})


async def test_a_run_with_something_unanswered_ends_in_peace_where_its_file_is_gone(tmp_path):
    """Nothing more is noted, so the request counts as under way until its last sign of life."""
    async with SQLiteLedger(tmp_path / "l").run("shop") as run:
        await run.invalidate(["p"])
        (tmp_path / "l").unlink()


async def test_only_a_refusal_need_not_outlive_a_power_cut(tmp_path, monkeypatch):
    pressed = []
    transaction = SQLiteFile.transaction

    def watched(file, *, durable=True):
        pressed.append(durable)
        return transaction(file, durable=durable)

    monkeypatch.setattr(SQLiteFile, "transaction", watched)
    async with SQLiteLedger(tmp_path / "l").run("shop") as run:
        pressed.clear()
        await run.invalidate(["p", "q"])
        await run.answered(["q"])
        await run.record({"p": A})
        await run.keep_pages({B: ["p"]})
        await run.forget(["p"])
        assert pressed == [True, False, True, True, True]


# Files it leaves alone


def _other_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as file:
        file.execute("CREATE TABLE customer (name)")
        file.execute("INSERT INTO customer VALUES ('Ann')")
        file.commit()


def _other_database_in_wal_mode(path: Path) -> None:
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA journal_mode = WAL")
    _other_database(path)


def _empty_database_of_another_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA application_id = 77")


def _ledger(path: Path) -> None:
    async def fill() -> None:
        async with SQLiteLedger(path).run("shop") as run:
            await run.record({f"p{number}": A for number in range(2_000)})

    asyncio.run(fill())


def _newer_ledger(path: Path) -> None:
    _ledger(path)
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA user_version = 99")


def _truncated_ledger(path: Path) -> None:
    _ledger(path)
    os.truncate(path, path.stat().st_size * 2 // 3)


def _ledger_cut_within_its_header(path: Path) -> None:
    _ledger(path)
    os.truncate(path, 60)


def _scribbled_header(path: Path) -> None:
    _ledger(path)
    path.write_bytes(b"\xff" * 100 + path.read_bytes()[100:])


NO_LEDGER = r"not a ledger, or damaged \(.+\). Without it the next sync sends everything again"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_text("dear diary"), NO_LEDGER),
        (lambda path: path.write_text("dear diary\n" * 5_000), NO_LEDGER),
        (lambda path: path.write_bytes(b"xy"), NO_LEDGER),
        (_other_database, "is a database of something else"),
        (_other_database_in_wal_mode, "is a database of something else"),
        (_empty_database_of_another_program, "is a database of something else"),
        (_newer_ledger, "was written by a newer version of neuroon-async"),
        (_truncated_ledger, NO_LEDGER),
        (_ledger_cut_within_its_header, NO_LEDGER),
        (_scribbled_header, NO_LEDGER),
    ],
)
async def test_what_is_no_sound_ledger_is_not_touched(tmp_path, make, message):
    path = tmp_path / "catalog.ledger"
    await asyncio.to_thread(make, path)
    before = path.read_bytes()
    with pytest.raises(LedgerError, match=f"catalog.ledger: {message}"):
        async with SQLiteLedger(path).run("shop"):
            raise AssertionError
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["catalog.ledger"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "statements",
    [
        ("PRAGMA journal_mode = WAL", "CREATE TABLE customer (name)"),  # its tables are in the log only
        ("CREATE TABLE customer (name)", "PRAGMA journal_mode = WAL", "INSERT INTO customer VALUES ('Ann')"),
        ("PRAGMA journal_mode = WAL", "PRAGMA application_id = 77"),
    ],
)
async def test_what_another_program_left_in_its_log_is_not_touched(tmp_path, statements):
    path = tmp_path / "catalog.ledger"
    await asyncio.to_thread(killed, path, *statements)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    assert len(before) == 3
    with pytest.raises(LedgerError, match="is a database of something else; nothing was written"):
        await SQLiteLedger(path).shops()
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.slow
@pytest.mark.parametrize(
    "last",
    [
        "CREATE TABLE shop",
        "COMMIT",
        "PRAGMA journal_mode",
        "INSERT OR IGNORE",
        "INSERT INTO journal",
        "DELETE FROM journal",
        "INSERT INTO product",
    ],
)
async def test_a_ledger_opens_again_wherever_its_first_run_was_killed(tmp_path, last):
    path = tmp_path / "l"
    program = """
import asyncio, os, sqlite3, sys
from neuroon_async import SQLiteLedger

connect = sqlite3.connect

class Killed(sqlite3.Connection):
    def execute(self, statement, *arguments):
        result = super().execute(statement, *arguments)
        if statement.strip().startswith(sys.argv[2]):
            os._exit(9)
        return result

sqlite3.connect = lambda *args, **options: connect(*args, factory=Killed, **options)

async def main():
    async with SQLiteLedger(sys.argv[1]).run("shop") as run:
        await run.invalidate(["p"])
        await run.record({"p": b"a" * 16})

asyncio.run(main())
"""
    process = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", program, path, last],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.returncode == 9
    async with SQLiteLedger(path, request_lifetime=0).run("shop") as run:
        await run.record({"p": A})
    assert await SQLiteLedger(path).shops() == {"shop": 1}


@pytest.mark.slow
async def test_a_refused_second_run_does_not_open_the_file_to_other_processes(tmp_path):
    ledger = SQLiteLedger(tmp_path / "l")
    async with ledger.run("shop"):
        with pytest.raises(LedgerError, match="is using"):
            await ledger.shops()
        program = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
        other = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", program, ledger.path], capture_output=True, text=True
        )
    assert "database is locked" in other.stderr


async def test_a_ledger_that_its_run_is_just_writing_is_in_use_and_not_damaged(tmp_path):
    # The first page tells how many there are before the others are written.
    ledger = SQLiteLedger(tmp_path / "l")
    await asyncio.to_thread(_ledger, ledger.path)
    async with ledger.run("shop"):
        os.truncate(ledger.path, 4096)
        with pytest.raises(LedgerError, match="is using"):
            await ledger.shops()


async def test_a_directory_is_no_ledger(tmp_path):
    for path in (tmp_path, tmp_path / "no such folder" / "l"):
        with pytest.raises(LedgerError, match="unable to open"):
            await SQLiteLedger(path).shops()


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write everywhere")
async def test_an_unwritable_ledger_is_told(tmp_path):
    await asyncio.to_thread(_ledger, tmp_path / "l")
    (tmp_path / "l").chmod(0o400)
    with pytest.raises(LedgerError, match="unable to open it: it may not be written to"):
        await SQLiteLedger(tmp_path / "l").shops()


async def test_damage_found_on_the_way_ends_the_run(tmp_path):
    path = tmp_path / "l"
    await asyncio.to_thread(_ledger, path)
    content = bytearray(path.read_bytes())
    content[3 * 4096 :] = b"\xee" * (len(content) - 3 * 4096)
    path.write_bytes(content)
    with pytest.raises(LedgerError, match="damaged"):
        async with SQLiteLedger(path).run("shop") as run:
            await run.unchanged({f"p{number}": A for number in range(2_000)})
    assert path.read_bytes() == content
