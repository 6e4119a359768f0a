"""A source that hands out lists has its pages made where the lists are made: in the thread that reads a file."""

from __future__ import annotations

import io
import json
import threading
from typing import Any

import pytest
from ledger_shop import sent, sync
from sync.sync_shop import item, items, prices, shop

from neuroon_async import NeuroonError, Product, SQLiteLedger
from neuroon_async.api.models import encode
from neuroon_async.catalogs import Catalog, read_catalog
from neuroon_async.cli.reading import CatalogFeed
from neuroon_async.ledger.pages import Page, PageChunker, fit_for_pages, in_pages
from neuroon_async.report import ProductFailure
from neuroon_async.sync.item_reader import ItemReader

FAILURE = ProductFailure(None, "cannot be read", "local")


@pytest.fixture
def ledger(tmp_path):
    return SQLiteLedger(tmp_path / "x.ledger")


def catalog(products: list[Product], *, broken_at: int | None = None, ends: bytes = b"") -> Catalog:
    """A file of JSON Lines, in which one line may be none, and that may end in something else."""
    lines = [encode(product) for product in products]
    if broken_at is not None:
        lines.insert(broken_at, b'{"externalId": "broken"}')
    return read_catalog(io.BytesIO(b"\n".join(lines) + b"\n" + ends), format="jsonl")


def feed(*arguments: Any, **options: Any) -> CatalogFeed:
    return CatalogFeed(catalog(*arguments, **options))


@pytest.mark.parametrize("portion", [1, 7, 64, 1000])
def test_the_pages_are_those_of_the_products_however_they_come(portion):
    found = [*items(300), item(17, 2), FAILURE, *items(40), 7, Product(external_id=3, name="x", price=1, url="u")]  # type: ignore[arg-type]
    lists = [found[start : start + portion] for start in range(0, len(found), portion)]
    made = list(in_pages(iter(lists)))
    products, others = fit_for_pages(found)
    pager = PageChunker()
    assert [page.digest for page in made if isinstance(page, Page)] == [
        page.digest for page in pager.add(products) + pager.rest()
    ]
    assert [one for page in made if isinstance(page, Page) for one in page] == products
    assert [one for some in made if not isinstance(some, Page) for one in some] == others == [FAILURE, *found[-2:]]


def test_a_fault_comes_after_all_that_came_before_it():
    def faulty():
        yield items(3)
        raise OSError("the disk")

    made = in_pages(faulty())
    assert list(next(made)) == items(3)
    with pytest.raises(OSError, match="the disk"):
        next(made)


async def test_lists_that_were_regrouped_are_handed_out_as_they_are():
    reader = ItemReader(catalog(items(500)), regroup=in_pages)
    pages = []
    while page := await reader.read(1):
        pages.append(page)
    assert reader.exhausted
    assert {type(page) for page in pages} == {Page}
    assert [product for page in pages for product in page] == items(500)


async def test_a_feed_makes_them_in_its_thread():
    threads = set()

    def regroup(lists):
        for found in lists:
            threads.add(threading.current_thread())
            yield found

    found = [one async for some in feed(items(1200)).regrouped(regroup) for one in some]
    assert found == items(1200)
    assert threading.current_thread() not in threads


@pytest.mark.parametrize("source", [catalog, feed], ids=["catalog", "feed"])
async def test_a_file_that_has_not_changed_needs_no_request_whatever_stands_between_its_products(ledger, source):
    async with shop() as (server, client):
        report = await sync(client, source(items(700), broken_at=333), ledger)
        assert (report.received, report.accepted, report.failed) == (701, 700, 1)
        server.requests.clear()
        report = await sync(client, source(items(700), broken_at=333), ledger, delete_missing=True)
        assert (report.unchanged, report.failed, report.deleted) == (700, 1, 0)
        assert sent(server) == []
        changed = [*items(100), item(100, 7), *items(700)[101:650]]
        report = await sync(client, source(changed), ledger, delete_missing=True)
        assert (report.unchanged, report.accepted, report.deleted) == (649, 1, 50)
        assert sent(server) == [["p100"]]
        assert prices(server) == {f"p{number}": 7 if number == 100 else 1 for number in range(650)}


@pytest.mark.parametrize("source", [catalog, feed], ids=["catalog", "feed"])
async def test_pages_are_the_same_whether_the_source_makes_them_or_not(ledger, source, monkeypatch):
    async with shop() as (server, client):
        await sync(client, items(700), ledger)
        monkeypatch.setattr(Page, "digests", None)  # nobody looks at a product
        report = await sync(client, source(items(700)), ledger)
        assert (report.unchanged, len(sent(server))) == (700, 2)


@pytest.mark.parametrize("source", [catalog, feed], ids=["catalog", "feed"])
async def test_of_two_versions_in_one_file_the_later_one_counts(ledger, source):
    async with shop() as (server, client):
        await sync(client, items(200), ledger)
        report = await sync(client, source([*items(200), item(5, 9), item(5, 1), item(6, 3)]), ledger)
        assert report.received == 203
        assert prices(server) == {f"p{number}": 3 if number == 6 else 1 for number in range(200)}


@pytest.mark.parametrize("source", [catalog, feed], ids=["catalog", "feed"])
async def test_what_was_read_before_a_file_breaks_off_is_sent_and_nothing_is_deleted(ledger, source):
    async with shop() as (server, client):
        await sync(client, [*items(10), item("gone")], ledger)
        with pytest.raises(NeuroonError) as caught:
            await sync(client, source(items(300, price=2), ends=b"\xff\xfe"), ledger, delete_missing=True)
        report = caught.value.report
        assert (report.received, report.accepted, report.deleted) == (300, 300, 0)
        assert "pgone" in prices(server)
        assert json.dumps(report.failures) == "[]"
