from __future__ import annotations

import csv
import io
from decimal import Decimal

import pytest
from catalog_files import SHOP, named, one_failure, products, read, until_fault
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from neuroon_async import ConfigurationError, Product, ProductFailure
from neuroon_async.catalogs import Catalog, CatalogFormat
from neuroon_async.catalogs.readers.delimited import column_names

HEAD = "id,name,price,url\n"


def test_recognised_columns_and_conversions():
    (product,) = products(
        "External ID;Title;Price;Link;image_link;Category;Brand;tags;availability;Quantity;rating;Review Count;active;"
        "sale_price;parent_id;attributes.color;sku\n"
        'A-1;Tea;"1.299,00";u:x;i:x;Food|Tea;Smith, Jones;a,b;in stock;5;4.125;12;yes;999,50;A;red;S1\n'
    )
    assert product == Product(
        external_id="A-1",
        name="Tea",
        price=Decimal("1299.00"),
        url="u:x",
        sku="S1",
        image_url="i:x",
        categories=["Food", "Tea"],
        brands=["Smith, Jones"],
        tags=["a", "b"],
        in_stock=True,
        stock_quantity=5,
        rating=Decimal("4.125"),
        review_count=12,
        is_active=True,
        sale_price=Decimal("999.50"),
        parent_external_id="A",
        attributes={"color": "red"},
    )


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(delimiter):
    rows = [["id", "name", "price", "url"], ["1", "n.", "2", "u:x"]]
    catalog = Catalog(named("\n".join(map(delimiter.join, rows))))
    assert [product.name for product in catalog] == ["n."]
    assert catalog.format is CatalogFormat.CSV


def test_excels_separator_line_is_obeyed_and_counted():
    items = read("sep=;\nid;name;price;url\n1;n, m;2;u:x\n2;n\n", "f.csv")
    assert items[0].name == "n, m"
    assert items[1].reason.startswith("f.csv:4: has 2 cells")


def test_a_ragged_row_is_one_failure_and_reading_goes_on():
    items = read(HEAD + '1,a,1,u:x\n2,b,1\n3,c,1,u:x,extra\n4,"two\nlines",1,u:x,,\n5,e,1,u:x\n')
    assert [type(item) for item in items] == [Product, ProductFailure, ProductFailure, Product, Product]
    assert items[1].reason == "file.csv:3: has 3 cells where the header has 4; check its quotes and delimiters"
    assert items[2].reason.startswith("file.csv:4: has 5 cells where the header has 4")
    assert items[2].product == {"id": "3", "name": "c", "price": "1", "url": "u:x", "column 5": "extra"}
    assert items[3].name == "two lines"


@pytest.mark.parametrize("end", [",", ",,", ', ,""'])
def test_a_delimiter_at_the_end_of_the_header_alone_is_no_column(end):
    text = f"id,name,price,url{end}\n1,A,1.50,{SHOP}/1\n2,B,2.50,{SHOP}/2\n3,C\n4,D,4.50,{SHOP}/4,x\n"
    catalog = Catalog(named(text + f"5,E,5.50,{SHOP}/5,\n"))
    first, second, short, long, last = catalog
    assert [p.price for p in (first, second, last)] == [Decimal("1.50"), Decimal("2.50"), Decimal("5.50")]
    assert "has 2 cells where the header has 4" in short.reason
    assert "has 5 cells where the header has 4" in long.reason


def test_a_delimiter_at_the_end_of_the_header_and_of_the_rows_is_a_column_without_a_name():
    text = f"id,name,price,url,\n1,A,1.50,{SHOP}/1,\n2,B,2.50,{SHOP}/2,sold\n3,C,3.50,{SHOP}/3\n"
    first, second, third = Catalog(named(text))
    assert (first.external_id, second.external_id) == ("1", "2")
    assert "has 4 cells where the header has 5" in third.reason


def test_lines_count_as_editors_count_them():
    items = read(HEAD + '\n1,"a\nb",1,u:x\n\n2,c,x,u:x\n')
    assert items[1].reason == "file.csv:6: price: must be an amount such as 49.99 or 49.99 EUR, got 'x'"


