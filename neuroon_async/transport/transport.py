"""The one road: every request of the SDK takes it.

    endpoint, parameters, body ─► retries ─► admission ─► one exchange ─► body bytes or a typed error

The body is encoded by the caller, once, and reused by every attempt. Only this module ends the permits of the limiter.
"""

from __future__ import annotations

import asyncio
from copy import copy
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from yarl import URL

from ..api.arguments import check_seconds
from ..api.contract import LONGEST_WINDOW
from ..api.responses import Response, decode_response
from ..api.results import Answer
from ..api.shapes import implements
from ..errors import (
    APIError,
    ClientClosed,
    NeuroonError,
    RateLimited,
    RequestTimeout,
    ResponseDecodeError,
    TransportError,
)
from ..instrumentation import Attempt, Operation, OperationInstrumentation
from ..instrumentation.log_lines import LOGGER, log_request, requests_are_logged
from .admission import Gate
from .calls import Call, CallStats, may_be_processed
from .open_calls import OpenCalls
from .retries import RetryPolicy, backoff_of, checked_retry, may_retry, retry
from .time_limit import TimeLimit

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from ..api.contract import Endpoint
    from ..instrumentation import Instrumentation
    from ..limits.protocols import Limiter, Permit
    from ..report import SyncReport
    from ..settings import Settings
    from .exchange import Exchange, ExchangeResult
    from .places import Places

__all__ = ["Transport"]

A = TypeVar("A", bound=Answer)
_LONGEST_EXCERPT = 200


