"""What every test shares: the choice of event loop, and how hard Hypothesis searches."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable, Mapping

import pytest
from hypothesis import HealthCheck, settings
from virtual_time import VirtualTimeLoop

_SHARED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("default", max_examples=50, **_SHARED)
settings.register_profile("ci", max_examples=100, derandomize=True, print_blob=True, **_SHARED)
settings.register_profile("thorough", max_examples=5_000, **_SHARED)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "default"))


def pytest_collection_finish() -> None:
    """What was imported stays: the garbage collector need not walk through all of it again in every test that asks."""
    gc.collect()
    gc.freeze()


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests marked ``virtual_time`` get the jumping clock; all others an ordinary loop. Names stay as they are."""
    if item.get_closest_marker("virtual_time") is not None:
        return {"virtual_time": VirtualTimeLoop}
    return {"real_time": asyncio.new_event_loop}