def test_what_a_database_writes_for_no_value_is_none():
    head = "id\tname\tprice\turl\tsku\tdescription\tsale price\tstock\n"
    items = read(head + "1\ta\t5\tu:x\t\\N\t\\N\t\\N\t\\N\n2\tC:\\New\t5\tu:x\tB\t\\N x\t\t3\n3\t\\N\t5\tu:x\t\t\t\t\n")
    assert items[:2] == [
        Product(external_id="1", name="a", price=5, url="u:x"),
        Product(external_id="2", name="C:\\New", price=5, url="u:x", sku="B", description="\\N x", stock_quantity=3),
    ]
    assert items[2].reason.startswith("file.csv:4: name: is required")


@pytest.mark.parametrize(("encoding", "before"), [("utf-8", 0), ("cp1252", 0), (None, 30_000), ("utf-16-le", 30_000)])
def test_a_row_with_nul_bytes_is_refused_alone(encoding, before):
    rows = "".join(f"{number},b,1,u:x\n" for number in range(before))
    content = HEAD + rows + '1,"a\n\0\0",1,u:x\n2,c,1,u:x\n3\0,d,1,u:x\n4,e,x,u:x\n'
    items = read(content.encode(encoding or "utf-8"), encoding=encoding)[before:]
    assert [getattr(item, "name", None) for item in items] == [None, "c", None, None]
    told = [item.reason.partition(", ")[0] for item in items if isinstance(item, ProductFailure)]
    assert told[:2] == [f"file.csv:{before + line}: holds NUL bytes" for line in (2, 5)]
    assert told[2].startswith(f"file.csv:{before + 6}: price")


@given(
    st.lists(
        st.tuples(
            st.text(
                st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff"), min_size=1, max_size=20
            )
            .map(str.strip)
            .filter(bool)
            .filter(lambda name: "<" not in name and "&" not in name),
            st.decimals(0, 10**9, places=2),
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0<&#\ufeff"), max_size=30),
        ),
        max_size=5,
    ),
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le"]),
)
def test_what_a_csv_writer_writes_is_read_back(rows, delimiter, end, encoding):
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerow(["id", "name", "price", "url", "description"])
    for number, (name, price, description) in enumerate(rows):
        writer.writerow([number, name, price, "u:x", description])
    found = products(text.getvalue().encode(encoding), encoding=encoding if encoding == "utf-16-le" else None)
    assert [(p.name, p.price) for p in found] == [(" ".join(name.split()), price) for name, price, _ in rows]
    assert [p.description or "" for p in found] == [description.strip() for _, _, description in rows]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1299", 1299),
        ("1,299.00", Decimal("1299.00")),
        ("1.299,00", Decimal("1299.00")),
        ("1299,00", Decimal("1299.00")),
        ("1 299,50", Decimal("1299.50")),
        ("1\u00a0299,50", Decimal("1299.50")),
        ("1'299.50", Decimal("1299.50")),
        ("1,234,567", 1234567),
        ("0.125", Decimal("0.125")),
        (".5", Decimal("0.5")),
        ("12.5000", Decimal("12.5000")),
        ("49.99 EUR", Decimal("49.99")),
        ("€49,99", Decimal("49.99")),
    ],
)
def test_prices_that_are_clear(text, value):
    (product,) = products(f'id,name,price,url\n1,n,"{text}",u:x\n', delimiter=",")
    assert product.price == value
    assert isinstance(product.price, type(value))


@pytest.mark.parametrize("text", ["1,299", "1.299", "12.500"])
def test_a_price_that_may_be_two_is_a_complaint_until_settled(text):
    content = f'id,name,price,url\n1,n,"{text}",u:x\n'
    assert f"price: '{text}' may be" in one_failure(content, delimiter=",").reason
    decimal = "." if "." in text else ","
    other = "," if decimal == "." else "."
    assert products(content, decimal=decimal)[0].price == Decimal(text.replace(",", "."))
    assert products(content, decimal=other)[0].price == int(text.replace(decimal, ""))


@pytest.mark.parametrize(
    "text", ["abc", "1,2,3", "1.2.3", "12,34.5", "1,23,456", "1..2", "-", "1e3", "٣", "9" * 50, "1,"]
)
def test_prices_that_are_none(text):
    assert "price: must be" in one_failure(f'id,name,price,url\n1,n,"{text}",u:x\n', delimiter=",").reason


