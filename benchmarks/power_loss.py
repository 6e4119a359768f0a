"""Power is lost at random moments: what was acknowledged must be in what is left, in ledgers and outboxes.

    python benchmarks/power_loss.py [--rounds 500] [--traces 20] [--seed 1] [--only ledger|outbox]

``stopped``: a writer is stopped at a random moment, its database and log are copied, and the copy is opened and held
against what the writer had acknowledged. Such a copy also holds what was never synced. So ``traced``: a writer runs
under strace. From the trace of its system calls the files are put together as the disk surely has them, at every
acknowledgement: what was written and then synced, and of the rest none, or any part. Each such state is opened and
checked. That needs strace, and the right to trace.

The outbox acknowledges an order: it must be there. The ledger lets a request leave: then it must not say any more that
the server has the former content of these products, since from now on nobody knows.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from neuroon_async.api.models import Conversion, ConversionItem
from neuroon_async.ledger.sqlite import SQLiteLedger
from neuroon_async.outbox import ConversionOutbox

if TYPE_CHECKING:
    from collections.abc import Iterator

SHOP = "https://api.example shop_1"
IDS = [f"product-{number}" for number in range(40)]
STEPS = 60
"""How much a traced writer does."""
NOW = 1_700_000_000.0


# Writers: they say on a pipe what they promise, one line each, the moment after they may.


def tell(pipe: int, line: str) -> None:
    os.write(pipe, f"@{line}\n".encode())


async def write_orders(path: Path, pipe: int, steps: int) -> None:
    """``@42``: order 42 is safe."""
    numbers = count()

    async def shopper(outbox: ConversionOutbox) -> None:
        for number in numbers:
            if number >= steps:
                return
            lines = [ConversionItem("product", "log", 1, number)]
            order = Conversion(order_id=str(number), order_value=number, currency="EUR", conversions=lines)
            await outbox.enqueue(order)
            tell(pipe, str(number))

    async with ConversionOutbox(path, shop_id="shop_1") as outbox:
        await asyncio.gather(*(shopper(outbox) for _ in range(3)))


async def write_digests(path: Path, pipe: int, steps: int) -> None:
    """``@sent 7 3 4``: products 3 and 4 may be on their way in version 7. ``@held 7 3 4``: they have arrived."""
    rng = random.Random(steps)  # noqa: S311 - chance to repeat it by, as below
    ledger = SQLiteLedger(path, request_lifetime=0, clock=lambda: NOW)
    version = 0
    while version < steps:
        async with ledger.run(SHOP) as run:
            for _ in range(rng.randint(1, 20)):
                version += 1
                numbers = rng.sample(range(len(IDS)), rng.randint(1, 6))
                listed = f"{version} {' '.join(map(str, numbers))}"
                await run.invalidate([IDS[number] for number in numbers])
                tell(pipe, f"sent {listed}")
                if rng.random() < 0.8:
                    await run.record({IDS[number]: digest(version, number) for number in numbers})
                    tell(pipe, f"held {listed}")


def digest(version: int, number: int) -> bytes:
    return version.to_bytes(8, "big") + number.to_bytes(8, "big")


# What must hold of a file after the power is back


def check_outbox(path: Path, told: list[str]) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    stored = asyncio.run(_orders_in(path))
    lost = set(told) - stored
    assert not lost, f"acknowledged and lost: {sorted(lost)}"


async def _orders_in(path: Path) -> set[str]:
    async with ConversionOutbox(path, shop_id="shop_1") as outbox:
        leased = await outbox._store.lease("me", 60.0, 3600.0, 100_000)  # noqa: SLF001 - as delivery sees them
    return {each.order_id for each in leased}


def check_ledger(path: Path, told: list[str]) -> None:
    """No product is believed to be in a version that may have been overwritten since."""
    may_hold: dict[int, int] = {}
    for line in told:
        _, version, *numbers = line.split()
        may_hold |= dict.fromkeys(map(int, numbers), int(version))
    if not path.exists() and not told:
        return
    believed = asyncio.run(_believed(path, len(told)))
    wrong = {number: version for number, version in believed.items() if version != may_hold.get(number)}
    assert not wrong, f"believed to be held: {wrong}; what may be: {may_hold}"


async def _believed(path: Path, versions: int) -> dict[int, int]:
    believed: dict[int, int] = {}
    async with SQLiteLedger(path, request_lifetime=0, clock=lambda: NOW).run(SHOP) as run:
        for version in range(1, versions + 1):
            unchanged = await run.unchanged({each: digest(version, number) for number, each in enumerate(IDS)})
            believed |= {IDS.index(each): version for each in unchanged}
    return believed


KINDS = {"outbox": (write_orders, check_outbox), "ledger": (write_digests, check_ledger)}


# Stopped: all that was written is there, synced or not


def stopped(kind: str, rounds: int, rng: random.Random, ends: float) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    write, check = KINDS[kind]
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            if time.monotonic() > ends:
                break
            source = Path(folder, f"{number}.sqlite3")
            reading, writing = os.pipe()
            writer = os.fork()
            if writer == 0:
                os.close(reading)  # so that it ends by itself when this process does
                try:
                    asyncio.run(write(source, writing, 100_000))
                finally:
                    os._exit(1)
            os.close(writing)
            after = rng.randrange(60)  # acknowledgements, and then some time
            told = _read(reading, after)
            time.sleep(rng.expovariate(1 / 0.003))
            os.kill(writer, signal.SIGSTOP)
            os.waitpid(writer, os.WUNTRACED)
            told += _rest(reading)
            copy = Path(folder, f"{number}-copy.sqlite3")
            for suffix in ("", "-wal"):
                if Path(f"{source}{suffix}").exists():
                    shutil.copyfile(f"{source}{suffix}", f"{copy}{suffix}")
            os.kill(writer, signal.SIGKILL)
            os.waitpid(writer, 0)
            os.close(reading)
            check(copy, told)
            outcomes["stopped"] += 1
            outcomes["acknowledged"] += len(told)
            for left in Path(folder).iterdir():
                left.unlink()
    return outcomes


def _read(pipe: int, lines: int) -> list[str]:
    """At least so many; none at all where the writer has ended."""
    text = b""
    while text.count(b"\n") < lines and (more := os.read(pipe, 65_536)):
        text += more
    return [line[1:] for line in text.decode().splitlines()]


def _rest(pipe: int) -> list[str]:
    text = b""
    while select.select([pipe], [], [], 0)[0] and (more := os.read(pipe, 65_536)):
        text += more
    return [line[1:] for line in text.decode().splitlines()]


# Traced: what was synced is there, and nothing else for sure

_CALL = re.compile(r"^(?:\[pid +)?(?P<pid>\d+)\]? +(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+)")
_UNFINISHED = re.compile(r"^(?:\[pid +)?(?P<pid>\d+)\]? +(?P<text>\w+\(.*) <unfinished \.\.\.>$")
_RESUMED = re.compile(r"^(?:\[pid +)?(?P<pid>\d+)\]? +<\.\.\. \w+ resumed>(?P<text>.*)$")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_CALLS = "openat,close,pwrite64,write,fsync,fdatasync,ftruncate,unlink,rename"


@dataclass(slots=True)
class OneFile:
    """A file as it was at its last sync, and what was done to it since."""

    synced: bytes = b""
    since: list[tuple[int, bytes | None]] = field(default_factory=list)
    """(place, bytes), or (length, nothing) where it was cut off."""
    named: bool = False
    """Is its name in its folder on the disk?"""

    def sync(self) -> None:
        self.synced, self.since = self.with_changes(self.since), []

    def with_changes(self, changes: list[tuple[int, bytes | None]]) -> bytes:
        content = bytearray(self.synced)
        for place, data in changes:
            if data is None:
                del content[place:]
                content.extend(bytes(max(0, place - len(content))))
            else:
                content.extend(bytes(max(0, place + len(data) - len(content))))
                content[place : place + len(data)] = data
        return bytes(content)


class Disk:
    """What a trace did to the files of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, OneFile] = {}
        self.syncs = 0
        self._opened: dict[int, str] = {}

    def play(self, calls: Iterator[tuple[str, str, int]]) -> Iterator[str]:
        """Gives what the writer acknowledged, each at the moment when it did."""
        for name, arguments, result in calls:
            if result < 0:
                continue
            match name:
                case "openat":
                    self._open(_bytes_of(arguments).decode(), arguments, result)
                case "close":
                    self._opened.pop(int(arguments), None)
                case "write" if int(arguments.split(",")[0]) not in self._opened:
                    text = _bytes_of(arguments)
                    if text.startswith(b"@"):
                        yield text.decode().strip()[1:]
                case "unlink":
                    self.files.pop(_bytes_of(arguments).decode(), None)
                case _:
                    self._change(name, arguments)

    def _open(self, path: str, arguments: str, descriptor: int) -> None:
        if path == str(self.folder) or path.startswith(f"{self.folder}/"):
            self._opened[descriptor] = path
            if path != str(self.folder):
                file = self.files.setdefault(path, OneFile())
                if "O_TRUNC" in arguments:
                    file.since.append((0, None))

    def _change(self, name: str, arguments: str) -> None:
        path = self._opened.get(int(arguments.split(",", maxsplit=1)[0]))
        if path is None:
            return
        if name in {"fsync", "fdatasync"}:
            self.syncs += 1
            if path == str(self.folder):
                for file in self.files.values():
                    file.named = True
            else:
                self.files[path].sync()
        elif name == "pwrite64":
            self.files[path].since.append((int(arguments.rsplit(",", 1)[1]), _bytes_of(arguments)))
        elif name == "ftruncate":
            self.files[path].since.append((int(arguments.rsplit(",", 1)[1]), None))
        else:
            raise AssertionError(f"{name} of {path} is not understood")

    def left(self, rng: random.Random | None) -> dict[str, bytes]:
        """What a power cut leaves: what was synced, and of the rest nothing, or with ``rng`` any part."""
        found = {}
        for path, file in self.files.items():
            kept = [] if rng is None else [change for change in file.since if rng.random() < 0.5]
            if file.named or rng is not None:
                found[path] = file.with_changes(kept)
        return found


