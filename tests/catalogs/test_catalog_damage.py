"""Values that spreadsheets and other programs have damaged: ids that became dates or numbers with decimals."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from catalog_files import SHOP, named, one_failure, products, read, until_fault
from msgspec import UNSET
from spreadsheets import workbook

from neuroon_async import Product
from neuroon_async.catalogs import Catalog

HEADER = "codigo,nombre,precio,url\n"
DATES = [
    "01-Feb", "1-feb", "Feb-01", "feb-26", "2026-02-01", "2026-02-01 00:00:00", "01/02/2026", "2/13/2026", "12-dic-26",
    "10-oct.", "3-août", "05-Mär", "01:18:00", "26:00:00",
]  # fmt: skip
CODES = ["1-2", "SET-12", "MAR-10", "A-2026-02-01", "2026-02", "32-feb", "may-5", "1/2", "2026-13-01", "01-FEB", "1:18"]


def test_an_id_that_became_a_date_is_refused_with_the_option_that_takes_it():
    items = read(HEADER + "".join(f"{text},A,1,/a\n" for text in DATES), shop_url=SHOP)
    assert not [item for item in items if isinstance(item, Product)]
    assert items[0].reason.startswith("file.csv:2: externalId: '01-Feb' is a date, as a spreadsheet makes it")
    assert items[0].reason.endswith("Where it is right, mapping={'externalId': '{codigo}'} takes it as it is")
    kept = products(
        HEADER + "".join(f"{text},A,1,/a\n" for text in DATES), shop_url=SHOP, mapping={"externalId": "{codigo}"}
    )
    assert [product.external_id for product in kept] == DATES


def test_codes_that_resemble_dates_stay_what_they_are():
    found = products(HEADER + "".join(f"{text},A,1,/a\n" for text in CODES), shop_url=SHOP)
    assert [product.external_id for product in found] == CODES


def test_an_optional_code_that_became_a_date_is_left_out_and_counted():
    catalog = Catalog(named("id,sku,name,price,url,parent_id\n1,01-Feb,A,1,/a,\n2,B,B,1,/b,1-feb\n"), shop_url=SHOP)
    first, second = catalog
    assert first.sku is UNSET
    assert "parentExternalId: '1-feb' is a date" in second.reason
    assert "1 product was sent without sku: nothing is known to be meant by '01-Feb'" in catalog.notes[0]


def test_a_date_is_right_for_an_attribute():
    (product,) = products("id,name,price,url,attributes.since\n1,A,1,/a,01-Feb\n", shop_url=SHOP)
    assert product.attributes == {"since": "01-Feb"}


def test_a_size_that_became_a_date_is_left_out_and_counted():
    text = "id,name,price,url,attributes.talla,attributes.Shoe size\n1,A,1,/a,02-mar,36-37\n2,B,1,/b,2-3,2026-03-02\n"
    catalog = Catalog(named(text), shop_url=SHOP)
    assert [product.attributes for product in catalog] == [{"Shoe size": "36-37"}, {"talla": "2-3"}]
    assert any("attributes.talla" in note and "'02-mar'" in note for note in catalog.notes)


SHOPIFY = "Handle,Title,Type,Tags,Option1 Name,Option1 Value,Variant Price\n"
WIX = "handleId,fieldType,name,price,productOptionName1,productOptionDescription1\n"


@pytest.mark.parametrize(
    "text",
    [
        SHOPIFY + "a,A,T,x,{0},{1},1\na,,,,,4-5,1\n",
        WIX + "a,Product,A,1,{0},\na,Variant,,,,{1}\na,Variant,,,,4-5\n",
    ],
    ids=["shopify", "wix"],
)
def test_a_variant_whose_choice_is_damaged_has_no_id(text):
    options = {"shop_url": SHOP, "currency": "EUR"}
    for name, value, told in (
        ("Size", "02-mar", "'02-mar' is a date"),
        ("Colour", "#REF!", "its Colour is '#REF!', which a spreadsheet has damaged"),
        ("Length", "1.2E+12", "its Length is '1.2E+12', which a spreadsheet has damaged"),
    ):
        parent, refused, variant = read(text.format(name, value), **options)
        assert (parent.external_id, variant.external_id) == ("a", "a/4-5")
        assert f"externalId: {told}" in refused.reason
    assert len(products(text.format("Date", "2026-12-24"), **options)) == 3  # such a choice is one


def test_errors_in_lists_are_left_out_and_counted():
    catalog = Catalog(named(SHOPIFY + 'a,A,#N/A,"x, #REF!",,,1\n'), shop_url=SHOP)
    (product,) = catalog
    assert (product.categories, product.tags) == (UNSET, ["x"])
    assert sum("#N/A" in note or "#REF!" in note for note in catalog.notes) == 2


def test_the_date_cell_of_a_spreadsheet_is_no_id():
    rows = [["codigo", "nombre", "precio", "url"], [date(2026, 2, 1), "A", 1.5, "/a"], ["1-3", "B", 2, "/b"]]
    pytest.importorskip("python_calamine")
    first, second = read(workbook({"Hoja": rows}), "f.xlsx", shop_url=SHOP)
    assert "externalId: '2026-02-01' is a date" in first.reason
    assert second.external_id == "1-3"


@pytest.mark.parametrize(
    ("written", "read_as"),
    [("8436571234567.0", "8436571234567"), ("8436571234567,00", "8436571234567"), ("123456.0", "123456")]
    + [(same, same) for same in ("2.0", "12345.0", "8436571234567.5", "1.234567.0", "A123456.0", "9999999999999999.0")],
)
def test_long_ids_lose_the_decimals_that_a_program_has_added(written, read_as):
    catalog = Catalog(named(f"id;name;price;url;parent_id\n{written};A;1;/a;{written}1\n"), shop_url=SHOP)
    (product,) = catalog
    assert product.external_id == read_as
    assert len(catalog.notes) == (written != read_as)
    assert all("1 value of externalId had decimals, such as" in note for note in catalog.notes)


def test_parents_and_variants_keep_to_one_id():
    parent, variant = products(
        "id;sku;name;price;url;parent_id\n1000001.0;1000001.0;A;1;/a;\n1000002.0;;B;1;/b;1000001.0\n", shop_url=SHOP
    )
    assert (parent.external_id, parent.sku, variant.parent_external_id) == ("1000001", "1000001", "1000001")


def test_a_whole_number_of_json_is_an_id():
    content = '[{"id": 12.0, "sku": 5.0, "name": "A", "price": 1, "url": "https://x/a"}]'
    (product,) = products(content, "f.json")
    assert (product.external_id, product.sku) == ("12", "5")
    failure = one_failure(content.replace("12.0", "12.5"), "f.json")
    assert "externalId: must be text, got 12.5" in failure.reason


def test_words_for_no_value_cost_nothing():
    header = "id,name,price,sale_price,stock,available,active,url\n"
    (product,) = products(f"{header}1,A,1,n/a,NA,-,n/d,/a\n", shop_url=SHOP)
    assert (product.stock_quantity, product.in_stock, product.is_active) == (UNSET, UNSET, UNSET)
    (product,) = products('[{"id": "1", "name": "A", "price": 1, "url": "u:x", "active": false}]', "f.json")
    assert product.is_active is False


@pytest.mark.parametrize("tag", ['<img src="https://x/y.jpg" alt="a">', "<p><img alt=x src='https://x/y.jpg'/></p>"])
def test_an_image_may_be_written_as_html(tag):
    quoted = tag.replace('"', '""')
    (product,) = products(f'id,name,price,url,image\n1,A,1,/a,"{quoted}"\n', shop_url=SHOP)
    assert product.image_url == "https://x/y.jpg"


def test_faults_speak_no_python():
    _, fault = until_fault(Catalog(named(b"id,name\n1,Caf\x8e\n")))
    told = "(0x8e); if all of the file is written in another encoding, name it (encoding='mac-roman'), else export"
    assert told in fault
    _, fault = until_fault(Catalog(named("<!DOCTYPE r [<!ENTITY e 'x'>]><rss><channel></channel></rss>", "f.xml")))
    assert fault == "f.xml:byte 0: declares entities (e), which may be an attack; remove them"
    _, fault = until_fault(Catalog(named("<rss><item><title>a&nbsp;b</title></item></rss>", "f.xml")))
    assert "an entity of HTML" in fault
    _, fault = until_fault(Catalog(named('[{"id":"1"}][]', "f.json")))
    assert "'[' does not belong here" in fault


def test_what_tells_a_spreadsheet_that_a_cell_is_text_is_no_part_of_it():
    content = (
        'codigo;sku;nombre;precio;url\n="00123";\'00124;="Silla ""A""";="1,50";/a\n'
        "'abc;';'n;1;/b\n"
        '"=""7""";;=;2;/c\n'
    )
    first, second, third = products(content, shop_url=SHOP)
    assert (first.external_id, first.sku, first.name, first.price) == ("00123", "00124", 'Silla ""A""', Decimal("1.50"))
    assert (second.external_id, second.sku, second.name) == ("'abc", "'", "'n")
    assert (third.external_id, third.name) == ("7", "=")
    (product,) = products('[{"id": "=\\"1\\"", "name": "n", "price": 1, "url": "u:x"}]', "f.json")
    assert product.external_id == '="1"'


@pytest.mark.parametrize(("written", "active"), [("1.0", True), ("0.0", False), ("1,00", True), ("0,0", False)])
def test_a_flag_may_be_a_number_with_decimals(written, active):
    (product,) = products(f"id;name;price;url;active\n1;A;1;/a;{written}\n", shop_url=SHOP)
    assert product.is_active is active


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_may_come_twice(encoding):
    (product,) = products("\ufeffid;name;price;url\n1;A;1;/a\n".encode(encoding), shop_url=SHOP)
    assert product.external_id == "1"


@pytest.mark.parametrize(("field", "text"), [("stock", "3,5"), ("rating", "good"), ("active", "x")])
def test_a_value_that_a_catalog_can_do_without_comes_with_the_way_to(field, text):
    content = f"id;name;price;url;{field}\n1;A;1;/a;{text}\n"
    failure = one_failure(content, shop_url=SHOP)
    target = {"stock": "stockQuantity", "active": "isActive"}.get(field, field)
    assert failure.reason.endswith(f"got '{text}' (mapping={{'{target}': ''}} leaves the field out)")
    assert products(content, shop_url=SHOP, mapping={target: ""})