def test_a_missing_address_names_the_option():
    reason = one_failure("id,name,price\n1,n,2\n").reason
    assert reason.startswith("file.csv:2: url: is required")
    assert "give the shop's address (shop_url)" in reason
    assert "give the shop's address (shop_url)" in one_failure(HEAD + "1,n,2,/p/1\n").reason
    assert "shop_url" not in one_failure("id,name,price\n1,n,2\n", shop_url=SHOP).reason
    assert products(HEAD + "1,n,2,/p/1\n", shop_url=SHOP)[0].url == f"{SHOP}/p/1"


def test_missing_values_name_field_and_remedy():
    reason = one_failure("id,name,price,url\n1,,,u:x\n").reason
    assert "name: is required" in reason
    assert "price: is required" in reason
    assert "mapping={'name': 'COLUMN'}" in reason


def test_headers_that_cannot_be_right():
    _, message = until_fault(Catalog(named("id,name,id\n1,2,3\n")))
    assert message == "file.csv:1: two columns are named 'id' (1 and 3), and it is used; rename one of them"
    _, message = until_fault(Catalog(named("1,Tea,4.50\n2,Milk,1\n")))
    assert "no column is named like a product field" in message


def test_columns_without_a_use_are_told():
    catalog = Catalog(named("id,name,price,url,colour,title,empty\n1,n,2,u:x,red,t,\n2,n,2,u:x,,t,\n"))
    assert len(list(catalog)) == 2
    assert catalog.ignored_fields == {"colour": 1, "title": 2}


def test_currency_is_for_products_that_name_none():
    content = "id,name,price,url,currency\n1,n,2,u:x,USD\n2,n,2,u:x,\n"
    assert [p.currency for p in products(content, currency="eur")] == ["USD", "EUR"]


def test_fit_cuts_at_a_word_and_counts():
    content = f"id,name,price,url,description\n1,{'word ' * 200},2,u:x,{'text ' * 2000}\n2,n,2,u:x,short\n"
    first, second = read(content)
    assert isinstance(first, ProductFailure)
    assert "name: must be at most 512 characters, got 999; fit=True cuts it at a word" in first.reason
    assert isinstance(second, Product)
    catalog = Catalog(named(content), fit=True)
    product, _ = catalog
    assert (len(product.name), len(product.description), catalog.fitted) == (510, 5000, 2)
    assert product.name.endswith("word…")
    assert product.description.endswith("text…")


def test_arguments_that_cannot_work():
    with pytest.raises(ConfigurationError, match="binary mode"):
        list(Catalog(io.StringIO("id")))


@pytest.mark.parametrize(
    "code",
    [
        "#N/D",
        "#N/A",
        "#REF!",
        "#¡REF!",
        "#¡VALOR!",
        "#VALUE!",
        "#NAME?",
        "#¿NOMBRE?",
        "#DIV/0!",
        "#NV",
        "#WERT!",
        "#####",
    ],
)
@pytest.mark.parametrize("column", ["id", "name", "price", "url"])
def test_a_spreadsheets_error_in_a_required_field_is_a_complaint(code, column):
    row = {"id": "1", "name": "n", "price": "2", "url": "u:x"} | {column: code}
    failure = one_failure(HEAD + ",".join(row.values()) + "\n", delimiter=",")
    assert f"holds {code}, which a spreadsheet shows where a formula failed" in failure.reason


def test_what_a_spreadsheet_has_damaged_in_another_field_is_left_out_and_counted():
    content = "id,name,price,url,sku,stock,brand,attributes.gtin\n1,#1 Tea,2,u:x,1E5,#N/A,#REF!,8.4E+12\n"
    catalog = Catalog(named(content))
    (product,) = catalog
    assert product == Product(external_id="1", name="#1 Tea", price=2, url="u:x", sku="1E5")
    assert [note.split(":")[0] for note in catalog.notes] == [
        "1 product was sent without stockQuantity",
        "1 product was sent without brands",
        "1 product was sent without attributes.gtin",
    ]
    assert "spreadsheet has damaged" in one_failure(content, mapping={"sku": "P-{attributes.gtin}"}).reason


