"""One catalog for several shops: projections, one report each, and no shop that holds up another."""

from __future__ import annotations

import asyncio
import io
from decimal import Decimal

import pytest

from neuroon_async import AuthenticationFailed, NeuroonClient, UsageError
from neuroon_async.catalogs import CatalogError
from neuroon_async.markets import Market, sync_markets
from neuroon_async.testing import Emulator

KEYS = {"shop_es": "sk_" + "1" * 32, "shop_fr": "sk_" + "2" * 32}
CONTENT = "id;name_es;name_fr;eur;chf;url\n" + "".join(
    f"{n};Taza {n};Tasse {n};{n},50;{n},90;/p/{n}\n" for n in range(1, 1_201)
)
SPANISH = {"mapping": {"name": "name_es", "price": "eur"}, "currency": "EUR", "shop_url": "https://tienda.example"}
FRENCH = {"mapping": {"name": "name_fr", "price": "chf"}, "currency": "CHF", "shop_url": "https://boutique.example"}


class Pipe(io.BytesIO):
    def seekable(self) -> bool:
        return False


def client_of(emulator: Emulator, shop_id: str, key: str | None = None) -> NeuroonClient:
    return NeuroonClient(shop_id=shop_id, api_key=key or KEYS[shop_id], base_url=emulator.url)


@pytest.fixture
async def shops():
    async with (
        Emulator(shop_id="shop_es", api_key=KEYS["shop_es"]) as spain,
        Emulator(shop_id="shop_fr", api_key=KEYS["shop_fr"]) as france,
    ):
        yield spain, france


async def test_progress_of_each_market_is_told_to_its_own_callback_and_to_the_one_for_all(shops):
    spain, france = shops
    own, all_of_them = [], []
    async with client_of(spain, "shop_es") as es, client_of(france, "shop_fr") as fr:
        markets = [Market("es", es.products, SPANISH, {"on_progress": own.append}), Market("fr", fr.products, FRENCH)]
        results = await sync_markets(Pipe(CONTENT.encode()), markets, on_progress=all_of_them.append)
    assert own == [moment.progress for moment in all_of_them if moment.name == "es"]
    last = {moment.name: moment for moment in all_of_them}
    assert [(name, moment.progress.accepted) for name, moment in sorted(last.items())] == [("es", 1200), ("fr", 1200)]
    assert all(moment.catalog is results[name].catalog for name, moment in last.items())


@pytest.mark.parametrize(("own", "error"), [("fails", ZeroDivisionError), (5, UsageError)])
async def test_a_callback_of_a_market_that_fails_or_is_none_ends_that_market_alone(shops, own, error):
    async def fails(_progress):
        raise ZeroDivisionError

    async def for_all(_moment):
        """Not called for a moment that the market's own callback did not survive."""

    spain, france = shops
    own = fails if own == "fails" else own
    async with client_of(spain, "shop_es") as es, client_of(france, "shop_fr") as fr:
        markets = [Market("es", es.products, SPANISH, {"on_progress": own}), Market("fr", fr.products, FRENCH)]
        results = await sync_markets(Pipe(CONTENT.encode()), markets, on_progress=for_all)
    assert isinstance(results["es"].error, error), results["es"].error
    assert results["fr"].ok


@pytest.mark.parametrize("pipe", [False, True])
async def test_each_market_gets_its_language_and_currency(shops, tmp_path, pipe):
    spain, france = shops
    path = tmp_path / "c.csv"
    path.write_text(CONTENT)
    async with client_of(spain, "shop_es") as es, client_of(france, "shop_fr") as fr:
        results = await sync_markets(
            Pipe(CONTENT.encode()) if pipe else path,
            [Market("es", es.products, SPANISH), Market("fr", fr.products, FRENCH)],
            mapping={"tags": "{id:hash}"},
        )
    assert [(r.name, r.ok, r.report.accepted) for r in results.values()] == [("es", True, 1200), ("fr", True, 1200)]
    tasse, taza = france.products["7"], spain.products["7"]
    assert (taza["name"], Decimal(str(taza["price"])), taza["currency"]) == ("Taza 7", Decimal("7.5"), "EUR")
    assert (tasse["name"], Decimal(str(tasse["price"])), tasse["currency"]) == ("Tasse 7", Decimal("7.9"), "CHF")
    assert (taza["url"], tasse["url"]) == ("https://tienda.example/p/7", "https://boutique.example/p/7")
    assert taza["tags"] == tasse["tags"]


