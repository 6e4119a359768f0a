"""A program may go to another folder, as a daemon does: a relative path goes on naming the file that it named first."""

from __future__ import annotations

import os
from decimal import Decimal

import pytest

from neuroon_async import (
    Conversion,
    ConversionItem,
    DeadLetterFile,
    MachineLimiter,
    ProductFailure,
    RateLimit,
    SQLiteLedger,
)
from neuroon_async.outbox import ConversionOutbox
from neuroon_async.testing import Emulator

TEA = {"externalId": "tea", "name": "Tea", "price": 1, "url": "https://shop.example/tea"}


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Begins in one folder. What is called goes to the other; at the end nothing is there."""
    first, other = tmp_path / "first", tmp_path / "other"
    first.mkdir()
    other.mkdir()
    monkeypatch.chdir(first)
    yield lambda: os.chdir(other)
    assert list(other.iterdir()) == []


@pytest.fixture
async def emulator():
    async with Emulator(algorithm="off") as emulator:
        yield emulator


def order(number: int) -> Conversion:
    line = ConversionItem(product_id="tea", search_log_id="log", quantity=1, line_total=Decimal(1))
    return Conversion(order_id=f"{number}", order_value=Decimal(1), currency="EUR", conversions=[line])


async def test_an_outbox_that_is_open(elsewhere):
    async with ConversionOutbox("conversions") as outbox:
        assert await outbox.enqueue(order(1))
        elsewhere()
        assert await outbox.enqueue(order(2))
        assert (await outbox.stats()).pending == 2


async def test_an_outbox_that_is_opened_later(elsewhere):
    outbox = ConversionOutbox("conversions")
    async with outbox:
        await outbox.enqueue(order(1))
    elsewhere()
    async with outbox:
        assert (await outbox.stats()).pending == 1


async def test_a_ledger_between_its_runs_and_during_one(elsewhere, emulator):
    ledger = SQLiteLedger("catalog.ledger")

    def source():
        yield TEA
        elsewhere()

    async with emulator.client() as client:
        assert (await client.products.sync(source(), ledger=ledger)).accepted == 1
        assert (await client.products.sync([TEA], ledger=ledger)).unchanged == 1


async def test_a_limiter_in_a_file(elsewhere, emulator):
    limiter = MachineLimiter("limits", shop_id=emulator.shop_id, rate_limits={"shop": RateLimit(9, per=60.0)})
    async with emulator.client(limiter=limiter) as client:
        await client.shop()
        await limiter.aclose()
        elsewhere()
        await client.shop()
        assert limiter.limits()["shop"].available == 7
        await limiter.aclose()


def test_a_dead_letter_file_that_is_opened_at_its_first_line(elsewhere, tmp_path):
    with DeadLetterFile("failed.jsonl") as dead_letters:
        elsewhere()
        dead_letters(ProductFailure("tea", "no", "server", 422, TEA))
    assert (tmp_path / "first" / "failed.jsonl").read_text().count("\n") == 1


def test_what_is_shown_is_the_path_as_it_was_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert repr(SQLiteLedger("catalog.ledger")) == "SQLiteLedger('catalog.ledger')"
    assert repr(MachineLimiter("limits", shop_id="shop_1")) == "MachineLimiter('limits')"


def test_without_a_folder_to_be_in_it_fails_only_when_it_is_opened(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    try:
        gone.rmdir()
    except OSError:
        pytest.skip("here a folder stays while a program is in it")
    assert SQLiteLedger("catalog.ledger").path.name == "catalog.ledger"
