"""What is sent: msgspec structs for every documented request.

Field names are snake_case here and camelCase on the wire. Constructors do not validate (msgspec's do not): the rules
are in `constraints`, as types, and in `validation`, and every road to the server passes through one of them.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, UnsetType

from ..errors import InvalidConversion, InvalidProduct
from .constraints import Currency, Description, Id, Name, Number, OptionalPrice, OptionalRating, Price, Url
from .contract import SyncMode
from .shapes import class_of, is_dict, is_list, is_list_like, is_mapping, is_text
from .values import as_plain, plain_count, plain_id, plain_value

if TYPE_CHECKING:
    from .clicks import ClickLog

__all__ = [
    "Conversion",
    "ConversionItem",
    "Number",
    "OrderLine",
    "Product",
    "SyncRequest",
    "VerificationRequest",
    "encode",
    "encode_conversion",
    "named_fields",
]


_encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=as_plain)
encode: Callable[[Any], bytes] = _encoder.encode
"""JSON bytes, with ``Decimal`` as an exact JSON number."""


class Product(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename="camel",
    gc=False,
    repr_omit_defaults=True,
    forbid_unknown_fields=True,
):
    """One product of the catalog.

    A field that is not given is not sent, so the server keeps its own default; a field set to ``None`` is sent
    as ``null``. Nothing is checked here: a product is checked when it is sent.

    Attributes:
        external_id: The shop's own id, not empty. What is sent again under it is an update.
        name: 1 to 512 characters.
        price: 0 or more. It travels as a JSON number, exactly: pass a `decimal.Decimal` where cents must not round.
        url: The product's page: http or https, not empty.
        sku: The stock keeping unit.
        description: Up to 5000 characters.
        currency: ISO 4217, up to 3 letters. The same within a batch.
        image_url: The picture: http or https.
        categories: Names of categories.
        brands: Names of brands.
        tags: Further words to find the product by.
        in_stock: Can it be bought now?
        stock_quantity: How many there are: a whole number.
        rating: 0 to 5.
        review_count: How many ratings there are: a whole number.
        is_active: Is it shown in searches?
        sale_price: The price while it is reduced, 0 or more.
        parent_external_id: The id of the product that this one is a variant of.
        attributes: Further facts, text by text: ``{"color": "green"}``.

    >>> from decimal import Decimal
    >>> Product(external_id="SKU-1", name="Tea", price=Decimal("4.50"), url="https://shop.example/tea").name
    'Tea'
    """

    external_id: Id
    name: Name
    price: Price
    url: Url
    sku: str | None | UnsetType = UNSET
    description: Description | None | UnsetType = UNSET
    currency: Currency | None | UnsetType = UNSET
    image_url: str | None | UnsetType = UNSET
    categories: list[str] | None | UnsetType = UNSET
    brands: list[str] | None | UnsetType = UNSET
    tags: list[str] | None | UnsetType = UNSET
    in_stock: bool | None | UnsetType = UNSET
    stock_quantity: int | None | UnsetType = UNSET
    rating: OptionalRating = UNSET
    review_count: int | None | UnsetType = UNSET
    is_active: bool | None | UnsetType = UNSET
    sale_price: OptionalPrice = UNSET
    parent_external_id: Id | None | UnsetType = UNSET
    attributes: dict[str, str] | None | UnsetType = UNSET

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Product:
        """Build a product from a mapping with camelCase or snake_case keys.

        The product shares nothing with the mapping: its lists and maps are copies.

        Raises `InvalidProduct` for a missing required field, an unknown field (a typo would otherwise lose
        data silently), or a field given under both names. Values are checked when the product is sent.
        """
        if not is_mapping(mapping):
            raise InvalidProduct(None, [("product", f"must be a mapping, got {class_of(mapping).__name__}")])
        fields, violations = named_fields(mapping)
        if violations:
            external_id = fields.get("external_id")
            raise InvalidProduct(external_id if isinstance(external_id, str) else None, violations)
        return cls(**fields)


def named_fields(mapping: Mapping[Any, Any]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """A product's fields by their Python names, lists and maps copied, and what is wrong with the names."""
    fields: dict[str, Any] = {}
    violations: list[tuple[str, str]] = []
    for key, value in mapping.items():
        field = PRODUCT_FIELDS.get(key)
        if field is None:
            violations.append((str(key), f"is not a product field{_suggestion(key)}"))
        elif field in fields:
            violations.append((WIRE_NAMES[field], "is given twice, in camelCase and in snake_case"))
        else:
            fields[field] = _own_copy(value)
    violations.extend((WIRE_NAMES[name], "is required") for name in REQUIRED_FIELDS if name not in fields)
    return fields, violations


def _own_copy(value: object) -> object:
    """Containers are copied: a source may go on filling the same ones for its next record."""
    if is_list(value):
        return list(value)
    return dict(value) if is_dict(value) else value


WIRE_NAMES: dict[str, str] = dict(zip(Product.__struct_fields__, Product.__struct_encode_fields__, strict=True))
"""Python name → name on the wire, for every product field."""
PRODUCT_FIELDS: dict[str, str] = {wire: name for name, wire in WIRE_NAMES.items()} | {n: n for n in WIRE_NAMES}
"""Either name → Python name."""
REQUIRED_FIELDS = ("external_id", "name", "price", "url")


