"""What is logged of a request: one line, the shop in it, no content; and ``NEUROON_LOG``."""

import logging
import re

import clients
import pytest

from neuroon_async import NeuroonClient, NeuroonError, Product, RetryPolicy
from neuroon_async.instrumentation.log_lines import set_up_from_env
from neuroon_async.testing import Fault

PRODUCT = Product(external_id="A", name="Secret tea", price=1, url="https://shop.example/a")


def client_of(emulator, **options):
    return clients.client_of(emulator, **{"retry": RetryPolicy(attempts=2, initial=0.0)} | options)


async def test_every_request_is_one_line_without_its_content(emulator, caplog):
    caplog.set_level(logging.DEBUG, logger="neuroon_async")
    emulator.fail("shop", Fault.status(503, "Secret words"))
    emulator.fail("verification_data", Fault.drop())
    async with client_of(emulator) as client:
        await client.products.sync_batch([PRODUCT])
        await client.shop()
        await client.domain.verification_data()
        with pytest.raises(NeuroonError):
            await client.products.delete(emulator.api_key)  # a product may be called like the key
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.DEBUG]
    base = f"{emulator.shop_id}: "
    patterns = [
        r"POST \S+/products/sync -> 200 in \d+ ms, 1\d\d bytes sent, \d+ received, request req_\w+",
        r"GET /api/plugin/shops/me -> 503 ServerError in \d+ ms, 0 bytes sent, request req_\w+",
        r"GET /api/plugin/shops/me -> 200 in \d+ ms, 0 bytes sent, \d+ received, attempt 2, request req_\w+",
        r"GET \S+/verification-data -> ConnectionFailed in \d+ ms, 0 bytes sent",
        r"GET \S+/verification-data -> 200 in \d+ ms, 0 bytes sent, \d+ received, attempt 2, request req_\w+",
        r"DELETE \S+/products/\[API key\] -> 404 NotFound in \d+ ms, 0 bytes sent, request req_\w+",
    ]
    assert len(lines) == len(patterns)
    for line, pattern in zip(lines, patterns, strict=True):
        assert re.fullmatch(base + pattern, line), line
    assert "Secret tea" not in caplog.text
    assert emulator.api_key not in caplog.text
    assert all(record.getMessage().startswith(base) for record in caplog.records)


async def test_no_line_is_made_that_nobody_sees(emulator, monkeypatch):
    monkeypatch.setattr("neuroon_async.transport.transport.log_request", None)
    async with client_of(emulator) as client:
        await client.shop()


@pytest.fixture
def logger(monkeypatch):
    """The SDK's logger as it is in a program that has set up nothing."""
    fresh = logging.Logger("neuroon_async")  # noqa: LOG001 - one without parents
    monkeypatch.setattr("neuroon_async.instrumentation.log_lines.LOGGER", fresh)
    return fresh


@pytest.mark.parametrize(("value", "level"), [("debug", logging.DEBUG), (" INFO ", logging.INFO)])
def test_the_variable_sets_the_level_and_a_handler_where_there_is_none(logger, value, level):
    for _ in range(2):
        set_up_from_env({"NEUROON_LOG": value})
    assert logger.level == level
    assert len(logger.handlers) == 1


def test_a_programs_own_handler_stays_the_only_one(logger):
    logger.handlers.append(logging.NullHandler())
    set_up_from_env({"NEUROON_LOG": "debug"})
    assert len(logger.handlers) == 1
    assert logger.level == logging.DEBUG


def test_without_the_variable_nothing_changes(logger):
    set_up_from_env({})
    assert (logger.handlers, logger.level) == ([], logging.NOTSET)


def test_another_value_is_warned_of_and_changes_nothing(logger):
    with pytest.warns(UserWarning, match="NEUROON_LOG must be one of debug, info, warning, error, got 'loud'"):
        set_up_from_env({"NEUROON_LOG": "loud"})
    assert logger.handlers == []


def test_a_client_follows_the_variable(logger, monkeypatch):
    monkeypatch.setenv("NEUROON_LOG", "debug")
    NeuroonClient(shop_id="s", api_key="sk_" + "0" * 32)
    assert logger.level == logging.DEBUG
