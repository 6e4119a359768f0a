"""The documented rules for products and conversions, checked before anything is sent.

Pure. `check_product` and `check_conversion` raise with every broken rule; `plainly_valid` is the quick yes for
the common case, because a catalog of a million products passes through it.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from ..errors import InvalidConversion, InvalidProduct
from .addresses import foreign_scheme, names_no_host, plain_address
from .contract import MAX_CURRENCY_LENGTH, MAX_DESCRIPTION_LENGTH, MAX_NAME_LENGTH, MAX_RATING
from .frames import is_missing
from .models import REQUIRED_FIELDS, WIRE_NAMES, Conversion, ConversionItem, Product, encode
from .shapes import is_dict, is_list_or_tuple, is_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["check_conversion", "check_product", "encoding_problems", "id_problem", "plainly_valid", "value_problems"]

_NUMBERS = (float, int, Decimal)
_LONGEST_SHOWN = 60
_INFINITY = math.inf


def check_product(product: Product) -> None:
    """Raise `InvalidProduct` with every rule that the product breaks."""
    if not plainly_valid(product):
        violations = _violations(product)
        if violations:
            raise invalid_product(product, violations)


def invalid_product(product: Product, violations: list[tuple[str, str]]) -> InvalidProduct:
    external_id = product.external_id
    return InvalidProduct(external_id if is_text(external_id) and external_id else None, violations)


def plainly_valid(product: Product) -> bool:
    """True where the product certainly keeps every rule; False where only a closer look can tell.

    The same rules as the table below, for values of exactly the plain types. Tests hold the two together.
    """
    v: Any
    try:
        return (
            type(product) is Product
            and type(v := product.external_id) is str
            and v != ""
            and type(v := product.name) is str
            and 0 < len(v) <= MAX_NAME_LENGTH
            and type(v := product.price) in _NUMBERS
            and 0 <= v < _INFINITY
            and type(v := product.url) is str
            and plain_address(v) is not None
            and (type(v := product.sku) is str or v is UNSET or v is None)
            and (
                (type(v := product.description) is str and len(v) <= MAX_DESCRIPTION_LENGTH) or v is UNSET or v is None
            )
            and ((type(v := product.currency) is str and len(v) <= MAX_CURRENCY_LENGTH) or v is UNSET or v is None)
            and ((v := product.image_url) is UNSET or v is None or (type(v) is str and plain_address(v) is not None))
            and ((v := product.in_stock) is UNSET or v is None or type(v) is bool)
            and ((v := product.stock_quantity) is UNSET or v is None or type(v) is int)
            and ((v := product.rating) is UNSET or v is None or (type(v) in _NUMBERS and 0 <= v <= MAX_RATING))
            and ((v := product.review_count) is UNSET or v is None or type(v) is int)
            and ((v := product.is_active) is UNSET or v is None or type(v) is bool)
            and ((v := product.sale_price) is UNSET or v is None or (type(v) in _NUMBERS and 0 <= v < _INFINITY))
            and ((v := product.parent_external_id) is UNSET or v is None or (type(v) is str and v != ""))
            and ((v := product.categories) is UNSET or v is None or _plain_texts(v))
            and ((v := product.brands) is UNSET or v is None or _plain_texts(v))
            and ((v := product.tags) is UNSET or v is None or _plain_texts(v))
            and ((v := product.attributes) is UNSET or v is None or _plain_attributes(v))
        )
    except ArithmeticError:  # comparing a signalling Decimal
        return False


_LIST: type[Any] = list
_DICT: type[Any] = dict
"""Of no further type: a type checker would ask what they hold, which is found out here."""


def _plain_texts(texts: Any) -> bool:
    if type(texts) is not _LIST:
        return False
    for text in texts:  # noqa: SIM110 - a generator would cost as much as all other checks together
        if type(text) is not str:
            return False
    return True


def _plain_attributes(attributes: Any) -> bool:
    if type(attributes) is not _DICT:
        return False
    for name, text in attributes.items():  # noqa: SIM110 - as above
        if type(name) is not str or type(text) is not str:
            return False
    return True


def _violations(product: Product) -> list[tuple[str, str]]:
    fields = {name: getattr(product, name) for name in WIRE_NAMES}
    own = [name for name in product.__struct_fields__ if name not in fields]  # of a subclass
    return [(name, "is not a product field") for name in own] + value_problems(fields) or encoding_problems(product)


_GAP = ", as a data frame has it for no value: give the frame itself, and its gaps are left out"


def value_problems(fields: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Every rule that these fields (by Python name) break, as ``(field, rule)`` with the field's name on the wire."""
    found: list[tuple[str, str]] = []
    for name, rule in _PRODUCT_RULES.items():
        if name not in fields:
            continue
        value = fields[name]
        if value is UNSET or value is None:
            problem = "is required" if name in REQUIRED_FIELDS else None
        else:
            problem = rule(value)
            if problem is not None and is_missing(value):
                problem += _GAP
        if problem is not None:
            found.append((WIRE_NAMES[name], problem))
    return found


def encoding_problems(product: Product) -> list[tuple[str, str]]:
    """The fields that cannot become JSON in UTF-8: lone surrogates, integers of thousands of digits, foreign types."""
    if _unencodable(product) is None:
        return []
    found: list[tuple[str, str]] = []
    for name, wire_name in WIRE_NAMES.items():
        problem = _unencodable(getattr(product, name))
        if problem is not None:
            found.append((wire_name, problem))
    return found


def _unencodable(value: object) -> str | None:
    if value is UNSET:
        return None
    try:
        encode(value)
    except UnicodeEncodeError as error:
        return f"holds a lone surrogate at character {error.start}, which UTF-8 cannot express"
    except (TypeError, ValueError, OverflowError) as error:
        return f"cannot be written as JSON: {error}"
    return None


