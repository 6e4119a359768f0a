"""The ledger of a fleet against a real Redis server. A "process" is a ledger with a Redis connection of its own."""

from __future__ import annotations

import asyncio
import gc
import time
import uuid
from collections.abc import Callable
from contextlib import suppress

import pytest

pytest.importorskip("redis", reason="needs the extra 'redis'")

from redis.asyncio import Redis

from neuroon_async import NeuroonClient, Product, UnsafeDeletion
from neuroon_async.errors import ConfigurationError
from neuroon_async.integrations.redis import RedisLedger
from neuroon_async.integrations.redis import ledger as redis_ledger
from neuroon_async.ledger.protocols import LedgerError
from neuroon_async.testing import Emulator, Fault

SHOP = "https://api.example shop_1"
ONE, OTHER = b"1" * 16, b"2" * 16
Process = Callable[..., RedisLedger]


@pytest.fixture
def prefix() -> str:
    return f"test-{uuid.uuid4().hex}"


@pytest.fixture
def process(connect, prefix) -> Process:
    return lambda **options: RedisLedger(options.pop("redis", None) or connect(), prefix, **options)


def products(count: int, *, price: float = 5) -> list[Product]:
    return [
        Product(external_id=f"P/{n} ü", name="Tea", price=price, url="https://shop.example/p") for n in range(count)
    ]


def client_of(server: Emulator) -> NeuroonClient:
    return NeuroonClient(shop_id=server.shop_id, api_key=server.api_key, base_url=server.url, rate_limits=None)


async def keys(redis: Redis, prefix: str) -> set[str]:
    return {key.decode().removeprefix(f"{prefix}:ledger:{{{SHOP}}}:") async for key in redis.scan_iter(f"{prefix}*")}


# What it remembers


@pytest.mark.parametrize("decode", [False, True], ids=["bytes", "decode_responses"])
async def test_another_process_finds_what_was_recorded(process, connect, decode):
    many = {f"P-{n}": ONE for n in range(1_203)} | {"a/b ü\n": ONE}
    async with process().run(SHOP) as run:
        assert await run.unchanged(many) == set()
        await run.record(many)
    async with process(redis=connect(decode_responses=decode)).run(SHOP) as run:
        assert await run.unchanged(many | {"P-7": OTHER, "new": ONE}) == many.keys() - {"P-7"}
        await run.seen([external_id for external_id in many if external_id not in {"P-7", "a/b ü\n"}])
        assert await run.missing() == (2, 1_204)
        assert {external_id async for external_id in run.missing_ids()} == {"P-7", "a/b ü\n"}
    async with process().run(f"{SHOP}0") as run:
        assert await run.unchanged(many) == set()


async def test_a_doubt_is_remembered_also_of_a_new_product_and_until_it_is_recorded(process):
    async with process().run(SHOP) as run:
        await run.record({"A": ONE, "B": ONE, "C": ONE})
        await run.invalidate(["A", "B", "NEW"])
        await run.record({"B": OTHER})
    async with process().run(SHOP) as run:
        assert await run.unchanged({"A": ONE, "B": ONE, "C": ONE, "NEW": ONE}) == {"C"}
        assert await run.unchanged({"B": OTHER}) == {"B"}
        await run.seen(["A", "B", "C"])
        assert await run.missing() == (1, 4)
        assert [external_id async for external_id in run.missing_ids()] == ["NEW"]
        await run.forget(["NEW", "unknown"])
    async with process().run(SHOP) as run:
        assert (await run.missing())[1] == 3


async def test_forget_shop_forgets_this_shop_only(process):
    for shop in (SHOP, f"{SHOP}0"):
        async with process().run(shop) as run:
            await run.record({"A": ONE, "B": ONE})
    assert await process().forget_shop(SHOP) == 2
    assert await process().forget_shop(SHOP) == 0
    async with process().run(f"{SHOP}0") as run:
        assert await run.unchanged({"A": ONE}) == {"A"}


