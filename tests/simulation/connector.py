"""How the client's connections come about in the simulation: over the running loop, to the host that plays the API."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

__all__ = ["SimulatedConnector"]


class SimulatedConnector(aiohttp.BaseConnector):
    """All that aiohttp's own connector is, but for the socket: whatever address is asked for, ``host`` answers."""

    def __init__(self, host: str) -> None:
        super().__init__(limit=128, keepalive_timeout=30.0)
        self._host = host

    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Any],
        timeout: aiohttp.ClientTimeout,
    ) -> ResponseHandler:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout.sock_connect):
                _, protocol = await loop.create_connection(self._factory, self._host, req.url.port)
        except TimeoutError as error:
            if error.errno is None:
                raise
            raise aiohttp.ClientConnectorError(req.connection_key, error) from error
        except OSError as error:
            raise aiohttp.ClientConnectorError(req.connection_key, error) from error
        return protocol

    @property
    def in_use(self) -> int:
        """Connections that a request has and has not given back."""
        return len(self._acquired)
