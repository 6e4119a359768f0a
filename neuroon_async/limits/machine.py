"""One budget for all processes of one machine, without a server: the slots live in an SQLite file.

Each step is a transaction that reads an endpoint's state, lets `policy` decide, and writes it back. Time is the
machine's own since it was started, so no change of its clock matters.
"""

from __future__ import annotations

import asyncio
import math
import time
import weakref
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from ..api.arguments import as_path, check_seconds, check_text
from ..api.contract import DOCUMENTED_RATE_LIMITS, RateLimit
from ..errors import ConfigurationError
from ..sqlite import DamagedContent, Problem, SQLiteFile, settled
from .policy import Admission
from .shared import SharedLimiter
from .store import Full, StoreUnavailable, Taken
from .tables import shared_table

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["MachineLimiter"]

T = TypeVar("T")

_APPLICATION_ID = 0x4E55524C
_MIGRATIONS = (
    (
        """
CREATE TABLE endpoint (
    shop TEXT NOT NULL,
    name TEXT NOT NULL,
    state BLOB NOT NULL, -- see State
    PRIMARY KEY (shop, name)
) WITHOUT ROWID
""",
    ),
)
_BUSY = 5.0
"""Seconds to wait for another process's transaction; each takes a fraction of a millisecond."""
_MISUSE = {
    Problem.FOREIGN: "is a database of something else; nothing was written to it",
    Problem.NEWER: "was written by a newer version of neuroon-async; nothing was written to it",
    Problem.NO_DATABASE: "is not an SQLite database, or damaged ({detail}); name another file",
    Problem.NO_ACCESS: "can be neither opened nor created ({detail})",
}
_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", None)
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def machine_time() -> float:
    """Seconds since the machine was started, the same for all of its processes; on Linux sleep counts, too."""
    return time.monotonic() if _BOOT_CLOCK is None else time.clock_gettime(_BOOT_CLOCK)


@cache
def boot_id() -> str:
    """What tells one start of the machine from another; empty where the system has no such thing."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


class State(msgspec.Struct, array_like=True):
    """One endpoint as the file holds it. Times are those of the machine."""

    boot: str
    seen: float
    """When this was written."""
    leases: dict[str, float]
    """The slots in flight by name, and when each comes back should its process never report."""
    cooling: list[float]
    external: list[tuple[float, int]]
    singles: list[float]
    returned: int
    not_before: float
    next_spaced: float


class MachineLimiter(SharedLimiter):
    """The rate limits of one shop, shared by every process of this machine that names the same ``path`` and
    ``shop_id``.

    For the workers of one host (``uvicorn --workers 4``, gunicorn, a cron job beside them): together they keep to the
    limit and use all of it, and what an idle one leaves the others take. The slots of a process that was killed come
    back ``latency`` seconds after they would have come back otherwise. Give it to `NeuroonClient` as ``limiter``. For
    several machines use ``integrations.redis.RedisLimiter``.

    The file must lie on a local file system: on network file systems (NFS, SMB) SQLite cannot lock. Containers share it
    by a common volume if they run on one kernel. It stays small, one row per endpoint, and may be deleted while no
    process uses it.

    ``aclose`` (or ``async with``) waits until every ended request was recorded, and closes the file. The limiter stays
    usable. ``limits()`` tells what the file last said.

    Args:
        path: The file; created where there is none.
        shop_id: The shop whose limits these are. Any number of shops may share a file.
        rate_limits: Override the documented table by endpoint name. All processes must be given the same.
        latency: Seconds, at least the clients' ``timeout``: for so long a request may still arrive whose answer nobody
            reports, because its process died (default 60).

    Raises:
        UsageError: for arguments that cannot work. A file that cannot be used raises `ConfigurationError` when a
            call asks; one that cannot be used now (a full disk, say) `ConnectionFailed`, and nothing is sent.

    >>> async def main():                                                           # doctest: +SKIP
    ...     async with MachineLimiter("/var/lib/shop/neuroon.limits", shop_id="shop_1") as limiter:
    ...         async with NeuroonClient.from_env(limiter=limiter) as client:
    ...             await client.shop()
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        shop_id: str,
        rate_limits: Mapping[str, RateLimit] = DOCUMENTED_RATE_LIMITS,
        latency: float = 60.0,
    ) -> None:
        table = shared_table(rate_limits)
        check_text("shop_id", shop_id)
        check_seconds("latency", latency, zero=True)
        self._file = _LimitsFile.at(as_path("path", path))
        super().__init__(
            ((name, limit, _MachineSlots(self._file, shop_id, name, limit, latency)) for name, limit in table.items()),
            share=None,
        )

    def __repr__(self) -> str:
        return f"MachineLimiter({str(self._file.path)!r})"

    async def aclose(self) -> None:
        """Wait until every ended request was recorded, and close the file. The limiter stays usable."""
        try:
            await super().aclose()
        finally:
            await self._file.close()


