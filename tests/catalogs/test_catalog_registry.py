"""Adding a format is one file and its line in the registry."""

from __future__ import annotations

import pytest
from catalog_files import named

from neuroon_async import ConfigurationError
from neuroon_async.catalogs import Catalog, CatalogError, CatalogFormat, registry
from neuroon_async.catalogs.records import Draft, Record
from neuroon_async.catalogs.values.parsing import Notation


class Fixed:
    """A made-up format: one product a line, ``id  price  name``."""

    name = "fixed"
    own_ids = False

    def recognises(self, sample):
        return sample.text.startswith(b"FIXED")

    def read(self, reading):
        lines = b"".join(reading.text()).decode().splitlines()[1:]
        records = (Record(f"{reading.source.name}:{n}", {"line": line}) for n, line in enumerate(lines, 2))
        reading.use(["line"])
        for record in reading.counted(records):
            external_id, price, name = record.row["line"].split("  ")
            draft = Draft.of(record, Notation(reading.options.decimal))
            draft.put("external_id", external_id)
            draft.put("name", name)
            draft.put("price", price)
            draft.put("url", f"/p/{external_id}")
            yield draft


@pytest.fixture
def made_up(monkeypatch):
    monkeypatch.setattr(registry, "FORMATS", (Fixed(), *registry.FORMATS))


FILE = "FIXED\n1  9,90  Tea\n2  x  Milk\n"


@pytest.mark.usefixtures("made_up")
@pytest.mark.parametrize("options", [{}, {"format": "fixed"}])
def test_a_format_is_added_by_one_line(options):
    catalog = Catalog(named(FILE), shop_url="https://shop.example", currency="EUR", mapping={"sku": "line"}, **options)
    tea, failure = catalog
    assert (tea.name, str(tea.price), tea.url, tea.currency) == ("Tea", "9.90", "https://shop.example/p/1", "EUR")
    assert tea.sku == "1  9,90  Tea"
    assert failure.reason.startswith("file.csv:3: price: must be an amount")
    assert (catalog.format, catalog.records, catalog.ignored_fields) == ("fixed", 2, {})


def test_a_format_that_is_not_registered_is_named_with_those_that_are():
    with pytest.raises(ConfigurationError, match="format 'fixed' is not known; there are auto, "):
        Catalog(named(FILE), format="fixed")
    with pytest.raises(CatalogError, match="no column is named like a product field"):
        list(Catalog(named(FILE), format="csv"))


def test_every_name_has_a_format_and_every_format_a_name():
    assert {format_.name for format_ in registry.FORMATS} == {*CatalogFormat} - {CatalogFormat.AUTO}


class Nested(Fixed):
    """JSON that a made-up platform nests in its own way."""

    name = "nested"

    def recognises(self, sample):
        return sample.has_keys("variants.cost", "handle") and not sample.has_keys("variants.absent")

    def read(self, reading):
        for record in reading.json_records("data.products.edges"):
            draft = Draft.of(record, Notation())
            draft.put("external_id", record.row["node"]["handle"])
            yield draft


@pytest.mark.parametrize("lines", [0, 100])
def test_json_is_recognised_by_its_keys_and_read_at_a_path(monkeypatch, lines):
    monkeypatch.setattr(registry, "FORMATS", (Nested(), *registry.FORMATS))
    edges = ",".join('{"node": {"handle": "a]", "variants": [{"cost": 1}], "products": []}}' for _ in range(1 + lines))
    content = (
        f'{{"extensions": {{"edges": [1]}}, "data": {{"edges": [], "products": {{"edges": [{edges}], "x": []}}}}}}'
    )
    catalog = Catalog(named(content, "f.json"))
    assert {item.external_id for item in catalog} == {"a]"}
    assert (catalog.format, catalog.records) == ("nested", 1 + lines)
    assert Catalog(named(content.replace("cost", "price"), "f.json")).format == "auto"


@pytest.mark.parametrize(
    ("content", "options", "format_"),
    [
        ('[{"id":"1","name":"n","price":1,"url":"u:x"}]', {"delimiter": ";"}, "json"),
        ("Handle,Title,Variant Price\na,A,1\n", {"decimal": ","}, "shopify"),
    ],
)
def test_an_option_that_does_nothing_is_named(content, options, format_):
    catalog = Catalog(named(content), shop_url="https://shop.example", **options)
    assert len(list(catalog)) == 1
    assert catalog.notes == [f"{next(iter(options))} has no effect on a catalog of format {format_}"]
    catalog = Catalog(named("id,name,price,url\n1,n,1,u:x\n"), delimiter=",", decimal=",")
    assert list(catalog)
    assert catalog.notes == []
