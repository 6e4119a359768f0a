"""`SQLiteFile` and `temporary_database`, whatever is kept in them."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from killed_database import killed

from neuroon_async.sqlite import DamagedContent, Problem, SQLiteFile, temporary_database

FIRST = ("CREATE TABLE fact (number INTEGER PRIMARY KEY, text TEXT)",)
SECOND = ("ALTER TABLE fact ADD COLUMN more TEXT", "CREATE INDEX facts ON fact (more)")


class Failed(Exception):
    def __init__(self, problem: Problem | str, detail: str = "") -> None:
        super().__init__(problem, detail)
        self.problem = problem


def file_at(path: Path, *migrations, **options) -> SQLiteFile:
    options = {"application_id": 4711, "explain": Failed, "migrations": migrations or (FIRST,)} | options
    return SQLiteFile(path, **options)


def insert(file: SQLiteFile, text: str = "x") -> None:
    with file.transaction():
        file.execute("INSERT INTO fact (text) VALUES (?)", (text,))


def count(file: SQLiteFile) -> int:
    return file.execute("SELECT count(*) FROM fact").fetchone()[0]


async def problem_of(file: SQLiteFile) -> Problem:
    with pytest.raises(Failed) as caught:
        async with file:
            raise AssertionError("it was opened")
    assert not file.is_open
    return caught.value.problem


async def test_what_was_committed_is_there_again(tmp_path):
    for expected in (1, 2):
        async with file_at(tmp_path / "f") as file:
            await file.run(insert, file)
            assert await file.run(count, file) == expected
    assert [entry.name for entry in tmp_path.iterdir()] == ["f"]


async def test_opened_twice_it_is_open_once(tmp_path):
    file = file_at(tmp_path / "facts", exclusive=True)
    others = set(threading.enumerate())  # of an earlier test's file, too, which may end only now
    await file.open()
    await file.run(insert, file)
    await file.open()
    assert await file.run(count, file) == 1
    assert len(set(threading.enumerate()) - others) == 1
    await file.close()


async def test_a_transaction_that_fails_leaves_nothing(tmp_path):
    def fail(file):
        with file.transaction():
            file.execute("INSERT INTO fact (text) VALUES ('x')")
            raise ZeroDivisionError

    async with file_at(tmp_path / "f") as file:
        with pytest.raises(ZeroDivisionError):
            await file.run(fail, file)
        assert await file.run(count, file) == 0
        await file.run(insert, file)


async def test_a_file_is_brought_up_to_date_step_by_step_and_never_down(tmp_path):
    path = tmp_path / "f"
    async with file_at(path, FIRST) as file:
        await file.run(insert, file)
    for _ in range(2):
        async with file_at(path, FIRST, SECOND) as file:
            rows = await file.run(lambda file=file: file.execute("SELECT text, more FROM fact").fetchall())
            assert rows == [("x", None)]
    before = path.read_bytes()
    assert await problem_of(file_at(path, FIRST)) is Problem.NEWER
    assert path.read_bytes() == before


async def test_a_migration_that_fails_changes_nothing(tmp_path):
    path = tmp_path / "f"
    async with file_at(path, FIRST):
        pass
    assert await problem_of(file_at(path, FIRST, (*SECOND, "nonsense"))) is Problem.UNUSABLE
    async with file_at(path, FIRST, SECOND):
        pass


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"x", Problem.NO_DATABASE), (b"dear diary" * 500, Problem.NO_DATABASE), (b"", None)],
)
async def test_what_is_no_database_is_left_alone(tmp_path, content, problem):
    path = tmp_path / "f"
    path.write_bytes(content)
    if problem is None:
        async with file_at(path):
            return
    assert await problem_of(file_at(path)) is problem
    assert path.read_bytes() == content


@pytest.mark.slow
async def test_a_database_of_another_program_is_left_alone_with_its_log(tmp_path):
    path = tmp_path / "f"
    await asyncio.to_thread(killed, path, "PRAGMA journal_mode = WAL", "CREATE TABLE customer (name)")
    before = {entry: entry.read_bytes() for entry in tmp_path.iterdir()}
    assert await problem_of(file_at(path)) is Problem.FOREIGN
    assert {entry: entry.read_bytes() for entry in tmp_path.iterdir()} == before


async def test_a_path_that_cannot_be_opened(tmp_path):
    assert await problem_of(file_at(tmp_path)) is Problem.NO_ACCESS
    assert await problem_of(file_at(tmp_path / "none" / "f")) is Problem.NO_ACCESS


def _links(folder: Path) -> None:
    (folder / "loop").symlink_to("loop")
    (folder / "astray").symlink_to(folder / "none" / "f")
    (folder / "there").symlink_to("f")


@pytest.mark.skipif(sys.platform == "win32", reason="needs links and pipes")
async def test_a_path_where_no_file_can_be_is_told_in_more_words_than_sqlite_has(tmp_path):
    _links(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    reasons = {
        ".": "a folder",
        "none/f": "no such folder",
        "astray": "no such folder",
        "loop": os.strerror(errno.ELOOP),
        "pipe": "no regular file",
        "n" * 300: os.strerror(errno.ENAMETOOLONG),
        "f\0": "null",
    }
    for name, reason in reasons.items():
        with pytest.raises(Failed, match=reason) as caught:
            await file_at(tmp_path / name).open()
        assert caught.value.problem is Problem.NO_ACCESS, name
    async with file_at(tmp_path / "there"):
        assert (tmp_path / "f").is_file()


async def test_a_file_that_may_not_be_written_is_no_broken_disk(tmp_path, monkeypatch):
    """For a ledger that cron's root has made SQLite says "disk I/O error"."""
    path = tmp_path / "f"
    async with file_at(path) as file:
        await file.run(insert, file)
    connect = sqlite3.connect

    def as_another_user(at, **options):
        return connect(at, **options) if "uri" in options else connect(f"{Path(at).as_uri()}?mode=ro", uri=True)

    reasons = {
        path.resolve(): "it may not be written to",
        path.resolve().parent: "nothing may be written to its folder",
    }
    for protected, reason in reasons.items():
        with monkeypatch.context() as patched:  # to root everything is allowed
            patched.setattr(sqlite3, "connect", as_another_user)
            patched.setattr(os, "access", lambda at, _mode, protected=protected, **_: at != protected)
            with pytest.raises(Failed, match=f"unable to open it: {reason}") as caught:
                await file_at(path, exclusive=True).open()
        assert caught.value.problem is Problem.NO_ACCESS
    async with file_at(path) as file:
        assert await file.run(count, file) == 1


