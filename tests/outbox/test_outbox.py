"""The outbox: what it has acknowledged is delivered, whatever happens to the process, the disk or the server."""

import asyncio
import logging
import os
import sqlite3
import subprocess
import sys
from contextlib import asynccontextmanager, closing
from decimal import Decimal
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from killed_database import killed

import neuroon_async
from neuroon_async import (
    ClientClosed,
    ConfigurationError,
    Conversion,
    ConversionItem,
    InvalidConversion,
    NeuroonClient,
    RateLimit,
)
from neuroon_async.api.models import encode_conversion
from neuroon_async.outbox import ConversionOutbox, DuplicateOrder, OutboxUnavailable
from neuroon_async.outbox.bodies import conversion_of, stored_body
from neuroon_async.outbox.pauses import WHILE_REFUSED
from neuroon_async.testing import DEFAULT_API_KEY, DEFAULT_SHOP_ID, Emulator, Fault


def order(order_id="1001", value="14.50", **changes):
    fields = {
        "order_id": order_id,
        "order_value": Decimal(value),
        "currency": "EUR",
        "conversions": [ConversionItem("SKU-1", "log-1", 2, Decimal("9.00"))],
    }
    return Conversion(**fields | changes)


@asynccontextmanager
async def connected(emulator, **options):
    options = {"rate_limits": None, "timeout": 5.0} | options
    async with NeuroonClient(
        shop_id=DEFAULT_SHOP_ID, api_key=DEFAULT_API_KEY, base_url=emulator.url, **options
    ) as client:
        yield client


@pytest.fixture
async def client(emulator):
    async with connected(emulator) as opened:
        yield opened


@pytest.fixture
def path(tmp_path):
    return tmp_path / "conversions.sqlite3"


def quick(path, **options):
    """An outbox that does not take its time."""
    return ConversionOutbox(path, **{"initial_backoff": 0.01, "max_backoff": 0.05, "poll_interval": 0.02} | options)


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what is waited for lives on the other side of a socket
            await asyncio.sleep(0.005)


async def settled(outbox, **counts):
    """Wait until ``stats`` shows these counts."""
    async with asyncio.timeout(60):  # much more than it takes: processes that were killed may leave much to do
        while True:
            stats = await outbox.stats()
            if all(getattr(stats, name) == count for name, count in counts.items()):
                return stats
            await asyncio.sleep(0.005)


async def in_file(outbox, work):
    """Do this in the outbox's own thread."""
    file = outbox._store._file
    return await file.run(work, file)


async def failed_attempts(outbox):
    return await in_file(outbox, lambda file: file.execute("SELECT sum(attempts) FROM conversions").fetchone()[0])


def bodies_by_order(emulator):
    bodies = {}
    for request in emulator.requests_to("track_conversion"):
        if request.body:
            bodies.setdefault(request.parsed["orderId"], set()).add(request.body)
    return bodies


# Enqueueing


async def test_enqueued_is_on_disk_before_anything_is_sent(path):
    async with ConversionOutbox(path) as outbox:
        assert await outbox.enqueue(order()) is True
        with sqlite3.connect(path) as reader:
            assert reader.execute("SELECT order_id, state FROM conversions").fetchall() == [("1001", "pending")]
        reader.close()
        stats = await outbox.stats()
    assert (stats.pending, stats.delivered, stats.dead) == (1, 0, 0)
    assert 0 <= stats.oldest_age < 60


async def test_an_order_without_attributable_lines_is_not_stored(path):
    async with ConversionOutbox(path) as outbox:
        assert await outbox.enqueue(order(conversions=[])) is False
        assert await outbox.stats() == neuroon_async.outbox.OutboxStats(0, 0, 0, None)


async def test_a_broken_rule_is_told_at_once(path):
    async with ConversionOutbox(path) as outbox:
        with pytest.raises(InvalidConversion, match="orderValue"):
            await outbox.enqueue(order(order_value=-1))
        assert (await outbox.stats()).pending == 0


async def test_the_same_order_again_changes_nothing_and_another_content_is_an_error(path):
    async with ConversionOutbox(path) as outbox:
        assert await outbox.enqueue(order(value="14.50"))
        assert await outbox.enqueue(order(value="14.5", left_out=("SKU-9",)))
        with pytest.raises(DuplicateOrder, match="1001") as caught:
            await outbox.enqueue(order(value="99"))
        assert caught.value.order_id == "1001"
        assert (await outbox.stats()).pending == 1


async def test_concurrent_enqueues_share_commits(path):
    async with ConversionOutbox(path) as outbox:
        commits = 0

        def count(statement):
            nonlocal commits
            commits += statement == "COMMIT"

        await in_file(outbox, lambda file: file._connected().set_trace_callback(count))
        async with asyncio.TaskGroup() as group:
            for number in range(300):
                group.create_task(outbox.enqueue(order(str(number))))
        assert (await outbox.stats()).pending == 300
        assert commits < 100


async def test_one_conflict_in_a_shared_commit_costs_the_others_nothing(path):
    async with ConversionOutbox(path) as outbox:
        await outbox.enqueue(order("5", "1"))
        outcomes = await asyncio.gather(
            *(outbox.enqueue(order(str(number), "2")) for number in range(10)), return_exceptions=True
        )
        assert isinstance(outcomes.pop(5), DuplicateOrder)
        assert outcomes == [True] * 9
        assert (await outbox.stats()).pending == 10


