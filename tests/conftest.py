"""What every test shares: the choice of event loop, how hard Hypothesis searches, and what counts as slow."""

from __future__ import annotations

import asyncio
import gc
import os
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from measured import leave_children_unmeasured, unmeasured
from memory import keep_files_in_memory
from virtual_time import VirtualTimeLoop

from neuroon_async.testing import Emulator

if TYPE_CHECKING:
    import trustme

_SHARED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
_IN_CI = bool(os.environ.get("CI"))
settings.register_profile("default", max_examples=50, **_SHARED)
settings.register_profile("quick", max_examples=10, derandomize=_IN_CI, **_SHARED)
settings.register_profile("ci", max_examples=100, derandomize=True, print_blob=True, **_SHARED)
settings.register_profile("thorough", max_examples=5_000, **_SHARED)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if _IN_CI else "default"))

leave_children_unmeasured()
keep_files_in_memory()

_OWN_AUTHORITIES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
for _name in _OWN_AUTHORITIES:  # each client of the command would read all that is in there
    os.environ.pop(_name, None)

_load_default_certs = ssl.SSLContext.load_default_certs


def _load_own_authorities_only(self: ssl.SSLContext, purpose: ssl.Purpose = ssl.Purpose.SERVER_AUTH) -> None:
    if any(name in os.environ for name in _OWN_AUTHORITIES):
        _load_default_certs(self, purpose)


# Nothing outside of this machine is asked, and to read the system's authorities takes 30 ms for each context.
ssl.SSLContext.load_default_certs = _load_own_authorities_only


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """The emulated API in the test's own loop, without rate limits. A module may shadow it with one of its own."""
    async with Emulator(algorithm="off") as running:
        yield running


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    """The file of the module's own certificate authority, its fixture ``authority``."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests marked ``virtual_time`` get the jumping clock; all others an ordinary loop. Names stay as they are."""
    if item.get_closest_marker("virtual_time") is not None:
        return {"virtual_time": VirtualTimeLoop}
    return {"real_time": asyncio.new_event_loop}


# What is slow

_REAL_SERVERS = {"redis_server", "mortal_redis_server", "redis_cluster", "postgresql"}
"""Fixtures that start a server. A test that asks for one of them by name is slow without being marked."""
_NEIGHBOURS = Path(__file__).parent / "integrations"
_STARTS_A_PROCESS = {"subprocess.Popen", "os.fork", "os.posix_spawn"}

_running: pytest.Item | None = None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests come first, so that no worker is left alone with one when the others have finished."""
    for item in items:
        if _REAL_SERVERS.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.real_server)
        if item.path.parent == _NEIGHBOURS:
            item.add_marker(pytest.mark.neighbours)
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One more than there are processors where slow tests wait for their processes: each worker collects all files."""
    return (os.cpu_count() or 1) + ("not slow" not in config.option.markexpr)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, object, object]:
    """Nearly all that collecting makes stays: to look for garbage in it again and again takes an eighth of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    _leave_out_what_stays()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, object, object]:
    global _running  # noqa: PLW0603 - an audit hook can be told nothing else
    _running = item
    try:
        return (yield)
    finally:
        _running = None
        if nextitem is not None and nextitem.path != item.path:
            _leave_out_what_stays()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Tests that repeat at length what others do once go unmeasured: those of Hypothesis, and the slow ones.

    A real server is met by slow tests alone, so these are measured.
    """
    marks = {mark.name for mark in item.iter_markers()}
    if marks & {"hypothesis", "slow"} and "real_server" not in marks:
        with unmeasured():
            return (yield)
    return (yield)


def _leave_out_what_stays() -> None:
    """What was imported or cached stays: the garbage collector need not walk through it in every test that asks."""
    gc.collect()
    gc.freeze()


def _refuse_processes(event: str, _arguments: tuple[object, ...]) -> None:
    if event in _STARTS_A_PROCESS and _running is not None and _running.get_closest_marker("slow") is None:
        raise AssertionError(f"{_running.nodeid} starts a process: mark it slow, so that `make quick` leaves it out")


sys.addaudithook(_refuse_processes)
