"""Outages, throttling, lost answers: what is ridden out, what stops a run, and that nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict

import pytest
from repeats import repeats
from sync_shop import assert_apart, assert_balanced, item, items, shop

from neuroon_async import (
    APIError,
    AuthenticationFailed,
    NeuroonError,
    PermissionDenied,
    RateLimit,
    RateLimited,
    RetryPolicy,
    ServerError,
    SQLiteLedger,
    TransportError,
)
from neuroon_async.testing import Fault

pytestmark = pytest.mark.virtual_time


def loop_time():
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize("concurrency", repeats([8, 1], quick=1))
@pytest.mark.parametrize(
    "fault",
    [Fault.status(503), Fault.html(502), Fault.reset(), Fault.drop(processed=True), Fault.too_many_requests(2)],
    ids=["503", "502", "reset", "lost answer", "429"],
)
async def test_a_minute_of_outage_is_ridden_out_with_the_default_policy(fault, concurrency):
    async with shop({"retry": RetryPolicy()}, latency=0.5, jitter=0.3, keep_bodies=False) as (emulator, client):
        begin = loop_time() + 1.0
        emulator.fail("sync_products", fault, when=lambda request: begin <= loop_time() < begin + 60)
        report = await client.products.sync(items(1_000), batch_size=50, concurrency=concurrency)
    assert_balanced(report)
    assert (report.accepted, report.failed) == (1_000, 0), str(report)
    assert report.elapsed > 60
    assert len(emulator.products) == 1_000


@pytest.mark.parametrize(("patience", "least", "most"), [(None, 2_700, 2_900), (30.0, 30, 150), (0.0, 0, 40)])
async def test_an_outage_without_end_is_ridden_out_as_long_as_the_policy_says(patience, least, most):
    async with shop({"retry": RetryPolicy(outage_patience=patience)}) as (emulator, client):
        emulator.fail("sync_products", Fault.status(503), when=lambda _: True)
        report = await client.products.sync(items(10))
    assert_balanced(report)
    assert report.failed == 10
    assert least <= report.elapsed <= most


async def test_a_minute_without_any_answer_is_ridden_out():
    async with shop({"retry": RetryPolicy(), "timeout": 10.0}, latency=0.5) as (emulator, client):
        begin = loop_time() + 2.0
        emulator.fail("sync_products", Fault.hang(), when=lambda request: begin <= loop_time() < begin + 60)
        report = await client.products.sync(items(10_000))
    assert_balanced(report)
    assert report.accepted == 10_000, str(report)


async def test_an_outage_that_begins_while_others_are_being_answered_costs_no_batch():
    """A batch that failed from its first attempt on is not at fault because others just got through."""
    async with shop({"retry": RetryPolicy()}, latency=0.4, keep_bodies=False) as (emulator, client):
        begin = loop_time() + 1.0

        def struck(request):
            # Of those that arrive in the outage's first second, every other one is still answered.
            since = loop_time() - begin
            return 0 <= since < 60 and (since >= 1 or request.number % 2 == 0)

        emulator.fail("sync_products", Fault.status(503), when=struck)
        report = await client.products.sync(items(20_000))
    assert_balanced(report)
    assert report.failed == 0, str(report)
    assert len(emulator.products) == 20_000


async def test_the_weather_after_an_outage_may_stay_bad():
    """The retry budget is spent by then, and single failures still cost no batch."""
    chance = random.Random(5)
    async with shop({"retry": RetryPolicy()}, latency=0.5, keep_bodies=False) as (emulator, client):
        begin = loop_time() + 2.0
        emulator.fail(
            "sync_products",
            Fault.status(503),
            when=lambda request: begin <= loop_time() < begin + 60 or chance.random() < 0.05,
        )
        report = await client.products.sync(items(20_000))
    assert_balanced(report)
    assert report.failed == 0, str(report)


async def test_a_batch_that_the_server_cannot_digest_costs_only_itself():
    async with shop({"retry": RetryPolicy()}, latency=10.0) as (emulator, client):
        emulator.fail("sync_products", Fault.status(500), when=lambda request: b'"p77"' in request.body)
        report = await client.products.sync(items(12_000), batch_size=100)
    assert_balanced(report)
    assert (report.accepted, report.failed) == (11_900, 100)
    assert {(failure.stage, failure.status) for failure in report.failures} == {("server", 500)}
    assert report.requests < 120 + 12


async def test_the_last_batch_alone_is_given_up_when_patience_ends():
    async with shop({"retry": RetryPolicy()}) as (emulator, client):
        emulator.fail("sync_products", Fault.status(500), when=lambda request: b'"p777"' in request.body)
        report = await client.products.sync(items(1_000), batch_size=100)
    assert_balanced(report)
    assert (report.accepted, report.failed) == (900, 100)
    assert report.elapsed < 200


@pytest.mark.parametrize(
    "fault",
    [
        Fault.html(200),
        Fault.status(200, body={"success": False, "message": "Try later"}),
        Fault.status(200, body={"error": {"code": "BUSY", "message": "Try later"}}),
    ],
    ids=["page", "denied", "nested error"],
)
async def test_a_success_that_is_none_is_asked_for_again_under_the_same_key(fault):
    async with shop() as (emulator, client):
        emulator.fail("sync_products", fault, times=3)
        report = await client.products.sync(items(1_000), concurrency=1)
    assert_balanced(report)
    assert (report.accepted, report.failed, report.requests) == (1_000, 0, 5)
    assert len({request.idempotency_key for request in emulator.requests}) == 2


async def test_a_success_that_can_never_be_read_costs_its_batch():
    async with shop() as (emulator, client):
        emulator.fail("sync_products", Fault.garbage(), when=lambda request: b'"p7"' in request.body)
        report = await client.products.sync(items(1_000), concurrency=2)
    assert_balanced(report)
    assert (report.accepted, report.failed) == (500, 500)
    assert {(failure.stage, failure.status) for failure in report.failures} == {("transport", 200)}


async def test_ten_failed_batches_in_a_row_stop_the_run():
    async with shop() as (emulator, client):
        emulator.fail("sync_products", Fault.status(500), every=1)
        with pytest.raises(ServerError) as caught:
            await client.products.sync(items(20_000), concurrency=1)
    report = caught.value.report
    assert_balanced(report)
    assert report.accepted == 0
    assert report.received <= 12 * 500
    told = [failure for failure in report.failures if failure.status == 500]
    assert len(told) == 1_000


async def test_nine_failed_batches_in_a_row_do_not():
    async with shop({"retry": RetryPolicy(attempts=1, initial=0)}) as (emulator, client):
        emulator.fail("sync_products", Fault.status(500), when=lambda request: request.number % 10)
        report = await client.products.sync(items(4_000), concurrency=1, batch_size=100)
    assert_balanced(report)
    assert (report.accepted, report.failed) == (400, 3_600)


async def test_a_service_that_stays_away_ends_the_run_after_two_minutes_of_patience():
    async with shop({"retry": RetryPolicy()}) as (emulator, client):
        await emulator.stop()
        started = loop_time()
        with pytest.raises(TransportError) as caught:
            await client.products.sync(items(20_000))
        assert 100 < loop_time() - started < 400
        await emulator.start()
    assert_balanced(caught.value.report)
    assert {failure.stage for failure in caught.value.report.failures} == {"transport"}


@pytest.mark.parametrize(("status", "kind"), [(401, AuthenticationFailed), (403, PermissionDenied)])
async def test_a_refused_key_stops_the_run_at_once(status, kind):
    async with shop(latency=0.2, jitter=0.2) as (emulator, client):
        emulator.fail("sync_products", Fault.status(status), when=lambda request: request.number >= 4)
        with pytest.raises(kind) as caught:
            await client.products.sync(iter(items(20_000)), concurrency=4)
    report = caught.value.report
    assert_balanced(report)
    assert report.accepted <= 1_500
    assert len(emulator.requests) <= 12
    assert report.received < 8_000


async def test_a_fault_on_every_fourth_request_loses_and_doubles_nothing():
    faults = [
        Fault.status(503),
        Fault.drop(),
        Fault.drop(processed=True),
        Fault.truncated(),
        Fault.reset(processed=True),
        Fault.too_many_requests(1),
    ]
    generous = {"sync_products": RateLimit(100_000, per=1.0)}
    client_options = {"retry": RetryPolicy(attempts=8), "rate_limits": generous}
    async with shop(client_options, latency=0.2, jitter=0.3) as (emulator, client):
        for number, fault in enumerate(faults):
            emulator.fail("sync_products", fault, when=lambda request, n=number: request.number % 24 == 4 * n + 3)
        report = await client.products.sync((product for product in items(20_000)), batch_size=100)
    assert_balanced(report)
    assert (report.accepted, report.failed, len(emulator.products)) == (20_000, 0, 20_000)
    requests = emulator.requests_to("sync_products")
    keys = defaultdict(set)
    bodies = defaultdict(set)
    for request in requests:
        keys[request.body].add(request.idempotency_key)
        bodies[request.idempotency_key].add(request.body)
    assert all(len(of_body) == 1 for of_body in keys.values())
    assert all(len(under_key) == 1 for under_key in bodies.values())
    assert len(keys) == 200
    struck = [request for request in requests if request.fault is not None]
    assert len(struck) >= 60
    assert report.requests == len(requests) == 200 + len(struck)
    assert report.retries == len(struck)
    assert report.throttled == sum(request.status == 429 for request in requests) > 0
    assert_apart(emulator)


async def test_every_request_after_the_first_is_a_retry_in_a_further_round_of_an_outage_too():
    async with shop({"retry": RetryPolicy(attempts=2, initial=0.5)}) as (emulator, client):
        for endpoint, work in (
            ("sync_products", lambda: client.products.sync(items(3))),
            ("delete_product", lambda: client.products.delete_many(["p0"])),
        ):
            emulator.fail(endpoint, Fault.status(503), times=5)
            report = await work()
            assert (report.failed, report.requests, report.retries) == (0, 6, 5)


async def test_the_documented_limit_is_kept_and_the_waiting_shown():
    seen = []
    async with shop(
        {"rate_limits": {"sync_products": RateLimit(10, per=60.0)}, "retry": RetryPolicy()},
        algorithm="rolling",
        rate_limits={"sync_products": RateLimit(10, per=60.0)},
    ) as (_emulator, client):
        report = await client.products.sync(items(2_500), batch_size=100, on_progress=seen.append)
    assert (report.accepted, report.throttled) == (2_500, 0)
    assert report.waited > 60
    assert any(moment.waiting_for_limit for moment in seen)
    assert report.elapsed > 100


@pytest.mark.parametrize("status", [404, 409, 405])
async def test_other_errors_cost_their_batch_without_a_retry(status):
    async with shop() as (emulator, client):
        emulator.fail("sync_products", Fault.status(status, "no"))
        report = await client.products.sync(items(1_000), concurrency=1)
    assert_balanced(report)
    assert (report.accepted, report.failed, report.retries) == (500, 500, 0)


async def test_no_group_of_exceptions_ever_leaks():
    async with shop() as (emulator, client):
        emulator.fail("sync_products", Fault.status(401), every=1)
        with pytest.raises(NeuroonError) as caught:
            await client.products.sync(items(20_000))
    assert isinstance(caught.value, APIError)
    seen = caught.value
    while seen is not None:
        assert not isinstance(seen, BaseExceptionGroup)
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)


@pytest.mark.virtual_time
async def test_a_deadline_is_for_single_calls_and_never_fails_a_batch_that_waits_for_the_limit():
    limits = {"sync_products": RateLimit(2, per=30.0)}
    options = {"rate_limits": limits, "retry": RetryPolicy(deadline=5.0)}
    async with shop(client=options, algorithm="fixed", rate_limits=limits) as (_, client):
        report = await client.products.sync(items(60), batch_size=10)
        assert report.ok, report
        assert report.waited > 5
        with pytest.raises(RateLimited) as caught:
            await client.products.sync_batch(items(1))
        assert caught.value.local


async def test_throttled_requests_are_counted_without_a_limiter_too():
    async with shop(client={"rate_limits": None}) as (server, client):
        server.fail("sync_products", Fault.too_many_requests(), times=2)
        report = await client.products.sync(items(3))
        assert (report.accepted, report.throttled, report.retries) == (3, 2, 2)


async def test_the_report_names_every_answer_in_its_order(tmp_path):
    """Also those of attempts that were repeated, of deletions, and of what nobody could read."""
    ledger = SQLiteLedger(tmp_path / "ledger")
    async with shop(latency=0.1) as (emulator, client):
        first = await client.products.sync(items(2), ledger=ledger)
        for fault in (Fault.status(503), Fault.html(200), Fault.drop()):
            emulator.fail("sync_products", fault, times=1)
        for fault in (Fault.too_many_requests(1), Fault.status(404)):
            emulator.fail("delete_product", fault, times=1)
        second = await client.products.sync(
            [item(0, price=2)], ledger=ledger, delete_missing=True, max_delete_fraction=1
        )
        emulator.fail("delete_product", Fault.status(401), times=1)
        with pytest.raises(AuthenticationFailed) as refused:
            await client.products.delete_many(["p1"])
    third = refused.value.report
    assert (second.accepted, second.deleted, second.failed) == (1, 1, 0)
    answers = [request.request_id for request in emulator.requests if request.status is not None]
    assert len(answers) == 7
    assert [*first.request_ids, *second.request_ids, *third.request_ids] == answers


@pytest.mark.parametrize("deletion", [False, True])
async def test_what_the_clients_own_limit_held_back_was_not_refused_by_the_server(deletion):
    """As a handler of a web app sees it: it has no patience, and the limit is used up beyond its deadline."""
    hurried = RetryPolicy(deadline=10.0, bulk_deadline=10.0, outage_patience=0.0)
    limit = RateLimit(1, per=60.0)
    limits = {"sync_products": limit, "delete_product": limit}
    async with shop({"rate_limits": limits, "retry": hurried}) as (emulator, client):
        await client.products.sync_batch(items(1))
        await client.products.delete("p0")
        run = client.products.delete_many(["p1", "p2"]) if deletion else client.products.sync(items(2))
        report = await run
    assert_balanced(report)
    assert (report.failed, report.unsent, report.requests, len(emulator.requests)) == (2, 2, 0, 2)
    assert {(failure.stage, failure.status) for failure in report.failures} == {("transport", None)}
    assert "come back in 60.0 s" in report.failures[0].reason
