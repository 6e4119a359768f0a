"""The emulator for every test beside this file: ``neuroon_emulator``, ``neuroon_environment``, ``neuroon_client``."""

import pytest
from app import create_app
from fastapi import FastAPI

from neuroon_async import RetryPolicy

pytest_plugins = ["neuroon_async.testing.pytest_plugin"]

NO_WAITING = RetryPolicy(attempts=3, initial=0.0)


@pytest.fixture
def app(neuroon_environment: dict[str, str]) -> FastAPI:  # noqa: ARG001 - sets the variables
    """The app under test. Its client reads the environment, which leads to the emulator."""
    return create_app(retry=NO_WAITING)