async def test_no_caller_of_a_failed_commit_is_told_that_it_worked(path):
    async with ConversionOutbox(path) as outbox:
        await in_file(outbox, lambda file: file.execute("PRAGMA query_only = ON"))
        outcomes = await asyncio.gather(
            *(outbox.enqueue(order(str(number))) for number in range(5)), return_exceptions=True
        )
        assert all(isinstance(outcome, OutboxUnavailable) for outcome in outcomes), outcomes
        await in_file(outbox, lambda file: file.execute("PRAGMA query_only = OFF"))
        assert await outbox.enqueue(order())
        assert (await outbox.stats()).pending == 1


async def test_a_full_disk_is_told_and_survived(path):
    async with ConversionOutbox(path) as outbox:
        await outbox.enqueue(order("before"))
        pages = await in_file(outbox, lambda file: file.execute("PRAGMA page_count").fetchone()[0])
        await in_file(outbox, lambda file: file.execute(f"PRAGMA max_page_count = {pages}"))
        with pytest.raises(OutboxUnavailable, match="full"):
            for number in range(500):
                await outbox.enqueue(order(str(number)))
        await in_file(outbox, lambda file: file.execute("PRAGMA max_page_count = 100000"))
        assert await outbox.enqueue(order("after"))


async def test_a_store_that_fails_is_told_once_and_so_is_its_return(path, client, caplog):
    caplog.set_level(logging.INFO)
    async with quick(path, concurrency=3).delivering(client) as outbox, quick(path) as elsewhere:
        await in_file(outbox, lambda file: file.execute("PRAGMA query_only = ON"))
        await elsewhere.enqueue(order())
        await until(lambda: outbox._delivery._pauses._failures_in_a_row >= 5)
        await in_file(outbox, lambda file: file.execute("PRAGMA query_only = OFF"))
        await settled(outbox, delivered=1)
    told = [record.levelname for record in caplog.records if "delivery of conversions" in record.message]
    assert told == ["ERROR", "INFO"]


@pytest.mark.parametrize("error", [ValueError("the shop's own"), None])
async def test_a_store_that_fails_at_the_end_hides_no_error_of_the_program(path, client, caplog, error):
    async def serve():
        async with quick(path).delivering(client, drain_timeout=0) as outbox:
            await in_file(outbox, lambda file: file.execute("PRAGMA query_only = ON"))
            if error is not None:
                raise error

    (outcome,) = await asyncio.gather(serve(), return_exceptions=True)
    assert outcome is error
    assert "wait until their lease ends" in caplog.text


async def test_a_store_that_returns_while_nothing_is_due_is_told_of_when_it_fails_alike_once_more(path, client, caplog):
    caplog.set_level(logging.INFO)

    def told():
        return [record.levelname for record in caplog.records if "delivery of conversions" in record.message]

    async with quick(path).delivering(client) as outbox, quick(path) as elsewhere:
        for times in (1, 2):
            await in_file(outbox, lambda file: file.execute("PRAGMA query_only = ON"))
            await elsewhere.enqueue(order(str(times)))
            await until(lambda times=times: told().count("ERROR") == times)
            await in_file(elsewhere, lambda file: file.execute("DELETE FROM conversions"))
            await in_file(outbox, lambda file: file.execute("PRAGMA query_only = OFF"))
            await until(lambda times=times: told().count("INFO") == times)
    assert told() == ["ERROR", "INFO"] * 2


async def test_nothing_reads_the_whole_backlog(path):
    """Whatever an order's fate, its statement must not go through all that are queued: somebody waits for it."""
    steps = 0

    def count():
        nonlocal steps
        steps += 1

    async with ConversionOutbox(path) as outbox:
        rows = [(f"B{number}", b"{}", number, number) for number in range(20_000)]
        fill = "INSERT INTO conversions (order_id, body, enqueued_at, due_at) VALUES (?, ?, ?, ?)"

        def filled(file):
            with file.transaction():
                file.executemany(fill, rows)

        await in_file(outbox, filled)
        store = outbox._store
        await in_file(outbox, lambda file: file._connection.set_progress_handler(count, 1_000))
        work = [
            lambda: outbox.enqueue(order("new")),
            lambda: store.lease("w", 60, 600, 8),
            lambda: store.delivered("B0"),
            lambda: store.delivered_all(["B1", "B2"]),
            lambda: store.release("w", "B3"),
            lambda: store.release_all("w", ["B4", "B5"]),
            lambda: store.reschedule("B6", "w", 60),
            lambda: store.mark_dead("B7", "no"),
            lambda: store.release("w"),
            store.next_due,
            lambda: store.dead_letters(0),
            lambda: store.retry_dead(["B7"]),
            lambda: store.purge_dead(["B7"]),
        ]
        for number, each in enumerate(work):
            steps = 0
            await each()
            assert steps < 5, number


async def test_used_outside_of_its_context(path):
    outbox = ConversionOutbox(path)
    with pytest.raises(ConfigurationError, match="async with"):
        await outbox.enqueue(order())
    async with outbox:
        with pytest.raises(ConfigurationError, match="open already"):
            await outbox.__aenter__()
    async with outbox:  # a second life is fine
        assert (await outbox.stats()).pending == 0


