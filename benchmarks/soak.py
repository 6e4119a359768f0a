"""Clients that come and go, with everything that can go wrong: at the end all is as at the start.

    python [-X dev] benchmarks/soak.py [--requests 200000] [--loop asyncio|eager|uvloop] [--seed 1]

The emulator runs in a process of its own. Waves of calls and bulk syncs meet lost requests and answers, resets, broken
bodies, errors and servers that never answer; some are cancelled, some time out, and some clients are closed below their
calls. Two clients last from beginning to end, one of them with a `MachineLimiter`. After each wave no task and no taken
slot may be left; at the end there are as many descriptors, sockets and threads as after the first third, and, within
the bounds of `MOST_GROWTH`, as many objects of the package and as much memory in use: blocks of Python's, and bytes of
the C library's. The resident size may grow all the same, by what both keep free between what is in use. The longest
stretches that one callback held the event loop are told in processor time, so other work on the machine matters little;
they may be 50 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import gc
import logging
import multiprocessing
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from neuroon_async import (
    Conversion,
    ConversionItem,
    MachineLimiter,
    NeuroonClient,
    NeuroonError,
    Product,
    RateLimit,
    RetryPolicy,
    SQLiteLedger,
)
from neuroon_async.limits.local import LocalLimiter
from neuroon_async.testing import DEFAULT_API_KEY, DEFAULT_SHOP_ID, Emulator, Fault
from neuroon_async.testing.faults import Ending
from neuroon_async.transport.attempt_clock import AttemptClock
from neuroon_async.transport.connector import AnswerProtocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

WARM_UP = 1 / 3
"""Part of the requests before anything is counted: modules are imported, and what has a bound fills up to it, such as
the latest calls that a limiter remembers and the addresses that yarl does."""
CLIENTS = 6
"""Of one wave, side by side: much of each one's time goes by waiting for servers that never answer."""
KEEP_ALIVE = 5.0
"""Seconds after which the server closes an idle connection."""
KEPT_FOR_A_WHILE = (AttemptClock, AnswerProtocol)
"""By the event loop's cancelled timers, and by aiohttp's pool until it looks for closed connections."""
MOST_GROWTH = {
    "kept for a while": 300,
    "objects of the package": 0,
    "blocks in use": 2_000,
    "C bytes in use": 2 * 2**20,
    "resident bytes": 64 * 2**20,
}
"""Python allocates a block for each small object. The last bound is for memory that the two before it do not count."""
TIMEOUT = 2.0
LIMITS = {name: RateLimit(5_000, per=0.2) for name in ("sync_products", "delete_product", "track_conversion", "shop")}