async def test_doubts_of_a_forgotten_shop_stay_for_as_long_as_they_matter(process, connect, prefix):
    base = f"{prefix}:ledger:{{{SHOP}}}"
    now = int((await connect().time())[0]) * 1_000
    async with process(request_lifetime=100).run(SHOP) as run:
        await run.record(dict.fromkeys(["A", "B", "C"], ONE))
    ages = {"over": f"?{now - 160_000}", "sent": f"?{now - 40_000}", "refused": "?0", "older": f"?0:{now - 30_000}"}
    await connect().hset(f"{base}:products", mapping=ages)
    assert await process(request_lifetime=100).forget_shop(SHOP) == 7
    assert await keys(connect(), prefix) == {"doubts"}
    kept = {b"sent": b"%d" % (now - 40_000), b"older": b"%d" % (now - 30_000)}
    assert await connect().hgetall(f"{base}:doubts") == kept
    await process(request_lifetime=1).forget_shop(SHOP)
    assert 80_000 < await connect().pttl(f"{base}:doubts") <= 100_000
    async with process(request_lifetime=100).run(SHOP) as run:
        for external_id in ("sent", "older"):  # what they are in doubt for is noted with the product again
            await run.invalidate([external_id])
            await run.record({external_id: ONE})
    assert await keys(connect(), prefix) == {"products"}


async def test_a_forgotten_request_may_have_left_as_late_as_its_run_showed_life(process, connect, prefix):
    base = f"{prefix}:ledger:{{{SHOP}}}"
    now = int((await connect().time())[0]) * 1_000
    await connect().hset(f"{base}:products", "A", f"?{now - 500_000}")
    await connect().set(f"{base}:sending", now - 1_000)
    assert await process(request_lifetime=100).forget_shop(SHOP) == 1
    assert await connect().hgetall(f"{base}:doubts") == {b"A": b"%d" % (now - 1_000)}


async def test_a_shop_is_forgotten_whole_or_not_at_all(process, connect, prefix, monkeypatch):
    many = {f"P-{n}": b"%016d" % n for n in range(1_200)}
    async with process().run(SHOP) as run:
        await run.record(many)
        await run.invalidate(["P-7"])
    do = redis_ledger._Lock.do
    steps = []

    async def interrupted(lock, script, *arguments):
        steps.append(script)
        if script == redis_ledger.FORGET_ALL:
            await connect().delete(f"{prefix}:ledger:{{{SHOP}}}:lock")
        return await do(lock, script, *arguments)

    monkeypatch.setattr(redis_ledger._Lock, "do", interrupted)
    with pytest.raises(LedgerError, match="has lost its lock"):
        await process().forget_shop(SHOP)
    assert len(steps) > 2
    async with process().run(SHOP) as run:
        assert await run.unchanged(many) == many.keys() - {"P-7"}


async def test_every_missing_id_comes_once_while_they_are_forgotten(process):
    many = [f"P-{n}" for n in range(3_000)]
    async with process().run(SHOP) as run:
        await run.record(dict.fromkeys(many, ONE))
    async with process().run(SHOP) as run:
        found = []
        async for external_id in run.missing_ids():
            found.append(external_id)
            await run.invalidate([external_id])
            await run.forget([external_id])
        assert sorted(found) == sorted(many)


async def test_nothing_but_the_products_stays_in_redis(process, connect, prefix):
    async with process().run(SHOP) as run:
        await run.record({"A": ONE, "B": ONE})
        await run.seen(["A"])
        await run.missing()
        assert len(await keys(connect(), prefix)) == 4
    assert await keys(connect(), prefix) == {"products"}


@pytest.mark.parametrize("answers", ["all", "none"])
async def test_a_set_of_seen_ids_that_redis_lost_condemns_nothing(process, connect, prefix, monkeypatch, answers):
    at_once = redis_ledger._Lock._eval

    async def twice(lock, script, arguments):
        """As redis-py does where the answer is lost on its way."""
        if answers == "none":
            await at_once(lock, script, arguments)
        return await at_once(lock, script, arguments)

    monkeypatch.setattr(redis_ledger._Lock, "_eval", twice)
    async with process().run(SHOP) as run:
        await run.record({"A": ONE, "B": ONE})
    for finds_out in ("missing", "seen"):
        async with process().run(SHOP) as run:
            await run.seen(["A", "B"])
            assert await run.missing() == (0, 2)
            await connect().delete(*[key async for key in connect().scan_iter(f"{prefix}*:seen:*")])
            with pytest.raises(LedgerError, match="lost what this run told it"):
                await (run.missing() if finds_out == "missing" else run.seen(["A", "B", "C"]))


# The lock


async def test_a_second_run_is_refused_at_once_and_other_shops_are_not(process):
    async with process().run(SHOP) as first, process().run(f"{SHOP}0"):
        started = time.monotonic()
        with pytest.raises(LedgerError, match=r"another run is using the ledger of https://api\.example shop_1"):
            await process().run(SHOP).__aenter__()
        assert time.monotonic() - started < 20
        await first.record({"A": ONE})  # whose lock the refused one did not take away
    async with process().run(SHOP):
        pass


