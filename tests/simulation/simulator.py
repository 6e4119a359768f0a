"""One run of a scenario in a deterministic simulator: the order of events, the time and the network come from a seed.

The only file that knows detangle, the simulator underneath. It seals what detangle leaves open, so that one seed means
one run in every process: the clocks and random bytes that others read, the iteration order of sets of tasks, work
given to a thread, and the death of a process at any moment.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import itertools
import os
import random
import time
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

from detangle import NetConfig, SimConfig, spawn
from detangle._context import current_host
from detangle._loop import Lane, SimLoop
from detangle._runner import Failure, execute
from detangle.strategies import PCT, RandomWalk, Strategy

__all__ = ["Outcome", "Scenario", "Simulation", "run_scenario"]

T = TypeVar("T")

_STEP_COST = 2e-6
"""Virtual seconds that each step takes: no two events share a moment, as on a real machine."""
_MAX_STEPS = 1_000_000
_MAX_TIME = 400_000.0
_EPOCH = 1_750_000_000.0
_LINKS = (
    NetConfig(latency=(0.0, 0.0), fragment=0.0),
    NetConfig(latency=(0.0005, 0.005), fragment=0.02),
    NetConfig(latency=(0.01, 0.2), fragment=0.1),
    NetConfig(latency=(0.0, 3.0), latency_steps=16, fragment=0.2, max_fragments=5),
)
_LATE_TIMERS = (0.0, 0.0, 0.002, 0.2)
"""Seconds by which a busy loop may fire timers late."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. ``fingerprint`` is equal for equal runs: every decision, the order of steps, the time."""

    problem: str | None
    details: str
    fingerprint: str
    order: int
    steps: int
    virtual_time: float


class Simulation:
    """What a scenario may ask of its simulator."""

    def __init__(self, seed: int, folder: Path, loop: SimLoop) -> None:
        self.seed = seed
        self.random = random.Random(f"scenario {seed}")
        """For a scenario's own choices, in whatever order events make it ask."""
        self.folder = folder
        self.clock_skew = 0.0
        """How far the wall clock has jumped, in seconds."""
        self._loop = loop
        self._alarms: list[tuple[Callable[[], bool], Callable[[], object]]] = []
        self._watching = False
        self._dead: set[str] = set()
        self._parked: list[tuple[Lane, asyncio.Handle]] = []
        self._orphaned: list[Any] = []
        """Ends of connections whose process died without hearing of their loss."""
        self._put = loop._enqueue_lane
        loop._enqueue_lane = self._enqueue_unless_dead  # type: ignore[method-assign]

    # Time

    def time(self) -> float:
        return self._loop.time()

    def wall_clock(self) -> float:
        return _EPOCH + self._loop.time() + self.clock_skew

    @property
    def steps(self) -> int:
        return self._loop.steps

    def after_steps(self, count: int, action: Callable[[], object]) -> None:
        """Call ``action`` between two steps of whatever tasks, ``count`` steps from now: at any await."""
        step = self._loop.steps + count
        self.when(lambda: self._loop.steps >= step, action)

    def when(self, condition: Callable[[], bool], action: Callable[[], object]) -> None:
        """Call ``action`` once, right after the step that makes the condition true."""
        self._alarms.append((condition, action))
        if not self._watching:
            self._watching = True
            self._loop.add_invariant(self._ring, "alarms")

    def _ring(self) -> bool:
        due = [alarm for alarm in self._alarms if alarm[0]()]
        for alarm in due:
            self._alarms.remove(alarm)
            alarm[1]()
        return True

    # Processes, one a host

    def spawn(self, work: Coroutine[Any, Any, T], host: str) -> asyncio.Task[T]:
        return spawn(work, host=host)

    def unfinished(self, host: str) -> list[str]:
        """The tasks on this host that have not come to an end."""
        loop = self._loop
        return [loop.label(task) for task, info in loop.task_info.items() if info.host == host and not task.done()]

    def kill(self, host: str) -> None:
        """The process on this host dies as by SIGKILL: not one more step of its tasks, timers and threads."""
        self._dead.add(host)
        loop = self._loop
        for lane in (loop._callback_lane, *loop._active.values()):
            kept = [entry for entry in lane.queue if not self._is_dead(entry[1])]
            self._parked += [(lane, handle) for _, handle in lane.queue if self._is_dead(handle)]
            lane.queue.clear()
            lane.queue.extend(kept)
        net = loop.net
        sides = [side for connection in net._connections for side in connection.sides()]
        self._orphaned += [side for side in sides if side.host == host and not side._closed]
        net._hosts[host] = []  # its tasks are not cancelled: that would be an orderly end
        net.crash(host)

    def _is_dead(self, handle: asyncio.Handle) -> bool:
        return bool(self._dead) and handle._context.get(current_host) in self._dead

    def _enqueue_unless_dead(self, lane: Lane, handle: asyncio.Handle) -> None:
        if self._is_dead(handle):
            self._parked.append((lane, handle))
        else:
            self._put(lane, handle)

    async def bury(self) -> None:
        """When nothing is looked at any more: let the dead end, so that none of them disturbs the next run."""
        self._dead.clear()
        parked, self._parked = self._parked, []
        for lane, handle in parked:
            self._put(lane, handle)
        for side in self._orphaned:
            if side._protocol is not None:
                side._protocol.connection_lost(None)
        others = [task for task in self._loop.tasks if not task.done() and task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others, timeout=60.0)

    # Network

    def reset_connections(self, chance: float) -> int:
        """Reset each open connection with this probability, with all that is under way in it."""
        hit = 0
        for connection in self._loop.net._connections:
            if not connection.closed() and self.random.random() < chance:
                connection.reset(ConnectionResetError(104, "Connection reset by peer"))
                hit += 1
        return hit

    def cut(self, one: str, other: str) -> None:
        """Nothing passes between two hosts until `join`; what is sent meanwhile arrives late or is given up."""
        self._loop.net.disconnect(one, other)

    def join(self, one: str, other: str) -> None:
        self._loop.net.reconnect(one, other)


