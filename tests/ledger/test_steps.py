"""Steps of a run that wait for the file's thread at the same time share a transaction, and its failure."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager

import pytest

from neuroon_async.ledger.steps import Steps
from neuroon_async.sqlite import SQLiteFile


class _Counted(SQLiteFile):
    """Tells how often its thread was called and which transactions there were, and can hold its thread up."""

    def __init__(self, path) -> None:
        super().__init__(path, application_id=7, migrations=[["CREATE TABLE t (x INTEGER UNIQUE)"]], explain=_explain)
        self.transactions: list[bool] = []
        self.calls = 0
        self.go_on = threading.Event()

    @property
    def rows(self):
        return [x for (x,) in self.execute("SELECT x FROM t ORDER BY rowid")]

    def submit(self, work, *arguments):
        self.calls += 1
        return super().submit(work, *arguments)

    def transaction(self, *, durable=True):
        self.transactions.append(durable)
        return super().transaction(durable=durable)

    def add(self, number: int) -> int:
        self.execute("INSERT INTO t VALUES (?)", (number,))
        return number


def _explain(problem, detail):
    return RuntimeError(detail)


@asynccontextmanager
async def held_up(tmp_path):
    """A file whose thread is busy with something, the steps of a run in it, and how to end that."""
    async with _Counted(tmp_path / "x") as file:
        steps = Steps(file)
        busy = file.submit(file.go_on.wait)
        try:
            yield file, steps
        finally:
            file.go_on.set()
            await busy


async def started(*coroutines):
    """Tasks that have asked the thread for their steps."""
    tasks = [asyncio.ensure_future(each) for each in coroutines]
    await asyncio.sleep(0)
    return tasks


async def test_what_waits_at_the_same_time_is_one_transaction_in_the_order_of_the_calls(tmp_path):
    async with held_up(tmp_path) as (file, steps):
        before = file.calls
        tasks = await started(
            steps.write(file.add, 3, durable=False), steps.read(lambda: file.rows), steps.write(file.add, 1)
        )
        file.go_on.set()
        assert await asyncio.gather(*tasks) == [3, [3], 1]
        assert (file.transactions, file.calls - before) == ([True], 1)
        assert await steps.write(file.add, 2) == 2
        assert await steps.read(lambda: file.rows) == [3, 1, 2]
        assert file.transactions == [True, True]


async def test_only_what_need_not_outlive_a_power_cut_may_be_lost_to_one(tmp_path):
    async with held_up(tmp_path) as (file, steps):
        tasks = await started(steps.write(file.add, 1, durable=False), steps.write(file.add, 2, durable=False))
        file.go_on.set()
        await asyncio.gather(*tasks)
        assert file.transactions == [False]


async def test_where_one_fails_none_has_happened_and_all_say_so(tmp_path):
    async with held_up(tmp_path) as (file, steps):
        tasks = await started(steps.write(file.add, 1), steps.write(file.add, 1), steps.read(lambda: file.rows))
        file.go_on.set()
        told = await asyncio.gather(*tasks, return_exceptions=True)
        assert [str(error) for error in told] == ["UNIQUE constraint failed: t.x"] * 3
        assert await steps.read(lambda: file.rows) == []
        assert await steps.write(file.add, 1) == 1  # and the next one begins afresh


async def test_a_step_that_nobody_waits_for_any_more_is_not_taken(tmp_path):
    async with held_up(tmp_path) as (file, steps):
        given_up, other = await started(steps.write(file.add, 1), steps.write(file.add, 2))
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        file.go_on.set()
        assert await other == 2
        assert await steps.read(lambda: file.rows) == [2]


async def test_a_step_that_is_given_up_while_it_is_taken_happens_and_holds_up_no_other(tmp_path):
    async with held_up(tmp_path) as (file, steps):
        taken, go_on = threading.Event(), threading.Event()

        def slowly():
            taken.set()
            go_on.wait()
            file.add(1)

        given_up, other = await started(steps.write(slowly), steps.write(file.add, 2))
        file.go_on.set()
        await asyncio.to_thread(taken.wait)
        given_up.cancel()
        await asyncio.sleep(0)
        go_on.set()
        assert await asyncio.wait_for(other, 60) == 2
        assert given_up.cancelled()
        assert await steps.read(lambda: file.rows) == [1, 2]


async def test_a_commit_is_over_before_a_step_returns(tmp_path):
    async with held_up(tmp_path) as (file, steps):
        file.go_on.set()
        await asyncio.gather(*(steps.write(file.add, number) for number in range(20)))
        assert sorted(x for (x,) in await file.read("SELECT x FROM t")) == list(range(20))  # another connection's view


async def test_a_step_after_the_end_says_so_each_time_and_is_never_taken(tmp_path):
    async with held_up(tmp_path) as (file, steps):
        pass
    for _ in range(2):
        with pytest.raises(RuntimeError, match="is not open"):
            await asyncio.wait_for(steps.write(file.add, 1), 5)
    async with file:
        assert await steps.write(file.add, 2) == 2
        assert await steps.read(lambda: file.rows) == [2]