@pytest.mark.parametrize("word", ["-", "\u2013", "N/A", "null", "None", "NaN", " - "])
def test_words_for_no_value_are_none(word):
    head = "id,name,price,url,sale_price,stock,parent_id,currency,rating\n"
    (product,) = products(f"{head}1,n,2,u:x,{word},{word},{word},{word},{word}\n")
    assert product == Product(external_id="1", name="n", price=2, url="u:x")
    assert "price: must be an amount" in one_failure(f"{head}1,n,{word},u:x,,,,,\n").reason


def test_false_is_no_parent():
    (product,) = products('[{"id":"1","name":"n","price":2,"url":"u:x","parent_id":false,"sale_price":false}]')
    assert product == Product(external_id="1", name="n", price=2, url="u:x")


@pytest.mark.parametrize("word", ["N/A", "n/a", "N/D", "n.d.", "s/n", "-", "/"])
def test_words_for_no_image_are_no_address(word):
    (product,) = products(f"id,name,price,url,image\n1,A,1,https://x.example/1,{word}\n", shop_url=SHOP)
    assert not product.image_url


@pytest.mark.parametrize("column", ["categories", "tags", "brands"])
def test_a_json_list_in_a_cell_is_a_list(column):
    (product,) = products(f'id,name,price,url,{column}\n1,A,1,https://x.example/1,"[""Tea, black"",""Gifts""]"\n')
    assert getattr(product, column) == ["Tea, black", "Gifts"]


def test_text_in_brackets_that_is_no_json_stays_text():
    (product,) = products("id,name,price,url,tags\n1,A,1,https://x.example/1,[new]\n")
    assert product.tags == ["[new]"]


def test_texts_that_were_escaped_twice_are_plain():
    (product,) = products(
        "id,name,price,url,description\n1,Caf&amp;eacute; &amp;amp; T&eacute;,1,https://x.example/1,"
        "&lt;p&gt;Uno&lt;/p&gt;&lt;script&gt;x()&lt;/script&gt;&lt;p&gt;R&amp;amp;D&lt;/p&gt;\n"
    )
    assert (product.name, product.description) == ("Caf\u00e9 & T\u00e9", "Uno\nR&D")


def test_an_escaped_ampersand_in_an_address_is_an_ampersand():
    (product,) = products(
        "id,name,price,url,image\n1,A,1,https://x.example/?a=1&amp;b=2,https://x.example/i?w=1&amp;h=2\n"
    )
    assert (product.url, product.image_url) == ("https://x.example/?a=1&b=2", "https://x.example/i?w=1&h=2")


def test_a_currency_is_written_in_capitals():
    (product,) = products("id,name,price,url,currency\n1,A,1,https://x.example/1,eur\n")
    assert product.currency == "EUR"


def test_no_known_column_names_the_options_as_they_are_written():
    _, message = until_fault(Catalog(named("foo,bar\n1,2\n")))
    assert "map them (mapping={'name': 'COLUMN'}), or say what separates them (delimiter)" in message


@pytest.mark.parametrize(
    "above",
    [
        "Price list 2026;;;\n",
        "Price list 2026\n\n",
        ";;;\n;Listado;;\n",
        "Tarifa\nSeptiembre\n;;;\n",
        "# a | b\nTarifa;;;\n",
    ],
)
def test_titles_above_the_header_are_looked_past(above):
    content = f"{above}id;nombre;precio;url\n1;A;1,50;u:x\n2;B;x;u:x\n"
    first, second = read(content)
    assert (first.external_id, first.name, first.price) == ("1", "A", Decimal("1.50"))
    assert second.reason.startswith(f"file.csv:{content.count(chr(10))}: price:")


def test_a_file_of_one_column_keeps_its_first_row_as_its_header():
    first, second = read("id\n1\n2\n")
    assert first.reason.startswith("file.csv:2: name: is required")
    assert second.external_id == "2"


def test_the_advice_names_columns_of_this_file():
    failure = one_failure("sku,titulo,coste,pvp,web\nA-1,A,1.00,2.00,https://s.example/a\n")
    assert "externalId: is required" in failure.reason
    assert "mapping={'externalId': 'sku'}" in failure.reason
    assert "mapping={'url': 'web'}" in failure.reason