Scenario = Callable[[Simulation], Awaitable[None]]


def run_scenario(scenario: Scenario, seed: int, folder: Path) -> Outcome:
    """Run it once. The same seed gives the same run, in any process that has the same ``PYTHONHASHSEED``."""
    choice = random.Random(f"simulator {seed}")
    config = SimConfig(
        net=choice.choice(_LINKS),
        timer_jitter=choice.choice(_LATE_TIMERS),
        step_cost=_STEP_COST,
        max_steps=_MAX_STEPS,
        max_time=_MAX_TIME,
    )
    made: list[SimLoop] = []
    collecting = gc.isenabled()
    gc.disable()  # finalizers would run whenever the collector happens to come by
    try:
        with _sealed(made, seed):
            result = execute(
                lambda: _main(scenario, seed, folder, made[0]),
                config=config,
                strategy=_strategy(seed, choice),
                setup=lambda loop: _prepare(loop, made),
            )
    finally:
        if collecting:
            gc.enable()
    failure = next((one for one in (result.failure, *result.secondary) if one and not _is_aiohttps(one)), None)
    marks = (result.values, result.order_hash, result.steps, result.virtual_time, failure is None)
    return Outcome(
        problem=None if failure is None else f"{failure.kind}: {failure.headline()}",
        details="" if failure is None else _details(failure),
        fingerprint=hashlib.sha256(repr(marks).encode()).hexdigest()[:16],
        order=result.order_hash,
        steps=result.steps,
        virtual_time=result.virtual_time,
    )


async def _main(scenario: Scenario, seed: int, folder: Path, loop: SimLoop) -> None:
    simulation = Simulation(seed, folder, loop)
    try:
        await scenario(simulation)
    finally:
        await simulation.bury()


def _is_aiohttps(failure: Failure) -> bool:
    """aiohttp's server may trip over a connection that is lost in the very moment of its next request.

    That is the server's end, which is the simulation's stage: its task ends, as it should.
    """
    frames = traceback.extract_tb(failure.exception.__traceback__ if failure.exception else None)
    return failure.kind == "unobserved-exception" and all("aiohttp/web_" in frame.filename for frame in frames)