def _suggestion(key: object) -> str:
    close = difflib.get_close_matches(str(key), PRODUCT_FIELDS, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


class SyncRequest(msgspec.Struct, rename="camel"):
    """The body of one sync request: 1 to 500 products."""

    sync_type: SyncMode
    products: Iterable[Product]


class VerificationRequest(msgspec.Struct, frozen=True):
    """The body that asks for the verification of a domain."""

    domain: str


class ConversionItem(msgspec.Struct, frozen=True, rename="camel"):
    """One attributable line of an order.

    Attributes:
        product_id: The synced ``external_id``.
        search_log_id: The search that led to the product, from the shopper's cookie (`ClickLog`), unchanged.
        quantity: How many pieces: 1 or more.
        line_total: The whole line's total, not the price of one piece; 0 or more.
    """

    product_id: str
    search_log_id: str
    quantity: int
    line_total: Number


class OrderLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an order, as the shop knows it.

    Attributes:
        product_id: The synced ``external_id``.
        quantity: How many pieces: 1 or more.
        line_total: The whole line's total, not the price of one piece; 0 or more.
    """

    product_id: str
    quantity: int
    line_total: Number


class Conversion(msgspec.Struct, frozen=True, kw_only=True):
    """An order, and the lines of it that a search led to.

    Attributes:
        order_id: The shop's own id of the order. The server counts each once.
        order_value: The whole order's total, 0 or more.
        currency: ISO 4217, up to 3 letters.
        conversions: The lines that a search led to.
        left_out: The products of the order that no search led to. It stays here and is not sent.
    """

    order_id: str
    order_value: Number
    currency: str
    conversions: list[ConversionItem]
    left_out: tuple[str, ...] = ()

    @classmethod
    def from_order(
        cls,
        *,
        order_id: str,
        order_value: Number,
        currency: str,
        lines: Iterable[OrderLine],
        clicks: ClickLog,
    ) -> Conversion:
        """Keep the lines whose product the shopper found by a search; ``left_out`` names the others.

        Numbers are taken as databases and numpy have them, such as a quantity of ``Decimal(2)``.

        Args:
            order_id: As above, like ``currency``. A whole number or a UUID, as databases have them, is text.
            order_value: The whole order's total.
            currency: ISO 4217.
            lines: Every line of the order.
            clicks: Which search led to which product, from the shopper's cookie.

        An order without any such line gives a conversion without lines, which `track` does not send.

        Raises `InvalidConversion` where ``lines`` are none, or ``clicks`` is no `ClickLog`. Values are checked when the
        conversion is sent.

        >>> from neuroon_async import ClickLog, OrderLine
        >>> order = [
        ...     OrderLine(product_id="SKU-1", quantity=2, line_total=9),
        ...     OrderLine(product_id="SKU-2", quantity=1, line_total=5),
        ... ]
        >>> conversion = Conversion.from_order(
        ...     order_id="1001", order_value=14, currency="EUR", lines=order, clicks=ClickLog.parse('{"SKU-1":"log-7"}')
        ... )
        >>> conversion.conversions[0].search_log_id, conversion.left_out
        ('log-7', ('SKU-2',))
        """
        items: list[ConversionItem] = []
        left_out: list[str] = []
        order_id = plain_id(order_id)
        _check_order(order_id, lines, clicks)
        for line in lines:
            if not hasattr(line, "product_id"):
                raise InvalidConversion(
                    _as_id(order_id), [("lines", f"must be OrderLines, got {class_of(line).__name__}")]
                )
            lead = clicks.lead(line.product_id)
            if lead is None:
                left_out.append(line.product_id)
            else:
                items.append(ConversionItem(*lead, plain_count(line.quantity), plain_value(line.line_total)))
        return cls(
            order_id=order_id,
            order_value=plain_value(order_value),
            currency=plain_value(currency),
            conversions=items,
            left_out=tuple(left_out),
        )


def _check_order(order_id: object, lines: object, clicks: object) -> None:
    """Raise `InvalidConversion` for what is no list of lines, or is the cookie itself."""
    found: list[tuple[str, str]] = []
    if not is_list_like(lines):
        found.append(("lines", f"must be a list of OrderLine, got {class_of(lines).__name__}"))
    if not hasattr(clicks, "lead"):
        found.append(
            ("clicks", f"must be a ClickLog, got {class_of(clicks).__name__}; ClickLog.parse reads the cookie")
        )
    if found:
        raise InvalidConversion(_as_id(order_id), found)


def _as_id(order_id: object) -> str | None:
    return order_id if is_text(order_id) else None


class ConversionBody(msgspec.Struct, rename="camel"):
    order_id: str
    order_value: Number
    currency: str
    conversions: list[ConversionItem]


def encode_conversion(conversion: Conversion) -> bytes:
    """The body of a conversion request: what the API documents, without ``left_out``."""
    return encode(
        ConversionBody(conversion.order_id, conversion.order_value, conversion.currency, conversion.conversions)
    )
