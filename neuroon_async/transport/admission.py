"""When an attempt may begin: a permit of the rate limit and a place among the connections, granted together.

A permit held while its request waits for a connection would be wasted on the others, and would count before the
server counts it; a place held while its call waits for the limit would keep another shop from sending. So neither is
kept where the other is not to be had.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..errors import RateLimited
from ..limits.protocols import takes_deadlines

if TYPE_CHECKING:
    from ..instrumentation import Instrumentation
    from ..limits.protocols import Limiter, Permit
    from .calls import Call
    from .places import Places

__all__ = ["Gate"]

_AT_ONCE = 0.1
"""Seconds that a free place is kept for a call whose permit may be there already: a round trip to a shared limiter."""


class Gate:
    """The gate of one shop's client. ``places`` is shared with the shops that use the same connections.

    ``None`` for either means that it bounds nothing.
    """

    def __init__(self, shop_id: str, limiter: Limiter | None, places: Places | None) -> None:
        self.limiter = limiter
        self._shop_id = shop_id
        self._places = places
        self._told_deadlines = limiter if limiter is not None and takes_deadlines(limiter) else None

    async def admit(self, call: Call, instrumentation: Instrumentation | None) -> Permit | None:
        """Wait for both. The place goes back by `leave`; the permit, where there is a limit, is for the caller to end.

        Raises `RateLimited` with ``local`` set where the wait for the limit is known to outlast the call's deadline.
        """
        places = self._places
        limited = self.limiter is not None and call.endpoint.limit is not None
        if not limited and (places is None or places.take_now()):
            return None
        loop = asyncio.get_running_loop()
        started = loop.time()
        call.stats.waiting += limited
        permit: Permit | None = None
        try:
            if limited:
                permit = await self._both(call)
            elif places is not None:
                await places.take(self._shop_id)
        finally:
            waited = loop.time() - started
            call.limit.waited(waited)
            if limited:
                call.stats.waiting -= 1
                call.stats.waited += waited
                if instrumentation is not None:
                    self._tell(instrumentation, call, waited, permit)
        return permit

    def _tell(self, instrumentation: Instrumentation, call: Call, waited: float, permit: Permit | None) -> None:
        """An instrumentation must not raise. Where it does all the same, nothing stays taken."""
        try:
            instrumentation.waited(call.endpoint, waited)
        except BaseException:
            if permit is not None:
                self.leave()
                permit.unused()
            raise

    def leave(self) -> None:
        """The attempt has ended: its connection is free for the next one."""
        if self._places is not None:
            self._places.give_back()

    async def _both(self, call: Call) -> Permit:
        places = self._places
        if places is None:
            return await self._permit(call, call.limit.deadline)
        crowded = not places.free
        while True:
            if crowded:
                permit = await self._permit_for_place(places, call)
                if permit is not None:
                    return permit
            permit = await self._permit(call, call.limit.deadline)
            if places.take_now():
                return permit
            permit.unused()  # the last place went to another while this call waited for the limit
            crowded = True

    async def _permit_for_place(self, places: Places, call: Call) -> Permit | None:
        """Wait for a place first, and keep it only if the limit lets the call go at once."""
        await places.take(self._shop_id)
        permit = None
        try:
            permit = await self._permit_at_once(call)
        finally:
            if permit is None:
                places.give_back()
        return permit

    async def _permit_at_once(self, call: Call) -> Permit | None:
        moment = asyncio.get_running_loop().time() + _AT_ONCE
        timer = asyncio.timeout_at(moment)
        try:
            async with timer:
                return await self._permit(call, moment)
        except RateLimited as refusal:
            if not refusal.local:
                raise
        except TimeoutError:
            if not timer.expired():  # the limiter's own
                raise
        return None

    async def _permit(self, call: Call, deadline: float | None) -> Permit:
        assert self.limiter is not None  # noqa: S101 - asked only where there is one
        if deadline is not None and self._told_deadlines is not None:
            return await self._told_deadlines.acquire(call.endpoint.name, bulk=call.bulk, deadline=deadline)
        return await self.limiter.acquire(call.endpoint.name, bulk=call.bulk)
