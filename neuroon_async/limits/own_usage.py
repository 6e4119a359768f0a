"""What one process has used of a shared limit, for a store that has forgotten it. Pure."""

from __future__ import annotations

from bisect import insort
from collections import deque

from .policy import IN_TRANSIT

__all__ = ["OwnUsage"]


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
