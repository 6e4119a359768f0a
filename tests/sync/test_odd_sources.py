"""Sources and items as people's classes make them: half an iterator, a subclass with ways of its own."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest
from sync_shop import item, items, shop

from neuroon_async import Product, ProductFailure, UsageError
from neuroon_async.api.sources import ListSource, is_list_source, vouches_for_products
from neuroon_async.catalogs import Catalog
from neuroon_async.sync.item_reader import ItemReader


class SourceBroke(Exception):
    pass


CSV = b"externalId,name,price,url\np1,Tea,1,https://shop.example/1\np2,Cups,2,https://shop.example/2\n"


class Next:
    """What ``for`` takes as an iterator, although it is not iterable itself."""

    def __init__(self):
        self.left = items(3)

    def __next__(self):
        if not self.left:
            raise StopIteration
        return self.left.pop()


class AsyncNext(Next):
    async def __anext__(self):
        if not self.left:
            raise StopAsyncIteration
        return self.left.pop()


class Bag:
    def __iter__(self):
        return Next()


class AsyncBag:
    def __aiter__(self):
        return AsyncNext()


@pytest.mark.parametrize("flush_after", [None, 60], ids=["whole", "flushed"])
@pytest.mark.parametrize("bag", [Bag, AsyncBag])
async def test_an_iterator_need_not_be_iterable_itself(bag, flush_after):
    async with shop() as (server, client):
        report = await client.products.sync(bag(), flush_after=flush_after)
        assert (report.received, report.accepted, len(server.products)) == (3, 3, 3)


class Shelf(list):
    """A list of somebody's, with a method whose name means something else there."""

    def in_lists(self):
        raise AssertionError


async def test_what_a_method_of_the_users_is_called_means_nothing():
    async with shop() as (server, client):
        await client.products.sync(items(3))
        report = await client.products.delete_many(Shelf(["p0", "p1"]))
        assert (report.deleted, list(server.products)) == (2, ["p2"])


class Raised(Catalog):
    """A catalog of the user's, who changes what it yields."""

    def __iter__(self):
        for found in super().__iter__():
            assert isinstance(found, Product)
            yield item(found.external_id, price=found.price - 2)


async def test_a_catalogs_subclass_is_read_as_it_iterates_and_its_products_are_checked():
    async with shop() as (server, client):
        report = await client.products.sync(Raised(io.BytesIO(CSV)))
        assert [product["externalId"] for product in server.products.values()] == ["pp2"]
        assert [failure.reason for failure in report.failures] == ["price: must be 0 or more, got -1"]


class Vouching(list):
    yields_checked_products = True


class Doubtful(Vouching):
    def __iter__(self):
        yield ProductFailure(None, "seen", "local")


def test_a_promise_stands_where_the_class_that_makes_it_decides_what_is_yielded():
    assert vouches_for_products(Vouching())
    assert not vouches_for_products(Doubtful())
    told = Doubtful()
    told.yields_checked_products = True
    assert vouches_for_products(told)
    assert vouches_for_products(Catalog(io.BytesIO(CSV)))
    assert is_list_source(Catalog(io.BytesIO(CSV)))
    assert not is_list_source(Raised(io.BytesIO(CSV)))
    assert not is_list_source(Shelf())


async def test_lists_of_a_source_of_the_packages_own_are_taken_as_they_come():
    class Pairs(ListSource):
        def in_lists(self):
            yield [1, 2]
            yield [3]

        def __iter__(self):
            raise AssertionError

    reader = ItemReader(Pairs())
    assert await reader.read(10) == [1, 2, 3]


class Evil(type):
    def __getattr__(cls, name):
        raise RuntimeError(f"no {name} here")


class OfEvil(metaclass=Evil):
    pass


async def coroutine():
    raise AssertionError


@pytest.mark.parametrize(
    ("odd", "says"),
    [(OfEvil, "RuntimeError"), (lambda: Product, "got the class Product"), (coroutine, "which nobody has awaited")],
    ids=["metaclass", "class", "coroutine"],
)
async def test_an_item_whose_class_cannot_be_looked_at_costs_only_itself(odd, says):
    async with shop() as (server, client):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            report = await client.products.sync([item(1), odd(), item(2)])
        assert (report.received, report.accepted, report.failed) == (3, 2, 1)
        assert says in report.failures[0].reason
        assert len(server.products) == 2


async def generate():
    yield item(1)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (generate, "got function; call it"),
        (coroutine, "got coroutine; await it first"),
        ("products.csv", r"got str; .* a file is read by neuroon_async\.catalogs\.read_catalog"),
        (Path("products.csv"), r"got PosixPath; .* a file is read by"),
        ({"externalId": "A"}, "got dict; a single product belongs into a list"),
        (item(1), "got Product; a single product belongs into a list"),
    ],
    ids=["function", "coroutine", "name", "path", "mapping", "product"],
)
async def test_what_was_forgotten_is_said(source, says):
    async with shop() as (_server, client):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(UsageError, match=says):
                await client.products.sync(source() if source is coroutine else source)


@pytest.mark.parametrize("where", ["source", "callback"])
async def test_a_group_of_the_users_own_errors_stays_whole(where):
    group = BaseExceptionGroup("theirs", [ValueError("one"), KeyboardInterrupt()])

    def source():
        yield item(1)
        raise group

    def callback(_product):
        raise group

    async with shop() as (_server, client):
        with pytest.raises(BaseExceptionGroup) as caught:
            if where == "source":
                await client.products.sync(source())
            else:
                await client.products.sync([item(1)], on_accepted=callback)
        assert caught.value is group
        assert caught.value.report.received == 1


@dataclass(frozen=True)
class Frozen(Exception):
    code: int


class Obstinate(Exception):
    def __setattr__(self, name, value):
        raise TypeError(name)


@pytest.mark.parametrize("error", [Frozen(7), Obstinate("no")], ids=["frozen", "obstinate"])
async def test_an_error_that_takes_no_report_is_raised_all_the_same(error):
    def source():
        yield item(1)
        raise error

    async with shop() as (_server, client):
        with pytest.raises(type(error)) as caught:
            await client.products.sync(source())
    assert caught.value is error


@pytest.mark.parametrize("mode", ["INCREMENTAL", "FULL"])
@pytest.mark.parametrize("begins", ["__iter__", "__aiter__"])
async def test_a_source_that_fails_as_it_begins_fails_with_the_report(begins, mode):
    """Such as a query that is sent to its database there."""

    def fails(_):
        raise SourceBroke("the database is away")

    source = type("Query", (), {begins: fails})()
    async with shop() as (emulator, client):
        with pytest.raises(SourceBroke, match="the database is away") as caught:
            await client.products.sync(source, mode=mode)
        assert caught.value.report.received == len(emulator.requests) == 0
        with pytest.raises(SourceBroke) as caught:
            await client.products.delete_many(source)
        assert caught.value.report.received == 0
