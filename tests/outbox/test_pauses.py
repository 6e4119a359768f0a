"""`Pauses`: when delivery as a whole waits, and for how long."""

from __future__ import annotations

import asyncio

import pytest

from neuroon_async import ConnectionFailed, RetryPolicy
from neuroon_async.outbox.pauses import WHILE_REFUSED, Pauses

pytestmark = pytest.mark.virtual_time

LOST = ConnectionFailed("connection lost", maybe_processed=True)


class EvenBackoff(RetryPolicy):
    """Without its random part."""

    def wait(self, attempt: int, error: BaseException) -> float:
        return 10.0 * attempt


async def test_each_pause_after_a_failure_is_longer_until_something_gets_through():
    pauses = Pauses(EvenBackoff())
    assert pauses.left() == 0
    for seconds in (10.0, 20.0):
        pauses.after_failure(LOST)
        assert pauses.left() == pytest.approx(seconds)
        await asyncio.sleep(seconds)
        assert pauses.left() == 0
    assert not pauses.got_through()
    pauses.after_failure(LOST)
    assert pauses.left() == pytest.approx(10)


async def test_what_fails_during_a_pause_was_sent_before_it_and_makes_it_no_longer():
    pauses = Pauses(EvenBackoff())
    pauses.after_failure(LOST)
    await asyncio.sleep(4)
    pauses.after_failure(LOST)
    assert not pauses.after_refusal()
    assert pauses.left() == pytest.approx(6)
    assert not pauses.refused
    await asyncio.sleep(6)
    pauses.after_failure(LOST)
    assert pauses.left() == pytest.approx(20)


async def test_a_refusal_is_new_until_something_gets_through():
    pauses = Pauses(EvenBackoff())
    for new in (True, False, False):
        assert pauses.after_refusal() is new
        assert pauses.refused
        assert 0 < pauses.left() <= WHILE_REFUSED.maximum
        await asyncio.sleep(pauses.left())
    assert pauses.got_through()
    assert not pauses.refused
    assert not pauses.got_through()
    assert pauses.after_refusal()