@given(
    value=st.one_of(
        st.decimals(min_value=0, max_value=10**9, places=3),
        st.floats(min_value=0, max_value=1e30),
        st.integers(min_value=0, max_value=2**53),
    ),
    quantity=st.integers(min_value=1, max_value=10_000),
    text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(str.strip),
)
def test_what_is_stored_is_what_is_sent_byte_by_byte(value, quantity, text):
    conversion = order(text, order_value=value, conversions=[ConversionItem(text, text, quantity, value)])
    body = stored_body(conversion)
    assert encode_conversion(conversion_of(body)) == body
    assert conversion_of(body).order_value == Decimal(str(value))


# Delivery


async def test_delivers_what_was_enqueued_before_and_during(path, emulator, client):
    async with ConversionOutbox(path) as outbox:
        await outbox.enqueue(order("before"))
    async with ConversionOutbox(path).delivering(client) as outbox:
        await outbox.enqueue(order("during"))
    assert set(emulator.conversions) == {"before", "during"}
    assert emulator.conversions["during"].body["orderValue"] == Decimal("14.50")
    assert all(one.deliveries == 1 for one in emulator.conversions.values())
    async with ConversionOutbox(path) as outbox:
        assert (await outbox.stats()).delivered == 2
        assert await outbox.enqueue(order("before"))  # delivered already: nothing more happens
        assert (await outbox.stats()).pending == 0


async def test_leaves_no_task_and_no_thread_behind(path, emulator, client):
    before = asyncio.all_tasks()
    async with ConversionOutbox(path).delivering(client) as outbox:
        thread = outbox._store._file._thread
        await outbox.enqueue(order())
        await settled(outbox, delivered=1)
        assert len(asyncio.all_tasks()) > len(before)
    assert {task for task in asyncio.all_tasks() if "neuroon" in task.get_name()} == set()
    assert thread._shutdown


@pytest.mark.parametrize(
    "fault",
    [
        Fault.status(503),
        Fault.status(408),
        Fault.html(502),
        Fault.too_many_requests(0.01),
        Fault.drop(),
        Fault.drop(processed=True),
        Fault.reset(processed=True),
        Fault.truncated(),
        Fault.garbage(b"<!doctype html><title>Sign in to the network</title>", processed=False),
        Fault.garbage(b"<!doctype html><title>Sign in to the network</title>"),
    ],
)
async def test_passing_failures_are_retried_until_it_works(path, emulator, client, fault):
    emulator.fail("track_conversion", fault, times=3)
    async with quick(path).delivering(client) as outbox:
        await outbox.enqueue(order())
        await settled(outbox, delivered=1, dead=0)
        assert await failed_attempts(outbox) == 3
    assert len(emulator.requests_to("track_conversion")) == 4
    assert len(bodies_by_order(emulator)["1001"]) == 1


async def test_an_outage_is_survived_and_is_not_hammered(path, emulator, client):
    await emulator.stop()
    async with quick(path, initial_backoff=0.05, max_backoff=0.05).delivering(client, drain_timeout=0) as outbox:
        async with asyncio.TaskGroup() as group:
            for number in range(40):
                group.create_task(outbox.enqueue(order(str(number))))
        await asyncio.sleep(0.15)
        assert 1 <= await failed_attempts(outbox) <= 30
        await emulator.start()
        await settled(outbox, delivered=40)
    assert len(emulator.conversions) == 40


async def test_the_next_attempt_is_remembered_over_a_restart(path, emulator, client):
    emulator.fail("track_conversion", Fault.status(503), times=1)
    now = 1_800_000_000.0
    patient = {"initial_backoff": 60.0, "max_backoff": 60.0, "clock": lambda: now}
    async with quick(path, **patient).delivering(client, drain_timeout=1) as outbox:
        await outbox.enqueue(order())
        await until(lambda: emulator.requests)
    for later, delivered in ((1, 0), (100, 1)):
        now = 1_800_000_000.0 + later
        async with quick(path, **patient).delivering(client) as outbox:
            await settled(outbox, delivered=delivered)
        assert len(emulator.conversions) == delivered


@pytest.mark.parametrize("status", [400, 409, 413, 422])
async def test_a_refused_conversion_becomes_a_dead_letter_with_its_reason(path, emulator, client, status, caplog):
    emulator.fail("track_conversion", Fault.status(status, "orderValue: too odd", shape="standard"))
    async with quick(path).delivering(client) as outbox:
        await outbox.enqueue(order("odd"))
        await settled(outbox, dead=1)
        await outbox.enqueue(order("even"))
        await settled(outbox, dead=1, delivered=1)
        [letter] = await outbox.dead_letters()
        assert (letter.order_id, letter.attempts, letter.conversion) == ("odd", 1, order("odd"))
        assert letter.reason.startswith(str(status))
        assert "too odd" in letter.reason
        assert letter.enqueued_at <= letter.refused_at
        assert letter.enqueued_at.tzinfo is not None
        assert await outbox.retry_dead(["unknown", "even"]) == 0
        assert await outbox.retry_dead() == 1
        await settled(outbox, dead=0, delivered=2)
    assert set(emulator.conversions) == {"odd", "even"}
    assert [record.levelname for record in caplog.records if "dead letter" in record.message] == ["ERROR"]


