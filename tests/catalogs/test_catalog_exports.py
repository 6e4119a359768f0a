"""What the real exports do not show: the corners of Shopify, WooCommerce and Google Merchant files."""

from __future__ import annotations

import sys
from datetime import date
from decimal import Decimal

import pytest
from catalog_files import SHOP, Pipe, named, one_failure, products, read, until_fault
from msgspec import UNSET

from neuroon_async import ConfigurationError, Product
from neuroon_async.catalogs import Catalog, CatalogFormat
from neuroon_async.catalogs.values.text import cut, html_to_text, require

SHOPIFY = (
    "Handle,Title,Body (HTML),Vendor,Type,Tags,Published,Option1 Name,Option1 Value,Option2 Name,Option2 Value,"
    "Variant SKU,Variant Inventory Tracker,Variant Inventory Qty,Variant Inventory Policy,Variant Price,"
    "Variant Compare At Price,Image Src,Image Position,Gift Card,Variant Image,Status\n"
)
SHIRT = (
    'shirt,Shirt,"<p>Soft &amp; warm</p><ul><li>red</li><li>b<b>l</b>ue</li></ul><script>x()</script>",Acme,Tops,'
    '"a, b",true,Size,S/M,Color,Red,\'001,shopify,3,deny,20,25,i:2,2,false,,active\n'
    "shirt,,,,,,,,L,,Blue,002,shopify,0,deny,15,,i:1,1,,i:blue,\n"
    "shirt,,,,,,,,,,,,,,,,,i:3,3,,,\n"
)


def test_shopify_variants_images_stock_and_html():
    parent, small, large = products(SHOPIFY + SHIRT, shop_url=SHOP + "/")
    assert (parent.external_id, parent.name, parent.brands, parent.tags) == ("shirt", "Shirt", ["Acme"], ["a", "b"])
    assert parent.description == "Soft & warm\nred\nblue"
    assert (parent.price, parent.sale_price) == (15, UNSET)
    assert (parent.in_stock, parent.stock_quantity, parent.image_url) == (True, 3, "i:1")
    assert (small.external_id, small.name) == ("shirt/S%2FM/Red", "Shirt - S/M / Red")
    assert (small.sku, small.price, small.sale_price, small.image_url) == ("001", 25, 20, "i:1")
    assert small.attributes == {"Size": "S/M", "Color": "Red"}
    assert (large.external_id, large.image_url, large.in_stock, large.stock_quantity) == (
        "shirt/L/Blue",
        "i:blue",
        False,
        0,
    )
    assert {small.parent_external_id, large.parent_external_id} == {"shirt"}


@pytest.mark.parametrize(
    ("published", "status", "active"), [("true", "active", True), ("false", "active", False), ("true", "draft", False)]
)
def test_shopify_drafts_are_not_active(published, status, active):
    row = f"a,A,,,,,{published},Title,Default Title,,,,,,,1,,,,true,,{status}\n"
    (product,) = products(SHOPIFY + row, shop_url=SHOP)
    assert product.is_active is active
    assert product.attributes == {"gift_card": "true"}


def test_shopify_complaints_stay_with_their_variant():
    content = SHOPIFY + SHIRT.replace(",15,,", ",abc,,") + "shirt,ragged\n" + ",No handle" + "," * 20 + "\n"
    by_reason = {str(item): item for item in read(content, shop_url=SHOP) if not isinstance(item, Product)}
    reasons = "\n".join(sorted(by_reason))
    assert "shirt/L/Blue: file.csv:3: price: must be an amount such as 49.99 or 49.99 EUR, got 'abc'" in reasons
    assert "file.csv:5: has 2 cells where the header has 22" in reasons
    assert "file.csv:6: Handle: is required" in reasons
    good = [item.external_id for item in read(content, shop_url=SHOP) if isinstance(item, Product)]
    assert good == ["shirt", "shirt/S%2FM/Red"]


def test_shopify_rows_that_are_torn_apart_are_complained_of():
    content = SHOPIFY + SHIRT + "b,B,,,,,,Title,Default Title,,,,,,,1,,,,,,\n" + "shirt,,,,,,,,XL,,Red,,,,,9,,,,,,\n"
    failure = read(content, shop_url=SHOP)[-1]
    assert "all rows of one handle must stand together" in failure.reason


