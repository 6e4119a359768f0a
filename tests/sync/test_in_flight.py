"""The bound on the deliveries under way, and what becomes of one that is cancelled."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from neuroon_async.sync.in_flight import InFlight

pytestmark = pytest.mark.virtual_time


async def test_never_more_than_the_limit_are_under_way():
    flight = InFlight(3)
    most = 0

    async def work():
        nonlocal most
        most = max(most, len(flight))
        await asyncio.sleep(1.0)

    loop = asyncio.get_running_loop()
    started = loop.time()
    async with asyncio.TaskGroup() as group:
        flight.open(group)
        await flight.drain()  # nothing is under way
        for number in range(7):
            await flight.free_place()
            flight.start([number], work)
        assert list(flight) == [[6]]
        await flight.drain()
        assert (len(flight), most) == (0, 3)
    assert loop.time() - started == pytest.approx(3.0, abs=0.1)


async def test_one_that_is_cancelled_stays_listed_and_whoever_waits_is_told():
    flight = InFlight(1)

    async def work():
        await asyncio.sleep(1.0)
        raise asyncio.CancelledError("meant for another")

    async with asyncio.TaskGroup() as group:
        flight.open(group)
        flight.start("delivery", work)
        for wait in (flight.free_place, flight.drain, flight.next_done):
            with pytest.raises(asyncio.CancelledError, match="meant for another"):
                await wait()
    assert list(flight) == ["delivery"]


async def test_whoever_waits_for_one_that_failed_or_begins_another_is_told():
    flight = InFlight(1)

    async def work():
        raise ValueError

    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.TaskGroup() as group:
            flight.open(group)
            flight.start("first", work)
            with suppress(asyncio.CancelledError):  # as a source or a callback may do with the group's
                await asyncio.sleep(1.0)
            for wait in (flight.free_place, flight.drain, flight.next_done):
                with pytest.raises(asyncio.CancelledError):
                    await wait()
            with pytest.raises(asyncio.CancelledError):
                flight.start("second", work)
    assert [type(error) for error in caught.value.exceptions] == [ValueError]
    assert list(flight) == ["first", "second"]
