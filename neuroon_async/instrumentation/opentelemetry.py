"""Traces and metrics for OpenTelemetry (extra ``otel``), by its stable conventions for HTTP clients.

An ``INTERNAL`` span for every call, and for every bulk run around its calls, within the span that is current where it
is made. In it, a ``CLIENT`` span for every HTTP request, a retry being one of its own; the wait for the rate limit is
no part of that. Where they go is decided by the application's OpenTelemetry SDK: this module needs its API alone.

The API key is nowhere in it: no request header is exported, no exception recorded (an HTTP library's own hold the
headers), and what describes a failed span is the SDK's own redacted text.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from time import perf_counter_ns, time_ns
from typing import TYPE_CHECKING

from ..extras import NeedsExtra

with NeedsExtra("otel", __name__):
    from opentelemetry import baggage, context, metrics, propagate, trace

from ..errors import APIError, NeuroonError, RateLimited
from ..report import SyncReport
from ..settings import check_header_value, package_version

if TYPE_CHECKING:
    from collections.abc import Generator

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

    from ..api.contract import Endpoint
    from . import Attempt, Operation

__all__ = ["OpenTelemetryInstrumentation"]

_log = logging.getLogger("neuroon_async.instrumentation")

_SCOPE = "neuroon_async"
_SCHEMA_URL = "https://opentelemetry.io/schemas/1.27.0"
_ENDPOINT = "neuroon.endpoint"
_DURATION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""Seconds, as the convention gives them."""
_WAIT_BUCKETS = (0.01, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
"""Seconds, up to the longest documented window."""
# Has no public name in the API. Without it, an instrumented aiohttp would report each request a second time.
_SUPPRESS_HTTP = getattr(context, "_SUPPRESS_HTTP_INSTRUMENTATION_KEY", "suppress_http_instrumentation")


class OpenTelemetryInstrumentation:
    """Give one to a client; one serves any number of them.

    >>> client = NeuroonClient.from_env(instrumentation=OpenTelemetryInstrumentation())     # doctest: +SKIP

    ``tracer_provider`` and ``meter_provider`` default to the global ones, which may also be set later.

    Span ``neuroon {endpoint}`` for a call, such as ``neuroon shop``: ``neuroon.shop_id``, ``neuroon.attempts``,
    ``error.type``. Span ``neuroon products.sync`` or ``neuroon products.delete_many`` for a bulk run, around the
    spans of its calls: ``neuroon.shop_id``, and of its report ``neuroon.received``, ``neuroon.accepted``,
    ``neuroon.failed`` and ``neuroon.requests``.

    Span ``{method} {url.template}`` for a request, which ends when the whole answer is read: ``http.request.method``,
    ``http.request.resend_count`` (1 is the first retry), ``http.response.status_code``, ``server.address``,
    ``server.port``, ``url.full``, ``url.template``, ``error.type`` (the status, or the class of the error:
    ``RequestTimeout``, ``ConnectionFailed``, ``CancelledError``), ``neuroon.endpoint``, ``neuroon.shop_id`` and
    ``neuroon.request_id``. The 404 or 409 that on a retry says that the first try had worked is no error.

    Metrics, times in seconds: ``http.client.request.duration`` (a histogram with the span's duration and attributes,
    without those that differ from request to request or shop to shop) and, by ``neuroon.endpoint``, the histogram
    ``neuroon.client.rate_limit.wait.duration`` (every wait for the limit, also none and one that was given up) and the
    counters ``neuroon.client.retries`` (requests sent again) and ``neuroon.client.throttled`` (answers of 429).

    The global propagator puts the trace into the request's headers, but never baggage: that is what your services
    tell each other, and the API is not one of them. An instrumentation of aiohttp itself stays silent meanwhile. Should
    OpenTelemetry raise, that is logged by ``neuroon_async.instrumentation``, and the request goes on.
    """

    def __init__(
        self, *, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None
    ) -> None:
        version = package_version()
        self._tracer = trace.get_tracer(_SCOPE, version, tracer_provider, _SCHEMA_URL)
        meter = metrics.get_meter(_SCOPE, version, meter_provider, _SCHEMA_URL)
        self._durations = meter.create_histogram(
            "http.client.request.duration",
            "s",
            "Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=_DURATION_BUCKETS,
        )
        self._waits = meter.create_histogram(
            "neuroon.client.rate_limit.wait.duration",
            "s",
            "Time that calls waited for the rate limit.",
            explicit_bucket_boundaries_advisory=_WAIT_BUCKETS,
        )
        self._retries = meter.create_counter("neuroon.client.retries", "{request}", "Requests that were sent again.")
        self._throttled = meter.create_counter("neuroon.client.throttled", "{response}", "Answers of 429.")

    def waited(self, endpoint: Endpoint, seconds: float) -> None:
        with _harmless():
            self._waits.record(seconds, {_ENDPOINT: endpoint.name})

    @contextmanager
    def attempt(self, attempt: Attempt) -> Generator[None]:
        began, ticks = time_ns(), perf_counter_ns()
        span: Span = trace.INVALID_SPAN
        with _harmless():
            span = self._start(attempt, began)
        here = trace.set_span_in_context(span)
        token = context.attach(context.set_value(_SUPPRESS_HTTP, True, here))  # noqa: FBT003 - its own signature
        cut_short_by = None
        try:
            with _harmless():
                _propagate(attempt)
            yield
        except BaseException as error:
            cut_short_by = type(error).__qualname__
            raise
        finally:
            context.detach(token)
            elapsed = perf_counter_ns() - ticks
            error_type = cut_short_by or _error_type(attempt)
            with _harmless():
                _end(span, attempt, error_type, began + elapsed)
            with _harmless():
                self._count(attempt, error_type, elapsed / 1e9, here)

    @contextmanager
    def operation(self, operation: Operation) -> Generator[None]:
        span: Span = trace.INVALID_SPAN
        with _harmless():
            attributes = {"neuroon.shop_id": operation.shop_id}
            span = self._tracer.start_span(f"neuroon {operation.name}", attributes=attributes)
        token = context.attach(trace.set_span_in_context(span))
        cut_short_by = None
        try:
            yield
        except BaseException as error:
            cut_short_by = type(error).__qualname__
            raise
        finally:
            context.detach(token)
            with _harmless():
                _end_operation(span, operation, cut_short_by)

    def _start(self, attempt: Attempt, began: int) -> Span:
        attributes: dict[str, str | int] = {
            **_standing_attributes(attempt),
            "url.full": str(attempt.url),
            "neuroon.shop_id": attempt.shop_id,
        }
        if attempt.number > 1:
            attributes["http.request.resend_count"] = attempt.number - 1
        name = f"{attempt.endpoint.method} {attempt.endpoint.path}"
        return self._tracer.start_span(name, kind=trace.SpanKind.CLIENT, attributes=attributes, start_time=began)

    def _count(self, attempt: Attempt, error_type: str | None, seconds: float, here: context.Context) -> None:
        attributes = _standing_attributes(attempt) | _final_attributes(attempt, error_type)
        self._durations.record(seconds, attributes, here)
        by_endpoint = {_ENDPOINT: attempt.endpoint.name}
        if attempt.number > 1:
            self._retries.add(1, by_endpoint, here)
        if isinstance(attempt.outcome, RateLimited):
            self._throttled.add(1, by_endpoint, here)


def _standing_attributes(attempt: Attempt) -> dict[str, str | int]:
    """What is known before the request and takes few values."""
    attributes: dict[str, str | int] = {
        "http.request.method": attempt.endpoint.method,
        "server.address": attempt.url.host or "",
        "url.template": attempt.endpoint.path,
        _ENDPOINT: attempt.endpoint.name,
    }
    if attempt.url.port is not None:
        attributes["server.port"] = attempt.url.port
    return attributes


def _final_attributes(attempt: Attempt, error_type: str | None) -> dict[str, str | int]:
    """What is known after the request and takes few values."""
    attributes: dict[str, str | int] = {}
    status = getattr(attempt.outcome, "status", None)
    if status is not None:
        attributes["http.response.status_code"] = status
    if error_type is not None:
        attributes["error.type"] = error_type
    return attributes


def _error_type(attempt: Attempt) -> str | None:
    outcome = attempt.outcome
    if isinstance(outcome, APIError):
        if attempt.number > 1 and attempt.endpoint.finds_done(outcome):
            return None
        return str(outcome.status)
    return type(outcome).__qualname__ if isinstance(outcome, NeuroonError) else None


def _end(span: Span, attempt: Attempt, error_type: str | None, ended: int) -> None:
    span.set_attributes(_final_attributes(attempt, error_type))
    request_id = getattr(attempt.outcome, "request_id", None)
    if request_id is not None:
        span.set_attribute("neuroon.request_id", request_id)
    if error_type is not None:
        # A status speaks for itself; the text of other exceptions than the SDK's may hold anything.
        told = isinstance(attempt.outcome, NeuroonError) and not isinstance(attempt.outcome, APIError)
        span.set_status(trace.StatusCode.ERROR, str(attempt.outcome) if told else None)
    span.end(ended)


def _end_operation(span: Span, operation: Operation, cut_short_by: str | None) -> None:
    outcome = operation.outcome
    report = outcome if isinstance(outcome, SyncReport) else getattr(outcome, "report", None)
    if not operation.bulk_run:
        span.set_attribute("neuroon.attempts", operation.attempts)
    elif report is not None:
        for name in ("received", "accepted", "failed", "requests"):
            span.set_attribute(f"neuroon.{name}", getattr(report, name))
    error_type = type(outcome).__qualname__ if isinstance(outcome, NeuroonError) else cut_short_by
    if error_type is not None:
        span.set_attribute("error.type", error_type)
        span.set_status(trace.StatusCode.ERROR, str(outcome) if isinstance(outcome, NeuroonError) else None)
    span.end()


def _propagate(attempt: Attempt) -> None:
    """Whatever the propagator, there is no baggage in the context that it sees."""
    headers: dict[str, str] = {}
    propagate.inject(headers, baggage.clear())
    for name, value in headers.items():
        check_header_value(name, value)
    attempt.headers.update(headers)


@contextmanager
def _harmless() -> Generator[None]:
    """What a sampler, processor or propagator raises costs nobody a request."""
    try:
        yield
    except Exception:  # noqa: BLE001 - it runs code of others
        _log.exception("OpenTelemetry failed; the request goes on, its telemetry is incomplete")