_files: weakref.WeakValueDictionary[Path, _LimitsFile] = weakref.WeakValueDictionary()


class _LimitsFile:
    """The file, shared by all limiters of this process that name it. Open from the first question on."""

    def __init__(self, path: Path, at: Path) -> None:
        self.path = path
        self._at = at
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opening = asyncio.Lock()
        self._file: SQLiteFile | None = None
        """Made anew for each opening: of one that is being closed, steps may still be under way."""

    @classmethod
    def at(cls, path: Path) -> _LimitsFile:
        at = settled(path)
        file = _files.get(at)
        if file is None:
            file = _files[at] = cls(path, at)
        return file

    async def change(self, shop: str, name: str, limit: RateLimit, step: Callable[[Admission, State, float], T]) -> T:
        """Let ``step`` change one endpoint's state in a transaction. Raises `StoreUnavailable`."""
        file = await self._opened()
        try:
            return await file.run(_change, file, shop, name, limit, step)
        except StoreUnavailable:
            if self._file is file:  # whatever it was, the next one finds the file as it is then
                self._file = None
            await file.close()
            raise

    async def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            await file.close()

    async def _opened(self) -> SQLiteFile:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop = loop
            self._opening = asyncio.Lock()
        if self._file is not None and self._file.is_inherited:
            await self.close()
        async with self._opening:
            if self._file is None:
                file = self._closed_file()
                await file.open()
                self._file = file
            return self._file

    def _closed_file(self) -> SQLiteFile:
        return SQLiteFile(
            self._at,
            application_id=_APPLICATION_ID,
            migrations=_MIGRATIONS,
            explain=self._explain,
            thread_name="neuroon-limits",
            busy_timeout=_BUSY,
            synchronous="OFF",  # what a power cut undoes has no meaning after it
        )

    def _explain(self, problem: Problem, detail: str) -> Exception:
        if problem in _MISUSE:
            return ConfigurationError(f"{self.path}: {_MISUSE[problem].format(detail=detail)}")
        return StoreUnavailable(f"in {self.path} cannot be used: {detail}")


def _change(
    file: SQLiteFile, shop: str, name: str, limit: RateLimit, step: Callable[[Admission, State, float], T]
) -> T:
    """In the file's thread."""
    with file.transaction():
        now = machine_time()
        row = file.execute("SELECT state FROM endpoint WHERE shop = ? AND name = ?", (shop, name)).fetchone()
        state = _new_state(now) if row is None else _read_state(row[0])
        admission = _restored(state, limit, now)
        answer = step(admission, state, now)
        file.execute(
            "INSERT OR REPLACE INTO endpoint (shop, name, state) VALUES (?, ?, ?)",
            (shop, name, _written(admission, state, now)),
        )
    return answer


