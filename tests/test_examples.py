"""The examples, run as a user runs them, and the examples in the docstrings."""

import asyncio
import doctest
import importlib
import os
import pkgutil
import signal
import sys
import time
from contextlib import asynccontextmanager
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

import neuroon_async
from neuroon_async import Conversion, ConversionItem
from neuroon_async.testing import DEFAULT_API_KEY, DEFAULT_SHOP_ID, Emulator, verify_widget_token

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
SECONDS = 60
"""In which an example must have ended, on the busiest of machines."""


def variables(emulator, suffix=""):
    return {
        f"NEUROON_API_URL{suffix}": emulator.url,
        f"NEUROON_API_KEY{suffix}": emulator.api_key,
        f"NEUROON_SHOP_ID{suffix}": emulator.shop_id,
    }


@asynccontextmanager
async def started(name, *arguments, folder, env):
    """``python examples/NAME``, with these NEUROON_* variables and no others; killed if it is still running."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("NEUROON_")}
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(EXAMPLES / name),
        *arguments,
        cwd=folder,
        env={**inherited, "PYTHONPATH": path, "PYTHONWARNINGS": "always::ResourceWarning", **env},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def output_of(process):
    async with asyncio.timeout(SECONDS):
        out, errors = await process.communicate()
    assert (process.returncode, errors.decode()) == (0, "")
    return out.decode()


async def run_example(name, *arguments, folder, env):
    async with started(name, *arguments, folder=folder, env=env) as process:
        return await output_of(process)


@pytest.mark.slow
async def test_quickstart(tmp_path):
    async with Emulator() as emulator:
        out = await run_example("quickstart.py", folder=tmp_path, env=variables(emulator))
    assert "3 received, 3 accepted" in out
    assert emulator.products["TEA-1"]["price"] == Decimal("8.90")
    assert emulator.products.keys() == {"TEA-1", "TEA-2", "TEA-3"}


@pytest.mark.slow
async def test_quickstart_without_credentials_says_what_is_missing(tmp_path):
    async with started("quickstart.py", folder=tmp_path, env={}) as process:
        _, errors = await process.communicate()
    assert process.returncode == 1
    assert b"NEUROON_API_KEY is not set" in errors


@pytest.mark.slow
async def test_sync_generator(tmp_path):
    async with Emulator() as emulator:
        out = await run_example("sync_generator.py", folder=tmp_path, env=variables(emulator))
    assert "1,200 received, 1,200 accepted" in out
    assert len(emulator.products) == 1200
    assert not (tmp_path / "failed.jsonl").exists()


@pytest.mark.slow
async def test_sync_generator_keeps_what_fails(tmp_path):
    def refusal(product):
        return "no candles here" if product["externalId"] == "SKU-3-7" else None

    async with Emulator(reject_item=refusal) as emulator:
        out = await run_example("sync_generator.py", folder=tmp_path, env=variables(emulator))
    assert "1,199 accepted, 1 failed" in out
    letter = msgspec.json.decode((tmp_path / "failed.jsonl").read_bytes())
    assert letter["failure"]["reason"] == "no candles here"
    assert letter["product"]["externalId"] == "SKU-3-7"


@pytest.mark.slow
async def test_sync_database(tmp_path):
    async with Emulator() as emulator:
        out = await run_example("sync_database.py", folder=tmp_path, env=variables(emulator))
    assert "1,200 received, 1,200 accepted" in out
    assert emulator.products["P-0001"]["price"] == Decimal("9.01")
    assert emulator.products["P-0001"]["brands"] == ["Oak & Iron"]


@pytest.mark.slow
async def test_delta_sync(tmp_path):
    async with Emulator() as emulator:
        first = await run_example("delta_sync.py", folder=tmp_path, env=variables(emulator))
        again = await run_example("delta_sync.py", folder=tmp_path, env=variables(emulator))
        assert len(emulator.requests_to("sync_products")) == 2
        later = await run_example("delta_sync.py", "1", folder=tmp_path, env=variables(emulator))
        much_later = await run_example("delta_sync.py", "900", folder=tmp_path, env=variables(emulator))
    assert "1,000 received, 1,000 accepted" in first
    assert "0 accepted, 1,000 unchanged" in again
    assert "2 accepted, 998 unchanged, 1 deleted" in later
    assert "Nothing was deleted" in much_later
    assert "BOOK-0" not in emulator.products
    assert emulator.products["BOOK-1"]["name"] == "Book no. 1"


@pytest.mark.slow
async def test_conversions(tmp_path):
    async with Emulator() as emulator:
        out = await run_example("conversions.py", folder=tmp_path, env=variables(emulator))
    assert "sent: True; not found by a search: TEA-2" in out
    assert "an order without a search, sent: False" in out
    assert emulator.conversions.keys() == {"ORDER-1001"}


class ScriptTokens(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tokens = []

    def handle_starttag(self, tag, attrs):
        if tag == "script":
            self.tokens.append(dict(attrs)["data-token"])


@pytest.mark.slow
async def test_widget_page(tmp_path):
    env = {"NEUROON_API_KEY": DEFAULT_API_KEY, "NEUROON_SHOP_ID": DEFAULT_SHOP_ID}
    page = await run_example("widget_page.py", folder=tmp_path, env=env)
    scripts = ScriptTokens()
    scripts.feed(page)
    (token,) = scripts.tokens
    assert verify_widget_token(token, api_key=DEFAULT_API_KEY, now=time.time()) == DEFAULT_SHOP_ID
    assert DEFAULT_API_KEY not in page


@pytest.mark.slow
async def test_domain_verification(tmp_path):
    async with Emulator() as emulator:
        first = await run_example("domain_verification.py", folder=tmp_path, env=variables(emulator))
        assert emulator.verification_code in first
        emulator.verified = True
        second = await run_example("domain_verification.py", folder=tmp_path, env=variables(emulator))
    assert "verified already" in second
    assert len(emulator.requests_to("verify_domain")) == 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the worker ends by POSIX signals")
async def test_worker_asyncio_syncs_every_shop_and_ends_on_sigterm(tmp_path):
    async with Emulator("shop_es", "sk_" + "e" * 32) as es, Emulator("shop_fr", "sk_" + "f" * 32) as fr:
        env = {"SHOPS": "ES FR", **variables(es, "_ES"), **variables(fr, "_FR")}
        async with started("worker_asyncio.py", folder=tmp_path, env=env) as process:
            lines = []
            async with asyncio.timeout(SECONDS):
                while len(lines) < 2:
                    line = await process.stdout.readline()
                    assert line, (await process.stderr.read()).decode()
                    lines.append(line.decode())
            process.send_signal(signal.SIGTERM)
            out = await output_of(process)
    assert sorted(line[:2] for line in lines) == ["ES", "FR"]
    assert all("50 received, 50 accepted" in line for line in lines)
    assert out == "ended\n"
    assert {*es.products} == {f"ES-{number}" for number in range(50)}
    assert {*fr.products} == {f"FR-{number}" for number in range(50)}


@pytest.mark.slow
async def test_worker_asyncio_leaves_a_shop_with_a_refused_key_alone(tmp_path):
    async with Emulator() as emulator:
        env = {**variables(emulator), "NEUROON_API_KEY": "sk_" + "1" * 32}
        out = await run_example("worker_asyncio.py", folder=tmp_path, env=env)
    assert "left alone" in out
    assert "1" * 32 not in out


async def test_worker_arq(monkeypatch):
    """Its hooks and jobs as arq calls them; arq itself is not needed for that."""
    monkeypatch.syspath_prepend(EXAMPLES)
    worker = importlib.import_module("worker_arq")
    monkeypatch.delitem(sys.modules, "worker_arq")
    order = Conversion(
        order_id="1001",
        order_value=Decimal("30.30"),
        currency="EUR",
        conversions=[ConversionItem("SKU-1", "log-7", 1, Decimal("30.30"))],
    )
    async with Emulator() as emulator:
        for name, value in variables(emulator).items():
            monkeypatch.setenv(name, value)
        ctx = {}
        await worker.WorkerSettings.on_startup(ctx)
        synced = await worker.sync_products(
            ctx,
            [
                {"externalId": "SKU-1", "name": "Tea", "price": 4.5, "url": "https://shop.example/tea"},
                {"externalId": "SKU-2", "name": "", "price": 4.5, "url": "https://shop.example/none"},
            ],
        )
        tracked = await worker.track_conversion(ctx, msgspec.to_builtins(order))
        await worker.WorkerSettings.on_shutdown(ctx)
    assert synced["accepted"] == 1
    assert "SKU-2" in synced["failures"][0]
    assert tracked
    assert emulator.requests_to("track_conversion")[0].parsed["orderValue"] == Decimal("30.30")


def test_every_example_has_a_test():
    tests = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests").rglob("test_*.py")))
    untested = [
        path.name
        for path in EXAMPLES.glob("*.py")
        if f"test_{path.stem}" not in tests and f'"{path.name}"' not in tests
    ]
    assert not untested


def test_every_example_compiles():
    for path in sorted(EXAMPLES.glob("*.py")):
        compile(path.read_text(encoding="utf-8"), str(path), "exec")


@pytest.mark.slow
def test_the_examples_in_docstrings():
    modules = sorted(module.name for module in pkgutil.walk_packages(neuroon_async.__path__, "neuroon_async."))
    run, missing = {}, {}
    for name in ["neuroon_async", *modules]:
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("neuroon_async"):
                raise
            missing[name] = error.name
        else:
            result = doctest.testmod(module, extraglobs={}, optionflags=doctest.ELLIPSIS)
            assert result.failed == 0, f"{name}: the failures are printed above"
            run[name] = result.attempted
    assert run["neuroon_async.api.models"], "it has found no examples"
    if missing:
        pytest.skip(f"passed, but for modules that need what is not installed: {missing}")
