"""An outage, or the request itself? Told by when others were answered while this one failed. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..transport.calls import CallStats

__all__ = ["LoneFailures"]

MAX_ROUNDS_BESIDE_ANSWERS = 2
"""One round in which it failed while others were answered may have begun before an outage, or ended after it."""


class LoneFailures:
    """The rounds of one request that failed while the service was there for others.

    Time is told by its own attempts, which ``stats`` counts: what matters is on which side of them an answer came.
    """

    def __init__(self, stats: CallStats) -> None:
        self._stats = stats
        self._answers: set[tuple[int, int]] = set()
        """Others were answered when so many attempts of this request had begun, and so many of them had ended."""
        self._first = 0
        """How many attempts had begun when the round did."""
        self._rounds = 0

    def other_answered(self) -> None:
        """While an attempt of this request was under way, or the next one was waited for."""
        self._answers.add((self._stats.requests, self._stats.attempts_ended))

    def round_begins(self) -> None:
        self._first = self._stats.requests

    def round_failed(self) -> bool:
        """Is that no outage, but the request's own fault: has it failed alone, round after round?"""
        if all(begun < self._first for begun, _ in self._answers):
            self._rounds = 0
        elif self._failed_alone():
            self._rounds += 1
        self._keep_for_next_round()
        return self._rounds >= MAX_ROUNDS_BESIDE_ANSWERS

    def _failed_alone(self) -> bool:
        """Whether an attempt of the round failed while the service was there for others: before it and right after it,
        or just now. Answers at one moment alone may be the last ones before an outage, or a short return of the
        service, into which the next attempt may have begun.
        """
        return self._failed_just_now() or any((begun + 1, begun + 1) in self._answers for begun, _ in self._answers)

    def _failed_just_now(self) -> bool:
        """Whether others were answered during the last attempt, or since the one before it.

        A round of one attempt has none before it: the service may have come back and gone again before it began.
        """
        last = self._stats.requests
        return any(begun > self._first and begun >= last - 1 for begun, _ in self._answers)

    def _keep_for_next_round(self) -> None:
        """Answers before a round's only attempt count against it where others come while the next round is waited for.

        Of two attempts or more the last one has had its verdict.
        """
        only_one = self._stats.requests == self._first + 1 and not self._failed_just_now()
        self._answers = {(begun, ended) for begun, ended in self._answers if only_one and begun == self._first}
