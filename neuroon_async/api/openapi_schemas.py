"""The schemas of the OpenAPI document: the structs as they look on the wire, with the documented limits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from .contract import MAX_BATCH_PRODUCTS, MAX_CURRENCY_LENGTH
from .models import ConversionBody, Product, SyncRequest, VerificationRequest
from .results import BatchResult, Health, ProductError, Shop, Verification, VerificationData

__all__ = ["schemas"]

Schema = dict[str, Any]

_REFERENCE = "#/components/schemas/{name}"
_STRUCTS = (
    SyncRequest,
    Product,
    ProductError,
    BatchResult,
    Shop,
    Health,
    VerificationRequest,
    Verification,
    VerificationData,
    ConversionBody,
)
_NAMES = {"ConversionBody": "Conversion", "ConversionItem": "ConversionLine"}
"""What a struct is called here, where that differs."""

_FILLED = {"minLength": 1, "pattern": r"\S"}
_INFERRED = {"x-inferred": True}
_FIELDS: dict[str, dict[str, Schema]] = {
    "Product": {
        "externalId": {**_FILLED, "description": "The shop's own id. What is sent again under it is an update."},
        "name": _FILLED,
        "url": _FILLED,
        "currency": {"description": "ISO 4217. The same within a batch."},
        "parentExternalId": {"description": "A variant's parent: in the same batch, or in the catalog."},
    },
    "Conversion": {
        "orderId": _FILLED,
        "currency": {**_FILLED, "maxLength": MAX_CURRENCY_LENGTH, **_INFERRED},
        "conversions": {"minItems": 1, **_INFERRED},
    },
    "ConversionLine": {
        "productId": {**_FILLED, "description": "The synced `externalId`."},
        "searchLogId": {
            **_FILLED,
            "description": "From the shopper's cookie, unchanged. By one page, a line without it gets 400; by another, "
            "it is merely not attributed.",
        },
        "lineTotal": {"description": "The whole line's total, not the price of one piece."},
    },
    "VerificationRequest": {
        "domain": {"pattern": "^https?://[^\\s/?#]+", "description": "`https://shop.example`", **_INFERRED}
    },
    "VerificationData": {"verifiedAt": {"type": ["string", "null"], "description": "ISO 8601; UTC without an offset."}},
    "BatchResult": {"errors": {"type": "array", "items": {"$ref": _REFERENCE.format(name="ProductError")}}},
}
"""By schema and field: what the struct's types do not say."""

_INFERRED_SCHEMAS = ("BatchResult", "ProductError")


def schemas() -> dict[str, Schema]:
    """Every schema by name, in the order of the alphabet."""
    _, components = msgspec.json.schema_components([*_STRUCTS], schema_hook=_schema_of, ref_template=_REFERENCE)
    found = {_NAMES.get(name, name): _on_the_wire(schema) for name, schema in components.items()}
    for name, fields in _FIELDS.items():
        for field, facts in fields.items():
            found[name]["properties"][field] |= facts
    del found["Product"]["properties"]["parentExternalId"]["minLength"]  # the SDK's own rule
    for name in _INFERRED_SCHEMAS:
        found[name] |= _INFERRED
    return dict(sorted((found | _HAND_WRITTEN).items()))


def _schema_of(kind: type) -> Schema:
    if kind is Iterable:  # the products of a request
        items = {"$ref": _REFERENCE.format(name="Product")}
        return {"type": "array", "items": items, "minItems": 1, "maxItems": MAX_BATCH_PRODUCTS}
    raise NotImplementedError


def _on_the_wire(schema: Schema) -> Schema:
    """A struct's schema as its JSON looks.

    Decimals are numbers. Python's texts and defaults, and what the SDK alone refuses, are left out.
    """
    if schema == {"type": "string", "format": "decimal"}:
        return {"type": "number"}
    if "$ref" in schema:
        prefix, _, name = str(schema["$ref"]).rpartition("/")
        return {"$ref": f"{prefix}/{_NAMES.get(name, name)}"}
    kept: Schema = {}
    for key, value in schema.items():
        if key == "properties":
            kept[key] = {field: _on_the_wire(facts) for field, facts in value.items()}
        elif key == "anyOf":
            kept |= _one_of_types([_on_the_wire(alternative) for alternative in value])
        elif key in {"items", "additionalProperties"} and value is not False:
            kept[key] = _on_the_wire(value)
        elif key not in {"title", "description", "default"} and value != [] and value is not False:
            kept[key] = value
    return kept


def _one_of_types(alternatives: list[Schema]) -> Schema:
    """``anyOf`` with at most one kind of value besides ``null``, written as one schema."""
    types = list(dict.fromkeys(schema["type"] for schema in alternatives))
    if "number" in types and "integer" in types:
        types.remove("integer")
    merged: Schema = {}
    for schema in alternatives:
        merged |= schema
    return merged | {"type": types[0] if len(types) == 1 else types}


_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_STANDARD = {"timestamp": {**_TEXT, "description": "ISO 8601"}, "status": {"type": "integer"}, "error": _TEXT}


def _object(properties: Schema, *, required: Iterable[str], **more: Any) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required), **more}


def _any_of(*names: str) -> Schema:
    return {"anyOf": [{"$ref": _REFERENCE.format(name=name)} for name in names]}


_CODE = {"code": _TEXT, "message": _TEXT}
_OLDER_COUNTS = dict.fromkeys(("synced", "created", "updated", "failed"), _COUNT)

_HAND_WRITTEN: dict[str, Schema] = {
    "Anything": {"description": "Not documented.", **_INFERRED},
    "AnyError": _any_of("Error", "ErrorWithoutMessage", "CodedError", "NestedError"),
    "CodedError": _object({**_CODE, "details": {"type": "array"}}, required=("code", "message", "details")),
    "Error": _object(
        {**_STANDARD, "message": {**_TEXT, "description": "`field: reason`, joined by commas"}, "path": _TEXT},
        required=("timestamp", "status", "error", "message", "path"),
    ),
    "ErrorWithoutMessage": _object(
        {**_STANDARD, "path": _TEXT},
        required=("timestamp", "status", "error", "path"),
        description="With 405, 409, 415.",
    ),
    "NestedError": _object(
        {"error": _object({**_CODE, "retryAfter": {"type": "number"}}, required=("code", "message"))},
        required=("error",),
    ),
    "OlderBatchResult": _object(
        {**_OLDER_COUNTS, "errors": {"type": "array"}}, required=_OLDER_COUNTS, description="As an older page tells it."
    ),
    "OlderDeletion": _object({"deleted": {"const": True}}, required=("deleted",)),
    "RateLimitError": _object(
        {
            "error": {"const": "rate_limit_exceeded"},
            "message": _TEXT,
            "retryAfter": {"type": "number", "description": "Seconds"},
            "limit": _COUNT,
            "remaining": _COUNT,
            "timestamp": _TEXT,
        },
        required=("error", "message", "retryAfter", "limit", "remaining", "timestamp"),
    ),
    "SyncAnswer": _any_of("BatchResult", "OlderBatchResult"),
    "TooManyRequests": _any_of("RateLimitError", "AnyError"),
}
