"""What every ledger must do, whatever it is kept in: one suite for the file and for Redis."""

from __future__ import annotations

import uuid
from contextlib import suppress

import pytest
from ledger_shop import sync
from sync.sync_shop import items, prices, shop

from neuroon_async import ConfigurationError, LedgerError, RetryPolicy, SQLiteLedger
from neuroon_async.testing import Fault, Readings

SHOP, OTHER = "https://api.example shop_1", "https://api.example shop_2"
A, B, C, D = b"a" * 16, b"b" * 16, b"c" * 16, b"d" * 16


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=pytest.mark.slow)])
async def make(request, tmp_path):
    """Makes ledgers that all look at the same place, as processes would."""
    if request.param == "sqlite":
        yield lambda **options: SQLiteLedger(tmp_path / "l", **options)
        return
    redis_asyncio = pytest.importorskip("redis.asyncio", reason="needs the extra 'redis'")
    from neuroon_async.integrations.redis import RedisLedger  # noqa: PLC0415 - optional

    redis = redis_asyncio.Redis(unix_socket_path=request.getfixturevalue("redis_server").socket)
    prefix = f"test-{uuid.uuid4().hex}"
    yield lambda **options: RedisLedger(redis, prefix, **options)
    await redis.aclose()


async def missing(run):
    return [external_id async for external_id in run.missing_ids()]


async def recorded(ledger, digests, shop=SHOP):
    async with ledger.run(shop) as run:
        await run.invalidate(digests)
        await run.record(digests)


async def cut_off(ledger, *ids):
    async with ledger.run(SHOP) as run:
        await run.invalidate(ids)


async def unchanged(ledger, digests, shop=SHOP):
    async with ledger.run(shop) as run:
        return set(await run.unchanged(digests))


async def test_what_was_recorded_is_found_by_the_next_run(make):
    many = {f"P-{n}": b"%016d" % n for n in range(1_203)} | {"a/b ü\n": B, "é\ud800": C}
    async with make().run(SHOP) as run:
        assert not await run.unchanged(many)
    await recorded(make(), many)
    assert await unchanged(make(), many) == set(many)
    assert await unchanged(make(), many | {"P-7": A, "new": A}) == many.keys() - {"P-7"}
    assert await unchanged(make(), many, OTHER) == set()


async def test_nothing_is_unchanged_from_its_invalidation_to_its_record(make):
    await recorded(make(), {"p": A, "q": B})
    async with make().run(SHOP) as run:
        await run.invalidate(["p"])
        assert set(await run.unchanged({"p": A, "q": B})) == {"q"}
        await run.record({"p": C})
        assert set(await run.unchanged({"p": C, "q": B})) == {"p", "q"}
        assert not await run.unchanged({"p": A})


async def test_nothing_that_is_empty_is_an_error(make):
    async with make().run(SHOP) as run:
        await run.invalidate([])
        await run.record({})
        await run.answered([])
        await run.forget([])
        await run.seen([])
        assert set(await run.unchanged({})) == set()
        assert await run.missing() == (0, 0)
        assert await missing(run) == []


async def test_missing_are_those_held_at_first_and_not_seen(make):
    ids = [*(f"p{number:04}" for number in range(1_038)), "!", "é\ud800"]
    digests = {external_id: b"%016d" % number for number, external_id in enumerate(ids)}
    await recorded(make(), digests)
    async with make().run(SHOP) as run:
        await run.seen([*ids[:1_000], "unheard of"])
        await run.seen(ids[:10])
        assert await run.missing() == (40, 1_040)
        found = await missing(run)
        assert sorted(found, key=ids.index) == ids[1_000:]
        await run.invalidate(found)
        for external_id in found:
            await run.forget([external_id])
    async with make().run(SHOP) as run:
        assert await run.missing() == (1_000, 1_000)


async def test_what_was_sent_for_the_first_time_and_never_answered_is_held(make):
    await cut_off(make(), "p")
    async with make().run(SHOP) as run:
        assert await run.missing() == (1, 1)
        assert await missing(run) == ["p"]


async def test_what_was_refused_is_held(make):
    async with make().run(SHOP) as run:
        await run.invalidate(["p"])
        await run.answered(["p"])
    async with make().run(SHOP) as run:
        assert await run.missing() == (1, 1)


