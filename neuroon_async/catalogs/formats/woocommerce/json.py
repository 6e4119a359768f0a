"""The JSON of WooCommerce: products of the REST API (v2 and v3), and of the Store API, which counts in minor units.

- The id is the product's; a variation names its parent. Addresses are the shop's own permalinks.
- REST: ``regular_price``, and ``sale_price`` within its dates. A variable product has neither, and costs ``price``,
  which is that of its cheapest variation.
- Store API: ``1990`` with two minor units is 19.90. A price that does not say its minor units is refused.
- REST: a draft, and what the shop hides from its search, is not active. The Store API lists active products only.
- A rating that nobody has given is none.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ....api.shapes import is_object
from ...records import Draft
from ...values.arithmetic import shifted
from ...values.parsing import BadValue, Notation, is_blank, to_integer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ....api.shapes import RawValue
    from ...format import Reading, Sample
    from ...records import Record

__all__ = ["FORMAT"]

_NOTATION = Notation(decimal=".", grouped=False, lists=False)
_REST = ("id", "permalink", "regular_price", "stock_status")
_STORE = ("id", "permalink", "prices.price", "prices.currency_minor_unit")
_STORE_WITHOUT_UNIT = ("id", "permalink", "prices.price", "is_in_stock")
_USED = (
    "id", "name", "permalink", "sku", "description", "short_description", "status", "catalog_visibility", "type",
    "price", "regular_price", "sale_price", "on_sale", "date_on_sale_from", "date_on_sale_to", "manage_stock",
    "stock_quantity", "stock_status", "average_rating", "rating_count", "review_count", "parent_id", "parent",
    "categories", "tags", "brands", "images", "image", "attributes", "prices", "is_in_stock", "low_stock_remaining",
    "variation", "global_unique_id",
)  # fmt: skip
_MAX_MINOR_UNITS = 4


def _dicts(value: RawValue) -> list[dict[str, Any]]:
    return [item for item in value if is_object(item)] if isinstance(value, list) else []


def _names(value: Any) -> list[str] | None:
    """The names of categories, tags or brands."""
    return [item["name"] for item in _dicts(value) if isinstance(item.get("name"), str)] or None


class _Builder:
    """One object, one product."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._names_options = False
        reading.use(_USED)

    def __call__(self, records: Iterable[Record]) -> Iterator[Draft]:
        for record in records:
            yield Draft.unusable(record, record.problem) if record.problem else self._draft(record)

    def _draft(self, record: Record) -> Draft:
        row = record.row
        draft = Draft.of(record, _NOTATION)
        draft.put("external_id", row.get("id"))
        parent = row.get("parent_id", row.get("parent"))
        draft.put("parent_external_id", parent if _is_variation(row) else None)
        _put_texts(draft, row)
        self._notice_name_of_options(row)
        if isinstance(row.get("prices"), dict):
            _put_store_prices(draft, row["prices"])
            draft.put("in_stock", row.get("is_in_stock"))
            draft.put("stock_quantity", row.get("low_stock_remaining"))
        else:
            _put_rest_prices(draft, row)
            draft.put("in_stock", row.get("stock_status"))
            draft.put("stock_quantity", row.get("stock_quantity"))
            if "status" in row:
                draft.put("is_active", _is_active(row))
        _put_rating(draft, row)
        _put_attributes(draft, row)
        return draft

    def _notice_name_of_options(self, row: Mapping[str, Any]) -> None:
        if self._names_options or "name" in self._reading.options.mapping:
            return
        if _is_variation(row) and _options_alone(row):
            self._names_options = True
            template = self._reading.options.names.map("name", "{parent_name} - {name}")
            self._reading.notice(
                f"variations are named by their options alone, such as {row['name']!r}: the REST API gives them "
                f"without the name of their product. Write it into the file, and a template puts both together "
                f"({template})"
            )


def _options_alone(row: Mapping[str, Any]) -> bool:
    """Is a variation called by its options (``Red, Large``), as newer versions of the REST API do it?"""
    options = [str(item.get("option")) for item in _dicts(row.get("attributes")) if item.get("option")]
    return bool(options) and row.get("name") == ", ".join(options)