@pytest.mark.parametrize("name", [":memory:", "file::memory:", "file:shared?mode=memory"])
async def test_what_sqlite_would_keep_in_memory_is_no_file(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert await problem_of(file_at(Path(name))) is Problem.NO_ACCESS
    assert not list(tmp_path.iterdir())


async def test_an_exclusive_file_has_one_user_and_a_shared_one_many(tmp_path):
    path = tmp_path / "f"
    async with file_at(path) as one, file_at(path) as two:
        await one.run(insert, one)
        assert await two.run(count, two) == 1
    async with file_at(path, exclusive=True) as one:
        assert await problem_of(file_at(path)) is Problem.LOCKED
        assert await problem_of(file_at(path, exclusive=True)) is Problem.LOCKED
        await one.run(insert, one)


async def test_the_busy_timeout_waits_for_another_users_transaction(tmp_path):
    path = tmp_path / "f"
    begun, ended = threading.Event(), threading.Event()

    def hold(file):
        with file.transaction():
            begun.set()
            ended.wait(5)

    async with file_at(path) as one, file_at(path) as hasty, file_at(path, busy_timeout=5) as patient:
        holding = asyncio.create_task(one.run(hold, one))
        await asyncio.to_thread(begun.wait)
        with pytest.raises(Failed) as caught:
            await hasty.run(insert, hasty)
        assert caught.value.problem is Problem.LOCKED
        waiting = asyncio.create_task(patient.run(insert, patient))
        ended.set()
        await waiting
        await holding


async def test_damage_is_told_whoever_finds_it(tmp_path):
    path = tmp_path / "f"

    def doubt():
        raise DamagedContent("number: -1")

    def out_of_memory():
        raise MemoryError

    async with file_at(path) as file:
        for work in (doubt, out_of_memory):
            with pytest.raises(Failed) as caught:
                await file.run(work)
            assert caught.value.problem is Problem.DAMAGED
        await file.run(lambda: [insert(file, "y" * 3_000) for _ in range(100)])
        await file.run(file.check_integrity)
    content = bytearray(path.read_bytes())
    content[20 * 4096 : 25 * 4096] = b"\xee" * (5 * 4096)
    path.write_bytes(content)
    async with file_at(path) as file:
        with pytest.raises(Failed) as caught:
            await file.run(file.check_integrity)
        assert caught.value.problem is Problem.DAMAGED


# Taken away while it is open


def _deleted(path: Path) -> None:
    path.unlink()


def _replaced(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    other.replace(path)


def _truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _emptied(path: Path) -> None:
    os.truncate(path, 0)


def _log_deleted(path: Path) -> None:
    path.with_name(path.name + "-wal").unlink()


def _log_replaced(path: Path) -> None:
    _log_deleted(path)
    path.with_name(path.name + "-wal").touch()


@pytest.mark.parametrize("exclusive", [True, False], ids=["exclusive", "shared"])
@pytest.mark.parametrize("how", [_deleted, _replaced, _truncated, _emptied, _log_deleted, _log_replaced])
async def test_a_write_to_a_file_that_was_taken_away_fails(tmp_path, how, exclusive):
    path = tmp_path / "f"
    async with file_at(path) as file:
        await file.run(lambda: [insert(file, "y" * 3_000) for _ in range(20)])
    async with file_at(path, exclusive=exclusive) as file:
        await file.run(insert, file)
        how(path)
        for _ in range(2):
            with pytest.raises(Failed) as caught:
                await file.run(insert, file)
            assert caught.value.problem in {Problem.GONE, Problem.DAMAGED}


async def test_a_file_that_is_compacted_by_another_program_stays_the_same(tmp_path):
    path = tmp_path / "f"
    async with file_at(path) as file:
        await file.run(lambda: [insert(file, "y" * 3_000) for _ in range(200)])
        await file.run(file.execute, "DELETE FROM fact WHERE number > 10")
        await file.run(insert, file)

        def compact():
            with closing(sqlite3.connect(path, timeout=5)) as other:
                other.execute("VACUUM")
                other.execute("PRAGMA wal_checkpoint(TRUNCATE)")

        await asyncio.to_thread(compact)
        for _ in range(30):
            await file.run(insert, file, "y" * 3_000)
        assert await file.run(count, file) == 41


# Closing


async def test_a_cancelled_close_waits_for_the_work_that_was_begun(tmp_path):
    path = tmp_path / "f"
    started, done = threading.Event(), []

    def slow():
        started.set()
        time.sleep(0.05)
        done.append(1)

    async def use():
        async with file_at(path) as file:
            file.submit(slow)
            await asyncio.Event().wait()

    task = asyncio.create_task(use())
    await asyncio.to_thread(started.wait)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done
    async with file_at(path, exclusive=True):
        pass


async def test_without_a_thread_to_be_had_the_owner_tells_it(tmp_path, monkeypatch):
    """As in a container that has no processes left."""

    def exhausted(_thread):
        raise RuntimeError("can't start new thread")

    file = file_at(tmp_path / "f")
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", exhausted)
        assert await problem_of(file) is Problem.UNUSABLE
    async with file:
        await file.run(insert, file)
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", exhausted)
            with pytest.raises(Failed, match="can't start new thread"):
                await file.read("SELECT 1")
        assert await file.read("SELECT text FROM fact") == [("x",)]


async def test_used_when_it_is_not_open(tmp_path):
    file = file_at(tmp_path / "f")
    with pytest.raises(RuntimeError, match="not open"):
        await file.run(insert, file)
    await file.close()
    async with file:
        pass
    with pytest.raises(RuntimeError, match="not open"):
        file.execute("SELECT 1")


# Temporary databases


def test_a_temporary_database_holds_more_than_its_memory_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path))
    database = temporary_database(2**16, Failed)
    database.execute("CREATE TABLE fact (number INTEGER PRIMARY KEY, text TEXT)")
    database.insert("INSERT INTO fact VALUES (?, ?)", ((number, "y" * 3_000) for number in range(200)))
    assert database.execute("SELECT count(*), max(number) FROM fact") == [(200, 199)]
    assert list(tmp_path.iterdir()) == []
    database.close()