async def test_the_lock_is_renewed(process, connect, prefix, monkeypatch):
    monkeypatch.setattr(redis_ledger, "RENEWALS", 3_000)
    lock = f"{prefix}:ledger:{{{SHOP}}}:lock"
    async with process(lease=30).run(SHOP) as run:
        await run.seen(["A"])
        await connect().pexpire(lock, 15_000)
        async with asyncio.timeout(14):
            while await connect().pttl(lock) <= 15_000:  # noqa: ASYNC110 - in another process
                await asyncio.sleep(0.01)
        assert await connect().pttl(f"{lock.removesuffix('lock')}seen:{run._lock._arguments[0]}") > 30_000
        await run.record({"A": ONE})
        with pytest.raises(LedgerError):
            await process().run(SHOP).__aenter__()


async def test_the_lock_of_a_crashed_run_ends_by_itself(process, connect, prefix):
    base = f"{prefix}:ledger:{{{SHOP}}}"
    crashed = redis_ledger._Lock(connect(), base, SHOP, 30.0)
    await crashed.take()
    await crashed.do(redis_ledger.SEEN, 0, "A")
    with pytest.raises(LedgerError, match=r"its lock ends within (30|29|2\d|1\d) s"):
        await process(lease=1_000).run(SHOP).__aenter__()
    (seen,) = await keys(connect(), prefix) - {"lock"}
    assert 0 < await connect().pttl(f"{base}:{seen}") <= 60_000
    await connect().pexpire(f"{base}:lock", 1)
    await asyncio.sleep(0.01)
    async with process().run(SHOP):
        pass


async def test_a_run_that_has_lost_its_lock_changes_nothing_any_more(process, connect, prefix):
    async with process().run(SHOP) as late:
        await late.record({"A": ONE})
        await connect().delete(f"{prefix}:ledger:{{{SHOP}}}:lock")
        async with process().run(SHOP) as other:
            for step in (
                late.unchanged({"A": ONE}),
                late.invalidate(["A"]),
                late.record({"A": OTHER}),
                late.forget(["A"]),
                late.seen(["A"]),
                late.missing(),
                anext(late.missing_ids()),
            ):
                with pytest.raises(LedgerError, match="has lost its lock"):
                    await step
            assert await other.unchanged({"A": ONE}) == {"A"}
    async with process().run(SHOP):  # the late one's end did not take the other's lock: both have ended in order
        pass


async def test_a_late_end_leaves_anothers_lock_alone(process, connect, prefix):
    late = process().run(SHOP)
    await late.__aenter__()
    await connect().delete(f"{prefix}:ledger:{{{SHOP}}}:lock")
    async with process().run(SHOP) as other:
        await late.__aexit__(None, None, None)
        await other.record({"A": ONE})


async def test_cancelled_at_any_moment_the_lock_is_free_and_no_task_is_left(process, connect):
    redis = connect()
    await redis.ping()
    for step in range(12):

        async def work() -> None:
            async with process(redis=redis).run(SHOP) as run:
                for n in range(100):
                    await run.record({f"P-{n}": ONE})

        task = asyncio.create_task(work())
        for _ in range(step * 3):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with process(redis=redis).run(SHOP):
            pass
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_lock_granted_after_the_cancellation_is_given_back(process, connect, prefix, monkeypatch):
    at_once = redis_ledger._Lock._eval

    async def late(lock, script, arguments):
        if script == redis_ledger.TAKE:
            await asyncio.sleep(0.05)
        return await at_once(lock, script, arguments)

    monkeypatch.setattr(redis_ledger._Lock, "_eval", late)
    task = asyncio.create_task(process().run(SHOP).__aenter__())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0.1)
    assert await keys(connect(), prefix) == set()


async def test_without_redis_it_says_so(mortal_redis_server):
    redis = Redis(unix_socket_path=mortal_redis_server.socket, retry=None)
    async with redis:
        with suppress(LedgerError):
            async with RedisLedger(redis).run(SHOP) as run:
                await run.record({"A": ONE})
                mortal_redis_server.stop()
                with pytest.raises(LedgerError, match=r"in Redis cannot be used: \w+"):
                    await run.record({"A": OTHER})
        with pytest.raises(LedgerError, match="cannot be used"):
            await RedisLedger(redis).run(SHOP).__aenter__()
    gc.collect()