async def test_a_shop_has_one_run_at_a_time(make):
    async with make().run(SHOP) as run:
        with pytest.raises(LedgerError, match="using"):
            async with make().run(SHOP):
                raise AssertionError
        await run.record({"p": A})
    assert await unchanged(make(), {"p": A}) == {"p"}


async def test_a_shop_can_be_forgotten_and_others_stay(make):
    await recorded(make(), {"p": A, "q": B})
    await recorded(make(), {"p": A}, OTHER)
    assert await make().forget_shop(SHOP) == 2
    assert await make().forget_shop(SHOP) == 0
    assert await unchanged(make(), {"p": A}) == set()
    assert await unchanged(make(), {"p": A}, OTHER) == {"p"}


async def forgotten_while(make, *, in_doubt, known):
    """Which digests are believed that are sent right after the shop was forgotten?"""
    assert await make().forget_shop(SHOP) == len(in_doubt) + len(known)
    async with make().run(SHOP) as run:
        assert await run.missing() == (0, 0)
    assert await make().forget_shop(SHOP) == 0
    digests = {external_id: b"%016d" % number for number, external_id in enumerate([*in_doubt, *known])}
    await recorded(make(), digests)
    return await unchanged(make(), digests)


async def test_what_was_never_answered_is_not_forgotten_with_its_shop(make):
    known = [f"q{number:04}" for number in range(1_100)]
    await recorded(make(), dict.fromkeys(known, A))
    await cut_off(make(), "new", *known[500:600], *known[:2])
    in_doubt = ["new", *known[500:600], *known[:2]]
    others = sorted({*known} - {*in_doubt})
    assert await forgotten_while(make, in_doubt=in_doubt, known=others) == {*others}
    async with make().run(SHOP) as run:
        assert (await run.missing())[1] == 1_101
    await recorded(make(request_lifetime=0), {"new": C})
    assert await unchanged(make(), {"new": C}) == {"new"}


async def test_nor_are_doubts_about_what_is_known(make):
    await cut_off(make(), "overtakable", "perhaps back")
    async with make().run(SHOP) as run:
        await run.invalidate(["overtakable", "perhaps back", "refused", "repeated"])
        await run.record({"overtakable": A})
        await run.forget(["perhaps back"])
        await run.answered(["refused"])
        await run.repeated(["repeated"])
        await run.record({"repeated": B})
    in_doubt = ["overtakable", "perhaps back", "repeated"]
    assert await forgotten_while(make, in_doubt=in_doubt, known=["refused"]) == {"refused"}


async def test_a_doubt_that_was_kept_is_not_lost_when_the_shop_is_forgotten_again(make):
    await cut_off(make(), "p", "q")
    await make().forget_shop(SHOP)
    await recorded(make(), {"p": A})
    await cut_off(make(), "r")
    assert await forgotten_while(make, in_doubt=["p", "r"], known=[]) == set()
    await recorded(make(), {"q": A})
    assert await unchanged(make(), {"q": A}) == set()


async def test_no_doubt_is_kept_that_is_over(make):
    await cut_off(make(), "p")
    await make(request_lifetime=0).forget_shop(SHOP)
    await recorded(make(), {"p": A})
    assert await unchanged(make(), {"p": A}) == {"p"}


async def test_what_was_forgotten_in_doubt_may_come_back_after_its_deletion(make):
    await cut_off(make(), "p")
    await make().forget_shop(SHOP)
    async with make().run(SHOP) as run:
        await run.invalidate(["p"])
        await run.forget(["p"])
    async with make().run(SHOP) as run:
        assert await run.missing() == (1, 1)


# Requests that were never answered


async def test_what_is_sent_after_a_lost_request_stays_in_doubt(make):
    await recorded(make(), {"p": A, "q": B})
    await cut_off(make(), "p", "new")
    for _ in range(3):
        await recorded(make(), {"p": C, "new": A, "q": B})
        assert await unchanged(make(), {"p": C, "new": A, "q": B}) == {"q"}