async def test_an_odd_row_costs_only_itself_and_text_that_somebody_mended_is_sent(path, emulator, client, caplog):
    async with quick(path) as outbox:
        for name in ("junk", "number", "mended", "counted", "fine"):
            await outbox.enqueue(order(name))
    with closing(sqlite3.connect(path)) as database, database:
        change = "UPDATE conversions SET {} WHERE order_id = ?"
        database.execute(change.format("body = 'junk'"), ("junk",))
        database.execute(change.format("body = 5"), ("number",))
        database.execute(change.format("body = replace(CAST(body AS TEXT), '\"EUR\"', '\"USD\"')"), ("mended",))
        database.execute(change.format("attempts = 'many'"), ("counted",))
    async with quick(path).delivering(client) as outbox:
        await settled(outbox, delivered=3, dead=2)
        assert {letter.order_id: letter.conversion for letter in await outbox.dead_letters()} == {
            "junk": None,
            "number": None,
        }
        assert await outbox.purge_dead(["junk", "number"]) == 2
    assert {name: sent.body["currency"] for name, sent in emulator.conversions.items()} == {
        "mended": "USD",
        "counted": "EUR",
        "fine": "EUR",
    }
    assert "delivery of conversions waits" not in caplog.text


@pytest.mark.parametrize(
    "damaged",
    [("order_id = x'ff00'", "\\xff\0"), ("order_id = CAST(x'ff' AS TEXT)", "\\xff"), ("order_id = NULL", "")],
    ids=["blob", "no UTF-8", "null"],
)
async def test_a_damaged_order_id_is_a_dead_letter_and_holds_up_no_other(path, emulator, client, caplog, damaged):
    damage, shown = damaged
    async with quick(path) as outbox:
        for name in ("1", "2", "3"):
            await outbox.enqueue(order(name))
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"UPDATE conversions SET {damage} WHERE order_id = '1'")
    async with quick(path).delivering(client) as outbox:
        await settled(outbox, delivered=2, dead=1)
        [letter] = await outbox.dead_letters()
        assert (letter.order_id, letter.conversion) == (shown, order("1"))
        assert "the stored order id is damaged" in letter.reason
        assert await outbox.enqueue(letter.conversion)
        assert await outbox.purge_dead() == 1
        await settled(outbox, delivered=3, dead=0)
    assert set(emulator.conversions) == {"1", "2", "3"}
    assert "new dead letters: 1" in caplog.text


async def test_the_body_of_another_order_is_never_taken_for_this_one(path, emulator, client):
    async with quick(path) as outbox:
        for name in ("1", "2"):
            await outbox.enqueue(order(name))
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE conversions SET body = (SELECT body FROM conversions WHERE order_id = '1')")
    async with quick(path).delivering(client) as outbox:
        await settled(outbox, delivered=1, dead=1)
        [letter] = await outbox.dead_letters()
        assert (letter.order_id, letter.reason) == ("2", "the stored conversion is damaged: it is of order '1'")
    assert emulator.conversions["1"].deliveries == 1


async def test_one_unreadable_dead_letter_hides_no_other(path):
    async with quick(path) as outbox:
        for name in ("1", "2"):
            await outbox.enqueue(order(name))
        for name in ("1", "2"):
            await outbox._store.mark_dead(name, "422: no")
        with closing(sqlite3.connect(path)) as database, database:
            database.execute(
                "UPDATE conversions SET body = x'ff', settled_at = NULL, reason = x'ff' WHERE order_id = '1'"
            )
        bad, good = await outbox.dead_letters()
    assert (bad.order_id, bad.reason, bad.conversion, bad.refused_at.year) == ("1", "\\xff", None, 1)
    assert (good.order_id, good.reason, good.conversion) == ("2", "422: no", order("2"))


async def test_purged_dead_letters_make_room_for_a_corrected_order(path, emulator, client):
    emulator.fail("track_conversion", Fault.status(422, "no"))
    async with quick(path).delivering(client) as outbox:
        await outbox.enqueue(order(value="1"))
        await settled(outbox, dead=1)
        with pytest.raises(DuplicateOrder, match="purge"):
            await outbox.enqueue(order(value="2"))
        assert await outbox.purge_dead() == 1
        await outbox.enqueue(order(value="2"))
        await settled(outbox, delivered=1)
    assert emulator.conversions["1001"].body["orderValue"] == 2


@pytest.mark.virtual_time
@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_refused_key_pauses_delivery_with_one_line_and_burns_nothing(path, emulator, status, caplog):
    caplog.set_level(logging.INFO, logger="neuroon_async.outbox")
    rule = emulator.fail("track_conversion", Fault.status(status, "no"), every=1)
    loop = asyncio.get_running_loop()
    async with (
        connected(emulator) as client,
        ConversionOutbox(path, clock=loop.time).delivering(client, drain_timeout=30) as outbox,
    ):
        for number in range(10):
            await outbox.enqueue(order(str(number)))
        await asyncio.sleep(600)
        assert len(emulator.requests) <= 4 + 600 / WHILE_REFUSED.maximum * 2.5  # one probes for all; waits are spread
        assert (await outbox.stats()).pending == 10
        assert [r.levelname for r in caplog.records if "pauses" in r.message] == ["ERROR"]
        assert DEFAULT_API_KEY not in caplog.text
        emulator.faults.remove(rule)
        await asyncio.sleep(WHILE_REFUSED.maximum + 3)
        stats = await outbox.stats()
    assert (stats.delivered, stats.dead) == (10, 0)
    assert "server accepts conversions again" in caplog.text


