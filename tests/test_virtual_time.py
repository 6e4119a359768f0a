"""The virtual clock itself: timers in order, real sockets, threads."""

import asyncio
import socket
import struct
import sys
import time

import aiohttp
import loopback
import pytest
from aiohttp import web
from aiolimiter import AsyncLimiter
from loopback import Delivery, Loopback
from virtual_time import VirtualTimeLoop

pytestmark = pytest.mark.virtual_time


@pytest.fixture(autouse=True)
def no_real_time_passes():
    started = time.monotonic()
    yield
    assert time.monotonic() - started < 600  # of the hours that pass here, and far more than a busy machine takes


async def test_an_hour_passes_at_once():
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    real, virtual = time.monotonic(), loop.time()
    await asyncio.sleep(3600)
    assert loop.time() - virtual == pytest.approx(3600)
    assert time.monotonic() - real < 600


async def test_timers_fire_in_order_and_on_time():
    loop = asyncio.get_running_loop()
    started = loop.time()
    fired = []

    async def note(delay):
        await asyncio.sleep(delay)
        fired.append((delay, loop.time() - started))

    await asyncio.gather(*(note(delay) for delay in (86_400 * 3, 0.5, 30, 7, 0)))
    assert [delay for delay, _ in fired] == [0, 0.5, 7, 30, 86_400 * 3]
    assert all(at == pytest.approx(delay, abs=1e-3) for delay, at in fired)


async def test_timeout_beats_a_longer_wait():
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(60):
            await asyncio.Event().wait()


async def serve(handler):
    app = web.Application()
    app.router.add_post("/", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}/"


async def test_an_exchange_over_real_sockets_takes_its_virtual_latency():
    loop = asyncio.get_running_loop()

    async def slow(request):
        body = await request.read()
        await asyncio.sleep(30)
        return web.Response(body=body)

    runner, url = await serve(slow)
    try:
        async with aiohttp.ClientSession() as session:
            started, ticks = loop.time(), []
            ticking = asyncio.gather(*(tick(ticks, after) for after in (10, 29, 31)))
            async with session.post(url, data=b"x" * 900_000) as response:
                assert len(await response.read()) == 900_000
            assert loop.time() - started == pytest.approx(30, abs=1e-3)
            assert ticks == [10, 29]
            await ticking
            assert ticks == [10, 29, 31]
    finally:
        await runner.cleanup()


async def tick(ticks, after):
    await asyncio.sleep(after)
    ticks.append(after)


async def test_data_in_flight_is_never_overtaken_by_a_timeout():
    async def prompt(request):
        return web.Response(body=await request.read())

    runner, url = await serve(prompt)
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=1.0)) as session:

            async def exchange():
                async with session.post(url, data=b"x" * 200_000) as response:
                    return len(await response.read())

            assert await asyncio.gather(*(exchange() for _ in range(50))) == [200_000] * 50
    finally:
        await runner.cleanup()


async def test_a_client_timeout_fires_against_a_silent_server():
    async def silent(request):
        await asyncio.sleep(3600)

    runner, url = await serve(silent)
    try:
        loop = asyncio.get_running_loop()
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
            started = loop.time()
            with pytest.raises(TimeoutError):
                await session.post(url)
            assert loop.time() - started == pytest.approx(30, abs=1.5)  # aiohttp rounds long timeouts up
    finally:
        await runner.cleanup()


async def test_the_clock_does_not_jump_while_a_thread_works():
    loop = asyncio.get_running_loop()
    timer = loop.create_task(asyncio.sleep(3600))
    started = loop.time()
    await asyncio.to_thread(time.sleep, 0.05)
    assert loop.time() - started < 1
    assert not timer.done()
    await timer


async def test_a_thread_may_wait_for_a_timer_of_the_loop():
    loop = asyncio.get_running_loop()

    def in_thread():
        return asyncio.run_coroutine_threadsafe(asyncio.sleep(0.05, "done"), loop).result(5)

    assert await asyncio.to_thread(in_thread) == "done"


async def test_a_token_bucket_of_three_minutes():
    loop = asyncio.get_running_loop()
    limiter = AsyncLimiter(1, 0.6)
    started = loop.time()
    for _ in range(301):
        await limiter.acquire()
    assert loop.time() - started == pytest.approx(180, rel=1e-6)


async def test_waits_below_the_resolution_of_the_clock_come_to_an_end():
    loop = asyncio.get_running_loop()
    until = loop.time() + 1e-8
    while loop.time() < until:  # noqa: ASYNC110 - the busy wait is what is tested
        await asyncio.sleep(1e-18)


def test_sync_tests_are_untouched():
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of each connection what has arrived")
def test_bytes_on_their_way_are_seen(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as one:
        other, _ = server.accept()
        with other:
            ends = [server.fileno(), one.fileno(), other.fileno()]
            known = Loopback()
            one.sendall(b"x" * 1_000)
            assert known.delivery(ends) is Delivery.DONE
            assert known.delivery(ends[:2]) is Delivery.UNKNOWN
            ask = loopback._information
            late = {other.fileno(): 1}

            def overtaken(connection):
                told = bytearray(ask(connection))
                (received,) = struct.unpack_from("Q", told, 128)
                struct.pack_into("Q", told, 128, received - late.get(connection.fileno(), 0))
                return bytes(told)

            monkeypatch.setattr(loopback, "_information", overtaken)
            assert known.delivery(ends) is Delivery.UNDER_WAY
            late.clear()
            assert known.delivery(ends) is Delivery.DONE
            known.forget_all()
            assert one.send(b"x") == 1


async def test_the_clock_waits_for_bytes_on_their_way(monkeypatch):
    """A jump before they have arrived would end this with a timeout."""
    asked, arrive, gone = [], [], asyncio.Event()

    def delivery(_self, _descriptors):
        asked.append(1)
        if len(asked) == 20:
            arrive[0].write(b"late")
        return Delivery.UNDER_WAY if len(asked) < 20 else Delivery.DONE

    async def connected(reader, writer):
        arrive.append(writer)
        await reader.read()
        writer.close()
        await writer.wait_closed()
        gone.set()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        await asyncio.sleep(1)
        monkeypatch.setattr(Loopback, "delivery", delivery)
        async with asyncio.timeout(1):
            assert await reader.read(4) == b"late"
        assert len(asked) == 20
        writer.close()
        await writer.wait_closed()
        await gone.wait()