def test_shopify_products_before_a_fault_are_yielded():
    items, _ = until_fault(Catalog(named(SHOPIFY + SHIRT + 'x,"open'), shop_url=SHOP))
    assert [item.external_id for item in items] == ["shirt", "shirt/S%2FM/Red", "shirt/L/Blue"]


WOO = (
    "ID,Type,SKU,Name,Published,Description,In stock?,Stock,Sale price,Regular price,Date sale price starts,"
    "Date sale price ends,Categories,Tags,Images,Parent,Grouped products,External URL,Attribute 1 name,"
    "Attribute 1 value(s)\n"
)
CHILD_FIRST = (
    '3,variation,v1,Var 1,1,,1,parent,"7,50","9,00",,,,,,p&p,,,Size,L\n'
    "4,variation,v2,Var 2,0,,1,,,1,,,,,,id:2,,,Size,S\n"
    '2,variable,p&p,"Salt &amp; Pepper",1,"<b>Fine</b>\\nground",1,,,,,,"Food > Spices, Food > Salt, Offers\\, new",'
    '"a, b",i:1,,,,Size,"S, L"\n'
    '5,grouped,g,Set,-1,,backorder,,,,,,,,,,"v1, id:6, gone",,,\n'
    "6,simple,,Plain,1,,0,4,,8,,,,,,,,,,\n"
    "7,variation,v3,Lost,1,,1,,,1,,,,,,nowhere,,,,\n"
)


@pytest.mark.parametrize("pipe", [False, True])
def test_woocommerce_children_may_come_first_even_through_a_pipe(pipe):
    content = (WOO + CHILD_FIRST).encode()
    catalog = Catalog(Pipe(content) if pipe else named(content), shop_url=SHOP)
    *items, lost = catalog
    found = {item.external_id: item for item in items}
    assert (catalog.records, catalog.products, catalog.failed) == (6, 5, 1)
    parent, first = found["2"], found["3"]
    assert (parent.name, parent.url) == ("Salt & Pepper", f"{SHOP}/?post_type=product&p=2")
    assert (parent.price, parent.sale_price) == (Decimal("9.00"), Decimal("7.50"))  # the draft at 1 does not count
    assert parent.categories == ["Food", "Spices", "Salt", "Offers, new"]
    assert parent.description == "Fine\nground"
    assert (first.parent_external_id, first.url, first.image_url) == ("2", parent.url, "i:1")
    assert (first.categories, first.tags, first.stock_quantity) == (parent.categories, ["a", "b"], UNSET)
    assert (found["4"].is_active, found["3"].is_active) == (False, True)
    assert (found["5"].price, found["5"].sale_price, found["5"].in_stock, found["5"].is_active) == (
        Decimal("9.00"),
        Decimal("7.50"),
        True,
        False,
    )
    assert (found["6"].stock_quantity, found["6"].in_stock, found["6"].url) == (
        4,
        False,
        f"{SHOP}/?post_type=product&p=6",
    )
    assert "parentExternalId: the parent 'nowhere' is not in this file" in lost.reason


def test_woocommerce_products_before_a_fault_are_yielded():
    for file in (named(WOO + CHILD_FIRST + '8,"open'), Pipe((WOO + CHILD_FIRST + '8,"open').encode())):
        items, message = until_fault(Catalog(file, shop_url=SHOP))
        assert len(items) == 6
        assert "never closed" in message


def test_a_woocommerce_sale_has_its_time():
    row = "1,simple,s,n,1,,1,,5,10,2026-03-01,2026-03-31 00:00:00,,,,,,,,\n"
    for day, sale in (
        (date(2026, 2, 28), UNSET),
        (date(2026, 3, 1), 5),
        (date(2026, 3, 31), 5),
        (date(2026, 4, 1), UNSET),
    ):
        assert products(WOO + row, shop_url=SHOP, today=day)[0].sale_price == sale


def test_a_childless_woocommerce_parent_and_a_missing_address_are_complaints():
    row = "1,variable,s,n,1,,1,,,,,,,,,,,,,\n"
    assert "no child of this variable product has one" in one_failure(WOO + row, shop_url=SHOP).reason
    row = "1,simple,s,n,1,,1,,,5,,,,,,,,,,\n"
    assert "give the shop's address (shop_url)" in one_failure(WOO + row).reason


