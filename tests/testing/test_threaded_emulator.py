"""The emulator in a thread of its own, and waiting for what happens in it."""

import asyncio
import gc
import json
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from neuroon_async import NeuroonClient, RateLimit
from neuroon_async.errors import UsageError
from neuroon_async.testing import DOCUMENTED_RATE_LIMITS, Emulator, Fault, ThreadedEmulator
from neuroon_async.testing.snapshots import SnapshotDict

SHOP = "/api/plugin/shops/shop_test"


def products(count, prefix="P"):
    return [
        {"externalId": f"{prefix}-{number}", "name": "Tea", "price": 4.5, "url": "https://shop.example/tea"}
        for number in range(count)
    ]


def post(emulator, path, document):
    """A request as plain, blocking code makes it."""
    headers = {"X-Shop-API-Key": emulator.api_key, "Content-Type": "application/json"}
    request = urllib.request.Request(emulator.url + path, json.dumps(document).encode(), headers)
    with urllib.request.urlopen(request, timeout=5) as response:
        return json.load(response)


def sync(emulator, items):
    return post(emulator, f"{SHOP}/products/sync", {"syncType": "INCREMENTAL", "products": items})


def emulator_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("emulator of")]


def test_blocking_code_talks_to_it():
    with Emulator.in_thread() as emulator:
        assert isinstance(emulator, ThreadedEmulator)
        assert sync(emulator, products(2))["newProducts"] == 2
        assert list(emulator.products) == ["P-0", "P-1"]
        assert [request.endpoint for request in emulator.requests] == ["sync_products"]
    assert emulator_threads() == []
    assert len(emulator.products) == 2  # the state can be read afterwards


def test_options_are_those_of_the_emulator():
    with Emulator.in_thread("shop_mine", rate_limits=None, shop_name="Mine") as emulator:
        assert (emulator.shop_id, emulator.shop.name) == ("shop_mine", "Mine")
    with pytest.raises(TypeError, match="no_such_option"):
        Emulator.in_thread(no_such_option=1)


def test_it_stops_and_starts_again_on_its_port():
    with Emulator.in_thread() as emulator:
        port = emulator.port
        sync(emulator, products(1))
        emulator.stop()
        emulator.stop()
        assert emulator_threads() == []
        with pytest.raises(OSError):
            sync(emulator, products(1))
        emulator.start()
        assert emulator.port == port
        assert sync(emulator, products(1))["updatedProducts"] == 1
        with pytest.raises(UsageError, match="already running"):
            emulator.start()


def test_what_needs_it_to_run_says_so():
    emulator = Emulator.in_thread()
    for what_is_known in (emulator.client, lambda: emulator.environment):
        with pytest.raises(UsageError, match="the emulator has no address before it is started; start it"):
            what_is_known()
    for counted in (emulator.remaining, emulator.spend):
        with pytest.raises(UsageError, match=r"<Emulator of 'shop_test', stopped> has no clock to count by; start it"):
            counted("sync_products")
    with emulator:
        assert (emulator.spend("sync_products", 3), emulator.remaining("sync_products")) == (3, 97)
        assert emulator.environment["NEUROON_API_URL"] == emulator.url
    with pytest.raises(UsageError, match="stopped"):
        emulator.remaining("sync_products")


def test_a_port_that_is_taken_leaves_no_thread():
    with Emulator.in_thread() as first, pytest.raises(OSError):
        Emulator.in_thread(port=first.port).start()
    assert emulator_threads() == []


def test_a_failing_hook_is_raised_at_the_end():
    def broken(_product):
        raise LookupError("the hook is broken")

    with (
        pytest.raises(ExceptionGroup, match="failed while answering") as caught,
        Emulator.in_thread(reject_item=broken) as emulator,
        pytest.raises(OSError),
    ):
        sync(emulator, products(1))
    assert caught.group_contains(LookupError)


def test_limits_and_faults_from_the_tests_thread():
    with Emulator.in_thread(rate_limits={"sync_products": RateLimit(3, per=60.0)}) as emulator:
        assert emulator.spend("sync_products", 2) == 2
        sync(emulator, products(1))
        with pytest.raises(OSError, match="429"):
            sync(emulator, products(1))
        emulator.set_limit("sync_products", None)
        rule = emulator.fail("sync_products", Fault.status(500), times=None)
        for _ in range(2):
            with pytest.raises(OSError, match="500"):
                sync(emulator, products(1))
        emulator.faults.remove(rule)
        sync(emulator, products(1))