STATES = [
    ("Publicado", "visible", "", True), ("Borrador", "visible", "", False), ("draft", "", "1", False),
    ("Usado", "oculto", "", False), ("nuevo", "4", "sí", True), ("future", "", "", False), ("pending", "", "", False),
    ("", "1", "", UNSET), ("N", "catalog", "", UNSET), ("Agotado", "", "", UNSET), ("0", "", "", False),
    ("1", "hidden", "", False), ("brouillon", "", "", False), ("Entwurf", "", "ja", False),
    ("zirriborroa", "", "", False),
]  # fmt: skip


def test_a_state_that_speaks_of_being_published_is_heard():
    rows = "".join(f"{n};A;1;u:x;{s};{v};{a}\n" for n, (s, v, a, _) in enumerate(STATES))
    found = products(f"id;nombre;precio;url;estado;visibilidad;activo\n{rows}")
    assert [product.is_active for product in found] == [active for *_, active in STATES]
    (product,) = products("id,name,price,url,status\n1,A,1,u:x,draft\n", mapping={"is_active": ""})
    assert product.is_active is UNSET


@pytest.mark.parametrize(
    "state",
    [
        "deactivated", "Suspended", "expired", "paused", "Not published", "Offline", "Pausado", "Pendiente", "Oculta",
        "Hors ligne", "Non publié", "Pausiert", "Nicht aktiv", "Sospeso", "Não publicado",
    ],
)  # fmt: skip
def test_what_is_shown_to_nobody_is_not_active(state):
    (product,) = products(f"id,name,price,url,status\n1,A,1,u:x,{state}\n")
    assert product.is_active is False


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        ("hidden", ("1", "true", "yes")), ("is_draft", ("TRUE", "t")), ("Archivado", ("Sí", "x 1")),
        ("disabled", ("1.0",)),
        ("deleted_at", ("2026-01-31 10:00:00", "31/12/2025")), ("Inaktiv", ("ja",)),
        ("Baja", ("S", "01/02/2025")), ("masqué", ("oui",)),
    ],
)  # fmt: skip
def test_a_yes_that_says_that_a_product_is_withheld(column, cells):
    for cell, is_told in [
        *((cell, not cell.startswith("x")) for cell in cells),
        ("0", False),
        ("", False),
        ("NULL", False),
    ]:
        (product,) = products(f"id,name,price,url,active,{column}\n1,A,1,u:x,1,{cell}\n")
        assert product.is_active is not is_told, cell
        (product,) = products(f"id,name,price,url,{column}\n1,A,1,u:x,{cell}\n")
        assert product.is_active is (False if is_told else UNSET), cell


@pytest.mark.parametrize(
    "column",
    ["Mostrar en tienda", "Exibir na loja", "Is Published", "website_published", "Visible en web", "show in store"],
)
def test_a_column_that_says_whether_a_product_is_shown(column):
    found = products(f"id,name,price,url,{column}\n1,A,1,u:x,si\n2,B,1,u:x,NO\n3,C,1,u:x,?\n")
    assert [product.is_active for product in found] == [True, False, UNSET]


def test_a_product_of_json_that_is_withheld():
    flags = ('"draft": true', '"hidden": false, "archived": true', '"deleted_at": null', '"disabled": false')
    objects = ",".join(f'{{"id": 1, "name": "A", "price": 1, "url": "u:x", {flag}}}' for flag in flags)
    assert [product.is_active for product in products(f"[{objects}]", "f.json")] == [False, False, UNSET, UNSET]


def test_a_price_of_an_offer_that_is_called_pvp():
    (product,) = products("Ref;Nombre;PVP;PVP oferta;URL\n1;A;20,00;15,00;u:x\n")
    assert (product.price, product.sale_price) == (20, 15)


def test_a_state_that_speaks_of_something_else_is_not_used():
    catalog = Catalog(named("id,name,price,url,status\n1,A,1,u:x,used\n2,B,1,u:x,new\n"))
    assert [product.is_active for product in catalog] == [UNSET, UNSET]
    assert catalog.ignored_fields == {"status": 2}


def test_a_header_of_a_hundred_thousand_columns_is_named_at_once():
    """A line of separators alone, say. Looking through all earlier names for each would take minutes."""
    names = column_names(["id", "id", *[""] * 100_000, "id"])
    assert (len(names), len(set(names))) == (100_003, 100_003)
    assert (names[:3], names[-1]) == (["id", "id (column 2)", "column 3"], "id (column 100003)")
