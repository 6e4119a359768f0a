"""An event loop in a thread of its own, for callers that have none or must not block theirs."""

from __future__ import annotations

import asyncio
import threading
from asyncio import wrap_future
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import UsageError

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["LoopThread", "ThreadedLife"]

T = TypeVar("T")
Work = Callable[[], Coroutine[Any, Any, None]]


def _in_event_loop() -> bool:
    """Does an event loop run in this thread now?"""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class LoopThread:
    """Runs an event loop from construction until `close`. A daemon thread: it never keeps the process alive."""

    def __init__(self, name: str) -> None:
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._end: asyncio.Event
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        self._ready.wait()

    @property
    def runs(self) -> bool:
        """In a process that was forked meanwhile it does not: threads stay behind."""
        return self._thread.is_alive()

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run it and block until it has ended. An interrupted wait cancels it."""
        future = self.submit(coroutine)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Cancel what still runs, end the loop and wait for the thread."""
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        self._ready.set()
        await self._end.wait()


class ThreadedLife:
    """Starts and stops something that lives in a `LoopThread`, from blocking code and from coroutines.

    What is done blocks where no event loop runs in the caller's thread; in a coroutine it gives something to await.

    Args:
        name: What it is, for the thread's name and for errors.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: LoopThread | None = None

    def start(self, starting: Work) -> Any:
        """Open the thread and start in it; the thread ends where that fails. Raises `UsageError` if it runs."""
        return self._start_in_caller(starting) if _in_event_loop() else self.start_blocking(starting)

    def stop(self, stopping: Work) -> Any:
        """Stop in the thread, then end it. Does nothing where it does not run."""
        return self._stop_in_caller(stopping) if _in_event_loop() else self.stop_blocking(stopping)

    def run(self, working: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Run a coroutine in the thread. Raises `UsageError` where there is none."""
        thread = self._running
        if thread is None:
            raise UsageError(f"the {self._name} is stopped: nothing can happen in it", advice="start it first")
        return wrap_future(thread.submit(working())) if _in_event_loop() else thread.wait(working())

    def start_blocking(self, starting: Work) -> None:
        thread = self._open()
        try:
            thread.wait(starting())
        except BaseException:
            self._close()
            raise

    async def _start_in_caller(self, starting: Work) -> None:
        thread = self._open()
        try:
            await wrap_future(thread.submit(starting()))
        except BaseException:
            self._close()
            raise

    def stop_blocking(self, stopping: Work) -> None:
        if (thread := self._running) is not None:
            try:
                thread.wait(stopping())
            finally:
                self._close()

    async def _stop_in_caller(self, stopping: Work) -> None:
        if (thread := self._running) is not None:
            try:
                await wrap_future(thread.submit(stopping()))
            finally:
                self._close()

    @property
    def _running(self) -> LoopThread | None:
        return self._thread if self._thread is not None and self._thread.runs else None

    def _open(self) -> LoopThread:
        if self._running is not None:
            raise UsageError(f"the {self._name} is already running")
        self._thread = LoopThread(self._name)
        return self._thread

    def _close(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.close()