def test_state_can_be_read_while_it_changes():
    with Emulator.in_thread(algorithm="off") as emulator, ThreadPoolExecutor(4) as threads:
        batches = [threads.submit(sync, emulator, products(200, f"B{number}")) for number in range(20)]
        while not all(batch.done() for batch in batches):
            for external_id, stored in emulator.products.items():
                assert stored["externalId"] == external_id
            assert len(list(emulator.products)) <= len(set(emulator.products))
            assert all(request.endpoint == "sync_products" for request in emulator.requests)
        assert [batch.result()["failed"] for batch in batches] == [0] * 20
        assert len(emulator.products) == 4_000


def test_a_snapshot_dict_is_an_ordinary_dict_otherwise():
    plain = {"a": 1, "b": 2}
    mine = SnapshotDict(plain)
    assert mine == plain
    assert (list(mine), list(mine.values()), list(mine.items())) == (["a", "b"], [1, 2], [("a", 1), ("b", 2)])
    assert mine.keys() - {"a"} == {"b"}
    assert dict(mine) == mine | {} == {**mine} == mine.copy() == plain
    assert json.dumps(mine) == json.dumps(plain)
    for key in mine:
        del mine[key]
    assert mine == {}


# Waiting


def test_a_plain_test_waits_for_what_an_app_does_later():
    with Emulator.in_thread() as emulator:
        later = threading.Timer(0.05, sync, (emulator, products(3)))
        later.start()
        assert emulator.wait_for(lambda: len(emulator.products)) == 3
        later.join()
        with pytest.raises(TimeoutError, match=r"did not happen within 0\.01 s \(1 requests in the log\)"):
            emulator.wait_for(lambda: "none" in emulator.products, timeout=0.01)
    with pytest.raises(UsageError, match=r"stopped.*start it first"):
        emulator.wait_for(lambda: True)


async def test_a_coroutine_waits_without_blocking_its_loop():
    with Emulator.in_thread() as emulator:
        async with emulator.client() as client:
            later = asyncio.create_task(client.products.sync(products(3)))
            assert await emulator.wait_for(lambda: len(emulator.products)) == 3
            await later
        await emulator.stop()
        await emulator.start()
        await emulator.wait_for(lambda: True)


async def test_it_may_be_entered_by_a_coroutine():
    async with Emulator.in_thread() as emulator, emulator.client() as client:
        assert (await client.products.sync_batch(products(1))).created == 1
    assert emulator_threads() == []


async def test_a_cancelled_wait_ends_in_the_emulator_too():
    with Emulator.in_thread() as emulator:
        waiting = asyncio.ensure_future(emulator.wait_for(lambda: False, timeout=None))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        emulator.wait_for(lambda: True, timeout=1.0).cancel()


@pytest.mark.virtual_time
async def test_waiting_is_woken_by_requests_not_by_a_clock():
    asked = 0

    def never():
        nonlocal asked
        asked += 1
        return False

    async with Emulator() as emulator, emulator.client() as client:
        waiting = asyncio.create_task(emulator.wait_for(never, timeout=60.0))
        await asyncio.sleep(30)
        assert asked == 1
        await client.shop()
        assert asked <= 4
        with pytest.raises(TimeoutError):
            await waiting


@pytest.mark.virtual_time
async def test_what_changed_elsewhere_is_seen_at_the_timeout():
    elsewhere = []
    async with Emulator() as emulator:
        waiting = asyncio.create_task(emulator.wait_for(lambda: elsewhere, timeout=60.0))
        await asyncio.sleep(1)
        elsewhere.append("done")
        assert await waiting == ["done"]


async def test_an_error_in_the_predicate_is_the_waiters():
    async with Emulator() as emulator:
        with pytest.raises(ZeroDivisionError):
            await emulator.wait_for(lambda: 1 / 0)


# A client of the emulator


async def test_its_client_neither_waits_nor_counts_unless_told_to():
    with Emulator.in_thread(algorithm="off") as emulator:
        emulator.fail("shop", Fault.status(503), times=4)
        started = time.monotonic()
        async with emulator.client() as client:
            await client.shop()
        assert time.monotonic() - started < 5  # with its ordinary pauses, 15
        assert client.limits() == {}
        async with emulator.client(rate_limits=DOCUMENTED_RATE_LIMITS) as strict:
            assert strict.limits().keys() == DOCUMENTED_RATE_LIMITS.keys()


async def test_its_environment_leads_a_client_there(monkeypatch):
    with Emulator.in_thread() as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        async with NeuroonClient.from_env() as client:
            assert (await client.shop()).max_products == 1_000_000


def test_a_forgotten_emulator_does_not_keep_the_process_alive():
    emulator = Emulator.in_thread()
    emulator.start()
    [thread] = emulator_threads()
    assert thread.daemon
    emulator.stop()
    gc.collect()