class Transport:
    """Sends calls of one shop. Cheap to copy with other options; copies share the exchange and the limiter."""

    def __init__(
        self,
        settings: Settings,
        exchange: Exchange,
        limiter: Limiter | None,
        retry: RetryPolicy,
        timeout: float,
        *,
        places: Places | None = None,
        instrumentation: Instrumentation | None = None,
    ) -> None:
        self.settings = settings
        self.exchange = exchange
        self.retry: RetryPolicy = checked_retry(retry)
        self.timeout: float = _checked_timeout(timeout)
        self.instrumentation = instrumentation
        self._operations = instrumentation if implements(instrumentation, OperationInstrumentation) else None
        self.open_calls: OpenCalls = OpenCalls()
        """What closing the client ends; copies share it."""
        self._gate = Gate(settings.shop_id, limiter, places)
        self.bulk_limit: TimeLimit | None = None
        """The bound of a bulk run, for the copy that such a run uses."""

    @property
    def limiter(self) -> Limiter | None:
        """What every attempt asks first; ``None`` where nothing is limited."""
        return self._gate.limiter

    def with_options(self, *, retry: RetryPolicy | None = None, timeout: float | None = None) -> Transport:
        """A copy with another retry policy or timeout (seconds for one attempt)."""
        other = copy(self)
        if retry is not None:
            other.retry = checked_retry(retry)
        if timeout is not None:
            other.timeout = _checked_timeout(timeout)
        return other

    def for_bulk_run(self) -> Transport:
        """A copy for one bulk run, which begins now: its calls have no bound but the run's, if that has one."""
        if self.bulk_limit is not None:  # of a run within a run, the outer one's bound counts
            return self
        other = copy(self)
        seconds = self.retry.bulk_deadline
        if seconds is None:
            other.bulk_limit = TimeLimit()
        else:
            other.bulk_limit = TimeLimit(asyncio.get_running_loop().time() + seconds, seconds)
        return other

    def ready(self) -> None:
        """Raise the error that every call would raise: the client is closed, or belongs to another event loop."""
        self.exchange.ready()

    async def call(
        self,
        endpoint: Endpoint,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        idempotency_key: str | None = None,
        bulk: bool = False,
        stats: CallStats | None = None,
        timeout: float | None = None,
        guard: Callable[[], NeuroonError | None] | None = None,
    ) -> Response:
        """Send one request, again where that is safe and can help. Raises `APIError` or `TransportError`.

        ``guard`` is asked right before each attempt leaves; what it returns is raised, and nothing more is sent.

        Raises `ClientClosed` where the client is, or is closed meanwhile.
        """
        self.ready()  # an unusable client fails before it waits for anything
        seconds = self.timeout if timeout is None else _checked_timeout(timeout)
        call = Call(
            endpoint=endpoint,
            url=URL(self.settings.base_url + endpoint.path_for(**(params or {})), encoded=True),
            body=body,
            idempotency_key=idempotency_key,
            bulk=bulk,
            timeout=seconds,
            limit=self.bulk_limit or TimeLimit.of_single_call(self.retry.deadline, seconds),
            stats=stats or CallStats(),
            guard=guard,
        )
        if self._operations is None:
            outcome = await self._outcome(call)
        else:
            operation = Operation(endpoint.name, self.settings.shop_id, bulk_run=False)
            with self._operations.operation(operation):
                operation.outcome = outcome = await self._outcome(call)
                operation.attempts = call.attempts
        if isinstance(outcome, Response):
            return outcome
        outcome.shop_id = self.settings.shop_id
        # Raised here, outside of any except block and above all attempts: no frame and no context of theirs is on it.
        raise outcome.with_traceback(None)

    async def run_in_bulk(self, name: str, run: Coroutine[Any, Any, SyncReport]) -> SyncReport:
        """The report of a bulk run. Closing the client ends it: `ClientClosed` then carries the report."""
        try:
            if self._operations is None:
                return await self._until_closed(run)
            operation = Operation(name, self.settings.shop_id, bulk_run=True)
            with self._operations.operation(operation):
                try:
                    operation.outcome = report = await self._until_closed(run)
                except NeuroonError as error:
                    operation.outcome = error
                    raise
            return report
        finally:
            run.close()  # where it has not begun, nobody will await it

    async def _until_closed(self, run: Coroutine[Any, Any, SyncReport]) -> SyncReport:
        self.ready()
        with self.open_calls.scope() as scope:
            return await run
        report: SyncReport | None = getattr(scope.interruption, "report", None)
        sent = report is None or report.requests > 0
        closed = ClientClosed("this client was closed during a bulk run", maybe_processed=sent)
        closed.report = report
        closed.shop_id = self.settings.shop_id
        raise closed

    def decode(self, answer: Response, kind: type[A]) -> A:
        """The struct that an answer documents. Raises `ResponseDecodeError` where it holds something else."""
        try:
            return decode_response(answer.body, kind, redact=self.settings.api_key.redact)
        except msgspec.MsgspecError as error:
            problem = self.redact(f"{error}")
        unreadable = ResponseDecodeError(
            f"the server answered {answer.status}, but not with a {kind.__name__}: {problem}; "
            f"it begins {self._excerpt(answer.body)!r}",
            status=answer.status,
            request_id=answer.request_id,
        )
        unreadable.shop_id = self.settings.shop_id
        raise unreadable

    def redact(self, text: str) -> str:
        """Text of the server's, as it may be shown."""
        return self.settings.api_key.redact(text)

    def _excerpt(self, body: bytes) -> str:
        """The beginning of an answer, redacted before it is cut: half a key would not be recognised."""
        beginning = body[: _LONGEST_EXCERPT * 30].decode("utf-8", "replace")
        return self.redact(beginning)[:_LONGEST_EXCERPT]

    async def _outcome(self, call: Call) -> Response | NeuroonError:
        """The call until it has ended, or the client is closed."""
        with self.open_calls.scope():
            return await self._within_deadline(call)
        return ClientClosed(
            f"this client was closed while {call.endpoint.name} was under way", maybe_processed=call.maybe_processed
        )

    async def _within_deadline(self, call: Call) -> Response | NeuroonError:
        """The call, with all that it waits for, within a deadline that counts everything."""
        deadline = call.limit.deadline
        if deadline is None:
            return await self._attempts(call)
        timer = asyncio.timeout_at(deadline)
        try:
            async with timer:
                return await self._attempts(call)
        except TimeoutError:
            if not timer.expired():  # a limiter's own, not ours
                raise
        last = f"; last failure: {call.last_failure}" if call.last_failure else ""
        return RequestTimeout(
            f"no success within the deadline of {call.limit.seconds:g} s{last}",
            where=f"{self.settings.shop_id}: {call.endpoint.name}",
            maybe_processed=call.maybe_processed,
        )

    async def _attempts(self, call: Call) -> Response | NeuroonError:
        """The first attempt, and a retry machine only where it failed and may be repeated."""
        policy, cost = self.retry, 0
        outcome = await self._attempt(call)
        if may_retry(outcome, policy, call.endpoint):

            def before_retry(error: NeuroonError, wait: float) -> None:
                nonlocal cost
                if policy.budget is not None:
                    cost = policy.budget.cost_of(error)
                LOGGER.info(
                    "%s: %s: attempt %d failed, next one in %.1f s: %s",
                    self.settings.shop_id,
                    call.endpoint.name,
                    call.attempts,
                    wait,
                    error,
                )

            outcome = await retry(
                policy,
                call.endpoint,
                outcome,
                lambda: self._attempt(call),
                before_retry=before_retry,
                limit=call.limit,
            )
        if policy.budget is not None and isinstance(outcome, Response):
            policy.budget.refund(cost)
        return outcome

    async def _attempt(self, call: Call) -> Response | NeuroonError:
        try:
            permit = await self._gate.admit(call, self.instrumentation)
        except NeuroonError as error:
            # If an attempt was sent before, the caller must hear its outcome.
            refused = isinstance(error, RateLimited) and error.local
            return call.last_failure or error if refused else error
        stopped = None if call.guard is None else call.guard()
        if stopped is not None:
            self._gate.leave()
            if permit is not None:
                permit.unused()
            return stopped
        call.sent = False
        call.attempts += 1
        call.stats.requests += 1
        call.stats.retries += call.attempts > 1  # now that it leaves: a run may end while it waits to
        ended: ExchangeResult | None = None
        try:
            ended = result = await (self._logged(call) if requests_are_logged() else self._send(call))
        finally:
            self._gate.leave()
            if ended is None:  # cut short: once it was sent, the server may have counted it, and acted on it
                call.maybe_processed = call.maybe_processed or call.sent
                call.stats.unanswered += call.sent
            _end_permit(permit, call, ended, self.retry)
        call.stats.ended(result.outcome)
        return self._note(call, result.outcome)

    async def _send(self, call: Call) -> ExchangeResult:
        if self.instrumentation is None:
            return await self.exchange.send(call)
        return await self._instrumented(self.instrumentation, call)

    async def _logged(self, call: Call) -> ExchangeResult:
        started = perf_counter()
        result = await self._send(call)
        log_request(
            self.settings.shop_id,
            call.endpoint,
            call.url,
            result.outcome,
            attempt=call.attempts,
            seconds=perf_counter() - started,
            sent=len(call.body or b""),
            redact=self.redact,
        )
        return result

    async def _instrumented(self, instrumentation: Instrumentation, call: Call) -> ExchangeResult:
        attempt = Attempt(
            endpoint=call.endpoint,
            shop_id=self.settings.shop_id,
            # A product may be called like the key.
            url=URL(self.redact(str(call.url)), encoded=True),
            number=call.attempts,
        )
        with instrumentation.attempt(attempt):
            result = await self.exchange.send(call, attempt.headers)
            attempt.outcome = result.outcome
        return result

    def _note(self, call: Call, outcome: Response | NeuroonError) -> Response | NeuroonError:
        """What an attempt's outcome means for the call: an earlier attempt may have got through."""
        if isinstance(outcome, Response):
            return outcome
        if isinstance(outcome, APIError) and _says_done(call, outcome):
            return Response(outcome.status, b"", outcome.request_id)
        call.last_failure = outcome
        outcome.shop_id = self.settings.shop_id
        call.maybe_processed = call.maybe_processed or may_be_processed(outcome)
        if isinstance(outcome, (TransportError, ClientClosed)):
            outcome.maybe_processed = call.maybe_processed
        elif isinstance(outcome, RateLimited):
            call.stats.throttled += 1
        return outcome


