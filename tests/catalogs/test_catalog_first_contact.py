"""A catalog of which nothing can be used, and columns that nothing uses although they look like something."""

from __future__ import annotations

import pytest
from catalog_files import named, until_fault

from neuroon_async import ProductFailure
from neuroon_async.catalogs import Catalog, NothingUsable

HEAD = "sku,name,price,url\n"


def rows(count: int, template: str = "S-{n},n{n},1.50,https://s.example/{n}\n") -> str:
    return "".join(template.format(n=n) for n in range(count))


def test_reading_stops_where_the_first_thousand_fail_for_one_reason():
    catalog = Catalog(named(HEAD + rows(3_000)))
    items, fault = until_fault(catalog)
    assert len(items) == catalog.failed == 1_000
    assert fault == (
        "file.csv: the first 1,000 records all fail for one reason: externalId: is required; fill it in, or map it to "
        "a column or a template (mapping={'externalId': 'sku'}). Try mapping={'external_id': 'sku'}. The columns "
        "are sku, name, price, url. keep_going=True reads on"
    )
    with pytest.raises(NothingUsable):
        list(Catalog(named(HEAD + rows(1_000))))


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        ("id,title,importe,web\n" + rows(1_000, "{n},n n{n},1.50,https://s.example/{n}\n"),
         "Try mapping={'price': 'importe'} mapping={'url': 'web'}."),
        ("id,etiqueta_nombre,price,url\n" + rows(1_000, "{n},Camisa azul {n},1.50,https://s.example/{n}\n"),
         "Try mapping={'name': 'etiqueta_nombre'}."),
        ("id,name,price\n" + rows(1_000, "{n},n{n},1.50\n"), "The columns are id, name, price."),
    ],
)  # fmt: skip
def test_the_advice_names_columns_of_this_file(content, advice):
    _, fault = until_fault(Catalog(named(content)))
    assert advice in fault


@pytest.mark.parametrize(
    "content",
    [
        HEAD + rows(999),
        HEAD.replace("sku", "id") + "1,n,1,https://s.example/1\n" + rows(1_500, "x{n},,1,https://s.example/{n}\n"),
        HEAD.replace("sku", "id")
        + rows(600, "x{n},,1,https://s.example/{n}\n")
        + rows(600, "x{n},n,,https://s.example/{n}\n"),
    ],
)
def test_reading_goes_on_where_reasons_differ_or_anything_is_usable(content):
    assert len(list(Catalog(named(content)))) >= 999


def test_reading_goes_on_where_it_is_told_to():
    items = list(Catalog(named(HEAD + rows(1_500)), keep_going=True))
    assert len(items) == 1_500
    assert all(isinstance(item, ProductFailure) for item in items)


def test_values_do_not_make_reasons_differ():
    content = HEAD.replace("sku", "id") + rows(1_200, "x{n},n,price{n},https://s.example/{n}\n")
    _, fault = until_fault(Catalog(named(content)))
    assert "price: must be an amount such as 49.99 or 49.99 EUR, got 'price0'" in fault


def test_columns_that_look_like_something_no_product_has():
    content = (
        "id,name,price,url,pic,color,pvpr\n"
        "1,a,2,https://s.example/1,https://s.example/1.jpg,red,3.50\n2,b,2,https://s.example/2,/2.png,blue,4.50\n"
    )
    catalog = Catalog(named(content))
    assert len(list(catalog)) == 2
    assert catalog.notes == ["'pic' looks like images and is not used (mapping={'imageUrl': 'pic'} uses it)"]
    assert set(catalog.ignored_fields) == {"pic", "color", "pvpr"}