def test_a_temporary_database_tells_failures_in_its_owners_words():
    database = temporary_database(2**16, Failed)
    database.execute("CREATE TABLE fact (number INTEGER PRIMARY KEY, text TEXT)")
    with pytest.raises(Failed, match="no such table"):
        database.execute("SELECT * FROM elsewhere")
    with pytest.raises(Failed, match="UNIQUE"):
        database.insert("INSERT INTO fact VALUES (?, ?)", [(1, "a"), (1, "b")])
    database.insert("INSERT INTO fact VALUES (?, ?)", [(2, "c")])
    assert database.execute("SELECT text FROM fact") == [("a",), ("c",)]
    database.close()


async def test_commits_on_and_off_the_disk_take_turns(tmp_path):
    def pressed(file):
        return file.execute("PRAGMA synchronous").fetchone()[0]

    async with file_at(tmp_path / "f") as file:

        def work():
            levels = [pressed(file)]
            for durable in (False, False, True, True, False):
                with file.transaction(durable=durable):
                    levels.append(pressed(file))
            for durable in (False, True):
                file.write("INSERT INTO fact (text) VALUES ('x')", durable=durable)
                levels.append(pressed(file))
            return levels

        for _ in range(2):
            assert await file.run(work) == [2, 1, 1, 2, 2, 1, 1, 2]
            await file.close()
            await file.open()


async def test_a_statement_of_its_own_is_on_the_disk_and_notices_a_file_that_was_taken_away(tmp_path):
    path = tmp_path / "f"
    statement = "INSERT INTO fact (text) VALUES (?), (?)"
    async with file_at(path) as file:
        assert await file.run(file.write, statement, ("a", "b")) == 2
        path.unlink()
        with pytest.raises(Failed) as caught:
            await file.run(file.write, statement, ("c", "d"))
        assert caught.value.problem is Problem.GONE
