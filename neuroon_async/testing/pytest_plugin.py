"""Fixtures for users' tests: ``pytest_plugins = ["neuroon_async.testing.pytest_plugin"]`` in the root ``conftest.py``.

Needs the extra ``testing``. The client neither waits between attempts nor keeps to rate limits, so tests are fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from ..client import NeuroonClient
from ..transport.retries import RetryPolicy
from .emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["neuroon_client", "neuroon_emulator"]


@pytest_asyncio.fixture
async def neuroon_emulator() -> AsyncIterator[Emulator]:
    """A fresh emulated Plugin API without rate limits; `Emulator` tells how to make it fail."""
    async with Emulator(algorithm="off") as emulator:
        yield emulator


@pytest_asyncio.fixture
async def neuroon_client(neuroon_emulator: Emulator) -> AsyncIterator[NeuroonClient]:
    """A client of the emulated shop."""
    async with NeuroonClient(
        shop_id=neuroon_emulator.shop_id,
        api_key=neuroon_emulator.api_key,
        base_url=neuroon_emulator.url,
        rate_limits=None,
        retry=RetryPolicy(initial=0.0),
    ) as client:
        yield client
