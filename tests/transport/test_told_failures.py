"""What an error of one call tells, and what a failed attempt leaves in the books: counts, budget, permits."""

from __future__ import annotations

import asyncio
import inspect
import logging
from contextlib import contextmanager

import pytest
from clients import client_of

from neuroon_async import (
    ClientClosed,
    ConfigurationError,
    ConnectionFailed,
    NeuroonError,
    NotFound,
    RateLimit,
    RateLimited,
    ResponseDecodeError,
    RetryPolicy,
    ServerError,
    SyncReport,
)
from neuroon_async.api.contract import DELETE_PRODUCT, SHOP
from neuroon_async.api.responses import Response
from neuroon_async.api.results import Health
from neuroon_async.settings import Secret, Settings
from neuroon_async.testing import Emulator, Fault
from neuroon_async.transport.calls import CallStats
from neuroon_async.transport.exchange import ExchangeResult
from neuroon_async.transport.places import Places
from neuroon_async.transport.transport import Transport

ONCE = RetryPolicy(attempts=1)
IMPATIENT = RetryPolicy(attempts=1, deadline=5.0)
AGAIN = RetryPolicy(attempts=3, initial=0.0)
SETTINGS = Settings(shop_id="shop_7", api_key=Secret("sk_" + "0123456789abcdef" * 2))


