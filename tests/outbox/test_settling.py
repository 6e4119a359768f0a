"""What was delivered is noted in the store, also where the task that does so is cancelled."""

from __future__ import annotations

import asyncio

import pytest

from neuroon_async.outbox.settling import Settling
from neuroon_async.outbox.store import BulkOutboxStore


class Store(BulkOutboxStore):
    """Notes orders after a turn of the loop."""

    def __init__(self):
        self.noted = []

    async def delivered_all(self, order_ids):
        await asyncio.sleep(0)
        self.noted += order_ids


def writing():
    return next(task for task in asyncio.all_tasks() if task.get_name() == "neuroon-outbox-settling")


@pytest.mark.parametrize("turns", [0, 1], ids=["before it began", "as it writes"])
async def test_who_cancels_the_writing_loses_nothing_and_hangs_nobody(turns):
    store = Store()
    settling = Settling(store)
    await settling.delivered("1")
    for _ in range(turns):
        await asyncio.sleep(0)
    writing().cancel()
    async with asyncio.timeout(60):
        await settling.end()
    assert store.noted == ["1"]


@pytest.mark.virtual_time
async def test_after_a_cancelled_writing_the_next_one_begins():
    store = Store()
    settling = Settling(store)
    await settling.delivered("1")
    writing().cancel()
    await asyncio.sleep(0)
    await settling.delivered("2")
    await asyncio.sleep(1)
    assert store.noted == ["1", "2"]
