"""OpenTelemetry: what is exported, by the convention's names, for every way in which a request can end."""

import asyncio
import logging
import subprocess
import sys
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp
import pytest
from clients import serving

pytest.importorskip("opentelemetry.sdk")

from opentelemetry import baggage, context, propagate, trace
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from neuroon_async import (
    AuthenticationFailed,
    ConnectionFailed,
    NeuroonClient,
    NeuroonError,
    NotFound,
    Product,
    RateLimit,
    RateLimited,
    RequestTimeout,
    ResponseDecodeError,
    RetryPolicy,
    ServerError,
)
from neuroon_async.instrumentation import Attempt
from neuroon_async.instrumentation.opentelemetry import OpenTelemetryInstrumentation
from neuroon_async.testing import Emulator, Fault
from neuroon_async.transport.transport import Transport

ROOT = Path(__file__).parents[2]
HEX = "c0ffee12deadbeef5eedface0ddba11f"
KEY = f"sk_{HEX}"
ONCE = RetryPolicy(attempts=1)
AT_ONCE = RetryPolicy(attempts=3, initial=0.0)
PRODUCT = Product(external_id="A", name="Tea", price=1, url="https://shop.example/a")
SYNC = "/api/plugin/shops/{shop_id}/products/sync"


class Balance(SpanProcessor):
    """Which spans have begun and not ended."""

    def __init__(self):
        self.open = set()

    def on_start(self, span, parent_context=None):
        self.open.add(span.context.span_id)

    def on_end(self, span):
        self.open.remove(span.context.span_id)


class Telemetry:
    """An OpenTelemetry SDK that exports to memory, and the instrumentation that feeds it."""

    def __init__(self):
        self.exporter = InMemorySpanExporter()
        self.balance = Balance()
        self.tracer_provider = TracerProvider()
        self.tracer_provider.add_span_processor(self.balance)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meter_provider = MeterProvider([self.reader])
        self.tracer = self.tracer_provider.get_tracer("the app")
        self.instrumentation = OpenTelemetryInstrumentation(
            tracer_provider=self.tracer_provider, meter_provider=self.meter_provider
        )

    @property
    def spans(self):
        """The finished requests, oldest first."""
        finished = [span for span in self.exporter.get_finished_spans() if span.kind is SpanKind.CLIENT]
        return sorted(finished, key=lambda span: span.start_time)

    @property
    def operations(self):
        """The finished calls and bulk runs, in the order in which they began."""
        finished = [span for span in self.exporter.get_finished_spans() if span.name.startswith("neuroon ")]
        return sorted(finished, key=lambda span: span.start_time)

    def points(self, name):
        data = self.reader.get_metrics_data()
        metrics = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics] if data else []
        return [point for metric in metrics if metric.name == name for point in metric.data.data_points]

    def count(self, name, endpoint):
        return sum(point.value for point in self.points(name) if point.attributes == {"neuroon.endpoint": endpoint})

    def exported(self):
        """All text that leaves the process."""
        data = self.reader.get_metrics_data()
        return "\n".join(
            [data.to_json() if data else "", *(span.to_json() for span in self.exporter.get_finished_spans())]
        )


@pytest.fixture
def telemetry():
    running = Telemetry()
    yield running
    assert not running.balance.open, "spans that were begun and never ended"
    running.meter_provider.shutdown()
    running.tracer_provider.shutdown()


@asynccontextmanager
async def pair(telemetry, **options):
    options = {"retry": AT_ONCE, "timeout": 5.0, "instrumentation": telemetry.instrumentation, **options}
    async with Emulator(api_key=KEY, algorithm="off", shop_url=None) as emulator:
        options.setdefault("base_url", emulator.url)
        async with NeuroonClient(shop_id=emulator.shop_id, api_key=KEY, **options) as client:
            yield emulator, client


@contextmanager
def propagator(which):
    before = propagate.get_global_textmap()
    propagate.set_global_textmap(which)
    try:
        yield
    finally:
        propagate.set_global_textmap(before)


def products(number):
    return [Product(external_id=f"P-{n}", name="Tea", price=1, url=f"https://shop.example/{n}") for n in range(number)]