ITEM = """<item>
  <g:id>T-1</g:id><title>plain</title><g:title>Tea &amp; <![CDATA[<Milk>]]></g:title><link>u:x</link>
  <description>&lt;p&gt;Good&lt;/p&gt;&lt;p&gt;strong&lt;/p&gt;</description>
  <g:shipping><g:price>3.00 EUR</g:price></g:shipping>
  <g:price>1,299.00 EUR</g:price><g:sale_price>999 EUR</g:sale_price>
  <g:sale_price_effective_date>2026-03-01T00:00+0100/2026-03-31T00:00+0100</g:sale_price_effective_date>
  <g:availability>preorder</g:availability><g:item_group_id>G</g:item_group_id><g:brand>Smith, Jones</g:brand>
  <g:product_type>Home &gt; Tea</g:product_type><g:google_product_category>1604</g:google_product_category>
  <g:gtin>0123</g:gtin><g:image_link>i:x</g:image_link><g:additional_image_link>i:y</g:additional_image_link>
</item>"""
RSS = (
    f'<?xml version="1.0"?><rss xmlns:g="http://base.google.com/ns/1.0"><channel><title>t</title>{ITEM}</channel></rss>'
)


@pytest.mark.parametrize("declared", ["UTF-9", "hex", "cp037", "utf-7"])
def test_a_feed_that_declares_an_encoding_nobody_reads_is_refused_with_its_name(declared):
    content = RSS.replace('"1.0"?>', f'"1.0" encoding="{declared}"?>')
    items, message = until_fault(Catalog(named(content, "feed.xml"), today=date(2026, 3, 5)))
    assert not items
    assert message.startswith("feed.xml:byte 0: declares an encoding that cannot be read here")
    assert len(products(content, "feed.xml", encoding="utf-8", today=date(2026, 3, 5))) == 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_merchant_feed(encoding):
    catalog = Catalog(Pipe(RSS.encode(encoding)), today=date(2026, 3, 5))
    (product,) = catalog
    assert catalog.format is CatalogFormat.GOOGLE
    assert product == Product(
        external_id="T-1",
        name="Tea & <Milk>",
        price=Decimal("1299.00"),
        url="u:x",
        description="Good\nstrong",
        currency="EUR",
        image_url="i:x",
        categories=["Home", "Tea"],
        brands=["Smith, Jones"],
        in_stock=False,
        sale_price=999,
        attributes={
            "item_group_id": "G",
            "availability": "preorder",
            "gtin": "0123",
            "google_product_category": "1604",
        },
    )
    assert catalog.ignored_fields == {"shipping": 1, "additional_image_link": 1}


def test_an_atom_feed_and_the_tab_separated_form():
    atom = (
        '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0"><entry><id>urn:1</id>'
        '<title>Tea</title><link href="u:x"/><summary>s</summary><g:id>1</g:id><g:price>2 USD</g:price></entry></feed>'
    )
    (product,) = products(atom)
    assert (product.external_id, product.url, product.description, product.price) == ("1", "u:x", "s", 2)
    catalog = Catalog(
        named("id\ttitle\tlink\timage link\tprice\tsale price\n1\tTea, green\tu:x\ti:x\t2.50 USD\t3 EUR\n")
    )
    (failure,) = catalog
    assert catalog.format is CatalogFormat.GOOGLE
    assert failure.reason == "file.csv:2: salePrice: is in EUR, and the price in USD"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (RSS.replace("</channel>", ""), "not well-formed"),
        ('<!DOCTYPE x [<!ENTITY a "b"><!ENTITY c "&a;&a;">]>' + RSS.removeprefix('<?xml version="1.0"?>'), "entities"),
        (
            '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + RSS.removeprefix('<?xml version="1.0"?>'),
            "entities",
        ),
        ("<catalogue><thing/></catalogue>", "no product feed"),
    ],
)
def test_xml_that_cannot_be_read(content, message):
    items, text = until_fault(Catalog(named(content, "feed.xml"), today=date(2026, 3, 5)))
    assert message in text
    assert text.startswith("feed.xml")
    assert len(items) == ("not well-formed" in message)  # the item before the fault


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("plain <3  text", "plain <3  text"),
        ("<p>a</p><p>b&nbsp;c&eacute;</p>", "a\nb cé"),
        ("<h1>x</h1>y<br>z<!-- no --><style>p{}</style>", "x\ny\nz"),
        ("<table><tr><td>1</td><td>2</td></tr></table>", "1 2"),
        ("w<b>or</b>d <i>two", "word two"),
        ("<p></p>", ""),
        ("a<b and c>d <s, y>", "a<b and c>d <s, y>"),
        ("<td nowrap>1</td><div _ngcontent-x>2</div><br clear>3<P STYLE=''>4", "1\n2\n3\n4"),
        ("<style scoped>p{}</style>1<script nomodule>f()</script><div contenteditable>2</div>", "1\n2"),
    ],
)
def test_html_becomes_text(html, text):
    assert html_to_text(html) == text