@pytest.mark.virtual_time
@pytest.mark.parametrize("body", [b"<html>no</html>", b"Bad Request", b'{"message": "no Route matched"}', b""])
async def test_a_proxys_answer_refuses_no_conversion(path, emulator, body):
    loop = asyncio.get_running_loop()
    async with connected(emulator) as client, ConversionOutbox(path, clock=loop.time).delivering(client) as outbox:
        for status in (400, 409, 422):
            emulator.fail("track_conversion", Fault.status(status, body=body), times=1)
            await outbox.enqueue(order(f"{status}"))
            await asyncio.sleep(WHILE_REFUSED.maximum + 3)
        stats = await outbox.stats()
    assert (stats.delivered, stats.dead) == (3, 0)


@pytest.mark.virtual_time
async def test_a_proxys_bound_on_bodies_is_one(path, emulator, client):
    emulator.fail("track_conversion", Fault.html(413))
    async with quick(path).delivering(client) as outbox:
        await outbox.enqueue(order())
        await settled(outbox, dead=1)


@pytest.mark.virtual_time
@pytest.mark.parametrize("fault", [Fault.html(403), Fault.status(400, body=b"blocked")], ids=["403", "400"])
async def test_a_firewall_that_refuses_one_conversion_holds_up_no_other(path, emulator, fault):
    loop = asyncio.get_running_loop()
    emulator.fail("track_conversion", fault, when=lambda request: b'"1001"' in request.body, every=1)
    async with connected(emulator) as client, ConversionOutbox(path, clock=loop.time).delivering(client) as outbox:
        for number in range(1001, 1011):
            await outbox.enqueue(order(f"{number}"))
        await asyncio.sleep(600)
        stats = await outbox.stats()
        assert len(emulator.requests) < 9 + 600 / 30 + 10, "its attempts are further and further apart"
        emulator.faults.clear()
        await asyncio.sleep(70)
        assert (stats.delivered, stats.pending, stats.dead) == (9, 1, 0)
        assert (await outbox.stats()).delivered == 10


@pytest.mark.virtual_time
async def test_a_backlog_obeys_the_documented_limit(path):
    loop = asyncio.get_running_loop()
    async with Emulator(algorithm="rolling") as emulator:
        async with (
            connected(emulator, rate_limits={"track_conversion": RateLimit(100, per=60)}) as client,
            ConversionOutbox(path, clock=loop.time).delivering(client) as outbox,
        ):
            await asyncio.gather(*(outbox.enqueue(order(str(number))) for number in range(250)))
            started = loop.time()
            async with asyncio.timeout(400):
                while (await outbox.stats()).delivered < 250:  # noqa: ASYNC110 - in virtual seconds
                    await asyncio.sleep(1)
            assert loop.time() - started < 200
        assert all(request.status == 200 for request in emulator.requests)
        assert len(emulator.conversions) == 250


async def test_shutdown_drains_what_is_due(path, emulator, client):
    emulator.latency = 0.01
    async with quick(path).delivering(client, drain_timeout=5) as outbox:
        await asyncio.gather(*(outbox.enqueue(order(str(number))) for number in range(30)))
    assert len(emulator.conversions) == 30


async def test_shutdown_waits_out_a_pause_that_ends_in_time(path, emulator, client):
    emulator.fail("track_conversion", Fault.status(503), times=3)
    async with quick(path, initial_backoff=0.05, max_backoff=0.05).delivering(client, drain_timeout=5) as outbox:
        await asyncio.gather(*(outbox.enqueue(order(str(number))) for number in range(20)))
    assert len(emulator.conversions) == 20


@pytest.mark.virtual_time
async def test_shutdown_waits_for_the_next_attempt_of_a_single_order(path, emulator):
    emulator.fail("track_conversion", Fault.status(503), times=3)
    loop = asyncio.get_running_loop()
    async with (
        connected(emulator) as client,
        ConversionOutbox(path, clock=loop.time).delivering(client, drain_timeout=30) as outbox,
    ):
        await outbox.enqueue(order())
    assert len(emulator.conversions) == 1


@pytest.mark.parametrize("fault", [Fault.status(401, "no"), Fault.too_many_requests(60)])
async def test_shutdown_does_not_wait_for_a_pause_that_outlasts_it(path, emulator, client, fault):
    emulator.fail("track_conversion", fault, every=1)
    loop = asyncio.get_running_loop()
    started = loop.time()
    async with quick(path).delivering(client, drain_timeout=10) as outbox:
        await asyncio.gather(*(outbox.enqueue(order(str(number))) for number in range(20)))
    assert loop.time() - started < 9
    assert emulator.conversions == {}


async def test_shutdown_keeps_its_deadline_and_gives_its_claims_back(path, emulator, client):
    emulator.fail("track_conversion", Fault.hang(), every=1)
    loop = asyncio.get_running_loop()
    started = loop.time()
    async with quick(path).delivering(client, drain_timeout=0.1) as outbox:
        await outbox.enqueue(order())
    assert 0.1 <= loop.time() - started < 20  # of the 180 for which a lease lasts
    emulator.faults.clear()
    async with quick(path).delivering(client) as outbox:  # at once, not when the lease is over
        await settled(outbox, delivered=1)