async def arrived(emulator, number):
    async with asyncio.timeout(5.0):
        while len(emulator.requests) < number:  # noqa: ASYNC110 - the emulator tells nobody
            await asyncio.sleep(0.001)


def told_of_failure(span):
    return (
        span.attributes.get("error.type"),
        span.attributes.get("http.response.status_code"),
        span.status.status_code,
    )


# What is told of one request


async def test_a_request_is_a_client_span_of_the_convention_with_its_duration_as_a_metric(telemetry):
    async with pair(telemetry) as (emulator, client):
        await client.products.sync_batch([PRODUCT])
        (request,) = emulator.requests
    (span,) = telemetry.spans
    assert span.name == f"POST {SYNC}"
    assert span.kind is SpanKind.CLIENT
    assert (span.status.status_code, span.status.description, span.events) == (StatusCode.UNSET, None, ())
    common = {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "server.port": emulator.port,
        "url.template": SYNC,
        "neuroon.endpoint": "sync_products",
    }
    assert dict(span.attributes) == common | {
        "url.full": f"{emulator.url}/api/plugin/shops/shop_test/products/sync",
        "neuroon.shop_id": "shop_test",
        "neuroon.request_id": request.request_id,
    }
    assert request.request_id
    (duration,) = telemetry.points("http.client.request.duration")
    assert dict(duration.attributes) == common
    assert (duration.count, duration.sum) == (1, pytest.approx((span.end_time - span.start_time) / 1e9, abs=1e-9))
    assert 0 < duration.sum < 5
    assert duration.explicit_bounds == (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
    assert telemetry.points("neuroon.client.retries") == telemetry.points("neuroon.client.throttled") == []


async def test_the_scope_names_the_package_and_the_schema(telemetry):
    async with pair(telemetry) as (_, client):
        await client.shop()
    (span,) = telemetry.spans
    assert span.instrumentation_scope.name == "neuroon_async"
    assert span.instrumentation_scope.version
    assert span.instrumentation_scope.schema_url == "https://opentelemetry.io/schemas/1.27.0"


async def test_a_retry_is_a_span_of_its_own_beside_the_first(telemetry):
    async with pair(telemetry) as (emulator, client):
        emulator.fail("sync_products", Fault.status(503), times=2)
        with telemetry.tracer.start_as_current_span("the app's own") as own:
            await client.products.sync_batch([PRODUCT])
        requests = emulator.requests
    spans = telemetry.spans
    assert [told_of_failure(span) for span in spans] == [
        ("503", 503, StatusCode.ERROR),
        ("503", 503, StatusCode.ERROR),
        (None, 200, StatusCode.UNSET),
    ]
    assert [span.attributes.get("http.request.resend_count") for span in spans] == [None, 1, 2]
    (call,) = telemetry.operations
    assert {span.parent.span_id for span in spans} == {call.context.span_id}
    assert call.parent.span_id == own.get_span_context().span_id
    assert (call.name, call.kind, call.status.status_code) == (
        "neuroon sync_products",
        SpanKind.INTERNAL,
        StatusCode.UNSET,
    )
    assert dict(call.attributes) == {"neuroon.shop_id": emulator.shop_id, "neuroon.attempts": 3}
    assert [span.attributes["neuroon.request_id"] for span in spans] == [each.request_id for each in requests]
    assert [span.status.description for span in spans] == [None] * 3
    assert telemetry.count("neuroon.client.retries", "sync_products") == 2
    assert telemetry.points("neuroon.client.throttled") == []
    assert sorted(
        (p.attributes["http.response.status_code"], p.attributes.get("error.type"), p.count)
        for p in telemetry.points("http.client.request.duration")
    ) == [(200, None, 1), (503, "503", 2)]


async def test_answers_of_429_are_counted(telemetry):
    async with pair(telemetry, retry=ONCE, rate_limits=None) as (emulator, client):
        emulator.fail("shop", Fault.too_many_requests(30), times=2)
        for _ in range(2):
            with pytest.raises(RateLimited):
                await client.shop()
        await client.products.sync_batch([PRODUCT])
    assert told_of_failure(telemetry.spans[0]) == ("429", 429, StatusCode.ERROR)
    assert telemetry.count("neuroon.client.throttled", "shop") == 2
    assert telemetry.count("neuroon.client.throttled", "sync_products") == 0
    assert telemetry.points("neuroon.client.rate_limit.wait.duration") == []


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("fault", "error", "told"),
    [
        (Fault.hang(), RequestTimeout, ("RequestTimeout", None)),
        (Fault.drop(), ConnectionFailed, ("ConnectionFailed", None)),
        (Fault.truncated(), ConnectionFailed, ("ConnectionFailed", None)),
        (Fault.html(500), ServerError, ("500", 500)),
        (Fault.status(401), AuthenticationFailed, ("401", 401)),
    ],
    ids=["timeout", "drop", "truncated", "500", "401"],
)
async def test_a_failure_is_told_by_its_status_or_by_its_class(telemetry, fault, error, told):
    async with pair(telemetry, retry=ONCE) as (emulator, client):
        emulator.fail("shop", fault)
        with pytest.raises(error) as caught:
            await client.shop()
    (span,) = telemetry.spans
    assert told_of_failure(span) == (*told, StatusCode.ERROR)
    assert span.status.description == (None if told[1] else str(caught.value))
    assert span.events == ()
    (duration,) = telemetry.points("http.client.request.duration")
    assert (duration.attributes["error.type"], duration.attributes.get("http.response.status_code")) == told


