"""``neuroon check``: findings for people and for pipelines, exit codes as of ``sync``, and a corrected copy."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest
from test_cli import neuroon

CONTENT = 'id,name,price,url\n1,Café,5,/1\n2,Dos,1.299,/2\n"a,b:c","x\ny","--\n>",/3\n'


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "products.csv"
    path.write_text(CONTENT, encoding="utf-8")
    return path


def test_text(path):
    result = neuroon("check", path, "--shop-url", "https://shop.example")
    assert result.exit_code == 1
    assert "products.csv (csv, utf-8): 1 products would be sent" in result.stdout
    assert "products.csv:3 [2] price: '1.299' may be 1.299 or 1299" in result.stdout
    assert "(--decimal . or --decimal ,)" in result.stdout


def test_json(path):
    result = neuroon("check", path, "--shop-url", "https://shop.example", "--output", "json")
    document = json.loads(result.stdout)
    assert (document["ok"], document["exit_code"], document["products"], document["errors"]) == (False, 1, 1, 2)
    assert document["findings"][0]["where"] == "products.csv:3"
    result = neuroon("check", path, "--shop-url", "https://shop.example", "--decimal", ",", "--output", "json")
    assert json.loads(result.stdout)["products"] == 2


def test_junit(path):
    result = neuroon("check", path, "--shop-url", "https://shop.example", "--output", "junit")
    suite = ET.fromstring(result.stdout)[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "2", "0")
    assert "may be 1.299" in suite[1][0].get("message")


def test_github(path):
    result = neuroon("check", path, "--shop-url", "https://shop.example", "--output", "github")
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"::error file={path},line=3,title=2::price: '1.299' may be".replace(":", "::", 0))
    assert "line=4,title=a%2Cb%3Ac::price: must be" in lines[1]
    assert lines[-1].endswith("::1 products would be sent, 2 errors, 0 warnings")
    assert len(lines) == 3


@pytest.mark.parametrize("kind", ["text", "json", "junit", "github"])
def test_exit_codes(tmp_path, path, kind):
    good = tmp_path / "good.csv"
    good.write_text("id,name,price,url\n1,n,1,https://shop.example/1\n")
    assert neuroon("check", good, "--output", kind).exit_code == 0
    assert neuroon("check", path, "--output", kind).exit_code == 1
    assert neuroon("check", path, "--output", kind, "--currency", "euro").exit_code == 2
    broken = tmp_path / "broken.csv"
    broken.write_text('id,name,price,url\n1,"n')
    assert neuroon("check", broken, "--output", kind).exit_code == 4
    assert neuroon("check", tmp_path / "absent.csv", "--output", kind).exit_code == 4


def test_a_corrected_copy(path):
    fixed = path.with_name("fixed.jsonl")
    result = neuroon("check", path, "--shop-url", "https://shop.example", "--write-fixed", fixed)
    assert result.exit_code == 1
    assert json.loads(fixed.read_text().splitlines()[0])["url"] == "https://shop.example/1"
    assert neuroon("check", fixed).exit_code == 0
    assert neuroon("check", path, "--write-fixed", path).exit_code == 2
    assert path.read_text(encoding="utf-8") == CONTENT


def test_a_dry_run_says_which_parents_are_missing(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text("id,name,price,url,parent_id\n1,n,1,https://s.example/1,9\n2,n,1,https://s.example/1,1\n")
    told = " ".join(neuroon("sync", path, "--dry-run").stderr.split())
    assert "1: its parent '9' is not in this file; unless the shop has it, it is refused" in told
    assert "2: its parent" not in told


def test_the_list_and_the_sheet_to_read(tmp_path):
    path = tmp_path / "answer.json"
    path.write_text(json.dumps({"data": {"items": [{"id": 1, "name": "n", "price": 1, "url": "https://s.example/1"}]}}))
    assert "holds no products" in neuroon("check", path).stderr + neuroon("check", path).stdout
    assert neuroon("check", path, "--list", "data.items").exit_code == 0
    result = neuroon("check", path, "--list", "data.items", "--sheet", "x")
    assert "--sheet has no effect" in result.stdout + result.stderr


def test_one_reason_fills_no_screen(tmp_path):
    path = tmp_path / "c.csv"
    rows = "".join(f"{n},n,{'x' if n % 2 else ''},https://s.example/{n}\n" for n in range(40))
    path.write_text(f"id,name,price,url\n{rows}")
    told = neuroon("check", path).stdout
    assert told.count("c.csv:") == 6
    assert told.count("… and 17 more for this reason") == 2


def test_a_copy_that_ends_early_says_so(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text('id,name,price,url\n1,n,1,https://s.example/1\n2,"open,1,https://s.example/2\n')
    result = neuroon("check", path, "--write-fixed", tmp_path / "fixed.jsonl")
    assert result.exit_code == 4
    assert "which ends where the reading did" in " ".join(result.stderr.split())


def test_a_dry_run_tells_ids_that_come_several_times(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text(
        "id,name,price,url\n1,n,1,https://s.example/1\n2,n,1,https://s.example/2\n1,m,1,https://s.example/1\n"
    )
    told = " ".join(neuroon("sync", path, "--dry-run").stderr.split())
    assert "1: comes 2 times; the last one counts" in told
    assert "2: comes" not in told
    document = json.loads(neuroon("sync", path, "--dry-run", "--json").stdout)
    assert document["duplicates"] == [{"external_id": "1", "times": 2}]