def _is_variation(row: Mapping[str, Any]) -> bool:
    """Groups are called parents too, by some versions."""
    kind = str(row.get("type") or "variation")
    return kind.endswith("variation")


def _is_active(row: Mapping[str, Any]) -> bool:
    hidden = str(row.get("catalog_visibility")) in {"hidden", "catalog"}  # 'catalog': in lists, not in search
    return row.get("status") == "publish" and not hidden


def _put_texts(draft: Draft, row: Mapping[str, Any]) -> None:
    draft.put("name", _name(row))
    draft.put("url", row.get("permalink"))
    draft.put("sku", row.get("sku"))
    draft.put("description", row.get("description"))
    if "description" not in draft.fields:
        draft.put("description", row.get("short_description"))
    for field in ("categories", "tags", "brands"):
        draft.put(field, _names(row.get(field)))
    draft.put("image_url", row.get("images") or row.get("image") or None)
    draft.put("attributes.gtin", row.get("global_unique_id"))


def _name(row: Mapping[str, Any]) -> Any:
    name, variation = row.get("name"), row.get("variation")
    if isinstance(name, str) and isinstance(variation, str) and variation.strip():
        return f"{name} - {variation.strip()}"
    return name


def _put_rest_prices(draft: Draft, row: Mapping[str, Any]) -> None:
    regular = row.get("regular_price")
    draft.put("price", row.get("price") if is_blank(regular) else regular)
    if row.get("on_sale") is not False and not is_blank(regular):
        draft.put("sale_price", row.get("sale_price"))
        draft.put_sale_dates(*(str(row.get(name) or "") for name in ("date_on_sale_from", "date_on_sale_to")))


def _put_store_prices(draft: Draft, prices: Mapping[str, Any]) -> None:
    draft.put("currency", prices.get("currency_code"))
    try:
        regular = _in_major_units(prices, "regular_price")
        regular = _in_major_units(prices, "price") if regular is None else regular
        draft.put("price", regular)
        draft.put("sale_price", _in_major_units(prices, "sale_price"))
    except BadValue as error:
        draft.reject("price", prices.get("price"), error)


def _in_major_units(prices: Mapping[str, Any], name: str) -> Decimal | None:
    amount = prices.get(name)
    if is_blank(amount):
        return None
    units = prices.get("currency_minor_unit")
    if not isinstance(units, int) or isinstance(units, bool) or not 0 <= units <= _MAX_MINOR_UNITS:
        raise BadValue("is in minor units (cents), and currency_minor_unit does not say how many make one")
    return shifted(Decimal(to_integer(amount, _NOTATION)), -units)


def _put_rating(draft: Draft, row: Mapping[str, Any]) -> None:
    count = row.get("rating_count", row.get("review_count"))
    draft.put("review_count", count)
    if draft.fields.get("review_count"):
        draft.put("rating", row.get("average_rating"))


def _put_attributes(draft: Draft, row: Mapping[str, Any]) -> None:
    """``options`` of a product, the ``option`` of a variation, ``terms`` of the Store API."""
    for attribute in _dicts(row.get("attributes")):
        name = attribute.get("name")
        value = attribute.get("option") or attribute.get("options") or _names(attribute.get("terms"))
        if isinstance(name, str) and name.strip():
            draft.put(f"attributes.{name.strip()}", value or attribute.get("value"))


class _WooCommerceJson:
    name = "woocommerce-json"
    own_ids = True

    def recognises(self, sample: Sample) -> bool:
        return any(sample.has_keys(*keys) for keys in (_REST, _STORE, _STORE_WITHOUT_UNIT))

    def read(self, reading: Reading) -> Iterable[Draft]:
        sample = reading.sample
        places = [places[0] for keys in (_REST, _STORE, _STORE_WITHOUT_UNIT) if (places := sample.places_of(*keys))]
        place = places[0] if places else None
        lines = not place and sample.is_json_lines
        return _Builder(reading)(reading.json_records(place, lines=lines))


FORMAT = _WooCommerceJson()
