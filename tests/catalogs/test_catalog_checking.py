"""Checking a catalog without sending it, and the corrected copy."""

from __future__ import annotations

import json

import pytest
from catalog_files import SHOP, named, read

from neuroon_async import Product
from neuroon_async.catalogs import Catalog, check_catalog
from neuroon_async.catalogs.fixing import FixedCopy

HEAD = "id,name,price,sale_price,url,parent_id,in_stock\n"
CONTENT = (
    f"{HEAD}1,Caf&eacute;  Uno,5,0,/1,,quizá\n2,Dos,x,,/2,,\n1,Café Uno,4,,/1,,\n"
    "3,Tres,1,,/3,9,si\n4,Cuatro,1,,/4,3,si\n5,,1,,/5,,\n"
)


def catalog(content: str = CONTENT) -> Catalog:
    return Catalog(named(content, "c.csv"), shop_url=SHOP)


def test_what_is_wrong_and_where():
    seen = []
    report = check_catalog(catalog(), on_finding=seen.append)
    assert (report.products, report.errors, report.warnings, report.ok, report.fault) == (4, 2, 3, False, None)
    assert seen == report.findings
    errors = [(f.where, f.external_id, f.message.split(";")[0]) for f in seen if f.severity == "error"]
    assert errors == [
        ("c.csv:3", "2", "price: must be an amount such as 49.99 or 49.99 EUR, got 'x'"),
        ("c.csv:7", "5", "name: is required"),
    ]
    warnings = {f.external_id: f.message for f in seen if f.severity == "warning"}
    assert warnings["1"] == "comes 2 times; the last one counts"
    assert "its parent '9' is not in this catalog" in warnings["3"]
    assert "'quizá'" in warnings[None]
    assert check_catalog(catalog(HEAD + "7,Siete,1,,/7,,\n")).ok


def test_a_fault_ends_the_check_and_not_the_report():
    report = check_catalog(catalog(CONTENT + '6,"open'))
    assert (report.products, report.errors, report.ok) == (4, 2, False)
    assert "never closed" in str(report.fault)


def test_a_corrected_copy_and_its_changes(tmp_path):
    source = catalog()
    with FixedCopy(tmp_path / "fixed.jsonl") as copy:
        source.on_change = copy.note
        check_catalog(source, on_product=copy.write)
    assert (copy.products, copy.changes) == (4, len(copy.changes_path.read_text().splitlines()))
    changes = [json.loads(line) for line in copy.changes_path.read_text().splitlines()]
    assert {
        "where": "c.csv:2",
        "externalId": "1",
        "field": "name",
        "before": "Caf&eacute;  Uno",
        "after": "Café Uno",
    } in changes
    assert {"where": "c.csv:2", "externalId": "1", "field": "salePrice", "before": 0, "after": None} in changes
    assert {"where": "c.csv:2", "externalId": "1", "field": "inStock", "before": "quizá", "after": None} in changes
    again = read(copy.path.read_bytes(), "fixed.jsonl")
    assert again == [item for item in catalog() if isinstance(item, Product)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fixed.jsonl", "fixed.jsonl.changes.jsonl"]


def test_a_copy_that_was_broken_off_leaves_nothing(tmp_path):
    (tmp_path / "fixed.jsonl").write_text("older")
    with pytest.raises(RuntimeError), FixedCopy(tmp_path / "fixed.jsonl") as copy:
        copy.write(Product(external_id="1", name="n", price=1, url="u"))
        raise RuntimeError
    assert [path.read_text() for path in tmp_path.iterdir()] == ["older"]


def test_many_errors_leave_room_for_the_warnings():
    rows = "".join(f"{n},n,x,,u:x,,\n" for n in range(1_500))
    report = check_catalog(catalog(f"{HEAD}1,n,1,,u:x,9,\n{rows}"))
    assert (report.errors, report.warnings) == (1_500, 1)
    assert [finding.severity for finding in report.findings].count("error") == 1_000
    assert report.findings[-1].severity == "warning"