def _details(failure: Failure) -> str:
    if failure.exception is None:
        return failure.message
    return "".join(traceback.format_exception(failure.exception))


# Which of the ready tasks goes on


class _Natural(RandomWalk):
    """asyncio's own order; only network, timers and faults differ."""

    def schedule(self, lanes: Sequence[Any]) -> int:
        return 0


class _Hesitant(RandomWalk):
    """asyncio's own order, but now and then something takes longer."""

    def schedule(self, lanes: Sequence[Any]) -> int:
        return self._rng.randrange(len(lanes)) if self._rng.random() < 0.05 else 0


def _strategy(seed: int, choice: random.Random) -> Strategy:
    strategies: tuple[Callable[[], Strategy], ...] = (
        lambda: _Natural(seed),
        lambda: _Hesitant(seed),
        lambda: RandomWalk(seed),
        lambda: PCT(seed, depth=2, horizon=4_000),
        lambda: PCT(seed, depth=12, horizon=4_000),
    )
    strategy = choice.choice(strategies)()
    strategy.start(0)
    return strategy


# What detangle leaves to chance


class _NumberedTask(asyncio.Task[Any]):
    """A task that hashes by its number: sets of tasks then iterate in the same order in every process."""

    counter: Iterator[int] = itertools.count()

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._number = next(self.counter)
        super().__init__(*arguments, **options)

    def __hash__(self) -> int:
        return self._number


def _prepare(loop: SimLoop, made: list[SimLoop]) -> None:
    made.append(loop)
    _NumberedTask.counter = itertools.count()
    loop.set_task_factory(lambda its_loop, work, **options: _NumberedTask(work, loop=its_loop, **options))
    threads: dict[ThreadPoolExecutor | None, Lane] = {}

    def run_in_executor(executor: Any, work: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
        return _run_in_thread(loop, threads, executor, work, arguments)

    loop.run_in_executor = run_in_executor  # type: ignore[method-assign]


def _run_in_thread(
    loop: SimLoop,
    threads: dict[ThreadPoolExecutor | None, Lane],
    executor: ThreadPoolExecutor | None,
    work: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> asyncio.Future[Any]:
    """As a pool of one thread does it: in order, out of reach of a cancellation once begun, the result later.

    detangle would let two pieces of work for the same thread change places.
    """
    if executor is not None and executor._shutdown:
        raise RuntimeError("cannot schedule new futures after shutdown")
    lane = threads.get(executor)
    if lane is None or executor is None:
        lane = threads[executor] = Lane(loop._new_lane_id(), None, "thread", "thread")
    future = loop.create_future()
    begun = False

    def begin() -> None:
        nonlocal begun
        begun = not future.cancelled()

    def carry_out() -> None:
        if not begun:
            return
        try:
            result = work(*arguments)
        except BaseException as error:  # noqa: BLE001 - passed on, as a thread would
            loop.call_soon(_settle, future, None, error)
        else:
            loop.call_soon(_settle, future, result, None)

    for part in (begin, carry_out):
        loop._enqueue_lane(lane, asyncio.Handle(part, (), loop, None))
    return future


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.cancelled():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)


@contextmanager
def _sealed(made: list[SimLoop], seed: int) -> Iterator[None]:
    """Clocks tell virtual time, random bytes come from the seed, and `time.sleep` only moves the clock."""
    source = random.Random(f"bytes {seed}")

    def monotonic() -> float:
        return made[0].time()

    def sleep(seconds: float) -> None:
        made[0]._now += seconds

    with ExitStack() as stack:
        for module, name, replacement in (
            (time, "time", lambda: _EPOCH + monotonic()),
            (time, "monotonic", monotonic),
            (time, "perf_counter", monotonic),
            (time, "sleep", sleep),
            (os, "urandom", source.randbytes),
        ):
            stack.enter_context(mock.patch.object(module, name, replacement))
        stack.enter_context(mock.patch("aiohttp.connector.monotonic", monotonic))
        yield