async def test_nobody_there(telemetry):
    async with pair(telemetry, retry=ONCE) as (emulator, client):
        await emulator.stop()
        with pytest.raises(ConnectionFailed):
            await client.shop()
    assert told_of_failure(telemetry.spans[0]) == ("ConnectionFailed", None, StatusCode.ERROR)


async def test_a_web_page_for_a_deletion_is_an_error_although_the_status_is_none(telemetry):
    async with pair(telemetry, retry=ONCE) as (emulator, client):
        emulator.fail("delete_product", Fault.garbage())
        with pytest.raises(ResponseDecodeError):
            await client.products.delete("A")
    assert told_of_failure(telemetry.spans[0]) == ("ResponseDecodeError", 200, StatusCode.ERROR)


async def test_a_404_that_says_that_the_first_try_had_worked_is_no_error(telemetry):
    async with pair(telemetry) as (emulator, client):
        await client.products.sync_batch([PRODUCT])
        emulator.fail("delete_product", Fault.drop(processed=True), times=1)
        await client.products.delete("A")
        with pytest.raises(NotFound):
            await client.products.delete("A")
    told = [told_of_failure(span) for span in telemetry.spans[1:]]
    assert told == [
        ("ConnectionFailed", None, StatusCode.ERROR),
        (None, 404, StatusCode.UNSET),
        ("404", 404, StatusCode.ERROR),
    ]


async def test_a_proxys_404_after_a_lost_answer_is_an_error(telemetry):
    async with pair(telemetry) as (emulator, client):
        emulator.fail("delete_product", Fault.drop())
        emulator.fail("delete_product", Fault.html(404))
        with pytest.raises(NotFound):
            await client.products.delete("A")
    assert told_of_failure(telemetry.spans[1]) == ("404", 404, StatusCode.ERROR)


# Cancellation


async def test_a_cancelled_request_ends_its_span(telemetry):
    async with pair(telemetry) as (emulator, client):
        emulator.fail("shop", Fault.hang())
        call = asyncio.create_task(client.shop())
        await arrived(emulator, 1)
        assert telemetry.balance.open
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    (span,) = telemetry.spans
    assert told_of_failure(span) == ("CancelledError", None, StatusCode.ERROR)
    assert (span.status.description, span.events) == (None, ())
    (duration,) = telemetry.points("http.client.request.duration")
    assert duration.attributes["error.type"] == "CancelledError"


