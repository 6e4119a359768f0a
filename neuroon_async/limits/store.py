"""What a `SharedEndpoint` asks of the place where its slots are kept, and how that place learns of ended requests."""

from __future__ import annotations

import asyncio
import os
import uuid
from bisect import insort
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from .policy import IN_TRANSIT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

__all__ = ["Forgotten", "Full", "OwnUsage", "Reports", "SlotStore", "StoreUnavailable", "Taken", "new_member"]


class StoreUnavailable(Exception):
    """The store does not answer. The text says where it is, and why, such as "in Redis cannot be reached: …"."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A slot was granted."""

    stamp: int
    """When, as the store counts it: it wants that back with the answer."""
    left: int
    """How many slots are free now, for all processes together."""


@dataclass(frozen=True, slots=True)
class Full:
    """No slot now."""

    wait: float
    """Seconds after which to ask again; before, no slot comes back by time alone."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """No slot: the store has lost what it had been told, and must be told again."""


class SlotStore(Protocol):
    """The slots of one endpoint, shared by processes. What asks it raises `StoreUnavailable` where it is away."""

    async def take(self, requests: int, member: str, *, bulk: bool) -> Taken | Full | Forgotten:
        """Take a slot under the name ``member``, if the limit of ``requests`` lets one more leave now."""
        ...

    async def cool(self, member: str, *, stamp: int = 0, counted: int | None = None) -> None:
        """A request was answered: its slot comes back in one window.

        Of one that left at ``stamp`` the server may have told how many requests it had ``counted``.
        """

    async def cool_late(self, member: str) -> None:
        """A request ended without an answer: its slot comes back in one window and `IN_TRANSIT`."""

    async def free(self, member: str) -> None:
        """A request was never sent: its slot is free at once."""

    async def withdraw(self, member: str) -> None:
        """Free a slot that may have been granted to a caller who did not wait for the answer."""

    async def pause(self, seconds: float) -> None:
        """Hold every process back; then their calls return one by one over one window."""

    async def hand_back(self, members: Mapping[str, float], absent: float) -> None:
        """Tell all that this process used lately: the slots, and the seconds until they come back.

        The store was away for ``absent`` seconds, and may know some of them.

        Where other processes may have been cut off too, all are held back until these have told the same.
        """

    def look_in(self) -> float:
        """Seconds until the store is worth being asked; 0 while it answers."""
        ...


class OwnUsage:
    """What one process has used of a shared limit, by the names of the slots."""

    def __init__(self, per: float) -> None:
        self._per = per
        self._in_flight: set[str] = set()
        self._cooling: deque[tuple[float, str]] = deque()
        """When each slot of an ended request comes back; ascending."""

    def taken(self, member: str) -> None:
        self._in_flight.add(member)

    def answered(self, member: str, now: float) -> None:
        self._cool(member, now, now + self._per)

    def unanswered(self, member: str, now: float) -> None:
        self._cool(member, now, now + IN_TRANSIT + self._per)

    def unused(self, member: str) -> None:
        self._in_flight.discard(member)

    def members(self, now: float) -> dict[str, float]:
        """Those in flight or not yet back, and in how many seconds each is back, were those in flight to end now."""
        self._forget(now)
        under_way = dict.fromkeys(self._in_flight, IN_TRANSIT + self._per)
        return under_way | {member: until - now for until, member in self._cooling}

    def end_all(self, now: float) -> None:
        """Whatever is in flight has ended."""
        for member in tuple(self._in_flight):
            self.unanswered(member, now)

    def shift(self, seconds: float) -> None:
        """Move every time that is kept."""
        self._cooling = deque((moment + seconds, member) for moment, member in self._cooling)

    def _cool(self, member: str, now: float, until: float) -> None:
        self._forget(now)  # a store that never goes away never asks for the `members`
        if member in self._in_flight:
            self._in_flight.remove(member)
            insort(self._cooling, (until, member))

    def _forget(self, now: float) -> None:
        """Drop the slots that are back."""
        while self._cooling and self._cooling[0][0] <= now:
            self._cooling.popleft()


class Reports:
    """Tells the store what permits reported: these end in plain functions, so a task tells it, in order."""

    def __init__(self) -> None:
        self._untold: deque[Callable[[], Awaitable[object]]] = deque()
        self._telling: asyncio.Task[None] | None = None
        self._process = os.getpid()
        """Who has to tell it."""

    def tell(self, message: Callable[[], Awaitable[object]]) -> None:
        """Send a message when its turn comes. Without a running event loop it waits for the next one."""
        self._leave_to_parent()
        self._untold.append(message)
        self._start()

    async def told(self) -> None:
        """Wait until everything was told."""
        self._leave_to_parent()
        self._start()
        while self._telling is not None:
            await asyncio.shield(self._telling)

    def _leave_to_parent(self) -> None:
        """In a forked process: what was not told by then, its parent tells."""
        if self._process != os.getpid():
            self._untold.clear()
            self._process = os.getpid()

    def _start(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        if self._telling is not None and self._telling.get_loop() is not loop:
            self._telling = None  # its loop has ended before it
        if self._telling is None and self._untold:
            self._telling = loop.create_task(self._tell_all())

    async def _tell_all(self) -> None:
        try:
            while self._untold:
                try:
                    await self._untold.popleft()()
                except StoreUnavailable:
                    # The slots come back by their lease, later than they might. The other messages would each wait in
                    # vain, and what they say is told again once the store is back.
                    self._untold.clear()
        finally:
            if self._telling is asyncio.current_task():
                self._telling = None


def new_member() -> str:
    """A name for a slot, unlike any that another process makes."""
    return uuid.uuid4().hex