async def test_a_redis_that_will_not_write_is_told_with_what_to_do_and_nothing_is_lost(mortal_redis_server):
    async def permit(admin, *rights):
        await admin.execute_command("ACL", "SETUSER", "default", "resetkeys", *rights)

    troubles = {
        r"READONLY.*; it is a replica": (
            lambda admin: admin.replicaof("127.0.0.1", "1"),
            lambda admin: admin.replicaof("NO", "ONE"),
        ),
        r"OOM.*; it is full: give it more memory": (
            lambda admin: admin.config_set("maxmemory", 1),
            lambda admin: admin.config_set("maxmemory", 0),
        ),
        r"; allow its user scripts": (lambda admin: permit(admin, "~none"), lambda admin: permit(admin, "~*")),
    }
    async with Redis(unix_socket_path=mortal_redis_server.socket) as admin:
        for message, (begin, end) in troubles.items():
            async with RedisLedger(admin).run(SHOP) as run:
                await run.record({"A": ONE})
                await begin(admin)
                for step in (run.record({"B": ONE}), run.invalidate(["A"])):
                    with pytest.raises(LedgerError, match=message):
                        await step
                await end(admin)
            async with RedisLedger(admin).run(SHOP) as run:
                assert await run.unchanged({"A": ONE, "B": ONE}) == {"A"}


async def test_a_redis_that_does_not_answer_is_not_waited_for(process, connect, monkeypatch):
    redis = connect()
    async with process().run(SHOP) as run:
        await run.record({"A": ONE})
    await connect().client_pause(200)
    monkeypatch.setattr(redis_ledger, "PATIENCE", 0.03)
    with pytest.raises(LedgerError, match=r"TimeoutError: no answer within 0\.03 s"):
        await process(redis=redis).run(SHOP).__aenter__()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lease": 0}, r"lease must be a number of seconds, 0\.001 or more, and 1,000,000,000 or less; got 0"),
        ({"lease": 1e10}, "lease must be"),
        ({"request_lifetime": 1e300}, "request_lifetime must be"),
    ],
)
def test_settings_that_cannot_work(options, message):
    with pytest.raises(ConfigurationError, match=message):
        RedisLedger(None, **options)


# Syncs


async def test_a_fleet_sends_only_what_changed_and_deletes_what_is_gone(process):
    async with Emulator(algorithm="off") as server, client_of(server) as client:
        sync = client.products.sync
        assert (await sync(products(1_200), ledger=process())).accepted == 1_200
        report = await sync(products(1_200), ledger=process())
        assert (report.unchanged, report.requests) == (1_200, 0)
        changed = [*products(1, price=6), *products(1_100)[1:]]
        report = await sync(changed, ledger=process(), delete_missing=True)
        assert (report.accepted, report.unchanged, report.deleted) == (1, 1_099, 100)
        assert len(server.products) == 1_100
        with pytest.raises(UnsafeDeletion):
            await sync([], ledger=process(), delete_missing=True)
        assert len(server.products) == 1_100
        report = await sync(products(1_100), ledger=process(), delete_missing=True)
        assert (report.accepted, report.unchanged, report.deleted) == (1, 1_099, 0)


async def test_a_sync_that_loses_its_lock_stops(process, connect, prefix):
    async with Emulator(algorithm="off") as server, client_of(server) as client:

        async def source():
            for product in products(20):
                yield product
                if product.external_id == "P/10 ü":
                    (lock,) = [key async for key in connect().scan_iter(f"{prefix}*:lock")]
                    await connect().delete(lock)

        with pytest.raises(LedgerError, match="has lost its lock") as caught:
            await client.products.sync(source(), ledger=process(), batch_size=5, concurrency=1)
        report = caught.value.report
        assert report.accepted == len(server.products) == 10
        assert report.received == report.accepted + report.failed


async def test_a_process_that_stood_still_for_longer_than_its_lease_sends_nothing_more(process, monkeypatch):
    async with Emulator(algorithm="off") as server, client_of(server) as client:
        still = LedgerError("the process stood still")

        def lost(_lock):
            return still if server.requests_to("sync_products") else None

        monkeypatch.setattr(redis_ledger._Lock, "lost", lost)
        server.fail("sync_products", Fault.status(503))
        with pytest.raises(LedgerError, match="stood still") as caught:
            await client.products.sync(products(20), ledger=process(), batch_size=5, concurrency=1)
        assert len(server.requests_to("sync_products")) == 1  # the retry was about to leave
        report = caught.value.report
        assert report.received == report.failed > 0


