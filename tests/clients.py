"""A client of an emulator, and a server that says what a test has it say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from neuroon_async import NeuroonClient
from neuroon_async.testing import Emulator


def client_of(emulator: Emulator, **options: Any) -> NeuroonClient:
    """A client with the limits and pauses of production: `Emulator.client` has neither."""
    credentials = {"shop_id": emulator.shop_id, "api_key": emulator.api_key, "base_url": emulator.url}
    return NeuroonClient(**credentials | options)


@asynccontextmanager
async def serving(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """The address of a server on loopback that has ``serve`` answer each connection."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