async def test_cancellation_ends_at_once_and_keeps_everything(path, emulator, client):
    emulator.fail("track_conversion", Fault.hang(), every=1)

    async def app():
        async with quick(path).delivering(client, drain_timeout=60) as outbox:
            await outbox.enqueue(order())
            await asyncio.Event().wait()

    task = asyncio.create_task(app())
    await until(lambda: emulator.requests)
    task.cancel()
    async with asyncio.timeout(60):
        with pytest.raises(asyncio.CancelledError):
            await task
    async with ConversionOutbox(path) as outbox:
        assert (await outbox.stats()).pending == 1


@pytest.mark.virtual_time
@pytest.mark.parametrize("end", ["drained", "cut short"])
async def test_what_was_delivered_last_is_noted_before_the_end(path, emulator, client, monkeypatch, end):
    monkeypatch.setattr("neuroon_async.outbox.settling.PAUSE", 0.3)
    async with quick(path) as outbox:
        for number in range(5):
            await outbox.enqueue(order(str(number)))
        try:
            async with outbox.delivering(client):
                await until(lambda: len(emulator.conversions) == 5)
                await asyncio.sleep(0.02)  # until the client has read the answers
                if end == "cut short":
                    raise ZeroDivisionError
        except ZeroDivisionError:
            pass
        stats = await outbox.stats()
        assert (stats.pending, stats.delivered) == (0, 5)


async def test_an_error_in_the_app_passes_through_as_it_is(path, client):
    with pytest.raises(ZeroDivisionError):
        async with quick(path).delivering(client):
            raise ZeroDivisionError


async def test_a_closed_client_stops_delivery_and_is_told(path, emulator, client, caplog):
    with pytest.raises(ClientClosed):
        async with quick(path).delivering(client) as outbox:
            await client.aclose()
            await outbox.enqueue(order())
            await until(lambda: "has stopped" in caplog.text)
            assert await outbox.enqueue(order("2"))  # still durable
            assert (await outbox.stats()).pending == 2


class Raising(logging.Handler):
    def emit(self, record):
        raise ZeroDivisionError(record.getMessage())


@pytest.mark.virtual_time
@pytest.mark.parametrize("status", [503, 400, 401])
async def test_delivery_goes_on_after_a_log_handler_that_raises_and_the_loop_is_told(path, emulator, status, caplog):
    told, loop, log = [], asyncio.get_running_loop(), logging.getLogger("neuroon_async.outbox")
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
    caplog.set_level(logging.INFO, log.name)
    emulator.fail("track_conversion", Fault.status(status), times=2)
    log.addHandler(handler := Raising())
    try:
        async with connected(emulator) as client, quick(path, lease=9.0, clock=loop.time).delivering(client) as outbox:
            for number in range(3):
                await outbox.enqueue(order(str(number)))
            dead = 2 if status == 400 else 0
            await settled(outbox, pending=0, dead=dead, delivered=3 - dead)
    finally:
        log.removeHandler(handler)
    assert {type(error) for error in told} == {ZeroDivisionError}


async def test_delivering_twice_at_once_is_refused(path, client):
    async with ConversionOutbox(path).delivering(client) as outbox:
        with pytest.raises(ConfigurationError, match="delivering already"):
            async with outbox.delivering(client):
                pass


async def test_of_two_that_begin_to_deliver_at_once_the_first_one_does(path, client):
    outbox = ConversionOutbox(path)

    async def deliver():
        async with outbox.delivering(client):
            return await outbox.enqueue(order())

    first, second = await asyncio.gather(deliver(), deliver(), return_exceptions=True)
    assert first is True
    assert isinstance(second, ConfigurationError)
    assert "delivering already" in str(second)


async def test_an_outbox_in_use_in_another_event_loop_says_so(path):
    async with ConversionOutbox(path) as outbox, ConversionOutbox(path) as other:
        with pytest.raises(ConfigurationError, match="in use in another event loop; open an outbox in each loop"):
            await asyncio.to_thread(asyncio.run, outbox.enqueue(order()))
        assert await other.enqueue(order())


def test_an_outbox_may_outlive_the_event_loop_that_it_was_opened_in(path):
    async def opened():
        return await ConversionOutbox(path).__aenter__()

    async def used(outbox):
        assert await outbox.enqueue(order())
        await outbox.__aexit__(None, None, None)

    asyncio.run(used(asyncio.run(opened())))


async def test_two_outboxes_share_one_file(path, emulator, client):
    emulator.latency = 0.002
    async with (
        ConversionOutbox(path) as producer,
        quick(path).delivering(client) as first,
        quick(path).delivering(client),
    ):
        await asyncio.gather(*(producer.enqueue(order(str(number))) for number in range(60)))
        await settled(first, delivered=60)
    assert len(emulator.conversions) == 60
    assert all(one.deliveries == 1 for one in emulator.conversions.values())


async def test_claims_of_a_crashed_process_come_free_when_their_lease_is_over(path, emulator, client):
    now = 1_800_000_000.0
    async with ConversionOutbox(path, clock=lambda: now) as crashed:
        await crashed.enqueue(order())
        assert len(await crashed._store.lease("crashed", 90.0, 10_000.0, 5)) == 1
    async with quick(path, clock=lambda: now).delivering(client) as outbox:
        await asyncio.sleep(0.05)
        assert emulator.requests == []
        now += 91
        await settled(outbox, delivered=1)


