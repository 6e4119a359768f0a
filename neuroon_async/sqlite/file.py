"""`SQLiteFile`: one database file of the package's own, from opening to closing."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar
from weakref import WeakSet

from ..cancellation import finish
from .forks import no_fork
from .format import FileFormat
from .place import Place, barrier_at, names_no_file, obstacle_at, settled
from .problems import DamagedContent, Problem, Refused, problem_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence
    from concurrent.futures import Executor
    from types import TracebackType

__all__ = ["SQLiteFile"]

T = TypeVar("T")
_WAL_PAUSE = 0.01
"""Seconds between two tries to switch a file to its write-ahead log while others use it."""

_files: WeakSet[SQLiteFile] = WeakSet()
"""Those that are open, here or in the process that this one was forked from."""
_untouchable: list[sqlite3.Connection] = []
"""Connections of that process which must not even be closed here."""


class SQLiteFile:
    """One file in SQLite's WAL mode, opened and used by a thread of its own, so the event loop never waits for a disk.

    ``path``: the file; it is created where there is none. It stays the same where the program goes to another folder.
    ``application_id``: what marks a file of this kind. Another program's database is never written to.
    ``migrations``: for each version of the format the statements that lead to it from the version before. The file's
    ``user_version`` counts those done; new ones are carried out, in one transaction, when the file is opened.
    ``explain``: makes the exception to raise of a `Problem` and SQLite's own words.
    ``thread_name``: prefix of the thread's name.
    ``exclusive``: hold the lock from opening to closing. Otherwise any number of processes share the file.
    ``busy_timeout``: seconds to wait for another connection's lock (default 0: none).
    ``synchronous``: SQLite's setting of a commit's safety; ``"FULL"`` (default) outlives a power cut.
    ``cache_bytes``: memory for pages of the file; SQLite's own default where ``None``.

    >>> async with SQLiteFile(path, application_id=1, migrations=[[...]], explain=...) as file:     # doctest: +SKIP
    ...     await file.run(lambda: file.execute("SELECT 1").fetchone())

    The methods that are coroutines belong to the event loop, all others to work given to `run`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        application_id: int,
        migrations: Sequence[Sequence[str]],
        explain: Callable[[Problem, str], Exception],
        thread_name: str = "neuroon-sqlite",
        exclusive: bool = False,
        busy_timeout: float = 0.0,
        synchronous: Literal["OFF", "NORMAL", "FULL"] = "FULL",
        cache_bytes: int | None = None,
    ) -> None:
        self.path: Path = Path(path)
        self._at = settled(self.path)
        self._format = FileFormat(application_id, migrations)
        self._explain = explain
        self._thread_name = thread_name
        self._exclusive = exclusive
        self._busy_timeout = busy_timeout
        self._synchronous = synchronous
        self._cache_bytes = cache_bytes
        self._synchronous_now: str = synchronous
        """As the connection has it just now."""
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None
        self._process = os.getpid()
        """Whose the thread and the connection are."""
        self._place = Place(self._at)

    @property
    def is_open(self) -> bool:
        """Between opening and closing: does it have its thread?"""
        return self._thread is not None

    @property
    def is_inherited(self) -> bool:
        """Was it opened by the process that this one was forked from?"""
        return self.is_open and self._process != os.getpid()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Check the header, connect, take the lock, bring the schema up to date. Leaves nothing open on failure.

        A file that is open already is closed before.
        """
        await self.close()
        for other in list(_files):
            other.make_way(self._at)
        self._process = os.getpid()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=self._thread_name)
        _files.add(self)
        try:
            await self.run(self._open)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the file after all work that was begun. A cancellation waits for that: then others can open it.

        In a forked process it is only forgotten: it is open in the parent, and so is its thread.
        """
        if self._thread is None:
            return
        if self.is_inherited:
            self._leave_to_parent()
            return
        thread = self._thread
        try:
            closed = self.submit(self._close)
        finally:
            self._thread = None
            thread.shutdown(wait=False)
        await finish(closed)

    def make_way(self, at: Path) -> None:
        """Where this is an inherited file at this path: its locks would be taken for those of the one opened now."""
        if self.is_inherited and self._at == at:
            self._leave_to_parent()

    def _leave_to_parent(self) -> None:
        """Forget a file that this process did not open, and what SQLite believes of its locks: they are the parent's.

        Closing would end what was begun there, or in an exclusive file take its log away: then it is only kept.
        """
        connection, self._connection, self._thread = self._connection, None, None
        if connection is None:
            return
        if self._exclusive or connection.in_transaction:
            _untouchable.append(connection)
        else:
            connection.close()

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """Do this in the file's thread, one piece of work after another, in the order of the calls."""
        return await self.submit(work, *arguments)

    async def read(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows that a query gives, on a connection and a thread of its own: however long, it holds up nobody."""
        return await self._begin(None, self._read, statement, parameters)

    def submit(self, work: Callable[..., T], *arguments: Any) -> asyncio.Future[T]:
        """Like `run`, but to be awaited later or by several."""
        if self._thread is None:
            raise RuntimeError(f"{self.path} is not open")
        return self._begin(self._thread, work, *arguments)

    def _begin(self, thread: Executor | None, work: Callable[..., T], *arguments: Any) -> asyncio.Future[T]:
        """In this thread, or in one of the loop's own. Raises the owner's error where no thread is to be had."""
        try:
            return asyncio.get_running_loop().run_in_executor(thread, self._guarded, work, *arguments)
        except RuntimeError as error:
            raise self._explain(Problem.UNUSABLE, str(error)) from error

    # In the file's thread

    def execute(self, statement: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> sqlite3.Cursor:
        return self._connected().execute(statement, parameters)

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]]) -> sqlite3.Cursor:
        return self._connected().executemany(statement, rows)

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Generator[None, None, None]:
        """A transaction that may write. When this ends without an exception, it is committed, in the file at its path.

        Where the file is not there any more, what is written now would be lost with it: that is a failure, too.
        ``durable=False``: a power cut may undo it, a crash of the process may not. Neither the disk is waited for nor
        the place looked at.
        """
        self._set_synchronous(durable=durable)
        with self._begun("BEGIN IMMEDIATE"):
            yield
        if durable:
            self._place.check(self._page_bytes)

    def write(self, statement: str, parameters: Sequence[Any] = (), *, durable: bool = True) -> int:
        """One statement as a `transaction` of its own: how many rows it has changed.

        That takes less time than BEGIN, it and COMMIT: a thread that works in SQLite gives way to others with every
        statement, and a busy event loop then holds it up for milliseconds.
        """
        self._set_synchronous(durable=durable)
        changed = self.execute(statement, parameters).rowcount
        if durable:
            self._place.check(self._page_bytes)
        return changed

    def _set_synchronous(self, *, durable: bool) -> None:
        synchronous = self._synchronous if durable else "NORMAL"
        if self._synchronous_now != synchronous:
            self.execute(f"PRAGMA synchronous = {synchronous}")
            self._synchronous_now = synchronous

    def check_integrity(self) -> None:
        """Read the whole file and raise the owner's error where anything in it is out of order."""
        (found,) = self.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            raise DamagedContent(str(found))

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            raise RuntimeError(f"{self.path} is not open")
        return self._connection

    def explained(self, error: BaseException) -> BaseException:
        """The owner's exception for what SQLite raised; any other one as it is."""
        if isinstance(error, Refused):
            return self._explain(error.problem, str(error))
        if isinstance(error, DamagedContent):
            return self._explain(Problem.DAMAGED, str(error))
        if isinstance(error, MemoryError):  # SQLite's word for a length in the file that cannot be true
            return self._explain(Problem.DAMAGED, "a length in it is out of range")
        if isinstance(error, UnicodeDecodeError):  # also in SQLite's own messages, which quote a damaged schema
            return self._explain(Problem.DAMAGED, "a text in it is not UTF-8")
        if isinstance(error, sqlite3.Error):
            return self._explain(problem_of(error), str(error))
        return error

    def _guarded(self, work: Callable[..., T], *arguments: Any) -> T:
        try:
            with no_fork:
                return work(*arguments)
        except (Refused, DamagedContent, MemoryError, UnicodeDecodeError, sqlite3.Error) as error:
            raise self.explained(error) from error

    def _open(self) -> None:
        if names_no_file(self._at):
            raise Refused(Problem.NO_ACCESS, "it names no file, and what is kept in memory is lost with the process")
        obstacle = obstacle_at(self._at)
        if obstacle is not None:
            raise Refused(Problem.NO_ACCESS, f"unable to open it: {obstacle}")
        self._format.check_file(self._at)
        try:
            self._connect()
        except sqlite3.OperationalError as error:
            barrier = None if problem_of(error) is Problem.LOCKED else barrier_at(self._at)
            if barrier is None:
                raise
            raise Refused(Problem.NO_ACCESS, f"unable to open it: {barrier}") from error

    def _connect(self) -> None:
        self._connection = connection = sqlite3.connect(
            self._at,
            isolation_level=None,
            timeout=self._busy_timeout,
            check_same_thread=False,  # in a forked process another one closes it
        )
        if self._exclusive:
            self.execute("PRAGMA locking_mode = EXCLUSIVE")
        self.execute(f"PRAGMA synchronous = {self._synchronous}")
        self._synchronous_now = self._synchronous
        if self._cache_bytes is not None:
            self.execute(f"PRAGMA cache_size = -{self._cache_bytes // 1024}")
        # Reads the header, and takes the lock, before anything is changed.
        with self._begun("BEGIN EXCLUSIVE" if self._exclusive else "BEGIN IMMEDIATE"):
            self._format.migrate(connection)
        self._switch_to_wal()
        self._place.remember(self._page_bytes)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def _begun(self, begin: str) -> Generator[None, None, None]:
        """A transaction: committed where this ends without an exception, else rolled back."""
        connection = self._connected()
        connection.execute(begin)
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # some failures have rolled it back already
                connection.execute("ROLLBACK")
            raise

    def _read(self, statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        existing = f"{self._at.as_uri()}?mode=rw"
        with closing(sqlite3.connect(existing, uri=True, timeout=self._busy_timeout)) as connection:
            connection.execute("PRAGMA query_only = ON")
            return connection.execute(statement, parameters).fetchall()

    def _switch_to_wal(self) -> None:
        """Unlike elsewhere, SQLite does not wait here for others, who may be opening the same new file."""
        deadline = time.monotonic() + self._busy_timeout
        while True:
            try:
                self.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if problem_of(error) is not Problem.LOCKED or time.monotonic() >= deadline:
                    raise
                time.sleep(_WAL_PAUSE)
            else:
                return

    def _page_bytes(self) -> int:
        """How many bytes the file has once everything in its log is brought in."""
        (count,) = self.execute("PRAGMA page_count").fetchone()
        (size,) = self.execute("PRAGMA page_size").fetchone()
        return int(count) * int(size)
