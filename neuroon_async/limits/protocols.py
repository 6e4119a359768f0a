"""What a client asks of a limiter, and what a limiter gives it. Anything with these methods may be one."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DeadlineLimiter", "LimitState", "Limiter", "Permit", "takes_deadlines"]


@dataclass(frozen=True, slots=True)
class LimitState:
    """What is left of one endpoint's limit now, as far as the limiter knows."""

    requests: int
    """The limit in force: the table's, or the server's own where that is lower."""
    per: float
    """The window of the limit, in seconds."""
    available: int
    """How many requests could leave now."""
    waiting: int
    """How many calls are held back."""
    paused_for: float
    """Seconds until the pause after a 429 ends; 0 without one."""
    next_in: float = 0.0
    """Seconds until the first of those held back may leave; 0 where none is, or where that is not known yet.

    Where it depends on answers that are still to come, it is the least that it can be.
    """


class Permit(Protocol):
    """The right to send one request. Exactly one of the two methods ends it."""

    def answered(self, headers: Mapping[str, str] | None, *, pause: float | None = None) -> None:
        """The request came to an end: with an answer (its headers, maybe empty) or, with ``None``, without one.

        One without an answer may still be on its way: its slot comes back later.

        ``pause``, after a 429, holds the whole endpoint back for that many seconds.
        """

    def unused(self) -> None:
        """The request never reached the server, so it counts against nothing."""


class Limiter(Protocol):
    """Where a client asks before every attempt. One instance may serve several clients of the same shop."""

    async def acquire(self, endpoint: str, *, bulk: bool = False) -> Permit:
        """Wait until one request to the endpoint may be sent. ``bulk`` requests let single ones go first."""
        ...

    def limits(self) -> dict[str, LimitState]:
        """What is left now, by endpoint name."""
        ...


class DeadlineLimiter(Limiter, Protocol):
    """A limiter that can refuse at once what would wait too long. All limiters of this package can."""

    async def acquire(self, endpoint: str, *, bulk: bool = False, deadline: float | None = None) -> Permit:
        """As `Limiter.acquire`, but no longer than until ``deadline``, a time of the running event loop.

        Raises `RateLimited` with ``local=True`` as soon as the wait is known to outlast the deadline, if those who
        wait before it stay. Then nothing was sent and nothing is reserved; its ``retry_after`` says in how many seconds
        to come back.
        """
        ...


def takes_deadlines(limiter: Limiter) -> TypeGuard[DeadlineLimiter]:
    """Tell whether a limiter's ``acquire`` has the argument ``deadline``; one of the user's own need not."""
    parameters = inspect.signature(limiter.acquire).parameters.values()
    return any(parameter.name == "deadline" or parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
