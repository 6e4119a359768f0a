"""What was in use before a process forked: in the child it is closed at once, or refused. It never waits for a thread
that stayed behind in the parent, and the parent goes on.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from real_redis import redis_server

from neuroon_async.sqlite.forks import ForkBarrier
from neuroon_async.testing import Emulator

__all__ = ["redis_server"]

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")]

PROJECT = Path(__file__).parents[1]
HEAD = """
import asyncio, os, sys
from neuroon_async import ConfigurationError, MachineLimiter, NeuroonClient, SQLiteLedger, blocking
from neuroon_async.outbox import ConversionOutbox
from neuroon_async.sqlite import SQLiteFile
from neuroon_async.testing import Emulator

def numbers_file(name):
    table = "CREATE TABLE number (value INTEGER)"
    explain = lambda problem, detail: OSError(detail)
    return SQLiteFile(name, application_id=1, migrations=[[table]], explain=explain)

def in_child(work):
    if os.fork() == 0:
        try:
            print(work(), flush=True)
        except ConfigurationError as error:
            print(error, flush=True)
        os._exit(0)
    os.wait()
"""


@pytest.fixture
def emulator():
    with Emulator.in_thread("shop_test", algorithm="off") as emulator:
        yield emulator


def run(emulator: Emulator, folder: Path, body: str) -> list[str]:
    """What a program prints, line by line."""
    quiet = ("-W", "error", "-W", "ignore:This process:DeprecationWarning")  # the warning of a fork beside threads
    process = subprocess.run(
        [sys.executable, *quiet, "-c", HEAD + textwrap.dedent(body)],
        env=os.environ | emulator.environment | {"PYTHONPATH": str(PROJECT)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (process.returncode, process.stderr) == (0, "")
    return process.stdout.splitlines()


REFUSED = (
    "this client belongs to another event loop; create one in each loop (asyncio.run starts a new one), and in each "
    "process after a fork"
)


@pytest.mark.parametrize("runs", ["blocking.run", "asyncio.run"])
def test_a_client_that_was_used_is_refused_in_the_child_and_closed_there_at_once(tmp_path, emulator, runs):
    """A worker that leaves ``async with`` by the refusal would never have told it."""
    printed = run(
        emulator,
        tmp_path,
        f"""
        client = NeuroonClient.from_env()
        blocking.run(client.shop())
        async def call():
            async with client:
                await client.shop()
        in_child(lambda: {runs}(call()))
        in_child(lambda: {runs}(client.aclose()))
        print(blocking.run(client.health()))
        """,
    )
    assert printed == [REFUSED, "None", "True"]


def test_a_client_of_a_loop_that_runs_while_it_forks(tmp_path, emulator):
    printed = run(
        emulator,
        tmp_path,
        """
        async def main():
            async with NeuroonClient.from_env() as client:
                await client.shop()
                in_child(lambda: asyncio.run(client.aclose()))
                print(await client.health())
        asyncio.run(main())
        """,
    )
    assert printed == ["None", "True"]


def test_a_limiter_in_a_file_is_closed_in_the_child_at_once(tmp_path, emulator):
    printed = run(
        emulator,
        tmp_path,
        """
        limiter = MachineLimiter("limits", shop_id="shop_test")
        client = NeuroonClient.from_env(limiter=limiter)
        blocking.run(client.shop())
        in_child(lambda: blocking.run(limiter.aclose()))
        in_child(lambda: (blocking.run(limiter.aclose()), limiter.limits()["shop"].requests)[1])
        print(blocking.run(client.health()))
        """,
    )
    assert printed == ["None", "60", "True"]


def test_a_limiter_of_a_loop_that_has_ended_goes_on_in_the_child(tmp_path, emulator):
    printed = run(
        emulator,
        tmp_path,
        """
        limiter = MachineLimiter("limits", shop_id="shop_test")
        async def call():
            async with NeuroonClient.from_env(limiter=limiter) as client:
                await client.shop()
            left = limiter.limits()["shop"].available
            return left
        print(asyncio.run(call()))
        in_child(lambda: asyncio.run(call()))
        print(asyncio.run(call()))
        """,
    )
    assert printed == ["59", "58", "57"]


def test_what_was_not_told_to_the_others_before_a_fork_is_told_by_the_parent_alone(tmp_path, emulator):
    printed = run(
        emulator,
        tmp_path,
        """
        from neuroon_async.limits.reports import Reports

        async def report():
            print("told", flush=True)
        reports = Reports()
        reports.tell(report)
        in_child(lambda: asyncio.run(reports.told()))
        asyncio.run(reports.told())
        """,
    )
    assert printed == ["None", "told"]


def test_a_pool_of_shops_is_left_to_the_parent_and_opens_anew_in_the_child(tmp_path, emulator, redis_server):
    """To close its connections to Redis in the child would take them out of what the parent listens to."""
    pytest.importorskip("redis", reason="needs the extra 'redis'")
    printed = run(
        emulator,
        tmp_path,
        f"""
        from neuroon_async.integrations.shop_pool import ShopCredentials, ShopPool

        credentials = ShopCredentials(os.environ["NEUROON_API_KEY"], base_url=os.environ["NEUROON_API_URL"])
        pool = ShopPool(lambda _: credentials, "unix://{redis_server.socket}", prefix="{tmp_path}")
        async def call():
            async with pool.client("shop_test") as client:
                await client.shop()
                return await pool.ledger().forget_shop("shop_test")
        async def own():
            async with pool:
                return await call()
        async def work(at_work):
            async with pool.client("shop_test"):
                at_work.set()
                await asyncio.Event().wait()
        async def main():
            async with pool:
                at_work = asyncio.Event()
                working = asyncio.create_task(work(at_work))
                await at_work.wait()
                await call()
                in_child(lambda: asyncio.run(call()))
                in_child(lambda: asyncio.run(pool.close()))
                in_child(lambda: asyncio.run(own()))
                print(await call())
            print(working.cancelled())
        asyncio.run(main())
        """,
    )
    not_open = "the pool is not open: call install(broker, pool), or use 'async with pool'"
    assert printed == [not_open, "None", "0", "0", "True"]


def test_a_fork_waits_for_what_a_thread_does_in_a_file(tmp_path, emulator):
    """In the child nobody would end the transaction, and SQLite would take its lock for one of the child's own."""
    printed = run(
        emulator,
        tmp_path,
        """
        import threading, time

        begun, forking = threading.Event(), threading.Event()
        os.register_at_fork(before=forking.set)
        def work():
            with file.transaction():
                file.execute("INSERT INTO number VALUES (1)")
                begun.set()
                forking.wait()
                time.sleep(0.2)  # a fork that does not wait comes now
        async def main():
            file.submit(work)
            begun.wait()
        async def child():
            async with numbers_file("numbers") as own:
                await own.run(own.write, "INSERT INTO number VALUES (2)")
                return await own.read("SELECT value FROM number")
        file = numbers_file("numbers")
        asyncio.run(file.open())
        asyncio.run(main())
        in_child(lambda: asyncio.run(child()))
        print(asyncio.run(file.read("SELECT value FROM number")))
        asyncio.run(file.close())
        """,
    )
    assert printed == ["[(1,), (2,)]", "[(1,), (2,)]"]


