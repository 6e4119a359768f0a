"""A permit and a place are granted together: how long a free place is kept for a permit that is still on its way."""

from __future__ import annotations

import asyncio

import pytest
from yarl import URL

from neuroon_async.api.contract import SHOP
from neuroon_async.transport.admission import Admission
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


def call():
    return Call(
        SHOP, URL("https://shop.example"), None, None, bulk=False, timeout=1.0, limit=TimeLimit(), stats=CallStats()
    )


async def test_a_place_is_kept_for_a_permit_that_is_one_round_trip_away():
    limiter, places = RoundTrip(0.05), Places(0)
    admitted = asyncio.create_task(Admission("s", limiter, places).admit(call(), None))
    await asyncio.sleep(1.0)
    assert limiter.asked == 0  # a permit would be wasted while there is no place
    places.give_back()
    await admitted
    assert (limiter.asked, limiter.granted, places.free) == (1, 1, 0)


async def test_a_place_is_not_kept_for_a_permit_that_takes_longer():
    limiter, places = RoundTrip(0.5), Places(0)
    admission = Admission("s", limiter, places)
    admitted = asyncio.create_task(admission.admit(call(), None))
    await asyncio.sleep(0)
    places.give_back()
    await asyncio.sleep(0.2)
    assert places.free == 1
    await admitted
    assert (limiter.granted, places.free) == (1, 0)
    admission.leave()
    assert places.free == 1
