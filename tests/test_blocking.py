"""`neuroon_async.blocking.run`: one loop for many calls, from any thread, through forks, interruptions and the end."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from neuroon_async import NotFound, RateLimit, UsageError, blocking
from neuroon_async.testing import Emulator, Fault

PROJECT = Path(__file__).parents[1]
STRICT = ("-W", "error", "-W", "ignore:This process:DeprecationWarning")  # the warning of a fork beside threads


@pytest.fixture
def emulator():
    with Emulator.in_thread(algorithm="off") as emulator:
        yield emulator


@pytest.fixture
def client(emulator):
    client = emulator.client()
    yield client
    blocking.run(client.aclose())


def products(count):
    return [{"externalId": f"P-{n}", "name": "Tea", "price": 1, "url": "https://shop.example/t"} for n in range(count)]


def test_one_client_serves_many_calls_and_keeps_its_connection(emulator, client):
    for _ in range(5):
        assert blocking.run(client.shop()).max_products == 1_000_000
    assert blocking.run(client.products.sync(products(3))).accepted == 3
    assert len({request.connection for request in emulator.requests}) == 1


def test_its_limits_hold_over_all_calls_and_threads(emulator):
    client = emulator.client(rate_limits={"shop": RateLimit(3, per=0.1)})
    started = time.monotonic()
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: blocking.run(client.shop()), range(7)))
    assert time.monotonic() - started >= 0.2
    assert client.limits()["shop"].requests == 3
    blocking.run(client.aclose())


def test_what_is_raised_passes_through(client):
    with pytest.raises(NotFound) as caught:
        blocking.run(client.products.delete("nothing"))
    assert caught.value.report is None


def test_within_a_loop_it_refuses_and_says_what_to_do(client):
    async def view(call):
        return blocking.run(call())

    for call in (client.shop, lambda: asyncio.ensure_future(asyncio.sleep(0))):
        with pytest.raises(UsageError, match="would block the event loop that runs in this thread; await"):
            asyncio.run(view(call))
    assert blocking.run(client.shop())


def test_a_timeout_cancels_and_tells_what_was_done(emulator, client):
    emulator.fail("sync_products", Fault.hang(), when=lambda request: request.number == 2)
    started = time.monotonic()
    with pytest.raises(TimeoutError) as caught:
        blocking.run(client.products.sync(products(1_000), concurrency=1), timeout=0.6)
    assert time.monotonic() - started < 5
    report = caught.value.report
    assert (report.received, report.accepted, report.failed) == (1_000, 500, 500)
    assert blocking.run(client.shop())


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_a_call_that_ends_the_program_ends_for_its_caller_and_not_for_the_others(client, kind):
    """asyncio lets these through its loop, which then stops."""

    def leave(failure):
        raise kind("enough")

    with pytest.raises(kind, match="enough") as caught:
        blocking.run(client.products.sync([*products(3), {"externalId": "bad"}], on_failure=leave), timeout=20)
    assert caught.value.report.failed >= 1
    assert blocking.run(client.shop(), timeout=20)


def test_a_timeout_of_the_coroutines_own_is_not_mistaken():
    async def own():
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine") as caught:
        blocking.run(own(), timeout=5)
    assert not hasattr(caught.value, "report")


def test_context_variables_are_seen():
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("seen")

    async def look():
        return variable.get()

    assert blocking.run(look()) == "seen"


def script(emulator, body, *, interrupt=False, **options):
    """Run a program of its own. Gives its exit code, and what it printed."""
    head = "import os, sys, threading, time\nfrom neuroon_async import NeuroonClient, UsageError, blocking\n"
    process = subprocess.Popen(
        [sys.executable, *STRICT, "-c", head + textwrap.dedent(body)],
        env=os.environ | emulator.environment | {"PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
    with process:
        try:
            if interrupt:
                emulator.wait_for(lambda: emulator.requests_to("shop"), timeout=30)
                process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    return process.returncode, out, err


@pytest.mark.slow
def test_the_end_of_the_process_closes_what_is_open_and_says_nothing(emulator):
    code, out, err = script(
        emulator,
        """
        client, other = NeuroonClient.from_env(), NeuroonClient.from_env()
        blocking.run(client.shop()); blocking.run(other.shop())
        async def endless():
            try:
                while True:
                    await __import__("asyncio").sleep(3600)
            finally:
                print("ended", flush=True)
        def other_thread():
            try:
                blocking.run(endless())
            except BaseException as end:
                assert type(end).__name__ == "CancelledError", end
        threading.Thread(target=other_thread, daemon=True).start()
        time.sleep(0.3)
        """,
    )
    assert (code, out, err) == (0, "ended\n", "")


@pytest.mark.slow
def test_an_interruption_cancels_and_is_raised(emulator):
    emulator.fail("shop", Fault.hang(), times=None)
    code, out, err = script(
        emulator,
        """
        import signal
        signal.signal(signal.SIGINT, signal.default_int_handler)
        client = NeuroonClient.from_env()
        try:
            blocking.run(client.shop())
        except KeyboardInterrupt as end:
            print("interrupted", end.report)
        print(blocking.run(client.health()))
        """,
        interrupt=True,
    )
    assert (code, out, err) == (0, "interrupted None\nTrue\n", "")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_forked_workers_have_loops_of_their_own(emulator):
    """As gunicorn with --preload, uWSGI and Celery do: the module is imported first, then the process forks."""
    code, out, err = script(
        emulator,
        """
        client = NeuroonClient.from_env()
        used = NeuroonClient.from_env()
        blocking.run(used.health())  # the parent has a loop, its children do not
        holding = threading.Event()
        def hold():
            with blocking._lock:
                holding.set(); time.sleep(1.0)
        threading.Thread(target=hold, daemon=True).start()
        holding.wait()
        for worker in range(2):
            if os.fork() == 0:
                answer = blocking.run(client.shop(), timeout=20).max_products
                try:
                    blocking.run(used.shop(), timeout=20)
                except UsageError as error:
                    answer = f"{answer} {error}"
                blocking.run(client.aclose())
                print(answer, flush=True)
                os._exit(0)
        for worker in range(2):
            os.wait()
        print(blocking.run(used.health()))
        """,
    )
    refused = "this client belongs to another event loop; create one in each loop (asyncio.run starts a new one)"
    told = f"1000000 {refused}, and in each process after a fork\n"
    assert (code, out, err) == (0, told * 2 + "True\n", "")


def test_a_call_from_a_thread_that_ends_leaves_nothing_behind(emulator, client):
    before = threading.active_count()
    threads = [threading.Thread(target=lambda: blocking.run(client.shop())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert threading.active_count() <= before + 1
