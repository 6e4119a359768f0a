"""Under gunicorn and under Celery: the module is imported first, then the server forks its workers.

Both are the real ones. Their workers share one budget through a file, and nobody sees a 429.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.request import urlopen

import pytest

from neuroon_async import RateLimit
from neuroon_async.testing import Emulator

T = TypeVar("T")

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")]

LIMIT = RateLimit(40, per=1.5)
LIMITER = """
from neuroon_async import MachineLimiter, NeuroonClient, RateLimit, RetryPolicy, blocking

limit = RateLimit(40, per=1.5)
limiter = MachineLimiter(
    "limits", shop_id="shop_test", rate_limits={"shop": limit, "sync_products": limit}, latency=1.0
)
client = NeuroonClient.from_env(limiter=limiter, retry=RetryPolicy(attempts=1))  # before the fork, and not yet used
"""
APP = """
import os
from typing import Annotated

from fastapi import Depends, FastAPI

from neuroon_async.integrations.starlette import get_client, neuroon_lifespan

app = FastAPI(lifespan=neuroon_lifespan(client))


@app.get("/shop")
async def shop(client: Annotated[NeuroonClient, Depends(get_client)]) -> dict[str, int | None]:
    return {"worker": os.getpid(), "products": (await client.shop()).max_products}
"""
TASKS = """
import os

from celery import Celery

app = Celery("shop_tasks", broker="filesystem://")
app.conf.broker_transport_options = {"data_folder_in": "queue", "data_folder_out": "queue", "polling_interval": 0.02}


@app.task
def sync(number):
    product = {"externalId": f"{os.getpid()}-{number}", "name": "Tea", "price": 1, "url": "https://shop.example/t"}
    return blocking.run(client.products.sync([product]), timeout=30).accepted


if __name__ == "__main__":
    for number in range(50):
        sync.delay(number)
"""


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    limits = {"shop": LIMIT, "sync_products": LIMIT}
    with Emulator.in_thread("shop_test", rate_limits=limits, latency=0.01, jitter=0.01) as running:
        yield running


@contextmanager
def running(folder: Path, emulator: Emulator, *command: str) -> Iterator[Path]:
    """The server while the block runs, then ended as an operator ends it. Gives the file that it writes to."""
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=folder, env=environment(emulator), stdout=output, stderr=output
        )
        try:
            yield log
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0, log.read_text()
        finally:
            process.kill()
            process.wait()


def environment(emulator: Emulator) -> dict[str, str]:
    return os.environ | {
        "NEUROON_API_URL": emulator.url,
        "NEUROON_API_KEY": emulator.api_key,
        "NEUROON_SHOP_ID": emulator.shop_id,
    }


def eventually(look: Callable[[], T]) -> T:
    ends = time.monotonic() + 30
    while not (found := look()):
        assert time.monotonic() < ends
        time.sleep(0.02)
    return found


def complaints(log: Path) -> list[str]:
    return re.findall("(?:Traceback|Unclosed|never awaited|UsageError).*", log.read_text())


def test_gunicorns_workers_share_one_budget(tmp_path, emulator):
    pytest.importorskip("gunicorn")
    pytest.importorskip("uvicorn_worker")
    (tmp_path / "shop_app.py").write_text(LIMITER + APP)
    command = "-m gunicorn shop_app:app --preload --workers 4 -k uvicorn_worker.UvicornWorker --bind 127.0.0.1:0"
    with running(tmp_path, emulator, *command.split()) as log:
        address = eventually(lambda: re.search(r"Listening at: (http://[0-9.:]+)", log.read_text()))[1]
        eventually(lambda: log.read_text().count("Application startup complete") == 4)

        def ask(_: int) -> int:  # a new connection each time, so that every worker gets some
            with urlopen(f"{address}/shop", timeout=30) as answer:
                return json.load(answer)["worker"]

        started = time.monotonic()
        with ThreadPoolExecutor(16) as threads:
            workers = Counter(threads.map(ask, range(100)))
        assert time.monotonic() - started >= 2 * LIMIT.per  # two windows full, and a part of the third
    assert len(workers) > 1
    assert [request.status for request in emulator.requests] == [200] * 100
    assert complaints(log) == []


def test_celerys_workers_share_one_budget(tmp_path, emulator):
    pytest.importorskip("celery")
    (tmp_path / "shop_tasks.py").write_text(LIMITER + TASKS)
    (tmp_path / "queue").mkdir()
    command = "-m celery -A shop_tasks worker --pool prefork --concurrency 3 --without-gossip --without-mingle"
    subprocess.run([sys.executable, "shop_tasks.py"], cwd=tmp_path, env=environment(emulator), check=True, timeout=60)
    with running(tmp_path, emulator, *command.split()) as log:
        eventually(lambda: len(emulator.products) == 50 or complaints(log))
    assert complaints(log) == []
    assert [request.status for request in emulator.requests] == [200] * 50
    assert len({product.partition("-")[0] for product in emulator.products}) > 1


WORKERS = """
import asyncio, os, sys
from redis.asyncio import Redis
from neuroon_async import RateLimit
from neuroon_async.integrations.redis import RedisLimiter

redis = Redis(unix_socket_path=sys.argv[1])
limiter = RedisLimiter(redis, shop_id="shop_test", prefix=sys.argv[2], rate_limits={"shop": RateLimit(9, per=60.0)})

async def work():
    (await limiter.acquire("shop")).answered({})
    await limiter.aclose()
    known = await redis.zcard(sys.argv[2] + ":{shop_test}:shop:processes")
    await redis.aclose()
    return known

for _ in range(2):
    if os.fork() == 0:
        asyncio.run(work())
        os._exit(0)
    os.wait()
print(asyncio.run(work()))
"""


def test_workers_forked_with_one_limiter_are_told_apart_in_redis(redis_server):
    """Taken for one, none waits for the others after an outage of Redis, to hear what they used meanwhile."""
    pytest.importorskip("redis", reason="needs the extra 'redis'")
    command = [sys.executable, "-c", WORKERS, redis_server.socket, f"test-{uuid.uuid4().hex}"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert told.stdout == "3\n"