async def test_until_such_a_request_cannot_live_any_more(make):
    await cut_off(make(request_lifetime=0), "p", "new")
    await recorded(make(request_lifetime=0), {"p": C, "new": A})
    assert await unchanged(make(), {"p": C, "new": A}) == {"p", "new"}


async def test_a_request_lost_within_the_run_counts_too(make):
    async with make().run(SHOP) as run:
        await run.invalidate(["p"])
        await run.invalidate(["p"])
        await run.record({"p": A})
        assert not await run.unchanged({"p": A})
    assert await unchanged(make(), {"p": A}) == set()


async def test_a_refusal_is_an_answer(make):
    async with make().run(SHOP) as run:
        await run.invalidate(["p", "q"])
        await run.answered(["p", "q", "unknown"])
        assert not await run.unchanged({"p": A})
        await run.invalidate(["q"])
        await run.record({"q": B})
        assert set(await run.unchanged({"q": B})) == {"q"}
    await recorded(make(), {"p": A})
    assert await unchanged(make(), {"p": A, "q": B}) == {"p", "q"}


async def test_a_refusal_answers_for_itself_only(make):
    await cut_off(make(), "p")
    async with make().run(SHOP) as run:
        await run.invalidate(["p"])
        await run.answered(["p"])
    await recorded(make(), {"p": A})
    assert await unchanged(make(), {"p": A}) == set()


async def test_what_an_older_request_may_bring_back_is_found_missing_once_more(make):
    await recorded(make(), {"p": A, "q": B})
    await cut_off(make(), "p")
    for _ in range(2):
        async with make().run(SHOP) as run:
            await run.seen(["q"])
            assert await missing(run) == ["p"]
            await run.invalidate(["p"])
            await run.forget(["p"])
    async with make(request_lifetime=0).run(SHOP) as run:
        await run.invalidate(["p"])
        await run.forget(["p"])
    async with make().run(SHOP) as run:
        assert (await run.missing())[1] == 1


async def test_an_answered_batch_leaves_nothing_in_doubt(make):
    async with make().run(SHOP) as run:
        await run.invalidate(["p", "q", "gone"])
        await run.record({"p": A})
        await run.forget(["gone"])
    await recorded(make(), {"p": C, "q": B})
    assert await unchanged(make(), {"p": C, "q": B}) == {"p"}


async def test_an_overtaken_sync_is_repaired_by_the_run_after_the_next(make):
    async with shop() as (emulator, client):
        await sync(client, items(20), make())
        async with make().run(
            f"{client.base_url if hasattr(client, 'base_url') else emulator.url} {emulator.shop_id}"
        ) as run:
            await run.invalidate([product.external_id for product in items(20)])  # cut off with its request sent
        await sync(client, items(20, price=3), make())
        await client.products.sync(items(20, price=2))  # the old request, processed now
        await sync(client, items(20, price=3), make())
        assert set(prices(emulator).values()) == {3}


def test_lifetimes_that_cannot_be(make):
    for lifetime in (-1, float("inf"), float("nan")):
        with pytest.raises(ConfigurationError, match="request_lifetime"):
            make(request_lifetime=lifetime)


async def test_a_run_that_ends_badly_lets_go(make):
    for _ in range(2):
        with suppress(ZeroDivisionError):
            async with make().run(SHOP) as run:
                await run.invalidate(["p"])
                raise ZeroDivisionError


# Attempts that were never answered, although a repetition was


async def repeated(ledger, digests, *, gone=()):
    """A run in which one attempt was lost and the next one answered."""
    async with ledger.run(SHOP) as run:
        await run.invalidate([*digests, *gone])
        await run.repeated([*digests, *gone])
        await run.record(digests)
        await run.forget(gone)


async def test_what_was_answered_at_the_second_attempt_is_known_and_the_next_version_stays_in_doubt(make):
    await repeated(make(), {"p": A, "q": C})
    assert await unchanged(make(), {"p": A, "q": C}) == {"p", "q"}  # the lost attempt holds nothing else
    await recorded(make(), {"p": B})
    await recorded(make(), {"p": B})
    assert await unchanged(make(), {"p": B, "q": C}) == {"q"}
    await recorded(make(request_lifetime=0), {"p": B})
    assert await unchanged(make(), {"p": B}) == {"p"}


