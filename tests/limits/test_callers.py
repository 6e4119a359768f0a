"""Callers in line: one acts at a time, in order, whoever is cancelled or sent away meanwhile."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from neuroon_async.limits.callers import CallerLine

pytestmark = pytest.mark.virtual_time


class Late(Exception):
    pass


class Scene:
    """Callers by their names: what each does is noted, and it acts until it is told to end."""

    def __init__(self):
        self.line, self.done, self.ends = CallerLine(), [], {}

    async def start(self, name, deadline=None):
        async def act():
            try:
                async with self.line.turn(deadline):
                    self.done.append(name)
                    await self.ends[name].wait()
            except Late:
                self.done.append(f"{name} is late")

        self.ends[name] = asyncio.Event()
        task = asyncio.create_task(act())
        await turns()
        return task

    async def end(self, name):
        self.ends[name].set()
        await turns()


async def turns():
    for _ in range(5):
        await asyncio.sleep(0)


async def test_they_act_one_at_a_time_in_order_and_an_empty_line_is_open():
    scene = Scene()
    for number, name in enumerate("abc"):
        await scene.start(name)
        assert len(scene.line) == number + 1
    assert scene.done == ["a"]
    scene.line.known = 7.0
    await scene.end("a")
    assert (scene.done, len(scene.line), scene.line.known) == (["a", "b"], 2, 0.0)  # known of the one before alone
    await scene.end("b")
    await scene.end("c")
    assert (scene.done, len(scene.line)) == (["a", "b", "c"], 0)
    await scene.start("d")
    assert scene.done[-1] == "d"
    await scene.end("d")


async def test_one_that_is_cancelled_leaves_the_line_and_an_exception_ends_a_turn():
    scene = Scene()
    first, second, _ = [await scene.start(name) for name in "abc"]
    second.cancel()
    await turns()
    assert len(scene.line) == 2
    first.cancel()
    await turns()
    assert (scene.done, len(scene.line)) == (["a", "c"], 1)
    await scene.end("c")
    assert len(scene.line) == 0


async def test_one_that_is_cancelled_in_the_moment_of_its_turn_passes_it_on():
    scene = Scene()
    _, second, _ = [await scene.start(name) for name in "abc"]
    scene.ends["a"].set()
    await asyncio.sleep(0)  # a has ended, and b has yet to find out
    second.cancel()
    await turns()
    assert (scene.done, len(scene.line)) == (["a", "c"], 1)
    await scene.end("c")


async def test_those_who_are_late_are_sent_away_and_those_behind_them_move_up():
    scene = Scene()
    for name, deadline in (("a", None), ("b", 1.0), ("c", 3.0), ("d", 0.5), ("e", None)):
        await scene.start(name, deadline)
    asked = []

    def refusal(place, deadline):
        asked.append((place, deadline))
        return Late() if deadline in {1.0, 0.5} else None

    scene.line.refuse(refusal)
    assert len(scene.line) == 3
    await turns()
    assert asked == [(1, 1.0), (1, 3.0), (2, 0.5), (2, None)]
    assert (scene.done, len(scene.line)) == (["a", "b is late", "d is late"], 3)
    for name in "ace":
        await scene.end(name)
    assert (scene.done[3:], len(scene.line)) == (["c", "e"], 0)


async def rested(line, seconds, deadline=None):
    loop = asyncio.get_running_loop()
    started = loop.time()
    async with line.turn(deadline):
        await line.rest(seconds, deadline)
    return loop.time() - started


async def test_the_first_one_rests_for_its_time_or_until_it_may_go_on():
    line = CallerLine()
    line.go_on()  # nobody rests
    assert await rested(line, 5.0) == pytest.approx(5.0)
    for seconds in (5.0, None):
        task = asyncio.create_task(rested(line, seconds))
        await asyncio.sleep(2.0)
        line.go_on()
        line.go_on()
        assert await task == pytest.approx(2.0)
    task = asyncio.create_task(rested(line, None))
    await asyncio.sleep(20.0)
    assert not task.done()  # no timer was left to end another one's rest
    line.go_on()
    await task


async def test_the_one_who_rests_is_first_and_may_be_sent_away_too():
    line = CallerLine()
    resting = asyncio.create_task(rested(line, None, deadline=4.0))
    waiting = asyncio.create_task(rested(line, 1.0, deadline=9.0))
    await turns()
    asked = []

    def refusal(place, deadline):
        asked.append((place, deadline))
        return Late() if place == 0 else None

    line.refuse(lambda *_: None)
    assert not resting.done()
    line.refuse(refusal)
    line.refuse(refusal)  # before it has found out
    line.go_on()
    with pytest.raises(Late):
        await resting
    assert asked == [(0, 4.0), (1, 9.0)] * 2
    assert await waiting == pytest.approx(1.0)
    asked.clear()
    line.refuse(refusal)  # nobody is there
    assert (asked, len(line)) == ([], 0)


async def test_a_cancellation_wins_over_being_sent_away_and_nobody_complains_later():
    line = CallerLine()
    complaints = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    for first in ("cancel", "refuse"):
        resting = asyncio.create_task(rested(line, None))
        await turns()
        if first == "cancel":
            resting.cancel()
        line.refuse(lambda *_: Late())
        resting.cancel()
        with suppress(asyncio.CancelledError, Late):
            await resting
        del resting
    assert (len(line), complaints) == (0, [])
