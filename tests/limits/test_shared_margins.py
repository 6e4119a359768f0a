"""What one process has used of a shared limit: as told to its fallback, and to the store once that is back."""

from __future__ import annotations

import asyncio
import weakref

import pytest

from neuroon_async import RateLimit, RateLimited
from neuroon_async.limits.own_usage import OwnUsage
from neuroon_async.limits.policy import IN_TRANSIT
from neuroon_async.limits.reports import Reports
from neuroon_async.limits.shared import SharedEndpoint
from neuroon_async.limits.store import StoreUnavailable, Taken

pytestmark = pytest.mark.virtual_time

PER = 60.0
LATE = PER + IN_TRANSIT
"""Seconds until a slot is back whose request may be on its way still."""


class Store:
    """Grants all that it is asked for, while it is there."""

    def __init__(self) -> None:
        self.away = False
        self.handed_back: dict[str, float] = {}

    async def take(self, _requests, _member, *, bulk):
        if self.away:
            raise StoreUnavailable("is away")
        return Taken(stamp=0, left=100)

    async def nothing(self, *_arguments, **_options):
        if self.away:
            raise StoreUnavailable("is away")

    cool = cool_late = free = withdraw = pause = nothing

    async def hand_back(self, members, _absent):
        self.handed_back = dict(members)

    def look_in(self):
        return 1.0 if self.away else 0.0


def test_slots_in_flight_and_unanswered_come_back_later_than_answered_ones():
    own = OwnUsage(PER)
    for member in ("answered", "unanswered", "in flight", "unused"):
        own.taken(member)
    own.unused("unused")
    own.unanswered("unanswered", 10.0)
    own.answered("answered", 10.0)
    assert own.members(11.0) == {"in flight": LATE, "answered": PER - 1, "unanswered": LATE - 1}
    assert own.members(10.0 + PER) == {"in flight": LATE, "unanswered": IN_TRANSIT}
    assert own.members(10.0 + LATE) == {"in flight": LATE}
    own.end_all(100.0)
    assert own.members(101.0) == {"in flight": LATE - 1}


class Name(str):
    """A slot's name that a weak reference can watch."""

    __slots__ = ("__weakref__",)


def test_a_slot_that_is_back_is_forgotten_though_the_store_never_goes_away():
    own = OwnUsage(PER)
    watched = []
    for number in range(1_000):
        name = Name(number)
        own.taken(name)
        (own.unanswered if number % 2 else own.answered)(name, now=float(number))
        watched.append(weakref.ref(name))
        del name
    assert sum(name() is not None for name in watched) <= LATE


async def test_without_the_store_a_slot_that_was_not_answered_for_is_kept_until_its_request_cannot_arrive():
    store = Store()
    endpoint = SharedEndpoint("shop", RateLimit(2, per=PER), store, Reports(), share=1)
    for headers in ({}, None):
        (await endpoint.acquire(bulk=False, deadline=None)).answered(headers)
    loop = asyncio.get_running_loop()
    began = loop.time()
    store.away = True
    waited = []
    for _ in range(2):
        await endpoint.acquire(bulk=False, deadline=None)
        waited.append(loop.time() - began)
    # Which of the two comes back first the fallback cannot know: both are taken for the later one.
    assert min(waited) >= PER
    assert max(waited) == pytest.approx(LATE, abs=1.1)
    with pytest.raises(RateLimited):
        await endpoint.acquire(bulk=False, deadline=loop.time() + PER - 1)


async def test_the_store_that_is_back_is_told_when_each_slot_comes_back():
    store = Store()
    endpoint = SharedEndpoint("shop", RateLimit(10, per=PER), store, Reports(), share=1)
    first = await endpoint.acquire(bulk=False, deadline=None)
    store.away = True
    second, third = [await endpoint.acquire(bulk=False, deadline=None) for _ in range(2)]
    first.answered({})
    second.answered(None)
    await asyncio.sleep(1.0)
    store.away = False
    await endpoint.acquire(bulk=False, deadline=None)
    assert store.handed_back == pytest.approx({first.member: PER - 1, second.member: LATE - 1, third.member: LATE})