def _bytes_of(arguments: str) -> bytes:
    found = _TEXT.search(arguments)
    assert found, arguments
    return bytes.fromhex(found[1].replace("\\x", ""))


def calls_of(trace: Path) -> Iterator[tuple[str, str, int]]:
    """Name, arguments and result, in the order in which the calls ended."""
    begun: dict[str, str] = {}
    for line in trace.read_text().splitlines():
        if unfinished := _UNFINISHED.match(line):
            begun[unfinished["pid"]] = unfinished["text"]
            continue
        if resumed := _RESUMED.match(line):
            line = f"{resumed['pid']} {begun.pop(resumed['pid'])}{resumed['text']}"  # noqa: PLW2901 - the whole line
        if call := _CALL.match(line):
            yield call["name"], call["arguments"], int(call["result"])


def traced(kind: str, traces: int, rng: random.Random, ends: float) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    for _ in range(traces):
        if time.monotonic() > ends:
            break
        with tempfile.TemporaryDirectory() as folder:
            place, trace = Path(folder, "files"), Path(folder, "trace")
            place.mkdir()
            _run_traced(kind, place, trace, rng.randrange(STEPS // 2, STEPS))
            disk, told, again = Disk(place), [], Path(folder, "again")
            for line in disk.play(calls_of(trace)):
                told.append(line)
                for chance in (None, random.Random(rng.random())):  # noqa: S311
                    _lay_down(disk.left(chance), again)
                    KINDS[kind][1](again / "file", told)
                    outcomes["states checked"] += 1
            outcomes |= {"acknowledged": outcomes["acknowledged"] + len(told), "syncs": outcomes["syncs"] + disk.syncs}
            outcomes["traces"] += 1
    return outcomes


def _run_traced(kind: str, place: Path, trace: Path, steps: int) -> None:
    writer = [sys.executable, __file__, "--write", kind, str(place / "file"), str(steps)]
    command = ["strace", "-f", "-xx", "-s", "1000000", "-e", f"trace={_CALLS}", "-o", str(trace), *writer]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _lay_down(files: dict[str, bytes], folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path, content in files.items():
        if not path.endswith("-shm"):  # memory, which a power cut takes
            (folder / Path(path).name).write_bytes(content)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--traces", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="of each kind at most")
    parser.add_argument("--only", choices=sorted(KINDS))
    parser.add_argument("--write", nargs=3, metavar=("KIND", "FILE", "STEPS"), help="be a writer that is traced")
    options = parser.parse_args()
    if options.write:
        kind, path, steps = options.write
        asyncio.run(KINDS[kind][0](Path(path), 1, int(steps)))
        return
    for kind in KINDS:
        if options.only in {None, kind}:
            report(f"{kind}, stopped", options.rounds, stopped, kind, options)
            if shutil.which("strace"):
                report(f"{kind}, traced", options.traces, traced, kind, options)
            else:
                print(f"{kind}, traced: strace is not installed")


def report(title: str, rounds: int, work, kind: str, options: argparse.Namespace) -> None:
    started = time.monotonic()
    outcome = work(kind, rounds, random.Random(options.seed), started + options.seconds)  # noqa: S311
    figures = ", ".join(f"{number:,} {what}" for what, number in outcome.items())
    print(f"{title}: {figures}, nothing lost, in {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
