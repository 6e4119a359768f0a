"""``neuroon markets``: several shops from one small TOML file."""

from __future__ import annotations

import json
import signal

import pytest
from test_cli import KEY, ended, neuroon, served, started, until

from neuroon_async.cli import progress
from neuroon_async.testing import Fault

CATALOG = "id,name_es,name_en,price,url\n1,Taza,Mug,1.50,/1\n2,Plato,Plate,2.50,/2\n"
CONFIG = """
file = "c.csv"
[reading]
currency = "EUR"
[[market]]
name = "es"
shop_id = "shop_test"
api_key_variable = "KEY_ES"
api_url = "{url}"
shop_url = "https://es.example"
ledger = "es.ledger"
[market.map]
name = "name_es"
[[market]]
name = "en"
shop_id = "shop_other"
api_key_variable = "KEY_EN"
api_url = "{url}"
shop_url = "https://en.example"
[market.map]
name = "name_en"
"""


@pytest.fixture
def config(tmp_path):
    (tmp_path / "c.csv").write_text(CATALOG)
    return tmp_path / "markets.toml"


def test_one_report_a_shop(config):
    with served(shop_id="shop_test", algorithm="off") as emulator:
        config.write_text(CONFIG.replace("{url}", emulator.url))
        environment = {"KEY_ES": KEY, "KEY_EN": "sk_" + "b" * 32}
        result = neuroon("markets", config, "--json", env=environment)
        document = json.loads(result.stdout)
        assert (document["markets"]["es"]["accepted"], document["markets"]["es"]["ok"]) == (2, True)
        assert document["markets"]["en"]["exit_code"] == 3
        assert result.exit_code == document["exit_code"] == 3
        assert emulator.products["1"]["name"] == "Taza"
        again = neuroon("markets", config, "--only", "es", env=environment)
        assert again.exit_code == 0
        assert "unchanged" in again.stdout
        assert KEY not in result.stdout + result.stderr + again.stdout


def test_a_piped_run_prints_lines_of_each_market_and_json_none(config, monkeypatch):
    monkeypatch.setattr(progress, "LINES_EVERY", 0.0)
    config.write_text(CONFIG.replace("{url}", "http://127.0.0.1:9"))
    told = neuroon("markets", config, "--dry-run").stderr
    assert "es: 2/~2 products" in told
    assert "en: 2/~2 products" in told
    assert "products" not in neuroon("markets", config, "--dry-run", "--json").stderr


@pytest.mark.parametrize("by_option", [True, False])
def test_markets_without_an_address_of_their_own_are_where_the_command_is_told(config, by_option):
    with served(shop_id="shop_test", algorithm="off") as emulator:
        config.write_text(CONFIG.replace('api_url = "{url}"\n', "", 1).replace("{url}", "http://127.0.0.1:9"))
        address = ["--api-url", emulator.url] if by_option else []
        environment = {"KEY_ES": KEY, "NEUROON_API_URL": "http://127.0.0.1:9" if by_option else emulator.url}
        result = neuroon("markets", config, "--only", "es", *address, env=environment)
        assert (result.exit_code, set(emulator.products)) == (0, {"1", "2"})


def test_a_dry_run_needs_no_keys(config):
    config.write_text(CONFIG.replace("{url}", "http://127.0.0.1:9"))
    document = json.loads(neuroon("markets", config, "--dry-run", "--json").stdout)
    assert [shop["accepted"] for shop in document["markets"].values()] == [2, 2]
    assert not (config.parent / "es.ledger").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('name = "en"', 'nom = "en"'), "has 'nom', which means nothing there"),
        (('api_key_variable = "KEY_EN"', 'api_key = "sk_x"'), "holds an API key"),
        (('shop_id = "shop_other"', ""), "[[market]] 2 needs shop_id"),
        (('file = "c.csv"', ""), "needs file"),
        (("[reading]", "[reading"), "is not TOML"),
        (('name = "en"', 'name = "es"'), "a name of its own"),
        (('currency = "EUR"', 'currency = "euro"'), "error: currency must be a code of three letters"),
        (('currency = "EUR"', 'fit = "no"'), "error: fit must be True or False, got 'no'"),
        (('ledger = "es.ledger"', "ledger = 5"), "[[market]] 1: ledger must be the name of a file, got 5"),
        (
            ('ledger = "es.ledger"', 'delete_missing = "no"'),
            '[[market]] 1: delete_missing must be true or false, got "no"',
        ),
        (('ledger = "es.ledger"', "max_delete_fraction = true"), "max_delete_fraction must be a number from 0 to 1"),
        (("https://es.example", "https://es[]example"), "error: shop_url must be an address such as"),
        (('api_url = "{url}"', "api_url = 5"), "[[market]] 1: api_url must be text, got 5"),
        (('[market.map]\nname = "name_es"', "map = 5"), "error: map must be a mapping"),
        (('name = "name_en"', 'nom = "name_en"'), "error: map: 'nom' is not a product field"),
        (('name = "name_en"', 'name = "{name_en"'), "error: map for name: the brace at character 1"),
    ],
)
def test_files_that_cannot_work(config, change, message):
    config.write_text(CONFIG.replace(*change).replace("{url}", "http://127.0.0.1:9"))
    result = neuroon("markets", config, "--dry-run")
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_a_key_that_is_not_set(config):
    config.write_text(CONFIG.replace("{url}", "http://127.0.0.1:9"))
    result = neuroon("markets", config, env={"KEY_ES": "", "KEY_EN": ""})
    assert result.exit_code == 2
    assert "KEY_ES is not set" in result.stderr


def test_notes_name_what_the_file_can_hold(config):
    (config.parent / "c.csv").write_text(CATALOG.replace("1.50", "").replace("price", "sale_price"))
    config.write_text(CONFIG.replace("{url}", "http://127.0.0.1:9"))
    result = neuroon("markets", config, "--dry-run", "--only", "es")
    assert 'map.price = "COLUMN"' in result.stdout + result.stderr
    assert "--" not in result.stdout + result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("number", "word"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")])
def test_an_interrupted_run_reports_each_market(config, number, word):
    with served(shop_id="shop_test", algorithm="off") as emulator:
        emulator.fail("sync_products", Fault.hang(), every=1)
        config.write_text(CONFIG.replace("{url}", emulator.url))
        with started("markets", config, env={"KEY_ES": KEY, "KEY_EN": "sk_" + "b" * 32}) as process:
            until(lambda: len(emulator.requests) == 2)
            process.send_signal(number)
            code, stdout, stderr = ended(process)
    assert code == 128 + number
    assert "es (stopped before its end)" in stdout
    assert f"es: {word}" in stderr
    assert stderr.endswith(f"error: {word}\n")