def test_cutting():
    assert cut("short", 5) == "short"
    assert cut("one two three", 8) == "one two…"
    assert cut("one two three", 9) == "one two…"
    assert cut("x" * 20, 10) == "x" * 9 + "…"


def test_a_library_that_is_not_installed_names_its_extra(monkeypatch):
    with pytest.raises(
        ConfigurationError, match=r"XML needs the library absent: pip install 'neuroon-async\[catalogs\]'"
    ):
        require("absent.part", "catalogs", "XML")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigurationError, match=r"neuroon-async\[parquet\]"):
        list(Catalog(named(b"PAR1PAR1", "f.parquet")))
    assert list(Catalog(named("id,name,price,url\n1,n,2,u:x\n")))  # text needs none of it
    assert list(Catalog(named(RSS)))


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
@pytest.mark.parametrize("pipe", [False, True])
def test_columnar_files(tmp_path, kind, pipe):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    count = 2_500
    table = pyarrow.table(
        {
            "id": [str(n) for n in range(count)],
            "title": ["Té"] * count,
            "price": pyarrow.array([Decimal("1.10")] * count, pyarrow.decimal128(9, 2)),
            "link": ["u:x"] * count,
            "tags": [["a", "b"]] * count,
            "stock": [5.0, None] * (count // 2),
        }
    )
    path = tmp_path / "file"
    if kind == "parquet":
        parquet.write_table(table, path)
    else:
        with pyarrow.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)
    catalog = Catalog(Pipe(path.read_bytes(), 5000) if pipe else path)
    found = list(catalog)
    assert (catalog.format, len(found)) == (CatalogFormat(kind), count)
    assert found[0] == Product(
        external_id="0", name="Té", price=Decimal("1.10"), url="u:x", tags=["a", "b"], stock_quantity=5
    )
    assert found[1].stock_quantity is UNSET
    _, message = until_fault(Catalog(named(path.read_bytes()[:-20])))
    assert "write the file again" in message


def test_a_woocommerce_draft_does_not_set_its_parents_price():
    rows = (
        "1,variable,p,P,1,,1,,,,,,,,,,,,,\n"
        "2,variation,a,P a,0,,1,,,1,,,,,,p,,,,\n"
        "3,variation,b,P b,1,,1,,,6,,,,,,p,,,,\n"
    )
    assert [p.price for p in products(WOO + rows, shop_url=SHOP)] == [6, 1, 6]


def test_a_sale_that_is_not_below_the_regular_price_is_none():
    rows = "".join(f"{sale},simple,s{sale},n,1,,1,,{sale},10,,,,,,,,,,\n" for sale in (9, 10, 11))
    assert [p.sale_price for p in products(WOO + rows, shop_url=SHOP)] == [9, UNSET, UNSET]


def test_a_parent_may_cost_as_little_as_nothing_however_it_is_written():
    rows = "1,variable,p,P,1,,1,,,,,,,,,,,,,\n" + "2,variation,a,P a,1,,1,,0.00000001,0.00000002,,,,,,p,,,,\n"
    parent, child = products(WOO + rows, shop_url=SHOP)
    assert (
        (parent.price, parent.sale_price)
        == (child.price, child.sale_price)
        == (
            Decimal("2E-8"),
            Decimal("1E-8"),
        )
    )