def _says_done(call: Call, error: APIError) -> bool:
    """Does this error only say that an earlier attempt has done the work?

    An attempt that was throttled, or never arrived, has done nothing. A verification is repeated after such attempts
    only, and is a success all the same: the domain is verified, as was asked.
    """
    if not call.endpoint.finds_done(error):
        return False
    return call.maybe_processed if call.endpoint.repeat_safe else call.attempts > 1


def _end_permit(permit: Permit | None, call: Call, result: ExchangeResult | None, policy: RetryPolicy) -> None:
    """Give the permit back, exactly once: with what the answer said, or as one that may have been used, or was not."""
    if permit is None:
        return
    if result is not None and result.headers is not None:
        pause = None
        try:
            pause = _pause(call, result.outcome, policy)
        finally:  # whatever a policy of the user's raises
            permit.answered(result.headers, pause=pause)
    elif call.sent:
        permit.answered(None)
    else:
        permit.unused()


def _pause(call: Call, outcome: Response | NeuroonError, policy: RetryPolicy) -> float | None:
    """How long a 429 holds the whole endpoint back, in seconds."""
    if not isinstance(outcome, RateLimited):
        return None
    if outcome.retry_after is None:
        return backoff_of(policy, call.attempts)
    return min(outcome.retry_after, LONGEST_WINDOW)


def _checked_timeout(seconds: float) -> float:
    check_seconds("timeout", seconds)
    return seconds
