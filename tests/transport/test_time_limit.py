"""The bound of one call: when it ends, what counts, and what errors name."""

from __future__ import annotations

import asyncio
import math

import pytest

from neuroon_async.transport.time_limit import SINGLE_CALL_SECONDS, TimeLimit


def test_without_a_bound_nothing_ends():
    limit = TimeLimit()
    assert (limit.ends, limit.seconds, limit.counts_waiting) == (math.inf, math.inf, True)
    assert limit.deadline is None
    limit.waited(5.0)
    assert limit.ends == math.inf


@pytest.mark.virtual_time
async def test_waiting_counts_only_where_a_deadline_was_given():
    now = asyncio.get_running_loop().time()
    unbounded, patient = TimeLimit.of_single_call(None, 30.0), TimeLimit.of_single_call(None, 500.0)
    assert (unbounded.ends, unbounded.seconds, patient.seconds) == (
        now + SINGLE_CALL_SECONDS,
        SINGLE_CALL_SECONDS,
        500.0,
    )
    assert unbounded.deadline is None
    unbounded.waited(7.0)
    assert unbounded.ends == now + SINGLE_CALL_SECONDS + 7.0

    bounded = TimeLimit.of_single_call(9.0, 30.0)
    assert (bounded.deadline, bounded.seconds) == (now + 9.0, 9.0)
    bounded.waited(7.0)
    assert bounded.deadline == now + 9.0
