"""What an error of one call tells, and what a failed attempt leaves in the books: counts, budget, permits."""

from __future__ import annotations

import pytest
from clients import client_of

from neuroon_async import ConfigurationError, NeuroonError, RateLimit, ResponseDecodeError, RetryPolicy
from neuroon_async.api.contract import SHOP
from neuroon_async.testing import Fault
from neuroon_async.transport.calls import CallStats

ONCE = RetryPolicy(attempts=1)
IMPATIENT = RetryPolicy(attempts=1, deadline=5.0)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"[1, 2]", "but not with a Shop: "),
        (b'["caf\xe9"]', "caf\N{REPLACEMENT CHARACTER}"),
        (b"<html>login</html>", "GET"),
    ],
)
async def test_an_answer_that_nobody_can_read_says_whose_it_is_and_how_it_begins(emulator, body, says):
    emulator.fail("shop", Fault.status(200, body=body))
    async with client_of(emulator, retry=ONCE) as client:
        with pytest.raises(ResponseDecodeError, match=says) as caught:
            await client.shop()
    assert (caught.value.shop_id, caught.value.status) == (emulator.shop_id, 200)


async def test_a_redirect_says_what_to_look_at(emulator):
    emulator.fail("shop", Fault.status(302, headers={"Location": "https://elsewhere.example/x"}))
    async with client_of(emulator, retry=ONCE) as client:
        with pytest.raises(NeuroonError, match=r"to https://elsewhere\.example, .*check base_url: .* answers itself"):
            await client.shop()


async def test_a_guard_ends_a_call_before_anything_leaves_and_gives_its_slot_back(emulator):
    ended = ConfigurationError("the lease is another's by now")
    async with client_of(emulator, rate_limits={"shop": RateLimit(1, per=60)}, retry=IMPATIENT) as client:
        stats = CallStats()
        with pytest.raises(ConfigurationError) as caught:
            await client._transport.call(SHOP, guard=lambda: ended, stats=stats)
        assert caught.value is ended
        assert (stats.requests, len(emulator.requests)) == (0, 0)
        await client.shop()


async def test_a_call_counts_its_answers_and_what_was_not_answered(emulator):
    emulator.fail("shop", Fault.status(503), times=1)
    emulator.fail("shop", Fault.drop(processed=True), times=1)
    async with client_of(emulator, retry=RetryPolicy(attempts=3, initial=0.0)) as client:
        stats = CallStats()
        await client._transport.call(SHOP, stats=stats)
    assert (stats.requests, stats.retries, stats.answers, stats.failing_since) == (3, 2, 2, None)
    assert stats.overtakable


@pytest.mark.virtual_time
async def test_a_success_gives_back_what_its_retry_has_cost(emulator):
    emulator.fail("shop", Fault.hang(), times=1)
    policy = RetryPolicy(attempts=2)
    async with client_of(emulator, retry=policy, timeout=1.0) as client:
        policy.budget.spend(100)
        before = policy.budget.tokens
        await client.shop()
    assert policy.budget.tokens == before