async def test_the_callers_context_is_as_it_was_after_each_way_of_ending(telemetry):
    async with pair(telemetry, retry=ONCE) as (emulator, client):
        emulator.fail("shop", Fault.status(500), times=1)
        emulator.fail("sync_products", Fault.hang())
        before = context.get_current()
        with pytest.raises(ServerError):
            await client.shop()
        assert context.get_current() == before
        await client.shop()
        assert context.get_current() == before
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.products.sync_batch([PRODUCT])
        assert context.get_current() == before
    assert len(telemetry.spans) == 3


async def test_a_cancelled_bulk_run_ends_all_its_spans(telemetry):
    async with pair(telemetry) as (emulator, client):
        emulator.fail("sync_products", Fault.hang(), every=1)
        run = asyncio.create_task(client.products.sync(products(40), batch_size=10, concurrency=4))
        await arrived(emulator, 4)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
    assert [span.attributes["error.type"] for span in telemetry.spans] == ["CancelledError"] * 4


async def test_how_a_call_ended_is_on_its_span(telemetry):
    async with pair(telemetry) as (emulator, client):
        emulator.fail("shop", Fault.status(400, f"bad {emulator.api_key}"))
        with pytest.raises(NeuroonError):
            await client.shop()
        emulator.fail("shop", Fault.hang())
        call = asyncio.create_task(client.shop())
        await arrived(emulator, 2)
        call.cancel()
        await asyncio.wait([call])
    failed, cancelled = telemetry.operations
    assert (failed.attributes["error.type"], failed.status.status_code) == ("ValidationFailed", StatusCode.ERROR)
    assert cancelled.attributes["error.type"] == "CancelledError"
    assert emulator.api_key not in telemetry.exported()


async def test_a_bulk_run_that_is_stopped_tells_what_it_had_done(telemetry):
    async with pair(telemetry) as (emulator, client):
        emulator.fail("sync_products", Fault.status(401), every=1)
        with pytest.raises(NeuroonError):
            await client.products.sync(products(20), batch_size=10)
        with pytest.raises(NeuroonError):
            emulator.fail("delete_product", Fault.status(401), every=1)
            await client.products.delete_many(["A"])
    runs = [span for span in telemetry.operations if span.name.startswith("neuroon products.")]
    assert [run.attributes["error.type"] for run in runs] == ["AuthenticationFailed"] * 2
    assert [run.attributes["neuroon.failed"] for run in runs] == [20, 1]
    assert [run.attributes["neuroon.shop_id"] for run in runs] == [emulator.shop_id] * 2


async def test_an_instrumentation_may_know_nothing_of_operations(telemetry):
    class Old:
        waited = telemetry.instrumentation.waited
        attempt = telemetry.instrumentation.attempt

    async with pair(telemetry, instrumentation=Old()) as (_, client):
        await client.shop()
    assert telemetry.operations == []
    assert len(telemetry.spans) == 1


# Bulk runs, copies, several clients


async def test_every_request_of_a_bulk_run_is_a_child_of_the_callers_span(telemetry):
    async with pair(telemetry) as (emulator, client):
        emulator.fail("sync_products", Fault.status(502), every=3)
        with telemetry.tracer.start_as_current_span("nightly sync") as own:
            report = await client.products.sync(products(60), batch_size=10, concurrency=4)
        requests = emulator.requests
    assert report.accepted == 60
    spans = telemetry.spans
    assert len(spans) == len(requests) == report.requests > 6
    run, *calls = telemetry.operations
    assert (run.name, run.parent.span_id) == ("neuroon products.sync", own.get_span_context().span_id)
    assert {call.parent.span_id for call in calls} == {run.context.span_id}
    assert {span.parent.span_id for span in spans} == {call.context.span_id for call in calls}
    assert run.attributes["neuroon.accepted"] == 60
    assert (run.attributes["neuroon.requests"], run.attributes["neuroon.failed"]) == (report.requests, 0)
    # Each request carries the identity of its own span, side by side as they were.
    answered = {span.context.span_id: span.attributes["neuroon.request_id"] for span in spans}
    sent = {int(each.headers["traceparent"].split("-")[2], 16): each.request_id for each in requests}
    assert sent == answered
    assert telemetry.count("neuroon.client.retries", "sync_products") == report.retries > 0
    (waits,) = telemetry.points("neuroon.client.rate_limit.wait.duration")
    assert waits.count == report.requests