class Scripted:
    """An exchange that gives these outcomes, one after another."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)

    def ready(self):
        pass

    async def send(self, call, more_headers=None):
        call.sent = True
        return ExchangeResult(self.outcomes.pop(0), {})


def lost(**known):
    return ConnectionFailed("connection lost", **known)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"[1, 2]", "but not with a Shop: .*object.*; it begins"),
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


async def test_no_more_than_200_characters_of_an_answer_are_shown():
    transport = Transport(SETTINGS, Scripted(), None, ONCE, 5.0)
    with pytest.raises(ResponseDecodeError) as caught:
        transport.decode(Response(200, b"x" * 900, None), Health)
    assert f"it begins '{'x' * 200}'" in str(caught.value)


def test_of_a_long_answer_only_the_first_6000_bytes_are_looked_at():
    """Enough for any answer with a key of the documented shape in it; here, nothing of it is left but the keys."""
    key = "sk_" + "0123456789" * 30
    settings = Settings(shop_id="shop_7", api_key=Secret(key[:300]))
    transport = Transport(settings, Scripted(), None, ONCE, 5.0)
    with pytest.raises(ResponseDecodeError) as caught:
        transport.decode(Response(200, key[:300].encode() * 20 + b"y" * 900, None), Health)
    assert f"it begins '{'[API key]' * 20}'" in str(caught.value)


async def test_a_redirect_says_what_to_look_at(emulator):
    emulator.fail("shop", Fault.status(302, headers={"Location": "https://elsewhere.example/x"}))
    async with client_of(emulator, retry=ONCE) as client:
        with pytest.raises(
            NeuroonError, match=r"to https://elsewhere\.example, .* \(check base_url: it must be the address"
        ):
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


def test_what_an_answer_echoes_of_the_key_is_not_shown():
    key = SETTINGS.api_key.reveal()
    transport = Transport(SETTINGS, Scripted(), None, ONCE, 5.0)
    health = transport.decode(Response(200, b'{"status":"%s"}' % key.encode(), None), Health)
    assert (health.status, repr(health)) == (key, "Health(status='[API key]')")


async def test_whatever_an_earlier_attempt_may_have_done_is_told_with_the_last_failure():
    exchange = Scripted(lost(maybe_processed=True), lost(maybe_processed=False))
    transport = Transport(SETTINGS, exchange, None, RetryPolicy(attempts=2, initial=0.0), 5.0)
    with pytest.raises(ConnectionFailed) as caught:
        await transport.call(SHOP)
    assert (caught.value.maybe_processed, caught.value.shop_id, exchange.outcomes) == (True, "shop_7", [])


async def test_a_deletion_that_an_earlier_attempt_had_done_is_a_success_with_the_answers_own_marks():
    missing = NotFound(404, request_id="r-2")
    transport = Transport(SETTINGS, Scripted(lost(maybe_processed=True), missing), None, AGAIN, 5.0)
    answer = await transport.call(DELETE_PRODUCT, params={"shop_id": "shop_7", "external_id": "A"})
    assert answer == Response(404, b"", "r-2")


async def test_a_proxys_page_does_not_show_that_an_earlier_attempt_had_deleted():
    page = NotFound(404, documented=False)
    transport = Transport(SETTINGS, Scripted(lost(maybe_processed=True), page), None, AGAIN, 5.0)
    with pytest.raises(NotFound) as caught:
        await transport.call(DELETE_PRODUCT, params={"shop_id": "shop_7", "external_id": "A"})
    assert caught.value is page


@pytest.mark.parametrize("first", [RateLimited(429), lost(maybe_processed=False)])
async def test_a_product_that_no_earlier_attempt_can_have_deleted_was_not_there(first):
    transport = Transport(SETTINGS, Scripted(first, NotFound(404)), None, AGAIN, 5.0)
    with pytest.raises(NotFound):
        await transport.call(DELETE_PRODUCT, params={"shop_id": "shop_7", "external_id": "A"})


async def test_a_limiter_that_refuses_for_a_reason_of_its_own_is_heard():
    class Failing:
        asked = 0

        async def acquire(self, endpoint, *, bulk=False):
            self.asked += 1
            if self.asked == 2:
                raise ConfigurationError("the limiter's store is another one now")
            return self

        def answered(self, headers, *, pause=None):
            pass

    transport = Transport(SETTINGS, Scripted(ServerError(503)), Failing(), AGAIN, 5.0)
    with pytest.raises(ConfigurationError, match="another one now"):
        await transport.call(SHOP)


async def test_a_call_may_have_a_timeout_of_its_own():
    given = []

    class Noting(Scripted):
        async def send(self, call, more_headers=None):
            given.append(call.timeout)
            return await super().send(call, more_headers)

    transport = Transport(SETTINGS, Noting(*[Response(200, b"{}", None)] * 2), None, ONCE, 5.0)
    await transport.call(SHOP)
    await transport.call(SHOP, timeout=2.5)
    with pytest.raises(ConfigurationError, match="timeout must be a number of seconds above 0; got 0"):
        await transport.call(SHOP, timeout=0)
    assert given == [5.0, 2.5]


async def test_an_instrumentation_of_operations_sees_whose_failure_it_is():
    seen = []

    class Watching:
        def waited(self, endpoint, seconds):
            pass

        @contextmanager
        def attempt(self, attempt):
            yield

        @contextmanager
        def operation(self, operation):
            yield
            seen.append((operation.shop_id, operation.outcome.shop_id, operation.attempts))

    transport = Transport(SETTINGS, Scripted(NotFound(404)), None, ONCE, 5.0, instrumentation=Watching())
    with pytest.raises(NotFound):
        await transport.call(SHOP)
    assert seen == [("shop_7", "shop_7", 1)]


async def test_an_instrumentation_that_raises_leaves_no_run_unawaited():
    class Raising:
        def waited(self, endpoint, seconds):
            pass

        @contextmanager
        def attempt(self, attempt):
            yield

        def operation(self, operation):
            raise ValueError("not so")

    async def run():
        pytest.fail("it never begins")

    begun = run()
    transport = Transport(SETTINGS, Scripted(), None, ONCE, 5.0, instrumentation=Raising())
    with pytest.raises(ValueError, match="not so"):
        await transport.run_in_bulk("products.sync", begun)
    assert inspect.getcoroutinestate(begun) == inspect.CORO_CLOSED


async def test_a_guard_that_ends_a_call_frees_its_place():
    places = Places(1)
    transport = Transport(SETTINGS, Scripted(), None, ONCE, 5.0, places=places)
    with pytest.raises(ConfigurationError):
        await transport.call(SHOP, guard=lambda: ConfigurationError("no more"))
    assert places.free == 1


async def test_a_guard_that_has_nothing_against_it_lets_every_attempt_go():
    asked = []
    transport = Transport(SETTINGS, Scripted(ServerError(503), Response(200, b"{}", None)), None, AGAIN, 5.0)
    await transport.call(SHOP, guard=lambda: asked.append(1))
    assert len(asked) == 2


@pytest.mark.virtual_time
async def test_an_attempt_that_is_cut_short_counts_as_one_that_the_server_may_have_acted_on():
    async with Emulator(algorithm="off") as emulator, client_of(emulator) as client:
        emulator.fail("shop", Fault.hang())
        stats = CallStats()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await client._transport.call(SHOP, stats=stats)
        assert (stats.requests, stats.unanswered, stats.overtakable) == (1, 1, True)


@pytest.mark.parametrize("retries", [0, 1])
async def test_a_success_puts_back_what_its_last_retry_took_or_one_token(retries):
    policy = RetryPolicy(attempts=2, initial=0.0)
    outcomes = [ServerError(503)] * retries + [Response(200, b"{}", None)]
    policy.budget.spend(100)
    await Transport(SETTINGS, Scripted(*outcomes), None, policy, 5.0).call(SHOP)
    assert policy.budget.tokens == 400 + (0 if retries else 1)


async def test_without_a_budget_a_retry_costs_nothing():
    policy = RetryPolicy(attempts=2, initial=0.0, budget=None)
    outcomes = ServerError(503), Response(200, b"{}", None)
    assert (await Transport(SETTINGS, Scripted(*outcomes), None, policy, 5.0).call(SHOP)).status == 200


async def test_a_closed_bulk_run_without_a_report_may_have_been_acted_on():
    transport = Transport(SETTINGS, Scripted(), None, ONCE, 5.0)

    running = asyncio.create_task(transport.run_in_bulk("products.sync", asyncio.Event().wait()))
    await asyncio.sleep(0)
    transport.open_calls.close()
    with pytest.raises(ClientClosed) as caught:
        await running
    assert (caught.value.report, caught.value.maybe_processed, caught.value.shop_id) == (None, True, "shop_7")


@pytest.mark.parametrize(("requests", "maybe"), [(0, False), (1, True)])
async def test_a_closed_bulk_run_may_have_been_acted_on_where_it_had_sent_anything(requests, maybe):
    report = SyncReport(requests=requests)

    async def run():
        try:
            await asyncio.Event().wait()
        except BaseException as interruption:
            interruption.report = report
            raise

    transport = Transport(SETTINGS, Scripted(), None, ONCE, 5.0)
    running = asyncio.create_task(transport.run_in_bulk("products.sync", run()))
    await asyncio.sleep(0)
    transport.open_calls.close()
    with pytest.raises(ClientClosed) as caught:
        await running
    assert (caught.value.report, caught.value.maybe_processed) == (report, maybe)


async def test_a_line_of_the_log_tells_how_long_a_request_took(caplog, monkeypatch):
    caplog.set_level(logging.DEBUG, logger="neuroon_async")
    moments = iter([100.0, 100.25])
    monkeypatch.setattr("neuroon_async.transport.transport.perf_counter", lambda: next(moments))
    await Transport(SETTINGS, Scripted(Response(200, b"{}", None)), None, ONCE, 5.0).call(SHOP)
    assert " -> 200 in 250 ms, " in caplog.text
