"""The SDK from blocking code: one event loop for the process, in a thread of its own, kept between calls.

A client belongs to the loop that it is first used in. Kept in this one, it keeps its connections and its limits over
any number of calls, from any number of threads.
"""

from __future__ import annotations

import asyncio
import atexit
import inspect
import os
import threading
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .api.arguments import check_seconds, shown
from .errors import UsageError
from .transport.session import close_sessions_of_this_loop

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["run"]

T = TypeVar("T")

_GRACE = 10.0
"""Seconds that what was cancelled has for an orderly end: to close files, and to count what was done."""


def run(coroutine: Coroutine[Any, Any, T], *, timeout: float | None = None) -> T:
    """Run a coroutine in the process's background loop, and block until it has ended. Any thread may call it.

    Made for Django, Flask, Celery and scripts. Make one client per process, and use it in this loop only:

    >>> from neuroon_async import NeuroonClient, blocking
    >>> client = NeuroonClient.from_env()                                       # doctest: +SKIP
    >>> report = blocking.run(client.products.sync(products))                   # doctest: +SKIP

    The loop starts with the first call and ends with the process, which closes the clients that are still open then.
    A forked process gets a loop of its own, and needs a client that was not used before the fork.

    Args:
        coroutine: The call to run, such as ``client.shop()``.
        timeout: Seconds until it is cancelled; ``None``, the default, waits without end.

    Raises:
        UsageError: An event loop runs in this thread already: ``await`` there. Or an argument cannot work.
        TimeoutError: It had not ended after ``timeout``. It was cancelled; ``report`` is what a bulk run had done.
        CancelledError: The process ended meanwhile (that of `concurrent.futures`).
        KeyboardInterrupt: Ctrl-C has cancelled it; ``report`` is as above.

    Whatever the coroutine raises passes through.
    """
    if not inspect.isawaitable(coroutine):
        raise UsageError(f"must be a call such as client.shop(), got {shown(coroutine)}", where="coroutine")
    try:
        check_seconds("timeout", timeout, zero=True, none=True)
        if _runs_here():
            raise UsageError(
                "blocking.run() would block the event loop that runs in this thread", advice="await the call instead"
            )
    except UsageError:
        if inspect.iscoroutine(coroutine):  # it will not be awaited, and Python would say so once more
            coroutine.close()
        raise
    job = _Job(coroutine)
    job.start(_background())
    try:
        return job.future.result(timeout)
    except BaseException as end:
        if not job.future.done():
            job.cancel()
            end.report = getattr(job.cut_short, "report", None)  # type: ignore[attr-defined]
        raise


def _runs_here() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class _Job(Generic[T]):
    """One coroutine in the background loop."""

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine
        self._loop: asyncio.AbstractEventLoop
        self._task: Future[asyncio.Task[T]] = Future()
        self.future: Future[T]
        self.cut_short: asyncio.CancelledError | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.future = asyncio.run_coroutine_threadsafe(self._work(), loop)

    async def _work(self) -> T:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - this is one
        self._task.set_result(task)
        try:
            return await self._coroutine
        except asyncio.CancelledError as cancelled:
            self.cut_short = cancelled
            raise

    def cancel(self) -> None:
        """Cancel it, and wait for its orderly end."""
        self._loop.call_soon_threadsafe(self._task.result().cancel)
        wait([self.future], _GRACE)


class _Background:
    """The loop and its thread. A daemon thread: it never keeps the process alive."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop = asyncio.new_event_loop()
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="neuroon-blocking", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        """A task that raises `SystemExit` stops asyncio's loop, but here it ends only the call that it belongs to."""
        while not self._ending:
            with suppress(KeyboardInterrupt, SystemExit):  # the task keeps it, and whoever waits for that is told
                self.loop.run_forever()

    def end(self) -> None:
        """Cancel what still runs, close what is still open, and let the thread go."""
        with suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(_wind_up(), self.loop).result(_GRACE)
        self._ending = True
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(_GRACE)
        if not self._thread.is_alive():
            self.loop.close()


async def _wind_up() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await close_sessions_of_this_loop()
    await asyncio.get_running_loop().shutdown_asyncgens()


_lock = threading.Lock()
_started: _Background | None = None


def _background() -> asyncio.AbstractEventLoop:
    global _started  # noqa: PLW0603 - there is one for the process
    with _lock:
        if _started is None:
            _started = _Background()
        return _started.loop


def _end() -> None:
    global _started
    with _lock:
        started, _started = _started, None
    if started is not None:
        started.end()


def _forget() -> None:
    """In a forked process: the thread stayed behind, and the lock may have been held by another that did."""
    global _lock, _started  # noqa: PLW0603 - as above
    _lock = threading.Lock()
    _started = None


atexit.register(_end)
if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_forget)