async def test_copies_of_a_client_and_other_clients_tell_the_same_instrumentation(telemetry):
    async with pair(telemetry) as (emulator, client):
        await client.with_options(timeout=1.0).shop()
        await client.products.delete_many(["A"])
        async with NeuroonClient(
            shop_id="shop_2", api_key=KEY, base_url=emulator.url, instrumentation=telemetry.instrumentation
        ) as other:
            await other.health()
    assert [(span.attributes["neuroon.endpoint"], span.attributes["neuroon.shop_id"]) for span in telemetry.spans] == [
        ("shop", "shop_test"),
        ("delete_product", "shop_test"),
        ("health", "shop_2"),
    ]


# Waiting for the rate limit


@pytest.mark.virtual_time
async def test_the_wait_for_the_limit_is_told_apart_from_the_request(telemetry):
    async with pair(telemetry, rate_limits={"shop": RateLimit(1, per=50.0)}) as (_, client):
        await client.shop()
        await client.shop()
    (waits,) = telemetry.points("neuroon.client.rate_limit.wait.duration")
    assert dict(waits.attributes) == {"neuroon.endpoint": "shop"}
    assert (waits.count, waits.sum) == (2, pytest.approx(50.0, abs=1.0))
    assert waits.explicit_bounds[-1] == 300
    (durations,) = telemetry.points("http.client.request.duration")
    assert durations.sum < 5


@pytest.mark.virtual_time
async def test_a_wait_that_was_given_up_is_told(telemetry):
    limits = {"shop": RateLimit(1, per=50.0)}
    async with pair(telemetry, rate_limits=limits) as (_, client):
        await client.shop()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(20.0):
                await client.shop()
    (waits,) = telemetry.points("neuroon.client.rate_limit.wait.duration")
    assert (waits.count, waits.sum) == (2, pytest.approx(20.0, abs=1.0))
    assert len(telemetry.spans) == 1


# What travels with the request


