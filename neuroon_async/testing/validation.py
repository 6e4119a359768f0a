"""The server's side of the documented rules, in the server's own words.

An independent reading of the documentation: it shares no code with the checks that the client makes before
sending, so that each can catch the other's mistakes. Pure: works on decoded JSON, where whole numbers are
``int`` and all others `Decimal`. A complaint names the field but, as documented, not the product.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .bodies import is_array, is_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["PRODUCT_FIELDS", "conversion_complaints", "domain_complaints", "product_complaints"]

_NUMBERS = (int, Decimal)

_REQUIRED = {
    "externalId": "External ID is required",
    "name": "Product name is required",
    "price": "must not be null",
    "url": "must not be blank",
}


def product_complaints(products: list[Any], *, zero_price: bool = True) -> list[str]:
    """Every broken rule of a batch, each said once, in the order of appearance.

    ``zero_price``: may a price be 0? The rule and the error message disagree.
    """
    complaints: dict[str, None] = {}
    for product in products:
        if not is_object(product):
            complaints["products: every product must be an object"] = None
            continue
        for field, reason in _REQUIRED.items():
            if product.get(field) is None:
                complaints[f"{field}: {reason}"] = None
        for field, value in product.items():
            rule = _RULES.get(field)
            if rule is not None and value is not None and (problem := rule(value)) is not None:
                complaints[f"{field}: {problem}"] = None
        if not zero_price and product.get("price") == 0:
            complaints["price: Price must be positive"] = None
    return list(complaints)


def _text(value: Any) -> str | None:
    return None if type(value) is str else "must be a string"


def _external_id(value: Any) -> str | None:
    if type(value) is not str:
        return "must be a string"
    return None if value.strip() else _REQUIRED["externalId"]


def _name(value: Any) -> str | None:
    if type(value) is not str:
        return "must be a string"
    if not value.strip():
        return _REQUIRED["name"]
    return None if len(value) <= 512 else "size must be between 1 and 512"


def _url(value: Any) -> str | None:
    if type(value) is not str:
        return "must be a string"
    return None if value.strip() else _REQUIRED["url"]


def _description(value: Any) -> str | None:
    if type(value) is not str:
        return "must be a string"
    return None if len(value) <= 5000 else "size must be between 0 and 5000"


def _currency(value: Any) -> str | None:
    if type(value) is not str:
        return "must be a string"
    return None if len(value) <= 3 else "size must be between 0 and 3"


def _price(value: Any) -> str | None:
    if type(value) not in _NUMBERS:
        return "must be a number"
    return None if value >= 0 else "Price must be positive"


def _number(value: Any) -> str | None:
    return None if type(value) in _NUMBERS else "must be a number"


def _rating(value: Any) -> str | None:
    if type(value) not in _NUMBERS:
        return "must be a number"
    if value > 5:
        return "must be less than or equal to 5.0"
    return None if value >= 0 else "must be greater than or equal to 0.0"


def _integer(value: Any) -> str | None:
    return None if type(value) is int else "must be an integer"


def _flag(value: Any) -> str | None:
    return None if type(value) is bool else "must be a boolean"


def _texts(value: Any) -> str | None:
    return None if is_array(value) and _all_text(value) else "must be an array of strings"


def _text_map(value: Any) -> str | None:
    return None if is_object(value) and _all_text(value.values()) else "must map strings to strings"


def _all_text(values: Iterable[Any]) -> bool:
    for value in values:  # noqa: SIM110 - a generator would cost more than the lists it walks
        if type(value) is not str:
            return False
    return True


_RULES: dict[str, Callable[[Any], str | None]] = {
    "externalId": _external_id,
    "name": _name,
    "price": _price,
    "url": _url,
    "sku": _text,
    "description": _description,
    "currency": _currency,
    "imageUrl": _text,
    "categories": _texts,
    "brands": _texts,
    "tags": _texts,
    "inStock": _flag,
    "stockQuantity": _integer,
    "rating": _rating,
    "reviewCount": _integer,
    "isActive": _flag,
    "salePrice": _number,
    "parentExternalId": _text,
    "attributes": _text_map,
}

PRODUCT_FIELDS = frozenset(_RULES)
"""The documented names on the wire. Anything else in a product is ignored."""


def domain_complaints(document: Any) -> list[str]:
    """What is wrong with the body of a domain verification."""
    domain = document.get("domain") if is_object(document) else None
    if not isinstance(domain, str) or not domain.strip():
        return ["domain: must not be blank"]
    try:
        parts = urlsplit(domain)
    except ValueError:
        return ["domain: must be a valid URL"]
    return [] if parts.scheme in {"http", "https"} and parts.netloc else ["domain: must be a valid URL"]


def conversion_complaints(document: Any, *, require_search_log_id: bool) -> list[str]:
    """What is wrong with the body of a conversion.

    The vendor's pages disagree on a line without ``searchLogId``: an error, or merely not attributed.
    """
    if not is_object(document):
        return ["body: must be an object"]
    complaints = [
        f"{field}: {problem}"
        for field, rule in (("orderId", _required), ("orderValue", _number), ("currency", _required_currency))
        if (problem := rule(document.get(field))) is not None
    ]
    lines = document.get("conversions")
    if not is_array(lines) or not lines:
        return [*complaints, "conversions: must not be empty"]
    for index, line in enumerate(lines):
        complaints.extend(f"conversions[{index}].{problem}" for problem in _line_problems(line, require_search_log_id))
    return complaints


def _line_problems(line: Any, require_search_log_id: bool) -> Iterator[str]:
    if not is_object(line):
        yield "line: must be an object"
        return
    for field, rule in (("productId", _required), ("quantity", _integer), ("lineTotal", _number)):
        problem = rule(line.get(field))
        if problem is not None:
            yield f"{field}: {problem}"
    search_log_id = line.get("searchLogId")
    problem = _required(search_log_id) if require_search_log_id or search_log_id is not None else None
    if problem is not None:
        yield f"searchLogId: {problem}"


def _required(value: Any) -> str | None:
    if value is None:
        return "must not be blank"
    if type(value) is not str:
        return "must be a string"
    return None if value.strip() else "must not be blank"


def _required_currency(value: Any) -> str | None:
    return _required(value) or _currency(value)
