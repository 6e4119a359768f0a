"""Kill campaigns: processes die at random moments, round after round, and what is left is held against a model.

    python benchmarks/campaign.py [--rounds 200] [--seed 1] [--only ledger|redis|outbox] [--seconds S]

``ledger``: syncs with a ledger file are killed around a random write or at a random time, over a catalog that changes
all the while. After each death a whole run must bring the server exactly to the catalog, and a further one must send
nothing. ``redis``: the same for the ledger in Redis, in worse weather (`redis_campaign`). ``outbox``: two processes
that share a file sell, deliver and are killed together. Every acknowledged order must arrive in the end, and none with
two bodies.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests"
for folder in (TESTS, TESTS / "ledger", TESTS / "outbox"):
    sys.path.insert(0, str(folder))

from redis_campaign import redis_ledgers  # noqa: E402 - found through the path above
from sync.sync_shop import prices  # noqa: E402 - found through the path above
from test_ledger_crash import driven_shop  # noqa: E402 - found through the path above
from test_outbox import bodies_by_order, connected, crashing_shops, quick, settled  # noqa: E402 - found through the path above

from neuroon_async.testing import Emulator, Fault  # noqa: E402 - found through the path above

KILLED = -9


async def ledgers(rounds: int, rng: random.Random) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        async with driven_shop(Path(folder), latency=0.001) as (emulator, driver):
            price = 1.0
            for number in range(rounds):
                ids = [f"p{each:03}" for each in range(rng.randint(5, 150))]
                price += 1
                moment = {"die_at": rng.randrange(60)} if rng.random() < 0.5 else {"kill_after": rng.uniform(0, 0.2)}
                code = await driver.run(ids, price, delete_missing=True, **moment)
                outcomes["killed" if code == KILLED else "ended first"] += 1
                price -= rng.random() < 0.3  # sometimes back to what the ledger knew before
                assert await driver.run(ids, price, delete_missing=True) == 0
                assert prices(emulator) == dict.fromkeys(ids, price), f"round {number}: the server has something else"
                before = len(emulator.requests)
                assert await driver.run(ids, price, delete_missing=True) == 0
                outcomes["runs that sent again what was known"] += len(emulator.requests) != before
                assert prices(emulator) == dict.fromkeys(ids, price), f"round {number}: a second run changed it"
    return outcomes


async def outboxes(rounds: int) -> Counter[str]:
    with tempfile.TemporaryDirectory() as folder:
        path, log = Path(folder) / "outbox.sqlite3", Path(folder) / "acknowledged"
        async with Emulator(algorithm="off", latency=0.005) as emulator:
            emulator.fail("track_conversion", Fault.drop(processed=True), every=7)
            emulator.fail("track_conversion", Fault.status(503), every=11)
            sold = await crashing_shops(emulator, path, log, rounds)
            async with connected(emulator) as client, quick(path).delivering(client) as outbox:
                await settled(outbox, patience=600, pending=0, dead=0)
    lost = {number for number, _ in sold} - emulator.conversions.keys()
    twice = {number for number, bodies in bodies_by_order(emulator).items() if len(bodies) > 1}
    assert not lost, f"acknowledged and lost: {lost}"
    assert not twice, f"sent with two bodies: {twice}"
    return Counter({"killed": 2 * rounds, "acknowledged": len(sold), "lost": 0, "with two bodies": 0})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=["ledger", "redis", "outbox"])
    parser.add_argument("--seconds", type=float, default=math.inf, help="for redis: begin no round after this long")
    options = parser.parse_args()
    campaigns = {
        "ledger": lambda: ledgers(options.rounds, random.Random(options.seed)),  # noqa: S311 - a seed to repeat it by
        "redis": lambda: redis_ledgers(options.rounds, random.Random(options.seed), options.seconds),  # noqa: S311 - likewise
        "outbox": lambda: outboxes(options.rounds),
    }
    for name, campaign in campaigns.items():
        if options.only in {None, name}:
            started = time.monotonic()
            outcome = asyncio.run(campaign())
            figures = ", ".join(f"{count:,} {what}" for what, count in outcome.items())
            print(f"{name}: {options.rounds} rounds in {time.monotonic() - started:.0f} s: {figures}")


if __name__ == "__main__":
    main()
