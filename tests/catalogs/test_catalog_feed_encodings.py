"""What a feed in XML is written in: what it declares, what it cannot mean, and what stands before the declaration."""

from __future__ import annotations

import pytest
from catalog_files import Pipe, named, products, until_fault

from neuroon_async.catalogs import Catalog

FEED = (
    '<rss xmlns:g="http://base.google.com/ns/1.0"><channel><item><g:id>1</g:id><g:title>{}</g:title>'
    "<g:link>https://shop.example/1</g:link><g:price>5.00 EUR</g:price></item></channel></rss>"
)


def feed(name: str, declared: str | None = None) -> str:
    declaration = f'<?xml version="1.0" encoding="{declared}" standalone="yes"?>\n' if declared else ""
    return declaration + FEED.format(name)


@pytest.mark.parametrize("declared", ["UTF-8", "utf8", "UTF_8", "utf-16", "UTF-16LE", "utf-32"])
@pytest.mark.parametrize("before", ["", "\n", "\r\n \n", "\ufeff", "\ufeff\ufeff\n"])
@pytest.mark.parametrize("piece", [1, 100_000])
def test_utf8_under_every_name_that_programs_give_it(declared, before, piece):
    catalog = Catalog(Pipe((before + feed("Café", declared)).encode(), piece))
    assert [item.name for item in catalog] == ["Café"]
    assert catalog.encoding == "utf-8"


@pytest.mark.parametrize("written", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("declared", [None, "utf-8", "utf-16", "iso-8859-1"])
def test_utf16_is_told_by_its_bytes_whatever_is_declared(written, declared):
    assert products(feed("Café", declared).encode(written))[0].name == "Café"


@pytest.mark.parametrize(
    ("declared", "written"),
    [
        ("ISO-8859-1", "cp1252"),
        ("latin1", "cp1252"),
        ("windows-1252", "cp1252"),
        ("ISO-8859-15", "iso8859-15"),
        ("windows-1250", "cp1250"),
    ],
)
def test_declared_encodings(declared, written):
    name = "L’huile d’été" if written == "cp1252" else "Žluté €"
    assert products(feed(name, declared).encode(written))[0].name == name


def test_an_encoding_of_several_bytes_is_read_as_declared():
    assert products(feed("茶", "Shift_JIS").encode("shift_jis"))[0].name == "茶"


def test_bytes_that_are_not_what_is_declared_end_the_reading():
    for declared in (None, "utf-8", "utf8", "utf-16"):
        content = feed("Año", declared).encode("cp1252")
        items, fault = until_fault(Catalog(named(content, "f.xml")))
        assert items == []
        assert fault.startswith(f"f.xml:byte {content.index(0xF1)}: is not utf-8 text (0xf1)")
        assert "encoding='cp1252'" in fault
        assert products(content, "f.xml", encoding="cp1252")[0].name == "Año"


def test_a_feed_of_utf8_that_declares_latin_1_is_told_so():
    fault = until_fault(Catalog(named(feed("Álbum", "ISO-8859-1").encode(), "f.xml")))[1]
    assert "is not Western European text (0x81)" in fault
    assert "encoding='utf-8'" in fault


def test_faults_stand_on_their_line_although_the_declaration_is_taken_out():
    fault = until_fault(Catalog(named("\n\n" + feed("Sol & mar", "utf-8"), "f.xml")))[1]
    column = FEED.index("{}") + len("Sol & ")
    assert fault.startswith(f"f.xml:4:{column}: is not well-formed XML: it holds a bare &")


@pytest.mark.parametrize("text", ["5 < 6", "5 <\n6", "5 <\t6", "5 <= 6", "a <3"])
def test_a_bare_less_than_is_named(text):
    fault = until_fault(Catalog(named(feed(text), "f.xml")))[1]
    assert "it holds a bare <, which is written &lt;" in fault


def test_a_hostile_declaration_takes_linear_time():
    assert "not well-formed" in until_fault(Catalog(named("<?xml" + " encoding=''" * 50_000, "f.xml")))[1]


def test_what_else_ails_a_feed_is_named():
    fault = until_fault(Catalog(named(feed("Tea\x0b"), "f.xml")))[1]
    assert "it holds a control character (0x0b)" in fault
    undeclared = feed("Tea").replace("xmlns:g", "xmlns:x")
    undeclared = undeclared.replace("<g:", "<y:").replace("</g:", "</y:")
    assert "does not declare a prefix of its names" in until_fault(Catalog(named(undeclared, "f.xml")))[1]


@pytest.mark.parametrize(
    "root", ["<rss version='2.0'><channel>", "<channel>", '<feed\nxmlns="http://www.w3.org/2005/Atom">']
)
@pytest.mark.parametrize("declaration", ["", '<?xml version="1.0"?>\n', "<!-- <g:id> -->\n"])
def test_a_feed_that_does_not_say_what_googles_prefix_means(root, declaration):
    fields = "<g:id>A</g:id><id>B</id><title>Tea</title><g:link>https://shop.example/a</g:link><g:price>5 EUR</g:price>"
    end = "</feed>" if "feed" in root else f"</channel>{'</rss>' * ('rss' in root)}"
    item = f"<entry>{fields}</entry>" if "feed" in root else f"<item>{fields}</item>"
    (product,) = products(f"{declaration}{root}{item}{end}", "f.xml")
    assert (product.external_id, product.price, product.currency) == ("A", 5, "EUR")
