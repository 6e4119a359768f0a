"""A permit and a place are granted together: how long a free place is kept for a permit that is still on its way."""

from __future__ import annotations

import asyncio
import math

import pytest
from yarl import URL

from neuroon_async import RateLimited
from neuroon_async.api.contract import SHOP
from neuroon_async.transport.admission import Gate
from neuroon_async.transport.calls import Call, CallStats
from neuroon_async.transport.places import Places
from neuroon_async.transport.time_limit import TimeLimit

pytestmark = pytest.mark.virtual_time


class RoundTrip:
    """A limiter that grants each permit after so many seconds."""

    def __init__(self, seconds):
        self.seconds, self.asked, self.granted = seconds, 0, 0

    async def acquire(self, endpoint, *, bulk=False):
        self.asked += 1
        await asyncio.sleep(self.seconds)
        self.granted += 1
        return self

    def answered(self, headers, *, pause=None):
        pass

    def unused(self):
        self.granted -= 1


class Told(RoundTrip):
    """One that is told of deadlines, and refuses a call that would outlast its own."""

    def __init__(self, seconds):
        super().__init__(seconds)
        self.told = []

    async def acquire(self, endpoint, *, bulk=False, deadline=None):
        self.told.append((bulk, deadline))
        if deadline is not None and asyncio.get_running_loop().time() + self.seconds > deadline:
            raise RateLimited(retry_after=self.seconds, local=True)
        return await super().acquire(endpoint, bulk=bulk)


class Broken(RoundTrip):
    """A limiter that raises when it is asked for the first time."""

    def __init__(self, error):
        super().__init__(0.0)
        self.error = error

    async def acquire(self, endpoint, *, bulk=False):
        if self.asked == 0:
            self.asked += 1
            raise self.error
        return await super().acquire(endpoint, bulk=bulk)


def call(ends=math.inf, *, bulk=False):
    limit = TimeLimit(ends, ends)
    return Call(SHOP, URL("https://shop.example"), None, None, bulk=bulk, timeout=1.0, limit=limit, stats=CallStats())


async def crowded(limiter, *calls):
    """Admitted where no place is free, until one is."""
    places = Places(0)
    admission = Gate("s", limiter, places)
    waiting = [asyncio.create_task(admission.admit(each, None)) for each in calls]
    await asyncio.sleep(0)
    for _ in calls:
        places.give_back()
    return places, waiting


async def test_a_place_is_kept_for_a_permit_that_is_one_round_trip_away():
    limiter, places = RoundTrip(0.05), Places(0)
    admitted = asyncio.create_task(Gate("s", limiter, places).admit(call(), None))
    await asyncio.sleep(1.0)
    assert limiter.asked == 0  # a permit would be wasted while there is no place
    places.give_back()
    await admitted
    assert (limiter.asked, limiter.granted, places.free) == (1, 1, 0)


async def test_a_place_is_not_kept_for_a_permit_that_takes_longer():
    limiter, places = RoundTrip(0.5), Places(0)
    admission = Gate("s", limiter, places)
    admitted = asyncio.create_task(admission.admit(call(), None))
    await asyncio.sleep(0)
    places.give_back()
    await asyncio.sleep(0.2)
    assert places.free == 1
    await admitted
    assert (limiter.granted, places.free) == (1, 0)
    admission.leave()
    assert places.free == 1


@pytest.mark.parametrize("places", [None, Places(1)])
async def test_a_limiter_that_takes_deadlines_is_told_the_calls_own(places):
    limiter = Told(0.5)
    ends = asyncio.get_running_loop().time() + 10.0
    await Gate("s", limiter, places).admit(call(ends, bulk=True), None)
    assert limiter.told == [(True, ends)]


async def test_a_limiter_that_takes_deadlines_is_not_told_of_none():
    limiter = Told(0.5)
    await Gate("s", limiter, None).admit(call(bulk=True), None)
    assert limiter.told == [(True, None)]


async def test_a_limiter_is_told_how_long_a_place_is_kept_for_its_permit():
    limiter = Told(5.0)
    began = asyncio.get_running_loop().time()
    places, (waiting,) = await crowded(limiter, call())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert places.free == 1  # it was refused at once, not waited for
    await waiting
    (_, moment), (_, later) = limiter.told
    assert moment == pytest.approx(began + 0.1, abs=0.01)
    assert (later, limiter.granted, places.free) == (None, 1, 0)


@pytest.mark.parametrize("error", [RateLimited(retry_after=3.0), TimeoutError("the limiter's store does not answer")])
async def test_what_a_limiter_raises_by_itself_is_heard_and_the_place_given_back(error):
    places, (waiting,) = await crowded(Broken(error), call())
    with pytest.raises(type(error)) as caught:
        await waiting
    assert caught.value is error
    assert places.free == 1


async def test_an_instrumentation_that_raises_keeps_nothing():
    class Raising:
        def waited(self, endpoint, seconds):
            raise ValueError("not so")

        def attempt(self, attempt):
            raise NotImplementedError

    limiter, places = RoundTrip(0.5), Places(1)
    with pytest.raises(ValueError, match="not so"):
        await Gate("shop_1", limiter, places).admit(call(), Raising())
    assert (limiter.granted, places.free) == (0, 1)


async def test_a_place_is_waited_for_in_the_line_of_ones_own_shop():
    limiter, places = RoundTrip(0.0), Places(0)
    order = []

    async def admitted(admission, name):
        await admission.admit(call(), None)
        order.append(name)

    one, other = (Gate(shop, limiter, places) for shop in ("one", "other"))
    tasks = [asyncio.create_task(admitted(one, name)) for name in ("one 1", "one 2")]
    tasks.append(asyncio.create_task(admitted(other, "other 1")))
    await asyncio.sleep(0)
    for _ in range(3):
        places.give_back()
        await asyncio.sleep(1.0)
    assert order == ["one 1", "other 1", "one 2"]
    await asyncio.gather(*tasks)