VARIABLE_ROWS = (
    "1,variable,p,P,{published},,1,,,,,,,,,,,,,\n"
    "2,variation,a,P a,1,,1,,,9,,,,,,id:1,,,,\n"
    "3,variation,b,P b,1,,1,,5,6,,,,,,p,,,,\n"
    "4,simple,s,S,1,,1,,,8,,,,,,,,,,\n"
)


@pytest.mark.parametrize("child", ["p", "id:1"])
def test_a_group_of_variable_products_costs_what_the_cheapest_variation_does(child):
    group = f'9,grouped,g,G,1,,1,,,,,,,,,,"s, {child}",,,\n'
    *_, product = products(WOO + VARIABLE_ROWS.format(published=1) + group, shop_url=SHOP)
    assert (product.price, product.sale_price) == (6, 5)
    *_, product = products(WOO + VARIABLE_ROWS.format(published=0) + group, shop_url=SHOP)
    assert (product.price, product.sale_price) == (8, UNSET)  # a draft's variations cannot be bought


def test_groups_that_hold_one_another_are_complaints():
    rows = "1,grouped,g,G,1,,1,,,,,,,,,,h,,,\n" + '2,grouped,h,H,1,,1,,,,,,,,,,"g, h",,,\n'
    assert ["no child of this grouped product has one" in item.reason for item in read(WOO + rows, shop_url=SHOP)] == [
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("sale", "kept"), [("8 EUR", 8), ("10 EUR", UNSET), ("11 EUR", UNSET), ("0 EUR", UNSET), ("0.00 EUR", UNSET)]
)
def test_a_merchant_sale_that_is_none_is_left_out(sale, kept):
    (product,) = products(f"id\ttitle\tlink\timage_link\tprice\tsale_price\n1\tTea\tu:x\ti:x\t10.00 EUR\t{sale}\n")
    assert (product.price, product.sale_price) == (Decimal("10.00"), kept)


@pytest.mark.parametrize(
    ("images", "first"),
    [
        (r"https://i.example/w_300\,h_300/a.jpg, https://i.example/b.jpg", "https://i.example/w_300,h_300/a.jpg"),
        ("https://i.example/w_300,h_300/a.jpg,https://i.example/b.jpg", "https://i.example/w_300,h_300/a.jpg"),
        ("https://i.example/a,b.jpg", "https://i.example/a,b.jpg"),
        ("https://i.example/a.jpg?w=1,h=2, https://i.example/b.jpg", "https://i.example/a.jpg?w=1,h=2"),
        ("https://i.example/a.jpg, b.jpg", "https://i.example/a.jpg"),
        ("a.jpg, b.jpg", f"{SHOP}/a.jpg"),
        ("https://i.example/image/1, https://i.example/image/2", "https://i.example/image/1"),
    ],
)
def test_commas_in_the_images_of_woocommerce(images, first):
    (product,) = products(f'ID,Type,SKU,Name,Regular price,Images\n1,simple,A,A,5,"{images}"\n', shop_url=SHOP)
    assert product.image_url == first


@pytest.mark.parametrize(
    "columns",
    [
        "Handle,Title,Variant Price,Variant Compare At Price",
        "handle,name,price,strikethroughPrice,fieldType,visible",
        "product_internal_id,product_name,product_price,product_compare_to_price,type",
        "id,name,price,compare at price",
        "id,name,price,regular price",
    ],
    ids=["shopify", "wix", "ecwid", "struck", "regular"],
)
def test_what_is_free_costs_nothing_whatever_it_is_compared_with(columns):
    rows = "".join(f"h{number},A,0.00,25.00,product,true\n" for number in range(70))
    rows = "\n".join(row.rsplit(",", 5 - columns.count(","))[0] for row in rows.splitlines())
    found = products(f"{columns}\n{rows}\n", shop_url=SHOP, mapping={"url": f"/p/{{{columns.partition(',')[0]}}}"})
    assert {(product.price, product.sale_price) for product in found} == {(0, UNSET)}


def test_what_matrixify_is_told_to_delete_is_not_active():
    rows = "a,DELETE,A,5,Active\nb,MERGE,B,5,Active\nc,delete,C,5,\n"
    found = products(f"Handle,Command,Title,Variant Price,Status\n{rows}", shop_url=SHOP)
    assert [product.is_active for product in found] == [False, True, False]