async def test_a_clock_that_was_set_back_holds_nothing_up(path, emulator, client):
    now = 1_800_000_000.0
    emulator.fail("track_conversion", Fault.status(503))
    async with quick(path, clock=lambda: now).delivering(client, drain_timeout=0) as outbox:
        await outbox.enqueue(order())
        while not await failed_attempts(outbox):  # noqa: ASYNC110 - what is waited for is in the file
            await asyncio.sleep(0.005)
        now -= 1e8
        await settled(outbox, delivered=1)


async def test_delivered_ones_are_forgotten_after_their_time(path, emulator, client):
    now = 1_800_000_000.0
    async with quick(path, clock=lambda: now, keep_delivered=100).delivering(client) as outbox:
        await outbox.enqueue(order())
        await settled(outbox, delivered=1)
        now += 99
        await asyncio.sleep(0.05)
        assert (await outbox.stats()).delivered == 1
        now += 2
        await settled(outbox, delivered=0)


# The file


@pytest.mark.parametrize("content", [b"order,value\n1,2\n" * 20, b"SQLite format 3\0" + b"\0" * 84, b"x"])
async def test_a_foreign_file_is_refused_and_left_alone(path, content):
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="not an outbox"):
        async with ConversionOutbox(path):
            pass
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


async def test_a_foreign_database_is_refused_and_left_alone(path):
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE accounts (id)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="not an outbox"):
        async with ConversionOutbox(path):
            pass
    assert path.read_bytes() == before


@pytest.mark.slow
async def test_a_foreign_database_with_its_log_is_left_alone(path):
    await asyncio.to_thread(killed, path, "PRAGMA journal_mode = WAL", "CREATE TABLE accounts (id)")
    before = {file: file.read_bytes() for file in path.parent.iterdir()}
    assert len(before) == 3
    with pytest.raises(ConfigurationError, match="not an outbox"):
        async with ConversionOutbox(path):
            pass
    assert {file: file.read_bytes() for file in path.parent.iterdir()} == before


async def test_an_outbox_that_is_just_growing_is_not_taken_for_a_foreign_one(path):
    # As it is while another process writes its pages: the first one counts more than are there.
    async with ConversionOutbox(path):
        pass
    path.write_bytes(path.read_bytes()[:4096])
    assert ConversionOutbox(path)._store._file._format.check_file(path) is None


@pytest.mark.slow
async def test_a_second_outbox_does_not_take_the_locks_of_the_first(path):
    program = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('SELECT * FROM shop').fetchall()"
    async with ConversionOutbox(path) as first, ConversionOutbox(path):
        await first.enqueue(order())
        await asyncio.to_thread(subprocess.run, [sys.executable, "-c", program, path], check=True)
        # Who closes the file as the last one removes the log, and what the others write to it is lost.
        assert path.with_name(path.name + "-wal").exists()


async def test_a_damaged_file_is_refused_and_left_alone(path):
    async with ConversionOutbox(path) as outbox:
        await asyncio.gather(*(outbox.enqueue(order(str(number))) for number in range(200)))
    content = bytearray(path.read_bytes())
    content[4096:-4096] = b"\xa5" * (len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="damaged"):
        async with ConversionOutbox(path):
            pass
    assert path.read_bytes() == content


async def test_a_file_of_a_later_format_is_refused(path):
    async with ConversionOutbox(path) as outbox:
        await in_file(outbox, lambda file: file.execute("PRAGMA user_version = 2"))
    with pytest.raises(ConfigurationError, match="format 2"):
        async with ConversionOutbox(path):
            pass


async def test_a_path_that_cannot_be(tmp_path):
    for path, problem in ((tmp_path / "no" / "file", "no such folder"), (tmp_path, "cannot read")):
        with pytest.raises(ConfigurationError, match=problem):
            async with ConversionOutbox(path):
                pass


async def test_each_shop_has_its_own_file(path, emulator, client):
    async with ConversionOutbox(path).delivering(client):
        pass
    with pytest.raises(ConfigurationError, match=r"shop_test.*shop_other"):
        async with ConversionOutbox(path, shop_id="shop_other"):
            pass
    async with ConversionOutbox(path.with_name("other"), shop_id="shop_other") as other:
        with pytest.raises(ConfigurationError, match="belongs to shop 'shop_other'"):
            async with other.delivering(client):
                pass
    assert emulator.requests == []


async def test_many_processes_may_create_the_file_at_once(path):
    for attempt in range(8):  # they collide in one of seven
        outboxes = [ConversionOutbox(path.with_suffix(f".{attempt}"), shop_id="shop_1") for _ in range(8)]
        await asyncio.gather(*(outbox.__aenter__() for outbox in outboxes))
        await asyncio.gather(*(outbox.enqueue(order(str(number))) for number, outbox in enumerate(outboxes)))
        assert (await outboxes[0].stats()).pending == 8
        for outbox in outboxes:
            await outbox.__aexit__(None, None, None)