class Longest:
    """The callbacks that held the loop for longest, in seconds of processor time, garbage collection apart.

    A collection falls on whoever makes the next object, and takes the longer the more a program holds. What a
    hypervisor takes away from a running thread counts as that one's time: it comes once, and what blocks the loop comes
    again. So of all callbacks one may hold it for longer than `MOST`.
    """

    MOST = 0.05
    KEPT = 5

    def __init__(self) -> None:
        self.longest: list[tuple[float, str]] = []
        """Seconds and callback, the longest first."""
        self.collection = 0.0
        """The longest collection."""
        self._floor = 0.0
        self._collecting = 0.0
        self._began = 0.0
        self._unwatched: Callable[[asyncio.Handle], None] | None = None

    def _collect(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._began = time.thread_time()
        else:
            seconds = time.thread_time() - self._began
            self._collecting += seconds
            self.collection = max(self.collection, seconds)

    def watch(self) -> None:
        self._unwatched = run = asyncio.Handle._run  # noqa: SLF001 - there is no public hook

        def watched(handle: asyncio.Handle) -> None:
            started = time.thread_time() - self._collecting
            run(handle)
            seconds = time.thread_time() - self._collecting - started
            if seconds > self._floor:
                step = handle._callback  # noqa: SLF001 - likewise; None where it has cancelled itself
                self._note(seconds, repr(getattr(step, "__self__", step))[:300])

        gc.callbacks.append(self._collect)
        asyncio.Handle._run = watched  # noqa: SLF001 - likewise

    def _note(self, seconds: float, callback: str) -> None:
        self.longest = sorted([*self.longest, (seconds, callback)], reverse=True)[: self.KEPT]
        self._floor = self.longest[-1][0] if len(self.longest) == self.KEPT else 0.0

    def stop(self) -> None:
        """What comes now, such as taking stock, is not counted."""
        if self._unwatched is not None:
            asyncio.Handle._run = self._unwatched  # noqa: SLF001 - likewise
            gc.callbacks.remove(self._collect)


def serve(connection: Any) -> None:
    """The emulator, until something is said on the connection."""

    async def run() -> None:
        emulator = Emulator(algorithm="off", keep_bodies=False, keepalive_timeout=KEEP_ALIVE)
        async with emulator:
            faults = [
                Fault.drop(processed=False),
                Fault.drop(processed=True),
                Fault.reset(),
                Fault.truncated(),
                Fault.hang(),
                Fault.status(500),
                Fault.status(503, headers={"Retry-After": "0.01"}),
                Fault.status(429, headers={"Retry-After": "0.01"}),
                Fault.status(401),
                Fault.status(200, body=b"<html>login</html>"),
            ]
            for number, fault in enumerate(faults):
                emulator.fail(None, fault, every=(97 + 26 * number) * (5 if fault.ending is Ending.HANG else 1))
            connection.send(emulator.url)
            while not connection.poll():
                emulator.requests.clear()
                await asyncio.sleep(0.2)

    asyncio.run(run())


class Soak:
    def __init__(self, url: str, folder: Path, seed: int) -> None:
        self._url = url
        self._folder = folder
        self._rng = random.Random(seed)  # noqa: S311 - chance to repeat it by
        self._lasting: list[NeuroonClient] = []
        self.requests = 0
        self.ends: Counter[str] = Counter()

    @contextlib.asynccontextmanager
    async def lasting_clients(self) -> AsyncGenerator[None]:
        """What grows with each request, and goes with its client, is seen in clients that stay."""
        path = self._folder / "limits"
        limiter = MachineLimiter(path, shop_id=DEFAULT_SHOP_ID, rate_limits=LIMITS, latency=2 * TIMEOUT)
        async with limiter, self._new_client() as alone, self._new_client(limiter) as sharing:
            self._lasting = [alone, sharing]
            yield

    async def wave(self) -> None:
        """Some clients from opening to closing, beside the lasting ones. Afterwards nothing of their calls is left."""
        before = asyncio.all_tasks()
        passing = [self._passing_client(place) for place in range(CLIENTS)]
        lasting = [self._lasting_client(place, client) for place, client in enumerate(self._lasting, CLIENTS)]
        clients = await asyncio.gather(*passing, *lasting)
        await asyncio.sleep(0)
        left = asyncio.all_tasks() - before
        assert not left, f"tasks are left: {left}"
        for client in clients:
            waiting = {name: state.waiting for name, state in client.limits().items() if state.waiting}
            assert not waiting, f"calls still wait: {waiting}"
            self._check_slots(client)

    def _new_client(self, limiter: MachineLimiter | None = None) -> NeuroonClient:
        return NeuroonClient(
            shop_id=DEFAULT_SHOP_ID,
            api_key=DEFAULT_API_KEY,
            base_url=self._url,
            limiter=limiter,
            rate_limits=None if limiter else LIMITS,
            retry=RetryPolicy(attempts=3, initial=0.001, maximum=0.01),
            timeout=TIMEOUT,
        )

    async def _passing_client(self, place: int) -> NeuroonClient:
        await asyncio.sleep(0)  # eager tasks would open all clients in one step
        async with self._new_client() as client:
            tasks = await self._begin(client, place)
            if self._rng.random() < 0.2:
                await asyncio.sleep(self._rng.random() * 0.3)
            else:
                await asyncio.gather(*tasks, return_exceptions=True)
        await self._note(tasks)
        return client

    async def _lasting_client(self, place: int, client: NeuroonClient) -> NeuroonClient:
        await self._note(await self._begin(client, place))
        limiter = client._transport.limiter  # noqa: SLF001 - it has no other owner
        if isinstance(limiter, MachineLimiter):
            await limiter.aclose()  # what has ended is told by a task of its own
        return client

    async def _begin(self, client: NeuroonClient, place: int) -> list[asyncio.Task[None]]:
        """Calls of every kind, of which some will be cancelled."""
        tasks = []
        for _ in range(80):
            tasks += [asyncio.create_task(self._call(client)) for _ in range(5)]
            await asyncio.sleep(0)  # in development mode, to make all in one step would take a tenth of a second
        tasks += [asyncio.create_task(self._sync(client, f"{place}-{number}")) for number in range(2)]
        for task in tasks:
            if self._rng.random() < 0.1:
                asyncio.get_running_loop().call_later(self._rng.random() * 0.2, task.cancel)
        return tasks

    def _check_slots(self, client: NeuroonClient) -> None:
        """No slot is in flight any more: each cools, or is free."""
        limiter = client._transport.limiter  # noqa: SLF001 - what is left inside
        if isinstance(limiter, MachineLimiter):
            in_flight = {name: end._own._in_flight for name, end in limiter._endpoints.items()}  # noqa: SLF001 - likewise
            assert not any(in_flight.values()), f"slots are in flight after all calls have ended: {in_flight}"
            return
        assert isinstance(limiter, LocalLimiter)
        for name, endpoint in limiter._endpoints.items():  # noqa: SLF001 - likewise
            in_flight = endpoint._admission.window.in_flight  # noqa: SLF001 - likewise
            assert in_flight == 0, f"{name}: {in_flight} slots are in flight after all calls have ended"

    async def _note(self, tasks: list[asyncio.Task[None]]) -> None:
        """Wait until all have ended, and count how."""
        for end in await asyncio.gather(*tasks, return_exceptions=True):
            assert end is None or isinstance(end, (NeuroonError, TimeoutError, asyncio.CancelledError)), repr(end)
            self.ends["done" if end is None else type(end).__name__] += 1

    async def _call(self, client: NeuroonClient) -> None:
        self.requests += 1
        chance = self._rng.random()
        number = self._rng.randrange(10**6)
        if chance < 0.6:
            lines = [ConversionItem("p", "log", 1, 1)]
            order = Conversion(order_id=str(number), order_value=1, currency="EUR", conversions=lines)
            await client.conversions.track(order)
        elif chance < 0.8:
            await client.products.sync_batch([product(number % 500)])
        elif chance < 0.9:
            await client.products.delete(f"p{number % 500}")
        else:
            async with asyncio.timeout(self._rng.random() * 0.2):
                await client.shop()

    async def _sync(self, client: NeuroonClient, name: str) -> None:
        ledger = SQLiteLedger(self._folder / f"{name}.ledger", request_lifetime=0)
        items = [product(self._rng.randrange(500)) for _ in range(self._rng.randrange(200))]
        report = None
        try:
            report = await client.products.sync(items, batch_size=20, concurrency=4, ledger=ledger)
        except NeuroonError as error:
            report = error.report
            raise
        finally:
            self.requests += 0 if report is None else report.requests


def product(number: int) -> Product:
    return Product(external_id=f"p{number}", name="x", price=Decimal(number), url="https://shop.example/x")


_MALLINFO2 = (
    *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
    *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
)


class _MallInfo(ctypes.Structure):
    """What glibc's ``mallinfo2`` tells."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in _MALLINFO2)


def c_bytes_in_use() -> int:
    """What the C library has given out, from its heaps and by mappings; 0 where it does not tell."""
    mallinfo = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if mallinfo is None:
        return 0
    mallinfo.restype = _MallInfo
    told = mallinfo()
    return told.uordblks + told.hblkhd


async def state_of_process() -> tuple[dict[str, int], Counter[str]]:
    """How much of everything there is, and of the package's objects how many of each kind."""
    await asyncio.sleep(KEEP_ALIVE + 1)  # the idle connections of the lasting clients are closed by then
    gc.collect()
    process = psutil.Process()
    kinds = Counter(type(each) for each in gc.get_objects())
    ours = Counter({kind: count for kind, count in kinds.items() if str(kind.__module__).startswith("neuroon_async")})
    kept = sum(ours.pop(kind, 0) for kind in KEPT_FOR_A_WHILE)
    numbers = {
        "descriptors": process.num_fds(),
        "sockets": len(process.net_connections()),
        "threads": threading.active_count(),
        "objects of the package": ours.total(),
        "kept for a while": kept,
        "blocks in use": sys.getallocatedblocks(),
        "C bytes in use": c_bytes_in_use(),
        "resident bytes": process.memory_info().rss,
    }
    return numbers, Counter({kind.__qualname__: count for kind, count in ours.items()})


async def soak(url: str, requests: int, at_most: float, seed: int) -> None:
    loop = asyncio.get_running_loop()
    complaints: list[str] = []
    loop.set_exception_handler(lambda _, context: complaints.append(str(context)[:500]))
    with tempfile.TemporaryDirectory() as folder:
        running = Soak(url, Path(folder), seed)
        async with running.lasting_clients():
            began = time.monotonic()
            while running.requests < requests * WARM_UP and time.monotonic() - began < at_most * WARM_UP:
                await running.wave()
            start, kinds = await state_of_process()
            longest = Longest()
            if type(loop).__module__.startswith("asyncio"):
                longest.watch()
            while running.requests < requests and time.monotonic() - began < at_most:
                await running.wave()
            longest.stop()
            (end, kinds_at_end), seconds = await state_of_process(), time.monotonic() - began
    print(f"{running.requests:,} requests in {seconds:.0f} s; {dict(running.ends.most_common())}")
    print(", ".join(f"{name} {start[name]:,} -> {end[name]:,}" for name in start))
    if longest.longest:
        print("longest callbacks, in processor time:")
        for held, callback in longest.longest:
            print(f"  {held * 1000:.1f} ms: {callback}")
        print(f"longest garbage collection, beside that: {longest.collection * 1000:.1f} ms")
        assert longest.longest[1][0] < Longest.MOST, "something has held the event loop for too long, more than once"
    assert not complaints, complaints
    grown = {name for name in start if end[name] > start[name] + MOST_GROWTH.get(name, 0)}
    assert not grown, f"there are more {grown} than at the start; of objects {dict(kinds_at_end - kinds)}"


def new_loop(kind: str) -> asyncio.AbstractEventLoop:
    if kind == "uvloop":
        import uvloop  # noqa: PLC0415 - only where it is asked for

        return uvloop.new_event_loop()
    loop = asyncio.new_event_loop()
    if kind == "eager":
        loop.set_task_factory(asyncio.eager_task_factory)  # Python 3.12 and newer
    return loop


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after this long")
    parser.add_argument("--loop", choices=["asyncio", "eager", "uvloop"], default="asyncio")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    try:
        url = ours.recv()
        mode = f"{options.loop}{', development mode' if sys.flags.dev_mode else ''}"
        print(f"Python {sys.version.split()[0]}, {mode}, process {os.getpid()}", flush=True)
        with asyncio.Runner(loop_factory=partial(new_loop, options.loop)) as runner:
            runner.run(soak(url, options.requests, options.seconds, options.seed))
    finally:
        with contextlib.suppress(OSError):
            ours.send("end")
        server.join(5)


if __name__ == "__main__":
    main()
