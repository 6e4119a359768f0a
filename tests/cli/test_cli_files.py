"""Files as shops have them: real exports that need no options, and broken ones that must harm nothing."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from test_cli import DATA, catalog, ended, environment, neuroon, served, started

EXPORTS = {"shopify-apparel.csv": 23, "shopify-home-and-garden.csv": 22, "woocommerce.csv": 24}


@pytest.fixture
def server():
    with served(algorithm="off") as emulator:
        yield emulator


def real(name: str) -> Path:
    if not (DATA / name).is_file():
        pytest.skip(f"{name} is not in {DATA} (set NEUROON_TEST_DATA to the folder of real catalogs)")
    return DATA / name


# Real exports


@pytest.mark.parametrize(("name", "count"), EXPORTS.items())
def test_an_export_of_a_known_platform_needs_its_shops_address_only(server, name, count, tmp_path):
    options = ("--shop-url", "https://shop.example", "--ledger", tmp_path / "ledger", "--json")
    document = json.loads(neuroon("sync", real(name), *options, env=environment(server)).stdout)
    assert (document["received"], document["accepted"], document["exit_code"]) == (count, count, 0)
    assert len(server.products) == count
    assert all(product["url"].startswith("https://") for product in server.products.values())
    again = json.loads(neuroon("sync", real(name), *options, env=environment(server)).stdout)
    assert (again["unchanged"], again["requests"]) == (count, 0)


@pytest.mark.parametrize("name", EXPORTS)
def test_without_the_address_the_option_is_named(server, name):
    result = neuroon("sync", real(name), env=environment(server))
    assert result.exit_code == 1
    told = " ".join(result.stdout.split())
    assert "url: is required" in told
    assert "--shop-url" in told


def test_a_file_without_ids_says_which_option_gives_them():
    result = neuroon("sync", real("bestbuy.json"), "--dry-run", "--shop-url", "https://shop.example")
    assert result.exit_code == 1
    assert "map it to a column or a template (--map externalId=COLUMN)" in " ".join(result.stdout.split())


# Broken files. Each holds P-0 … P-9 and a fault; the ledger knows P-0 … P-11.


def gzipped_and_cut(rows: list[dict]) -> bytes:
    noise = "".join(f"{n * 7919 % 10007:05d}" for n in range(20_000))  # beyond one read of the decompressor
    text = "".join(json.dumps(row) + "\n" for row in [*rows, rows[-1] | {"description": noise}])
    return gzip.compress(text.encode())[:-300]


def half_an_array(rows: list[dict]) -> bytes:
    return json.dumps([*rows, rows[-1]]).encode()[:-20]


def unclosed_quote(rows: list[dict]) -> bytes:
    lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    return "\n".join([*lines, 'P-10,"Tea,1,https']).encode()


def entity_bomb(rows: list[dict]) -> bytes:
    bomb = '<!DOCTYPE rss [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'
    return f'<?xml version="1.0"?>{bomb}<rss version="2.0"><channel><item>&b;</item></channel></rss>'.encode()


@pytest.mark.parametrize(
    ("broken", "delivered", "complaint"),
    [
        (gzipped_and_cut, 10, "cut off|ends before|damaged|broken"),
        (half_an_array, 10, "cut off|ends|incomplete"),
        (unclosed_quote, 10, "a quote is opened in this row and never closed"),
        (entity_bomb, 0, "entit|DOCTYPE|DTD"),
    ],
)
def test_4_for_a_broken_file_with_all_before_the_fault_sent_and_nothing_deleted(
    server, tmp_path, broken, delivered, complaint
):
    ledger = tmp_path / "ledger"
    assert neuroon("sync", catalog(tmp_path, count=12), "--ledger", ledger, env=environment(server)).exit_code == 0
    rows = [json.loads(line) | {"price": 9.5} for line in catalog(tmp_path, count=10).read_text().splitlines()]
    file = tmp_path / "broken"
    file.write_bytes(broken(rows))
    options = ("--ledger", ledger, "--delete-missing", "--max-delete-fraction", "1")
    for dry in (("--dry-run",), ()):
        result = neuroon("sync", file, *options, *dry, env=environment(server))
        assert result.exit_code == 4
        assert result.stderr.startswith("error: broken")
        assert re.search(complaint, result.stderr), result.stderr
    assert len(server.products) == 12
    assert sum(product["price"] == 9.5 for product in server.products.values()) == delivered


def test_a_ragged_row_costs_itself_and_every_deletion(server, tmp_path):
    ledger = tmp_path / "ledger"
    assert neuroon("sync", catalog(tmp_path, count=12), "--ledger", ledger, env=environment(server)).exit_code == 0
    file = tmp_path / "ragged.csv"
    rows = [f"P-{n},Tea,9.5,https://shop.example/t" for n in range(10)]
    rows[4] = "P-4,Tea"
    file.write_text("\n".join(["externalId,name,price,url", *rows]))
    assert neuroon("sync", file, "--ledger", ledger, env=environment(server)).exit_code == 1
    result = neuroon("sync", file, "--ledger", ledger, "--delete-missing", env=environment(server))
    assert result.exit_code == 3
    assert "1 records of the source had no readable id" in result.stderr
    assert "ragged.csv:6: has 2 cells where the header has 4" in " ".join(result.stdout.split())
    assert len(server.products) == 12


@pytest.mark.slow
def test_4_for_a_line_without_end_from_a_pipe(server, tmp_path):
    first = catalog(tmp_path, count=3).read_bytes()
    with started("sync", "-", "--json", env=environment(server), stdin=subprocess.PIPE) as process:
        pipe = process.stdin.fileno()
        os.write(pipe, first + b'{"externalId": "')
        with pytest.raises(BrokenPipeError):
            for _ in range(64 << 20 >> 16):  # far beyond the longest line that is read
                os.write(pipe, b"x" * (1 << 16))
        code, stdout, stderr = ended(process)
    document = json.loads(stdout)
    assert (code, document["accepted"]) == (4, 3)
    assert "longer than 16 MiB" in stderr
    assert len(server.products) == 3


def test_dead_letters_are_mended_and_synced_without_any_option(server, tmp_path):
    path, failed = tmp_path / "c.csv", tmp_path / "failed.jsonl"
    path.write_text("code;titel;cost;path\nA;Tea;x;/tea\nB;Milk;1,50;/milk\n", encoding="utf-8")
    options = ("--map", "externalId=code", "--map", "name=titel", "--map", "price=cost", "--map", "url=path")
    options += ("--shop-url", "https://s.example", "--currency", "EUR", "--dead-letter", failed)
    assert neuroon("sync", path, *options, env=environment(server)).exit_code == 1
    assert neuroon("sync", failed, env=environment(server)).exit_code == 1  # not mended yet
    failed.write_text(failed.read_text().replace('"cost":"x"', '"cost":"2,50"'))
    assert neuroon("sync", failed, env=environment(server)).exit_code == 0
    assert server.products["A"]["url"] == "https://s.example/tea"
    assert (server.products["A"]["currency"], server.products["A"]["price"]) == ("EUR", 2.5)
