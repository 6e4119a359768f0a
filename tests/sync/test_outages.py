"""An outage, or the request itself? The rounds of one request, while others are answered or are not."""

import asyncio

import pytest

from neuroon_async import RetryPolicy, ServerError
from neuroon_async.sync.costs import Costs
from neuroon_async.sync.outages import OutageRetry, ServiceHealth

pytestmark = pytest.mark.virtual_time

WAITS = (0.0, 1.0, 2.0, 4.0)
"""Seconds before each attempt of a round."""


async def rounds_until_given_up(answers_at, most=6, attempt=0.0, waits=WAITS):
    """How many rounds a request gets that never succeeds; others are answered ``answers_at`` seconds into each.

    ``attempt``: seconds that each attempt takes. ``waits``: those before each attempt of a round.
    """
    costs = Costs()
    health = ServiceHealth(RetryPolicy(), costs)
    stats = costs.begin()
    error = ServerError(503)
    rounds = 0

    async def one_round():
        nonlocal rounds
        rounds += 1
        if rounds > most:
            return "gone on"
        for moment in answers_at:
            asyncio.get_running_loop().call_later(moment, health.answered)
        for wait in waits:
            await asyncio.sleep(wait)
            stats.requests += 1
            await asyncio.sleep(attempt)
            stats.ended(error)
        raise error

    try:
        assert await OutageRetry(health, stats).run(one_round) == "gone on"
    except ServerError:
        return rounds
    return None


@pytest.mark.parametrize(
    ("answers_at", "given_up_after"),
    [
        ((0.5, 2.0, 5.0), 2),  # all the time
        ((0.5, 2.0), 2),  # before and after its second attempt
        ((5.0,), 2),  # right before the last one
        ((), None),  # nobody is answered
        ((0.5,), None),  # the outage began after the first attempt
        ((2.0,), None),  # a short return of the service, which its own attempts missed
        ((0.5, 8.0), 3),  # before and after the first attempt of each round but the first
    ],
)
async def test_a_request_is_given_up_only_where_it_fails_while_others_are_answered(answers_at, given_up_after):
    assert await rounds_until_given_up(answers_at) == given_up_after


@pytest.mark.parametrize(
    ("answers_at", "given_up_after"),
    [
        ((1.0, 2.0), None),  # a short return, into which the beginning of its second attempt fell
        ((1.0, 3.0), 2),  # before its second attempt began, and after it had failed
        ((2.0, 3.0), None),  # during that attempt, which had begun before they came back, and after it
    ],
)
async def test_answers_count_against_an_attempt_only_where_they_came_before_and_after_it(answers_at, given_up_after):
    assert await rounds_until_given_up(answers_at, attempt=0.9) == given_up_after


@pytest.mark.parametrize(
    ("answers_at", "given_up_after"),
    [
        ((2.0,), 4),  # in each wait for its next round
        ((0.5,), 2),  # during each attempt
        ((), None),  # nobody is answered
    ],
)
async def test_one_attempt_a_round_and_a_request_that_fails_between_answers(answers_at, given_up_after):
    assert await rounds_until_given_up(answers_at, attempt=0.9, waits=(0.0,)) == given_up_after


async def test_two_short_returns_that_its_own_attempts_missed_cost_no_request_with_one_attempt_a_round():
    """An empty budget of retries leaves one attempt; each return is over before that begins."""
    moments = iter([(2.0,), (2.0,), (), (), (2.0,), (2.0,)])

    class FirstWaits:
        def __iter__(self):
            return iter(next(moments))

    assert await rounds_until_given_up(FirstWaits(), attempt=0.9, waits=(0.0,)) is None
