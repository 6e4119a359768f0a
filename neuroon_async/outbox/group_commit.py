"""Storing conversions that are enqueued side by side in one transaction: the disk is asked once for all of them."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .bodies import as_bytes, same_content
from .sqlite_statements import ADD
from .store import DuplicateOrder, OutboxUnavailable

if TYPE_CHECKING:
    from ..sqlite import SQLiteFile

__all__ = ["GroupCommit"]

_ONE_INSERT = 200
"""Orders that one statement stores."""


class GroupCommit:
    """Adds conversions to an outbox's file. What comes while one commit is under way shares the next one."""

    def __init__(self, file: SQLiteFile) -> None:
        self._file = file
        self._waiting: deque[_Added] = deque()
        self._commit: _Commit | None = None
        """The latest one."""

    async def add(self, order_id: str, body: bytes, now: float) -> None:
        """Wait for the commit that takes this along: the one about to begin, or a new one.

        It is carried out also where its caller is cancelled. Raises `DuplicateOrder` and `OutboxUnavailable`.
        """
        added = _Added(order_id, body, now)
        self._waiting.append(added)
        if self._commit is None or self._commit.begun:  # asked after it was laid down: see `_Commit`
            self._commit = _Commit()
            self._commit.done = self._file.submit(self._add_waiting, self._commit)
        await asyncio.shield(self._commit.done)  # others wait for it too
        if added.problem is not None:
            raise added.problem

    def forget(self) -> None:
        """The file is closed. In a forked process the latest commit is the parent's, and may never begin here."""
        self._commit = None

    # In the file's thread

    def _add_waiting(self, commit: _Commit) -> None:
        commit.begun = True
        added = [self._waiting.popleft() for _ in range(len(self._waiting))]
        try:
            if not self._add_new(added):
                with self._file.transaction():
                    for each in added:
                        each.problem = self._add_one(each)
        except Exception as error:  # noqa: BLE001 - each caller gets it, none may take silence for success
            problem = self._file.explained(error)
            for each in added:
                each.problem = OutboxUnavailable(str(problem))

    def _add_new(self, added: list[_Added]) -> bool:
        """Add these by one statement. ``False`` where some were known, or they are too many for one."""
        if len(added) > _ONE_INSERT:
            return False
        values = [value for each in added for value in each.row]
        if self._file.write(ADD.format(",".join(["(?, ?, ?, ?)"] * len(added))), values) < len(added):
            return False
        for each in added:
            each.problem = None
        return True

    def _add_one(self, added: _Added) -> DuplicateOrder | None:
        if self._file.execute(ADD.format("(?, ?, ?, ?)"), added.row).rowcount:
            return None
        query = "SELECT body FROM conversions WHERE order_id = ?"
        (known,) = self._file.execute(query, (added.order_id,)).fetchone()
        return None if same_content(as_bytes(known), added.body) else DuplicateOrder(added.order_id)


@dataclass(slots=True)
class _Added:
    """On its way to the disk. ``problem`` is why it did not get there; ``None`` once it has."""

    order_id: str
    body: bytes
    now: float
    problem: Exception | None = field(default_factory=lambda: OutboxUnavailable("it was not stored"))

    @property
    def row(self) -> tuple[str, bytes, float, float]:
        """As it is stored: due from the moment it was enqueued."""
        return self.order_id, self.body, self.now, self.now


@dataclass(slots=True)
class _Commit:
    """One transaction for everything that waits when it begins.

    Its thread sets ``begun`` before it takes what waits, so what was laid down while ``begun`` is unset goes along.
    """

    begun: bool = False
    done: asyncio.Future[None] = field(init=False)