def test_settings_that_cannot_work(path):
    too_few, too_many = {"concurrency": 0}, {"concurrency": 1_001}
    for wrong in ({"lease": 0}, {"poll_interval": 0}, {"keep_delivered": -1}, too_few, too_many):
        with pytest.raises(ConfigurationError):
            ConversionOutbox(path, **wrong)


# Crashes

CRASHING_SHOP = """
import asyncio, os, random, signal, sys, time
from decimal import Decimal
from neuroon_async import Conversion, ConversionItem, NeuroonClient
from neuroon_async.outbox import ConversionOutbox, DuplicateOrder

url, path, acknowledged, rounds = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
random.seed(4)

def order(number, value):
    line = ConversionItem("SKU-1", "log-1", 1, value)
    return Conversion(order_id=str(number), order_value=value, currency="EUR", conversions=[line])

async def shop(round_number, log, ready):
    client = NeuroonClient(shop_id="shop_test", api_key="sk_" + "0" * 32, base_url=url, rate_limits=None)
    outbox = ConversionOutbox(path, lease=0.3, poll_interval=0.01, initial_backoff=0.01, max_backoff=0.05)
    async with client, outbox.delivering(client):
        os.write(ready, b".")
        async def sell(number):
            try:
                await outbox.enqueue(order(number, Decimal(round_number)))
            except DuplicateOrder:
                pass  # sold in an earlier round, at another price
            else:
                os.write(log, b"%d %d\\n" % (number, round_number))
        number = max(0, 20 * round_number - 30)  # overlaps with the rounds before
        while True:
            await asyncio.gather(*(sell(number + i) for i in range(random.randint(1, 5))))
            number += 5

log = os.open(acknowledged, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
for round_number in range(1, rounds + 1):
    reader, ready = os.pipe()
    children = []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            random.seed(round_number)
            asyncio.run(shop(round_number, log, ready))
        children.append(child)
    os.read(reader, 1)
    enough, patience = os.fstat(log).st_size + random.randrange(100), time.monotonic() + 5
    while os.fstat(log).st_size < enough and time.monotonic() < patience:
        time.sleep(random.uniform(0, 0.002))  # a moment of the shop's own time, however slow the machine is
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    os.close(reader), os.close(ready)
"""


async def crashing_shops(emulator, path, log, rounds):
    """Let shops sell, deliver and be killed. Returns what was acknowledged: order number and price."""
    script = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CRASHING_SHOP, emulator.url, str(path), str(log), str(rounds)),
        cwd=Path(neuroon_async.__file__).parents[1],
        stderr=subprocess.PIPE,
    )
    _, complaints = await script.communicate()
    assert script.returncode == 0, complaints.decode()
    return [line.split() for line in log.read_text().splitlines()]


@pytest.mark.slow
async def test_nothing_acknowledged_is_lost_when_processes_are_killed_at_any_moment(tmp_path, path):
    """Two processes share the file and are killed together, round after round, while they sell and deliver."""
    log = tmp_path / "acknowledged"
    async with Emulator(algorithm="off", latency=0.005) as emulator:
        emulator.fail("track_conversion", Fault.drop(processed=True), every=7)
        emulator.fail("track_conversion", Fault.status(503), every=11)
        sold = await crashing_shops(emulator, path, log, 30)
        assert len(sold) > 100
        async with connected(emulator) as client, quick(path).delivering(client) as outbox:
            await settled(outbox, pending=0, dead=0)

    lost = {number for number, _ in sold} - emulator.conversions.keys()
    assert lost == set()
    for number, price in sold:
        assert emulator.conversions[number].body["orderValue"] == int(price)
    assert {number for number, bodies in bodies_by_order(emulator).items() if len(bodies) > 1} == set()


async def test_a_cancelled_scope_of_anyio_leaves_no_lease_behind(path, emulator, client):
    """There every await of the clean-up is cancelled again, not only the first."""
    emulator.fail("track_conversion", Fault.hang(), every=1)
    with anyio.CancelScope() as scope:
        async with quick(path).delivering(client, drain_timeout=60) as outbox:
            await asyncio.gather(*(outbox.enqueue(order(str(number))) for number in range(6)))
            await until(lambda: emulator.requests)
            scope.cancel()
            await anyio.sleep(60)
    with sqlite3.connect(path) as reader:
        leased = reader.execute("SELECT count(*) FROM conversions WHERE claim IS NOT NULL").fetchone()
        assert (leased, reader.execute("SELECT count(*) FROM conversions").fetchone()) == ((0,), (6,))
    reader.close()
    assert not path.with_name(path.name + "-wal").exists()  # closed in good order
    assert {task for task in asyncio.all_tasks() if "neuroon" in task.get_name()} == set()


@pytest.mark.parametrize("how", ["deleted", "replaced", "truncated"])
async def test_an_enqueue_into_a_file_that_was_taken_away_raises(path, how):
    async with ConversionOutbox(path) as outbox:
        await outbox.enqueue(order("before"))
        await in_file(outbox, lambda file: file.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())
        await outbox.enqueue(order("known"))
        if how == "truncated":
            os.truncate(path, 0)
        else:
            path.unlink()
        if how == "replaced":
            async with ConversionOutbox(path.with_name("other")):
                pass
            path.with_name("other").rename(path)
        for number in range(2):
            with pytest.raises(OutboxUnavailable, match="taken away while it was open"):
                await outbox.enqueue(order(str(number)))
