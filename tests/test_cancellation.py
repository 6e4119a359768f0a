"""What must come to its end although the one who waits is cancelled."""

import asyncio

import pytest

from neuroon_async.cancellation import finish


async def test_work_ends_before_the_cancellation_passes():
    steps = []

    async def clean_up():
        for step in range(3):
            await asyncio.sleep(0.001)
            steps.append(step)

    async def use():
        try:
            await asyncio.Event().wait()
        finally:
            await finish(clean_up())

    task = asyncio.create_task(use())
    await asyncio.sleep(0)
    for _ in range(5):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert steps == [0, 1, 2]


async def test_results_and_errors_pass_through():
    async def give(value):
        return value

    async def fail():
        raise ZeroDivisionError

    assert await finish(give(7)) == 7
    with pytest.raises(ZeroDivisionError):
        await finish(fail())


async def test_a_failure_after_a_cancellation_is_the_cancellation():
    async def fail():
        await asyncio.sleep(0.001)
        raise ZeroDivisionError

    task = asyncio.create_task(finish(fail()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
