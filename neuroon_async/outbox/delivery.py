"""Delivering what an outbox holds: workers that lease what is due, send it, and record the outcome.

It knows when to try and what a failure means. Where the conversions are kept is the store's business; how one is sent,
and how fast, the client's.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from uuid import uuid4

from ..api.contract import LONGEST_WINDOW, TRACK_CONVERSION
from ..cancellation import finish
from ..errors import (
    APIError,
    InvalidConversion,
    NeuroonError,
    RateLimited,
    ResponseDecodeError,
    ServerError,
    TransportError,
)
from ..transport.retries import RetryPolicy
from .bodies import UnreadableBody, conversion_of
from .leases import Leases
from .pauses import Pauses
from .settling import Settling
from .store import OutboxUnavailable

if TYPE_CHECKING:
    from collections.abc import Generator

    from ..api.models import Conversion
    from ..client import NeuroonClient
    from .store import LeasedConversion, OutboxStore

__all__ = ["DeliveryLoop"]

_log = logging.getLogger("neuroon_async.outbox")

REFUSALS_OF_THE_BODY = frozenset({400, 409, 413, 422})
"""Statuses about this one conversion. Any other refusal (401, 403, 404 …) is about the key or the address: every
conversion would meet it, so delivery pauses and loses none."""
TOO_LARGE = 413
"""Whoever says this of a body means it: a proxy has bounds of its own."""
LONGEST_GIVING_WAY = 0.01
"""Seconds that a worker waits for orders that are being stored, before it sends the next one."""
ATTEMPT_SHARE = 2 / 3
"""The part of a lease that one attempt may take, the wait for the rate limit included."""


class DeliveryLoop:
    """Workers that send what is due.

    ``backoff``: how failed attempts are repeated. ``lease``, ``poll_interval``: seconds. ``concurrency``: workers.
    """

    def __init__(
        self,
        store: OutboxStore,
        client: NeuroonClient,
        *,
        backoff: RetryPolicy,
        lease: float,
        poll_interval: float,
        concurrency: int,
    ) -> None:
        self.worker: str = uuid4().hex
        """Who holds the leases: one name for all workers of this loop."""
        self.wake: asyncio.Event = asyncio.Event()
        """Set where something has become due."""
        self._store = store
        # Attempts are repeated here, where they are recorded, and each ends well within its lease.
        self._client = client.with_options(retry=RetryPolicy(attempts=1, deadline=lease * ATTEMPT_SHARE))
        self._backoff = backoff
        self._poll_interval = poll_interval
        self._concurrency = concurrency
        self._draining = asyncio.Event()
        self._drain_deadline = 0.0
        self._pauses = Pauses(backoff)
        self._probing = False
        """Is one conversion finding out whether the key is accepted again?"""
        self._store_problem = ""
        """What the store was last said to fail by, while it does."""
        self._enqueueing = 0
        """How many callers wait for their order to be stored."""
        self._nobody_waits = asyncio.Event()
        self._nobody_waits.set()
        self._settling = Settling(store)
        self._leases = Leases(
            store,
            self.worker,
            seconds=lease,
            # A time further ahead than any lease or backoff was stored before the clock was set back.
            furthest=2 * max(lease, backoff.maximum, LONGEST_WINDOW),
            begin_within=lease * (1 - ATTEMPT_SHARE),
            smallest=2 * concurrency,
        )

    async def run(self) -> None:
        """Deliver until cancelled, or until `drain` has let it end. Raises what makes further delivery impossible."""
        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(self._concurrency):
                    workers.create_task(self._work())
        except ExceptionGroup as group:
            raise group.exceptions[0] from None  # what stops one worker stops them all
        finally:
            await finish(self._settle_rest())

    @contextmanager
    def giving_way(self) -> Generator[None]:
        """Within it an order is being stored, and nothing more is sent for a moment.

        The thread that stores it needs the interpreter, which a busy event loop lets go of only every 5 ms.
        """
        self._enqueueing += 1
        self._nobody_waits.clear()
        try:
            yield
        finally:
            self._enqueueing -= 1
            if not self._enqueueing:
                self._nobody_waits.set()

    def drain(self, seconds: float) -> None:
        """Let the workers end once nothing is left that can be tried within this time."""
        self._drain_deadline = asyncio.get_running_loop().time() + seconds
        self._draining.set()
        self.wake.set()

    async def _settle_rest(self) -> None:
        try:
            await self._settling.end()
        except OutboxUnavailable as error:
            _log.error("%s; what was delivered last will be sent once more", error)

    async def _work(self) -> None:
        while True:
            self.wake.clear()
            try:
                rest = await self._step()
            except Exception as error:
                if isinstance(error, NeuroonError):  # such as that of a closed client
                    raise
                # Of a log handler or an instrumentation of the user's: no order shall wait for it for ever.
                self._pauses.after_failure(error)
                _tell_the_loop(error)
                rest = self._pauses.left()
            if rest is None:
                continue
            if self._draining.is_set() and (self._pauses.refused or self._ends_after_drain(rest)):
                return
            await self._rest(rest)

    async def _step(self) -> float | None:
        """Deliver one, or give the seconds for which there is nothing to do."""
        try:
            return None if await self._deliver_next() else await self._idle_for()
        except OutboxUnavailable as error:
            self._pauses.after_failure(error)
            self._store_fails(f"{error}")
            return self._pauses.left()

    async def _deliver_next(self) -> bool:
        if self._pauses.left() > 0 or self._probing:
            return False
        self._settling.go_on()
        if self._enqueueing:
            await self._give_way()
        if not self._pauses.refused:
            return await self._lease_and_deliver()
        self._probing = True
        try:
            return await self._lease_and_deliver()
        finally:
            self._probing = False

    async def _give_way(self) -> None:
        try:
            async with asyncio.timeout(LONGEST_GIVING_WAY):
                await self._nobody_waits.wait()
        except TimeoutError:
            pass  # orders come one after another: both go on in turns

    async def _lease_and_deliver(self) -> bool:
        leased = await self._leases.next(only_one=self._probing)
        if leased is not None:
            await self._deliver(leased)
        self._store_works()
        return leased is not None

    async def _idle_for(self) -> float:
        """Seconds until another look is worth it; infinite at the end, when nothing is left to send."""
        pause = self._pauses.left()
        if not self._draining.is_set():
            return pause or self._poll_interval
        return max(pause, await self._store.next_due())

    async def _rest(self, seconds: float) -> None:
        if self._draining.is_set():
            await asyncio.sleep(seconds)
            return
        bell = self._draining if self._pauses.left() > 0 else self.wake
        try:
            async with asyncio.timeout(seconds):
                await bell.wait()
        except TimeoutError:
            pass  # that long a rest was asked for

    async def _deliver(self, leased: LeasedConversion) -> None:
        try:
            await self._client.conversions.track(_stored(leased))
        except (InvalidConversion, UnreadableBody) as error:  # stricter rules than when it was stored, or damage
            await self._mark_dead(leased, error)
        except (RateLimited, ServerError, TransportError, ResponseDecodeError) as error:
            await self._lost(leased, error)
        except APIError as error:
            if self._backoff.should_retry(TRACK_CONVERSION, error):  # a 408 is as good as lost
                await self._lost(leased, error)
            elif error.status in REFUSALS_OF_THE_BODY and (error.documented or error.status == TOO_LARGE):
                self._got_through()
                await self._mark_dead(leased, error)
            else:
                self._refused(error)
                if error.documented:
                    await self._store.release(self.worker, leased.order_id)
                else:  # a firewall's word, perhaps, about this one: the others go first
                    await self._reschedule(leased, error)
                await self._leases.give_back()
        else:
            self._got_through()
            await self._settling.delivered(leased.order_id)

    async def _lost(self, leased: LeasedConversion, error: NeuroonError) -> None:
        """No answer, or none that says what became of it: try again."""
        self._pauses.after_failure(error)
        await self._reschedule(leased, error)
        await self._leases.give_back()

    async def _reschedule(self, leased: LeasedConversion, error: NeuroonError) -> None:
        wait = self._backoff.wait(leased.attempts + 1, error)
        await self._store.reschedule(leased.order_id, self.worker, wait)
        _log.info("conversion of order %r: attempt failed, next one in %.1f s: %s", leased.order_id, wait, error)

    async def _mark_dead(self, leased: LeasedConversion, error: Exception) -> None:
        await self._store.mark_dead(leased.order_id, str(error))
        _log.error("conversion of order %r is now a dead letter: %s", leased.order_id, error)

    def _ends_after_drain(self, seconds: float) -> bool:
        return asyncio.get_running_loop().time() + seconds >= self._drain_deadline

    def _got_through(self) -> None:
        if self._pauses.got_through():
            self.wake.set()
            _log.info("the server accepts conversions again")

    def _refused(self, error: APIError) -> None:
        if self._pauses.after_refusal():
            _log.error("delivery of conversions pauses until the server accepts this client again: %s", error)

    def _store_fails(self, problem: str) -> None:
        """Said once: every worker meets it, again and again."""
        if problem != self._store_problem:
            self._store_problem = problem
            _log.error("%s; delivery of conversions waits", problem)

    def _store_works(self) -> None:
        """It was asked for what is due. What was delivered may still wait to be noted, beside the next requests."""
        if self._store_problem and not self._settling.failing:
            self._store_problem = ""
            _log.info("the outbox answers again; delivery of conversions goes on")


def _tell_the_loop(error: Exception) -> None:
    """As asyncio tells what nobody awaits: the handlers of this log may be what has raised it."""
    context = {"message": "delivery of conversions goes on after an error that is not its own", "exception": error}
    with suppress(Exception):
        asyncio.get_running_loop().call_exception_handler(context)


def _stored(leased: LeasedConversion) -> Conversion:
    """Raises `UnreadableBody`, also for another order's: this one would then count as delivered, and never be sent."""
    conversion = conversion_of(leased.body)
    if conversion.order_id != leased.order_id:
        raise UnreadableBody(f"the stored conversion is damaged: it is of order {conversion.order_id!r}")
    return conversion
