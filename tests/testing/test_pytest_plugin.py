"""The shipped fixtures in a user's suite, under every plugin that may run it, and the recipe for testing an app."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

RECIPE = Path(__file__).parents[2] / "examples" / "testing_an_app"
CONFTEST = 'pytest_plugins = ["neuroon_async.testing.pytest_plugin"]\n'
IMPORTS = (
    "import asyncio\nimport pytest\nfrom neuroon_async import NeuroonClient\nfrom neuroon_async.testing import Fault\n"
)
PRODUCT = 'PRODUCT = {"externalId": "TEA-1", "name": "Tea", "price": 4.5, "url": "https://shop.example/tea"}\n'
ASYNC_TESTS = """
async def test_a_users_shop(neuroon_emulator, neuroon_client):
    neuroon_emulator.fail("sync_products", Fault.status(503), times=2)
    report = await neuroon_client.products.sync([PRODUCT])
    assert report.ok
    assert list(neuroon_emulator.products) == ["TEA-1"]
    await neuroon_emulator.wait_for(lambda: neuroon_emulator.requests[-1].finished)

async def test_an_outage(neuroon_emulator, neuroon_client):
    assert neuroon_emulator.products == {}
    await neuroon_emulator.stop()
    assert not await neuroon_client.health()
    await neuroon_emulator.start()
    assert await neuroon_client.health()
"""
PLAIN_TESTS = """
def test_plain(neuroon_emulator, neuroon_environment):
    async def sync():
        async with NeuroonClient.from_env() as client:
            await client.products.sync_batch([PRODUCT])
    asyncio.run(sync())
    neuroon_emulator.wait_for(lambda: "TEA-1" in neuroon_emulator.products)

def test_the_client_in_a_plain_test(neuroon_client, neuroon_emulator):
    async def sync():
        async with neuroon_client:
            return await neuroon_client.products.sync([PRODUCT])
    assert asyncio.run(sync()).created == 1
    assert len(neuroon_emulator.requests_to("sync_products")) == 1
"""
ANYIO_BACKEND = """
@pytest.fixture
def anyio_backend():
    return "asyncio"
"""
SCOPE = "asyncio_default_fixture_loop_scope = function"
AUTO = f"asyncio_mode = auto\n{SCOPE}"
STRICT = f"asyncio_mode = strict\n{SCOPE}"
QUICKLY = ("-p", "no:cacheprovider", "-p", "no:schemathesis", "-p", "no:hypothesispytest", "-p", "no:xdist")
WITHOUT_ASYNCIO = ("-p", "no:asyncio")
WITHOUT_ANYIO = ("-p", "no:anyio")


def run_pytest(folder, *arguments):
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("NEUROON_", "PYTEST_"))}
    command = [sys.executable, "-m", "pytest", "-q", *QUICKLY, "-W", "error", *arguments, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=inherited, check=False, timeout=300)


def write_suite(folder, *suites, ini="", conftest=CONFTEST):
    (folder / "conftest.py").write_text(conftest)
    for number, tests in enumerate(suites):
        (folder / f"test_shop_{number}.py").write_text(IMPORTS + PRODUCT + tests)
    (folder / "pytest.ini").write_text(f"[pytest]\n{ini}\n")


def marked(mark):
    return ASYNC_TESTS.replace("async def test", f"@pytest.mark.{mark}\nasync def test")


# One run of pytest serves all that it can: to start it takes longer than to run a suite.
@pytest.mark.parametrize(
    ("suites", "ini", "arguments", "passed"),
    [
        pytest.param([ASYNC_TESTS, PLAIN_TESTS], AUTO, WITHOUT_ANYIO, 4, id="asyncio, auto mode"),
        pytest.param(
            [
                marked("asyncio") + PLAIN_TESTS,
                marked('asyncio(loop_scope="module")'),
                marked("anyio") + ANYIO_BACKEND,
            ],
            STRICT,
            (),
            8,
            id="asyncio, strict mode; a loop for the module; anyio beside asyncio",
        ),
        pytest.param(
            [ASYNC_TESTS],
            AUTO,
            (*WITHOUT_ASYNCIO, "-p", "pytest_asyncio.plugin"),
            2,
            id="asyncio by the name of its module",
        ),
        pytest.param(
            [ASYNC_TESTS], f"{AUTO}\nasyncio_default_test_loop_scope = session", (), 2, id="a loop for the session"
        ),
        pytest.param([PLAIN_TESTS], "", (*WITHOUT_ASYNCIO, *WITHOUT_ANYIO), 2, id="neither"),
    ],
)
def test_the_fixtures_in_a_users_suite(tmp_path, suites, ini, arguments, passed):
    write_suite(tmp_path, *suites, ini=ini)
    run = run_pytest(tmp_path, *arguments)
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"{passed} passed" in run.stdout


def test_the_plugin_needs_no_asynchronous_plugin_installed(tmp_path):
    hidden = 'import sys\nsys.modules["pytest_asyncio"] = None\n'
    write_suite(tmp_path, PLAIN_TESTS, conftest=hidden + CONFTEST)
    run = run_pytest(tmp_path, *WITHOUT_ASYNCIO, *WITHOUT_ANYIO)
    assert run.returncode == 0, run.stdout + run.stderr


def test_anyio_alone_is_served_and_trio_refused_with_a_reason(tmp_path):
    pytest.importorskip("trio", reason="trio is not installed")
    on_asyncio = marked("anyio") + ANYIO_BACKEND + PLAIN_TESTS
    write_suite(tmp_path, on_asyncio, marked("anyio") + ANYIO_BACKEND.replace("asyncio", "trio"))
    run = run_pytest(tmp_path, *WITHOUT_ASYNCIO)
    assert "4 passed, 2 errors" in run.stdout, run.stdout + run.stderr
    assert "needs asyncio: let the fixture anyio_backend return 'asyncio'" in run.stdout
    assert "test_shop_0.py:" not in run.stdout.partition("short test summary")[2]


def test_the_recipe_for_testing_an_app():
    run = run_pytest(RECIPE, "-W", "ignore:Using `httpx`")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "6 passed" in run.stdout
