"""Fixtures for users' tests: ``pytest_plugins = ["neuroon_async.testing.pytest_plugin"]`` in the root ``conftest.py``.

They work in plain tests, under pytest-asyncio (either mode) and under anyio's plugin on asyncio. Nothing in them
waits: no rate limits, no pauses between attempts.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any, Literal

from ..extras import NeedsExtra

with NeedsExtra("testing", __name__):
    import pytest

from .emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from ..client import NeuroonClient
    from .emulator import ThreadedEmulator

__all__ = ["neuroon_client", "neuroon_emulator", "neuroon_environment"]


LoopScope = Literal["function", "class", "module", "package", "session"]
_ASYNCIO_PLUGINS = ("asyncio", "pytest_asyncio", "pytest_asyncio.plugin")
"""What pytest-asyncio may be registered as: by its entry point, or by ``-p``."""


@pytest.fixture
def neuroon_emulator() -> Iterator[ThreadedEmulator]:
    """A fresh emulated Plugin API without rate limits, in a thread of its own."""
    with Emulator.in_thread(algorithm="off") as emulator:
        yield emulator


@pytest.fixture
def neuroon_environment(neuroon_emulator: ThreadedEmulator, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment variables that lead `NeuroonClient.from_env` to the emulator, set for this test."""
    for name, value in neuroon_emulator.environment.items():
        monkeypatch.setenv(name, value)
    return neuroon_emulator.environment


@pytest.fixture
def neuroon_client(request: pytest.FixtureRequest, neuroon_emulator: ThreadedEmulator) -> NeuroonClient:
    """A client of the emulated shop. An asynchronous test need not close it.

    A plain test has no event loop to close it in: there, use it as ``async with neuroon_client:``.
    """
    if "anyio_backend" in request.fixturenames:
        fixture = "_client_under_anyio"
    elif _is_asyncio_test(request):
        fixture = f"_client_in_{_loop_scope(request)}_loop"
    else:
        return neuroon_emulator.client()
    client: NeuroonClient = request.getfixturevalue(fixture)
    return client


def _is_asyncio_test(request: pytest.FixtureRequest) -> bool:
    if not any(map(request.config.pluginmanager.hasplugin, _ASYNCIO_PLUGINS)):
        return False
    return request.node.get_closest_marker("asyncio") is not None or inspect.iscoroutinefunction(request.function)


def _loop_scope(request: pytest.FixtureRequest) -> str:
    """Which event loop of pytest-asyncio's the test runs in: the client has to be closed in the same one."""
    marker = request.node.get_closest_marker("asyncio")
    named = None if marker is None else marker.kwargs.get("loop_scope")
    return named or request.config.getini("asyncio_default_test_loop_scope") or "function"


async def _open_client(neuroon_emulator: ThreadedEmulator) -> AsyncIterator[NeuroonClient]:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pytest.fail("neuroon_async needs asyncio: let the fixture anyio_backend return 'asyncio'", pytrace=False)
    async with neuroon_emulator.client() as client:
        yield client


@pytest.fixture
async def _client_under_anyio(
    anyio_backend: object,  # noqa: ARG001 - anyio runs the asynchronous fixtures that ask for it
    neuroon_emulator: ThreadedEmulator,
) -> AsyncIterator[NeuroonClient]:
    async for client in _open_client(neuroon_emulator):
        yield client


try:
    import pytest_asyncio
except ModuleNotFoundError:
    pass
else:

    def _client_fixture(loop_scope: LoopScope) -> Any:
        async def open_client(neuroon_emulator: ThreadedEmulator) -> AsyncIterator[NeuroonClient]:
            async for client in _open_client(neuroon_emulator):
                yield client

        return pytest_asyncio.fixture(open_client, loop_scope=loop_scope)

    _client_in_function_loop = _client_fixture("function")
    _client_in_class_loop = _client_fixture("class")
    _client_in_module_loop = _client_fixture("module")
    _client_in_package_loop = _client_fixture("package")
    _client_in_session_loop = _client_fixture("session")