def _shown(value: object) -> str:
    """A value as JSON writes it, texts in quotes; one that JSON cannot hold, as Python shows it, and its class."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    try:
        text = str(value) if isinstance(value, (int, float, Decimal)) else repr(value)
    except ValueError:  # Python refuses to print integers of thousands of digits
        return "a number too long to show"
    known = isinstance(value, (str, int, float, Decimal, list, dict))
    return _cut(text) if known else f"{_cut(text)} ({type(value).__name__})"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"


def _text(value: object, *, at_least: int = 0, at_most: int | None = None) -> str | None:
    if not isinstance(value, str):
        return f"must be text, got {_shown(value)}"
    if len(value) < at_least:
        return "must not be empty"
    if at_most is not None and len(value) > at_most:
        return f"must be at most {at_most} characters, got {len(value)}"
    return None


def _required_text(value: object) -> str | None:
    return _text(value, at_least=1)


def id_problem(value: object) -> str | None:
    """Why this cannot be a product's id, as `value_problems` and `encoding_problems` would tell."""
    return _required_text(value) or _unencodable(value)


def _name(value: object) -> str | None:
    return _text(value, at_least=1, at_most=MAX_NAME_LENGTH)


def _url(value: object) -> str | None:
    return _required_text(value) or _address(value)


def _address(value: object) -> str | None:
    if not isinstance(value, str):
        return _text(value)
    if names_no_host(value):
        return f"must name a host, got {_shown(value)}"
    scheme = foreign_scheme(value)
    return None if scheme is None else f"must be an http or https address, got {_shown(value)} with scheme {scheme!r}"


def _description(value: object) -> str | None:
    return _text(value, at_most=MAX_DESCRIPTION_LENGTH)


def _currency(value: object) -> str | None:
    return _text(value, at_most=MAX_CURRENCY_LENGTH)


def _amount(value: object, *, at_most: int | None = None) -> str | None:
    if isinstance(value, bool) or not isinstance(value, _NUMBERS):
        return f"must be a number, got {_shown(value)}"
    if not (value.is_finite() if isinstance(value, Decimal) else isinstance(value, int) or math.isfinite(value)):
        return f"must be a finite number, got {_shown(value)}"
    if value < 0:
        return f"must be 0 or more, got {_shown(value)}"
    if at_most is not None and value > at_most:
        return f"must be at most {at_most}, got {_shown(value)}"
    return None


def _rating(value: object) -> str | None:
    return _amount(value, at_most=MAX_RATING)


def _integer(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return f"must be a whole number, got {_shown(value)}"
    return None


def _quantity(value: object) -> str | None:
    problem = _integer(value)
    if problem is None and isinstance(value, int) and value < 1:
        return f"must be 1 or more, got {_shown(value)}"
    return problem


def _flag(value: object) -> str | None:
    return None if isinstance(value, bool) else f"must be true or false, got {_shown(value)}"


def _texts(value: object) -> str | None:
    if not is_list_or_tuple(value):
        return f"must be a list of texts, got {_shown(value)}"
    for index, item in enumerate(value):
        if not isinstance(item, str):
            return f"item {index} must be text, got {_shown(item)}"
    return None


def _text_map(value: object) -> str | None:
    if not is_dict(value):
        return f"must map texts to texts, got {_shown(value)}"
    for key, item in value.items():
        if not isinstance(key, str):
            return f"key must be text, got {_shown(key)}"
        if not isinstance(item, str):
            return f"{key!r} must be text, got {_shown(item)}"
    return None


_PRODUCT_RULES: dict[str, Callable[[Any], str | None]] = {
    "external_id": _required_text,
    "name": _name,
    "price": _amount,
    "url": _url,
    "sku": _text,
    "description": _description,
    "currency": _currency,
    "image_url": _address,
    "categories": _texts,
    "brands": _texts,
    "tags": _texts,
    "in_stock": _flag,
    "stock_quantity": _integer,
    "rating": _rating,
    "review_count": _integer,
    "is_active": _flag,
    "sale_price": _amount,
    "parent_external_id": _required_text,
    "attributes": _text_map,
}


def check_conversion(conversion: object) -> None:
    """Raise `InvalidConversion` with every rule that the conversion breaks."""
    if not isinstance(conversion, Conversion):
        raise InvalidConversion(None, [("conversion", f"must be a Conversion, got {_shown(conversion)}")])
    found = [
        (field, problem)
        for field, problem in (
            ("orderId", _required_text(conversion.order_id)),
            ("orderValue", _amount(conversion.order_value)),
            ("currency", _currency(conversion.currency)),
        )
        if problem is not None
    ]
    found.extend(_line_problems(conversion.conversions))
    if not found:
        problem = _unencodable(conversion)
        if problem is not None:
            found.append(("conversion", problem))
    if found:
        raise InvalidConversion(conversion.order_id if is_text(conversion.order_id) else None, found)


def _line_problems(lines: object) -> list[tuple[str, str]]:
    if not is_list_or_tuple(lines):
        return [("conversions", f"must be a list of ConversionItem, got {_shown(lines)}")]
    found: list[tuple[str, str]] = []
    for index, item in enumerate(lines):
        if not isinstance(item, ConversionItem):
            found.append((f"conversions[{index}]", f"must be a ConversionItem, got {_shown(item)}"))
            continue
        found.extend(
            (f"conversions[{index}].{field}", problem)
            for field, problem in (
                ("productId", _required_text(item.product_id)),
                ("searchLogId", _required_text(item.search_log_id)),
                ("quantity", _quantity(item.quantity)),
                ("lineTotal", _amount(item.line_total)),
            )
            if problem is not None
        )
    return found