async def test_a_lease_is_counted_from_the_request_that_renewed_it(process):
    async with process(lease=60).run(SHOP) as run:
        assert run.lease_lost() is None
        run._lock._renewed_at -= 61
        assert "not renewed within 60 s" in str(run.lease_lost())
        for step in (run.invalidate(["A"]), run.record({"A": ONE}), run.seen(["A"]), run.unchanged({"A": ONE})):
            with pytest.raises(LedgerError, match="not renewed within 60 s"):
                await step


async def test_doubts_of_a_version_before_are_young(process, connect, prefix):
    await connect().hset(f"{prefix}:ledger:{{{SHOP}}}:products", "A", "")
    for held in (set(), set()):
        async with process().run(SHOP) as run:
            await run.invalidate(["A"])
            await run.record({"A": ONE})
        async with process().run(SHOP) as run:
            assert await run.unchanged({"A": ONE}) == held
    async with process(request_lifetime=0).run(SHOP) as run:
        await run.invalidate(["A"])
        await run.record({"A": ONE})
    async with process().run(SHOP) as run:
        assert await run.unchanged({"A": ONE}) == {"A"}


async def test_a_clock_of_redis_that_is_set_back_during_a_run_hides_no_older_request(process, connect, prefix):
    products = f"{prefix}:ledger:{{{SHOP}}}:products"
    async with process().run(SHOP) as run:
        await run.invalidate(["A", "B"])
    async with process().run(SHOP) as run:
        await run.invalidate(["A", "B"])
        for external_id in ("A", "B"):  # as if that had been noted by a clock that was an hour back
            sent, older = (int(part) for part in (await connect().hget(products, external_id))[1:].split(b":"))
            await connect().hset(products, external_id, f"?{sent - 3_600_000}:{older}")
        await run.record({"A": ONE})
        await run.forget(["B"])
    async with process().run(SHOP) as run:
        assert await run.unchanged({"A": ONE}) == set()
        assert (await run.missing())[1] == 2


async def test_a_killed_run_may_have_sent_until_its_lock_was_last_renewed(process, connect, prefix):
    base = f"{prefix}:ledger:{{{SHOP}}}"
    async with process(request_lifetime=100).run(SHOP) as run:
        await run.invalidate(["A"])
        await run.record({"A": OTHER})
    now = int((await connect().time())[0]) * 1_000
    for shown, held in ((now, set()), (now - 500_000, {"A"})):  # it invalidated long ago, and went on sending
        await connect().hset(f"{base}:products", "A", f"?{now - 500_000}")
        await connect().set(f"{base}:sending", shown)
        async with process(request_lifetime=100).run(SHOP) as run:
            await run.invalidate(["A"])
            await run.record({"A": ONE})
            assert await run.unchanged({"A": ONE}) == held


async def test_an_attempt_counts_from_its_repetition_and_not_from_an_older_request(process, connect, prefix):
    products = f"{prefix}:ledger:{{{SHOP}}}:products"
    now = int((await connect().time())[0]) * 1_000
    async with process(request_lifetime=100).run(SHOP) as run:
        for name, work in (("A", lambda: run.record({"A": ONE})), ("B", lambda: run.forget(["B"]))):
            await connect().hset(products, name, f"?{now}:{now - 99_000}")
            await run.repeated([name])
            await work()
            doubt = (await connect().hget(products, name)).removeprefix(b"?0:")
            assert int(doubt) >= now


async def test_when_a_run_may_have_sent_is_kept_for_as_long_as_it_matters(process, connect, prefix):
    async with process(request_lifetime=50).run(SHOP) as run:
        await run.invalidate(["A"])
    assert await keys(connect(), prefix) == {"products", "sending"}
    left = await connect().pttl(f"{prefix}:ledger:{{{SHOP}}}:sending")
    assert 40_000 < left <= 50_000
    async with process(request_lifetime=50).run(SHOP) as run:
        await run.invalidate(["A"])
        await run.record({"A": ONE})
    assert await keys(connect(), prefix) == {"products", "sending"}  # A is in doubt still
    async with process(request_lifetime=0).run(SHOP) as run:
        await run.invalidate(["A"])
        await run.record({"A": ONE})
    assert await keys(connect(), prefix) == {"products"}
