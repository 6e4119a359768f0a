"""Leasing and settling by the hundred: what delivery asks of its store, seen by a store that writes it down."""

from __future__ import annotations

import asyncio

import pytest

from neuroon_async.api.shapes import implements
from neuroon_async.outbox.leases import LARGEST, Leases
from neuroon_async.outbox.settling import MOST_UNSETTLED, Settling
from neuroon_async.outbox.store import BulkOutboxStore, LeasedConversion, OutboxUnavailable

pytestmark = pytest.mark.virtual_time


class PlainStore:
    """A store that knows one order at a time. Only what these tests ask of it is there."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.given = 0
        self.broken = False
        self.seconds = 0.0

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)

        async def method(*arguments):
            raise AssertionError((name, arguments))

        if name in {"delivered_all", "release_all"}:
            raise AttributeError(name)
        return method

    async def lease(self, worker, seconds, furthest, count):
        self.told.append(count)
        self.given += count
        return [LeasedConversion(f"{self.given}-{number}", b"", 0) for number in range(count)]

    async def delivered(self, order_id):
        self.told.append(order_id)

    async def release(self, worker, order_id=None):
        self.told.append((worker, order_id))


class BulkStore(PlainStore):
    async def delivered_all(self, order_ids):
        await asyncio.sleep(self.seconds)
        if self.broken:
            raise OutboxUnavailable("the disk is full")
        self.told.append(list(order_ids))

    async def release_all(self, worker, order_ids):
        self.told.append((worker, list(order_ids)))


def leases_of(store, **options) -> Leases:
    return Leases(store, "w", **{"seconds": 180, "furthest": 600, "begin_within": 60, "smallest": 8} | options)


async def use_up(leases: Leases, count: int, seconds: float) -> None:
    """Take so many, over so many seconds."""
    for _ in range(count):
        assert await leases.next() is not None
        await asyncio.sleep(seconds / count)


def test_which_store_is_which():
    assert implements(BulkStore(), BulkOutboxStore)
    assert not implements(PlainStore(), BulkOutboxStore)


async def test_portions_grow_while_they_are_used_up_fast_and_no_further_than_allowed():
    store = BulkStore()
    leases = leases_of(store)
    await asyncio.sleep(2)
    for count in (8, 16, 32, 64, 128, 256, 256):
        await use_up(leases, count, 0.2)
    assert store.told == [8, 16, 32, 64, 128, 256, 256]
    assert LARGEST == 256
    await use_up(leases, 256, 0.5)  # neither fast nor slow
    await use_up(leases, 256, 2)
    await leases.next()
    assert store.told[7:] == [256, 256, 8]


async def test_a_store_that_knows_one_order_at_a_time_leases_few():
    store = PlainStore()
    leases = leases_of(store)
    for _ in range(4):
        await use_up(leases, 8, 0.01)
    assert store.told == [8] * 4
    await leases.next()
    await leases.give_back()
    assert store.told[5:] == [("w", f"40-{number}") for number in range(1, 8)]


async def test_what_is_given_back_is_given_back_at_once_and_the_next_portion_is_small():
    store = BulkStore()
    leases = leases_of(store)
    await asyncio.sleep(2)
    for count in (8, 16, 32):
        await use_up(leases, count, 0.2)
    await leases.next()
    await leases.give_back()
    assert store.told[-1] == ("w", [f"120-{number}" for number in range(1, 64)])
    await leases.give_back()  # nothing is left
    await asyncio.sleep(0.5)
    await leases.next()
    assert store.told[5:] == [8]


async def test_what_was_leased_too_long_ago_is_not_begun():
    store = BulkStore()
    leases = leases_of(store)
    await asyncio.sleep(2)
    assert (await leases.next()).order_id == "8-0"
    await asyncio.sleep(59)
    assert (await leases.next()).order_id == "8-1"
    await asyncio.sleep(1.5)
    assert (await leases.next()).order_id == "16-0"
    assert store.told == [8, ("w", [f"8-{number}" for number in range(2, 8)]), 8]


async def test_one_only_finds_out_whether_the_key_is_accepted_again():
    store = BulkStore()
    await leases_of(store).next(only_one=True)
    assert store.told == [1]


async def test_what_is_delivered_while_the_disk_is_busy_shares_the_next_commit():
    store = BulkStore()
    settling = Settling(store)
    for number in range(5):
        await settling.delivered(str(number))
        await asyncio.sleep(0.001)
    await settling.end()
    assert store.told == [["0"], ["1", "2", "3", "4"]]  # the first one at once


async def test_delivery_waits_for_a_disk_that_is_too_slow():
    store = BulkStore()
    store.seconds = 3.0
    settling = Settling(store)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await settling.delivered("first")
    await asyncio.sleep(0)  # on its way
    for number in range(MOST_UNSETTLED - 1):
        await settling.delivered(str(number))
    assert loop.time() < began + 1
    await settling.delivered("one too many")
    assert loop.time() > began + 3
    await settling.end()
    assert sum(len(some) for some in store.told) == MOST_UNSETTLED + 1


async def test_what_could_not_be_noted_is_told_and_tried_again():
    store = BulkStore()
    store.broken = True
    settling = Settling(store)
    await settling.delivered("1")
    await asyncio.sleep(0.001)
    with pytest.raises(OutboxUnavailable, match="disk is full"):
        await settling.delivered("2")
    store.broken = False
    await asyncio.sleep(1)
    settling.go_on()
    await settling.end()
    assert store.told == [["1", "2"]]


async def test_the_end_says_what_could_not_be_noted():
    store = BulkStore()
    store.broken = True
    settling = Settling(store)
    await settling.delivered("1")
    with pytest.raises(OutboxUnavailable, match="disk is full"):
        await settling.end()


async def test_a_plain_store_is_told_of_each():
    store = PlainStore()
    settling = Settling(store)
    await settling.delivered("1")
    settling.go_on()
    await settling.delivered("2")
    await settling.end()
    assert store.told == ["1", "2"]