def test_a_fork_does_not_wait_for_what_has_not_begun(tmp_path, emulator):
    """Such as the next pieces of a sync with a ledger: one comes after the other."""
    printed = run(
        emulator,
        tmp_path,
        """
        import threading

        files = [numbers_file(name) for name in ("one", "two", "three")]
        at_work, pieces, before = threading.Event(), [], []
        def work(file):
            pieces.append(file)
            at_work.set()
            file.execute("SELECT value FROM number")
        os.register_at_fork(before=lambda: before.append(len(pieces)))
        async def main():
            for file in files:
                await file.open()
            submitted = [file.submit(work, file) for _ in range(3_000) for file in files]
            at_work.wait()
            in_child(lambda: len(pieces) - before[0] < 20)
            await asyncio.gather(*submitted)
            print(len(pieces))
            for file in files:
                await file.close()
        asyncio.run(main())
        """,
    )
    assert printed == ["True", "9000"]


def test_a_fork_that_was_never_counted_holds_up_nobody():
    barrier = ForkBarrier()
    barrier.after_fork_in_parent()  # a signal's handler has raised before
    with barrier:
        pass


@pytest.mark.parametrize("ends", [True, False], ids=["its loop has ended", "its loop runs"])
def test_an_outbox_that_was_open_is_refused_in_the_child_and_closed_there_at_once(tmp_path, emulator, ends):
    printed = run(
        emulator,
        tmp_path,
        f"""
        run = {"asyncio" if ends else "blocking"}.run
        outbox = ConversionOutbox("conversions")
        run(outbox.__aenter__())
        in_child(lambda: run(outbox.stats()))
        in_child(lambda: run(outbox.__aexit__(None, None, None)))
        async def own():
            async with ConversionOutbox("conversions") as another:
                return (await another.stats()).pending
        in_child(lambda: run(own()))
        print(run(outbox.stats()).pending)
        run(outbox.__aexit__(None, None, None))
        """,
    )
    refused = (
        "ConversionOutbox('conversions') was opened before this process was forked; open an outbox in each process: "
        "any number of them share the file"
    )
    assert printed == [refused, "None", "0", "0"]


def test_an_outbox_of_the_childs_own_stays_whole_when_the_parent_closes_its_one(tmp_path, emulator):
    """SQLite takes locks that the parent holds for its child's, too, and the last one to hold any removes the log."""
    printed = run(
        emulator,
        tmp_path,
        """
        from neuroon_async import Conversion, ConversionItem

        def order(number):
            line = ConversionItem(product_id="tea", search_log_id="log", quantity=1, line_total=1)
            return Conversion(order_id=number, order_value=1, currency="EUR", conversions=[line])
        async def child():
            async with ConversionOutbox("conversions") as own:
                await own.enqueue(order("1"))
                os.write(is_open, b"!")
                os.read(other_is_closed, 1)
                print(await own.enqueue(order("2")), flush=True)

        outbox = ConversionOutbox("conversions")
        blocking.run(outbox.__aenter__())
        opened, is_open = os.pipe()
        other_is_closed, closed = os.pipe()
        if os.fork() == 0:
            asyncio.run(child())
            os._exit(0)
        os.read(opened, 1)
        blocking.run(outbox.__aexit__(None, None, None))
        os.write(closed, b"!")
        os.wait()
        async def count():
            async with ConversionOutbox("conversions") as after:
                return (await after.stats()).pending
        print(asyncio.run(count()))
        """,
    )
    assert printed == ["True", "2"]


def test_an_emulator_in_a_thread_is_left_to_the_parent(tmp_path, emulator):
    printed = run(
        emulator,
        tmp_path,
        """
        with Emulator.in_thread() as emulator:
            client = emulator.client()
            blocking.run(client.shop())
            in_child(lambda: emulator.wait_for(lambda: False))
            in_child(lambda: emulator.stop())
            print(blocking.run(client.health()))
            blocking.run(client.aclose())
        """,
    )
    assert printed == [
        "the emulator of shop_test is stopped: nothing can happen in it; start it first",
        "None",
        "True",
    ]