async def test_the_trace_travels_and_baggage_does_not(telemetry):
    async with pair(telemetry) as (emulator, client):
        token = context.attach(baggage.set_baggage("customer", "jane@example.com"))
        try:
            await client.shop()
            assert baggage.get_baggage("customer") == "jane@example.com"
        finally:
            context.detach(token)
        (request,) = emulator.requests
    (span,) = telemetry.spans
    assert request.headers["traceparent"].startswith(f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-0")
    assert "baggage" not in request.headers
    assert "jane" not in str(request.headers)
    assert "jane" not in telemetry.exported()


class Custom(TextMapPropagator):
    """Writes what it is given, and all baggage under names of its own, as Jaeger's does."""

    def __init__(self, headers=(), error=None):
        self.headers = dict(headers)
        self.error = error

    def extract(self, carrier, context=None, getter=None):
        return context

    def inject(self, carrier, context=None, setter=None):
        if self.error:
            raise self.error
        carrier.update(self.headers)
        carrier.update({f"uberctx-{name}": value for name, value in baggage.get_all(context).items()})

    @property
    def fields(self):
        return set(self.headers)


async def test_no_propagator_sees_baggage_and_none_replaces_a_header_of_ours(telemetry):
    which = Custom({"x-mine": "1", "x-shop-api-key": "other", "Accept": "text/html"})
    async with pair(telemetry) as (emulator, client):
        token = context.attach(baggage.set_baggage("customer", "jane"))
        try:
            with propagator(which):
                await client.shop()
        finally:
            context.detach(token)
        (request,) = emulator.requests
    assert request.headers["x-mine"] == "1"
    assert request.headers.getall("x-shop-api-key") == [KEY]
    assert request.headers.getall("accept") == ["application/json"]
    assert "uberctx-customer" not in request.headers


async def test_without_a_propagator_no_header_is_added(telemetry):
    async with pair(telemetry) as (emulator, client):
        with propagator(Custom()):
            await client.shop()
        await NeuroonClient.aclose(client)
        async with NeuroonClient(shop_id="shop_test", api_key=KEY, base_url=emulator.url) as plain:
            await plain.shop()
        watched, unwatched = (set(request.headers) for request in emulator.requests)
    assert watched == unwatched


async def test_an_instrumented_aiohttp_stays_silent_meanwhile(telemetry):
    seen = []

    async def on_request_start(session, trace_context, params):
        suppressed = context.get_value(context._SUPPRESS_HTTP_INSTRUMENTATION_KEY)
        seen.append((suppressed, trace.get_current_span().get_span_context().span_id))

    config = aiohttp.TraceConfig()
    config.on_request_start.append(on_request_start)
    async with (
        aiohttp.ClientSession(trace_configs=[config]) as session,
        pair(telemetry, session=session) as (emulator, client),
    ):
        await client.shop()
        async with session.get(f"{emulator.url}/actuator/health"):
            pass
    (span,) = telemetry.spans
    assert seen == [(True, span.context.span_id), (None, 0)]


# Telemetry that fails


class Faulty(SpanProcessor):
    def __init__(self, moment):
        self.moment = moment

    def on_start(self, span, parent_context=None):
        if self.moment == "start":
            raise RuntimeError("the processor fails at the start")

    def on_end(self, span):
        if self.moment == "end":
            raise RuntimeError("the processor fails at the end")


def failing(moment):
    provider = TracerProvider()
    provider.add_span_processor(Faulty(moment))
    return OpenTelemetryInstrumentation(tracer_provider=provider)


@pytest.mark.parametrize("moment", ["start", "end"])
async def test_telemetry_that_fails_is_logged_and_costs_no_request(telemetry, caplog, moment):
    async with pair(telemetry, instrumentation=failing(moment)) as (emulator, client):
        await client.shop()
        assert f"the processor fails at the {moment}" in caplog.text
        emulator.fail("shop", Fault.status(401))
        with pytest.raises(AuthenticationFailed):
            await client.shop()
        emulator.fail("sync_products", Fault.hang())
        call = asyncio.create_task(client.products.sync_batch([PRODUCT]))
        await arrived(emulator, 3)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert {record.name for record in caplog.records if record.exc_info} == {"neuroon_async.instrumentation"}


@pytest.mark.parametrize(
    "which",
    [Custom(error=RuntimeError("no")), Custom({"x-mine": "a\r\nX-Evil: 1"}), Custom({"x-mine": None})],
    ids=["raises", "line break", "no text"],
)
async def test_a_propagator_that_fails_is_logged_and_adds_nothing(telemetry, caplog, which):
    async with pair(telemetry) as (emulator, client):
        with propagator(which):
            await client.shop()
        (request,) = emulator.requests
    assert "x-mine" not in request.headers
    assert "x-evil" not in request.headers
    assert [record.name for record in caplog.records] == ["neuroon_async.instrumentation"]
    assert told_of_failure(telemetry.spans[0]) == (None, 200, StatusCode.UNSET)


async def test_without_an_opentelemetry_sdk_nothing_is_told_and_all_works(telemetry):
    async with pair(telemetry, instrumentation=OpenTelemetryInstrumentation()) as (emulator, client):
        await client.shop()
        assert "traceparent" not in emulator.requests[0].headers


# The key


def leaks(text):
    return [HEX[start : start + 8] for start in range(len(HEX) - 7) if HEX[start : start + 8] in text.lower()]


ECHO = f"the key {KEY} is not known"
ECHOES = {
    "message": Fault.status(403, ECHO),
    "request id": Fault.status(500, headers={"X-Request-ID": f"r-{KEY}"}),
    "request id of a success": Fault.status(200, body=b"{}", headers={"X-Request-ID": f"r-{KEY}"}),
    "page": Fault.garbage(b"<p>" + ECHO.encode()),
    "no HTTP status": Fault.drop(),
    "throttled": Fault.too_many_requests(0.0),
    "hang": Fault.hang(),
}


@pytest.mark.virtual_time
@pytest.mark.parametrize("fault", ECHOES.values(), ids=ECHOES.keys())
async def test_the_key_is_in_nothing_that_is_exported(telemetry, caplog, fault):
    caplog.set_level(logging.DEBUG)
    async with pair(telemetry, retry=RetryPolicy(attempts=2, initial=0.01)) as (emulator, client):
        for name, call in (
            ("shop", client.shop),
            ("sync_products", lambda: client.products.sync([PRODUCT])),
            ("delete_product", lambda: client.products.delete(KEY)),  # the key in the path, by mistake
        ):
            emulator.fail(name, fault, times=2)
            try:
                await call()
            except NeuroonError:
                pass
        assert all(request.headers["X-Shop-API-Key"] == KEY for request in emulator.requests)
    assert len(telemetry.spans) >= 3
    assert "[API key]" in telemetry.exported()  # in the path, at least
    assert leaks(telemetry.exported()) == []
    assert leaks(caplog.text) == []
    assert leaks("".join(repr(vars(span)) for span in telemetry.spans)) == []


async def test_the_key_is_not_told_of_an_answer_that_is_no_http(telemetry):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {KEY} OK\r\n\r\n".encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with serving(serve) as url, pair(telemetry, base_url=url, retry=ONCE) as (_, client):
        with pytest.raises(ConnectionFailed):
            await client.shop()
    assert told_of_failure(telemetry.spans[0]) == ("ConnectionFailed", None, StatusCode.ERROR)
    assert leaks(telemetry.exported()) == []


async def test_the_detector_detects(telemetry):
    with telemetry.tracer.start_as_current_span("x", attributes={"a": f"…{KEY[10:18]}…"}):
        pass
    assert leaks(telemetry.exported())


# Nothing where it is not asked for


@pytest.mark.slow
@pytest.mark.parametrize("absent", [False, True], ids=["installed", "absent"])
def test_the_core_imports_no_opentelemetry(absent):
    program = f"""
import sys
if {absent}:
    sys.modules["opentelemetry"] = None
import neuroon_async, neuroon_async.instrumentation, neuroon_async.testing
neuroon_async.NeuroonClient(shop_id="shop_1", api_key="sk_" + "0" * 32)
assert not [name for name in sys.modules if name.startswith("opentelemetry.")]
try:
    import neuroon_async.instrumentation.opentelemetry
except ImportError as error:
    assert {absent}, error
else:
    assert not {absent}
    assert not [name for name in sys.modules if name.startswith("opentelemetry.sdk")]
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


async def test_without_an_instrumentation_the_transport_makes_nothing_of_it(telemetry, monkeypatch):
    def unexpected(*_arguments):
        raise AssertionError("not instrumented")

    monkeypatch.setattr("neuroon_async.transport.transport.Attempt", unexpected)
    monkeypatch.setattr(Transport, "_instrumented", unexpected)
    async with pair(telemetry, instrumentation=None) as (_, client):
        assert (await client.products.sync([PRODUCT])).ok
    assert telemetry.spans == []


async def test_an_instrumentation_of_ones_own():
    """The protocol, by an instrumentation that knows nothing of OpenTelemetry."""

    class Diary:
        def __init__(self):
            self.lines = []
            self.attempts = []

        def waited(self, endpoint, seconds):
            self.lines.append((endpoint.name, seconds < 1))

        @contextmanager
        def attempt(self, attempt: Attempt):
            assert attempt.headers == {}
            attempt.headers["X-Diary"] = str(attempt.number)
            yield
            self.attempts.append(repr(attempt))
            self.lines.append((attempt.endpoint.name, attempt.number, attempt.outcome.status))

    diary = Diary()
    async with Emulator(api_key=KEY, algorithm="off") as emulator:
        emulator.fail("shop", Fault.status(500, ECHO), times=1)
        async with NeuroonClient(
            shop_id=emulator.shop_id,
            api_key=emulator.api_key,
            base_url=emulator.url,
            retry=AT_ONCE,
            instrumentation=diary,
        ) as client:
            await client.shop()
        sent = [request.headers["X-Diary"] for request in emulator.requests]
    assert sent == ["1", "2"]
    assert leaks("".join(diary.attempts)) == []
    assert diary.lines == [("shop", True), ("shop", 1, 500), ("shop", True), ("shop", 2, 200)]
