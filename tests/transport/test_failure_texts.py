"""What a failed request says: the library's text, without the objects in it."""

from __future__ import annotations

import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from neuroon_async.transport.failures import explain


@pytest.mark.parametrize("verifies", [True, False, ssl.create_default_context()])
def test_a_refused_connection_is_told_without_the_object_that_verifies(verifies):
    key = ConnectionKey(
        "shop.example", 443, is_ssl=True, ssl=verifies, proxy=None, proxy_auth=None, proxy_headers_hash=None
    )
    error = aiohttp.ClientConnectorError(key, ConnectionRefusedError(111, "Connection refused"))
    told = explain(error, str, connected=False).what
    assert told.startswith("cannot connect: ")
    assert "Cannot connect to host shop.example:443 [Connection refused]" in told
