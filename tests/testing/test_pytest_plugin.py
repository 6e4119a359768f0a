import subprocess
import sys

CONFTEST = 'pytest_plugins = ["neuroon_async.testing.pytest_plugin"]\n'
USERS_TEST = """
async def test_a_users_shop(neuroon_emulator, neuroon_client):
    product = {"externalId": "TEA-1", "name": "Tea", "price": 4.5, "url": "https://shop.example/tea"}
    report = await neuroon_client.products.sync([product])
    assert report.ok
    assert list(neuroon_emulator.products) == ["TEA-1"]
"""


def test_a_users_test_runs_with_the_fixtures(tmp_path):
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_shop.py").write_text(USERS_TEST)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "1 passed" in run.stdout
