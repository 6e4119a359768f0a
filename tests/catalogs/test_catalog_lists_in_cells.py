"""Lists and objects as programs print them into cells, and addresses within other text."""

from __future__ import annotations

import pytest
from catalog_files import SHOP, one_failure, products
from msgspec import UNSET

from neuroon_async.catalogs.values.nested import nested_value

HEADER = "id\tname\tprice\turl\timage\tcategories\ttags\tattributes\n"


def _product(**cells: str):
    row = {"id": "7", "name": "Hat", "price": "9.50", "url": "https://shop.example/hat"} | cells
    line = "\t".join(row.get(column, "") for column in HEADER.strip().split("\t"))
    (product,) = products(HEADER + line + "\n", shop_url=SHOP)
    return product


@pytest.mark.parametrize(
    ("cell", "categories"),
    [
        ("['Hats', 'Men']", ["Hats", "Men"]),
        ("['Hats', \"Men's\"]", ["Hats", "Men's"]),
        (r"['Men\'s', 'Caps']", ["Men's", "Caps"]),
        (r"['Ni\xf1os', 'Bebés']", ["Niños", "Bebés"]),
        ("('Hats', 'Men')", ["Hats", "Men"]),
        ("{'Hats', 'Men'}", ["Hats", "Men"]),
        ("('Hats',)", ["Hats"]),
        ("(Hats)", ["(Hats)"]),
        ("(2026)", ["(2026)"]),
        ("['Hats', None, nan]", ["Hats"]),
        ("[None]", []),
        ("[{'id': 9, 'name': 'Hats', 'display': True}]", ["Hats"]),
        ("[Hats, Men]", ["Hats", "Men"]),
        ("{Hats,Men}", ["Hats", "Men"]),
        ("[Hats]", ["[Hats]"]),
        ("[New] Hats, Men", ["[New] Hats", "Men"]),
        ("Hats, Men [sale]", ["Hats", "Men [sale]"]),
        ("[New], [Old]", ["[New]", "[Old]"]),
        ("['Hats', 'Men", ["['Hats'", "'Men"]),
    ],
)
def test_categories_and_tags_are_read_from_lists_as_python_prints_them(cell, categories):
    product = _product(categories=cell, tags=cell)
    assert (product.categories, product.tags) == (categories, categories)


@pytest.mark.parametrize(
    "cell",
    [
        "['https://cdn.example/a.jpg', 'https://cdn.example/b.jpg']",
        "[https://cdn.example/a.jpg, https://cdn.example/b.jpg]",
        "[https://cdn.example/a.jpg]",
        "[None, 'https://cdn.example/a.jpg']",
        "[{'id': 1, 'src': 'https://cdn.example/a.jpg', 'alt': None}]",
        "{'url': 'https://cdn.example/a.jpg'}",
    ],
)
def test_the_first_image_of_a_list_as_python_prints_it(cell):
    assert _product(image=cell).image_url == "https://cdn.example/a.jpg"


def test_a_list_of_none_is_no_code():
    row = "id\tname\tprice\turl\tsku\n{}\tHat\t9.50\thttps://shop.example/hat\t[]\n"
    (product,) = products(row.format("7"))
    assert product.sku is UNSET
    assert "externalId: is required" in one_failure(row.format("[]")).reason


def test_attributes_are_read_from_a_dict_as_python_prints_it():
    assert _product(attributes="{'colour': 'red', 'size': 'L', 'fit': None}").attributes == {
        "colour": "red",
        "size": "L",
    }


@pytest.mark.parametrize(
    "address",
    [
        "[https://cdn.example/a.jpg",
        "![hat](https://cdn.example/a.jpg)",
        "(https://cdn.example/a.jpg)",
        "src=https://cdn.example/a.jpg",
        "cdn.example/a.jpg%20https://cdn.example/b.jpg",
    ],
)
@pytest.mark.parametrize("column", ["url", "image"])
def test_an_address_within_other_text_is_refused(address, column):
    cells = {"id": "7", "name": "Hat", "price": "9.50", "url": "https://shop.example/hat"} | {column: address}
    line = "\t".join(cells.get(name, "") for name in HEADER.strip().split("\t"))
    for options in ({}, {"shop_url": SHOP}):
        reason = one_failure(HEADER + line + "\n", **options).reason
        assert f"{address!r} is no address" in reason


@pytest.mark.parametrize(
    "path", ["/cdn-cgi/image/width=80/https://cdn.example/a.jpg", "/go?to=https://cdn.example/a.jpg"]
)
def test_an_address_may_hold_another_one_in_its_path(path):
    assert _product(image=path).image_url == SHOP + path
    assert _product(image=f"cdn.example{path}").image_url == f"https://cdn.example{path}"


@pytest.mark.parametrize("text", ["", "[", "[]x", "['a", "[new] Hats", "{a: b}", "['a' 'b']", "[" * 5000 + "]", "('"])
def test_other_text_in_brackets_is_no_list(text):
    assert nested_value(text) is None