class _MachineSlots:
    """The slots of one endpoint: a `SlotStore`."""

    def __init__(self, file: _LimitsFile, shop: str, name: str, limit: RateLimit, latency: float) -> None:
        self._file = file
        self._key = (shop, name, limit)
        self._per = limit.per
        self._latency = latency

    async def take(self, requests: int, member: str, *, bulk: bool) -> Taken | Full:
        def step(admission: Admission, state: State, now: float) -> Taken | Full:
            admission.set_requests(requests)
            stamp = admission.take(now, bulk=bulk)
            if stamp is None:
                return Full(_wait(admission, state, now, bulk=bulk))
            state.leases[member] = now + self._per + self._latency
            return Taken(stamp=stamp, left=admission.available(now))

        return await self._file.change(*self._key, step)

    async def cool(self, member: str, *, stamp: int = 0, counted: int | None = None) -> None:
        await self._end(member, lambda admission, now: admission.answered(now, stamp=stamp, counted=counted))

    async def cool_late(self, member: str) -> None:
        await self._end(member, lambda admission, now: admission.unanswered(now))

    async def free(self, member: str) -> None:
        def step(admission: Admission, state: State, now: float) -> None:
            if state.leases.pop(member, None) is not None:
                admission.unused(now)

        await self._file.change(*self._key, step)

    async def withdraw(self, member: str) -> None:
        await self.free(member)  # the file's thread takes one step after another

    async def pause(self, seconds: float) -> None:
        await self._file.change(*self._key, lambda admission, _state, now: admission.pause(now + seconds))

    async def hand_back(self, members: Mapping[str, float], absent: float) -> None:
        """Never called: there is no fallback, and nothing to be absent from."""

    def look_in(self) -> float:
        return 0.0

    async def _end(self, member: str, ended: Callable[[Admission, float], None]) -> None:
        def step(admission: Admission, state: State, now: float) -> None:
            if state.leases.pop(member, None) is None:  # its lease ran out
                admission.window.in_flight += 1
            ended(admission, now)

        await self._file.change(*self._key, step)


def _wait(admission: Admission, state: State, now: float, *, bulk: bool) -> float:
    # Where an answer may help sooner than time does, look again when it may have.
    pace = admission.window.per / admission.requests
    answered = min([admission.earliest(now, ahead=0, bulk=bulk), *state.leases.values()])
    moment = admission.next_admission(now, bulk=bulk)
    helped = max(answered - now, pace)
    return helped if moment is None else min(moment - now, helped)


def _new_state(now: float) -> State:
    return State(
        boot=boot_id(),
        seen=now,
        leases={},
        cooling=[],
        external=[],
        singles=[],
        returned=0,
        not_before=0.0,
        next_spaced=0.0,
    )


def _read_state(stored: object) -> State:
    if not isinstance(stored, bytes):
        raise DamagedContent("an endpoint's state is no blob")
    try:
        state = msgspec.msgpack.decode(stored, type=State)
    except msgspec.MsgspecError as error:
        raise DamagedContent(f"an endpoint's state is unreadable: {error}") from None
    if not all(map(math.isfinite, _times_in(state))):
        raise DamagedContent("an endpoint's state holds a time that is none")
    return state


def _times_in(state: State) -> Iterator[float]:
    yield from (state.seen, state.not_before, state.next_spaced)
    yield from state.leases.values()
    yield from state.cooling
    yield from state.singles
    for moment, _ in state.external:
        yield moment


def _restored(state: State, limit: RateLimit, now: float) -> Admission:
    """The policy's view of what is stored, at this moment."""
    admission = Admission(limit)
    window = admission.window
    window.cooling.extend(state.cooling)
    window.returned = state.returned
    admission.external.seen.extend(state.external)
    admission.singles.extend(state.singles)
    admission.not_before, admission.next_spaced = state.not_before, state.next_spaced
    if state.boot != boot_id() or now < state.seen:
        # The machine was restarted. No telling how much time has passed since: none, to be safe.
        shift = now - state.seen
        admission.shift(shift)
        state.leases = {member: moment + shift for member, moment in state.leases.items()}
        state.boot = boot_id()
    for member, moment in tuple(state.leases.items()):
        if moment <= now:
            del state.leases[member]
            window.returned += 1
    window.in_flight = len(state.leases)
    return admission


def _written(admission: Admission, state: State, now: float) -> bytes:
    window = admission.window
    state.seen = now
    state.cooling = list(window.cooling)
    state.external = list(admission.external.seen)
    state.singles = list(admission.singles)
    state.returned = window.returned
    state.not_before, state.next_spaced = admission.not_before, admission.next_spaced
    return msgspec.msgpack.encode(state)