async def test_a_market_that_fails_holds_up_no_other(shops):
    spain, france = shops
    async with client_of(spain, "shop_es", "sk_" + "9" * 32) as es, client_of(france, "shop_fr") as fr:
        markets = [
            Market("es", es.products, SPANISH),
            Market("fr", fr.products, FRENCH),
            Market("no", fr.products, {"mapping": {"name": "name_no"}}),
        ]
        results = await sync_markets(io.BytesIO(CONTENT.encode()), markets)
    assert isinstance(results["es"].error, AuthenticationFailed)
    assert results["es"].report is not None
    assert results["fr"].ok
    assert len(france.products) == 1_200
    assert isinstance(results["no"].error, CatalogError)
    assert not results["no"].ok


async def test_markets_that_cannot_be_told_apart(shops):
    async with client_of(shops[0], "shop_es") as es:
        twice = [Market("es", es.products), Market("es", es.products)]
        for markets in ([], twice):
            with pytest.raises(UsageError, match="a name of its own"):
                await sync_markets(io.BytesIO(b"x"), markets)


async def eventually(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the emulator tells nobody
            await asyncio.sleep(0)


@pytest.mark.virtual_time
async def test_cancelling_ends_all_markets(shops):
    spain, france = shops
    spain.latency = france.latency = 60.0
    async with client_of(spain, "shop_es") as es, client_of(france, "shop_fr") as fr:
        markets = [Market("es", es.products, SPANISH), Market("fr", fr.products, FRENCH)]
        task = asyncio.create_task(sync_markets(io.BytesIO(CONTENT.encode()), markets))
        await eventually(lambda: bool(spain.requests and france.requests))
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
    results = caught.value.results
    assert list(results) == ["es", "fr"]
    for result in results.values():
        assert isinstance(result.error, asyncio.CancelledError)
        assert result.report.received == result.report.failed > result.report.unsent


@pytest.mark.virtual_time
async def test_a_run_that_is_cancelled_keeps_the_result_of_a_market_that_had_ended(shops):
    spain, france = shops
    france.latency = 60.0
    ended = asyncio.Event()
    async with client_of(spain, "shop_es") as es, client_of(france, "shop_fr") as fr:
        markets = [Market("fr", fr.products, FRENCH), Market("es", Ending(es.products, ended), SPANISH)]
        task = asyncio.create_task(sync_markets(io.BytesIO(CONTENT.encode()), markets))
        await ended.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
    results = caught.value.results
    assert (list(results), results["es"].ok, results["es"].report.accepted) == (["fr", "es"], True, 1_200)
    assert isinstance(results["fr"].error, asyncio.CancelledError)


async def test_a_run_that_is_cancelled_at_once_names_its_markets(shops):
    async with client_of(shops[0], "shop_es") as es:
        task = asyncio.create_task(sync_markets(io.BytesIO(CONTENT.encode()), [Market("es", es.products, SPANISH)]))
        asyncio.get_running_loop().call_soon(task.cancel)  # the market's task is made
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
    result = caught.value.results["es"]
    assert isinstance(result.error, asyncio.CancelledError)
    assert result.report is None or result.report.received == 0


class Ending:
    """The products of a client; tells when a sync has ended."""

    def __init__(self, products, ended):
        self._products = products
        self._ended = ended

    async def sync(self, *arguments, **options):
        report = await self._products.sync(*arguments, **options)
        asyncio.get_running_loop().call_soon(self._ended.set)
        return report
