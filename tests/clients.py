"""A client of an emulator, for tests."""

from __future__ import annotations

from typing import Any

from neuroon_async import NeuroonClient
from neuroon_async.testing import Emulator


def client_of(emulator: Emulator, **options: Any) -> NeuroonClient:
    """A client with the limits and pauses of production: `Emulator.client` has neither."""
    credentials = {"shop_id": emulator.shop_id, "api_key": emulator.api_key, "base_url": emulator.url}
    return NeuroonClient(**credentials | options)
