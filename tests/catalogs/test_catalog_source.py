"""Bytes as they occur: packed, cut, in every encoding, through pipes, and far too large."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import tracemalloc

import pytest
from catalog_files import Pipe, named, products, read, until_fault
from hypothesis import given
from hypothesis import strategies as st

from neuroon_async import Product
from neuroon_async.catalogs import MAX_RECORD_BYTES, Catalog, CatalogError

HEAD = "id,name,price,url\n"
ROWS = "".join(f"{number},Café {number} ñ,1.50,u:x\n" for number in range(20_000))
PLAIN = (HEAD + ROWS).encode()


def test_gzip_is_unpacked_and_its_bytes_counted(tmp_path):
    path = tmp_path / "catalog.csv.gz"
    path.write_bytes(gzip.compress(PLAIN[:9]) + gzip.compress(PLAIN[9:]))
    catalog = Catalog(path)
    for _ in range(2):  # a path can be read again
        assert sum(isinstance(item, Product) for item in catalog) == catalog.products == 20_000
        assert catalog.bytes_read == catalog.total_bytes == path.stat().st_size


@pytest.mark.parametrize("pipe", [False, True])
def test_a_cut_gzip_yields_what_is_whole_and_then_complains(pipe):
    rows = "".join(f"{n},{os.urandom(9).hex()},1,u:x\n" for n in range(30_000))
    packed = gzip.compress((HEAD + rows).encode())
    content = packed[: len(packed) * 3 // 4]
    items, message = until_fault(Catalog(Pipe(content, 5000) if pipe else named(content)))
    assert 18_000 < len(items) < 27_000
    assert all(isinstance(item, Product) for item in items)
    assert "the gzip data is cut off or damaged" in message


def test_even_a_tiny_cut_gzip_gives_its_rows():
    content = gzip.compress((HEAD + "1,a,1,u:x\n2,b,1,u:x\n").encode())[:-8]  # without its check sum
    items, _ = until_fault(Catalog(named(content)))
    assert [item.name for item in items] == ["a", "b"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
@pytest.mark.parametrize("piece", [1, 7, 100_000])
def test_encodings_are_found(encoding, piece):
    content = (HEAD + "1,Jamón ibérico “extra” – 5 €,2,u:x\n2,Müsli,2,u:x\n").encode(encoding)
    (first, second) = list(Catalog(Pipe(content, piece)))
    assert (first.name, second.name) == ("Jamón ibérico “extra” – 5 €", "Müsli")


def test_a_single_accent_at_the_end_is_enough():
    (product,) = products("url,id,price,name\nu:x,1,2,Café".encode("cp1252"))
    assert product.name == "Café"


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("biały chleb", "cp1250"),
        ("Привет", "cp1251"),
        ("çığ şık", "cp1254"),
        ("Žluťoučký kůň", "cp1250"),
        ("καλημέρα", "cp1253"),
    ],
)
def test_text_of_another_code_page_is_refused_unless_named(name, encoding):
    content = (HEAD + f"1,ok,2,u:x\n2,{name},2,u:x\n").encode(encoding)
    items, message = until_fault(Catalog(named(content)))
    assert [item.name for item in items] == ["ok"]
    assert "encoding=" in message
    assert products(content, encoding=encoding)[1].name == name


def test_utf8_that_breaks_later_is_fatal_there():
    content = (HEAD + "1,né,2,u:x\n2,").encode() + b"n\xe9,2,u:x\n"
    items, message = until_fault(Catalog(named(content)))
    assert [item.name for item in items] == ["né"]
    assert f"file.csv:byte {content.index(b'n' + bytes([0xE9])) + 1}: is not utf-8 text (0xe9)" in message


@pytest.mark.parametrize("far", [0, 300_000])
def test_letters_of_utf8_are_never_taken_for_western_ones(far):
    cut = "1,Té verde,2,u:x\n".encode()[:4] + b",2,u:x\n"  # within a letter, as programs cut that count bytes
    content = HEAD.encode() + cut + b"2,Tea,2,u:x\n" * (far // 12) + "3,Té,2,u:x\n4,Café – ñ,2,u:x\n".encode()
    items, message = until_fault(Catalog(named(content)))
    assert "3" not in [item.external_id for item in items]
    told = content.index("é".encode()) if far else content.index(cut) + 3
    assert f"file.csv:byte {told}: is not {'Western European' if far else 'utf-8'} text (0xc3)" in message


@pytest.mark.parametrize("name", ["PÃO CASACO DE LÃ» “LÃ”", "PÂTÉ À L’ÂGE", "MAÇÃ… SÃO JOÃO", "Câ’n", "Ãã"])
def test_western_words_in_which_letters_of_utf8_might_be_seen(name):
    assert products((HEAD + f"1,{name},2,u:x\n").encode("cp1252"))[0].name == name


@pytest.mark.parametrize("name", ["Rot•Grün", "Preis€Netto", "Mon€y", "Größe“L”Kurz"])
def test_western_words_between_which_signs_stand_without_spaces(name):
    assert products((HEAD + f"1,{name},2,u:x\n").encode("cp1252"))[0].name == name


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("café", "cp850"),
        ("Käse", "cp437"),
        ("Möbel", "cp850"),
        ("còmoda", "cp850"),
        ("Rôti", "cp850"),
        ("FRANÇA", "cp850"),
        ("Garçon", "mac_roman"),
    ],
)
def test_text_of_dos_and_of_older_macs_is_refused(name, encoding):
    items, message = until_fault(Catalog(named((HEAD + f"1,{name},2,u:x\n").encode(encoding))))
    assert items == []
    assert "is not Western European text" in message


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Cañón señal", "cp850"),
        ("Möbel für Käse", "cp850"),
        ("Señal 49,90 €", "iso8859-15"),
        ("49,90 €", "iso8859-15"),
        ("Lámpara habitación", "mac-roman"),
        ("Garçon", "mac-roman"),
        ("biały chleb", "cp1250"),
        ("Синий стул, белый стол", "cp1251"),
    ],
)
def test_the_encoding_that_is_proposed_is_the_right_one(text, encoding):
    content = (HEAD + f"1,ok,2,u:x\n2,{text.replace(',', ';')},2,u:x\n").encode(encoding)
    _, message = until_fault(Catalog(named(content)))
    assert f"(encoding={encoding!r})" in message


@pytest.mark.parametrize("names", [("Стол", "Чашка белая"), ("Καρέκλα", "Τραπέζι μαύρο")])
def test_letters_of_another_script_are_never_taken_for_western_ones(names):
    encoding = "cp1251" if names[0] == "Стол" else "cp1253"
    content = (HEAD + "".join(f"{number},{name},2,u:x\n" for number, name in enumerate(names))).encode(encoding)
    items, message = until_fault(Catalog(named(content)))
    assert items == []
    assert "is not Western European text" in message
    assert [item.name for item in products(content, encoding=encoding)] == list(names)


def test_a_row_of_accented_letters_is_western_text_among_other_words():
    names = ["Teclado ÁÉÍÓÚ áéíóú", "Jamón ibérico", "Señal única más allá", "Niño", "Habitación pequeña"]
    content = HEAD + "".join(f"{number},{name},2,u:x\n" for number, name in enumerate(names))
    assert [item.name for item in products(content.encode("cp1252"))] == names


@pytest.mark.parametrize(
    "names", [("Señal", "Niño"), ("Cañón", "Lámpara"), ("Größe", "Möbel"), ("Été", "Garçon à l’œuvre")]
)
@pytest.mark.parametrize("encoding", ["mac_roman", "cp1252"])
def test_lines_of_older_macs_tell_their_encoding(names, encoding):
    content = HEAD + "".join(f"{number},{name},2,u:x\n" for number, name in enumerate(names))
    catalog = Catalog(named(content.replace("\n", "\r").encode(encoding)))
    assert [item.name for item in catalog] == list(names)
    assert catalog.encoding == encoding.replace("_", "-")


def test_text_of_older_macs_is_checked_to_its_end():
    content = (HEAD + "1,Señal,2,u:x\n2,Niño,2,u:x\n3,a\u2202b,2,u:x\n").replace("\n", "\r").encode("mac_roman")
    _, message = until_fault(Catalog(named(content)))
    assert "is not Western European text (0xb6)" in message


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_marks_of_joined_files_are_no_part_of_a_text(encoding):
    content = f"\ufeff{HEAD}1,é,2,u:x\n\ufeff2,Tea,2,u:x\n".encode(encoding)
    assert [item.external_id for item in products(content)] == ["1", "2"]


@pytest.mark.parametrize("encoding", ["latin-1", "ISO-8859-1", "l1"])
def test_latin_1_is_what_windows_makes_of_it(encoding):
    content = (HEAD + "1,L’huile à 5 €,2,u:x\n").encode("cp1252")
    assert products(content, encoding=encoding)[0].name == "L’huile à 5 €"


@pytest.mark.parametrize("field", ["name", "description"])
@pytest.mark.parametrize("count", [1, 100])
def test_signs_of_windows_that_somebody_took_for_latin_1_are_told(field, count):
    text = "L’huile à 5 €".encode("cp1252").decode("latin-1")
    row = {"name": "a", "description": "b"} | {field: text}
    rows = "".join(f"{n},{row['name']},1.50,u:x,{row['description']}\n" for n in range(count))
    catalog = Catalog(named("id,name,price,url,description\n" + rows))
    assert {getattr(item, field) for item in catalog} == {text}
    assert "decoded them wrongly before" in catalog.notes[0]


@given(st.binary(max_size=300))
def test_any_bytes_give_items_or_a_clear_error(content):
    try:
        items = read(content)
    except CatalogError as error:
        assert str(error).startswith("file.csv")  # noqa: PT017 - either outcome is right
    else:
        assert all(not isinstance(item, Product) for item in items)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "file.csv: is empty"),
        (gzip.compress(b"", mtime=0), "is empty"),
        (b"PK\x03\x04rest", "is a zip archive; unpack it"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (
            b'<?xml version="1.0"?><rss xmlns:wp="http://wordpress.org/export/1.2/"><channel/></rss>',
            "CSV in WooCommerce",
        ),
        (b"\x7fELF\0\0\0", "binary file"),
        (b"\n\n", "holds no rows"),
    ],
)
def test_what_is_no_catalog(content, message):
    _, text = until_fault(Catalog(named(content)))
    assert message in text


def test_paths_that_cannot_be_read(tmp_path):
    with pytest.raises(CatalogError, match="cannot be opened: No such file"):
        Catalog(tmp_path / "absent.csv")
    with pytest.raises(CatalogError, match=r"^[^:]+: is a directory; name the file in it$"):
        Catalog(tmp_path)


def test_a_pipe_is_read_once():
    catalog = Catalog(Pipe((HEAD + "1,a,1,u:x\n").encode()))
    assert catalog.total_bytes is None
    assert len(list(catalog)) == 1
    with pytest.raises(CatalogError, match="read already"):
        list(catalog)


def test_an_abandoned_reading_closes_its_file(tmp_path):
    path = tmp_path / "f.csv"
    path.write_bytes(PLAIN)
    reading = iter(Catalog(path))
    next(reading)
    reading.close()  # an unclosed file would be a ResourceWarning, which is an error here
    file = named(PLAIN)
    next(iter(Catalog(file)))
    assert not file.closed  # not ours


class Endless(io.RawIOBase):
    """Something very long, made while it is read; counts what was asked for."""

    def __init__(self, start: bytes, piece: bytes, total: int) -> None:
        super().__init__()
        self._next, self._piece, self.left = start, piece, total

    def read(self, size: int = -1) -> bytes:
        assert size > 0, "the whole file was asked for at once"
        data, self._next = self._next, self._piece
        self.left -= len(data)
        return data if self.left > 0 else b""


GIGABYTE = 2**30
PAD = b"x" * 2**20


@pytest.mark.slow
@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b'id,name,price,url\n1,a,1,u:x\n2,"', "csv"),
        (b"id,name,price,url\n1,a,1,u:x\n2,", "csv"),
        (b'{"id":"1","name":"a","price":1,"url":"u:x"}\n{"id":"', "jsonl"),
        (b'[{"id":"1","name":"a","price":1,"url":"u:x"},{"id":"', "json"),
        (
            b"<rss><channel><item><id>1</id><title>a</title><link>u:x</link><price>1 EUR</price></item><item><id>",
            "google",
        ),
        (
            b"<rss><channel><item><id>1</id><title>a</title><link>u:x</link><price>1 EUR</price></item><item a='",
            "google",
        ),
    ],
)
def test_a_record_of_a_gigabyte_ends_the_reading_without_being_read(start, name):
    file = Endless(start, PAD, GIGABYTE)
    items, message = until_fault(Catalog(file, format=name))
    assert [item.name for item in items] == ["a"]
    assert "16 MiB" in message
    assert GIGABYTE - file.left < 2 * MAX_RECORD_BYTES


LONG = b"many words " * 400


@pytest.mark.slow
@pytest.mark.parametrize(
    ("start", "record", "format_"),
    [
        (b"id,name,price,url,description\n", b'1,"a\nb",1.50,u:x,' + LONG + b"\n", "csv"),
        (b"\n", b'{"id":"1","name":"a","price":1.5,"url":"u:x","description":"' + LONG + b'"}\n', "jsonl"),
        (b"[", b'{"id":"1","name":"a","price":1.5,"url":"u:x","description":"' + LONG + b'"},', "json"),
        (
            b"<rss><channel>",
            b"<item><id>1</id><title>a</title><link>u:x</link><price>1 EUR</price>"
            b"<description>" + LONG + b"</description></item>",
            "google",
        ),
        (
            b"Handle,Title,Variant Price,Option1 Value,Body (HTML)\n",
            b"a,A,1,," + LONG + b"\nb,B,1,," + LONG + b"\n",
            "shopify",
        ),
        (b"ID,Type,SKU,Name,Regular price,Description\n", b"1,simple,s,a,1," + LONG + b"\n", "woocommerce"),
    ],
)
def test_memory_does_not_grow_with_the_file(start, record, format_):
    file = Endless(start, record * 15, 5_000_000)
    catalog = Catalog(file, format=format_, shop_url="https://s")
    items = iter(catalog)
    next(items)  # what is imported first is no matter of the file
    never_ends = format_ in {"json", "google"}  # their closing bracket or tag does not come
    tracemalloc.start()
    try:
        with pytest.raises(CatalogError) if never_ends else contextlib.nullcontext():
            for item in items:
                assert isinstance(item, Product)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert catalog.products > 1_000
    assert catalog.bytes_read > 4_500_000
    assert peak < 2_500_000  # half of the file: a group of records and a piece of text are held, however long it is


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"code": "woocommerce_rest_cannot_view", "message": "No", "data": {"status": 401}}', "as 'message'"),
        ('{"error": "unauthorized"}', "as 'error'"),
        ('{\n "errors": [{"message": "x"}]\n}', "as 'errors'"),
        ("<br />\n<b>Warning</b>: mysqli_connect()\nid;name\n", "is a web page"),
        ("<p>Service unavailable</p>", "is a web page"),
    ],
)
def test_the_answer_of_a_server_that_failed_is_no_catalog(content, told):
    _, message = until_fault(Catalog(named(content, "file")))
    assert told in message


def test_a_product_may_speak_of_errors():
    (product,) = products('{"id": 1, "name": "n", "price": 1, "url": "u:x", "error": null, "message": "m"}', "file")
    assert product.external_id == "1"