async def test_a_later_version_in_the_same_run_is_in_doubt_too(make):
    async with make().run(SHOP) as run:
        await run.invalidate(["p", "q"])
        await run.repeated(["p", "q"])
        await run.record({"p": A, "q": C})
        await run.invalidate(["p"])
        await run.record({"p": B})
        assert set(await run.unchanged({"p": B, "q": C})) == {"q"}
    assert await unchanged(make(), {"p": B, "q": C}) == {"q"}


async def test_what_comes_back_after_a_deletion_that_was_repeated_is_in_doubt(make):
    await recorded(make(), {"p": A, "q": C})
    await repeated(make(), {}, gone=["p"])
    await recorded(make(), {"p": A})
    assert await unchanged(make(), {"p": A, "q": C}) == {"q"}
    await repeated(make(request_lifetime=0), {}, gone=["p"])
    await recorded(make(request_lifetime=0), {"p": A})
    assert await unchanged(make(), {"p": A}) == {"p"}


async def test_two_that_may_have_come_back_since_they_were_deleted_are_told_apart(make):
    await recorded(make(), {"p": A, "q": C})
    await repeated(make(), {}, gone=["p", "q"])
    async with make().run(SHOP) as run:
        await run.forget(["p", "q"])  # a second time: now an attempt at the first may be processed after it
    async with make().run(SHOP) as run:
        await run.seen(["p"])
        assert (await run.missing(), await missing(run)) == ((1, 2), ["q"])


async def test_a_repetition_adds_to_older_doubts(make):
    await cut_off(make(), "p")
    await repeated(make(), {"p": A})
    assert await unchanged(make(), {"p": A}) == set()


async def test_only_what_was_repeated_is_in_doubt_afterwards(make):
    async with make().run(SHOP) as run:
        await run.invalidate(["p", "q"])
        await run.repeated(["p"])
        await run.record({"p": A})
        await run.record({"q": C})
    await recorded(make(), {"p": B, "q": D})
    assert await unchanged(make(), {"p": B, "q": D}) == {"q"}


async def test_an_attempt_that_was_repeated_and_is_processed_late_is_made_good(make):
    async with shop(readings=Readings(idempotency="ignored")) as (emulator, client):
        emulator.fail("sync_products", Fault.drop())
        report = await sync(client, items(5), make())
        assert (report.accepted, report.retries) == (5, 1)
        assert (await sync(client, items(5), make())).requests == 0
        await sync(client, items(5, price=2), make())
        await client.products.sync(items(5))  # the dropped attempt, processed now
        assert (await sync(client, items(5, price=2), make())).accepted == 5
        assert set(prices(emulator).values()) == {2}


async def test_a_deletion_that_was_repeated_and_is_processed_late_is_made_good(make):
    async with shop() as (emulator, client):
        await sync(client, items(5), make())
        emulator.fail("delete_product", Fault.drop())
        report = await sync(client, items(4), make(), delete_missing=True)
        assert (report.deleted, report.retries) == (1, 1)
        await sync(client, items(5), make())
        await client.products.delete("p4")  # the dropped attempt, processed now
        assert (await sync(client, items(5), make())).accepted == 1
        assert len(prices(emulator)) == 5


async def test_a_refusal_after_an_attempt_that_was_lost_answers_for_itself_only(make):
    async with shop() as (emulator, client):
        emulator.fail("sync_products", Fault.drop(), times=1)
        emulator.fail("sync_products", Fault.status(400, "no"), times=1)
        assert (await sync(client, items(1), make())).failed == 1
        for _ in range(2):  # the attempt that was lost may be accepted yet
            assert (await sync(client, items(1, price=2), make())).accepted == 1


@pytest.mark.parametrize("fault", [Fault.html(200), Fault.status(504), Fault.status(408)], ids=["page", "504", "408"])
async def test_a_proxy_that_lost_patience_answers_for_nobody(make, fault):
    async with shop({"retry": RetryPolicy(attempts=3, initial=0.001)}) as (emulator, client):
        emulator.fail("sync_products", fault)
        await sync(client, items(1), make())
        for _ in range(2):
            assert (await sync(client, items(1, price=2), make())).accepted == 1
