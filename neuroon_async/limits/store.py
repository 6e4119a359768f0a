"""What a `SharedEndpoint` asks of the place where its slots are kept, and what that answers."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Forgotten", "Full", "SlotStore", "StoreUnavailable", "Taken", "new_member"]


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


def new_member() -> str:
    """A name for a slot, unlike any that another process makes."""
    return uuid.uuid4().hex
