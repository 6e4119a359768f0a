"""What is recognised and not read: each is named, with what to do instead."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..readers.json_faults import comment_before, script_around, table_of_values

if TYPE_CHECKING:
    from ..format import Sample

__all__ = ["why_no_catalog"]

_SAVE = "open it in a spreadsheet program, and save it as .xlsx or as CSV"
_OLDER_OFFICE = b"\xd0\xcf\x11\xe0"
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_ARCHIVES = (b"Rar!\x1a\x07", b"7z\xbc\xaf\x27\x1c", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"PK\x05\x06")
_BZIP2 = re.compile(rb"BZh[1-9]1AY&SY")
_OFFICE_XML = (b"urn:schemas-microsoft-com:office:spreadsheet", b'progid="Excel.Sheet"', b"opendocument:xmlns:office")
_TABLE = re.compile(rb"(?i)<table\b")
_OTHER_TEXTS = (
    (
        re.compile(
            rb"(?i)-- (?:mysql|mariadb|postgresql|phpmyadmin|adminer|dump|host)|(?:insert into|(?:create|drop) table)\s"
        ),
        "is a dump of a database, which is not read; export the table of products as CSV or JSON",
    ),
    (
        re.compile(rb"(?:---\s*\n)?(?:\w+:[ \t]*\r?\n)?[ \t]*- \w+:\s"),
        "is YAML, which is not read; write it as JSON or CSV",
    ),
    (
        re.compile(rb"TemplateType="),
        "is Amazon's template for uploads; delete the rows above that of the field names (item_sku …), and map these",
    ),
)
"""How texts begin that look like no catalog, and what to say of them."""
_OTHER_XML = {
    b"wordpress.org/export/": (
        "is WordPress's export of a site's content, not a product feed; export the products as CSV in WooCommerce"
    ),
    b"demandware.com/xml/impex/": (
        "is a file of Salesforce Commerce Cloud, which keeps prices and stock in files of their own; export a feed for "
        "Google Merchant"
    ),
    b"<yml_catalog": "is a feed for Yandex (YML), which is not read; export one for Google Merchant",
    b"<SHOPITEM": "is a feed for Heureka or Zboží, which is not read; export one for Google Merchant",
}
"""What declarations and elements tell of XML."""
_PROLOGUE = 8_192
"""Bytes in which XML has declared its vocabularies."""


def why_no_catalog(sample: Sample) -> str | None:
    """Why nothing can be read of a file that begins like this; ``None`` where it may be a catalog."""
    if sample.error_told is not None:
        return (
            f"is the answer of a web service that has failed, not a catalog; read what it says as {sample.error_told!r}"
        )
    return _why_no_spreadsheet(sample) or _why_no_text(sample)


def _why_no_spreadsheet(sample: Sample) -> str | None:
    head = sample.head
    if head.startswith(_OLDER_OFFICE):
        if _ENCRYPTED in head:
            return f"is protected by a password; {_SAVE}, without one"
        return f"is an older spreadsheet (.xls), or one that is protected by a password; {_SAVE}, without one"
    if b"opendocument.spreadsheet" in head[:200]:
        return f"is an OpenDocument spreadsheet (.ods), which is not read; {_SAVE}"
    if sample.is_xml and any(sign in sample.start[:_PROLOGUE] for sign in _OFFICE_XML):
        return f"is a spreadsheet in XML, which is not read; {_SAVE}"
    if head.startswith(b"PK\x03\x04") and b".iwa" in head:
        return "is a spreadsheet of Numbers, which is not read; export it from Numbers as .xlsx or as CSV"
    return None


def _why_no_text(sample: Sample) -> str | None:
    head = sample.head
    if head.startswith(_ARCHIVES) or _BZIP2.match(head):
        return "is an archive; unpack it"
    if head.startswith(b"PK\x03\x04") and not sample.is_spreadsheet:
        return "is a zip archive; unpack it"
    if head.startswith((b"%PDF-", b"{\\rtf")):
        return "is a document to be read by people, not a catalog; export the products as CSV, .xlsx or JSON"
    told = next((told for pattern, told in _OTHER_TEXTS if pattern.match(sample.start)), None)
    if sample.is_xml:
        told = next((told for sign, told in _OTHER_XML.items() if sign in sample.text[:_PROLOGUE]), told)
    return told or (_about_page(sample) if sample.is_web_page else _why_no_json(sample))


def _why_no_json(sample: Sample) -> str | None:
    if script_around(sample.start):
        return "is JSON within a script; take out what stands around it"
    if comment_before(sample.start):
        return "begins with a comment, and JSON has none; take it out"
    if sample.is_json and table_of_values(sample.text.lstrip()):
        return (
            "is a table by columns, or rows without their names; write each product as an object, "
            '[{"id": …, "name": …}] (of a data frame: to_json(path, orient="records"))'
        )
    return None


def _about_page(sample: Sample) -> str:
    if _TABLE.search(sample.head):
        return f"is a web page with a table, as some programs export for spreadsheets; if that is it, {_SAVE}"
    return "is a web page, not a catalog; was a login or an error page saved?"
